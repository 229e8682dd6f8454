"""Dual estimators: the optimum of SciPy, the duality gap, weights as repetitions, threads, shrinking, odd input."""

from __future__ import annotations

import pickle
import warnings

import naive_dual as naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge as PeerRidge
from sklearn.svm import LinearSVC as PeerSVC

import hogwild
from hogwild import LinearSVC, LinearSVR, LogisticRegression, Ridge
from hogwild.data import make_rcv1_like
from hogwild.engine import Replicas, Sequential, Shared, Simulated

EXACT = {"tol": 1e-9, "max_iter": 20_000, "random_state": 0}


def make(name, **parameters):
    kind = {"log_loss": LogisticRegression, "ridge": Ridge}.get(name)
    if kind is None:
        kind = LinearSVC if name in naive.MARGIN else LinearSVR
        parameters = {"loss": name} | parameters
    return kind(**EXACT | parameters)


def rows(name, n=120, d=10, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.6)).astype(dtype)
    y = X @ rng.normal(size=d) + rng.normal(size=n)
    return X, np.where(y > 0, 1.0, -1.0) if name in naive.MARGIN else y


ALL = (*naive.LOSSES, "ridge")


@pytest.mark.parametrize("name", naive.LOSSES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99), C=st.floats(0.05, 2), shape=st.sampled_from([(40, 5), (12, 20)]), sparse=st.booleans())
def test_finds_the_optimum_of_scipy(name, seed, C, shape, sparse):
    X, y = rows(name, *shape, seed)
    epsilon = {"epsilon": 0.1} if "epsilon" in name else {}
    model = make(name, C=C, fit_intercept=False, **epsilon).fit(sp.csr_matrix(X) if sparse else X, y)
    c = np.full(len(y), C)
    best = naive.optimum(X, y, name, c, *epsilon.values())
    reached = naive.primal(X, y, model.coef_.ravel(), name, c, *epsilon.values())
    assert reached == pytest.approx(best, rel=1e-6)
    assert model.objective_ == pytest.approx(reached, rel=1e-9)
    assert 0 <= model.dual_gap_ <= 1.01e-9 * model.objective_
    if name != "log_loss":  # optimality: w is the sum of the duals, and these are within their bounds
        duals = np.zeros(len(y))
        duals[model.support_] = model.dual_coef_[0]
        np.testing.assert_allclose(X.T @ duals, model.coef_.ravel(), atol=1e-9)
        for target, dual in zip(y, duals, strict=True):
            low, high = naive.bounds(name, target, C)
            assert low <= dual <= high
        dual = naive.dual(X, y, duals, name, c, *epsilon.values())
        assert model.dual_gap_ == pytest.approx(reached - dual, abs=1e-9 * reached)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_ridge_is_the_normal_equations_solution(sparse, weighted, fit_intercept):
    X, y = rows("ridge")
    X, y = X + 3.0, np.column_stack([y + 10, 2 * y])
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    alpha = [0.5, 2.0]
    peer = PeerRidge(alpha=alpha, fit_intercept=fit_intercept, solver="cholesky").fit(X, y, weight)
    ours = Ridge(alpha=alpha, fit_intercept=fit_intercept, **EXACT | {"tol": 1e-12})
    ours.fit(sp.csr_matrix(X) if sparse else X, y, weight)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-4)
    residuals = y - ours.predict(X)
    s = np.ones(len(y)) if weight is None else weight
    objective = (s[:, None] * residuals**2).sum(axis=0) + np.array(alpha) * (ours.coef_**2).sum(axis=1)
    np.testing.assert_allclose(ours.objective_, objective, rtol=1e-9)
    one = Ridge(alpha=0.5, fit_intercept=fit_intercept, **EXACT).fit(X, y[:, 0], weight)
    assert one.coef_.shape == (10,)
    assert np.isscalar(one.intercept_)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_intercept_and_classes_are_those_of_liblinear(loss):
    X, y = rows("hinge", 200, 6)
    y = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + 0.3 * y, [-0.5, 0.5])]
    common = {"loss": loss, "C": 0.3, "intercept_scaling": 2.0, "class_weight": {"a": 2.0, "b": 0.5}}
    peer = PeerSVC(tol=1e-10, max_iter=1_000_000, dual=True, **common).fit(X, y)
    ours = LinearSVC(**EXACT | common).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-3)
    assert ours.dual_gap_.shape == ours.margin_.shape == (3,)
    assert ours.n_support_.sum() == len(ours.support_)
    np.testing.assert_allclose(ours.margin_, 1 / np.linalg.norm(ours.coef_, axis=1))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_crammer_singer_is_that_of_liblinear(n_classes, sparse):
    X, y = make_rcv1_like(150, 20, row_length=8, n_classes=n_classes, dtype=np.float64)
    X = X if sparse else X.toarray()
    weight = np.random.default_rng(0).random(150)
    for fit_intercept in (False, True):
        common = {"multi_class": "crammer_singer", "C": 0.7, "fit_intercept": fit_intercept}
        peer = PeerSVC(tol=1e-9, max_iter=1_000_000, **common).fit(X, y, weight)
        ours = LinearSVC(**EXACT | common).fit(X, y, weight)
        np.testing.assert_allclose(ours.coef_, peer.coef_, atol=2e-3)
        np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=2e-3)
        np.testing.assert_allclose(ours.decision_function(X), peer.decision_function(X), atol=5e-3)
        if n_classes > 2 and not fit_intercept:
            scores = X @ ours.coef_.T + 1.0
            scores[np.arange(150), y] -= 1.0
            excess = scores.max(axis=1) - scores[np.arange(150), y]
            objective = 0.5 * (ours.coef_**2).sum() + 0.7 * weight @ excess
            assert ours.objective_ == pytest.approx(objective, rel=1e-9)
            np.testing.assert_allclose(ours.dual_coef_ @ X[ours.support_], ours.coef_, atol=1e-9)
            np.testing.assert_allclose(ours.dual_coef_.sum(axis=0), 0, atol=1e-12)
    threads = LinearSVC(**EXACT | common | {"tol": 1e-4, "engine": Simulated(4, interval=16), "n_jobs": 2})
    assert threads.fit(X, y, weight).objective_ == pytest.approx(ours.objective_, rel=2e-4)
    zero = X.copy()
    zero[:5] = 0
    model = LinearSVC(**EXACT | common | {"fit_intercept": False}).fit(zero, y)
    assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("name", ALL)
def test_sample_weights_are_repetitions(name):
    X, y = rows(name)
    weight = np.random.default_rng(2).integers(0, 4, len(y))
    a = make(name).fit(X, y, sample_weight=weight)
    b = make(name).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-3)
    assert a.objective_ == pytest.approx(b.objective_, rel=1e-8)
    if hasattr(a, "support_"):
        assert (weight[a.support_] > 0).all()


@pytest.mark.parametrize("name", naive.LOSSES)
def test_scaling_rows_against_c(name):
    X, y = rows(name)
    a = make(name, C=0.2, fit_intercept=False).fit(X, y)
    b = make(name, C=0.2 / 16, fit_intercept=False).fit(4 * X, y)  # w shrinks to a quarter
    np.testing.assert_allclose(a.coef_, 4 * b.coef_, atol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_types_and_layouts_agree(name):
    X, y = rows(name)
    for fit_intercept in (True, False):
        exact = make(name, fit_intercept=fit_intercept).fit(X, y)
        sparse = make(name, fit_intercept=fit_intercept).fit(sp.csr_matrix(X), y)
        assert sparse.objective_ == pytest.approx(exact.objective_, rel=1e-8)
        for matrix in (X.astype(np.float32), sp.csr_matrix(X.astype(np.float32))):
            single = make(name, tol=1e-5, fit_intercept=fit_intercept).fit(matrix, y)
            assert single.coef_.dtype == np.float32
            assert single.objective_ == pytest.approx(exact.objective_, rel=2e-5)
            assert single.predict(matrix).shape == y.shape


@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "epsilon_insensitive", "squared_epsilon_insensitive"])
def test_shrinking_changes_no_optimum(name):
    X, y = rows(name, 600, 30)
    epsilon = {"epsilon": 0.5} if "epsilon" in name else {}
    results = [make(name, shrinking=shrinking, **epsilon).fit(X, y) for shrinking in (True, False)]
    assert results[0].objective_ == pytest.approx(results[1].objective_, rel=1e-8)
    assert all(result.dual_gap_ <= 1e-9 * result.objective_ for result in results)


def test_no_input_is_copied_or_changed():
    X, y = make_rcv1_like(300, 100)
    before = X.copy()
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    LinearSVC(random_state=0).fit(X, y)
    Ridge(random_state=0).fit(X, y)
    assert (before != X).nnz == 0
    dense = np.asarray(X.toarray())
    dense.flags.writeable = False
    for estimator in (LinearSVC(), LogisticRegression(), Ridge(), LinearSVR()):
        estimator.fit(dense, y)


# ------------------------------------------------------------------------------------------------ threads


def correlated(n=4000, d=30, seed=0):
    """Dense rows that all share directions, as a9a's: deltas of many replicas overshoot."""
    rng = np.random.default_rng(seed)
    X = (np.abs(rng.normal(size=(n, d))) @ np.abs(rng.normal(size=(d, d)))).astype(np.float64)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    z = X @ rng.normal(size=d)
    return X, np.where(z - np.median(z) + 0.1 * rng.normal(size=n) > 0, 1.0, -1.0)


@pytest.mark.parametrize("name", ["squared_hinge", "log_loss"])
def test_many_replicas_find_the_same_optimum(name):
    X, y = correlated()
    C = 0.01 if name == "squared_hinge" else 0.05
    one = make(name, C=C, tol=1e-6).fit(X, y)
    for engine in (Simulated(16, interval=64), Simulated(8, interval=256)):
        many = make(name, C=C, tol=1e-4, engine=engine, n_jobs=2).fit(X, y)
        assert many.dual_gap_ <= 1e-4 * many.objective_
        assert many.objective_ == pytest.approx(one.objective_, rel=2e-4)


@pytest.mark.parametrize("name", ["hinge", "log_loss", "ridge"])
@pytest.mark.parametrize("n_jobs", [2, 8])
def test_threads_find_the_same_optimum(name, n_jobs):
    X, y = make_rcv1_like(6000, 500, row_length=20)
    X.data = X.data.astype(np.float64)
    one = make(name, tol=1e-5).fit(X, y)
    many = make(name, tol=1e-4, n_jobs=n_jobs, engine="replicas").fit(X, y)
    assert many.n_threads_ == n_jobs
    assert many.objective_ == pytest.approx(one.objective_, rel=2e-4)
    assert many.dual_gap_ <= 1e-4 * many.objective_
    if hasattr(many, "support_"):  # nothing was lost on the way: the weights are the sum of the duals
        np.testing.assert_allclose((many.dual_coef_ @ X[many.support_]).ravel(), many.coef_.ravel(), atol=1e-9)


def test_deterministic_threads_repeat_their_bits():
    X, y = make_rcv1_like(4000, 300, row_length=20)
    fits = [
        LinearSVC(n_jobs=2, engine=Replicas(deterministic=True), random_state=1, tol=1e-3).fit(X, y) for _ in range(2)
    ]
    np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)
    assert fits[0].n_threads_ == 2


def test_one_thread_is_reproducible_and_classes_may_be_spread():
    X, y = make_rcv1_like(1500, 300, row_length=20, n_classes=4)
    one, again = (LinearSVC(random_state=3).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.coef_, again.coef_)
    spread = LinearSVC(random_state=3, n_jobs=2).fit(X, y)
    assert spread.n_threads_ == 2
    np.testing.assert_array_equal(one.coef_, spread.coef_)
    np.testing.assert_array_equal(one.dual_coef_, spread.dual_coef_)


# ------------------------------------------------------------------------------------------------ edges


@pytest.mark.parametrize("name", ALL)
def test_edges(name):
    X, y = rows(name)
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        make(name).fit(X[:0], y[:0])
    with pytest.raises(ValueError, match="NaN"):
        make(name).fit(np.where(np.arange(X.size).reshape(X.shape) == 5, np.nan, X), y)
    with pytest.raises(ValueError, match=r"Negative values|negative"):
        make(name).fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match="weight"):
        make(name).fit(X, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"max_iter"):
        make(name, max_iter=0).fit(X, y)
    empty = make(name).fit(sp.csr_matrix((len(y), 3)), y)  # rows without entries
    assert np.isfinite(empty.coef_).all()
    X[:] = 0
    assert (make(name, fit_intercept=False).fit(X, y).coef_ == 0).all()
    if name in naive.MARGIN:
        with pytest.raises(ValueError, match=r"class"):
            make(name).fit(X, np.ones(len(y)))
    else:
        constant = make(name).fit(rows(name)[0], np.full(len(y), 2.0))
        assert np.isfinite(constant.coef_).all()
        assert np.isfinite(make(name).fit(X[:1] + 1, y[:1]).coef_).all()
        assert (make(name).fit(X, np.zeros(len(y))).coef_ == 0).all()


@pytest.mark.parametrize("name", ALL)
def test_huge_values_are_refused_or_solved(name):
    X, y = rows(name, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            model = make(name, max_iter=5).fit(X * np.float32(1e25), y)
        except ValueError as error:
            assert "overflow" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(model.coef_).all()


def test_unconverged_fits_warn_and_say_what_to_do():
    X, y = rows("hinge")
    with pytest.warns(ConvergenceWarning, match=r"after 2 epochs the duality gap is .* Increase max_iter, scale"):
        model = LinearSVC(max_iter=2, tol=1e-12).fit(X, y)
    assert model.n_iter_ == 2
    assert model.dual_gap_ > 1e-12 * model.objective_


def test_unsupported_settings_name_what_is():
    X, y = rows("hinge")
    for estimator, message in [
        (LinearSVC(penalty="l1"), "penalty='l2'"),
        (LogisticRegression(l1_ratio=0.5), "expected 0"),
        (LogisticRegression(multi_class="multinomial"), r"SGDClassifier\(.*multinomial"),
        (LogisticRegression(C=np.inf), "finite C"),
        (Ridge(alpha=0.0), "alpha > 0"),
        (Ridge(alpha=[1.0, 2.0]), "2 values"),
        (Ridge(positive=True), "positive=True"),
        (LinearSVC(engine="shared"), "race"),
        (LinearSVC(engine=Shared()), "race"),
        (LinearSVC(engine=Replicas(head=5)), "head=None"),
    ]:
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y)
    assert LinearSVC(engine=Sequential(), n_jobs=2).fit(X, y).n_iter_ > 0


def test_callback_ends_a_fit_and_ctrl_c_leaves_a_model():
    X, y = rows("hinge", 400)
    told = []
    with pytest.warns(ConvergenceWarning):
        LinearSVC(callback=lambda progress: told.append(progress) or progress.epoch == 2, tol=1e-12).fit(X, y)
    assert [progress.epoch for progress in told] == [1, 2]

    def interrupt(progress):
        import signal

        if progress.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    model = LinearSVC(callback=interrupt, tol=1e-12)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert model.score(X, y) > 0.5


def test_probabilities():
    X, y = make_rcv1_like(500, 100, row_length=15, n_classes=3)
    model = LogisticRegression(random_state=0).fit(X, y)
    share = model.predict_proba(X)
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)
    assert model.n_iter_.shape == (3,)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), share, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_models_survive_pickle_and_files(name, tmp_path):
    X, y = rows(name)
    y = np.array(["no", "yes"])[(y > 0).astype(int)] if name in naive.MARGIN else y
    model = make(name, tol=1e-3).fit(X, y)
    hogwild.save(model, tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), hogwild.load(tmp_path / "model")):
        assert type(other) is type(model)
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert vars(other).keys() == vars(model).keys()
        for key, value in vars(model).items():
            np.testing.assert_array_equal(getattr(other, key), value, err_msg=key)
            assert getattr(getattr(other, key), "dtype", None) == getattr(value, "dtype", None), key
    hogwild.save(model.sparsify(), tmp_path / "sparse")
    np.testing.assert_array_equal(hogwild.load(tmp_path / "sparse").predict(X), model.predict(X))
