"""FTRL-proximal: sums of gradients are the parameters, weights follow from them; for one column or many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined
from hogwild.losses import value_at
from hogwild.penalties import ftrl_weight
from hogwild.steps.base import ADD, register
from hogwild.steps.linear import Settings, by_columns, columns_derivatives, derivative_of
from hogwild.steps.products import prefetch_row_weights, row_weight
from hogwild.steps.rows import feature, span, value
from hogwild.steps.weights import add, add_at, load, load_at


class Ftrl(NamedTuple):
    """FTRL-proximal (McMahan et al. 2013): the sums z and n are the parameters, weights follow from them."""

    coef: np.ndarray
    intercept: np.ndarray
    z: np.ndarray
    n: np.ndarray
    intercept_z: np.ndarray
    intercept_n: np.ndarray
    settings: Settings


@inlined
def _weight(settings, z, n, penalty):
    return ftrl_weight(z, n, settings.eta0, settings.beta, penalty, settings.l1_ratio)


@inlined
def _delta_z(settings, gradient, n, weight):
    """What a gradient adds to z: ``g - sigma w``, ``sigma = (sqrt(n + g^2) - sqrt(n)) / eta0``."""
    return gradient - (np.sqrt(n + gradient * gradient) - np.sqrt(n)) / settings.eta0 * weight


# ------------------------------------------------------------------------------------------------ one column


def _measure_one(rows, i, model, work, k):
    settings, penalty, y = model.settings, work.penalty[k], rows.targets[i]
    start, stop = span(rows, i)
    score = _weight(settings, model.intercept_z[0], model.intercept_n[0], 0.0)
    for j in range(start, stop):
        f = feature(rows, j)
        score += _weight(settings, load(model.z, f), load(model.n, f), penalty) * value(rows, i, j)
    work.derivatives[0] = derivative_of(settings, y, score, np.uint64(0), 0.0) * row_weight(rows, i)
    return value_at(settings, y, score) * row_weight(rows, i)


def _apply_one(rows, i, model, work, k):
    settings, penalty, slope, dtype = model.settings, work.penalty[k], work.derivatives[0], rows.values.dtype
    if slope != 0.0:
        start, stop = span(rows, i)
        for j in range(start, stop):
            f = feature(rows, j)
            gradient, z, n = slope * value(rows, i, j), load(model.z, f), load(model.n, f)
            add(model.z, f, dtype.type(_delta_z(settings, gradient, n, _weight(settings, z, n, penalty))))
            add(model.n, f, dtype.type(gradient * gradient))
        if settings.fit_intercept:
            _step_intercept(settings, model, 0, slope)


@inlined
def _step_intercept(settings, model, c, slope):
    gradient, z, n = slope * settings.intercept_decay, model.intercept_z[c], model.intercept_n[c]
    model.intercept_z[c] += _delta_z(settings, gradient, n, _weight(settings, z, n, 0.0))
    model.intercept_n[c] += gradient * gradient


# ------------------------------------------------------------------------------------------------ many columns


def _measure_many(rows, i, model, work, k):
    settings, penalty, columns = model.settings, work.penalty[k], np.uint64(work.scores.size)
    start, stop = span(rows, i)
    for c in range(columns):
        work.scores[c] = _weight(settings, model.intercept_z[c], model.intercept_n[c], 0.0)
    for j in range(start, stop):
        f, x = feature(rows, j), value(rows, i, j)
        for c in range(columns):
            work.scores[c] += _weight(settings, load_at(model.z, f, c), load_at(model.n, f, c), penalty) * x
    for c in range(columns):
        work.predictions[c] = work.scores[c]
    return columns_derivatives(rows, i, settings, work, 0.0) * row_weight(rows, i)


def _apply_many(rows, i, model, work, k):
    settings, penalty, dtype = model.settings, work.penalty[k], rows.values.dtype
    columns, weight = np.uint64(work.scores.size), row_weight(rows, i)
    for c in range(columns):
        work.factors[c] = work.derivatives[c] * weight
        if settings.fit_intercept:
            _step_intercept(settings, model, c, work.factors[c])
    start, stop = span(rows, i)
    for j in range(start, stop):
        f, x = feature(rows, j), value(rows, i, j)
        for c in range(columns):
            gradient = work.factors[c] * x
            if gradient != 0.0:
                z, n = load_at(model.z, f, c), load_at(model.n, f, c)
                weight = _weight(settings, z, n, penalty)
                add_at(model.z, f, c, dtype.type(_delta_z(settings, gradient, n, weight)))
                add_at(model.n, f, c, dtype.type(gradient * gradient))


# ------------------------------------------------------------------------------------------------ weights


def _settle(model, low, high, scale, penalty, area, count):
    coef, z, n = model.coef.reshape(-1), model.z.reshape(-1), model.n.reshape(-1)
    size = np.uint64(coef.size)
    for j in range(low, min(high, size)):
        coef[j] = _weight(model.settings, z[j], n[j], penalty)
    for j in range(max(low, size), high):
        model.intercept[j - size] = _weight(
            model.settings, model.intercept_z[j - size], model.intercept_n[j - size], 0.0
        )


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.z)
    prefetch_row_weights(rows, i, model.n)


register(
    Ftrl,
    parts=by_columns((_measure_one, _apply_one), (_measure_many, _apply_many)),
    settle=_settle,
    prefetch=_prefetch,
    merges={"z": (ADD, True), "n": (ADD, True), "intercept_z": (ADD, False), "intercept_n": (ADD, False)},
    lazy=("coef",),
)
