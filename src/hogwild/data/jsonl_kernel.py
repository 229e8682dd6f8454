"""The compiled reader of JSON lines, into arrays that the caller allocates; what is rare is left to Python, by lines.

Left are all lines that may be wrong, so that errors are found in one place, and those with escapes, with keys that are
new or repeated, fractions as categories, numerals that only Python can round, or objects within more than 32 others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel, strict_kernel, trailing_zeros
from hogwild.data.delimited_fields import write_bin
from hogwild.data.delimited_kernel import BINS, LOG, PLAIN
from hogwild.data.hashing_kernel import cross_hash, finished, hashed_index, hashed_sign, with_text
from hogwild.data.jsonl_keys import DECLINED, ROOT, find
from hogwild.data.jsonl_plain import CATEGORY, IGNORED, LABEL, LARGEST, NUMBER, OPEN, SMALLEST, WEIGHT
from hogwild.data.jsonl_tokens import (
    after_blanks,
    is_digit,
    json_number,
    literal_end,
    string_end,
    value_end,
    value_of_key,
)
from hogwild.data.numerals import DECIMAL, INTEGER, NONE, UNSURE, load_word, number
from hogwild.data.values_kernel import rounds_twice

# Why `read_rows` stopped: at the end, or for more keys or more room for crosses.
DONE, NEW_KEYS, NO_ROOM = range(3)
# What kinds of labels were found; several may be set. Those that only Python can tell: text, and whole numbers beyond
# 2**53.
WHOLE, FRACTION, ABSENT, IN_PYTHON = 1, 2, 4, 8
DEEPEST = 32
# What has become of a value, beside the kinds of labels.
_NONE, _READ, _LEFT = 0, 1, -1

_0, _1, _2, _8 = (np.uint64(i) for i in (0, 1, 2, 8))
_BLOCK = np.uint64(192)
_EACH_1 = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_LFS = np.uint64(0x0A0A0A0A0A0A0A0A)
_LF, _QUOTE, _MINUS, _COMMA = (ord(c) for c in '\n"-,')
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = (ord(c) for c in "[]{}")
_EXACT = 2.0**53


class Rules(NamedTuple):
    """What is made of values."""

    transform: int  # delimited_kernel.PLAIN, LOG or BINS
    keep_missing: bool  # as a feature ``path=``
    signed: bool
    n_features: int


class Row(NamedTuple):
    """Of the row that is read, for each key: its last feature, if `stamps` names the row."""

    stamps: np.ndarray  # uint64
    hashes: np.ndarray  # uint32
    values: np.ndarray  # float64, 0 for none
    digits: np.ndarray  # uint8: the text of a bin
    parents: np.ndarray  # uint64: keys of the objects that are open


class Rows(NamedTuple):
    """Where rows are written."""

    indices: np.ndarray
    values: np.ndarray
    row_ends: np.ndarray
    labels: np.ndarray
    label_places: np.ndarray  # uint64, (n_rows, 2): start and end; twice the row's start where there is none
    weights: np.ndarray
    left: np.ndarray  # uint64, (n_lines, 3): start and end of a line that is left to Python, rows before it


class Read(NamedTuple):
    """How far `read_rows` has come in a part."""

    position: int
    rows: int
    entries: int
    crosses: int  # among the entries
    left: int  # lines left to Python
    kinds: int  # of labels
    strangers: int  # lines left since the table was made for keys that are not in it
    state: int  # DONE, NEW_KEYS or NO_ROOM


@kernel
def count(text, start, stop):
    """Count, in ``text[start:stop]``, line ends and the bytes in front of entries: commas, ``{`` and ``[``."""
    ends, entries = _0, _0
    p, stop = np.uint64(start), np.uint64(stop)
    while p < stop:
        some_ends, some_entries = np.uint8(0), np.uint8(0)  # bytes: LLVM counts 64 at a time
        size = min(stop - p, _BLOCK)
        for i in range(size):
            byte = text[p + i]
            opens = (byte == _OPEN_LIST) | (byte == _OPEN_OBJECT)
            some_ends = np.uint8(some_ends + np.uint8(byte == _LF))
            some_entries = np.uint8(some_entries + np.uint8((byte == _COMMA) | opens))
        ends += np.uint64(some_ends)
        entries += np.uint64(some_entries)
        p += size
    return ends, entries


@inlined
def _line_end(text, p):
    """Place of the first line feed from `p` on."""
    while True:
        word = load_word(text, p) ^ _LFS
        marks = (word - _EACH_1) & ~word & _TOPS
        if marks != _0:
            return p + (np.uint64(trailing_zeros(marks)) >> np.uint64(3))
        p += _8


# ------------------------------------------------------------------------------------------------ values


@inlined
def _category(table, key, text, start, stop):
    h, rest, length = table.states[key], table.rests[key], table.lengths[key]
    return finished(*with_text(h, rest, length, text, start, stop))


@strict_kernel
def _quantity(table, key, value, rules, digits):
    """What becomes of a number: hash, value (0 for none), and _READ or _LEFT."""
    if rules.transform == BINS:
        return _category(table, key, digits, _0, write_bin(value, digits)), 1.0, _READ
    if rules.transform == LOG:
        value = math.copysign(math.log1p(abs(value)), value)
    size = abs(value)
    return table.hashes[key], value if size > SMALLEST else 0.0, _READ if size <= LARGEST else _LEFT


@strict_kernel
def _label(text, p):
    """Read the label at `p`: value, end, and its kind or _LEFT."""
    if text[p] == _QUOTE:
        end = string_end(text, p + _1)
        return np.nan, end + _1, IN_PYTHON if end != _0 else _LEFT
    if text[p] == _MINUS or is_digit(text[p]):
        value, end, whole = json_number(text, p)
        if end == _0 or not abs(value) < 1e308:
            return value, p, _LEFT
        if not whole:
            return value, end, FRACTION
        return value + 0.0, end, WHOLE if abs(value) < _EXACT else IN_PYTHON  # there is no whole -0
    end = literal_end(text, p)
    if end == _0:
        return np.nan, p, _LEFT
    if text[p] == ord("n"):
        return np.nan, end, ABSENT
    return np.float64(text[p] == ord("t")), end, WHOLE


@strict_kernel
def _weight(text, p):
    """Read the weight at `p`: value, end, and _READ or _LEFT."""
    if text[p] != _MINUS and not is_digit(text[p]):
        return 0.0, p, _LEFT
    value, end, whole = json_number(text, p)
    if whole:
        value += 0.0
    return value, end, _READ if end != _0 and 0.0 <= value <= LARGEST else _LEFT


@inlined
def _scalar(text, p, table, key, kind, in_list, rules, digits):
    """Read a value that is no list and no object: hash, value (0 for none), end, and _READ or _LEFT."""
    byte = text[p]
    h, value, end = np.uint32(0), 0.0, p
    if byte == _QUOTE:
        end = string_end(text, p + _1)
        if end == _0:
            return h, value, p, _LEFT
        if end == p + _1:
            return table.missing[key], 1.0 if rules.keep_missing else 0.0, end + _1, _READ
        if kind != NUMBER or in_list:
            return _category(table, key, text, p + _1, end), 1.0, end + _1, _READ
        value, behind, found = number(text, p + _1)
        if found in (NONE, UNSURE) or behind != end or (rules.transform == PLAIN and rounds_twice(value, found)):
            return h, value, p, _LEFT
        h, value, state = _quantity(table, key, value, rules, digits)
        return h, value, end + _1, state
    if byte == _MINUS or is_digit(byte):
        value, end, whole = json_number(text, p)
        if end == _0:
            return h, value, p, _LEFT
        if kind == CATEGORY:
            if not whole or (byte == _MINUS and value == 0.0):
                return h, value, p, _LEFT
            return _category(table, key, text, p, end), 1.0, end, _READ
        exact = INTEGER if whole and abs(value) < _EXACT else DECIMAL
        if in_list or (rules.transform == PLAIN and rounds_twice(value, exact)):
            return h, value, p, _LEFT
        h, value, state = _quantity(table, key, value, rules, digits)
        return h, value, end, state
    end = literal_end(text, p)
    if end == _0:
        return h, value, p, _LEFT
    if byte == ord("n"):
        return table.missing[key], 1.0 if rules.keep_missing else 0.0, end, _READ
    if kind == CATEGORY or (kind == OPEN and not in_list):
        return _category(table, key, text, p, end), 1.0, end, _READ
    if in_list:
        return h, value, p, _LEFT
    h, value, state = _quantity(table, key, np.float64(byte == ord("t")), rules, digits)
    return h, value, end, state


@inlined
def _write(h, value, rules, rows, entry):
    rows.indices[entry] = hashed_index(h, rules.n_features)
    value = np.float32(value)
    rows.values[entry] = value * hashed_sign(h) if rules.signed else value


@strict_kernel
def _list(text, p, table, key, kind, rules, rows, entry, digits):
    """Write the entries of the list that begins at `p`: the end, the entries so far, and _READ or _LEFT."""
    p = after_blanks(text, p + _1)
    if text[p] == _CLOSE_LIST:
        return p + _1, entry, _READ
    while True:
        h, value, p, state = _scalar(text, p, table, key, kind, True, rules, digits)
        if state == _LEFT:
            return p, entry, _LEFT
        if value != 0.0:
            _write(h, value, rules, rows, entry)
            entry += _1
        p = after_blanks(text, p)
        if text[p] == _CLOSE_LIST:
            return p + _1, entry, _READ
        if text[p] != _COMMA:
            return p, entry, _LEFT
        p = after_blanks(text, p + _1)


@strict_kernel
def _cross(table, stamp, row, rules, rows, entry):
    """Write a row's crosses: the entries so far, and _READ or _LEFT."""
    for i in range(np.uint64(len(table.pairs))):
        a, b = table.pairs[i, _0], table.pairs[i, _1]
        if row.stamps[a] == stamp and row.stamps[b] == stamp:
            value = row.values[a] * row.values[b]
            if abs(value) > LARGEST:
                return entry, _LEFT
            if abs(value) > SMALLEST:
                _write(cross_hash(row.hashes[a], row.hashes[b]), value, rules, rows, entry)
                entry += _1
    return entry, _READ


# ------------------------------------------------------------------------------------------------ lines


@strict_kernel
def read_rows(text, stop, table, rules, patience, room, row, rows, so_far):
    """Read the lines of ``text[so_far.position:stop]``.

    Stops at `patience` lines with keys that are not in the table. `room` is that for crosses among the entries.
    """
    p, stop, room = np.uint64(so_far.position), np.uint64(stop), np.uint64(room)
    n_rows, entry, crosses = np.uint64(so_far.rows), np.uint64(so_far.entries), np.uint64(so_far.crosses)
    n_left, kinds, n_pairs = np.uint64(so_far.left), so_far.kinds, np.uint64(len(table.pairs))
    strangers, has_weights = so_far.strangers, len(rows.weights) != 0
    while p < stop:
        line, stamp = p, p + _1
        p = after_blanks(text, p)
        if text[p] == _LF:
            p += _1
            continue
        first = entry
        label, label_kind, label_start, label_end, weight = np.nan, ABSENT, line, line, 1.0
        state, depth, parent = _READ, _0, np.uint64(ROOT)
        if text[p] != _OPEN_OBJECT:
            state = _LEFT
        else:
            p = after_blanks(text, p + _1)
        opened = True  # an object may end here, though no value is before
        while state != _LEFT:
            if text[p] == _QUOTE:
                start = p + _1
                p = string_end(text, start)
                if p == _0:
                    state = _LEFT
                    break
                key = find(table, text, start, p, parent)
                if key == _0 or row.stamps[key] == stamp:
                    strangers += np.int64(key == _0)
                    state = _LEFT
                    break
                row.stamps[key] = stamp
                row.values[key] = 0.0
                p = value_of_key(text, p)
                if p == _0:
                    state = _LEFT
                    break
                kind = table.kinds[key]
                if kind == IGNORED:
                    p = value_end(text, p)
                    state = _LEFT if p == _0 else _READ
                elif kind == LABEL:
                    label_start = p
                    label, p, label_kind = _label(text, p)
                    label_end = p
                    state = label_kind
                    if label_kind == ABSENT:
                        label_start, label_end = line, line
                elif kind == WEIGHT:
                    weight, p, state = _weight(text, p)
                elif kind == DECLINED:
                    state = _LEFT
                elif text[p] == _OPEN_OBJECT:
                    if depth == np.uint64(DEEPEST):
                        state = _LEFT
                        break
                    row.parents[depth] = parent
                    depth += _1
                    parent = key
                    p = after_blanks(text, p + _1)
                    opened = True
                    continue
                elif text[p] == _OPEN_LIST:
                    p, entry, state = _list(text, p, table, key, kind, rules, rows, entry, row.digits)
                else:
                    h, value, p, state = _scalar(text, p, table, key, kind, False, rules, row.digits)
                    if value != 0.0 and state == _READ:
                        _write(h, value, rules, rows, entry)
                        entry += _1
                        row.hashes[key], row.values[key] = h, value
                if state == _LEFT:
                    break
                p = after_blanks(text, p)
            elif not opened or text[p] != _CLOSE_OBJECT:
                state = _LEFT
                break
            opened = False
            while text[p] == _CLOSE_OBJECT and depth != _0:
                depth -= _1
                parent = row.parents[depth]
                p = after_blanks(text, p + _1)
            if text[p] == _COMMA:
                p = after_blanks(text, p + _1)
                continue
            if text[p] != _CLOSE_OBJECT:
                state = _LEFT
                break
            p = after_blanks(text, p + _1)
            if text[p] != _LF:
                state = _LEFT
            break
        if state != _LEFT and n_pairs != _0:
            if crosses + n_pairs > room:
                return line, n_rows, first, crosses, n_left, kinds, strangers, NO_ROOM
            before = entry
            entry, state = _cross(table, stamp, row, rules, rows, entry)
            if state != _LEFT:
                crosses += entry - before
        if state == _LEFT:
            entry = first
            p = _line_end(text, max(p, line))
            rows.left[n_left, _0], rows.left[n_left, _1], rows.left[n_left, _2] = line, p, n_rows
            n_left += _1
            p += _1
            if strangers >= patience:
                return p, n_rows, entry, crosses, n_left, kinds, strangers, NEW_KEYS
            continue
        rows.labels[n_rows] = label
        rows.label_places[n_rows, _0], rows.label_places[n_rows, _1] = label_start, label_end
        rows.row_ends[n_rows] = entry
        if has_weights:
            rows.weights[n_rows] = np.float32(weight)
        kinds |= label_kind
        n_rows += _1
        p += _1
    return p, n_rows, entry, crosses, n_left, kinds, strangers, DONE
