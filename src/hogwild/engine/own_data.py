"""What `minimize` accepts as data, as rows that kernels and Python see alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from hogwild.engine.order import choose_shuffle
from hogwild.engine.own_python import Drawn
from hogwild.steps.own import Columns, Dense
from hogwild.steps.rows import SparseRows

NONE = np.empty(0, np.uint32)
MOST_ROWS = 2**32 - 1


@dataclass(frozen=True)
class OwnData:
    """Rows, and what an engine asks about them.

    Attributes
    ----------
    rows : SparseRows, Dense, Columns or Drawn
    fields : tuple of str
        Names of the columns of `Columns`.
    kept : ndarray of uint32
        Rows of a weight above 0; empty for all.
    coordinates : tuple of (str, int)
        Names and first numbers of the spaces of coordinates that rows name.
    n_coordinates : int
    longest : int
        Most coordinates that a row names.
    row_length : float
        Mean number of entries of a row.
    """

    rows: Any
    fields: tuple[str, ...]
    kept: np.ndarray
    coordinates: tuple[tuple[str, int], ...]
    n_coordinates: int
    longest: int
    row_length: float

    def shuffle(self) -> bool | str:
        """How the rows of an epoch are shuffled: in blocks, or fully where that is better."""
        targets = self.rows.targets
        targets = targets[self.kept] if len(self.kept) else targets
        if isinstance(self.rows, Drawn):
            return False
        return choose_shuffle(True, targets) if targets.ndim == 1 and targets.dtype.kind in "iuf" else "full"

    def telling(self) -> list[int]:
        """Rows that a step should be tried on: the first, the longest, and those of the largest coordinates."""
        rows = self.rows
        told = [int(self.kept[0]) if len(self.kept) else 0]
        if isinstance(rows, SparseRows):
            told.append(int(np.diff(rows.indptr.astype(np.int64)).argmax()))
            if len(rows.indices):
                told.append(int(np.searchsorted(rows.indptr, rows.indices.argmax(), side="right")) - 1)
        if isinstance(rows, Columns):
            for column, offset in zip(rows.columns, rows.offsets, strict=True):
                if offset >= 0:
                    told += [int(column.argmax()), int(column.argmin())]
        return list(dict.fromkeys(told))


def as_own_data(data: Any) -> OwnData:
    """Look at `data` as rows.

    Raises
    ------
    TypeError, ValueError
        Where it is none of the forms, or its parts do not fit together.
    """
    if isinstance(data, int | np.integer) and not isinstance(data, bool):
        if data < 1:
            raise ValueError(f"an epoch must have at least 1 batch, found data={data}")
        nothing = np.broadcast_to(np.uint8(0), (int(data),))
        return OwnData(Drawn(nothing, np.empty(0)), (), NONE, (), 0, 0, 1.0)
    if isinstance(data, Mapping):
        return _columns(tuple(data), tuple(data.values()))
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return _columns(data._fields, tuple(data))
    if isinstance(data, tuple) and 2 <= len(data) <= 3 and (sp.issparse(data[0]) or np.ndim(data[0]) == 2):
        return _matrix(*data)
    if isinstance(data, tuple) and data and all(np.ndim(part) == 1 for part in data):
        return _columns(tuple(f"column{k}" for k in range(len(data))), data)
    raise TypeError(
        "data must be (X, y) or (X, y, sample_weight), a NamedTuple, dict or tuple of equally long arrays, or, with "
        f"batch=, the number of batches of an epoch; found {_described(data)}"
    )


def _described(data: Any) -> str:
    if isinstance(data, tuple):
        return f"a tuple of {', '.join(type(part).__name__ for part in data) or 'nothing'}"
    return f"{type(data).__name__}"


def _numbers(array: Any, name: str) -> np.ndarray:
    """An array of numbers, C-ordered; half precision and stranger types are refused."""
    array = np.ascontiguousarray(array)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {array.dtype}, expected numbers")
    return array


def _matrix(X: Any, y: Any, sample_weight: Any = None) -> OwnData:
    sparse = sp.issparse(X)
    X = X.tocsr() if sparse else np.ascontiguousarray(X)
    if X.dtype not in (np.float32, np.float64):
        if X.dtype.kind not in "biuf":
            raise ValueError(f"X has dtype {X.dtype}, expected numbers")
        X = X.astype(np.float64)
    y = _numbers(y, "y")
    if y.dtype.kind == "f":
        y = y.astype(X.dtype, copy=False)
    n_rows, n_features = X.shape
    _check_length(n_rows)
    if y.ndim == 0 or len(y) != n_rows:
        raise ValueError(f"y has the shape {y.shape}, expected one entry for each of the {n_rows} rows of X")
    weights, kept = np.empty(0, X.dtype), NONE
    if sample_weight is not None:
        weights = np.ascontiguousarray(sample_weight, X.dtype)
        if weights.shape != (n_rows,):
            raise ValueError(f"sample_weight has the shape {weights.shape}, expected ({n_rows},)")
        if not (weights >= 0).all():
            raise ValueError("sample_weight must not be negative or NaN")
        if not weights.all():
            kept = np.flatnonzero(weights).astype(np.uint32)
            if not len(kept):
                raise ValueError("all sample weights are 0, expected a row to step on")
    coordinates = (("feature", 0),)
    if not sparse:
        rows = Dense(X, y, weights, np.arange(n_features, dtype=np.uint32))
        return OwnData(rows, (), kept, coordinates, n_features, n_features, float(max(1, n_features)))
    if n_features > 2**32:
        raise ValueError(f"X has {n_features:,} columns, expected at most 2**32")
    indices = X.indices.view(np.uint32) if X.indices.dtype == np.int32 else X.indices.astype(np.uint32)
    rows = SparseRows(X.indptr.astype(np.uint64), indices, X.data, y, weights)
    lengths = np.diff(X.indptr)
    return OwnData(rows, (), kept, coordinates, n_features, int(lengths.max()), max(1.0, float(lengths.mean())))


def _columns(fields: tuple[str, ...], arrays: tuple) -> OwnData:
    if not arrays:
        raise ValueError("data has no columns")
    for name in fields:
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_") or name == "index":
            raise ValueError(f"columns need names that can be written after a dot, and not 'index'; found {name!r}")
    columns = tuple(_numbers(array, name) for name, array in zip(fields, arrays, strict=True))
    lengths = {name: len(column) if column.ndim else 0 for name, column in zip(fields, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns must be equally long; found {', '.join(f'{k} {v}' for k, v in lengths.items())}")
    n_rows = len(columns[0])
    _check_length(n_rows)
    offsets, coordinates, n = [], [], 0
    for name, column in zip(fields, columns, strict=True):
        names_things = column.ndim == 1 and column.dtype.kind in "iu" and int(column.min()) >= 0
        offsets.append(n if names_things else -1)
        if names_things:
            coordinates.append((name, n))
            n += int(column.max()) + 1
    rows = Columns(columns, columns[0], np.empty(0, np.float32), tuple(offsets))
    return OwnData(rows, fields, NONE, tuple(coordinates), n, len(coordinates), float(len(columns)))


def _check_length(n_rows: int) -> None:
    if not 1 <= n_rows <= MOST_ROWS:
        raise ValueError(f"found {n_rows:,} rows, expected 1 to {MOST_ROWS:,}")
