"""The compiled reader of JSON lines against Python's json."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_jsonl import plainly, same

from hogwild.data.columns import Columns
from hogwild.data.jsonl import JsonLines, _Reading
from hogwild.data.jsonl_keys import Keys, learned
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part

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


def whole(columns, content):
    """One part, however long."""
    padded = np.frombuffer(content + b"\n" * PADDING, np.uint8)
    return JsonLines(columns).parse(Part(padded, 0, len(content), 0))


def compare(columns, content):
    """Read with keys that are new, with those of good lines, and with all of them known to the compiled reader."""
    learned.cache_clear()
    expected = plainly(columns, content)
    for _ in range(2):
        same(whole(columns, content), expected)
    learned(columns).extend(dict.fromkeys(KEYS, "") | {f"{o}.{key}": f"{o}." for o in "op" for key in KEYS})
    same(whole(columns, content), expected)


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
    keys = st.builds(
        json.dumps, st.one_of(*[st.sampled_from(KEYS)] * 5, st.text(max_size=3)), ensure_ascii=st.booleans()
    )
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


NUMERALS = st.text("0011239.eE+-", min_size=1, max_size=8)


@settings(deadline=None, max_examples=400)
@given(token=st.one_of(NUMERALS, scalars, scalars.map(lambda s: s[:-1]), values), options=settings_of_columns)
def test_any_value_against_python(token, options):
    columns = Columns(**options)
    token = token.encode("utf-8", "surrogatepass")
    learned.cache_clear()
    learned(columns).extend(dict.fromkeys(KEYS, ""))
    for pattern in (
        b'{"a":%s}\n',
        b'{"c1": %s ,"y":%s}\n',
        b'{"n1":%s}\n',
        b'{"n1":"%s"}\n',
        b'{"w":%s}\n',
        b'{"i":%s,"b":"x"}\n',
        b'{"c1":[%s]}\n',
        b'{"i":[{"b":%s},7]}\n',
    ):
        content = pattern.replace(b"%s", token)
        same(whole(columns, content), plainly(columns, content))


good = st.integers(0, 9).map(lambda i: f'{{"y": {i % 2}, "a": {i}, "b": "{i * 12345}", "w": 2.5}}\n')


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(good | lines, max_size=40), options=settings_of_columns)
def test_rows_stay_in_order_whoever_reads_them(rows, options):
    compare(Columns(**options), "".join(rows).encode("utf-8", "surrogatepass"))


BOUNDS = "c1bf c280 e09fbf e0a080 ed9fbf eda080 ee8080 f08fbfbf f0908080 f48fbfbf f4908080"


@pytest.mark.parametrize("character", [bytes.fromhex(digits) for digits in BOUNDS.split()])
def test_bounds_of_utf8(character):
    for text in (character, b"ascii, " + character, character[:-1], character + b"\x80"):
        compare(Columns(ignore=("i",)), b'{"a": "%s"}\n' % text)
        compare(Columns(ignore=("i",)), b'{"i": "%s"}\n' % text)


@pytest.mark.parametrize(
    "content",
    [
        '{"a":1,}',
        '{"a":1,,"b":2}',
        '{,"a":1}',
        '{"a":{},}',
        '{"a":{}',
        '{"a":1}}',
        '{"a":1}{"b":1}',
        '{"c1":["x",]}',
        '{"c1":["x"}',
        '{"i":[1,]}',
        '{"i":{"a":1,}}',
        '{"i":[1}}',
        '{"a" 1}',
        '{"a":1 "b":2}',
        '{"y":-0}\n{"y":1.5}',
        '{"y":-0}\n{"y":null}',
        '{"w":-0,"y":1}\n{"w":-0.0,"y":1}',
        '{"a":2,"b":3}\n{"a":0,"b":3}\n{"a":null,"b":3}\n{"a":2,"b":3}',
        '{"a":1e25,"b":1e25}',
        '{"a":1e-25,"b":1e-25}',
        '{"n1":["1.5","2",""]}',
        '{"o":{"p":{"a":1},"b":2}}',
        '{"n1":true,"n2":false,"c1":[true,null,-5,0]}',
        '{"o":{"p":{"a":1},"b":2},"b":3,"d":{"o":{}}}',
        '{"o":{"b":1},"b":2}\n{"b":1,"o":{"b":{"b":2}}}',
        '{"o":{"p":{"a":1},"a":2},"a":3}',
    ],
)
def test_what_is_easily_misread(content):
    columns = Columns("y", "w", ("n*",), ("c*", "o.b"), ("i",), (("a", "b"),), missing="category")
    compare(columns, content.encode() + b"\n")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=4) | st.text(max_size=2).map(lambda t: t.encode("utf-8", "replace")), max_size=6))
def test_text_has_to_be_utf8(pieces):
    text = b"".join(pieces).translate(None, b'\n"\\' + bytes(range(32)))
    content = b'{"a": "", "y": "e"}\n' + b'{"y": "", "a": "%s"}\n' % text + b'{"i": "%s"}\n' % text
    compare(Columns(ignore=("i",)), content)
    compare(Columns(label="y"), b'{"a": 1, "y": "e"}\n{"y": "%s"}\n' % text)


def kernel_reads(columns, content):
    """Whether the kernel leaves no line to Python, once it knows the keys."""
    for _ in range(9):
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


def test_new_keys_are_learned_sooner_or_later():
    learned.cache_clear()
    old = "{" + ",".join(f'"k{i}": 1' for i in range(100)) + "}\n"
    whole(Columns(), old.encode())
    for _ in range(12):  # one part has too few of them
        whole(Columns(), b'{"new": 1}\n')
    assert "new" in learned(Columns()).keys.prefixes


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
