"""Svmlight (libsvm) text as a stream: the compiled reader behind the interface of text formats."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.formats import Parsed
from hogwild.data.numerals import decide
from hogwild.data.parts import Part, next_line_end
from hogwild.data.svmlight import LABELS, NOT_FINITE, WIDEST, word_at
from hogwild.data.svmlight_kernel import EXPECTED, FRACTIONS, TEXT, UNSURE_LABELS, WORDS, Read, Rules, count, read_rows

_BAD_LINES = 20  # among the first lines, behind which no more are asked what is left open


@dataclass(frozen=True)
class Svmlight:
    r"""Svmlight (libsvm) text: ``label [qid:n] index:value index:value ... [# comment]``.

    Parameters
    ----------
    zero_based : bool or "auto", default "auto"
        Whether the first feature's index is written 0 or 1. "auto" is decided by the first lines: 0 if an index 0
        occurs among them.
    labels : {"auto", "number", "text"}, default "auto"
        "auto" is decided by the first lines: numbers if all of their labels are.
    columns : int, optional
        Number of features; larger indices are errors.

    Examples
    --------
    >>> import io, os, tempfile
    >>> import hogwild
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "rows.svm")
    ...     with open(name, "w") as file:
    ...         _ = file.write("1 1:0.5 3:2\n-1 2:1e-1\n")
    ...     next(iter(hogwild.data.open(name))).matrix().toarray()
    array([[0.5, 0. , 2. ],
           [0. , 0.1, 0. ]], dtype=float32)
    """

    zero_based: bool | Literal["auto"] = "auto"
    labels: Literal["auto", "number", "text"] = "auto"
    columns: int | None = None

    name: ClassVar[str] = "svmlight"
    header_lines: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Check the options."""
        if self.labels not in ("auto", "number", "text"):
            raise ValueError(f"labels is 'auto', 'number' or 'text', not {self.labels!r}")
        if self.zero_based not in (True, False, "auto"):
            raise ValueError(f"zero_based is True, False or 'auto', not {self.zero_based!r}")

    @property
    def n_features(self) -> int | None:
        """Number of columns, where it was given."""
        return self.columns

    def with_header(self, lines: list[bytes]) -> Svmlight:
        """Return itself: there is no header."""
        return self

    def decided(self, part: Part) -> Svmlight:
        """Return the format with what is "auto" decided by the lines of `part`."""
        lowest, words, any_index = WIDEST, False, replace(self, zero_based=True, columns=None)
        for _ in range(_BAD_LINES):
            lowest = min(lowest, replace(any_index, labels="text")._read(part)[0].lowest)
            parsed = any_index.parse(part)
            words = words or parsed.batch.labels.dtype.kind == "U"
            if parsed.error < 0:
                break
            part = part._replace(start=next_line_end(part.text, parsed.error))
        zero_based = lowest == 0 if self.zero_based == "auto" else self.zero_based
        labels: Any = ("text" if words else "number") if self.labels == "auto" else self.labels
        return replace(self, zero_based=zero_based, labels=labels)

    def parse(self, part: Part) -> Parsed:
        """Read whole lines (see `formats.TextFormat`)."""
        read, indices, values, row_ends, labels, starts, error, expected = self._read(part)
        rows, entries = read.rows, int(row_ends[read.rows - 1]) if read.rows else 0
        if read.error:
            error, expected = read.position, EXPECTED[read.error].format(n_features=self.columns)
        indptr = np.zeros(rows + 1, np.uint64)
        indptr[1:] = row_ends[:rows]
        try:
            found = self._labels(part.text, read, labels[:rows], starts[:rows])
        except DataError as problem:  # its row is the first bad one: read those before it
            start = int(starts[np.searchsorted(starts[:rows], problem.line)])
            before = self.parse(part._replace(stop=start))
            if before.error >= 0:  # once the bad label has no say in what kind labels are
                return before
            return before._replace(error=problem.line, expected=problem.expected or "")
        batch = Batch(indptr, indices[:entries], values[:entries], found)
        return Parsed(batch, not read.unordered, error, expected)

    def names(self, line: bytes) -> list[str]:
        """Return the indices of a line as they are written."""
        words = re.split(rb"[ \t]+", line.split(b"#")[0].strip())[1:]
        return [word.split(b":")[0].decode() for word in words if not word.startswith(b"qid:")]

    def _read(self, part: Part) -> tuple:
        """Read rows up to the first bad numeral, line or the end: ``(Read, arrays..., error, expected)``."""
        shift = 1 if self.zero_based is False else 0
        limit = WIDEST if self.columns is None else min(self.columns - 1 + shift, WIDEST)
        rules = Rules(LABELS[self.labels], True, shift, shift, limit)
        colons, ends = count(part.text, part.start, part.stop)
        indices, values = np.empty(colons, np.uint32), np.empty(colons, np.float32)
        row_ends, labels, starts = np.empty(ends, np.int64), np.empty(ends), np.empty(ends, np.uint64)
        unsure = np.empty((64, 2), np.uint64)
        arrays = (indices, values, row_ends, labels, starts)
        while True:
            read = Read(*read_rows(part.text, part.start, part.stop, 0, rules, 0, 0, *arrays, unsure))
            if read.unsure <= len(unsure):
                break
            unsure = np.empty((read.unsure, 2), np.uint64)
        for place, entry in unsure[: read.unsure].tolist():
            values[entry] = decide(word_at(part.text, place).decode(), values.dtype)
            if not np.isfinite(values[entry]):
                row = int(np.searchsorted(row_ends[: read.rows], entry, "right"))
                return read._replace(rows=row, error=0), *arrays, place, "a number within the range of float32"
        return read, *arrays, -1, ""

    def _labels(self, text: np.ndarray, read: Read, numbers: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Labels of the rows; a DataError whose `line` is the place of the one that is no label."""
        if LABELS[self.labels] != TEXT and not read.label_kinds & (WORDS | UNSURE_LABELS):
            return numbers.copy() if read.label_kinds & FRACTIONS else numbers.astype(np.int64)
        words = []
        for start in starts.tolist():
            try:
                words.append(word_at(text, start).decode())
            except UnicodeDecodeError:
                raise DataError("", start, expected="text in UTF-8") from None
        if self.labels == "text":
            return np.array(words)
        for start, word in zip(starts.tolist(), words, strict=True):
            if word.lstrip("+-").lower() in NOT_FINITE:
                raise DataError("", start, expected="a finite number (labels='text' reads such a word as it is)")
        if read.label_kinds & WORDS:
            return np.array(words)
        found = np.array([float(word) for word in words])
        infinite = np.flatnonzero(~np.isfinite(found))
        if len(infinite):
            raise DataError("", int(starts[infinite[0]]), expected="a number within the range of float64")
        if all(word.lstrip("+-").isdigit() for word in words) and (np.abs(found) < 2.0**62).all():
            return np.array([int(word) for word in words], np.int64)
        return found
