"""Rows straight from MessagePack, by rules that are simple enough: several times as fast as by Python's objects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from secrets import randbits
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.online.features import packed_kernels as kernels
from hogwild.online.features.slots import Book
from hogwild.online.methods import LABELED, SCORED
from hogwild.online.packed import Packed
from hogwild.online.wire import DATUM

if TYPE_CHECKING:
    from hogwild.online.features.converter import Converter

ITEMS = {kernels.DATA: DATUM, kernels.LABELLED: LABELED.item, kernels.SCORED: SCORED}
NAMES = 1 << 20  # that a table keeps, beside twice those of the vocabulary


def packed_items(data: bytes, at: int, kind: int) -> Packed | None:
    """Return the list that begins there, or None where it is not one of items of that kind with texts and numbers only.

    Parameters
    ----------
    data : bytes
    at : int
    kind : int
        One of `packed_kernels.DATA`, `LABELLED`, `SCORED`.
    """
    letters = np.frombuffer(data, np.uint8)
    count, at = kernels.list_at(letters, at)
    if not 0 <= count <= len(data):
        return None
    ends = np.empty(count + 1, np.int64)
    return Packed(data, ends, ITEMS[kind]) if kernels.scan(letters, at, kind, ends) else None


def packs(converter: Converter, **kinds: int) -> dict[str, Callable[[bytes, int], Packed | None]]:
    """Return what makes items of a call's bytes and the place of their list, by the call's name: see `Driver`."""
    if not converter.takes_packed:
        return {}
    return {name: partial(packed_items, kind=kind) for name, kind in kinds.items()}


def targets_of(items: Packed) -> np.ndarray:
    """Return the numbers that items of a number and a datum begin with."""
    letters = np.frombuffer(items.data, np.uint8)
    return letters[items.ends[:-1, None] + np.arange(2, 10)].view(">f8")[:, 0].astype(np.float64)


class Table(NamedTuple):
    """Names by their hashes: `packed_kernels` looks them up and adds them."""

    entries: np.ndarray  # int64, 8 each
    letters: np.ndarray
    used: np.ndarray  # names, letters, pending names, texts so far; a secret


def make_table(places: int, letters: int) -> Table:
    """Return an empty table with room for half as many names as places (a power of 2)."""
    used = np.array([0, 0, 0, 0, randbits(63)], np.int64)
    return Table(aligned_zeros((places, 8), np.int64), np.zeros(letters, np.uint8), used)


class Parsed(NamedTuple):
    """Rows with duplicates, as `Merger.merged` takes them, and their labels, if they have any."""

    ends: np.ndarray
    slots: np.ndarray
    values: np.ndarray
    labels: list[str]


class PackedRows:
    """Looks up names without making them.

    Parameters
    ----------
    book : Book
        Where new names get their slots.
    number : callable or None
        The name of a number's feature, by its key; None where it has none.
    text : callable
        For a text's key how it is split (`packed_kernels.WHOLE`, `WORDS_ONCE`, `WORDS`, `OTHER`) and the ending of its
        words' names, or None.
    """

    def __init__(
        self,
        book: Book,
        number: Callable[[str], str | None] | None,
        text: Callable[[str], tuple[int, str] | None],
    ) -> None:
        self._book, self._number, self._text = book, number, text
        self.clear()

    def clear(self) -> None:
        """Forget all slots."""
        self._table = make_table(1 << 12, 1 << 15)
        self._modes, self._work = np.zeros(64, np.int64), np.zeros((3, 64), np.int64)
        self._keys: list[tuple[str, str]] = []  # of texts, with the endings of their words
        self._labels: list[str] = []

    def parse(self, items: Packed, kind: int) -> Parsed | None:
        """Return rows of slots; None where the rules for one of their keys are not simple enough.

        Raises
        ------
        ValueError
            A key is none; names may have been given slots.
        """
        data, count = np.frombuffer(items.data, np.uint8), len(items)
        room = int(items.ends[-1] - items.ends[0]) // 2 + 2
        pending, slots, values = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        ends, labels = np.empty(count, np.int64), np.empty(count, np.int64)
        if self._table.used[0] > NAMES + 2 * len(self._book):
            self.clear()
        while True:
            how, size = kernels.parse(
                data, items.ends, kind, self._table, self._modes, self._work, pending, ends, slots, values, labels
            )
            self._resolve(pending)
            if how == kernels.STRANGE:
                return None
            if how == kernels.DONE:
                break
            if how == kernels.FULL:
                self._grow()
        kernels.settle(slots, size, self._table, pending)
        if kind == kernels.LABELLED:
            kernels.settle(labels, count, self._table, pending)
        names = [self._labels[label] for label in labels.tolist()] if kind == kernels.LABELLED else []
        return Parsed(ends, slots[:size], values[:size], names)

    def _resolve(self, pending: np.ndarray) -> None:
        """Find out what the new names are."""
        table = self._table
        count = int(table.used[2])
        table.used[2] = 0
        places = pending[:count]
        _, groups, starts, lengths, *_ = table.entries[places].T
        spans = zip(groups.tolist(), starts.tolist(), (starts + lengths).tolist(), strict=True)
        letters = table.letters[: table.used[1]].tobytes() if count > 16 else table.letters
        try:
            found = [
                self._value(group, bytes(letters[start:end]).decode("utf-8", "surrogateescape"))
                for group, start, end in spans
            ]
        except BaseException:
            self.clear()
            raise
        table.entries[places, kernels.VALUE] = found

    def _value(self, group: int, name: str) -> int:
        if group == kernels.LABELS:
            self._labels.append(name)
            return len(self._labels) - 1
        if group == kernels.TEXT_KEYS:
            return self._new_key(name)
        if group == kernels.NUMBERS:
            feature = self._number(name) if self._number else None
            if feature is None:
                return kernels.SKIPPED
        else:
            key, ending = self._keys[group - 1]
            feature = f"{key}${name}{ending}"
        slot = self._book.slot(self._book.final(feature))
        return slot if slot >= 0 else kernels.UNKNOWN

    def _new_key(self, key: str) -> int:
        found = self._text(key)
        if found is None:
            return kernels.SKIPPED
        number = len(self._keys)
        if number == len(self._modes):
            self._modes = np.concatenate([self._modes, np.zeros(number, np.int64)])
        self._modes[number] = found[0]
        self._keys.append((key, found[1]))
        return number

    def _grow(self) -> None:
        old = self._table
        crowded = 2 * (old.used[0] + 1) > len(old.entries)
        self._table = make_table(len(old.entries) << int(crowded), max(2 * len(old.letters), 1 << 15))
        kernels.rehash(old, self._table)
