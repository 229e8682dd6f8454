"""Arrays of weights that grow with the names of features and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.compiled import aligned_zeros

LANES = 8  # columns are a multiple, so that the loop over labels fills vectors


def grown(array: np.ndarray, shape: tuple[int, ...], fill: float = 0) -> np.ndarray:
    """Return a larger array that begins with this one."""
    larger = aligned_zeros(shape, array.dtype)
    if fill:
        larger[...] = fill
    larger[tuple(slice(size) for size in array.shape)] = array
    return larger


class Arrays:
    """What is known of each feature (rows: its slot) and label (columns).

    Parameters
    ----------
    confident : bool
        Whether there are variances.
    single : bool
        One column alone (regression).

    Attributes
    ----------
    weights : float64, slots x columns
    variances : float64, slots x columns, or empty
    changes : uint32, slots x columns, or empty
        How often each entry has been changed; counted only where somebody wants to know.
    seen : uint64 by slot
        Clock of the last example that held the feature; 0 for none.
    known : uint8 by column
    learnt : int64 by column
        Examples of each label.
    """

    def __init__(self, confident: bool, single: bool = False) -> None:
        self.confident, self.single = confident, single
        width = 1 if single else LANES
        self.weights = aligned_zeros((0, width), np.float64)
        self.variances = aligned_zeros((0, width), np.float64)
        self.changes = np.zeros((0, 0), np.uint32)
        self.seen = np.zeros(0, np.uint64)
        self.known = np.zeros(width, np.uint8)
        self.learnt = np.zeros(width, np.int64)
        self.counting = False

    @property
    def shape(self) -> tuple[int, int]:
        """Slots and columns that there is room for."""
        return self.weights.shape

    def reserve(self, slots: int, columns: int) -> bool:
        """Make room; return whether the shape has changed."""
        rows, width = self.shape
        if slots <= rows and columns <= width:
            return False
        if slots > rows:
            rows = max(slots, 2 * rows, 64)
        if columns > width:
            width = -(-max(columns, width + width // 4) // LANES) * LANES
        self.weights = grown(self.weights, (rows, width))
        if self.confident:
            self.variances = grown(self.variances, (rows, width), 1.0)
        if self.counting:
            self.changes = grown(self.changes, (rows, width))
        self.seen = grown(self.seen, (rows,))
        self.known, self.learnt = grown(self.known, (width,)), grown(self.learnt, (width,))
        return True

    def count(self, fresh: bool) -> None:
        """Count changes from now on; `fresh`: all that is there counts as changed once."""
        self.counting, self.changes = True, np.zeros(self.shape, np.uint32)
        if fresh:
            self.changes[self.weights != 0] = 1
            if self.confident:
                self.changes[self.variances != 1] = 1

    def wipe(self, slots: Any, columns: Any = slice(None)) -> None:
        """Set entries (``slice(None)``: of all slots, of all columns) to where they start."""
        self.weights[slots, columns] = 0
        if self.confident:
            self.variances[slots, columns] = 1
        if self.counting:
            self.changes[slots, columns] = 0

    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return sum(one.nbytes for one in (self.weights, self.variances, self.changes, self.seen))
