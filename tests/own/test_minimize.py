"""`minimize`: a user's own step on every engine, beside plain NumPy and the sequential run."""

from __future__ import annotations

import re
from typing import NamedTuple

import naive_own
import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import hogwild
from hogwild.engine import Locked, Processes, Replicas, RoundRobin, Sequential, Shared

NONE = np.empty(0, np.uint32)


class Weights(NamedTuple):
    w: np.ndarray


class Ratings(NamedTuple):
    user: np.ndarray
    item: np.ndarray
    value: np.ndarray


class Factors(NamedTuple):
    P: np.ndarray
    Q: np.ndarray


def score_of(row, params):
    score = 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905  the compiler knows no strict=
        score += params.w[j] * x
    return score


compiled_score = numba.njit(score_of)


@hogwild.step(w="damped")
def squared(row, params, eta):
    w, score = params.w, 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905
        score += w[j] * x
    error = score - row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        w[j] -= eta * error * x
    return error * error / 2


def squared_loss(row, params):
    error = compiled_score(row, params) - row.target
    return error * error / 2


def factorise(row, params, eta):
    p, q = params.P[row.user], params.Q[row.item]
    error = -row.value
    for k in range(p.size):
        error += p[k] * q[k]
    for k in range(p.size):
        p[k], q[k] = p[k] - eta * error * q[k], q[k] - eta * error * p[k]
    return error * error / 2


def factor_loss(row, params):
    p, q = params.P[row.user], params.Q[row.item]
    error = -row.value
    for k in range(p.size):
        error += p[k] * q[k]
    return error * error / 2


def vectorised(row, params, eta):
    """What a user of NumPy writes: arrays are made, so reference counts are needed."""
    error = np.sum(params.w[row.indices] * row.values) - row.target
    params.w[row.indices] -= eta * error * row.values
    return error**2 / 2


SEEN: list = []


def not_compilable(row, params, eta):
    SEEN.append(type(row).__name__)  # a global list
    error = params.w[row.indices] @ row.values - row.target
    params.w[row.indices] -= eta * error * row.values
    return error**2 / 2


def problem(n=600, d=12, seed=0, dtype=np.float64, density=0.4):
    rng = np.random.default_rng(seed)
    X = sp.random(n, d, density, "csr", dtype, random_state=rng)
    y = (X @ rng.normal(size=d) + 0.1 * rng.normal(size=n)).astype(dtype)
    return X, y


def ratings(n=3_000, users=60, items=50, k=3, seed=0):
    rng = np.random.default_rng(seed)
    P, Q = rng.normal(size=(users, k)), rng.normal(size=(items, k))
    u, i = rng.integers(0, users, n), rng.integers(0, items, n)
    start = Factors(rng.normal(0, 0.3, (users, k)), rng.normal(0, 0.3, (items, k)))
    return Ratings(u, i, (P[u] * Q[i]).sum(axis=1)), start


# ------------------------------------------------------------------------------------------------ one thread


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("sampling", ["file", "shuffle", "with_replacement"])
def test_one_thread_is_the_numpy_loop(form, sampling):
    X, y = problem()
    given = X if form == "sparse" else X.toarray()
    shuffle = {"file": False, "shuffle": "full"}.get(sampling, sampling)
    result = hogwild.minimize(
        squared, (given, y), Weights(np.zeros(12)), schedule=0.1, epochs=3, random_state=5, sampling=sampling
    )
    visits = naive_own.orders(600, 3, 5, shuffle, NONE)
    w, losses = naive_own.least_squares(X.toarray(), y, np.zeros(12), visits, lambda t: 0.1)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-10)
    assert isinstance(result.params, Weights) and result.engine == Sequential() and result.compiled
    if sampling == "with_replacement":
        assert len(set(visits[0].tolist())) < 600


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 700), d=st.integers(1, 9), seed=st.integers(0, 2**31), density=st.sampled_from([0.0, 0.2, 1.0]))
def test_small_problems_are_the_numpy_loop(n, d, seed, density):
    X, y = problem(n, d, seed, density=density)
    start = np.random.default_rng(seed).normal(size=d)
    kept = start.copy()
    result = hogwild.minimize(squared, (X, y), Weights(start), schedule=0.05, epochs=2, random_state=seed)
    visits = naive_own.orders(n, 2, seed, "full", NONE)
    w, losses = naive_own.least_squares(X.toarray(), y, start, visits, lambda t: 0.05)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.history.progressive, losses, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(start, kept)  # what was given is not changed


@pytest.mark.parametrize(
    ("schedule", "eta"),
    [
        (lambda t: 0.2 / (1 + 0.01 * t), lambda t: 0.2 / (1 + 0.01 * t)),
        (("invscaling", 0.3), lambda t: 0.3 / np.sqrt(t)),
        (("invscaling", 0.3, 0.25), lambda t: 0.3 / t**0.25),
        (("bottou", 0.1, 0.05), lambda t: 0.1 / (1 + 0.005 * (t - 1))),
        (("optimal", 0.05, 100.0), lambda t: 1 / (0.05 * (99 + t))),
        (("epoch_decay", 0.1), lambda t: 0.1 * 0.9 ** ((t - 1) // 300)),
        (("epoch_decay", 0.1, 0.5), lambda t: 0.1 * 0.5 ** ((t - 1) // 300)),
    ],
)
def test_schedules_count_rows_globally(schedule, eta):
    X, y = problem(300)
    result = hogwild.minimize(squared, (X, y), Weights(np.zeros(12)), schedule=schedule, epochs=3, sampling="file")
    visits = [np.arange(300)] * 3
    w, _ = naive_own.least_squares(X.toarray(), y, np.zeros(12), visits, eta)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-9)


def test_a_schedule_that_only_python_can_run():
    X, y = problem(300)
    table = {"eta": 0.1}
    result = hogwild.minimize(squared, (X, y), Weights(np.zeros(12)), schedule=lambda t: table["eta"], sampling="file")
    w, _ = naive_own.least_squares(X.toarray(), y, np.zeros(12), [np.arange(300)], lambda t: 0.1)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-9)


def test_rows_without_weight_are_left_out_and_others_have_theirs():
    X, y = problem(400)
    weight = np.where(np.arange(400) % 3 == 0, 0.0, 2.0)

    def weighted(row, params, eta):
        return row.weight * squared_step(row, params, eta * row.weight)

    squared_step = numba.njit(squared)
    data = (X, y, weight)
    result = hogwild.minimize(weighted, data, Weights(np.zeros(12)), schedule=0.05, sampling="file", loss=squared_loss)
    some = np.flatnonzero(weight)
    w, _ = naive_own.least_squares(X.toarray(), y, np.zeros(12), [some], lambda t: 0.1)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-9)
    expected = np.mean((X[some] @ w - y[some]) ** 2) / 2
    np.testing.assert_allclose(result.history.loss, [expected], rtol=1e-9)


def test_float32_and_class_targets_keep_their_types():
    X, y = problem(300, dtype=np.float32)

    def check(row, params, eta):
        params.counts[row.target] += 1
        return 0.0

    labels = (y > 0).astype(np.int64)
    result = hogwild.minimize(check, (X, labels), {"counts": np.zeros(2, np.int64)}, schedule=1.0)
    assert result.params["counts"].tolist() == np.bincount(labels).tolist()
    assert isinstance(result.params, dict)
    fitted = hogwild.minimize(squared, (X, y), Weights(np.zeros(12, np.float32)), schedule=0.1)
    assert fitted.params.w.dtype == np.float32


def test_factors_of_ratings():
    data, start = ratings()
    result = hogwild.minimize(
        factorise, data, start, schedule=0.1, epochs=30, random_state=1, sampling="file", loss=factor_loss
    )
    P, Q = naive_own.factorise(data, *start, [np.arange(len(data.user))] * 30, 0.1)
    np.testing.assert_allclose(result.params.P, P, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(result.params.Q, Q, rtol=1e-6, atol=1e-9)
    assert result.history.loss[-1] < 1e-2 < result.history.loss[0]


def test_columns_as_dict_and_tuple():
    data, start = ratings(500)
    first = hogwild.minimize(factorise, data._asdict(), start, schedule=0.1, random_state=0)

    def of_tuple(row, params, eta):
        params.n[0] += row.column0
        return 0.0

    second = hogwild.minimize(of_tuple, (np.arange(5), np.ones(5)), {"n": np.zeros(1)}, schedule=1.0)
    assert second.params["n"][0] == 10 and first.history.loss[0] < 10


def test_steps_that_make_arrays_are_compiled_with_reference_counts():
    X, y = problem(300)
    result = hogwild.minimize(vectorised, (X, y), Weights(np.zeros(12)), schedule=0.1, sampling="file")
    w, _ = naive_own.least_squares(X.toarray(), y, np.zeros(12), [np.arange(300)], lambda t: 0.1)
    assert result.compiled and not result.message
    np.testing.assert_allclose(result.params.w, w, rtol=1e-9)


def test_a_global_that_changed_is_seen():
    X, y = problem(50)
    names = {"__builtins__": __builtins__, "FACTOR": 1.0}
    exec("def counting(row, params, eta):\n    params.n[0] += FACTOR\n    return 0.0\n", names)
    first = hogwild.minimize(names["counting"], (X, y), {"n": np.zeros(1)}, schedule=1.0)
    names["FACTOR"] = 2.0
    second = hogwild.minimize(names["counting"], (X, y), {"n": np.zeros(1)}, schedule=1.0)
    assert (first.params["n"][0], second.params["n"][0]) == (50, 100)


# ------------------------------------------------------------------------------------------------ several threads

LARGE = problem(20_000, 200, density=0.05)
ENGINES = ["shared", "replicas", "locked", "round_robin", "auto", Replicas(merge="mean"), Replicas(merge="sum")]


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_every_engine_comes_as_far(engine):
    X, y = LARGE
    start = Weights(np.zeros(200))
    alone = hogwild.minimize(squared, (X, y), start, schedule=0.1, epochs=4, random_state=0)
    result = hogwild.minimize(squared, (X, y), start, schedule=0.1, epochs=4, random_state=0, engine=engine, n_jobs=3)
    objective = [np.mean((X @ one.params.w - y) ** 2) / 2 for one in (alone, result)]
    assert result.n_threads == 3
    assert objective[1] < 1.1 * objective[0] + 1e-3
    if engine == "auto":
        assert isinstance(result.engine, Replicas) and result.engine.merge == "damped"


def test_round_robin_has_the_bits_of_the_sequential_run():
    X, y = LARGE
    start = Weights(np.zeros(200))
    alone = hogwild.minimize(squared, (X, y), start, schedule=0.1, epochs=2, random_state=3)
    for engine in (RoundRobin(), RoundRobin(100), RoundRobin(1000)):
        result = hogwild.minimize(
            squared, (X, y), start, schedule=0.1, epochs=2, random_state=3, engine=engine, n_jobs=3
        )
        assert result.params.w.tobytes() == alone.params.w.tobytes()
        np.testing.assert_allclose(result.history.loss, alone.history.loss, rtol=1e-12)


@pytest.mark.parametrize("engine", ["shared", "locked", "replicas", "round_robin"])
def test_threads_visit_every_row_once(engine):
    seen = np.zeros(5_000, np.int64)

    def mark(row, params, eta):
        params.seen[row.index] += 1
        return 1.0

    data = {"value": np.arange(5_000) * 1.0}
    params = {"seen": seen, "w": np.zeros(3)}
    result = hogwild.minimize(mark, data, params, schedule=1.0, epochs=3, engine=engine, n_jobs=4, random_state=0)
    assert (result.params["seen"] == 3).all()
    assert result.history.loss == [1.0, 1.0, 1.0]


def test_locked_loses_nothing_even_with_duplicate_and_unsorted_indices():
    rng = np.random.default_rng(0)
    n, length, d = 4_000, 8, 30
    indices = rng.integers(0, d, n * length).astype(np.int32)
    X = sp.csr_matrix((np.ones(n * length), indices, np.arange(0, n * length + 1, length)), (n, d))

    def count(row, params, eta):
        for j in row.indices:
            params.counts[j] += 1
        return 0.0

    result = hogwild.minimize(
        count, (X, np.zeros(n)), {"counts": np.zeros(d, np.int64)}, schedule=1.0, epochs=3, engine="locked", n_jobs=4
    )
    assert result.engine == Locked()
    np.testing.assert_array_equal(result.params["counts"], 3 * np.bincount(indices, minlength=d))


def test_locked_on_ratings_and_dense_rows():
    data, start = ratings(4_000)
    result = hogwild.minimize(factorise, data, start, schedule=0.1, epochs=30, engine="locked", n_jobs=3)
    assert result.history.loss[-1] < 1e-2
    X, y = problem(1_000, density=1.0)
    dense = (X.toarray(), y)
    fitted = hogwild.minimize(squared, dense, Weights(np.zeros(12)), schedule=0.1, engine="locked", n_jobs=3)
    assert np.mean((X @ fitted.params.w - y) ** 2) < 0.05


def test_replicas_add_what_is_declared_so():
    @hogwild.step(total="add", w="mean", raw="none")
    def tally(row, params, eta):
        params.total[0] += row.value
        params.w[0] = 3.0
        return 0.0

    data = {"value": np.ones(8_000)}
    params = {"total": np.zeros(1), "w": np.full(1, 3.0), "raw": np.zeros(4, np.int32)}
    result = hogwild.minimize(tally, data, params, schedule=1.0, n_jobs=4)
    assert isinstance(result.engine, Replicas)
    assert result.params["total"][0] == 8_000 and result.params["w"][0] == 3.0


def test_a_loss_tunes_merges_that_nobody_declared():
    X, y = LARGE

    def undeclared(row, params, eta):
        return squared_compiled(row, params, eta)

    squared_compiled = numba.njit(squared)
    data, start = (X, y), Weights(np.zeros(200))
    result = hogwild.minimize(undeclared, data, start, schedule=0.1, epochs=3, n_jobs=4, loss=squared_loss)
    assert result.engine.merge == "self-tuned"
    alone = hogwild.minimize(undeclared, data, start, schedule=0.1, epochs=3, loss=squared_loss)
    assert result.history.loss[-1] < 1.1 * alone.history.loss[-1] + 1e-3
    classic = hogwild.minimize(undeclared, data, start, schedule=0.1, n_jobs=4)
    assert classic.engine == Shared()


def test_a_declared_curvature_is_used():
    asked = []

    def curvature(row, params, bound):
        asked.append(row.index)  # only Python can run it
        bound.w[row.indices] += abs(row.values) * abs(row.values).sum()

    @hogwild.step(curvature=curvature, w="damped")
    def own(row, params, eta):
        return squared_compiled(row, params, eta)

    squared_compiled = numba.njit(squared)
    X, y = LARGE
    result = hogwild.minimize(own, (X, y), Weights(np.zeros(200)), schedule=0.1, epochs=3, n_jobs=3)
    assert asked and np.mean((X @ result.params.w - y) ** 2) < 0.05


# ------------------------------------------------------------------------------------------------ Python


def test_a_step_that_cannot_be_compiled_says_which_and_why():
    X, y = problem(300)
    with pytest.warns(RuntimeWarning, match=r"in Python in this process: not_compilable: .+ \(line \d+\)$") as caught:
        result = hogwild.minimize(not_compilable, (X, y), Weights(np.zeros(12)), schedule=0.1, sampling="file")
    assert "\n" not in str(caught[0].message)
    w, losses = naive_own.least_squares(X.toarray(), y, np.zeros(12), [np.arange(300)], lambda t: 0.1)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-12)
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-12)
    assert not result.compiled and result.message == str(caught[0].message) and SEEN


def test_a_loss_in_python_gives_the_history():
    X, y = problem(300)
    with pytest.warns(RuntimeWarning):
        result = hogwild.minimize(
            not_compilable, (X, y), Weights(np.zeros(12)), schedule=0.1, epochs=2, loss=squared_loss
        )
    np.testing.assert_allclose(result.history.loss[-1], np.mean((X @ result.params.w - y) ** 2) / 2, rtol=1e-9)


@pytest.mark.parametrize("engine", ["auto", "sequential", "shared"])
def test_batches_of_any_kind(engine):
    X, y = problem(2_000)
    X = X.toarray()

    def draw(rng):
        chosen = rng.integers(0, len(y), 32)
        return {"X": X[chosen], "y": y[chosen]}

    def step(batch, params, eta):
        error = batch["X"] @ params.w - batch["y"]
        params.w[...] -= eta * batch["X"].T @ error / len(error)
        return float(error @ error) / 2 / len(error)

    result = hogwild.minimize(
        step, 100, {"w": np.zeros(12)}, batch=draw, schedule=0.5, epochs=4, n_jobs=3, engine=engine, random_state=0
    )
    assert result.history.loss[-1] < 0.01 < result.history.loss[0]
    assert result.n_threads == (1 if engine == "sequential" else 3)
    if engine == "sequential":
        again = hogwild.minimize(
            step, 100, {"w": np.zeros(12)}, batch=draw, schedule=0.5, epochs=4, engine=engine, random_state=0
        )
        np.testing.assert_array_equal(again.params["w"], result.params["w"])


# ------------------------------------------------------------------------------------------------ processes


@pytest.mark.parametrize("compiled", [True, False])
def test_processes_come_as_far(compiled):
    pytest.importorskip("hogwild.engine.process_pool")
    X, y = problem(4_000)
    engine = Processes(compiled=compiled)
    start, settings_ = Weights(np.zeros(12)), {"schedule": 0.05, "epochs": 3, "random_state": 0, "loss": squared_loss}
    alone = hogwild.minimize(squared, (X, y), start, **settings_)
    result = hogwild.minimize(squared, (X, y), start, **settings_, engine=engine, n_jobs=2)
    assert result.engine == engine and result.n_threads == 2 and result.compiled == compiled
    assert result.history.loss[-1] < 1.1 * alone.history.loss[-1] + 1e-3
    assert isinstance(result.params, Weights)


def test_what_only_python_can_run_runs_on_processes():
    pytest.importorskip("hogwild.engine.process_pool")
    data, start = ratings(4_000)
    unknown: list = []

    def in_python(row, params, eta):
        unknown.append(0)
        return factorise(row, params, eta)

    with pytest.warns(RuntimeWarning, match="runs in Python on 2 processes: in_python"):
        result = hogwild.minimize(in_python, data, start, schedule=0.1, epochs=5, n_jobs=2, random_state=0)
    assert result.engine == Processes(compiled=False) and result.n_threads == 2
    assert result.history.loss[-1] < 0.7 * result.history.loss[0]


def test_batches_on_processes():
    pytest.importorskip("hogwild.engine.process_pool")

    def draw(rng):
        return rng.normal(size=3)

    def step(batch, params, eta):
        params.n[0] += 0.0
        params.w[...] += eta * (batch - params.w)
        return float(((batch - params.w) ** 2).sum())

    params = {"w": np.full(3, 9.0), "n": np.zeros(1)}
    result = hogwild.minimize(
        step, 200, params, batch=draw, schedule=0.1, epochs=2, n_jobs=2, engine="processes", random_state=0
    )
    assert result.n_threads == 2 and abs(result.params["w"]).max() < 2


# ------------------------------------------------------------------------------------------------ stopping


def test_the_callback_stops_and_sees_progress():
    X, y = LARGE
    told = []

    def callback(progress):
        told.append(progress)
        return progress.epoch == 2 and progress.epoch_ended

    result = hogwild.minimize(
        squared, (X, y), Weights(np.zeros(200)), schedule=0.1, epochs=5, callback=callback, loss=squared_loss
    )
    assert result.stopped and not result.interrupted and result.n_epochs == 2 and len(result.history.loss) == 2
    assert told[-1].rows == 40_000 and told[-1].total_rows == 100_000


def test_ctrl_c_gives_a_usable_result():
    import signal

    X, y = LARGE

    def interrupt(progress):
        if progress.epoch == 1 and progress.epoch_ended:
            signal.raise_signal(signal.SIGINT)

    result = hogwild.minimize(squared, (X, y), Weights(np.zeros(200)), schedule=0.1, epochs=50, callback=interrupt)
    assert result.interrupted and result.n_epochs == 1
    assert np.isfinite(result.params.w).all() and result.params.w.any()


@pytest.mark.parametrize("eta", [1e9, float("nan")])
def test_divergence_names_the_step_and_its_size(eta):
    X, y = problem()
    with pytest.raises(hogwild.DivergedError, match=re.escape(f"eta={eta:g} of squared")):
        hogwild.minimize(squared, (X, y), Weights(np.zeros(12)), schedule=eta, epochs=20)
