"""Rows of every kind, as kernels and engines see them."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.compiled import kernel, row_of
from hogwild.engine.task import _count_features
from hogwild.steps.rows import (
    DenseRows,
    PairRows,
    SparseFieldRows,
    SparseRows,
    feature,
    prefetch_row,
    prefetch_share,
    span,
    value,
)
from hogwild.steps.weights import Split, box_hot

NONE = np.empty(0, np.float32)
ENTRIES = [[(0, 1.0), (3, 2.0)], [], [(2, -1.0), (1, 0.5), (2, 4.0)]]


def compressed(kind):
    indptr = np.cumsum([0, *map(len, ENTRIES)]).astype(np.uint64)
    indices = np.array([f for row in ENTRIES for f, _ in row], np.uint32)
    values = np.array([x for row in ENTRIES for _, x in row], np.float32)
    targets = np.ones(len(ENTRIES), np.float32)
    if kind is SparseRows:
        return SparseRows(indptr, indices, values, targets, NONE)
    return SparseFieldRows(indptr, indices, indices, values, NONE, targets, NONE)


@kernel
def _entries(rows, i, features, values):
    prefetch_row(rows, np.uint32(i))
    start, stop = span(rows, np.uint32(i))
    for j in range(start, stop):
        features[j - start] = feature(rows, j)
        values[j - start] = value(rows, np.uint32(i), j)
    return stop - start


def entries(rows, i):
    features, values = np.zeros(8, np.uint32), np.zeros(8)
    n = int(_entries(rows, i, features, values))
    return list(zip(features[:n].tolist(), values[:n].tolist(), strict=True))


@pytest.mark.parametrize("kind", [SparseRows, SparseFieldRows], ids=lambda kind: kind.__name__)
def test_compressed_rows_keep_order_and_repeats(kind):
    rows = compressed(kind)
    assert [entries(rows, i) for i in range(3)] == ENTRIES


def test_dense_rows_name_every_column():
    rows = DenseRows(np.array([[1, 0, 3]], np.float32), np.ones(1, np.float32), NONE)
    assert entries(rows, 0) == [(0, 1.0), (1, 0.0), (2, 3.0)]


def test_pairs_name_two_things():
    rows = PairRows(np.array([4, 5], np.uint32), np.array([9, 7], np.uint32), np.array([3.5, 1], np.float32), NONE)
    assert [entries(rows, i) for i in range(2)] == [[(4, 1.0), (9, 1.0)], [(5, 1.0), (7, 1.0)]]


def test_features_of_pairs_are_counted():
    rows = PairRows(*(np.array(n, np.uint32) for n in ([0, 0, 1], [2, 3, 2])), np.ones(3, np.float32), NONE)
    counts = np.zeros(4, np.uint32)
    _count_features(rows, np.arange(3, dtype=np.uint32), counts)
    assert counts.tolist() == [2, 1, 2, 1]


@kernel
def _ask(rows, block):
    for k in range(np.uint64(32)):
        prefetch_share(rows, np.uint64(0), k)


@pytest.mark.parametrize("kind", [SparseRows, SparseFieldRows, PairRows, DenseRows], ids=lambda kind: kind.__name__)
def test_a_block_can_be_asked_for(kind):
    n = 32
    numbers, targets = np.arange(n, dtype=np.uint32), np.ones(n, np.float32)
    rows = {
        SparseRows: lambda: SparseRows(np.arange(n + 1, dtype=np.uint64), numbers, targets, targets, NONE),
        SparseFieldRows: lambda: SparseFieldRows(
            np.arange(n + 1, dtype=np.uint64), numbers, numbers, targets, NONE, targets, NONE
        ),
        PairRows: lambda: PairRows(numbers, numbers, targets, NONE),
        DenseRows: lambda: DenseRows(np.ones((n, 3), np.float32), targets, NONE),
    }[kind]()
    _ask(rows, 0)


@kernel
def _add_to_row(weights, f, change):
    row = row_of(weights, f)
    total = 0.0
    for j in range(np.uint64(row.size)):
        total += row[j]
        row[j] += change
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_a_row_is_a_view(dtype):
    matrix = np.arange(12, dtype=dtype).reshape(3, 4)
    assert _add_to_row(matrix, np.uint32(1), dtype(1)) == 4 + 5 + 6 + 7
    assert matrix[1].tolist() == [5, 6, 7, 8]
    assert matrix[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_a_hot_row_is_in_the_head(dtype):
    tail = np.arange(12, dtype=dtype).reshape(3, 4)
    head, hot = tail[[2]] + dtype(100), np.array([2], np.uint32)
    box_hot(tail, hot)
    both = Split(head, tail)
    assert _add_to_row(both, np.uint32(2), dtype(1)) == sum(range(8, 12)) + 400
    assert head[0].tolist() == [109, 110, 111, 112]
    assert tail[2, 1:].tolist() == [9, 10, 11]
    assert _add_to_row(both, np.uint32(0), dtype(1)) == sum(range(4))
    assert tail[0].tolist() == [1, 2, 3, 4]
