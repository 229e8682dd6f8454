"""AdaGrad: each weight has a step size of its own, for one column or many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, root, strict_inlined
from hogwild.losses import value_at
from hogwild.penalties import proximal
from hogwild.steps.base import ADD, DAMPED, LANES, register
from hogwild.steps.linear import Settings, add_to_average, by_columns, columns_derivatives, derivative_of
from hogwild.steps.products import dot, dot_row_columns, prefetch_row_weights, row_weight
from hogwild.steps.rows import feature, span, value
from hogwild.steps.weights import add, add_at, is_lazy, load, load_at

SMALLEST_SQUARES = 1e-30  # sums below it count as 0: a fast square root of denormal numbers is not finite


class AdaGrad(NamedTuple):
    """AdaGrad (Duchi, Hazan, Singer 2011), ``G <- G + g^2; w <- w - eta g / sqrt(G)``; the penalty scaled alike."""

    coef: np.ndarray
    intercept: np.ndarray
    squares: np.ndarray
    intercept_squares: np.ndarray
    received: np.ndarray
    summed: np.ndarray
    summed_intercept: np.ndarray
    settings: Settings


@strict_inlined
def change_of(gradient, squares, eta):
    """Change of a weight whose sum of squares already holds this gradient."""
    return -eta * gradient / root(squares) if squares > SMALLEST_SQUARES else 0.0 * gradient


@inlined
def _step_intercept(model, c, gradient, work, k):
    settings = model.settings
    if settings.fit_intercept and gradient != 0.0:
        model.intercept_squares[c] += gradient * gradient
        change = change_of(gradient, model.intercept_squares[c], work.eta[k]) * settings.intercept_decay
        model.intercept[c] += change
        if settings.averaged and settings.lazy_intercept:
            model.summed_intercept[c] -= change * work.count[k]


@strict_inlined
def shrunk(weight, squares, owed, l1_ratio):
    """Weight after the penalty that has accumulated, at the weight's own rate."""
    if weight == 0.0 or squares <= SMALLEST_SQUARES or owed <= 0.0:
        return weight
    return proximal(weight, owed / root(squares), l1_ratio)


@inlined
def _step_row(rows, i, start, stop, model, slope, work, k):
    """Change the weights of a row; roots and divisions of many entries at a time (3.2 to 3.0 ns a nonzero)."""
    settings, eta = model.settings, rows.values.dtype.type(work.eta[k])
    first = start
    while first < stop:
        n = min(np.uint64(LANES), stop - first)
        for j in range(n):
            f, gradient = feature(rows, first + j), slope * value(rows, i, first + j)
            add(model.squares, f, gradient * gradient)
            work.lanes[0, j] = gradient
            work.lanes[1, j] = load(model.squares, f)
        for j in range(n):
            work.lanes[0, j] = change_of(work.lanes[0, j], work.lanes[1, j], eta)
        for j in range(n):
            f = feature(rows, first + j)
            add(model.coef, f, work.lanes[0, j])
            if settings.averaged and settings.lazy and is_lazy(model.coef, f):
                model.summed[f] -= work.lanes[0, j] * work.area[k]
        first += n


# ------------------------------------------------------------------------------------------------ one column


def _measure_one(rows, i, model, work, k):
    settings = model.settings
    if settings.penalised and settings.lazy:
        start, stop = span(rows, i)
        for j in range(start, stop):
            f = feature(rows, j)
            if is_lazy(model.coef, f):
                weight = load(model.coef, f)
                owed = work.penalty[k] - model.received[f]  # negative where another thread is ahead
                change = shrunk(weight, load(model.squares, f), owed, settings.l1_ratio) - weight
                model.received[f] = max(model.received[f], work.penalty[k])
                if change != 0.0:
                    add(model.coef, f, model.received.dtype.type(change))
                    if settings.averaged:
                        model.summed[f] -= change * work.area[k]
    score, y = dot(rows, i, model.coef) + model.intercept[0], rows.targets[i]
    work.derivatives[0] = derivative_of(settings, y, score, np.uint64(0), 0.0) * row_weight(rows, i)
    return value_at(settings, y, score) * row_weight(rows, i)


def _apply_one(rows, i, model, work, k):
    start, stop = span(rows, i)
    slope = rows.values.dtype.type(work.derivatives[0])
    if slope != 0.0:
        _step_row(rows, i, start, stop, model, slope, work, k)
        _step_intercept(model, 0, slope, work, k)


# ------------------------------------------------------------------------------------------------ many columns


def _measure_many(rows, i, model, work, k):
    settings, columns, dtype = model.settings, np.uint64(work.scores.size), rows.values.dtype
    if settings.penalised and settings.lazy:
        start, stop = span(rows, i)
        for j in range(start, stop):
            f = feature(rows, j)
            if is_lazy(model.coef, f):
                for c in range(columns):
                    weight = load_at(model.coef, f, c)
                    owed = work.penalty[k] - model.received[f, c]
                    change = shrunk(weight, load_at(model.squares, f, c), owed, settings.l1_ratio) - weight
                    model.received[f, c] = max(model.received[f, c], work.penalty[k])
                    if change != 0.0:
                        add_at(model.coef, f, c, dtype.type(change))
                        if settings.averaged:
                            model.summed[f, c] -= change * work.area[k]
    dot_row_columns(rows, i, model.coef, work.scores)
    for c in range(columns):
        work.predictions[c] = work.scores[c] + model.intercept[c]
    return columns_derivatives(rows, i, settings, work, 0.0) * row_weight(rows, i)


def _apply_many(rows, i, model, work, k):
    settings, columns, dtype = model.settings, np.uint64(work.scores.size), rows.values.dtype
    start, stop = span(rows, i)
    for c in range(columns):
        work.factors[c] = work.derivatives[c] * row_weight(rows, i)
        _step_intercept(model, c, work.factors[c], work, k)
    eta = dtype.type(work.eta[k])
    for j in range(start, stop):
        f, x = feature(rows, j), value(rows, i, j)
        for c in range(columns):
            gradient = work.factors[c] * x
            if gradient != 0.0:
                add_at(model.squares, f, c, gradient * gradient)
                change = change_of(gradient, load_at(model.squares, f, c), eta)
                add_at(model.coef, f, c, change)
                if settings.averaged and settings.lazy and is_lazy(model.coef, f):
                    model.summed[f, c] -= change * work.area[k]


# ------------------------------------------------------------------------------------------------ penalty and average


def _settle(model, low, high, scale, penalty, area, count):
    settings, coef = model.settings, model.coef.reshape(-1)
    add_to_average(model, low, high, area, count)
    high = min(high, np.uint64(coef.size))
    if settings.penalised:
        received, squares = model.received.reshape(-1), model.squares.reshape(-1)
        for j in range(low, high):
            coef[j] = shrunk(coef[j], squares[j], penalty - received[j], settings.l1_ratio)
            received[j] = max(received[j], penalty)


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)
    prefetch_row_weights(rows, i, model.squares)


register(
    AdaGrad,
    parts=by_columns((_measure_one, _apply_one), (_measure_many, _apply_many)),
    settle=_settle,
    prefetch=_prefetch,
    merges={
        "coef": (DAMPED, True),
        "intercept": (DAMPED, False),
        "squares": (ADD, True),
        "intercept_squares": (ADD, False),
    },
    lazy=("received", "summed"),
)
