"""Gradients of any model pushed to shards that apply a rule: beside one process, for dictionaries and NamedTuples."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from cluster.naive_cluster import NaiveRule, run_bsp, table_of

import hogwild
from hogwild.cluster.protocol import Chunk, Lease, Part, Phase, Prepare
from hogwild.cluster.workloads.gradients import (
    ArrayBatches,
    DrawnBatches,
    FunctionModel,
    GradientProblem,
    GradientWorkload,
    batch_chunks,
)
from hogwild.engine.training import DivergedError


class Net(NamedTuple):
    """A network of one hidden layer."""

    inner: np.ndarray
    outer: np.ndarray
    bias: np.ndarray


def forward(params, X):
    hidden = np.tanh(X @ params.inner)
    return hidden, hidden @ params.outer + params.bias


def net_gradient(params, batch):
    """Backpropagation of the mean of half the squared errors."""
    X, y = batch
    hidden, scores = forward(params, X)
    error = (scores - y) / len(y)
    back = np.outer(error, params.outer) * (1 - hidden**2)
    return float(((scores - y) ** 2).mean() / 2), Net(X.T @ back, hidden.T @ error, error.sum(keepdims=True))


def problem(n=2_000, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4)).astype(dtype)
    start = Net(*(rng.normal(0, 0.5, shape).astype(dtype) for shape in ((4, 8), 8, 1)))
    return X, np.sin(X[:, 0]).astype(dtype) + X[:, 1] * 0.5, start


def in_a_loop(given, workers=1, shards=1, epochs=1):
    """Train on the naive cluster."""
    first = given.make_model()
    table = first.table
    cuts, start = table.cuts(shards), table.gather(first.params, table.zeros())
    stores = [NaiveRule(table.layout, low, high, start[low:high], given.rule) for low, high in pairwise(cuts)]
    workloads = [GradientWorkload(given, cuts, k) for k in range(workers)]
    chunks = batch_chunks(given.batches.n_batches, workers)
    losses, _ = run_bsp(workloads, stores, chunks, epochs, given.phase_batches)
    table.scatter(table_of(stores), first.params)
    return first.pack(first.params), losses


def test_the_gradient_of_the_network_is_right():
    X, y, start = problem(50)
    found = hogwild.check_gradient(
        lambda p: net_gradient(p, (X, y))[0], lambda p: net_gradient(p, (X, y))[1], start, tol=1e-5
    )
    assert found, str(found)


@pytest.mark.parametrize("rule", ["sgd", "adagrad"])
@pytest.mark.parametrize("shards", [1, 3])
def test_one_worker_is_the_plain_loop(rule, shards):
    X, y, start = problem(640)
    batches = ArrayBatches((X, y), 32, shuffle=False)
    given = GradientProblem(lambda: FunctionModel(net_gradient, start), batches, 0.1, rule)
    params, losses = in_a_loop(given, shards=shards, epochs=2)
    own, sums, expected = Net(*map(np.copy, start)), [0.0, 0.0, 0.0], []
    for _ in range(2):
        seen = []
        for k in range(20):
            rows = slice(32 * k, 32 * k + 32)
            loss, gradients = net_gradient(own, (X[rows], y[rows]))
            seen.append(loss)
            for n, (value, gradient) in enumerate(zip(own, gradients, strict=True)):
                sums[n] = sums[n] + gradient**2
                value -= 0.1 * gradient / (np.sqrt(sums[n]) if rule == "adagrad" else 1.0)
        expected.append(np.mean(seen))
    for one, other in zip(params, own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)


@pytest.mark.parametrize(("n_push", "n_fetch"), [(1, 1), (4, 4), (2, 6), (6, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_four_workers_learn(n_push, n_fetch, dtype):
    X, y, start = problem(2_048, dtype)
    batches = ArrayBatches({"X": X, "y": y}, 16)

    def gradient(params, batch):
        return net_gradient(params, (batch["X"], batch["y"]))

    given = GradientProblem(lambda: FunctionModel(gradient, start), batches, 0.1, "sgd", n_push, n_fetch)
    many, losses = in_a_loop(given, workers=4, shards=2, epochs=10)
    assert many.inner.dtype == dtype and losses[-1] < losses[0]
    ends = [np.mean((forward(params, X)[1] - y) ** 2) / 2 for params in (start, many)]
    assert ends[1] < 0.1 * ends[0]  # each sum of gradients is up to 24 batches old


def test_batches_that_a_function_draws_are_the_same_whoever_draws():
    def draw(rng):
        return rng.normal(size=3)

    def gradient(params, batch):
        assert isinstance(params, dict)
        return float(((params["w"] - batch) ** 2).sum() / 2), {"w": params["w"] - batch}

    batches = DrawnBatches(draw, 200, seed=4)
    np.testing.assert_array_equal(batches.draw(2, 17)[0], DrawnBatches(draw, 200, 4).draw(2, 17)[0])
    given = GradientProblem(lambda: FunctionModel(gradient, {"w": np.full(3, 9.0), "k": 1}), batches, 0.05)
    params, losses = in_a_loop(given, workers=3, epochs=2)
    assert params["k"] == 1 and abs(params["w"]).max() < 1 and losses[-1] < losses[0]


def test_every_row_is_in_one_batch_of_an_epoch():
    batches = ArrayBatches((np.arange(103), np.arange(103)), 10, seed=1)
    seen = [np.concatenate([batches.draw(turn, k)[0][0] for k in range(batches.n_batches)]) for turn in (1, 2)]
    for one in seen:
        np.testing.assert_array_equal(np.sort(one), np.arange(103))
    assert (seen[0] != seen[1]).any()


def test_what_was_not_pushed_is_pushed_before_silence():
    given = GradientProblem(
        lambda: FunctionModel(lambda params, batch: (0.0, {"w": np.ones(2)}), {"w": np.zeros(2)}),
        DrawnBatches(lambda rng: None, 10),
        0.1,
        n_push=4,
    )
    worker = GradientWorkload(given, np.array([0, 2]))
    lease = Lease(0, 1, Chunk(0, 10, (0, 10)), 0, 10)
    parts = [(Part(lease, k, k + 3),) for k in (0, 3, 6)]
    store = NaiveRule(worker.table.layout, 0, 2, np.zeros((2, 1)))
    pulled = (store.read(worker.run(Prepare(parts[0], True)).pulls[0]),)
    first = worker.run(Phase(parts[0], pulled, 0.0, 1, parts[1]))
    assert first.pushes == (None,) and first.pulls[0] is not None
    second = worker.run(Phase(parts[1], pulled, 0.0, 1, parts[2]))
    assert (second.pushes[0].values == 6).all() and second.pushes[0].rows == 6
    last = worker.run(Phase(parts[2], pulled, 0.0, 1, ()))
    assert (last.pushes[0].values == 3).all() and last.pulls == ()


def test_errors_name_what_was_found():
    X, y, start = problem(64)

    def run(gradient, schedule=0.1, params=start):
        return in_a_loop(GradientProblem(lambda: FunctionModel(gradient, params), ArrayBatches((X, y)), schedule), 1)

    with pytest.raises(TypeError, match=r"only_loss returned 1\.0, expected a pair: loss and gradients"):

        def only_loss(params, batch):
            return 1.0

        run(only_loss)
    with pytest.raises(ValueError, match=r"for outer, expected an array of shape \(8,\)"):
        run(lambda params, batch: (0.0, {"inner": np.zeros((4, 8)), "bias": np.zeros(1)}))
    with pytest.raises(DivergedError, match=r"phase #1 of worker 0: loss or gradient is not finite"):
        run(lambda params, batch: (np.nan, params))
    with pytest.raises(ValueError, match="rule must be sgd, adagrad, ftrl; found 'adam'"):
        GradientProblem(lambda: None, ArrayBatches((X, y)), 0.1, "adam")
    with pytest.raises(ValueError, match="n_push must be an integer of at least 1, found 0"):
        GradientProblem(lambda: None, ArrayBatches((X, y)), 0.1, n_push=0)
    with pytest.raises(ValueError, match="found 63 and 64 rows"):
        ArrayBatches((X, y[1:]))
