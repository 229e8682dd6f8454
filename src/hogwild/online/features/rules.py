"""A configuration's rules, ready to be used."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, NamedTuple

from hogwild.online.configuration import read
from hogwild.online.features.counts import COUNTED
from hogwild.online.features.filters import NUMBER_FILTERS, TEXT_FILTERS, Filter, make_filters
from hogwild.online.features.matching import matcher
from hogwild.online.features.settings import ConverterSettings, chosen, read_types, refuse
from hogwild.online.features.splitting import Splitter, make_splitters

SAMPLE_WEIGHTS = ("bin", "tf", "log_tf")
GLOBAL_WEIGHTS = ("bin", *COUNTED, "weight")
COMBINATIONS: dict[str, Callable[[float, float], float]] = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b}


class TextRule(NamedTuple):
    """What texts become."""

    matches: Callable[[str], bool]
    split: Splitter
    sample: str
    globally: str
    ending: str  # of its features' names

    def weighted(self, text: str) -> Iterable[tuple[str, float]]:
        """Return words with their sample weights, each once."""
        words = self.split(text)
        if self.sample == "bin":
            return zip(dict.fromkeys(words), repeat(1.0))
        counts = Counter(words).items()
        return counts if self.sample == "tf" else ((word, math.log1p(count)) for word, count in counts)


class NumberRule(NamedTuple):
    """What numbers become."""

    matches: Callable[[str], bool]
    kind: str

    def feature(self, key: str, value: float) -> tuple[str, float]:
        """Return the name and the value of a number's feature."""
        if self.kind == "str":
            return f"{key}@str${value:g}", 1.0
        return f"{key}@{self.kind}", value if self.kind == "num" else math.log(max(1.0, value))


class Combination(NamedTuple):
    """What pairs of features become; which of them comes first is told by their order only."""

    left: Callable[[str], bool]
    right: Callable[[str], bool]
    join: Callable[[float, float], float]
    ending: str


class Rules(NamedTuple):
    """All rules of a configuration, in their orders.

    Attributes
    ----------
    text_filters, number_filters : list of Filter
    texts : list of TextRule
    numbers : list of NumberRule
    combinations : list of Combination
    size : int or None
        Of the numbers that names are hashed to.
    """

    text_filters: list[Filter]
    number_filters: list[Filter]
    texts: list[TextRule]
    numbers: list[NumberRule]
    combinations: list[Combination]
    size: int | None


def make_rules(values: Mapping[str, Any] | None) -> Rules:
    """Return the rules of what a configuration has under "converter".

    Raises
    ------
    ConfigurationError
        They cannot be.
    """
    settings = read(ConverterSettings, {} if values is None else values, "$.converter")
    _refuse_plugins(settings)
    return Rules(
        *_filters(settings), _texts(settings), _numbers(settings), _combinations(settings), _hash_size(settings)
    )


def _filters(settings: ConverterSettings) -> tuple[list[Filter], list[Filter]]:
    texts = read_types(settings.string_filter_types, TEXT_FILTERS, "$.converter.string_filter_types")
    numbers = read_types(settings.num_filter_types, NUMBER_FILTERS, "$.converter.num_filter_types")
    return (
        make_filters(settings.string_filter_rules, texts, "$.converter.string_filter"),
        make_filters(settings.num_filter_rules, numbers, "$.converter.num_filter"),
    )


def _texts(settings: ConverterSettings) -> list[TextRule]:
    splitters = make_splitters(settings.string_types, "$.converter.string_types")
    rules = []
    for number, rule in enumerate(settings.string_rules or ()):
        place = f"$.converter.string_rules[{number}]"
        split = chosen(splitters, rule.type, f"{place}.type")
        sample = chosen(SAMPLE_WEIGHTS, rule.sample_weight, f"{place}.sample_weight")
        globally = chosen(GLOBAL_WEIGHTS, rule.global_weight, f"{place}.global_weight")
        ending = f"@{rule.type}#{sample}/{globally}"
        rules.append(TextRule(matcher(rule.key, place, rule.except_), split, sample, globally, ending))
    return rules


def _numbers(settings: ConverterSettings) -> list[NumberRule]:
    read_types(settings.num_types, {}, "$.converter.num_types")
    rules = []
    for number, rule in enumerate(settings.num_rules or ()):
        place = f"$.converter.num_rules[{number}]"
        kind = chosen(("num", "log", "str"), rule.type, f"{place}.type")
        rules.append(NumberRule(matcher(rule.key, place, rule.except_), kind))
    return rules


def _combinations(settings: ConverterSettings) -> list[Combination]:
    place = "$.converter.combination_types"
    joins = dict(COMBINATIONS)
    for name, values in (settings.combination_types or {}).items():
        joins[name] = chosen(COMBINATIONS, values.get("method"), f"{place}.{name}.method")
    combinations = []
    for number, rule in enumerate(settings.combination_rules or ()):
        place = f"$.converter.combination_rules[{number}]"
        left, right = matcher(rule.key_left, place), matcher(rule.key_right, place)
        join = chosen(joins, rule.type, f"{place}.type")
        combinations.append(Combination(left, right, join, f"/{rule.type}"))
    return combinations


def _hash_size(settings: ConverterSettings) -> int | None:
    size = settings.hash_max_size
    if size is not None and size < 1:
        raise refuse("$.converter.hash_max_size", f"must be at least 1, found {size}")
    return size


def _refuse_plugins(settings: ConverterSettings) -> None:
    """Bytes have features from plugins only, which are compiled code."""
    read_types(settings.binary_types, {}, "$.converter.binary_types")
    if settings.binary_rules:
        raise refuse("$.converter.binary_rules", "must be empty: features of bytes are not supported")
