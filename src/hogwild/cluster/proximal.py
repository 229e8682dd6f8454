"""A shard's table whose weights have penalties at rates of their own: AdaGrad's, divided by the root of each sum.

As on one machine, a weight takes what has accumulated since it was last looked at as one implicit step: before a push
changes it, and (worked out, not stored) where it is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.cluster.deltas import Delta
from hogwild.cluster.keyed import Rows
from hogwild.cluster.layout import Layout
from hogwild.cluster.store import TableStore
from hogwild.compiled import strict_kernel
from hogwild.steps.adagrad import shrunk

_NO_ROWS = np.empty(0, np.uint32)


@strict_kernel
def _settle(table, received, width, rows, whole, first, n, roots, owed, l1_ratio):
    for i in range(n):
        to = (first + i if whole else np.uint64(rows[i])) * width
        for c in range(width):
            if roots[c] >= 0:
                at = to + c
                table[at] = shrunk(table[at], table[to + np.uint64(roots[c])], owed - received[at], l1_ratio)
                received[at] = owed


@strict_kernel
def _read(table, received, width, rows, whole, first, n, roots, owed, l1_ratio, out):
    for i in range(n):
        to = (first + i if whole else np.uint64(rows[i])) * width
        for c in range(width):
            number = table[to + c]
            if roots[c] >= 0:
                number = shrunk(number, table[to + np.uint64(roots[c])], owed - received[to + c], l1_ratio)
            out[i * width + c] = number


class ProximalStore(TableStore):
    """Keys low..high of a table whose layout names `roots`; otherwise as `TableStore`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._received = np.empty(0, np.float64)  # penalty that each number has taken; allocated with the first

    def apply(self, push: Delta, active: int) -> None:
        """Add one worker's deltas; what they name takes the penalty up to here before, and the push's own after."""
        if push.shrink and not len(self._received):
            self._received = np.zeros(self._table.size)
        features, _ = self._rows(push).split(self._n_features)
        self._settle(features)
        super().apply(push, active)
        self._settle(features)

    def _penalise(self, push: Delta) -> None:
        self._penalty[2] += push.shrink

    def _settle(self, features: Rows) -> None:
        if features.n and len(self._received):
            layout, where = self.layout, (*features.where, features.n)
            _settle(self._table, self._received, self._width, *where, layout.roots, self._penalty[2], layout.l1_ratio)

    def _read(self, rows: Rows) -> np.ndarray:
        layout = self.layout
        out = np.empty(int(rows.n) * layout.width, self._dtype)
        features, others = rows.split(self._n_features)
        cut = int(features.n) * layout.width
        received = self._received if len(self._received) else np.zeros(self._table.size)
        for part, roots, place in (
            (features, layout.roots, slice(0, cut)),
            (others, np.full(layout.width, -1), slice(cut, None)),
        ):
            if part.n:
                where = *part.where, part.n
                rest = roots, self._penalty[2], layout.l1_ratio
                _read(self._table, received, self._width, *where, *rest, out[place])
        return out

    def _arrays(self) -> dict[str, np.ndarray]:
        return super()._arrays() | ({"received": self._received} if len(self._received) else {})

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._received = np.zeros(self._table.size if "received" in state else 0)
        super().restore(state)


def carry_proximal(values: np.ndarray, layout: Layout, owed: float) -> None:
    """Let values that no push has changed take what the penalty has grown by since they were read, in place.

    Parameters
    ----------
    values : ndarray, shape (n, width)
        Of features, C-ordered.
    layout : Layout
    owed : float
    """
    if owed > 0 and len(values):
        where = _NO_ROWS, True, np.uint64(0), np.uint64(len(values))
        flat = values.reshape(-1)
        width = np.uint64(layout.width)
        _settle(flat, np.zeros(flat.size), width, *where, layout.roots, owed, layout.l1_ratio)
