"""Products of a row and the weights: scores of one column or of many, and the addition of a multiple of the row."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from hogwild.compiled import OPTIONS, inlined, multiply_add, strict_inlined
from hogwild.steps.rows import INLINE, feature, is_sparse, span, value
from hogwild.steps.weights import accumulate, add, add_at, add_row, load, prefetch_weight
from hogwild.vectors.columns import dot_columns

FEW = np.uint64(4)  # columns up to which single additions are cheaper than vectors


@strict_inlined
def _sum_of_four(a, b, c, d):
    return (a + b) + (c + d)


@inlined
def dot(rows, i, weights):
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
    return _sum_of_four(a, b, c, d)


@inlined
def squared_norm(rows, i):
    """Sum of the squares of row `i`."""
    start, stop = span(rows, i)
    total = rows.values.dtype.type(0)
    for j in range(start, stop):
        x = value(rows, i, j)
        total += x * x
    return total


@inlined
def add_multiple(rows, i, weights, factor):
    """Add `factor` times the row to the weights."""
    start, stop = span(rows, i)
    g = rows.values.dtype.type(factor)
    for j in range(start, stop):
        add(weights, feature(rows, j), g * value(rows, i, j))


@inlined
def dot_row_columns(rows, i, weights, scores):
    """Write the scores of row `i` to `scores`, one for each column."""
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
def add_outer(rows, i, weights, work, n_active):
    """Add the row times `work.factors` to the weights of the active columns; most rows have few of twenty."""
    start, stop = span(rows, i)
    if n_active <= FEW:
        for j in range(start, stop):
            f, x = feature(rows, j), value(rows, i, j)
            for k in range(n_active):
                c = work.active[k]
                add_at(weights, f, c, work.factors[c] * x)
    else:
        for j in range(start, stop):
            add_row(weights, feature(rows, j), work.factors, value(rows, i, j))


def add_scores(rows, i, coef, scores):
    """Add the scores of row `i` to `scores`, one for each column."""
    raise NotImplementedError


@overload(add_scores, jit_options=OPTIONS)
def _add_scores(rows, i, coef, scores):
    if coef.ndim == 1:

        def one(rows, i, coef, scores):
            scores[0] += dot(rows, i, coef)

        return one

    def many(rows, i, coef, scores):
        _accumulate_columns(rows, i, coef, scores)

    return many


@inlined
def row_weight(rows, i):
    """Weight of row `i`, 1 where rows have none."""
    return rows.weights[i] if rows.weights.size else rows.values.dtype.type(1)


@inlined
def prefetch_row_weights(rows, i, weights):
    """Ask the memory for the weights of all features of row `i`."""
    start, stop = span(rows, i)
    for j in range(start, stop):
        prefetch_weight(weights, feature(rows, j))
