"""Metrics of rows in batches against scikit-learn's on all rows at once."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import metrics

from hogwild import SGDClassifier, SGDRegressor
from hogwild.cli.scores import RankCurve, Scorer, check_metric, score, shown
from hogwild.cli.terminal import CommandError
from hogwild.data import make_rcv1_like

N_ROWS = 1500


def rank(scores, positive, weights, exact_rows, parts=4):
    curve = RankCurve(exact_rows)
    for part in np.array_split(np.arange(len(scores)), parts):
        curve.add(scores[part], positive[part], weights[part])
    return curve.area()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("weighted", [False, True])
def test_area_exact_and_by_bins(scale, weighted):
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.2
    scores = (rng.normal(size=20_000) + positive) * scale
    weights = rng.choice([0.0, 1.0, 3.0], 20_000) if weighted else np.ones(20_000)
    expected = metrics.roc_auc_score(positive, scores, sample_weight=weights)
    assert rank(scores, positive, weights, 1 << 21) == pytest.approx(expected, abs=1e-12)
    assert rank(scores, positive, weights, 10_000) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("exact_rows", [1 << 21, 10])
def test_area_of_ties_and_edges(exact_rows):
    n = 40
    ones, half = np.ones(n), np.arange(n) % 2 == 0
    assert rank(np.zeros(n), half, ones, exact_rows) == 0.5
    assert rank(np.where(half, 1.0, -1.0), half, ones, exact_rows) == 1
    assert rank(np.where(half, -1.0, 1.0), half, ones, exact_rows) == 0
    assert rank(np.where(half, 0.0, -0.0), half, ones, exact_rows) == 0.5
    assert rank(np.where(half, np.inf, -np.inf)[: n // 2], half[: n // 2], ones, 5) == 1
    assert rank(np.arange(n) * 1.0, np.ones(n, bool), ones, exact_rows) is None
    assert rank(np.arange(n) * 1.0, np.zeros(n, bool), ones, exact_rows) is None
    assert rank(np.arange(n) * 1.0, half, np.where(half, 0.0, 1.0), exact_rows) is None
    assert RankCurve().area() is None


def fitted(n_classes):
    X, y = make_rcv1_like(N_ROWS, 60, row_length=8, n_classes=max(2, n_classes), random_state=0)
    if not n_classes:
        y = X @ np.linspace(-1, 1, 60) + 0.1 * y
        return SGDRegressor(max_iter=3, tol=None, random_state=0).fit(X, y), X, y
    y = np.array(["a", "b", "c"])[y.astype(int) if n_classes > 2 else (y > 0).astype(int)]
    return SGDClassifier("log_loss", max_iter=3, tol=None, random_state=0).fit(X, y), X, y


def in_batches(estimator, X, y, weights, **options):
    scorer = Scorer(estimator, "rows", **options)
    for low in range(0, len(y), 400):
        part = slice(low, low + 400)
        scorer.add(X[part], y[part], None if weights is None else weights[part])
    assert scorer.rows == len(y)
    return scorer.result()


@pytest.mark.parametrize("n_classes", [0, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_are_one_call(n_classes, weighted):
    estimator, X, y = fitted(n_classes)
    weights = np.random.default_rng(1).choice([0.0, 0.5, 2.0], N_ROWS).astype(np.float32) if weighted else None
    found = in_batches(estimator, X, y, weights)
    assert found == pytest.approx(score(estimator, X, y, weights=weights), rel=1e-9)
    if n_classes:
        proba = estimator.predict_proba(X).astype(float)
        proba /= proba.sum(axis=1, keepdims=True)
        kept = slice(None) if weights is None else weights > 0
        kept_weights = None if weights is None else weights[kept]
        values = proba[kept, 1] if n_classes == 2 else proba[kept]
        expected = {
            "log_loss": metrics.log_loss(y, proba, sample_weight=weights),
            "auc": metrics.roc_auc_score(y[kept], values, multi_class="ovr", sample_weight=kept_weights)
            if n_classes == 2 or weights is None
            else found["auc"],  # scikit-learn knows no weights of several classes
            "accuracy": estimator.score(X, y, sample_weight=weights),
            "base_rate": max(np.average(y == label, weights=weights) for label in "abc"),
        }
    else:
        predicted = estimator.predict(X)
        expected = {
            "mae": metrics.mean_absolute_error(y, predicted, sample_weight=weights),
            "rmse": np.sqrt(metrics.mean_squared_error(y, predicted, sample_weight=weights)),
            "r2": estimator.score(X, y, sample_weight=weights),
        }
    assert found == pytest.approx(expected, rel=1e-5)
    for name, value in found.items():
        if name != "base_rate":
            assert in_batches(estimator, X, y, weights, only=name) == {name: pytest.approx(value)}


def test_far_from_zero():
    estimator, X, y = fitted(0)
    estimator.intercept_ = estimator.intercept_ + 1e6
    found = in_batches(estimator, X, y + 1e6, None)
    assert found["r2"] == pytest.approx(metrics.r2_score(y + 1e6, estimator.predict(X)), rel=1e-3, abs=1e-3)


def test_unknown_labels_count_as_wrong(capsys):
    estimator, X, y = fitted(2)
    strange = np.where(np.arange(N_ROWS) % 10 == 0, "z", y)
    found = in_batches(estimator, X, strange, None)
    known = strange != "z"
    assert found["log_loss"] == pytest.approx(score(estimator, X[known], y[known])["log_loss"])
    assert found["auc"] == pytest.approx(score(estimator, X[known], y[known])["auc"])
    assert found["accuracy"] == pytest.approx(np.mean(estimator.predict(X) == strange))
    assert capsys.readouterr().err.count("150 of 1,500 rows have labels that the model does not know (z)") == 1


def test_what_is_not_defined():
    estimator, X, y = fitted(2)
    nothing = score(estimator, X[:0], y[:0])
    assert nothing == {"log_loss": None, "auc": None, "accuracy": None, "base_rate": None}
    one_class = score(estimator, X[y == "a"], y[y == "a"])
    assert one_class["auc"] is None and one_class["base_rate"] == 1
    assert score(estimator, X, y, weights=np.zeros(N_ROWS))["accuracy"] is None
    svm = SGDClassifier("hinge", max_iter=1, tol=None).fit(X, y)
    assert score(svm, X, y)["log_loss"] is None and score(svm, X, y)["auc"] > 0.5
    regressor, X, y = fitted(0)
    assert score(regressor, X[:1], y[:1])["r2"] is None
    assert score(regressor, X[:0], y[:0]) == {"mae": None, "rmse": None, "r2": None}


def test_sparse_rows_of_every_layout():
    estimator, X, y = fitted(3)
    assert score(estimator, sp.csr_array(X), y) == pytest.approx(score(estimator, X, y))


def test_metric_of_the_task():
    assert check_metric(None, True) == "log_loss" and check_metric(None, False) == "rmse"
    assert check_metric("auc", True) == "auc"
    for metric, classifies in (("r2", True), ("auc", False)):
        with pytest.raises(CommandError, match="expected one of"):
            check_metric(metric, classifies)
    assert [shown(value) for value in (None, 0.0, 0.5, 1e-5, 12345.678)] == [
        "-",
        "0.00000",
        "0.50000",
        "1e-05",
        "12346",
    ]
