"""Runners of the baselines: what HOGWILD! is compared with, and theory made testable.

Each runs slices of an epoch as `SequentialRunner` does (engine/runners.py).
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.baseline_loops import (
    advance_delayed,
    advance_in_turn,
    advance_locked,
    advance_minibatch,
    apply_pending,
    make_pending,
    step_pending,
    step_sums,
    sum_gradients,
)
from hogwild.engine.engines import Batch, Delayed, Engine, Locked, MiniBatch, RoundRobin
from hogwild.engine.locks import longest_row, make_stripes
from hogwild.engine.loops import advance, close_clock
from hogwild.engine.order import Order
from hogwild.engine.pool import thread_pool
from hogwild.engine.runners import MEMORY_LIMIT
from hogwild.engine.task import Task
from hogwild.schedules import CHUNK
from hogwild.steps.adagrad import AdaGrad
from hogwild.steps.base import has_parts, make_work
from hogwild.steps.sgd import Sgd


class Baseline:
    """What the runners share: one model, stepped on lazily, and its clock.

    Attributes
    ----------
    cost : float
        Time of a row beside that of one thread, for the length of slices.
    """

    n_threads = 1
    fixed_slices = True
    exact = True
    plan = None
    cost = 1.0

    def __init__(self, task: Task, engine: Engine, n_threads: int = 1) -> None:
        self._check(task, engine)
        self.task, self._engine = task, engine
        settings = task.model.settings._replace(lazy=True, lazy_intercept=True)
        self._model = task.model._replace(settings=settings)
        self._work = make_work(task.n_columns, task.dtype)
        self._running = self._work.running
        self._running[2] = 1.0

    def _check(self, task: Task, engine: Engine) -> None:
        """Refuse steps that the engine is not defined for."""
        if not has_parts(type(task.model)):
            raise ValueError(
                f"{type(engine).__name__} needs steps that measure before they change anything; those of "
                f"{type(task.model).__name__} come in one part"
            )

    def describe(self) -> Engine:
        """Return the engine as it runs."""
        return self._engine

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch; returns the sum of losses and the position reached."""
        task, running = self.task, self._running
        running[1], running[3] = task.t, task.penalty
        loss = self._advance(order, np.uint64(low), np.uint64(high))
        if high == int(order.n_rows):
            self._end_rows()
        task.t, task.penalty = running[1], running[3]
        return loss, high

    def _advance(self, order: Order, low: np.uint64, high: np.uint64) -> float:
        raise NotImplementedError

    def _end_rows(self) -> None:
        """Do what must be done before these rows leave the memory."""

    @property
    def _n_settled(self) -> np.uint64:
        return np.uint64(self.task.n_settled)

    def finish(self) -> None:
        """Bring everything lazy up to the clock: the model's arrays hold its weights."""
        task, running = self.task, self._running
        running[1], running[3] = task.t, task.penalty
        self._end_rows()
        task.t, task.penalty = running[1], running[3]
        close_clock(self._model, self._n_settled, running)

    def close(self) -> None:
        """Let go of nothing."""

    def state(self) -> dict[str, np.ndarray]:
        """Return what is kept beside the model's arrays and the task's clock."""
        return {name: array.copy() for name, array in self._kept().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        for name, array in self._kept().items():
            array[...] = state[name]

    def _kept(self) -> dict[str, np.ndarray]:
        return {"running": self._running}


# ------------------------------------------------------------------------------------------------ threads


class _Together(Baseline):
    """Threads on one model whose clocks are the same: `_running` is that of the first.

    Attributes
    ----------
    waits : int
        Rows that waited for a lock or a turn.
    """

    fixed_slices = False
    exact = False

    def __init__(self, task: Task, engine: Engine, n_threads: int) -> None:
        super().__init__(task, engine)
        self.n_threads = n_threads
        dtype = task.dtype
        self._works = [self._work, *(make_work(task.n_columns, dtype) for _ in range(1, n_threads))]
        self._counts = [aligned_zeros(8, np.int64) for _ in range(n_threads)]
        self._flag, self._meeting = aligned_zeros(8, np.int64), aligned_zeros(16, np.int64)

    @property
    def waits(self) -> int:
        return sum(int(counts[0]) for counts in self._counts)

    def hand_over(self, wider: _Together) -> None:
        """Let the runner of a wider model count on."""
        wider._counts = self._counts

    def _calls(self, order: Order, low: np.uint64, high: np.uint64, own: list[tuple]) -> list[tuple]:
        for work in self._works[1:]:
            work.running[...] = self._running
        task = self.task
        shared = (task.rows, order, self._model, self._n_settled, task.schedule, low, high)
        return [
            (*shared, thread, np.int64(self.n_threads), self._flag, self._meeting, *rest, counts, work)
            for thread, (rest, counts, work) in enumerate(zip(own, self._counts, self._works, strict=True))
        ]


class LockedRunner(_Together):
    """Threads that step on the same weights, each row under its locks."""

    cost = 8.0

    def __init__(self, task: Task, engine: Locked, n_threads: int) -> None:
        super().__init__(task, engine, n_threads)
        self._stripes = make_stripes(task.n_features, engine.stripes)
        self._held: list[np.ndarray] = []
        self._rows = None

    def _check(self, task: Task, engine: Engine) -> None:
        """Any step will do: it is made under the locks as a whole."""

    def _advance(self, order: Order, low: np.uint64, high: np.uint64) -> float:
        if self._rows is not self.task.rows:
            self._rows, longest = self.task.rows, longest_row(self.task.rows)
            if not self._held or longest > len(self._held[0]):
                self._held = [aligned_zeros(longest + 1, np.uint32) for _ in self._works]
        self._flag[0] = 0
        calls = self._calls(order, low, high, [(self._stripes, held) for held in self._held])
        return sum(thread_pool().run(advance_locked, calls))


class RoundRobinRunner(_Together):
    """Threads that measure rows at the same time and change the weights in turn."""

    cost = 4.0

    def __init__(self, task: Task, engine: RoundRobin, n_threads: int) -> None:
        super().__init__(task, engine, n_threads)
        if engine.interval != 1:
            raise ValueError(f"estimators take turns of one row: leave interval unset, found {engine!r}")
        # AdaGrad's weights take their penalty when they are measured: two threads at once would lose changes
        self._in_turn = isinstance(task.model, AdaGrad) and task.model.settings.penalised

    @property
    def staleness(self) -> int:
        """Largest number of rows before its own that a measurement lacked."""
        return max(int(counts[1]) for counts in self._counts)

    def _advance(self, order: Order, low: np.uint64, high: np.uint64) -> float:
        self._flag[0] = low
        calls = self._calls(order, low, high, [(self._in_turn,)] * self.n_threads)
        return sum(thread_pool().run(advance_in_turn, calls))


# ------------------------------------------------------------------------------------------------ one thread


class DelayedRunner(Baseline):
    """One thread; rows change the weights `tau` rows after they were measured.

    What is pending changes them at once where its rows leave the memory: at the end of an epoch, or of a block of one.
    """

    cost = 2.0

    def __init__(self, task: Task, engine: Delayed, n_threads: int = 1) -> None:
        super().__init__(task, engine)
        self._pending = make_pending(engine.tau + 1, task.n_columns)

    def _advance(self, order: Order, low: np.uint64, high: np.uint64) -> float:
        task = self.task
        first = (task.rows, order, self._model, self._n_settled, task.schedule, low, high)
        if self._engine.tau == 0:  # the loop of one thread: another rounds some sums of columns differently
            return advance(*first, self._work)
        return advance_delayed(*first, self._pending, self._work)

    def _end_rows(self) -> None:
        apply_pending(self.task.rows, self._model, self._pending, self._work)

    def _kept(self) -> dict[str, np.ndarray]:
        return {"running": self._running, **self._pending._asdict()}


def _check_plain(task: Task, engine: Engine) -> None:
    """Refuse steps that are no multiples of the gradient."""
    if not isinstance(task.model, Sgd) or task.model.settings.passive:
        found = "passive-aggressive" if isinstance(task.model, Sgd) else type(task.model).__name__
        raise ValueError(
            f"{type(engine).__name__} is defined for steps along the gradient (learning_rate constant, optimal, "
            f"invscaling, search, adaptive or epoch_decay), found {found} steps"
        )


class MiniBatchRunner(Baseline):
    """One thread; a step along the mean gradient of every `size` rows. The clock counts these steps.

    A batch ends where its rows leave the memory, full or not.
    """

    cost = 2.0

    def __init__(self, task: Task, engine: MiniBatch, n_threads: int = 1) -> None:
        super().__init__(task, engine)
        self._pending = make_pending(engine.size, task.n_columns)
        settings = self._model.settings._replace(penalised=False)
        self._unpenalised = self._model._replace(settings=settings)

    def _check(self, task: Task, engine: Engine) -> None:
        _check_plain(task, engine)

    def _advance(self, order: Order, low: np.uint64, high: np.uint64) -> float:
        task = self.task
        rest = (self._n_settled, task.schedule, low, high, self._pending, self._work)
        return advance_minibatch(task.rows, order, self._model, self._unpenalised, *rest)

    def _end_rows(self) -> None:
        task = self.task
        rest = (self._n_settled, task.schedule, self._pending, self._work)
        step_pending(task.rows, self._model, self._unpenalised, *rest)

    def _kept(self) -> dict[str, np.ndarray]:
        return {"running": self._running, **self._pending._asdict()}


class BatchRunner(Baseline):
    """Threads that add up the gradients of an epoch; a step along their mean at its end. The clock counts these steps.

    Each thread adds up a fixed part of every slice, and the sums are added in the threads' order. An epoch that is
    interrupted leaves the weights as they were.
    """

    def __init__(self, task: Task, engine: Batch, n_threads: int) -> None:
        super().__init__(task, engine)
        size, dtype = task.model.coef.size + task.n_columns, task.dtype
        self.n_threads = max(1, min(n_threads, MEMORY_LIMIT // (8 * size)))
        self._sums = aligned_zeros((self.n_threads, -(-size // 8) * 8), np.float64)[:, :size]  # threads' own lines
        self._works = [make_work(task.n_columns, dtype) for _ in range(self.n_threads)]
        self._n_rows = np.zeros(1)

    def _check(self, task: Task, engine: Engine) -> None:
        _check_plain(task, engine)

    def _advance(self, order: Order, low: np.uint64, high: np.uint64) -> float:
        n_chunks = -(-int(high - low) // CHUNK)
        bounds = [min(high, low + np.uint64(k * n_chunks // self.n_threads * CHUNK)) for k in range(self.n_threads + 1)]
        bounds[-1] = high
        calls = [
            (self.task.rows, order, self._model, bounds[k], bounds[k + 1], self._sums[k], self._works[k])
            for k in range(self.n_threads)
        ]
        self._n_rows += int(high - low)
        return sum(thread_pool().run(sum_gradients, calls))

    def end_epoch(self) -> None:
        """Step along the mean gradient of the epoch's rows."""
        task, running = self.task, self._running
        running[1], running[3] = task.t, task.penalty
        step_sums(self._model, self._n_settled, task.schedule, self._sums, self._n_rows[0], self._work)
        task.t, task.penalty = running[1], running[3]
        self._n_rows[0] = 0

    def hand_over(self, wider: BatchRunner) -> None:
        """Give the sums of the epoch so far to the runner of a wider model."""
        size, columns = self.task.model.coef.size, self.task.n_columns
        wider._n_rows[:] = self._n_rows
        for k, sums in enumerate(self._sums):
            wider._sums[k % wider.n_threads, :size] += sums[:size]
            wider._sums[k % wider.n_threads, -columns:] += sums[size:]

    def _kept(self) -> dict[str, np.ndarray]:
        return {"running": self._running, "sums": self._sums, "rows": self._n_rows}


BASELINES = {
    Locked: LockedRunner,
    RoundRobin: RoundRobinRunner,
    Delayed: DelayedRunner,
    Batch: BatchRunner,
    MiniBatch: MiniBatchRunner,
}
