"""Values as JSON has them: how each type of what travels is read, written and described.

- An integer is a double as well. A double that JSON has no number for is one of the texts ``"NaN"``, ``"Infinity"``
  and ``"-Infinity"``, both ways.
- Bytes are ``{"base64": "..."}``.
- An example is an object of texts, numbers and bytes, ``{"title": "a day", "length": 5}``; or its three lists of pairs,
  ``[[["title", "a day"]], [["length", 5.0]], []]``, where a key may come more than once. Answers have the lists.
- A struct is an object with named members, or the list of them; answers have the object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hogwild.online.http.examples import DATUM_CODEC
from hogwild.online.http.plain import TEXT_CODEC, Codec, WrongValueError, plain, wrong
from hogwild.online.wire import DATUM, TEXT, Listed, Mapped, Plain, Struct, Type


def codec(kind: Type, members: Mapping[Struct, tuple[str, ...]]) -> Codec:
    """Return how a type looks in JSON, given what the members of structs are called."""
    if kind is TEXT:
        return TEXT_CODEC
    if kind is DATUM:
        return DATUM_CODEC
    if isinstance(kind, Plain):
        return plain(kind)
    if isinstance(kind, Listed):
        return _listed(codec(kind.item, members))
    if isinstance(kind, Mapped):
        return _mapped(codec(kind.item, members))
    if isinstance(kind, Struct):
        return _struct(members[kind], [codec(item, members) for item in kind.items])
    raise TypeError(f"{kind.name} has no form in JSON")


def _listed(item: Codec) -> Codec:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise wrong("an array", value)
        items: list[Any] = []
        try:
            for one in value:
                items.append(item.read(one))
        except WrongValueError as error:
            raise error.within(len(items)) from None  # as many have been read
        return items

    def write(value: Any) -> list[Any]:
        return list(map(item.write, value))

    return Codec(read, write, {"type": "array", "items": item.schema})


def _mapped(item: Codec) -> Codec:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise wrong("an object", value)
        return {key: _read_member(item, key, one) for key, one in value.items()}

    def write(value: Any) -> dict[str, Any]:
        return {key: item.write(one) for key, one in value.items()}

    return Codec(read, write, {"type": "object", "additionalProperties": item.schema})


def _struct(names: tuple[str, ...], items: Sequence[Codec]) -> Codec:
    def write(value: Any) -> dict[str, Any]:
        return {name: item.write(one) for name, item, one in zip(names, items, value, strict=True)}

    return Codec(lambda value: read_members(value, names, items), write, object_schema(names, items))


def read_members(value: Any, names: tuple[str, ...], items: Sequence[Codec]) -> list[Any]:
    """Read values in their order from an object with exactly these names, or from the list of them.

    Raises
    ------
    WrongValueError
        It is neither, or one is missing, unknown or of another type.
    """
    if type(value) is dict and value.keys() == set(names):
        return [_read_member(item, name, value[name]) for name, item in zip(names, items, strict=True)]
    if type(value) is list and len(value) == len(names):
        return [_read_member(item, place, one) for place, (item, one) in enumerate(zip(items, value, strict=True))]
    expected = f"{', '.join(names)} in an object or array" if names else "nothing"
    if type(value) is dict:
        raise WrongValueError(expected, f"an object with {', '.join(value)[:80] or 'no members'}")
    if type(value) is list:
        raise WrongValueError(expected, f"{len(value)} values")
    raise wrong(expected, value)


def _read_member(item: Codec, step: str | int, value: Any) -> Any:
    try:
        return item.read(value)
    except WrongValueError as error:
        raise error.within(step) from None


def array_schema(items: Sequence[Codec]) -> dict[str, Any]:
    """Return the schema of an array of exactly these values."""
    values: dict[str, Any] = {"prefixItems": [item.schema for item in items]} if items else {}
    return {"type": "array", "minItems": len(items), "maxItems": len(items), **values}


def object_schema(names: tuple[str, ...], items: Sequence[Codec]) -> dict[str, Any]:
    """Return the schema of an object with exactly these members."""
    return {
        "type": "object",
        "properties": {name: item.schema for name, item in zip(names, items, strict=True)},
        "required": list(names),
        "additionalProperties": False,
    }
