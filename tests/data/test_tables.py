"""Tables and matrices in memory: the same rows from every library."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_table import encode, rows_of, same_rows
from scipy import sparse

from hogwild.data.columns import Columns
from hogwild.data.errors import DataError
from hogwild.data.tables import from_matrix, from_table

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

ROWS = [
    {"y": 1, "site": "a.org", "country": "DE", "price": 2.5, "new": True, "n": 3},
    {"y": 0, "site": None, "country": "FR", "price": None, "new": False, "n": 0},
    {"y": 1, "site": "käse", "country": "DE", "price": -1.0, "new": True, "n": -7},
]
KINDS = {"site": False, "country": False, "price": True, "new": True, "n": True}
COLUMNS = Columns(label="y", crosses=(("site", "country"), ("n", "price")), missing="category")


def pandas_table(rows):
    return pd.DataFrame(rows).astype({"country": "category"})


def polars_table(rows):
    return pl.DataFrame(rows).with_columns(pl.col("country").cast(pl.Categorical))


MAKERS = {
    "pandas": pandas_table,
    "polars": polars_table,
    "arrow": pa.Table.from_pylist,
    "record batch": pa.RecordBatch.from_pylist,
}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("size", [2, 1000])
def test_every_library_gives_the_same_rows(maker, size):
    batch = from_table(maker(ROWS), COLUMNS, batch_rows=size)
    same_rows(batch, encode(ROWS, KINDS, COLUMNS))
    assert batch.labels.tolist() == [1, 0, 1] and batch.labels.dtype == np.int64


def test_anything_with_the_interface_of_arrow():
    class Exporter:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.Table.from_pylist(ROWS).__arrow_c_stream__(requested_schema)

    same_rows(from_table(Exporter(), COLUMNS), encode(ROWS, KINDS, COLUMNS))


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_tables_without_rows_or_values(maker):
    empty = from_table(maker(ROWS)[:0] if maker is not MAKERS["record batch"] else maker(ROWS).slice(0, 0), COLUMNS)
    assert (empty.n_rows, len(empty.indices), empty.labels.dtype) == (0, 0, np.int64)
    nothing = [{"country": None, "a": None, "b": None}] * 3
    assert from_table(maker(nothing), Columns()).indptr.tolist() == [0, 0, 0, 0]
    filled = from_table(maker(nothing), Columns(missing="category"))
    same_rows(filled, encode(nothing, dict.fromkeys(nothing[0], False), Columns(missing="category")))


@pytest.mark.parametrize("library", [pd, pl])
def test_types_without_features_are_named(library):
    table = library.DataFrame({"n": [1], "when": [datetime.datetime(2020, 1, 1)]})
    with pytest.raises(DataError, match=r"table: found column 'when' of type timestamp\[.*expected numbers"):
        from_table(table)
    assert from_table(table, Columns(ignore=("when",))).n_rows == 1


def test_columns_of_mixed_objects_are_named():
    with pytest.raises(DataError, match=r"column a .*expected values of one kind"):
        from_table(pd.DataFrame({"a": ["x", 3]}))


def test_texts_and_lists_of_polars():
    rows = [
        {"t": "x", "l": ["p", None, "q"], "v": [0.5]},
        {"t": None, "l": None, "v": []},
        {"t": "", "l": [], "v": None},
    ]
    for missing in ("skip", "category"):
        columns = Columns(missing=missing)
        for table in (pl.DataFrame(rows), pl.DataFrame(rows)[1:]):
            expected = encode(rows[-len(table) :], {"t": False, "l": False, "v": True}, columns, frozenset("lv"))
            same_rows(from_table(table, columns), expected)


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum(["ham", "spam"])])
def test_labels_of_polars(kind):
    table = pl.DataFrame({"y": ["spam", "ham", "spam"]}).with_columns(pl.col("y").cast(kind))
    assert from_table(table, Columns(label="y")).labels.tolist() == ["spam", "ham", "spam"]


def test_pandas_index_is_left_out():
    table = pd.DataFrame({"a": [1, 2]}, index=[10, 20]).iloc[1:]
    same_rows(from_table(table), encode([{"a": 2}], {"a": True}, Columns()))


@pytest.mark.parametrize("thing", [[1, 2], np.eye(2), None, {"a": [1]}])
def test_what_is_no_table(thing):
    with pytest.raises(TypeError, match=type(thing).__name__):
        from_table(thing)


# ------------------------------------------------------------------------------------------------ matrices


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    dtype=st.sampled_from([np.float32, np.float64, np.int64, np.uint8, bool]),
    form=st.sampled_from([np.asarray, sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.dok_matrix]),
    seed=st.integers(0, 2**32 - 1),
)
def test_matrices_of_all_kinds(shape, dtype, form, seed):
    random = np.random.default_rng(seed)
    X = (random.integers(-3, 4, shape) * random.integers(0, 2, shape)).astype(dtype)
    batch = from_matrix(form(X), np.arange(shape[0]))
    assert [row.keys() for row in rows_of(batch)] == [set(np.flatnonzero(row).tolist()) for row in X]
    np.testing.assert_array_equal(batch.matrix(shape[1]).toarray(), X.astype(np.float32))
    kinds = [array.dtype for array in batch[:4]]
    assert kinds == [np.uint64, np.uint32, np.float32, np.int64]


def test_repeated_entries_are_added_up_in_a_copy():
    X = sparse.csr_matrix((np.array([1.0, 2.0, 0.0, -1.0, 1.0]), [3, 3, 0, 1, 1], [0, 3, 5]), shape=(2, 4))
    batch = from_matrix(X, [0.5, np.nan], [1, 0])
    assert rows_of(batch) == [{3: 3.0}, {}]
    assert X.data.tolist() == [1.0, 2.0, 0.0, -1.0, 1.0]
    assert batch.weights.tolist() == [1, 0]


def test_what_needs_no_copy():
    X = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    batch = from_matrix(X)
    assert np.shares_memory(batch.values, X.data) and np.shares_memory(batch.indices, X.indices)
    assert np.isnan(batch.labels).all()


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([True, False], np.array([1, 0])),
        (np.array([1, 2], np.uint8), np.array([1, 2])),
        (np.array([2**63, 2], np.uint64), np.array([2.0**63, 2.0])),
        (np.array([0.5, 2], np.float32), np.array([0.5, 2.0])),
        (["spam", "ham"], np.array(["spam", "ham"])),
        (np.array(["spam", "ham"], object), np.array(["spam", "ham"])),
        (np.array([1, 2.5], object), np.array([1, 2.5])),
        (pd.Series(["spam", "ham"]), np.array(["spam", "ham"])),
    ],
)
def test_kinds_of_labels(y, expected):
    labels = from_matrix(np.eye(2), y).labels
    assert labels.dtype == expected.dtype
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[np.nan]],), "X holds NaN"),
        ((sparse.csr_matrix([[np.inf]]),), "X holds NaN, infinity"),
        (([[1e39]],), "beyond the range of float32"),
        (([[1j]],), "X holds complex128"),
        (([["a"]],), "expected real numbers"),
        (([1, 2],), "X has 1 dimensions"),
        ((np.eye(2), [1]), "y has shape"),
        ((np.eye(2), [1, np.inf]), "y holds infinity"),
        ((np.eye(2), np.array([1, 2], "M8[s]")), "y holds datetime64"),
        ((np.eye(2), None, [1]), "weights has shape"),
        ((np.eye(2), None, [1, -1]), "weights are finite numbers"),
        ((sparse.csr_array((1, 2**32 + 1)),), "columns; indices lie below"),
    ],
)
def test_bad_matrices(arguments, message):
    with pytest.raises(ValueError, match=message):
        from_matrix(*arguments)
