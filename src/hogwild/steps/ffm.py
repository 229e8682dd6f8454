"""The field-aware factorisation machine: each feature has a vector of weights for each field that it meets.

``score = r sum over pairs a < c of v_a v_c <w[j_a, f_c], w[j_c, f_a]>`` over the entries (field, feature, value) of a
row (Juan, Zhuang, Chin, Lin 2016), optionally plus ``sqrt(r) sum of v_a u[j_a] + bias``; AdaGrad steps pair by pair,
in float32 throughout, so that a run gives libffm's printed digits.

A feature's weights for all fields stand side by side, then their AdaGrad sums: two arrays took twice as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from hogwild.compiled import inlined, prefetch, root, row_of, strict_inlined
from hogwild.losses import loss_derivative, loss_value
from hogwild.steps.base import DAMPED, register
from hogwild.steps.products import row_weight
from hogwild.steps.rows import INLINE, span
from hogwild.steps.weights import Split
from hogwild.vectors.tiles import (
    QUAD,
    TILE,
    prefetch_near,
    put_entry,
    repeats,
    score_tiles,
    update_diagonal,
    update_pair,
    update_tile,
)

LINE = np.uint64(16)  # numbers in a cache line
_ONE, _QUAD, _TILE = np.uint64(1), np.uint64(QUAD), np.uint64(TILE)


class FfmSettings(NamedTuple):
    """Plain numbers of the model; `alpha` is libffm's lambda.

    Attributes
    ----------
    n_groups, n_quads : int
        Groups of four fields, and quads of factors for a field, both rounded up.
    portable : bool
        Whether to do without the processor's own estimate of a reciprocal square root.
    """

    loss: int
    parameter: float
    alpha: float
    n_features: int
    n_fields: int
    n_factors: int
    n_groups: int
    n_quads: int
    linear: bool
    portable: bool
    large: bool
    penalised: bool
    averaged: bool
    lazy: bool
    lazy_intercept: bool


class Ffm(NamedTuple):
    """Field-aware factorisation machine with AdaGrad (libffm's model and steps).

    Attributes
    ----------
    blocks : ndarray of float32, shape (n_features, 32 * n_groups * n_quads)
        For each feature its weights, then their AdaGrad sums alike: of all fields the first four factors, then of all
        fields the next four, ... . Fields are rounded up to a multiple of four and factors as well; what is added has
        weights 0 and sums 1 and stays so.
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
def known(rows, j, settings):
    """Whether the model has the feature and the field of the entry at position `j`."""
    return rows.indices[j] < np.uint64(settings.n_features) and rows.fields[j] < np.uint64(settings.n_fields)


# ------------------------------------------------------------------------------------------------ tiles of a row


@inlined
def _place_entries(rows, i, model, work):
    """Write the entries of row `i` by field for tiles; returns the number of groups, and whether none lacks.

    No group where tiles cannot be used.

    They cannot where a field is repeated, where two features of a group are one (its steps would be lost), and are not
    worth it where most places of the groups are empty.
    """
    settings, (start, stop) = model.settings, span(rows, i)
    n_groups, spread = np.uint64(settings.n_groups), work.scores
    if stop - start > np.uint64(settings.n_fields) or stop - start < np.uint64(2):
        return np.uint64(0), False
    for f in range(n_groups * _TILE):
        spread[_presence_at(f)] = 0
    present = np.uint64(0)
    for j in range(start, stop):
        if known(rows, j, settings):
            f = np.uint64(rows.fields[j])
            if spread[_presence_at(f)] != 0:
                return np.uint64(0), False
            row = row_of(model.blocks, rows.indices[j])
            put_entry(work.predictions, spread, f, row, np.float32(rows.values[j]), np.float32(1))
            present += _ONE
    absent, half = work.factors, np.uint64(work.factors.size) // np.uint64(2)
    if absent[half] == 0:  # a block of weights 0 and sums 1, for fields without a feature
        absent[half:] = 1
    found = np.uint64(0)
    for g in range(n_groups):
        f, n = g * _TILE, np.uint64(0)
        for a in range(f, f + _TILE):
            if spread[_presence_at(a)] == 0:
                put_entry(work.predictions, spread, a, absent, np.float32(0), np.float32(0))
                n += _ONE
        if n < _TILE:
            if n < np.uint64(3) and repeats(work.predictions, g, absent):
                return np.uint64(0), False
            work.active[found] = g
            found += _ONE
    worth = found * np.uint64(3) <= present + np.uint64(3)
    return found if worth else np.uint64(0), present == np.uint64(settings.n_fields)


@inlined
def _presence_at(f):
    """Where `put_entry` writes the presence of field `f`."""
    return (f // _TILE) * np.uint64(2 * TILE * QUAD) + np.uint64(TILE * QUAD) + (f % _TILE) * _QUAD


@inlined
def _score_tiles(model, work, n_groups):
    settings, lanes = model.settings, work.lanes
    for k in range(LINE):
        lanes[np.uint64(0), k] = 0
    plane = np.uint64(settings.n_groups) * LINE
    for q in range(np.uint64(settings.n_quads)):
        for first in range(n_groups):
            score_tiles(work.predictions, work.scores, work.active, lanes, first, n_groups, q * plane)
    total = np.float32(0)
    for k in range(LINE):
        total += lanes[np.uint64(0), k]
    return total


@inlined
def _step_tiles(rows, model, work, n_groups, complete, kappa, eta):
    """AdaGrad's step of a row in tiles; between tiles, the next rows' features are asked for one at a time."""
    settings, alpha = model.settings, np.float32(model.settings.alpha)
    plane = np.uint64(settings.n_groups) * LINE
    sums = plane * np.uint64(settings.n_quads)
    addresses, spread, active, portable = work.predictions, work.scores, work.active, settings.portable
    coming, stop = span(rows, work.following[0])
    later, end = span(rows, work.following[1])
    if not settings.large:
        coming, later = stop, end
    for q in range(np.uint64(settings.n_quads)):
        for first in range(n_groups):
            ga = np.uint64(active[first])
            update_diagonal(portable, addresses, spread, ga, q * plane, sums, kappa, alpha, eta)
            for other in range(first + _ONE, n_groups):
                if coming < stop:
                    _ask_block(rows, coming, model)
                    coming += _ONE
                if later < end:
                    _ask_first(rows, later, model)
                    later += _ONE
                gc = np.uint64(active[other])
                update_tile(portable, complete, addresses, spread, ga, gc, q * plane, sums, kappa, alpha, eta)


# ------------------------------------------------------------------------------------------------ any row


@inlined
def _score_pairs(rows, i, model):
    """Sum over the pairs of any row."""
    settings, (start, stop), total = model.settings, span(rows, i), np.float32(0)
    plane, n_quads = np.uint64(settings.n_groups) * LINE, np.uint64(settings.n_quads)
    for a in range(start, stop):
        if known(rows, a, settings):
            first, fa = row_of(model.blocks, rows.indices[a]), np.uint64(rows.fields[a]) * _QUAD
            for c in range(a + _ONE, stop):
                if known(rows, c, settings):
                    second, fc = row_of(model.blocks, rows.indices[c]), np.uint64(rows.fields[c]) * _QUAD
                    product = np.float32(0)
                    for q in range(n_quads):
                        for d in range(q * plane, q * plane + _QUAD):
                            product += first[fc + d] * second[fa + d]
                    total += product * (rows.values[a] * rows.values[c])
    return total


@inlined
def _step_pairs(rows, i, model, kappa, eta):
    """AdaGrad's step of every pair of any row."""
    settings, (start, stop), alpha = model.settings, span(rows, i), np.float32(model.settings.alpha)
    plane, n_quads = np.uint64(settings.n_groups) * LINE, np.uint64(settings.n_quads)
    for a in range(start, stop):
        if known(rows, a, settings):
            first, fa = row_of(model.blocks, rows.indices[a]), np.uint64(rows.fields[a]) * _QUAD
            for c in range(a + _ONE, stop):
                if known(rows, c, settings):
                    second, fc = row_of(model.blocks, rows.indices[c]), np.uint64(rows.fields[c]) * _QUAD
                    slope = kappa * (rows.values[a] * rows.values[c])
                    for q in range(n_quads):
                        at, sums = q * plane, n_quads * plane
                        update_pair(settings.portable, first, second, fa + at, fc + at, sums, slope, alpha, eta)


# ------------------------------------------------------------------------------------------------ linear terms


@strict_inlined
def _step_one(pair, gradient, eta):
    """AdaGrad's step of a single weight: ``G += g^2; w -= eta g / sqrt(G)``."""
    found = pair[np.uint64(1)] + gradient * gradient
    pair[np.uint64(1)] = found
    pair[np.uint64(0)] -= eta * gradient / root(found)


@inlined
def _score_linear(rows, i, model):
    settings, (start, stop), total = model.settings, span(rows, i), np.float32(0)
    for a in range(start, stop):
        if known(rows, a, settings):
            total += row_of(model.linear, rows.indices[a])[np.uint64(0)] * rows.values[a]
    return total * np.float32(root(row_norm(rows, i))) + model.bias[0]


@inlined
def _step_linear(rows, i, model, kappa, eta):
    settings, (start, stop) = model.settings, span(rows, i)
    slope, alpha = kappa * np.float32(root(row_norm(rows, i))), np.float32(settings.alpha)
    for a in range(start, stop):
        if known(rows, a, settings):
            pair = row_of(model.linear, rows.indices[a])
            _step_one(pair, alpha * pair[np.uint64(0)] + slope * rows.values[a], eta)
    _step_one(model.bias, kappa, eta)


# ------------------------------------------------------------------------------------------------ prefetch


@inlined
def _ask_block(rows, j, model):
    """Ask for the block of the entry at position `j`."""
    if known(rows, j, model.settings):
        row = row_of(model.blocks, rows.indices[j])
        at = np.uint64(0)
        while at < np.uint64(row.size):
            prefetch_near(row, at)
            at += LINE
        if model.settings.linear:
            prefetch_near(row_of(model.linear, rows.indices[j]), np.uint64(0))


def _ask_first(rows, j, model):
    """Ask for the cache line that tells where the block of the entry at position `j` lies."""
    raise NotImplementedError


@overload(_ask_first, jit_options=INLINE)
def _ask_first_of(rows, j, model):
    blocks = model.types[model.fields.index("blocks")]
    if getattr(blocks, "instance_class", None) is not Split:
        return lambda rows, j, model: None

    def ask(rows, j, model):
        if known(rows, j, model.settings):
            width = np.uint64(model.blocks.tail.shape[1])
            prefetch(model.blocks.tail, np.uint64(rows.indices[j]) * width)

    return ask


def _prefetch(rows, i, model):
    """Nothing: steps ask for the next row's blocks between their tiles, which is twice as fast as all at once."""


# ------------------------------------------------------------------------------------------------ score and step


@inlined
def _score(rows, i, model, work, n_groups):
    total = _score_tiles(model, work, n_groups) if n_groups else _score_pairs(rows, i, model)
    total *= row_norm(rows, i)
    return total + _score_linear(rows, i, model) if model.settings.linear else total


@inlined
def score(rows, i, model, work):
    """Score of row `i`; entries of features or fields beyond the model's count in the norm only."""
    return _score(rows, i, model, work, _place_entries(rows, i, model, work)[0])


def _step(rows, i, model, work, k):
    settings, eta, y = model.settings, np.float32(work.eta[k]), np.float64(rows.targets[i])
    n_groups, complete = _place_entries(rows, i, model, work)
    t = np.float64(_score(rows, i, model, work, n_groups))
    weight = row_weight(rows, i)
    kappa = np.float32(loss_derivative(settings.loss, y, t, settings.parameter)) * weight
    if n_groups:
        _step_tiles(rows, model, work, n_groups, complete, kappa * row_norm(rows, i), eta)
    else:
        _step_pairs(rows, i, model, kappa * row_norm(rows, i), eta)
    if settings.linear:
        _step_linear(rows, i, model, kappa, eta)
    return loss_value(settings.loss, y, t, settings.parameter) * weight


register(
    Ffm,
    step=lambda model: _step,
    prefetch=_prefetch,
    merges={"blocks": (DAMPED, True), "linear": (DAMPED, True), "bias": (DAMPED, False)},
)
