"""Plain SGD, passive-aggressive steps included, for one column or many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, plus, strict_inlined
from hogwild.losses import value_at
from hogwild.penalties import truncate
from hogwild.steps.base import DAMPED, register
from hogwild.steps.linear import Settings, add_to_average, by_columns, columns_derivatives, derivative_of
from hogwild.steps.products import (
    add_multiple,
    add_outer,
    dot,
    dot_row_columns,
    prefetch_row_weights,
    row_weight,
    squared_norm,
)
from hogwild.steps.rows import feature, span, value
from hogwild.steps.weights import add, add_at, is_lazy, load, load_at


class Sgd(NamedTuple):
    """Plain SGD, ``w <- w - eta g``.

    `received` is the L1 penalty that each weight has taken, `summed` the running sum of the averaged weights; both have
    the shape of `coef`, or no element where they are not needed.
    """

    coef: np.ndarray
    intercept: np.ndarray
    received: np.ndarray
    summed: np.ndarray
    summed_intercept: np.ndarray
    settings: Settings


@inlined
def _norm_for(rows, i, settings):
    return squared_norm(rows, i) if settings.passive else rows.values.dtype.type(0)


@strict_inlined
def scaled_score(scale, product, intercept):
    """Score of the weights ``scale * stored``."""
    return scale * product + intercept


@strict_inlined
def truncation(stored, received, scale, penalty):
    """What L1 takes of the weight ``scale * stored``, and the change of `stored`."""
    weight = scale * stored
    left = truncate(weight, received, penalty)
    return left - weight, left / scale - stored


@strict_inlined
def _update(settings, derivative, eta):
    """Factor of the row in ``w += factor * x``, without the row's weight; passive steps bring their own length."""
    return -eta * derivative if settings.passive == 0 else derivative


# ------------------------------------------------------------------------------------------------ one column


def _measure_one(rows, i, model, work, k):
    settings, y = model.settings, rows.targets[i]
    score = scaled_score(work.scale[k], dot(rows, i, model.coef), model.intercept[0])
    work.derivatives[0] = derivative_of(settings, y, score, np.uint64(0), _norm_for(rows, i, settings))
    return value_at(settings, y, score) * row_weight(rows, i)


def _apply_one(rows, i, model, work, k):
    settings = model.settings
    update = _update(settings, work.derivatives[0], work.eta[k]) * row_weight(rows, i)
    if update != 0.0:
        factor = update * work.inverse[k]
        add_multiple(rows, i, model.coef, factor)
        if settings.averaged and settings.lazy:
            _average(rows, i, model, -factor * work.area[k])
        if settings.fit_intercept:
            change = update * settings.intercept_decay
            model.intercept[0] += change
            if settings.averaged and settings.lazy_intercept:
                model.summed_intercept[0] -= change * work.count[k]
    if settings.penalised and settings.lazy:
        _truncate(rows, i, model, work.scale[k + np.uint64(1)], work.penalty[k], work.area[k])


@inlined
def _average(rows, i, model, factor):
    """Correct the sum for a change of ``-factor / area`` times the row: only rows from now on have it."""
    start, stop = span(rows, i)
    for j in range(start, stop):
        f = feature(rows, j)
        if is_lazy(model.coef, f):
            model.summed[f] += factor * value(rows, i, j)


@inlined
def _truncate(rows, i, model, scale, penalty, area):
    start, stop = span(rows, i)
    for j in range(start, stop):
        f = feature(rows, j)
        if is_lazy(model.coef, f):
            stored = load(model.coef, f)
            taken, change = truncation(stored, model.received[f], scale, penalty)
            if taken != 0.0:
                model.received[f] = plus(model.received[f], taken)
                add(model.coef, f, model.received.dtype.type(change))
                if model.settings.averaged:
                    model.summed[f] -= area * change


# ------------------------------------------------------------------------------------------------ many columns


def _measure_many(rows, i, model, work, k):
    dot_row_columns(rows, i, model.coef, work.scores)
    scale = work.scale[k]
    for c in range(np.uint64(work.scores.size)):
        work.predictions[c] = scaled_score(scale, work.scores[c], model.intercept[c])
    loss = columns_derivatives(rows, i, model.settings, work, _norm_for(rows, i, model.settings))
    return loss * row_weight(rows, i)


def _apply_many(rows, i, model, work, k):
    settings, weight = model.settings, row_weight(rows, i)
    later, inverse, n_active = work.scale[k + np.uint64(1)], work.inverse[k], np.uint64(0)
    for c in range(np.uint64(work.factors.size)):
        update = _update(settings, work.derivatives[c], work.eta[k]) * weight
        work.factors[c] = update * inverse
        if update != 0.0:
            work.active[n_active] = c
            n_active += np.uint64(1)
            if settings.fit_intercept:
                change = update * settings.intercept_decay
                model.intercept[c] += change
                if settings.averaged and settings.lazy_intercept:
                    model.summed_intercept[c] -= change * work.count[k]
    if n_active:
        add_outer(rows, i, model.coef, work, n_active)
    if settings.lazy and (settings.averaged or settings.penalised):
        start, stop = span(rows, i)
        for j in range(start, stop):
            f, x = feature(rows, j), value(rows, i, j)
            if is_lazy(model.coef, f):
                for c in range(np.uint64(work.scores.size)):
                    if settings.averaged:
                        model.summed[f, c] -= work.area[k] * work.factors[c] * x
                    if settings.penalised:
                        stored = load_at(model.coef, f, c)
                        taken, change = truncation(stored, model.received[f, c], later, work.penalty[k])
                        if taken != 0.0:
                            model.received[f, c] = plus(model.received[f, c], taken)
                            add_at(model.coef, f, c, model.received.dtype.type(change))
                            if settings.averaged:
                                model.summed[f, c] -= work.area[k] * change


# ------------------------------------------------------------------------------------------------ penalty and average


def _settle(model, low, high, scale, penalty, area, count):
    settings, coef = model.settings, model.coef.reshape(-1)
    add_to_average(model, low, high, area, count)
    high = min(high, np.uint64(coef.size))
    if settings.penalised:
        received = model.received.reshape(-1)
        for j in range(low, high):
            taken, change = truncation(coef[j], received[j], scale, penalty)
            if taken != 0.0:
                received[j] = plus(received[j], taken)
                coef[j] = plus(coef[j], coef.dtype.type(change))


def _fold(model, scale):
    if scale != 1.0:
        coef = model.coef.reshape(-1)
        factor = coef.dtype.type(scale)
        for j in range(np.uint64(coef.size)):
            coef[j] *= factor


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)


register(
    Sgd,
    parts=by_columns((_measure_one, _apply_one), (_measure_many, _apply_many)),
    settle=_settle,
    fold=_fold,
    prefetch=_prefetch,
    merges={"coef": (DAMPED, True), "intercept": (DAMPED, False)},
    lazy=("received", "summed"),
)
