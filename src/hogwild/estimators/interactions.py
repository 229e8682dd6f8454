"""Who chose what: users, items and values from arrays, matrices and data frames, and the numbers of their ids."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from hogwild.compiled import kernel
from hogwild.estimators.labels import encode

VALUES = ("value", "rating")  # columns of a data frame that hold values


@dataclass
class Interactions:
    """Pairs of ids, and values where there are any.

    Attributes
    ----------
    users, items : ndarray of shape (n,)
        Ids.
    values : ndarray of float64, shape (n,), or None
    shape : tuple of int or None
        Of the matrix that they come from: its ids are row and column numbers, also of empty rows.
    """

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray | None
    shape: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Pairs."""
        return len(self.users)


def read_interactions(users: Any, items: Any = None, values: Any = None) -> Interactions:
    """Take interactions in any of the forms that `MatrixFactorization.fit` documents.

    Raises
    ------
    ValueError
        If arrays differ in length, ids are missing, or values are not finite.
    """
    shape = None
    if sp.issparse(users) or (items is None and hasattr(users, "columns")):
        if items is not None or values is not None:
            raise ValueError("found items or values beside a matrix or a data frame, expected it alone")
        if sp.issparse(users):
            shape, users, items, values = _from_matrix(users)
        else:
            users, items, values = _from_frame(users)
    if items is None:
        raise ValueError(
            f"found {type(users).__name__} without items, expected arrays of users and items, a sparse matrix of users "
            "by items or a data frame"
        )
    users, items = as_ids(users, "users"), as_ids(items, "items")
    if len(users) != len(items):
        raise ValueError(f"found {len(users)} users and {len(items)} items, expected as many of one as of the other")
    if values is not None:
        values = _as_values(values, "values", len(users))
    return Interactions(users, items, values, shape)


def check_weights(weights: Any, n: int) -> np.ndarray | None:
    """Return row weights as float32; None where there are none.

    Raises
    ------
    ValueError
        If they are negative, not finite, all 0, or not one for each row.
    """
    if weights is None:
        return None
    weights = _as_values(weights, "sample_weight", n).astype(np.float32)
    if weights.min(initial=0.0) < 0.0 or not weights.any():
        raise ValueError("found sample_weight with negative numbers or zeros only, expected some above 0")
    return weights


def _as_values(values: Any, name: str, n: int) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"found {name} of shape {values.shape}, expected ({n},)")
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"found {name} that are no numbers, expected numbers ({error})") from error
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name}[{row}] is {values[row]}, expected a finite number")
    return values


def _from_matrix(X: Any) -> tuple:
    if X.shape[0] < 1 or X.shape[1] < 1:
        raise ValueError(f"found a matrix of shape {X.shape}, expected users by items")
    X = X.tocoo(copy=False)
    return X.shape, X.row, X.col, X.data


def _from_frame(X: Any) -> tuple:
    names = list(X.columns)
    if len(names) < 2:
        raise ValueError(f"found a data frame with {len(names)} column, expected users, items and values")
    if "user" in names and "item" in names:
        third = next((name for name in VALUES if name in names), None)
        chosen = ["user", "item", third]
    else:
        chosen = [*names[:3], None][:3]
    return tuple(None if name is None else np.asarray(X[name]) for name in chosen)


# ------------------------------------------------------------------------------------------------ ids


def as_ids(ids: Any, name: str) -> np.ndarray:
    """Return ids as a flat array of whole numbers, text or objects of one kind.

    Raises
    ------
    ValueError
        If they are not flat, or one is missing.
    """
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"found {name} of shape {ids.shape}, expected a flat array of ids")
    missing = None
    if ids.dtype.kind == "f":
        missing = np.flatnonzero(~np.isfinite(ids))
    elif ids.dtype.kind == "O":
        missing = np.flatnonzero([x is None or x != x for x in ids])
        if not len(missing) and len(ids) and all(isinstance(x, str) for x in ids):
            ids = ids.astype(str)
    if missing is not None and len(missing):
        raise ValueError(f"{name}[{missing[0]}] is {ids[missing[0]]}, expected an id")
    return ids


def shown(value: Any) -> str:
    """Return an id as a user writes it."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def number_ids(ids: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids in ascending order, each once, and the number of each given one."""
    if ids.dtype.kind in "iub":
        table, codes = encode(ids)
    else:
        try:
            table, codes = np.unique(ids, return_inverse=True)
        except TypeError as error:
            raise ValueError(f"found {name} of several kinds, expected ids that can be ordered ({error})") from error
    return table, codes.astype(np.int64, copy=False)


def find_ids(table: np.ndarray, ids: np.ndarray, name: str) -> np.ndarray:
    """Numbers of ids; ``len(table)`` for those that are not in `table`.

    Raises
    ------
    ValueError
        If they are of another kind (text, numbers) than those of the table.
    """
    if not len(ids):
        return np.empty(0, np.int64)
    if (ids.dtype.kind in "US") != (table.dtype.kind in "US"):
        raise ValueError(f"found {name} such as {shown(ids[0])}, expected ids such as {shown(table[0])}")
    try:
        codes = np.searchsorted(table, ids)
    except TypeError as error:
        raise ValueError(f"found {name} such as {shown(ids[0])}, expected ids such as {shown(table[0])}") from error
    known = table[np.minimum(codes, len(table) - 1)] == ids
    return np.where(known, codes, len(table))


def as_arrays(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Ids as arrays of numbers, for files: text as its bytes and where each ends.

    Raises
    ------
    TypeError
        If they are objects other than text.
    """
    if ids.dtype.kind in "iufb":
        return {"numbers": ids}
    if ids.dtype.kind != "U":
        raise TypeError(f"cannot save ids such as {shown(ids[0])}: expected numbers or text")
    texts = [text.encode() for text in ids.tolist()]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return {"text": np.frombuffer(b"".join(texts), np.uint8), "ends": ends}


def from_arrays(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Ids that `as_arrays` took apart."""
    if "numbers" in arrays:
        return arrays["numbers"]
    content, starts = arrays["text"].tobytes(), [0, *arrays["ends"].tolist()]
    return np.array([content[low:high].decode() for low, high in pairwise(starts)])


# ------------------------------------------------------------------------------------------------ what is seen


@kernel
def _mark(indptr, items, n_items, bits):
    for user in range(np.uint64(indptr.size) - np.uint64(1)):
        for j in range(indptr[user], indptr[user + np.uint64(1)]):
            bit = user * np.uint64(n_items) + np.uint64(items[j])
            bits[bit >> np.uint64(5)] |= np.uint32(np.uint64(1) << (bit & np.uint64(31)))


def seen_rows(users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Each user's items, ascending and once: starts (uint64) and items (uint32) of compressed rows."""
    cells = np.unique(users.astype(np.int64) * n_items + items)
    counts = np.bincount(cells // n_items, minlength=n_users)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64), (cells % n_items).astype(np.uint32)


def seen_bits(indptr: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """The same as a bit for each user and item: a look-up instead of a search, in memory where it fits the cache."""
    bits = np.zeros(((len(indptr) - 1) * n_items + 31) // 32, np.uint32)
    _mark(indptr, items, n_items, bits)
    return bits
