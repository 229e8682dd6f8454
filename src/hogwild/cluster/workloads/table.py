"""The arrays of a model as rows of the table that shards hold, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.layout import Kind, Layout
from hogwild.compiled import kernel

_NO_ROWS = np.empty(0, np.uint32)


class Column(NamedTuple):
    """Numbers of one array that are columns of the table.

    Attributes
    ----------
    name : str
        Array of the model.
    columns : ndarray of uint32
        Which numbers of each of its rows (of arrays without a row for each feature: of the whole array).
    kinds : ndarray of uint8
        `Kind` of each.
    decays : bool
        Whether penalties act on them at the shard.
    """

    name: str
    columns: np.ndarray
    kinds: np.ndarray
    decays: bool = False


def column(name: str, columns: int | np.ndarray, kind: int, decays: bool = False) -> Column:
    """Make a `Column` of one kind; a number stands for the first so many."""
    columns = np.arange(columns) if isinstance(columns, int) else columns
    return Column(name, columns.astype(np.uint32), np.full(len(columns), kind, np.uint8), decays)


class Where(NamedTuple):
    """Which rows of a model's arrays, and which of its further keys, some keys of the table are.

    Attributes
    ----------
    rows : ndarray of uint32
        Rows; empty where they are the `n` consecutive ones from `first` on.
    whole : bool
    first, n : int
    rest : slice
        Further keys, counted from 0.
    """

    rows: np.ndarray
    whole: bool
    first: int
    n: int
    rest: slice

    @classmethod
    def span(cls, first: int, stop: int, rest: slice = slice(0, 0)) -> Where:
        """Consecutive rows."""
        return cls(_NO_ROWS, True, first, stop - first, rest)

    @classmethod
    def of(cls, rows: np.ndarray, rest: slice = slice(0, 0)) -> Where:
        """Rows by number."""
        return cls(rows.astype(np.uint32, copy=False), False, 0, len(rows), rest)

    def picked(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and further keys, at some of these places (ascending)."""
        cut = np.searchsorted(positions, self.n)
        features = positions[:cut]
        rows = features + np.uint32(self.first) if self.whole else self.rows[features]
        return rows.astype(np.uint32, copy=False), positions[cut:].astype(np.int64) - self.n + (self.rest.start or 0)

    @property
    def n_keys(self) -> int:
        """All of them."""
        return self.n + self.rest.stop - self.rest.start


@kernel
def _take(array, columns, rows, whole, first, n, out, at):
    for i in range(np.uint64(n)):
        r = np.uint64(first) + i if whole else np.uint64(rows[i])
        for c in range(np.uint64(columns.size)):
            out[i, np.uint64(at) + c] = array[r, columns[c]]


@kernel
def _put(array, columns, rows, whole, first, n, values, at):
    for i in range(np.uint64(n)):
        r = np.uint64(first) + i if whole else np.uint64(rows[i])
        for c in range(np.uint64(columns.size)):
            array[r, columns[c]] = values[i, np.uint64(at) + c]


class Table:
    """How a model's arrays and the table's rows correspond.

    Parameters
    ----------
    n_features : int
    dtype : dtype
    by_feature, others : list of Column
        Arrays with a row for each feature, whose columns stand side by side; the others, one after the other.
    **more
        Further fields of `Layout`.
    """

    def __init__(
        self, n_features: int, dtype: np.dtype, by_feature: list[Column], others: list[Column], **more: Any
    ) -> None:
        self.by_feature, self.others = by_feature, others
        width = sum(len(part.columns) for part in by_feature)
        sizes = sum(len(part.columns) for part in others)
        n_rest = -(-sizes // width)
        rest = np.full(n_rest * width, Kind.ADD, np.uint8)
        rest[:sizes] = np.concatenate([part.kinds for part in others]) if others else rest[:0]
        self.layout = Layout(
            n_features=n_features,
            n_keys=n_features + n_rest,
            width=width,
            dtype=np.dtype(dtype).name,
            kinds=np.concatenate([part.kinds for part in by_feature]),
            rest=rest.reshape(n_rest, width),
            decays=np.concatenate([np.full(len(part.columns), part.decays) for part in by_feature]),
            **more,
        )
        self.dtype = np.dtype(dtype)

    @property
    def any_damped(self) -> bool:
        """Whether a constant in front of the curvature matters."""
        return bool((self.layout.kinds == Kind.DAMPED).any())

    def read(self, arrays: dict[str, np.ndarray], where: Where, dtype: np.dtype | None = None) -> np.ndarray:
        """Copy rows of the table from a model's arrays (those that are not there: 0)."""
        out = np.zeros((where.n_keys, self.layout.width), dtype or self.dtype)
        at = 0
        for part in self.by_feature:
            if part.name in arrays and where.n:
                array = arrays[part.name]
                flat = array.reshape(len(array), -1)
                _take(flat, part.columns, where.rows, where.whole, where.first, where.n, out, at)
            at += len(part.columns)
        if where.rest.stop > where.rest.start:
            out[where.n :] = self._rest(arrays, out.dtype)[where.rest]
        return out

    def write(self, values: np.ndarray, arrays: dict[str, np.ndarray], where: Where) -> None:
        """Copy rows of the table into a model's arrays."""
        at = 0
        for part in self.by_feature:
            if where.n:
                array = arrays[part.name]
                flat = array.reshape(len(array), -1)
                _put(flat, part.columns, where.rows, where.whole, where.first, where.n, values, at)
            at += len(part.columns)
        if where.rest.stop > where.rest.start:
            self.write_rest(values[where.n :], arrays, np.arange(where.rest.start, where.rest.stop))

    def write_rest(self, values: np.ndarray, arrays: dict[str, np.ndarray], keys: np.ndarray) -> None:
        """Copy further rows of the table (counted from 0) into a model's arrays."""
        if not len(keys):
            return
        whole = self._rest(arrays, self.dtype)
        whole[keys] = values
        flat, start = whole.reshape(-1), 0
        for part in self.others:
            arrays[part.name].reshape(-1)[part.columns] = flat[start : start + len(part.columns)]
            start += len(part.columns)

    def _rest(self, arrays: dict[str, np.ndarray], dtype: np.dtype) -> np.ndarray:
        layout, start = self.layout, 0
        flat = np.zeros((layout.n_keys - layout.n_features) * layout.width, dtype)
        for part in self.others:
            if part.name in arrays:
                flat[start : start + len(part.columns)] = arrays[part.name].reshape(-1)[part.columns]
            start += len(part.columns)
        return flat.reshape(-1, layout.width)

    def everything(self) -> Where:
        """All keys, of a model whose rows have the table's numbers."""
        layout = self.layout
        return Where.span(0, layout.n_features, slice(0, layout.n_keys - layout.n_features))
