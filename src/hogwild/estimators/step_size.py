"""Step size by search on a small subsample: try powers, keep the one that lowers the cost most (CS246; Bottou 2010)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hogwild.engine.order import draw_order
from hogwild.engine.runners import SequentialRunner
from hogwild.engine.task import Task

SAMPLE = 2_000  # rows tried on
COARSE, FINE = 10.0, 10.0**0.25
LARGEST, SMALLEST = 1e4, 1e-9


def search_eta0(task: Task, make_task, rng: np.random.Generator, kept: np.ndarray, start: float = 1.0) -> float:
    """Return the eta0 that lowers the cost of `SAMPLE` rows most in one pass over them.

    The rows judge themselves, as in Bottou's programs: on others a small sample of wide data would prefer no steps.

    Parameters
    ----------
    task : Task
        The problem at its present weights; not changed.
    make_task : callable
        ``make_task(eta0, copies) -> (Task, penalty function)`` over copied parameters.
    kept : ndarray of uint32
        Rows that take part; empty for all.
    start : float
        First power that is tried.
    """
    n = len(kept) or task.n_rows
    chosen = rng.permutation(n)[:SAMPLE].astype(np.uint32)
    tried = np.sort(kept[chosen] if len(kept) else chosen)
    order = draw_order(rng, len(tried), tried, "full")
    costs: dict[float, float] = {}

    def cost(eta0: float) -> float:
        if eta0 not in costs:
            trial, penalty = make_task(eta0)
            runner = SequentialRunner(replace(trial, t=task.t, penalty=task.penalty))
            loss, _ = runner.run(order, 0, len(tried))
            runner.finish()
            value = task.objective(tried, trial.model.coef, trial.model.intercept) + penalty()
            costs[eta0] = value if np.isfinite(value) and np.isfinite(loss) else np.inf
        return costs[eta0]

    best = start
    for factor in (COARSE, FINE):
        best = _climb(cost, best, factor)
    return best


def _climb(cost, eta0: float, factor: float) -> float:
    """Multiply or divide by `factor` for as long as the cost falls."""
    for direction in (1.0 / factor, factor):
        moved = False
        while SMALLEST <= eta0 * direction <= LARGEST and (
            cost(eta0 * direction) < cost(eta0) or not np.isfinite(cost(eta0))
        ):
            if direction > 1.0 and not np.isfinite(cost(eta0)):
                break  # larger steps do not mend what diverges
            eta0, moved = eta0 * direction, True
        if moved:
            break
    return eta0


__all__ = ["search_eta0"]
