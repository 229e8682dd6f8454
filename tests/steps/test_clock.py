"""Steps on a clock that jumps: threads that share weights are at different rows of the epoch when they touch one."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from hogwild.compiled import kernel
from hogwild.estimators.linear_task import LinearOptions, make_task, new_state
from hogwild.steps.base import make_work, step
from hogwild.steps.rows import as_rows


@kernel
def step_at(rows, model, work, penalty):
    """Step the first row when `penalty` has accumulated."""
    work.penalty[0] = penalty
    work.eta[0] = 0.1
    work.scale[0] = 1.0
    work.scale[1] = 1.0
    return step(rows, np.uint32(0), model, work, np.uint64(0))


def weight_after(rate: str, clocks: list[float]) -> float:
    """Weight 3 (sum of squares 1) after a row without gradient has touched it at each of `clocks`."""
    options = LinearOptions("hinge", "ovr", 0.1, 0.5, "l1", 0.1, 0.0, rate, 0.1, 0.5, 1.0, False, 1.0, 0)
    state = new_state(options, 1, 1, np.float64)
    state.coef[0] = 3.0
    if rate == "adagrad":
        state.arrays["squares"][0] = 1.0
    rows = as_rows(np.ones((1, 1)), np.ones(1))
    task = make_task(options, state, rows, eta0=0.1, positive=np.ones(1), negative=np.ones(1))
    work = make_work(1, np.float64)
    for clock in clocks:
        assert step_at(rows, task.model, work, clock) == 0  # beyond the margin: only the penalty moves the weight
    return float(state.coef[0])


@pytest.mark.parametrize("rate", ["constant", "adagrad"])
def test_penalty_is_taken_once_by_threads_that_are_ahead_and_behind(rate):
    expected = naive.soft_threshold(3.0, 0.5)
    assert weight_after(rate, [0.1, 0.5]) == pytest.approx(expected)
    assert weight_after(rate, [0.5, 0.1, 0.5, 0.1, 0.5]) == pytest.approx(expected)
