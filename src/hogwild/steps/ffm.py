"""The field-aware factorisation machine: each feature has a vector of weights for each field that it meets.

``score = r sum over pairs a < c of v_a v_c <w[j_a, f_c], w[j_c, f_a]>`` over the entries (field, feature, value) of a
row, in row order (Juan, Zhuang, Chin, Lin 2016), optionally plus ``sqrt(r) sum of v_a u[j_a] + bias``; AdaGrad steps
pair by pair, in float32 throughout, so that a run gives libffm's printed digits.

A feature's weights for all fields stand side by side, then their AdaGrad sums: two arrays took 3.2 s an epoch where one
takes 2.4, and weights and sums in turn leave no 16 weights side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, root, row_of, strict_inlined
from hogwild.losses import loss_derivative, loss_value
from hogwild.steps.base import DAMPED, register
from hogwild.steps.products import row_weight
from hogwild.steps.rows import feature, span, value
from hogwild.steps.weights import prefetch_weight


class FfmSettings(NamedTuple):
    """Plain numbers of the model; `alpha` is libffm's lambda, `stride` the factors of a field with their padding."""

    loss: int
    parameter: float
    alpha: float
    n_features: int
    n_fields: int
    n_factors: int
    stride: int
    linear: bool
    exact: bool
    large: bool
    penalised: bool
    averaged: bool
    lazy: bool
    lazy_intercept: bool


class Ffm(NamedTuple):
    """Field-aware factorisation machine with AdaGrad (libffm's model and steps).

    Attributes
    ----------
    blocks : ndarray of float32, shape (n_features, width)
        For each feature the weights of all fields, ``n_fields * stride``, then their AdaGrad sums alike, then padding
        to a multiple of 16 (cache lines).
    linear : ndarray of float32, shape (n_features, 2) or (0, 2)
        Linear weight and its sum.
    bias : ndarray of float32, shape (2,) or (0,)
        Bias and its sum.
    settings : FfmSettings
    """

    blocks: np.ndarray
    linear: np.ndarray
    bias: np.ndarray
    settings: FfmSettings


@inlined
def row_norm(rows, i):
    """Factor r of row `i`, 1 where rows are not normalised."""
    return rows.norms[i] if rows.norms.size else rows.values.dtype.type(1)


@inlined
def _known(rows, j, settings):
    return rows.indices[j] < np.uint64(settings.n_features) and rows.fields[j] < np.uint64(settings.n_fields)


@inlined
def _score_pairs(rows, i, model):
    """Sum over the pairs of row `i`, without memory of its own; times the factor of the row."""
    settings, (start, stop), total = model.settings, span(rows, i), np.float32(0)
    stride = np.uint64(settings.stride)
    for a in range(start, stop):
        if _known(rows, a, settings):
            first, fa = row_of(model.blocks, rows.indices[a]), np.uint64(rows.fields[a]) * stride
            for c in range(a + np.uint64(1), stop):
                if _known(rows, c, settings):
                    second, fc = row_of(model.blocks, rows.indices[c]), np.uint64(rows.fields[c]) * stride
                    v = rows.values[a] * rows.values[c]
                    for d in range(stride):
                        total += first[fc + d] * second[fa + d] * v
    return total * row_norm(rows, i)


@strict_inlined
def _change(model_row, weight, square, gradient, eta):
    """AdaGrad's step of one weight: ``G += g^2; w -= eta g / sqrt(G)``."""
    found = model_row[square] + gradient * gradient
    model_row[square] = found
    model_row[weight] -= eta * gradient / root(found)


@inlined
def _step_pairs(rows, i, model, kappa, eta):
    """AdaGrad's step of every pair of row `i`, without memory of its own."""
    settings, (start, stop) = model.settings, span(rows, i)
    stride, alpha = np.uint64(settings.stride), np.float32(settings.alpha)
    sums = np.uint64(settings.n_fields) * stride
    for a in range(start, stop):
        if _known(rows, a, settings):
            first, fa = row_of(model.blocks, rows.indices[a]), np.uint64(rows.fields[a]) * stride
            for c in range(a + np.uint64(1), stop):
                if _known(rows, c, settings):
                    second, fc = row_of(model.blocks, rows.indices[c]), np.uint64(rows.fields[c]) * stride
                    slope = kappa * rows.values[a] * rows.values[c]
                    for d in range(stride):
                        w1, w2 = first[fc + d], second[fa + d]
                        g1, g2 = alpha * w1 + slope * w2, alpha * w2 + slope * w1
                        _change(first, fc + d, sums + fc + d, g1, eta)
                        _change(second, fa + d, sums + fa + d, g2, eta)


@inlined
def _score_linear(rows, i, model):
    settings, (start, stop), total = model.settings, span(rows, i), np.float32(0)
    for a in range(start, stop):
        if _known(rows, a, settings):
            total += row_of(model.linear, rows.indices[a])[np.uint64(0)] * rows.values[a]
    return total * np.float32(root(row_norm(rows, i))) + model.bias[0]


@inlined
def _step_linear(rows, i, model, kappa, eta):
    settings, (start, stop) = model.settings, span(rows, i)
    slope, alpha = kappa * np.float32(root(row_norm(rows, i))), np.float32(settings.alpha)
    for a in range(start, stop):
        if _known(rows, a, settings):
            pair = row_of(model.linear, rows.indices[a])
            gradient = alpha * pair[np.uint64(0)] + slope * rows.values[a]
            _change(pair, np.uint64(0), np.uint64(1), gradient, eta)
    _change(model.bias, np.uint64(0), np.uint64(1), kappa, eta)


@inlined
def score(rows, i, model, work):
    """Score of row `i`; entries of features or fields beyond the model's count in the norm only."""
    total = _score_pairs(rows, i, model)
    return total + _score_linear(rows, i, model) if model.settings.linear else total


def _step(rows, i, model, work, k):
    settings, eta, y = model.settings, np.float32(work.eta[k]), np.float64(rows.targets[i])
    t = np.float64(score(rows, i, model, work))
    weight = row_weight(rows, i)
    kappa = np.float32(loss_derivative(settings.loss, y, t, settings.parameter)) * weight
    _step_pairs(rows, i, model, kappa * row_norm(rows, i), eta)
    if settings.linear:
        _step_linear(rows, i, model, kappa, eta)
    return loss_value(settings.loss, y, t, settings.parameter) * weight


def _prefetch(rows, i, model):
    start, stop = span(rows, i)
    for j in range(start, stop):
        if value(rows, i, j) != 0 and _known(rows, j, model.settings):
            prefetch_weight(model.blocks, feature(rows, j))


register(
    Ffm,
    step=lambda model: _step,
    prefetch=_prefetch,
    merges={"blocks": (DAMPED, True), "linear": (DAMPED, True), "bias": (DAMPED, False)},
)
