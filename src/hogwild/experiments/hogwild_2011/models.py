"""The steps of the paper's problems in two parts, measuring and adding, so that every engine can run them.

`MatrixFactorization` and `GraphCut` run on replicas and shared memory only. These do the same in plain form, and also
under locks (AIG), in turns (RR) and with indivisible additions: rows are read and added to through `accumulate` and
`add_row`, behind which stands whatever memory the engine has chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.steps.base import ADD, DAMPED, register
from hogwild.steps.cut import project
from hogwild.steps.products import add_multiple, dot, prefetch_row_weights
from hogwild.steps.weights import accumulate, add_row


class Settings(NamedTuple):
    """Settings of the models here; the flags from `large` on are those of `steps.base`.

    Attributes
    ----------
    alpha : float
        L2 penalty of the factors that a rating touches.
    n_free : int
        Nodes from here on are terminals, which never move.
    turns : int
        Turns of the loop that delays each gradient.
    """

    alpha: float = 0.0
    n_free: int = 0
    turns: int = 0
    large: bool = False
    penalised: bool = False
    averaged: bool = False
    lazy: bool = True
    lazy_intercept: bool = True
    fit_intercept: bool = False


class Factors(NamedTuple):
    """Factors of users, then of items; a row is a rating."""

    factors: np.ndarray
    settings: Settings


class Points(NamedTuple):
    """A point of the simplex for each node, terminals last; a row is an edge."""

    points: np.ndarray
    settings: Settings


class Slow(NamedTuple):
    """Weights of a linear SVM whose gradients take as long as they are told to."""

    coef: np.ndarray
    settings: Settings


@inlined
def _read_pair(rows, i, weights, work):
    """Copy the two rows of weights that row `i` names to ``work.scores`` and ``work.factors``."""
    for c in range(np.uint64(work.scores.size)):
        work.scores[c] = 0
        work.factors[c] = 0
    accumulate(weights, np.uint64(rows.first[i]), work.scores.dtype.type(1), work.scores)
    accumulate(weights, np.uint64(rows.second[i]), work.factors.dtype.type(1), work.factors)


# ------------------------------------------------------------------------------------------------ ratings


def _measure_rating(rows, i, model, work, k):
    _read_pair(rows, i, model.factors, work)
    error = -rows.targets[i]
    for c in range(np.uint64(work.scores.size)):
        error += work.scores[c] * work.factors[c]
    work.derivatives[0] = error
    return np.float64(error) * np.float64(error) / 2


def _apply_rating(rows, i, model, work, k):
    kind = work.scores.dtype.type
    slope, alpha = kind(work.derivatives[0]), kind(model.settings.alpha)
    for c in range(np.uint64(work.scores.size)):
        u, v = work.scores[c], work.factors[c]
        work.scores[c] = slope * v + alpha * u
        work.factors[c] = slope * u + alpha * v
    length = kind(-work.eta[k])
    add_row(model.factors, np.uint64(rows.first[i]), work.scores, length)
    add_row(model.factors, np.uint64(rows.second[i]), work.factors, length)


# ------------------------------------------------------------------------------------------------ edges


def _measure_edge(rows, i, model, work, k):
    """Leave in ``work.scores`` and ``work.factors`` how far the two ends move."""
    a, b = np.uint64(rows.first[i]), np.uint64(rows.second[i])
    u, v, kind = work.scores, work.factors, work.scores.dtype.type
    _read_pair(rows, i, model.points, work)
    zero, apart, length = kind(0), kind(0), kind(work.eta[k]) * rows.weights[i]
    for c in range(np.uint64(u.size)):
        gap = u[c] - v[c]
        apart += abs(gap)
        move = length if gap > zero else -length if gap < zero else zero
        u[c] -= move
        v[c] += move
    work.derivatives[0] = apart
    if a < np.uint64(model.settings.n_free):
        project(u)
    if b < np.uint64(model.settings.n_free):
        project(v)
    accumulate(model.points, a, kind(-1), u)
    accumulate(model.points, b, kind(-1), v)
    return np.float64(rows.weights[i] * apart)


def _apply_edge(rows, i, model, work, k):
    if work.derivatives[0] > 0.0:
        a, b, one = np.uint64(rows.first[i]), np.uint64(rows.second[i]), work.scores.dtype.type(1)
        if a < np.uint64(model.settings.n_free):
            add_row(model.points, a, work.scores, one)
        if b < np.uint64(model.settings.n_free):
            add_row(model.points, b, work.factors, one)


# ------------------------------------------------------------------------------------------------ slow gradients


@inlined
def _burn(turns):
    """Shift and add bits (Marsaglia's xorshift) to no end: each turn waits for the one before; never 0."""
    state = turns | np.uint64(1)
    for _ in range(turns):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
    return state


@kernel
def burn(turns):
    """Run the delaying loop alone, to find out how long its turns take."""
    return _burn(turns)


def _measure_slow(rows, i, model, work, k):
    margin = rows.targets[i] * dot(rows, i, model.coef)
    slope = -rows.targets[i] if margin < rows.targets.dtype.type(1) else rows.targets.dtype.type(0)
    # what the loop leaves is asked for, or the compiler would leave the loop out
    work.derivatives[0] = 0.0 if _burn(np.uint64(model.settings.turns)) == np.uint64(0) else slope
    return max(0.0, 1.0 - np.float64(margin))


def _apply_slow(rows, i, model, work, k):
    if work.derivatives[0] != 0.0:
        add_multiple(rows, i, model.coef, -work.eta[k] * work.derivatives[0])


def _prefetch_factors(rows, i, model):
    prefetch_row_weights(rows, i, model.factors)


def _prefetch_points(rows, i, model):
    prefetch_row_weights(rows, i, model.points)


def _prefetch_coef(rows, i, model):
    prefetch_row_weights(rows, i, model.coef)


_RATING, _EDGE, _SLOW = (_measure_rating, _apply_rating), (_measure_edge, _apply_edge), (_measure_slow, _apply_slow)
register(Factors, parts=lambda model: _RATING, prefetch=_prefetch_factors, merges={"factors": (DAMPED, True)})
# points stay on the simplex where moves along it are added whole
register(Points, parts=lambda model: _EDGE, prefetch=_prefetch_points, merges={"points": (ADD, True)})
register(Slow, parts=lambda model: _SLOW, prefetch=_prefetch_coef, merges={"coef": (DAMPED, True)})
