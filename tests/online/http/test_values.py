"""JSON against the wire's own readers, and against its own schemas."""

from __future__ import annotations

import json
import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.online.datum import Datum
from hogwild.online.http.examples import SCHEMAS
from hogwild.online.http.names import arguments_of, members_of
from hogwild.online.http.plain import WrongValueError
from hogwild.online.http.problems import encoded
from hogwild.online.http.values import codec, read_members
from hogwild.online.methods import TYPES, methods_of
from hogwild.online.wire import BOOL, DATUM, DOUBLE, FLOAT, INT, TEXT, UINT, Listed, Mapped, Struct

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
doubles = st.floats(allow_nan=False)
pairs = st.tuples(
    st.lists(st.tuples(texts, texts), max_size=3),
    st.lists(st.tuples(texts, doubles), max_size=3),
    st.lists(st.tuples(texts, st.binary(max_size=4)), max_size=3),
)
PLAIN = {
    BOOL: st.booleans(),
    INT: st.integers(-(2**63), 2**63 - 1),
    UINT: st.integers(0, 2**64 - 1),
    DOUBLE: doubles,
    FLOAT: doubles,
    TEXT: texts,
    DATUM: pairs,
}


def values_of(kind):
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, Listed):
        return st.lists(values_of(kind.item), max_size=3)
    if isinstance(kind, Mapped):
        return st.dictionaries(texts, values_of(kind.item), max_size=3)
    assert isinstance(kind, Struct)
    return st.tuples(*map(values_of, kind.items))


def codec_of(served, kind):
    return codec(kind, members_of(served))


def typed():
    """Every type of every method, under the type of server that it is served by."""
    return [
        (served, kind)
        for served in TYPES
        for kind in dict.fromkeys(
            kind for method in methods_of(served).values() for kind in (*method.takes, method.gives)
        )
    ]


@pytest.mark.parametrize(("served", "kind"), typed(), ids=lambda one: getattr(one, "name", one))
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_written_fits_its_schema_and_is_read_as_it_was(served, kind, data):
    how = codec_of(served, kind)
    value = data.draw(values_of(kind))
    shown = json.loads(encoded(how.write(value)))
    jsonschema.validate(shown, how.schema | {"components": {"schemas": SCHEMAS}}, jsonschema.Draft202012Validator)
    assert kind.read(how.read(shown)) == kind.read(value)


plain_examples = st.dictionaries(texts, st.one_of(texts, doubles.filter(math.isfinite), st.integers(-(2**63), 2**63)))


@given(plain_examples)
def test_plain_objects_are_the_examples_that_datum_makes_of_them(values):
    read = codec_of("classifier", DATUM).read(json.loads(encoded(values)))
    assert DATUM.read(read) == Datum.of(values)


def test_bytes_are_base64():
    read = codec_of("classifier", DATUM).read({"image": {"base64": "AP8="}})
    assert DATUM.read(read) == Datum.of({"image": b"\x00\xff"})
    assert codec_of("classifier", DATUM).write(read) == [[], [], [["image", {"base64": "AP8="}]]]


def test_numbers_that_json_has_no_number_for_are_texts():
    how = codec_of("anomaly", Listed(DOUBLE))
    assert how.write([math.inf, -math.inf, math.nan, 1.5]) == ["Infinity", "-Infinity", "NaN", 1.5]
    read = how.read(["Infinity", "-Infinity", "NaN", 1])
    assert read[:2] == [math.inf, -math.inf] and math.isnan(read[2])
    assert type(read[3]) is float


def test_structs_are_named_after_what_they_are():
    scores = [("x", 0.5)]
    assert [codec_of(kind, TYPES[kind][method].gives).write(value) for kind, method, value in (
        ("classifier", "classify", [scores]),
        ("recommender", "similar_row_from_id", scores),
        ("weight", "update", scores),
        ("anomaly", "add", ("x", 0.5)),
    )] == [
        [[{"label": "x", "score": 0.5}]],
        [{"id": "x", "score": 0.5}],
        [{"feature": "x", "weight": 0.5}],
        {"id": "x", "score": 0.5},
    ]  # fmt: skip


@pytest.mark.parametrize("served", sorted(TYPES))
def test_every_argument_has_a_name(served):
    for name, method in methods_of(served).items():
        names = arguments_of(served, name)
        assert len(names) == len(set(names)) == len(method.takes), name


@pytest.mark.parametrize(
    ("value", "place", "said"),
    [
        ([1], "[0]", "expected label, datum in an object or array, found 1"),
        ([["x", {}, 1]], "[0]", "found 3 values"),
        ([{"label": "x"}], "[0]", "found an object with label"),
        ([{}], "[0]", "found an object with no members"),
        ([["x", {}], {"label": 3, "datum": {}}], "[1].label", "expected a string, found 3"),
        ([["x", {"y": True}]], "[0][1].y", "expected a string, a number or bytes as .* found a boolean"),
        ([["x", {"a b": None}]], "[0][1]['a b']", "found null"),
        ([["x", {"y": 2**64}]], "[0][1].y", "expected a number"),
        ([["x", {"y": {"base64": "?"}}]], "[0][1].y.base64", "expected base64, found a string"),
        ([["x", {"y": {"base64": 1}}]], "[0][1].y.base64", "expected base64, found 1"),
        ([["x", {"y": {}}]], "[0][1].y", "found an object"),
        ([["x", [[["k", 1]], []]]], "[0][1][0][0]", "expected a string, found 1"),
        ([["x", [[], [["k", "1"]]]]], "[0][1][1][0]", "expected a number, found a string"),
        ([["x", [[], [["k"]]]]], "[0][1][1][0]", "expected a pair"),
        ([["x", [[], {}]]], "[0][1][1]", "expected an array of pairs, found an object"),
        ([["x", [[]]]], "[0][1]", "expected an example"),
        ({}, "", "expected an array, found an object"),
    ],
)
def test_errors_name_the_place(value, place, said):
    how = codec_of("classifier", TYPES["classifier"]["train"].takes[0])
    with pytest.raises(WrongValueError, match=said) as caught:
        how.read(value)
    assert caught.value.place.startswith(place)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((INT, value) for value in (2**63, True, 1.0)),
        *((UINT, value) for value in (-1, 2**64)),
        *((DOUBLE, value) for value in (True, "inf")),
        (BOOL, 1),
        (TEXT, b""),
    ],
)
def test_values_of_other_types_are_refused(kind, value):
    with pytest.raises(WrongValueError):
        codec_of("stat", kind).read(value)


def test_arguments_are_named_or_placed():
    takes = [codec_of("stat", kind) for kind in (TEXT, INT, DOUBLE)]
    names = ("key", "degree", "center")
    assert read_members({"center": 0, "key": "x", "degree": 2}, names, takes) == ["x", 2, 0.0]
    assert read_members(["x", 2, 0], names, takes) == ["x", 2, 0.0]
    assert read_members({}, (), []) == read_members([], (), []) == []
    with pytest.raises(WrongValueError, match="expected nothing, found an object with x"):
        read_members({"x": 1}, (), [])


def test_texts_that_are_no_utf8_are_escaped():
    assert json.loads(encoded({"\udcff": ["a\udc80"]})) == {"\udcff": ["a\udc80"]}
