"""Rows beyond memory as the engine takes them: a cache file's blocks in random order, a stream's batches in theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from hogwild.data.batch import Batch, merge_repeats
from hogwild.data.lines import Reading, in_background
from hogwild.engine.source import NONE, Block
from hogwild.estimators.linear_task import LinearState
from hogwild.steps.rows import SparseRows

_MANY = 16  # blocks of a shuffled file whose own order is random enough


def is_rows(data: Any) -> bool:
    """Whether `data` is what `hogwild.data.open` returns, not a matrix or a table."""
    return hasattr(data, "reading") and hasattr(data, "__iter__") and not hasattr(data, "__array__")


def is_cache(data: Any) -> bool:
    """Whether `data` are the blocks of a cache file, which can be visited in any order."""
    return is_rows(data) and hasattr(data, "block")


class CacheSource:
    """Blocks of a cache file, in a new random order each epoch, read ahead by a thread.

    Parameters
    ----------
    cache : HogFile
    targets : callable
        Labels of a block (codes or numbers) to the engine's targets.
    held_every : int
        Every so many rows, in the order of the file, one is left out; 0 for none.
    shuffle : bool
        Whether blocks are visited in random order.
    """

    def __init__(self, cache: Any, targets: Callable[[Any], np.ndarray], held_every: int, shuffle: bool) -> None:
        self._cache, self._targets, self._every, self._shuffle = cache, targets, held_every, shuffle
        self._starts = np.concatenate([[0], np.cumsum(cache.block_rows)])
        self.n_rows: int | None = None if cache.has_weights else cache.n_rows - self._n_held()
        self._reading = Reading()

    @property
    def wait_seconds(self) -> float:
        """Seconds in which training waited for a block."""
        return self._reading.wait_seconds

    def _n_held(self) -> int:
        return self._cache.n_rows // self._every if self._every else 0

    def first(self) -> SparseRows:
        """Return rows that stand for all: those of the first block."""
        return self._rows(0)

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Draw the order of the blocks, and read them."""
        n = self._cache.n_blocks
        order = rng.permutation(n) if self._shuffle else np.arange(n)
        return self._read(order[skipped:])

    def share(self) -> float | None:
        """Share of the epoch that has been read: not needed, as the rows are counted."""
        return None

    def held_out(self) -> Iterator[tuple[SparseRows, np.ndarray]]:
        """Return the blocks with the rows that were left out."""
        for k in range(self._cache.n_blocks):
            yield self._rows(k), self._held(k)
            self._cache.release(k)

    def _held(self, k: int) -> np.ndarray:
        numbers = np.arange(self._starts[k], self._starts[k + 1])
        return np.flatnonzero(numbers % self._every == self._every - 1).astype(np.uint32)

    def _read(self, order: np.ndarray) -> Iterator[Block]:
        return in_background(self._ahead(order), 1, self._reading)

    def _ahead(self, order: np.ndarray) -> Iterator[Block]:
        """Read blocks in the thread that is ahead, and let go of those that training has done with.

        While a block is read, the one before may wait and the one before that be in use: those before are done with.
        """
        for turn, k in enumerate(order.tolist()):
            if turn >= 3:
                self._cache.release(order[turn - 3])
            yield self._block(k)
        for k in order[-3:]:
            self._cache.release(k)

    def _rows(self, k: int) -> SparseRows:
        self._cache.read_ahead(k)
        found = self._cache.block(k)
        rows = SparseRows(found.indptr, found.indices, found.values, self._targets(found), found.weights)
        if len(found.fields):
            rows = _unique(rows)
        for array in rows:  # a kernel is compiled for each combination: there is one, whatever is a view of the file
            array.flags.writeable = False
        return rows

    def _block(self, k: int) -> Block:
        # the same loss to the third digit after 8 epochs of 34 blocks as with rows shuffled anew, 12 % less time
        mixed = self._cache.shuffled and self._cache.n_blocks >= _MANY
        return _block(self._rows(k), self._held(k) if self._every else NONE)._replace(mixed=mixed)


class StreamSource:
    """Batches in the order in which they come.

    Parameters
    ----------
    batches : iterable
        Of `Batch`, or of ``(X, y)`` and ``(X, y, sample_weight)``.
    n_threads : int
        More than one: the next batch is made while this one is stepped through.

    Attributes
    ----------
    head : Batch
        The first batch.
    targets : callable
        Labels to the engine's targets; to be set.
    n_features : int or None
        Number of columns where it is fixed.
    widest : int
        Columns that the rows so far ask for.
    """

    def __init__(self, batches: Iterable, n_threads: int) -> None:
        self._batches, self._ahead = batches, n_threads > 1
        self.n_rows: int | None = None
        self._stored = getattr(batches, "stored_bytes", None)
        self.n_features: int | None = getattr(batches, "n_features", None)
        self._own = Reading()
        self._iterator = self._open()
        self.head = next(self._iterator, None)
        if self.head is None:
            raise ValueError("found no rows to train on")
        self._waiting: Batch | None = self.head
        self.widest = self.n_features or self.head.n_features
        self.targets: Callable[[np.ndarray], np.ndarray]

    @property
    def wait_seconds(self) -> float:
        """Seconds in which training waited for a batch."""
        return self._own.wait_seconds + getattr(getattr(self._batches, "reading", None), "wait_seconds", 0.0)

    def first(self) -> SparseRows:
        """Return rows that stand for all: those of the first batch."""
        return self._rows(self.head)

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Read the batches."""
        return self._read(skipped)

    def share(self) -> float | None:
        """Share of the stored bytes that have been read."""
        reading = getattr(self._batches, "reading", None)
        return min(1.0, reading.stored_bytes / self._stored) if self._stored and reading else None

    def close(self) -> None:
        """End the thread that reads."""
        self._iterator.close()

    def _open(self) -> Iterator[Batch]:
        batches = self._filled()
        already = getattr(self._batches, "n_threads", 1) > 1
        return in_background(batches, 1, self._own) if self._ahead and not already else batches

    def _filled(self) -> Iterator[Batch]:
        """Batches that have rows."""
        for item in self._batches:
            batch = as_batch(item)
            if batch.n_rows:
                yield batch

    def _read(self, skipped: int) -> Iterator[Block]:
        batches = self._open() if self._waiting is None else self._iterator
        try:
            number = 0
            if self._waiting is not None:
                first, self._waiting = self._waiting, None
                if skipped == 0:
                    yield self._block(first)
                number = 1
            for batch in batches:
                if number >= skipped:
                    yield self._block(batch)
                number += 1
        finally:
            batches.close()

    def _block(self, batch: Batch) -> Block:
        return _block(self._rows(batch), NONE)._replace(n_features=batch.n_features)

    def _rows(self, batch: Batch) -> SparseRows:
        if self.n_features is not None and batch.n_features > self.n_features:
            raise ValueError(f"found feature {batch.n_features - 1}, expected less than n_features = {self.n_features}")
        self.widest = max(self.widest, batch.n_features)
        rows = SparseRows(batch.indptr, batch.indices, batch.values, self.targets(batch.labels), batch.weights)
        return _unique(rows) if len(batch.fields) else rows


def _unique(rows: SparseRows) -> SparseRows:
    """Add up entries of one feature, which rows with fields may hold several of."""
    batch = Batch(rows.indptr, rows.indices.copy(), rows.values.copy(), rows.targets)
    return SparseRows(*merge_repeats(batch)[:3], rows.targets, rows.weights)


def _block(rows: SparseRows, held: np.ndarray) -> Block:
    """Block of the rows that are not `held` out and have a weight."""
    takes_part = rows.weights != 0 if rows.weights.size else np.ones(len(rows.targets), bool)
    takes_part[held] = False
    kept = np.flatnonzero(takes_part).astype(np.uint32)
    if len(kept) == len(rows.targets):
        return Block(rows)
    if len(kept):
        return Block(rows, kept)
    none = rows._replace(indptr=rows.indptr[:1], targets=rows.targets[:0], weights=rows.weights[:0])
    return Block(none)


def as_batch(item: Any) -> Batch:
    """Return a batch, or ``(X, y)`` or ``(X, y, sample_weight)`` as one."""
    if isinstance(item, Batch):
        return item
    if not isinstance(item, tuple) or len(item) not in (2, 3):
        raise ValueError(f"found {type(item).__name__}, expected Batch, (X, y) or (X, y, sample_weight)")
    from hogwild.data.tables import from_matrix

    X, y, *weight = item
    if sp.issparse(X) or hasattr(X, "shape"):
        return from_matrix(X, np.asarray(y), weight[0] if weight else None)
    return from_matrix(np.asarray(X), np.asarray(y), weight[0] if weight else None)


def held_out_score(
    blocks: Iterable[tuple[SparseRows, np.ndarray]], state: LinearState, classifies: bool, link: Callable = np.asarray
) -> float:
    """Accuracy, or R^2, on rows that were left out, at the present weights."""
    coef, intercept = state.weights()
    columns = coef.reshape(len(coef), -1)
    right = total = 0.0
    sums = np.zeros(4)  # of weights, of targets, of their squares, of squared errors
    for rows, held in blocks:
        if not len(held):
            continue
        indptr = rows.indptr.astype(np.int64)
        X = sp.csr_matrix((rows.values, rows.indices.view(np.int32), indptr), shape=(len(rows.targets), len(coef)))
        scores = X[held] @ columns + intercept
        y = rows.targets[held].astype(np.float64)
        weight = rows.weights[held].astype(np.float64) if rows.weights.size else np.ones(len(held))
        if classifies:
            found = scores.argmax(axis=1) if scores.shape[1] > 1 else np.where(scores[:, 0] > 0, 1.0, -1.0)
            right, total = right + float(weight @ (found == y)), total + float(weight.sum())
        else:
            errors = y - link(scores[:, 0])
            sums += [weight.sum(), weight @ y, weight @ y**2, weight @ errors**2]
    if classifies:
        return right / max(total, 1e-300)
    spread = sums[2] - sums[1] ** 2 / max(sums[0], 1e-300)
    return 1.0 - sums[3] / max(spread, 1e-300)
