"""Examples as JSON has them: objects of texts, numbers and bytes, or lists of pairs by kind."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from hogwild.online.http.plain import DOUBLE_SCHEMA, Codec, WrongValueError, read_double, read_text, write_double, wrong

_BYTES = 'bytes as {"base64": "..."}'

Wire = tuple[list[tuple[str, Any]], list[tuple[str, float]], list[tuple[str, bytes]]]


def _read_bytes(value: Any) -> bytes:
    if type(value) is not dict or value.keys() != {"base64"}:
        raise wrong(_BYTES, value)
    text = value["base64"]
    if type(text) is str and text.isascii():
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            pass
    raise wrong("base64", text).within("base64")


def _write_bytes(value: bytes | str) -> dict[str, str]:
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return {"base64": base64.b64encode(raw).decode()}


_READERS = (read_text, read_double, _read_bytes)


def read_datum(value: Any) -> Wire:
    """Read an example in either form."""
    if type(value) is dict:
        return _read_object(value)
    if type(value) is not list or len(value) not in (2, 3):
        raise wrong("an example: an object, or lists of pairs for strings, numbers and bytes", value)
    columns: Wire = ([], [], [])
    for place, (pairs, read, column) in enumerate(zip(value, _READERS, columns, strict=False)):
        try:
            _read_pairs(pairs, read, column)
        except WrongValueError as error:
            raise error.within(place) from None
    return columns


def _read_object(values: dict[str, Any]) -> Wire:
    kinds = set(map(type, values.values()))
    if kinds == {float}:  # the usual ones, as a whole: half the time
        return [], list(values.items()), []
    if kinds == {str}:
        return list(values.items()), [], []
    strings, numbers, binaries = columns = ([], [], [])
    for key, value in values.items():
        kind = type(value)
        if kind is str:
            strings.append((key, value))
        elif kind is float:
            numbers.append((key, value))
        else:
            try:
                if kind is int:
                    numbers.append((key, read_double(value)))
                elif kind is dict:
                    binaries.append((key, _read_bytes(value)))
                else:
                    raise wrong(f"a string, a number or {_BYTES}", value)
            except WrongValueError as error:
                raise error.within(key) from None
    return columns


def _read_pairs(pairs: Any, read: Any, column: list[tuple[str, Any]]) -> None:
    if type(pairs) is not list:
        raise wrong("an array of pairs", pairs)
    for place, pair in enumerate(pairs):
        try:
            if type(pair) is not list or len(pair) != 2:
                raise wrong("a pair of a key and a value", pair)
            column.append((read_text(pair[0]), read(pair[1])))
        except WrongValueError as error:
            raise error.within(place) from None


def write_datum(value: Any) -> list[list[Any]]:
    """Write an example as lists of pairs, which lose nothing."""
    strings, numbers, binaries = value
    return [
        [[key, one] for key, one in strings],
        [[key, write_double(one)] for key, one in numbers],
        [[key, _write_bytes(one)] for key, one in binaries],
    ]


def _pairs_of(schema: dict[str, Any]) -> dict[str, Any]:
    pair = {"type": "array", "prefixItems": [{"type": "string"}, schema], "minItems": 2, "maxItems": 2}
    return {"type": "array", "items": pair}


_BYTES_SCHEMA = {
    "type": "object",
    "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["base64"],
    "additionalProperties": False,
}
_NUMBER = {"$ref": "#/components/schemas/Double"}

DATUM_CODEC = Codec(read_datum, write_datum, {"$ref": "#/components/schemas/Datum"})

SCHEMAS: dict[str, Any] = {
    "Double": DOUBLE_SCHEMA,
    "Datum": {
        "description": (
            "An example: an object of texts, numbers and bytes, or three arrays of pairs (texts, numbers, bytes), "
            "where a key may come more than once. Answers have the arrays."
        ),
        "anyOf": [
            {
                "type": "object",
                "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "number"}, _BYTES_SCHEMA]},
                "examples": [{"title": "a day", "length": 5.0}],
            },
            {
                "type": "array",
                "prefixItems": [_pairs_of({"type": "string"}), _pairs_of(_NUMBER), _pairs_of(_BYTES_SCHEMA)],
                "minItems": 2,
                "maxItems": 3,
            },
        ],
    },
}
