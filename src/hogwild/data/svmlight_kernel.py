"""The compiled reader of svmlight lines: what is read, into arrays that the caller allocates.

line  = [label {blank {blank} index ":" value}] {blank} ["#" comment] end of line
label = number, or any word without ":"; "qid:number" behind it is skipped; SEVERAL: none, or several with commas
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel, strict_kernel
from hogwild.data.numerals import (
    INTEGER,
    LARGE,
    NONE,
    UNSURE,
    digits_value,
    leading_digits,
    load_word,
    number,
    word_end,
)
from hogwild.data.values_kernel import rounds_twice, short_value

# How labels are read.
AUTO, NUMBER, TEXT, SEVERAL = 0, 1, 2, 3
# What kinds of labels were found; several may be set.
FRACTIONS, WORDS, UNSURE_LABELS = 1, 2, 4

EXPECTED = {
    1: "a label in front of the first 'index:value'",
    2: "one label without a comma (labels='several' reads several, labels='text' such a word as it is)",
    3: "a finite number as label",
    4: "an index (a whole number, not negative)",
    5: "':' behind the index",
    6: "a finite number behind ':'",
    7: "an index below 2**32",
    8: "an index that n_features = {n_features} has room for",
    9: "an index from 1 on (zero_based=False)",
    10: "a whole number behind 'qid:'",
    11: "text without control characters",
}
_OK, _LABEL, _COMMA, _NO_NUMBER, _INDEX, _COLON, _VALUE, _WIDE, _BEYOND, _ZERO, _QID, _CONTROL = range(12)

_0, _1, _2, _7, _9, _10, _48 = (np.uint64(i) for i in (0, 1, 2, 7, 9, 10, 48))
_FOUR = np.uint64(4)
_TWO_TO_32 = np.uint64(1 << 32)
_TAB, _LF, _CR, _BLANK, _HASH, _COMMA_SIGN, _MINUS, _COLON_SIGN = (ord(c) for c in "\t\n\r #,-:")


class Rules(NamedTuple):
    """How to read."""

    mode: int  # AUTO, NUMBER, TEXT or SEVERAL
    narrow: bool  # values are float32
    shift: int  # taken off every index
    least: int  # least and largest index, as written
    limit: int


class Read(NamedTuple):
    """What `read_rows` found in a part."""

    rows: int
    entries: int
    lowest: int  # index as written; 2**32 if there is none
    highest: int
    unordered: bool  # some row's indices do not ascend strictly
    label_kinds: int
    unsure: int  # values that only Python can round
    error: int  # key of EXPECTED, 0 if there is none
    position: int  # of the error, in the part's text


@kernel
def count(text, start, stop):
    """Count colons and line ends in ``text[start:stop]``."""
    colons, ends = _0, _0
    p = np.uint64(start)
    while p + np.uint64(192) <= np.uint64(stop):
        some_colons, some_ends = np.uint8(0), np.uint8(0)  # bytes: LLVM counts 64 of them at a time
        for i in range(np.uint64(192)):
            some_colons = np.uint8(some_colons + np.uint8(text[p + i] == _COLON_SIGN))
            some_ends = np.uint8(some_ends + np.uint8(text[p + i] == _LF))
        colons += np.uint64(some_colons)
        ends += np.uint64(some_ends)
        p += np.uint64(192)
    while p < np.uint64(stop):
        colons += np.uint64(text[p] == _COLON_SIGN)
        ends += np.uint64(text[p] == _LF)
        p += _1
    return colons, ends


@inlined
def _ends_word(byte):
    return byte in (_BLANK, _LF, _TAB, _CR, _HASH)


@inlined
def _skip_comment(text, p):
    """From '#' to the line end, or to a NUL byte."""
    while text[p] != _LF and text[p] != 0:
        p += _1
    return p


@strict_kernel
def _word(text, p, mode):
    """Check the label at `p` that is no number: ``(end, error, position)``."""
    while not _ends_word(text[p]):
        if text[p] == _COLON_SIGN:
            return p, _LABEL, p
        if text[p] == _COMMA_SIGN and mode == AUTO:
            return p, _COMMA, p
        if text[p] < 32 or text[p] == 127:
            return p, _CONTROL, p
        p += _1
    return p, _OK, p


@strict_kernel
def _qid(text, p):
    """End of ``qid:number`` at `p`, or `p` if it is none."""
    if (
        text[p] != ord("q")
        or text[p + _1] != ord("i")
        or text[p + _2] != ord("d")
        or text[p + np.uint64(3)] != ord(":")
    ):
        return p
    _, end, kind = number(text, p + _FOUR)
    return end if kind == INTEGER and _ends_word(text[end]) and text[p + _FOUR] != _MINUS else p


@strict_kernel
def _long_index(text, p):
    """Any number of digits: ``(value, at most 2**32; end)``."""
    value = _0
    while np.uint64(text[p]) - _48 <= _9:
        value = min(value * _10 + np.uint64(text[p]) - _48, _TWO_TO_32)
        p += _1
    return value, p


@strict_kernel
def read_rows(text, start, stop, base, rules, row, entry, indices, values, row_ends, labels, label_starts, unsure):
    """Read the lines of ``text[start:stop]``; rows are written from `row` on, entries from `entry` on.

    `rules` says how to read. `base` is added to the places kept in `label_starts` and `unsure`; the latter takes place
    and entry of each value that only Python can round, and what does not fit is counted.
    """
    mode, narrow = rules.mode, rules.narrow
    shift, least, limit = np.uint64(rules.shift), np.uint64(rules.least), np.uint64(rules.limit)
    p, stop, base = np.uint64(start), np.uint64(stop), np.uint64(base)
    row, entry = np.uint64(row), np.uint64(entry)
    first_row, first_entry = row, entry
    lowest, highest = _TWO_TO_32, _0
    unordered = False
    kinds = 0
    n_unsure = _0
    error = _OK
    while p < stop and error == _OK:
        byte = text[p]
        if byte in (_LF, _BLANK, _TAB) or (byte == _CR and text[p + _1] == _LF):
            p += _1
            continue
        if byte == _HASH:
            p = _skip_comment(text, p)
            if text[p] == 0:
                error = _CONTROL
            continue

        label_starts[row] = p + base
        kind, row_kinds = NONE, 0
        if mode in (AUTO, NUMBER):
            value, end, kind = number(text, p)
        if kind != NONE and _ends_word(text[end]):
            labels[row] = value
            if kind in (UNSURE, LARGE):
                row_kinds = UNSURE_LABELS
            elif kind != INTEGER:
                row_kinds = FRACTIONS
            p = end
        elif mode == NUMBER:
            error = _COMMA if kind != NONE and text[end] == _COMMA_SIGN else _NO_NUMBER
            break
        else:
            row_kinds = WORDS
            end, error, position = _word(text, p, mode)
            if error == _LABEL and mode == SEVERAL and p > np.uint64(start) and text[p - _1] in (_BLANK, _TAB):
                error, end = _OK, p - _1  # a row with no label at all: a blank and its first entry
                label_starts[row] = end + base
            if error != _OK:
                if error != _LABEL:
                    p = position
                break
            p = end

        before = _0  # index before this one, plus 1
        while True:
            word = load_word(text, p + _1)
            count = leading_digits(word)
            if text[p] != _BLANK or count == _0:  # anything but one blank and an index
                byte = text[p]
                if byte in (_BLANK, _TAB):
                    following = text[p + _1]
                    if np.uint64(following) - _48 > _9:
                        if _ends_word(following):
                            p += _1
                            continue
                        skipped = _qid(text, p + _1)
                        if skipped != p + _1:
                            p = skipped
                            continue
                        p += _1
                        error = _CONTROL if following < 32 else _QID if following == ord("q") else _INDEX
                        break
                elif byte == _LF:
                    p += _1
                    break
                elif byte == _CR and text[p + _1] == _LF:
                    p += _2
                    break
                elif byte == _HASH:
                    p = _skip_comment(text, p)
                    if text[p] == 0:
                        error = _CONTROL
                        break
                    continue
                else:
                    error = _CONTROL
                    break
            p += _1
            index = digits_value(word, count)
            end = p + count
            if text[end] != _COLON_SIGN:
                index, end = _long_index(text, p)
                if text[end] != _COLON_SIGN:
                    error = _COLON
                    break
            if index - least > limit - least:  # below `least` it wraps around
                error = _WIDE if index >= _TWO_TO_32 else _ZERO if index < least else _BEYOND
                break
            unordered |= index < before
            before = index + _1
            lowest = min(lowest, index)
            highest = max(highest, index)
            indices[entry] = np.uint32(index - shift)

            p = end + _1
            end = word_end(text, p)
            value, short, doubtful = short_value(text, p, end)
            if short and _ends_word(text[end]):
                doubtful &= narrow
            else:
                value, end, kind = number(text, p)
                if kind == NONE or not _ends_word(text[end]):
                    error = _VALUE
                    break
                doubtful = rounds_twice(value, kind) if narrow else kind == UNSURE
            if doubtful:
                if n_unsure < np.uint64(len(unsure)):
                    unsure[n_unsure, _0] = p + base
                    unsure[n_unsure, _1] = entry
                n_unsure += _1
            values[entry] = value
            entry += _1
            p = end
        if error != _OK:
            break
        row_ends[row] = entry
        kinds |= row_kinds  # of whole rows only
        row += _1
    return row - first_row, entry - first_entry, lowest, highest, unordered, kinds, n_unsure, error, p
