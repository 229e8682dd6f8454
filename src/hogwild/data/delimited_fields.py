"""Fields of delimited text in compiled code: where they end, and what their bytes are as category, number or label."""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined, strict_kernel, trailing_zeros
from hogwild.data.columns import MISSING_WORDS
from hogwild.data.hashing_kernel import with_byte
from hogwild.data.numerals import INTEGER, LARGE, NONE, UNSURE, load_word, number
from hogwild.data.values_kernel import rounds_twice, short_value

# What kinds of labels were found; several may be set.
FRACTIONS, WORDS, UNSURE_LABELS = 1, 2, 4
# What a field of a number holds.
READ, ABSENT, DOUBTFUL, BAD = range(4)

_0, _1, _2, _3, _8, _10, _48 = (np.uint64(i) for i in (0, 1, 2, 3, 8, 10, 48))
_ONES = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_LFS = np.uint64(0x0A0A0A0A0A0A0A0A)
_TAB, _LF, _BLANK, _MINUS = (ord(c) for c in "\t\n -")
_MISSING = np.array([int.from_bytes(word.encode(), "little") for word in MISSING_WORDS], np.uint64)
_LONGEST_MISSING = np.uint64(max(map(len, MISSING_WORDS)))


# ------------------------------------------------------------------------------------------------ fields


@strict_kernel
def with_doubled(h, rest, length, text, start, stop):
    """Like `with_text`, for text in which each quote is doubled."""
    p = start
    while p < stop:
        h, rest, length = with_byte(h, rest, length, text[p])
        p += _2 if text[p] == text[start - _1] else _1
    return h, rest, length


@inlined
def field_end(text, p, separators):
    """Place of the first separator or line feed from `p` on, eight bytes at a time."""
    while True:
        word = load_word(text, p)
        other, line = word ^ separators, word ^ _LFS
        marks = (((other - _ONES) & ~other) | ((line - _ONES) & ~line)) & _TOPS
        if marks != _0:
            return p + (np.uint64(trailing_zeros(marks)) >> _3)
        p += _8


@strict_kernel
def quoted_end(text, p):
    """Place of the quote that closes the field begun by the one at `p`, and whether quotes are doubled between.

    The place of the line feed, if that comes first.
    """
    quote, doubled = text[p], False
    p += _1
    while text[p] != _LF:
        if text[p] == quote:
            if text[p + _1] != quote:
                break
            doubled = True
            p += _1
        p += _1
    return p, doubled


@inlined
def trimmed(text, start, stop):
    """Bounds of the text without the blanks around it."""
    while start < stop and (text[start] == _BLANK or text[start] == _TAB):
        start += _1
    while stop > start and (text[stop - _1] == _BLANK or text[stop - _1] == _TAB):
        stop -= _1
    return start, stop


@inlined
def _is_missing(text, start, stop):
    if stop - start > _LONGEST_MISSING:
        return False
    word = load_word(text, start) & ((_1 << ((stop - start) * _8)) - _1)
    found = word == _0
    for i in range(np.uint64(len(_MISSING))):
        found |= word == _MISSING[i]
    return found


@strict_kernel
def _any_numeral(text, start, stop, narrow):
    """Like `numeral`, for what is not short."""
    start, stop = trimmed(text, start, stop)
    if _is_missing(text, start, stop):
        return 0.0, ABSENT
    value, end, kind = number(text, start)
    if kind == NONE or end != stop:
        return 0.0, BAD
    doubtful = rounds_twice(value, kind) if narrow else kind == UNSURE
    return value, DOUBTFUL if doubtful else READ


@strict_kernel
def numeral(text, start, stop, narrow):
    """Read the number ``text[start:stop]``: ``(value, state)``; `narrow` if float32 is to come of it."""
    value, short, doubtful = short_value(text, start, stop)
    if short:
        return value, DOUBTFUL if narrow and doubtful else READ
    if start == stop:
        return 0.0, ABSENT
    return _any_numeral(text, start, stop, narrow)


@strict_kernel
def label(text, start, stop):
    """Read a label without blanks around it: ``(value, kinds)``."""
    value, end, kind = number(text, start)
    if kind != NONE and end == stop:
        return value, UNSURE_LABELS if kind in (UNSURE, LARGE) else FRACTIONS if kind != INTEGER else 0
    return np.nan, FRACTIONS if _is_missing(text, start, stop) else WORDS


@strict_kernel
def write_bin(value, digits):
    """Write the bin of a number, ``floor(log2(1 + |value|))`` with its sign, as text; returns its length."""
    size = (np.float64(1.0 + abs(value)).view(np.uint64) >> np.uint64(52)) - np.uint64(1023)
    p = _0
    if value < 0.0 and size != _0:
        digits[p] = _MINUS
        p += _1
    power = _1
    while power * _10 <= size:
        power *= _10
    while power != _0:
        digits[p] = np.uint8(_48 + size // power % _10)
        power //= _10
        p += _1
    return p
