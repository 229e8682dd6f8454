"""Steps of the linear classifiers, row by row through a batch.

The true label's column is y, the highest other's r; m the margin between them; n = |x|^2; V the variance of the margin.
A step moves ``w_y += step s_y x``, ``w_r -= step s_r x``, where s is the variance (1 where a method has none).
"""

from __future__ import annotations

import math

import numpy as np

from hogwild.compiled import inlined, kernel

METHODS = ("perceptron", "PA", "PA1", "PA2", "CW", "AROW", "NHERD")
PERCEPTRON, PA, PA1, PA2, CW, AROW, NHERD = range(len(METHODS))
LARGEST = 1e200  # of a step's length: what is beyond, or not a number, is not taken


@inlined
def passive_aggressive(method, loss, n, C, twice):
    """Step of PA and its relatives; `twice` of the weights move."""
    if method == PA1:
        return min(C, loss / (twice * n))
    if method == PA2:
        return loss / (twice * n + 1 / (2 * C))
    return loss / (twice * n)


@inlined
def confident(method, m, V, C):
    """Step of CW, AROW and NHERD, and how it shrinks variances: ``s / (1 + shrink s x^2)``; AROW's by subtraction."""
    if method == CW:
        b = 1 + 2 * C * m
        step = (-b + math.sqrt(b * b - 8 * C * (m - C * V))) / (4 * C * V)
        return step, 2 * step * C
    step = (1 - m) / (V + 1 / C)
    return step, (1 / (V + 1 / C) if method == AROW else 2 * C + C * C * V)


@inlined
def shrunk(method, s, shrink, square):
    """Variance after a step."""
    return s - shrink * s * s * square if method == AROW else s / (1 + shrink * s * square)


@inlined
def score(slots, values, start, end, weights, scores):
    """Scores of a row for all columns."""
    width = np.uint64(scores.size)
    for c in range(width):
        scores[c] = 0.0
    for j in range(start, end):
        slot, x = np.uint64(slots[j]), values[j]
        for c in range(width):
            scores[c] += weights[slot, c] * x


@inlined
def rival(scores, y, known, ranks):
    """Column of the highest known label but y; of equals the first by `ranks`. As wide as there are none."""
    none = np.uint64(scores.size)
    r = none
    for c in range(none):
        if not known[c] or c == y:
            continue
        if r == none or scores[c] > scores[r] or (scores[c] == scores[r] and ranks[c] < ranks[r]):
            r = c
    return r


@kernel
def train_rows(
    indptr, slots, values, columns, first, method, C, weights, variances, changes, seen, known, ranks, learnt, scores,
    clock, limit, tally,
):  # fmt: skip
    """Learn rows from `first` on; return the row to go on from, which is early where `limit` slots are exceeded.

    Parameters
    ----------
    columns : uint32 by row
    weights, variances : float64, slots x columns
        Variances are empty for methods without.
    changes : uint32, slots x columns, or empty
        How often each was changed.
    seen : uint64 by slot
        Clock of the last row that held it, 0 if there was none.
    known : uint8 by column
    ranks : uint32 by column
        The order of labels among equals.
    learnt : int64 by column
    scores : float64 by column
        To work with.
    clock : int
        Rows learnt before row 0.
    tally : int64
        Slots that have been seen; rows whose step was not a number.
    """
    counting = changes.size > 0
    none = np.uint64(scores.size)
    for i in range(np.uint64(first), np.uint64(indptr.size - 1)):
        start, end = np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])
        y, now = np.uint64(columns[i]), np.uint64(clock) + i + np.uint64(1)
        score(slots, values, start, end, weights, scores)
        r = rival(scores, y, known, ranks)
        new = known[y] == 0
        known[y] = 1
        learnt[y] += 1
        m = scores[y] - (scores[r] if r != none else 0.0)
        n = 0.0
        for j in range(start, end):
            n += values[j] * values[j]
            slot = np.uint64(slots[j])
            if seen[slot] == 0:
                tally[0] += 1
            seen[slot] = now
        step, shrink = 0.0, 0.0
        if method == PERCEPTRON:
            # of equals the other is taken; a lone label is right, a new one never is
            step = 1.0 if new or (r != none and not m > 0) else 0.0
        elif method <= PA2:
            step = passive_aggressive(method, 1 - m, n, C, 2.0) if m <= 1 else 0.0
        elif m < 1 or method == CW:
            V = 0.0
            for j in range(start, end):
                slot = np.uint64(slots[j])
                V += (variances[slot, y] + (variances[slot, r] if r != none else 1.0)) * values[j] * values[j]
            step, shrink = confident(method, m, V, C)
        if not (step > 0 and step * math.sqrt(n) < LARGEST):
            if step != 0 and not step < 0 and n > 0:
                tally[1] += 1
        else:
            for j in range(start, end):
                slot, x = np.uint64(slots[j]), values[j]
                if method <= PA2:
                    weights[slot, y] += step * x
                    if r != none:
                        weights[slot, r] -= step * x
                else:
                    s = variances[slot, y]
                    weights[slot, y] += step * s * x
                    variances[slot, y] = shrunk(method, s, shrink, x * x)
                    if r != none:
                        s = variances[slot, r]
                        weights[slot, r] -= step * s * x
                        variances[slot, r] = shrunk(method, s, shrink, x * x)
                if counting:
                    changes[slot, y] += np.uint32(1)
                    if r != none:
                        changes[slot, r] += np.uint32(1)
        if tally[0] > limit:
            return i + np.uint64(1)
    return np.uint64(indptr.size - 1)


@kernel
def score_rows(indptr, slots, values, weights, scores):
    """Scores of rows, rows x columns."""
    width = np.uint64(scores.shape[1])
    for i in range(np.uint64(indptr.size - 1)):
        for c in range(width):
            scores[i, c] = 0.0
        for j in range(np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(1)])):
            slot, x = np.uint64(slots[j]), values[j]
            for c in range(width):
                scores[i, c] += weights[slot, c] * x
