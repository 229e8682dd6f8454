"""JSON lines by Python's json alone: the twin of the compiled reader, which leaves lines to the same code."""

from __future__ import annotations

import numpy as np

from hogwild.data.columns import Columns
from hogwild.data.formats import Parsed
from hogwild.data.jsonl_plain import BadLineError, PlainRows


def plainly(columns: Columns, content: bytes) -> Parsed:
    """What Python's json alone makes of it."""
    rows, starts, start = PlainRows(columns), [], 0
    error, expected = -1, ""
    for line in content.split(b"\n"):
        try:
            if rows.read(line):
                starts.append(start)
        except BadLineError as bad:
            error, expected = start + bad.place, bad.expected
            break
        start += len(line) + 1
    batch, unlabeled = rows.batch()
    if unlabeled is not None:
        return Parsed(batch.rows(0, unlabeled), False, starts[unlabeled], f"a label under {columns.label!r}")
    return Parsed(batch, False, error, expected)


def same(found: Parsed, expected: Parsed) -> None:
    """Rows, errors and kinds of arrays are the same, to the bit."""
    assert found[1:] == expected[1:]
    for name, one, other in zip(found.batch._fields, found.batch, expected.batch, strict=True):
        assert (one.dtype.kind, len(one)) == (other.dtype.kind, len(other)), name
        np.testing.assert_array_equal(one, other, err_msg=name)
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(one), np.signbit(other), err_msg=name)
