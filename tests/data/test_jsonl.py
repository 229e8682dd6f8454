"""JSON lines against rows in plain Python, and lines that are none."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_svmlight import rounded
from naive_table import encode, rows_of, same_rows, unsigned

from hogwild.data.batch import concatenate, merge_repeats
from hogwild.data.columns import Columns
from hogwild.data.jsonl import JsonLines
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part, split_lines
from hogwild.data.registry import to_json


def parsed(columns, content, size=1 << 20):
    content = content if isinstance(content, bytes) else content.encode()
    parts = split_lines(np.frombuffer(content, np.uint8), size, PADDING)
    return [JsonLines(columns).parse(part) for part in parts]


def whole(columns, content):
    """One part, however long."""
    padded = np.frombuffer(content + b"\n" * PADDING, np.uint8)
    return JsonLines(columns).parse(Part(padded, 0, len(content), 0))


def read(columns, content, size=1 << 20):
    found = parsed(columns, content, size)
    assert [(one.error, one.expected) for one in found] == [(-1, "")] * len(found)
    return concatenate([merge_repeats(one.batch) for one in found])


def clear_of_zero(number):
    return number == 0 or abs(number) > 1e-9


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = {
    "n": (
        st.one_of(st.none(), st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6).filter(clear_of_zero), st.just(0)),
        True,
    ),
    "m": (st.one_of(st.none(), st.floats(-1e6, 1e6, width=32).filter(clear_of_zero)), True),
    "t": (st.one_of(st.none(), words), False),
    "b": (st.booleans(), False),
    "l": (st.lists(st.one_of(words, st.none()), max_size=4), False),
    "forced": (st.one_of(st.integers(-5, 5), st.booleans(), words), False),
}


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.fixed_dictionaries({key: values for key, (values, _) in VALUES.items()}), max_size=6),
    options=st.fixed_dictionaries(
        {
            "bits": st.sampled_from([2, 24]),
            "signed": st.booleans(),
            "transform": st.sampled_from(["none", "log", "bins"]),
            "missing": st.sampled_from(["skip", "category"]),
            "crosses": st.sampled_from([(), (("n", "t"),), (("*", "*"),)]),
        }
    ),
    size=st.sampled_from([1, 100, 1 << 20]),
    ascii_only=st.booleans(),
)
def test_random_rows_against_the_naive_encoder(rows, options, size, ascii_only):
    columns = Columns(categorical=("forced",), **options)
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    kinds = {key: kind for key, (_, kind) in VALUES.items()}
    same_rows(read(columns, content, size), encode(rows, kinds, columns, frozenset("l")))


def test_names():
    line = b'{"y": 1, "a": 2, "t": "x", "o": {"p": {"q": true}, "l": ["u", "v", null]}, "z": 0, "e": ""}'
    text = JsonLines(Columns(label="y", crosses=(("t", "a"),)))
    names = text.names(line)
    assert names == ["a", "t=x", "o.p.q=true", "o.l=u", "o.l=v", "t=x*a"]
    found = whole(text.columns, line + b"\n")
    signed = [h - 2**32 if h >= 2**31 else h for h in map(unsigned, names[:-1])]
    assert found.batch.indices.tolist()[:-1] == [abs(h) % 2**20 for h in signed]
    assert found.batch.values.tolist() == [2, 1, 1, 1, 1, 2]
    assert JsonLines(Columns(missing="category")).names(line)[-1] == "e="


def test_the_order_of_keys_is_none_of_crosses():
    columns = Columns(crosses=(("*", "*"),))
    first, second = rows_of(read(columns, '{"a": "x", "b": "y"}\n{"b": "y", "a": "x"}'))
    assert len(first) == 3 and first == second


def test_the_other_kind_can_be_asked_for():
    def row(columns, line):
        return rows_of(read(columns, line))

    assert row(Columns(numeric=("a",)), '{"a": "2.5"}') == row(Columns(), '{"a": 2.5}')
    assert row(Columns(numeric=("a",)), '{"a": true}') == row(Columns(), '{"a": 1}')
    assert row(Columns(categorical=("a",)), '{"a": 3.0}') == row(Columns(), '{"a": "3"}')
    assert row(Columns(categorical=("a",)), '{"a": [3, 4]}') == row(Columns(), '{"a": ["3", "4"]}')
    assert row(Columns(ignore=("a", "b.*")), '{"a": {"c": 1}, "b": {"c": 1}, "d": 0}') == [{}]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "-2"], np.array([1, -2])),
        (["1", "true"], np.array([1, 1])),
        (["1", "2.5", "null"], np.array([1, 2.5, np.nan])),
        (["9223372036854775808"], np.array([2.0**63])),
        (['"spam"', '"k\u00e4se"', "1"], np.array(["spam", "k\u00e4se", "1"])),
        (["null"], np.array([np.nan])),
    ],
)
def test_labels(labels, expected):
    found = read(Columns(label="o.y"), "".join(f'{{"o": {{"y": {label}}}}}\n' for label in labels)).labels
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_weights_blank_lines_and_byte_order_marks():
    batch = read(Columns(weight="w"), '\ufeff{"w": 0.5, "a": 1}\r\n\r\n  \n{"a": 1}')
    assert batch.weights.tolist() == [0.5, 1]
    assert batch.indptr.tolist() == [0, 1, 2]
    assert np.isnan(batch.labels).all()
    assert len(read(Columns(weight="w"), '{"w": 1}').weights) == 0
    assert read(Columns(), "").n_rows == read(Columns(), "\n\n").n_rows == 0


def test_what_float32_has_as_zero_is_none():
    content = '{"a": 7.006492321624085e-46, "b": 1e-30, "c": 1e-30, "d": 0.0, "e": -0.0, "f": 7.1e-46}'
    assert read(Columns(crosses=(("b", "c"),)), content).values.tolist() == [np.float32(1e-30)] * 2 + [2.0**-149]


def test_lone_surrogates_and_nul():
    assert len(read(Columns(), r'{"a": "\ud800", "b\u0000": "\u0000"}').indices) == 2


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [
        ('{"a": }', 6, "JSON (Expecting value)"),
        ('{"\u00e9": }', 7, "JSON (Expecting value)"),
        ("{'a': 1}", 1, "JSON (Expecting property name"),
        ('{"a": 1} x', 9, "JSON (Extra data)"),
        ('  [{"a": 1}]', 2, "a JSON object"),
        ("3", 0, "a JSON object"),
        ("null", 0, "a JSON object"),
        ('{"a": NaN}', 0, "JSON with finite numbers"),
        ('{"a": -Infinity}', 0, "JSON with finite numbers"),
        ('{"a": ' + "9" * 5000 + "}", 0, "JSON with finite numbers"),
        ("[" * 100_000, 0, "not too deeply nested"),
        ('{"b": 1, "a": 1e999}', 9, "a finite number under 'a'"),
        ('{"a": 1e39}', 1, "range of float32 under 'a'"),
        ('{"a": ' + "9" * 400 + "}", 1, "range of float32 under 'a'"),
        ('{"num": "x"}', 1, "a number within the range of float32 under 'num'"),
        ('{"o": {"a": [1]}}', 7, "a list of texts (or of numbers, if the key is listed as categorical) under 'o.a'"),
        ('{"a": [["x"]]}', 1, "a list of texts"),
        ('{"a": [{"x": 1}]}', 1, "a list of texts"),
        ('{"a": 1, "y": [1]}', 9, "a label, a finite number or text under 'y'"),
        ('{"a": 1, "y": 1e999}', 9, "a label, a finite number or text under 'y'"),
        ('{"a": 1, "w": -1}', 9, "a weight, a finite number of at least 0 under 'w'"),
        ('{"a": 1, "w": true}', 9, "a weight"),
        ('{"p": 1e30, "q": 1e30}', 1, "product"),
        (b'{"a": "\xff"}', 7, "text in UTF-8"),
    ],
)
def test_bad_lines(line, column, expected):
    columns = Columns(label="y", weight="w", numeric=("num",), crosses=(("p", "q"),))
    good = b'{"y": 1, "a": 2}\n'
    line = line if isinstance(line, bytes) else line.encode()
    found = whole(columns, good * 3 + b"\n" + line + b"\n" + good)
    assert found.error == 3 * len(good) + 1 + column
    assert expected in found.expected
    assert (found.batch.n_rows, found.batch.indptr.tolist()) == (3, [0, 1, 2, 3])
    assert found.batch.labels.tolist() == [1, 1, 1]


def test_text_labels_have_to_be_in_every_row():
    found = whole(Columns(label="y"), b'{"y": "a"}\n\n{"z": 1}\n{"y": "b"}\n')
    assert (found.error, found.expected, found.batch.n_rows) == (12, "a label under 'y'", 1)


def test_options_are_json():
    text = JsonLines(Columns(label="y", crosses=(("a", "b"),), bits=8))
    assert JsonLines(**json.loads(json.dumps(to_json(text)))) == text
    assert (text.n_features, text.header_lines, text.with_header([])) == (256, 0, text)


HALFWAY = (
    "1.000000059604644775390626",
    "16777217.0000000001",
    "-8388608.4999999999999999",
    "7.006492321624086e-46",
    "0.1",
)


@pytest.mark.parametrize("numeral", HALFWAY)
@pytest.mark.parametrize("quoted", [False, True])
def test_numerals_are_rounded_once(numeral, quoted):
    line = f'{{"y": 1, "x": "{numeral}"}}' if quoted else f'{{"y": 1, "x": {numeral}}}'
    for _ in range(2):  # the keys are known the second time
        found = read(Columns(label="y", numeric=("x",)), "\n".join([line] * 3)).values
        assert found.tolist() == [rounded(numeral, np.float32)] * 3
