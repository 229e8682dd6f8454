"""The compiled reader of Vowpal Wabbit text against a naive twin, scikit-learn's hashing, and bad lines."""

import gzip
import itertools
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_svmlight import rounded
from naive_vw import read
from sklearn.feature_extraction import FeatureHasher

from hogwild.data import vw_kernel
from hogwild.data.batch import concatenate
from hogwild.data.errors import DataError
from hogwild.data.numerals import PADDING
from hogwild.data.parts import split_lines
from hogwild.data.registry import to_json
from hogwild.data.vw import VowpalWabbit, load_vw

CROSSES = [(), (("a", "b"),), (("a", "a"),), ((":", ":"),), (("a", ":"), ("", "b"), ("ab", "ac")), ((" ", "a"),)]


def parse(content, size=1 << 20, **options):
    """Rows up to the first bad line, and the place and the expectation of the error there."""
    text = np.frombuffer(content, np.uint8)
    batches = []
    for part in split_lines(text, size, PADDING):
        parsed = VowpalWabbit(**options).parse(part)
        batches.append(parsed.batch)
        if parsed.error >= 0:
            return concatenate(batches), part.base + parsed.error, parsed.expected
    return concatenate(batches), None, ""


def same(batch, rows):
    assert batch.indptr.tolist() == [0, *itertools.accumulate(len(row.indices) for row in rows)]
    assert batch.indices.tolist() == [index for row in rows for index in row.indices]
    expected = np.array([value for row in rows for value in row.values], np.float32)
    assert batch.values.tobytes() == expected.tobytes()
    labels = [row.label for row in rows]
    if all(isinstance(label, int) and -(2**63) <= label < 2**63 for label in labels):
        assert batch.labels.dtype == np.int64
    else:
        assert batch.labels.dtype == np.float64
    np.testing.assert_array_equal(batch.labels, np.array(labels, batch.labels.dtype))
    weights = [row.weight for row in rows]
    assert batch.weights.tolist() == (weights if any(weight != 1 for weight in weights) else [])
    types = (batch.indptr.dtype, batch.indices.dtype, batch.values.dtype, batch.weights.dtype)
    assert types == (np.uint64, np.uint32, np.float32, np.float32)


def like_the_naive_reader(content, size=1 << 20, **options):
    rows, bad = read(content, **options)
    batch, error, _ = parse(content, size, **options)
    same(batch, rows)
    if bad is None:
        assert error is None
    else:
        assert bad <= error <= bad + len(content[bad:].split(b"\n")[0])
    return rows


# ------------------------------------------------------------------------------------------------ lines

numerals = st.one_of(
    st.integers(-3, 3).map(str),
    st.floats(-1e6, 1e6, width=32).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**21), 10**21).map(str),
    st.sampled_from(["16777217.0000000001", "1e-46", "1.1754942e-38", "-3.4028235677973366e38", "+.5", "1e400"]),
)
names = st.one_of(
    st.sampled_from(["a", "b", "ab", "ac", "x^y", "1", "käse", "a" * 17]),
    st.binary(min_size=1, max_size=12).map(lambda name: bytes(set(name) - set(b" \t\n\r\0:|"))).filter(bool),
).map(lambda name: name.encode() if isinstance(name, str) else name)
blanks = st.sampled_from([b" ", b" ", b" ", b"\t", b"  ", b" \t "])


@st.composite
def lines(draw):
    line = draw(st.sampled_from([b"", b"", b" "]))
    for _ in range(draw(st.integers(0, 3))):
        line += draw(st.one_of(st.sampled_from(["1", "-1", "2.5"]), numerals)).encode() + draw(blanks)
    line += draw(st.sampled_from([b"", b"", b"'tag ", b"tag", b"'tag", b"1:2", b"'1 2 "]))
    for _ in range(draw(st.integers(1, 4))):
        line += b"|"
        if draw(st.booleans()):
            line += draw(names)
            if draw(st.booleans()):
                line += b":" + draw(numerals).encode()
        for _ in range(draw(st.integers(0, 5))):
            line += draw(blanks) + draw(names)
            if draw(st.booleans()):
                line += b":" + draw(numerals).encode()
        line += draw(st.sampled_from([b"", b" "]))
    return line


@st.composite
def files(draw):
    between = st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b"\n \r\n"])
    text = b"".join(line + draw(between) for line in draw(st.lists(lines(), max_size=6)))
    return text + draw(st.sampled_from([b"", b"1 | a", b"|a b\r"]))


@settings(deadline=None, max_examples=200)
@given(content=files(), size=st.sampled_from([1, 50, 1 << 20]), signed=st.booleans(), crosses=st.sampled_from(CROSSES))
def test_random_files_read_as_by_the_naive_reader(content, size, signed, crosses):
    like_the_naive_reader(content, size, bits=18, signed=signed, crosses=crosses)


@settings(deadline=None, max_examples=500)
@given(content=st.text("ab1.|:' \t-e^\n\r\0", max_size=40).map(str.encode))
@example(b"1 2 3 4 |a b\n")
@example(b"1\t|a\tb\n")
@example(b"||a|b c| d\n")
def test_random_characters_read_as_by_the_naive_reader(content):
    like_the_naive_reader(b"1 |f a\n" + content, crosses=(("a", ":"),))


@settings(deadline=None, max_examples=100)
@given(line=lines(), crosses=st.sampled_from(CROSSES))
def test_names_are_those_of_the_entries(line, crosses):
    rows, bad = read(line, crosses=crosses)
    if bad is None and rows:
        assert VowpalWabbit(crosses=crosses).names(line + b"\n") == rows[0].names


def test_what_lines_mean():
    batch, *_ = parse(b"1 2 0.5 'one |a:2 x y:3 | z\n0 0 two|b q:-1\n3|c x\n\n  -7 |\n")
    assert batch.indptr.tolist() == [0, 3, 4, 5, 5]
    assert batch.values.tolist() == [2, 6, 1, -1, 1]
    np.testing.assert_array_equal(batch.labels, [1, 0, np.nan, -7])  # what touches the bar is a tag
    assert batch.weights.tolist() == [2, 0, 1, 1]


@pytest.mark.parametrize("signed", [False, True])
def test_hashing_is_that_of_scikit_learn(signed):
    words = ["dog", "cat", "ünïcode", "x" * 100, "a^b", "1", "ab", "abc", "abcd", "abcde"]
    line = f"|animal {' '.join(words)} | {' '.join(words)} |n {' '.join(words)}:2.5\n"
    batch, *_ = parse(line.encode(), bits=12, signed=signed)
    full = [f"animal^{word}" for word in words] + words + [f"n^{word}" for word in words]
    assert VowpalWabbit().names(line.encode()) == full
    expected = FeatureHasher(2**12, input_type="pair", alternate_sign=signed).transform(
        [[(name, value)] for name, value in zip(full, [1] * 29 + [2.5], strict=True)]
    )
    assert batch.indices.tolist() == expected.indices.tolist()
    assert batch.values.tolist() == expected.data.tolist()


def test_hashes_of_names_of_every_length():
    content = "".join(f"|{'n' * a} {'f' * b}\n" for a in range(12) for b in range(1, 24)).encode()
    assert len(like_the_naive_reader(content)) == 12 * 23


def test_hashes_beyond_the_signed_range_and_all_bits():
    content = "".join(f"| {i}\n" for i in range(2000)).encode()
    for bits in (1, 31):
        like_the_naive_reader(content, bits=bits, signed=True)


# ------------------------------------------------------------------------------------------------ crosses


@pytest.mark.parametrize(
    ("crosses", "line", "count"),  # as many as Vowpal Wabbit makes of -q
    [
        ("aa", "|a x y z", 6),
        ("ab", "|a x y |b u v w", 6),
        ("ba", "|a x y |b u v w", 6),
        ("::", "|a x y |b u v w", 15),
        ("a:", "|a x y |b u v w", 9),
        (":a", "|a x y |b u v w", 9),
        ("::", "| x y |b u v w", 15),
        ("aa", "|ab x y |ac u v w", 15),
        ("ab", "|a x |c y", 0),
    ],
)
def test_how_many_crosses(crosses, line, count):
    names = VowpalWabbit(crosses=[crosses]).names(line.encode())
    assert sum("*" in name for name in names) == len(set(names) - {n for n in names if "*" not in n}) == count
    like_the_naive_reader(line.encode(), crosses=(tuple(crosses),))


def test_the_order_of_a_line_does_not_matter_within_a_namespace():
    one, *_ = parse(b"|a x y:2 |a z\n", crosses=["aa"])
    other, *_ = parse(b"|a z y:2 x\n", crosses=["aa"])
    assert sorted(zip(one.indices, one.values, strict=True)) == sorted(zip(other.indices, other.values, strict=True))


def test_many_crosses_in_many_rows():
    line = "|a " + " ".join(f"x{i}:{i / 8}" for i in range(40)) + " |b " + " ".join(f"y{i}" for i in range(30))
    rows, _ = read(line.encode(), crosses=("ab",))
    batch, error, _ = parse((line + "\n").encode() * 50, crosses=["ab"])
    assert error is None
    same(batch, rows * 50)


def test_more_crosses_than_memory():
    content = b"|a x\n|a" + b" x" * 30_000 + b"\n"
    batch, error, expected = parse(content, crosses=["aa"])
    assert (batch.n_rows, error, expected) == (1, 5, f"a row with at most {vw_kernel.MOST_CROSSES} crosses")


def test_doubtful_values_among_crosses():
    line = b"|a:16777217.0000000001 " + b" ".join(b"x%d:1.%d" % (i, i) for i in range(9)) + b" |b y:1e-46 z:3e38\n"
    like_the_naive_reader(line * 300, crosses=("aa", "ab"))


# ------------------------------------------------------------------------------------------------ numerals


def test_adversarial_numerals():
    chosen = [
        "16777217", "16777219", "16777217.0000000000000000000000000001", "1.000000059604644775390625", "2097152.125",
        "1.00000005960464477539062499999999", "9007199254740993", "18446744073709551616", "0.1", ".1", "1.", "5e-1",
        "7.0064923216240854e-46", "1.1754943508222875e-38", "3.4028234663852886e38", "3.4028235677973365e38", "1e-400",
        "-0", "0e99999", "000000000000000000000012", "6.85059349052608e-05", "1" * 500 + "e-490", "4194304.25",
    ]  # fmt: skip
    chosen += ["-" + numeral.lstrip("-") for numeral in chosen]
    batch, error, _ = parse(" ".join(["|", *(f"x:{numeral}" for numeral in chosen)]).encode())
    assert error is None
    assert batch.values.tobytes() == np.array([rounded(n, np.float32) for n in chosen], np.float32).tobytes()
    positive = chosen[: len(chosen) // 2]
    batch, *_ = parse("".join(f"0.5 {numeral} |\n" for numeral in positive).encode())
    assert batch.weights.tolist() == [rounded(numeral, np.float32) for numeral in positive]
    assert parse(b"1 1.00000001 |\n")[0].weights.tolist() == []
    batch, *_ = parse("".join(f"{numeral} |\n" for numeral in chosen).encode())
    assert batch.labels.tolist() == [float(numeral) for numeral in chosen]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1", "-1", "+3"], np.array([1, -1, 3])),
        (["9007199254740993", "-9223372036854775808", "0" * 5000 + "7"], np.array([9007199254740993, -(2**63), 7])),
        (["9223372036854775808", "1"], np.array([2.0**63, 1.0])),
        (["1", "2.0"], np.array([1.0, 2.0])),
        (["1", ""], np.array([1.0, np.nan])),
        (["0.1234567890123456789012345"], np.array([0.1234567890123456789012345])),
    ],
)
def test_kinds_of_labels(words, expected):
    batch, *_ = parse("".join(f"{word} |a b\n" for word in words).encode())
    assert batch.labels.dtype == expected.dtype
    np.testing.assert_array_equal(batch.labels, expected)


# ------------------------------------------------------------------------------------------------ bad lines


@pytest.mark.parametrize(
    ("line", "at", "expected"),
    [
        (b"1", 1, "'|' in front"),
        (b"1 a", 2, "a finite number of at least 0"),
        (b"no bar", 0, "a finite number as label"),
        (b"1:0.5 |a b", 0, "costs such as '1:0.5'"),
        (b"shared |a b", 0, "multi-line"),
        (b"1 0:2.5 |a b", 2, "importance"),
        (b"nan |a b", 0, "a finite number as label"),
        (b"inf |a b", 0, "a finite number as label"),
        (b"1e400 |a b", 0, "range of float64"),
        (b"1 -1 |a b", 2, "at least 0"),
        (b"1 -1e-45 |a b", 2, "at least 0"),
        (b"1 1e39 |a b", 2, "range of float32"),
        (b"1 1 x |a b", 4, "base"),
        (b"1 1 1 1 |a b", 6, "not more than"),
        (b"1 'tag word |a b", 2, "a tag followed by '|'"),
        (b"1 |a b:", 7, "a finite number behind ':'"),
        (b"1 |a b: c", 7, "a finite number behind ':'"),
        (b"1 |a b:red", 7, "a finite number behind ':'"),
        (b"1 |a b:1:2", 7, "a finite number behind ':'"),
        (b"1 |a b:nan", 7, "a finite number behind ':'"),
        (b"1 |a b:1e", 7, "a finite number behind ':'"),
        (b"1 |a b:1e39 c", 7, "range of float32"),
        (b"1 |a b:-3.4028235677973367e38", 7, "range of float32"),
        (b"1 |a: b", 5, "a finite number behind ':'"),
        (b"1 |a:x b", 5, "a finite number behind ':'"),
        (b"1 |a:1e39 b", 5, "range of float32"),
        (b"1 |a:1e30 b:1e30", 12, "product"),
        (b"1 |:2 b", 3, "a namespace, a blank or a feature"),
        (b"1 |a :2", 5, "a namespace, a blank or a feature"),
        (b"1 |a b\0c", 6, "control"),
        (b"1 |a b:1\0", 8, "control"),
        (b"1 \0|a b", 2, "control"),
        (b"\0", 0, "control"),
        (b"1 |a\rb c", 4, "control"),
        (b"1 |a b:1\r c", 8, "control"),
        (b"1 x\ry |a", 3, "control"),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_errors_say_where_and_what(line, at, expected, ending):
    before = b"1 |a 16777217:16777217.00000000000001\n" * 3
    batch, error, said = parse(before + line + ending)
    assert (batch.n_rows, error) == (3, len(before) + at)
    assert expected in said
    assert like_the_naive_reader(before + line + ending)


def test_crosses_that_overflow():
    batch, error, expected = parse(b"|a b\n|a b:1e30 |c d:-1e30\n", crosses=["ac"])
    assert (batch.n_rows, error) == (1, 5)
    assert "products are within" in expected


def test_very_long_lines():
    line = b"1 |a " + b" ".join(b"feature%d:%d" % (i, i) for i in range(60_000))
    assert len(line) > 1e6
    batch, error, _ = parse(b"1 |a b\n" + line + b"\n-1 |a " + b"x" * 1_000_000 + b":" + b"0" * 1_000_000 + b"1\n")
    assert error is None
    assert batch.indptr.tolist() == [0, 1, 60_001, 60_002]
    assert batch.values[1:60_001].tolist() == list(range(60_000))
    assert batch.values[60_001] == 1
    for bad in (b" " * 1_000_000, b"|" * 1_000_000 + b":", b"x" * 1_000_000, b"|a b:" + b"9" * 1_000_000):
        _, error, _ = parse(bad + b"\n")
        assert (error is None) == (not bad.strip())


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \t\r\n", b"\xef\xbb\xbf"])
def test_no_rows(content, tmp_path):
    batch, error, _ = parse(content)
    assert (batch.n_rows, error) == (0, None)
    (tmp_path / "rows.vw").write_bytes(content)
    with pytest.raises(DataError, match="holds no rows"):
        load_vw(tmp_path / "rows.vw")


# ------------------------------------------------------------------------------------------------ files, options


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_whole_files(tmp_path, monkeypatch, n_jobs):
    monkeypatch.setattr("hogwild.data.libffm._PART", 40)
    content = b"1 |a x y x:2\n-1 0.5 |b x\n\n1 | x\n" * 5
    with gzip.open(tmp_path / "rows.vw.gz", "wb") as file:
        file.write(content)
    batch = load_vw(tmp_path / "rows.vw.gz", bits=16, n_jobs=n_jobs)
    assert batch.labels.tolist() == [1, -1, 1] * 5
    assert batch.weights.tolist() == [1, 0.5, 1] * 5
    assert batch.values.tolist() == [3, 1, 1, 1] * 5
    (tmp_path / "bad.vw").write_bytes(content + b"1 |a x:y\n" + content)
    with pytest.raises(DataError, match=r"bad.vw, line 21, column 8: found 'y', expected a finite number behind ':'"):
        load_vw(tmp_path / "bad.vw", n_jobs=n_jobs)
    (tmp_path / "sum.vw").write_bytes(b"1 |a x:3e38 x:3e38\n")
    with pytest.raises(DataError, match="finite sums"):
        load_vw(tmp_path / "sum.vw")


def test_options():
    text_format = VowpalWabbit(crosses=[["a", "b"]])
    options = json.loads(json.dumps(to_json(text_format)))
    assert VowpalWabbit(**options) == text_format
    assert (text_format.name, text_format.n_features, text_format.header_lines) == ("vw", 2**20, 0)
    assert text_format.with_header([]) is text_format
    for option in (
        {"bits": 0}, {"bits": 32}, {"crosses": ["abc"]}, {"crosses": ["ab", "ba"]},
        {"crosses": [("x", str(i)) for i in range(65)]},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(option))):
            VowpalWabbit(**option)
