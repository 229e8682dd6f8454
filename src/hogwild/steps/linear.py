"""What the update rules of linear models share: settings, the loss of a row and its derivatives, the average.

Weights are feature-major, ``(n_features,)`` or ``(n_features, n_columns)``, so that one gather serves all classes. A
row with loss ``l(y, p)``, score ``p = w.x + b`` and weight ``s`` has the gradient ``g_j = s l'(y, p) x_j``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, strict_inlined
from hogwild.losses import derivative_at, value_at

LARGEST_SLOPE = 1e12  # as in scikit-learn: larger derivatives are clipped
MULTICLASS = ("ovr", "crammer_singer", "multinomial")
_OVR, _CRAMMER_SINGER = range(2)


class Settings(NamedTuple):
    """What a fit does not change.

    Attributes
    ----------
    loss, parameter : int, float
        Row of `losses.LOSSES` and its parameter (epsilon, threshold).
    value, derivative : callable or None
        Compiled functions ``f(y, p)`` of a user's own loss, which stand for `loss` then.
    multiclass : int
        How many columns learn together: row of `MULTICLASS`.
    least_curvature : float
        Second derivative that counts at least where replicas merge: losses with kinks have none between them.
    passive : int
        0, or 1 / 2 for passive-aggressive steps PA-I / PA-II with aggressiveness `aggressiveness`.
    fit_intercept, intercept_decay : bool, float
        Whether there is an intercept, and the factor of its steps.
    l1_ratio : float
        Share of L1 in the penalty.
    beta : float
        FTRL's beta.
    lazy, lazy_intercept : bool
        Whether steps apply penalty and average to the features that they touch, and to the intercept (else merges do).
    penalised, averaged : bool
        Whether there is such a penalty (L1, or any of AdaGrad), or an average.
    large : bool
        Whether the weights are beyond the cache, so that they are prefetched.
    positive, negative : ndarray of float64, shape (n_columns,)
        Class weights of a column's own class and of the others.
    """

    loss: int
    parameter: float
    value: Callable | None
    derivative: Callable | None
    multiclass: int
    least_curvature: float
    passive: int
    aggressiveness: float
    eta0: float
    fit_intercept: bool
    intercept_decay: float
    l1_ratio: float
    beta: float
    lazy: bool
    lazy_intercept: bool
    penalised: bool
    averaged: bool
    large: bool
    positive: np.ndarray
    negative: np.ndarray


# ------------------------------------------------------------------------------------------------ loss of one column


@strict_inlined
def clipped(slope):
    """Derivative within bounds that steps survive."""
    return min(max(slope, -LARGEST_SLOPE), LARGEST_SLOPE)


@strict_inlined
def class_weight(settings, y, c):
    """Weight of a row whose target in column `c` is `y`."""
    return settings.positive[c] if y > 0 else settings.negative[c]


@strict_inlined
def derivative_of(settings, y, score, c, squared_norm):
    """Derivative of the loss times the class weight; for passive-aggressive steps the whole update."""
    if settings.passive == 0:
        return clipped(derivative_at(settings, y, score)) * class_weight(settings, y, c)
    loss = value_at(settings, y, score)
    direction = 1.0 if derivative_at(settings, y, score) < 0.0 else -1.0
    return _passive_length(settings, loss, squared_norm) * direction * class_weight(settings, y, c)


@strict_inlined
def _passive_length(settings, loss, squared_norm):
    """Length of a passive-aggressive step (Crammer et al. 2006), PA-I or PA-II."""
    if settings.passive == 2:
        return loss / (squared_norm + 0.5 / settings.aggressiveness)
    return 0.0 if squared_norm == 0.0 else min(settings.aggressiveness, loss / squared_norm)


# ------------------------------------------------------------------------------------------------ loss of many columns


@inlined
def one_vs_rest(rows, i, c):
    """Target of column `c`: +1 for the row's class, -1 for the others."""
    return 1.0 if rows.targets[i] == c else -1.0


@inlined
def rival_of(predictions, own):
    """Class of the largest score beside that of `own`."""
    rival = np.uint64(1) if own == np.uint64(0) else np.uint64(0)
    for c in range(np.uint64(predictions.size)):
        if c != own and predictions[c] > predictions[rival]:
            rival = c
    return rival


# Strict: a sum over columns that may be regrouped is one in a vector or not by where the arrays happen to lie, and its
# last bits with it.
@strict_inlined
def _softmax(predictions, shares):
    """Write ``exp(p_c) / sum exp(p)`` to `shares`; returns the logarithm of the sum."""
    largest, total = predictions[0], 0.0
    for c in range(np.uint64(predictions.size)):
        largest = max(largest, predictions[c])
    for c in range(np.uint64(predictions.size)):
        shares[c] = np.exp(predictions[c] - largest)
        total += shares[c]
    for c in range(np.uint64(predictions.size)):
        shares[c] /= total
    return largest + np.log(total)


@strict_inlined
def columns_loss(rows, i, settings, work):
    """Loss of row `i` at ``work.predictions``, without the row's weight."""
    own, total = np.uint64(rows.targets[i]), 0.0
    if settings.multiclass == _OVR:
        for c in range(np.uint64(work.predictions.size)):
            y = one_vs_rest(rows, i, c)
            total += value_at(settings, y, work.predictions[c]) * class_weight(settings, y, c)
        return total
    if settings.multiclass == _CRAMMER_SINGER:
        margin = work.predictions[own] - work.predictions[rival_of(work.predictions, own)]
        return value_at(settings, 1.0, margin) * settings.positive[own]
    return (_softmax(work.predictions, work.derivatives) - work.predictions[own]) * settings.positive[own]


@inlined
def secant(settings, y, score, c):
    """Second derivative of a column's loss as a difference quotient over a margin of +-1: kinks count too."""
    above, below = derivative_at(settings, y, score + 1.0), derivative_at(settings, y, score - 1.0)
    return max(0.5 * (above - below), settings.least_curvature) * class_weight(settings, y, c)


@inlined
def columns_curvature(rows, i, settings, work):
    """Write the curvature along each column's score to ``work.derivatives``, that across columns added to it."""
    own, columns = np.uint64(rows.targets[i]), np.uint64(work.predictions.size)
    if settings.multiclass == _OVR:
        for c in range(columns):
            work.derivatives[c] = secant(settings, one_vs_rest(rows, i, c), work.predictions[c], c)
    elif settings.multiclass == _CRAMMER_SINGER:
        margin = work.predictions[own] - work.predictions[rival_of(work.predictions, own)]
        bend = secant(settings, 1.0, margin, own)
        for c in range(columns):  # any class may be the rival of all rows at the next merge
            work.derivatives[c] = 2.0 * bend
    else:
        _softmax(work.predictions, work.derivatives)
        for c in range(columns):
            work.derivatives[c] *= 2.0 * (1.0 - work.derivatives[c]) * settings.positive[own]


@strict_inlined
def columns_derivatives(rows, i, settings, work, squared_norm):
    """Write the derivatives at ``work.predictions`` to ``work.derivatives``; returns the loss without weights.

    One-vs-rest: each column has a loss of its own. Crammer and Singer (2001): one loss of the margin between the row's
    class and its rival, the largest other. Multinomial: ``log sum exp(p) - p_y``.
    """
    own, loss, columns = np.uint64(rows.targets[i]), 0.0, np.uint64(work.predictions.size)
    if settings.multiclass == _OVR:
        for c in range(columns):
            score, y = work.predictions[c], one_vs_rest(rows, i, c)
            loss += value_at(settings, y, score)
            work.derivatives[c] = derivative_of(settings, y, score, c, squared_norm)
    elif settings.multiclass == _CRAMMER_SINGER:
        rival = rival_of(work.predictions, own)
        margin = work.predictions[own] - work.predictions[rival]
        loss = value_at(settings, 1.0, margin)
        slope = derivative_of(settings, 1.0, margin, own, 2.0 * squared_norm)
        for c in range(columns):
            work.derivatives[c] = 0.0
        work.derivatives[own] = slope
        work.derivatives[rival] = -slope
    else:
        loss = _softmax(work.predictions, work.derivatives) - work.predictions[own]
        work.derivatives[own] -= 1.0
        for c in range(columns):
            work.derivatives[c] *= settings.positive[own]
    return loss


# ------------------------------------------------------------------------------------------------ parts of rules


@inlined
def add_to_average(model, low, high, area, count):
    """Add the stored weights low..high to their sum `area` times, the intercepts `count` times."""
    if model.settings.averaged and count > 0.0:
        coef, summed = model.coef.reshape(-1), model.summed.reshape(-1)
        size = np.uint64(coef.size)
        for j in range(low, min(high, size)):
            summed[j] += area * coef[j]
        for j in range(max(low, size), high):
            model.summed_intercept[j - size] += count * model.intercept[j - size]


def by_columns(one, many):
    """Choose the functions of one column or of many by the compiler's type of the model."""
    return lambda model: (
        one if model.types[model.fields.index("received" if "received" in model.fields else "coef")].ndim == 1 else many
    )
