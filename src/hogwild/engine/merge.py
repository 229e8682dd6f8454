"""Merging replicas: ``shared += s * (replica - base); replica = base = shared``, and the factors s.

Adding the deltas of T replicas is right for a feature that each rarely touches; where all of them walk most of the way,
the sum overshoots T times. The damped factor goes from 1 (sum) to 1/T (mean) as ``a = eta * rows * curvature`` grows:
``s = (1 - exp(-T a)) / (T (1 - exp(-a)))``, from comparing T times m sequential steps with T parallel runs of m steps
on a quadratic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel, lock, unlock
from hogwild.steps.base import settle

STRIPE = 4096  # parameters under one lock
NO_PENALTY = -1e300  # an accumulated penalty that nothing owes anything of
SUM, MEAN = 0.0, 1e12  # curvature of a parameter whose deltas are added whole, or averaged


class Merging(NamedTuple):
    """What all threads of a slice need to merge; the arrays are shared.

    Attributes
    ----------
    target : ndarray, shape (n,)
        Shared copy of the replicated parameters.
    curvature : ndarray of float32, shape (n,)
        Curvature c of each; `SUM` or `MEAN` where the rule is another.
    squares_at : uint64
        Distance from a parameter to its AdaGrad sum in `target`; 0 for none.
    constant : float
        Factor of the curvature: 1, or what tuning found.
    n_replicas : int
    interval : uint64
        Rows that a replica steps between merges.
    n_features : uint64
        Leading parameters that `settle` knows (weights, then intercepts).
    settles : bool
        Whether merges apply penalty or average.
    locks : ndarray of int64, shape (n_stripes * 8,)
        One lock a cache line.
    areas : ndarray of float64, shape (n_stripes, 2)
        How far each stripe's average goes: sums of the scale and of 1 over the rows of this slice.
    """

    target: np.ndarray
    curvature: np.ndarray
    squares_at: np.uint64
    constant: float
    n_replicas: int
    interval: np.uint64
    n_features: np.uint64
    settles: bool
    locks: np.ndarray
    areas: np.ndarray


class Replica(NamedTuple):
    """One thread's copy.

    Attributes
    ----------
    values, base, factors : ndarray, shape (n,)
        The copy, what it was last synchronised to, and the damped factor of each parameter.
    state : ndarray of float64, shape (8,)
        eta of the current factors, merges since they were computed, merges after which to compute them again,
        rows since the last merge, total of merges.
    """

    values: np.ndarray
    base: np.ndarray
    factors: np.ndarray
    state: np.ndarray


@inlined
def damped_factor(a, n):
    """Factor s of a parameter merged by `n` replicas: from 1 where `a` is small to 1 / n where every replica saturates.

    With ``g(x) = x / (1 - exp(-x))``, ``s = g(a) / g(n a)``; ``g(x) ~ x / 2 + sqrt(1 + x^2 / 4)`` is within 8 % and
    vectorises: ten times faster than two exponentials, 5 % of a whole epoch on RCV1-like data.
    """
    one, half = np.float32(1.0), np.float32(0.5) * min(a, np.float32(1e6))  # its square is finite in float32
    wide = n * half
    return (half + np.sqrt(one + half * half)) / (wide + np.sqrt(one + wide * wide))


@inlined
def _fill_factors(merging, factors, eta, low, high):
    dtype = factors.dtype.type
    x, n, offset = dtype(eta * merging.interval * merging.constant), dtype(merging.n_replicas), merging.squares_at
    if offset:
        half = np.uint64(merging.target.size) - offset
        for j in range(low, min(high, half)):
            a = x * dtype(merging.curvature[j]) / np.sqrt(max(merging.target[j + offset], dtype(1e-30)))
            factors[j] = damped_factor(dtype(a), n)
        for j in range(max(low, half), high):
            factors[j] = dtype(1.0)
    else:
        for j in range(low, high):
            factors[j] = damped_factor(x * dtype(merging.curvature[j]), n)


@inlined
def refresh_factors(merging, factors, state, eta, low, high):
    """Compute the factors again once eta has moved by a fifth (or, under AdaGrad, after 1, 2, 4, ... merges)."""
    state[1] += 1.0
    due = merging.squares_at > 0 and state[1] >= state[2]
    if abs(eta - state[0]) > 0.2 * state[0] or due:
        _fill_factors(merging, factors, eta, low, high)
        state[0], state[1] = eta, 0.0
        state[2] = min(max(2.0 * state[2], 1.0), 64.0)


@inlined
def rebase(merging, replica):
    """Start the replica from the shared copy."""
    for j in range(np.uint64(merging.target.size)):
        value = merging.target[j]
        replica.values[j] = value
        replica.base[j] = value
    replica.state[3] = 0.0


@inlined
def first_stripe(merging, thread):
    """Stripe at which a thread starts its merges: apart, so that they seldom wait for each other."""
    n_stripes = np.uint64(merging.target.size) // np.uint64(STRIPE) + np.uint64(1)
    return np.uint64(thread) * n_stripes // np.uint64(merging.n_replicas)


@inlined
def merge(shared, merging, replica, eta, running, first):
    """Add one replica's delta to the shared copy and rebase it, stripe by stripe from `first` on; nothing is lost.

    Stripes are locked one at a time: racy additions lost .03 % of the deltas with two threads and 3 % with four.
    """
    n = np.uint64(merging.target.size)
    refresh_factors(merging, replica.factors, replica.state, eta, np.uint64(0), n)
    target, values, base, factors = merging.target, replica.values, replica.base, replica.factors
    n_stripes = (n + np.uint64(STRIPE - 1)) // np.uint64(STRIPE)
    for turn in range(n_stripes):
        stripe = (first + turn) % n_stripes
        low = stripe * np.uint64(STRIPE)
        high = min(low + np.uint64(STRIPE), n)
        lock(merging.locks, stripe * np.uint64(8))
        if merging.settles and low < merging.n_features:
            area = max(running[4] - merging.areas[stripe, 0], 0.0)  # another thread may have been ahead
            count = max(running[5] - merging.areas[stripe, 1], 0.0)
            settle(shared, low, min(high, merging.n_features), running[2], NO_PENALTY, area, count)
            merging.areas[stripe, 0] += area
            merging.areas[stripe, 1] += count
        for j in range(low, high):
            merged = target[j] + factors[j] * (values[j] - base[j])
            target[j] = merged
            values[j] = merged
            base[j] = merged
        if merging.settles and low < merging.n_features:
            settle(shared, low, min(high, merging.n_features), running[2], running[3], 0.0, 0.0)
            for j in range(low, min(high, merging.n_features)):
                values[j] = target[j]
                base[j] = target[j]
        unlock(merging.locks, stripe * np.uint64(8))
    replica.state[3] = 0.0
    replica.state[4] += 1.0


@kernel
def add_deltas(merging, replica, first, times):
    """Merge `times` times, each time with a delta of 1 in every parameter (test of lost additions)."""
    n = np.uint64(merging.target.size)
    for _ in range(times):
        for j in range(n):
            replica.values[j] += 1
        n_stripes = (n + np.uint64(STRIPE - 1)) // np.uint64(STRIPE)
        for turn in range(n_stripes):
            stripe = (first + turn) % n_stripes
            low = stripe * np.uint64(STRIPE)
            lock(merging.locks, stripe * np.uint64(8))
            for j in range(low, min(low + np.uint64(STRIPE), n)):
                merged = merging.target[j] + (replica.values[j] - replica.base[j])
                merging.target[j] = merged
                replica.values[j] = merged
                replica.base[j] = merged
            unlock(merging.locks, stripe * np.uint64(8))
