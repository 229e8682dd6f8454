"""Which rows each fold trains on and holds out, for matrices and for rows beyond memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from hogwild.data.batch import Batch
from hogwild.engine.source import NONE, Block, InMemory
from hogwild.estimators.sources import CacheSource, StreamSource
from hogwild.steps.rows import Rows, SparseRows

MOST_FOLDS = 63  # one bit each, and one for the models of all rows
FOLDS = 5  # cv=None
Held = Callable[[int], np.ndarray]  # fold to row numbers within a block


class FoldedMatrix(InMemory):
    """A matrix in memory with the folds of a splitter.

    Attributes
    ----------
    trains : ndarray of uint64, shape (n_rows,)
        Bit 0 is set; bit f + 1 where fold f trains on the row.
    n_folds : int
    """

    def __init__(self, rows: Rows, kept: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__(rows, kept)
        self._rows, self._splits, self.n_folds = rows, splits, len(splits)
        self.trains = np.ones(len(rows.targets), np.uint64)
        for fold, (training, _) in enumerate(splits):
            self.trains[training] |= np.uint64(1 << (fold + 1))
        self.wait_seconds = 0.0

    def first(self) -> Rows:
        """Return the rows."""
        return self._rows

    def held_out(self) -> Iterator[tuple[Rows, Held]]:
        """Return the rows, and what tells which of them a fold holds out."""
        yield self._rows, lambda fold: with_weight(self._rows, np.asarray(self._splits[fold][1], np.uint32))

    def close(self) -> None:
        """Nothing is open."""


class FoldedCache(CacheSource):
    """Blocks of a cache file; fold f holds out the rows whose number has the rest f when divided by `n_folds`."""

    def __init__(self, cache: Any, targets: Callable[[Any], np.ndarray], n_folds: int, shuffle: bool) -> None:
        super().__init__(cache, targets, 0, shuffle)
        self.n_folds, self.trains = n_folds, np.empty(0, np.uint64)

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Draw the order of the blocks, and read them."""
        n = self._cache.n_blocks
        order = rng.permutation(n) if self._shuffle else np.arange(n)
        return self._marked(order[skipped:])

    def held_out(self) -> Iterator[tuple[SparseRows, Held]]:
        """Return the blocks, and what tells which rows a fold holds out."""
        for k in range(self._cache.n_blocks):
            rows = self._rows(k)
            yield rows, _every(rows, int(self._starts[k]), self.n_folds)
            self._cache.release(k)

    def _marked(self, order: np.ndarray) -> Iterator[Block]:
        blocks = self._read(order)
        try:
            for k, block in zip(order.tolist(), blocks, strict=True):
                self.trains = training_bits(int(self._starts[k]), len(block.rows.targets), self.n_folds)
                yield block
        finally:
            blocks.close()

    def close(self) -> None:
        """The cache file stays open: it is the caller's."""


class FoldedStream(StreamSource):
    """Batches in the order in which they come, with folds as in `FoldedCache`."""

    def __init__(self, batches: Any, n_threads: int, n_folds: int) -> None:
        super().__init__(batches, n_threads)
        self.n_folds, self.trains, self._row = n_folds, np.empty(0, np.uint64), 0

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Read the batches."""
        self._row = 0
        return self._read(skipped)

    def held_out(self) -> Iterator[tuple[SparseRows, Held]]:
        """Read the batches once more, with what tells which rows a fold holds out."""
        batches, row = self._open(), 0
        try:
            for batch in batches:
                rows = self._rows(batch)
                yield rows, _every(rows, row, self.n_folds)
                row += batch.n_rows
        finally:
            batches.close()

    def _block(self, batch: Batch) -> Block:
        self.trains = training_bits(self._row, batch.n_rows, self.n_folds)
        self._row += batch.n_rows
        return super()._block(batch)


FoldedSource = FoldedMatrix | FoldedCache | FoldedStream


def training_bits(first: int, n_rows: int, n_folds: int) -> np.ndarray:
    """Bits of the rows from number `first` on: set for all models but those of the fold that holds the row out."""
    if not n_folds:
        return np.ones(n_rows, np.uint64)
    fold = (np.arange(first, first + n_rows) % n_folds).astype(np.uint64)
    return ~(np.uint64(2) << fold)


def _every(rows: SparseRows, first: int, n_folds: int) -> Held:
    numbers = np.arange(first, first + len(rows.targets))
    return lambda fold: with_weight(rows, np.flatnonzero(numbers % n_folds == fold).astype(np.uint32))


def with_weight(rows: Rows, chosen: np.ndarray) -> np.ndarray:
    """Return those of the rows `chosen` that have a weight."""
    return chosen[rows.weights[chosen] != 0] if rows.weights.size else chosen


def count_folds(cv: Any) -> int:
    """Return the number of folds of rows beyond memory.

    Raises
    ------
    ValueError
        If `cv` is not a number: a splitter would need all rows at hand.
    """
    n_folds = FOLDS if cv is None else cv
    if not isinstance(n_folds, Integral) or isinstance(n_folds, bool):
        raise ValueError(f"found cv={cv!r}, expected a number of folds: opened rows are split by their row numbers")
    return check_count(int(n_folds))


def check_count(n_folds: int) -> int:
    """Return a number of folds that there can be.

    Raises
    ------
    ValueError
        If it is 1, negative or above 63.
    """
    if n_folds == 1 or not 0 <= n_folds <= MOST_FOLDS:
        raise ValueError(f"found cv with {n_folds} folds, expected 2 to {MOST_FOLDS} (0: judge by the first epoch)")
    return n_folds


def split_rows(
    cv: Any, X: Any, y: np.ndarray, codes: np.ndarray | None, kept: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and held-out rows of each fold, as scikit-learn splits them; none for ``cv=0``.

    Parameters
    ----------
    codes : ndarray or None
        Class numbers; None for regression.
    kept : ndarray of uint32
        Rows that have a weight; empty for all.
    """
    if isinstance(cv, Integral) and not isinstance(cv, bool) and check_count(int(cv)) == 0:
        return []
    splitter = check_cv(FOLDS if cv is None else cv, y, classifier=codes is not None)
    splits = [(np.asarray(training), np.asarray(held)) for training, held in splitter.split(X, y)]
    rows = np.arange(len(y))
    splits = [(rows[training], rows[held]) for training, held in splits]  # masks become numbers, wrong ones an error
    if not 1 <= len(splits) <= MOST_FOLDS:
        raise ValueError(f"found cv with {len(splits)} folds, expected 1 to {MOST_FOLDS}")
    has_weight = np.ones(len(y), bool)
    if len(kept):
        has_weight[:] = False
        has_weight[kept] = True
    for fold, (training, held) in enumerate(splits):
        training, held = training[has_weight[training]], held[has_weight[held]]
        if not len(training) or not len(held):
            raise ValueError(
                f"fold {fold} of cv has {len(training)} rows to train on and {len(held)} to score (of weight above 0), "
                "expected some of both"
            )
        if codes is not None and len(np.unique(codes[training])) < len(np.unique(codes)):
            warnings.warn(f"fold {fold} of cv trains without rows of some class", UserWarning, stacklevel=4)
    return splits


__all__ = ["NONE", "FoldedCache", "FoldedMatrix", "FoldedStream", "count_folds", "split_rows", "training_bits"]
