"""Locks and turns for threads that share one model: the locks of a row's features, and one thread after the other.

A thread that holds one lock and waits for another deadlocks with a second one that does it the other way round, and
with itself where it asks for a lock twice. So a row's locks are taken in ascending order, each once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import (
    aligned_zeros,
    compare_exchange,
    inlined,
    load_acquire,
    lock,
    store_release,
    unlock,
    wait_turn,
)
from hogwild.steps.rows import DenseRows, PairRows, Rows, feature, span

MOST_STRIPES = 1 << 20


class Stripes(NamedTuple):
    """Locks of the features, and behind them one for what every row touches.

    Attributes
    ----------
    locks : ndarray of int64
        Side by side, 0 is free: one a cache line cost 25 ns a nonzero instead of 17 (RCV1-like data, two threads), for
        the locks of a row are many and mostly free.
    shift : uint64
        Feature f is under lock ``f >> shift``: the locks of a sorted row are sorted too. Taken modulo their number they
        would have to be sorted, which doubled the time of a row.
    """

    locks: np.ndarray
    shift: np.uint64


def make_stripes(n_features: int, stripes: int | None = None) -> Stripes:
    """Allocate free locks: one for each feature, or as many as a power of two gives up to `stripes`."""
    shift, last = 0, max(n_features, 1) - 1
    while (last >> shift) + 1 > (stripes or MOST_STRIPES):
        shift += 1
    return Stripes(aligned_zeros((last >> shift) + 2, np.int64), np.uint64(shift))


def longest_row(rows: Rows) -> int:
    """Number of entries of the longest row: the locks that a thread holds at once, without the last."""
    if isinstance(rows, PairRows):
        return 2
    if isinstance(rows, DenseRows):
        return rows.values.shape[1]
    return int(np.diff(rows.indptr).max(initial=0))


@inlined
def _sort(numbers, n):
    """Sort ``numbers[:n]`` by insertion: rows are sorted or nearly so, and short."""
    for j in range(np.uint64(1), n):
        number, at = numbers[j], j
        while at > np.uint64(0) and numbers[at - np.uint64(1)] > number:
            numbers[at] = numbers[at - np.uint64(1)]
            at -= np.uint64(1)
        numbers[at] = number


@inlined
def find_locks(rows, i, stripes, held):
    """Write the locks of row `i` to `held`, ascending, each once; returns how many.

    `held` is of uint32 and as long as the longest row.
    """
    start, stop = span(rows, i)
    n, sorted_ = np.uint64(0), True
    for j in range(start, stop):
        number = np.uint32(np.uint64(feature(rows, j)) >> stripes.shift)
        if n and number <= held[n - np.uint64(1)]:
            if number == held[n - np.uint64(1)]:
                continue
            sorted_ = False
        held[n] = number
        n += np.uint64(1)
    if sorted_:
        return n
    _sort(held, n)
    kept = np.uint64(1)
    for j in range(np.uint64(1), n):
        if held[j] != held[kept - np.uint64(1)]:
            held[kept] = held[j]
            kept += np.uint64(1)
    return kept


@inlined
def _take(locks, at):
    """Take a lock; returns whether it was not free."""
    if compare_exchange(locks, at, np.int64(0), np.int64(1)):
        return False
    lock(locks, at)
    return True


@inlined
def take_locks(stripes, held, n, last):
    """Take the `n` locks in `held`, then, if `last`, that of what every row touches.

    Returns whether it had to wait.
    """
    locks, waited = stripes.locks, False
    for j in range(n):
        waited |= _take(locks, np.uint64(held[j]))
    if last:
        waited |= _take(locks, np.uint64(locks.size - 1))
    return waited


@inlined
def give_locks(stripes, held, n, last):
    """Give back what `take_locks` took."""
    locks = stripes.locks
    if last:
        unlock(locks, np.uint64(locks.size - 1))
    for j in range(n):
        unlock(locks, np.uint64(held[j]))


@inlined
def wait_for_turn(turn, mine):
    """Wait until ``turn[0]`` is `mine`; returns whether it was not yet."""
    turns = 0
    while load_acquire(turn, np.uint64(0)) != mine:
        turns = wait_turn(turns)
    return turns > 0


@inlined
def end_turn(turn, mine):
    """Let the one after `mine` go on, who then sees all that this thread wrote."""
    store_release(turn, np.uint64(0), mine + np.int64(1))
