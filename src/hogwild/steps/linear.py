"""Linear models of one column or of many (one-vs-rest): plain SGD, AdaGrad and FTRL, each with its own update rule.

Weights are feature-major, ``(n_features,)`` or ``(n_features, n_columns)``, so that one gather serves all classes. A
row with loss ``l(y, p)``, score ``p = w.x + b`` and weight ``s`` has the gradient ``g_j = s l'(y, p) x_j``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from hogwild.compiled import OPTIONS, dot_columns, inlined, multiply_add
from hogwild.losses import loss_derivative, loss_value
from hogwild.penalties import ftrl_weight, proximal, truncate
from hogwild.steps.base import ADD, DAMPED, LANES, register
from hogwild.steps.rows import INLINE, feature, is_sparse, span, value
from hogwild.steps.weights import accumulate, add, add_at, add_row, is_lazy, load, load_at, prefetch_weight

FEW = np.uint64(4)  # columns up to which single additions are cheaper than vectors
SMALLEST_SQUARES = 1e-30  # sums below it count as 0: a fast square root of denormal numbers is not finite
LARGEST_SLOPE = 1e12  # as in scikit-learn: larger derivatives are clipped


class Settings(NamedTuple):
    """What a fit does not change.

    Attributes
    ----------
    loss, parameter : int, float
        Row of `losses.LOSSES` and its parameter (epsilon, threshold).
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


class Ftrl(NamedTuple):
    """FTRL-proximal (McMahan et al. 2013): the sums z and n are the parameters, weights follow from them."""

    coef: np.ndarray
    intercept: np.ndarray
    z: np.ndarray
    n: np.ndarray
    intercept_z: np.ndarray
    intercept_n: np.ndarray
    settings: Settings


# array: (how replicas merge, whether it has a row for each feature)
MERGES = {
    Sgd: {"coef": (DAMPED, True), "intercept": (DAMPED, False)},
    AdaGrad: {
        "coef": (DAMPED, True),
        "intercept": (DAMPED, False),
        "squares": (ADD, True),
        "intercept_squares": (ADD, False),
    },
    Ftrl: {"z": (ADD, True), "n": (ADD, True), "intercept_z": (ADD, False), "intercept_n": (ADD, False)},
}
LAZY = {Sgd: ("received", "summed"), AdaGrad: ("received", "summed"), Ftrl: ("coef",)}  # by feature, kept at merges


# ------------------------------------------------------------------------------------------------ parts of a row


@inlined
def _dot(rows, i, weights):
    """Score of row `i`: four sums side by side, scalar loads (a gather instruction costs 8 % more here)."""
    start, stop = span(rows, i)
    a = b = c = d = rows.values.dtype.type(0)
    j, one, two, three = start, np.uint64(1), np.uint64(2), np.uint64(3)
    while j + three < stop:
        a = multiply_add(load(weights, feature(rows, j)), value(rows, i, j), a)
        b = multiply_add(load(weights, feature(rows, j + one)), value(rows, i, j + one), b)
        c = multiply_add(load(weights, feature(rows, j + two)), value(rows, i, j + two), c)
        d = multiply_add(load(weights, feature(rows, j + three)), value(rows, i, j + three), d)
        j += np.uint64(4)
    while j < stop:
        a = multiply_add(load(weights, feature(rows, j)), value(rows, i, j), a)
        j += one
    return (a + b) + (c + d)


@inlined
def _squared_norm(rows, i):
    start, stop = span(rows, i)
    total = rows.values.dtype.type(0)
    for j in range(start, stop):
        x = value(rows, i, j)
        total += x * x
    return total


@inlined
def _add_row(rows, i, weights, factor):
    """Add `factor` times the row to the weights."""
    start, stop = span(rows, i)
    g = rows.values.dtype.type(factor)
    for j in range(start, stop):
        add(weights, feature(rows, j), g * value(rows, i, j))


@inlined
def _dot_columns(rows, i, weights, scores):
    for c in range(np.uint64(scores.size)):
        scores[c] = 0
    _accumulate_columns(rows, i, weights, scores)


def _accumulate_columns(rows, i, weights, scores):
    """Add the scores of row `i` to `scores`."""
    raise NotImplementedError


@overload(_accumulate_columns, jit_options=INLINE)
def _accumulate_columns_of(rows, i, weights, scores):
    if is_sparse(rows) and isinstance(weights, types.Array):

        def sparse(rows, i, weights, scores):
            start, stop = span(rows, i)
            dot_columns(rows.indices, rows.values, start, stop, weights, scores)

        return sparse

    def general(rows, i, weights, scores):
        start, stop = span(rows, i)
        for j in range(start, stop):
            accumulate(weights, feature(rows, j), value(rows, i, j), scores)

    return general


@inlined
def _add_row_columns(rows, i, weights, work, n_active):
    """Add the row times `work.slopes` to the weights of the active columns; most rows have few of twenty."""
    start, stop = span(rows, i)
    if n_active <= FEW:
        for j in range(start, stop):
            f, x = feature(rows, j), value(rows, i, j)
            for k in range(n_active):
                c = work.active[k]
                add_at(weights, f, c, work.slopes[c] * x)
    else:
        for j in range(start, stop):
            add_row(weights, feature(rows, j), work.slopes, value(rows, i, j))


def add_scores(rows, i, coef, scores):
    """Add the scores of row `i` to `scores`, one for each column."""
    raise NotImplementedError


@overload(add_scores, jit_options=OPTIONS)
def _add_scores(rows, i, coef, scores):
    if coef.ndim == 1:

        def one(rows, i, coef, scores):
            scores[0] += _dot(rows, i, coef)

        return one

    def many(rows, i, coef, scores):
        _accumulate_columns(rows, i, coef, scores)

    return many


@inlined
def _row_weight(rows, i):
    return rows.weights[i] if rows.weights.size else rows.values.dtype.type(1)


@inlined
def _slope(settings, y, score, c):
    """Derivative of the loss times the class weight."""
    slope = loss_derivative(settings.loss, y, score, settings.parameter)
    slope = min(max(slope, -LARGEST_SLOPE), LARGEST_SLOPE)
    return slope * (settings.positive[c] if y > 0 else settings.negative[c])


@inlined
def _sgd_update(settings, y, score, c, eta, squared_norm):
    """Factor of the row in ``w += factor * x``, without the row's weight."""
    if settings.passive == 0:
        return -eta * _slope(settings, y, score, c)
    loss = loss_value(settings.loss, y, score, settings.parameter)
    if settings.passive == 1:
        if squared_norm == 0.0:
            return 0.0
        length = min(settings.aggressiveness, loss / squared_norm)
    else:
        length = loss / (squared_norm + 0.5 / settings.aggressiveness)
    slope = loss_derivative(settings.loss, y, score, settings.parameter)
    direction = 1.0 if slope < 0.0 else -1.0
    return length * direction * (settings.positive[c] if y > 0 else settings.negative[c])


@inlined
def _one_vs_rest(rows, i, c):
    """Target of column `c`: +1 for the row's class, -1 for the others."""
    return 1.0 if rows.targets[i] == c else -1.0


# ------------------------------------------------------------------------------------------------ plain SGD


def _sgd_one(rows, i, model, work, k):
    settings, zero = model.settings, np.uint64(0)
    score = work.scale[k] * _dot(rows, i, model.coef) + model.intercept[0]
    y = rows.targets[i]
    loss = loss_value(settings.loss, y, score, settings.parameter)
    squared_norm = _squared_norm(rows, i) if settings.passive else rows.values.dtype.type(0)
    update = _sgd_update(settings, y, score, zero, work.eta[k], squared_norm) * _row_weight(rows, i)
    if update != 0.0:
        factor = update * work.inverse[k]
        _add_row(rows, i, model.coef, factor)
        if settings.averaged and settings.lazy:
            _sgd_average(rows, i, model, -factor * work.area[k])
        if settings.fit_intercept:
            change = update * settings.intercept_decay
            model.intercept[0] += change
            if settings.averaged and settings.lazy_intercept:
                model.summed_intercept[0] -= change * work.count[k]
    if settings.penalised and settings.lazy:
        _sgd_truncate(rows, i, model, work.scale[k + np.uint64(1)], work.penalty[k], work.area[k])
    return loss * _row_weight(rows, i)


@inlined
def _sgd_average(rows, i, model, factor):
    """Correct the sum for a change of ``-factor / area`` times the row: only rows from now on have it."""
    start, stop = span(rows, i)
    for j in range(start, stop):
        f = feature(rows, j)
        if is_lazy(model.coef, f):
            model.summed[f] += factor * value(rows, i, j)


@inlined
def _sgd_truncate(rows, i, model, scale, penalty, area):
    start, stop = span(rows, i)
    for j in range(start, stop):
        f = feature(rows, j)
        if is_lazy(model.coef, f):
            stored = load(model.coef, f)
            weight = scale * stored
            left = truncate(weight, model.received[f], penalty)
            if left != weight:
                model.received[f] += left - weight
                change = left / scale - stored
                add(model.coef, f, model.received.dtype.type(change))
                if model.settings.averaged:
                    model.summed[f] -= area * change


def _sgd_many(rows, i, model, work, k):
    settings, row_weight, loss = model.settings, _row_weight(rows, i), 0.0
    _dot_columns(rows, i, model.coef, work.scores)
    squared_norm = _squared_norm(rows, i) if settings.passive else rows.values.dtype.type(0)
    scale, later, inverse, n_active = work.scale[k], work.scale[k + np.uint64(1)], work.inverse[k], np.uint64(0)
    for c in range(np.uint64(work.scores.size)):
        score, y = scale * work.scores[c] + model.intercept[c], _one_vs_rest(rows, i, c)
        loss += loss_value(settings.loss, y, score, settings.parameter)
        update = _sgd_update(settings, y, score, c, work.eta[k], squared_norm) * row_weight
        work.slopes[c] = update * inverse
        if update != 0.0:
            work.active[n_active] = c
            n_active += np.uint64(1)
            if settings.fit_intercept:
                change = update * settings.intercept_decay
                model.intercept[c] += change
                if settings.averaged and settings.lazy_intercept:
                    model.summed_intercept[c] -= change * work.count[k]
    if n_active:
        _add_row_columns(rows, i, model.coef, work, n_active)
    if settings.lazy and (settings.averaged or settings.penalised):
        start, stop = span(rows, i)
        for j in range(start, stop):
            f, x = feature(rows, j), value(rows, i, j)
            if is_lazy(model.coef, f):
                for c in range(np.uint64(work.scores.size)):
                    if settings.averaged:
                        model.summed[f, c] -= work.area[k] * work.slopes[c] * x
                    if settings.penalised:
                        stored = load_at(model.coef, f, c)
                        weight = later * stored
                        left = truncate(weight, model.received[f, c], work.penalty[k])
                        if left != weight:
                            model.received[f, c] += left - weight
                            change = left / later - stored
                            add_at(model.coef, f, c, model.received.dtype.type(change))
                            if settings.averaged:
                                model.summed[f, c] -= work.area[k] * change
    return loss * row_weight


@inlined
def _add_to_average(model, low, high, area, count):
    """Add the stored weights low..high to their sum `area` times, the intercepts `count` times."""
    if model.settings.averaged and count > 0.0:
        coef, summed = model.coef.reshape(-1), model.summed.reshape(-1)
        size = np.uint64(coef.size)
        for j in range(low, min(high, size)):
            summed[j] += area * coef[j]
        for j in range(max(low, size), high):
            model.summed_intercept[j - size] += count * model.intercept[j - size]


def _sgd_settle(model, low, high, scale, penalty, area, count):
    settings, coef = model.settings, model.coef.reshape(-1)
    _add_to_average(model, low, high, area, count)
    high = min(high, np.uint64(coef.size))
    if settings.penalised:
        received = model.received.reshape(-1)
        for j in range(low, high):
            weight = scale * coef[j]
            left = truncate(weight, received[j], penalty)
            received[j] += left - weight
            if left != weight:
                coef[j] = left / scale


def _sgd_fold(model, scale):
    if scale != 1.0:
        coef = model.coef.reshape(-1)
        factor = coef.dtype.type(scale)
        for j in range(np.uint64(coef.size)):
            coef[j] *= factor


# ------------------------------------------------------------------------------------------------ AdaGrad


@inlined
def _adagrad_change(gradient, squares, eta):
    """Change of a weight whose sum of squares already holds this gradient."""
    return -eta * gradient / np.sqrt(squares) if squares > SMALLEST_SQUARES else 0.0 * gradient


@inlined
def _adagrad_intercept(model, c, gradient, work, k):
    settings = model.settings
    if settings.fit_intercept and gradient != 0.0:
        model.intercept_squares[c] += gradient * gradient
        change = _adagrad_change(gradient, model.intercept_squares[c], work.eta[k]) * settings.intercept_decay
        model.intercept[c] += change
        if settings.averaged and settings.lazy_intercept:
            model.summed_intercept[c] -= change * work.count[k]


@inlined
def _adagrad_shrunk(weight, squares, owed, l1_ratio):
    """Weight after the penalty that has accumulated, at the weight's own rate."""
    if weight == 0.0 or squares <= SMALLEST_SQUARES or owed <= 0.0:
        return weight
    return proximal(weight, owed / np.sqrt(squares), l1_ratio)


@inlined
def _adagrad_row(rows, i, start, stop, model, slope, work, k):
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
            work.lanes[0, j] = _adagrad_change(work.lanes[0, j], work.lanes[1, j], eta)
        for j in range(n):
            f = feature(rows, first + j)
            add(model.coef, f, work.lanes[0, j])
            if settings.averaged and settings.lazy and is_lazy(model.coef, f):
                model.summed[f] -= work.lanes[0, j] * work.area[k]
        first += n


def _adagrad_one(rows, i, model, work, k):
    settings = model.settings
    start, stop = span(rows, i)
    if settings.penalised and settings.lazy:
        for j in range(start, stop):
            f = feature(rows, j)
            if is_lazy(model.coef, f):
                weight = load(model.coef, f)
                owed = work.penalty[k] - model.received[f]  # negative where another thread is ahead
                change = _adagrad_shrunk(weight, load(model.squares, f), owed, settings.l1_ratio) - weight
                model.received[f] = max(model.received[f], work.penalty[k])
                if change != 0.0:
                    add(model.coef, f, model.received.dtype.type(change))
                    if settings.averaged:
                        model.summed[f] -= change * work.area[k]
    score = _dot(rows, i, model.coef) + model.intercept[0]
    y, row_weight = rows.targets[i], _row_weight(rows, i)
    slope = rows.values.dtype.type(_slope(settings, y, score, np.uint64(0)) * row_weight)
    if slope != 0.0:
        _adagrad_row(rows, i, start, stop, model, slope, work, k)
        _adagrad_intercept(model, 0, slope, work, k)
    return loss_value(settings.loss, y, score, settings.parameter) * row_weight


def _adagrad_many(rows, i, model, work, k):
    settings, row_weight, loss = model.settings, _row_weight(rows, i), 0.0
    start, stop = span(rows, i)
    columns, dtype = np.uint64(work.scores.size), rows.values.dtype
    if settings.penalised and settings.lazy:
        for j in range(start, stop):
            f = feature(rows, j)
            if is_lazy(model.coef, f):
                for c in range(columns):
                    weight = load_at(model.coef, f, c)
                    owed = work.penalty[k] - model.received[f, c]
                    change = _adagrad_shrunk(weight, load_at(model.squares, f, c), owed, settings.l1_ratio) - weight
                    model.received[f, c] = max(model.received[f, c], work.penalty[k])
                    if change != 0.0:
                        add_at(model.coef, f, c, dtype.type(change))
                        if settings.averaged:
                            model.summed[f, c] -= change * work.area[k]
    _dot_columns(rows, i, model.coef, work.scores)
    for c in range(columns):
        score, y = work.scores[c] + model.intercept[c], _one_vs_rest(rows, i, c)
        loss += loss_value(settings.loss, y, score, settings.parameter)
        work.slopes[c] = _slope(settings, y, score, c) * row_weight
        _adagrad_intercept(model, c, work.slopes[c], work, k)
    eta = dtype.type(work.eta[k])
    for j in range(start, stop):
        f, x = feature(rows, j), value(rows, i, j)
        for c in range(columns):
            gradient = work.slopes[c] * x
            if gradient != 0.0:
                add_at(model.squares, f, c, gradient * gradient)
                change = _adagrad_change(gradient, load_at(model.squares, f, c), eta)
                add_at(model.coef, f, c, change)
                if settings.averaged and settings.lazy and is_lazy(model.coef, f):
                    model.summed[f, c] -= change * work.area[k]
    return loss * row_weight


def _adagrad_settle(model, low, high, scale, penalty, area, count):
    settings, coef = model.settings, model.coef.reshape(-1)
    _add_to_average(model, low, high, area, count)
    high = min(high, np.uint64(coef.size))
    if settings.penalised:
        received, squares = model.received.reshape(-1), model.squares.reshape(-1)
        for j in range(low, high):
            coef[j] = _adagrad_shrunk(coef[j], squares[j], penalty - received[j], settings.l1_ratio)
            received[j] = max(received[j], penalty)


def _no_fold(model, scale):
    pass


# ------------------------------------------------------------------------------------------------ FTRL


@inlined
def _ftrl_of(settings, z, n, penalty):
    return ftrl_weight(z, n, settings.eta0, settings.beta, penalty, settings.l1_ratio)


@inlined
def _ftrl_delta_z(settings, gradient, n, weight):
    """What a gradient adds to z: ``g - sigma w``, ``sigma = (sqrt(n + g^2) - sqrt(n)) / eta0``."""
    return gradient - (np.sqrt(n + gradient * gradient) - np.sqrt(n)) / settings.eta0 * weight


def _ftrl_one(rows, i, model, work, k):
    settings, penalty = model.settings, work.penalty[k]
    start, stop = span(rows, i)
    score = _ftrl_of(settings, model.intercept_z[0], model.intercept_n[0], 0.0)
    bias = score
    for j in range(start, stop):
        f = feature(rows, j)
        score += _ftrl_of(settings, load(model.z, f), load(model.n, f), penalty) * value(rows, i, j)
    y, row_weight, dtype = rows.targets[i], _row_weight(rows, i), rows.values.dtype
    slope = _slope(settings, y, score, np.uint64(0)) * row_weight
    if slope != 0.0:
        for j in range(start, stop):
            f = feature(rows, j)
            gradient, z, n = slope * value(rows, i, j), load(model.z, f), load(model.n, f)
            add(model.z, f, dtype.type(_ftrl_delta_z(settings, gradient, n, _ftrl_of(settings, z, n, penalty))))
            add(model.n, f, dtype.type(gradient * gradient))
        if settings.fit_intercept:
            gradient = slope * settings.intercept_decay
            model.intercept_z[0] += _ftrl_delta_z(settings, gradient, model.intercept_n[0], bias)
            model.intercept_n[0] += gradient * gradient
    return loss_value(settings.loss, y, score, settings.parameter) * row_weight


def _ftrl_many(rows, i, model, work, k):
    settings, penalty, loss, dtype = model.settings, work.penalty[k], 0.0, rows.values.dtype
    start, stop = span(rows, i)
    columns, row_weight = np.uint64(work.scores.size), _row_weight(rows, i)
    for c in range(columns):
        work.scores[c] = _ftrl_of(settings, model.intercept_z[c], model.intercept_n[c], 0.0)
    for j in range(start, stop):
        f, x = feature(rows, j), value(rows, i, j)
        for c in range(columns):
            work.scores[c] += _ftrl_of(settings, load_at(model.z, f, c), load_at(model.n, f, c), penalty) * x
    for c in range(columns):
        score, y = work.scores[c], _one_vs_rest(rows, i, c)
        loss += loss_value(settings.loss, y, score, settings.parameter)
        work.slopes[c] = _slope(settings, y, score, c) * row_weight
        if settings.fit_intercept:
            gradient, z, n = work.slopes[c] * settings.intercept_decay, model.intercept_z[c], model.intercept_n[c]
            model.intercept_z[c] += _ftrl_delta_z(settings, gradient, n, _ftrl_of(settings, z, n, 0.0))
            model.intercept_n[c] += gradient * gradient
    for j in range(start, stop):
        f, x = feature(rows, j), value(rows, i, j)
        for c in range(columns):
            gradient = work.slopes[c] * x
            if gradient != 0.0:
                z, n = load_at(model.z, f, c), load_at(model.n, f, c)
                weight = _ftrl_of(settings, z, n, penalty)
                add_at(model.z, f, c, dtype.type(_ftrl_delta_z(settings, gradient, n, weight)))
                add_at(model.n, f, c, dtype.type(gradient * gradient))
    return loss * row_weight


def _ftrl_settle(model, low, high, scale, penalty, area, count):
    coef, z, n = model.coef.reshape(-1), model.z.reshape(-1), model.n.reshape(-1)
    size = np.uint64(coef.size)
    for j in range(low, min(high, size)):
        coef[j] = _ftrl_of(model.settings, z[j], n[j], penalty)
    for j in range(max(low, size), high):
        model.intercept[j - size] = _ftrl_of(
            model.settings, model.intercept_z[j - size], model.intercept_n[j - size], 0.0
        )


# ------------------------------------------------------------------------------------------------ registration


@inlined
def _prefetch_all(rows, i, weights):
    start, stop = span(rows, i)
    for j in range(start, stop):
        prefetch_weight(weights, feature(rows, j))


def _prefetch_sgd(rows, i, model):
    _prefetch_all(rows, i, model.coef)


def _prefetch_adagrad(rows, i, model):
    _prefetch_all(rows, i, model.coef)
    _prefetch_all(rows, i, model.squares)


def _prefetch_ftrl(rows, i, model):
    _prefetch_all(rows, i, model.z)
    _prefetch_all(rows, i, model.n)


def _by_columns(one, many):
    """Choose the step of one column or of many by the shape of the intercept's partner in the compiler's type."""
    return lambda model: (
        one if model.types[model.fields.index("received" if "received" in model.fields else "coef")].ndim == 1 else many
    )


register(Sgd, step=_by_columns(_sgd_one, _sgd_many), prefetch=_prefetch_sgd, settle=_sgd_settle, fold=_sgd_fold)
register(
    AdaGrad,
    step=_by_columns(_adagrad_one, _adagrad_many),
    prefetch=_prefetch_adagrad,
    settle=_adagrad_settle,
    fold=_no_fold,
)
register(Ftrl, step=_by_columns(_ftrl_one, _ftrl_many), prefetch=_prefetch_ftrl, settle=_ftrl_settle, fold=_no_fold)
