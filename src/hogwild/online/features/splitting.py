"""How texts are split into words: the string types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from hogwild.online.features.settings import Types, pattern, read_types, refuse

Splitter = Callable[[str], list[str]]


class Ngram(msgspec.Struct):
    """All sequences of that many characters."""

    char_num: int

    def made(self, place: str) -> Splitter:
        """Return the function."""
        size = self.char_num
        if size < 1:
            raise refuse(f"{place}.char_num", f"must be at least 1, found {size}")
        return lambda text: [text[start : start + size] for start in range(len(text) - size + 1)]


class Find(msgspec.Struct):
    """All that a regular expression, or one of its groups, finds."""

    pattern: str
    group: int = 0

    def made(self, place: str) -> Splitter:
        """Return the function."""
        expression, group = pattern(self.pattern, f"{place}.pattern"), self.group
        if not 0 <= group <= expression.groups:
            raise refuse(f"{place}.group", f"must be from 0 to {expression.groups}, found {group}")
        return lambda text: [found[group] for found in expression.finditer(text) if found[group]]


class Split(msgspec.Struct):
    """What stands between any of the separating characters."""

    separators: str

    def made(self, place: str) -> Splitter:
        """Return the function."""
        if not self.separators:
            raise refuse(f"{place}.separators", "must not be empty")
        return _between(self.separators)


def _between(separators: str) -> Splitter:
    return re.compile(f"[^{re.escape(separators)}]+").findall


_FURTHER_SPACES = re.compile("[\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]").search
_between_spaces = _between(" \t\f\n\r\v")


def _words(text: str) -> list[str]:
    """Split at ASCII's spaces; Python's own split is twice as fast, but knows more of them."""
    return _between_spaces(text) if _FURTHER_SPACES(text) else text.split()


STRING_TYPES = {"ngram": Ngram, "regexp": Find, "split": Split}


def make_splitters(types: Types | None, place: str) -> dict[str, Splitter]:
    """Return all string types by name: those that are always there, and the configuration's.

    Raises
    ------
    ConfigurationError
        One cannot be.
    """
    splitters: dict[str, Splitter] = {"str": lambda text: [text], "space": _words}
    kinds: dict[str, Any] = STRING_TYPES
    return splitters | {name: one.made(f"{place}.{name}") for name, one in read_types(types, kinds, place).items()}
