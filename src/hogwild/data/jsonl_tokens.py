"""Tokens of JSON in compiled code: where strings, numbers and whatever is ignored end.

Only what is certainly right is taken: place 0 stands for text that is left to Python, which says what is wrong with it.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined, strict_inlined, strict_kernel, trailing_zeros
from hogwild.data.numerals import EXACT, NONE, POWERS_OF_TEN, UNSURE, load_word, number, short_numeral

TRUE, FALSE, NULL = (np.uint64(int.from_bytes(word, "little")) for word in (b"true", b"alse", b"null"))

_0, _1, _2, _3, _4, _5, _8, _9, _48 = (np.uint64(i) for i in (0, 1, 2, 3, 4, 5, 8, 9, 48))
_EACH_1 = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_BLANKS, _QUOTES, _BACKSLASHES = (np.uint64(ord(c)) * _EACH_1 for c in ' "\\')
_TAB, _CR, _BLANK, _QUOTE, _MINUS, _PLUS, _DOT, _ZERO, _COMMA, _COLON = (ord(c) for c in '\t\r "-+.0,:')
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = (ord(c) for c in "[]{}")
_LONGEST = np.uint64(4000)  # Python reads integers of up to 4300 digits
_DEEPEST = 60  # a bit each


@inlined
def after_blanks(text, p):
    """Place of the first byte from `p` on that is no blank within a line."""
    while text[p] <= _BLANK and (text[p] == _BLANK or text[p] == _TAB or text[p] == _CR):
        p += _1
    return p


@inlined
def is_digit(byte):
    """Whether a byte is a digit."""
    return np.uint64(byte) - _48 <= _9


# ------------------------------------------------------------------------------------------------ strings


@strict_kernel
def _is_utf8(text, start, stop):
    """Whether ``text[start:stop]`` is UTF-8 as Python takes it: the shortest form, no surrogates."""
    p = start
    while p < stop:
        byte = text[p]
        p += _1
        if byte < 0x80:
            continue
        more, least, most = _1, 0x80, 0xBF  # bytes that follow, and bounds of the first of them
        if byte < 0xC2 or byte > 0xF4:
            return False
        if byte >= 0xF0:
            more = _3
            least, most = 0x90 if byte == 0xF0 else least, 0x8F if byte == 0xF4 else most
        elif byte >= 0xE0:
            more = _2
            least, most = 0xA0 if byte == 0xE0 else least, 0x9F if byte == 0xED else most
        if stop - p < more or text[p] < least or text[p] > most:
            return False
        for i in range(_1, more):
            if text[p + i] & 0xC0 != 0x80:
                return False
        p += more
    return True


@inlined
def string_end(text, start):
    """Place of the quote that closes the string whose text begins at `start`; 0 if escapes or errors come before."""
    p, beyond_ascii = start, _0
    while True:
        word = load_word(text, p)
        quote, backslash = word ^ _QUOTES, word ^ _BACKSLASHES
        control = (word - _BLANKS) & ~word
        marks = (((quote - _EACH_1) & ~quote) | ((backslash - _EACH_1) & ~backslash) | control) & _TOPS
        if marks != _0:
            break
        beyond_ascii |= word
        p += _8
    beyond_ascii |= word & ((marks & (~marks + _1)) - _1)  # bytes before the first mark
    p += np.uint64(trailing_zeros(marks)) >> _3
    if text[p] != _QUOTE:
        return _0
    if beyond_ascii & _TOPS != _0 and not _is_utf8(text, start, p):
        return _0
    return p


# ------------------------------------------------------------------------------------------------ numbers


@strict_kernel
def _number_end(text, p):
    """Place behind the number at `p`, 0 if there is none, and whether it is whole."""
    p += np.uint64(text[p] == _MINUS)
    first = p
    while is_digit(text[p]):
        p += _1
    if p == first or (text[first] == _ZERO and p != first + _1):
        return _0, False
    whole = True
    if text[p] == _DOT:
        whole = False
        p += _1
        if not is_digit(text[p]):
            return _0, False
        while is_digit(text[p]):
            p += _1
    if text[p] == ord("e") or text[p] == ord("E"):
        whole = False
        p += _1
        p += np.uint64(text[p] == _MINUS or text[p] == _PLUS)
        if not is_digit(text[p]):
            return _0, False
        while is_digit(text[p]):
            p += _1
    return p, whole


@strict_kernel
def _any_number(text, p):
    """Like `json_number`, for what is not short."""
    end, whole = _number_end(text, p)
    if end == _0 or end - p > _LONGEST:
        return 0.0, _0, False
    value, behind, kind = number(text, p)
    if kind in (NONE, UNSURE) or behind != end:
        return 0.0, _0, False
    return value, end, whole


@strict_inlined
def json_number(text, p):
    """Read the number at `p`: ``(float64, end, whether it is whole)``; the end is 0 if it is left to Python."""
    negative = text[p] == _MINUS
    first = p + np.uint64(negative)
    mantissa, behind, end, count = short_numeral(text, first)
    whole = end == first + count
    before = count - behind
    right = before == _1 or (before > _1 and text[first] != _ZERO)
    more = text[end] | 0x20 == ord("e") or is_digit(text[end])
    if not right or more or mantissa > EXACT or (behind == _0 and not whole):
        return _any_number(text, p)
    value = np.float64(np.int64(mantissa))
    if not whole:
        value /= POWERS_OF_TEN[behind]
    return -value if negative else value, end, whole


# ------------------------------------------------------------------------------------------------ what is ignored


@inlined
def literal_end(text, p):
    """Place behind true, false or null, 0 if none of them stands at `p`."""
    word = load_word(text, p)
    first = word & _LOW_HALF
    if first in (TRUE, NULL):
        return p + _4
    return p + _5 if text[p] == ord("f") and (word >> _8) & _LOW_HALF == FALSE else _0


@strict_kernel
def _scalar_end(text, p):
    if text[p] == _QUOTE:
        end = string_end(text, p + _1)
        return end + _1 if end != _0 else _0
    if text[p] == _MINUS or is_digit(text[p]):
        end, _ = _number_end(text, p)
        return end if end - p <= _LONGEST else _0
    return literal_end(text, p)


@inlined
def value_of_key(text, p):
    """Place of the value whose key's closing quote is at `p`; 0 if no colon is between."""
    p = after_blanks(text, p + _1)
    return after_blanks(text, p + _1) if text[p] == _COLON else _0


@inlined
def _next_value(text, p, in_object):
    """Place of the value that begins at `p`, or whose key does; 0 if there is none."""
    p = after_blanks(text, p)
    if not in_object:
        return p
    if text[p] != _QUOTE:
        return _0
    end = string_end(text, p + _1)
    return value_of_key(text, end) if end != _0 else _0


@strict_kernel
def value_end(text, p):
    """Place behind the value at `p`, whatever it is; 0 if it is left to Python."""
    objects, depth = _0, 0  # a bit for each level, 1 for an object
    while True:
        byte = text[p]
        if byte in (_OPEN_OBJECT, _OPEN_LIST):
            if depth == _DEEPEST:
                return _0
            in_object = byte == _OPEN_OBJECT
            inside = after_blanks(text, p + _1)
            if text[inside] != (_CLOSE_OBJECT if in_object else _CLOSE_LIST):
                depth += 1
                objects = objects << _1 | np.uint64(in_object)
                p = _next_value(text, inside, in_object)
                if p == _0:
                    return _0
                continue
            p = inside + _1
        else:
            p = _scalar_end(text, p)
            if p == _0:
                return _0
        while depth > 0:
            in_object = objects & _1 != _0
            p = after_blanks(text, p)
            if text[p] == _COMMA:
                p = _next_value(text, p + _1, in_object)
                break
            if text[p] != (_CLOSE_OBJECT if in_object else _CLOSE_LIST):
                return _0
            depth -= 1
            objects >>= _1
            p += _1
        if depth == 0 or p == _0:
            return p
