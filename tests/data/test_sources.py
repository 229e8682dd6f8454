"""Rows opened by name: formats recognised, options, standard input, sizes and fingerprints; the registry of formats."""

import gzip
import io
import json
import lzma
import os
import subprocess
import sys

import fsspec
import numpy as np
import pytest
from line_samples import BOM, CLICK, SAMPLES, read_slowly, same_rows

import hogwild
from hogwild.data import registry, sources
from hogwild.data.batch import concatenate
from hogwild.data.columns import Columns
from hogwild.data.delimited import Delimited
from hogwild.data.errors import DataError
from hogwild.data.registry import detect, from_json, make, to_json
from hogwild.data.sources import Rows, TextRows
from hogwild.data.svmlight_lines import Svmlight

open_rows = hogwild.data.open


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def all_rows(*locations, **options):
    return concatenate(open_rows(*locations, **options))


# ------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.svm", b"", "svmlight"),
        ("rows.libsvm.gz", gzip.compress(b"", mtime=0), "svmlight"),
        ("rows.ffm", b"", "libffm"),
        ("rows.vw", b"", "vw"),
        ("rows.csv", b"", "csv"),
        ("rows.tsv", b"a\tb\n", "tsv"),
        ("rows.tsv", CLICK + b"\n", "criteo"),
        ("rows.ndjson", b"", "jsonl"),
        ("rows.parquet", b"", "arrow"),
        ("rows.hog", b"", "hog"),
        ("rows", b"# comment\n\n-1 3:0.5 7:1e3 # x\n", "svmlight"),
        ("rows", BOM + b"1 qid:3 1:1\n", "svmlight"),
        ("rows", b"1\n", "svmlight"),
        ("rows", b"", "svmlight"),
        ("rows.txt", b"1 0:3:0.5 2:1:1\r\n", "libffm"),
        ("rows", b"1 1.0 'a|user age:3 x |item y\n", "vw"),
        ("rows", b"|a x\n", "vw"),
        ("rows", BOM + b'{"y": 1}\n', "jsonl"),
        ("rows", b'{"text": "a|b, c"}\n', "jsonl"),
        ("rows", CLICK + b"\r\n", "criteo"),
        ("rows", BOM + CLICK + b"\n", "criteo"),
        ("rows", b"y\tx\n1\t2\n", "tsv"),
        ("rows", b"y,x\n1,2\n", "csv"),
        ("rows", b"y,a|b\n1,2|3\n", "csv"),
        ("rows.gz", gzip.compress(b"1 0:3:0.5\n", mtime=0), "libffm"),
        ("part-0.xz", lzma.compress(b"y,x\n"), "csv"),
    ],
)
def test_formats_are_recognised(tmp_path, name, content, expected):
    assert detect([str(write(tmp_path / name, content))]) == expected


def test_files_of_several_formats(tmp_path):
    paths = [str(write(tmp_path / name, b"1 1:1\n")) for name in ("a.svm", "b.libsvm", "c.vw")]
    assert detect(paths[:2]) == "svmlight"
    with pytest.raises(ValueError, match=r"several formats \((svmlight, vw|vw, svmlight)\), expected one"):
        detect(paths)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_every_format_opens(tmp_path, name, n_jobs):
    sample = SAMPLES[name]
    content = sample.header + b"\n".join(sample.good) + b"\n"
    paths = [write(tmp_path / "a", content), write(tmp_path / "b.gz", gzip.compress(content))]
    expected = read_slowly(sample.text_format, content)[0]
    rows = open_rows(*paths, format=sample.text_format, n_jobs=n_jobs)
    assert isinstance(rows, Rows) and isinstance(rows, TextRows)
    for _ in range(2):
        same_rows(concatenate(rows), concatenate([expected, expected]))
        assert rows.reading.rows == 2 * expected.n_rows
        assert rows.reading.stored_bytes == rows.stored_bytes
        assert rows.reading.text_bytes == 2 * len(content) - 2 * len(sample.header)
    assert rows.n_features == sample.text_format.n_features
    assert rows.repeatable
    again = from_json(sample.text_format.name, json.loads(json.dumps(to_json(sample.text_format))))
    assert again == sample.text_format


def test_options_make_formats():
    assert make("svmlight", {"columns": 9}) == Svmlight(columns=9)
    assert make("csv", {"label": "y", "bits": 9, "header": False}) == Delimited(Columns("y", bits=9), header=False)
    assert make("csv", {"columns": Columns("y")}) == Delimited(Columns("y"))
    assert make("tsv", {}).separator == "\t" and make("tsv", {}).quote is None
    assert make("tsv", {"quote": "'"}).quote == "'"
    assert make("criteo", {"bits": 9}).n_features == 512
    for name in registry.TEXT_FORMATS:
        assert registry.format_class(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("spam", {}, "found format 'spam', expected one of svmlight, libffm, vw"),
        ("svmlight", {"bits": 9}, "format svmlight has no option 'bits'; it has columns, labels, zero_based"),
        ("csv", {"spam": 9}, "format csv has no option 'spam'; it has bits, .*, separator"),
        ("vw", {"label": "y"}, "format vw has no option 'label'; it has bits, crosses, signed"),
        ("csv", {"bits": 99}, "bits lies between 1 and 31"),
    ],
)
def test_options_that_are_not_there(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, options)


def test_bad_options_of_open(tmp_path):
    path = write(tmp_path / "rows.svm", b"1 1:1\n")
    with pytest.raises(ValueError, match=r"found options \(columns\) beside a format that has its own"):
        open_rows(path, format=Svmlight(), columns=3)
    with pytest.raises(ValueError, match="bad_lines is 'error' or 'skip', not 'ignore'"):
        open_rows(path, bad_lines="ignore")
    with pytest.raises(ValueError, match="n_jobs == 0"):
        open_rows(path, n_jobs=0)
    with pytest.raises(ValueError, match="found no sources"):
        open_rows()
    with pytest.raises(FileNotFoundError):
        open_rows(tmp_path / "none.svm")
    with pytest.raises(FileNotFoundError):
        open_rows("memory://none.svm")


# ------------------------------------------------------------------------------------------------ what is left open


def test_the_first_lines_decide_for_all_files(tmp_path):
    """Of the first file that holds any."""
    empty = write(tmp_path / "a.svm", b"\n")
    comments = write(tmp_path / "b.svm", b"# nothing\n")
    first = write(tmp_path / "c.svm", b"spam 1:1")
    second = write(tmp_path / "d.svm", b"1 2:1\n")
    rows = open_rows(empty, first, second)
    assert rows.format == Svmlight(False, "text")
    assert [batch.labels.tolist() for batch in rows] == [["spam"], ["1"]]
    assert open_rows(write(tmp_path / "e.svm", b"1 0:1\n"), second).format == Svmlight(True, "number")
    assert concatenate(open_rows(empty)).n_rows == 0
    assert concatenate(open_rows(comments)).n_rows == 0


def test_a_first_line_longer_than_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_SAMPLE", 64)
    path = write(tmp_path / "rows.svm", b"1 " + b" ".join(b"%d:1" % i for i in range(1, 500)) + b"\n1 1:1\n")
    assert open_rows(path).format == Svmlight(False, "number")
    names = [f"column{i}" for i in range(100)]
    content = ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n" + ",".join("2.5" for _ in names)
    rows = open_rows(write(tmp_path / "rows.csv", content), label="column0")
    assert rows.format.columns.numeric == tuple(names[1:])
    assert concatenate(rows).labels.tolist() == [1, 2.5]


@pytest.mark.parametrize("content", ["y,x,c\n1,2.5,red\n0,,blue", BOM.decode() + "y,x,c\r\n1,2.5,red\r\n", "y,x,c"])
def test_headers_and_kinds_of_columns(tmp_path, content):
    rows = open_rows(write(tmp_path / "rows.csv", content), label="y")
    n_rows = content.count("\n")
    assert sum(batch.n_rows for batch in rows) == (1 if "\r" in content else n_rows)
    assert rows.format.column_names == ("y", "x", "c")
    if n_rows:
        assert rows.format.columns.numeric == ("x",) and rows.format.columns.categorical == ("c",)


def test_a_header_that_does_not_fit_is_an_error_of_the_file(tmp_path):
    path = write(tmp_path / "rows.csv", b"y,\xff\n1,2\n")
    with pytest.raises(DataError, match=r"rows\.csv, line 1: expected column names in UTF-8"):
        open_rows(path, label="y")
    with pytest.raises(DataError, match=r"rows\.csv, line 1: expected a column called 'z', the columns are"):
        all_rows(write(path, b"y,x\n1,2\n"), label="z")


def test_words_are_counted_first_where_asked(tmp_path, monkeypatch):
    path = write(tmp_path / "rows.txt", b"1\tred car\n0\tred bus\n")
    rows = open_rows(path, format="text", minimum=2)
    assert [np.diff(batch.indptr).tolist() for batch in rows] == [[1, 1]]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\tred\n")))
    with pytest.raises(ValueError, match="standard input can be read once"):
        open_rows("-", format="text", minimum=2)


# ------------------------------------------------------------------------------------------------ standard input, URLs

_COUNT = """
import sys, hogwild
rows = hogwild.data.open("-", **eval(sys.argv[1]))
print([rows.format.name, sum(batch.n_rows for batch in rows), rows.stored_bytes, rows.estimated_bytes()])
try:
    iter(rows)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("options", "content", "name"),
    [({}, b"1 1:1\n" * 30_000, "svmlight"), ({"n_jobs": 2, "label": "y"}, b"y,x\n" + b"1,2\n" * 30_000, "csv")],
)
def test_standard_input_is_a_pipe(options, content, name):
    command = [sys.executable, "-c", _COUNT, repr(options)]
    found = subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode().splitlines()
    assert found[0] == f"['{name}', 30000, None, None]"
    assert found[1].startswith("standard input can be read only once")


def test_rows_behind_urls(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe("/day/a.csv.gz", gzip.compress(b"y,x\n1,2\n", mtime=0))
    memory.pipe("/day/b.csv.gz", gzip.compress(b"y,x\n0,3\n", mtime=0))
    try:
        rows = open_rows("memory://day/*.csv.gz", label="y", n_jobs=2)
        assert concatenate(rows).labels.tolist() == [1, 0]
        assert rows.stored_bytes == rows.reading.stored_bytes
        before = rows.fingerprint()
        assert rows.fingerprint() == before
        memory.pipe("/day/b.csv.gz", gzip.compress(b"y,x\n0,4\n", mtime=0))
        assert rows.fingerprint() != before
    finally:
        memory.store.clear()
    path = write(tmp_path / "rows.csv.xz", lzma.compress(b"y,x\n1,2\n"))
    assert all_rows(f"file://{path}", label="y").values.tolist() == [2]


# ------------------------------------------------------------------------------------------------ sizes, fingerprints


def pack(extension, content):
    if extension == ".zst":
        return pytest.importorskip("zstandard").compress(content)
    return {"": bytes, ".gz": gzip.compress, ".xz": lambda text: lzma.compress(text, preset=0)}[extension](content)


@pytest.mark.parametrize("extension", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize("megabytes", [0.01, 6])
def test_the_size_of_all_rows_is_estimated(tmp_path, extension, megabytes):
    random = np.random.default_rng(0)
    n = int(megabytes * 3000) * 30
    pairs = [f"{i}:{x:.3g}" for i, x in zip(random.integers(1, 10**5, n), random.random(n), strict=True)]
    lines = "".join(f"1 {' '.join(pairs[i : i + 30])}\n" for i in range(0, n, 30))
    rows = open_rows(write(tmp_path / f"rows.svm{extension}", pack(extension, lines.encode())), zero_based=True)
    taken = sum(batch.nbytes for batch in rows)
    assert taken / 1.5 < rows.estimated_bytes() < taken * 1.5


def test_the_size_of_many_small_files(tmp_path):
    paths = [write(tmp_path / f"{i}.svm", b"" if i == 0 else b"1 1:1 2:1\n" * 100) for i in range(10)]
    rows = open_rows(*paths)
    taken = sum(batch.nbytes for batch in rows)
    assert taken / 1.5 < rows.estimated_bytes() < taken * 1.5
    assert open_rows(paths[0]).estimated_bytes() == 0


def test_fingerprints_change_with_content_options_and_time(tmp_path):
    path = write(tmp_path / "rows.csv", b"y,x\n1,2\n")
    found = [open_rows(path, label="y").fingerprint()]
    assert open_rows(path, label="y", n_jobs=2).fingerprint() == found[0]
    found.append(open_rows(path, label="y", bits=9).fingerprint())
    found.append(open_rows(path, label="y", bad_lines="skip").fingerprint())
    found.append(open_rows(path, label="x").fingerprint())
    found.append(open_rows(path, path, label="y").fingerprint())
    os.utime(path, ns=(1, 1))
    found.append(open_rows(path, label="y").fingerprint())
    write(path, b"y,x\n1,20\n")
    os.utime(path, ns=(1, 1))
    found.append(open_rows(path, label="y").fingerprint())
    assert len(set(found)) == len(found)
