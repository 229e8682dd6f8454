"""The table of a parameter shard: deltas are added, damped; L2 and L1 penalties are applied lazily.

A push damped for n workers moves each number by ``s * delta``, s from 1 (sum) to 1/n (mean) as
``eta * rows * constant * curvature`` grows (engine/merge.py). Penalties act on all keys of a range at every push, and
cost only the keys that it names:

L2. ``value = scale * stored``; a push multiplies `scale`.
L1. Cumulative truncation (Tsuruoka, Tsujii, Ananiadou 2009): a weight and what truncations have taken of it add up to
    what pushes alone made of it. That sum is stored, and the weight is the sum moved towards 0 by what any weight could
    have lost so far, `owed`, and never across: worked out where it is read. A table in single precision is kept in
    double from the first truncation on, for the sums may outgrow the weights.

So reads change nothing, and copies of a shard that apply the same pushes have the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hogwild.cluster.deltas import Delta
from hogwild.cluster.keyed import KeyedStore, Rows
from hogwild.cluster.keys import CACHE_BYTES
from hogwild.cluster.layout import Kind, Layout
from hogwild.cluster.store_kernels import (
    add_damped,
    add_multiples,
    first_not_finite,
    put_rows,
    read_rows,
    read_truncated,
    scale_columns,
)
from hogwild.compiled import aligned_copy, aligned_zeros

SMALLEST_SCALE = 1e-6  # below, the scale is multiplied into the table
_MEAN = 1e12  # curvature of what is averaged, as in engine/merge.py


class _Rules:
    """How the numbers of some rows are added: arrays by column, or (`stride` = width) by number."""

    def __init__(self, kinds: np.ndarray, origin: int, dtype: np.dtype) -> None:
        kinds = np.asarray(kinds)
        self.origin = np.uint64(origin)
        uniform = kinds.ndim == 1 or not len(kinds) or bool((kinds == kinds[0]).all())
        kinds = kinds if kinds.ndim == 1 else kinds[0] if uniform and len(kinds) else kinds.reshape(-1)
        self.stride = np.uint64(0 if uniform else 1)
        self.damped = (kinds == Kind.DAMPED).astype(dtype)
        self.averaged = kinds == Kind.MEAN
        self.mean = np.where(self.averaged, _MEAN, 0).astype(dtype)
        self.any_damped = bool(self.damped.any())


class TableStore(KeyedStore):
    """Keys low..high of a table that workers step on, behind `protocol.Store`.

    Parameters
    ----------
    layout : Layout
    low, high : int
    values : array-like, shape (high - low, layout.width), or None
        What training starts from; zeros.
    cache_bytes : int
        Of key sets that are remembered.

    Examples
    --------
    >>> from hogwild.cluster.deltas import ALL, KeySet, Request
    >>> layout = Layout(4, 4, 1, "float32", np.zeros(1, np.uint8), np.zeros((0, 1), np.uint8), np.ones(1, bool))
    >>> store = TableStore(layout, 0, 4)
    >>> store.apply(Delta(KeySet(7, np.array([1, 3], np.uint32)), None, np.ones((2, 1)), 100, 0.1, 0.1), active=2)
    >>> store.read(Request(KeySet(ALL))).values.ravel().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(self, layout: Layout, low: int, high: int, values: Any = None, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(layout, low, high, values, cache_bytes)
        self._n_features = min(max(layout.n_features - low, 0), high - low)  # rows of features
        rest = layout.rest[max(low - layout.n_features, 0) : max(high - layout.n_features, 0)]
        self._rules = _Rules(layout.kinds, 0, self._dtype), _Rules(rest, self._n_features, self._dtype)
        self._decays = np.ascontiguousarray(layout.decays, np.uint8)
        self._curvature = np.empty(0, np.float32)  # allocated with the first that is told
        # logarithm of all decays; scale; what is owed in units of `stored`
        self._penalty = np.array([0.0, 1.0, 0.0])

    # -------------------------------------------------------------------------------------------- pushes

    def apply(self, push: Delta, active: int) -> None:
        """Add one worker's deltas, damped for `active` workers.

        Raises
        ------
        ValueError
            For values that are not finite (named by key), or of a wrong shape; nothing is applied then.
        UnknownKeysError
            Where `missing` would have named the key set.
        """
        rows = self._rows(push)
        deltas = self._numbers(push.values, rows, "a delta")
        numbers = (push.eta * push.rows, push.log_decay, push.shrink)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"a push brings eta={push.eta}, log_decay={push.log_decay}, shrink={push.shrink}")
        if push.curvature is not None:
            self._tell(push.curvature, rows)
        features, others = rows.split(self._n_features)
        self._penalise(push)
        n, x = self.layout.width, push.eta * push.rows * push.constant
        places = ((features, deltas[: int(features.n) * n]), (others, deltas[int(features.n) * n :]))
        for k in range(2):
            self._add(self._rules[k], *places[k], x if x > 0 else 0.0, active, self._penalty[1] if k == 0 else 1.0)
        self._mark(rows)

    def _tell(self, curvature: np.ndarray, rows: Rows) -> None:
        flat = np.ascontiguousarray(curvature, np.float32).reshape(-1)
        finite = first_not_finite(flat.view(np.uint32), np.uint32(0x7F80_0000)) < 0
        if curvature.shape != (int(rows.n), self.layout.width) or not finite:
            raise ValueError(
                f"a push brings curvature of shape {curvature.shape}, expected finite numbers of shape "
                f"{(int(rows.n), self.layout.width)}"
            )
        if not len(self._curvature):
            self._curvature = np.zeros(self._table.size, np.float32)
        put_rows(self._curvature, self._width, *rows.where, flat)

    def _add(self, rules: _Rules, rows: Rows, deltas: np.ndarray, x: float, active: int, scale: float) -> None:
        if not rows.n:
            return
        number, dtype = self._table.dtype.type, self._table.dtype
        inverse = np.ones(len(rules.damped))
        if scale != 1.0:
            inverse[self._decays != 0] /= scale
        args = (self._table, self._width, *rows.where, deltas)
        stride = rules.stride * self._width
        if active == 1 or not (rules.any_damped and x > 0 and len(self._curvature)):
            factors = np.where(rules.averaged, inverse / active, inverse).astype(dtype)
            add_multiples(*args, factors, rules.origin, stride)
        else:
            factors = inverse.astype(dtype)
            told = self._curvature, number(x), number(active), factors, rules.damped, rules.mean
            add_damped(*args, *told, rules.origin, stride)

    # -------------------------------------------------------------------------------------------- penalties

    def _penalise(self, push: Delta) -> None:
        """Let all weights shrink, and owe, by what the push says."""
        if push.shrink and self._table.dtype != np.float64:
            self._table = aligned_copy(self._table, np.float64)
        penalty = self._penalty
        penalty[0] += push.log_decay
        penalty[1] *= math.exp(push.log_decay)
        if penalty[1] <= SMALLEST_SCALE:
            self._fold()
        penalty[2] += push.shrink / penalty[1]

    def _fold(self) -> None:
        """Multiply the scale into the table."""
        scale = self._penalty[1]
        scales = np.where(self._decays, scale, 1.0)
        scale_columns(self._table, self._width, np.uint64(self._n_features), scales)
        self._penalty[1:] = 1.0, self._penalty[2] * scale

    # -------------------------------------------------------------------------------------------- reading

    def _read(self, rows: Rows) -> np.ndarray:
        out = np.empty(int(rows.n) * self.layout.width, self._dtype)
        features, others = rows.split(self._n_features)
        cut, scale = int(features.n) * self.layout.width, self._penalty[1]
        if features.n:
            if self._penalty[2]:
                truncation = self._decays, scale, self._penalty[2]
                read_truncated(self._table, self._width, *features.where, *truncation, out[:cut])
            else:
                scales = np.where(self._decays, scale, 1.0).astype(self._dtype)
                read_rows(self._table, self._width, *features.where, scales, out[:cut])
        if others.n:
            read_rows(self._table, self._width, *others.where, np.ones(self.layout.width, self._dtype), out[cut:])
        return out

    def _sums(self) -> tuple[float, float]:
        return float(self._penalty[0]), float(self._penalty[1] * self._penalty[2])

    # -------------------------------------------------------------------------------------------- state

    def _arrays(self) -> dict[str, np.ndarray]:
        told = {"curvature": self._curvature} if len(self._curvature) else {}
        return super()._arrays() | {"penalty": self._penalty} | told

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._curvature = np.empty(self._table.size if "curvature" in state else 0, np.float32)
        self._table = aligned_zeros(self._table.size, state["table"].dtype)
        super().restore(state)
