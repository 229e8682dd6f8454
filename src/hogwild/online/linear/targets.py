"""Count, mean and spread of a regression's targets."""

from __future__ import annotations

import numpy as np

from hogwild.online.state import State

LARGEST = 1e100  # of a target: its square, and sums of that, are numbers

Figures = list[float]


def together(figures: list[Figures]) -> Figures:
    """Return count, mean and sum of squared deviations of several sets as one (Chan, Golub, LeVeque 1983)."""
    count, mean, squares = 0.0, 0.0, 0.0
    for more, other, spread in figures:
        if more and not count:
            count, mean, squares = more, other, spread
        elif more:
            total, apart = count + more, other - mean
            mean, squares = mean + apart * more / total, squares + spread + apart * apart * count * more / total
            count = total
    return [count, mean, squares]


class Targets:
    """A part: what PA's tolerance is measured by. Servers' targets count together.

    Attributes
    ----------
    values : ndarray of float64
        Count, mean, and sum of squared deviations.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """See `Part`."""
        self.values = np.zeros(3)
        self._master = [0.0, 0.0, 0.0]
        self._base: Figures | None = None  # none: nothing has been cut, all is open

    def state(self) -> State:
        """See `Part`."""
        return State({}, {"targets": self.values.copy()})

    def restore(self, state: State) -> None:
        """See `Part`."""
        values = state.arrays.get("targets")
        if values is None or np.shape(values) != (3,):
            raise ValueError("figures of targets need an array of three")
        self.values = np.array(values, np.float64)
        self._master = self._base = self.values.tolist()

    def _open(self) -> Figures:
        """Return the figures of what came after the last cut."""
        count, mean, squares = self.values.tolist()
        before, other, spread = self._base or (0.0, 0.0, 0.0)
        more = count - before
        if not more:
            return [0.0, 0.0, 0.0]
        late = (mean * count - other * before) / more
        return [more, late, max(0.0, squares - spread - (late - other) ** 2 * before * more / count)]

    def cut(self) -> Figures:
        """See `Mixable`."""
        cut = self._open()
        self._base = self.values.tolist()
        return cut

    def join(self, cuts: list[Figures]) -> Figures:
        """See `Mixable`."""
        return together(cuts)

    def fold(self, diffs: list[Figures]) -> Figures:
        """See `Mixable`."""
        return together(diffs)

    def apply(self, mixed: Figures, kept: list[Figures]) -> None:
        """See `Mixable`."""
        self._rebuild(together([self._master, mixed]), kept)

    def full(self) -> Figures:
        """See `Mixable`."""
        return list(self._master)

    def load(self, full: Figures, kept: list[Figures]) -> None:
        """See `Mixable`."""
        self._rebuild(list(full), kept)

    def _rebuild(self, master: Figures, kept: list[Figures]) -> None:
        late = self._open()
        self._master = master
        self._base = together([master, *kept])
        self.values = np.array(together([self._base, late]))
