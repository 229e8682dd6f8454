"""Threads on a grid: rows that name two things, cut so that threads which run at the same time share none of them.

Users and items are each divided into as many parts as there are threads; in turn s of an epoch, thread t runs the rows
of the users' part t and the items' part ``t + s`` (Gemulla, Haas, Nijkamp, Sismanis 2011; FPSGD hands such blocks out
freely). No two threads write one row of factors, so there is nothing to copy, to merge or to lose.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import aligned_zeros, barrier, kernel
from hogwild.engine.engines import Grid
from hogwild.engine.loops import advance
from hogwild.engine.order import Order, draw_order
from hogwild.engine.order import shuffle as reshuffle
from hogwild.engine.pool import thread_pool
from hogwild.engine.source import NONE
from hogwild.engine.task import Task
from hogwild.schedules import CHUNK
from hogwild.steps.base import make_work
from hogwild.steps.rows import PairRows


def balanced_parts(numbers: np.ndarray, n_parts: int) -> np.ndarray:
    """Divide things into parts of neighbours with about as many rows each.

    Neighbours, because processors fetch the cache lines beside those that are asked for: with the most frequent things
    dealt out to and fro, threads took each other's lines (MovieLens 100k: 1.2 times one thread instead of 1.6).

    Parameters
    ----------
    numbers : ndarray of uint32
        The thing of each row.
    n_parts : int

    Returns
    -------
    ndarray of uint32
        Part of each thing, up to the largest number.
    """
    counts = np.bincount(numbers)
    middles = np.cumsum(counts) - counts / 2
    return np.minimum(middles * n_parts // counts.sum(), n_parts - 1).astype(np.uint32)


class GridRunner:
    """Several threads on one model, each turn on users and items of its own; the same bits on every run.

    Parameters
    ----------
    task : Task
        Over `PairRows`, of a model that touches the factors of a row's two things only.
    engine : Grid
    n_threads : int
    rng : Generator
        Draws the order of rows within blocks.
    """

    fixed_slices = False
    exact = False
    plan = None

    def __init__(self, task: Task, engine: Grid, n_threads: int, rng: np.random.Generator) -> None:
        if not isinstance(task.rows, PairRows):
            raise ValueError(f"a grid needs rows that name two things, found {type(task.rows).__name__}")
        self.task, self.n_threads, self._engine, self._rng = task, n_threads, engine, rng
        settings = task.model.settings._replace(lazy=True, lazy_intercept=True)
        self._model = task.model._replace(settings=settings)
        self._works = [make_work(task.n_columns, task.dtype) for _ in range(n_threads)]
        for work in self._works:
            work.running[2] = 1.0
        self._blocks = self._cut(task.rows)
        sizes = [sum(len(block.targets) for block in turn) for turn in self._blocks]
        self._starts = np.cumsum([0, *sizes])
        self._orders: list[list[Order]] = []
        self._meeting = aligned_zeros(16, np.int64)

    def _cut(self, rows: PairRows) -> list[list[PairRows]]:
        """Rows of each turn and thread, in their order, side by side in memory."""
        n = self.n_threads
        left, right = (balanced_parts(numbers, n)[numbers] for numbers in (rows.first, rows.second))
        block = ((right + np.uint32(n) - left) % np.uint32(n)) * np.uint32(n) + left  # turn, then thread
        if rows.weights.size:
            block[rows.weights == 0] = n * n
        order = np.argsort(block.astype(np.uint16 if n < 256 else np.uint32), kind="stable")
        bounds = np.searchsorted(block[order], np.arange(n * n + 1))
        blocks = []
        for k in range(n * n):
            part = order[bounds[k] : bounds[k + 1]]
            blocks.append(PairRows(*(array[part] if array.size else array for array in rows)))
        return [blocks[n * turn : n * (turn + 1)] for turn in range(n)]

    def describe(self) -> Grid:
        """Return the engine as it runs."""
        return self._engine

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run that share of the epoch's rows which lies between low and high; returns the sum of losses, and high.

        `order` says whether rows are shuffled, no more: blocks are drawn one by one.
        """
        if low == 0 or not self._orders:
            self._draw(order.blocks.size > 0)
        n_rows, total = int(order.n_rows), int(self._starts[-1])
        low, stop = low * total // n_rows, high * total // n_rows  # rows of weight 0 have been left out
        began, turns = self.task.t - low, []
        for turn, (start, end) in enumerate(zip(self._starts[:-1], self._starts[1:], strict=True)):
            if max(low, start) < min(stop, end):
                shares = (max(low, start) - start, min(stop, end) - start)
                turns.append(self._calls(turn, *shares, end - start, began + start))
        self._meeting[:] = 0
        parts = [(list(calls), self._meeting, self.n_threads) for calls in zip(*turns, strict=True)]
        losses = thread_pool().run(_run_part, parts)
        self.task.t = began + stop
        return float(sum(losses)), high

    def _draw(self, shuffle: bool) -> None:
        """Draw the order of the rows of each block; after the first epoch, by shuffling the last one's.

        Four orders from scratch took 60 us, as long as stepping through 2,400 ratings.
        """
        if not self._orders:
            self._orders = [
                [draw_order(self._rng, len(block.targets), NONE, shuffle) for block in turn] for turn in self._blocks
            ]
            return
        for orders in self._orders if shuffle else ():
            seeds = self._rng.integers(1, 2**63, (len(orders), 2), dtype=np.uint64)
            for k, (order, (outer, inner)) in enumerate(zip(orders, seeds, strict=True)):
                reshuffle(order.blocks, outer)
                orders[k] = order._replace(seed=inner)

    def _calls(self, turn: int, low: int, high: int, size: int, t: float) -> list[tuple]:
        """Return what threads run of the shares low / size to high / size of a turn's blocks.

        `t` is the clock where the turn begins; threads count their own rows from there, so that no slice's length
        shows in a step.
        """
        calls = []
        for block, order, work in zip(self._blocks[turn], self._orders[turn], self._works, strict=True):
            first, last = (
                len(block.targets) if share == size else len(block.targets) * share // size // CHUNK * CHUNK
                for share in (low, high)
            )
            bounds = (np.uint64(first), np.uint64(last))
            calls.append((t + first, (block, order, self._model, np.uint64(0), self.task.schedule, *bounds, work)))
        return calls

    def finish(self) -> None:
        """Do nothing: the model's arrays hold its weights."""

    def close(self) -> None:
        """Let go of nothing."""


@kernel
def _meet(meeting, parties):
    """Wait for the other threads."""
    barrier(meeting, np.int64(parties))


def _run_part(calls: list[tuple], meeting: np.ndarray, parties: int) -> float:
    """Run one thread's blocks, all threads a turn at a time; waking a thread for each turn took 70 us."""
    loss = 0.0
    for t, call in calls:
        try:
            call[-1].running[1] = t
            loss += advance(*call)
        finally:
            _meet(meeting, parties)
    return loss
