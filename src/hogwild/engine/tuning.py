"""What an engine finds out by trying: the constant of damped merges, and interval and head of a long run."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from hogwild.engine.engines import Engine, Replicas
from hogwild.engine.merge import MEAN
from hogwild.engine.order import Order, draw_order
from hogwild.engine.runners import Plan, ReplicasRunner, default_plan
from hogwild.engine.task import Task, draw_sample
from hogwild.schedules import CHUNK

CONSTANTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # tried in front of the row-sum bound of the curvature
JUDGING_ROWS = 2_000
AS_GOOD = 0.01  # relative difference of losses that does not count
MOST_ROWS = 1 << 17  # between two choices of the constant: seven times the judging rows are a tenth of it
LONG_SECONDS = 5.0  # a run shorter than this keeps the defaults
_NS_A_NONZERO = 1.5e-9


def damped(curvature: np.ndarray, x: float, n_replicas: int, squares: np.ndarray | None) -> np.ndarray:
    """Factors of a merge (engine/merge.py), in NumPy: `x` is step size times rows times constant."""
    a = x * curvature.astype(np.float64)
    if squares is not None:
        half = len(a) - len(squares)
        a[:half] /= np.sqrt(np.maximum(squares[:half], 1e-30))
        a[half:] = 0.0
    half_a = a / 2
    return (half_a + np.sqrt(1 + half_a**2)) / (n_replicas * half_a + np.sqrt(1 + (n_replicas * half_a) ** 2))


class SelfTuned:
    """Merges of a `ReplicasRunner` whose constant is chosen anew now and then, on rows drawn for it.

    After 1, 2, 4, 8, ... rounds of merges, and at least every 131,072 rows, one round is scored under every constant:
    the one with the lowest mean loss is kept until the next time.
    """

    exact = False

    def __init__(self, runner: ReplicasRunner, rng: np.random.Generator) -> None:
        self._runner, self._rng = runner, rng
        self._round = max(CHUNK, runner.plan.interval * runner.n_replicas // CHUNK * CHUNK)
        self._gap, self._left = self._round, 0
        self.n_threads, self.fixed_slices = runner.n_threads, runner.fixed_slices

    def describe(self) -> Engine:
        """Return the engine as it runs."""
        return self._runner.describe()

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch, with a choice of the constant wherever one is due."""
        loss = 0.0
        while low < high:
            if self._left <= 0:
                part, low = self._runner.run_for_choice(order, low, high, self._choose)
                self._left, self._gap = self._gap, min(2 * self._gap, MOST_ROWS)
            else:
                part, reached = self._runner.run(order, low, min(high, low + self._left))
                self._left, low = self._left - (reached - low), reached
            loss += part
        return loss, low

    def finish(self) -> None:
        """Bring everything lazy up to the clock."""
        self._runner.finish()

    def close(self) -> None:
        """Let go of the workers."""
        self._runner.close()

    def _choose(self, deltas: np.ndarray, eta: float, rows: float) -> tuple[np.ndarray, float]:
        """Return the best target of the merge, and its constant."""
        runner, task = self._runner, self._runner.task
        target, merging = runner.target, runner.merging
        squares = target[int(merging.squares_at) :] if merging.squares_at else None
        sample = draw_sample(task, self._rng, JUDGING_ROWS)
        tried = []
        for constant in CONSTANTS:
            s = damped(merging.curvature, eta * rows * constant, runner.n_replicas, squares)
            candidate = (target + s * deltas).astype(target.dtype)
            coef, intercept = runner.weights_of(candidate)
            tried.append((task.objective(sample, coef, intercept), constant, candidate))
        lowest = min((loss for loss, _, _ in tried if np.isfinite(loss)), default=np.nan)
        # the safest of those that are as good: a sum that is fine once may grow along a direction when it is repeated
        as_good = [(candidate, constant) for loss, constant, candidate in tried if loss <= lowest * (1 + AS_GOOD)]
        best = as_good[-1] if as_good else None
        if best is None:  # nothing is finite: the mean, and let the divergence be seen
            return (target + deltas / runner.n_replicas).astype(target.dtype), MEAN
        return best


def is_long(task: Task, n_epochs: int, n_threads: int) -> bool:
    """Whether a run takes long enough for a search of interval and head to pay."""
    seconds = task.n_rows * task.row_length * task.n_columns * _NS_A_NONZERO * n_epochs / n_threads
    return seconds > LONG_SECONDS


def candidate_plans(task: Task, n_threads: int, engine: Replicas) -> list[Plan]:
    """Plans worth trying: interval and head around the defaults; what the user gave stays."""
    default = default_plan(task, n_threads, engine.interval, engine.head)
    plans = [default]
    if engine.interval is None:
        plans += [
            replace(default, interval=i) for i in (default.interval // 2, default.interval * 2) if 64 <= i <= 4096
        ]
    if engine.head is None and default.head is not None:
        plans += [replace(default, head=h) for h in (0, 1024, 4096, 16_384) if h not in (default.head, task.n_features)]
    return plans


def tuned_plan(task: Task, engine: Replicas, n_threads: int, rng: np.random.Generator, copy_task) -> Plan:
    """Try the candidate plans on one sample of rows, from the present weights; keep the fastest way down.

    Parameters
    ----------
    copy_task : callable
        Returns a copy of `task` over copied parameters.
    """
    rows = int(min(task.n_rows, max(16_384, 40e-3 * n_threads / (task.row_length * task.n_columns * _NS_A_NONZERO))))
    kept = (
        np.sort(rng.permutation(task.n_rows)[:rows]).astype(np.uint32) if rows < task.n_rows else np.empty(0, np.uint32)
    )
    order = draw_order(rng, rows, kept, True)
    sample = draw_sample(task, rng, JUDGING_ROWS)
    before = task.objective(sample, task.model.coef, task.model.intercept)
    best_rate, best = -np.inf, None
    for plan in candidate_plans(task, n_threads, engine):
        trial = copy_task()
        runner = ReplicasRunner(trial, engine, n_threads, rng, plan)
        runner.run(order, 0, min(rows, 2048))  # compiled and in the caches
        trial = copy_task()
        runner = ReplicasRunner(trial, engine, n_threads, rng, plan)
        began, low = time.perf_counter(), 0
        while low < rows:
            _, low = runner.run(order, low, rows)
        runner.finish()
        seconds = time.perf_counter() - began
        after = task.objective(sample, trial.model.coef, trial.model.intercept)
        rate = (before - after) / seconds if np.isfinite(after) else -np.inf
        if rate > best_rate or best is None:
            best_rate, best = rate, plan
    return best
