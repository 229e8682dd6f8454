"""Clocks of columns: each group of columns counts the rows that it steps through, and has its own step sizes.

A group is a setting and the fold that it leaves out (`steps.columns`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros, inlined
from hogwild.schedules import CHUNK, Schedule

AHEAD = 64  # rows of a group's clock that are filled at once
_PADDED = AHEAD + 8  # a power of two between the groups' rows would put them all into the same sets of the cache


class Clock(NamedTuple):
    """The clock of one group, as `schedules.fill_clock` writes it."""

    eta: np.ndarray
    scale: np.ndarray
    inverse: np.ndarray
    penalty: np.ndarray
    area: np.ndarray
    count: np.ndarray
    running: np.ndarray


class ColumnsWork(NamedTuple):
    """One thread's memory: row numbers, clocks of all groups, scores and steps of all columns.

    Attributes
    ----------
    order : ndarray of uint32, shape (CHUNK,)
    clock : ndarray of float64, shape (6, n_groups, AHEAD + 8)
        eta, scale, inverse, penalty, area, count of the next rows of each group.
    running, begun : ndarray of float64, shape (n_groups, 8)
        End and start of what `clock` holds: position, t, scale, penalty, area, count.
    position, filled : ndarray of uint64, shape (n_groups,)
        Next row of the clock, and the rows that it holds.
    rates : ndarray of float64, shape (n_groups, 9)
        Schedule of each group.
    alive, closing : ndarray of bool, shape (n_groups,)
        Whether the group steps at all; whether it is being brought up to its clock.
    losses : ndarray of float64, shape (n_groups,)
        Sum of the losses, each row before its own step.
    scores, slopes, etas : ndarray, shape (n_columns,)
    later, owed : ndarray of float64, shape (n_columns,)
        Scale after the row, and accumulated penalty; the penalty is negative where the column does not step.
    active : ndarray of uint32, shape (n_columns,)
        Columns whose step is not 0.
    following : ndarray of uint32, shape (2,)
        The next row and the one after it, as in `base.Work`.
    """

    order: np.ndarray
    clock: np.ndarray
    running: np.ndarray
    begun: np.ndarray
    position: np.ndarray
    filled: np.ndarray
    rates: np.ndarray
    alive: np.ndarray
    closing: np.ndarray
    losses: np.ndarray
    scores: np.ndarray
    slopes: np.ndarray
    etas: np.ndarray
    later: np.ndarray
    owed: np.ndarray
    active: np.ndarray
    following: np.ndarray


def make_columns_work(rates: np.ndarray, n_columns: int, dtype: np.dtype) -> ColumnsWork:
    """Allocate one thread's memory for groups with the schedules `rates`."""
    n_groups = len(rates)
    work = ColumnsWork(
        order=aligned_zeros(CHUNK, np.uint32),
        clock=aligned_zeros((6, n_groups, _PADDED), np.float64),
        running=aligned_zeros((n_groups, 8), np.float64),
        begun=aligned_zeros((n_groups, 8), np.float64),
        position=np.zeros(n_groups, np.uint64),
        filled=np.zeros(n_groups, np.uint64),
        rates=np.ascontiguousarray(rates, np.float64),
        alive=np.ones(n_groups, np.bool_),
        closing=np.zeros(n_groups, np.bool_),
        losses=np.zeros(n_groups),
        scores=aligned_zeros(n_columns, dtype),
        slopes=aligned_zeros(n_columns, dtype),
        etas=aligned_zeros(n_columns, dtype),
        later=aligned_zeros(n_columns, np.float64),
        owed=aligned_zeros(n_columns, np.float64),
        active=aligned_zeros(n_columns, np.uint32),
        following=np.zeros(2, np.uint32),
    )
    work.running[:, 1] = work.running[:, 2] = 1.0
    return work


@inlined
def schedule_of(rates, g):
    """Schedule of group `g`."""
    return Schedule(
        np.int64(rates[g, 0]),
        rates[g, 1],
        rates[g, 2],
        rates[g, 3],
        rates[g, 4],
        rates[g, 5],
        rates[g, 6],
        rates[g, 7] != 0.0,
        rates[g, 8],
    )


@inlined
def steps_through(model, work, trains, g):
    """Whether group `g` steps through a row with the folds `trains`."""
    return work.alive[g] and (trains >> model.settings.folds[g]) & np.uint64(1) != np.uint64(0)


@inlined
def take_turn(work, g):
    """Place of the group's next row in its clock."""
    p = work.position[g]
    work.position[g] = p + np.uint64(1)
    return p


@inlined
def rewind(work, g):
    """Take back the rows of the clock that the group has not stepped through."""
    p, one = work.position[g], np.uint64(1)
    if p < work.filled[g]:
        running, begun, clock = work.running, work.begun, work.clock
        running[g, 1] = begun[g, 1] + p
        running[g, 2] = clock[1, g, p]
        running[g, 3] = clock[3, g, p - one] if p > np.uint64(0) else begun[g, 3]
        running[g, 4], running[g, 5] = clock[4, g, p], clock[5, g, p]
    work.position[g] = work.filled[g] = np.uint64(0)
