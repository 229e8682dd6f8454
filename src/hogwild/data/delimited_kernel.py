"""The compiled reader of delimited lines (CSV, TSV): columns become hashed features as their bytes are passed.

line  = field {separator field} [carriage return] line feed; an empty line is skipped
field = bytes without separator, or a quote, bytes with quotes doubled, a quote
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel, strict_kernel
from hogwild.data.columns import Columns
from hogwild.data.delimited_fields import (
    ABSENT,
    BAD,
    DOUBTFUL,
    field_end,
    label,
    numeral,
    quoted_end,
    trimmed,
    with_doubled,
    write_bin,
)
from hogwild.data.hashing import hash_names
from hogwild.data.hashing_kernel import begin_all, cross_hash, finished, hashed_index, hashed_sign, with_text

# What becomes of a column.
IGNORED, CATEGORY, NUMBER, LABEL, WEIGHT = range(5)
_KINDS = {"ignore": IGNORED, "categorical": CATEGORY, "numeric": NUMBER, "label": LABEL, "weight": WEIGHT}
FEATURES = ("categorical", "numeric")
# What becomes of a number, in the order of columns.TRANSFORMS.
PLAIN, LOG, BINS = range(3)

EXPECTED = {
    1: "{columns} columns; the line has {count}",
    2: "a closing quote on the same line",
    3: "{separator} or the end of the line behind the closing quote",
    4: "a number in column {name}",
    5: "a number within the range of {range} in column {name}",
    6: "a weight, a number of at least 0, in column {name}",
    7: "numbers whose product, {cross}, is within the range of float32",
}
OK, COUNT, _UNCLOSED, _BEHIND, VALUE, RANGE, _WEIGHT, PRODUCT = range(8)

_0, _1, _2 = (np.uint64(i) for i in range(3))
_ONES = np.uint64(0x0101010101010101)
_LOGARITHMS = np.array([math.log1p(i) for i in range(1024)])
_LF, _CR = ord("\n"), ord("\r")


class Rules(NamedTuple):
    """How to read."""

    separator: int
    quote: int  # -1 for none
    transform: int  # PLAIN, LOG or BINS
    keep_missing: bool  # as a feature ``column=``
    signed: bool
    n_features: int


class Plan(NamedTuple):
    """What to do with each column, and the hashes of their names as far as they are known before any value."""

    kinds: np.ndarray  # uint8
    states: np.ndarray  # uint32: hash of the whole words of ``column=``
    pendings: np.ndarray  # uint64: the 0 to 3 bytes behind these
    lengths: np.ndarray  # uint64: bytes of ``column=``
    hashes: np.ndarray  # uint32: hash of ``column``
    missing: np.ndarray  # uint32: hash of ``column=``
    crosses: np.ndarray  # uint64, shape (n_crosses, 2): columns
    fields: np.ndarray  # uint32: of columns, then of crosses


class Layout(NamedTuple):
    """A table's columns, for people and for the kernel."""

    names: tuple[str, ...]
    roles: tuple[str, ...]
    crosses: list[tuple[str, str]]
    plan: Plan


class Read(NamedTuple):
    """What `read_rows` found in a part."""

    rows: int
    entries: int
    label_kinds: int
    unsure: int  # numerals that only Python can round
    error: int  # key of EXPECTED, 0 if there is none
    position: int  # of the error, in the part's text
    column: int  # or cross


@functools.lru_cache(64)
def layout(columns: Columns, names: tuple[str, ...] | None) -> Layout:
    """Return what the kernel is to do with columns of these names; an error unless all of it is known."""
    if names is None:
        raise ValueError("the columns have no names yet: with_header or guess_types come first")
    roles = columns.roles(names)
    if "" in roles:
        name = names[roles.index("")]
        raise ValueError(f"column {name!r} is neither numeric nor categorical: say so, or guess_types comes first")
    crosses = columns.crossed([name for name, role in zip(names, roles, strict=True) if role in FEATURES])
    prefixes = [f"{name}=".encode() for name in names]
    lengths = np.array([len(prefix) for prefix in prefixes], np.uint64)
    states, pendings = np.empty(len(names), np.uint32), np.empty(len(names), np.uint64)
    begin_all(np.frombuffer(b"".join(prefixes) + bytes(8), np.uint8), np.cumsum(lengths), states, pendings)
    owned = np.array([role in FEATURES for role in roles] + [True] * len(crosses), np.uint32)
    plan = Plan(
        np.array([_KINDS[role] for role in roles], np.uint8),
        states,
        pendings,
        lengths,
        hash_names(names),
        hash_names(prefixes),
        np.array([[names.index(name) for name in pair] for pair in crosses], np.uint64).reshape(-1, 2),
        np.cumsum(owned, dtype=np.uint32) - owned,
    )
    return Layout(names, roles, crosses, plan)


@kernel
def count_lines(text, start, stop):
    """Count line feeds and NUL bytes in ``text[start:stop]``."""
    ends, nuls = _0, _0
    p = np.uint64(start)
    while p + np.uint64(192) <= np.uint64(stop):
        some_ends, some_nuls = np.uint8(0), np.uint8(0)  # bytes: LLVM counts 64 of them at a time
        for i in range(np.uint64(192)):
            some_ends = np.uint8(some_ends + np.uint8(text[p + i] == _LF))
            some_nuls = np.uint8(some_nuls + np.uint8(text[p + i] == 0))
        ends += np.uint64(some_ends)
        nuls += np.uint64(some_nuls)
        p += np.uint64(192)
    while p < np.uint64(stop):
        ends += np.uint64(text[p] == _LF)
        nuls += np.uint64(text[p] == 0)
        p += _1
    return ends, nuls


@strict_kernel
def _logarithm(value):
    """``sign(value) log(1 + |value|)``; small whole numbers from a table, a sixth less time for rows like Criteo's."""
    if 0.0 <= value < 1024.0:
        whole = np.int64(value)
        if np.float64(whole) == value:
            return _LOGARITHMS[np.uint64(whole)]
    return math.copysign(math.log1p(abs(value)), value)


@strict_kernel
def read_rows(
    text, start, stop, plan, rules, indices, values, fields, row_ends, labels, label_places, weights, seen, amounts,
    digits, places, decided,
):  # fmt: skip
    """Read the lines of ``text[start:stop]``.

    `fields` is empty where nobody asks for them. `seen` and `amounts` take hash and value of each column's feature in a
    row, value 0 for none; `digits` a bin's text. `places` takes place and kind of each number that only Python can
    round; `decided` holds the first ones' values.
    """
    separator, quote, transform = np.uint8(rules.separator), rules.quote, rules.transform
    signed, n_features = rules.signed, np.uint64(rules.n_features)
    separators = np.uint64(separator) * _ONES
    n_columns, n_crosses = np.uint64(len(plan.kinds)), np.uint64(len(plan.crosses))
    p, stop = np.uint64(start), np.uint64(stop)
    row, entry, unsure, column = _0, _0, _0, _0
    label_kinds = 0
    error = OK
    while p < stop:
        if text[p] == _LF or (text[p] == _CR and text[p + _1] == _LF):
            p += _1 if text[p] == _LF else _2
            continue
        line = p
        column = _0
        row_kinds = 0
        while True:
            first = p
            doubled = False
            if text[p] == quote:
                last, doubled = quoted_end(text, p)
                if text[last] == _LF:
                    error = _UNCLOSED
                    break
                first += _1
                end = last + _1
                if text[end] == _CR and text[end + _1] == _LF:
                    end += _1
                if text[end] != separator and text[end] != _LF:
                    p = end
                    error = _BEHIND
                    break
            else:
                end = field_end(text, p, separators)
                last = end
                if text[end] == _LF and last > first and text[last - _1] == _CR:
                    last -= _1

            kind = plan.kinds[column]
            h, amount = np.uint32(0), np.float32(0.0)
            if kind == CATEGORY:
                amount = np.float32(1.0)
                if first == last:
                    h = plan.missing[column]
                    amount = np.float32(rules.keep_missing)
                elif doubled:
                    h, rest, length = plan.states[column], plan.pendings[column], plan.lengths[column]
                    h = finished(*with_doubled(h, rest, length, text, first, last))
                else:
                    h, rest, length = plan.states[column], plan.pendings[column], plan.lengths[column]
                    h = finished(*with_text(h, rest, length, text, first, last))
            elif kind in (NUMBER, WEIGHT):
                narrow = kind == WEIGHT or transform == PLAIN
                value, state = numeral(text, first, last, narrow)
                if state == DOUBTFUL:
                    if unsure < np.uint64(len(decided)):
                        value = decided[unsure]
                    elif unsure < np.uint64(len(places)):
                        places[unsure, _0] = first
                        places[unsure, _1] = np.uint64(narrow)
                    unsure += _1
                if state == BAD:
                    error = VALUE if kind == NUMBER else _WEIGHT
                    break
                if not np.isfinite(value):
                    error = RANGE
                    break
                if kind == WEIGHT:
                    if state == ABSENT or value < 0.0:
                        error = _WEIGHT
                        break
                    weights[row] = np.float32(value)
                elif state == ABSENT:
                    h = plan.missing[column]
                    amount = np.float32(rules.keep_missing)
                elif transform == BINS:
                    size = write_bin(value, digits)
                    h, rest, length = plan.states[column], plan.pendings[column], plan.lengths[column]
                    h = finished(*with_text(h, rest, length, digits, _0, size))
                    amount = np.float32(1.0)
                else:
                    if transform == LOG:
                        value = _logarithm(value)
                    h = plan.hashes[column]
                    amount = np.float32(value)
            elif kind == LABEL:
                if first == p:  # not in quotes
                    first, last = trimmed(text, first, last)
                labels[row], found = label(text, first, last)
                row_kinds = found
                label_places[row, _0] = first
                label_places[row, _1] = last
            seen[column] = h
            amounts[column] = amount
            if amount != np.float32(0.0):
                indices[entry] = hashed_index(h, n_features)
                values[entry] = amount * hashed_sign(h) if signed else amount
                if fields.size:
                    fields[entry] = plan.fields[column]
                entry += _1

            column += _1
            if text[end] == _LF or column == n_columns:
                p = end
                break
            p = end + _1
        if error != OK:
            break
        if column != n_columns or text[p] != _LF:
            if text[p] != _LF:
                p += _1  # the first field too many
            elif text[p - _1] == _CR:
                p -= _1
            error = COUNT
            break
        for i in range(n_crosses):
            a, b = plan.crosses[i, _0], plan.crosses[i, _1]
            amount = amounts[a] * amounts[b]
            if amount != np.float32(0.0):
                if not np.isfinite(amount):
                    error, column, p = PRODUCT, i, line
                    break
                h = cross_hash(seen[a], seen[b])
                indices[entry] = hashed_index(h, n_features)
                values[entry] = amount * hashed_sign(h) if signed else amount
                if fields.size:
                    fields[entry] = plan.fields[n_columns + i]
                entry += _1
        if error != OK:
            break
        p += _1
        row_ends[row] = entry
        label_kinds |= row_kinds  # of whole rows only
        row += _1
    entries = row_ends[row - _1] if row > _0 else _0
    return row, entries, label_kinds, unsure, error, p, column
