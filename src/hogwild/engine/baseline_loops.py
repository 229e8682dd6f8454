"""The loops of the baselines: under locks, in turns, delayed, and along the mean gradient of a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros, barrier, fetch_add, inlined, kernel, load_acquire
from hogwild.engine.locks import end_turn, find_locks, give_locks, take_locks, wait_for_turn
from hogwild.engine.loops import AHEAD, SOON
from hogwild.engine.merge import NO_PENALTY
from hogwild.engine.order import fill_order
from hogwild.schedules import CHUNK, SMALLEST_SCALE, fill_clock
from hogwild.steps.base import apply, fold, measure, prefetch_weights, settle, step
from hogwild.steps.products import row_weight
from hogwild.steps.rows import feature, prefetch_row, span, value

_ONE = np.uint64(1)


@inlined
def _ask(rows, model, work, place, last, every):
    """Ask the memory for rows to come, and for the weights of the next; a thread's rows are `every` places apart."""
    if place + AHEAD * every < last:
        prefetch_row(rows, work.order[place + AHEAD * every])
    if model.settings.large and place + SOON * every < last:
        prefetch_weights(rows, work.order[place + SOON * every], model)


@inlined
def _close(model, n_parameters, running):
    settle(model, np.uint64(0), n_parameters, running[2], running[3], running[4], running[5])
    fold(model, running[2])


@inlined
def _start_scale(running):
    running[2], running[4], running[5] = 1.0, 0.0, 0.0


# ------------------------------------------------------------------------------------------------ locks and turns


@inlined
def _close_together(model, n_parameters, running, thread, threads, meeting):
    """Fold the scale once all threads are here: their clocks are the same, so that they all come."""
    barrier(meeting, threads)
    if thread == 0:
        _close(model, n_parameters, running)
    _start_scale(running)
    barrier(meeting, threads)


@kernel
def advance_locked(
    rows, order, model, n_parameters, schedule, low, high, thread, threads, cursor, meeting, stripes, held, counts, work
):
    """Take chunks of low..high until none is left, each row under its locks; returns the sum of losses.

    Every thread follows the clock through all chunks (4 ns a row). ``counts[0]`` counts the rows that had to wait.
    """
    total, position, chunk, running = 0.0, low, np.int64(0), work.running
    mine = fetch_add(cursor, np.uint64(0), np.int64(1))
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        takes = chunk == mine
        if takes:
            fill_order(order, position, n, work.order)
        done = np.uint64(0)
        while done < n:
            ready = fill_clock(schedule, work, n - done)
            for k in range(ready if takes else np.uint64(0)):
                i = work.order[done + k]
                _ask(rows, model, work, done + k, n, _ONE)
                n_held = find_locks(rows, i, stripes, held)
                waited = take_locks(stripes, held, n_held, model.settings.fit_intercept)
                total += step(rows, i, model, work, k)
                give_locks(stripes, held, n_held, model.settings.fit_intercept)
                counts[0] += np.int64(waited)
            done += ready
            if running[2] < SMALLEST_SCALE:
                _close_together(model, n_parameters, running, thread, threads, meeting)
        if takes:
            mine = fetch_add(cursor, np.uint64(0), np.int64(1))
        chunk += np.int64(1)
        position += n
    return total


@kernel
def advance_in_turn(
    rows, order, model, n_parameters, schedule, low, high, thread, threads, turn, meeting, in_turn, counts, work
):
    """Step every `threads`-th row of low..high: measure it at what stands there, change the weights in its turn.

    ``turn[0]`` is the position whose turn it is. With `in_turn` rows are measured in their turn too: where measuring
    writes. ``counts`` counts the rows that waited and holds the largest number of rows that a measurement lacked.
    """
    total, position, running = 0.0, low, work.running
    first, every = np.uint64(thread), np.uint64(threads)
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        fill_order(order, position, n, work.order)
        done = np.uint64(0)
        while done < n:
            ready = fill_clock(schedule, work, n - done)
            place = (position + done) % every
            k = first - place if first >= place else first + every - place
            while k < ready:
                i, mine, waited = work.order[done + k], np.int64(position + done + k), False
                _ask(rows, model, work, done + k, n, every)
                if in_turn:
                    waited = wait_for_turn(turn, mine)
                counts[1] = max(counts[1], mine - load_acquire(turn, np.uint64(0)))
                total += measure(rows, i, model, work, k)
                if not in_turn:
                    waited = wait_for_turn(turn, mine)
                apply(rows, i, model, work, k)
                end_turn(turn, mine)
                counts[0] += np.int64(waited)
                k += every
            done += ready
            if running[2] < SMALLEST_SCALE:
                _close_together(model, n_parameters, running, thread, threads, meeting)
        position += n
    return total


# ------------------------------------------------------------------------------------------------ measured, not applied


class Pending(NamedTuple):
    """Rows that were measured and have not changed the weights yet, the oldest first in a ring.

    Attributes
    ----------
    rows : ndarray of uint32, shape (capacity,)
    eta : ndarray of float64, shape (capacity,)
        Step size of each row.
    derivatives : ndarray of float64, shape (capacity, n_columns)
    state : ndarray of int64, shape (8,)
        Place of the oldest, number of rows.
    """

    rows: np.ndarray
    eta: np.ndarray
    derivatives: np.ndarray
    state: np.ndarray


def make_pending(capacity: int, n_columns: int) -> Pending:
    """Allocate an empty ring."""
    eta, derivatives = np.zeros(capacity), np.zeros((capacity, n_columns))
    return Pending(np.zeros(capacity, np.uint32), eta, derivatives, aligned_zeros(8, np.int64))


@inlined
def _push(pending, i, eta, work):
    capacity = np.uint64(pending.rows.size)
    at = np.uint64(pending.state[0]) + np.uint64(pending.state[1])
    at = at - capacity if at >= capacity else at
    pending.rows[at], pending.eta[at] = i, eta
    for c in range(np.uint64(work.derivatives.size)):
        pending.derivatives[at, c] = work.derivatives[c]
    pending.state[1] += 1


@inlined
def _pop(pending, k, work):
    """Put the oldest row's derivatives and step size back into `work`; returns the row."""
    at = np.uint64(pending.state[0])
    for c in range(np.uint64(work.derivatives.size)):
        work.derivatives[c] = pending.derivatives[at, c]
    work.eta[k] = pending.eta[at]
    following = at + _ONE
    pending.state[0] = np.int64(0) if following == np.uint64(pending.rows.size) else np.int64(following)
    pending.state[1] -= 1
    return pending.rows[at]


@kernel
def advance_delayed(rows, order, model, n_parameters, schedule, low, high, pending, work):
    """Run positions low..high on one thread; each row changes the weights when ``pending`` is full behind it."""
    total, position, capacity = 0.0, low, np.int64(pending.rows.size)
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        fill_order(order, position, n, work.order)
        done = np.uint64(0)
        while done < n:
            ready, part = fill_clock(schedule, work, n - done), 0.0  # summed as one thread sums
            for k in range(ready):
                i = work.order[done + k]
                _ask(rows, model, work, done + k, n, _ONE)
                part += measure(rows, i, model, work, k)
                _push(pending, i, work.eta[k], work)
                if pending.state[1] == capacity:
                    i = _pop(pending, k, work)
                    apply(rows, i, model, work, k)
            total += part
            done += ready
            if work.running[2] < SMALLEST_SCALE:
                _close(model, n_parameters, work.running)
                _start_scale(work.running)
        position += n
    return total


@kernel
def apply_pending(rows, model, pending, work):
    """Let all pending rows change the weights now, while the clock stands still."""
    running, k = work.running, np.uint64(0)
    work.scale[_ONE], work.inverse[k] = running[2], 1.0 / running[2]
    work.penalty[k], work.area[k], work.count[k] = running[3], running[4], running[5]
    while pending.state[1] > 0:
        i = _pop(pending, k, work)
        apply(rows, i, model, work, k)


# ------------------------------------------------------------------------------------------------ mean gradients


@inlined
def _step_batch(rows, model, unpenalised, n_parameters, schedule, pending, work):
    """One step along the mean gradient of the pending rows: their changes add up, then the penalty is taken once."""
    k, n, running = np.uint64(0), np.uint64(pending.state[1]), work.running
    fill_clock(schedule, work, _ONE)
    eta = work.eta[k] / np.float64(n)
    while pending.state[1] > 0:
        i = _pop(pending, k, work)
        work.eta[k] = eta
        apply(rows, i, unpenalised, work, k)
    if model.settings.penalised:  # steps of no length, which leave the penalty
        for c in range(np.uint64(work.derivatives.size)):
            work.derivatives[c] = 0.0
        for b in range(n):
            apply(rows, pending.rows[b], model, work, k)
    pending.state[0] = 0
    if running[2] < SMALLEST_SCALE:
        _close(model, n_parameters, running)
        _start_scale(running)
    work.scale[k] = running[2]


@kernel
def advance_minibatch(rows, order, model, unpenalised, n_parameters, schedule, low, high, pending, work):
    """Measure positions low..high on one thread, with a step whenever ``pending`` is full."""
    total, position, size = 0.0, low, np.int64(pending.rows.size)
    work.scale[np.uint64(0)] = work.running[2]
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        fill_order(order, position, n, work.order)
        for k in range(n):
            i = work.order[k]
            _ask(rows, model, work, k, n, _ONE)
            total += measure(rows, i, model, work, np.uint64(0))
            _push(pending, i, 0.0, work)
            if pending.state[1] == size:
                _step_batch(rows, model, unpenalised, n_parameters, schedule, pending, work)
        position += n
    return total


@kernel
def step_pending(rows, model, unpenalised, n_parameters, schedule, pending, work):
    """Step along the mean gradient of a batch that is not full."""
    if pending.state[1] > 0:
        _step_batch(rows, model, unpenalised, n_parameters, schedule, pending, work)


@kernel
def sum_gradients(rows, order, model, low, high, sums, work):
    """Add the gradients of positions low..high to `sums` (weights, then intercepts); returns the sum of losses."""
    total, position, columns = 0.0, low, np.uint64(work.derivatives.size)
    offset = np.uint64(sums.size) - columns
    work.scale[np.uint64(0)] = 1.0
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        fill_order(order, position, n, work.order)
        for k in range(n):
            i = work.order[k]
            _ask(rows, model, work, k, n, _ONE)
            total += measure(rows, i, model, work, np.uint64(0))
            weight, any_ = row_weight(rows, i), False
            for c in range(columns):
                slope = work.derivatives[c] * weight
                work.derivatives[c] = slope
                sums[offset + c] += slope
                any_ |= slope != 0.0
            if any_:
                start, stop = span(rows, i)
                if columns == _ONE:
                    slope = work.derivatives[0]
                    for j in range(start, stop):
                        sums[feature(rows, j)] += slope * value(rows, i, j)
                else:
                    for j in range(start, stop):
                        first, x = np.uint64(feature(rows, j)) * columns, value(rows, i, j)
                        for c in range(columns):
                            sums[first + c] += work.derivatives[c] * x
        position += n
    return total


@kernel
def step_sums(model, n_parameters, schedule, sums, n_rows, work):
    """Step along the mean of `sums` (a row for each thread, added in their order), which are 0 afterwards."""
    settings, running, k = model.settings, work.running, np.uint64(0)
    coef, dtype = model.coef.reshape(-1), model.coef.dtype.type
    size, threads = np.uint64(coef.size), np.uint64(sums.shape[0])
    fill_clock(schedule, work, _ONE)
    factor = -work.eta[k] / n_rows
    for j in range(np.uint64(sums.shape[1])):
        gradient = 0.0
        for thread in range(threads):
            gradient += sums[thread, j]
            sums[thread, j] = 0.0
        if j < size:
            coef[j] += dtype(factor * gradient * work.inverse[k])
        elif settings.fit_intercept:
            model.intercept[j - size] += dtype(factor * gradient * settings.intercept_decay)
    settle(model, np.uint64(0), n_parameters, running[2], running[3], 0.0, 0.0)
    settle(model, np.uint64(0), n_parameters, running[2], NO_PENALTY, running[4], running[5])  # averages come last
    fold(model, running[2])
    _start_scale(running)
