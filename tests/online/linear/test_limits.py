"""Memory: features and labels that are forgotten, the least recent first, however a stream is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.online.configuration import ConfigurationError
from hogwild.online.datum import Datum
from hogwild.online.driver import make_driver
from hogwild.online.linear.classifier import Classifier
from hogwild.online.linear.regression import Regression
from hogwild.online.state import unpacked_texts

NUMBERS = {"num_rules": [{"key": "*", "type": "num"}]}


def make(kind=Classifier, method="AROW", **parameter):
    return kind({"method": method, "parameter": {"regularization_weight": 1.0, **parameter}, "converter": NUMBERS})


def names(driver):
    arrays = driver.parts.state()["model"].arrays
    return {name.removesuffix("@num") for name in unpacked_texts(arrays["letters"], arrays["offsets"])}


def learn(driver, *examples):
    driver.run("train", [[(target, Datum.of(example)) for target, example in examples]])


def test_features_seen_longest_ago_are_forgotten():
    classifier = make(max_features=3)
    learn(classifier, ("u", {"a": 1.0}), ("v", {"b": 1.0}), ("u", {"c": 1.0}), ("v", {"a": 2.0}))
    assert names(classifier) == {"a", "b", "c"}
    learn(classifier, ("u", {"d": 1.0}))
    assert names(classifier) == {"a", "c", "d"}
    learn(classifier, ("v", {"b": 3.0}))  # anew, in a slot that was another's
    assert names(classifier) == {"a", "b", "d"} and classifier.status()["classifier.features"] == "3"


def test_a_tenth_goes_at_once():
    regression = make(Regression, max_features=100)
    learn(regression, *((1.0, {f"f{i}": 1.0}) for i in range(101)))
    assert names(regression) == {f"f{i}" for i in range(11, 101)}


features = st.dictionaries(st.sampled_from("abcdefghij"), st.sampled_from([-1.0, 0.5, 2.0]), max_size=4)
streams = st.lists(st.tuples(st.sampled_from("uvwx"), features), min_size=1, max_size=30)
LIMITS = [
    {"max_features": 4},
    {"unlearner": "lru", "unlearner_parameter": {"max_size": 2}},
    {"unlearner": "random", "unlearner_parameter": {"max_size": 2}, "max_features": 5},
]


@pytest.mark.parametrize("limits", LIMITS)
@settings(deadline=None, max_examples=80)
@given(stream=streams, cuts=st.lists(st.integers(0, 30), max_size=3), rest=st.integers(0, 30))
def test_limits_do_not_depend_on_how_a_stream_is_cut(limits, stream, cuts, rest):
    whole, cut = make(**limits), make(**limits)
    learn(whole, *stream)
    bounds = [0, *sorted(place % (len(stream) + 1) for place in cuts), len(stream)]
    for low, high in pairwise(bounds):
        learn(cut, *stream[low:high])
        if low <= rest < high:  # and rested in a file
            state = cut.parts.state()
            cut = make(**limits)
            cut.parts.restore(state)
    first, second = (driver.parts.state()["model"] for driver in (whole, cut))
    assert first.about == second.about
    assert {k: v.tobytes() for k, v in first.arrays.items()} == {k: v.tobytes() for k, v in second.arrays.items()}
    assert len(names(whole)) <= limits.get("max_features", 99)
    assert len(whole.run("get_labels", [])) <= limits.get("unlearner_parameter", {}).get("max_size", 99)


def test_the_label_learnt_longest_ago_goes():
    classifier = make(unlearner="lru", unlearner_parameter={"max_size": 2})
    learn(classifier, ("u", {"a": 1.0}), ("v", {"a": -1.0}), ("u", {"a": 1.0}))
    classifier.run("set_label", ["w"])
    assert classifier.run("get_labels", []) == {"u": 2, "w": 0}
    [scores] = classifier.run("classify", [[Datum.of({"a": 1.0})]])
    assert dict(scores)["w"] == 0 < dict(scores)["u"]


def test_any_number_of_labels_may_be_set():
    classifier = make()
    assert all(classifier.run("set_label", [str(i)]) for i in range(40))
    learn(classifier, ("39", {"a": 1.0}))
    assert len(classifier.run("classify", [[Datum.of({"a": 1.0})]])[0]) == 40


def test_the_order_of_labels_outlasts_a_rest():
    classifier, other = (make(unlearner="lru", unlearner_parameter={"max_size": 2}) for _ in range(2))
    learn(classifier, ("v", {"a": 1.0}), ("u", {"a": -1.0}))
    other.parts.restore(classifier.parts.state())
    learn(other, ("w", {"a": 1.0}))
    assert other.run("get_labels", []) == {"u": 1, "w": 1}


def test_a_state_that_does_not_fit_changes_nothing():
    classifier = make()
    learn(classifier, ("u", {"a": 1.0}))
    before = repr(classifier.parts.state())
    with pytest.raises(ValueError, match="found a model of CW, expected one of AROW"):
        classifier.parts.restore(make(method="CW").parts.state())
    broken = classifier.parts.state()
    broken["model"].arrays["columns"] = np.array([5], np.uint32)
    with pytest.raises(ValueError, match="do not fit"):
        classifier.parts.restore(broken)
    del broken["model"].arrays["weights"]
    with pytest.raises(ValueError, match="needs 'weights'"):
        classifier.parts.restore(broken)
    assert repr(classifier.parts.state()) == before


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({}, r"`\$.parameter` of AROW needs regularization_weight"),
        ({"regularization_weight": 0}, r"`\$.parameter.regularization_weight` must be a number above 0, found 0"),
        ({"regularization_weight": "x"}, r"\$.parameter.regularization_weight"),
        ({"regularization_weight": 1, "max_features": 0}, r"`\$.parameter.max_features` must be a whole number"),
        ({"regularization_weight": 1, "unlearner": "fifo"}, r"\$.parameter.unlearner"),
        ({"regularization_weight": 1, "unlearner": "lru"}, "max_size"),
    ],
)
def test_errors_name_the_place(parameter, message):
    with pytest.raises(ConfigurationError, match=message):
        make_driver("classifier", {"method": "AROW", "parameter": parameter})
    with pytest.raises(ConfigurationError, match=r"`\$.method` of a regression must be one of perceptron, .*found 'X'"):
        make_driver("regression", {"method": "X"})
