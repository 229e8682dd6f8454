"""Batches joined, cut, viewed and summed, against plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hogwild.data.batch import Batch, concatenate, merge_repeats, rebatch

indices = st.one_of(st.integers(0, 6), st.integers(0, 2**32 - 1))
values = st.floats(-(2.0**100), 2.0**100, width=32)
rows = st.lists(st.lists(st.tuples(indices, values), max_size=8), max_size=6)
KINDS = {"int": np.int64, "float": np.float64, "text": np.str_}


def batch_of(rows, labels=None, weights=False, fields=False):
    """A batch of rows, each a list of (index, value)."""
    entries = [entry for row in rows for entry in row]
    n = len(rows)
    return Batch(
        np.cumsum([0, *map(len, rows)], dtype=np.uint64),
        np.array([index for index, _ in entries], np.uint32),
        np.array([value for _, value in entries], np.float32),
        np.arange(n) if labels is None else np.asarray(labels),
        np.arange(1, n + 1, dtype=np.float32) if weights else np.empty(0, np.float32),
        np.arange(len(entries), dtype=np.uint32) if fields else np.empty(0, np.uint32),
    )


def as_rows(batch):
    """Everything that a batch says of each row; rows without weight have 1."""
    found = []
    for i in range(batch.n_rows):
        span = slice(int(batch.indptr[i]), int(batch.indptr[i + 1]))
        weight = float(batch.weights[i]) if len(batch.weights) else 1.0
        arrays = (batch.indices, batch.values, batch.fields)
        found.append((*(array[span].tolist() for array in arrays), batch.labels[i], weight))
    return found


def well_formed(batch):
    assert batch.indptr[0] == 0 and batch.indptr[-1] == len(batch.indices) == len(batch.values)
    types = [array.dtype for array in (batch.indptr, batch.indices, batch.values, batch.weights, batch.fields)]
    assert types == [np.uint64, np.uint32, np.float32, np.float32, np.uint32]
    assert len(batch.labels) == batch.n_rows


# ------------------------------------------------------------------------------------------------ repeated features


@settings(deadline=None)
@given(rows)
def test_repeats_are_added_in_the_order_of_first_occurrence(rows):
    expected = []
    for row in rows:
        sums = {}
        for index, value in row:
            sums[index] = np.float32(sums[index] + np.float32(value)) if index in sums else np.float32(value)
        expected.append(list(sums.items()))
    merged = merge_repeats(batch_of(rows))
    well_formed(merged)
    assert as_rows(merged) == as_rows(batch_of(expected))


def test_repeats_in_long_rows_whose_indices_collide():
    row = [(i << 20, 1.0) for i in range(1000)] * 3
    merged = merge_repeats(batch_of([row, [], row, [(0, 2.0)]]))
    assert np.diff(merged.indptr).tolist() == [1000, 0, 1000, 1]
    assert merged.values.tolist() == [3.0] * 2000 + [2.0]


def test_no_rows_have_no_repeats():
    assert merge_repeats(batch_of([])).n_rows == 0
    assert merge_repeats(batch_of([[], []])).indptr.tolist() == [0, 0, 0]


# ------------------------------------------------------------------------------------------------ joined and cut


@settings(deadline=None)
@given(st.lists(st.tuples(rows, st.booleans()), max_size=4), st.booleans())
def test_joined_batches_hold_the_rows_of_all(parts, fields):
    batches = [batch_of(part, weights=weights, fields=fields) for part, weights in parts]
    joined = concatenate(iter(batches))
    well_formed(joined)
    assert as_rows(joined) == [row for batch in batches for row in as_rows(batch)]
    if all(not len(batch.weights) for batch in batches):
        assert not len(joined.weights)


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ([1], [2], "i"),
        ([1], [0.5], "f"),
        ([0.5], [2], "f"),
        (["a"], ["longer"], "U"),
        ([], ["a"], "U"),
        (["a"], [], "U"),
        ([], [], "i"),
    ],
)
def test_labels_become_the_narrowest_kind_that_holds_all(first, second, kind):
    parts = [batch_of([[(1, 1.0)]] * len(labels), labels or np.empty(0, np.int64)) for labels in (first, second)]
    labels = concatenate(parts).labels
    assert labels.dtype.kind == kind
    assert labels.tolist() == first + second


def test_labels_of_two_kinds_do_not_join():
    with pytest.raises(ValueError, match=r"numbers \(7\) and words \(spam\), expected one kind"):
        concatenate([batch_of([[]], ["spam"]), batch_of([[]], [7])])


def test_one_batch_is_not_copied():
    batch = batch_of([[(1, 2.0)]])
    assert concatenate([batch]) is batch
    assert concatenate([batch_of([]), batch]) is batch


@settings(deadline=None)
@given(st.lists(st.tuples(rows, st.booleans()), max_size=5), st.integers(1, 7))
def test_cut_again_to_equal_sizes(parts, n_rows):
    batches = [batch_of(part, weights=weights) for part, weights in parts]
    cut = list(rebatch(iter(batches), n_rows))
    for batch in cut:
        well_formed(batch)
    assert [row for batch in cut for row in as_rows(batch)] == [row for batch in batches for row in as_rows(batch)]
    assert all(batch.n_rows == n_rows for batch in cut[:-1])
    assert all(0 < batch.n_rows <= n_rows for batch in cut[-1:])


def test_cut_lazily():
    def endless():
        while True:
            yield batch_of([[(1, 1.0)]] * 3)

    batches = rebatch(endless(), 7)
    assert [next(batches).n_rows for _ in range(5)] == [7] * 5
    with pytest.raises(ValueError, match="n_rows is at least 1, found 0"):
        next(rebatch(endless(), 0))


# ------------------------------------------------------------------------------------------------ views


@settings(deadline=None)
@given(rows, st.booleans(), st.booleans(), st.data())
def test_rows_are_viewed(rows, weights, fields, data):
    batch = batch_of(rows, weights=weights, fields=fields)
    start = data.draw(st.integers(0, batch.n_rows))
    stop = data.draw(st.integers(start, batch.n_rows))
    some = batch.rows(start, stop)
    well_formed(some)
    assert as_rows(some) == as_rows(batch)[start:stop]
    if len(some.values):
        assert np.shares_memory(some.values, batch.values)
        assert np.shares_memory(some.indices, batch.indices)


def test_as_a_matrix():
    batch = batch_of([[(2, 0.5), (0, 1.0)], [], [(3, -1.0)]])
    matrix = batch.matrix()
    assert isinstance(matrix, sparse.csr_matrix)
    assert matrix.toarray().tolist() == [[1, 0, 0.5, 0], [0] * 4, [0, 0, 0, -1]]
    assert batch.matrix(9).shape == (3, 9)
    assert np.shares_memory(matrix.data, batch.values)
    assert np.shares_memory(matrix.indices, batch.indices)
    assert (batch.n_features, batch.n_rows) == (4, 3)
    assert batch_of([[]]).matrix().shape == (1, 0)


@pytest.mark.parametrize("largest", [2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_matrix_with_wide_indices(largest):
    matrix = batch_of([[(1, 1.0), (largest, 2.0)]]).matrix()
    assert matrix.shape == (1, largest + 1)
    assert matrix.indices.tolist() == [1, largest]


def test_bytes_of_all_arrays():
    batch = batch_of([[(1, 1.0), (2, 1.0)]], weights=True, fields=True)
    assert batch.nbytes == 2 * 8 + 2 * 4 + 2 * 4 + 8 + 4 + 2 * 4
