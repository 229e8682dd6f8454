"""The compiled reader of raw text: one document a line, words to hashed n-grams.

line = [label TAB] text, or "__label__" label blanks text, or text; words are runs of the bytes that `folded` keeps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.data.hashing_kernel import START, finished, hashed_index, hashed_sign, murmur, with_byte

NO_LABEL, TAB, FASTTEXT = range(3)
EXPECTED = {
    1: "a label and a tab in front of the text",
    2: "'__label__' and a label in front of the text",
    3: "one label (several labels a row are not supported)",
}
MARK = np.frombuffer(b"__label__", np.uint8)

_0, _1, _2 = (np.uint64(i) for i in range(3))
_TAB, _LF, _CR, _BLANK = (np.uint8(ord(c)) for c in "\t\n\r ")


class Rules(NamedTuple):
    """How to read."""

    label: int
    shortest: int  # characters of a word
    fewest: int  # words of an n-gram, least and most
    most: int
    n_features: int
    signed: bool
    keep_blank: bool  # a blank line is an empty document, not none


@kernel
def count_lines(text, start, stop):
    """Count line feeds in ``text[start:stop]``."""
    lines, p = _0, np.uint64(start)
    while p + np.uint64(192) <= np.uint64(stop):
        some = np.uint8(0)  # bytes: LLVM counts 64 of them at a time
        for i in range(np.uint64(192)):
            some = np.uint8(some + np.uint8(text[p + i] == _LF))
        lines += np.uint64(some)
        p += np.uint64(192)
    while p < np.uint64(stop):
        lines += np.uint64(text[p] == _LF)
        p += _1
    return lines


@kernel
def _starts_with(text, p, stop, word):
    if p + np.uint64(word.size) > stop:
        return False
    same = True
    for i in range(np.uint64(word.size)):
        same &= text[p + i] == word[i]
    return same


@kernel
def _label_number(text, start, stop, table, label_places, n_labels):
    """Number of the label ``text[start:stop]`` among those seen; `table` holds number + 1 at the place of its hash."""
    mask = np.uint64(table.size - 1)
    slot = np.uint64(murmur(text, start, stop)) & mask
    while table[slot] != np.uint32(0):
        number = np.uint64(table[slot]) - _1
        first = label_places[number, _0]
        if label_places[number, _1] - first == stop - start:
            same = True
            for i in range(stop - start):
                same &= text[first + i] == text[start + i]
            if same:
                return number
        slot = (slot + _1) & mask
    table[slot] = np.uint32(n_labels + _1)
    label_places[n_labels, _0], label_places[n_labels, _1] = start, stop
    return n_labels


@kernel
def fill_stops(table, keys):
    """Put the keys of stop words into `table` (a power of two, at least twice as long)."""
    mask = np.uint64(table.size - 1)
    for i in range(np.uint64(keys.size)):
        slot = keys[i] & mask
        while table[slot] != _0:
            slot = (slot + _1) & mask
        table[slot] = keys[i]


@kernel
def read_documents(
    text, start, stop, folded, stops, rules, grams, row_ends, indices, values, label_numbers, label_places, table
):
    """Read the lines of ``text[start:stop]``: ``(rows, entries, labels, error, position)``.

    `folded` gives the byte in lower case, 0 for one that is in no word. `stops` holds the keys of stop words (hash in
    the lower, length in the upper half, at the hash's place), `grams` the hashes in the making of the
    n-grams that end with the last word, `table` the labels seen (twice as long as there are lines).
    """
    p, stop = np.uint64(start), np.uint64(stop)
    row, entry, n_labels = _0, _0, _0
    shortest, fewest, most = np.uint64(rules.shortest), np.uint64(rules.fewest), np.uint64(rules.most)
    n_features, signed = np.uint64(rules.n_features), rules.signed
    mask = np.uint64(stops.size - 1)
    while p < stop:
        line = p
        while text[p] == _BLANK or text[p] == _TAB or text[p] == _CR:
            p += _1
        if text[p] == _LF and not rules.keep_blank:
            p += _1
            continue
        if rules.label == TAB:
            p = line
            while text[p] != _TAB and text[p] != _LF:
                p += _1
            if text[p] == _LF or p == line:
                return row, entry, n_labels, 1, line
            number = _label_number(text, line, p, table, label_places, n_labels)
        elif rules.label == FASTTEXT:
            first = p + np.uint64(MARK.size)
            if not _starts_with(text, p, stop, MARK):
                return row, entry, n_labels, 2, p
            p = first
            while text[p] > _BLANK:
                p += _1
            if p == first:
                return row, entry, n_labels, 2, line
            number = _label_number(text, first, p, table, label_places, n_labels)
            while text[p] == _BLANK or text[p] == _TAB:
                p += _1
            if _starts_with(text, p, stop, MARK):
                return row, entry, n_labels, 3, p
        else:
            number = _0
        label_numbers[row] = np.uint32(number)
        if number == n_labels:
            n_labels += _1

        words = _0
        while True:
            byte = folded[text[p]]
            while byte == np.uint8(0) and text[p] != _LF:
                p += _1
                byte = folded[text[p]]
            if byte == np.uint8(0):
                break
            first, continued = p, _0
            h, rest, length = START
            while byte != np.uint8(0):
                h, rest, length = with_byte(h, rest, length, byte)
                continued += np.uint64((byte & np.uint8(0xC0)) == np.uint8(0x80))
                p += _1
                byte = folded[text[p]]
            if length - continued < shortest:
                continue
            state, state_rest = h, rest
            h = finished(h, rest, length)
            if mask != _0:
                key = np.uint64(h) | (length << np.uint64(32))
                slot = np.uint64(h) & mask
                while stops[slot] != _0 and stops[slot] != key:
                    slot = (slot + _1) & mask
                if stops[slot] == key:
                    continue
            if fewest == _1:
                indices[entry] = hashed_index(h, n_features)
                values[entry] = hashed_sign(h) if signed else np.float32(1)
                entry += _1
            if most > _1:
                # Row n of `grams` is the n-gram of n + 1 words that ends here, made of the one of n words before it.
                n = min(words, most - _1)
                while n > _0:
                    before = n - _1
                    h, rest, total = np.uint32(grams[before, _0]), grams[before, _1], grams[before, _2]
                    h, rest, total = with_byte(h, rest, total, _BLANK)
                    q = first
                    while q < p:
                        h, rest, total = with_byte(h, rest, total, folded[text[q]])
                        q += _1
                    grams[n, _0], grams[n, _1], grams[n, _2] = np.uint64(h), rest, total
                    n -= _1
                grams[_0, _0], grams[_0, _1], grams[_0, _2] = np.uint64(state), state_rest, length
                words += _1
                n = max(fewest, _2)
                while n <= min(words, most):
                    h = finished(np.uint32(grams[n - _1, _0]), grams[n - _1, _1], grams[n - _1, _2])
                    indices[entry] = hashed_index(h, n_features)
                    values[entry] = hashed_sign(h) if signed else np.float32(1)
                    entry += _1
                    n += _1
        row_ends[row] = entry
        row += _1
        p += _1
    return row, entry, n_labels, 0, p


@kernel
def count_documents(indptr, indices, seen, counts):
    """Add to `counts` the number of rows that each feature occurs in; `seen` takes each one's last row plus 1."""
    for i in range(np.uint64(indptr.size - 1)):
        for j in range(indptr[i], indptr[i + _1]):
            index = np.uint64(indices[j])
            if seen[index] != i + _1:
                seen[index] = i + _1
                counts[index] += _1


@kernel
def weigh(indptr, indices, values, idf, sublinear, l2, row_ends):
    """Weigh the counts of each row, in place: logarithms, idf (0 drops a feature; empty: none), length 1.

    Returns the entries that are left.
    """
    write = _0
    for i in range(np.uint64(indptr.size - 1)):
        first, squares = write, 0.0
        for j in range(indptr[i], indptr[i + _1]):
            value = np.float64(values[j])
            if sublinear:
                value = 1.0 + np.log(value)
            if idf.size:
                factor = idf[indices[j]]
                if factor == 0.0:
                    continue
                value *= factor
            squares += value * value
            indices[write], values[write] = indices[j], np.float32(value)
            write += _1
        if l2 and squares > 0.0:
            scale = 1.0 / np.sqrt(squares)
            for j in range(first, write):
                values[j] = np.float32(np.float64(values[j]) * scale)
        row_ends[i + _1] = write
    return write
