"""The table that a model is cut into for its shards: one row a key, one column for each number of a key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """How deltas of one number are added: damped by its curvature, whole, divided by the active workers."""

    DAMPED = 0
    ADD = 1
    MEAN = 2


@dataclass(frozen=True)
class Layout:
    """Shape of the table.

    A key is a feature (a user, an item, a row of a matrix), always by its original number; its row holds what all
    arrays with a row for each feature have for it, one after the other. Arrays without (intercepts, biases) follow as
    further keys, from `n_features` on, padded to whole rows.

    Attributes
    ----------
    n_features, n_keys, width : int
        `n_keys` with the further ones.
    dtype : str
        Of the numbers, ``"float32"`` or ``"float64"``.
    kinds : ndarray of uint8, shape (width,)
        `Kind` of each column of a feature's row.
    rest : ndarray of uint8, shape (n_keys - n_features, width)
        `Kind` of each number of the further rows.
    decays : ndarray of bool, shape (width,)
        Columns of features that an L2 penalty shrinks and an L1 penalty truncates, at the shard.
    roots : ndarray of int64, shape (width,), or None
        Where penalties have a rate for each weight (AdaGrad's): the column of the sum by whose root they are divided;
        -1 for none. Such a table is held by a `proximal.ProximalStore`.
    l1_ratio : float
        Share of L1 in such a penalty.
    """

    n_features: int
    n_keys: int
    width: int
    dtype: str
    kinds: np.ndarray
    rest: np.ndarray
    decays: np.ndarray
    roots: np.ndarray | None = None
    l1_ratio: float = 1.0

    @property
    def nbytes(self) -> int:
        """Size of the whole table."""
        return self.n_keys * self.width * np.dtype(self.dtype).itemsize
