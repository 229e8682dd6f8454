"""Rows in memory, as kernels see them: compressed sparse rows, a dense matrix, or pairs, with targets and weights.

Steps are written once, against `span`, `feature` and `value`; the compiler makes a kernel of them for each kind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import types
from numba.extending import overload

from hogwild.compiled import OPTIONS, inlined, prefetch
from hogwild.schedules import BLOCK


class SparseRows(NamedTuple):
    """Compressed sparse rows.

    Attributes
    ----------
    indptr : ndarray of uint64, shape (n_rows + 1,)
    indices : ndarray of uint32, shape (n_nonzeros,)
        Unique within a row.
    values : ndarray of float32 or float64, shape (n_nonzeros,)
    targets : ndarray, shape (n_rows,)
        -1 / +1, the class number, or the number to predict.
    weights : ndarray, shape (n_rows,) or (0,)
        Row weights; empty where all are 1.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class DenseRows(NamedTuple):
    """A C-ordered matrix of rows; attributes as in `SparseRows`, `values` of shape (n_rows, n_features)."""

    values: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class SparseFieldRows(NamedTuple):
    """Compressed sparse rows whose entries have fields, for field-aware models; attributes as in `SparseRows`.

    Attributes
    ----------
    fields : ndarray of uint32, shape (n_nonzeros,)
        Field of each entry. Repeated entries of a row are kept: each is a term of the model.
    norms : ndarray, shape (n_rows,) or (0,)
        ``1 / sum of squared values`` of each row, where rows are scaled to length 1; else empty.
    """

    indptr: np.ndarray
    indices: np.ndarray
    fields: np.ndarray
    values: np.ndarray
    norms: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class PairRows(NamedTuple):
    """Rows that each name two things: a user and an item, or the two nodes of an edge.

    Attributes
    ----------
    first, second : ndarray of uint32, shape (n_rows,)
        Numbers of the two among all things together (items are numbered after the users).
    targets : ndarray, shape (n_rows,)
        Rating; 1 where there is none.
    weights : ndarray, shape (n_rows,) or (0,)
        Row weights; empty where all are 1.
    """

    first: np.ndarray
    second: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


Rows = SparseRows | DenseRows | SparseFieldRows | PairRows


def as_rows(X: np.ndarray | sp.csr_matrix, targets: np.ndarray, weights: np.ndarray | None = None) -> Rows:
    """View a CSR matrix of unique indices or a C-ordered array as rows: values and 32-bit indices are not copied."""
    dtype = X.dtype
    targets = np.ascontiguousarray(targets, dtype)
    weights = np.empty(0, dtype) if weights is None else np.ascontiguousarray(weights, dtype)
    if not sp.issparse(X):
        return DenseRows(X, targets, weights)
    indices = X.indices.view(np.uint32) if X.indices.dtype == np.int32 else X.indices.astype(np.uint32)
    return SparseRows(X.indptr.astype(np.uint64), indices, X.data, targets, weights)


def is_sparse(rows: types.Type) -> bool:
    """Whether the compiler's type of `rows` is that of compressed sparse rows, with fields or without."""
    return isinstance(rows, types.BaseNamedTuple) and rows.instance_class in (SparseRows, SparseFieldRows)


def _are_pairs(rows: types.Type) -> bool:
    return isinstance(rows, types.BaseNamedTuple) and rows.instance_class is PairRows


def span(rows, i):
    """First and last-plus-one position of row `i`."""
    raise NotImplementedError


def feature(rows, j):
    """Feature at position `j` of a row."""
    raise NotImplementedError


def value(rows, i, j):
    """Value at position `j` of row `i`."""
    raise NotImplementedError


def prefetch_row(rows, i):
    """Ask the memory for row `i`, a few rows before its turn."""
    raise NotImplementedError


def prefetch_share(rows, first, k):
    """Ask the memory for share `k` of the block of rows from `first` on, which lie side by side."""
    raise NotImplementedError


INLINE = {**OPTIONS, "forceinline": True}


@inlined
def _ask_range(rows, low, high):
    j = low
    while j < high:
        prefetch(rows.values, j)
        j += np.uint64(16)


@inlined
def _ask_pair(rows, i):
    prefetch(rows.first, i)
    prefetch(rows.second, i)
    prefetch(rows.targets, i)


def _ask_fields(rows, j):
    """Ask the memory for the fields at position `j`, where there are any."""
    raise NotImplementedError


@overload(_ask_fields, jit_options=INLINE)
def _ask_fields_of(rows, j):
    if rows.instance_class is SparseFieldRows:
        return lambda rows, j: prefetch(rows.fields, j)
    return lambda rows, j: None


@overload(span, jit_options=INLINE)
def _span(rows, i):
    if is_sparse(rows):
        return lambda rows, i: (rows.indptr[i], rows.indptr[i + np.uint32(1)])
    if _are_pairs(rows):
        return lambda rows, i: (np.uint64(2) * np.uint64(i), np.uint64(2) * np.uint64(i) + np.uint64(2))
    return lambda rows, i: (np.uint64(0), np.uint64(rows.values.shape[1]))


@overload(feature, jit_options=INLINE)
def _feature(rows, j):
    if is_sparse(rows):
        return lambda rows, j: rows.indices[j]
    if _are_pairs(rows):

        def named(rows, j):
            i = np.uint64(j) >> np.uint64(1)
            return rows.second[i] if np.uint64(j) & np.uint64(1) else rows.first[i]

        return named
    return lambda rows, j: j


@overload(value, jit_options=INLINE)
def _value(rows, i, j):
    if is_sparse(rows):
        return lambda rows, i, j: rows.values[j]
    if _are_pairs(rows):
        return lambda rows, i, j: rows.targets.dtype.type(1)
    return lambda rows, i, j: rows.values[i, j]


@overload(prefetch_row, jit_options=INLINE)
def _prefetch_row(rows, i):
    if is_sparse(rows):

        def ask(rows, i):
            j, stop = rows.indptr[i], rows.indptr[i + np.uint32(1)]
            while j < stop:
                prefetch(rows.indices, j)
                prefetch(rows.values, j)
                _ask_fields(rows, j)
                j += np.uint64(16)

        return ask
    if _are_pairs(rows):
        return lambda rows, i: _ask_pair(rows, np.uint64(i))

    def ask_dense(rows, i):
        width = np.uint64(rows.values.shape[1])
        _ask_range(rows, width * np.uint64(i), width * (np.uint64(i) + np.uint64(1)))

    return ask_dense


@overload(prefetch_share, jit_options=INLINE)
def _prefetch_share(rows, first, k):
    if is_sparse(rows):

        def ask(rows, first, k):
            low, high = rows.indptr[first], rows.indptr[first + np.uint64(BLOCK)]
            share = ((high - low) // np.uint64(BLOCK) + np.uint64(16)) & ~np.uint64(15)
            j = low + k * share
            high = min(j + share, high)
            while j < high:
                prefetch(rows.indices, j)
                prefetch(rows.values, j)
                _ask_fields(rows, j)
                j += np.uint64(16)

        return ask
    if _are_pairs(rows):

        def ask_pairs(rows, first, k):
            if k < np.uint64(2):  # a block's 32 numbers lie on two cache lines
                _ask_pair(rows, first + np.uint64(16) * k)

        return ask_pairs

    def ask_dense(rows, first, k):
        width = np.uint64(rows.values.shape[1])
        _ask_range(rows, width * (first + k), width * (first + k + np.uint64(1)))

    return ask_dense
