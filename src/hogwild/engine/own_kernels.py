"""The loops around a user's own step, compiled with it: one set for each step, kept as long as the process lives.

A built-in model's loops are compiled once for its type and kept on disk; a user's step has no type of its own, so its
loops are closures over it. What costs 0.3 to 0.6 s once is then as fast as a built-in step: everything is inlined, and
rows are views without reference counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from hogwild.compiled import OPTIONS, fetch_add, kernel, load_acquire, lock, store_release, unlock, wait_turn
from hogwild.engine.merge import first_stripe, merge, rebase
from hogwild.engine.order import fill_order
from hogwild.engine.own_functions import COUNTED, plain, surroundings
from hogwild.engine.trace import LONGEST
from hogwild.schedules import BLOCK, CHUNK
from hogwild.steps.own import View
from hogwild.steps.rows import prefetch_row, prefetch_share

AHEAD = np.uint64(4)  # as in engine/loops.py
TIERS = (OPTIONS, COUNTED)


class Kind(NamedTuple):
    """Which loops: steps under locks, instrumented, on replicas."""

    locked: bool = False
    traced: bool = False
    replicated: bool = False


class Loops(NamedTuple):
    """Compiled loops around one step (and one loss).

    Attributes
    ----------
    advance : callable
        One thread's part of a slice on arrays that it shares with others or has for itself.
    advance_replica : callable
        The same on a replica that is merged now and then.
    mean_loss : callable or None
        Sum of the losses of some rows.
    probe : callable
        Measures the curvature along each parameter.
    """

    advance: Callable
    advance_replica: Callable
    mean_loss: Callable | None
    probe: Callable


# ------------------------------------------------------------------------------------------------ parts kept on disk
# what is called once a chunk or merge is a kernel of its own: it is compiled once, not with every step


@kernel
def fill_chunk(order, chunk, n, numbers):
    """Write the rows at positions chunk .. chunk + n of the epoch."""
    fill_order(order, chunk, n, numbers)


@kernel
def start_replica(merging, replica):
    """Start the replica from the shared copy."""
    rebase(merging, replica)


@kernel
def find_changes(flat, base, n, places, moves):
    """Write where ``flat[:n]`` differs from `base`, and by how much; returns in how many places."""
    found, low = np.uint64(0), np.uint64(0)
    while low < n:
        high, differ = min(low + np.uint64(256), n), 0
        for j in range(low, high):  # without branches, side by side: most of a row's parameters are as they were
            differ += 1 if flat[j] != base[j] else 0
        if differ:
            for j in range(low, high):
                if flat[j] != base[j]:
                    places[found] = j
                    moves[found] = flat[j] - base[j]
                    found += np.uint64(1)
        low = high
    return found


@kernel
def reset(flat, base):
    """Make `flat` what `base` is."""
    for j in range(np.uint64(flat.size)):
        flat[j] = base[j]


@kernel
def merge_replica(merged, merging, replica, eta, running, thread):
    """Add the replica's delta to the shared copy and rebase it."""
    merge(merged, merging, replica, eta, running, first_stripe(merging, thread))


@kernel
def wait_for(turn, position):
    """Wait until it is the turn of `position`."""
    waited = 0
    while np.uint64(load_acquire(turn, np.uint64(0))) != position:
        waited = wait_turn(waited)


# ------------------------------------------------------------------------------------------------ coordinates


@kernel
def sort_unique(keys, n):
    """Sort ``keys[:n]`` and drop what is there twice; returns how many are left."""
    gap = np.uint64(1)
    while gap < n // np.uint64(3):
        gap = gap * np.uint64(3) + np.uint64(1)
    ascending = True
    for k in range(np.uint64(1), n):
        if keys[k - np.uint64(1)] >= keys[k]:
            ascending = False
            break
    if ascending:  # nearly always
        return n
    while gap > 0:  # Shell's method needs no memory
        for k in range(gap, n):
            key, place = keys[k], k
            while place >= gap and keys[place - gap] > key:
                keys[place] = keys[place - gap]
                place -= gap
            keys[place] = key
        gap //= np.uint64(3)
    kept = np.uint64(1)
    for k in range(np.uint64(1), n):
        if keys[k] != keys[kept - np.uint64(1)]:
            keys[kept] = keys[k]
            kept += np.uint64(1)
    return kept


@kernel
def _lock_all(tools, n):
    """Lock the coordinates in ascending order, each lock once: threads that do so never wait in a circle."""
    last = ~np.uint64(0)
    for k in range(n):
        place = tools.keys[k] >> tools.shift
        if place != last:
            lock(tools.locks, place)
            last = place


@kernel
def _unlock_all(tools, n):
    last = ~np.uint64(0)
    for k in range(n):
        place = tools.keys[k] >> tools.shift
        if place != last:
            unlock(tools.locks, place)
            last = place


@kernel
def _look(tools, n):
    """Note what is read now: the clock, and the version of each coordinate."""
    tools.sight[0] = load_acquire(tools.clock, np.uint64(0))
    for k in range(n):
        tools.seen[tools.keys[k]] = load_acquire(tools.versions, tools.keys[k])


@kernel
def _look_at_all(tools):
    """The same after a merge, which reads everything."""
    tools.sight[0] = load_acquire(tools.clock, np.uint64(0))
    for j in range(np.uint64(tools.versions.size)):
        tools.seen[j] = load_acquire(tools.versions, j)


@kernel
def _note(tools, n, racy):
    """Count the step that has just written: its staleness, and the coordinates that others wrote to meanwhile."""
    for k in range(n if racy else np.uint64(0)):
        tools.racy[tools.keys[k]] += 1
    stale = fetch_add(tools.clock, np.uint64(0), np.int64(1)) - tools.sight[0]
    tools.sight[0] += 1  # one's own steps make nothing stale
    tools.staleness[min(stale, np.int64(LONGEST - 1))] += 1
    for k in range(n):
        j = tools.keys[k]
        version = fetch_add(tools.versions, j, np.int64(1))
        if version != tools.seen[j]:
            tools.conflicts[j] += 1
        tools.seen[j] = version + 1


# ------------------------------------------------------------------------------------------------ loops


@functools.lru_cache(maxsize=64)
def _make_loops(step: Callable, loss: Callable | None, known: tuple, view: View, kind: Kind, tier: int) -> Loops:
    """Make the loops; `known` is what compiled code holds of the functions' surroundings (a part of the key only)."""
    options, (locked, traced, replicated) = TIERS[tier], kind
    part = {**options, "forceinline": True}
    own_step, row_of, touched = njit(**part)(plain(step)), njit(**part)(view.row), njit(**part)(view.touched)
    ahead, racy = view.ahead, not replicated

    def one(rows, i, params, eta, tools):
        return own_step(row_of(rows, i), params, eta)

    def watched(rows, i, params, eta, tools):
        n = sort_unique(tools.keys, touched(rows, i, tools.keys))
        if locked:
            _lock_all(tools, n)
        if traced and racy:
            _look(tools, n)
        loss = own_step(row_of(rows, i), params, eta)
        if traced:
            _note(tools, n, racy)
        if locked:
            _unlock_all(tools, n)
        return loss

    run_one = njit(**part)(watched if locked or traced else one)

    @njit(**part)
    def run_rows(rows, order, params, etas, numbers, first, n, position, low, fresh, tools):
        """Step through ``numbers[first : first + n]``, prefetching as `_run_rows` of engine/loops.py does."""
        total, k, blocks = 0.0, np.uint64(0), order.block > np.uint64(1) and order.kept.size == 0
        while k < n:
            if ahead:
                if blocks:
                    place = position + k
                    following = place // np.uint64(BLOCK) + np.uint64(1)
                    if following < np.uint64(order.blocks.size):
                        start = np.uint64(order.blocks[following]) * np.uint64(BLOCK)
                        prefetch_share(rows, start, place % np.uint64(BLOCK))
                if ((fresh and k < np.uint64(BLOCK)) or not blocks) and k + AHEAD < n:
                    prefetch_row(rows, numbers[first + k + AHEAD])
            total += run_one(rows, numbers[first + k], params, etas[position + k - low], tools)
            k += np.uint64(1)
        return total

    @njit(**options)
    def advance(rows, order, params, etas, low, high, share, cursor, turn, thread, n_threads, tools, numbers):
        """Take parts of `share` rows: whichever comes next, or, with a `turn`, those of this thread when it is due."""
        total, filled, ordered, taken = 0.0, ~np.uint64(0), turn.size > 0, low + thread * share
        while True:
            if not ordered:
                taken = low + np.uint64(fetch_add(cursor, np.uint64(0), np.int64(1))) * share
            if taken >= high:
                break
            position, stop = taken, min(taken + share, high)
            while position < stop:
                chunk = position // np.uint64(CHUNK) * np.uint64(CHUNK)
                if chunk != filled:
                    fill_chunk(order, chunk, min(np.uint64(CHUNK), order.n_rows - chunk), numbers)
                    filled = chunk
                n = min(chunk + np.uint64(CHUNK), stop) - position
                if ordered:
                    wait_for(turn, position)
                first, fresh = position - chunk, position == taken
                total += run_rows(rows, order, params, etas, numbers, first, n, position, low, fresh, tools)
                position += n
                if ordered:
                    store_release(turn, np.uint64(0), np.int64(position))
            taken += n_threads * share
        return total

    @njit(**options)
    def advance_replica(
        rows, order, params, merged, merging, replica, etas, low, high, share, cursor, thread, tools, running, numbers
    ):
        """Take parts of `share` rows, a multiple of `CHUNK`, stepping on a replica that is merged every interval."""
        total, state = 0.0, replica.state
        start_replica(merging, replica)
        if traced:
            _look_at_all(tools)
        while True:
            taken = low + np.uint64(fetch_add(cursor, np.uint64(0), np.int64(1))) * share
            if taken >= high:
                break
            position, stop = taken, min(taken + share, high)
            while position < stop:
                n = min(np.uint64(CHUNK), stop - position)
                fill_chunk(order, position, n, numbers)
                done, fresh = np.uint64(0), position == taken
                while done < n:
                    m = min(n - done, merging.interval - np.uint64(state[3]))
                    total += run_rows(
                        rows, order, params, etas, numbers, done, m, position + done, low, fresh and done == 0, tools
                    )
                    done += m
                    state[3] += m
                    if np.uint64(state[3]) >= merging.interval:
                        last = position + done - low - np.uint64(1)
                        merge_replica(merged, merging, replica, etas[last], running, thread)
                        if traced:
                            _look_at_all(tools)
                position += n
        if state[3] > 0:
            merge_replica(merged, merging, replica, etas[high - low - np.uint64(1)], running, thread)
        return total

    @njit(**options)
    def probe(rows, numbers, params, flat, base, places, moves, n_damped, sums, eta):
        """Add the measured curvature along the first `n_damped` parameters to `sums`; returns how many steps changed.

        A row's step from `base` moves its parameters by ``-eta g``; from parameters moved by e along the signs of that,
        by ``-eta (g + e H sign)``: the difference is the sum of absolute values of each row of the Hessian H where the
        loss is one of a score. Where it is 0 (hinge, absolute value) ``g g' / 4`` stands for H.
        """
        changed = np.uint64(0)
        for r in range(np.uint64(numbers.size)):
            row = row_of(rows, numbers[r])
            own_step(row, params, eta)
            n = find_changes(flat, base, n_damped, places, moves)
            changed += n
            length, size = 0.0, 0.0
            for k in range(n):
                length += abs(moves[k])
                size += abs(base[places[k]])
            reset(flat, base)
            if n == 0 or not np.isfinite(length):
                continue
            e = max(length, 1e-3 * size) / n
            for k in range(n):
                flat[places[k]] += e if moves[k] > 0 else -e
            own_step(row, params, eta)
            total = 0.0
            for k in range(n):
                j = places[k]
                start = flat.dtype.type(base[j] + (e if moves[k] > 0 else -e))
                bend = abs(flat[j] - start - moves[k])
                total += bend
                sums[j] += bend / (eta * e)
            if total <= 1e-6 * length:
                for k in range(n):
                    sums[places[k]] += 0.25 * abs(moves[k]) * length / (eta * eta)
            reset(flat, base)
        return changed

    if loss is None:
        return Loops(advance, advance_replica, None, probe)
    own_loss = njit(**part)(plain(loss))

    @njit(**options)
    def mean_loss(rows, numbers, low, high, params):
        """Sum of the losses of the rows numbers[low:high], or low..high without numbers."""
        total = 0.0
        for k in range(low, high):
            total += own_loss(row_of(rows, numbers[k] if numbers.size else np.uint32(k)), params)
        return total

    return Loops(advance, advance_replica, mean_loss, probe)


def make_loops(step: Callable, loss: Callable | None, view: View, kind: Kind, tier: int) -> Loops:
    """Return the loops around a step, those of an earlier run where nothing has changed.

    Nothing is compiled before the first call. `tier` is a row of `TIERS`: without reference counts first, because all
    threads count references to the same arrays in the same place; with them for steps that make arrays of their own.
    """
    known = surroundings(step) + (surroundings(loss) if loss is not None else ())
    return _make_loops(step, loss, known, view, kind, tier)
