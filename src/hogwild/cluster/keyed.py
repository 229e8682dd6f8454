"""What all stores of a shard share: rows named by key sets, versions of rows, reading what has changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.cluster.deltas import Delta, Request, Values
from hogwild.cluster.keys import CACHE_BYTES, KeyCache
from hogwild.cluster.layout import Layout
from hogwild.cluster.store_kernels import count_changed, first_not_finite, list_changed, mark
from hogwild.compiled import aligned_zeros

_EXPONENTS = {4: (np.uint32, 0x7F80_0000), 8: (np.uint64, 0x7FF0_0000_0000_0000)}
_NO_ROWS = np.empty(0, np.uint32)
LARGEST_HALF = 65_504.0


class Rows:
    """Rows of a shard's table that a payload names.

    `rows` ascend; `whole` says that they are `n` consecutive ones from `first` on.
    """

    __slots__ = ("first", "n", "rows", "whole")

    def __init__(self, rows: np.ndarray | None, first: int, n: int) -> None:
        self.rows, self.whole = (_NO_ROWS, True) if rows is None else (rows, False)
        self.first, self.n = np.uint64(first), np.uint64(n)

    @property
    def where(self) -> tuple[np.ndarray, bool, np.uint64]:
        """What kernels take."""
        return self.rows, self.whole, self.first

    def split(self, row: int) -> tuple[Rows, Rows]:
        """Rows below `row`, and the others."""
        if self.whole:
            below = int(np.clip(row - int(self.first), 0, int(self.n)))
            return Rows(None, int(self.first), below), Rows(None, int(self.first) + below, int(self.n) - below)
        below = int(np.searchsorted(self.rows, row))
        return Rows(self.rows[:below], 0, below), Rows(self.rows[below:], 0, int(self.n) - below)


class KeyedStore:
    """Values of keys low..high, behind `protocol.Store`; subclasses say what a push does to them.

    Attributes
    ----------
    layout : Layout
    low, high : int
    version : int
        Pushes applied.
    """

    def __init__(self, layout: Layout, low: int, high: int, values: Any = None, cache_bytes: int = CACHE_BYTES) -> None:
        if not 0 <= low <= high <= layout.n_keys:
            raise ValueError(f"a shard holds keys within 0..{layout.n_keys}, found {low}..{high}")
        self.layout, self.low, self.high = layout, low, high
        self.version = 0
        self._dtype = np.dtype(layout.dtype)
        self._width = np.uint64(layout.width)
        self._table = aligned_zeros((high - low) * layout.width, self._dtype)
        if values is not None:
            self._table[:] = np.asarray(values).reshape(-1)
        self._changed = np.zeros(high - low, np.uint32)
        self._cache = KeyCache(low, high, cache_bytes)

    def missing(self, push: Delta | None, pull: Request | None) -> tuple[int, ...]:
        """Ids of key sets that are named without being spelled, and not known."""
        return self._cache.missing(push, pull)

    def spelled(self, payload: Any) -> Any:
        """Return a push or a pull with its keys: for a copy of this shard, or to keep it until it is read."""
        return payload._replace(keys=self._cache.spelled(payload.keys))

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self._arrays().values())

    # -------------------------------------------------------------------------------------------- payloads

    def _rows(self, push: Delta) -> Rows:
        rows = self._cache.rows(push.keys)
        positions = push.positions
        if positions is not None:
            size = self.high - self.low if rows is None else len(rows)
            if len(positions) and int(positions[-1]) >= size:
                raise ValueError(f"a push names position {int(positions[-1])} of a key set of {size}")
            rows = positions if rows is None else rows[positions]
        found = Rows(rows, 0, self.high - self.low if rows is None else len(rows))
        if push.values.shape != (int(found.n), self.layout.width):
            raise ValueError(
                f"a push brings values of shape {push.values.shape}, expected {(int(found.n), self.layout.width)}"
            )
        return found

    def _numbers(self, array: np.ndarray, rows: Rows, what: str) -> np.ndarray:
        """Flat array of the table's precision, all finite."""
        flat = np.ascontiguousarray(array, self._dtype).reshape(-1)
        integer, mask = _EXPONENTS[self._dtype.itemsize]
        at = first_not_finite(flat.view(integer), integer(mask))
        if at >= 0:
            row, column = divmod(int(at), self.layout.width)
            key = self.low + int(rows.first + np.uint64(row) if rows.whole else rows.rows[row])
            raise ValueError(f"a push brings {what} of {flat[at]} for key {key}, column {column}")
        return flat

    def _mark(self, rows: Rows) -> None:
        self.version += 1
        mark(self._changed, *rows.where, rows.n, np.uint32(self.version))

    # -------------------------------------------------------------------------------------------- reading

    def read(self, pull: Request) -> Values:
        """Return the values of the key set, or of those of its keys that have changed since the version asked for."""
        rows = self._cache.rows(pull.keys)
        n = self.high - self.low if rows is None else len(rows)
        positions = self._positions(rows, n, pull.since)
        if positions is None:
            found = Rows(rows, 0, n)
        else:
            found = Rows(positions if rows is None else rows[positions], 0, len(positions))
        values = self._read(found).reshape(-1, self.layout.width)
        if pull.half and (not values.size or np.abs(values).max() <= LARGEST_HALF):
            values = values.astype(np.float16)
        log_scale, owed = self._sums()
        return Values(positions, values, self.version, log_scale, owed)

    def _positions(self, rows: np.ndarray | None, n: int, since: int) -> np.ndarray | None:
        if not 0 <= since <= self.version:  # a version of another life of this shard
            return None
        where = (_NO_ROWS, True) if rows is None else (rows, False)
        n_changed = int(count_changed(self._changed, *where, np.uint32(since)))
        row_bytes = self.layout.width * self._dtype.itemsize
        if n_changed * (4 + row_bytes) >= n * row_bytes:
            return None
        positions = np.empty(n_changed, np.uint32)
        list_changed(self._changed, *where, np.uint32(since), positions)
        return positions

    def _read(self, rows: Rows) -> np.ndarray:
        raise NotImplementedError

    def _sums(self) -> tuple[float, float]:
        return 0.0, 0.0

    # -------------------------------------------------------------------------------------------- state

    def _arrays(self) -> dict[str, np.ndarray]:
        """The arrays that make up the state, by name."""
        return {"table": self._table, "changed": self._changed}

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return everything but the cache of key sets, as copies."""
        return {name: array.copy() for name, array in self._arrays().items()} | {
            "range": np.array([self.low, self.high, self.layout.width], np.int64),
            "version": np.array([self.version], np.int64),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        found, expected = np.asarray(state["range"]).tolist(), [self.low, self.high, self.layout.width]
        if found != expected:
            raise ValueError(
                f"the snapshot holds keys {found[0]}..{found[1]} with {found[2]} numbers each, expected "
                f"{expected[0]}..{expected[1]} with {expected[2]}"
            )
        for name, array in self._arrays().items():
            array[...] = state[name]
        self.version = int(state["version"][0])
