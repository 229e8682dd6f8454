"""The types of what calls carry: they check what came, strictly, and say how it is to be read.

Values are what MessagePack gives: `str` for texts (bytes that are no UTF-8 as lone surrogates), `bytes` where a client
marks them so, `tuple` or `list`, `int`, `float`, `bool`, `None`. A double must be a float on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hogwild.online.datum import Column, Datum


class WrongTypeError(TypeError):
    """An argument is not of its type."""


class Type(Protocol):
    """A type of what travels."""

    @property
    def name(self) -> str:
        """The type's name, for messages and descriptions."""
        ...

    def read(self, value: Any) -> Any:
        """Return what came as Python has it.

        Raises
        ------
        WrongTypeError
            It is something else.
        """
        ...


def _wrong(expected: str, value: Any) -> WrongTypeError:
    return WrongTypeError(f"expected {expected}, found {type(value).__name__}")


@dataclass(frozen=True)
class Plain:
    """A value of one Python type.

    Parameters
    ----------
    name : str
    kind : type
    least : int, optional
        Of integers.
    """

    name: str
    kind: type
    least: int | None = None

    def read(self, value: Any) -> Any:
        """See `Type`."""
        if type(value) is not self.kind or (self.least is not None and value < self.least):
            raise _wrong(self.name, value)
        return value


class _Text:
    name = "string"

    def read(self, value: Any) -> str:
        if type(value) is bytes:
            return value.decode("utf-8", "surrogateescape")
        if type(value) is not str:
            raise _wrong(self.name, value)
        return value


class _Datum:
    name = "datum"

    def read(self, value: Any) -> Datum:
        if not isinstance(value, (list, tuple)) or len(value) not in (2, 3):  # the oldest clients send no binaries
            raise _wrong("a datum: lists of pairs for strings, numbers and binaries", value)
        return Datum(*map(_column, value, _COLUMNS))


def _column(pairs: Any, kind: tuple[type, str]) -> Column:
    """Read pairs by whole columns: 64 numbers one by one take 1.7 times as long."""
    if not isinstance(pairs, (list, tuple)):
        raise _wrong(f"pairs of a key and {kind[1]}", pairs)
    if not pairs:
        return Column()
    try:
        keys, values = zip(*pairs, strict=True)
    except (TypeError, ValueError):
        raise WrongTypeError(f"expected pairs of a key and {kind[1]}, found something else") from None
    if set(map(type, keys)) != {str}:
        keys = tuple(map(TEXT.read, keys))
    if set(map(type, values)) != {kind[0]}:
        values = tuple(_as(value, *kind) for value in values)
    return Column(keys, values)


def _as(value: Any, kind: type, name: str) -> Any:
    if kind is bytes and type(value) is str:  # old MessagePack has no bytes of their own
        return value.encode("utf-8", "surrogateescape")
    if kind is str:
        return TEXT.read(value)
    if type(value) is not kind:
        raise _wrong(name, value)
    return value


_COLUMNS = ((str, "a string"), (float, "a double"), (bytes, "bytes"))

BOOL = Plain("bool", bool)
INT = Plain("int", int)
UINT = Plain("uint", int, least=0)
DOUBLE = Plain("double", float)
FLOAT = Plain("float", float)
TEXT = _Text()
DATUM = _Datum()


@dataclass(frozen=True)
class Listed:
    """A list of one type."""

    item: Type

    @property
    def name(self) -> str:
        """See `Type`."""
        return f"list<{self.item.name}>"

    def read(self, value: Any) -> list[Any]:
        """See `Type`."""
        if not isinstance(value, (list, tuple)):
            raise _wrong(self.name, value)
        return list(map(self.item.read, value))


@dataclass(frozen=True)
class Struct:
    """Values of several types in their order."""

    items: tuple[Type, ...]

    @property
    def name(self) -> str:
        """See `Type`."""
        return f"[{', '.join(item.name for item in self.items)}]"

    def read(self, value: Any) -> tuple[Any, ...]:
        """See `Type`."""
        if not isinstance(value, (list, tuple)) or len(value) != len(self.items):
            raise _wrong(self.name, value)
        return tuple([item.read(one) for item, one in zip(self.items, value, strict=True)])


@dataclass(frozen=True)
class Mapped:
    """A map from texts to one type."""

    item: Type

    @property
    def name(self) -> str:
        """See `Type`."""
        return f"map<string, {self.item.name}>"

    def read(self, value: Any) -> dict[str, Any]:
        """See `Type`."""
        if not isinstance(value, dict):
            raise _wrong(self.name, value)
        return {TEXT.read(key): self.item.read(one) for key, one in value.items()}


def read_all(types: Sequence[Type], values: Sequence[Any]) -> list[Any]:
    """Read a call's arguments.

    Raises
    ------
    WrongTypeError
        There are too few or too many, or one is of another type; the message names its place, counted from 1.
    """
    if len(values) != len(types):
        raise WrongTypeError(f"expected {len(types)} arguments, found {len(values)}")
    read = []
    for place, (one, value) in enumerate(zip(types, values, strict=True), 1):
        try:
            read.append(one.read(value))
        except WrongTypeError as error:
            raise WrongTypeError(f"argument {place}: {error}") from None
    return read
