"""Running slices of an epoch with a user's compiled step: on arrays that all threads share, alone, or in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.engines import Locked, OwnEngine, RoundRobin, Sequential
from hogwild.engine.loops import TAKEN
from hogwild.engine.order import NO_ROWS, Order
from hogwild.engine.own_functions import why_not
from hogwild.engine.own_kernels import TIERS, Kind, Loops, make_loops
from hogwild.engine.own_task import OwnTask
from hogwild.engine.pool import thread_pool
from hogwild.engine.trace import Tools, Trace, collect, make_tools
from hogwild.engine.training import SLICE_SECONDS
from hogwild.schedules import CHUNK

NO_NUMBERS = np.empty(0, np.uint32)
_NO_TURN = np.empty(0, np.int64)


class CannotCompileError(TypeError):
    """A function that the compiler does not take; the message says which and why."""


class ThreadsRunner:
    """Threads that step on the same arrays: one of them, several racing, under locks, or in turns."""

    fixed_slices = False
    exact = False
    replicated = False
    compiled = True

    def __init__(self, task: OwnTask, engine: OwnEngine, n_threads: int, *, traced: bool = False) -> None:
        self.task, self.engine, self.n_threads, self.traced = task, engine, n_threads, traced
        self.loops: Loops | None = None
        self.tier, self._pace = 0, CHUNK * n_threads  # nobody knows what a row costs before one was stepped through
        locked = isinstance(engine, Locked) and n_threads > 1
        self._kind = Kind(locked, traced, self.replicated)
        self.tools: list[Tools] = make_tools(n_threads, task.longest, task.n_coordinates, locked=locked, traced=traced)
        self.numbers = [np.empty(CHUNK, np.uint32) for _ in range(n_threads)]
        self.cursor, self._turn = aligned_zeros(8, np.int64), _NO_TURN
        if isinstance(engine, RoundRobin) and n_threads > 1:
            self._turn = aligned_zeros(8, np.int64)

    def describe(self) -> OwnEngine:
        """Return the engine as it runs."""
        return self.engine if self.n_threads > 1 else Sequential()

    # ------------------------------------------------------------------------------------------ compiling

    def compile(self, example: Callable[[], tuple]) -> None:
        """Compile the loops, without reference counts where the step needs none.

        Parameters
        ----------
        example : callable
            Returns arguments of the step, to find out what the compiler does not take.

        Raises
        ------
        CannotCompileError
            Where the step (or the loss) cannot be compiled.
        """
        task = self.task
        for tier in range(len(TIERS)):
            self.loops = make_loops(task.step, task.loss, task.view, self._kind, tier)
            try:
                self._try()
                self.tier = tier
                return
            except Exception as error:  # no row has run: it is the compiler's, which raises many kinds
                failure = error
        row, params, eta = example()
        reason = why_not(task.step, (row, params, eta))
        if reason is None and task.loss is not None:
            reason = why_not(task.loss, (row, params))
        self.loops = None
        raise CannotCompileError(reason or f"{task.step.__name__}: {type(failure).__name__}") from failure

    def _try(self) -> None:
        """Call what the run will call, on no rows."""
        self._advance(NO_ROWS, np.empty(0), 0, 0)
        self.losses(NO_NUMBERS, 0)

    # ------------------------------------------------------------------------------------------ slices

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions from `low` on for a slice at most; returns the sum of losses and the position reached."""
        high, began = min(high, low + self._pace), time.perf_counter()
        loss = self._step(order, low, high)
        seconds = time.perf_counter() - began
        fitting = int(SLICE_SECONDS * (high - low) / max(seconds, 1e-6))
        self._pace = max(CHUNK, min(fitting, 4 * self._pace) // CHUNK * CHUNK)
        return loss, high

    def _step(self, order: Order, low: int, high: int) -> float:
        loss = self._advance(order, self.task.etas(high - low), low, high)
        self.task.t += high - low
        return loss

    def _advance(self, order: Order, etas: np.ndarray, low: int, high: int) -> float:
        if self._turn.size:
            share, self._turn[0] = self.engine.interval, low
        else:
            share = self.share_of(high - low)
        self.cursor[0] = 0
        calls = [
            self.arguments(order, self.task.params, etas, (low, high, share), self.cursor, self._turn, k)
            for k in range(self.n_threads)
        ]
        return sum(thread_pool().run(self.loops.advance, calls))

    def share_of(self, n_rows: int) -> int:
        """Rows that a thread takes at a time."""
        if self.n_threads == 1:
            return max(1, n_rows)
        return TAKEN if n_rows >= 32 * TAKEN * self.n_threads else CHUNK

    def arguments(self, order, params, etas, bounds, cursor, turn, k) -> tuple:
        """Arguments of ``loops.advance`` for thread `k`."""
        numbers = map(np.uint64, bounds)
        threads = (np.uint64(k), np.uint64(self.n_threads))
        return (self.task.rows, order, params, etas, *numbers, cursor, turn, *threads, self.tools[k], self.numbers[k])

    def finish(self) -> None:
        """Nothing is kept beside the parameters."""

    def close(self) -> None:
        """Nothing is held."""

    # ------------------------------------------------------------------------------------------ losses

    def losses(self, numbers: np.ndarray, n: int) -> float:
        """Sum of the losses of the rows `numbers`, or of the first `n` rows where it is empty; on all threads."""
        if self.task.loss is None:
            return float("nan")
        bounds = [np.uint64(k * n // self.n_threads) for k in range(self.n_threads + 1)]
        calls = [(self.task.rows, numbers, low, high, self.task.params) for low, high in pairwise(bounds)]
        return sum(thread_pool().run(self.loops.mean_loss, calls))

    def mean_loss(self) -> float:
        """Mean of the losses of the rows that take part, at the present parameters."""
        return self.losses(self.task.kept, self.task.n_kept) / self.task.n_kept

    def trace(self) -> Trace | None:
        """What an instrumented run has counted so far."""
        if not self.traced:
            return None
        described = str(self.describe())
        return collect(self.tools, self.task.coordinates, described, racy=not self.replicated)
