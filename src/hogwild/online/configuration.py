"""A server's configuration: the JSON that Jubatus' users have, checked, with errors that name the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class ConfigurationError(ValueError):
    """A configuration cannot be used; the message names the place, what was found and what was expected."""


def parsed(text: str | bytes, source: str = "configuration") -> dict[str, Any]:
    """Return the object that a JSON text holds.

    Raises
    ------
    ConfigurationError
        It is no JSON, or no object.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:  # texts may hold lone surrogates
        raise ConfigurationError(f"{source}: expected a JSON object: {error}") from None


def read(kind: type[T], values: Any, place: str = "$") -> T:
    """Return `values` as a `msgspec.Struct` of that kind (numbers may be texts, as Jubatus has it in its converter).

    Parameters
    ----------
    kind : type
    values : Any
        What JSON gave.
    place : str
        Where in the configuration they stand, "$.parameter" for example.

    Raises
    ------
    ConfigurationError
        A key is missing or its value cannot be that.
    """
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        text = str(error) if "`$" in str(error) else f"{error} - at `$`"  # msgspec leaves the outermost place out
        raise ConfigurationError(f"configuration: {text.replace('`$', f'`{place}')}") from None


def method_of(configuration: Mapping[str, Any], known: Mapping[str, T], kind: str) -> T:
    """Return what a configuration's "method" chooses.

    Raises
    ------
    ConfigurationError
        There is none, or it is not known.
    """
    name = configuration.get("method")
    if name not in known:
        raise ConfigurationError(
            f"configuration: `$.method` of a {kind} must be one of {', '.join(known)}, found {name!r}"
        )
    return known[name]
