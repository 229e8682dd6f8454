"""Decimal numerals to floats, correctly rounded, in compiled code.

Eight digits are read at once: a word of eight bytes tells how many of them are digits, and three multiplications turn
these into a number. Decimal to binary is one exact division where mantissa and power of ten are exact floats, else the
method of Eisel and Lemire (Lemire, *Number parsing at a gigabyte per second*, 2021). The rare numerals that neither
decides are left to Python.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from hogwild.compiled import inlined, leading_zeros, strict_kernel, trailing_zeros

PADDING = 32  # bytes that must be readable behind every numeral: whole words are loaded

# What `number` says about the numeral it read.
NONE, INTEGER, LARGE, DECIMAL, UNSURE = range(5)

# Numba takes uint64 with int64 to float64: every constant that meets a word has to be one.
_0, _1, _2, _3, _4, _7, _8 = (np.uint64(i) for i in (0, 1, 2, 3, 4, 7, 8))
_9, _10, _16, _32, _63, _64, _255 = (np.uint64(i) for i in (9, 10, 16, 32, 63, 64, 255))
_ZEROS = np.uint64(0x3030303030303030)
_BEYOND_9 = np.uint64(0x7676767676767676)
_TOPS = np.uint64(0x8080808080808080)
_BLANKS = np.uint64(0x2121212121212121)  # the first bytes that are neither blank nor control character
_PAIRS = np.uint64(0x000000FF000000FF)
_FIRST_PAIRS = np.uint64(100 + (1_000_000 << 32))
_LAST_PAIRS = np.uint64(1 + (10_000 << 32))
_DOT = np.uint64(ord("."))
_LOW_HALF = np.uint64(0xFFFFFFFF)
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)

EXACT = np.uint64(1 << 53)  # integers up to here are exact as float64
POWERS_OF_TEN = np.array([10.0**i for i in range(23)])  # all of the exact ones
_WHOLE_POWERS = np.array([10**i for i in range(9)], np.uint64)
_SHORT = np.uint64(10**11)  # takes eight more digits without leaving uint64
_FULL = np.uint64(10**18)  # takes one more

_SMALLEST, _LARGEST = -342, 308  # powers of ten outside of which every uint64 becomes 0 or infinity


def _powers_of_five() -> np.ndarray:
    """128 leading bits, high word first, of the powers of five; one more for reciprocals that a tie may need."""
    table = np.empty((_LARGEST - _SMALLEST + 1, 2), np.uint64)
    for power in range(_SMALLEST, _LARGEST + 1):
        five = 5 ** abs(power)
        if power >= 0:
            surplus = five.bit_length() - 128
            bits = five >> surplus if surplus > 0 else five << -surplus
        else:
            bits = (1 << ((five - 1).bit_length() + 127)) // five + (power >= -27)
        table[power - _SMALLEST] = bits >> 64, bits & (2**64 - 1)
    return table


_FIVES = _powers_of_five()


# ------------------------------------------------------------------------------------------------ words of 8 bytes


@inlined
def load_word(data, p):
    """Eight bytes from `p`, the first one lowest; LLVM makes one load of it."""
    word = np.uint64(data[p])
    word |= np.uint64(data[p + _1]) << np.uint64(8)
    word |= np.uint64(data[p + _2]) << np.uint64(16)
    word |= np.uint64(data[p + _3]) << np.uint64(24)
    word |= np.uint64(data[p + _4]) << np.uint64(32)
    word |= np.uint64(data[p + np.uint64(5)]) << np.uint64(40)
    word |= np.uint64(data[p + np.uint64(6)]) << np.uint64(48)
    return word | (np.uint64(data[p + _7]) << np.uint64(56))


@inlined
def _no_digits(word):
    """Mark the bytes that are no digits by their top bits; only the first mark is reliable (carries go upwards)."""
    digits = word ^ _ZEROS
    return ((digits + _BEYOND_9) | digits) & _TOPS


@inlined
def leading_digits(word):
    """How many bytes of `word`, 0 to 8, are digits before the first that is none."""
    return np.uint64(trailing_zeros(_no_digits(word))) >> _3


@inlined
def _before_blank(word):
    """How many bytes of `word`, 0 to 8, stand before the first blank or control character."""
    return np.uint64(trailing_zeros((word - _BLANKS) & ~word & _TOPS)) >> _3


@inlined
def word_end(data, p):
    """Place of the first blank or control character from `p` on, ``p + 16`` if it is further away.

    Where the next word starts is then known before this one is understood, and the processor works on both at once: 4 %
    less time for values of ten digits, 9 to 15 % less for values of one.
    """
    length = _before_blank(load_word(data, p))
    if length == _8:
        length += _before_blank(load_word(data, p + _8))
    return p + length


@inlined
def digits_value(word, count):
    """Value of the first `count` (0 to 8) bytes, all digits, of `word`."""
    half = (_8 - count) << np.uint64(2)  # shifted twice by half the way: a shift by 64 bits is undefined
    digits = ((word ^ _ZEROS) << half) << half
    pairs = digits * _10 + (digits >> _8)
    return ((pairs & _PAIRS) * _FIRST_PAIRS + ((pairs >> _16) & _PAIRS) * _LAST_PAIRS) >> _32


@inlined
def short_numeral(data, p):
    """Read digits with at most one point among them: ``(mantissa, digits behind the point, end)``.

    Up to 8 digits cost two loads and no branch, up to 16 one branch more. More digits, an exponent or a sign stay where
    `end` points to; no digit at all leaves ``end <= p + 1``.
    """
    word = load_word(data, p)
    others = _no_digits(word)
    mark = (others & (~others + _1)) >> _7  # 1 in the first byte that is no digit; 0 if all are digits
    point = (mark != _0) & ((word & (mark * _255)) == mark * _DOT)
    whole = np.uint64(trailing_zeros(others)) >> _3
    before = mark - _1 if point else _ONES
    word = (word & before) | (load_word(data, p + _1) & ~before)  # the point is taken out
    count = leading_digits(word)
    mantissa = digits_value(word, count)
    end = p + count + np.uint64(point)
    if count == _8:
        word = load_word(data, end)
        more = leading_digits(word)
        mantissa = mantissa * _WHOLE_POWERS[more] + digits_value(word, more)
        count += more
        end += more
    return mantissa, count - whole if point else _0, end, count


# ------------------------------------------------------------------------------------------------ any numeral


@inlined
def _multiply_high(a, b):
    """Upper 64 of the 128 bits of ``a * b``."""
    a0, a1, b0, b1 = a & _LOW_HALF, a >> _32, b & _LOW_HALF, b >> _32
    middle = a1 * b0 + ((a0 * b0) >> _32)
    return a1 * b1 + (middle >> _32) + ((a0 * b1 + (middle & _LOW_HALF)) >> _32)


@inlined
def _scale(mantissa, power):
    """Bits of the float64 nearest to ``mantissa * 10**power``; all ones where a subnormal or infinity comes near."""
    if mantissa == _0:
        return _0
    if power < _SMALLEST or power > _LARGEST:
        return _ONES
    zeros = np.uint64(leading_zeros(mantissa))
    word = mantissa << zeros
    five, rest = _FIVES[power - _SMALLEST, 0], _FIVES[power - _SMALLEST, 1]
    high, low = _multiply_high(word, five), word * five
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):  # the lower half of the power may carry into the 55 bits in use
        carried = _multiply_high(word, rest)
        low += carried
        if low < carried:
            high += _1
    top = high >> _63
    shift = top + _9
    bits = high >> shift
    exponent = ((217_706 * power) >> 16) + 63 + np.int64(top) - np.int64(zeros) + 1023
    if exponent <= 0:
        return _ONES
    if low <= _1 and -4 <= power <= 23 and bits & _3 == _1 and bits << shift == high:
        bits &= ~_1  # exactly between two floats: to the even one
    bits = (bits + (bits & _1)) >> _1
    if bits >= np.uint64(1 << 53):
        bits = np.uint64(1 << 52)
        exponent += 1
    if exponent >= 2047:
        return _ONES
    return (bits & np.uint64((1 << 52) - 1)) | (np.uint64(exponent) << np.uint64(52))


@inlined
def _digits(data, p, mantissa):
    """Read on a run of digits: ``(mantissa, end, digits left out, whether one of these is not 0)``."""
    while mantissa < _SHORT:
        word = load_word(data, p)
        if leading_digits(word) != _8:
            break
        mantissa = mantissa * np.uint64(100_000_000) + digits_value(word, _8)
        p += _8
    left_out = 0
    inexact = False
    while True:
        digit = np.uint64(data[p]) - np.uint64(48)
        if digit > _9:
            return mantissa, p, left_out, inexact
        if mantissa < _FULL:
            mantissa = mantissa * _10 + digit
        else:
            left_out += 1
            inexact |= digit != _0
        p += _1


@strict_kernel
def number(data, start):
    """Read the numeral at `start`: ``(value, end, kind)``.

    ``[+-] digits [. digits] [(e|E) [+-] digits]`` with at least one digit before or behind the point. `kind` is NONE
    (nothing of the sort), INTEGER (digits only, exact as float64), LARGE (digits only, above 2**53), DECIMAL, or
    UNSURE: a numeral that only `decide` can round. `data` must be readable for PADDING bytes behind it.
    """
    p = start
    negative = data[p] == ord("-")
    if negative or data[p] == ord("+"):
        p += _1
    first = p
    mantissa, p, left_out, inexact = _digits(data, p, _0)
    power = left_out
    count = p - first
    whole = True
    if data[p] == ord("."):
        whole = False
        p += _1
        first = p
        mantissa, p, left_out, behind = _digits(data, p, mantissa)
        inexact |= behind
        power += left_out - np.int64(p - first)
        count += p - first
    if count == _0:
        return 0.0, start, NONE
    if data[p] == ord("e") or data[p] == ord("E"):
        whole = False
        p += _1
        down = data[p] == ord("-")
        if down or data[p] == ord("+"):
            p += _1
        first = p
        exponent = 0
        while np.uint64(data[p]) - np.uint64(48) <= _9:
            if exponent < 1_000_000_000_000:
                exponent = exponent * 10 + np.int64(data[p]) - 48
            p += _1
        if p == first:
            return 0.0, start, NONE
        power += -exponent if down else exponent
    if mantissa <= EXACT and -22 <= power <= 22 and not inexact:
        value = np.float64(np.int64(mantissa))
        value = value / POWERS_OF_TEN[-power] if power < 0 else value * POWERS_OF_TEN[power]
        kind = INTEGER if whole else DECIMAL
    else:
        kind = LARGE if whole else DECIMAL
        bits = _scale(mantissa, power)
        if bits == _ONES or (inexact and _scale(mantissa + _1, power) != bits):
            return 0.0, p, UNSURE
        value = np.uint64(bits).view(np.float64)
    return -value if negative else value, p, kind


def decide(text: str, dtype: np.dtype) -> np.floating:
    """Round the numeral `text` to `dtype`, float32 or float64, once: what ``np.float32(text)`` does by way of float64.

    Infinity where the numeral is beyond the largest number.
    """
    value = np.float64(text)
    with np.errstate(over="ignore", under="ignore"):
        if dtype == np.float64 or value == 0 or not np.isfinite(value):
            return dtype.type(value)
        return dtype.type(before_cast(text, value))


def before_cast(text: str, value: np.float64) -> np.float64:
    """Return a float64 that a cast to float32 rounds as the numeral `text` itself; `value` is the nearest to that.

    Of the two float64 around the numeral the odd one is never halfway between two numbers of float32, and lies on the
    numeral's side of whatever is.
    """
    exact, near = Decimal(text), Decimal(float(value))
    if exact != near and not value.view(np.uint64) & np.uint64(1):
        return np.nextafter(value, np.inf if exact > near else -np.inf)
    return value
