"""Kernels of the experiment: additions of several threads to the same words, and steps that lose updates on purpose."""

from __future__ import annotations

import numpy as np

from hogwild.compiled import barrier, fetch_add, inlined, kernel, load_acquire, lock, store_release, unlock

STRIPE = 4096  # words under one lock, as in the engine's merges


@inlined
def _next(state):
    """Next state of a linear congruential generator (Knuth's MMIX); its upper bits are random enough here."""
    return state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


@kernel
def gather(state, parties):
    """Wait until `parties` threads are here, so that they begin together."""
    barrier(state, parties)


@kernel
def add_at_random(words, first, mask, seed, times, indivisible):
    """Add 1 to a random one of the ``mask + 1`` words from `first` on, `times` times.

    The plain addition loads, adds and stores, as ``w[j] -= g`` does; being acquire and release, it stays in the loop.
    """
    state = seed
    for _ in range(times):
        state = _next(state)
        at = first + ((state >> np.uint64(33)) & mask)
        if indivisible:
            fetch_add(words, at, np.int64(1))
        else:
            store_release(words, at, load_acquire(words, at) + np.int64(1))
    return times


@kernel
def merge_ones(target, replica, base, locks, first, times, locked):
    """Merge a delta of 1 in every word, `times` times, stripe by stripe from `first` on, under locks or without."""
    n_words = np.uint64(target.size)
    n_stripes = (n_words + np.uint64(STRIPE - 1)) // np.uint64(STRIPE)
    for _ in range(times):
        for j in range(n_words):
            replica[j] += 1
        for turn in range(n_stripes):
            stripe = (first + turn) % n_stripes
            low = stripe * np.uint64(STRIPE)
            if locked:
                lock(locks, stripe * np.uint64(8))
            for j in range(low, min(low + np.uint64(STRIPE), n_words)):
                merged = target[j] + (replica[j] - base[j])
                target[j] = merged
                replica[j] = merged
                base[j] = merged
            if locked:
                unlock(locks, stripe * np.uint64(8))


@kernel
def lossy_epoch(indptr, indices, values, y, order, w, eta, share, seed):
    """Step through the rows of the log loss in `order`; each update of a weight is lost with probability `share`.

    This is what an overwritten update does to a model, with the rate as a parameter. Returns the generator's state.
    """
    state = seed
    for at in range(np.uint64(order.size)):
        i = order[at]
        low, high = np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])
        score = 0.0
        for k in range(low, high):
            score += w[indices[k]] * values[k]
        change = eta * y[i] / (1.0 + np.exp(y[i] * score))
        for k in range(low, high):
            state = _next(state)
            if np.float64(state >> np.uint64(40)) >= share * 16_777_216.0:  # 24 bits are left
                w[indices[k]] += change * values[k]
    return state
