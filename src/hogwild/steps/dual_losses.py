"""Losses as dual solvers see them: the best dual of one row, its part of the duality gap, and its slack.

A row with target ``y``, score ``p`` and weight ``C`` has one signed dual ``b``; the weights are the sum of ``b_i x_i``.
Losses of a margin have ``a = y b >= 0``. In the dual problem each row adds ``C l*(-b / C)`` to ``|w|^2 / 2``:

======================== ======================== ============================================ ==============
loss                     ``l(y, p)``              ``C l*(-b / C)``                             ``b``
======================== ======================== ============================================ ==============
hinge                    ``(1 - y p)+``           ``-a``                                       ``0 <= a <= C``
squared hinge            ``(1 - y p)+ ^2``        ``-a + a^2 / 4C``                            ``0 <= a``
logistic                 ``log(1 + exp(-y p))``   ``a log(a / C) + (C - a) log((C - a) / C)``  ``0 <= a <= C``
epsilon-insensitive      ``(|y - p| - e)+``       ``-y b + e |b|``                             ``|b| <= C``
the same squared         ``(|y - p| - e)+ ^2``    ``-y b + e |b| + b^2 / 4C``                  any
======================== ======================== ============================================ ==============

The squared error is the last with ``e = 0``.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined

HINGE, SQUARED_HINGE, LOGISTIC, EPSILON, SQUARED_EPSILON = range(5)
KINDS = {
    "hinge": HINGE,
    "squared_hinge": SQUARED_HINGE,
    "log_loss": LOGISTIC,
    "epsilon_insensitive": EPSILON,
    "squared_epsilon_insensitive": SQUARED_EPSILON,
    "squared_error": SQUARED_EPSILON,
}

_SMALLEST = 1e-30  # squared norm of a row without entries: its dual goes to its bound
_ENOUGH = 0.02  # Newton's method ends with a step below it: half its square is left, less and less from epoch to epoch
_UNTIL = 1e-3  # share of its variance up to which a probability is off by so little that a square tells its divergence
_MOST_NEWTON = 200  # its steps: one or two are usual, log(q C) the most but for rounding


@inlined
def softplus(x):
    """``log(1 + exp(x))``, which never overflows."""
    return max(x, 0.0) + np.log1p(np.exp(-abs(x)))


@inlined
def sigmoid(x):
    """``1 / (1 + exp(-x))``."""
    e = np.exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


@inlined
def _logistic_dual(m, a, q, c):
    """Best dual in 0..c of the logistic loss at margin `m`.

    The margin ``t`` that the step leads to solves ``f(t) = t - m - q (c s(-t) - a) = 0`` (Yu, Huang, Lin 2011 solve for
    the dual instead, where the ends of its interval are singular). f rises, is convex below 0 and concave above, so
    Newton's steps from the point of the bracket next to 0 go straight to the root; a first step from `m`, which is near
    the root in all but the first epochs, may not pass that point.
    """
    other = m + q * (c * sigmoid(-m) - a)  # the root lies between m and here, for s falls
    middle = min(max(0.0, min(m, other)), max(m, other))
    t, s = m, 0.0
    for k in range(_MOST_NEWTON):
        s = sigmoid(-t)
        slope = s * (1.0 - s)
        following = t - (t - m - q * (c * s - a)) / (1.0 + q * c * slope)
        if k == 0 and (following - middle) * (t - middle) < 0.0:
            t = middle
            continue
        move = following - t
        t = following
        if abs(move) <= _ENOUGH:
            s -= slope * move  # as good as another exponential: the rest is of the order of the move's square
            break
    return c * s


@inlined
def _is_squared(kind):
    return kind in (SQUARED_HINGE, SQUARED_EPSILON)


@inlined
def best_dual(kind, y, p, b, q, c, epsilon):
    """Dual that minimises ``q (new - b)^2 / 2 + p (new - b) + C l*(-new / C)``."""
    q = max(q, _SMALLEST)
    if kind == HINGE:
        return y * min(max(y * b + (1.0 - y * p) / q, 0.0), c)
    if kind == SQUARED_HINGE:
        d = 0.5 / c
        return y * max(y * b + (1.0 - y * p - d * y * b) / (q + d), 0.0)
    if kind == LOGISTIC:
        return y * _logistic_dual(y * p, y * b, q, c)
    d = 0.5 / c if kind == SQUARED_EPSILON else 0.0
    z = b + (y - p - d * b) / (q + d)
    size = max(abs(z) - epsilon / (q + d), 0.0)
    if kind == EPSILON:
        size = min(size, c)
    return size if z > 0.0 else -size


@inlined
def loss_at(kind, y, p, c, epsilon):
    """``C l(y, p)``."""
    if kind == LOGISTIC:
        return c * softplus(-y * p)
    z = max(1.0 - y * p if kind <= SQUARED_HINGE else abs(y - p) - epsilon, 0.0)
    return c * (z * z if _is_squared(kind) else z)


@inlined
def conjugate_at(kind, y, b, c, epsilon):
    """``C l*(-b / C)``: what the row adds to the dual problem (to be minimised)."""
    if kind == LOGISTIC:
        a = min(max(y * b, 0.0), c)
        rest = c - a
        return (a * np.log(a / c) if a > 0.0 else 0.0) + (rest * np.log(rest / c) if rest > 0.0 else 0.0)
    squared = b * b / (4.0 * c) if _is_squared(kind) else 0.0
    return squared + epsilon * abs(b) - y * b  # for a margin epsilon is 0, and y b = a


@inlined
def gap_at(kind, y, p, b, c, epsilon):
    """Part of the duality gap of one row, ``C l(y, p) + C l*(-b / C) + b p``: never negative, 0 at the optimum.

    Close to the optimum its three terms cancel, so squares stand in for them there: a gap of 1e-16 of the objective can
    be told from 0. The logistic loss's is a divergence of two probabilities, at most `_UNTIL` above its square.
    """
    if kind == HINGE:
        z, a = 1.0 - y * p, y * b
        return max((c - a) * z, -a * z)
    if kind == LOGISTIC:
        s = sigmoid(-y * p)
        off, variance = y * b / c - s, s * (1.0 - s)
        if abs(off) < _UNTIL * variance:
            return c * off * off / (2.0 * variance) * (1.0 + _UNTIL)
    elif kind != EPSILON:
        z = 1.0 - y * p if kind == SQUARED_HINGE else abs(y - p) - epsilon
        a = y * b if kind == SQUARED_HINGE else (b if y > p else -b)
        if z > 0.0 and a >= 0.0:
            off = z - 0.5 * a / c
            return c * off * off
    return max(loss_at(kind, y, p, c, epsilon) + conjugate_at(kind, y, b, c, epsilon) + b * p, 0.0)


@inlined
def slack_at(kind, y, p, b, c, epsilon):
    """How far beyond its kink a row at a bound (or at 0) stands: its score can move so much and the dual stays."""
    if kind <= SQUARED_HINGE:
        z = y * p - 1.0
        if b == 0.0:
            return z
        return -z if kind == HINGE and y * b >= c else 0.0
    if kind == LOGISTIC:
        return 0.0
    z = epsilon - abs(y - p)
    if b == 0.0:
        return z
    return -z if kind == EPSILON and abs(b) >= c and (y - p) * b > 0.0 else 0.0
