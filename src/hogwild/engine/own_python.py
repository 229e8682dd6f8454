"""Running a step of one's own part by part, in this process or in others: for what only Python can run, and batches.

A part is one call of a module-level function, with all that it needs in its arguments: a pool of threads and a pool of
processes run it alike.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from hogwild.engine.engines import OwnEngine, Processes, Sequential, Shared
from hogwild.engine.order import NO_ROWS, Order, epoch_rows
from hogwild.engine.own_kernels import Kind, make_loops
from hogwild.engine.own_task import OwnTask
from hogwild.engine.trace import make_tools
from hogwild.engine.training import SLICE_SECONDS
from hogwild.schedules import CHUNK
from hogwild.steps.own import view_of

_FIRST_GUESS = 20e-6  # seconds a row in Python, before anything was measured


class Pool(Protocol):
    """What runs the parts: threads of this process (engine/pool.py) or other processes (engine/process_pool.py)."""

    def run(self, function: Callable, calls: list[tuple]) -> list:
        """Call ``function(*arguments)`` for all `calls` at once."""
        ...


class Drawn(NamedTuple):
    """Rows of an epoch that a function draws; `targets` has an element for each, and nothing in it."""

    targets: np.ndarray
    weights: np.ndarray


# ------------------------------------------------------------------------------------------------ parts


def step_part(step, fields, rows, numbers, params, etas):
    """Step through the rows `numbers` in Python; returns the sum of losses."""
    row_of, total = view_of(rows, fields).row, 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is told by an error
        for i, eta in zip(numbers.tolist(), etas.tolist(), strict=True):
            total += step(row_of(rows, i), params, eta)
    return float(total)


def draw_part(step, batch, params, etas, rng):
    """Step through batches that ``batch(rng)`` draws; returns the sum of losses and the generator as it then is."""
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for eta in etas.tolist():
            loss = step(batch(rng), params, eta)
            if loss is None:
                raise TypeError("the step returned nothing, expected a number: the loss of the batch before the update")
            total += loss
    return float(total), rng


def loss_part(loss, fields, rows, numbers, params):
    """Sum of the losses of the rows `numbers`, in Python."""
    row_of = view_of(rows, fields).row
    with np.errstate(over="ignore", invalid="ignore"):
        return float(sum(loss(row_of(rows, i), params) for i in numbers.tolist()))


def advance_part(step, loss, fields, tier, rows, order, params, etas, low, high):
    """Step through positions low..high with a loop that this process compiles once; returns the sum of losses."""
    loops = make_loops(step, loss, view_of(rows, fields), Kind(), tier)
    (tools,) = make_tools(1, 0, 0, locked=False, traced=False)
    one, cursor, numbers = np.uint64(1), np.zeros(8, np.int64), np.empty(CHUNK, np.uint32)
    bounds = (np.uint64(low), np.uint64(high), np.uint64(max(1, high - low)))
    no_turn = np.empty(0, np.int64)
    return loops.advance(rows, order, params, etas, *bounds, cursor, no_turn, np.uint64(0), one, tools, numbers)


def compiled_loss_part(step, loss, fields, tier, rows, numbers, params):
    """Sum of the losses of the rows `numbers`, compiled."""
    loops = make_loops(step, loss, view_of(rows, fields), Kind(), tier)
    return loops.mean_loss(rows, numbers, np.uint64(0), np.uint64(len(numbers)), params)


def shared(value: Any, share: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Copy the arrays of a tuple, or of tuples in it, into shared memory."""
    if isinstance(value, np.ndarray):
        return share(value)
    if isinstance(value, tuple):
        parts = [shared(part, share) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


# ------------------------------------------------------------------------------------------------ the runner


class PartsRunner:
    """Workers that step on the same arrays without locks, each through its part of a slice.

    Parameters
    ----------
    task : OwnTask
    n_workers : int
    pool : Pool
        Of threads, or of processes; then rows and parameters are moved into shared memory.
    fields : tuple of str
        Names of a row's columns.
    rng : Generator
    batch : callable, optional
    tier : int or None
        Row of `own_kernels.TIERS` that workers compile the step with; None: they run it in Python.
    """

    fixed_slices = False
    exact = False

    def __init__(
        self,
        task: OwnTask,
        n_workers: int,
        pool: Pool,
        fields: tuple[str, ...],
        rng: np.random.Generator,
        *,
        batch: Callable | None = None,
        tier: int | None = None,
    ) -> None:
        self.task, self.n_threads, self._pool, self._fields, self._tier = task, n_workers, pool, fields, tier
        self._seconds, self._order, self._numbers = _FIRST_GUESS, None, None
        self._share = getattr(pool, "share", None)
        self._rngs = rng.spawn(n_workers)
        if self._share is not None:
            task.rows, task.params = shared(task.rows, self._share), shared(task.params, self._share)
            task.name_parameters()
        if batch is not None:
            self._part = functools.partial(draw_part, task.step, batch)
        elif tier is None:
            self._part = functools.partial(step_part, task.step, fields)
        else:
            self._part = functools.partial(advance_part, task.step, task.loss, fields, tier)
        self._batch = batch
        self.compiled = tier is not None
        if self.compiled:  # in all workers at once, before the clock runs
            nothing = (task.rows, NO_ROWS, task.params, np.empty(0), 0, 0)
            pool.run(self._part, [nothing] * n_workers)

    def describe(self) -> OwnEngine:
        """Return the engine as it runs."""
        if self._share is not None:
            return Processes(compiled=self._tier is not None)
        return Shared() if self.n_threads > 1 else Sequential()

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions from `low` on for a slice at most; returns the sum of losses and the position reached."""
        began, size = time.perf_counter(), int(SLICE_SECONDS * self.n_threads / self._seconds)
        high = min(high, low + max(self.n_threads, size))
        etas = self.task.etas(high - low)
        bounds = [low + (high - low) * k // self.n_threads for k in range(self.n_threads + 1)]
        calls = [
            self._call(order, etas[start - low : stop - low], start, stop, k)
            for k, (start, stop) in enumerate(pairwise(bounds))
            if stop > start
        ]
        results = self._pool.run(self._part, calls)
        if self._batch is not None:
            for k, (_, rng) in enumerate(results):
                self._rngs[k] = rng
            results = [loss for loss, _ in results]
        self.task.t += high - low
        seconds = (time.perf_counter() - began) * self.n_threads / (high - low)
        self._seconds = max(seconds, self._seconds / 2)  # a slice is at most twice as long as the last
        return float(sum(results)), high

    def _call(self, order: Order, etas: np.ndarray, start: int, stop: int, k: int) -> tuple:
        """Arguments of a part: what its function does not know yet."""
        if self._batch is not None:
            return (self.task.params, etas, self._rngs[k])
        if self._order is not order:
            self._order, self._kept = order, order
            if self._tier is None:
                self._numbers = epoch_rows(order)
            elif self._share is not None:
                self._kept = order._replace(blocks=self._share(order.blocks), kept=self._share(order.kept))
        if self._tier is None:
            return (self.task.rows, self._numbers[start:stop], self.task.params, etas)
        return (self.task.rows, self._kept, self.task.params, etas, start, stop)

    def mean_loss(self) -> float:
        """Mean of the losses of the rows that take part, at the present parameters."""
        task = self.task
        if self._batch is not None or task.loss is None:
            return float("nan")
        numbers = task.draw_sample(np.random.default_rng(0), task.n_kept)
        if self._tier is None:
            part = functools.partial(loss_part, task.loss, self._fields)
        else:
            part = functools.partial(compiled_loss_part, task.step, task.loss, self._fields, self._tier)
        calls = [(task.rows, some, task.params) for some in np.array_split(numbers, self.n_threads)]
        return sum(self._pool.run(part, calls)) / len(numbers)

    def finish(self) -> None:
        """Nothing is kept beside the parameters."""

    def close(self) -> None:
        """End the worker processes."""
        if hasattr(self._pool, "close"):
            self._pool.close()

    def trace(self) -> None:
        """Parts are not traced."""
