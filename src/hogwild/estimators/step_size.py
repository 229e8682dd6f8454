"""Step size by search on a small subsample: try powers, keep the one that lowers the cost most (CS246; Bottou 2010)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hogwild.engine.columns import ColumnsRunner, ColumnsTask, Rates
from hogwild.engine.order import Order, draw_order
from hogwild.engine.runners import SequentialRunner
from hogwild.engine.source import NONE
from hogwild.engine.task import Task
from hogwild.engine.training import DivergedError
from hogwild.estimators.cv_columns import ALL_ROWS, Columns, Group, Problem
from hogwild.estimators.linear_task import LinearOptions, LinearState, make_task, mean_loss, penalty_value
from hogwild.losses import OwnLoss
from hogwild.steps.rows import Rows, SparseRows

SAMPLE = 2_000  # rows tried on
COARSE, FINE = 10.0, 10.0**0.25
WINDOW = 3  # powers in each direction that are tried side by side
LARGEST, SMALLEST = 1e4, 1e-9


def search_eta0(
    task: Task,
    options: LinearOptions,
    state: LinearState,
    weights: dict[str, np.ndarray],
    rng: np.random.Generator,
    kept: np.ndarray,
    start: float = 1.0,
) -> float:
    """Return the eta0 that lowers the cost of `SAMPLE` rows most in one pass over them.

    The rows judge themselves, as in Bottou's programs: on others a small sample of wide data would prefer no steps.
    Powers are tried side by side, as columns of one matrix of weights (`steps.columns`).

    Parameters
    ----------
    task : Task
        The problem at its present weights; not changed.
    options : LinearOptions
    state : LinearState
        The present weights; not changed.
    weights : dict
        Class weights, `positive` and `negative`.
    kept : ndarray of uint32
        Rows that take part; empty for all.
    start : float
        First power that is tried.
    """
    n = len(kept) or task.n_rows
    chosen = rng.permutation(n)[:SAMPLE].astype(np.uint32)
    rows, features = _compact(task.rows, np.sort(kept[chosen] if len(kept) else chosen))
    state = replace(state.gathered(features), t=task.t, penalty=task.penalty)
    order = draw_order(rng, len(rows.targets), NONE, "full")
    together = options.multi_class == "ovr" or len(state.intercept) == 1
    side_by_side = together and not isinstance(options.loss, OwnLoss)
    costs: dict[float, float] = {}
    everything, settings = np.arange(len(rows.targets), dtype=np.uint32), task.model.settings

    def judge(coef: np.ndarray, intercept: np.ndarray) -> float:
        value = mean_loss(rows, everything, coef, intercept, settings) + penalty_value(options, coef)
        return value if np.isfinite(value) else np.inf

    def cost(eta0: float, direction: float) -> float:
        if eta0 not in costs:
            tried = [eta0]
            while side_by_side and len(tried) < WINDOW and SMALLEST <= tried[-1] * direction <= LARGEST:
                tried.append(tried[-1] * direction)
            tried = [eta for eta in tried if eta not in costs]
            found = (_costs if side_by_side else _costs_apart)(rows, order, options, state, weights, tried, judge)
            costs.update(zip(tried, found, strict=True))
        return costs[eta0]

    best = start
    for factor in (COARSE, FINE):
        best = _climb(cost, best, factor)
    return best


def _compact(rows: Rows, sample: np.ndarray) -> tuple[Rows, np.ndarray]:
    """Copy the rows `sample` with the features that they have, numbered anew; returns both."""
    weights = rows.weights[sample] if rows.weights.size else rows.weights
    if not isinstance(rows, SparseRows):
        values = np.ascontiguousarray(rows.values[sample])
        return rows._replace(values=values, targets=rows.targets[sample], weights=weights), np.arange(values.shape[1])
    lengths = np.diff(rows.indptr)[sample].astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
    places = np.arange(indptr[-1], dtype=np.int64) + np.repeat(
        rows.indptr[sample].astype(np.int64) - indptr[:-1].astype(np.int64), lengths
    )
    indices = rows.indices[places]
    numbers = np.zeros(int(indices.max(initial=0)) + 1, np.uint32)  # a table: sorting would take as long as the trials
    numbers[indices] = 1
    features = np.flatnonzero(numbers)
    numbers[features] = np.arange(len(features), dtype=np.uint32)
    if not len(features):  # rows of nothing but an intercept
        features = np.zeros(1, np.int64)
    found = SparseRows(indptr, numbers[indices], rows.values[places], rows.targets[sample], weights)
    return found, features


def _costs(
    rows: Rows,
    order: Order,
    options: LinearOptions,
    state: LinearState,
    weights: dict[str, np.ndarray],
    etas: list[float],
    judge: Callable[[np.ndarray, np.ndarray], float],
) -> list[float]:
    """Cost of the rows after a pass over them with each of the step sizes; all in one pass."""
    groups = [Group(s, ALL_ROWS) for s in range(len(etas))]
    tried = [options._replace(eta0=eta, average=0) for eta in etas]
    columns = Columns(Problem(tried, len(state.coef), len(state.intercept), state.coef.dtype, **weights), groups, 1)
    (part,) = columns.parts
    shape = part.model.coef.shape
    part.model.coef[...] = state.coef.reshape(shape[0], 1, shape[2])
    part.model.intercept.reshape(shape[1:])[...] = state.intercept
    if part.model.received.size:
        part.model.received[...] = state.arrays["received"].reshape(shape[0], 1, shape[2])
    part.work.running[:, 1], part.work.running[:, 3] = state.t, state.penalty
    everything = np.ones(len(rows.targets), np.uint64)
    runner = columns.runner = ColumnsRunner(
        ColumnsTask(rows, lambda: everything, columns.parts, Rates(np.array(etas)), shape[0], shape[2], 1.0)
    )
    try:
        runner.run(order, 0, len(rows.targets))
        runner.close()
    except DivergedError:
        return [np.inf] * len(etas)
    found = []
    for g, group in enumerate(groups):
        coef = np.ascontiguousarray(part.model.coef[:, g]).reshape(state.coef.shape)
        intercept = part.model.intercept.reshape(shape[1:])[g]
        found.append(np.inf if columns.diverged(group) else judge(coef, intercept))
    return found


def _costs_apart(
    rows: Rows,
    order: Order,
    options: LinearOptions,
    state: LinearState,
    weights: dict[str, np.ndarray],
    etas: list[float],
    judge: Callable[[np.ndarray, np.ndarray], float],
) -> list[float]:
    """The same one after the other, for columns that learn together and for losses of the user's own."""
    found = []
    for eta in etas:
        copied, one = state.copy(), options._replace(eta0=eta)
        runner = SequentialRunner(make_task(one, copied, rows, eta0=eta, **weights))
        loss, _ = runner.run(order, 0, len(rows.targets))
        runner.finish()
        found.append(judge(copied.coef, copied.intercept) if np.isfinite(loss) else np.inf)
    return found


def _climb(cost: Callable[[float, float], float], eta0: float, factor: float) -> float:
    """Multiply or divide by `factor` for as long as the cost falls."""
    for direction in (1.0 / factor, factor):
        moved = False
        while SMALLEST <= eta0 * direction <= LARGEST and (
            cost(eta0 * direction, direction) < cost(eta0, direction) or not np.isfinite(cost(eta0, direction))
        ):
            if direction > 1.0 and not np.isfinite(cost(eta0, direction)):
                break  # larger steps do not mend what diverges
            eta0, moved = eta0 * direction, True
        if moved:
            break
    return eta0


__all__ = ["search_eta0"]
