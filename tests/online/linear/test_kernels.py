"""The compiled learners against slow twins, on random streams, however they are cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_online import NaiveClassifier, NaiveRegression

from hogwild.online.datum import Datum
from hogwild.online.linear.classifier import Classifier
from hogwild.online.linear.classifier_kernel import METHODS
from hogwild.online.linear.regression import Regression

NUMBERS = {"num_rules": [{"key": "*", "type": "num"}]}
numbers = st.floats(-4, 4).filter(lambda x: x == 0 or abs(x) > 1e-3)
examples = st.dictionaries(st.sampled_from("abcdefg"), numbers, max_size=5)
weights = st.sampled_from([0.125, 1.0, 3.0])


def configuration(method, **parameter):
    return {"method": method, "parameter": parameter, "converter": NUMBERS}


def kept(example):
    return {name: value for name, value in example.items() if value}


def pieces(items, cuts):
    bounds = [0, *sorted(cut % (len(items) + 1) for cut in cuts), len(items)]
    return [items[low:high] for low, high in itertools.pairwise(bounds)]


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=60)
@given(
    stream=st.lists(st.tuples(st.sampled_from(["u", "v", "w", "ü"]), examples), min_size=1, max_size=25),
    probe=examples,
    C=weights,
    cuts=st.lists(st.integers(0, 30), max_size=3),
)
def test_classifiers_learn_as_their_twins(method, stream, probe, C, cuts):
    classifier, naive = Classifier(configuration(method, regularization_weight=C)), NaiveClassifier(method, C)
    for piece in pieces(stream, cuts):
        classifier.run("train", [[(label, Datum.of(example)) for label, example in piece]])
    for label, example in stream:
        naive.train(label, kept(example))
    [scores] = classifier.run("classify", [[Datum.of(probe)]])
    expected = naive.scores(probe)
    assert [label for label, _ in scores] == sorted(expected)
    assert [score for _, score in scores] == pytest.approx([expected[label] for label in sorted(expected)], abs=1e-6)
    assert classifier.run("get_labels", []) == naive.labels


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=60)
@given(
    stream=st.lists(st.tuples(st.floats(-5, 5), examples), min_size=1, max_size=25),
    probe=examples,
    C=weights,
    sensitivity=st.sampled_from([0.0, 0.1, 1.0]),
    cuts=st.lists(st.integers(0, 30), max_size=3),
)
def test_regressions_learn_as_their_twins(method, stream, probe, C, sensitivity, cuts):
    parameter = {"regularization_weight": C, "sensitivity": sensitivity, "learning_rate": 0.05}
    regression = Regression(configuration(method, **parameter))
    C = float("inf") if method == "PA2" else C  # the original's is PA
    naive = NaiveRegression(method, C, sensitivity, 0.05)
    for piece in pieces(stream, cuts):
        regression.run("train", [[(target, Datum.of(example)) for target, example in piece]])
    for target, example in stream:
        naive.train(target, kept(example))
    [estimate] = regression.run("estimate", [[Datum.of(probe)]])
    assert estimate == pytest.approx(naive.estimate(probe), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_absurd_values_leave_numbers(method):
    rng = np.random.default_rng(0)
    values = [0.0, 1.0, -3.0, 1e-300, 1e-160, 1e150, -1e300, 1.7e308]
    classifier = Classifier(configuration(method, regularization_weight=1.0))
    regression = Regression(configuration(method))
    for _ in range(300):
        datum = Datum.of({key: float(rng.choice(values)) for key in "abc"})
        classifier.run("train", [[(str(rng.integers(3)), datum)]])
        regression.run("train", [[(float(rng.normal()), datum)]])
    one = Datum.of(dict.fromkeys("abc", 1.0))
    assert np.isfinite([score for _, score in classifier.run("classify", [[one]])[0]]).all()
    assert np.isfinite(regression.run("estimate", [[one]])).all()


def test_a_refused_target_changes_nothing():
    regression = Regression(configuration("PA"))
    regression.run("train", [[(1.0, Datum.of({"a": 1.0}))]])
    before = repr(regression.parts.state())
    with pytest.raises(ValueError, match="target 2 must be within"):
        regression.run("train", [[(1.0, Datum.of({"b": 1.0})), (float("nan"), Datum.of({"a": 1.0}))]])
    assert repr(regression.parts.state()) == before and regression.run("estimate", [[Datum.of({"b": 1.0})]]) == [0.0]


def test_labels_are_added_and_deleted():
    classifier = Classifier(configuration("AROW", regularization_weight=1.0))
    assert classifier.run("set_label", ["a"]) and not classifier.run("set_label", ["a"])
    assert classifier.run("get_labels", []) == {"a": 0}
    classifier.run("train", [[("b", Datum.of({"x": 1.0}))]])
    [scores] = classifier.run("classify", [[Datum.of({"x": 1.0})]])
    assert dict(scores)["b"] > 0 > dict(scores)["a"]
    assert classifier.run("delete_label", ["a"]) and not classifier.run("delete_label", ["a"])
    assert classifier.run("get_labels", []) == {"b": 1}
    classifier.run("set_label", ["c"])  # takes the column, not the weights
    [scores] = classifier.run("classify", [[Datum.of({"x": 1.0})]])
    assert dict(scores)["c"] == 0
