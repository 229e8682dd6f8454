"""Threads on a grid: blocks that share nothing, every row once, the bits of one thread that runs the blocks in turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild import MatrixFactorization, SGDRegressor
from hogwild.engine import Grid
from hogwild.engine.grid import GridRunner, balanced_parts
from hogwild.engine.loops import advance
from hogwild.engine.order import draw_order, epoch_rows
from hogwild.engine.source import NONE
from hogwild.estimators.interactions import seen_rows
from hogwild.estimators.matrix_task import MatrixOptions, Table, first_factors, make_matrix_task
from hogwild.steps.base import make_work
from hogwild.steps.rows import PairRows, SparseRows

N_USERS, N_ITEMS, N_ROWS = 60, 40, 2_000


def ratings(seed=0, weights=False):
    rng = np.random.default_rng(seed)
    users = rng.integers(0, N_USERS, N_ROWS).astype(np.uint32)
    items = (N_ITEMS * rng.random(N_ROWS) ** 2).astype(np.uint32)
    values = np.sin(users) * np.cos(items) + 0.1 * rng.standard_normal(N_ROWS)
    return users, items, values, (rng.integers(0, 3, N_ROWS).astype(np.float32) if weights else None)


def task_of(learning_rate="adagrad", weights=False):
    users, items, values, weight = ratings(weights=weights)
    options = MatrixOptions("squared", 7, 0.05, 0.05, learning_rate, 0.25, True, False, 0, 0.1)
    rows = PairRows(
        users,
        items + np.uint32(N_USERS),
        values.astype(np.float32),
        np.empty(0, np.float32) if weight is None else weight,
    )
    factors = first_factors(options, N_USERS + N_ITEMS + 1, 0.0, np.random.default_rng(1))
    table = Table(N_USERS, N_ITEMS, 0.0, *seen_rows(users, items, N_USERS, N_ITEMS), 3)
    return make_matrix_task(options, table, factors, rows), factors


@given(numbers=st.lists(st.integers(0, 20), min_size=1, max_size=200), n_parts=st.integers(1, 5))
def test_parts_are_balanced(numbers, n_parts):
    numbers = np.array(numbers, np.uint32)
    parts = balanced_parts(numbers, n_parts)
    assert parts.size == numbers.max() + 1
    assert parts.max() < n_parts
    assert (np.diff(parts.astype(int)) >= 0).all()  # neighbours stay together
    sizes = np.bincount(parts[numbers], minlength=n_parts)
    assert np.abs(sizes - len(numbers) / n_parts).max() <= np.bincount(numbers).max()


@pytest.mark.parametrize("n_threads", [2, 3, 5])
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
def test_blocks_of_a_turn_share_nothing_and_hold_every_row_once(n_threads, weights):
    task, _ = task_of(weights=weights)
    runner = GridRunner(task, Grid(), n_threads, np.random.default_rng(0))
    found = []
    for turn in runner._blocks:
        for k, block in enumerate(turn):
            for other in turn[:k]:
                assert not set(block.first) & set(other.first)
                assert not set(block.second) & set(other.second)
            found += zip(block.first.tolist(), block.second.tolist(), block.targets.tolist(), strict=True)
    kept = task.rows.weights > 0 if weights else np.ones(N_ROWS, bool)
    rows = [array[kept].tolist() for array in task.rows[:3]]
    assert sorted(found) == sorted(zip(*rows, strict=True))


@pytest.mark.parametrize("learning_rate", ["adagrad", "invscaling"])
@pytest.mark.parametrize("slices", [[N_ROWS], [256, 300, 1_000, N_ROWS]], ids=["whole", "slices"])
def test_threads_have_the_bits_of_one_that_runs_the_blocks_in_turn(learning_rate, slices):
    task, factors = task_of(learning_rate)
    runner = GridRunner(task, Grid(), 3, np.random.default_rng(5))
    order = draw_order(np.random.default_rng(0), N_ROWS, NONE, "full")
    for _ in range(3):
        low = 0
        for high in slices:
            runner.run(order, low, high)
            low = high

    twin, expected = task_of(learning_rate)
    same = GridRunner(twin, Grid(), 3, np.random.default_rng(5))
    work, clock = make_work(twin.n_columns, twin.dtype), 1.0
    for _ in range(3):
        same._draw(True)
        for turn, some in zip(same._blocks, same._orders, strict=True):
            for block, drawn in zip(turn, some, strict=True):
                assert sorted(epoch_rows(drawn)) == list(range(len(block.targets)))
            for block, drawn in zip(turn, some, strict=True):
                work.running[1], work.running[2] = clock, 1.0
                bounds = (np.uint64(0), np.uint64(len(block.targets)))
                advance(block, drawn, twin.model, np.uint64(0), twin.schedule, *bounds, work)
            clock += sum(len(block.targets) for block in turn)
    assert np.array_equal(factors, expected)
    assert task.t == clock == 1 + 3 * N_ROWS


@settings(max_examples=5, deadline=None)  # it compiles
@given(n_jobs=st.integers(2, 4))
def test_ratings_run_on_a_grid_with_the_same_bits(n_jobs):
    users, items, values, _ = ratings()
    fits = [MatrixFactorization(n_jobs=n_jobs, random_state=0).fit(users, items, values) for _ in range(2)]
    assert fits[0].engine_ == Grid()
    assert np.array_equal(fits[0].user_factors_, fits[1].user_factors_)
    one = MatrixFactorization(random_state=0).fit(users, items, values)
    assert math.isclose(fits[0].score(users, items, values), one.score(users, items, values), rel_tol=0.05)


def test_choices_do_not_run_on_a_grid():
    users, items, values, _ = ratings()
    with pytest.raises(ValueError, match="a grid runs ratings only"):
        MatrixFactorization(loss="bpr", engine="grid", n_jobs=2).fit(users, items, values)


def test_other_models_do_not_run_on_a_grid():
    with pytest.raises(ValueError, match="Grid"):
        SGDRegressor(engine=Grid(), n_jobs=2).fit(np.eye(600), np.ones(600))
    task, _ = task_of()
    task.rows = SparseRows(*(np.empty(0, np.uint32) for _ in range(5)))
    with pytest.raises(ValueError, match="rows that name two things, found SparseRows"):
        GridRunner(task, Grid(), 2, np.random.default_rng(0))
