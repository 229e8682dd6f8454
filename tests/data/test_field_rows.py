"""Rows with fields: made of files, tables and matrices, picked like matrices, numbered without gaps."""

import io
import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, train_test_split

import hogwild.data
from hogwild.data import Columns, FieldRows, from_table
from hogwild.data.batch import Batch, concatenate
from hogwild.data.errors import DataError


def lists(rows):
    ends = rows.indptr.tolist()
    entries = list(zip(rows.fields.tolist(), rows.indices.tolist(), rows.values.tolist(), strict=True))
    return [entries[low:high] for low, high in itertools.pairwise(ends)]


def from_lists(rows, **options):
    ends = np.cumsum([0, *map(len, rows)])
    flat = [entry for row in rows for entry in row]
    fields, indices, values = zip(*flat, strict=True) if flat else ((), (), ())
    arrays = (np.array(indices, np.uint32), np.array(fields, np.uint32), np.array(values, np.float32))
    return FieldRows(ends, *arrays, **options)


entry = st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from([-1.5, 0.0, 0.5, 1.0]))
any_rows = st.lists(st.lists(entry, max_size=4), max_size=6)


@settings(max_examples=60, deadline=None)
@given(any_rows, st.data())
def test_rows_are_picked_as_from_a_list(rows, data):
    found, n = from_lists(rows, n_features=7, n_fields=4), len(rows)
    assert lists(found) == rows
    assert found.shape == (n, 7)
    key = slice(
        *data.draw(st.tuples(*[st.one_of(st.none(), st.integers(-8, 8))] * 2)),
        data.draw(st.sampled_from([None, 1, 2, -1])),
    )
    assert lists(found[key]) == rows[key]
    mask = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    assert lists(found[np.array(mask, bool)]) == [row for row, kept in zip(rows, mask, strict=True) if kept]
    if n:
        order = data.draw(st.lists(st.integers(-n, n - 1), max_size=8))
        assert lists(found[order]) == [rows[i] for i in order]
        assert lists(found[np.array(order, np.int32), ...]) == [rows[i] for i in order]
        assert lists(found[n - 1]) == rows[-1:]
    part = found[1:]
    assert (part.n_features, part.n_fields) == (7, 4)


def test_a_slice_is_a_view():
    rows = from_lists([[(0, 1, 1.0)], [(1, 2, 2.0), (0, 1, 1.0)]])
    assert np.shares_memory(rows[1:].values, rows.values)


@pytest.mark.parametrize(
    ("key", "what"),
    [(np.array([True]), "mask"), ([5], "row 5"), ([0.5], "whole numbers"), ((0, 1), "row only"), ([[0]], "whole")],
)
def test_bad_keys(key, what):
    with pytest.raises(IndexError, match=what):
        from_lists([[(0, 1, 1.0)], []])[key]


@pytest.mark.parametrize(
    ("arrays", "options", "what"),
    [
        (([0, 1], [-1], [0], [1.0]), {}, "indices lies between 0 .* found -1"),
        (([0, 1], [2**32], [0], [1.0]), {}, "4,294,967,296"),
        (([0, 1], [0.5], [0], [1.0]), {}, "whole numbers"),
        (([0, 1], [0], [0], [np.nan]), {}, "NaN"),
        (([0, 1], [0], [0], [1e300]), {}, "float32"),
        (([0, 2], [0], [0], [1.0]), {}, "indptr ends at 2"),
        (([1, 0], [], [], []), {}, "starts at 0"),
        (([0, 2, 1], [0], [0], [1.0]), {}, "never falls"),
        (([0, 1], [[0]], [0], [1.0]), {}, "2 dimensions"),
        (([0, 1], [4], [2], [1.0]), {"n_features": 4}, "n_features is 4, expected at least 5"),
        (([0, 1], [4], [2], [1.0]), {"n_fields": 2}, "n_fields is 2, expected at least 3"),
    ],
)
def test_bad_arrays(arrays, options, what):
    with pytest.raises(ValueError, match=what):
        FieldRows(*arrays, **options)


def test_from_libffm_and_back(tmp_path):
    (tmp_path / "a.ffm").write_text("1 0:3:0.5 2:17:1 2:17:1\n0 1:4:1\n")
    batch = hogwild.data.load_libffm(tmp_path / "a.ffm")
    rows = FieldRows.from_batch(batch)
    assert lists(rows) == [[(0, 3, 0.5), (2, 17, 1.0), (2, 17, 1.0)], [(1, 4, 1.0)]]
    hogwild.data.dump_libffm(rows.batch(batch.labels), tmp_path / "b.ffm")
    assert (tmp_path / "b.ffm").read_text() == (tmp_path / "a.ffm").read_text()
    assert lists(FieldRows.from_batch([batch.rows(0, 1), batch.rows(1, 2)])) == lists(rows)
    with pytest.raises(ValueError, match="without fields"):
        FieldRows.from_batch(batch._replace(fields=np.empty(0, np.uint32)))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.coo_array, lambda X: X.astype(np.float64).tolist()])
def test_from_matrix(kind):
    X = np.array([[1, 0, 2], [0, 0, 0], [0, 3, 0]], np.float32)
    rows = FieldRows.from_matrix(kind(X), fields=[4, 0, 4])
    assert lists(rows) == [[(4, 0, 1.0), (4, 2, 2.0)], [], [(0, 1, 3.0)]]
    assert (rows.shape, rows.n_fields) == ((3, 3), 5)
    assert FieldRows.from_matrix(kind(X)).fields.tolist() == [0, 2, 1]
    for fields in ([0, 1], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="each of the 3 columns"):
            FieldRows.from_matrix(kind(X), fields)
    with pytest.raises(ValueError, match="found -1"):
        FieldRows.from_matrix(kind(X), [0, -1, 2])


FRAME = {"site": ["a", "b", None, "a"], "price": [2.5, 0.0, 1.0, None], "day": ["x", "a", "y", "x"]}


@pytest.mark.parametrize("frame", [pd.DataFrame(FRAME), pl.DataFrame(FRAME)], ids=["pandas", "polars"])
def test_from_table(frame):
    rows = FieldRows.from_table(frame, Columns(bits=12))
    plain = from_table(frame, Columns(bits=12))
    assert rows.indices.tolist() == plain.indices.tolist()
    assert [[(f, v) for f, _, v in row] for row in lists(rows)] == [
        [(0, 1.0), (1, 2.5), (2, 1.0)],
        [(0, 1.0), (2, 1.0)],
        [(1, 1.0), (2, 1.0)],
        [(0, 1.0), (2, 1.0)],
    ]
    assert (rows.shape, rows.n_fields) == ((4, 1 << 12), 3)
    missing = FieldRows.from_table(frame, Columns(bits=12, missing="category", transform="bins", label="day"))
    assert [len(row) for row in lists(missing)] == [2, 2, 2, 2]
    assert missing.n_fields == 2


def test_files_and_tables_agree(tmp_path):
    text = "label,site,price,day\n1,a,2.5,x\n0,b,,a\n1,,1,y\n0,a,0,x\n"
    (tmp_path / "a.csv").write_text(text)
    options = {"label": "label", "crosses": (("site", "day"),), "bits": 12, "fields": True}
    opened = hogwild.data.open(tmp_path / "a.csv", **options)
    rows = FieldRows.from_batch(opened)
    table = pd.read_csv(io.StringIO(text))
    assert lists(FieldRows.from_table(table, Columns(**options))) == lists(rows)
    assert opened.format.n_fields == 4
    assert {f for row in lists(rows) for f, *_ in row} == {0, 1, 2, 3}
    plain = concatenate(hogwild.data.open(tmp_path / "a.csv", **(options | {"fields": False})))
    assert plain.fields.size == 0
    assert hogwild.data.open(tmp_path / "a.csv", label="label").format.n_fields is None
    assert sorted(plain.indices.tolist()) == sorted(rows.indices.tolist())


def test_entries_of_colliding_hashes_stay_apart(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c,y\n1x,2x,3x,1\n")
    options = {"bits": 1, "label": "y"}
    opened = hogwild.data.open(tmp_path / "a.csv", **options, fields=True)
    (batch,) = opened
    assert batch.fields.tolist() == [0, 1, 2]
    assert len(next(iter(hogwild.data.open(tmp_path / "a.csv", **options))).indices) < 3
    hogwild.data.write_hog(opened, tmp_path / "a.hog")
    block = next(iter(hogwild.data.open(tmp_path / "a.hog")))
    assert lists(FieldRows.from_batch(block)) == lists(FieldRows.from_batch(batch))


def test_formats_without_fixed_columns(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="no fixed columns"):
        hogwild.data.open(tmp_path / "a.jsonl", fields=True)
    hogwild.data.write_parquet(
        [Batch(np.array([0, 1], np.uint64), np.array([1], np.uint32), np.ones(1, np.float32), np.array([1]))],
        tmp_path / "a.parquet",
    )
    with pytest.raises(DataError, match="sparse layout"):
        list(hogwild.data.open(tmp_path / "a.parquet", fields=True))


@settings(max_examples=60, deadline=None)
@given(any_rows, any_rows)
def test_numbered(rows, others):
    numbered = from_lists(rows).numbered()
    pairs = sorted({(f, j) for row in rows for f, j, _ in row})
    assert lists(numbered) == [[(f, pairs.index((f, j)), v) for f, j, v in row] for row in rows]
    assert numbered.shape == (len(rows), len(pairs))
    shuffled = np.random.default_rng(0).permutation(numbered.vocabulary)
    order = [(int(key) >> 32, int(key) & 0xFFFFFFFF) for key in shuffled]
    other = from_lists(others).numbered(shuffled)
    assert lists(other) == [[(f, order.index((f, j)), v) for f, j, v in row if (f, j) in pairs] for row in others]
    assert other.n_features == len(pairs)


def test_scikit_learns_splits():
    rows = from_lists([[(0, i, 1.0)] for i in range(10)])
    y = np.arange(10)
    train, test, y_train, y_test = train_test_split(rows, y, random_state=0)
    assert train.indices.tolist() == y_train.tolist()
    assert test.indices.tolist() == y_test.tolist()
    for inner, outer in KFold(3).split(rows):
        assert len(rows[inner]) + len(rows[outer]) == 10
