"""The compiled reader of Vowpal Wabbit lines, into arrays that the caller allocates.

line      = {blank} [label [importance [base]]] [tag] {"|" namespace} end of line
namespace = [name [":" weight]] {blank {blank} name [":" value]}
tag       = "'" word, or a word that touches the first bar
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel, strict_kernel, trailing_zeros
from hogwild.data.hashing_kernel import START, cross_hash, finished, hashed_index, hashed_sign, with_byte, with_text
from hogwild.data.numerals import NONE, UNSURE, load_word, number
from hogwild.data.values_kernel import float32_value, settled

MOST_CROSSES = 1 << 28  # in a row: 2 GiB
EXPECTED = {
    1: "a finite number as label (costs such as '1:0.5', contextual bandits and multi-line examples are not supported)",
    2: "a finite number of at least 0, the row's importance",
    3: "a finite number, the base",
    4: "not more than label, importance, base and a tag in front of the first '|'",
    5: "a tag followed by '|'",
    6: "'|' in front of the features",
    7: "a namespace, a blank or a feature in front of ':'",
    8: "a finite number behind ':'",
    9: "a number within the range of float32",
    10: "a number within the range of float64",
    11: "a value whose product with the namespace's weight is within the range of float32",
    12: "values whose products are within the range of float32",
    13: f"a row with at most {MOST_CROSSES} crosses",
    14: "text without control characters",
}
(_OK, _LABEL, _IMPORTANCE, _BASE, _TOO_MANY, _TAG, _NO_BAR, _NAMELESS, _VALUE, _RANGE, _WIDE_RANGE, _PRODUCT, _CROSS,
 _TOO_MANY_CROSSES, _CONTROL) = range(15)  # fmt: skip
NO_ROOM = -1  # not an error: crosses of the row at `position` have no room
WEIGHTED = 1 << 8  # among the kinds of labels: an importance is not 1

_0, _1, _2, _3, _4, _5, _8 = (np.uint64(i) for i in (0, 1, 2, 3, 4, 5, 8))
_TAB, _LF, _CR, _BLANK, _COLON, _BAR, _QUOTE = (ord(c) for c in "\t\n\r :|'")
_BLOCK = np.uint64(192)
_CARET = np.uint8(ord("^"))
_EACH_1 = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_ABOVE_BLANK = np.uint64(0x2121212121212121)
_COLONS, _BARS = np.uint64(ord(":")) * _EACH_1, np.uint64(ord("|")) * _EACH_1
_MAX = np.float32(3.4028235e38)


class Rules(NamedTuple):
    """What is made of features."""

    n_features: int
    signed: bool
    pairs: int
    patterns: np.ndarray  # uint8: the text of both sides of every pair
    pattern_ends: np.ndarray  # uint64
    prefixes: np.ndarray  # bool: whether namespaces that begin with the text match, or only the one that is the text


class Rows(NamedTuple):
    """Where rows are written."""

    indices: np.ndarray
    values: np.ndarray
    row_ends: np.ndarray
    labels: np.ndarray
    label_places: np.ndarray  # uint64, (n_rows, 2): start and end
    weights: np.ndarray
    spans: np.ndarray  # uint64, (n_bars, 6): of a row's namespaces, see `_remember`


class Read(NamedTuple):
    """How far `read_rows` has come in a part."""

    position: int  # in the text: where to read on, or of the error
    rows: int
    entries: int
    crosses: int  # among the entries
    unsure: int  # numerals that only Python can round
    kinds: int  # of labels; WEIGHTED
    error: int  # key of EXPECTED, 0 if there is none; NO_ROOM
    needed: int  # crosses that there has to be room for


@kernel
def count(text, start, stop):
    """Count blanks (one stands in front of every feature), bars and line ends in ``text[start:stop]``."""
    blanks, bars, ends = _0, _0, _0
    p, stop = np.uint64(start), np.uint64(stop)
    while p < stop:
        some_blanks, some_bars, some_ends = np.uint8(0), np.uint8(0), np.uint8(0)  # bytes: LLVM counts 64 at a time
        size = min(stop - p, _BLOCK)
        for i in range(size):
            byte = text[p + i]
            some_blanks = np.uint8(some_blanks + np.uint8((byte == _BLANK) | (byte == _TAB)))
            some_bars = np.uint8(some_bars + np.uint8(byte == _BAR))
            some_ends = np.uint8(some_ends + np.uint8(byte == _LF))
        blanks += np.uint64(some_blanks)
        bars += np.uint64(some_bars)
        ends += np.uint64(some_ends)
        p += size
    return blanks, bars, ends


# ------------------------------------------------------------------------------------------------ names


@inlined
def _ends_word(byte):
    return byte in (_BLANK, _TAB, _BAR, _LF, _CR, 0)


@inlined
def _zeros(word):
    """Mark the bytes that are 0 by their top bits; only the first mark is reliable."""
    return (word - _EACH_1) & ~word & _TOPS


@inlined
def _name_end(text, p):
    """Place of the first blank, colon, bar, line end or NUL byte from `p` on."""
    while True:
        word = load_word(text, p)
        marks = ((word - _ABOVE_BLANK) & ~word & _TOPS) | _zeros(word ^ _COLONS) | _zeros(word ^ _BARS)
        if marks == _0:
            p += _8
        else:
            p += np.uint64(trailing_zeros(marks)) >> _3
            if _ends_word(text[p]) or text[p] == _COLON:
                return p
            p += _1  # another control character


# ------------------------------------------------------------------------------------------------ parts of a line


@strict_kernel
def _head(text, p, unsure, doubts):
    """Read what stands in front of the first bar.

    Returns label, its kind (NONE without one), its start and end, importance, doubtful numerals so far, error, and the
    place of the bar or of the error.
    """
    label, kind, start, stop, importance = np.nan, NONE, p, p, 1.0
    words, error = 0, _OK
    while error == _OK and text[p] != _BAR:
        byte = text[p]
        if byte in (_BLANK, _TAB):
            p += _1
            continue
        if byte == _LF or (byte == _CR and text[p + _1] == _LF):
            error = _NO_BAR
            break
        end = p
        while not _ends_word(text[end]):
            end += _1
        if text[end] == 0 or (text[end] == _CR and text[end + _1] != _LF):
            p, error = end, _CONTROL
            break
        if text[end] == _BAR or byte == _QUOTE:  # a tag
            while text[end] in (_BLANK, _TAB):
                end += _1
            p, error = (end, _OK) if text[end] == _BAR else (p, _TAG)
            break
        if words == 3:
            error = _TOO_MANY
            break
        value, behind, found = number(text, p) if words == 0 else float32_value(text, p)
        if found == NONE or behind != end:
            error = _LABEL + words
        elif found == UNSURE:
            value = settled(doubts, unsure, p, end, words == 0)
            unsure += _1
            if np.isinf(value):
                error = _RANGE if words else _WIDE_RANGE
        if words == 1 and value < 0.0:
            error = _IMPORTANCE
        if error != _OK:
            break
        if words == 0:
            label, kind, start, stop = value, found, p, end
        elif words == 1:
            importance = np.float64(np.float32(value))
        words += 1
        p = end
    return label, kind, start, stop, importance, unsure, error, p


@strict_kernel
def _value(text, p, weight, unsure, doubts):
    """Read a number behind a colon, times `weight`: the float32, its end, doubtful numerals so far, and the error."""
    value, end, kind = float32_value(text, p)
    if kind == NONE or not _ends_word(text[end]):
        return np.float32(0), end, unsure, _VALUE
    if kind == UNSURE:
        value = settled(doubts, unsure, p, end, False)
        unsure += _1
        if np.isinf(value):
            return np.float32(0), end, unsure, _RANGE
    product = np.float32(np.float32(value) * weight)
    return product, end, unsure, _PRODUCT if np.isinf(product) else _OK


@inlined
def _matches(text, start, stop, rules, pattern):
    """Whether a namespace is one that the pattern, left or right side of a pair, stands for."""
    first = rules.pattern_ends[pattern - _1] if pattern != _0 else _0
    length = rules.pattern_ends[pattern] - first
    if stop - start < length or (stop - start > length and not rules.prefixes[pattern]):
        return False
    same = True
    for i in range(length):
        same &= text[start + i] == rules.patterns[first + i]
    return same


@strict_kernel
def _remember(text, start, stop, rules, spans, n, first, end):
    """Keep of a namespace its entries ``first:end`` and, as bits, the pairs whose left and right side it is."""
    left, right = _0, _0
    for k in range(np.uint64(rules.pairs)):
        left |= np.uint64(_matches(text, start, stop, rules, _2 * k)) << k
        right |= np.uint64(_matches(text, start, stop, rules, _2 * k + _1)) << k
    spans[n, _0], spans[n, _1], spans[n, _2], spans[n, _3] = first, end, left, right


# ------------------------------------------------------------------------------------------------ crosses


@strict_kernel
def _sides(spans, n, k):
    """List the namespaces on either side of pair `k` in the last two columns: their numbers, and that of crosses."""
    lefts, rights, left, right, both = _0, _0, _0, _0, _0
    for s in range(n):
        size = spans[s, _1] - spans[s, _0]
        is_left, is_right = (spans[s, _2] >> k) & _1, (spans[s, _3] >> k) & _1
        spans[lefts, _4], spans[rights, _5] = s, s
        lefts, rights = lefts + is_left, rights + is_right
        left, right, both = left + size * is_left, right + size * is_right, both + size * (is_left & is_right)
    # Of two features that both stand on both sides only one order counts: both * both become both * (both + 1) / 2.
    return lefts, rights, left * right - ((both * both - both) >> _1)


@strict_kernel
def _cross(spans, n, k, indices, values, entry):
    """Write the crosses of pair `k` from `entry` on: the end, and whether all are finite."""
    lefts, rights, _ = _sides(spans, n, k)
    finite = True
    for a in range(lefts):
        s = spans[a, _4]
        for i in range(spans[s, _0], spans[s, _1]):
            h, x = indices[i], values[i]
            for b in range(rights):
                t = spans[b, _5]
                both = ((spans[s, _3] & spans[t, _2]) >> k) & _1 != _0
                if both and t < s:
                    continue
                for j in range(i if both and t == s else spans[t, _0], spans[t, _1]):
                    other = indices[j]
                    swap = both and other < h  # the order on the line must not matter
                    indices[entry] = cross_hash(other, h) if swap else cross_hash(h, other)
                    product = np.float32(x * values[j])
                    values[entry] = product
                    finite &= abs(product) <= _MAX
                    entry += _1
    return entry, finite


@strict_kernel
def _cross_all(spans, n, rules, crosses, room, indices, values, entry):
    """Write the crosses of a row: the end, crosses of the part so far (with those that have no room), and the error."""
    wanted = _0
    for k in range(np.uint64(rules.pairs)):
        wanted += _sides(spans, n, k)[2]
        if wanted > np.uint64(MOST_CROSSES):
            return entry, crosses, _TOO_MANY_CROSSES
    if crosses + wanted > room:
        return entry, crosses + wanted, NO_ROOM
    for k in range(np.uint64(rules.pairs)):
        entry, finite = _cross(spans, n, k, indices, values, entry)
        if not finite:
            return entry, crosses, _CROSS
    return entry, crosses + wanted, _OK


# ------------------------------------------------------------------------------------------------ lines


@strict_kernel
def read_rows(text, stop, rules, room, rows, doubts, so_far):
    """Read the lines of ``text[so_far.position:stop]``; `room` is that for crosses among the entries."""
    indices, values = rows.indices, rows.values
    p, stop, room = np.uint64(so_far.position), np.uint64(stop), np.uint64(room)
    row, entry, crosses = np.uint64(so_far.rows), np.uint64(so_far.entries), np.uint64(so_far.crosses)
    unsure, kinds = np.uint64(so_far.unsure), so_far.kinds
    first, row_entry, row_unsure = entry, entry, unsure
    error, needed = _OK, crosses
    while p < stop:
        byte = text[p]
        if byte in (_LF, _BLANK, _TAB) or (byte == _CR and text[p + _1] == _LF):
            p += _1
            continue
        line, row_entry, row_unsure = p, entry, unsure
        label, kind, start, end, importance, unsure, error, p = _head(text, p, unsure, doubts)
        if error != _OK:
            break
        n_spans = _0
        while text[p] == _BAR:
            p += _1
            name, first_entry = p, entry
            name_stop = p = _name_end(text, p)
            h, rest, length = START
            weight = np.float32(1)
            if p != name:
                h, rest, length = with_text(h, rest, length, text, name, p)
                h, rest, length = with_byte(h, rest, length, _CARET)
                if text[p] == _COLON:
                    weight, end_of_weight, unsure, error = _value(text, p + _1, weight, unsure, doubts)
                    if error != _OK:
                        p += _1
                        break
                    p = end_of_weight
            while True:
                if text[p] == _BLANK:
                    p += _1
                feature = p
                p = _name_end(text, p)
                if p == feature:
                    if text[p] == _BLANK or text[p] == _TAB:
                        p += np.uint64(text[p] == _TAB)
                        continue
                    break
                indices[entry] = finished(*with_text(h, rest, length, text, feature, p))
                value = weight
                if text[p] == _COLON:
                    value, end_of_value, unsure, error = _value(text, p + _1, weight, unsure, doubts)
                    if error != _OK:
                        p += _1
                        break
                    p = end_of_value
                values[entry] = value
                entry += _1
            if error != _OK:
                break
            if rules.pairs and entry != first_entry:
                _remember(text, name, name_stop, rules, rows.spans, n_spans, first_entry, entry)
                n_spans += _1
        if error != _OK:
            break
        if text[p] == _CR and text[p + _1] == _LF:
            p += _1
        if text[p] != _LF:
            error = _NAMELESS if text[p] == _COLON else _CONTROL
            break
        if rules.pairs:
            entry, needed, error = _cross_all(rows.spans, n_spans, rules, crosses, room, indices, values, entry)
            if error != _OK:
                p = line
                break
            crosses = needed
        p += _1
        rows.labels[row], rows.weights[row] = label, importance
        rows.label_places[row, _0], rows.label_places[row, _1] = start, end
        rows.row_ends[row] = entry
        kinds |= 1 << kind | (WEIGHTED if importance != 1.0 else 0)
        row += _1
    if error != _OK:
        entry = row_entry
        if error == NO_ROOM:
            unsure = row_unsure
    n_features = np.uint64(rules.n_features)
    for i in range(first, entry):
        h = indices[i]
        indices[i] = hashed_index(h, n_features)
        if rules.signed:
            values[i] *= hashed_sign(h)
    return p, row, entry, crosses, unsure, kinds, error, needed
