"""The compiled reader of libffm lines, ``label {blank {blank} field ":" index ":" value}``, into given arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, strict_kernel
from hogwild.data.numerals import NONE, UNSURE, number
from hogwild.data.values_kernel import TWO_TO_32, float32_value, settled, whole_number

EXPECTED = {
    1: "a finite number as label",
    2: "a label in front of the first 'field:index:value'",
    3: "a field (a whole number, not negative)",
    4: "':' behind the field",
    5: "a field below 2**32",
    6: "a field that n_fields = {n_fields} has room for",
    7: "an index (a whole number, not negative)",
    8: "':' behind the index",
    9: "an index below 2**32",
    10: "an index that n_features = {n_features} has room for",
    11: "a finite number behind 'field:index:'",
    12: "a number within the range of float32",
    13: "a number within the range of float64",
    14: "text without control characters",
}
(_OK, _LABEL, _NO_LABEL, _FIELD, _FIELD_COLON, _WIDE_FIELD, _MANY_FIELDS, _INDEX, _INDEX_COLON, _WIDE, _BEYOND, _VALUE,
 _RANGE, _WIDE_RANGE, _CONTROL) = range(15)  # fmt: skip

_0, _1, _2 = (np.uint64(i) for i in (0, 1, 2))
_TAB, _LF, _CR, _BLANK, _COLON = (ord(c) for c in "\t\n\r :")


class Rows(NamedTuple):
    """Where rows are written."""

    indices: np.ndarray
    values: np.ndarray
    fields: np.ndarray
    row_ends: np.ndarray
    labels: np.ndarray
    label_places: np.ndarray  # uint64, (n_rows, 2): start and end


class Read(NamedTuple):
    """What `read_rows` found in a part."""

    rows: int
    entries: int
    kinds: int  # of labels
    unsure: int  # numerals that only Python can round
    error: int  # key of EXPECTED, 0 if there is none
    position: int  # of the error


@inlined
def _ends_word(byte):
    return byte in (_BLANK, _LF, _TAB, _CR)


@strict_kernel
def read_rows(text, start, stop, n_fields, n_features, rows, doubts):
    """Read the lines of ``text[start:stop]``."""
    p, stop = np.uint64(start), np.uint64(stop)
    n_fields, n_features = np.uint64(n_fields), np.uint64(n_features)
    row, entry, unsure = _0, _0, _0
    kinds = 0
    error = _OK
    while p < stop:
        byte = text[p]
        if byte in (_LF, _BLANK, _TAB) or (byte == _CR and text[p + _1] == _LF):
            p += _1
            continue
        value, end, label_kind = number(text, p)
        if label_kind == NONE or not _ends_word(text[end]):
            error = _NO_LABEL if label_kind != NONE and text[end] == _COLON else _CONTROL if byte < 32 else _LABEL
            break
        if label_kind == UNSURE:
            value = settled(doubts, unsure, p, end, True)
            unsure += _1
            if np.isinf(value):
                error = _WIDE_RANGE
                break
        rows.labels[row] = value
        rows.label_places[row, _0], rows.label_places[row, _1] = p, end
        p = end

        while True:
            byte = text[p]
            if byte in (_BLANK, _TAB):
                p += _1
                byte = text[p]
                if _ends_word(byte):
                    continue
            elif byte == _LF:
                p += _1
                break
            elif byte == _CR and text[p + _1] == _LF:
                p += _2
                break
            else:  # a carriage return: whatever ends a label or a value is one of these
                error = _CONTROL
                break

            field, end = whole_number(text, p)
            if end == p or text[end] != _COLON:
                error = _FIELD_COLON if end != p else _CONTROL if byte < 32 else _FIELD
                break
            if field >= n_fields:
                error = _WIDE_FIELD if field >= TWO_TO_32 else _MANY_FIELDS
                break
            p = end + _1
            index, end = whole_number(text, p)
            if end == p or text[end] != _COLON:
                error = _INDEX_COLON if end != p else _INDEX
                break
            if index >= n_features:
                error = _WIDE if index >= TWO_TO_32 else _BEYOND
                break
            p = end + _1
            value, end, kind = float32_value(text, p)
            if kind == NONE or not _ends_word(text[end]):
                error = _VALUE
                break
            if kind == UNSURE:
                value = settled(doubts, unsure, p, end, False)
                unsure += _1
                if np.isinf(value):
                    error = _RANGE
                    break
            rows.fields[entry] = np.uint32(field)
            rows.indices[entry] = np.uint32(index)
            rows.values[entry] = value
            entry += _1
            p = end
        if error != _OK:
            break
        rows.row_ends[row] = entry
        kinds |= 1 << label_kind
        row += _1
    entries = rows.row_ends[row - _1] if row != _0 else _0  # those of a bad line are left out
    return row, entries, kinds, unsure, error, p
