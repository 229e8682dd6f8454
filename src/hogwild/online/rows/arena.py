"""Where rows are kept: arrays that only grow at their ends, until what is no longer needed is left out of a copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

SEARCHED, UNCUT, FRESH = 1, 2, 4  # found by searches; changed since the last cut; unknown to the master part
REMOVED = -1  # length of a row that stands for a removed one
_ROWS, _ENTRIES = 1024, 65_536  # below that nothing is worth a copy

_COLUMNS = {
    "starts": np.int64,
    "lengths": np.int64,
    "clocks": np.int64,
    "owners": np.int64,
    "norms": np.float64,
    "flags": np.uint8,
}


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """Return an array of at least that many rows: itself, or a copy of twice the size."""
    if len(array) >= size:
        return array
    grown = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the places of all entries of rows, row after row."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


class Arena:
    """Rows by number. A row's content never changes: a changed row is another one, with another number.

    Parameters
    ----------
    words : int
        Words of 64 bits in each row's signature.

    Attributes
    ----------
    names, marks : list
        By number.
    starts, lengths, clocks, owners, norms, flags, codes : ndarray
        By number, with room at their ends.
    slots, values : ndarray
        Entries, with room at their ends.
    size, used : int
        How many rows and entries there are.
    generation : int
        Grows when rows get new numbers.
    """

    def __init__(self, words: int = 0) -> None:
        self.names: list[str] = []
        self.marks: list[Any] = []
        for column, dtype in _COLUMNS.items():
            setattr(self, column, np.zeros(16, dtype))
        self.codes = np.zeros((16, words), np.uint64)
        self.slots, self.values = np.zeros(256, np.uint32), np.zeros(256)
        self.size = self.used = self.generation = 0
        self._dropped_rows = self._dropped_entries = 0

    def clear(self) -> None:
        """Forget all rows."""
        generation = self.generation + 1
        self.__init__(self.codes.shape[1])
        self.generation = generation

    def add(
        self,
        names: Sequence[str],
        lengths: np.ndarray,
        slots: np.ndarray,
        values: np.ndarray,
        clocks: np.ndarray | int,
        owners: np.ndarray | int,
        marks: Sequence[Any],
        flags: int,
    ) -> int:
        """Add rows, whose entries follow each other; return the first one's number."""
        first, last, end = self.size, self.size + len(names), self.used + len(slots)
        for column in (*_COLUMNS, "codes"):
            setattr(self, column, _grown(getattr(self, column), last))
        self.slots, self.values = _grown(self.slots, end), _grown(self.values, end)
        new = slice(first, last)
        self.slots[self.used : end], self.values[self.used : end] = slots, values
        held = np.maximum(lengths, 0)
        ends = np.cumsum(held)
        self.starts[new], self.lengths[new] = self.used + ends - held, lengths
        with np.errstate(over="ignore"):  # a row that is infinitely long is not found
            rows = [values] if len(names) == 1 else np.split(values, ends[:-1]) if names else []
            self.norms[new] = [math.sqrt(row @ row) for row in rows]
        self.clocks[new], self.owners[new], self.flags[new] = clocks, owners, flags
        self.codes[new] = 0
        self.names.extend(names)
        self.marks.extend(marks)
        self.size, self.used = last, end
        return first

    def entries(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a row's slots and values, to read only."""
        start = self.starts[row]
        place = slice(start, start + max(self.lengths[row], 0))
        return self.slots[place], self.values[place]

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the slots and values of rows, row after row."""
        places = ranges(self.starts[rows], np.maximum(self.lengths[rows], 0))
        return self.slots[places], self.values[places]

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        columns = (*_COLUMNS, "codes", "slots", "values")
        return sum(getattr(self, column).nbytes for column in columns)

    def drop(self, row: int) -> None:
        """Note that a row is no longer needed."""
        self.flags[row] = 0
        self._dropped_rows += 1
        self._dropped_entries += max(int(self.lengths[row]), 0)

    @property
    def wasteful(self) -> bool:
        """Whether more is no longer needed than is."""
        rows, entries = self._dropped_rows, self._dropped_entries
        return 2 * rows > self.size + _ROWS or 2 * entries > self.used + _ENTRIES

    def keep(self, rows: np.ndarray) -> None:
        """Leave all rows but those out; the k-th of them has number k from now on."""
        slots, values = self.gather(rows)
        lengths = np.maximum(self.lengths[rows], 0)
        self.names = [self.names[row] for row in rows.tolist()]
        self.marks = [self.marks[row] for row in rows.tolist()]
        for column in (*_COLUMNS, "codes"):
            setattr(self, column, getattr(self, column)[rows])
        self.starts = np.cumsum(lengths) - lengths
        self.slots, self.values = slots, values
        self.size, self.used, self.generation = len(rows), len(slots), self.generation + 1
        self._dropped_rows = self._dropped_entries = 0
