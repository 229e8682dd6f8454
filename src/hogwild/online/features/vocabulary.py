"""Names of features, and the places that their weights have in arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Examples as kernels read them, in CSR form.

    Attributes
    ----------
    indptr : ndarray of uint64, one more than there are rows
    slots : ndarray of uint32
        Each at most once within a row.
    values : ndarray of float64
        Finite, and not 0.
    """

    indptr: np.ndarray
    slots: np.ndarray
    values: np.ndarray


class Vocabulary:
    """Slots of names: small integers, given in order, and given again when they are free.

    Attributes
    ----------
    slots : dict of str to int
    names : list of str or None
        By slot; None where it is free.
    generation : int
        Grows whenever a name loses its slot: what others remember of slots is no longer true then.
    """

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.names: list[str | None] = []
        self.generation = 0
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.slots)

    def slot(self, name: str) -> int:
        """Return a name's slot; a new name gets one."""
        slot = self.slots.get(name)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self.names[slot] = name
            else:
                slot = len(self.names)
                self.names.append(name)
            self.slots[name] = slot
        return slot

    def find(self, name: str) -> int:
        """Return a name's slot, or -1."""
        return self.slots.get(name, -1)

    def free(self, slots: Iterable[int]) -> None:
        """Forget the names of slots."""
        for slot in slots:
            name = self.names[slot]
            if name is not None:
                del self.slots[name]
                self.names[slot] = None
                self._free.append(slot)
        self.generation += 1

    def clear(self) -> None:
        """Forget all names."""
        self.slots, self.names, self._free = {}, [], []
        self.generation += 1
