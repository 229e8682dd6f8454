"""Parquet, Feather, Arrow IPC and folders of documents behind the same interface as text."""

import gzip
import io
import itertools
import os
import sys

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

import hogwild
from hogwild.data import Columns, from_table, make_rcv1_like
from hogwild.data.batch import concatenate
from hogwild.data.errors import DataError
from hogwild.data.hashing import hash_names, place
from hogwild.data.other_rows import ArrowRows, FolderRows
from hogwild.data.sources import Rows
from hogwild.data.text import Text, read_folder

pa = pytest.importorskip("pyarrow")
from pyarrow import feather, ipc, parquet  # noqa: E402

TABLE = pa.table({"y": [1, 0, 1], "site": ["a", "b", None], "price": [0.5, 0.0, 2.0]})
KINDS = ["rows.parquet", "rows.feather", "rows.arrow", "rows.arrows"]


def write(path, table=TABLE):
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=2)
    elif path.suffix == ".feather":
        feather.write_feather(table, path)
    else:
        new = ipc.new_stream if path.suffix == ".arrows" else ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table)
    return path


def check(batch, times=1):
    n = 1 << 20
    site_a, site_b, price = place(hash_names(["site=a", "site=b", "price"]), n)[0]
    expected = [{site_a: 1.0, price: 0.5}, {site_b: 1.0}, {price: 2.0}] * times
    bounds = batch.indptr.tolist()
    found = [
        dict(zip(batch.indices[low:high].tolist(), batch.values[low:high].tolist(), strict=True))
        for low, high in itertools.pairwise(bounds)
    ]
    assert found == expected
    assert batch.labels.tolist() == [1, 0, 1] * times


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_tables(tmp_path, name, n_jobs):
    path = write(tmp_path / name)
    rows = hogwild.data.open(path, path, label="y", n_jobs=n_jobs)
    assert isinstance(rows, Rows) and isinstance(rows, ArrowRows)
    for _ in range(2):
        check(concatenate(rows), 2)
        assert rows.reading.rows == 6
        assert rows.reading.stored_bytes == rows.stored_bytes == 2 * path.stat().st_size
    assert (rows.n_features, rows.repeatable) == (1 << 20, True)
    assert rows.description()["options"]["label"] == "y"


def test_sparse_rows_know_their_width(tmp_path):
    from hogwild.data.arrow import write_parquet

    batch = concatenate(hogwild.data.open(write(tmp_path / "rows.parquet"), label="y", bits=10))
    write_parquet([batch], tmp_path / "sparse.parquet", 1024)
    rows = hogwild.data.open(tmp_path / "sparse.parquet")
    assert rows.n_features == 1024
    found = concatenate(rows)
    assert found.indices.tolist() == batch.indices.tolist()
    assert found.labels.tolist() == batch.labels.tolist()


def test_tables_behind_urls_and_standard_input(tmp_path, monkeypatch):
    content = {name: write(tmp_path / name).read_bytes() for name in KINDS}
    memory = fsspec.filesystem("memory")
    try:
        for name in KINDS:
            memory.pipe(f"/{name}", content[name])
            check(concatenate(hogwild.data.open(f"memory://{name}", label="y")))
    finally:
        memory.store.clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content["rows.arrows"])))
    rows = hogwild.data.open("-", format="arrow", label="y")
    assert rows.estimated_bytes() is None and not rows.repeatable
    check(concatenate(rows))
    with pytest.raises(ValueError, match="standard input can be read only once"):
        iter(rows)
    packed = tmp_path / "rows.arrows.gz"
    packed.write_bytes(gzip.compress(content["rows.arrows"]))
    check(concatenate(hogwild.data.open(packed, label="y")))


@pytest.mark.parametrize("name", KINDS[:3])
def test_tables_that_have_to_be_sought_in(tmp_path, name):
    """Compressed as a whole they cannot."""
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / name).read_bytes()))
    with pytest.raises((DataError, ValueError)):
        concatenate(hogwild.data.open(packed, label="y"))


@pytest.mark.parametrize("name", KINDS)
def test_damaged_tables(tmp_path, name):
    path = write(tmp_path / name)
    content = path.read_bytes()
    for size in (0, 3, 20, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(DataError) as caught:
            concatenate(hogwild.data.open(path, label="y"))
        assert caught.value.path == str(path)


def test_options_and_fingerprints(tmp_path):
    path = write(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="format arrow has no option 'spam'; it has bits"):
        hogwild.data.open(path, spam=1)
    found = [hogwild.data.open(path, label="y").fingerprint()]
    assert hogwild.data.open(path, label="y", n_jobs=2).fingerprint() == found[0]
    found.append(hogwild.data.open(path, label="y", bits=9).fingerprint())
    os.utime(path, ns=(1, 1))
    found.append(hogwild.data.open(path, label="y").fingerprint())
    assert len(set(found)) == 3


@pytest.mark.parametrize("name", KINDS)
def test_the_size_of_all_rows_is_not_underestimated_by_much(tmp_path, name):
    random = np.random.default_rng(0)
    table = pa.table({f"x{i}": random.random(20_000) for i in range(5)})
    path = write(tmp_path / name, table)
    if name == "rows.parquet":
        parquet.write_table(table, path)  # in one group: the file holds little but rows
    rows = hogwild.data.open(path)
    taken = sum(batch.nbytes for batch in rows)
    assert taken / 3 < rows.estimated_bytes() < taken * 20


# ------------------------------------------------------------------------------------------------ documents


@pytest.fixture
def documents(tmp_path):
    for name, content in {
        "ham/1.txt": b"see you at noon\n",
        "ham/2.txt.gz": gzip.compress(b"noon it is"),
        "spam/1.txt": b"cheap\ncheap watches",
        "spam/empty.txt": b"",
        "ham/deeper/3.txt": b"not read",
        "README": b"not read",
    }.items():
        path = tmp_path / "mail" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "mail"


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_folder_of_documents(documents, n_jobs):
    rows = hogwild.data.open(documents, format="text", bits=16, n_jobs=n_jobs)
    assert isinstance(rows, Rows) and isinstance(rows, FolderRows)
    expected = concatenate(read_folder(documents, Text(bits=16)))
    for _ in range(2):
        batch = concatenate(rows)
        assert batch.labels.tolist() == ["ham", "ham", "spam", "spam"]
        assert batch.indices.tolist() == expected.indices.tolist()
        assert batch.values.tolist() == expected.values.tolist()
        assert rows.reading.rows == 4
    assert rows.n_features == 1 << 16
    assert [os.path.relpath(path, documents) for path in rows.locations] == [
        "ham/1.txt", "ham/2.txt.gz", "spam/1.txt", "spam/empty.txt",
    ]  # fmt: skip
    assert rows.stored_bytes == sum(map(os.path.getsize, rows.locations))
    assert rows.estimated_bytes() >= 0


def test_documents_are_counted_first_where_asked(documents):
    rows = hogwild.data.open(documents, format="text", minimum=2)
    (noon,) = place(hash_names(["noon"]), rows.n_features)[0]
    batch = concatenate(rows)
    assert batch.indices.tolist() == [noon, noon]
    assert np.diff(batch.indptr).tolist() == [1, 1, 0, 0]


def test_fingerprints_of_folders(documents):
    found = [hogwild.data.open(documents, format="text").fingerprint()]
    found.append(hogwild.data.open(documents, format="text", bits=9).fingerprint())
    (documents / "ham" / "1.txt").write_bytes(b"see you later\n")
    found.append(hogwild.data.open(documents, format="text").fingerprint())
    (documents / "ham" / "9.txt").write_bytes(b"")
    found.append(hogwild.data.open(documents, format="text").fingerprint())
    assert len(set(found)) == 4


def test_a_folder_without_classes(tmp_path):
    (tmp_path / "1.txt").write_bytes(b"see you")
    with pytest.raises(DataError, match="a folder without subfolders"):
        list(hogwild.data.open(tmp_path, format="text"))


# ---------------------------------------------------------------------------------------------- in memory


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_tables_in_memory_are_rows(kind):
    columns = {"y": [1, 0, 1] * 50, "price": [0.5, 2.0, 3.0] * 50, "site": ["a", None, "b"] * 50}
    table = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}[kind](columns)
    rows = hogwild.data.open(table, label="y", bits=10, crosses=[("price", "site")])
    whole, again = concatenate(rows), concatenate(rows)
    wanted = from_table(table, Columns(label="y", bits=10, crosses=(("price", "site"),)))
    for batch in (whole, again):
        for found, array in zip(batch, wanted, strict=True):
            np.testing.assert_array_equal(found, array)
    assert rows.n_features == 1024
    clf = hogwild.SGDClassifier(loss="log_loss", max_iter=20, tol=None, random_state=0).fit(rows)
    assert clf.coef_.shape == (1, 1024) and clf.score(wanted.matrix(1024), wanted.labels) == 1.0


def test_matrices_in_memory_are_rows():
    X, y = make_rcv1_like(300, 40)
    rows = hogwild.data.open((X, y, np.ones(300)))
    (batch,) = rows
    assert rows.n_features == 40 and (batch.matrix(40) != X).nnz == 0
    np.testing.assert_array_equal(batch.labels, y)
    with pytest.raises(ValueError, match="whose columns are features already"):
        hogwild.data.open((X, y), label="y")
    with pytest.raises(TypeError, match="expected a pandas or Polars DataFrame"):
        list(hogwild.data.open(3.5))
