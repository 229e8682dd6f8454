"""Where the rows of an epoch come from: one matrix in memory, or blocks that follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from hogwild.steps.rows import Rows

NONE = np.empty(0, np.uint32)


class Block(NamedTuple):
    """Rows in memory: what the engine runs over at a time.

    Attributes
    ----------
    rows : SparseRows or DenseRows
    kept : ndarray of uint32
        Rows that take part, ascending; empty for all. Where none does, `rows` are none either.
    n_features : int
        Columns that the rows ask for; 0 where the model has room for them all.
    mixed : bool
        Whether the rows stand in a random order already, among many blocks: ``shuffle=True`` leaves it.
    """

    rows: Rows
    kept: np.ndarray = NONE
    n_features: int = 0
    mixed: bool = False

    @property
    def n_rows(self) -> int:
        """Rows that take part."""
        return len(self.kept) or len(self.rows.targets)

    @property
    def weight(self) -> float:
        """Sum of the row weights."""
        weights = self.rows.weights
        if not weights.size:
            return float(self.n_rows)
        return float(weights[self.kept].sum() if len(self.kept) else weights.sum())


class Source(Protocol):
    """Blocks of rows, epoch after epoch.

    Attributes
    ----------
    n_rows : int or None
        Rows of an epoch that take part; None where only its end tells.
    """

    n_rows: int | None

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Draw the order of an epoch's blocks at once, and return them from the block number `skipped` on.

        Blocks without rows count as well.
        """
        ...

    def share(self) -> float | None:
        """Share of the present epoch that has been read; None where nobody knows."""
        ...


class InMemory:
    """One block that is the whole epoch."""

    def __init__(self, rows: Rows, kept: np.ndarray = NONE) -> None:
        self._block = Block(rows, kept)
        self.n_rows = self._block.n_rows

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Return the block."""
        return iter([self._block][skipped:])

    def share(self) -> float | None:
        """Share of the epoch that has been read."""
        return 1.0
