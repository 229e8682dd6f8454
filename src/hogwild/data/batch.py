"""Batches: consecutive rows of any source, as every reader gives them and every consumer takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from hogwild.compiled import kernel

_NONE = np.empty(0, np.float32)


class Batch(NamedTuple):
    """Consecutive rows: sparse features, labels, and weights where there are any.

    Attributes
    ----------
    indptr : ndarray of uint64, shape (n_rows + 1,)
        Starts at 0.
    indices : ndarray of uint32, shape (n_nonzeros,)
        Unique within a row, in any order; in rows with fields repeated entries are kept.
    values : ndarray of float32, shape (n_nonzeros,)
    labels : ndarray, shape (n_rows,)
        int64 if all of them are whole numerals, float64 if all are numbers, else text. NaN where a row has none.
    weights : ndarray of float32, shape (n_rows,) or (0,)
        Importance of the rows; empty where all are 1.
    fields : ndarray of uint32, shape (n_nonzeros,) or (0,)
        Field of each entry (libffm); empty for other formats.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray = _NONE
    fields: np.ndarray = np.empty(0, np.uint32)

    @property
    def n_rows(self) -> int:
        """Rows of the batch."""
        return len(self.indptr) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self)

    @property
    def n_features(self) -> int:
        """Largest index plus 1; 0 for a batch without entries."""
        return int(self.indices.max()) + 1 if len(self.indices) else 0

    def matrix(self, n_features: int | None = None) -> sparse.csr_matrix:
        """View (where indices are below 2**31) the features as a CSR matrix of `n_features` columns."""
        n_features = self.n_features if n_features is None else n_features
        narrow = max(n_features, len(self.indices)) < 2**31
        indices = self.indices.view(np.int32) if narrow else self.indices.astype(np.int64)
        indptr = self.indptr.astype(np.int32 if narrow else np.int64)
        return sparse.csr_matrix((self.values, indices, indptr), shape=(self.n_rows, n_features))

    def rows(self, start: int, stop: int) -> Batch:
        """View the rows ``start:stop``."""
        low, high = int(self.indptr[start]), int(self.indptr[stop])
        return Batch(
            self.indptr[start : stop + 1] - np.uint64(low),
            self.indices[low:high],
            self.values[low:high],
            self.labels[start:stop],
            self.weights[start:stop],
            self.fields[low:high],
        )


def concatenate(batches: Iterable[Batch]) -> Batch:
    """Join batches in their order; labels become the narrowest kind that holds all of them."""
    given = list(batches)
    parts = [part for part in given if part.n_rows] or given[:1]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Batch(np.zeros(1, np.uint64), np.empty(0, np.uint32), _NONE, np.empty(0, np.int64))
    starts = np.cumsum([0, *(len(part.indices) for part in parts)], dtype=np.uint64)
    indptr = [part.indptr[1:] + start for part, start in zip(parts, starts, strict=False)]
    weights = _NONE
    if any(len(part.weights) for part in parts):
        weights = np.concatenate([p.weights if len(p.weights) else np.ones(p.n_rows, np.float32) for p in parts])
    if len({part.labels.dtype.kind == "U" for part in parts}) > 1:
        number, word = (
            next(p.labels[0] for p in parts if (p.labels.dtype.kind == "U") is text) for text in (False, True)
        )
        raise ValueError(f"found labels that are numbers ({number}) and words ({word}), expected one kind")
    return Batch(
        np.concatenate([np.zeros(1, np.uint64), *indptr]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.labels for part in parts]),
        weights,
        np.concatenate([part.fields for part in parts]),
    )


@kernel
def _merge_repeats(indptr, indices, values, table, row_ends):
    """Add up values of one index within a row, in place, in the order of first occurrence; returns the entries left.

    `table` (a power of two, at least twice the longest row) holds ``row + 1`` and position of the indices seen.
    """
    mask, write = np.uint64(table.shape[0] - 1), np.uint64(0)
    for i in range(np.uint64(indptr.size - 1)):
        stamp = i + np.uint64(1)
        for j in range(indptr[i], indptr[i + np.uint64(1)]):
            index = indices[j]
            slot = (np.uint64(index) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)) & mask
            while table[slot, 0] == stamp and indices[table[slot, 1]] != index:
                slot = (slot + np.uint64(1)) & mask
            if table[slot, 0] == stamp:
                values[table[slot, 1]] += values[j]
            else:
                table[slot, 0], table[slot, 1] = stamp, write
                indices[write], values[write] = index, values[j]
                write += np.uint64(1)
        row_ends[i + np.uint64(1)] = write
    return write


def merge_repeats(batch: Batch) -> Batch:
    """Add up values of the same index within a row; the arrays of `batch` are used for it.

    A table of the indices seen costs a sixth of sorting the rows, whose order no step needs.
    """
    if not batch.n_rows:
        return batch
    longest = int(np.diff(batch.indptr).max())
    table = np.zeros((1 << (2 * longest + 1).bit_length(), 2), np.uint64)
    ends = np.zeros(len(batch.indptr), np.uint64)
    n = int(_merge_repeats(batch.indptr, batch.indices, batch.values, table, ends))
    return batch._replace(indptr=ends, indices=batch.indices[:n], values=batch.values[:n])


def rebatch(batches: Iterable[Batch], n_rows: int) -> Iterator[Batch]:
    """Cut or join batches to exactly `n_rows` rows each (the last may be shorter)."""
    if n_rows < 1:
        raise ValueError(f"n_rows is at least 1, found {n_rows!r}")
    waiting: list[Batch] = []
    held = 0
    for batch in batches:
        start = 0
        while held + batch.n_rows - start >= n_rows:
            stop = start + n_rows - held
            yield concatenate([*waiting, batch.rows(start, stop)])
            waiting, held, start = [], 0, stop
        if start < batch.n_rows:
            waiting.append(batch.rows(start, batch.n_rows))
            held += batch.n_rows - start
    if held:
        yield concatenate(waiting)
