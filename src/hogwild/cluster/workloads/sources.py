"""Where the rows of a job are: cache files, other files, arrays in memory, blocks of another library's data sets.

A source is sent to every node. Nodes survey its pieces (`Source.survey`); `chunks` then cuts what is leased, and `load`
reads one chunk wherever it is leased to.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from hogwild.cluster.protocol import Chunk
from hogwild.cluster.workloads.survey import SAMPLE_ROWS, Survey, survey_batch, survey_labels
from hogwild.data.batch import Batch
from hogwild.data.field_rows import FieldRows
from hogwild.steps.rows import PairRows

CHUNK_ROWS = 16_384  # of a chunk, where rows are many
SMALLEST_CHUNK = 256
CHUNKS_A_WORKER = 8  # at least, so that a slow worker's can go to others
NO_ROWS = np.empty(0, np.uint32)


class DenseBatch(NamedTuple):
    """Rows of a dense matrix."""

    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


class Loaded(NamedTuple):
    """Rows of a chunk.

    Attributes
    ----------
    batch : Batch, DenseBatch or PairRows
        Labels are those of the rows, or (where the source has `labels`) their places in that table.
    kept : ndarray of uint32
        Rows that take part, ascending; empty: all.
    """

    batch: Any
    kept: np.ndarray = NO_ROWS


class Source(Protocol):
    """Rows of a job.

    Attributes
    ----------
    numbering : ndarray of uint32, or None
        Original feature of each column of what `load` returns.
    labels : ndarray, or None
        What codes in place of labels stand for.
    mixed : bool
        Whether rows stand in a random order already.
    """

    numbering: np.ndarray | None
    labels: np.ndarray | None
    mixed: bool

    def pieces(self) -> list[Any]:
        """What nodes survey, one each."""
        ...

    def survey(self, piece: Any) -> Survey:
        """Look at a piece."""
        ...

    def chunks(self, survey: Survey, n_workers: int, rows: int | None = None) -> tuple[Chunk, ...]:
        """Cut what is leased, of about `rows` rows."""
        ...

    def load(self, where: Any) -> Loaded:
        """Read a chunk."""
        ...


def rows_of_chunks(n_rows: int, n_workers: int, rows: int | None = None) -> int:
    """How many rows a chunk should have: 16,384, fewer where some workers would get less than 8 chunks.

    Examples
    --------
    >>> rows_of_chunks(10_000_000, 4), rows_of_chunks(100_000, 4), rows_of_chunks(100, 4)
    (16384, 3125, 256)
    """
    if rows is not None:
        return rows
    return int(np.clip(-(-n_rows // (CHUNKS_A_WORKER * n_workers)), SMALLEST_CHUNK, CHUNK_ROWS))


def cut_units(units: Sequence[int], rows: int) -> list[tuple[int, int, int]]:
    """Cut units (blocks, files) of so many rows into ranges of about equal length: (unit, start, stop)."""
    found = []
    for unit, n in enumerate(units):
        parts = max(1, round(n / rows)) if n else 0
        bounds = [n * k // parts for k in range(parts + 1)] if parts else []
        found += [(unit, low, high) for low, high in pairwise(bounds)]
    return found


def cut_chunks(units: Sequence[int], rows: int) -> tuple[Chunk, ...]:
    """Make a chunk of each range of rows of units."""
    return tuple(
        Chunk(k, stop - start, (unit, start, stop)) for k, (unit, start, stop) in enumerate(cut_units(units, rows))
    )


def weighted(weights: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Row numbers start..stop among the rows that have a weight; none where those are all rows."""
    if not len(weights):
        return np.arange(start, stop, dtype=np.uint32)
    return np.flatnonzero(weights)[start:stop].astype(np.uint32)


# ------------------------------------------------------------------------------------------------ arrays


class ArraySource:
    """Rows in memory: ranges of them, or of an order of them.

    Parameters
    ----------
    X : CSR matrix, C-ordered array, FieldRows or PairRows
    y : ndarray
        Labels; of pairs None.
    weights : ndarray or None
    order : ndarray of uint32, or None
        Rows that take part, in the order in which chunks take them; None: all, as they stand.
    """

    numbering = labels = None

    def __init__(
        self, X: Any, y: np.ndarray | None, weights: np.ndarray | None = None, order: np.ndarray | None = None
    ) -> None:
        self.X, self.y = X, y
        self.weights = np.empty(0, np.float32) if weights is None else weights
        if order is None and len(self.weights) and not self.weights.all():
            order = np.flatnonzero(self.weights).astype(np.uint32)
        self.order, self.mixed = order, False

    @property
    def n_rows(self) -> int:
        """Rows that take part."""
        if self.order is not None:
            return len(self.order)
        return len(self.X.targets) if isinstance(self.X, PairRows) else self.X.shape[0]

    def pieces(self) -> list[Any]:
        """One."""
        return [None]

    def survey(self, piece: None = None) -> Survey:
        """Look at the labels, and at some rows."""
        found = Survey("the rows", [self.n_rows] if self.n_rows else [])
        found.has_weights = bool(len(self.weights))
        chosen = slice(None) if self.order is None else np.sort(self.order)
        if isinstance(self.X, PairRows):
            step = max(1, self.n_rows // 65_536)
            found.sample = np.concatenate([self.X.first[::step], self.X.second[::step]])
            found.sample_rows = len(found.sample) // 2
            return found
        found.n_features = self.X.shape[1]
        survey_labels(found, self.y[chosen], self.weights[chosen] if len(self.weights) else self.weights)
        rows = np.unique(np.linspace(0, max(0, self.n_rows - 1), min(SAMPLE_ROWS, self.n_rows)).astype(np.int64))
        part = self.X[rows if self.order is None else self.order[rows]]
        if isinstance(part, FieldRows):
            found.has_fields, found.n_fields, found.sample = True, self.X.n_fields, part.indices
        else:
            found.sample = (part.indices if sp.issparse(part) else np.nonzero(part)[1]).astype(np.uint32)
        found.sample_rows = len(rows)
        return found

    def chunks(self, survey: Survey, n_workers: int, rows: int | None = None) -> tuple[Chunk, ...]:
        """Cut the rows."""
        return cut_chunks([self.n_rows], rows_of_chunks(self.n_rows, n_workers, rows))

    def load(self, where: tuple[int, int, int]) -> Loaded:
        """View rows, or copy them where they stand in an order of their own."""
        _, start, stop = where
        chosen: Any = slice(start, stop) if self.order is None else self.order[start:stop]
        X = self.X
        if isinstance(X, PairRows):
            return Loaded(X._replace(**{name: a[chosen] for name, a in X._asdict().items() if len(a)}))
        labels, weights = self.y[chosen], self.weights[chosen] if len(self.weights) else self.weights
        if isinstance(X, FieldRows):
            part = X[chosen]
            return Loaded(Batch(part.indptr, part.indices, part.values, labels, weights, part.fields))
        if not sp.issparse(X):
            return Loaded(DenseBatch(X[chosen], labels, weights))
        if self.order is not None:
            part = X[chosen]
            indptr, indices, values = part.indptr.astype(np.uint64), part.indices, part.data
        else:  # positions stay those of the matrix, so that nothing is copied
            indptr, indices, values = X.indptr[start : stop + 1].astype(np.uint64), X.indices, X.data
        if indices.dtype != np.uint32:
            low, high = int(indptr[0]), int(indptr[-1])
            if indices.dtype == np.int32:
                indices = indices.view(np.uint32)
            else:
                indices, values = indices[low:high].astype(np.uint32), values[low:high]
                indptr = indptr - np.uint64(low)
        return Loaded(Batch(indptr, indices, values, labels, weights))


# ------------------------------------------------------------------------------------------------ other data sets


class Reader(Protocol):
    """Blocks of another library's data set (Ray Data), read on the node that needs them."""

    def load(self, where: Any) -> Batch:
        """Read the block `where`."""
        ...


class ReaderSource:
    """Blocks of another library's data set: ranges of their rows.

    Parameters
    ----------
    reader : Reader
    blocks : sequence
        What `reader` loads, one after the other; each is read whole wherever rows of it are leased.
    """

    numbering = labels = None
    mixed = False

    def __init__(self, reader: Reader, blocks: Sequence[Any]) -> None:
        self.reader, self.blocks = reader, list(blocks)
        self._held: tuple[int, Batch] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def pieces(self) -> list[Any]:
        """The numbers of its blocks."""
        return list(range(len(self.blocks)))

    def survey(self, piece: int) -> Survey:
        """Read a block."""
        found, batch = Survey(f"block {piece}"), self.reader.load(self.blocks[piece])
        survey_batch(found, batch)
        found.rows = [int(np.count_nonzero(batch.weights)) if len(batch.weights) else batch.n_rows]
        return found

    def chunks(self, survey: Survey, n_workers: int, rows: int | None = None) -> tuple[Chunk, ...]:
        """Cut blocks."""
        return cut_chunks(survey.rows, rows_of_chunks(survey.n_rows, n_workers, rows))

    def load(self, where: tuple[int, int, int]) -> Loaded:
        """View rows of a block."""
        number, start, stop = where
        if self._held is None or self._held[0] != number:
            self._held = number, self.reader.load(self.blocks[number])
        whole = self._held[1]
        rows = weighted(whole.weights, start, stop)
        low, high = int(rows[0]), int(rows[-1]) + 1
        return Loaded(whole.rows(low, high), rows - rows[0] if high - low > len(rows) else NO_ROWS)
