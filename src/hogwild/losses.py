"""Losses of one score: a pair of scalar functions (value, derivative) and one row in the table, nothing else.

``y`` is -1 or +1 for the losses of a margin, any number for the others; ``p`` is the score; ``a`` is the loss's own
parameter (epsilon, threshold). Derivatives are with respect to ``p``. Definitions are scikit-learn's, so that a fitted
objective can be compared term by term.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, select

PIECEWISE_LINEAR = 0.25  # curvature that a piecewise-linear loss counts with when replicas merge


class Loss(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    value, derivative : callable
        Compiled ``f(y, p, a) -> float``.
    curvature : float
        Largest second derivative; 1/4 for piecewise-linear losses (replicas' merges only).
    parameter : float or None
        Fixed parameter ``a``; None where it is the estimator's ``epsilon``.
    margin : bool
        Whether the loss is one of ``y * p`` (classification only).
    """

    value: Callable
    derivative: Callable
    curvature: float
    parameter: float | None = 0.0
    margin: bool = False


@inlined
def _squared_value(y, p, a):
    return 0.5 * (p - y) * (p - y)


@inlined
def _squared_derivative(y, p, a):
    return p - y


@inlined
def _huber_value(y, p, a):
    r = abs(p - y)
    return 0.5 * r * r if r <= a else a * (r - 0.5 * a)


@inlined
def _huber_derivative(y, p, a):
    return min(max(p - y, -a), a)


@inlined
def _epsilon_insensitive_value(y, p, a):
    return max(abs(y - p) - a, 0.0)


@inlined
def _epsilon_insensitive_derivative(y, p, a):
    if y - p > a:
        return -1.0
    return 1.0 if p - y > a else 0.0


@inlined
def _squared_epsilon_insensitive_value(y, p, a):
    r = max(abs(y - p) - a, 0.0)
    return r * r


@inlined
def _squared_epsilon_insensitive_derivative(y, p, a):
    r = p - y
    if r > a:
        return 2.0 * (r - a)
    return 2.0 * (r + a) if r < -a else 0.0


@inlined
def _hinge_value(y, p, a):
    return max(a - y * p, 0.0)


@inlined
def _hinge_derivative(y, p, a):
    return -y if y * p <= a else 0.0 * y


@inlined
def _squared_hinge_value(y, p, a):
    z = max(a - y * p, 0.0)
    return z * z


@inlined
def _squared_hinge_derivative(y, p, a):
    return -2.0 * y * max(a - y * p, 0.0)


@inlined
def _modified_huber_value(y, p, a):
    z = y * p
    if z < -1.0:
        return -4.0 * z
    z = max(1.0 - z, 0.0)
    return z * z


@inlined
def _modified_huber_derivative(y, p, a):
    z = y * p
    return -4.0 * y if z < -1.0 else -2.0 * y * max(1.0 - z, 0.0)


@inlined
def _log_value(y, p, a):
    z = y * p
    e = np.exp(-abs(z))  # never overflows
    return np.log1p(e) - min(z, 0.0)


@inlined
def _log_derivative(y, p, a):
    z = y * p
    e = np.exp(-abs(z))
    return -y * (e if z > 0 else 1.0) / (1.0 + e)


LOSSES: dict[str, Loss] = {
    "hinge": Loss(_hinge_value, _hinge_derivative, PIECEWISE_LINEAR, 1.0, margin=True),
    "log_loss": Loss(_log_value, _log_derivative, 0.25, margin=True),
    "modified_huber": Loss(_modified_huber_value, _modified_huber_derivative, 2.0, margin=True),
    "squared_hinge": Loss(_squared_hinge_value, _squared_hinge_derivative, 2.0, 1.0, margin=True),
    "perceptron": Loss(_hinge_value, _hinge_derivative, PIECEWISE_LINEAR, 0.0, margin=True),
    "squared_error": Loss(_squared_value, _squared_derivative, 1.0),
    "huber": Loss(_huber_value, _huber_derivative, 1.0, None),
    "epsilon_insensitive": Loss(_epsilon_insensitive_value, _epsilon_insensitive_derivative, PIECEWISE_LINEAR, None),
    "squared_epsilon_insensitive": Loss(
        _squared_epsilon_insensitive_value, _squared_epsilon_insensitive_derivative, 2.0, None
    ),
}

loss_value = select([loss.value for loss in LOSSES.values()])
loss_derivative = select([loss.derivative for loss in LOSSES.values()])


def loss_id(name: str) -> int:
    """Number by which kernels know the loss `name`."""
    return list(LOSSES).index(name)
