"""JSON lines against rows in plain Python, lines that are none, and the compiled reader against Python's json."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_jsonl import plainly, same
from naive_table import encode, rows_of, same_rows, unsigned

from hogwild.data.batch import concatenate, merge_repeats
from hogwild.data.columns import Columns
from hogwild.data.jsonl import JsonLines
from hogwild.data.jsonl_keys import Keys, learned
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
    content = '{"a": 7.006492321624086e-46, "b": 1e-30, "c": 1e-30, "d": 0.0, "e": -0.0, "f": 7.1e-46}'
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


# ------------------------------------------------------------------------------------------------ compiled and plain


def compare(columns, content):
    """Read with keys that are new, and again with keys that are known."""
    learned.cache_clear()
    expected = plainly(columns, content)
    for _ in range(2):
        same(whole(columns, content), expected)


KEYS = [
    "y",
    "w",
    "a",
    "b",
    "d",
    "e",
    "o",
    "p",
    "n1",
    "n2",
    "c1",
    "c.d",
    "i",
    "",
    "\u00e9\U0001f600",
    "a long key, of 22 bytes",
    'q"',
    "c*",
]
blanks = st.sampled_from(["", "", "", " ", "\t", " \r", "  "])
strings = st.one_of(
    st.builds(json.dumps, st.text(max_size=20), ensure_ascii=st.booleans()),
    st.sampled_from(
        ['""', '"1.5"', '"-3e2"', '" 7 "', '"1_0"', '"nan"', '"\x7f"', '"\u00fc\u20ac\U00010000"', '"\\ud800"']
    ),
)
usual = st.one_of(
    st.integers(-100, 100).map(str), st.floats(-1e9, 1e9).map(repr), st.sampled_from(["0", "-0", "-0.0", "1E+2"])
)
unusual = st.one_of(
    st.sampled_from(
        ["1e400", "1e308", "1e39", "-1e-400", "7.1e-46", "1e-2", "01", "-01", "1.", "1.e2", ".5", "+1", "-", "1e"]
    ),
    st.sampled_from(["9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808"]),
    st.sampled_from(
        ["NaN", "-Infinity", "1" + "0" * 308, "1" * 310, "1" * 4500, "0." + "1" * 4500, "1.0000000596046448"]
    ),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
)
numbers = st.one_of(usual, usual, usual, usual, unusual)
scalars = st.one_of(numbers, strings, strings, st.sampled_from(["true", "false", "null"]))


def written(opening, elements, closing):
    parts = st.tuples(blanks, st.lists(st.tuples(elements, blanks, blanks), max_size=5))
    return parts.map(lambda p: opening + p[0] + ",".join(f"{b}{e}{a}" for e, b, a in p[1]) + closing)


def objects(values):
    keys = st.builds(json.dumps, st.sampled_from(KEYS) | st.text(max_size=3), ensure_ascii=st.booleans())
    members = st.tuples(keys, blanks, blanks, values).map(lambda m: f"{m[0]}{m[1]}:{m[2]}{m[3]}")
    return written("{", members, "}")


values = st.recursive(
    scalars, lambda inner: written("[", st.one_of(strings, strings, strings, inner), "]") | objects(inner), max_leaves=6
)
line_ends = st.sampled_from(["\n", "\n", "\r\n", " \n", "\n\n", "\n \t\n", "\x0b\n\n"])
lines = st.tuples(blanks, objects(values), line_ends).map("".join)
settings_of_columns = st.fixed_dictionaries(
    {
        "label": st.sampled_from([None, "y", "o.y"]),
        "weight": st.sampled_from([None, "w"]),
        "numeric": st.sampled_from([(), ("n1", "o.*"), ("*",)]),
        "categorical": st.sampled_from([(), ("c*", "a", "n?")]),
        "ignore": st.sampled_from([(), ("i", "o.i*"), ("o",)]),
        "crosses": st.sampled_from([(), (("a", "b"),), (("a", "*"), ("b", "a")), (("c*", "n?"), ("*", "*"))]),
        "bits": st.sampled_from([4, 20]),
        "signed": st.booleans(),
        "transform": st.sampled_from(["none", "log", "bins"]),
        "missing": st.sampled_from(["skip", "category"]),
    }
)


@settings(deadline=None, max_examples=300)
@given(rows=st.lists(lines, max_size=6), options=settings_of_columns)
def test_any_json_against_python(rows, options):
    compare(Columns(**options), "".join(rows).encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=300)
@given(rows=st.lists(lines, min_size=1, max_size=3), options=settings_of_columns, data=st.data())
def test_damaged_lines_against_python(rows, options, data):
    content = bytearray("".join(rows).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 3, len(content))))
        other = st.sampled_from(list(b'"\\{}[]:,.-+eE01 \t\n\r\0\x1f\x7f\x80\xbf\xc3\xe2\xed\xf0\xff'))
        content[start:stop] = bytes(data.draw(st.lists(other, max_size=2)))
    compare(Columns(**options), bytes(content) + b"\n")


good = st.integers(0, 9).map(lambda i: f'{{"y": {i % 2}, "a": {i}, "b": "{i * 12345}", "w": 2.5}}\n')


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(good | lines, max_size=40), options=settings_of_columns)
def test_rows_stay_in_order_whoever_reads_them(rows, options):
    compare(Columns(**options), "".join(rows).encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=4) | st.text(max_size=2).map(lambda t: t.encode("utf-8", "replace")), max_size=6))
def test_text_has_to_be_utf8(pieces):
    text = b"".join(pieces).translate(None, b'\n"\\' + bytes(range(32)))
    content = b'{"a": "", "y": "e"}\n' + b'{"y": "", "a": "%s"}\n' % text + b'{"i": "%s"}\n' % text
    compare(Columns(ignore=("i",)), content)
    compare(Columns(label="y"), b'{"a": 1, "y": "e"}\n{"y": "%s"}\n' % text)


def kernel_reads(columns, content):
    """Whether the kernel leaves no line to Python, once it knows the keys."""
    from hogwild.data.jsonl import _Reading

    whole(columns, content)
    reading = _Reading(columns, Part(np.frombuffer(content + b"\n" * PADDING, np.uint8), 0, len(content), 0))
    reading.run()
    return reading.read.left == 0


def test_what_is_common_is_compiled():
    columns = Columns(label="y", weight="w", numeric=("n",), categorical=("c",), ignore=("i",), crosses=(("a", "*"),))
    for text in (
        '{"y": 1, "w": 0.5, "a": -1.5e-3, "b": "text", "d": true, "e": null, "f": "", "z": 0}',
        '{"y":"spam","n":"2.5","c":3,"i":{"any":[1.5,{"x":NULL}],"\u00e9":-0.0e5},"l":["u",null,""],"o":{"p":{"q":{}}}}',
        '{"\u00e9": "\u00fc\u20ac\U00010000", "c": [1, true, "x"], "a": 12345678901234567890, "b" : false } \r',
    ):
        content = (text.replace("NULL", "null") + "\n").encode() * 3
        assert kernel_reads(columns, content)
        compare(columns, content)


def test_deep_objects():
    for depth in (30, 31, 32, 33, 34, 70, 300):
        for end in ("1", "[]", "{}", '["x"]'):
            content = ('{"k":' * depth + end + "}" * depth + "\n").encode()
            compare(Columns(), content)
            compare(Columns(ignore=("k",)), content)


def test_a_path_that_comes_in_two_ways():
    content = b'{"a.b": 1, "a": {"b": 2, "c": 3}}\n{"a": {"b": "x"}}\n{"a.b": 5}\n{"a": {"b": 1}, "a.b": 2, "d": 3}\n'
    compare(Columns(), content)
    compare(Columns(crosses=(("*", "*"),), label="a.b"), content)
    compare(Columns(crosses=(("*", "*"),)), content)


def test_a_key_that_is_a_pattern_stands_for_itself():
    content = b'{"c*": 2, "c1": 3, "d": 5}\n{"c1": 3, "d": 5}\n' * 2
    compare(Columns(crosses=(("c*", "d"),)), content)


def test_many_keys_and_many_crosses():
    rng = np.random.default_rng(0)
    rows = [{f"k{i}": int(i) for i in rng.integers(1, 700, 8)} | {"a": 1, "b": 2} for _ in range(200)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    compare(Columns(), content)
    compare(Columns(crosses=(("*", "*"),)), content)  # more pairs than the table takes
    compare(Columns(crosses=(("a", "k*"), ("b", "a"))), content)


def test_the_table_of_keys_stays_small(monkeypatch):
    monkeypatch.setattr("hogwild.data.jsonl_keys._MOST_KEYS", 3)
    keys = Keys(Columns(), {}).extended({"a": "", "b": ""})
    assert len(keys) == 2
    assert keys.extended({"c": "", "d": ""}) is keys
    compare(Columns(), b"".join(b'{"a": 1, "k%d": 2, "b": "x"}\n' % i for i in range(20)))


def test_threads_that_learn_keys_at_once():
    columns = Columns(label="y", crosses=(("k1", "k2"),))
    rows = [json.dumps({"y": i, **{f"k{j}": j + 1 for j in range(i % 50)}}) + "\n" for i in range(400)]
    contents = ["".join(rows[i:] + rows[:i]).encode() for i in range(0, 400, 50)]
    learned.cache_clear()
    with ThreadPoolExecutor(2) as pool:
        for content, found in zip(contents, pool.map(lambda content: whole(columns, content), contents), strict=True):
            same(found, plainly(columns, content))


def test_what_was_learned_is_no_part_of_a_format():
    text, fresh = JsonLines(Columns(label="y")), JsonLines(Columns(label="y"))
    whole(text.columns, b'{"y": 1, "a": 2}\n')
    assert text == fresh and pickle.loads(pickle.dumps(text)) == fresh and vars(text) == vars(fresh)
