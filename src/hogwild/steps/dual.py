"""Dual coordinate descent for linear models with an L2 penalty (Hsieh et al. 2008; losses: steps/dual_losses.py).

A row's step chooses its dual ``b_i`` best and moves the weights ``w = sum of b_i x_i`` along. Duals belong to rows, and
an epoch visits each row once, so threads never race on them; replicas of `w` are added whole, ``w`` stays ``w(b)``.

A constant beside the features, and the mean of all rows that is taken off each (an intercept without penalty on sparse
rows), are kept apart in two sums: with ``c_i = x_i . mean`` and ``K = |mean|^2``, row and weights are
``x_i - mean`` and ``v - s mean``, ``s = sum of b_i``, ``u = sum of b_i c_i``, and the score is
``x_i . v + s (K - c_i) - u``. A constant feature z is the case c = 0, K = z^2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.steps.base import ADD, register
from hogwild.steps.dual_losses import best_dual, conjugate_at, gap_at, loss_at, slack_at
from hogwild.steps.products import add_multiple, dot, prefetch_row_weights, squared_norm
from hogwild.steps.rows import feature, prefetch_row, span, value

AHEAD = np.uint64(4)  # as in the engine's loops
SAMPLED = np.uint64(7)  # one row in 8, where not all are looked at

# places in Work.running, whose others are the engine's clock: sums of |change of a score| and of losses
MOVED, LOST = np.uint64(6), np.uint64(7)


class DualSettings(NamedTuple):
    """What a fit does not change.

    Attributes
    ----------
    kind : int
        Loss, of `dual_losses.KINDS`.
    epsilon : float
    positive, negative : float
        C of rows with a positive target, and of the others.
    constant : float
        K above; 0 for no intercept.
    has_sums : bool
        Whether there is a constant or a mean.
    large, lazy, lazy_intercept, penalised, averaged : bool
        As the engine's loops know them from steps/linear.py.
    """

    kind: int
    epsilon: float
    positive: float
    negative: float
    constant: float
    has_sums: bool
    sampled: bool
    large: bool
    lazy: bool
    lazy_intercept: bool
    penalised: bool
    averaged: bool


class Dual(NamedTuple):
    """One problem.

    Attributes
    ----------
    coef : ndarray, shape (n_features,)
        ``v``, the sum of ``b_i x_i``.
    intercept : ndarray, shape (2,)
        The sums s and u.
    duals : ndarray, shape (n_rows,)
        b, signed.
    targets : ndarray, shape (n_rows,)
        -1 / +1, or the numbers to predict.
    norms : ndarray, shape (n_rows,)
        Squared norm of each row with its constant and without its mean; negative where nobody knows it yet.
    centres : ndarray, shape (n_rows,) or (0,)
        c above.
    scores : ndarray, shape (n_rows,) or (0,)
        Score of each row when it was last looked at; empty without shrinking.
    safety : ndarray of float64, shape (1,)
        CoCoA+'s sigma: replicas step as if rows were so much longer and each is merged divided by it.
    settings : DualSettings
    """

    coef: np.ndarray
    intercept: np.ndarray
    duals: np.ndarray
    targets: np.ndarray
    norms: np.ndarray
    centres: np.ndarray
    scores: np.ndarray
    safety: np.ndarray
    settings: DualSettings


@inlined
def _upper(rows, i, y, settings):
    c = settings.positive if y > 0 else settings.negative
    if rows.weights.size > 0:
        c *= np.float64(rows.weights[i])
    return c


@inlined
def _score(rows, i, model):
    score = np.float64(dot(rows, i, model.coef))
    if model.settings.has_sums:
        centre = np.float64(model.centres[i]) if model.centres.size > 0 else 0.0
        score += model.intercept[0] * (model.settings.constant - centre) - model.intercept[1]
    return score


@inlined
def _norm(rows, i, model):
    """Squared norm of a row; computed at its first visit, while the row is in the cache: 5 ns instead of 25."""
    norm = np.float64(model.norms[i])
    if norm < 0.0:
        norm = np.float64(squared_norm(rows, i)) + model.settings.constant
        if model.centres.size > 0:
            norm -= 2.0 * model.centres[i]
        norm = max(norm, 0.0)
        model.norms[i] = norm
        norm = np.float64(model.norms[i])  # rounded as all later visits see it, those of other classes' threads too
    return norm


@inlined
def _step(rows, i, model, work, k):
    settings, dtype = model.settings, rows.values.dtype.type
    y, b = np.float64(model.targets[i]), np.float64(model.duals[i])
    c, p, safety = _upper(rows, i, y, settings), _score(rows, i, model), model.safety[0]
    new = dtype(best_dual(settings.kind, y, p, b, safety * _norm(rows, i, model), c, settings.epsilon))
    change = np.float64(new) - b
    if change != 0.0:
        model.duals[i] = new
        add_multiple(rows, i, model.coef, change * safety)
        if settings.has_sums:
            model.intercept[0] += dtype(change * safety)
            if model.centres.size > 0:
                model.intercept[1] += dtype(change * safety * model.centres[i])
    if model.scores.size > 0:
        work.running[MOVED] += abs(p - np.float64(model.scores[i]))
        model.scores[i] = p
    share = 1.0
    if settings.sampled:
        if k & SAMPLED:
            return 0.0
        share += np.float64(SAMPLED)
    work.running[LOST] += share * loss_at(settings.kind, y, p, c, settings.epsilon)
    return share * gap_at(settings.kind, y, p, b, c, settings.epsilon)


def _plain_step(rows, i, model, work, k):
    return _step(rows, i, model, work, k)


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)


register(
    Dual,
    step=lambda model: _plain_step,
    prefetch=_prefetch,
    merges={"coef": (ADD, True), "intercept": (ADD, False)},
)


# ------------------------------------------------------------------------------------------------ passes


@kernel
def measure(rows, model, first, last, scratch, out):
    """Sum over the rows first..last: gap, losses and conjugates into `out`; the scores are renewed."""
    gap, loss, conjugate, settings = 0.0, 0.0, 0.0, model.settings
    for i in range(first, last):
        if i + AHEAD < last:
            prefetch_row(rows, np.uint32(i + AHEAD))
        y, b = np.float64(model.targets[i]), np.float64(model.duals[i])
        c = _upper(rows, i, y, settings)
        if c > 0.0:
            p = _score(rows, np.uint32(i), model)
            gap += gap_at(settings.kind, y, p, b, c, settings.epsilon)
            loss += loss_at(settings.kind, y, p, c, settings.epsilon)
            conjugate += conjugate_at(settings.kind, y, b, c, settings.epsilon)
            if model.scores.size > 0:
                model.scores[i] = p
    out[0], out[1], out[2] = gap, loss, conjugate


@kernel
def rebuild(rows, model, first, last, coef, sums):
    """Add ``b_i x_i`` of the rows first..last to `coef` and `sums`, in float64."""
    for i in range(first, last):
        b = np.float64(model.duals[i])
        if b != 0.0:
            start, stop = span(rows, np.uint32(i))
            for j in range(start, stop):
                coef[feature(rows, j)] += b * value(rows, np.uint32(i), j)
            sums[0] += b
            if model.centres.size > 0:
                sums[1] += b * model.centres[i]


@kernel
def conjugates(rows, model, first, last):
    """Sum of the conjugates of the rows first..last: with ``|w|^2 / 2`` the dual problem's value."""
    total = 0.0
    for i in range(first, last):
        y = np.float64(model.targets[i])
        c = _upper(rows, i, y, model.settings)
        if c > 0.0:
            total += conjugate_at(model.settings.kind, y, np.float64(model.duals[i]), c, model.settings.epsilon)
    return total


@kernel
def keep_active(rows, model, considered, most, kept):
    """Write those of the rows `considered` whose slack is at most `most` to `kept`; returns how many they are."""
    n, settings = np.uint64(0), model.settings
    for k in range(np.uint64(considered.size)):
        i = considered[k]
        y = np.float64(model.targets[i])
        c = _upper(rows, i, y, settings)
        slack = slack_at(settings.kind, y, np.float64(model.scores[i]), np.float64(model.duals[i]), c, settings.epsilon)
        kept[n] = i
        n += np.uint64(1) if slack <= most else np.uint64(0)
    return n
