"""Steps of many settings side by side: each column of the weights is one model with its own clock, penalty and rows.

A column is a setting, a fold that it leaves out, and a class: ``(fold * n_settings + setting) * n_classes + class``.
All columns of one setting and fold are a **group**, which has one clock. One gather of a feature's columns serves them
all: 3.5 ns a nonzero for eight columns of plain SGD against 8 x 1.6 apart. Every column takes the arithmetic of
`steps.linear` in its order: it has the bits that it has alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from hogwild.compiled import inlined, kernel, plus, root, strict_inlined
from hogwild.losses import loss_derivative, loss_value
from hogwild.schedules import SMALLEST_SCALE, fill_clock
from hogwild.steps.adagrad import SMALLEST_SQUARES, change_of, shrunk
from hogwild.steps.base import register
from hogwild.steps.column_clocks import AHEAD, Clock, rewind, schedule_of, steps_through, take_turn
from hogwild.steps.linear import class_weight, clipped
from hogwild.steps.products import FEW, prefetch_row_weights, row_weight
from hogwild.steps.rows import INLINE, feature, is_sparse, span, value
from hogwild.steps.sgd import scaled_score, truncation
from hogwild.vectors.columns import adagrad_row, add_row_block, dot_row_1, dot_row_2, dot_row_4

_NONE = np.uint64(0)


class ColumnSettings(NamedTuple):
    """What a fit of columns does not change.

    Attributes
    ----------
    loss : int
        Row of `losses.LOSSES`.
    fit_intercept, intercept_decay : bool, float
        As in `steps.linear.Settings`.
    penalised, large : bool
        Whether some group has a lazy penalty; whether the weights are beyond the cache.
    parameter, l1_ratio : ndarray of float64, shape (n_groups,)
        The loss's parameter and the share of L1 of each group.
    lazy : ndarray of bool, shape (n_groups,)
        Whether the group has a lazy penalty.
    folds : ndarray of uint64, shape (n_groups,)
        Bit of `trains` that tells whether the group steps through a row.
    positive, negative : ndarray of float64, shape (n_classes,)
        Class weights of a column's own class and of the others.
    """

    loss: int
    fit_intercept: bool
    intercept_decay: float
    penalised: bool
    large: bool
    parameter: np.ndarray
    l1_ratio: np.ndarray
    lazy: np.ndarray
    folds: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


class SgdColumns(NamedTuple):
    """Plain SGD in columns.

    `coef` has the shape (n_features, n_columns, 1) where each model has one column, else (n_features, n_groups,
    n_classes); `received` likewise, or no element. `trains` holds, for each row, one bit for each fold.
    """

    coef: np.ndarray
    intercept: np.ndarray
    received: np.ndarray
    trains: np.ndarray
    settings: ColumnSettings


class AdaGradColumns(NamedTuple):
    """AdaGrad in columns; `squares` has the shape of `coef`, the rest as in `SgdColumns`."""

    coef: np.ndarray
    intercept: np.ndarray
    squares: np.ndarray
    intercept_squares: np.ndarray
    received: np.ndarray
    trains: np.ndarray
    settings: ColumnSettings


# ------------------------------------------------------------------------------------------------ clocks


@inlined
def _wind(model, work, trains):
    """Fill the clocks that have run out, for the groups that step; scales that have become too small are folded."""
    for g in range(np.uint64(work.position.size)):
        if work.position[g] == work.filled[g] and steps_through(model, work, trains, g):
            if work.running[g, 2] < SMALLEST_SCALE:
                work.closing[g] = True
                _close(model, work)
            clock = work.clock
            view = Clock(clock[0, g], clock[1, g], clock[2, g], clock[3, g], clock[4, g], clock[5, g], work.running[g])
            for field in range(np.uint64(6)):
                work.begun[g, field] = work.running[g, field]
            work.filled[g] = fill_clock(schedule_of(work.rates, g), view, np.uint64(AHEAD))
            work.position[g] = np.uint64(0)


def _close(model, work):
    """Bring the penalty of the groups that are `closing` up to their clocks, and fold their scales."""
    raise NotImplementedError


@overload(_close, jit_options=INLINE)
def _close_of(model, work):
    if model.instance_class is AdaGradColumns:
        return _adagrad_close
    return _sgd_close


@inlined
def _fold_all(model, work, classes):
    """Fold the scales of the groups that are `closing`; the other columns take part with a factor of 1."""
    n, coef = np.uint64(work.slopes.size), model.coef.reshape(-1)
    for g in range(np.uint64(work.closing.size)):
        for c in range(g * classes, (g + np.uint64(1)) * classes):
            work.slopes[c] = work.running[g, 2] if work.closing[g] else 1.0
    for f in range(np.uint64(model.coef.shape[0])):
        place = f * n
        for c in range(n):
            coef[place + c] *= work.slopes[c]


def _sgd_close(model, work):
    settings, classes = model.settings, np.uint64(model.coef.shape[2])
    if not settings.penalised:
        _fold_all(model, work, classes)
    for f in range(np.uint64(model.coef.shape[0]) if settings.penalised else _NONE):
        for g in range(np.uint64(work.closing.size)):
            if work.closing[g]:
                scale = work.running[g, 2]
                factor = model.coef.dtype.type(scale)
                for q in range(classes):
                    if settings.lazy[g]:
                        taken, change = truncation(
                            model.coef[f, g, q], model.received[f, g, q], scale, work.running[g, 3]
                        )
                        if taken != 0.0:
                            model.received[f, g, q] = plus(model.received[f, g, q], taken)
                            model.coef[f, g, q] = plus(model.coef[f, g, q], model.coef.dtype.type(change))
                    if scale != 1.0:
                        model.coef[f, g, q] *= factor
    for g in range(np.uint64(work.closing.size)):
        if work.closing[g]:
            work.closing[g] = False
            work.running[g, 2], work.running[g, 4], work.running[g, 5] = 1.0, 0.0, 0.0


def _adagrad_close(model, work):
    settings, classes = model.settings, np.uint64(model.coef.shape[2])
    for f in range(np.uint64(model.coef.shape[0]) if settings.penalised else _NONE):
        for g in range(np.uint64(work.closing.size)):
            if work.closing[g] and settings.lazy[g]:
                penalty = work.running[g, 3]
                for q in range(classes):
                    owed = penalty - model.received[f, g, q]
                    weight, squares = model.coef[f, g, q], model.squares[f, g, q]
                    model.coef[f, g, q] = shrunk(weight, squares, owed, settings.l1_ratio[g])
                    model.received[f, g, q] = max(model.received[f, g, q], penalty)
    for g in range(np.uint64(work.closing.size)):
        work.closing[g] = False


@kernel
def close_columns(model, work, lazy_too):
    """Take the clocks back to the present and bring groups up to it: all of them, or those without a lazy penalty."""
    any_closing = False
    for g in range(np.uint64(work.closing.size)):
        rewind(work, g)
        if lazy_too or not model.settings.lazy[g]:
            work.closing[g] = model.settings.lazy[g] or work.running[g, 2] != 1.0
            any_closing |= work.closing[g]
    if any_closing:
        _close(model, work)


@kernel
def rewind_columns(work):
    """Take the clocks back to the present: the schedules are about to change."""
    for g in range(np.uint64(work.closing.size)):
        rewind(work, g)


# ------------------------------------------------------------------------------------------------ parts of a row


def _scores(rows, i, model, work):
    """Products of row `i` with all columns, summed in the order of `steps.linear` for one column or for many."""
    raise NotImplementedError


def _add(rows, i, model, work):
    """Add row `i` times the slopes to all columns."""
    raise NotImplementedError


def _add_adagrad(rows, i, model, work):
    """AdaGrad's step of all columns."""
    raise NotImplementedError


@overload(_scores, jit_options=INLINE)
def _scores_of(rows, i, model, work):
    if is_sparse(rows):

        def sparse(rows, i, model, work):
            start, stop = span(rows, i)
            if model.coef.shape[2] == 1:
                dot_row_4(rows.indices, rows.values, start, stop, model.coef, work.scores)
            else:
                dot_row_2(rows.indices, rows.values, start, stop, model.coef, work.scores)

        return sparse

    def dense(rows, i, model, work):
        start, stop = _dense_span(rows, i)
        if model.coef.shape[2] == 1:
            dot_row_4(None, rows.values, start, stop, model.coef, work.scores)
        else:
            dot_row_1(None, rows.values, start, stop, model.coef, work.scores)

    return dense


@overload(_add, jit_options=INLINE)
def _add_of(rows, i, model, work):
    if is_sparse(rows):

        def sparse(rows, i, model, work):
            start, stop = span(rows, i)
            add_row_block(rows.indices, rows.values, start, stop, model.coef, work.slopes)

        return sparse

    def dense(rows, i, model, work):
        start, stop = _dense_span(rows, i)
        add_row_block(None, rows.values, start, stop, model.coef, work.slopes)

    return dense


@overload(_add_adagrad, jit_options=INLINE)
def _add_adagrad_of(rows, i, model, work):
    least = SMALLEST_SQUARES
    if is_sparse(rows):

        def sparse(rows, i, model, work):
            (start, stop), dtype = span(rows, i), rows.values.dtype
            adagrad_row(
                rows.indices,
                rows.values,
                start,
                stop,
                model.coef,
                model.squares,
                work.slopes,
                work.etas,
                dtype.type(least),
            )

        return sparse

    def dense(rows, i, model, work):
        (start, stop), dtype = _dense_span(rows, i), rows.values.dtype
        adagrad_row(
            None, rows.values, start, stop, model.coef, model.squares, work.slopes, work.etas, dtype.type(least)
        )

    return dense


@inlined
def _dense_span(rows, i):
    width = np.uint64(rows.values.shape[1])
    return np.uint64(i) * width, np.uint64(i) * width + width


@strict_inlined
def _slope(settings, g, y, score, q):
    slope = loss_derivative(settings.loss, y, score, settings.parameter[g])
    return clipped(slope) * class_weight(settings, y, q)


@strict_inlined
def _update(settings, g, y, score, q, eta):
    return -eta * _slope(settings, g, y, score, q)


@inlined
def _leave(work, first, classes):
    """Note that the columns of a group do not step."""
    for c in range(first, first + classes):
        work.slopes[c] = 0
        work.owed[c] = -1.0


# ------------------------------------------------------------------------------------------------ plain SGD


@strict_inlined
def _truncating(stored, received, scale, penalty):
    """`sgd.truncation` without branches, so that columns are a vector; nothing where the penalty is negative."""
    weight = scale * stored
    below = max(0.0, weight - max(penalty + received, 0.0))
    above = min(0.0, weight + max(penalty - received, 0.0))
    left = below if weight > 0.0 else above
    change = left / scale - stored
    steps = penalty >= 0.0 and weight != 0.0 and left != weight
    return left - weight if steps else 0.0, change if steps else 0.0


def _sgd(rows, i, model, work, k):
    settings, dtype, trains, n_active = model.settings, rows.values.dtype, model.trains[i], np.uint64(0)
    classes, weight = np.uint64(model.coef.shape[2]), row_weight(rows, i)
    _wind(model, work, trains)
    _scores(rows, i, model, work)
    for g in range(np.uint64(work.position.size)):
        first = g * classes
        if not steps_through(model, work, trains, g):
            _leave(work, first, classes)
            continue
        p, loss = take_turn(work, g), 0.0
        eta, scale, inverse = work.clock[0, g, p], work.clock[1, g, p], work.clock[2, g, p]
        for q in range(classes):
            c = first + q
            score = scaled_score(scale, work.scores[c], model.intercept[c])
            y = np.float64(rows.targets[i])
            if classes > np.uint64(1):
                y = 1.0 if y == q else -1.0
            loss += loss_value(settings.loss, y, score, settings.parameter[g])
            update = _update(settings, g, y, score, q, eta) * weight
            work.slopes[c] = update * inverse
            work.active[n_active] = c  # no branch: whether a column steps is hard to predict
            n_active += np.uint64(update != 0.0)
            if settings.fit_intercept:
                model.intercept[c] += update * settings.intercept_decay
            if settings.penalised:
                work.later[c] = work.clock[1, g, p + np.uint64(1)]
                work.owed[c] = work.clock[3, g, p] if settings.lazy[g] else -1.0
        work.losses[g] += loss * weight
    start, stop = span(rows, i)
    n = np.uint64(work.scores.size)
    if n_active > FEW:
        _add(rows, i, model, work)
    elif n_active:
        coef = model.coef.reshape(-1)
        for j in range(start, stop):
            place, x = np.uint64(feature(rows, j)) * n, value(rows, i, j)
            for a in range(n_active):
                c = np.uint64(work.active[a])
                coef[place + c] += work.slopes[c] * x
    if settings.penalised:
        coef, received = model.coef.reshape(-1), model.received.reshape(-1)
        for j in range(start, stop):
            place = np.uint64(feature(rows, j)) * n
            for c in range(n):
                stored, had = coef[place + c], received[place + c]
                taken, change = _truncating(stored, had, work.later[c], work.owed[c])
                received[place + c] = plus(had, taken)
                coef[place + c] = plus(stored, dtype.type(change))
    return 0.0


# ------------------------------------------------------------------------------------------------ AdaGrad


@strict_inlined
def _shrinking(weight, squares, owed, l1_ratio):
    """Change of a weight that owes a penalty: `adagrad.shrunk` without branches, so that columns are a vector."""
    strength = owed / root(squares)
    shrunk = max(abs(weight) - strength * l1_ratio, 0.0) / (1.0 + strength * (1.0 - l1_ratio))
    change = (shrunk if weight > 0.0 else -shrunk) - weight
    return change if weight != 0.0 and squares > SMALLEST_SQUARES and owed > 0.0 else 0.0 * weight


def _adagrad(rows, i, model, work, k):
    settings, trains, dtype = model.settings, model.trains[i], rows.values.dtype
    classes, row_factor, n = np.uint64(model.coef.shape[2]), row_weight(rows, i), np.uint64(work.scores.size)
    start, stop = span(rows, i)
    _wind(model, work, trains)
    for g in range(np.uint64(work.position.size)):
        first = g * classes
        if not steps_through(model, work, trains, g):
            _leave(work, first, classes)
            continue
        p = take_turn(work, g)
        for c in range(first, first + classes):
            work.etas[c] = dtype.type(work.clock[0, g, p])
            work.later[c] = settings.l1_ratio[g]
            work.owed[c] = work.clock[3, g, p] if settings.lazy[g] else -1.0
    if settings.penalised:
        coef, squares, received = model.coef.reshape(-1), model.squares.reshape(-1), model.received.reshape(-1)
        for j in range(start, stop):
            place = np.uint64(feature(rows, j)) * n
            for c in range(n):
                penalty, had = work.owed[c], received[place + c]
                weight = coef[place + c]
                change = _shrinking(weight, squares[place + c], penalty - had, work.later[c])
                received[place + c] = max(had, penalty)
                coef[place + c] = plus(weight, dtype.type(change))
    _scores(rows, i, model, work)
    n_active = np.uint64(0)
    for g in range(np.uint64(work.position.size)):
        first = g * classes
        if not steps_through(model, work, trains, g):
            continue
        loss, eta = 0.0, work.clock[0, g, work.position[g] - np.uint64(1)]
        for q in range(classes):
            c = first + q
            score = work.scores[c] + model.intercept[c]
            loss += _adagrad_row(rows, i, settings, g, q, c, classes, score, row_factor, work)
            slope = work.slopes[c]
            if slope != 0.0:
                n_active += np.uint64(1)
                if settings.fit_intercept:
                    model.intercept_squares[c] += slope * slope
                    change = change_of(slope, model.intercept_squares[c], eta)
                    model.intercept[c] += change * settings.intercept_decay
        work.losses[g] += loss * row_factor
    if n_active:
        _add_adagrad(rows, i, model, work)
    return 0.0


@inlined
def _adagrad_row(rows, i, settings, g, q, c, classes, score, row_factor, work):
    """Write the slope of column `c`; returns its loss. One column alone works in the rows' own precision."""
    if classes > np.uint64(1):
        y = 1.0 if rows.targets[i] == q else -1.0
        work.slopes[c] = _slope(settings, g, y, score, q) * row_factor
        return loss_value(settings.loss, y, score, settings.parameter[g])
    target = rows.targets[i]
    work.slopes[c] = _slope(settings, g, target, score, q) * row_factor
    return loss_value(settings.loss, target, score, settings.parameter[g])


# ------------------------------------------------------------------------------------------------ registration


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)


def _prefetch_adagrad(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)
    prefetch_row_weights(rows, i, model.squares)


register(SgdColumns, step=lambda model: _sgd, prefetch=_prefetch, merges={})
register(
    AdaGradColumns,
    step=lambda model: _adagrad,
    prefetch=_prefetch_adagrad,
    merges={},
)
