"""The compiled svmlight reader against a naive twin, Python's own numerals, and bad files."""

import os
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_svmlight import load, rounded
from scipy import sparse
from sklearn.datasets import load_svmlight_file

from hogwild.data import svmlight
from hogwild.data.errors import DataError
from hogwild.data.svmlight import dump_svmlight, load_svmlight

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("svmlight")


def read(folder, content, **options):
    path = folder / "rows.svm"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_svmlight(path, **options)


def values_of(folder, numerals, dtype):
    X, _ = read(folder, "".join(f"1 1:{numeral}\n" for numeral in numerals), dtype=dtype)
    assert X.shape == (len(numerals), 1)
    return X.data


def same(first, second):
    (X, y), (A, b) = first, second
    assert X.shape == A.shape
    np.testing.assert_array_equal(X.indptr, A.indptr)
    np.testing.assert_array_equal(X.indices, A.indices)
    np.testing.assert_array_equal(X.data.view(f"u{X.dtype.itemsize}"), A.data.view(f"u{A.dtype.itemsize}"))
    assert (X.dtype, X.indices.dtype, X.indptr.dtype) == (A.dtype, A.indices.dtype, A.indptr.dtype)
    assert y.dtype == b.dtype
    np.testing.assert_array_equal(y, b)


# ------------------------------------------------------------------------------------------------ several labels


def test_several_labels_as_scikit_learn_reads_them(folder):
    text = "1,3 1:0.5 4:2\n 2:1 # none\n7 3:1\n\n-2,0,5 qid:3 1:1\n"
    X, y = read(folder, text, labels="several")
    A, b = load_svmlight_file(str(folder / "rows.svm"), multilabel=True, zero_based=False)
    assert y == [(1, 3), (), (7,), (-2, 0, 5)] == [tuple(map(int, labels)) for labels in b]
    np.testing.assert_array_equal(X.toarray(), A.toarray())
    assert read(folder, "1.5,2 1:1\n", labels="several")[1] == [(1.5, 2.0)]
    dump_svmlight(X, y, folder / "again.svm")
    B, c = load_svmlight(folder / "again.svm", labels="several")
    assert c == y and (B != X).nnz == 0


@pytest.mark.parametrize("text", ["1,x 1:1\n", "1,,2 1:1\n", "1, 1:1\n", "1,inf 1:1\n", "1_0,2 1:1\n"])
def test_several_labels_are_numbers(folder, text):
    with pytest.raises(DataError, match=r"line 1, column 1: found .*expected finite numbers with commas"):
        read(folder, text, labels="several")


def test_a_row_without_label_begins_with_a_blank(folder):
    with pytest.raises(DataError, match="line 2, column 1: found '1:1', expected a label"):
        read(folder, "1 1:1\n1:1\n", labels="several")


# ------------------------------------------------------------------------------------------------ whole files

blanks = st.text(" \t", min_size=1, max_size=3)
numerals = st.one_of(
    st.floats(-1e6, 1e6, width=32).map(str),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30).map(repr),
    st.integers(-(10**12), 10**12).map(str),
    st.from_regex(r"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,12})([eE][+-]?[0-9])?", fullmatch=True).filter(
        str.isascii
    ),
)
names = st.text(string.ascii_letters + "_é.", min_size=1, max_size=9).filter(
    lambda word: word.lower() not in {"nan", "inf", "infinity"}
)


@st.composite
def files(draw):
    labels = draw(st.sampled_from([st.integers(-(2**62), 2**62).map(str), numerals, names, st.just("+1")]))
    lowest = draw(st.sampled_from([0, 1, 1]))
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        line = draw(st.sampled_from(["", "", " ", "\t"])) + draw(labels)
        if draw(st.booleans()):
            line += draw(blanks) + "qid:7"
        indices = draw(st.lists(st.integers(lowest, 300), unique=True, max_size=8))
        repeated = indices[draw(st.integers(0, 8)) :]  # at most twice: the sum of three depends on their order
        for index in indices + repeated:
            line += f"{draw(blanks)}{index}:{draw(numerals)}"
        line += draw(st.sampled_from(["", "", " ", "\t ", "# 3:x", " # a: b\x01"]))
        lines.append(line)
        lines.extend(draw(st.lists(st.sampled_from(["", "  ", "# comment 5:6", " #:"]), max_size=1)))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    return text + draw(st.sampled_from(["", "\n", "\n\n", "\r\n"]))


@BOTH
@settings(deadline=None, max_examples=150)
@given(content=files(), size=st.sampled_from([1, 40, 1 << 22]))
def test_random_files_read_as_by_the_naive_reader(folder, dtype, content, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svmlight, "_PART", size)
        same(read(folder, content, dtype=dtype, n_jobs=2), load(folder / "rows.svm", dtype))


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3, -1])
def test_threads_and_parts_change_nothing(folder, monkeypatch, n_jobs):
    random = np.random.default_rng(0)
    X = sparse.random(500, 70, 0.2, "csr", np.float32, random)
    y = random.integers(-3, 3, 500)
    dump_svmlight(X, y, folder / "parts.svm")
    for size in (64, 1000, 10**9):
        monkeypatch.setattr(svmlight, "_PART", size)
        same(load_svmlight(folder / "parts.svm", n_features=70, n_jobs=n_jobs), (X, y))


def test_a_line_longer_than_any_part(folder, monkeypatch):
    monkeypatch.setattr(svmlight, "_PART", 100)
    X, _ = read(folder, "1 " + " ".join(f"{i}:{i}" for i in range(1, 40_000)) + "\n2 1:1\n3")
    np.testing.assert_array_equal(X[0].data, np.arange(1, 40_000, dtype=np.float32))
    assert X.shape == (3, 39_999)


def test_against_scikit_learn(folder):
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = read(folder, "1 3:0.1 5:1e-3\n-1 2:4\n\n1 # nothing\n", dtype=np.float64)
    A, b = datasets.load_svmlight_file(folder / "rows.svm")
    assert (X != A).nnz == 0
    np.testing.assert_array_equal(y, b)


# ------------------------------------------------------------------------------------------------ numerals

HALFWAY = [
    "16777217", "16777219", "16777217.0000000000000000000000000001", "16777216.9999999999999999999999999999",
    "1.00000005960464477539062500", "1.000000059604644775390625000000000000001", "1.00000005960464477539062499999999",
    "9007199254740993", "9007199254740993.00000000000000000000000001", "9007199254740992.9999999999999999999999999",
    "9007199254740995", "9223372036854775807", "18446744073709551615", "18446744073709551616", "99999999999999999999",
    "0.1", ".1", "1.", "5e-1", "123456789012345678", "12345678.12345678", "1234567.123456789",
    "123456781234567812345678",
    "8.5070591730234616e37", "7.0064923216240853e-46", "7.0064923216240854e-46", "1.401298464324817e-45",
    "1.1754943508222875e-38", "1.17549435e-38", "1.1754942e-38", "1.1754942807573643e-38",
    "0.00000000000000000000001234",
    "3.4028234663852886e38", "3.4028235677973365e38", "1e-400", "1e-99999999999999999999", "0e99999", "0.0e-99999",
    "-0", "-0.0", "+0", "00000000000000000000000000000012", "0000000.00000000000000000012", "1e0000000000000000000001",
    "6.631236846766476e-316", "3.237883913302901e-319", "9.5e-31", "8.589934592e9", "6e-8", "4503599627475353.5e-27",
]  # fmt: skip
FOR_DOUBLE = [
    "1.7976931348623157e308", "1.7976931348623158e308", "2.2250738585072011e-308", "2.2250738585072014e-308",
    "4.9e-324",
    "2.4703282292062327e-324", "2.4703282292062328e-324", "1e308", "1e-308", "1e23", "8.5e22", "9.5367431640625e-7",
    "7.2057594037927933e16", "1448997445238699", "2.225073858507201136057409796709131975934819546351645648e-308",
]  # fmt: skip


@BOTH
def test_adversarial_numerals(folder, dtype):
    chosen = HALFWAY + FOR_DOUBLE * (dtype == np.float64)
    chosen += ["-" + numeral.lstrip("+-") for numeral in chosen]
    expected = np.array([rounded(numeral, dtype) for numeral in chosen], dtype)
    got = values_of(folder, chosen, dtype)
    wrong = [n for n, a, b in zip(chosen, got, expected, strict=True) if a.tobytes() != b.tobytes()]
    assert wrong == []


@BOTH
def test_many_random_numerals(folder, dtype):
    random = np.random.default_rng(1)
    top = 30 if dtype == np.float32 else 290
    numbers = (random.standard_normal(4000) * 10.0 ** random.integers(-top, top, 4000)).tolist()
    chosen = [f"{number:.{digits}g}" for number, digits in zip(numbers, random.integers(1, 30, 4000), strict=True)]
    bits = random.integers(0, 2**31 if dtype == np.float32 else 2**63, 4000, dtype=np.uint64)
    floats = bits.astype(np.uint32).view(np.float32) if dtype == np.float32 else bits.view(np.float64)
    chosen += [repr(float(number)) for number in floats if np.isfinite(number)]
    # Halfway between two neighbours, and a hair beside it.
    if dtype == np.float32:
        middles = [
            f"{float(number) + float(np.spacing(number)) / 2:.60e}"
            for number in np.abs(floats[np.isfinite(floats)][:500])
        ]
        chosen += middles + [text.replace("e", "1e") for text in middles]
    expected = np.array([rounded(numeral, dtype) for numeral in chosen], dtype)
    np.testing.assert_array_equal(values_of(folder, chosen, dtype), expected)


@BOTH
@settings(deadline=None, max_examples=100)
@given(chosen=st.lists(numerals, min_size=1, max_size=30))
def test_numerals_read_as_python_reads_them(folder, dtype, chosen):
    expected = np.array([rounded(numeral, dtype) for numeral in chosen], dtype)
    assert values_of(folder, chosen, dtype).tobytes() == expected.tobytes()


def test_more_doubtful_numerals_than_foreseen(folder):
    chosen = ["16777217.0000000000000000000000001"] * 1000
    assert (values_of(folder, chosen, np.float32) == 16777218).all()


@pytest.mark.parametrize("numeral", ["1e400", "1e39", "-3.4028235677973367e38", "9" * 400])
def test_overflow_is_an_error(folder, numeral):
    with pytest.raises(DataError, match=r"line 2, column 5: found .* expected a number within the range of float32"):
        read(folder, f"1 1:2\n1 7:{numeral}\n")


# ------------------------------------------------------------------------------------------------ bad files


@pytest.mark.parametrize(
    ("content", "line", "column", "found", "expected"),
    [
        ("1 1:2\n1:2 3:4\n", 2, 1, "'1:2'", "a label in front"),
        (" 1:2\n", 1, 2, "'1:2'", "a label in front"),
        ("1,2 1:2\n", 1, 2, "',2'", "one label without a comma"),
        ("1 1:2\n\n# x\n1 4:5 -3:1\n", 4, 7, "'-3:1'", "an index"),
        ("1 x:1\n", 1, 3, "'x:1'", "an index"),
        ("1 :1\n", 1, 3, "':1'", "an index"),
        ("1 3\n", 1, 3, "'3'", "':' behind the index"),
        ("1 3 :4\n", 1, 3, "'3'", "':' behind the index"),
        ("1 3;4\n", 1, 3, "'3;4'", "':' behind the index"),
        ("1 3:\n", 1, 5, "end of line", "a finite number behind ':'"),
        ("1 3:", 1, 5, "end of line", "a finite number behind ':'"),
        ("1 3: 4\n", 1, 5, "' '", "a finite number behind ':'"),
        ("1 3:nan\n", 1, 5, "'nan'", "a finite number behind ':'"),
        ("1 3:-inf\n", 1, 5, "'-inf'", "a finite number behind ':'"),
        ("1 3:1e\n", 1, 5, "'1e'", "a finite number behind ':'"),
        ("1 3:.\n", 1, 5, "'.'", "a finite number behind ':'"),
        ("1 3:--1\n", 1, 5, "'--1'", "a finite number behind ':'"),
        ("1 3:1.2.3\n", 1, 5, "'1.2.3'", "a finite number behind ':'"),
        ("1 3:1_0\n", 1, 5, "'1_0'", "a finite number behind ':'"),
        ("1 3:0x1p3\n", 1, 5, "'0x1p3'", "a finite number behind ':'"),
        ("1 3:4:5\n", 1, 5, "'4:5'", "a finite number behind ':'"),
        ("1 1:1 4294967296:1\n", 1, 7, "'4294967296:1'", "an index below 2**32"),
        (f"1 {'9' * 60}:1\n", 1, 3, f"'{'9' * 40}...'", "an index below 2**32"),
        ("1 1:1 18446744073709551617:1\n", 1, 7, "'18446744073709551617:1'", "an index below 2**32"),
        ("1 qid:x 1:1\n", 1, 3, "'qid:x'", "behind 'qid:'"),
        ("1 qid:-1 1:1\n", 1, 3, "'qid:-1'", "behind 'qid:'"),
        ("1 1:1\0\n", 1, 5, r"'1\x00'", "a finite number"),
        ("1 1:1 \0\n", 1, 7, "a NUL byte", "control characters"),
        ("1 1:1 # a\0b\n", 1, 10, "a NUL byte", "control characters"),
        ("\0\0\0", 1, 1, "a NUL byte", "control characters"),
        ("spam\x07 1:1\n", 1, 5, "byte 0x07", "control characters"),
        ("1 1:1\r1 2:1\n", 1, 6, "a carriage return", "control characters"),
        ("nan 1:1\n", 1, 1, "'nan'", "a finite number"),
        ("1 1:1\n-Inf 1:1\n", 2, 1, "'-Inf'", "a finite number"),
        ("1e999 1:1\n", 1, 1, "'1e999'", "range of float64"),
        (b"1 1:1\nsp\xff 1:1\n", 2, 1, r"'sp\\xff'", "UTF-8"),
        ("1 1:3e38 1:3e38\n", 1, 1, "'1'", "sum is finite"),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_errors_say_where_and_what(folder, content, line, column, found, expected, before):
    content = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(DataError) as caught:
        read(folder, b"1 1:1\n" * before + content)
    error = caught.value
    assert (error.path, error.line, error.column, error.found) == (
        str(folder / "rows.svm"),
        line + before,
        column,
        found,
    )
    assert expected in error.expected
    assert f"rows.svm, line {line + before}, column {column}: found {found}, expected " in str(error)


@pytest.mark.parametrize("content", ["", "\n\n", "# only\n  # comments", "\ufeff", " \t"])
def test_files_without_rows(folder, content):
    with pytest.raises(DataError, match="holds no rows"):
        read(folder, content)


def test_the_first_error_of_the_file_is_reported_by_any_threads(folder, monkeypatch):
    monkeypatch.setattr(svmlight, "_PART", 50)
    with pytest.raises(DataError, match="line 101, column 5"):
        read(folder, "1 1:1\n" * 100 + "1 1:x\n" * 100, n_jobs=2)


@pytest.mark.parametrize(
    "option", [{"dtype": int}, {"labels": "any"}, {"zero_based": "no"}, {"n_features": 0}, {"n_jobs": 0}]
)
def test_bad_options(folder, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        read(folder, "1 1:1\n", **option)


# ------------------------------------------------------------------------------------------------ columns


def test_where_columns_start(folder):
    for content, options, row in [
        ("1 1:5 3:7", {}, [5, 0, 7]),
        ("1 0:5 3:7", {}, [5, 0, 0, 7]),
        ("1 1:5 3:7", {"zero_based": True}, [0, 5, 0, 7]),
        ("1 1:5 3:7", {"zero_based": False, "n_features": 5}, [5, 0, 7, 0, 0]),
        ("1 0:5 3:7", {"n_features": 4}, [5, 0, 0, 7]),
        ("1", {"n_features": 2}, [0, 0]),
    ]:
        assert read(folder, content, **options)[0].toarray().tolist() == [row]
    assert read(folder, "1\n2\n")[0].shape == (2, 0)
    with pytest.raises(DataError, match=r"column 3: found '0:5', expected an index from 1"):
        read(folder, "1 0:5 3:7", zero_based=False)


@pytest.mark.parametrize(
    ("content", "zero_based"), [("1 1:1\n1 4:5\n", False), ("1 1:1\n1 4:5", "auto"), ("1 1:1\n1 3:5", True)]
)
def test_more_features_than_foreseen(folder, content, zero_based):
    with pytest.raises(DataError, match=r"line 2, column 3: found '.:5', expected an index that n_features = 3"):
        read(folder, content, n_features=3, zero_based=zero_based)


def test_more_features_than_foreseen_once_an_index_0_turns_up(folder):
    with pytest.raises(DataError, match=r"line 1, column 3: found '3:1', expected an index that n_features = 3"):
        read(folder, "1 3:1\n1 0:5\n", n_features=3)


def test_wide_indices(folder):
    for index, columns, width in [
        (2**31 - 1, 2**31 - 1, np.int32),
        (2**31, 2**31, np.int64),
        (2**32 - 1, 2**32 - 1, np.int64),
    ]:
        X, _ = read(folder, f"1 2:1 {index}:2")
        assert X.shape == (1, columns)
        assert X.indices.dtype == X.indptr.dtype == width
        assert X.indices.tolist() == [1, index - 1]
    X, _ = read(folder, "1 0:1 4294967295:2")
    assert X.shape == (1, 2**32)
    assert X.indices.tolist() == [0, 2**32 - 1]


def test_order_and_repetition(folder):
    X, _ = read(folder, "1 5:1 2:2 5:4\n2 1:1\n")
    assert X.has_canonical_format
    assert X.toarray().tolist() == [[0, 2, 0, 0, 5], [1, 0, 0, 0, 0]]


# ------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("words", "mode", "expected"),
    [
        (["1", "-1", "+3"], "auto", np.array([1, -1, 3])),
        (["9007199254740993", "-9223372036854775808"], "auto", np.array([9007199254740993, -(2**63)])),
        (["9223372036854775808", "1"], "auto", np.array([2.0**63, 1.0])),
        (["1", "2.0"], "auto", np.array([1.0, 2.0])),
        (["1", "1e-3"], "number", np.array([1.0, 0.001])),
        (["0.1234567890123456789012345"], "auto", np.array([0.1234567890123456789012345])),
        (["spam", "ham", "1"], "auto", np.array(["spam", "ham", "1"])),
        (["3d", "käse"], "auto", np.array(["3d", "käse"])),
        (["1", "02", "a,b", "nan"], "text", np.array(["1", "02", "a,b", "nan"])),
        (["x" * 700], "auto", np.array(["x" * 700])),
    ],
)
def test_kinds_of_labels(folder, words, mode, expected):
    _, y = read(folder, "".join(f"{word} 1:1\n" for word in words), labels=mode)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected)


def test_labels_that_have_to_be_numbers(folder):
    with pytest.raises(DataError, match=r"line 2, column 1: found 'spam', expected a finite number as label"):
        read(folder, "1 1:1\nspam 1:1\n", labels="number")
    with pytest.raises(DataError, match="without a comma"):
        read(folder, "1,2 1:1\n", labels="number")


def test_a_byte_order_mark_is_left_out(folder):
    X, y = read(folder, "\ufeff1 1:5\n")
    assert y.tolist() == [1]
    assert X.toarray().tolist() == [[5]]


# ------------------------------------------------------------------------------------------------ writing

matrices = st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))


@BOTH
@settings(deadline=None, max_examples=60)
@given(shape=matrices, zero_based=st.booleans(), data=st.data())
def test_what_is_written_reads_back(folder, dtype, shape, zero_based, data):
    rows, columns, seed = shape
    X = sparse.random(rows, columns, 0.5, "csr", dtype, np.random.default_rng(seed))
    finite = st.floats(width=8 * dtype().itemsize, allow_nan=False, allow_infinity=False)
    X.data[:] = data.draw(st.lists(finite, min_size=X.nnz, max_size=X.nnz))
    labels = data.draw(st.sampled_from([st.integers(-(2**63), 2**63 - 1), finite, names]))
    y = np.array(data.draw(st.lists(labels, min_size=rows, max_size=rows)))
    path = folder / "written.svm"
    dump_svmlight(X, y, path, zero_based=zero_based)
    same(load_svmlight(path, n_features=columns, zero_based=zero_based, dtype=dtype), (X, y))


def test_written_numbers_are_short(folder):
    X = np.array([[0.1, 0.0, 2.0], [1e-7, 1e22, -3.5]], np.float32)
    dump_svmlight(X, np.array([0.5, 1.0], np.float32), folder / "short.svm")
    assert (folder / "short.svm").read_text() == "0.5 1:0.1 3:2\n1.0 1:1e-07 2:1e+22 3:-3.5\n"
    dump_svmlight(sparse.csr_matrix(X > 0), np.array([True, False]), folder / "short.svm.gz", zero_based=True)
    A, b = load_svmlight(folder / "short.svm.gz", zero_based=True)
    assert A.toarray().tolist() == [[1, 0, 1], [1, 1, 0]]
    assert b.tolist() == [1, 0]


@pytest.mark.parametrize("label", ["", "a b", "a:b", "a,b", "#1", "7", "nan", "a\n"])
def test_labels_that_would_not_read_back(tmp_path, label):
    with pytest.raises(ValueError, match="label"):
        dump_svmlight(np.eye(2), np.array(["fine", label]), tmp_path / "rows.svm")
    assert os.listdir(tmp_path) == []


def test_numbers_that_would_not_read_back(tmp_path):
    with pytest.raises(ValueError, match="X holds NaN"):
        dump_svmlight(np.array([[np.nan]]), np.array([1]), tmp_path / "rows.svm")
    with pytest.raises(ValueError, match="complex"):
        dump_svmlight(np.array([[1j]]), np.array([1]), tmp_path / "rows.svm")
    with pytest.raises(ValueError, match="y holds NaN"):
        dump_svmlight(np.eye(1), np.array([np.inf]), tmp_path / "rows.svm")
    with pytest.raises(ValueError, match="one label for each"):
        dump_svmlight(np.eye(2), np.array([1]), tmp_path / "rows.svm")
    assert os.listdir(tmp_path) == []
