"""The keys of JSON objects as the compiled reader finds them: a table from their bytes to what becomes of their values.

What a key means depends on patterns, which are matched once, in Python: the reader leaves lines with keys that are not
in its table to Python, which makes a new table with these. A key is found by its own bytes and the number of the key
whose object it is in.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.data.columns import Columns, matches
from hogwild.data.hashing import hash_names
from hogwild.data.hashing_kernel import begin_all
from hogwild.data.jsonl_plain import IGNORED, LABEL, WEIGHT, kind_of
from hogwild.data.numerals import PADDING, load_word

ROOT = 0  # number of the "key" whose object the line is
DECLINED = 6  # kind of a key whose values are left to Python, beside those of jsonl_plain
_MOST_KEYS, _MOST_PAIRS = 1 << 16, 1 << 16  # pairs are looked through for each row

_0, _1, _8 = (np.uint64(i) for i in (0, 1, 8))
_32, _56 = np.uint64(32), np.uint64(56)
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Table(NamedTuple):
    """Keys by their numbers, from 1 on; row 0 of each array means nothing."""

    slots: np.ndarray  # uint32: numbers of keys by their hashes, 0 for none
    parents: np.ndarray  # uint64
    text: np.ndarray  # uint8: the keys' own bytes
    ends: np.ndarray  # uint64: those of key k end at ``ends[k]``
    kinds: np.ndarray  # uint8
    states: np.ndarray  # uint32: hash of the whole words of ``path=``
    rests: np.ndarray  # uint64: the 0 to 3 bytes behind these
    lengths: np.ndarray  # uint64: bytes of ``path=``
    hashes: np.ndarray  # uint32: hash of ``path``
    missing: np.ndarray  # uint32: hash of ``path=``
    pairs: np.ndarray  # uint64, shape (n_pairs, 2): keys to be crossed


@inlined
def _hash(text, start, stop, parent):
    h, p = (parent + (stop - start)) * _ODD, start
    while p + _8 <= stop:
        h = (h ^ load_word(text, p)) * _ODD
        h ^= h >> _32
        p += _8
    h = (h ^ (load_word(text, p) & ((_1 << ((stop - p) * _8)) - _1))) * _ODD
    return h ^ (h >> _32)


@inlined
def _same(text, p, other, q, length):
    """Whether `length` bytes from `p` are those of `other` from `q`; both are readable for 8 bytes behind."""
    while length >= _8:
        if load_word(text, p) != load_word(other, q):
            return False
        p, q, length = p + _8, q + _8, length - _8
    return (load_word(text, p) ^ load_word(other, q)) & ((_1 << (length * _8)) - _1) == _0


@inlined
def find(table, text, start, stop, parent):
    """Number of the key ``text[start:stop]`` in an object under the key `parent`, 0 if it is not in the table."""
    mask = np.uint64(table.slots.size) - _1
    slot = _hash(text, start, stop, parent) & mask
    while True:
        key = np.uint64(table.slots[slot])
        if key == _0:
            return key
        first = table.ends[key - _1]
        if (
            table.parents[key] == parent
            and table.ends[key] - first == stop - start
            and _same(text, start, table.text, first, stop - start)
        ):
            return key
        slot = (slot + _1) & mask


@kernel
def _fill(slots, parents, text, ends):
    mask = np.uint64(slots.size) - _1
    for key in range(_1, np.uint64(ends.size)):
        slot = _hash(text, ends[key - _1], ends[key], parents[key]) & mask
        while slots[slot] != 0:
            slot = (slot + _1) & mask
        slots[slot] = np.uint32(key)


class Keys:
    """The keys that are known so far. Never changed: `extended` makes another one."""

    def __init__(self, columns: Columns, prefixes: Mapping[str, str]) -> None:
        self.columns = columns
        self.prefixes = prefixes  # the part of each key that is given by the objects around it
        numbers = {path: key for key, path in enumerate(prefixes, 1)}
        parents = [ROOT] + [numbers[prefix[:-1]] if prefix else ROOT for prefix in prefixes.values()]
        own = [b""] + [path[len(prefix) :].encode() for path, prefix in prefixes.items()]
        kinds = [DECLINED] + [self._kind(path) for path in prefixes]
        names = [b""] + [path.encode() for path in prefixes]
        begun = [name + b"=" for name in names]
        lengths = np.array([len(name) for name in begun], np.uint64)
        states, rests = np.empty(len(names), np.uint32), np.empty(len(names), np.uint64)
        begin_all(np.frombuffer(b"".join(begun) + bytes(8), np.uint8), np.cumsum(lengths), states, rests)
        self.table = Table(
            np.zeros(1 << (2 * len(names)).bit_length(), np.uint32),
            np.array(parents, np.uint64),
            np.frombuffer(b"".join(own) + bytes(PADDING), np.uint8),
            np.cumsum([len(key) for key in own], dtype=np.uint64),
            np.array(kinds, np.uint8),
            states,
            rests,
            lengths,
            hash_names(names),
            hash_names(begun),
            np.array(self._pairs(numbers), np.uint64).reshape(-1, 2),
        )
        _fill(self.table.slots, self.table.parents, self.table.text, self.table.ends)

    def __len__(self) -> int:
        """Number of keys."""
        return len(self.prefixes)

    @property
    def patience(self) -> int:
        """Lines with other keys that come before a larger table is made: so each of them costs much the same."""
        return max(1, len(self) // 8)

    def extended(self, prefixes: Mapping[str, str]) -> Keys:
        """Return the keys with others, or themselves if these are known, too many, or no text in UTF-8."""
        joined = dict(self.prefixes)
        for path, prefix in prefixes.items():
            # A path that comes in two ways, {"a.b": 1} and {"a": {"b": 1}}, is known in one of them only.
            if path not in joined and (not prefix or prefix[:-1] in joined) and _is_text(path):
                joined[path] = prefix
        if len(joined) == len(self) or len(joined) > _MOST_KEYS:
            return self
        keys = Keys(self.columns, joined)
        return keys if len(keys.table.pairs) <= _MOST_PAIRS else self

    def _kind(self, path: str) -> int:
        # A key that is itself a pattern of crosses stands for itself alone, but only in rows that have it.
        pattern = ("*" in path or "?" in path) and any(path in pair for pair in self.columns.crosses)
        return DECLINED if pattern else kind_of(path, self.columns)

    def _pairs(self, numbers: dict[str, int]) -> list[tuple[int, int]]:
        """Keys that are crossed, each pair once, in the order in which a row's crosses are written."""
        features = sorted(path for path in numbers if self._kind(path) not in (IGNORED, LABEL, WEIGHT))
        pairs: dict[tuple[int, int], tuple[int, int]] = {}
        for patterns in self.columns.crosses:
            left, right = ([numbers[path] for path in features if matches(path, (side,))] for side in patterns)
            for a in left:
                for b in right:
                    if a != b:
                        pairs.setdefault((min(a, b), max(a, b)), (a, b))
            if len(pairs) > _MOST_PAIRS:
                break
        return list(pairs.values())


def _is_text(path: str) -> bool:
    """Whether a key can be written as UTF-8: escapes can make half a character of it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class Learned:
    """The keys of all parts so far that were read with the same columns; several threads may add to it."""

    def __init__(self, columns: Columns) -> None:
        self.keys = Keys(columns, {})
        self.strangers = 0  # lines with other keys since then, more or less: threads do not wait for each other

    def extend(self, prefixes: Mapping[str, str]) -> Keys:
        """Add keys; returns all. One of two threads that do so at once may lose its own: they come again."""
        self.keys, self.strangers = self.keys.extended(prefixes), 0
        return self.keys


@functools.lru_cache(16)
def learned(columns: Columns) -> Learned:
    """The keys learned for these columns."""
    return Learned(columns)
