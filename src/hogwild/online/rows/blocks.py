"""Rows as they travel and are saved: a few arrays, in an order that only depends on what the rows are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from hogwild.online.rows.arena import REMOVED, Arena, ranges
from hogwild.online.state import packed_texts, unpacked_texts

Known = dict[str, int]  # by owner, the number of the latest of its changes


def highest(*summaries: Known) -> Known:
    """Return the highest number of each owner."""
    known: Known = {}
    for summary in summaries:
        for owner, number in summary.items():
            known[owner] = max(known.get(owner, number), number)
    return known


class Version(NamedTuple):
    """What a row is, by whom and since when: of two of a name the greater one holds.

    Attributes
    ----------
    clock : int
        Greater than that of every change that its owner knew of.
    owner : str
    removed : bool
        A row that has been removed by all servers together keeps its clock and owner.
    """

    clock: int
    owner: str
    removed: bool


class Block:
    """Rows that have left their table, each name once.

    Parameters
    ----------
    known : dict of str to int
    names : sequence of str
    versions : sequence of Version
    lengths : ndarray of int64
        Numbers of entries, `REMOVED` for removed rows.
    features : sequence of str
    codes : ndarray of uint32
        Places in `features`, row after row.
    values : ndarray of float64
    marks : sequence of str, of float, or of None
    """

    def __init__(
        self,
        known: Known,
        names: Sequence[str],
        versions: Sequence[Version],
        lengths: np.ndarray,
        features: Sequence[str],
        codes: np.ndarray,
        values: np.ndarray,
        marks: Sequence[Any],
    ) -> None:
        self.known, self.names, self.versions, self.lengths = known, names, versions, lengths
        self.features, self.codes, self.values, self.marks = features, codes, values, marks

    @classmethod
    def of(
        cls, known: Known, arena: Arena, rows: np.ndarray, owners: Sequence[str], names: Sequence[str | None]
    ) -> Block:
        """Copy rows of an arena, whose slots have those names."""
        slots, values = arena.gather(rows)
        code_of = np.zeros(len(names), np.uint32)
        code_of[slots] = 1
        used = np.flatnonzero(code_of)
        code_of[used] = np.arange(len(used))
        codes, numbers = code_of[slots], rows.tolist()
        lengths = arena.lengths[rows]
        stamps = zip(
            arena.clocks[rows].tolist(), arena.owners[rows].tolist(), (lengths == REMOVED).tolist(), strict=True
        )
        versions = [Version(clock, owners[owner], removed) for clock, owner, removed in stamps]
        features = [names[slot] for slot in used.tolist()]
        texts, marks = [arena.names[row] for row in numbers], [arena.marks[row] for row in numbers]
        return cls(dict(known), texts, versions, lengths, features, codes, values, marks)

    @classmethod
    def read(cls, packed: Mapping[str, Any]) -> Block:
        """Return what `packed` made.

        Raises
        ------
        ValueError
            The arrays do not fit each other.
        """
        try:
            names = unpacked_texts(np.asarray(packed["names"]), np.asarray(packed["name_offsets"]))
            features = unpacked_texts(np.asarray(packed["features"]), np.asarray(packed["feature_offsets"]))
            lengths, codes = np.asarray(packed["lengths"], np.int64), np.asarray(packed["codes"], np.uint32)
            values, clocks = np.asarray(packed["values"], np.float64), np.asarray(packed["clocks"], np.int64)
            owners, texts = np.asarray(packed["owners"], np.int64), list(packed["owner_names"])
            known = {str(owner): int(number) for owner, number in packed["known"].items()}
            marks = _read_marks(packed, len(names))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"these are no rows: {error!r}") from None
        held = np.maximum(lengths, 0)
        if not len(names) == len(lengths) == len(clocks) == len(owners) == len(marks) == len(set(names)):
            raise ValueError(f"rows' names, lengths, clocks, owners and marks must be as many as names: {len(names)}")
        if (lengths < REMOVED).any() or held.sum() != len(codes) or len(codes) != len(values):
            raise ValueError(f"rows' lengths do not fit {len(codes)} codes and {len(values)} values")
        if (codes >= len(features)).any() or (owners < 0).any() or (owners >= len(texts)).any():
            raise ValueError(f"rows name a feature of {len(features)} or an owner of {len(texts)} that is not there")
        if not np.isfinite(values).all():
            raise ValueError("rows hold values that are not finite")
        stamps = zip(clocks.tolist(), owners.tolist(), (lengths == REMOVED).tolist(), strict=True)
        versions = [Version(clock, texts[owner], removed) for clock, owner, removed in stamps]
        marks = [None if version.removed else mark for version, mark in zip(versions, marks, strict=True)]
        return cls(known, names, versions, lengths, features, codes, values, marks)

    def __len__(self) -> int:
        return len(self.names)

    def packed(self) -> dict[str, Any]:
        """Return what travels: rows by name, entries by feature's name, features and owners each sorted."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        rows = np.array(order, np.int64)
        lengths = self.lengths[rows]
        places = ranges(self._starts()[rows], np.maximum(lengths, 0))
        code_of = np.zeros(len(self.features), np.int64)
        code_of[self.codes[places]] = 1
        by_name = np.array(sorted(np.flatnonzero(code_of).tolist(), key=self.features.__getitem__), np.int64)
        code_of[by_name] = np.arange(len(by_name))
        indptr = np.concatenate([[0], np.cumsum(np.maximum(lengths, 0))])
        entries = csr_array((self.values[places], code_of[self.codes[places]], indptr), (len(rows), len(by_name)))
        entries.sort_indices()
        owners = sorted({version.owner for version in self.versions})
        owner_of = {owner: code for code, owner in enumerate(owners)}
        names, name_offsets = packed_texts([self.names[row] for row in order])
        features, feature_offsets = packed_texts([self.features[code] for code in by_name.tolist()])
        return {
            "known": dict(sorted(self.known.items())),
            "owner_names": owners,
            "names": names,
            "name_offsets": name_offsets,
            "features": features,
            "feature_offsets": feature_offsets,
            "lengths": lengths,
            "clocks": np.array([self.versions[row].clock for row in order], np.int64),
            "owners": np.array([owner_of[self.versions[row].owner] for row in order], np.int64),
            "codes": entries.indices.astype(np.uint32),
            "values": entries.data,
            **_packed_marks([self.marks[row] for row in order]),
        }

    def taken(self, rows: Sequence[int], slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return lengths, slots and values of some rows, where `slots` are those of the features."""
        chosen = np.array(rows, np.int64)
        places = ranges(self._starts()[chosen], np.maximum(self.lengths[chosen], 0))
        return self.lengths[chosen], slots[self.codes[places]], self.values[places]

    def _starts(self) -> np.ndarray:
        held = np.maximum(self.lengths, 0)
        return np.cumsum(held) - held


def _packed_marks(marks: list[Any]) -> dict[str, np.ndarray]:
    """Marks are all texts or all numbers, but for those of removed rows; or there are none."""
    if any(isinstance(mark, str) for mark in marks):
        letters, offsets = packed_texts([mark or "" for mark in marks])
        return {"marks": letters, "mark_offsets": offsets}
    if any(mark is not None for mark in marks):
        return {"marks": np.array([0.0 if mark is None else mark for mark in marks], np.float64)}
    return {}


def _read_marks(packed: Mapping[str, Any], count: int) -> list[Any]:
    if "mark_offsets" in packed:
        return unpacked_texts(np.asarray(packed["marks"]), np.asarray(packed["mark_offsets"]))
    return np.asarray(packed["marks"], np.float64).tolist() if "marks" in packed else [None] * count


def latest(blocks: Iterable[Block]) -> Block:
    """Return of each name the row that holds."""
    blocks = list(blocks)
    chosen: dict[str, tuple[Version, int, int]] = {}
    for place, block in enumerate(blocks):
        for row, (name, version) in enumerate(zip(block.names, block.versions, strict=True)):
            if name not in chosen or version > chosen[name][0]:
                chosen[name] = version, place, row
    codes: dict[str, int] = {}
    taken: list[list[int]] = [[] for _ in blocks]
    for _, place, row in chosen.values():
        taken[place].append(row)
    names, versions, marks, parts = [], [], [], []
    for block, rows in zip(blocks, taken, strict=True):
        slots = np.array([codes.setdefault(feature, len(codes)) for feature in block.features], np.uint32)
        parts.append(block.taken(rows, slots))
        names += [block.names[row] for row in rows]
        versions += [block.versions[row] for row in rows]
        marks += [block.marks[row] for row in rows]
    empty = np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0)
    lengths, places, values = (np.concatenate(some) for some in zip(empty, *parts, strict=True))
    known = highest(*(block.known for block in blocks))
    return Block(known, names, versions, lengths, list(codes), places, values, marks)
