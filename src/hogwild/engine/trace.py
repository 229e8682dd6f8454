"""What an instrumented run saw of its races: staleness, conflicts by coordinate, lost updates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros

LONGEST = 1024  # staleness from which on all is counted together


@dataclass(frozen=True)
class Trace:
    """Races of a run, as `minimize` with ``trace=True`` counts them.

    Attributes
    ----------
    staleness : ndarray of int64, shape (n,)
        Number of steps by the staleness of what they read: steps of other threads that ended between a step's reading
        and its writing. The last element counts 1,023 and more.
    conflicts : ndarray of int64, shape (n_coordinates,)
        How often a step touched a coordinate that another thread had written to since the step read it.
    updates : ndarray of int64, shape (n_coordinates,)
        How often steps touched each coordinate, counted indivisibly.
    lost : ndarray of int64, shape (n_coordinates,)
        Estimate of updates overwritten by another thread: what plain additions of 1, made right after each step's own,
        have lost against the indivisible count. The plain addition is a load, an addition and a store, as ``w[j] -= g``
        is; its window is the same, its moment is not. 0 for replicas, whose merges lose nothing.
    coordinates : tuple of (str, int)
        Names and first numbers of the coordinates: one space for the columns of X, one for each column of integers.
    engine : str
    n_threads : int

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(1, np.int64)
    >>> print(Trace(9 * one, 0 * one, 9 * one, 0 * one, (("feature", 0),), "Sequential()", 1))
    9 steps on 1 thread (Sequential()): staleness 0 on average, 0 at most
    0 of 9 updates of coordinates (0 %) met another thread's
    0 updates (0 %) lost, estimated
    """

    staleness: np.ndarray
    conflicts: np.ndarray
    updates: np.ndarray
    lost: np.ndarray
    coordinates: tuple[tuple[str, int], ...] = field(default=())
    engine: str = ""
    n_threads: int = 1

    @property
    def n_steps(self) -> int:
        """Steps that were traced."""
        return int(self.staleness.sum())

    @property
    def mean_staleness(self) -> float:
        """Mean number of other threads' steps between a step's reading and its writing, 1,023 for all above."""
        return float(self.staleness @ np.arange(len(self.staleness)) / max(1, self.n_steps))

    def __str__(self) -> str:
        """Summary in three lines."""
        total, met, lost = int(self.updates.sum()), int(self.conflicts.sum()), int(self.lost.sum())
        most = int(np.flatnonzero(self.staleness).max(initial=0))
        threads = f"{self.n_threads} thread{'s' if self.n_threads > 1 else ''}"
        return (
            f"{self.n_steps:,} steps on {threads} ({self.engine}): "
            f"staleness {self.mean_staleness:.3g} on average, {most}{' or more' * (most == LONGEST - 1)} at most\n"
            f"{met:,} of {total:,} updates of coordinates ({met / max(1, total):.2%}) met another thread's\n"
            f"{lost:,} updates ({lost / max(1, total):.2%}) lost, estimated"
        ).replace("0.00%", "0 %")


class Tools(NamedTuple):
    """What a thread of an instrumented or locking run works with; no elements where there is nothing to do.

    Attributes
    ----------
    keys : ndarray of uint64, shape (longest row,)
        Coordinates that the present row touches.
    locks : ndarray of int64, shape (n_locks,)
        Shared. One for ``2**shift`` neighbouring coordinates.
    shift : uint64
    clock : ndarray of int64, shape (8,)
        Shared: steps that have ended.
    versions, racy : ndarray of int64, shape (n_coordinates,)
        Shared: updates of each coordinate, counted indivisibly and not.
    seen : ndarray of int64, shape (n_coordinates,)
        Version that this thread has read.
    conflicts : ndarray of int64, shape (n_coordinates,)
    staleness : ndarray of int64, shape (LONGEST,)
    sight : ndarray of int64, shape (8,)
        Clock when this thread last read what others wrote.
    """

    keys: np.ndarray
    locks: np.ndarray
    shift: np.uint64
    clock: np.ndarray
    versions: np.ndarray
    racy: np.ndarray
    seen: np.ndarray
    conflicts: np.ndarray
    staleness: np.ndarray
    sight: np.ndarray


MOST_LOCKS = 1 << 16


def make_tools(n_threads: int, longest: int, n_coordinates: int, *, locked: bool, traced: bool) -> list[Tools]:
    """Allocate what the threads of a run share, and what each has for itself."""
    size = n_coordinates if traced else 0
    shift = max(0, int(np.ceil(np.log2(max(1, n_coordinates) / MOST_LOCKS))))
    locks = aligned_zeros((n_coordinates >> shift) + 1 if locked else 0, np.int64)
    clock, versions, racy = aligned_zeros(8, np.int64), aligned_zeros(size, np.int64), aligned_zeros(size, np.int64)
    return [
        Tools(
            np.zeros(longest if locked or traced else 0, np.uint64),
            locks,
            np.uint64(shift),
            clock,
            versions,
            racy,
            aligned_zeros(size, np.int64),
            aligned_zeros(size, np.int64),
            aligned_zeros(LONGEST, np.int64),
            aligned_zeros(8, np.int64),
        )
        for _ in range(n_threads)
    ]


def collect(tools: list[Tools], coordinates: tuple, engine: str, *, racy: bool) -> Trace:
    """Sum up what the threads have counted."""
    staleness = sum(tool.staleness for tool in tools)
    versions = tools[0].versions.copy()
    return Trace(
        staleness=staleness[: np.flatnonzero(staleness).max(initial=0) + 1].copy(),
        conflicts=np.array(sum(tool.conflicts for tool in tools)),
        updates=versions,
        lost=versions - tools[0].racy if racy else np.zeros_like(versions),
        coordinates=coordinates,
        engine=engine,
        n_threads=len(tools),
    )
