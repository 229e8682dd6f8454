"""The loops that run steps over rows: one thread, racing threads with replicas, threads in a fixed order.

Every model's steps run in these loops; the compiler makes one kernel of each loop for each type of model and rows.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import barrier, fetch_add, inlined, kernel
from hogwild.engine.merge import NO_PENALTY, first_stripe, merge, rebase, refresh_factors
from hogwild.engine.order import fill_order
from hogwild.schedules import BLOCK, CHUNK, SMALLEST_SCALE, fill_clock
from hogwild.steps.base import fold, prefetch_weights, settle, step
from hogwild.steps.rows import prefetch_row, prefetch_share

SOON = np.uint64(1)  # rows between the prefetch of a row's weights and its turn, for models beyond the cache
TAKEN = 4 * CHUNK  # rows that a thread takes of a long slice: its next block is then mostly its own
AHEAD = np.uint64(4)  # rows between the prefetch of a row and its turn: 5.1 to 2.2 ns a nonzero in random order


@inlined
def _run_rows(rows, order, model, work, first, n, position, cold):
    """Step through ``work.order[first : first + n]`` on the clock in `work`; returns the sum of losses.

    `position` is the first row's place in the epoch. In block order each row asks for a share of the block after its
    own (13 % faster than asking for single rows), except in the `cold` first block, which nobody has asked for.
    """
    total, last, large = 0.0, first + n, model.settings.large
    blocks = order.block > np.uint64(1) and order.kept.size == 0
    k = np.uint64(0)
    while k < min(AHEAD, n) and (cold or not blocks):
        prefetch_row(rows, work.order[first + k])
        k += np.uint64(1)
    k = np.uint64(0)
    while k < n:
        if blocks:
            place = position + k
            following = place // np.uint64(BLOCK) + np.uint64(1)
            if following < np.uint64(order.blocks.size):
                start = np.uint64(order.blocks[following]) * np.uint64(BLOCK)
                prefetch_share(rows, start, place % np.uint64(BLOCK))
        if ((cold and k < np.uint64(BLOCK)) or not blocks) and first + k + AHEAD < last:
            prefetch_row(rows, work.order[first + k + AHEAD])
        if large:
            work.following[0] = work.order[min(first + k + np.uint64(1), last - np.uint64(1))]
            work.following[1] = work.order[min(first + k + np.uint64(2), last - np.uint64(1))]
            if first + k + SOON < last:
                prefetch_weights(rows, work.order[first + k + SOON], model)
        total += step(rows, work.order[first + k], model, work, k)
        k += np.uint64(1)
    return total


@inlined
def _close(model, n_parameters, running):
    """Bring everything lazy up to the clock and start a new scale."""
    settle(model, np.uint64(0), n_parameters, running[2], running[3], running[4], running[5])
    fold(model, running[2])
    running[2], running[4], running[5] = 1.0, 0.0, 0.0


@kernel
def advance(rows, order, model, n_parameters, schedule, low, high, work):
    """Run positions low..high of the epoch on one thread, exactly; returns the sum of losses."""
    total, position = 0.0, low
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        fill_order(order, position, n, work.order)
        done = np.uint64(0)
        while done < n:
            ready = fill_clock(schedule, work, n - done)
            total += _run_rows(rows, order, model, work, done, ready, position + done, position == low and done == 0)
            done += ready
            if work.running[2] < SMALLEST_SCALE:
                _close(model, n_parameters, work.running)
        position += n
    return total


@kernel
def close_clock(model, n_parameters, running):
    """Bring penalty and average up to the clock `running`, fold the scale into the weights, start a new scale."""
    _close(model, n_parameters, running)


@inlined
def _set_clock(running, starts, chunk):
    for field in range(np.uint64(5)):
        running[np.uint64(1) + field] = starts[chunk, field]


@kernel
def advance_replica(rows, order, model, shared, merging, replica, schedule, starts, cursor, low, high, thread, work):
    """Take chunks of the slice low..high until none is left, stepping on `model`, merging into `shared`.

    `model` views the replica's arrays, `shared` the merged ones. Returns the sum of losses. Work of one thread; several
    run it at once, with no barrier between them.
    """
    total, state, running = 0.0, replica.state, work.running
    first = first_stripe(merging, thread)
    rebase(merging, replica)
    share = np.uint64(TAKEN if high - low >= np.uint64(32 * TAKEN * merging.n_replicas) else CHUNK)
    while True:
        taken = low + np.uint64(fetch_add(cursor, np.uint64(0), np.int64(1))) * share
        if taken >= high:
            break
        stop, position = min(taken + share, high), taken
        _set_clock(running, starts, (taken - low) // np.uint64(CHUNK))
        while position < stop:
            n = min(np.uint64(CHUNK), stop - position)
            fill_order(order, position, n, work.order)
            done = np.uint64(0)
            while done < n:
                m = min(n - done, merging.interval - np.uint64(state[3]))
                m = fill_clock(schedule, work, m)
                cold = position == taken and done == 0
                total += _run_rows(rows, order, model, work, done, m, position + done, cold)
                done += m
                state[3] += m
                if np.uint64(state[3]) >= merging.interval:
                    merge(shared, merging, replica, work.eta[m - np.uint64(1)], running, first)
            position += n
    if state[3] > 0:
        merge(shared, merging, replica, work.eta[0], running, first)
    return total


@inlined
def _run_interval(rows, order, model, schedule, starts, low, position, n, work):
    """Run the `n` rows from `position` on; they lie within one chunk or cover whole ones."""
    total, end = 0.0, position + n
    while position < end:
        chunk = (position - low) // np.uint64(CHUNK)
        start = low + chunk * np.uint64(CHUNK)
        in_chunk = min(np.uint64(CHUNK), order.n_rows - start)
        fill_order(order, start, in_chunk, work.order)
        skipped = position - start
        m = min(end, start + in_chunk) - position
        _set_clock(work.running, starts, chunk)
        if skipped:
            fill_clock(schedule, work, skipped)
        fill_clock(schedule, work, m)
        total += _run_rows(rows, order, model, work, skipped, m, position, True)
        position += m
    return total


@kernel
def advance_interval(rows, order, model, shared, merging, replica, schedule, starts, low, position, n, work):
    """Run `n` rows on one replica and merge it: one turn of a virtual thread."""
    total = _run_interval(rows, order, model, schedule, starts, low, position, n, work)
    running = work.running
    merge(shared, merging, replica, work.eta[0], running, np.uint64(0))
    return total


@kernel
def advance_alone(rows, order, model, schedule, starts, low, position, n, work):
    """Run `n` rows on one replica and leave the merge to the caller."""
    return _run_interval(rows, order, model, schedule, starts, low, position, n, work)


@kernel
def advance_static(
    rows, order, model, shared, merging, replica, replicas, schedule, starts, low, high, thread, meeting, work
):
    """Run this thread's fixed share of the slice; merge in thread order at barriers: same bits on every run."""
    total, threads, n = 0.0, np.uint64(merging.n_replicas), np.uint64(merging.target.size)
    interval, thread, running = merging.interval, np.uint64(thread), work.running
    first, last = thread * n // threads, (thread + np.uint64(1)) * n // threads
    target, position = merging.target, low
    rebase(merging, replica)
    while position < high:
        mine = position + thread * interval
        if mine < high:
            total += _run_interval(rows, order, model, schedule, starts, low, mine, min(interval, high - mine), work)
        # the clock of the whole round, the same for every thread; nobody changes `target` before the barrier
        position = min(position + threads * interval, high)
        chunk = (position - low - np.uint64(1)) // np.uint64(CHUNK)
        _set_clock(running, starts, chunk)
        fill_clock(schedule, work, position - low - chunk * np.uint64(CHUNK))
        refresh_factors(merging, replica.factors, replica.state, work.eta[0], first, last)
        barrier(meeting, np.int64(threads))
        settled = min(last, merging.n_features)
        if merging.settles and first < settled:
            area, count = running[4] - merging.areas[thread, 0], running[5] - merging.areas[thread, 1]
            settle(shared, first, settled, running[2], NO_PENALTY, area, count)
            merging.areas[thread, 0], merging.areas[thread, 1] = running[4], running[5]
        for j in range(first, last):
            base = replica.base[j]
            delta = replicas[0, j] - base
            for other in range(np.uint64(1), threads):
                delta += replicas[other, j] - base
            target[j] += replica.factors[j] * delta
        barrier(meeting, np.int64(threads))
        if merging.settles:  # AdaGrad's penalty reads sums that another thread has merged
            if first < settled:
                settle(shared, first, settled, running[2], running[3], 0.0, 0.0)
            barrier(meeting, np.int64(threads))
        rebase(merging, replica)
    return total


@kernel
def write_order(order, rows, chunk):
    """Write the whole epoch's order, by way of `chunk` (CHUNK elements)."""
    position = np.uint64(0)
    while position < order.n_rows:
        n = min(np.uint64(CHUNK), order.n_rows - position)
        fill_order(order, position, n, chunk)
        for k in range(n):
            rows[position + k] = chunk[k]
        position += n
