"""The way back: from features to what they came from, as far as their names tell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hogwild.online.datum import Column, Datum

_NUMBER = re.compile(r"([^$]*)@num", re.DOTALL)
_TEXT = re.compile(r"([^$]*)\$(.*)@str#(?:bin|tf|log_tf)/(?:bin|idf1?|bm25|weight)", re.DOTALL)


def decoded(named: Iterable[tuple[str, float]]) -> Datum:
    """Return the texts of features ``key$text@str#...`` and the numbers of features ``key@num``; others are left out.

    Examples
    --------
    >>> from hogwild.online.features.decoding import decoded
    >>> decoded([("age@num", 7.0), ("name$Ann@str#bin/bin", 1.0), ("t$a@space#tf/bin", 2.0)]).wire()
    ([('name', 'Ann')], [('age', 7.0)], [])
    """
    texts: dict[tuple[str, str], None] = {}  # one text may have features by several weights
    numbers: list[tuple[str, float]] = []
    for name, value in named:
        if found := _NUMBER.fullmatch(name):
            numbers.append((found[1], float(value)))
        elif found := _TEXT.fullmatch(name):
            texts[found[1], found[2]] = None
    return Datum(*(Column(*zip(*pairs, strict=True)) if pairs else Column() for pairs in (texts, numbers)))
