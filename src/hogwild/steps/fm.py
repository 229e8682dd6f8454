"""Factorisation machines of degree 2 (Rendle 2010): AdaGrad, SGD and FTRL, one row of the matrix for each feature.

``score = b + sqrt(r) sum_j w_j x_j + r sum_{j<l} <v_j, v_l> x_j x_l``, with ``r = 1 / sum_j x_j^2`` where rows are
scaled to unit length, else 1. The pairs cost as much as the row is long:
``sum_{j<l} <v_j, v_l> x_j x_l = 1/2 sum_f (s_f^2 - sum_j (v_jf x_j)^2)``, ``s_f = sum_j v_jf x_j``. So the derivative
of the score with respect to ``v_jf`` is ``r x_j (s_f - v_jf x_j)``, all of it at the weights before the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hogwild.compiled import LINE, inlined
from hogwild.losses import derivative_at, value_at
from hogwild.steps.base import DAMPED, register
from hogwild.steps.linear import clipped
from hogwild.steps.products import prefetch_row_weights, row_weight, squared_norm
from hogwild.vectors.factors import (
    LEAST_LANES,
    adagrad_entries,
    ftrl_entries,
    sgd_entries,
    sums_of_ftrl,
    sums_of_weights,
)


class FmSettings(NamedTuple):
    """What a fit does not change.

    Attributes
    ----------
    loss, parameter : int, float
        Row of `losses.LOSSES` and its parameter.
    value, derivative : callable or None
        Compiled functions of a user's own loss, which stand for `loss` then.
    n_factors, n_lanes : int
        Factors of a feature, and lanes of its weights, a multiple of 8: the linear weight, the factors, zeros.
    linear, fit_intercept : bool
        Whether there are linear weights, and a bias.
    normalized : bool
        Whether rows are scaled to unit length.
    eta0, beta : float
        FTRL's alpha and beta.
    large : bool
        Whether the weights are beyond the cache, so that they are prefetched.
    penalised, averaged, lazy, lazy_intercept : bool
        What engines ask for (`steps.base`): False, there is nothing lazy.
    """

    loss: int
    parameter: float
    value: Callable | None
    derivative: Callable | None
    n_factors: int
    n_lanes: int
    linear: bool
    fit_intercept: bool
    normalized: bool
    eta0: float
    beta: float
    large: bool
    penalised: bool = False
    averaged: bool = False
    lazy: bool = False
    lazy_intercept: bool = False


class FmSgd(NamedTuple):
    """Plain SGD.

    Attributes
    ----------
    factors : ndarray, shape (n_features, width)
        ``[w, v_1, .., v_k, zeros]`` of each feature, and after `n_lanes` the sums of the rule, if it has any.
    intercept : ndarray, shape (2,)
        Bias, and its sum.
    shape : ndarray, shape (3, n_lanes)
        1 for factors, else 0; L2 strength; L1 strength (FTRL only).
    """

    factors: np.ndarray
    intercept: np.ndarray
    shape: np.ndarray
    settings: FmSettings


class FmAdaGrad(NamedTuple):
    """AdaGrad, ``G <- G + g^2; v <- v - eta g / sqrt(G)``, G from 1 on; arrays as in `FmSgd`."""

    factors: np.ndarray
    intercept: np.ndarray
    shape: np.ndarray
    settings: FmSettings


class FmFtrl(NamedTuple):
    """FTRL-proximal; the sums z and n stand where the weights and their sums do in `FmAdaGrad`."""

    factors: np.ndarray
    intercept: np.ndarray
    shape: np.ndarray
    settings: FmSettings


def lanes_of(n_factors: int) -> int:
    """Lanes of the linear weight and `n_factors` factors."""
    return -(-(n_factors + 1) // LEAST_LANES) * LEAST_LANES


def width_of(n_factors: int, dtype: np.dtype, sums: bool) -> int:
    """Elements of a row of the matrix: whole cache lines."""
    line = LINE // np.dtype(dtype).itemsize
    return -(-lanes_of(n_factors) * (1 + sums) // line) * line


# ------------------------------------------------------------------------------------------------ score


@inlined
def scale_of(rows, i, settings):
    """Factor of the pairs of row `i`: ``1 / sum of squares`` where rows are scaled to unit length, else 1."""
    one = rows.values.dtype.type(1)
    if not settings.normalized:
        return one
    total = squared_norm(rows, i)
    return one / total if total > 0 else one


@inlined
def _finish_score(sums, settings, bias, scale):
    """Score of a row from its sums; the linear weight's place then holds what its derivative needs instead."""
    n, pairs = np.uint64(settings.n_lanes), sums.dtype.type(0)
    for f in range(np.uint64(1), np.uint64(settings.n_factors) + np.uint64(1)):
        pairs += sums[f] * sums[f] - sums[n + f]
    linear, root = sums[0], np.sqrt(scale)
    sums[0] = sums.dtype.type(1) / root if settings.linear else sums.dtype.type(0)
    return bias + root * linear + sums.dtype.type(0.5) * scale * pairs


@inlined
def _rates(rows, settings):
    """FTRL's ``1 / alpha`` and ``beta / alpha``."""
    dtype = rows.values.dtype
    return dtype.type(1.0 / settings.eta0), dtype.type(settings.beta / settings.eta0)


@inlined
def measure_row(rows, i, model, work):
    """Score of row `i`, from weights that stand in the matrix; leaves its sums in ``work.scores``."""
    settings = model.settings
    n, one = np.uint64(settings.n_lanes), rows.values.dtype.type(1)
    sums_of_weights(rows, np.uint64(i), model.factors, model.shape, work.scores, n, one, one)
    return _finish_score(work.scores, settings, model.intercept[0], scale_of(rows, i, settings))


@inlined
def _measure_ftrl(rows, i, model, work):
    """`measure_row` from FTRL's sums."""
    settings = model.settings
    n, (rate, first) = np.uint64(settings.n_lanes), _rates(rows, settings)
    sums_of_ftrl(rows, np.uint64(i), model.factors, model.shape, work.scores, n, rate, first)
    return _finish_score(work.scores, settings, rows.values.dtype.type(_ftrl_bias(model)), scale_of(rows, i, settings))


@inlined
def _ftrl_bias(model):
    """FTRL's bias, which has no penalty."""
    return -model.intercept[0] / ((model.settings.beta + np.sqrt(model.intercept[1])) / model.settings.eta0)


# ------------------------------------------------------------------------------------------------ steps


@inlined
def _slope_of(rows, i, settings, score):
    return clipped(derivative_at(settings, rows.targets[i], score)) * row_weight(rows, i)


@inlined
def _loss_of(rows, i, settings, score):
    return float(value_at(settings, rows.targets[i], score) * row_weight(rows, i))


def _step_sgd(rows, i, model, work, k):
    settings, dtype = model.settings, rows.values.dtype
    score = measure_row(rows, i, model, work)
    slope, eta = dtype.type(_slope_of(rows, i, settings, score)), dtype.type(work.eta[k])
    n, scaled = np.uint64(settings.n_lanes), slope * scale_of(rows, i, settings)
    sgd_entries(rows, np.uint64(i), model.factors, model.shape, work.scores, n, scaled, eta, eta, eta)
    if settings.fit_intercept:
        model.intercept[0] -= eta * slope
    return _loss_of(rows, i, settings, score)


def _step_adagrad(rows, i, model, work, k):
    settings, dtype = model.settings, rows.values.dtype
    score = measure_row(rows, i, model, work)
    slope, eta = dtype.type(_slope_of(rows, i, settings, score)), dtype.type(work.eta[k])
    n, scaled = np.uint64(settings.n_lanes), slope * scale_of(rows, i, settings)
    adagrad_entries(rows, np.uint64(i), model.factors, model.shape, work.scores, n, scaled, eta, eta, eta)
    if settings.fit_intercept:
        model.intercept[1] += slope * slope
        model.intercept[0] -= eta * slope / np.sqrt(model.intercept[1])
    return _loss_of(rows, i, settings, score)


def _step_ftrl(rows, i, model, work, k):
    settings, dtype = model.settings, rows.values.dtype
    score = _measure_ftrl(rows, i, model, work)
    slope, (rate, first) = dtype.type(_slope_of(rows, i, settings, score)), _rates(rows, settings)
    n, scaled = np.uint64(settings.n_lanes), slope * scale_of(rows, i, settings)
    ftrl_entries(rows, np.uint64(i), model.factors, model.shape, work.scores, n, scaled, rate, rate, first)
    if settings.fit_intercept:
        squares, bias = model.intercept[1], _ftrl_bias(model)
        sigma = (np.sqrt(squares + slope * slope) - np.sqrt(squares)) / settings.eta0
        model.intercept[0] += slope - sigma * bias
        model.intercept[1] += slope * slope
    return _loss_of(rows, i, settings, score)


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.factors)


for _model, _step in ((FmSgd, _step_sgd), (FmAdaGrad, _step_adagrad), (FmFtrl, _step_ftrl)):
    register(
        _model,
        step=lambda model, step=_step: step,
        prefetch=_prefetch,
        merges={"factors": (DAMPED, True), "intercept": (DAMPED, False)},
    )
