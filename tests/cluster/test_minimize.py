"""`hogwild.cluster.minimize`: a step of a user's own on several workers, beside plain NumPy and one worker."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import naive_own
import numpy as np
import pytest
import scipy.sparse as sp
from cluster.naive_cluster import NaiveStore, run_bsp, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

import hogwild
from hogwild.cluster.flat import FlatTable, merges_for
from hogwild.cluster.workloads.own import OwnProblem, OwnWorkload, own_chunks
from hogwild.cluster.workloads.probing import probe
from hogwild.engine.training import DivergedError


class Weights(NamedTuple):
    w: np.ndarray


class Factors(NamedTuple):
    P: np.ndarray
    Q: np.ndarray
    rate: float = 1.0


class Ratings(NamedTuple):
    user: np.ndarray
    item: np.ndarray
    value: np.ndarray


@hogwild.step(w="damped")
def squared(row, params, eta):
    w, score = params.w, 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905  the compiler knows no strict=
        score += w[j] * x
    error = score - row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        w[j] -= eta * error * x
    return error * error / 2


def squared_loss(row, params):
    score = 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905
        score += params.w[j] * x
    return (score - row.target) ** 2 / 2


def factorise(row, params, eta):
    p, q = params.P[row.user], params.Q[row.item]
    error = -row.value
    for k in range(p.size):
        error += p[k] * q[k]
    for k in range(p.size):
        move = params.rate * eta * error
        p[k], q[k] = p[k] - move * q[k], q[k] - move * p[k]
    return error * error / 2


def factor_loss(row, params):
    p, q = params.P[row.user], params.Q[row.item]
    error = -row.value
    for k in range(p.size):
        error += p[k] * q[k]
    return error * error / 2


SEEN: list = []


def not_compilable(row, params, eta):
    SEEN.append(row.index)  # a global list
    error = params.w[row.indices] @ row.values - row.target
    params.w[row.indices] -= eta * error * row.values
    return error**2 / 2


def problem(n=1_200, d=12, seed=0, dtype=np.float64, density=0.4):
    rng = np.random.default_rng(seed)
    X = sp.random(n, d, density, "csr", dtype, random_state=rng)
    y = (X @ rng.normal(size=d) + 0.1 * rng.normal(size=n)).astype(dtype)
    return X, y


def in_a_loop(given, workers=1, shards=1, epochs=1, phase_rows=100):
    """Train on the naive cluster; returns the parameters, losses by epoch, and the workloads' results."""
    task, _, pack = given.prepare()
    table = given.table(task)
    cuts, start = table.cuts(shards), table.gather(task.params, table.zeros())
    n_rows = task.n_kept
    stores = [NaiveStore(table.layout, low, high, start[low:high]) for low, high in pairwise(cuts)]
    workloads = [OwnWorkload(given, cuts, k) for k in range(workers)]
    losses, results = run_bsp(workloads, stores, own_chunks(n_rows, workers), epochs, phase_rows)
    table.scatter(table_of(stores), task.params)
    return pack(task.params), losses, results


# ------------------------------------------------------------------------------------------------ one worker


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("shards", [1, 3])
def test_one_worker_in_file_order_is_the_numpy_loop(form, shards):
    X, y = problem()
    given = OwnProblem(
        squared, (X if form == "sparse" else X.toarray(), y), Weights(np.zeros(12)), 0.1, sampling="file"
    )
    params, losses, _ = in_a_loop(given, shards=shards, epochs=3)
    visits = naive_own.orders(1_200, 3, 0, False, np.empty(0, np.uint32))
    w, expected = naive_own.least_squares(X.toarray(), y, np.zeros(12), visits, lambda t: 0.1)
    np.testing.assert_allclose(params.w, w, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    assert isinstance(params, Weights)


def test_the_schedule_follows_the_global_clock():
    X, y = problem()
    for schedule, eta in [
        (("invscaling", 0.5), lambda t: 0.5 / np.sqrt(t)),
        (("epoch_decay", 0.1, 0.5), lambda t: 0.1 * 0.5 ** ((t - 1) // 1_200)),
        (lambda t: 1 / (10 + t), lambda t: 1 / (10 + t)),
    ]:
        params, _, _ = in_a_loop(OwnProblem(squared, (X, y), {"w": np.zeros(12)}, schedule, sampling="file"), epochs=2)
        visits = naive_own.orders(1_200, 2, 0, False, np.empty(0, np.uint32))
        w, _ = naive_own.least_squares(X.toarray(), y, np.zeros(12), visits, eta)
        np.testing.assert_allclose(params["w"], w, rtol=1e-9)


@pytest.mark.parametrize("sampling", ["shuffle", "file"])
def test_rows_of_an_epoch_are_stepped_once_each(sampling):
    X, y = problem(700)
    weight = np.ones(700)
    weight[::7] = 0.0

    @hogwild.step(count="add")
    def tally(row, params, eta):
        params.count[row.index] += 1.0
        return 0.0

    given = OwnProblem(tally, (X, y, weight), {"count": np.zeros(700)}, 1.0, sampling=sampling, seed=3)
    params, _, _ = in_a_loop(given, workers=3, shards=2, epochs=2, phase_rows=50)
    np.testing.assert_array_equal(params["count"], 2.0 * (weight > 0))


# ------------------------------------------------------------------------------------------------ several workers


@pytest.mark.parametrize("loss", [None, squared_loss])
@pytest.mark.parametrize("workers", [2, 8])
def test_several_workers_come_as_far_as_one(workers, loss):
    X, y = problem(4_000)
    given = OwnProblem(squared, (X, y), Weights(np.zeros(12)), 0.1, loss=loss)
    one, _, _ = in_a_loop(given, epochs=3)
    many, _, results = in_a_loop(given, workers, shards=2, epochs=3, phase_rows=125)
    objective = [np.mean((X @ params.w - y) ** 2) / 2 for params in (one, many)]
    assert objective[1] < 1.1 * objective[0] + 1e-4
    assert all(np.isfinite(r.constant) == (loss is not None) for r in results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_in_a_named_tuple_with_a_constant(dtype):
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(60, 3)), rng.normal(size=(50, 3))
    u, i = rng.integers(0, 60, 6_000), rng.integers(0, 50, 6_000)
    data = Ratings(u, i, (P[u] * Q[i]).sum(axis=1))
    start = Factors(rng.normal(0, 0.3, (60, 3)).astype(dtype), rng.normal(0, 0.3, (50, 3)).astype(dtype), 0.5)
    given = OwnProblem(factorise, data, start, 0.2, loss=factor_loss)
    one, _, _ = in_a_loop(given, epochs=6)
    many, losses, _ = in_a_loop(given, workers=4, shards=3, epochs=6, phase_rows=100)
    assert many.rate == 0.5 and many.P.dtype == dtype and many.P.shape == (60, 3)

    def rmse(params):
        return float(np.sqrt(np.mean(((params.P[u] * params.Q[i]).sum(axis=1) - data.value) ** 2)))

    assert rmse(many) < 0.35 * rmse(start) and rmse(many) < 2 * rmse(one) + 0.05
    assert losses[-1] < losses[0]


def test_a_step_that_only_python_can_run():
    X, y = problem(600)
    given = OwnProblem(not_compilable, (X, y), {"w": np.zeros(12)}, 0.1, n_jobs=2)
    params, _, _ = in_a_loop(given, workers=2, epochs=3, phase_rows=50)
    assert np.mean((X @ params["w"] - y) ** 2) / 2 < 0.05
    assert OwnWorkload(given, np.array([0, 12])).message.startswith("not compiled, runs in Python in this process")


def test_threads_within_a_worker():
    X, y = problem(8_000)
    given = OwnProblem(squared, (X, y), Weights(np.zeros(12)), 0.05, loss=squared_loss, n_jobs=2)
    params, _, _ = in_a_loop(given, workers=2, shards=2, epochs=3, phase_rows=1_000)
    assert np.mean((X @ params.w - y) ** 2) / 2 < 0.02


def test_batches_of_any_kind():
    X, y = problem(2_000)
    X = X.toarray()

    def draw(rng):
        chosen = rng.integers(0, len(y), 32)
        return {"X": X[chosen], "y": y[chosen]}

    def step(batch, params, eta):
        error = batch["X"] @ params.w - batch["y"]
        params.w[...] -= eta * batch["X"].T @ error / len(error)
        return float(error @ error) / 2 / len(error)

    given = OwnProblem(step, 200, {"w": np.zeros(12)}, 0.3, batch=draw)
    params, losses, _ = in_a_loop(given, workers=4, shards=2, epochs=4, phase_rows=5)
    assert losses[-1] < 0.01 < losses[0]
    again, _, _ = in_a_loop(given, workers=4, shards=2, epochs=4, phase_rows=5)
    np.testing.assert_array_equal(again["w"], params["w"])


def test_sums_are_added_and_means_are_averaged():
    @hogwild.step(total="add", level="mean", seldom="none")
    def tally(row, params, eta):
        params.total[0] += 1.0
        params.level[0] += eta * (row.value - params.level[0])
        params.seldom[row.key] += 1.0
        return 0.0

    data = {"value": np.ones(2_048), "key": np.arange(2_048) % 10}
    start = {"total": np.zeros(1), "level": np.zeros(1), "seldom": np.zeros(10), "table": np.arange(3)}
    params, _, _ = in_a_loop(OwnProblem(tally, data, start, 0.01), workers=4, shards=2, phase_rows=64)
    assert params["total"][0] == 2_048 and (params["seldom"] == np.bincount(data["key"])).all()
    rounds = 2_048 / 64 / 4
    np.testing.assert_allclose(params["level"][0], 1 - 0.99 ** (64 * rounds), rtol=1e-9)
    np.testing.assert_array_equal(params["table"], [0, 1, 2])


# ------------------------------------------------------------------------------------------------ the table


@settings(max_examples=40, deadline=None)
@given(
    shapes=st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), min_size=0, max_size=3),
            st.sampled_from(["float32", "float64"]),
            st.sampled_from(["damped", "add", "mean", "none"]),
        ),
        min_size=1,
        max_size=5,
    ),
    n_shards=st.integers(1, 4),
    seed=st.integers(0, 1_000),
)
def test_tables_give_back_what_they_got(shapes, n_shards, seed):
    rng = np.random.default_rng(seed)
    names = [f"a{k}" for k in range(len(shapes))]
    kind = NamedTuple("Kind", [(name, np.ndarray) for name in names])
    given = kind(*(rng.normal(size=shape).astype(dtype).reshape(shape) for shape, dtype, _ in shapes))
    table = FlatTable(given, {name: how for name, (_, _, how) in zip(names, shapes, strict=True)})
    packed = table.gather(given, table.zeros())
    back = kind(*(np.zeros_like(array) for array in given))
    table.scatter(packed, back)
    for one, other in zip(given, back, strict=True):
        np.testing.assert_array_equal(one, other)
    cuts, layout = table.cuts(n_shards), table.layout
    assert cuts[0] == 0 and cuts[-1] == table.n_keys == layout.n_keys and (np.diff(cuts) >= 0).all()
    assert (layout.rest.reshape(-1)[: table.n_damped] == 0).all() and (layout.rest.reshape(-1)[table.n_damped :]).all()


def test_curvature_in_python_is_the_row_sum_of_least_squares():
    X, y = problem(64, 5, density=1.0)
    given = OwnProblem(squared, (X, y), Weights(np.full(5, 0.5)), 0.1)
    task, _, _ = given.prepare()
    table = given.table(task)
    base = table.gather(task.params, table.zeros())
    found = probe(squared, (task.view.row(task.rows, i) for i in range(64)), task.params, table, base, 0.1)
    np.testing.assert_allclose(found, naive_own.row_sums(X.toarray()), rtol=1e-4)
    np.testing.assert_array_equal(task.params.w, 0.5)


# ------------------------------------------------------------------------------------------------ errors


def test_divergence_names_the_step_size():
    X, y = problem()
    with pytest.raises(DivergedError, match=r"phase #\d+ of worker 0: the step size \(eta=1e\+09 of squared\)"):
        in_a_loop(OwnProblem(squared, (X, y), Weights(np.zeros(12)), 1e9), epochs=3)


def test_what_cannot_be_trained_is_told():
    X, y = problem(50)

    def silent(row, params, eta):
        params.w[0] = 0.0

    def counting(row, params, eta):
        params.n[0] += 1
        return 0.0

    with pytest.raises(TypeError, match="silent returned nothing, expected a number"):
        OwnProblem(silent, (X, y), {"w": np.zeros(12)}, 0.1).prepare()
    with pytest.raises(ValueError, match=r"counting has changed params\.n, an array of int64: workers exchange float"):
        in_a_loop(OwnProblem(counting, (X, y), {"w": np.zeros(12), "n": np.zeros(1, int)}, 0.1))
    with pytest.raises(ValueError, match="no floating-point array to be trained; found n"):
        given = OwnProblem(counting, (X, y), {"n": np.zeros(1, int)}, 0.1)
        given.table(given.prepare()[0])
    with pytest.raises(ValueError, match="give batch="):
        OwnProblem(squared, 10, {"w": np.zeros(12)}, 0.1).prepare()
    with pytest.raises(ValueError, match="an int"):
        OwnProblem(squared, (X, y), {"w": np.zeros(12)}, 0.1, batch=lambda rng: 0).prepare()
    with pytest.raises(ValueError, match="processes already"):
        OwnProblem(squared, (X, y), {"w": np.zeros(12)}, 0.1, engine="processes").prepare()
    with pytest.raises(ValueError, match="declares how 'w' merges, but the parameters are v"):
        merges_for(NamedTuple("P", [("v", np.ndarray)])(np.zeros(2)), {"w": "damped"})
