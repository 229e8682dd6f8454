"""Arrow batches and files against rows in plain Python; types that give no features; what is written reads back."""

import datetime
import decimal
import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_table import encode, rows_of, same_rows, unsigned

from hogwild.data import arrow
from hogwild.data.arrow import (
    encode_record_batch,
    infer_columns,
    read_arrow,
    sparse_features,
    write_parquet,
)
from hogwild.data.batch import Batch, concatenate
from hogwild.data.columns import Columns
from hogwild.data.errors import DataError

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")


def same(a, b):
    np.testing.assert_array_equal(a.indptr, b.indptr)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.weights, b.weights)
    assert [x.dtype for x in a] == [x.dtype for x in b]


# ------------------------------------------------------------------------------------------------ types of columns

words = st.text(max_size=9)
floats = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-9),
    st.just(float("nan")),
    st.just(0.0),
)
integers = st.one_of(st.none(), st.integers(-(2**40), 2**40))
TYPES = {
    "float64": (pa.float64(), floats, True),
    "float32": (pa.float32(), floats, True),
    "float16": (pa.float16(), st.floats(-1000, 1000, width=16).map(np.float16), True),
    "int64": (pa.int64(), integers, True),
    "uint8": (pa.uint8(), st.one_of(st.none(), st.integers(0, 255)), True),
    "bool": (pa.bool_(), st.sampled_from([None, True, False]), True),
    "decimal": (pa.decimal128(10, 2), st.sampled_from([None, decimal.Decimal("1.50"), decimal.Decimal("0.00")]), True),
    "string": (pa.string(), st.one_of(st.none(), words), False),
    "large": (pa.large_string(), st.one_of(st.none(), words), False),
    "view": (pa.string_view(), st.one_of(st.none(), words), False),
    "dictionary": (pa.dictionary(pa.int16(), pa.string()), st.one_of(st.none(), words), False),
    "null": (pa.null(), st.none(), False),
    "strings": (pa.list_(pa.string()), st.one_of(st.none(), st.lists(st.one_of(st.none(), words), max_size=4)), False),
    "integers": (pa.large_list(pa.int64()), st.one_of(st.none(), st.lists(integers, max_size=4)), False),
    "vector": (pa.list_(pa.float32()), st.one_of(st.none(), st.lists(floats, max_size=4)), True),
    "fixed": (pa.list_(pa.float64(), 3), st.one_of(st.none(), st.lists(floats, min_size=3, max_size=3)), True),
}


LISTS = frozenset(name for name, (kind, _, _) in TYPES.items() if pa.types.is_nested(kind))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_columns_of_all_types_against_rows_in_python(data):
    chosen = data.draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=6, unique=True))
    n = data.draw(st.integers(0, 7))
    columns = Columns(
        bits=data.draw(st.sampled_from([1, 4, 24])),
        signed=data.draw(st.booleans()),
        transform=data.draw(st.sampled_from(["none", "log", "bins"])),
        missing=data.draw(st.sampled_from(["skip", "category"])),
        crosses=data.draw(st.sampled_from([(), (("*", "*"),)])) if set(chosen) - LISTS else (),
    )
    rows = [{name: data.draw(TYPES[name][1]) for name in chosen} for _ in range(n)]
    schema = pa.schema([(name, TYPES[name][0]) for name in chosen])
    batch = pa.RecordBatch.from_pylist(rows, schema)
    expected = encode(rows, {name: TYPES[name][2] for name in chosen}, columns, LISTS)
    same_rows(encode_record_batch(batch, columns), expected)
    skip = data.draw(st.integers(0, n))  # slices begin in the middle of buffers
    same_rows(encode_record_batch(batch.slice(skip), columns), expected[skip:])


def test_names_of_features():
    batch = pa.record_batch({"c": ["x"], "n": [2.0], "b": [True], "l": [["p", "q", "p"]], "v": [[0.5, 0.0, 1.5]]})
    expected = {"c=x": 1, "n": 2, "b": 1, "l=p": 2, "l=q": 1, "v[0]": 0.5, "v[2]": 1.5}
    signed = {name: unsigned(name) - 2**32 if unsigned(name) >= 2**31 else unsigned(name) for name in expected}
    assert rows_of(encode_record_batch(batch)) == [{abs(signed[n]) % 2**20: v for n, v in expected.items()}]


def one(column, value, kind=None, **options):
    array = pa.array([value], kind)
    return rows_of(encode_record_batch(pa.record_batch({column: array}), Columns(bits=31, **options)))[0]


def test_the_other_kind_can_be_asked_for():
    assert one("a", 3, categorical=("a",)) == one("a", "3")
    assert one("a", 3.0, categorical=("a",)) == one("a", "3")
    assert one("a", True, categorical=("*",)) == one("a", "true")
    assert one("a", "2.5", numeric=("a",)) == one("a", 2.5)
    assert one("a", "", numeric=("a",), missing="category") == one("a", "", missing="category") != {}
    assert one("a", [3], numeric=("a",)) == one("a[0]", 3)
    assert one("a", 3, numeric=("*",), categorical=("a",)) == one("a", "3")
    assert one("a", b"\xff\0", pa.binary(2)) == one("a", b"\xff\0", pa.large_binary()) == one("a", b"\xff\0")
    assert one("a", 4, ignore=("a",)) == {}
    values = pa.DictionaryArray.from_arrays([0], pa.array([7]))
    assert rows_of(encode_record_batch(pa.record_batch({"a": values}), Columns(bits=31)))[0] == one("a", "7")


def test_dictionaries_are_hashed_once(monkeypatch, tmp_path):
    from hogwild.data import arrow_encoder

    table = pa.table({"c": pa.array(["x", "y", None, "x"] * 50).dictionary_encode()})
    path = tmp_path / "d.arrow"
    feather.write_feather(table, path, chunksize=20)
    calls = []
    original = arrow_encoder.hashed
    monkeypatch.setattr(arrow_encoder, "hashed", lambda name, array: calls.append(len(array)) or original(name, array))
    batch = concatenate(read_arrow(path, Columns(), batch_rows=3))
    same_rows(batch, encode(table.to_pylist(), {"c": False}, Columns()))
    assert set(calls) == {2} and len(calls) <= 10


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("us"), datetime.datetime(2020, 1, 1)),
        (pa.date32(), datetime.date(2020, 1, 1)),
        (pa.duration("s"), datetime.timedelta(1)),
        (pa.struct([("x", pa.int64())]), {"x": 1}),
        (pa.map_(pa.string(), pa.int64()), [("x", 1)]),
        (pa.list_(pa.list_(pa.int64())), [[1]]),
        (pa.list_(pa.timestamp("s")), [datetime.datetime(2020, 1, 1)]),
    ],
)
def test_types_without_features(kind, value):
    batch = pa.record_batch({"n": [1], "when": pa.array([value], kind)})
    with pytest.raises(DataError) as caught:
        encode_record_batch(batch, Columns())
    assert f"column 'when' of type {kind}" in str(caught.value)
    same_rows(encode_record_batch(batch, Columns(ignore=("w*",))), encode([{"n": 1}], {"n": True}, Columns()))


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"a": [1.0, float("inf")]}, {}, "inf in row 2 of column 'a'"),
        ({"a": [1.0, 1e39]}, {}, "1e[+]39 in row 2 of column 'a'"),
        ({"a": [[1.0], [], [0.0, -1e39]]}, {}, "row 3 of column 'a'"),
        ({"a": ["1", "x"]}, {"numeric": ("a",)}, "column 'a' of text .*'x'"),
        ({"a": [1e30], "b": [1e30]}, {"crosses": (("a", "b"),)}, r"row 1 of column 'a\*b'"),
        ({"a": [1]}, {"label": "y"}, "found columns 'a', expected a column 'y'"),
        ({"a": [1]}, {"weight": "w"}, "expected a column 'w'"),
        ({"a": [1]}, {"numeric": ("b",)}, "expected a column 'b'"),
        ({"a": [1], "l": [[1]]}, {"crosses": (("a", "l"),)}, "expected a column 'l' .no list. to cross"),
        ({"y": ["a", None]}, {"label": "y"}, "null in row 2 of column 'y', expected a label"),
        ({"y": [1.0, float("inf")]}, {"label": "y"}, "expected a finite label"),
        ({"y": [[1]]}, {"label": "y"}, "column 'y' of type list.*expected numbers or text as labels"),
        ({"w": [1.0, -1.0]}, {"weight": "w"}, "-1.0 in row 2 of column 'w'.*expected a weight"),
        ({"w": [1.0, None]}, {"weight": "w"}, "None in row 2 of column 'w'.*expected a weight"),
        ({"w": ["x"]}, {"weight": "w"}, "column 'w' of type string"),
    ],
)
def test_wrong_values(columns, options, message):
    with pytest.raises(DataError, match=message):
        encode_record_batch(pa.record_batch(columns), Columns(**options))


def test_two_columns_of_one_name():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(DataError, match="two columns 'a'"):
        encode_record_batch(batch)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, -1]), np.array([1, -1])),
        (pa.array([True, False]), np.array([1, 0])),
        (pa.array([1, None]), np.array([1.0, np.nan])),
        (pa.array([0.5, 2], pa.float32()), np.array([0.5, 2.0])),
        (pa.array([2**63, 1], pa.uint64()), np.array([2.0**63, 1.0])),
        (pa.array([2**62 + 1, 1], pa.uint64()), np.array([2**62 + 1, 1])),
        (pa.array([decimal.Decimal("1.5"), None]), np.array([1.5, np.nan])),
        (pa.array(["spam", "käse"]), np.array(["spam", "käse"])),
        (pa.array(["spam", "ham"]).dictionary_encode(), np.array(["spam", "ham"])),
        (pa.nulls(2), np.array([np.nan, np.nan])),
    ],
)
def test_labels(array, expected):
    labels = encode_record_batch(pa.record_batch({"y": array}), Columns(label="y")).labels
    assert labels.dtype == expected.dtype
    np.testing.assert_array_equal(labels, expected)


def test_weights_and_no_labels():
    batch = encode_record_batch(pa.record_batch({"w": [1, 0], "a": [1, 2]}), Columns(weight="w"))
    assert batch.weights.tolist() == [1, 0] and batch.weights.dtype == np.float32
    assert np.isnan(batch.labels).all()
    assert [len(row) for row in rows_of(batch)] == [1, 1]


def test_inferred_columns():
    schema = pa.schema(
        [
            ("y", pa.int8()),
            ("n", pa.float32()),
            ("c*", pa.string()),
            ("v", pa.list_(pa.float64())),
            ("known", pa.int64()),
        ]
    )
    columns = infer_columns(schema, Columns(label="y", categorical=("k*",)))
    assert columns == Columns(label="y", numeric=("n", "v"), categorical=("k*", "c[*]"))
    rows = pa.record_batch({"y": [1], "n": [1.5], "c*": ["x"], "v": [[1.0]], "known": [3]})
    a, b = (encode_record_batch(rows, chosen) for chosen in (columns, Columns(label="y", categorical=("known",))))
    same(a, b)


# ------------------------------------------------------------------------------------------------ files

TABLE = {
    "y": [i % 2 for i in range(100)],
    "c": [f"v{i % 7}" if i % 5 else None for i in range(100)],
    "n": [i / 4 for i in range(100)],
    "dropped": ["x"] * 100,
}
COLUMNS = Columns(label="y", ignore=("d*",))


def written(folder, kind):
    table, path = pa.table(TABLE), folder / "rows.bin"
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=30)
    elif kind == "feather":
        feather.write_feather(table, path, chunksize=40)
    else:
        new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=33)
    return path


@pytest.mark.parametrize("kind", ["parquet", "feather", "file", "stream"])
def test_files_are_told_by_their_content(tmp_path, kind):
    path = written(tmp_path, kind)
    expected = encode_record_batch(pa.table(TABLE).to_batches()[0], COLUMNS)
    batches = list(read_arrow(path, COLUMNS, batch_rows=8))
    assert max(batch.n_rows for batch in batches) == 8
    same(concatenate(batches), expected)
    with open(path, "rb") as file:
        same(concatenate(read_arrow(file, COLUMNS)), expected)
    same(concatenate(read_arrow(io.BytesIO(path.read_bytes()), COLUMNS)), expected)


def test_a_stream_through_a_pipe(tmp_path):
    content = written(tmp_path, "stream").read_bytes()
    down, up = os.pipe()
    assert len(content) < 65_536
    with open(up, "wb") as file:
        file.write(content)
    with open(down, "rb") as file:
        assert concatenate(read_arrow(file, COLUMNS)).n_rows == 100


@pytest.mark.parametrize("kind", ["parquet", "feather", "file", "stream"])
def test_damaged_files(tmp_path, kind):
    path = written(tmp_path, kind)
    content = path.read_bytes()
    for cut in (5, len(content) // 2, len(content) - 6):
        path.write_bytes(content[:cut])
        if kind == "stream" and cut == len(content) - 6:
            continue  # only the mark of its end is missing, which a stream need not have
        with pytest.raises(DataError, match="damaged data"):
            list(read_arrow(path, COLUMNS))


def test_other_files(tmp_path):
    path = tmp_path / "rows"
    for content, found in [(b"", "an empty file"), (b"a,b\n", r"starts with b'a,b\\n'"), (b"FEA1....", "FEA1")]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{found}.*expected a Parquet"):
            list(read_arrow(path, Columns()))
    with pytest.raises(ValueError, match="batch_rows"):
        list(read_arrow(path, Columns(), batch_rows=0))


def test_repeated_text_is_read_as_dictionaries(tmp_path):
    text = [f"value {i % 3}" for i in range(3000)]
    table = pa.table(
        {"c": text, "y": text, "d": [f"value {i}" for i in range(3000)], "n": [str(i % 3) for i in range(3000)]}
    )
    path, columns = tmp_path / "rows.parquet", Columns(label="y", numeric=("n",))
    parquet.write_table(table, path)
    assert arrow._repetitive(parquet.ParquetFile(path)) == ["c", "y", "n"]
    same(concatenate(read_arrow(path, columns)), encode_record_batch(table.to_batches()[0], columns))


def test_files_without_rows(tmp_path):
    parquet.write_table(pa.table(TABLE).slice(0, 0), tmp_path / "empty.parquet")
    assert concatenate(read_arrow(tmp_path / "empty.parquet", COLUMNS)).n_rows == 0


# ------------------------------------------------------------------------------------------------ sparse layout


def random_batch(random, n, labels, n_features=1000, weights=False):
    lengths = random.integers(0, 9, n)
    indices = [random.choice(n_features, k, replace=False) for k in lengths]
    return Batch(
        np.concatenate([[0], lengths.cumsum()]).astype(np.uint64),
        np.concatenate([np.empty(0, np.uint32), *indices]).astype(np.uint32),
        random.standard_normal(lengths.sum()).astype(np.float32),
        labels,
        random.random(n, np.float32) if weights else np.empty(0, np.float32),
    )


@pytest.mark.parametrize(
    "labels", [np.arange(50), np.arange(50) / 7, np.array(["a", "käse"] * 25), np.full(50, np.nan)]
)
@pytest.mark.parametrize("weights", [False, True])
def test_sparse_rows_read_back(tmp_path, monkeypatch, labels, weights):
    monkeypatch.setattr(arrow, "_GROUP_ROWS", 20)
    batch = random_batch(np.random.default_rng(0), 50, labels, weights=weights)
    path = tmp_path / "rows.parquet"
    write_parquet([batch.rows(0, 7), batch.rows(7, 7), batch.rows(7, 50)], path)
    same(concatenate(read_arrow(path)), batch)
    same(concatenate(read_arrow(path, batch_rows=9)), batch)
    assert sparse_features(path) == batch.n_features
    file = parquet.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [20, 20, 10]


def test_row_groups_hold_few_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "_GROUP_ENTRIES", 10)
    batch = random_batch(np.random.default_rng(1), 60, np.arange(60), n_features=30)
    huge = Batch(
        np.array([0, 40, 40], np.uint64), np.arange(40, dtype=np.uint32), np.ones(40, np.float32), np.array([1, 2])
    )
    whole = concatenate([batch, huge, batch])
    groups = list(arrow._row_groups([batch, huge, batch]))
    assert sorted(len(group.indices) for group in groups)[-2:] <= [10, 40]
    write_parquet([batch, huge, batch], tmp_path / "rows.parquet", n_features=2**32)
    same(concatenate(read_arrow(tmp_path / "rows.parquet")), whole)
    assert sparse_features(tmp_path / "rows.parquet") == 2**32


def test_nothing_half_written(tmp_path):
    path, random = tmp_path / "rows.parquet", np.random.default_rng(2)
    batch, other = random_batch(random, 9, np.arange(9)), random_batch(random, 9, np.arange(9) / 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow, "_GROUP_ROWS", 9)
        with pytest.raises(ValueError, match="labels of float64 behind labels of int64: pass labels='float64'"):
            write_parquet([batch, other], path)
        assert os.listdir(tmp_path) == []
        write_parquet([batch, other], path, labels="float64")
        same(concatenate(read_arrow(path)), concatenate([batch, other]))
        write_parquet([batch, other], path, labels="text")
        assert concatenate(read_arrow(path)).labels.tolist()[8:11] == ["8", "0.0", "0.5"]
    before = path.read_bytes()
    with pytest.raises(ValueError, match="n_features = 3 has no room"):
        write_parquet([batch], path, n_features=3)
    with pytest.raises(ValueError, match="fields"):
        write_parquet([batch._replace(fields=batch.indices)], path)
    with pytest.raises(ValueError, match="labels is"):
        write_parquet([batch], path, labels="int")
    assert path.read_bytes() == before
    write_parquet([], path)
    assert concatenate(read_arrow(path)).n_rows == 0
    assert sparse_features(path) == 0


def test_sparse_rows_of_others():
    rows = {"indices": pa.array([[3, 3], None, [1]], pa.list_(pa.int64())), "values": [[1.0, 2.5], [], [2.0]]}
    batch = encode_record_batch(pa.record_batch(rows))
    assert rows_of(batch) == [{3: 3.5}, {}, {1: 2.0}]
    assert np.isnan(batch.labels).all()
    assert len(encode_record_batch(pa.record_batch(rows), Columns(numeric=("values",))).indices) > 3  # hashed
    for indices, values, message in [
        ([[1, 2]], [[1.0]], "2 entries in row 1 of column 'indices'"),
        ([[-1]], [[1.0]], "column 'indices' of numbers out of range"),
        ([[1]], [[float("nan")]], "nan in row 1 of column 'values'"),
        ([[1]], [[1e39]], "inf in row 1 of column 'values'"),
        ([[None]], [[1.0]], "column 'indices' of null in lists"),
    ]:
        lists = {"indices": pa.array(indices, pa.list_(pa.int64())), "values": pa.array(values, pa.list_(pa.float64()))}
        with pytest.raises(DataError, match=message):
            encode_record_batch(pa.record_batch(lists))
