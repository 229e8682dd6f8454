"""The compiled reader of delimited text against Python's csv module and FeatureHasher, and bad files."""

import itertools
import json
import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_delimited import ABSENT, all_pairs, load
from naive_svmlight import rounded
from sklearn.feature_extraction import FeatureHasher

from hogwild.data.batch import concatenate, merge_repeats
from hogwild.data.columns import Columns
from hogwild.data.delimited import Delimited, criteo_columns
from hogwild.data.hashing import hash_names, place
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part, split_lines
from hogwild.data.registry import to_json

CRITEO = Path(__file__).parents[3] / "shared" / "data" / "criteo-8000.tsv.xz"


def parse(text_format, content, size=1 << 20):
    """All parts, up to the first error: ``(batch, what is wrong, line, column)``."""
    text = np.frombuffer(content if isinstance(content, bytes) else content.encode(), np.uint8)
    batches = []
    for part in split_lines(text, size, PADDING):
        batch, unique, error, expected = text_format.parse(part)
        assert not unique
        batches.append(batch)
        if error >= 0:
            before = text[: part.base + error].tobytes()
            return concatenate(batches), expected, before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return concatenate(batches), "", -1, -1


def rows_of(text_format, content, size=1 << 20):
    batch, expected, *_ = parse(text_format, content, size)
    assert expected == ""
    return batch


def entries(batch):
    ends = batch.indptr.tolist()
    return [
        list(zip(batch.indices[a:b].tolist(), batch.values[a:b].tolist(), strict=True))
        for a, b in itertools.pairwise(ends)
    ]


def table(names, numeric=(), categorical=(), header=False, separator=",", quote='"', **options):
    columns = Columns(numeric=numeric, categorical=categorical, **options)
    return Delimited(columns, separator, header, names, quote)


NUMBERS = table(("x",), numeric=("x",))

# ------------------------------------------------------------------------------------------------ whole files

blanks = st.sampled_from(["", "", "", " ", "  "])
numerals = st.one_of(
    st.integers(-2000, 2000).map(str),
    st.integers(-(10**12), 10**12).map(str),
    st.floats(-1e6, 1e6, width=32).map(str),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30).map(repr),
    st.from_regex(r"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,12})([eE][+-]?[0-9])?", fullmatch=True).filter(
        str.isascii
    ),
    st.sampled_from(
        ["0", "-0", "0.0", "16777217", "16777217.0000000000000000000000001", "8388608.5", "1e-50", "1e-400"]
    ),
    st.sampled_from(ABSENT),
)
words = st.text(
    st.sampled_from("abcdefgh0123456789=. -\t,;\"'é€\U0001d11e\x01"), max_size=20
)  # lengths on both sides of 4 and 8
column_names = st.text(st.sampled_from("abcxyz=_é*?["), min_size=1, max_size=9)


@st.composite
def files(draw):
    separator, quote = draw(st.sampled_from([(",", '"'), (";", "'"), ("\t", '"'), ("\t", None), ("|", None)]))
    names = draw(st.lists(column_names, min_size=2, max_size=6, unique=True))
    roles = draw(st.lists(st.sampled_from(["numeric", "categorical", "ignore"]), min_size=len(names) - 2,
                          max_size=len(names) - 2))  # fmt: skip
    roles = draw(st.permutations(["label", draw(st.sampled_from(["weight", "categorical"])), *roles]))
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        fields = []
        for role in roles:
            if role == "label":
                word = str(draw(st.integers(-5, 5)))
            elif role == "weight":
                word = draw(st.floats(0, 100).map(repr))
            else:
                word = draw(numerals if role == "numeric" else words)
            if role == "numeric":
                word = draw(blanks) + word + draw(blanks)
            if quote is None:
                word = word.replace(separator, "")
            elif separator in word or word.startswith(quote) or draw(st.integers(0, 4)) == 0:
                word = quote + word.replace(quote, quote * 2) + quote
            fields.append(word)
        lines.append(separator.join(fields))
        lines.extend(draw(st.lists(st.just(""), max_size=1)))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n", "\r\n"]))
    features = [name for name, role in zip(names, roles, strict=True) if role in ("numeric", "categorical")]
    crosses = all_pairs(features)[: draw(st.integers(0, 15))]
    return text, separator, quote, names, roles, [pair[:: draw(st.sampled_from([1, -1]))] for pair in crosses]


@settings(deadline=None, max_examples=300)
@given(
    file=files(),
    size=st.sampled_from([1, 40, 1 << 20]),
    transform=st.sampled_from(["none", "log", "bins"]),
    missing=st.sampled_from(["skip", "category"]),
    signed=st.booleans(),
    bits=st.sampled_from([4, 20, 31]),
)
def test_random_files_read_as_by_the_naive_reader(file, size, transform, missing, signed, bits):
    text, separator, quote, names, roles, crosses = file
    options = {"crosses": crosses, "transform": transform, "missing": missing, "signed": signed, "bits": bits}
    chosen = {role: [n for n, r in zip(names, roles, strict=True) if r == role] for role in set(roles)}
    columns = Columns(
        label=chosen["label"][0],
        weight=chosen.get("weight", [None])[0],
        **{role: tuple(chosen.get(role, ())) for role in ("numeric", "categorical", "ignore")},
        **options,
    )
    text_format = Delimited(columns, separator, False, names, quote)
    with np.errstate(over="ignore"):
        rows, labels, weights = load(text, names, roles, separator=separator, quote=quote, **options)
    if any(np.isinf(value) for row in rows for *_, value in row):
        assert "numbers whose product" in parse(text_format, text, size)[1]
        return
    batch = rows_of(text_format, text, size)
    assert [[index for index, _ in row] for row in entries(batch)] == [[e[1] for e in row] for row in rows]
    expected = np.array([e[2] for row in rows for e in row], np.float32)
    if transform == "log":  # the logarithms of two libraries
        np.testing.assert_allclose(batch.values, expected, 1e-6)
    else:
        np.testing.assert_array_equal(batch.values, expected)
    assert (batch.indices.dtype, batch.values.dtype, batch.indptr.dtype) == (np.uint32, np.float32, np.uint64)
    assert batch.labels.dtype == np.int64
    assert batch.labels.tolist() == list(map(int, labels))
    assert batch.weights.tolist() == weights
    lines = [line for line in text.encode().split(b"\n") if line.strip(b"\r")]
    assert [text_format.names(line) for line in lines] == [[e[0] for e in row] for row in rows]


@settings(deadline=None, max_examples=50)
@given(lines=st.lists(st.text(st.sampled_from('a1,"\r \0'), max_size=12).filter(lambda s: "\n" not in s), max_size=8))
def test_any_bytes_give_rows_or_an_error_in_their_place(lines):
    text_format = table(("a", "b"), numeric=("a",), categorical=("b",))
    content = "\n".join(lines)
    batch, expected, line, column = parse(text_format, content)
    good = lines if not expected else lines[: line - 1]
    counted = [text_format.names(text.encode()) for text in good]
    filled = [names for names, text in zip(counted, good, strict=True) if text.removesuffix("\r")]
    assert [len(row) for row in entries(batch)] == [len(names) for names in filled]
    if expected:
        assert 1 <= column <= len(lines[line - 1]) + 1


def test_against_feature_hasher_and_in_any_parts():
    random = np.random.default_rng(0)
    dicts = [
        {
            "city": f"c{random.zipf(1.5) % 1000}",
            "age": float(random.integers(0, 90)),
            "color": "rgb"[random.integers(3)],
        }
        for _ in range(500)
    ]
    content = "".join(f"{d['city']},{d['age']},{d['color']}\r\n" for d in dicts)
    for signed in (False, True):
        text_format = table(("city", "age", "color"), ("age",), ("c*",), bits=8, signed=signed)
        X = FeatureHasher(256, alternate_sign=signed, dtype=np.float32).transform(dicts)
        for size in (1, 100, 10**6):
            batch = merge_repeats(rows_of(text_format, content, size))
            np.testing.assert_array_equal(batch.matrix(256).toarray(), X.toarray())


def test_text_may_be_read_only_and_stand_anywhere():
    text = np.frombuffer(b"zz,zz\n1,a\n2,b\n\0\0" + b"\n" * PADDING, np.uint8)
    text_format = table(("n", "c"), numeric=("n",), categorical=("c",))
    for array in (text, text.copy()):
        batch = text_format.parse(Part(array, 6, 14, 1000)).batch
        assert batch.values.tolist() == [1, 1, 2, 1]


def test_parse_gives_what_stands_before_the_error():
    text_format = table(("n", "c"), label="n", categorical=("c",))
    for content in ("1,a\n2,b\n3\n4,c\n", "1,a\n2,b\n,\0\n", "1,a\n2,b\ninf,c\n"):
        batch, expected, line, _ = parse(text_format, content)
        assert batch.labels.tolist() == [1, 2]
        assert batch.labels.dtype == np.int64
        assert expected and line == 3


# ------------------------------------------------------------------------------------------------ fields

HALFWAY = [
    "16777217", "16777219", "16777217.0000000000000000000000000001", "16777216.9999999999999999999999999999",
    "8388608.5", "8388609.5", "1.00000005960464477539062500", "1.000000059604644775390625000000000000001",
    "1.00000005960464477539062499999999", "9007199254740993", "18446744073709551616", "0.1", ".1", "1.", "5e-1",
    "12345678.12345678", "123456781234567812345678", "7.0064923216240853e-46", "7.0064923216240854e-46",
    "1.401298464324817e-45", "1.17549435e-38", "3.4028235677973365e38", "1e-400", "0e99999", "+7", "-0.5", "-33554433",
]  # fmt: skip


def test_numerals_are_rounded_once():
    chosen = HALFWAY + ["-" + numeral.lstrip("+-") for numeral in HALFWAY] + [f'" {numeral} "' for numeral in HALFWAY]
    for numeral in chosen:
        value = rounded(numeral.strip('" '), np.float32)
        assert rows_of(NUMBERS, numeral).values.tolist() == ([value] if value else []), numeral


def test_more_doubtful_numerals_than_foreseen():
    batch = rows_of(NUMBERS, "16777217.0000000000000000000000001\n" * 1000)
    assert batch.values.tolist() == [16777218] * 1000


def test_doubtful_numbers_take_part_in_crosses():
    text_format = table(("x", "y"), numeric=("*",), crosses=(("x", "y"),))
    assert rows_of(text_format, "16777217.0000000000000000000000001,2").values.tolist() == [16777218, 2, 33554436]


def test_bins():
    numbers = ["0", "-0.4", "0.99", "1", "-1", "2", "3", "-7", "7", "1e300", "-1e300", "1023", "1022.99"]
    bins = ["0", "0", "0", "1", "-1", "1", "2", "-3", "3", "996", "-996", "10", "9"]
    text_format = replace(NUMBERS, columns=replace(NUMBERS.columns, transform="bins"))
    batch = rows_of(text_format, "\n".join(numbers))
    assert batch.indices.tolist() == place(hash_names([f"x={k}" for k in bins]), 1 << 20)[0].tolist()
    assert (batch.values == 1).all()


@pytest.mark.parametrize("length", [*range(20), 1000, 100_000])
def test_categories_of_any_length(length):
    word = "abcdefghij" * (length // 10 + 1)
    for name in ("c", "cc", "ccc", "cccc", "é" * 7):
        text_format = table((name, "n"), categorical=(name,), numeric=("n",))
        batch = rows_of(text_format, f"{word[:length]},1\n")
        names = [f"{name}={word[:length]}", "n"] if length else ["n"]
        assert batch.indices.tolist() == place(hash_names(names), 1 << 20)[0].tolist()


def test_bytes_of_categories_are_hashed_as_they_are():
    text_format = table(("c", "d"), categorical=("*",))
    batch = rows_of(text_format, b"\xff\xfe \x07,a\rb\r\r\n")
    assert batch.indices.tolist() == place(hash_names([b"c=\xff\xfe \x07", b"d=a\rb\r"]), 1 << 20)[0].tolist()
    assert text_format.names(b"\xff\xfe,a") == [r"c=\xff\xfe", "d=a"]


def test_quotes():
    text_format = table(("c", "d"), categorical=("*",))
    for text, c, d in [
        ('"a,b",c', "a,b", "c"),
        ('"say ""hi""","x"', 'say "hi"', "x"),
        ('"""",""""""', '"', '""'),
        ('a"b,c""d', 'a"b', 'c""d'),
        (' "a",b', ' "a"', "b"),
        ('"' + "x,y" * 100 + '",""""\r\n', "x,y" * 100, '"'),
    ]:
        assert (
            rows_of(text_format, text).indices.tolist() == place(hash_names([f"c={c}", f"d={d}"]), 1 << 20)[0].tolist()
        )
        assert text_format.names(text.encode()) == [f"c={c}", f"d={d}"]
    assert rows_of(text_format, '"",""\n,').indptr.tolist() == [0, 0, 0]
    assert replace(text_format, quote=None).names(b'"a,b"') == ['c="a', 'd=b"']


def test_what_is_missing():
    content = "".join(f"{word},{word}\n" for word in ABSENT)
    text_format = table(("n", "c"), numeric=("n",), categorical=("c",))
    assert np.diff(rows_of(text_format, content).indptr.astype(int)).tolist() == [0] + [1] * 9
    kept = replace(text_format, columns=replace(text_format.columns, missing="category"))
    batch = rows_of(kept, content)
    assert (batch.indices[::2] == place(hash_names(["n="]), 1 << 20)[0]).all()
    assert kept.names(b",") == ["n=", "c="]


# ------------------------------------------------------------------------------------------------ labels and weights


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        (["1", "-1", "+3"], [1, -1, 3]),
        (["1", "2.0"], [1.0, 2.0]),
        (["1", '"2"'], [1, 2]),
        (["9007199254740993", "-3"], [9007199254740993, -3]),
        (["16777217.00000000000000000000000001"], [16777217.0]),
        (["spam", "ham", "1"], ["spam", "ham", "1"]),
        ([' <=50K', '">50K, ""much"""'], ["<=50K", '>50K, "much"']),
        (["spam", ""], ["spam", ""]),
    ],
)  # fmt: skip
def test_labels(written, labels):
    text_format = table(("y", "c"), label="y", categorical=("c",))
    found = rows_of(text_format, "".join(f"{word},x\n" for word in written)).labels
    assert found.dtype.kind == np.array(labels).dtype.kind
    assert found.tolist() == labels


def test_labels_that_are_missing():
    text_format = table(("y", "c"), label="y", categorical=("c",))
    for content in ("1,x\n,x\n", "NA,x\n1,x\n", "12345678901234567890,x\n?,x\n"):
        labels = rows_of(text_format, content).labels
        assert labels.dtype == np.float64
        assert np.isnan(labels).sum() == 1
    labels = rows_of(table(("c",), categorical=("c",)), "x\ny\n").labels
    assert np.isnan(labels).all() and len(labels) == 2


def test_weights():
    text_format = table(("w", "c"), weight="w", categorical=("c",))
    batch = rows_of(text_format, "1,a\n0,b\n-0.0,c\n0.1,d\n16777217.000000000000000000000000001,e\n")
    assert batch.weights.tolist() == [1, 0, 0, np.float32(0.1), 16777218]
    assert len(rows_of(table(("c",), categorical=("c",)), "x\n").weights) == 0


# ------------------------------------------------------------------------------------------------ crosses


def test_wildcards_cross_every_pair_once():
    names = ("a", "b", "c", "n")
    text_format = table(names, numeric=("n",), categorical=("?",), crosses=(("c", "a"), ("*", "*"), ("a", "a")))
    assert text_format.names(b"1,2,3,4") == [
        "a=1", "b=2", "c=3", "n", "c=3*a=1", "a=1*b=2", "a=1*n", "b=2*c=3", "b=2*n", "c=3*n",
    ]  # fmt: skip
    assert rows_of(text_format, "1,2,3,4\n").values.tolist() == [1, 1, 1, 4, 1, 1, 4, 1, 4, 4]
    assert rows_of(text_format, "1,,3,0\n").values.tolist() == [1, 1, 1]


# ------------------------------------------------------------------------------------------------ bad files


@pytest.mark.parametrize(
    ("content", "line", "column", "expected"),
    [
        ("1,a,1\n2\n", 2, 2, "3 columns; the line has 1"),
        ("1,a\r\n", 1, 4, "3 columns; the line has 2"),
        ("1,a,1,c,d\n", 1, 7, "3 columns; the line has 5"),
        ("1,a,1,", 1, 7, "3 columns; the line has 4"),
        ('1,a,1,"\n', 1, 7, "3 columns; the line has more"),
        ("x,a\n", 1, 1, "3 columns; the line has 2"),
        ("1,a,1\n\n1,a,b\n", 3, 5, "a weight, a number of at least 0, in column 'w'"),
        ("1,a,-1\n", 1, 5, "a weight, a number of at least 0, in column 'w'"),
        ("1,a,\n", 1, 5, "a weight, a number of at least 0, in column 'w'"),
        ("1,a,1e39\n", 1, 5, "a number within the range of float32 in column 'w'"),
        ("x,a,1\n", 1, 1, "a number in column 'n'"),
        ("inf,a,1\n", 1, 1, "a number in column 'n'"),
        ('"1,5",a,1\n', 1, 1, "a number in column 'n'"),
        ("1 2,a,1\n", 1, 1, "a number in column 'n'"),
        ("1_0,a,1\n", 1, 1, "a number in column 'n'"),
        ("0x1,a,1\n", 1, 1, "a number in column 'n'"),
        ("1e,a,1\n", 1, 1, "a number in column 'n'"),
        ("-,a,1\n", 1, 1, "a number in column 'n'"),
        (".,a,1\n", 1, 1, "a number in column 'n'"),
        ("1\r,a,1\n", 1, 1, "a number in column 'n'"),
        (b"\xff,a,1\n", 1, 1, "a number in column 'n'"),
        ("1e39,a,1\n", 1, 1, "a number within the range of float32 in column 'n'"),
        ("-3.4028235677973367e38,a,1\n", 1, 1, "a number within the range of float32 in column 'n'"),
        ("9" * 400 + ",a,1\n", 1, 1, "a number within the range of float32 in column 'n'"),
        ('1,"a,1\n2,b",1\n', 1, 3, "a closing quote on the same line"),
        ('1,a,"', 1, 5, "a closing quote on the same line"),
        ('1,"a"b,1\n', 1, 6, "',' or the end of the line behind the closing quote"),
        ('1,"a" ,1\n', 1, 6, "',' or the end of the line behind the closing quote"),
        ('1,a,"1"\r\r\n', 1, 8, "',' or the end of the line behind the closing quote"),
        ("1,a,1\n1,\0,1\n", 2, 3, "text without NUL bytes"),
        ("x,a,1\n1,\0,1\n", 1, 1, "a number in column 'n'"),
        ("\0", 1, 1, "text without NUL bytes"),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_errors_say_where_and_what(content, line, column, expected, before):
    content = content if isinstance(content, bytes) else content.encode()
    text_format = table(("n", "c", "w"), numeric=("n",), categorical=("c",), weight="w")
    batch, *found = parse(text_format, b"1,b,1\n" * before + content)
    assert found == [expected, line + before, column]
    assert batch.n_rows == before + line - 1 - content.count(b"\n\n")


@pytest.mark.parametrize(
    ("content", "line", "column", "expected"),
    [
        ("1,x\ninf,x\n", 2, 1, "a finite number as label"),
        ("1,x\n -NaN,x\n", 2, 2, "a finite number as label"),
        ("1e999,x\n", 1, 1, "a label within the range of float64"),
        (b"1,x\nsp\xff,x\n", 2, 1, "a label in UTF-8"),
    ],
)
def test_errors_of_labels(content, line, column, expected):
    batch, *found = parse(table(("y", "c"), label="y", categorical=("c",)), content)
    assert found == [expected, line, column]
    assert batch.labels.tolist() == [1] * (line - 1)


def test_products_beyond_float32():
    text_format = table(("a", "b"), numeric=("*",), crosses=(("b", "a"),))
    _, *found = parse(text_format, "1,2\n1e30,-1e30\n")
    assert found == ["numbers whose product, b*a, is within the range of float32", 2, 1]


def test_ranges_of_transformed_numbers():
    text_format = table(("n",), numeric=("n",), transform="log")
    assert rows_of(text_format, "1e300").values.tolist() == [np.float32(np.log1p(1e300))]
    _, *found = parse(text_format, "1e309")
    assert found == ["a number within the range of float64 in column 'n'", 1, 1]


@pytest.mark.parametrize("content", ["", "\n\n", "\r\n", "\ufeff"])
def test_no_rows(content):
    assert rows_of(NUMBERS, content).n_rows == 0


# ------------------------------------------------------------------------------------------------ what is not given


def test_headers():
    text_format = Delimited(Columns(label="y"))
    assert text_format.header_lines == 1
    full = text_format.with_header([b'\xef\xbb\xbfy, "a","b,c"\r'])
    assert full.column_names == ("y", '"a"', "b,c")
    assert full.with_header([b'y, "a","b,c"']) is full
    with pytest.raises(ValueError, match="column 2 was '\"a\"' and is 'x' here"):
        full.with_header([b'y,x,"b,c"'])
    with pytest.raises(ValueError, match="3 columns, as known before; this header names 2"):
        full.with_header([b"y,x"])
    with pytest.raises(ValueError, match="a column called 'y', the columns are 'a', 'b'"):
        text_format.with_header([b"a,b"])
    with pytest.raises(ValueError, match="'a' stands there twice"):
        text_format.with_header([b"y,a,a"])
    with pytest.raises(ValueError, match="UTF-8"):
        text_format.with_header([b"y,\xff"])
    with pytest.raises(ValueError, match="closing quote"):
        text_format.with_header([b'y,"a'])
    without = Delimited(header=False)
    assert (without.header_lines, without.with_header([])) == (0, without)


def test_guessed_types():
    text_format = Delimited(Columns(label="c1", categorical=("c6",), ignore=("c7",)), header=False)
    sample = [b"x,1,NA,1x,,1,a", b"", b'"bad', b"1,2", b'y,"-2e3", .5 ,2,,2,b', b"y,,?,3,NA,3,1"]
    guessed = text_format.guess_types(sample)
    assert guessed.column_names == tuple(f"c{i}" for i in range(1, 8))
    assert guessed.columns.numeric == ("c2", "c3")
    assert guessed.columns.categorical == ("c4", "c5", "c6")
    assert guessed.guess_types(sample) == guessed
    text = np.frombuffer(b"\n".join(sample) + b"\n" * PADDING, np.uint8)
    assert text_format.decided(Part(text, 0, len(text), 0)) == guessed
    assert guessed.names(sample[0]) == ["c2", "c4=1x", "c6=1"]


def test_names_with_wildcards_in_them():
    text_format = Delimited(column_names=("a*", "ab", "a[1]")).guess_types([b"1,x,2"])
    assert text_format.columns.roles(text_format.column_names) == ("numeric", "categorical", "numeric")


def test_options_are_json():
    text_format = criteo_columns(crosses=[["C1", "C2"]], bits=10)
    assert Delimited(**json.loads(json.dumps(to_json(text_format)))) == text_format
    assert (text_format.name, text_format.n_features) == ("csv", 1024)


@pytest.mark.parametrize(
    "options",
    [
        {"separator": ""}, {"separator": ",,"}, {"separator": "a"}, {"separator": "\n"}, {"separator": "é"},
        {"separator": "."}, {"separator": None}, {"quote": ""}, {"quote": ","}, {"quote": "1"},
        {"columns": {"label": "z"}}, {"columns": {"numeric": ["z"]}}, {"columns": {"ignore": ["z", "a"]}},
    ],
)  # fmt: skip
def test_bad_options(options):
    with pytest.raises(ValueError):
        Delimited(**{"column_names": ["a", "b"], **options})


def test_what_is_not_known_yet_is_an_error():
    part = Part(np.full(64, 10, np.uint8), 0, 1, 0)
    with pytest.raises(ValueError, match="no names yet"):
        Delimited().parse(part)
    with pytest.raises(ValueError, match="with_header comes first"):
        Delimited().guess_types([b"a"])
    with pytest.raises(ValueError, match="give column_names"):
        Delimited(header=False).guess_types([])
    with pytest.raises(ValueError, match="'b' is neither numeric nor categorical"):
        Delimited(Columns(numeric=("a",)), column_names=("a", "b")).parse(part)
    with pytest.raises(ValueError, match="no number or category is called 'z'"):
        table(("a",), numeric=("a",), crosses=(("a", "z"),)).parse(part)


# ------------------------------------------------------------------------------------------------ Criteo


def test_rows_like_those_of_criteo():
    row = "1\t5\t-1" + "\t" * 10 + "\t7\t" + "\t".join(f"{i:08x}" for i in range(26))
    clicks = criteo_columns()
    batch = rows_of(clicks, row)
    names = clicks.names(row.encode())
    assert names == ["I1", "I2", *(f"I{i}=" for i in range(3, 13)), "I13", *(f"C{i + 1}={i:08x}" for i in range(26))]
    assert batch.indices.tolist() == place(hash_names(names), 1 << 20)[0].tolist()
    assert batch.labels.tolist() == [1]
    np.testing.assert_allclose(batch.values[[0, 1, 12]], [np.log(6), -np.log(2), np.log(8)], 1e-6)


def test_real_rows_of_criteo():
    if not CRITEO.exists():
        pytest.skip(f"{CRITEO.name} is not here")
    content = lzma.decompress(CRITEO.read_bytes())
    batch = rows_of(criteo_columns(), content)
    assert batch.n_rows == content.count(b"\n")
    assert (np.diff(batch.indptr.astype(int)) <= 39).all()
    assert 0.2 < batch.labels.mean() < 0.3
