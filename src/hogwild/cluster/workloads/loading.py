"""Chunks in memory: kernel rows, kept for later epochs where they fit, read ahead by a thread."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.protocol import Chunk
from hogwild.cluster.workloads.problem import Problem
from hogwild.cluster.workloads.sources import Source
from hogwild.compiled import kernel
from hogwild.engine.order import FULL_BELOW, Order, choose_shuffle, draw_order, epoch_rows
from hogwild.steps.rows import DenseRows, PairRows, Rows

MARKED = 1 << 27  # features up to which those that occur are found by a byte for each, else by sorting
_FULL = FULL_BELOW // 4  # rows of a chunk below which a full shuffle costs nothing: they fit a second-level cache


class Held(NamedTuple):
    """A chunk in memory.

    Attributes
    ----------
    rows : Rows
    kept : ndarray of uint32
        Rows that take part; empty: all.
    shuffle : bool or str
        How an epoch's order is drawn.
    nbytes : int
        Memory that it keeps.
    keys : ndarray of uint32
        In partial mode: its features by their original numbers, ascending; `rows` then number them from 0.
    """

    rows: Rows
    kept: np.ndarray
    shuffle: bool | str
    nbytes: int
    keys: np.ndarray

    @property
    def n_rows(self) -> int:
        """Rows that take part."""
        return len(self.kept) or len(self.rows.targets)


class Ordered(NamedTuple):
    """Order of one chunk in one epoch: as kernels draw it, and written out."""

    order: Order
    rows: np.ndarray


@kernel
def _mark(indices, low, high, seen):
    for j in range(np.uint64(low), np.uint64(high)):
        seen[indices[j]] = 1


@kernel
def _renumber(indices, low, high, numbers, out):
    for j in range(np.uint64(low), np.uint64(high)):
        out[j - np.uint64(low)] = numbers[indices[j]]


def compact_features(indices: np.ndarray, low: int, high: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns that occur at positions low..high, ascending, and the positions' numbers among them."""
    if n_columns > MARKED:
        found, numbers = np.unique(indices[low:high], return_inverse=True)
        return found.astype(np.uint32), numbers.astype(np.uint32)
    seen = np.zeros(n_columns, np.uint8)
    _mark(indices, low, high, seen)
    found = np.flatnonzero(seen).astype(np.uint32)
    numbers = np.empty(n_columns, np.uint32)
    numbers[found] = np.arange(len(found), dtype=np.uint32)
    out = np.empty(high - low, np.uint32)
    _renumber(indices, low, high, numbers, out)
    return found, out


class Loader:
    """Reads chunks of a source as a problem's rows.

    Parameters
    ----------
    problem : Problem
    source : Source
    seed : int
        Of the order of rows.
    cache_bytes : int
        Memory for chunks; the one at hand is always kept.
    compact : bool
        Whether features are numbered anew in each chunk (partial mode).
    """

    def __init__(
        self, problem: Problem, source: Source, seed: int, *, cache_bytes: int = 1 << 30, compact: bool = False
    ) -> None:
        self._problem, self._source, self._seed, self._compact = problem, source, seed, compact
        self._limit, self._size = cache_bytes, 0
        self._held: OrderedDict[int, Held] = OrderedDict()
        self._coming: dict[int, Future] = {}
        self._orders: OrderedDict[tuple[int, int], Ordered] = OrderedDict()
        self._targets: np.ndarray | None = None
        # one thread: a source need not know about several
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hogwild-chunks")

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def read_ahead(self, chunks: Any) -> None:
        """Begin to load chunks that will be needed."""
        for chunk in chunks:
            if chunk.number not in self._held and chunk.number not in self._coming:
                self._coming[chunk.number] = self._thread.submit(self._load, chunk)

    def get(self, chunk: Chunk) -> Held:
        """Return a chunk, as soon as it is loaded."""
        held = self._held.get(chunk.number)
        if held is not None:
            self._held.move_to_end(chunk.number)
            return held
        self.read_ahead([chunk])
        held = self._coming.pop(chunk.number).result()
        self._held[chunk.number] = held
        self._size += held.nbytes
        while self._size > self._limit and len(self._held) > 1:
            self._size -= self._held.popitem(last=False)[1].nbytes
        return held

    def others(self, numbers: set[int]) -> list[Held]:
        """Return chunks in memory beside those."""
        return [held for number, held in self._held.items() if number not in numbers]

    def order(self, chunk: Chunk, turn: int) -> Ordered:
        """Draw the order of a chunk's rows, from the seed, the turn and the chunk alone."""
        found = self._orders.get((chunk.number, turn))
        if found is None:
            held = self.get(chunk)
            if held.n_rows != chunk.rows:
                raise ValueError(
                    f"chunk {chunk.number} has {held.n_rows} rows, expected {chunk.rows}: data have changed"
                )
            order = draw_order(
                np.random.default_rng([self._seed, turn, chunk.number]), held.n_rows, held.kept, held.shuffle
            )
            found = self._orders[chunk.number, turn] = Ordered(order, epoch_rows(order))
            while len(self._orders) > 64:
                self._orders.popitem(last=False)
        return found

    # ------------------------------------------------------------------------------------------ reading

    def _load(self, chunk: Chunk) -> Held:
        problem, source = self._problem, self._source
        loaded = source.load(chunk.where)
        batch = loaded.batch
        if isinstance(batch, PairRows):
            targets = None
        elif source.labels is not None:
            if self._targets is None:
                self._targets = problem.targets(source.labels)
            targets = self._targets[batch.labels]
        else:
            targets = problem.targets(batch.labels)
        rows, keys = problem.rows(batch, targets), np.empty(0, np.uint32)
        if self._compact:
            rows, keys = self._compacted(rows)
        shuffle = problem.shuffle
        if shuffle is True:
            n = len(loaded.kept) or len(rows.targets)
            shuffle = False if source.mixed else choose_shuffle(True, rows.targets) if n >= FULL_BELOW else "full"
            if shuffle == "full" and n >= _FULL and choose_shuffle(True, np.tile(rows.targets, 4)) == "blocks":
                shuffle = "blocks"
        # a kernel is compiled for each combination of what may be written to: there is one, whatever is a view of what
        rows = type(rows)(*(_read_only(array) for array in rows))
        nbytes = sum(array.nbytes for array in rows if array.base is None or array.base.base is None) + keys.nbytes
        return Held(rows, loaded.kept, shuffle, int(nbytes), keys)

    def _compacted(self, rows: Rows) -> tuple[Rows, np.ndarray]:
        if isinstance(rows, DenseRows | PairRows):
            raise ValueError(f"a model in parts needs sparse rows of features, found {type(rows).__name__}")
        low, high = int(rows.indptr[0]), int(rows.indptr[-1])
        numbering = self._source.numbering
        n_columns = self._problem.n_features if numbering is None else len(numbering)
        columns, numbers = compact_features(rows.indices, low, high, n_columns)
        if numbering is not None:
            keys = numbering[columns]
            order = np.argsort(keys)
            places = np.empty(len(order), np.uint32)
            places[order] = np.arange(len(order), dtype=np.uint32)
            keys, numbers = keys[order], places[numbers]
        else:
            keys = columns
        rows = rows._replace(indptr=rows.indptr - np.uint64(low), indices=numbers, values=rows.values[low:high])
        return rows, keys


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
