"""Mixing of linear models against tables of Python dicts, and what must hold whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_online import NaiveClassifier

from hogwild.cluster.mix.mixers import Mean, Minimum, Sum, Tables
from hogwild.online.datum import Datum
from hogwild.online.linear.classifier import Classifier
from hogwild.online.linear.regression import Regression
from hogwild.online.state import unpacked_texts

NUMBERS = {"num_rules": [{"key": "*", "type": "num"}]}
LABELS = ["u", "v", "w"]


def make(method="AROW", weights="changed", covariance="minimum", **parameter):
    mixing = {"weights": weights, "covariance": covariance}
    parameter = {"regularization_weight": 1.0, **parameter}
    return Classifier({"method": method, "parameter": parameter, "converter": NUMBERS, "mixing": mixing})


def train(classifier, label, example):
    classifier.run("train", [[(label, Datum.of(example))]])


def state(classifier):
    """All bytes of a model at rest."""
    return {
        name: (part.about, {key: array.tobytes() for key, array in part.arrays.items()})
        for name, part in classifier.parts.state().items()
    }


def tables(classifier):
    """Weights, variances and labels of the model as it is now, by name."""
    arrays = classifier.parts.state()["model"].arrays
    names = unpacked_texts(arrays["letters"], arrays["offsets"])
    labels = unpacked_texts(arrays["label_letters"], arrays["label_offsets"])
    features = np.repeat(np.arange(len(names)), np.diff(arrays["indptr"])).tolist()
    keys = [(labels[c], names[f].removesuffix("@num")) for f, c in zip(features, arrays["columns"], strict=True)]
    weights = dict(zip(keys, arrays["weights"].tolist(), strict=True))
    variances = dict(zip(keys, arrays.get("covariance", np.ones(len(keys))).tolist(), strict=True))
    counts = dict(zip(labels, arrays["learnt"].tolist(), strict=True))
    return weights, variances, counts


class Noted(dict):
    """A dict that knows what was written."""

    def __init__(self, items):
        super().__init__(items)
        self.written = set()

    def __setitem__(self, key, value):
        self.written.add(key)
        super().__setitem__(key, value)


class Twin:
    """A classifier on tables."""

    def __init__(self, method, over):
        self.method = method
        self.tables = Tables({"weights": Mean(over), "variances": Minimum(), "labels": Sum()})

    def train(self, label, example):
        naive, view = NaiveClassifier(self.method), self.tables.view
        naive.w, naive.sigma = Noted(view["weights"]), Noted(view["variances"])
        naive.labels = dict(view["labels"])
        example = {name: value for name, value in example.items() if value}
        if self.method != "perceptron":  # whose sums are exact
            scores = naive.scores(example)
            others = [score for other, score in scores.items() if other != label]
            margin = scores.get(label, 0.0) - max(others, default=0.0)
            assume(abs(margin - 1) > 1e-9)  # where the last bit decides whether there is a step, which counts as one
        naive.train(label, example)
        for key in naive.w.written:
            self.tables.change("weights", key, naive.w[key] - view["weights"].get(key, 0.0))
        for key in naive.sigma.written:
            self.tables.change("variances", key, naive.sigma[key])
        self.tables.change("labels", label, 1)


def mixed_round(models, pending, included, absent):
    """One round: who is in hands over its diff, who is absent hears nothing and fetches the model later."""
    for model, cuts in zip(models, pending, strict=True):
        if model not in absent:
            cuts.append(model.cut())
    sources = [i for i, model in enumerate(models) if model in included]
    if not sources:
        return
    mixed = models[sources[0]].fold([models[i].join(pending[i]) for i in sources])
    for i in sources:
        pending[i].clear()
    takers = [model for model in models if model not in absent]
    for model, cuts in zip(models, pending, strict=True):
        if model in takers:
            model.apply(mixed, cuts)
    for model, cuts in zip(models, pending, strict=True):
        if model not in takers:
            model.load(takers[0].full(), cuts)


def close(found, expected, default):
    for key in found.keys() | expected.keys():
        assert found.get(key, default) == pytest.approx(expected.get(key, default), rel=1e-6, abs=1e-7), key


examples = st.dictionaries(st.sampled_from("abcde"), st.integers(-8, 8).map(lambda x: x / 4), max_size=4)
learning = st.tuples(st.just("train"), st.integers(0, 2), st.sampled_from(LABELS), examples)
rounds = st.tuples(st.just("round"), st.lists(st.sampled_from(["in", "in", "out", "absent"]), min_size=3, max_size=3))


@pytest.mark.parametrize("over", ["changed", "updates", "all"])
@pytest.mark.parametrize("method", ["perceptron", "PA1", "AROW"])
@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.one_of(learning, learning, rounds), max_size=25))
def test_models_mix_as_tables(method, over, steps):
    models, twins = [make(method, over) for _ in range(3)], [Twin(method, over) for _ in range(3)]
    for model in models:
        model.parts.full()  # changes are counted from here on
    pending, pending_twins = [[], [], []], [[], [], []]
    for step in [*steps, ("round", ["in"] * 3), ("round", ["in"] * 3)]:
        if step[0] == "train":
            _, place, label, example = step
            train(models[place], label, example)
            twins[place].train(label, example)
        else:
            parts, twin_tables = [model.parts for model in models], [twin.tables for twin in twins]
            roles = step[1] if "in" in step[1] else ["in", *step[1][1:]]
            for group, cuts in ((parts, pending), (twin_tables, pending_twins)):
                chosen = [[m for m, r in zip(group, roles, strict=True) if r == role] for role in ("in", "absent")]
                mixed_round(group, cuts, *chosen)
        for model, twin in zip(models, twins, strict=True):
            weights, variances, labels = tables(model)
            close(weights, twin.tables.view["weights"], 0.0)
            if method == "AROW":
                close(variances, twin.tables.view["variances"], 1.0)
            assert labels == twin.tables.view["labels"]
    assert state(models[0]) == state(models[1]) == state(models[2])
    fulls = [{k: np.asarray(v).tobytes() for k, v in model.parts.full()["model"].items()} for model in models]
    assert fulls[0] == fulls[1] == fulls[2]


anything = st.one_of(
    learning,
    learning,
    rounds,
    st.tuples(st.sampled_from(["set_label", "delete_label"]), st.integers(0, 2), st.sampled_from(LABELS)),
    st.tuples(st.just("restore"), st.integers(0, 2)),
)
LIMITS = [{}, {"max_features": 3}, {"unlearner": "lru", "unlearner_parameter": {"max_size": 2}}]


@pytest.mark.parametrize("limits", LIMITS, ids=["unlimited", "features", "labels"])
@pytest.mark.parametrize("covariance", ["minimum", "mean", "sum"])
@settings(deadline=None, max_examples=60)
@given(steps=st.lists(anything, max_size=25))
def test_models_are_equal_after_a_quiet_round(covariance, limits, steps):
    models = [make(covariance=covariance, **limits) for _ in range(3)]
    for model in models:
        model.parts.full()
    pending = [[], [], []]
    for step in [*steps, ("round", ["in"] * 3), ("round", ["in"] * 3)]:
        kind, place = step[0], step[1]
        if kind == "train":
            train(models[place], *step[2:])
        elif kind == "round":
            parts = [model.parts for model in models]
            roles = place if "in" in place else ["in", *place[1:]]
            chosen = [[m for m, r in zip(parts, roles, strict=True) if r == role] for role in ("in", "absent")]
            mixed_round(parts, pending, *chosen)
        elif kind == "restore":  # a whole group starts from one file
            whole = models[place].parts.state()
            for model, cuts in zip(models, pending, strict=True):
                model.parts.restore(whole)
                cuts.clear()
        else:
            models[place].run(kind, [step[2]])
        for model in models:
            weights, variances, _ = tables(model)
            assert np.isfinite(list(weights.values())).all() and all(0 < s <= 1 for s in variances.values())
    assert state(models[0]) == state(models[1]) == state(models[2])
    if "max_features" in limits:
        assert int(models[0].status()["classifier.features"]) <= 3
    if "unlearner" in limits:
        assert len(models[0].run("get_labels", [])) <= 2


def test_a_deleted_label_goes_everywhere_and_may_come_back():
    models = [make(), make()]
    for model in models:
        train(model, "u", {"a": 1.0})
        train(model, "v", {"a": -1.0})
    parts = [model.parts for model in models]
    mixed_round(parts, [[], []], parts, [])
    models[0].run("delete_label", ["u"])
    train(models[1], "u", {"a": 1.0})  # not knowing
    mixed_round(parts, [[], []], parts, [])
    assert [model.run("get_labels", []) for model in models] == [{"v": 2}, {"v": 2}]
    train(models[1], "u", {"b": 1.0})
    mixed_round(parts, [[], []], parts, [])
    assert models[0].run("get_labels", []) == {"v": 2, "u": 1}
    assert ("u", "a") not in tables(models[0])[0] and state(models[0]) == state(models[1])


def test_the_means_of_the_original_dilute():
    """What one server of two has learnt is halved with ``all``, and whole with ``changed``."""
    for over, share in (("all", 0.5), ("changed", 1.0)):
        models = [make("PA", over), make("PA", over)]
        train(models[0], "u", {"a": 1.0})
        weight = tables(models[0])[0]["u", "a"]
        parts = [model.parts for model in models]
        mixed_round(parts, [[], []], parts, [])
        assert tables(models[1])[0]["u", "a"] == pytest.approx(share * weight)


@pytest.mark.parametrize("covariance", ["minimum", "mean", "sum"])
def test_variances_mix_by_their_rule(covariance):
    models = [make(covariance=covariance) for _ in range(3)]
    train(models[0], "u", {"a": 1.0})
    train(models[1], "u", {"a": 2.0})
    first, second = (tables(model)[1]["u", "a"] for model in models[:2])
    parts = [model.parts for model in models]
    mixed_round(parts, [[], [], []], parts, [])
    more = 1 / first - 1 + 1 / second - 1  # than the inverse of 1, where both began
    expected = {"minimum": min(first, second), "mean": 1 / (1 + more / 2), "sum": 1 / (1 + more)}[covariance]
    assert tables(models[2])[1]["u", "a"] == pytest.approx(expected)


def test_limits_hold_on_a_server_that_only_listens():
    models = [make(max_features=5) for _ in range(2)]
    parts, pending = [model.parts for model in models], [[], []]
    for step in range(20):
        train(models[0], "u" if step % 2 else "v", {f"f{step}": 1.0})
        mixed_round(parts, pending, parts, [])
    assert state(models[0]) == state(models[1])
    assert all(int(model.status()["classifier.features"]) <= 5 for model in models)


def test_a_server_alone_has_no_master_part():
    model = make()
    train(model, "u", {"a": 1.0})
    alone = int(model.status()["classifier.bytes"])
    model.parts.cut()
    assert int(model.status()["classifier.bytes"]) > 2 * alone


def test_mixing_must_begin_before_a_restored_model_learns():
    model, other = make(), make()
    train(model, "u", {"a": 1.0})
    other.parts.restore(model.parts.state())
    train(other, "u", {"b": 1.0})
    with pytest.raises(RuntimeError, match="between a model's loading"):
        other.parts.cut()


def test_regressions_mix_with_their_targets():
    configuration = {"method": "PA", "parameter": {"sensitivity": 0.5}, "converter": NUMBERS}
    models, rng, targets = [Regression(configuration) for _ in range(2)], np.random.default_rng(0), []
    parts, pending = [model.parts for model in models], [[], []]
    for step in range(40):
        target = float(rng.normal(100, 2))
        targets.append(target)
        models[step % 2].run("train", [[(target, Datum.of({"a": float(rng.normal()), "b": 1.0}))]])
        if step % 7 == 0:
            mixed_round(parts, pending, [parts[step % 2]], [])
    mixed_round(parts, pending, parts, [])
    mixed_round(parts, pending, parts, [])
    assert state(models[0]) == state(models[1])
    count, mean, squares = models[0].parts.state()["targets"].arrays["targets"]
    assert (count, mean) == (40, pytest.approx(np.mean(targets)))
    assert squares / count == pytest.approx(np.var(targets))
