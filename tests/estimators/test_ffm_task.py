"""Training the field-aware machine through the engines; libffm's arrangement and its printed digits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hogwild.engine.engines import Replicas, Shared, Simulated
from hogwild.engine.order import Order, draw_order
from hogwild.engine.runners import Plan, ReplicasRunner, SequentialRunner
from hogwild.estimators.ffm_task import (
    block_shape,
    empty_state,
    ffm_loss,
    ffm_plan,
    ffm_scores,
    from_libffm,
    make_ffm_task,
    new_ffm_state,
    row_norms,
    split_blocks,
    to_libffm,
)
from hogwild.steps.rows import SparseFieldRows

LIBFFM = Path(__file__).parents[3] / "shared" / "data" / "libffm"
EMPTY = np.empty(0, np.float32)
SIZES = {"n_fields": 7, "n_factors": 4}


def make_rows(n_rows, n_features=400, seed=0):
    """Click-like rows with planted pairs: 7 fields, features by a power law."""
    rng = np.random.default_rng(seed)
    m, own = SIZES["n_fields"], n_features // SIZES["n_fields"]
    ranks = np.minimum((own * rng.random((n_rows, m)) ** 3).astype(int), own - 1)
    indices = ranks + own * np.arange(m)
    hidden = np.random.default_rng(99).normal(size=(n_features, 3))
    scores = sum((hidden[indices[:, a]] * hidden[indices[:, a + 1]]).sum(1) for a in range(m - 1)) * 0.4
    y = np.where(rng.random(n_rows) < 1 / (1 + np.exp(-scores)), 1, -1).astype(np.float32)
    indptr = np.arange(0, n_rows * m + 1, m, dtype=np.uint64)
    fields = np.tile(np.arange(m, dtype=np.uint32), n_rows)
    values = np.ones(n_rows * m, np.float32)
    rows = SparseFieldRows(indptr, indices.astype(np.uint32).reshape(-1), fields, values, EMPTY, y, EMPTY)
    return rows._replace(norms=row_norms(rows))


def train(rows, engine=None, n_threads=1, plan=None, n_epochs=4, linear=False):
    state = new_ffm_state(406, **SIZES, rng=np.random.default_rng(1), linear=linear)
    addresses = {name: array.ctypes.data for name, array in state.arrays.items()}
    task = make_ffm_task(rows, state, **SIZES)
    rng, n = np.random.default_rng(2), task.n_rows
    runner = SequentialRunner(task) if engine is None else ReplicasRunner(task, engine, n_threads, rng, plan)
    for _ in range(n_epochs):
        order, low = draw_order(rng, n, np.empty(0, np.uint32), "full"), 0
        while low < n:
            _, low = runner.run(order, low, min(low + 8192, n))
    runner.finish()
    runner.close()
    assert {name: array.ctypes.data for name, array in state.arrays.items()} == addresses
    return state


TRAIN, VALID = make_rows(20_000), make_rows(5_000, seed=1)
ENGINES = [
    (Shared(), 2, None),
    (Replicas(), 2, Plan(256, 64)),
    (Replicas(), 2, Plan(256, None)),
    (Replicas(deterministic=True), 2, None),
    (Simulated(16), 1, Plan(64, 64)),
    (Simulated(64), 1, Plan(32, None)),
]


@pytest.mark.parametrize(("engine", "n_threads", "plan"), ENGINES, ids=str)
@pytest.mark.parametrize("linear", [False, True])
def test_engines_reach_the_loss_of_one_thread(engine, n_threads, plan, linear):
    alone = ffm_loss(VALID, train(TRAIN, linear=linear), **SIZES)
    state = train(TRAIN, engine, n_threads, plan, linear=linear)
    assert alone < 0.6
    assert ffm_loss(VALID, state, **SIZES) < alone + (0.005 if n_threads == 2 else 0.03)
    weights, sums = np.split(state.arrays["blocks"].reshape(len(state.arrays["blocks"]), -1, 8, 4), 2, axis=1)
    assert not weights[:, :, 7].any()  # the eighth of seven fields
    assert (sums[:, :, 7] == 1).all()


def test_sums_merge_whole():
    state = new_ffm_state(406, **SIZES, rng=np.random.default_rng(1))
    task = make_ffm_task(TRAIN, state, **SIZES)
    runner = ReplicasRunner(task, Simulated(4), 1, np.random.default_rng(0), Plan(64, None))
    runner._refresh_curvature()
    curvature = runner.merging.curvature.reshape(state.arrays["blocks"].shape)
    half = curvature.shape[1] // 2
    assert not curvature[:, half:].any()
    assert (curvature[:, :half] >= 0).all()
    assert curvature[:, :half].any()
    before = state.arrays["blocks"].copy()
    runner._gather()
    from hogwild.engine.merge import add_deltas

    for replica in runner._replicas:
        replica.values[...] = replica.base[...] = runner.target
        add_deltas(runner.merging, replica, np.uint64(0), 3)
    runner._publish()
    np.testing.assert_allclose(state.arrays["blocks"] - before, 12, rtol=1e-5)


def test_blocks_start_on_cache_lines():
    for n_fields, n_factors in ((1, 1), (7, 4), (39, 4), (5, 9)):
        blocks = empty_state(3, n_fields, n_factors).arrays["blocks"]
        assert blocks.ctypes.data % 64 == 0
        assert blocks.strides[0] % 64 == 0
        assert blocks.shape[1] == block_shape(n_fields, n_factors).width


def test_initial_weights():
    state = new_ffm_state(5_000, 3, 6, np.random.default_rng(0), linear=True)
    weights, sums = split_blocks(state.arrays["blocks"], 3, 6)
    weights = weights.reshape(5_000, 3, 8)
    assert weights.min() >= 0
    assert weights.max() < 1 / math.sqrt(6)
    assert not weights[:, :, 6:].any()
    assert weights[:, :, :6].mean() == pytest.approx(0.5 / math.sqrt(6), rel=0.01)
    assert (sums == 1).all()
    assert (state.arrays["linear"] == [0, 1]).all()


@pytest.mark.parametrize("n_factors", [1, 4, 6, 8])
def test_libffm_arrangement_and_back(n_factors):
    state = new_ffm_state(9, 5, n_factors, np.random.default_rng(0))
    split_blocks(state.arrays["blocks"], 5, n_factors)[1][...] += np.arange(4)
    there = to_libffm(state, 5, n_factors)
    assert there.shape == (9, 5, 2 * -(-n_factors // 4) * 4)
    first = split_blocks(state.arrays["blocks"], 5, n_factors)
    np.testing.assert_array_equal(there[2, 3, :4], first[0][2, 3, 0])
    np.testing.assert_array_equal(there[2, 3, 4:8], first[1][2, 3, 0])
    np.testing.assert_array_equal(from_libffm(there, n_factors).arrays["blocks"], state.arrays["blocks"])


def test_plan():
    state = new_ffm_state(10_000, 39, 4, np.random.default_rng(0))
    task = make_ffm_task(TRAIN, state, n_fields=39, n_factors=4)
    plan = ffm_plan(task, Replicas(), 2)
    assert 0 < plan.head < 10_000
    assert ffm_plan(task, Replicas(interval=77, head=5), 2) == Plan(77, 5)
    assert ffm_plan(task, Simulated(4, head=20_000), 4).head is None
    assert ffm_plan(task, Replicas(), 32).interval < plan.interval
    assert ffm_plan(task, Replicas(deterministic=True), 2) is None
    assert ffm_plan(task, Shared(), 2) is None


def test_bad_input():
    state = new_ffm_state(4, 3, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_factors must be at least 1, found 0"):
        empty_state(4, 3, 0)
    with pytest.raises(ValueError, match="blocks of 9 fields and 4 factors"):
        ffm_scores(VALID, state, n_fields=9, n_factors=4)
    with pytest.raises(ValueError, match="loss must be one of"):
        make_ffm_task(VALID, state, n_fields=3, n_factors=4, loss="hinge")
    with pytest.raises(ValueError, match="numbers for a feature and field, found 8"):
        from_libffm(np.zeros((2, 2, 8), np.float32), 5)


# ------------------------------------------------------------------------------------------------ libffm itself


def read_text(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    entries = [tuple(map(float, entry.split(":"))) for line in lines for entry in line[1:]]
    fields, features, values = (np.array(column) for column in zip(*entries, strict=True))
    indptr = np.cumsum([0, *(len(line) - 1 for line in lines)]).astype(np.uint64)
    y = np.array([1 if float(line[0]) > 0 else -1 for line in lines], np.float32)
    return SparseFieldRows(
        indptr, features.astype(np.uint32), fields.astype(np.uint32), values.astype(np.float32), EMPTY, y, EMPTY
    )


def read_model(path):
    data = path.read_bytes()
    n, m, k = np.frombuffer(data, np.int32, 3)
    floats = np.frombuffer(data, np.float32, offset=13)
    return from_libffm(floats.reshape(n, m, -1), int(k)), {"n_fields": int(m), "n_factors": int(k)}, bool(data[12])


@pytest.mark.skipif(not LIBFFM.exists(), reason="libffm's runs are not here")
@pytest.mark.parametrize("run", ["default", "nonorm", "autostop"])
def test_predictions_are_libffms(run):
    state, sizes, normalised = read_model(LIBFFM / f"{run}.model")
    rows = read_text(LIBFFM / "valid.ffm")
    rows = rows._replace(norms=row_norms(rows)) if normalised else rows
    expected = np.loadtxt(LIBFFM / f"{run}.pred")
    found = 1 / (1 + np.exp(-ffm_scores(rows, state, **sizes).astype(np.float64)))
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    printed = (LIBFFM / f"{run}.predict.out").read_text().split()[-1]
    assert ffm_loss(rows, state, **sizes) == pytest.approx(float(printed), abs=1.1e-5)


@pytest.mark.parametrize("first", [0, 5])
def test_file_order_is_what_is_asked_for(first):
    """A run over an explicit order steps the rows in it: what a run in libffm's order rests on."""
    chosen = np.arange(first, first + 3, dtype=np.uint32)
    states = []
    for order in (chosen, chosen[::-1].copy()):
        state = new_ffm_state(406, **SIZES, rng=np.random.default_rng(1))
        runner = SequentialRunner(make_ffm_task(TRAIN, state, **SIZES))
        runner.run(Order(np.empty(0, np.uint32), np.uint64(3), order, np.uint64(1), np.uint64(0)), 0, 3)
        states.append(state.arrays["blocks"])
    assert not np.array_equal(*states)
    np.testing.assert_allclose(*states, atol=0.02)
