"""Classification and regression by similar examples, against all pairs and against scikit-learn."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_rows import similar
from sklearn.datasets import load_diabetes
from sklearn.neighbors import KNeighborsRegressor

from hogwild.online.configuration import ConfigurationError
from hogwild.online.datum import Datum
from hogwild.online.rows.classifier import SimilarityClassifier
from hogwild.online.rows.regression import SimilarityRegression

CONVERTER = {"num_rules": [{"key": "*", "type": "num"}]}
MEASURES = {"cosine": "inverted_index", "euclidean": "inverted_index_euclid", "NN": "euclid_lsh"}
ROWS = st.dictionaries(st.sampled_from("abcde"), st.floats(0.5, 9.0), min_size=1)


def configuration(method="cosine", **parameter):
    if method == "NN":
        parameter = {"method": "euclid_lsh", "parameter": {"hash_num": 64}, **parameter}
    return {"method": method, "parameter": {"nearest_neighbor_num": 3, **parameter}, "converter": CONVERTER}


def classifier(method="cosine", node="", **parameter):
    return SimilarityClassifier(configuration(method, **parameter), node)


def regression(method="cosine", node="", **parameter):
    return SimilarityRegression(configuration(method, **parameter), node)


def near(method, query, rows, count=3):
    """Places and distances of the nearest, where rounding leaves no doubt which these are."""
    named = [{f"{key}@num": value for key, value in row.items()} for row in [query, *rows]]
    found = similar(MEASURES[method], named[0], dict(enumerate(named[1:])))
    distances = [1 - score if method == "cosine" else -score for _, score in found]
    assume(len(found) <= count or distances[count] - distances[count - 1] > 1e-6)
    return [(place, distance) for (place, _), distance in zip(found[:count], distances, strict=False)]


@pytest.mark.parametrize("method", MEASURES)
@settings(max_examples=20, deadline=None)
@given(examples=st.lists(st.tuples(st.sampled_from("xyz"), ROWS), max_size=10), query=ROWS, cut=st.integers(0, 10))
def test_labels_are_weighed_by_distance(method, examples, query, cut):
    driver = classifier(method, local_sensitivity=0.3)
    for part in (examples[:cut], examples[cut:]):
        assert driver.run("train", [[(label, Datum.of(row)) for label, row in part]]) == len(part)
    assert driver.run("set_label", ["u"]) is True and driver.run("set_label", ["u"]) is False
    expected = dict.fromkeys([label for label, _ in examples] + ["u"], 0.0)
    for number, distance in near(method, query, [row for _, row in examples]):
        expected[examples[number][0]] += math.exp(-0.3 * distance)
    (found,) = driver.run("classify", [[Datum.of(query)]])
    assert dict(found) == pytest.approx(expected, abs=1e-7)
    counts = Counter(label for label, _ in examples)
    assert driver.run("get_labels", []) == {"u": 0, **counts}
    assert driver.run("delete_label", ["x"]) is ("x" in counts)
    assert "x" not in driver.run("get_labels", []) and "x" not in dict(driver.run("classify", [[Datum.of(query)]])[0])
    other = classifier(method, local_sensitivity=0.3)
    other.parts.restore(driver.parts.state())
    again, before = (dict(one.run("classify", [[Datum.of(query)]])[0]) for one in (other, driver))
    assert again == pytest.approx(before)
    assert other.run("get_labels", []) == driver.run("get_labels", [])


@pytest.mark.parametrize("weight", ["uniform", "distance"])
@pytest.mark.parametrize("method", MEASURES)
@settings(max_examples=20, deadline=None)
@given(examples=st.lists(st.tuples(st.floats(-9, 9), ROWS), max_size=10), query=ROWS)
def test_an_estimate_is_the_mean_of_near_targets(method, weight, examples, query):
    driver = regression(method, weight=weight)
    driver.run("train", [[(target, Datum.of(row)) for target, row in examples]])
    found = near(method, query, [row for _, row in examples])
    assume(all(distance > 1e-4 for _, distance in found))
    weights = [1 / distance if weight == "distance" else 1.0 for _, distance in found]
    total = sum(part * examples[place][0] for part, (place, _) in zip(weights, found, strict=True))
    expected = total / sum(weights) if found else 0.0
    assert driver.run("estimate", [[Datum.of(query)]]) == pytest.approx([expected], rel=1e-5, abs=1e-6)


def test_targets_at_no_distance_count_alone():
    driver = regression("euclidean", weight="distance")
    driver.run("train", [[(target, Datum.of({"a": value})) for target, value in ((1.0, 1.0), (3.0, 1.0), (9.0, 2.0))]])
    assert driver.run("estimate", [[Datum.of({"a": 1.0})]]) == [2.0]


@pytest.mark.parametrize("weight", ["uniform", "distance"])
def test_estimates_on_diabetes_are_those_of_scikit_learn(weight):
    X, y = load_diabetes(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    train, test = order[:350], order[350:]
    driver = regression("euclidean", nearest_neighbor_num=10, weight=weight)
    data = [Datum.of(dict(zip("abcdefghij", row.tolist(), strict=True))) for row in X]
    driver.run("train", [[(float(y[number]), data[number]) for number in train]])
    found = driver.run("estimate", [[data[number] for number in test]])
    peer = KNeighborsRegressor(10, weights=weight).fit(X[train], y[train]).predict(X[test])
    np.testing.assert_allclose(found, peer, rtol=1e-9)


def test_servers_learn_from_each_other():
    drivers = [classifier(node=node) for node in "AB"]
    drivers[0].run("train", [[("x", Datum.of({"a": 1.0}))]])
    drivers[1].run("train", [[("y", Datum.of({"b": 1.0}))]])
    mixed = drivers[0].parts.fold([driver.parts.cut() for driver in drivers])
    for driver in drivers:
        driver.parts.apply(mixed, [])
        assert driver.run("get_labels", []) == {"x": 1, "y": 1}
        assert driver.run("classify", [[Datum.of({"b": 2.0})]]) == [[("x", 0.0), ("y", 1.0)]]
    assert repr(drivers[0].parts.state()) == repr(drivers[1].parts.state())
    drivers[1].run("delete_label", ["x"])
    mixed = drivers[0].parts.fold([driver.parts.cut() for driver in drivers])
    drivers[0].parts.apply(mixed, [])
    assert drivers[0].run("get_labels", []) == {"y": 1}


@pytest.mark.parametrize("driver", [classifier(), regression()])
def test_a_call_that_fails_changes_nothing(driver):
    mark = "x" if isinstance(driver, SimilarityClassifier) else 1.0
    driver.run("train", [[(mark, Datum.of({"a": 1.0}))]])
    before = repr(driver.parts.state())
    with pytest.raises(ValueError, match="finite"):
        driver.run("train", [[(mark, Datum.of({"b": 1.0})), (mark, Datum.of({"b": math.nan}))]])
    if mark == 1.0:
        with pytest.raises(ValueError, match="a target must be finite, found nan"):
            driver.run("train", [[(1.0, Datum.of({"b": 1.0})), (math.nan, Datum.of({"b": 1.0}))]])
    assert repr(driver.parts.state()) == before
    assert driver.status().keys() >= {f"{'classifier' if mark == 'x' else 'regression'}.rows"}


def test_an_unlearner_bounds_the_examples():
    driver = regression(unlearner="lru", unlearner_parameter={"max_size": 5})
    driver.run("train", [[(float(number), Datum.of({"a": 1.0})) for number in range(20)]])
    assert driver.run("estimate", [[Datum.of({"a": 1.0})]])[0] > 14


@pytest.mark.parametrize(
    ("kind", "method", "parameter", "told"),
    [
        (SimilarityClassifier, "cosine", {}, r"`nearest_neighbor_num` - at `\$\.parameter`"),
        (SimilarityClassifier, "cosine", {"nearest_neighbor_num": 0}, r"`\$\.parameter\.nearest_neighbor_num` must be"),
        (
            SimilarityClassifier,
            "euclidean",
            {"nearest_neighbor_num": 1, "local_sensitivity": -1},
            r"`\$\.parameter\.local_sensitivity` must be at least 0",
        ),
        (SimilarityRegression, "cosine", {"nearest_neighbor_num": 0}, r"`\$\.parameter\.nearest_neighbor_num` must be"),
        (SimilarityRegression, "cosine", {"nearest_neighbor_num": 1, "weight": "heavy"}, r"\$\.parameter\.weight"),
        (
            SimilarityRegression,
            "NN",
            {"nearest_neighbor_num": 1, "method": "lsh", "parameter": {"hash_num": 0}},
            r"`\$\.parameter\.parameter\.hash_num` must be at least 1, found 0",
        ),
    ],
)
def test_a_configuration_that_cannot_be_is_told_of(kind, method, parameter, told):
    with pytest.raises(ConfigurationError, match=told):
        kind({"method": method, "parameter": parameter, "converter": CONVERTER}, "")
