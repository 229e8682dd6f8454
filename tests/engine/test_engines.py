"""Every engine fits what one thread fits, steps every row, and repeats itself where it says so."""

from __future__ import annotations

import functools
import itertools
import types

import naive
import numpy as np
import pytest
import scipy.sparse as sp

from hogwild import SGDClassifier, SGDRegressor
from hogwild.data import make_rcv1_like
from hogwild.engine import Delayed, Replicas, Sequential, Simulated, resolve_engine, runners, training, usable_cores

N_ROWS, N_FEATURES = 4096, 200
ALPHA, L1_RATIO = 1e-4, 0.15
RATES = {
    "invscaling": {"learning_rate": "invscaling", "eta0": 1.0, "power_t": 0.3},
    "adagrad": {"learning_rate": "adagrad", "eta0": 0.3},
    "ftrl": {"learning_rate": "ftrl", "eta0": 0.3},
}
SLACK = {"invscaling": 1.0, "adagrad": 2.0, "ftrl": 1.0}  # AdaGrad's steps shrink slowly: staleness costs it more
PENALTIES = ["l2", "l1", "elasticnet", None]
# name: (engine, n_jobs, how far the objective may be from one thread's)
ENGINES = {
    "sequential": ("sequential", 2, 1e-12),
    "auto": ("auto", 2, 0.05),
    "replicas": ("replicas", 2, 0.05),
    "interval": (Replicas(interval=64), 2, 0.05),
    "self-tuned": (Replicas(interval=64, merge="self-tuned"), 2, 0.05),
    "sum": (Replicas(interval=16, head=N_FEATURES, merge="sum"), 2, 0.05),
    "mean": (Replicas(interval=64, merge="mean"), 2, 0.3),
    "head": (Replicas(interval=64, head=50), 2, 0.05),
    "no head": (Replicas(interval=64, head=0), 2, 0.05),
    "deterministic": (Replicas(deterministic=True), 2, 0.08),
    "crowded": (Replicas(interval=64), 8, 0.15),
    "deterministic, crowded": (Replicas(interval=64, deterministic=True), 4, 0.12),
    "shared": ("shared", 2, 0.05),
    "atomic": ("atomic", 2, 0.05),
    "processes": ("processes", 2, 0.05),
    "locked": ("locked", 2, 0.05),
    "round robin": ("round_robin", 2, 0.05),
    "delayed": (Delayed(16), None, 0.05),
    "simulated 2": (Simulated(2, interval=64), None, 0.05),
    "simulated 4": (Simulated(4, interval=64), None, 0.05),
    "simulated 16": (Simulated(16, interval=64), None, 0.12),
    "simulated head": (Simulated(16, interval=64, head=50), None, 0.12),
}


@functools.cache
def problem(n_rows: int = N_ROWS, n_features: int = N_FEATURES) -> tuple[sp.csr_matrix, np.ndarray]:
    """Text-like rows of length 1: few frequent features, many rare ones."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, n_features + 1) ** 0.9
    frequency = np.minimum(0.5, frequency * 12 / frequency.sum())
    X = (rng.random((n_rows, n_features)) < frequency) * rng.lognormal(size=(n_rows, n_features))
    X /= np.maximum(np.linalg.norm(X, axis=1), 1e-9)[:, None]
    score = X @ rng.normal(size=n_features) * 4 + 0.3 * rng.logistic(size=n_rows)
    return sp.csr_matrix(X), (score > 0).astype(int)


def classifier(engine="auto", n_jobs=None, **settings) -> SGDClassifier:
    fixed = {"loss": "log_loss", "alpha": ALPHA, "l1_ratio": L1_RATIO, "max_iter": 4, "tol": None, "random_state": 0}
    return SGDClassifier(engine=engine, n_jobs=n_jobs, **{**fixed, **settings})


def objective(fitted: SGDClassifier, X, y) -> float:
    margin = (2 * y - 1) * fitted.decision_function(X)
    s = naive.Settings(penalty=fitted.penalty, alpha=fitted.alpha, l1_ratio=fitted.l1_ratio)
    return np.logaddexp(0, -margin).mean() + naive.penalty_value(s, fitted.coef_)


@functools.cache
def one_thread(rate: str, penalty: str | None, average: int) -> float:
    X, y = problem()
    return objective(classifier(penalty=penalty, average=average or False, **RATES[rate]).fit(X, y), X, y)


def bits(fitted) -> tuple:
    return fitted.coef_.tobytes(), fitted.intercept_.tobytes(), tuple(fitted.loss_curve_)


# ---------------------------------------------------------------------------------------------- the same objective


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("rate", list(RATES))
@pytest.mark.parametrize("name", list(ENGINES))
def test_objective_is_that_of_one_thread(name, rate, penalty):
    engine, n_jobs, tolerance = ENGINES[name]
    X, y = problem()
    fitted = classifier(engine, n_jobs, penalty=penalty, **RATES[rate]).fit(X, y)
    assert fitted.t_ == 1 + 4 * N_ROWS
    assert len(fitted.loss_curve_) == 4
    assert objective(fitted, X, y) == pytest.approx(one_thread(rate, penalty, 0), rel=tolerance * SLACK[rate])


@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("rate", ["invscaling", "adagrad"])
@pytest.mark.parametrize(
    "name",
    list(ENGINES),
)
def test_objective_of_the_average_is_that_of_one_thread(name, rate, penalty):
    engine, n_jobs, tolerance = ENGINES[name]
    X, y = problem()
    fitted = classifier(engine, n_jobs, penalty=penalty, average=2000, **RATES[rate]).fit(X, y)
    assert objective(fitted, X, y) == pytest.approx(one_thread(rate, penalty, 2000), rel=tolerance * SLACK[rate])


@pytest.mark.parametrize(("dtype", "sparse"), [(np.float32, True), (np.float64, False)])  # 3 s each, compiling
@pytest.mark.parametrize("rate", list(RATES))
@pytest.mark.parametrize("name", ["interval", "head", "deterministic", "shared", "atomic"])
def test_several_classes_are_those_of_one_thread(name, rate, sparse, dtype):
    engine, n_jobs, tolerance = ENGINES[name]
    X, y = problem(1024, 60)
    y = y + (np.asarray(X[:, :3].sum(axis=1)).ravel() > 0.5)
    X = X.astype(dtype) if sparse else X.toarray().astype(dtype)
    settings = {**RATES[rate], "penalty": "l2"}
    one = classifier(**settings).fit(X, y)
    fitted = classifier(engine, n_jobs, **settings).fit(X, y)
    assert fitted.coef_.dtype == dtype
    assert fitted.coef_.shape == (3, 60)
    assert fitted.n_threads_ == 2
    assert fitted.t_ == 1 + 4 * 1024
    assert fitted.loss_curve_[-1] == pytest.approx(one.loss_curve_[-1], rel=2 * tolerance * SLACK[rate])
    assert np.mean(fitted.predict(X) == one.predict(X)) > 0.9


@pytest.mark.parametrize("n_replicas", [2, 4, 16, 64])
@pytest.mark.parametrize("eta0", [0.03, 0.3])
@pytest.mark.parametrize("multi_class", ["two classes", "ovr", "crammer_singer"])
def test_replicas_of_a_loss_with_kinks_keep_the_objective(multi_class, eta0, n_replicas):
    """Between its kinks the hinge has no curvature: merges that took that for harmless added up to 40 times too far."""
    X, y = make_rcv1_like(8_000, 2_000, n_classes=2 if multi_class == "two classes" else 4, random_state=0)
    settings = {"loss": "hinge", "alpha": 1e-6, "learning_rate": "constant", "eta0": eta0, "max_iter": 3, "tol": None}
    if multi_class == "crammer_singer":
        settings["multi_class"] = multi_class
    one, many = (
        SGDClassifier(engine=engine, random_state=0, **settings).fit(X, y)
        for engine in ("sequential", Simulated(n_replicas))
    )

    def mean_loss(fitted) -> float:
        scores = fitted.decision_function(X)
        if scores.ndim == 1:
            return np.maximum(0, 1 - (2 * y - 1) * scores).mean()
        own = scores[np.arange(len(y)), y]
        if multi_class == "ovr":
            return (np.maximum(0, 1 + scores).sum(axis=1) - np.maximum(0, 1 + own) + np.maximum(0, 1 - own)).mean()
        scores[np.arange(len(y)), y] = -np.inf
        return np.maximum(0, 1 - own + scores.max(axis=1)).mean()

    assert mean_loss(many) < 1.3 * mean_loss(one)


@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive"])
@pytest.mark.parametrize("name", ["interval", "head", "deterministic", "shared", "atomic", "simulated 4"])
def test_regression_is_that_of_one_thread(name, loss):
    engine, n_jobs, _ = ENGINES[name]
    X, _ = problem(1024, 60)
    y = X @ np.linspace(-1, 1, 60)
    settings = {"loss": loss, "epsilon": 0.05, "eta0": 0.3, "max_iter": 5, "tol": None, "random_state": 0}
    one = SGDRegressor(**settings).fit(X, y)
    fitted = SGDRegressor(engine=engine, n_jobs=n_jobs, **settings).fit(X, y)
    assert np.abs(fitted.predict(X) - one.predict(X)).mean() < 0.15 * np.abs(y).mean()


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        *itertools.product(["interval", "head", "deterministic", "shared", "atomic"], ["pa1", "pa2"]),
        *itertools.product(["simulated 4", "simulated 16"], ["pa1", "pa2"]),
    ],
)
def test_passive_aggressive_steps_are_those_of_one_thread(name, rate):
    engine, n_jobs, _ = ENGINES[name]
    X, y = problem()
    settings = {"loss": "hinge", "learning_rate": rate, "eta0": 0.05, "penalty": None}
    one = classifier(**settings).fit(X, y)
    fitted = classifier(engine, n_jobs, **settings).fit(X, y)
    assert fitted.score(X, y) == pytest.approx(one.score(X, y), abs=0.05)


# ---------------------------------------------------------------------------------------------- exact twins


@pytest.mark.parametrize(("n_replicas", "interval"), [(1, 64), (2, 64), (4, 32), (16, 16), (3, 256)])
@pytest.mark.parametrize("merge", ["sum", "mean"])
@pytest.mark.parametrize(
    ("rate", "penalty"),
    [("invscaling", "l2"), ("invscaling", None), ("adagrad", None), ("ftrl", "elasticnet"), ("ftrl", None)],
)
def test_simulated_replicas_are_their_naive_twins(rate, penalty, merge, n_replicas, interval):
    X, y = problem(1000, 60)
    engine = Simulated(n_replicas, interval=interval, merge=merge)
    settings = {**RATES[rate], "eta0": 0.05, "penalty": penalty, "alpha": 1e-3, "l1_ratio": 0.2}
    fitted = classifier(engine, shuffle=False, max_iter=2, **settings).fit(X, y)
    twin = naive.fit_replicas(
        X.toarray(),
        2 * y - 1,
        naive.Settings(loss="log_loss", **settings),
        n_epochs=2,
        n_replicas=n_replicas,
        interval=interval,
        share=1 if merge == "sum" else 1 / n_replicas,
    )
    np.testing.assert_allclose(fitted.loss_curve_, twin.loss_curve, rtol=1e-6)
    np.testing.assert_allclose(fitted.coef_[0], twin.coef, rtol=0, atol=1e-6 * np.abs(twin.coef).max())
    np.testing.assert_allclose(fitted.intercept_, twin.intercept, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rate", list(RATES))
@pytest.mark.parametrize("penalty", ["l2", None])
def test_one_simulated_replica_is_one_thread(rate, penalty):
    if rate == "adagrad" and penalty:
        pytest.skip("AdaGrad's penalty is applied at merges, not at rows")
    X, y = problem(1000, 60)
    settings = {**RATES[rate], "penalty": penalty, "shuffle": False}
    one = classifier(**settings).fit(X, y)
    fitted = classifier(Simulated(1, interval=64), **settings).fit(X, y)
    np.testing.assert_allclose(fitted.coef_, one.coef_, rtol=0, atol=1e-9 * np.abs(one.coef_).max())
    np.testing.assert_allclose(fitted.loss_curve_, one.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("rate", ["invscaling", "adagrad"])
def test_average_over_one_simulated_replica_is_that_of_one_thread(rate):
    """Merges average the shared copy, which lags behind the rows by at most an interval."""
    X, y = problem(1000, 60)
    settings = {**RATES[rate], "penalty": None, "average": 300, "shuffle": False}
    one = classifier(**settings).fit(X, y)
    fitted = classifier(Simulated(1, interval=64), **settings).fit(X, y)
    assert np.linalg.norm(fitted.coef_ - one.coef_) < 0.02 * np.linalg.norm(one.coef_)
    nearer = classifier(Simulated(1, interval=4, head=60), **settings).fit(X, y)
    assert np.linalg.norm(nearer.coef_ - one.coef_) < 0.2 * np.linalg.norm(fitted.coef_ - one.coef_)


# ---------------------------------------------------------------------------------------------- the same bits

REPEATED = [
    {"penalty": "l2", **RATES["invscaling"]},
    {"penalty": "l1", **RATES["invscaling"]},
    {"penalty": "elasticnet", "average": True, **RATES["invscaling"]},
    {"penalty": "l2", "average": 1000, **RATES["adagrad"]},
    {"penalty": "l1", **RATES["adagrad"]},
    {"penalty": "elasticnet", **RATES["ftrl"]},
]


def name_of(settings: dict) -> str:
    return "-".join(str(settings[key]) for key in ("learning_rate", "penalty", "average") if key in settings)


@pytest.mark.parametrize("settings", REPEATED, ids=name_of)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_jobs", [2, 4])
def test_deterministic_threads_repeat_their_bits(settings, n_jobs, dtype):
    X, y = problem()
    X = X.astype(dtype)
    engine = Replicas(deterministic=True)
    first, *others = (bits(classifier(engine, n_jobs, **settings).fit(X, y)) for _ in range(3))
    assert others == [first, first]


@pytest.mark.parametrize("settings", REPEATED, ids=name_of)
@pytest.mark.parametrize("n_replicas", [2, 4, 16])
def test_simulated_replicas_repeat_their_bits(settings, n_replicas):
    X, y = problem()
    first, second = (bits(classifier(Simulated(n_replicas), **settings).fit(X, y)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("settings", REPEATED, ids=name_of)
def test_one_thread_repeats_its_bits(settings):
    X, y = problem()
    first, second = (bits(classifier(n_jobs=n, **settings).fit(X, y)) for n in (None, 1))
    assert first == second


def test_another_seed_is_another_order():
    X, y = problem()
    first, second = (bits(classifier(random_state=seed).fit(X, y)) for seed in (0, 1))
    assert first != second


UNPENALISED_TOO = [{"penalty": None, **RATES["invscaling"]}, {"penalty": None, **RATES["adagrad"]}]


def fit_at_speed(monkeypatch, seconds: float, estimator):
    """Fit on a clock that says every slice took `seconds`."""
    now = [0.0]

    def perf_counter():
        now[0] += seconds
        return now[0]

    with monkeypatch.context() as patched:
        patched.setattr(training, "time", types.SimpleNamespace(perf_counter=perf_counter))
        return bits(estimator.fit(*problem()))


@pytest.mark.parametrize("settings", [*REPEATED, *UNPENALISED_TOO], ids=name_of)
def test_bits_of_one_thread_are_those_of_a_slower_machine(monkeypatch, settings):
    """`n_jobs=None` is exact and reproducible: how long a slice took must not show in the result."""
    fast, slow = (fit_at_speed(monkeypatch, s, classifier(max_iter=8, **settings)) for s in (1e-9, 1.0))
    assert fast == slow


@pytest.mark.parametrize("settings", [REPEATED[0], REPEATED[5]], ids=name_of)
@pytest.mark.parametrize("name", ["deterministic", "simulated 4"])
def test_bits_of_repeatable_engines_are_those_of_a_slower_machine(monkeypatch, name, settings):
    engine, n_jobs, _ = ENGINES[name]
    fast, slow = (fit_at_speed(monkeypatch, s, classifier(engine, n_jobs, max_iter=8, **settings)) for s in (1e-9, 1.0))
    assert fast == slow


# ---------------------------------------------------------------------------------------------- zeros of L1


def few_matter() -> tuple[sp.csr_matrix, np.ndarray]:
    """20 of 200 features matter; the others are noise that the penalty removes."""
    rng = np.random.default_rng(3)
    X = sp.random(8192, 200, 0.2, format="csr", random_state=3)
    X.data = rng.normal(size=X.nnz)
    weights = np.where(np.arange(200) % 10 == 0, 2.0, 0.0)
    return X, (X @ weights + 0.5 * rng.normal(size=8192) > 0).astype(int)


@pytest.mark.parametrize("rate", ["invscaling", "ftrl"])
@pytest.mark.parametrize("name", ["auto", "interval", "head", "no head", "deterministic", "shared", "atomic"])
def test_zeros_of_l1_on_two_threads_are_those_of_one(name, rate):
    X, y = few_matter()
    engine, n_jobs, _ = ENGINES[name]
    settings = {"penalty": "l1", "alpha": 0.01, **RATES[rate], "eta0": 0.1, "max_iter": 6}
    one = classifier(**settings).fit(X, y).coef_[0] != 0
    two = classifier(engine, n_jobs, **settings).fit(X, y).coef_[0] != 0
    assert 15 < one.sum() < 100
    assert np.sum(one & two) >= 0.9 * np.sum(one | two)


def test_adagrad_leaves_zeros_on_two_threads_as_on_one():
    """Which of the weights without meaning are 0 depends on the order of rows; how many, not.

    Without an order of the threads, the last merge or step may be that of a thread whose clock is behind: the penalty
    up to the other's clock has been taken already, and what it adds stays.
    """
    X, y = few_matter()
    engine, n_jobs, _ = ENGINES["deterministic"]
    settings = {"penalty": "l1", "alpha": 0.05, **RATES["adagrad"], "eta0": 0.1}
    one = classifier(**settings).fit(X, y).coef_[0] == 0
    two = classifier(engine, n_jobs, **settings).fit(X, y).coef_[0] == 0
    assert one.sum() > 20
    assert two.sum() > one.sum() / 2


# ---------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("settings", REPEATED, ids=name_of)
@pytest.mark.parametrize("shuffle", [False, True, "blocks", "full"])
@pytest.mark.parametrize("sparse", [True, False])
def test_rows_of_weight_0_are_rows_removed(settings, shuffle, sparse):
    X, y = problem(1000, 60)
    X = X if sparse else X.toarray()
    weights = np.random.default_rng(1).choice([0.0, 0.5, 2.0], size=1000)
    kept = weights > 0
    with_zeros = classifier(shuffle=shuffle, **settings).fit(X, y, sample_weight=weights)
    without = classifier(shuffle=shuffle, **settings).fit(X[kept], y[kept], sample_weight=weights[kept])
    assert with_zeros.t_ == without.t_ == 1 + 4 * kept.sum()
    assert bits(with_zeros) == bits(without)


@pytest.mark.parametrize("name", list(ENGINES))
def test_rows_of_weight_0_are_not_stepped_or_counted(name):
    """Rows of weight 0 that would ruin the model if they were used."""
    engine, n_jobs, _ = ENGINES[name]
    X, y = problem()
    X, weights = X.copy(), np.ones(N_ROWS)
    for i in range(0, N_ROWS, 7):
        X.data[X.indptr[i] : X.indptr[i + 1]] = 1e150
        weights[i] = 0
    fitted = classifier(engine, n_jobs).fit(X, y, sample_weight=weights)
    assert fitted.t_ == 1 + 4 * np.count_nonzero(weights)
    assert np.abs(fitted.coef_).max() < 1e3


@pytest.mark.parametrize("name", list(ENGINES))
@pytest.mark.parametrize("n_rows", [512, 700, 1025])
def test_every_row_is_stepped_once_an_epoch(name, n_rows):
    """Each row has a feature of its own; one epoch of a step that no other row changes makes its weight known."""
    engine, n_jobs, _ = ENGINES[name]
    X, y = sp.eye_array(n_rows, format="csr"), np.arange(n_rows) % 2
    settings = {"loss": "squared_error", "penalty": None, "learning_rate": "constant", "eta0": 0.25}
    if name in ("mean", "simulated 16", "simulated head"):  # factors below 1 are theirs
        settings["loss"] = "perceptron"
    fitted = classifier(engine, n_jobs, fit_intercept=False, max_iter=1, **settings).fit(X, y)
    assert fitted.t_ == 1 + n_rows
    moved = fitted.coef_[0] * (2 * y - 1)
    assert (moved > 0).all()
    assert moved.max() <= 0.25 + 1e-12
    if name in ("sequential", "sum", "no head", "shared", "atomic"):
        np.testing.assert_allclose(moved, 0.25, rtol=1e-12)


# ---------------------------------------------------------------------------------------------- what runs


@pytest.mark.parametrize(
    ("n_jobs", "n_rows", "expected"),
    [(None, 4096, 1), (1, 4096, 1), (2, 511, 1), (2, 512, 2), (3, 4096, 3), (8, 800, 3)],
)
@pytest.mark.parametrize("engine", ["auto", "shared", Replicas(deterministic=True)])
def test_n_jobs_is_an_upper_bound_and_a_thread_has_256_rows(engine, n_jobs, n_rows, expected):
    X, y = problem()
    fitted = classifier(engine, n_jobs, max_iter=1).fit(X[:n_rows], y[:n_rows])
    assert fitted.n_threads_ == expected
    assert isinstance(fitted.engine_, Sequential) == (expected == 1)


def test_rows_of_weight_0_give_no_threads():
    X, y = problem()
    weights = np.zeros(N_ROWS)
    weights[:500] = 1
    assert classifier(n_jobs=4, max_iter=1).fit(X, y, sample_weight=weights).n_threads_ == 1


def test_minus_one_is_all_usable_cores():
    X, y = problem()
    assert classifier(n_jobs=-1, max_iter=1).fit(X, y).n_threads_ == min(usable_cores(), N_ROWS // 256)


def test_fitted_engine_tells_interval_and_head():
    X, y = problem()
    assert classifier(Replicas(interval=128, head=7), 2).fit(X, y).engine_ == Replicas(interval=128, head=7)
    chosen = classifier(n_jobs=2).fit(X, y).engine_
    assert isinstance(chosen, Replicas)
    assert chosen.interval >= 1


def test_a_head_of_all_features_is_everything_replicated():
    X, y = problem()
    assert classifier(Replicas(head=N_FEATURES), 2).fit(X, y).engine_.head is None


def test_deterministic_threads_name_the_memory_limit(monkeypatch):
    monkeypatch.setattr(runners, "MEMORY_LIMIT", 1000)
    X, y = problem()
    with pytest.raises(ValueError, match=r"replicas of all 201 parameters on 2 threads take .* MB; the limit is"):
        classifier(Replicas(deterministic=True), 2).fit(X, y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"interval": 0}, "interval must be at least 1 row, found 0"),
        ({"head": -1}, "head must be at least 0 features, found -1"),
        ({"merge": "median"}, "merge must be one of .*found 'median'"),
        ({"deterministic": True, "head": 3}, "leave head unset"),
    ],
)
def test_wrong_settings_of_an_engine_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        Replicas(**wrong)


def test_unknown_engines_are_told():
    with pytest.raises(ValueError, match=r"engine must be one of auto, .*found 'warp'"):
        resolve_engine("warp", 2)
    with pytest.raises(ValueError, match="found 3"):
        resolve_engine(3, 2)
