"""What a user's program does with the original client, in whose environment it runs: `talking.py TYPE PORT CONFIG`."""

import sys

import msgpackrpc
from jubatus.anomaly.client import Anomaly
from jubatus.classifier.client import Classifier
from jubatus.classifier.types import LabeledDatum
from jubatus.common import Datum, TypeMismatch, UnknownMethod
from jubatus.common.types import TBool, TInt
from jubatus.nearest_neighbor.client import NearestNeighbor
from jubatus.recommender.client import Recommender
from jubatus.regression.client import Regression
from jubatus.regression.types import ScoredDatum
from jubatus.stat.client import Stat
from jubatus.weight.client import Weight

COLD = Datum({"weather": "cold and snowy", "temperature": -5.0, "wind": 3})
WARM = Datum({"weather": "warm and sunny", "temperature": 25.0, "wind": 1})
MILD = Datum({"weather": "mild and sunny", "temperature": 15.0})


def pairs(results):
    return [(one.id, one.score) for one in results]


def classifier(client):
    assert client.train([LabeledDatum("winter", COLD), LabeledDatum("summer", WARM)]) == 2
    assert client.train([LabeledDatum("winter", COLD)]) == 1
    assert client.train([]) == 0
    for datum, best in ((COLD, "winter"), (WARM, "summer")):
        (scores,) = client.classify([datum])
        assert {one.label for one in scores} == {"winter", "summer"}
        assert max(scores, key=lambda one: one.score).label == best
    assert len(client.classify([COLD, WARM, MILD])) == 3
    assert client.get_labels() == {"winter": 2, "summer": 1}
    assert client.set_label("spring") is True
    assert client.set_label("spring") is False
    assert set(client.get_labels()) == {"winter", "summer", "spring"}
    assert client.delete_label("spring") is True
    assert client.delete_label("autumn") is False
    return lambda: client.get_labels() == {}, lambda: client.classify([WARM])[0], ("train", "", [["a", 1]])


def regression(client):
    for _ in range(20):
        assert client.train([ScoredDatum(-5.0, COLD), ScoredDatum(25.0, WARM)]) == 2
    cold, warm = client.estimate([COLD, WARM])
    assert abs(cold + 5) < 3 and abs(warm - 25) < 3, (cold, warm)
    return (
        lambda: client.estimate([WARM]) == [0.0],
        lambda: client.estimate([MILD]),
        ("train", "", [["a", COLD.to_msgpack()]]),
    )


def recommender(client):
    for name, datum in (("cold", COLD), ("warm", WARM), ("mild", MILD)):
        assert client.update_row(name, datum) is True
    assert sorted(client.get_all_rows()) == ["cold", "mild", "warm"]
    assert [name for name, _ in pairs(client.similar_row_from_id("warm", 2))] == ["warm", "mild"]
    assert pairs(client.similar_row_from_datum(WARM, 1))[0][0] == "warm"
    assert abs(client.similar_row_from_datum(WARM, 1)[0].score - 1) < 1e-6
    assert {name for name, _ in pairs(client.similar_row_from_id_and_score("warm", 0.9))} == {"warm", "mild"}
    assert {name for name, _ in pairs(client.similar_row_from_datum_and_score(WARM, 0.9))} == {"warm", "mild"}
    assert pairs(client.similar_row_from_id_and_rate("warm", 0.5))[0][0] == "warm"
    assert pairs(client.similar_row_from_datum_and_rate(WARM, 0.5))[0][0] == "warm"
    assert dict(client.decode_row("mild").num_values) == {"temperature": 15.0}
    assert "temperature" in dict(client.complete_row_from_id("mild").num_values)
    assert "wind" in dict(client.complete_row_from_datum(MILD).num_values)
    assert abs(client.calc_similarity(COLD, COLD) - 1) < 1e-6
    assert abs(client.calc_l2norm(Datum({"temperature": 3.0, "wind": 4.0})) - 5) < 1e-6
    assert client.clear_row("cold") is True
    assert sorted(client.get_all_rows()) == ["mild", "warm"]
    return (
        lambda: client.get_all_rows() == [],
        lambda: pairs(client.similar_row_from_datum(COLD, 2)),
        ("update_row", "", "a", 1),
    )


def nearest_neighbor(client):
    for name, datum in (("cold", COLD), ("warm", WARM), ("mild", MILD)):
        assert client.set_row(name, datum) is True
    assert sorted(client.get_all_rows()) == ["cold", "mild", "warm"]
    assert pairs(client.neighbor_row_from_id("warm", 1)) == [("warm", 0.0)]
    assert pairs(client.neighbor_row_from_datum(WARM, 1))[0][0] == "warm"
    assert pairs(client.similar_row_from_id("warm", 1))[0][0] == "warm"
    assert len(client.similar_row_from_datum(WARM, 3)) == 3
    return (
        lambda: client.get_all_rows() == [],
        lambda: pairs(client.neighbor_row_from_datum(COLD, 3)),
        ("set_row", "", 1, COLD.to_msgpack()),
    )


def anomaly(client):
    first = client.add(Datum({"x": 0.0, "y": 0.1}))
    assert first.score == float("inf")
    names = client.add_bulk([Datum({"x": 0.1 * i, "y": 0.1}) for i in range(1, 6)])
    assert len({first.id, *names}) == 6
    assert sorted(client.get_all_rows()) == sorted([first.id, *names])
    assert client.calc_score(Datum({"x": 50.0, "y": -50.0})) > client.calc_score(Datum({"x": 0.25, "y": 0.1}))
    assert isinstance(client.update(names[0], Datum({"x": 0.1})), float)
    assert isinstance(client.overwrite(names[0], Datum({"x": 0.1, "y": 0.2})), float)
    assert client.clear_row(names[1]) is True
    assert names[1] not in client.get_all_rows()
    return lambda: client.get_all_rows() == [], lambda: client.calc_score(Datum({"x": 9.0})), ("add", "", "a")


def stat(client):
    for value in (1.0, 2.0, 3.0, 6.0):
        assert client.push("x", value) is True
    assert client.push("y", -1.5) is True
    assert (client.sum("x"), client.min("x"), client.max("x")) == (12.0, 1.0, 6.0)
    assert abs(client.stddev("x") - 3.5**0.5) < 1e-9
    assert client.moment("x", 1, 0.0) == 3.0
    assert client.entropy("x") > 0
    return lambda: refused(lambda: client.sum("x")), lambda: client.sum("x"), ("push", "", "x", 1)


def weight(client):
    assert client.calc_weight(Datum({"t": "to be"})) == []
    found = {one.key: one.value for one in client.update(Datum({"t": "to be or not to be", "n": 2.5}))}
    assert found == {"n@num": 2.5}, found
    client.update(Datum({"t": "or"}))
    found = {one.key: round(one.value, 6) for one in client.calc_weight(Datum({"t": "to or"}))}
    assert found == {"t$to@space#tf/idf": 0.405465}, found
    return (
        lambda: client.calc_weight(Datum({"t": "to"})) == [],
        lambda: [(one.key, one.value) for one in client.calc_weight(Datum({"t": "be"}))],
        ("update", "", 1),
    )


def error_of(call):
    """Return the error that a call ends with: 1, 2, or a text for its user."""
    try:
        call()
    except UnknownMethod:
        return 1
    except TypeMismatch:
        return 2
    except msgpackrpc.error.RPCError as error:
        return error.args[0]
    return None


def refused(call):
    """Whether a call fails with a text for its user."""
    return isinstance(error_of(call), bytes)


def common(client, configuration, forgotten, asked, wrong):
    """What servers of all types can do."""
    assert client.get_config() == configuration
    ((node, status),) = client.get_status().items()
    assert int(status["pid"]) > 0 and status["last_saved_path"] == ""
    before = repr(asked())
    ((saved_by, path),) = client.save("model-1").items()
    assert saved_by == node and path
    assert client.get_status()[node]["last_saved_path"] == path
    assert client.clear() is True
    assert forgotten()
    assert client.load("model-1") is True
    assert repr(asked()) == before
    assert refused(lambda: client.load("another"))
    assert refused(lambda: client.save("../above"))
    assert repr(asked()) == before

    call = client.jubatus_client.call
    assert error_of(lambda: call("dummy", [], TBool(), [])) == 1
    assert error_of(client.do_mix) == 1  # one server alone does not mix
    assert error_of(lambda: call("save", [1], TBool(), [TInt(True, 4)])) == 2
    assert error_of(lambda: call("save", [], TBool(), [])) == 2
    assert error_of(lambda: client.get_client().call(*wrong)) == 2
    assert repr(asked()) == before


KINDS = {
    "classifier": (Classifier, classifier),
    "regression": (Regression, regression),
    "recommender": (Recommender, recommender),
    "nearest_neighbor": (NearestNeighbor, nearest_neighbor),
    "anomaly": (Anomaly, anomaly),
    "stat": (Stat, stat),
    "weight": (Weight, weight),
}


if __name__ == "__main__":
    kind, port, path = sys.argv[1:]
    connect, talk = KINDS[kind]
    talker = connect("127.0.0.1", int(port), "", 60)
    rest = talk(talker)
    with open(path) as file:
        common(talker, file.read(), *rest)
    print("done")
