"""A worker's copy of a whole table: what it asks for, takes over and pushes."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.cluster.deltas import ALL, Delta, KeySet, Request
from hogwild.cluster.flat import FlatTable


class TableReplica:
    """The table as it was last pulled; only what has changed since then is asked for.

    Parameters
    ----------
    table : FlatTable
    cuts : ndarray of int
        First key of each shard, and the end.

    Attributes
    ----------
    base : ndarray, shape (n_keys, width)
        What was pulled.
    """

    def __init__(self, table: FlatTable, cuts: np.ndarray) -> None:
        self.table, self.cuts, self.base = table, cuts, table.zeros()
        self._versions = [-1] * (len(cuts) - 1)

    def forget(self) -> None:
        """Trust nothing that was pulled."""
        self._versions = [-1] * len(self._versions)

    def requests(self) -> tuple[Request, ...]:
        """What to ask of each shard."""
        return tuple(Request(KeySet(ALL), version) for version in self._versions)

    def take(self, pulled: tuple[Any, ...]) -> None:
        """Take over the answers (None: nothing was asked)."""
        for k, values in enumerate(pulled):
            if values is None:
                continue
            rows = self.base[self.cuts[k] : self.cuts[k + 1]]
            if values.positions is None:
                rows[...] = values.values
            else:
                rows[values.positions] = values.values
            self._versions[k] = values.version

    def deltas(
        self, moved: np.ndarray, rows: int, eta: float, constant: float, curvature: np.ndarray | None = None
    ) -> tuple[Delta | None, ...]:
        """Cut a table of changes into pushes: the keys that have changed, or all where that is shorter.

        With a `curvature` all keys are sent, because shards keep what they are told of each.
        """
        pushes = []
        for low, high in zip(self.cuts[:-1], self.cuts[1:], strict=True):
            part, positions = moved[low:high], None
            bends = None if curvature is None else np.ascontiguousarray(curvature[low:high], np.float32)
            if bends is None:
                positions = np.flatnonzero(part.any(axis=1)).astype(np.uint32)
                if not len(positions):
                    pushes.append(None)
                    continue
                row_bytes = part.shape[1] * part.itemsize
                if len(positions) * (row_bytes + 4) < len(part) * row_bytes:
                    part = part[positions]
                else:
                    positions = None
            values = np.array(part)  # never a view: the table is written to again
            pushes.append(Delta(KeySet(ALL), positions, values, rows, eta, constant, bends))
        return tuple(pushes)
