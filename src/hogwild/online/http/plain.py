"""Plain values as JSON has them, and what is said where JSON has something else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from hogwild.online.wire import UINT, Plain

_FOUND = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INTEGERS = {"int": (-(2**63), 2**63 - 1), "uint": (0, 2**64 - 1)}  # what MessagePack carries


class Codec(NamedTuple):
    """How a type looks in JSON.

    Attributes
    ----------
    read : callable
        From JSON to what travels; raises `WrongValueError`.
    write : callable
        From what travels to JSON.
    schema : dict
        Its JSON Schema.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    schema: dict[str, Any]


class WrongValueError(ValueError):
    """JSON is not what a type expects.

    Attributes
    ----------
    place : str
        Where, as a path: ``.examples[2].label``.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.place = ""

    def within(self, step: str | int) -> WrongValueError:
        """Note that it lies in that member or item."""
        named = isinstance(step, str) and step.isidentifier()
        self.place = (f".{step:.60}" if named else f"[{step!r:.60}]") + self.place
        return self


def wrong(expected: str, value: Any) -> WrongValueError:
    """Return the error for a value that is something else."""
    return WrongValueError(expected, _FOUND.get(type(value)) or f"{value!r:.40}")


def same(value: Any) -> Any:
    """Return what came: JSON has it as it is."""
    return value


def read_text(value: Any) -> str:
    """Read a text."""
    if type(value) is not str:
        raise wrong("a string", value)
    return value


def read_double(value: Any) -> float:
    """Read a number, or the text of one that JSON has no number for."""
    if type(value) is float:
        return value
    if type(value) is int and abs(value) < 2**64:
        return float(value)
    if type(value) is str and value in _SPECIAL:
        return _SPECIAL[value]
    raise wrong("a number", value)


def write_double(value: float) -> float | str:
    """Write a number, or the text of one that JSON has no number for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise wrong("true or false", value)
    return value


def plain(kind: Plain) -> Codec:
    """Return how a plain type looks in JSON."""
    if kind.kind is bool:
        return Codec(_read_bool, same, {"type": "boolean"})
    if kind.kind is float:
        return Codec(read_double, write_double, {"$ref": "#/components/schemas/Double"})
    least, most = _INTEGERS[kind.name]

    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise wrong(f"an integer from {least} to {most}", value)
        return value

    return Codec(read, same, {"type": "integer", **({"minimum": 0} if kind is UINT else {})})


TEXT_CODEC = Codec(read_text, same, {"type": "string"})

DOUBLE_SCHEMA: dict[str, Any] = {
    "description": "A number, or a text for what JSON has no number for.",
    "anyOf": [{"type": "number"}, {"type": "string", "enum": list(_SPECIAL)}],
}
