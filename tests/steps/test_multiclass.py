"""Columns that learn together (Crammer-Singer, multinomial) against slow twins, and against SciPy's optimum."""

from __future__ import annotations

import naive
import naive_multiclass
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from hogwild import SGDClassifier
from hogwild.engine import Replicas, Simulated

RATES = ["constant", "optimal", "invscaling", "adagrad", "ftrl", "pa1", "pa2"]
KINDS = [("crammer_singer", "hinge"), ("crammer_singer", "squared_hinge"), ("multinomial", "log_loss")]


def problem(n_classes: int = 4, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((n, 12)) < 0.5, rng.normal(size=(n, 12)), 0.0)
    X *= 0.7 / np.maximum(np.linalg.norm(X, axis=1), 0.1)[:, None]
    X = X.astype(np.float32).astype(np.float64)
    X[0] = 0.0  # a row without entries
    X[0, 0] = 0.5
    y = (X @ rng.normal(size=(12, n_classes)) + 0.1 * rng.normal(size=(n, n_classes))).argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    return X, y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("multi_class", "loss"), KINDS)
@pytest.mark.parametrize("rate", RATES)
def test_fit_is_its_twins(rate, multi_class, loss, sparse, dtype):
    if rate in ("pa1", "pa2") and loss != "hinge":
        pytest.skip("passive-aggressive steps are the hinge's")
    if rate == "optimal" and loss == "squared_hinge":
        pytest.skip("the first steps are so long that rounding errors grow")
    X, y = problem()
    weights = np.random.default_rng(1).choice([0.0, 0.5, 1.0], size=len(X))
    eta0 = 0.25 if rate in ("adagrad", "ftrl") else 0.125
    chosen = {"loss": loss, "alpha": 0.01, "learning_rate": rate, "eta0": eta0, "power_t": 0.3, "beta": 0.5}
    class_weight = {0: 0.5, 1: 1.25, 2: 1.0, 3: 0.75}
    ours = SGDClassifier(
        **chosen, multi_class=multi_class, class_weight=class_weight, max_iter=3, tol=None, shuffle=False
    )
    rows = sp.csr_matrix(X.astype(dtype)) if sparse else X.astype(dtype)
    ours.fit(rows, y, sample_weight=weights)
    coef, intercept, curve = naive_multiclass.fit(
        X,
        y,
        naive.Settings(**chosen),
        multi_class,
        n_epochs=3,
        class_weights=np.array(list(class_weight.values())),
        row_weights=weights,
        sparse=sparse,
    )
    tolerance = 1e-9 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(ours.coef_, coef, atol=tolerance * np.abs(coef).max())
    np.testing.assert_allclose(ours.intercept_, intercept, atol=tolerance * max(1.0, np.abs(intercept).max()))
    np.testing.assert_allclose(ours.loss_curve_, curve, rtol=tolerance)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 9), st.integers(0, 10_000), st.sampled_from(KINDS), st.booleans())
def test_any_number_of_classes_is_its_twin(n_classes, seed, kind, intercept):
    X, y = problem(n_classes, 60, seed)
    chosen = {"loss": kind[1], "learning_rate": "constant", "eta0": 0.1, "fit_intercept": intercept}
    ours = SGDClassifier(**chosen, multi_class=kind[0], max_iter=2, tol=None, shuffle=False).fit(X, y)
    coef, bias, curve = naive_multiclass.fit(X, y, naive.Settings(**chosen), kind[0], n_epochs=2)
    np.testing.assert_allclose(ours.coef_, coef, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, bias, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.loss_curve_, curve, rtol=1e-9)


def objective(flat: np.ndarray, X, y, multi_class: str, loss: str, alpha: float) -> tuple[float, np.ndarray]:
    w = flat.reshape(-1, X.shape[1])
    found = [naive_multiclass.loss_and_slopes(w @ x, c, multi_class, loss) for x, c in zip(X, y, strict=True)]
    gradient = np.mean([np.outer(slopes, x) for (_, slopes), x in zip(found, X, strict=True)], axis=0)
    value = np.mean([loss for loss, _ in found]) + alpha / 2 * flat @ flat
    return value, (gradient + alpha * w).ravel()


@pytest.mark.parametrize(("multi_class", "loss"), KINDS)
@pytest.mark.parametrize("engine", ["sequential", Replicas(interval=64), Simulated(8, interval=32)])
def test_objective_comes_near_the_optimum(multi_class, loss, engine):
    X, y = problem(5, 1_000, 3)
    best = minimize(objective, np.zeros(5 * 12), (X, y, multi_class, loss, 1e-2), jac=True, method="L-BFGS-B").fun
    threads = 1 if engine == "sequential" else 2
    ours = SGDClassifier(loss, multi_class=multi_class, alpha=1e-2, max_iter=60, tol=None, random_state=0)
    ours.set_params(fit_intercept=False, engine=engine, n_jobs=threads).fit(X, y)
    found = objective(ours.coef_.ravel().astype(float), X, y, multi_class, loss, 1e-2)[0]
    assert best - 1e-6 < found < best * 1.01


def test_multinomial_probabilities_are_those_of_logistic_regression():
    X, y = make_classification(600, 8, n_informative=6, n_classes=4, random_state=0)
    X = X / np.linalg.norm(X, axis=1).mean()
    alpha = 1e-2
    ours = SGDClassifier(
        "log_loss", multi_class="multinomial", alpha=alpha, max_iter=200, tol=None, average=60_000, random_state=0
    )
    ours.fit(X, y)
    peer = LogisticRegression(C=1 / (alpha * len(y)), tol=1e-9, max_iter=2_000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=0.02)
    assert (ours.predict(X) == peer.predict(X)).mean() > 0.97
    theirs = ours.to_sklearn()
    assert isinstance(theirs, LogisticRegression)
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(np.exp(ours.predict_log_proba(X)), ours.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize(("multi_class", "loss"), KINDS)
def test_two_classes_are_one_column_in_any_case(multi_class, loss):
    X, y = problem(2)
    common = {"max_iter": 3, "tol": None, "random_state": 0}
    together = SGDClassifier(loss, multi_class=multi_class, **common).fit(X, y)
    np.testing.assert_array_equal(together.coef_, SGDClassifier(loss, **common).fit(X, y).coef_)


def test_choices_that_do_not_go_together_are_refused():
    X, y = problem()
    with pytest.raises(ValueError, match="multi_class='multinomial' needs loss='log_loss', found 'hinge'"):
        SGDClassifier(multi_class="multinomial").fit(X, y)
    with pytest.raises(ValueError, match=r"needs a loss of a margin \(hinge.*found 'huber'"):
        SGDClassifier("huber", multi_class="crammer_singer").fit(X, y)
    assert not hasattr(SGDClassifier("log_loss", multi_class="crammer_singer").fit(X, y), "predict_proba")
