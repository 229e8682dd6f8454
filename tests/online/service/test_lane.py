"""Calls in a lane: the same answers, and the same model, as one by one."""

from hypothesis import given
from hypothesis import strategies as st
from online.service.fakes import Counting, datum

from hogwild.online.methods import methods_of
from hogwild.online.service.lane import _FIRST, Call, Lane
from hogwild.online.wire import WrongTypeError, read_all

METHODS = methods_of("classifier")
TRAIN, CLASSIFY, LABELS, SET = (METHODS[name] for name in ("train", "classify", "get_labels", "set_label"))

labels = st.sampled_from(["a", "b", "bad"])
examples = st.lists(labels.map(lambda label: (label, datum(t=label))), max_size=200)
calls = st.lists(
    examples.map(lambda those: ("train", (those,)))
    | st.lists(st.sampled_from(["t", "bad"]).map(lambda key: datum(**{key: "x"})), max_size=100).map(
        lambda those: ("classify", (those,))
    )
    | st.sampled_from(
        [
            ("get_labels", ()),
            ("set_label", ("c",)),
            ("set_label", (1,)),
            ("train", ()),
            ("train", ("text",)),
            ("train", ([("a", 1)],)),
            ("train", ([("a", datum())] * 100 + [("a", 1)],)),
            ("train", ([], [])),
        ]
    ),
    max_size=12,
)


def served(wanted, slice: float):
    """Put calls through a lane; return what they were answered, and the learner."""
    learner, answers = Counting(), {}

    def answer(call, result, error):
        assert call not in answers, "answered twice"
        answers[call] = result if error is None else (type(error), str(error))

    lane = Lane(lambda name, arguments, came: learner.run(name, arguments), answer, slice, 0)
    made = [Call(name, METHODS[name], came, None) for name, came in wanted]
    for call in made:
        lane.add(call)
    turns = 0
    while lane:
        lane.work()
        turns += 1
    return [answers[call] for call in made], learner, turns


def one_by_one(wanted):
    learner, answers = Counting(), []
    for name, came in wanted:
        try:
            answers.append(learner.run(name, read_all(METHODS[name].takes, came)))
        except (WrongTypeError, ValueError) as error:
            answers.append((type(error), str(error)))
    return answers, learner


def holds_bad(call) -> bool:
    return "bad" in str(call)


@given(calls)
def test_calls_are_answered_in_order_however_long_they_are(wanted):
    good = [call for call in wanted if not holds_bad(call)]
    answers, learner, _ = served(good, slice=0.0)
    expected, naive = one_by_one(good)
    assert answers == expected
    assert learner.labels == naive.labels


@given(calls)
def test_bad_calls_fail_alone(wanted):
    short = [(name, tuple(item[:_FIRST] if isinstance(item, list) else item for item in came)) for name, came in wanted]
    answers, learner, _ = served(short, slice=60.0)
    expected, naive = one_by_one(short)
    assert answers == expected
    assert learner.labels == naive.labels


def test_many_small_calls_are_one_run():
    wanted = [("train", ([("a", datum())],))] * 10
    answers, learner, _ = served(wanted, slice=60.0)
    assert answers == [1] * 10
    assert [len(arguments[0]) for _, arguments in learner.runs] == [10]


def test_a_bad_call_fails_alone():
    wanted = [("train", ([(label, datum())],)) for label in ("a", "bad", "b")]
    answers, learner, _ = served(wanted, slice=60.0)
    assert answers == [1, (ValueError, "a bad label"), 1]
    assert learner.labels == {"a": 1, "b": 1}


def test_a_long_call_is_cut():
    answers, learner, turns = served([("train", ([("a", datum())] * 1000,))], slice=0.0)
    assert answers == [1000]
    assert turns > 10
    assert len(learner.runs) > 10


def test_a_wrong_item_far_behind_leaves_the_model_alone():
    came = [("a", datum())] * 1000 + [("a", 1)]
    answers, learner, _ = served([("train", (came,))], slice=0.0)
    assert answers[0][0] is WrongTypeError
    assert answers[0][1].startswith("argument 1: expected a datum")
    assert learner.runs == []


def test_a_call_does_not_wait_for_ever():
    answers = []
    lane = Lane(None, lambda call, result, error: answers.append(error), 1.0, 5.0)
    call = Call("train", TRAIN, ([],), None)
    call.since -= 6
    lane.add(call)
    lane.work()
    assert isinstance(answers[0], TimeoutError)
