"""Losses of the user's own, and those that only regression has."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import GridSearchCV

import hogwild
from hogwild import SGDClassifier, SGDRegressor, compiled
from hogwild.data import make_rcv1_like

EXACT = {"max_iter": 3, "tol": None, "random_state": 0}


def hinge(y, p):
    return max(0.0, 1.0 - y * p)


def hinge_slope(y, p):
    return -y if y * p <= 1.0 else 0.0


def cauchy(y, p):
    return 0.5 * math.log1p((y - p) ** 2)


def cauchy_slope(y, p):
    return (p - y) / (1.0 + (y - p) ** 2)


def words(y, p):
    return "none"


def opened(y, p):
    return open(p)


@pytest.mark.parametrize("rate", ["optimal", "adagrad", "ftrl"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_own_hinge_is_the_hinge(rate, n_classes):
    X, y = make_rcv1_like(2_000, 200, random_state=0)
    y = y if n_classes == 2 else np.arange(2_000) % 3
    chosen = {"learning_rate": rate, "eta0": 0.1, **EXACT}
    own = SGDClassifier((hinge, hinge_slope), **chosen).fit(X, y)
    table = SGDClassifier("hinge", **chosen).fit(X, y)
    np.testing.assert_allclose(own.coef_, table.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(own.loss_curve_, table.loss_curve_, rtol=1e-6)


def test_own_loss_runs_on_threads_and_in_searches_and_copies():
    X, y = make_rcv1_like(4_000, 200, random_state=0)
    clf = SGDClassifier((hinge, hinge_slope), n_jobs=2, max_iter=10, tol=None, random_state=0)
    assert clf.fit(X, y).n_threads_ == 2
    assert clf.score(X, y) > 0.8
    assert clone(clf).loss == clf.loss
    assert (pickle.loads(pickle.dumps(clf)).partial_fit(X, y).predict(X) == y).mean() > 0.8
    search = GridSearchCV(SGDClassifier((hinge, hinge_slope), **EXACT), {"alpha": [1e-5, 1e-3]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.6


def test_own_robust_loss_ignores_outliers():
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(2_000, 5)), np.arange(1.0, 6.0)
    y = X @ w
    y[:200] = 1_000.0
    own = SGDRegressor((cauchy, cauchy_slope), eta0=0.1, max_iter=20, tol=None, random_state=0).fit(X, y)
    np.testing.assert_allclose(own.coef_, w, atol=0.1)


def test_compiled_code_of_own_losses_is_not_kept_on_disk(monkeypatch):
    X, y = make_rcv1_like(300, 50, random_state=0)
    asked, path_of = [], compiled._KernelCache._path
    spy = lambda self, signature, codegen: asked.append(str(signature)) or path_of(self, signature, codegen)  # noqa: E731
    monkeypatch.setattr(compiled._KernelCache, "_path", spy)
    scale = 2.0
    SGDClassifier((lambda y, p: scale * max(0.0, 1 - y * p), hinge_slope), **EXACT).fit(X[:, :40], y)
    assert not [signature for signature in asked if "CPUDispatcher(" in signature]


def test_saved_by_name_it_predicts_and_waits_for_its_functions(tmp_path):
    X, y = make_rcv1_like(500, 50, random_state=0)
    clf = SGDClassifier((hinge, hinge_slope), **EXACT).fit(X, y)
    for turn in range(2):  # a loaded model can be saved again
        hogwild.save(clf, tmp_path / "model")
        loaded = hogwild.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
        assert loaded.loss == f"{__name__}.hinge", turn
        with pytest.raises(ValueError, match=rf"loss of its user's, {__name__}\.hinge.*set_params"):
            loaded.partial_fit(X, y)
        clf = loaded
    loaded.set_params(loss=(hinge, hinge_slope)).partial_fit(X, y)
    expected = SGDClassifier((hinge, hinge_slope), **EXACT).fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(loaded.coef_, expected.coef_)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ((hinge,), "expected a name or two functions"),
        ((hinge, 3), "expected a name or two functions"),
        ((words, hinge_slope), r"value .*words returned 'none', expected a number"),
        ((hinge, opened), r"derivative .*opened cannot be compiled \(Untyped global name 'open'.*f\(y, p\)"),
    ],
)
def test_what_is_no_loss_is_refused(loss, message):
    X, y = make_rcv1_like(300, 50, random_state=0)
    with pytest.raises(ValueError, match=message):
        SGDClassifier(loss, **EXACT).fit(X, y)


def test_own_loss_has_no_passive_aggressive_steps_and_no_peer():
    X, y = make_rcv1_like(300, 50, random_state=0)
    with pytest.raises(ValueError, match="'pa1' is not defined for a loss of your own"):
        SGDClassifier((hinge, hinge_slope), learning_rate="pa1").fit(X, y)
    with pytest.raises(ValueError, match="scikit-learn's SGDClassifier has no loss"):
        SGDClassifier((hinge, hinge_slope), **EXACT).fit(X, y).to_sklearn()
    assert not hasattr(SGDClassifier((hinge, hinge_slope)), "predict_proba")


def test_quantiles_split_the_targets():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4_000, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.exponential(size=4_000)
    for q in (0.1, 0.5, 0.9):
        reg = SGDRegressor("quantile", quantile=q, alpha=0, eta0=0.1, power_t=0.5, max_iter=30, tol=None)
        assert (reg.set_params(random_state=0).fit(X, y).predict(X) >= y).mean() == pytest.approx(q, abs=0.03)


def test_poisson_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5_000, 4)) / 2
    y = rng.poisson(np.exp(X @ [0.5, -1.0, 0.3, 0.0] + 1.0))
    peer = PoissonRegressor(alpha=1e-3, tol=1e-8).fit(X, y)
    ours = SGDRegressor("poisson", alpha=1e-3, eta0=0.02, average=5_000, max_iter=20, tol=None, random_state=0)
    ours.fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=0.02)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=0.02)
    np.testing.assert_allclose(ours.predict(X), np.exp(X @ ours.coef_ + ours.intercept_))
    with pytest.raises(ValueError, match=r"y\[3\] is -2, expected at least 0 for loss='poisson'"):
        ours.fit(X[:5], [0, 1, 2, -2, 1])
    with pytest.raises(ValueError, match="has no loss 'poisson'"):
        ours.to_sklearn()


def test_losses_of_numbers_only_are_not_offered_for_classes():
    X, y = make_rcv1_like(300, 50, random_state=0)
    for loss in ("quantile", "poisson"):
        with pytest.raises(ValueError, match="The 'loss' parameter"):
            SGDClassifier(loss).fit(X, y)
    with pytest.raises(ValueError, match="The 'quantile' parameter"):
        SGDRegressor("quantile", quantile=1.0).fit(X, y)
