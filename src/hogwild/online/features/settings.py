"""The converter's part of a configuration, checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from hogwild.online.configuration import ConfigurationError, read

T = TypeVar("T")


class NumberRule(msgspec.Struct, kw_only=True):
    """Which features the numbers of some keys become."""

    key: str
    except_: str | None = msgspec.field(name="except", default=None)
    type: str


class FilterRule(NumberRule, kw_only=True):
    """Which filter the values of some keys pass, under a key with a suffix."""

    suffix: str


class TextRule(NumberRule, kw_only=True):
    """Which features the texts of some keys become, and how they are weighted."""

    sample_weight: str = "bin"
    global_weight: str = "bin"


class CombinationRule(msgspec.Struct):
    """Which pairs of features are joined to further ones."""

    key_left: str
    key_right: str
    type: str


Types = dict[str, dict[str, Any]]


class ConverterSettings(msgspec.Struct):
    """The keys of `$.converter`; what is absent or null is empty."""

    string_filter_types: Types | None = None
    string_filter_rules: list[FilterRule] | None = None
    num_filter_types: Types | None = None
    num_filter_rules: list[FilterRule] | None = None
    string_types: Types | None = None
    string_rules: list[TextRule] | None = None
    num_types: Types | None = None
    num_rules: list[NumberRule] | None = None
    binary_types: Types | None = None
    binary_rules: list[NumberRule] | None = None
    combination_types: Types | None = None
    combination_rules: list[CombinationRule] | None = None
    hash_max_size: int | None = None


def refuse(place: str, problem: str) -> ConfigurationError:
    """Return the error of a place in the configuration."""
    return ConfigurationError(f"configuration: `{place}` {problem}")


def chosen(known: Mapping[str, T] | Collection[str], name: Any, place: str) -> Any:
    """Return what a name means, or the name itself where names are only listed.

    Raises
    ------
    ConfigurationError
        The name is not known; the message lists those that are.
    """
    if name not in known:
        raise refuse(place, f"must be one of {', '.join(known) or 'nothing (none is supported)'}, found {name!r}")
    return known[name] if isinstance(known, Mapping) else name


def read_types(types: Types | None, kinds: Mapping[str, type[T]], place: str) -> dict[str, T]:
    """Return the parameters of named types, each as its method has it.

    Raises
    ------
    ConfigurationError
        A method is not known, or its parameters cannot be.
    """
    read_ = {}
    for name, values in (types or {}).items():
        kind = chosen(kinds, values.get("method"), f"{place}.{name}.method")
        read_[name] = read(kind, values, f"{place}.{name}")
    return read_


def pattern(text: str, place: str) -> re.Pattern[str]:
    """Return a compiled regular expression.

    Raises
    ------
    ConfigurationError
        It is none that Python's `re` knows.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise refuse(place, f"must be a regular expression, found {text!r}: {error}") from None
