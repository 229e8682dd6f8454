"""Threads on a grid: rows that name two things, cut so that threads which run at the same time share none of them.

Users and items are each divided into as many parts as there are threads; in turn s of an epoch, thread t runs the rows
of the users' part t and the items' part ``t + s`` (Gemulla, Haas, Nijkamp, Sismanis 2011; FPSGD hands such blocks out
freely). No two threads write one row of factors, so there is nothing to copy, to merge or to lose.
"""

from __future__ import annotations

import numpy as np

from hogwild.engine.engines import Grid
from hogwild.engine.loops import advance
from hogwild.engine.order import Order, draw_order
from hogwild.engine.pool import thread_pool
from hogwild.engine.source import NONE
from hogwild.engine.task import Task
from hogwild.schedules import CHUNK
from hogwild.steps.base import make_work
from hogwild.steps.rows import PairRows


def balanced_parts(numbers: np.ndarray, n_parts: int) -> np.ndarray:
    """Divide things into parts with about as many rows each.

    Parameters
    ----------
    numbers : ndarray of uint32
        The thing of each row.
    n_parts : int

    Returns
    -------
    ndarray of uint32
        Part of each thing, up to the largest number. The most frequent are dealt out to and fro.
    """
    counts = np.bincount(numbers)
    there_and_back = np.concatenate([np.arange(n_parts), np.arange(n_parts)[::-1]])
    parts = np.empty(len(counts), np.uint32)
    parts[np.argsort(-counts, kind="stable")] = np.resize(there_and_back, len(counts))
    return parts


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
            shuffle = order.blocks.size > 0
            self._orders = [
                [draw_order(self._rng, len(block.targets), NONE, shuffle) for block in turn] for turn in self._blocks
            ]
        n_rows, total, loss = int(order.n_rows), int(self._starts[-1]), 0.0
        low, stop = low * total // n_rows, high * total // n_rows  # rows of weight 0 have been left out
        began = self.task.t - low
        for turn, (start, end) in enumerate(zip(self._starts[:-1], self._starts[1:], strict=True)):
            if max(low, start) < min(stop, end):
                shares = (max(low, start) - start, min(stop, end) - start)
                loss += self._run_turn(turn, *shares, end - start, began + start)
        self.task.t = began + stop
        return loss, high

    def _run_turn(self, turn: int, low: int, high: int, size: int, t: float) -> float:
        """Run the shares low / size to high / size of a turn's blocks, each on its thread.

        `t` is the clock where the turn begins; threads count their own rows from there, so that no slice's length
        shows in a step.
        """
        calls = []
        for block, order, work in zip(self._blocks[turn], self._orders[turn], self._works, strict=True):
            first, last = (
                len(block.targets) if share == size else len(block.targets) * share // size // CHUNK * CHUNK
                for share in (low, high)
            )
            if first < last:
                work.running[1] = t + first
                bounds = (np.uint64(first), np.uint64(last))
                calls.append((block, order, self._model, np.uint64(0), self.task.schedule, *bounds, work))
        losses = thread_pool().run(advance, calls) if calls else []
        return float(sum(losses))

    def finish(self) -> None:
        """Do nothing: the model's arrays hold its weights."""

    def close(self) -> None:
        """Let go of nothing."""
