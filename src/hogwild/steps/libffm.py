"""libffm's own arrangement and rounding: its printed digits, models and predictions, bit for bit.

The same model as ffm.py, four factors at a time, each operation in libffm's order: about half as fast.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hogwild.compiled import prefetch, row_of, strict_inlined, strict_kernel
from hogwild.steps.base import ADD, register
from hogwild.steps.ffm import known, row_norm
from hogwild.steps.rows import SparseFieldRows
from hogwild.vectors.quads import step_quads


class LibffmSettings(NamedTuple):
    """Plain numbers of the model; `alpha` is libffm's lambda."""

    alpha: float
    n_features: int
    n_fields: int
    n_quads: int
    large: bool
    penalised: bool = False
    averaged: bool = False
    lazy: bool = False
    lazy_intercept: bool = False


class LibffmSteps(NamedTuple):
    """Field-aware factorisation machine as libffm holds it, for log loss.

    Attributes
    ----------
    blocks : ndarray of float32, shape (n_features, n_fields * n_quads * 8)
        For each field four weights, their four sums, the next four weights, and so on.
    settings : LibffmSettings
    """

    blocks: np.ndarray
    settings: LibffmSettings


_ONE, _4, _8 = np.uint64(1), np.uint64(4), np.uint64(8)


@strict_inlined
def _score(rows, i, model):
    """Every fourth factor is summed up by itself, over all pairs; nothing is fused or regrouped."""
    t0, t1, t2, t3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    settings, norm, stop = model.settings, row_norm(rows, i), rows.indptr[i + _ONE]
    size = np.uint64(settings.n_quads) * _8
    for a in range(rows.indptr[i], stop):
        if not known(rows, a, settings):
            continue
        first, fa = row_of(model.blocks, rows.indices[a]), np.uint64(rows.fields[a]) * size
        for c in range(a + _ONE, stop):
            if not known(rows, c, settings):
                continue
            second, fc = row_of(model.blocks, rows.indices[c]), np.uint64(rows.fields[c]) * size
            v = rows.values[a] * rows.values[c] * norm
            d = np.uint64(0)
            while d < size:
                x, y = fc + d, fa + d
                t0 += first[x] * second[y] * v
                t1 += first[x + _ONE] * second[y + _ONE] * v
                t2 += first[x + np.uint64(2)] * second[y + np.uint64(2)] * v
                t3 += first[x + np.uint64(3)] * second[y + np.uint64(3)] * v
                d += _8
    return (t0 + t1) + (t2 + t3)


@strict_inlined
def _run_step(rows, i, model, eta):
    settings, norm, stop = model.settings, row_norm(rows, i), rows.indptr[i + _ONE]
    size, alpha = np.uint64(settings.n_quads) * _8, np.float32(settings.alpha)
    y = np.float64(rows.targets[i])
    e = math.exp(-y * np.float64(_score(rows, i, model)))
    weight = np.float64(rows.weights[i]) if rows.weights.size else 1.0
    kappa = np.float32(-y * e / (1.0 + e) * weight)
    for a in range(rows.indptr[i], stop):
        if not known(rows, a, settings):
            continue
        first, fa = row_of(model.blocks, rows.indices[a]), np.uint64(rows.fields[a]) * size
        for c in range(a + _ONE, stop):
            if not known(rows, c, settings):
                continue
            second, fc = row_of(model.blocks, rows.indices[c]), np.uint64(rows.fields[c]) * size
            slope = kappa * (rows.values[a] * rows.values[c] * norm)
            d = np.uint64(0)
            while d < size:
                step_quads(first, second, fc + d, fa + d, slope, alpha, eta)
                d += _8
    return math.log1p(e) * weight


def _step(rows, i, model, work, k):
    return _run_step(rows, np.uint64(i), model, np.float32(work.eta[k]))


def _prefetch(rows, i, model):
    for j in range(rows.indptr[i], rows.indptr[np.uint64(i) + _ONE]):
        if known(rows, j, model.settings):
            row, at = row_of(model.blocks, rows.indices[j]), np.uint64(0)
            while at < np.uint64(row.size):
                prefetch(row, at)
                at += np.uint64(16)


register(LibffmSteps, step=lambda model: _step, prefetch=_prefetch, merges={"blocks": (ADD, True)})


# ------------------------------------------------------------------------------------------------ scores


def make_libffm_steps(weights: np.ndarray, alpha: float = 0.0) -> LibffmSteps:
    """View the weights of a model file as the model that the engine steps on.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_features, n_fields, n_quads, 2, 4)
        As in `hogwild.data.libffm_model.LibffmModel`; changed in place.
    alpha : float
        libffm's lambda.
    """
    n, m, n_quads = weights.shape[:3]
    return LibffmSteps(weights.reshape(n, -1), LibffmSettings(alpha, n, m, n_quads, weights.nbytes > 1 << 21))


def libffm_scores(weights: np.ndarray, rows: SparseFieldRows) -> np.ndarray:
    """Return the scores of rows (before the logistic function), summed in libffm's order: the digits are its own.

    Of 1,500 probabilities of libffm's 1,499 have the same six digits, where sums in any order give 1,468.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_features, n_fields, n_quads, 2, 4)
        As in `hogwild.data.libffm_model.LibffmModel`.
    rows : SparseFieldRows
        Entries of features and fields beyond the weights are left out.

    Returns
    -------
    ndarray of float32, shape (n_rows,)
    """
    scores = np.empty(len(rows.indptr) - 1, np.float32)
    _fill_scores(rows, make_libffm_steps(weights), scores)
    return scores


@strict_kernel
def _fill_scores(rows, model, scores):
    for i in range(np.uint64(scores.size)):
        scores[i] = _score(rows, i, model)
