"""Filters: further values under further keys, before features are made."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from hogwild.online.datum import Column
from hogwild.online.features.matching import matcher
from hogwild.online.features.settings import FilterRule, chosen, pattern, refuse


class Replace(msgspec.Struct):
    r"""Replace what a regular expression finds; ``\0`` to ``\9`` stand for its groups, ``\\`` for a backslash."""

    pattern: str
    replace: str

    def made(self, place: str) -> Callable[[str], str]:
        """Return the filter."""
        expression = pattern(self.pattern, f"{place}.pattern")
        if re.search(r"\\(?![\d\\])", re.sub(r"\\\\", "", self.replace)):
            raise refuse(f"{place}.replace", rf"has a backslash before no digit and no backslash: {self.replace!r}")
        template = re.sub(r"\\(\d|\\)", lambda it: rf"\g<{it[1]}>" if it[1] != "\\" else r"\\", self.replace)
        try:
            expression.sub(template, "")
        except re.error as error:
            raise refuse(f"{place}.replace", f"does not fit the pattern {self.pattern!r}: {error}") from None
        return lambda text: expression.sub(template, text)


class Add(msgspec.Struct):
    """Add a number."""

    value: float

    def made(self, place: str) -> Callable[[float], float]:
        """Return the filter."""
        return lambda value: value + self.value


class Linear(msgspec.Struct):
    """Map an interval to that from 0 to 1."""

    min: float
    max: float
    truncate: bool = True

    def made(self, place: str) -> Callable[[float], float]:
        """Return the filter."""
        width = self.max - self.min
        if not width > 0:
            raise refuse(f"{place}.max", f"must be greater than min = {self.min:g}, found {self.max:g}")
        if self.truncate:
            return lambda value: min(1.0, max(0.0, (value - self.min) / width))
        return lambda value: (value - self.min) / width


class Gaussian(msgspec.Struct):
    """Map an average to 0 and a standard deviation to 1."""

    average: float
    standard_deviation: float

    def made(self, place: str) -> Callable[[float], float]:
        """Return the filter."""
        if not self.standard_deviation > 0:
            raise refuse(f"{place}.standard_deviation", f"must be greater than 0, found {self.standard_deviation:g}")
        return lambda value: (value - self.average) / self.standard_deviation


class Sigmoid(msgspec.Struct):
    """Map all numbers to the interval from 0 to 1."""

    gain: float = 1.0
    bias: float = 0.0

    def made(self, place: str) -> Callable[[float], float]:
        """Return the filter."""
        return lambda value: _logistic(self.gain * (value - self.bias))


def _logistic(x: float) -> float:
    small = math.exp(-abs(x))  # never overflows
    return 1 / (1 + small) if x >= 0 else small / (1 + small)


TEXT_FILTERS = {"regexp": Replace}
NUMBER_FILTERS = {
    "add": Add,
    "linear_normalization": Linear,
    "gaussian_normalization": Gaussian,
    "sigmoid_normalization": Sigmoid,
}


class Filter(NamedTuple):
    """A rule."""

    matches: Callable[[str], bool]
    change: Callable[[Any], Any]
    suffix: str


def make_filters(rules: list[FilterRule] | None, types: Mapping[str, Any], place: str) -> list[Filter]:
    """Return the rules, ready to be used.

    Raises
    ------
    ConfigurationError
        A rule or its type cannot be.
    """
    made = {name: one.made(f"{place}_types.{name}") for name, one in types.items()}
    filters = []
    for number, rule in enumerate(rules or ()):
        where = f"{place}_rules[{number}]"
        matches = matcher(rule.key, where, rule.except_)
        filters.append(Filter(matches, chosen(made, rule.type, f"{where}.type"), rule.suffix))
    return filters


def filtered(filters: list[Filter], column: Column) -> Column:
    """Return what the filters make of a column's values, in their order: each sees what those before it made."""
    keys: list[str] = []
    values: list[Any] = []
    for matches, change, suffix in filters:
        for key, value in [*zip(*column, strict=True), *zip(keys, values, strict=True)]:
            if matches(key):
                keys.append(key + suffix)
                values.append(change(value))
    return Column(tuple(keys), tuple(values))
