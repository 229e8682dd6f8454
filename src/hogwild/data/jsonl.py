"""JSON lines to rows: one object a line, read by a compiled kernel, and by Python's json where that leaves a line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hogwild.data.batch import Batch
from hogwild.data.columns import TRANSFORMS, Columns
from hogwild.data.formats import Parsed
from hogwild.data.jsonl_kernel import (
    ABSENT,
    DEEPEST,
    FRACTION,
    IN_PYTHON,
    NEW_KEYS,
    NO_ROOM,
    Read,
    Row,
    Rows,
    Rules,
    count,
    read_rows,
)
from hogwild.data.jsonl_keys import Keys, learned
from hogwild.data.jsonl_plain import DECODE, BadLineError, PlainRows, join_labels
from hogwild.data.parts import Part

_NEVER = 1 << 62


@dataclass(frozen=True)
class JsonLines:
    r"""One JSON object a line; its keys are the columns. Blank lines are skipped.

    A number is the feature ``key`` with its value (zeros are left out), text and bools are categories ``key=value``
    (``key=true``), a list of texts one category for each. The keys of nested objects are joined by dots. null and empty
    text are missing. Of a key that is repeated, the last counts.

    Parameters
    ----------
    columns : Columns
        Roles of the keys. Text under a key listed as numeric has to be a numeral; numbers under one listed as
        categorical are categories, in lists as well. Labels are int64 if all are whole numbers or bools, float64 if all
        are numbers, NaN where a row has none, else text, which every row has to have.

    Examples
    --------
    >>> from hogwild.data.columns import Columns
    >>> from hogwild.data.jsonl import JsonLines
    >>> JsonLines(Columns(label="y")).names(b'{"y": 1, "age": 30, "user": {"tags": ["a", "b"], "new": true}}')
    ['age', 'user.tags=a', 'user.tags=b', 'user.new=true']
    """

    columns: Columns = field(default_factory=Columns)

    name: ClassVar[str] = "jsonl"

    def __post_init__(self) -> None:
        """Make Columns of a dict (as JSON has it)."""
        if isinstance(self.columns, dict):
            object.__setattr__(self, "columns", Columns(**self.columns))
        if self.columns.fields:
            raise ValueError("JSON lines have no fixed columns that fields could be: fields=True is for tables and CSV")

    @property
    def n_features(self) -> int:
        """Number of feature numbers."""
        return self.columns.n_features

    @property
    def header_lines(self) -> int:
        """None of the lines is a header."""
        return 0

    def with_header(self, lines: list[bytes]) -> JsonLines:
        """Return itself: JSON lines have no header."""
        return self

    def parse(self, part: Part) -> Parsed:
        """Read the lines of a part (see `hogwild.data.formats.TextFormat`)."""
        reading = _Reading(self.columns, part)
        reading.run()
        return reading.parsed()

    def names(self, line: bytes) -> list[str]:
        """Return the name of each entry of a line; that of a cross is its two names with ``*`` between them."""
        rows = PlainRows(self.columns)
        rows.read(line)
        names = list(rows.slots)
        pairs = [f"{names[a]}*{names[b]}" for a, b in rows.pairs]
        return [names[slot] if slot >= 0 else pairs[-1 - slot] for slot in rows.entries]


class _Reading:
    """The rows of a part: those of the kernel, and between them those of the lines that it leaves to Python."""

    def __init__(self, columns: Columns, part: Part) -> None:
        self.columns, self.part = columns, part
        self.text = part.text.view()
        self.text.flags.writeable = False  # one kind of array, so that the kernel is compiled once
        self.lines, entries = (int(number) for number in count(self.text, part.start, part.stop))
        self.rows = Rows(
            np.empty(entries, np.uint32),
            np.empty(entries, np.float32),
            np.empty(self.lines, np.uint64),
            np.empty(self.lines),
            np.empty((self.lines, 2), np.uint64),
            np.empty(0 if columns.weight is None else self.lines, np.float32),
            np.empty((self.lines, 3), np.uint64),
        )
        self.read = Read(part.start, 0, 0, 0, 0, 0, 0, 0)
        self.plain = PlainRows(columns)
        self.n_left = 0  # lines that Python has read
        self.starts: list[int] = []  # of its rows
        self.places: list[int] = []  # how many of the kernel's rows stand before each of them
        self.error, self.expected = -1, ""

    def run(self) -> None:
        """Read all lines, or up to the first bad one."""
        known = learned(self.columns)
        keys, room = known.keys, 0
        row, patience = _row(keys), keys.patience
        self.read = self.read._replace(strangers=min(known.strangers, patience - 1))
        rules = Rules(
            TRANSFORMS.index(self.columns.transform),
            self.columns.missing == "category",
            self.columns.signed,
            self.columns.n_features,
        )
        while True:
            found = read_rows(self.text, self.part.stop, keys.table, rules, patience, room, row, self.rows, self.read)
            self.read = Read(*found)
            if self.read.state == NO_ROOM:
                room = 2 * room + max(self.lines, len(keys.table.pairs))
                grown = (_grown(array, self.read.entries, len(array) + room) for array in self.rows[:2])
                self.rows = Rows(*grown, *self.rows[2:])
                row.stamps[:] = 0  # the kernel begins again with this row
            elif not self._read_left() or self.read.state != NEW_KEYS:
                known.strangers = self.read.strangers
                return
            else:
                before, keys = len(keys), known.extend(self.plain.prefixes)
                row, patience = _row(keys), keys.patience if len(keys) > before else _NEVER
                self.read = self.read._replace(strangers=0)

    def _read_left(self) -> bool:
        """Read the lines that the kernel has left to Python; returns whether all of them are right."""
        text = memoryview(self.text)
        for start, stop, before in self.rows.left[self.n_left : self.read.left].tolist():
            try:
                if self.plain.read(bytes(text[start:stop])):
                    self.starts.append(start)
                    self.places.append(before)
            except BadLineError as bad:
                self.error, self.expected = start + bad.place, bad.expected
                self.read = self.read._replace(rows=before)
                return False
        self.n_left = self.read.left
        return True

    def parsed(self) -> Parsed:
        """Return the rows, in the order of their lines."""
        n, rows, places = self.read.rows, self.rows, self.places
        ends = np.concatenate([np.zeros(1, np.uint64), rows.row_ends[:n]])
        features, weights = (rows.indices[: ends[-1]], rows.values[: ends[-1]]), rows.weights[:n]
        if places:
            plain = self.plain.batch()[0]
            cuts = ends[places].tolist()
            features = tuple(
                _woven(mine, cuts, theirs, plain.indptr)
                for mine, theirs in zip(features, (plain.indices, plain.values), strict=True)
            )
            sizes = np.insert(np.diff(ends), places, np.diff(plain.indptr))
            ends = np.concatenate([np.zeros(1, np.uint64), np.cumsum(sizes)])
            if self.columns.weight is not None:
                weights = np.insert(weights, places, self.plain.weights)
        labels, unlabeled = self._labels()
        batch = Batch(ends, *features, labels, weights if (weights != 1).any() else weights[:0])
        if unlabeled is None:
            return Parsed(batch, False, self.error, self.expected)
        starts = np.insert(rows.label_places[:n, 0], places, self.starts)  # the rows end before it
        return Parsed(batch.rows(0, unlabeled), False, int(starts[unlabeled]), f"a label under {self.columns.label!r}")

    def _labels(self) -> tuple[np.ndarray, int | None]:
        """Labels, and the first row without one where they are text."""
        n, kinds = self.read.rows, self.read.kinds
        if not self.places and self.error < 0 and not kinds & IN_PYTHON:
            numbers = self.rows.labels[:n]
            return numbers if kinds & (FRACTION | ABSENT) else numbers.astype(np.int64), None
        text = memoryview(self.text)
        words = [bytes(text[start:stop]) or b"null" for start, stop in self.rows.label_places[:n].tolist()]
        labels = [int(label) if type(label) is bool else label for label in DECODE(f"[{b','.join(words).decode()}]")]
        return join_labels(np.insert(_objects(labels), self.places, _objects(self.plain.labels)).tolist())


def _row(keys: Keys) -> Row:
    n = len(keys) + 1
    arrays = np.zeros(n, np.uint64), np.zeros(n, np.uint32), np.zeros(n)
    return Row(*arrays, np.zeros(16, np.uint8), np.zeros(DEEPEST, np.uint64))


def _grown(array: np.ndarray, n: int, size: int) -> np.ndarray:
    """Copy the first `n` elements to a larger array."""
    grown = np.empty(size, array.dtype)
    grown[:n] = array[:n]
    return grown


def _woven(mine: np.ndarray, cuts: list[int], theirs: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Put pieces of `theirs`, which end at ``ends[1:]``, at the places `cuts` of `mine`."""
    stops = ends.tolist()
    mine_between = [mine[start:stop] for start, stop in itertools.pairwise([0, *cuts])]
    pieces = [theirs[start:stop] for start, stop in itertools.pairwise(stops)]
    return np.concatenate([*itertools.chain.from_iterable(zip(mine_between, pieces, strict=True)), mine[cuts[-1] :]])


def _objects(elements: list[Any]) -> np.ndarray:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array
