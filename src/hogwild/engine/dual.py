"""The loop of dual solvers: epochs of coordinate steps, rows left out and taken back, stopping by the duality gap.

Every step knows its row's part of the gap at the weights that it met; their sum over an epoch, the progressive gap, is
free. When it promises that the tolerance is reached, one pass over all rows measures the gap; nothing else does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hogwild.engine.choose import Runner, make_runner
from hogwild.engine.engines import Engine
from hogwild.engine.order import FULL_BELOW, Order, draw_order, shuffle
from hogwild.engine.pool import thread_pool
from hogwild.engine.runners import MEMORY_LIMIT, Plan, ReplicasRunner, SequentialRunner, default_plan
from hogwild.engine.source import NONE
from hogwild.engine.task import Merge, Task
from hogwild.engine.training import SLICE_SECONDS, Progress
from hogwild.schedules import CHUNK, Schedule, schedule_id
from hogwild.steps import dual, dual_multiclass
from hogwild.steps.base import MERGES
from hogwild.steps.dual import LOST, MOVED, Dual, keep_active
from hogwild.steps.dual_multiclass import DualMulticlass
from hogwild.steps.rows import Rows, SparseRows

IDLE_MOVES = 1.0  # a row is left out when its slack is larger than what scores move in an epoch, times this
FIRST_IDLE = 2  # epochs before rows are left out: a first epoch's scores say little (RCV1-like data)
TAKE_BACK = 0.1  # all rows are visited again once the gap of the others has fallen to this share of the last whole one
NEARLY = 0.7  # or once it promises to reach this share of what is tolerated
MOST_LEFT_OUT = 30  # epochs in a row, at most, that leave rows out
CACHED = 1 << 23  # bytes of rows below which a full shuffle costs no more than one in blocks, and mixes better
SHORT = 1 << 20  # nonzeros of an epoch, about a millisecond, below which several threads cost more than they bring
_FIRST_GUESS = 2e-9  # seconds a nonzero
_CONSTANT = Schedule(schedule_id("constant"), 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, False, np.inf)
_PASSES = {
    Dual: (dual.measure, dual.rebuild, dual.conjugates),
    DualMulticlass: (
        dual_multiclass.measure_multiclass,
        dual_multiclass.rebuild_multiclass,
        dual_multiclass.conjugates_multiclass,
    ),
}


class Gap(NamedTuple):
    """What a pass over all rows has measured, at the present weights and duals."""

    gap: float
    primal: float
    dual: float

    @property
    def relative(self) -> float:
        """Gap as a share of the primal objective; 0 where both are 0."""
        return self.gap / self.primal if self.primal > 0 else (0.0 if self.gap <= 0 else math.inf)


UNKNOWN = Gap(math.inf, math.inf, -math.inf)


@dataclass
class DualOutcome:
    """What a dual solver left behind.

    Attributes
    ----------
    n_epochs, n_passes : int
        Epochs of steps, and passes that measured the gap.
    measured : Gap
        At the weights and duals that were left.
    curve : list of float
        Progressive gap of each epoch as a share of the objective; of epochs that left rows out, without these.
    rows : int
        Rows stepped.
    converged, interrupted : bool
    safety : float
        CoCoA+'s sigma at the end: 1 where deltas could be added as they were.
    """

    n_epochs: int = 0
    n_passes: int = 0
    measured: Gap = UNKNOWN
    curve: list[float] = field(default_factory=list)
    rows: int = 0
    converged: bool = False
    interrupted: bool = False
    safety: float = 1.0


def dual_task(rows: Rows, model: NamedTuple, n_features: int) -> Task:
    """Make a task of a dual model."""
    merges = {name: Merge(*merge) for name, merge in MERGES[type(model)].items()}
    columns = int(np.prod(model.coef.shape[1:], dtype=int))
    return Task(rows, model, merges, (), _CONSTANT, n_features, columns, lambda *_: {})


def dual_plan(task: Task, n_threads: int, interval: int | None) -> Plan:
    """Plan of a run with everything replicated: racing additions to shared weights would part them from the duals.

    Wide models merge seldom, but at least four times an epoch.
    """
    if interval is None:
        least = default_plan(task, n_threads, None, task.n_features).interval
        affordable = 1 << int(np.log2(max(1.0, 2.7 * task.n_features / task.row_length)))
        interval = max(least, min(affordable, task.n_rows // (4 * n_threads)))
    return Plan(interval, None)


class DualTraining:
    """A run of epochs over one dual problem.

    Parameters
    ----------
    task : Task
    engine : Engine
        Replicas or Simulated with ``merge="sum"`` run several threads.
    n_threads : int
    kept : ndarray of uint32
        Rows that take part, ascending; empty for all.
    n_epochs : int
    tol : float
        Share of the primal objective that the gap may have at the end.
    shrinks : bool
        Whether rows may be left out for some epochs.
    rng : Generator
    interrupted : callable
        Whether Ctrl-C came.
    callback : callable, optional
        Called with a `Progress` after each slice; a true result stops.
    spares_threads : bool
        Whether short epochs run on one thread.
    """

    def __init__(
        self,
        task: Task,
        engine: Engine,
        n_threads: int,
        *,
        kept: np.ndarray = NONE,
        n_epochs: int,
        tol: float,
        shrinks: bool,
        rng: np.random.Generator,
        interrupted: Callable[[], bool] = lambda: False,
        callback: Callable[[Progress], object] | None = None,
        spares_threads: bool = False,
    ) -> None:
        self.task, self.n_threads, self.n_epochs, self.tol, self.rng = task, n_threads, n_epochs, tol, rng
        self.interrupted, self.callback, self.shrinks, self._all = interrupted, callback, shrinks, kept
        n_replicas = getattr(engine, "n_replicas", n_threads)
        plan = dual_plan(task, n_replicas, getattr(engine, "interval", None)) if n_replicas > 1 else None
        self.runner = make_runner(task, engine, n_threads, rng, plan=plan)
        self._parallel = isinstance(self.runner, ReplicasRunner)
        self._alone = SequentialRunner(task) if self._parallel and spares_threads else None
        self._before = [array.copy() for array in self._state()] if self._parallel else []
        self._best = -math.inf if self._parallel else None
        self._measure, self._rebuild, self._conjugates = _PASSES[type(task.model)]
        self.outcome = DualOutcome()
        self._rows = task.n_rows if not len(kept) else len(kept)
        self._every = np.arange(task.n_rows, dtype=np.uint32) if not len(kept) else kept
        self._room = np.empty(self._rows if shrinks else 0, np.uint32)
        self._slice = self._rebuilt = 0
        self._began = time.perf_counter()

    # ------------------------------------------------------------------------------------------ epochs

    def run(self) -> DualOutcome:
        """Run epochs until the gap is small enough; the weights are exact sums of the duals at the end."""
        outcome, kept, left_out, taken_back = self.outcome, self._all, 0, False
        last_whole, previous, rate, trust, fresh = math.inf, math.inf, 1.0, 1.0, False
        for epoch in range(1, self.n_epochs + 1):
            gap, loss, moved, halted = self._epoch(kept, epoch)
            outcome.n_epochs, fresh = epoch, False
            self._watch_dual()
            objective = loss + 0.5 * self._squared_norm()
            whole = not left_out
            if left_out != 1 and not (whole and taken_back):
                rate = min(1.0, max(0.1, gap / previous)) if previous > 0 else 1.0
            previous = gap
            outcome.curve.append(gap / objective if objective > 0 else 0.0)
            if not math.isfinite(gap):
                break
            if halted:
                outcome.interrupted = self.interrupted()
                break
            if whole:
                # the gap met on average through the epoch; at its end it is smaller by half an epoch's progress
                promised = trust * gap * math.sqrt(rate)
                last_whole, taken_back = gap, False
                goal = self.tol * objective
                if promised <= goal:
                    measured = self.measure()
                    fresh = True
                    if measured.relative <= self.tol:
                        outcome.converged = True
                        break
                    trust *= max(1.0, measured.gap / max(promised, 1e-300))
                if promised * rate <= goal:  # as fast as before, another whole epoch ends it
                    continue
            if not self.shrinks or epoch < FIRST_IDLE:
                continue
            enough = gap <= TAKE_BACK * last_whole or trust * gap * math.sqrt(rate) <= NEARLY * self.tol * objective
            if left_out and (enough or left_out >= MOST_LEFT_OUT):
                kept, left_out, taken_back = self._all, 0, True
                continue
            active = self._active(kept if left_out else self._every, IDLE_MOVES * moved)
            if len(active) < self._rows:
                kept, left_out = active, left_out + 1
        if not fresh:
            measured = self.measure()
            outcome.converged = measured.relative <= self.tol
        return outcome

    def _epoch(self, kept: np.ndarray, epoch: int) -> tuple[float, float, float, bool]:
        """Run one epoch; returns the progressive gap and loss, the mean change of a score, and whether to stop."""
        n_rows, low, gap, halted = len(kept) or self.task.n_rows, 0, 0.0, False
        order = self._order(kept, n_rows)
        runner = self.runner
        if self._alone is not None and n_rows * self.task.row_length * self.task.n_columns < SHORT:
            runner = self._alone
            self.task.model.safety[0] = 1.0
        for running in runner.running:
            running[MOVED] = running[LOST] = 0.0
        while low < n_rows and not halted:
            size = self._slice or self._first_slice()
            began, first = time.perf_counter(), low
            part, low = runner.run(order, low, min(n_rows, low + size))
            seconds = time.perf_counter() - began
            gap += part
            self.outcome.rows += low - first
            if not runner.fixed_slices or runner is not self.runner or not self._parallel:
                wanted = SLICE_SECONDS * (low - first) / max(seconds, 1e-6)
                self._slice = max(CHUNK, int(min(wanted, 2 * size, 1 << 24)) // CHUNK * CHUNK)
            if self.callback is not None:
                halted = bool(self.callback(self._progress(runner, epoch, low, n_rows)))
            halted = halted or self.interrupted()
        moved, loss = (sum(float(running[place]) for running in runner.running) for place in (MOVED, LOST))
        self.task.model.safety[0] = self.outcome.safety
        return gap, loss, moved / n_rows, halted

    def _order(self, kept: np.ndarray, n_rows: int) -> Order:
        """Draw an epoch's order: full where rows are few or in the cache, else of blocks."""
        cached = self.task.row_length * self.task.n_rows * 2 * self.task.rows.values.itemsize <= CACHED
        if n_rows >= FULL_BELOW and not cached:
            return draw_order(self.rng, n_rows, kept, "blocks")
        rows = kept.copy() if len(kept) else self._every.copy()
        shuffle(rows, self.rng.integers(1, 2**63, dtype=np.uint64))
        return Order(rows, np.uint64(n_rows), NONE, np.uint64(1), np.uint64(0))

    def _first_slice(self) -> int:
        seconds = (self.task.row_length * self.task.n_columns + 20) * _FIRST_GUESS
        return max(CHUNK, int(min(SLICE_SECONDS / seconds, 1 << 22)) // CHUNK * CHUNK)

    def _progress(self, runner: Runner, epoch: int, low: int, n_rows: int) -> Progress:
        loss = sum(float(running[LOST]) for running in runner.running) / max(low, 1)
        seconds = time.perf_counter() - self._began
        total = self.n_epochs * self._rows
        return Progress(epoch, self.n_epochs, self.outcome.rows, total, loss, loss, seconds, low == n_rows)

    def _active(self, considered: np.ndarray, most: float) -> np.ndarray:
        n = int(keep_active(self.task.rows, self.task.model, considered, most, self._room))
        return self._room[: max(n, 1)].copy()

    # ------------------------------------------------------------------------------------------ several threads

    def _state(self) -> tuple[np.ndarray, ...]:
        model = self.task.model
        return model.coef, model.intercept, model.duals

    def _watch_dual(self) -> None:
        """Undo an epoch of several threads that has not raised the dual objective, and make their steps safer."""
        if not self._parallel:
            return
        calls = [(self.task.rows, self.task.model, *part) for part in self._parts()]
        value = -float(sum(thread_pool().run(self._conjugates, calls))) - 0.5 * self._squared_norm()
        # rounding keeps a converged run from rising for ever
        if value >= self._best - 1e-6 * abs(self._best):
            self._best = max(value, self._best)
            for kept, array in zip(self._before, self._state(), strict=True):
                kept[...] = array
            return
        for kept, array in zip(self._before, self._state(), strict=True):
            array[...] = kept
        model = self.task.model
        model.safety[0] *= 2.0
        self.outcome.safety = float(model.safety[0])
        self.runner.scale_deltas(1.0 / self.outcome.safety)

    # ------------------------------------------------------------------------------------------ passes

    def _squared_norm(self) -> float:
        model = self.task.model
        s, u = model.intercept.astype(np.float64)
        coef = model.coef.reshape(-1)
        # no BLAS: its threads spin for milliseconds after a product of 10,000 doubles, on the cores of ours
        return float(
            np.einsum("i,i->", coef, coef, dtype=np.float64) + np.sum(s * (s * model.settings.constant - 2.0 * u))
        )

    def _parts(self) -> list[tuple[np.uint64, np.uint64]]:
        """Ranges of rows with as many nonzeros for each thread."""
        rows, n = self.task.rows, self.task.n_rows
        threads = max(1, min(self.n_threads, n // CHUNK))
        if isinstance(rows, SparseRows):
            bounds = np.searchsorted(rows.indptr, np.linspace(0, len(rows.values), threads + 1)[1:-1]).tolist()
        else:
            bounds = [n * k // threads for k in range(1, threads)]
        return [(np.uint64(low), np.uint64(high)) for low, high in pairwise([0, *bounds, n])]

    def measure(self) -> Gap:
        """Measure the gap on all rows.

        The weights are recomputed from the duals first where roundings may have parted them so far that it shows: the
        measured gap lacks half the squared distance.
        """
        if (self.outcome.rows - self._rebuilt) * float(
            np.finfo(self.task.rows.values.dtype).eps
        ) ** 2 > 1e-3 * self.tol:
            self.rebuild()
            self._rebuilt = self.outcome.rows
        parts = self._parts()
        out = np.zeros((len(parts), 8))
        scratch = np.empty((len(parts), self.task.n_columns), self.task.rows.values.dtype)
        calls = [(self.task.rows, self.task.model, *part, scratch[k], out[k]) for k, part in enumerate(parts)]
        thread_pool().run(self._measure, calls)
        gap, loss, conjugate = out.sum(axis=0)[:3].tolist()
        half = 0.5 * self._squared_norm()
        self.outcome.measured = Gap(gap, loss + half, -conjugate - half)
        self.outcome.n_passes += 1
        return self.outcome.measured

    def rebuild(self) -> None:
        """Recompute the weights from the duals, in float64."""
        model, parts = self.task.model, self._parts()
        if len(parts) * model.coef.size * 8 > MEMORY_LIMIT:
            parts = [(parts[0][0], parts[-1][1])]
        coefs = [np.zeros(model.coef.shape) for _ in parts]
        sums = [np.zeros(model.intercept.shape) for _ in parts]
        calls = [(self.task.rows, model, *part, coefs[k], sums[k]) for k, part in enumerate(parts)]
        thread_pool().run(self._rebuild, calls)
        model.coef[...] = sum(coefs[1:], coefs[0])
        model.intercept[...] = sum(sums[1:], sums[0])
