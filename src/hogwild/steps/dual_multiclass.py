"""Crammer and Singer's multiclass machine in dual form: a step solves for all duals of a row at once.

Minimises ``|W|^2 / 2 + sum_i C_i xi_i``, ``xi_i = max over m of (w_m . x_i + [m != y_i]) - w_{y_i} . x_i``. A row has
one dual for each class, which sum to 0, at most C_i for its own class and at most 0 for the others; ``w_m`` is the sum
of ``b_im x_i`` (Keerthi et al. 2008, A Sequential Dual Method for Large Scale Multi-Class Linear SVMs).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.steps.base import ADD, register
from hogwild.steps.dual import LOST, DualSettings
from hogwild.steps.products import add_outer, dot_row_columns, prefetch_row_weights, squared_norm
from hogwild.steps.rows import feature, span, value


class DualMulticlass(NamedTuple):
    """One problem over all classes.

    Attributes
    ----------
    coef : ndarray, shape (n_features, n_classes)
    intercept : ndarray, shape (2, n_classes)
        Sums of the duals of each class (steps/dual.py); the second row is not used.
    duals : ndarray, shape (n_rows, n_classes)
    targets : ndarray, shape (n_rows,)
        Class numbers.
    norms : ndarray, shape (n_rows,)
        Squared norm of each row with its constant; negative where nobody knows it yet.
    costs : ndarray of float64, shape (n_classes,)
        C of the rows of each class.
    safety : ndarray of float64, shape (1,)
    settings : DualSettings
        Only `constant` and `has_sums` matter.
    """

    coef: np.ndarray
    intercept: np.ndarray
    duals: np.ndarray
    targets: np.ndarray
    norms: np.ndarray
    costs: np.ndarray
    safety: np.ndarray
    settings: DualSettings


@inlined
def _cost(rows, i, model, y):
    c = model.costs[y]
    if rows.weights.size > 0:
        c *= np.float64(rows.weights[i])
    return c


@inlined
def _gradient(rows, i, model, y, scores):
    """Write ``w_m . x_i + [m != y_i]`` to `scores`; returns the largest."""
    dot_row_columns(rows, i, model.coef, scores)
    top = -np.inf
    for m in range(np.uint64(scores.size)):
        score = np.float64(scores[m])
        if model.settings.has_sums:
            score += model.settings.constant * model.intercept[0, m]
        if m != y:
            score += 1.0
        scores[m] = score
        top = max(top, np.float64(scores[m]))
    return top


@inlined
def _gap(model, i, y, c, top, scores):
    gap = c * (top - scores[y])
    for m in range(np.uint64(scores.size)):
        gap += np.float64(model.duals[i, m]) * scores[m]
    return max(gap, 0.0)


@inlined
def _threshold(ordered, first, reach):
    """Level beta at which the duals ``min(bound, (beta - B) / a)`` sum to 0; `ordered` falls, `reach` is ``a C``."""
    beta, r, n = first - reach, np.uint64(1), np.uint64(ordered.size)
    while r < n and beta < np.float64(r) * ordered[r]:
        beta += ordered[r]
        r += np.uint64(1)
    return beta / np.float64(r)


@inlined
def _insert(ordered, n, new):
    """Put `new` into its place among the first `n`, which fall."""
    k = n
    while k > np.uint64(0) and ordered[k - np.uint64(1)] < new:
        ordered[k] = ordered[k - np.uint64(1)]
        k -= np.uint64(1)
    ordered[k] = new


@inlined
def _norm(rows, i, model):
    norm = np.float64(model.norms[i])
    if norm < 0.0:
        norm = np.float64(squared_norm(rows, i)) + model.settings.constant
        model.norms[i] = norm
    return norm


def _step(rows, i, model, work, k):
    dtype, n = rows.values.dtype.type, np.uint64(work.scores.size)
    y = np.uint64(model.targets[i])
    c, norm, safety = _cost(rows, i, model, y), _norm(rows, i, model), model.safety[0]
    top = _gradient(rows, i, model, y, work.scores)
    gap = _gap(model, i, y, c, top, work.scores)
    work.running[LOST] += c * (top - work.scores[y])
    if norm == 0.0:  # no weight depends on it: any other class takes what its own takes
        other = np.uint64(1) if y == np.uint64(0) else np.uint64(0)
        for m in range(n):
            model.duals[i, m] = 0
        model.duals[i, y], model.duals[i, other] = dtype(c), dtype(-c)
        return gap
    a = norm * safety
    for m in range(n):
        work.scores[m] -= dtype(a * model.duals[i, m])
        _insert(work.factors, m, work.scores[m] + dtype(a * c if m == y else 0.0))
    beta = _threshold(work.factors, np.float64(work.factors[0]), a * c)
    n_active = np.uint64(0)
    for m in range(n):
        new = dtype(min(c if m == y else 0.0, (beta - work.scores[m]) / a))
        change = new - model.duals[i, m]
        model.duals[i, m] = new
        work.factors[m] = dtype(change * safety)
        if change != 0.0:
            work.active[n_active] = np.uint32(m)
            n_active += np.uint64(1)
            if model.settings.has_sums:
                model.intercept[0, m] += work.factors[m]
    if n_active > 0:
        add_outer(rows, i, model.coef, work, n_active)
    return gap


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)


register(
    DualMulticlass,
    step=lambda model: _step,
    prefetch=_prefetch,
    merges={"coef": (ADD, True), "intercept": (ADD, False)},
)


@kernel
def measure_multiclass(rows, model, first, last, scores, out):
    """Sum over the rows first..last: gap, losses and conjugates into `out`; `scores` is scratch memory."""
    gap, loss, conjugate = 0.0, 0.0, 0.0
    for i in range(first, last):
        y = np.uint64(model.targets[i])
        c = _cost(rows, i, model, y)
        if c > 0.0:
            top = _gradient(rows, np.uint32(i), model, y, scores)
            gap += _gap(model, i, y, c, top, scores)
            loss += c * (top - scores[y])
            conjugate -= model.duals[i, y]
    out[0], out[1], out[2] = gap, loss, conjugate


@kernel
def rebuild_multiclass(rows, model, first, last, coef, sums):
    """Add ``b_im x_i`` of the rows first..last to `coef` and `sums`, in float64."""
    n = np.uint64(model.duals.shape[1])
    for i in range(first, last):
        start, stop = span(rows, np.uint32(i))
        for m in range(n):
            b = np.float64(model.duals[i, m])
            if b != 0.0:
                sums[0, m] += b
                for j in range(start, stop):
                    coef[feature(rows, j), m] += b * value(rows, np.uint32(i), j)


@kernel
def conjugates_multiclass(rows, model, first, last):
    """Sum of the conjugates of the rows first..last: with ``|W|^2 / 2`` the dual problem's value."""
    total = 0.0
    for i in range(first, last):
        total -= model.duals[i, np.uint64(model.targets[i])]
    return total
