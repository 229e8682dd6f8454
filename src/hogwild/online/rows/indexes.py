"""How rows are found: by all their features, or by short signatures."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple, Protocol

import numpy as np

from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows import kernels
from hogwild.online.rows.arena import SEARCHED
from hogwild.online.rows.mixing import RowTable
from hogwild.online.rows.unlearning import Unlearner

NONE = -np.inf  # score of a row that is not found
_TAIL = 8192  # entries that are walked row by row before they are sorted by feature
_ROUNDING = 4 * np.finfo(float).eps


class Features(NamedTuple):
    """What is looked for.

    Attributes
    ----------
    slots, values : ndarray
        Features that rows may have.
    norm : float
        Length, with the features that no row has.
    code : ndarray of uint64
        Signature.
    """

    slots: np.ndarray
    values: np.ndarray
    norm: float
    code: np.ndarray


class Index(Protocol):
    """Rows, and how similar they are to others.

    Attributes
    ----------
    table : RowTable
    """

    table: RowTable

    def features(self, named: Iterable[tuple[str, float]]) -> Features:
        """Return what to look for, given names and values; the names need not be known."""
        ...

    def features_of(self, row: int) -> Features:
        """Return what to look for, given a row's number."""
        ...

    def features_at(self, slots: np.ndarray, values: np.ndarray) -> Features:
        """Return what to look for, given known features."""
        ...

    def scores(self, features: Features) -> np.ndarray:
        """Return all rows' similarities, by number; `NONE` where a row is not found."""
        ...

    def distance(self, score: float) -> float:
        """Return the distance that a similarity stands for."""
        ...


def nearest(index: Index, features: Features, count: int, without: str | None = None) -> list[tuple[str, float]]:
    """Return names and similarities of the most similar rows, the most similar first; of equal ones by name."""
    scores = index.scores(features)
    if without is not None:
        scores[index.table.live[without]] = NONE
    found = np.flatnonzero(scores > NONE)
    if count < len(found):
        few = scores[found]
        found = found[few >= np.partition(few, len(few) - count)[len(few) - count]] if count else found[:0]
    names = index.table.arena.names
    ordered = sorted((-score, names[row]) for row, score in zip(found.tolist(), scores[found].tolist(), strict=True))
    return [(name, -score) for score, name in ordered[:count]]


def _split(named: Iterable[tuple[str, float]]) -> tuple[list[str], np.ndarray]:
    named = list(named)
    return [name for name, _ in named], np.array([value for _, value in named], np.float64)


class InvertedIndex:
    """Cosines or distances by lists of the rows that have a feature. Rows without features are not found.

    Rows that came after the lists were made are walked one by one; when they hold an eighth of all entries, the lists
    are made anew.

    Parameters
    ----------
    vocabulary : Vocabulary
    node : str
    unlearner : Unlearner, optional
    euclid : bool
        Similarity is minus the distance; else the cosine, and rows where it is 0 are not found.
    ignore_orthogonal : bool
        With distances too, rows that share no feature are not found.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        node: str = "",
        unlearner: Unlearner | None = None,
        *,
        euclid: bool = False,
        ignore_orthogonal: bool = False,
    ) -> None:
        self.table = RowTable(vocabulary, node, unlearner=unlearner)
        self._vocabulary, self._euclid, self._all = vocabulary, euclid, euclid and not ignore_orthogonal
        self._generation, self._rows, self._entries = -1, 0, 0
        self._query = np.zeros(0)

    def features(self, named: Iterable[tuple[str, float]]) -> Features:
        """See `Index`."""
        names, values = _split(named)
        slots = np.array([self._vocabulary.find(name) for name in names], np.int64)
        known = slots >= 0
        return Features(slots[known].astype(np.uint32), values[known], float(np.sqrt(values @ values)), _NO_CODE)

    def features_of(self, row: int) -> Features:
        """See `Index`."""
        return Features(*self.table.arena.entries(row), float(self.table.arena.norms[row]), _NO_CODE)

    def features_at(self, slots: np.ndarray, values: np.ndarray) -> Features:
        """See `Index`."""
        return Features(slots, values, float(np.sqrt(values @ values)), _NO_CODE)

    def distance(self, score: float) -> float:
        """See `Index`."""
        return -score if self._euclid else 1.0 - score

    def scores(self, features: Features) -> np.ndarray:
        """See `Index`."""
        arena = self.table.arena
        products = self._products(features)
        norms, lengths = arena.norms[: arena.size], arena.lengths[: arena.size]
        found = ((arena.flags[: arena.size] & SEARCHED) != 0) & (lengths > 0)
        if not self._all:
            found &= products != 0
        with np.errstate(all="ignore"):
            if self._euclid:
                squares = norms * norms + features.norm**2
                rest = squares - 2 * products
                scores = -np.sqrt(np.where(rest > _ROUNDING * squares, rest, 0.0))
            else:
                scores = products / (norms * features.norm)
        return np.where(found & ~np.isnan(scores), scores, NONE)

    def _products(self, features: Features) -> np.ndarray:
        arena = self.table.arena
        if self._generation != arena.generation or arena.used - self._entries > max(_TAIL, self._entries // 8):
            self._sort()
        products = np.zeros(arena.size)
        slots, values = features.slots.copy(), features.values.copy()
        kernels.add_columns(slots, values, self._columns, self._column_rows, self._column_values, products)
        if self._rows < arena.size:
            if len(self._query) < len(self._vocabulary.names):
                self._query = np.zeros(2 * len(self._vocabulary.names))
            self._query[slots] = values
            kernels.add_rows(self._rows, *self._stored(), self._query, products)
            self._query[slots] = 0.0
        return products

    def _stored(self) -> tuple[np.ndarray, ...]:
        arena = self.table.arena
        return arena.starts[: arena.size], arena.lengths[: arena.size], arena.slots, arena.values

    def _sort(self) -> None:
        arena = self.table.arena
        starts, lengths, slots, values = self._stored()
        self._columns = np.zeros(len(self._vocabulary.names) + 1, np.uint64)
        kernels.count_columns(starts, lengths, slots, self._columns)
        entries = int(self._columns[-1])
        self._column_rows, self._column_values = np.zeros(entries, np.uint32), np.zeros(entries)
        places = self._columns.copy()
        kernels.fill_columns(starts, lengths, slots, values, places, self._column_rows, self._column_values)
        self._generation, self._rows, self._entries = arena.generation, arena.size, arena.used


_NO_CODE = np.zeros(0, np.uint64)


class HashIndex:
    """Similarities by signatures of some bits.

    Parameters
    ----------
    vocabulary : Vocabulary
    node : str
    unlearner : Unlearner, optional
    method : {"lsh", "minhash", "euclid_lsh"}
        Random planes (cosine), minwise hashing (common features), or random planes and the rows' lengths (distance).
    hash_num : int
        Number of bits.
    """

    def __init__(
        self, vocabulary: Vocabulary, node: str = "", unlearner: Unlearner | None = None, *, method: str, hash_num: int
    ) -> None:
        self._vocabulary, self._method, self._bits = vocabulary, method, hash_num
        self._hashes, self._generation = np.zeros(0, np.uint64), -1
        self._cosines = np.cos(np.pi * np.arange(hash_num + 1) / hash_num)
        self.table = RowTable(vocabulary, node, sign=self._sign, unlearner=unlearner)

    def features(self, named: Iterable[tuple[str, float]]) -> Features:
        """See `Index`."""
        names, values = _split(named)
        hashes = np.array([_hash(name) for name in names], np.uint64)
        code = self._signed(np.array([0, len(values)]), hashes, values)[0]
        return Features(np.zeros(0, np.uint32), np.zeros(0), float(np.sqrt(values @ values)), code)

    def features_of(self, row: int) -> Features:
        """See `Index`."""
        arena = self.table.arena
        return Features(*arena.entries(row), float(arena.norms[row]), arena.codes[row])

    def features_at(self, slots: np.ndarray, values: np.ndarray) -> Features:
        """See `Index`."""
        code = self._sign(np.array([0, len(slots)]), slots, values)[0]
        return Features(slots, values, float(np.sqrt(values @ values)), code)

    def distance(self, score: float) -> float:
        """See `Index`."""
        return -score if self._method == "euclid_lsh" else 1.0 - score

    def scores(self, features: Features) -> np.ndarray:
        """See `Index`."""
        arena = self.table.arena
        different = np.zeros(arena.size, np.int64)
        for word in range(arena.codes.shape[1]):
            different += np.bitwise_count(arena.codes[: arena.size, word] ^ features.code[word])
        if self._method == "euclid_lsh":
            norms = arena.norms[: arena.size]
            with np.errstate(all="ignore"):
                squares = norms * norms + features.norm**2 - 2 * norms * features.norm * self._cosines[different]
                scores = -np.sqrt(np.maximum(squares, 0.0))
        else:
            scores = 1.0 - different / self._bits
        found = ((arena.flags[: arena.size] & SEARCHED) != 0) & ~np.isnan(scores)
        return np.where(found, scores, NONE)

    def _sign(self, indptr: np.ndarray, slots: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return signatures of rows with known features."""
        names = self._vocabulary.names
        if self._generation != self._vocabulary.generation or len(self._hashes) < len(names):
            self._hashes, self._generation = np.zeros(2 * len(names), np.uint64), self._vocabulary.generation
        for slot in set(slots[self._hashes[slots] == 0].tolist()):
            self._hashes[slot] = _hash(names[slot])
        return self._signed(indptr, self._hashes[slots], values)

    def _signed(self, indptr: np.ndarray, hashes: np.ndarray, values: np.ndarray) -> np.ndarray:
        codes = np.zeros((len(indptr) - 1, -(-self._bits // 64)), np.uint64)
        values = np.array(values, np.float64)
        if self._method == "minhash":
            kernels.sign_minima(indptr, hashes, values, self._bits, codes)
        else:
            kernels.sign_planes(indptr, hashes, values, self._bits, np.zeros(self._bits + 1), codes)
        return codes


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")
