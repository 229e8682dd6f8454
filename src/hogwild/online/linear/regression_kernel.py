"""Steps of the linear regressions, row by row through a batch.

e is the target less the estimate; loss what is beyond the tolerated; n = |x|^2; V the variance of the estimate. A step
moves ``w += step s x``, where s is the variance (1 where a method has none).
"""

from __future__ import annotations

import math

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.online.linear.classifier_kernel import AROW, CW, LARGEST, PA2, PERCEPTRON, passive_aggressive, shrunk


@inlined
def widen(targets, y):
    """Take a target into their count, mean and sum of squared deviations; return the standard deviation."""
    targets[0] += 1
    apart = y - targets[1]
    targets[1] += apart / targets[0]
    targets[2] += apart * (y - targets[1])
    return math.sqrt(targets[2] / targets[0])


@inlined
def confident(method, error, V, C, sensitivity):
    """Step of CW, AROW and NHERD for an error's size, and how it shrinks variances."""
    if method == CW:
        b = 1 - 2 * C * error
        step = (-b + math.sqrt(b * b + 8 * C * (error + C * V))) / (4 * C * V)
        return step, 2 * step * C
    step = (error - sensitivity) / (V + 1 / C)
    return step, (1 / (V + 1 / C) if method == AROW else 2 * C + C * C * V)


@kernel
def train_rows(
    indptr, slots, values, ys, first, method, C, sensitivity, rate, weights, variances, changes, seen, targets,
    clock, limit, tally,
):  # fmt: skip
    """Learn rows from `first` on; return the row to go on from, which is early where `limit` slots are exceeded.

    Parameters
    ----------
    weights, variances, changes : by slot
        The last two may be empty.
    targets : float64
        See `widen`.

    The others are those of the classifiers.
    """
    counting = changes.size > 0
    for i in range(np.uint64(first), np.uint64(indptr.size - 1)):
        start, end = np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])
        now = np.uint64(clock) + i + np.uint64(1)
        estimate, n = 0.0, 0.0
        for j in range(start, end):
            slot, x = np.uint64(slots[j]), values[j]
            estimate += weights[slot] * x
            n += x * x
            if seen[slot] == 0:
                tally[0] += 1
            seen[slot] = now
        e = ys[i] - estimate
        sign, error = 1.0 if e > 0 else -1.0, abs(e)
        deviation = widen(targets, ys[i])
        step, shrink = 0.0, 0.0
        if method == PERCEPTRON:
            step = rate * error
        elif method <= PA2:
            loss = error - sensitivity * deviation
            step = passive_aggressive(method, loss, n, C, 1.0) if loss > 0 else 0.0
        elif error > sensitivity:
            V = 0.0
            for j in range(start, end):
                V += variances[np.uint64(slots[j])] * values[j] * values[j]
            step, shrink = confident(method, error, V, C, sensitivity)
        if not (step > 0 and step * math.sqrt(n) < LARGEST):
            if step != 0 and not step < 0 and n > 0:
                tally[1] += 1
        else:
            for j in range(start, end):
                slot, x = np.uint64(slots[j]), values[j]
                if method <= PA2:
                    weights[slot] += sign * step * x
                else:
                    s = variances[slot]
                    weights[slot] += sign * step * s * x
                    variances[slot] = shrunk(method, s, shrink, x * x)
                if counting:
                    changes[slot] += np.uint32(1)
        if tally[0] > limit:
            return i + np.uint64(1)
    return np.uint64(indptr.size - 1)


@kernel
def estimate_rows(indptr, slots, values, weights, estimates):
    """Estimates of rows."""
    for i in range(np.uint64(indptr.size - 1)):
        estimate = 0.0
        for j in range(np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])):
            estimate += weights[np.uint64(slots[j])] * values[j]
        estimates[i] = estimate
