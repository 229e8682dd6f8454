"""Numerals as float32, rounded once, for the readers of text; those that only Python can round; numbers as labels.

A kernel notes the numerals that it cannot round and reads on; it is run again once Python has decided them. So whatever
comes of a value (a product, an error) is made in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from hogwild.compiled import inlined, strict_inlined, strict_kernel
from hogwild.data.numerals import (
    DECIMAL,
    EXACT,
    INTEGER,
    LARGE,
    NONE,
    POWERS_OF_TEN,
    UNSURE,
    decide,
    digits_value,
    leading_digits,
    load_word,
    number,
    short_numeral,
    word_end,
)

_0, _1, _2, _8, _9, _10, _12, _48 = (np.uint64(i) for i in (0, 1, 2, 8, 9, 10, 12, 48))

TWO_TO_32 = np.uint64(1 << 32)
_MINUS, _BLANK = ord("-"), ord(" ")
# A float64 with these last bits stands exactly between two numbers of float32: rounding it again may go wrong.
_LAST_29 = np.uint64((1 << 29) - 1)
_HALFWAY = np.uint64(1 << 28)


class Doubts(NamedTuple):
    """Numerals of a part that only Python can round."""

    places: np.ndarray  # uint64, (n, 3): start, end, and whether it is rounded to float64
    values: np.ndarray  # float64: the first of them, as decided; infinity where a numeral is beyond the largest number


@inlined
def whole_number(text, p):
    """Read any number of digits: ``(value, at most 2**32; end)``."""
    word = load_word(text, p)
    count = leading_digits(word)
    value = digits_value(word, count)
    p += count
    if count == _8:
        while np.uint64(text[p]) - _48 <= _9:
            value = min(value * _10 + np.uint64(text[p]) - _48, TWO_TO_32)
            p += _1
    return value, p


@inlined
def _is_halfway(value):
    return np.float64(value).view(np.uint64) & _LAST_29 == _HALFWAY


@strict_inlined
def short_value(text, start, stop):
    """Read ``[-] digits [. digits]``, up to 16 of them, that end at `stop`.

    Returns the float64, whether there is such a numeral, and whether only Python can round it to float32.
    """
    negative = text[start] == _MINUS
    mantissa, behind, end, count = short_numeral(text, start + np.uint64(negative))
    whole = np.float64(np.int64(mantissa))
    value = whole / POWERS_OF_TEN[behind]
    # 25 bits times 5**12 are exact: the product tells whether the numeral itself is halfway, or only near it.
    doubtful = _is_halfway(value) and (behind > _12 or value * POWERS_OF_TEN[behind] != whole)
    return -value if negative else value, end == stop and count != _0 and mantissa <= EXACT, doubtful


@inlined
def rounds_twice(value, kind):
    """Whether only Python can round a numeral, which `number` found to be `value`, to float32."""
    inexact = kind != INTEGER and value != 0.0
    return kind == UNSURE or (inexact and (_is_halfway(value) or not 1.2e-38 < abs(value) < 3.4e38))


@strict_kernel
def float32_value(text, p):
    """Read the numeral at `p`: ``(value, end, kind)``.

    The float64 `value` becomes the nearest float32 by a cast. `kind` is DECIMAL, NONE (no numeral) or UNSURE.
    """
    stop = word_end(text, p)
    value, short, doubtful = short_value(text, p, stop)
    if short and text[stop] <= _BLANK:
        return value, stop, UNSURE if doubtful else DECIMAL
    value, end, kind = number(text, p)
    if kind == NONE:
        return value, end, NONE
    return value, end, UNSURE if rounds_twice(value, kind) else DECIMAL


@inlined
def settled(doubts, n, start, end, wide):
    """Value of the part's `n`-th doubtful numeral; 0 for one that is only noted now."""
    if n < np.uint64(len(doubts.values)):
        return doubts.values[n]
    if n < np.uint64(len(doubts.places)):
        doubts.places[n, _0], doubts.places[n, _1], doubts.places[n, _2] = start, end, np.uint64(wide)
    return 0.0


def decided(text: np.ndarray, run: Callable[[Doubts], Any]) -> Any:
    """Return ``run(doubts)``, whose `unsure` counts the doubtful numerals, with all of these decided."""
    doubts = Doubts(np.empty((64, 3), np.uint64), np.empty(0))
    while True:
        found = run(doubts)
        if found.unsure <= len(doubts.values):
            return found
        if found.unsure > len(doubts.places):
            doubts = Doubts(np.empty((found.unsure, 3), np.uint64), np.empty(0))
            continue
        values = [
            float(decide(text[start:end].tobytes().decode(), np.dtype("f8" if wide else "f4")))
            for start, end, wide in doubts.places[: found.unsure].tolist()
        ]
        doubts = doubts._replace(values=np.array(values))


def numeric_labels(text: np.ndarray, places: np.ndarray, labels: np.ndarray, kinds: int) -> np.ndarray:
    """Return labels as int64 if all of them are whole numerals that it holds.

    `places` are start and end of each label's numeral; `kinds` has bit k set for each kind k (see `numerals.number`) of
    label that was found, NONE where there was none.
    """
    if kinds & ~(1 << INTEGER | 1 << LARGE):
        return labels
    if kinds & 1 << LARGE:  # beyond 2**53 a float64 is not exact
        whole = [int(Decimal(text[start:end].tobytes().decode())) for start, end in places.tolist()]
        return np.array(whole, np.int64) if all(-(2**63) <= label < 2**63 for label in whole) else labels
    return labels.astype(np.int64)
