"""The compiled reader of libffm text against a naive twin and bad lines, and the writer against the reader."""

import itertools
import json
import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_libffm import read
from naive_svmlight import rounded

from hogwild.data.batch import Batch, concatenate
from hogwild.data.errors import DataError
from hogwild.data.libffm import Libffm, dump_libffm, load_libffm
from hogwild.data.numerals import PADDING
from hogwild.data.parts import split_lines
from hogwild.data.registry import to_json


def parse(content, size=1 << 20, **options):
    """Rows up to the first bad line, and the place and the expectation of the error there."""
    batches = []
    for part in split_lines(np.frombuffer(content, np.uint8), size, PADDING):
        parsed = Libffm(**options).parse(part)
        assert parsed.unique
        batches.append(parsed.batch)
        if parsed.error >= 0:
            return concatenate(batches), part.base + parsed.error, parsed.expected
    return concatenate(batches), None, ""


def like_the_naive_reader(content, size=1 << 20, **options):
    rows, bad = read(content, **options)
    batch, error, _ = parse(content, size, **options)
    assert batch.indptr.tolist() == [0, *itertools.accumulate(len(row.indices) for row in rows)]
    assert batch.fields.tolist() == [field for row in rows for field in row.fields]
    assert batch.indices.tolist() == [index for row in rows for index in row.indices]
    expected = np.array([value for row in rows for value in row.values], np.float32)
    assert batch.values.tobytes() == expected.tobytes()
    labels = [row.label for row in rows]
    whole = all(isinstance(label, int) and -(2**63) <= label < 2**63 for label in labels)
    assert batch.labels.dtype == (np.int64 if whole else np.float64)
    assert batch.labels.tolist() == ([int(label) for label in labels] if whole else [float(label) for label in labels])
    types = (batch.indptr.dtype, batch.fields.dtype, batch.indices.dtype, batch.values.dtype, len(batch.weights))
    assert types == (np.uint64, np.uint32, np.uint32, np.float32, 0)
    if bad is None:
        assert error is None
    else:
        assert bad <= error <= bad + len(content[bad:].split(b"\n")[0])
    return rows


# ------------------------------------------------------------------------------------------------ lines

numerals = st.one_of(
    st.integers(-3, 3).map(str),
    st.floats(-1e6, 1e6, width=32).map(str),
    st.floats(-1e37, 1e37).map(repr),
    st.integers(-(10**21), 10**21).map(str),
    st.sampled_from(["16777217.0000000001", "1e-46", "1.1754942e-38", "-3.4028235677973365e38", "+.5", "1e400"]),
)
wholes = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1), st.sampled_from([2**32, 99999999, 100000000]))
blanks = st.sampled_from([" ", " ", " ", "\t", "  ", " \t "])


@st.composite
def files(draw):
    text = ""
    for _ in range(draw(st.integers(0, 8))):
        text += draw(st.sampled_from(["", "", " "])) + draw(st.one_of(st.sampled_from(["1", "0", "-1"]), numerals))
        for _ in range(draw(st.integers(0, 6))):
            text += f"{draw(blanks)}{draw(wholes)}:{draw(wholes)}:{draw(numerals)}"
        text += draw(st.sampled_from(["", "", " "])) + draw(st.sampled_from(["\n", "\n", "\r\n", "\n \r\n\n"]))
    return (text + draw(st.sampled_from(["", "1 0:0:1", "1\r"]))).encode()


@settings(deadline=None, max_examples=200)
@given(content=files(), size=st.sampled_from([1, 50, 1 << 20]))
def test_random_files_read_as_by_the_naive_reader(content, size):
    like_the_naive_reader(content, size)


@settings(deadline=None, max_examples=500)
@given(content=st.text("012:. \t-e#\n\r\0x", max_size=40).map(str.encode))
@example(b"1 1:1:1 1:1:1\n")
def test_random_characters_read_as_by_the_naive_reader(content):
    like_the_naive_reader(b"1 0:1:2\n" + content)
    like_the_naive_reader(b"1 0:1:2 " + content)


def test_what_lines_mean():
    batch, *_ = parse(b"1 0:7:0.5 0:7:0.5\t4294967295:4294967295:-1e-3\n\n-1\n")
    assert batch.fields.tolist() == [0, 0, 2**32 - 1]
    assert batch.indices.tolist() == [7, 7, 2**32 - 1]
    assert batch.values.tolist() == [0.5, 0.5, np.float32(-0.001)]
    assert batch.labels.tolist() == [1, -1]


def test_names_are_those_of_the_entries():
    assert Libffm().names(b"1 0:7:0.5\t3:4:1 0:7:1\r\n") == ["0:7", "3:4", "0:7"]
    assert Libffm().names(b"1\n") == []


def test_adversarial_numerals():
    chosen = [
        "16777217", "16777219", "16777217.0000000000000000000000000001", "1.000000059604644775390625", "2097152.125",
        "1.00000005960464477539062499999999", "9007199254740993", "18446744073709551616", "0.1", ".1", "1.", "5e-1",
        "7.0064923216240854e-46", "1.1754943508222875e-38", "3.4028234663852886e38", "3.4028235677973365e38", "1e-400",
        "0", "0e99999", "000000000000000000000012", "6.85059349052608e-05", "1" * 500 + "e-490", "4194304.25",
    ]  # fmt: skip
    chosen += ["-" + numeral for numeral in chosen]
    batch, error, _ = parse(" ".join(["1", *(f"1:2:{numeral}" for numeral in chosen)]).encode())
    assert error is None
    assert batch.values.tobytes() == np.array([rounded(n, np.float32) for n in chosen], np.float32).tobytes()
    batch, *_ = parse("".join(f"{numeral}\n" for numeral in chosen).encode())
    assert batch.labels.tolist() == [float(numeral) for numeral in chosen]


def test_many_doubtful_numerals():
    batch, *_ = parse(b"1" + b" 1:2:16777217.0000000000000000000000000001" * 1000)
    assert batch.values.tolist() == [16777218] * 1000


@pytest.mark.parametrize("label", ["9007199254740993", "-9223372036854775808", "0" * 5000 + "7"])
def test_long_labels(label):
    batch, *_ = parse(f"1\n{label}\n".encode())
    assert batch.labels.tolist() == [1, int(label.lstrip("0"))]


# ------------------------------------------------------------------------------------------------ bad lines


@pytest.mark.parametrize(
    ("line", "at", "expected"),
    [
        (b"x 0:1:1", 0, "a finite number as label"),
        (b"nan 0:1:1", 0, "a finite number as label"),
        (b"1e400 0:1:1", 0, "range of float64"),
        (b"0:1:1 1:1:1", 0, "a label in front"),
        (b"1 0:1:1 # x", 8, "a field"),
        (b"1 -1:1:1", 2, "a field"),
        (b"1 :1:1", 2, "a field"),
        (b"1 0", 2, "':' behind the field"),
        (b"1 0 :1:1", 2, "':' behind the field"),
        (b"1 4294967296:1:1", 2, "a field below 2**32"),
        (b"1 5:9:1 6:1:1", 8, "n_fields = 6"),
        (b"1 0:x:1", 4, "an index"),
        (b"1 0: 1:1", 4, "an index"),
        (b"1 0:1", 4, "':' behind the index"),
        (b"1 0:18446744073709551617:1", 4, "an index below 2**32"),
        (b"1 0:99:1 0:100:1", 11, "n_features = 100"),
        (b"1 0:1:", 6, "a finite number behind"),
        (b"1 0:1: 2", 6, "a finite number behind"),
        (b"1 0:1:inf", 6, "a finite number behind"),
        (b"1 0:1:1:1", 6, "a finite number behind"),
        (b"1 0:1:1#", 6, "a finite number behind"),
        (b"1 0:1:1e39", 6, "range of float32"),
        (b"1 0:1:-3.4028235677973367e38", 6, "range of float32"),
        (b"1 0:1:1\0", 6, "a finite number behind"),
        (b"1 0:1:1 \0", 8, "control"),
        (b"\0", 0, "control"),
        (b"1 \xff:1:1", 2, "a field"),
        (b"1 0:1:1\r 0:1:1", 7, "control"),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_errors_say_where_and_what(line, at, expected, ending):
    before = b"1 5:99:16777217.00000000000001\n" * 3
    batch, error, said = parse(before + line + ending, n_features=100, n_fields=6)
    if "2**32" in expected:
        batch, error, said = parse(before + line + ending)
    assert (batch.n_rows, error) == (3, len(before) + at)
    assert expected in said
    assert like_the_naive_reader(before + line + ending, n_features=100, n_fields=6)


def test_very_long_lines():
    line = b"1 " + b" ".join(b"%d:%d:%d" % (i % 7, i, i) for i in range(80_000))
    assert len(line) > 1e6
    batch, error, _ = parse(b"1 0:0:5\n" + line + b"\n-1 0:0:" + b"0" * 1_000_000 + b"1 " + b"0" * 99 + b"1:2:3\n")
    assert error is None
    assert batch.indptr.tolist() == [0, 1, 80_001, 80_003]
    assert batch.values[1:80_001].tolist() == list(range(80_000))
    assert batch.fields[-1] == batch.values[-2] == 1
    for bad in (b":" * 1_000_000, b"9" * 1_000_000, b"1 " + b"9" * 1_000_000, b"1 0:0:" + b"9" * 1_000_000):
        assert parse(bad + b"\n")[1] is not None


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \t\r\n", b"\xef\xbb\xbf"])
def test_no_rows(content, tmp_path):
    batch, error, _ = parse(content)
    assert (batch.n_rows, error) == (0, None)
    (tmp_path / "rows.ffm").write_bytes(content)
    with pytest.raises(DataError, match="holds no rows"):
        load_libffm(tmp_path / "rows.ffm")


# ------------------------------------------------------------------------------------------------ files, options


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_whole_files(tmp_path, monkeypatch, n_jobs):
    monkeypatch.setattr("hogwild.data.libffm._PART", 40)
    content = b"1 0:1:2 1:1:3\n0 5:1:2\n\n1.5\n" * 5
    (tmp_path / "rows.ffm").write_bytes(content)
    batch = load_libffm(tmp_path / "rows.ffm", n_jobs=n_jobs)
    assert batch.labels.tolist() == [1, 0, 1.5] * 5
    assert batch.values.tolist() == [2, 3, 2] * 5
    (tmp_path / "bad.ffm").write_bytes(content + b"1 5:y:1\n" + content)
    with pytest.raises(DataError, match=r"bad.ffm, line 21, column 5: found 'y:1', expected an index"):
        load_libffm(tmp_path / "bad.ffm", n_jobs=n_jobs)


def test_options():
    text_format = Libffm(n_features=10, n_fields=3)
    assert Libffm(**json.loads(json.dumps(to_json(text_format)))) == text_format
    assert (text_format.name, text_format.n_features, text_format.header_lines) == ("libffm", 10, 0)
    assert text_format.with_header([]) is text_format
    for option in ({"n_features": 0}, {"n_features": 2**32 + 1}, {"n_fields": -1}):
        with pytest.raises(ValueError, match=next(iter(option))):
            Libffm(**option)


# ------------------------------------------------------------------------------------------------ writing

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
entries = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), finite)


def batch_of(rows, labels):
    flat = [entry for row in rows for entry in row]
    fields, indices, values = zip(*flat, strict=True) if flat else ((), (), ())
    return Batch(
        np.array([0, *itertools.accumulate(map(len, rows))], np.uint64),
        np.array(indices, np.uint32),
        np.array(values, np.float32),
        np.array(labels),
        fields=np.array(fields, np.uint32),
    )


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.lists(entries, max_size=5), min_size=1, max_size=6),
    labels=st.sampled_from([st.integers(-(2**63), 2**63 - 1), st.floats(-1e300, 1e300)]),
    cut=st.integers(0, 6),
    data=st.data(),
)
def test_what_is_written_reads_back(tmp_path_factory, rows, labels, cut, data):
    path = tmp_path_factory.getbasetemp() / "written.ffm"
    batch = batch_of(rows, data.draw(st.lists(labels, min_size=len(rows), max_size=len(rows))))
    cut = min(cut, batch.n_rows)
    dump_libffm(iter([batch.rows(0, cut), batch.rows(cut, batch.n_rows)]), path)
    again = load_libffm(path)
    for wanted, got in zip(batch, again, strict=True):
        assert wanted.dtype == got.dtype
        assert wanted.tobytes() == got.tobytes() or (wanted is batch.labels and (wanted == got).all())


def test_written_numbers_are_short(tmp_path):
    batch = batch_of([[(0, 1, 0.1), (2, 3, 2)], [(1, 4, 1e22)]], [0.5, 1.0])
    dump_libffm(batch, tmp_path / "short.ffm")
    assert (tmp_path / "short.ffm").read_text() == "0.5 0:1:0.1 2:3:2\n1.0 1:4:1e+22\n"
    dump_libffm(batch._replace(labels=np.array([True, False])), tmp_path / "short.ffm.gz")
    assert load_libffm(tmp_path / "short.ffm.gz").labels.tolist() == [1, 0]


def test_what_would_not_read_back(tmp_path):
    good = batch_of([[(0, 1, 0.1)]], [1])
    for change, said in [
        ({"values": np.array([np.nan], np.float32)}, "values hold NaN"),
        ({"labels": np.array([np.nan])}, "NaN"),
        ({"labels": np.array(["spam"])}, "labels are numbers"),
        ({"weights": np.array([2], np.float32)}, "weights"),
        ({"fields": np.empty(0, np.uint32)}, "field for each"),
    ]:
        with pytest.raises(ValueError, match=said):
            dump_libffm([good, good._replace(**change)], tmp_path / "rows.ffm")
    assert os.listdir(tmp_path) == []
