"""The baselines are what they say: twins in NumPy, exact sums under threads, bounds, slices, checkpoints, errors."""

from __future__ import annotations

import functools
import itertools
import threading

import naive
import naive_engines
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from hogwild import Checkpoint, SGDClassifier, SGDRegressor
from hogwild.data import from_matrix, write_hog
from hogwild.engine import Batch, Delayed, Locked, MiniBatch, RoundRobin, Sequential, baseline_loops, resolve_engine
from hogwild.engine.baselines import LockedRunner, RoundRobinRunner
from hogwild.engine.engines import ENGINES
from hogwild.engine.order import draw_order
from hogwild.estimators.linear_task import LinearOptions, make_task, new_state
from hogwild.steps.rows import SparseRows, as_rows

ALONE = [Delayed(5), MiniBatch(7), Batch()]
TOGETHER = [Locked(), Locked(3), RoundRobin()]


@functools.cache
def problem(n_rows: int = 700, n_classes: int = 2, dtype=np.float64) -> tuple[sp.csr_matrix, np.ndarray]:
    rng = np.random.default_rng(n_rows)
    X = sp.random(n_rows, 40, 0.2, format="csr", random_state=1)
    X.data = rng.normal(size=X.nnz)
    scores = X @ rng.normal(size=(40, n_classes if n_classes > 2 else 1)) + 0.3 * rng.normal(size=(n_rows, 1))
    return X.astype(dtype), scores.argmax(axis=1) if n_classes > 2 else (scores[:, 0] > 0).astype(int)


def classifier(engine="auto", n_jobs=None, **options) -> SGDClassifier:
    fixed = {"loss": "log_loss", "alpha": 1e-3, "eta0": 0.1, "max_iter": 3, "tol": None, "random_state": 0}
    return SGDClassifier(engine=engine, n_jobs=n_jobs, **{**fixed, **options})


def together(multi_class: str, model: SGDClassifier) -> SGDClassifier:
    model.multi_class = multi_class
    return model


def objective(fitted, X, y) -> float:
    s = naive.Settings(penalty=fitted.penalty, alpha=fitted.alpha, l1_ratio=fitted.l1_ratio)
    margin = (2 * y - 1) * fitted.decision_function(X)
    return np.logaddexp(0, -margin).mean() + naive.penalty_value(s, fitted.coef_)


def bits(fitted) -> tuple:
    return fitted.coef_.tobytes(), fitted.intercept_.tobytes(), tuple(fitted.loss_curve_), fitted.t_


def after(slices: int):
    """Callback that stops a fit."""
    told = itertools.count(1)
    return lambda progress: next(told) == slices


@pytest.fixture
def short_slices(monkeypatch):
    """Slices of one chunk: 256 rows."""
    monkeypatch.setattr("hogwild.engine.training.SLICE_SECONDS", 1e-9)


# ---------------------------------------------------------------------------------------------- twins in NumPy

RATES = ["constant", "optimal", "invscaling", "search", "epoch_decay"]
OWN_RULES = ["adagrad", "ftrl", "pa1", "pa2"]


@st.composite
def fits(draw, rates):
    """Rows, targets, weights and the options of a fit."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_rows, n_features = draw(st.integers(2, 40)), draw(st.integers(1, 6))
    X = rng.integers(-4, 5, (n_rows, n_features)) / 4 * (rng.random((n_rows, n_features)) < draw(st.floats(0.2, 1)))
    targets = rng.choice([-1, 1], n_rows)
    targets[:2] = [-1, 1]
    rate = draw(st.sampled_from(rates))
    loss = draw(st.sampled_from(["log_loss", "hinge", "squared_hinge", "modified_huber"]))
    options = {
        "loss": "hinge" if rate.startswith("pa") else loss,
        "penalty": draw(st.sampled_from(["l2", "l1", "elasticnet", None])),
        "alpha": draw(st.sampled_from([1e-3, 0.05])),
        "l1_ratio": 0.3,
        "learning_rate": rate,
        "eta0": 0.25,
        "fit_intercept": draw(st.booleans()),
        "intercept_decay": draw(st.sampled_from([1.0, 0.1])),
        "average": 0 if rate == "ftrl" else draw(st.sampled_from([0, 1, 9])),
    }
    weights = rng.choice([0.0, 0.5, 1.0, 2.0], n_rows) if draw(st.booleans()) else None
    if weights is not None:
        weights[:2] = 1.0
    sparse = draw(st.booleans()) or rate in OWN_RULES
    return X, targets, options, weights, draw(st.sampled_from([(1.0, 1.0), (0.5, 3.0)])), sparse


def check_twin(engine, case, twin, **named):
    X, targets, options, weights, class_weights, sparse = case
    rate = options["learning_rate"]
    shown = {**options, "learning_rate": "constant"} if rate == "search" else options  # the search would find its own
    ours = {**shown, "average": options["average"] or False, "random_state": 0, "shuffle": False, "tol": None}
    fitted = SGDClassifier(
        engine=engine, max_iter=3, class_weight=dict(zip((-1, 1), class_weights, strict=True)), n_jobs=2, **ours
    ).fit(sp.csr_matrix(X) if sparse else X, targets, sample_weight=weights)
    present = X != 0 if sparse else None
    found = twin(
        X,
        targets,
        naive.Settings(**shown),
        n_epochs=3,
        present=present,
        row_weights=weights,
        class_weights=class_weights,
        **named,
    )
    scale = max(1.0, np.abs(found.coef).max())
    np.testing.assert_allclose(fitted.coef_[0], found.coef, rtol=1e-7, atol=1e-8 * scale)
    np.testing.assert_allclose(fitted.intercept_, found.intercept, rtol=1e-7, atol=1e-8 * scale)
    np.testing.assert_allclose(fitted.loss_curve_, found.loss_curve, rtol=1e-7, atol=1e-8 * scale)
    assert fitted.t_ == found.t
    assert fitted.engine_ == engine
    assert fitted.n_threads_ == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=fits(RATES + OWN_RULES), tau=st.sampled_from([0, 1, 2, 7, 100]))
def test_delayed_is_its_twin(case, tau):
    check_twin(Delayed(tau), case, naive_engines.fit_delayed, tau=tau)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=fits(RATES), size=st.sampled_from([1, 2, 5, 16, 1000]))
def test_minibatch_is_its_twin(case, size):
    check_twin(MiniBatch(size), case, naive_engines.fit_minibatch, size=size)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=fits(RATES))
def test_batch_is_its_twin(case):
    check_twin(Batch(), case, naive_engines.fit_minibatch, size=None)


# ---------------------------------------------------------------------------------------------- delayed


def through_the_ring(*arguments):
    """`advance` of one thread by way of a ring with room for one row."""
    *rest, work = arguments
    return baseline_loops.advance_delayed(*rest, baseline_loops.make_pending(1, len(work.derivatives)), work)


@pytest.mark.parametrize("rate", ["invscaling", "optimal", *OWN_RULES])
@pytest.mark.parametrize(
    ("n_classes", "penalty"), [(2, "l2"), (2, "l1"), (2, "elasticnet"), (2, None), (3, "l1"), (3, None)]
)
def test_no_delay_is_one_thread_bit_by_bit(monkeypatch, rate, penalty, n_classes):
    X, y = problem(n_classes=n_classes)
    for average in [False, 300] if rate != "ftrl" else [False]:
        loss = "hinge" if rate.startswith("pa") else "log_loss"
        options = {"learning_rate": rate, "penalty": penalty, "average": average, "loss": loss}
        one = classifier(**options).fit(X, y)
        assert bits(classifier(Delayed(0), **options).fit(X, y)) == bits(one)
        with monkeypatch.context() as patched:
            patched.setattr("hogwild.engine.baselines.advance", through_the_ring)
            ring = classifier(Delayed(0), **options).fit(X, y)
        np.testing.assert_allclose(ring.coef_, one.coef_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ring.loss_curve_, one.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize(
    ("engine", "sparse", "n_classes"), [(Delayed(3), True, 2), (Delayed(3), True, 3), (MiniBatch(10), False, 3)]
)
def test_float32_is_float64_with_fewer_digits(engine, sparse, n_classes):
    X, y = problem(n_classes=n_classes)
    X, options = X if sparse else X.toarray(), {"penalty": "l1", "average": 30, "learning_rate": "invscaling"}
    double, single = (classifier(engine, **options).fit(X.astype(dtype), y) for dtype in (np.float64, np.float32))
    assert single.coef_.dtype == np.float32
    np.testing.assert_allclose(single.coef_, double.coef_, atol=1e-4 * np.abs(double.coef_).max())


@pytest.mark.parametrize(("multi_class", "loss"), [("crammer_singer", "hinge"), ("multinomial", "log_loss")])
def test_delays_where_columns_learn_together(multi_class, loss):
    X, y = problem(n_classes=4)
    for rate in ("invscaling", "adagrad"):
        options = {"learning_rate": rate, "loss": loss}
        one, punctual, late = (
            together(multi_class, classifier(engine, **options)).fit(X, y)
            for engine in ("auto", Delayed(0), Delayed(8))
        )
        assert bits(punctual) == bits(one) != bits(late)
        assert late.score(X, y) > one.score(X, y) - 0.03


def test_long_delays_converge_where_rows_seldom_meet():
    """A delay of 200 rows: harmless where a feature stands in one row of 300, ruinous where it stands in every row."""
    rng = np.random.default_rng(0)
    rare = sp.csr_matrix(
        (rng.normal(size=30_000), rng.integers(0, 3000, 30_000), np.arange(0, 30_001, 10)), (3000, 3000)
    )
    rare.sum_duplicates()
    options = {"learning_rate": "constant", "eta0": 0.3, "fit_intercept": False, "max_iter": 5}
    objectives = {}
    for name, X in (("rare", rare), ("dense", rng.normal(size=(3000, 10)))):
        y = (X @ rng.normal(size=X.shape[1]) > 0).astype(int)
        one, late = (objective(classifier(e, **options).fit(X, y), X, y) for e in ("auto", Delayed(200)))
        objectives[name] = late / one
    assert objectives["rare"] < 1.05
    assert objectives["dense"] > 3


# ---------------------------------------------------------------------------------------------- mean gradients


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_batches_of_one_row_are_one_thread(penalty, n_classes):
    X, y = problem(n_classes=n_classes)
    for average in (False, 300):
        options = {"penalty": penalty, "average": average, "learning_rate": "invscaling"}
        one, fitted = classifier(**options).fit(X, y), classifier(MiniBatch(1), **options).fit(X, y)
        np.testing.assert_allclose(fitted.coef_, one.coef_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(fitted.intercept_, one.intercept_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(fitted.loss_curve_, one.loss_curve_, rtol=1e-9)
        assert fitted.t_ == one.t_


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_descends_scipys_gradient_to_scipys_optimum(dtype, sparse):
    X, y = problem(dtype=dtype)
    A, signs, alpha, eta = X.toarray().astype(float), 2 * y - 1, 0.05, 1.0

    def cost(w):
        return np.logaddexp(0, -signs * (A @ w[:-1] + w[-1])).mean() + alpha / 2 * w[:-1] @ w[:-1]

    w = np.zeros(41)
    for _ in range(3):
        w -= eta * scipy.optimize.approx_fprime(w, cost, 1e-6)
    options = {"alpha": alpha, "eta0": eta, "learning_rate": "constant"}
    fitted = classifier(Batch(), 2, max_iter=3, **options).fit(X if sparse else X.toarray(), y)
    assert fitted.coef_.dtype == dtype
    assert fitted.n_threads_ == 2
    np.testing.assert_allclose(np.append(fitted.coef_, fitted.intercept_), w, atol=1e-5)
    optimum = scipy.optimize.minimize(cost, np.zeros(41), method="BFGS").fun
    fitted = classifier(Batch(), max_iter=300, **options).fit(X if sparse else X.toarray(), y)
    assert cost(np.append(fitted.coef_, fitted.intercept_)) == pytest.approx(optimum, rel=1e-5)


def test_batch_of_columns_that_learn_together():
    X, y = problem(n_classes=4)
    A, own = np.hstack([X.toarray(), np.ones((700, 1))]), np.eye(4)[y]
    w = np.zeros((41, 4))
    for _ in range(3):
        shares = np.exp(A @ w)
        shares /= shares.sum(axis=1, keepdims=True)
        w -= 0.5 * (A.T @ (shares - own) / 700 + 1e-3 * np.vstack([w[:-1], np.zeros((1, 4))]))
    options = {"learning_rate": "constant", "eta0": 0.5}
    for engine, n_jobs in ((Batch(), 2), (MiniBatch(700), None)):
        fitted = together("multinomial", classifier(engine, n_jobs, **options)).fit(X, y)
        np.testing.assert_allclose(fitted.coef_, w[:-1].T, atol=1e-10)
        np.testing.assert_allclose(fitted.intercept_, w[-1], atol=1e-10)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_batch_repeats_its_bits(n_jobs, short_slices):
    X, y = problem(2000)
    first, *others = (bits(classifier(Batch(), n_jobs, max_iter=5).fit(X, y)) for _ in range(3))
    assert others == [first, first]


def test_batch_uses_fewer_threads_where_their_sums_would_not_fit(monkeypatch):
    X, y = problem(2000)
    monkeypatch.setattr("hogwild.engine.baselines.MEMORY_LIMIT", 2 * 8 * 41)
    assert classifier(Batch(), 4).fit(X, y).n_threads_ == 2
    monkeypatch.setattr("hogwild.engine.baselines.MEMORY_LIMIT", 1)
    assert classifier(Batch(), 4).fit(X, y).n_threads_ == 1


# ---------------------------------------------------------------------------------------------- threads


def counting(engine, X, n_jobs, **options) -> SGDRegressor:
    """Targets so far away that every row adds itself to the weights: which are the sum of the rows."""
    options = {"loss": "epsilon_insensitive", "learning_rate": "constant", "eta0": 1.0, "penalty": None, **options}
    model = SGDRegressor(engine=engine, n_jobs=n_jobs, max_iter=2, tol=None, random_state=0, epsilon=0, **options)
    return model.fit(X, np.full(X.shape[0], 1e12))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("engine", TOGETHER, ids=str)
def test_threads_lose_nothing(engine, intercept, short_slices):
    rng = np.random.default_rng(0)
    X = sp.csr_matrix(rng.integers(1, 4, (4096, 12)) * (rng.random((4096, 12)) < 0.4), dtype=np.float64)
    fitted = counting(engine, X, 8, fit_intercept=intercept)
    assert fitted.n_threads_ == 8
    np.testing.assert_array_equal(fitted.coef_, 2 * np.asarray(X.sum(axis=0)).ravel())
    np.testing.assert_array_equal(fitted.intercept_, [2 * 4096 * intercept])
    assert 0 <= fitted.n_waits_ <= 2 * 4096


@pytest.mark.parametrize("penalty", ["l1", "l2", None])
def test_round_robin_changes_the_weights_in_the_order_of_the_epoch(penalty):
    """Where what is measured does not depend on the weights, sums that round differently in any other order."""
    X, _ = problem(4096)
    options = {"penalty": penalty, "alpha": 1e-6, "learning_rate": "invscaling", "eta0": 0.1}
    one = counting("sequential", X, None, **options)
    several = counting("round_robin", X, 5, **options)
    assert several.n_threads_ == 5
    assert several.coef_.tobytes() == one.coef_.tobytes()
    assert several.intercept_.tobytes() == one.intercept_.tobytes()


def task_of(X: sp.csr_matrix, targets: np.ndarray, rows=None, **options):
    options = {
        "loss": "squared_error",
        "multi_class": "ovr",
        "epsilon": 0.0,
        "quantile": 0.5,
        "penalty": None,
        "alpha": 0.0,
        "l1_ratio": 0.0,
        "learning_rate": "constant",
        "eta0": 1.0,
        "power_t": 0.5,
        "beta": 1.0,
        "fit_intercept": True,
        "intercept_decay": 1.0,
        "average": 0,
        **options,
    }
    options = LinearOptions(**options)
    rows = as_rows(X, targets) if rows is None else rows
    state = new_state(options, X.shape[1], 1, X.dtype)
    return make_task(options, state, rows, eta0=options.eta0, positive=np.ones(1), negative=np.ones(1))


@pytest.mark.parametrize("stripes", [None, 1, 2, 5])
def test_locks_of_rows_with_repeated_and_unsorted_features_end(stripes):
    rng = np.random.default_rng(1)
    n_rows, length = 3000, 9
    indices = rng.integers(0, 20, n_rows * length).astype(np.uint32)
    values = rng.integers(1, 4, n_rows * length).astype(np.float64)
    indptr = np.arange(0, n_rows * length + 1, length).astype(np.uint64)
    rows = SparseRows(indptr, indices, values, np.full(n_rows, 1e12), np.empty(0))
    task = task_of(sp.csr_matrix((1, 20)), None, rows, loss="epsilon_insensitive")
    runner = LockedRunner(task, Locked(stripes), 6)
    order = draw_order(rng, n_rows, np.empty(0, np.uint32), True)
    thread = threading.Thread(target=runner.run, args=(order, 0, n_rows), daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive(), "deadlock"
    runner.finish()
    np.testing.assert_array_equal(task.model.coef, np.bincount(indices, values, 20))
    assert task.model.intercept[0] == n_rows
    assert not runner._stripes.locks.any()


@pytest.mark.parametrize("n_threads", [2, 3, 8])
@pytest.mark.parametrize("rate", ["constant", "adagrad"])
def test_measurements_in_turn_lack_fewer_rows_than_there_are_threads(n_threads, rate):
    X, y = problem(4096)
    penalty = "l2" if rate == "adagrad" else None
    task = task_of(X, 2.0 * y - 1, loss="log_loss", learning_rate=rate, eta0=0.1, penalty=penalty, alpha=1e-3)
    runner = RoundRobinRunner(task, RoundRobin(), n_threads)
    order = draw_order(np.random.default_rng(0), 4096, np.empty(0, np.uint32), True)
    for low in range(0, 4096, 1024):
        runner.run(order, low, low + 1024)
    assert 0 <= runner.staleness <= (0 if penalty else n_threads - 1)
    assert task.t == 4097


@pytest.mark.parametrize("engine", [Locked(), RoundRobin()], ids=str)
def test_threads_fold_a_scale_that_vanishes_together(engine):
    """L2 so strong that the scale has to be folded many times an epoch."""
    X, y = problem(4096)
    options = {"alpha": 5.0, "eta0": 0.1, "learning_rate": "constant", "max_iter": 2}
    one = classifier(**options).fit(X, y)
    for average in (False, 100):
        one = classifier(average=average, **options).fit(X, y)
        fitted = classifier(engine, 4, average=average, **options).fit(X, y)
        assert fitted.t_ == one.t_
        rtol = 0.3 if average else 1.0  # weights of the last few rows alone
        assert np.abs(fitted.coef_ - one.coef_).max() < rtol * np.abs(one.coef_).max()


@pytest.mark.parametrize("engine", TOGETHER, ids=str)
@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_columns_of_several_threads_are_those_of_one(engine, multi_class):
    X, y = problem(2048, 4)
    options = {"learning_rate": "invscaling", "penalty": "l1"}
    one = together(multi_class, classifier(**options)).fit(X, y)
    fitted = together(multi_class, classifier(engine, 4, **options)).fit(X, y)
    assert fitted.loss_curve_[-1] == pytest.approx(one.loss_curve_[-1], rel=0.02)
    np.testing.assert_allclose(fitted.coef_, one.coef_, atol=0.1 * np.abs(one.coef_).max())


# ---------------------------------------------------------------------------------------------- slices and sources


@pytest.mark.parametrize("engine", ALONE, ids=str)
def test_slices_do_not_show(monkeypatch, engine):
    X, y = problem(2000)
    options = {"average": 100, "penalty": "elasticnet", "learning_rate": "invscaling"}
    whole = bits(classifier(engine, **options).fit(X, y))
    monkeypatch.setattr("hogwild.engine.training.SLICE_SECONDS", 1e-9)
    sliced = classifier(engine, **options).fit(X, y)
    assert (sliced.coef_.tobytes(), sliced.intercept_.tobytes()) == whole[:2]
    assert sliced.t_ == whole[3]


RUNS = [
    (Delayed(5), {}),
    (Delayed(400), {"average": 100, "penalty": "l1", "learning_rate": "adagrad"}),
    (MiniBatch(100), {"average": 10, "penalty": "elasticnet", "learning_rate": "invscaling"}),
    (Batch(), {"average": 2, "n_jobs": 2}),
]


@pytest.mark.parametrize(("engine", "options"), RUNS, ids=str)
def test_checkpoints_within_an_epoch_go_on_with_the_same_bits(engine, options, tmp_path, short_slices):
    X, y = problem(2000)
    whole = classifier(engine, **options, callback=after(10**9)).fit(X, y)
    for stop in (1, 5, 9):
        folder = tmp_path / str(stop)
        classifier(engine, **options, checkpoint=Checkpoint(folder), callback=after(stop)).fit(X, y)
        resumed = classifier(engine, **options, callback=after(10**9), checkpoint=Checkpoint(folder, resume=True)).fit(
            X, y
        )
        assert bits(resumed) == bits(whole)


class Growing:
    """Batches of rows that get wider."""

    n_features = None

    def __init__(self, X, y):
        from hogwild.data.lines import Reading

        self.X, self.y, self.reading = X, y, Reading()

    def __iter__(self):
        for number, low in enumerate(range(0, self.X.shape[0], 300)):
            part = self.X[low : low + 300, : 10 * (number + 2)]
            yield from_matrix(part, self.y[low : low + 300])


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_batch_takes_the_mean_over_all_blocks(n_jobs, tmp_path):
    X, y = problem(900)
    X = X.toarray()
    X[:300, 20:] = X[300:600, 30:] = 0
    X = sp.csr_matrix(X)
    options = {"penalty": "l2", "learning_rate": "constant", "eta0": 0.5, "shuffle": False}
    whole = classifier(Batch(), **options).fit(X, y)
    with write_hog([from_matrix(X, y)], tmp_path / "rows.hog", block_bytes=6_000, shuffle=False) as cache:
        assert cache.n_blocks > 3
        cached = classifier(Batch(), n_jobs, **options).fit(cache)
    streamed = classifier(Batch(), n_jobs, **options).fit(Growing(X, y))
    for fitted in (cached, streamed):
        assert fitted.t_ == whole.t_ == 4
        np.testing.assert_allclose(fitted.coef_, whole.coef_, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(fitted.loss_curve_, whole.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("engine", [*ALONE, *TOGETHER], ids=str)
def test_streams_that_get_wider(engine):
    X, y = problem(900)
    fitted = classifier(engine, 2, max_iter=20, eta0=0.5, learning_rate="constant").fit(Growing(X, y))
    assert fitted.coef_.shape == (1, 40)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]


def test_batches_end_with_their_block():
    X, y = problem(900)
    assert classifier(MiniBatch(200), max_iter=1).fit(X, y).t_ == 1 + 5
    assert classifier(MiniBatch(200), max_iter=1).fit(Growing(X, y)).t_ == 1 + 3 * 2
    model = classifier(MiniBatch(200))
    for part in range(3):
        model.partial_fit(X[300 * part : 300 * (part + 1)], y[300 * part : 300 * (part + 1)], classes=[0, 1])
    assert model.t_ == 1 + 3 * 2


def test_batch_steps_once_a_partial_fit():
    X, y = problem(900)
    model, fitted = classifier(Batch()), classifier(Batch(), max_iter=4).fit(X, y)
    for _ in range(4):
        model.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_allclose(model.coef_, fitted.coef_, rtol=1e-12, atol=1e-15)
    assert model.t_ == 5


def stopped_after(engine, slices: int, **options) -> SGDClassifier:
    X, y = problem(2000)
    return classifier(engine, callback=after(slices), **options).fit(X, y)


def test_a_run_that_is_stopped_keeps_what_was_measured(short_slices):
    """Rows on their way arrive; a batch that is not full is stepped; an unfinished epoch of `Batch` changes nothing."""
    options = {"learning_rate": "constant", "penalty": None, "shuffle": False}
    X, y = problem(2000)
    cut = {"delayed": (Delayed(50), 257), "minibatch": (MiniBatch(100), 4)}
    for engine, t in cut.values():
        part = classifier(engine, max_iter=1, **options).fit(X[:256], y[:256])
        stopped = stopped_after(engine, 1, **options)
        assert part.t_ == stopped.t_ == t
        np.testing.assert_allclose(stopped.coef_, part.coef_, rtol=1e-12)
    assert not stopped_after(Batch(), 3).coef_.any()


# ---------------------------------------------------------------------------------------------- what runs, errors


def test_names_and_objects():
    assert {"locked", "round_robin", "delayed", "batch", "minibatch"} <= set(ENGINES)
    for name in ("delayed", "batch", "minibatch"):
        assert resolve_engine(name, 1) == resolve_engine(name, 4) == ENGINES[name]
    for name in ("locked", "round_robin"):
        assert resolve_engine(name, 1) == Sequential()
        assert resolve_engine(name, 2) == ENGINES[name]
    X, y = problem()
    assert classifier("minibatch", 2).fit(X, y).engine_ == MiniBatch(32)
    assert classifier("delayed", 2).fit(X, y).engine_ == Delayed(1)
    assert classifier("round_robin", 2).fit(X, y).engine_ == RoundRobin()
    assert not hasattr(classifier("delayed", 2).fit(X, y), "n_waits_")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Delayed(-1), "tau must be at least 0 rows, found -1"),
        (lambda: Delayed(1.5), "tau must be a whole number, found 1.5"),
        (lambda: MiniBatch(0), "size must be at least 1 row, found 0"),
        (lambda: MiniBatch(True), "size must be a whole number, found True"),
        (lambda: Locked(0), "stripes must be at least 1 lock, found 0"),
    ],
)
def test_wrong_settings_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("engine", ["batch", "minibatch"])
@pytest.mark.parametrize(("rate", "found"), [("adagrad", "AdaGrad"), ("ftrl", "Ftrl"), ("pa1", "passive-aggressive")])
def test_mean_gradients_name_the_rules_that_they_are_defined_for(engine, rate, found):
    X, y = problem()
    with pytest.raises(ValueError, match=rf"Batch is defined for .*constant, optimal.*found {found} steps"):
        classifier(engine, learning_rate=rate, loss="hinge").fit(X, y)


@pytest.mark.parametrize("engine", [*ALONE, *TOGETHER], ids=str)
def test_divergence_is_told(engine):
    X, y = problem(1024)
    with pytest.raises(ValueError, match="Floating-point under-/overflow"):
        SGDRegressor(engine=engine, n_jobs=2, eta0=1e200, learning_rate="constant", tol=None, max_iter=3).fit(X, y)


@pytest.mark.slow  # kernels for every kind of input
@parametrize_with_checks(
    [SGDClassifier(engine=MiniBatch(8)), SGDRegressor(engine=Delayed(2))],
    expected_failed_checks=lambda estimator: dict.fromkeys(
        ["check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"],
        "a row of weight 2 is one longer step, not two steps",
    ),
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)
