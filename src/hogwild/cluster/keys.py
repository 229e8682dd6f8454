"""Key sets: ids by content, what a shard remembers of them, and keys split by shard."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np

from hogwild.cluster.deltas import ALL, KeySet

CACHE_BYTES = 1 << 28  # of key sets that a shard remembers


class UnknownKeysError(LookupError):
    """A key set was named by an id that the store does not know (any more); `missing` would have said so."""

    def __init__(self, number: int) -> None:
        super().__init__(f"key set {number:#018x} is not known here: its keys have to be spelled")
        self.id = number


def key_set(keys: np.ndarray, low: int, high: int) -> KeySet:
    """Name ascending keys of the range low..high; all of them are the key set `ALL`.

    Parameters
    ----------
    keys : ndarray of uint32, shape (n,)
        Ascending, without repetition.
    low, high : int
        Range of the shard.

    Returns
    -------
    KeySet
        The same keys have the same id wherever it is computed.

    Examples
    --------
    >>> key_set(np.arange(4, 8, dtype=np.uint32), 4, 8)
    KeySet(id=0, keys=None)
    >>> key_set(np.array([5, 7], np.uint32), 4, 8).id == key_set(np.array([5, 7], np.uint32), 0, 9).id
    True
    """
    if len(keys) == high - low:
        return KeySet(ALL)
    keys = np.ascontiguousarray(keys, np.uint32)
    # 64 bits: among a million key sets two share an id with probability 3e-8
    return KeySet(int.from_bytes(blake2b(keys.data, digest_size=8).digest(), "little") or 1, keys)


class KeyCache:
    """The key sets that a shard of keys low..high knows; the least recently used go first.

    Parameters
    ----------
    low, high : int
    limit : int
        Bytes of keys that are kept; the last set that was learnt always is.
    """

    def __init__(self, low: int, high: int, limit: int = CACHE_BYTES) -> None:
        self._low, self._high, self._limit = low, high, limit
        self._keys: OrderedDict[int, np.ndarray] = OrderedDict()
        self._size = 0

    def learn(self, keys: KeySet) -> bool:
        """Remember a key set that is spelled, use one that is not; returns whether it is known now."""
        if keys.id == ALL:
            return True
        if keys.id in self._keys:
            self._keys.move_to_end(keys.id)
            return True
        if keys.keys is None:
            return False
        spelled = self._keys[keys.id] = self._checked(keys.keys)
        self._size += spelled.nbytes
        while self._size > self._limit and len(self._keys) > 1:
            self._size -= self._keys.popitem(last=False)[1].nbytes
        return True

    def missing(self, *payloads: Any) -> tuple[int, ...]:
        """Ids that `payloads` (a push, a pull or None each) name and that are not known; learns what they spell."""
        named = [payload.keys for payload in payloads if payload is not None]
        known = [self.learn(keys) for keys in named]
        return tuple(dict.fromkeys(keys.id for keys, is_known in zip(named, known, strict=True) if not is_known))

    def rows(self, keys: KeySet) -> np.ndarray | None:
        """Rows of the table that a key set names, ascending; None: all of them.

        Raises
        ------
        UnknownKeysError
            Where only its id is given, and is not known.
        """
        if keys.id == ALL:
            return None
        spelled = self.spelled(keys).keys
        return spelled - np.uint32(self._low) if self._low else spelled

    def spelled(self, keys: KeySet) -> KeySet:
        """Return the key set with its keys; no copy."""
        if keys.id == ALL:
            return keys
        if not self.learn(keys):
            raise UnknownKeysError(keys.id)
        return KeySet(keys.id, self._keys[keys.id])

    def _checked(self, keys: np.ndarray) -> np.ndarray:
        keys = np.asarray(keys)
        if keys.dtype != np.uint32 or keys.ndim != 1:
            raise ValueError(f"keys must be a vector of uint32, found {keys.dtype} of shape {keys.shape}")
        if len(keys) and not (self._low <= keys[0] and keys[-1] < self._high):
            raise ValueError(f"keys must lie in {self._low}..{self._high - 1}, found {int(keys[0])} to {int(keys[-1])}")
        if len(keys) > 1 and not (keys[1:] > keys[:-1]).all():
            at = int(np.argmin(keys[1:] > keys[:-1]))
            raise ValueError(f"keys must ascend, found {int(keys[at + 1])} after {int(keys[at])}")
        return np.array(keys)  # what comes in a message may be a view of its memory


def split_keys(keys: np.ndarray, cuts: np.ndarray) -> list[np.ndarray]:
    """Split ascending keys at the cuts of the shards (shard k holds keys ``cuts[k]`` to ``cuts[k + 1] - 1``).

    Examples
    --------
    >>> [part.tolist() for part in split_keys(np.array([1, 4, 5, 9], np.uint32), np.array([0, 4, 6, 10]))]
    [[1], [4, 5], [9]]
    """
    places = np.searchsorted(keys, cuts)
    return [keys[start:stop] for start, stop in pairwise(places)]
