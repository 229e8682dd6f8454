"""Losses of one score: a pair of scalar functions (value, derivative) and one row in the table, nothing else.

``y`` is -1 or +1 for the losses of a margin, any number for the others; ``p`` is the score; ``a`` is the loss's own
parameter (epsilon, threshold). Derivatives are with respect to ``p``. Definitions are scikit-learn's, so that a fitted
objective can be compared term by term.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from hogwild.compiled import OPTIONS, select, strict_inlined

PIECEWISE_LINEAR = 0.25  # curvature that a piecewise-linear loss counts with when replicas merge


class Loss(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    value, derivative : callable
        Compiled ``f(y, p, a) -> float``.
    curvature : float
        Largest second derivative; 1/4 for piecewise-linear losses (replicas' merges only).
    parameter : float or str
        Parameter ``a``: a number, or the name of the estimator's parameter (``"epsilon"``, ``"quantile"``).
    margin : bool
        Whether the loss is one of ``y * p`` (classification only).
    numbers : bool
        Whether it is for regression only.
    lowest : float
        Smallest target.
    kinked : bool
        Whether the derivative jumps: between its kinks such a loss has no curvature.
    """

    value: Callable
    derivative: Callable
    curvature: float
    parameter: float | str = 0.0
    margin: bool = False
    numbers: bool = False
    lowest: float = -math.inf
    kinked: bool = False


@strict_inlined
def _squared_value(y, p, a):
    return 0.5 * (p - y) * (p - y)


@strict_inlined
def _squared_derivative(y, p, a):
    return p - y


@strict_inlined
def _huber_value(y, p, a):
    r = abs(p - y)
    return 0.5 * r * r if r <= a else a * (r - 0.5 * a)


@strict_inlined
def _huber_derivative(y, p, a):
    return min(max(p - y, -a), a)


@strict_inlined
def _epsilon_insensitive_value(y, p, a):
    return max(abs(y - p) - a, 0.0)


@strict_inlined
def _epsilon_insensitive_derivative(y, p, a):
    if y - p > a:
        return -1.0
    return 1.0 if p - y > a else 0.0


@strict_inlined
def _squared_epsilon_insensitive_value(y, p, a):
    r = max(abs(y - p) - a, 0.0)
    return r * r


@strict_inlined
def _squared_epsilon_insensitive_derivative(y, p, a):
    r = p - y
    if r > a:
        return 2.0 * (r - a)
    return 2.0 * (r + a) if r < -a else 0.0


@strict_inlined
def _hinge_value(y, p, a):
    return max(a - y * p, 0.0)


@strict_inlined
def _hinge_derivative(y, p, a):
    return -y if y * p <= a else 0.0 * y


@strict_inlined
def _squared_hinge_value(y, p, a):
    z = max(a - y * p, 0.0)
    return z * z


@strict_inlined
def _squared_hinge_derivative(y, p, a):
    return -2.0 * y * max(a - y * p, 0.0)


@strict_inlined
def _modified_huber_value(y, p, a):
    z = y * p
    if z < -1.0:
        return -4.0 * z
    z = max(1.0 - z, 0.0)
    return z * z


@strict_inlined
def _modified_huber_derivative(y, p, a):
    z = y * p
    return -4.0 * y if z < -1.0 else -2.0 * y * max(1.0 - z, 0.0)


@strict_inlined
def _log_value(y, p, a):
    z = y * p
    e = np.exp(-abs(z))  # never overflows
    return np.log1p(e) - min(z, 0.0)


@strict_inlined
def _log_derivative(y, p, a):
    z = y * p
    e = np.exp(-abs(z))
    return -y * (e if z > 0 else 1.0) / (1.0 + e)


@strict_inlined
def _quantile_value(y, p, a):
    r = y - p
    return a * r if r >= 0 else (a - 1.0) * r


@strict_inlined
def _quantile_derivative(y, p, a):
    if y > p:
        return -a
    return 1.0 - a if p > y else 0.0 * a


@strict_inlined
def _poisson_value(y, p, a):
    return np.exp(p) - y * p


@strict_inlined
def _poisson_derivative(y, p, a):
    return np.exp(p) - y


LOSSES: dict[str, Loss] = {
    "hinge": Loss(_hinge_value, _hinge_derivative, PIECEWISE_LINEAR, 1.0, margin=True, kinked=True),
    "log_loss": Loss(_log_value, _log_derivative, 0.25, margin=True),
    "modified_huber": Loss(_modified_huber_value, _modified_huber_derivative, 2.0, margin=True),
    "squared_hinge": Loss(_squared_hinge_value, _squared_hinge_derivative, 2.0, 1.0, margin=True),
    "perceptron": Loss(_hinge_value, _hinge_derivative, PIECEWISE_LINEAR, 0.0, margin=True, kinked=True),
    "squared_error": Loss(_squared_value, _squared_derivative, 1.0),
    "huber": Loss(_huber_value, _huber_derivative, 1.0, "epsilon"),
    "epsilon_insensitive": Loss(
        _epsilon_insensitive_value, _epsilon_insensitive_derivative, PIECEWISE_LINEAR, "epsilon", kinked=True
    ),
    "squared_epsilon_insensitive": Loss(
        _squared_epsilon_insensitive_value, _squared_epsilon_insensitive_derivative, 2.0, "epsilon"
    ),
    "quantile": Loss(_quantile_value, _quantile_derivative, PIECEWISE_LINEAR, "quantile", numbers=True, kinked=True),
    "poisson": Loss(_poisson_value, _poisson_derivative, math.inf, numbers=True, lowest=0.0),
}

loss_value = select([loss.value for loss in LOSSES.values()])
loss_derivative = select([loss.derivative for loss in LOSSES.values()])


CLASSIFICATION = tuple(name for name, loss in LOSSES.items() if not loss.numbers)
REGRESSION = tuple(name for name, loss in LOSSES.items() if not loss.margin)
DEFAULTS = {"epsilon": 0.1, "quantile": 0.5}  # of the estimators' parameters that losses have


def loss_id(name: str) -> int:
    """Number by which kernels know the loss `name`."""
    return list(LOSSES).index(name)


# ------------------------------------------------------------------------------------------------ a user's own loss


def value_at(settings, y, p):
    """Loss of a row by `settings`: the table's, or the user's own (`settings.value`)."""
    raise NotImplementedError


def derivative_at(settings, y, p):
    """Derivative of that loss with respect to the score `p`."""
    raise NotImplementedError


_INLINE = {**OPTIONS, "forceinline": True}


def _is_own(settings: types.Type) -> bool:
    return not isinstance(settings.types[settings.fields.index("value")], types.NoneType)


@overload(value_at, jit_options=_INLINE)
def _value_at(settings, y, p):
    if _is_own(settings):
        return lambda settings, y, p: settings.value(y, p)
    return lambda settings, y, p: loss_value(settings.loss, y, p, settings.parameter)


@overload(derivative_at, jit_options=_INLINE)
def _derivative_at(settings, y, p):
    if _is_own(settings):
        return lambda settings, y, p: settings.derivative(y, p)
    return lambda settings, y, p: loss_derivative(settings.loss, y, p, settings.parameter)


class OwnLoss(NamedTuple):
    """A user's own loss: compiled ``value(y, p)`` and ``derivative(y, p)``, and its name."""

    value: Callable
    derivative: Callable
    name: str


class SavedLoss(str):
    """Name of a user's loss, in a model that was loaded from a file: files hold no code."""

    __slots__ = ()


@functools.lru_cache(maxsize=64)
def own_loss(value: Callable, derivative: Callable) -> OwnLoss:
    """Compile a user's pair of scalar functions; the same pair is compiled once in a process.

    Raises
    ------
    ValueError
        If Numba cannot compile one of them, or it does not return a number.
    """
    names, compiled = [], []
    for what, function in (("value", value), ("derivative", derivative)):
        python = getattr(function, "py_func", function)
        name = f"{getattr(python, '__module__', '')}.{getattr(python, '__qualname__', repr(python))}"
        try:
            ours = strict_inlined(python)
            found = ours(1.0, 0.5)
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line and not line.startswith("Failed in nopython")]
            reason = re.sub(r"\x1b\[\d+m", "", lines[0]) if lines else type(error).__name__
            raise ValueError(
                f"the loss's {what} {name} cannot be compiled ({reason}): expected a scalar function f(y, p) of numbers"
            ) from error
        if not isinstance(found, float | int):
            raise ValueError(f"the loss's {what} {name} returned {found!r}, expected a number")
        names.append(name)
        compiled.append(ours)
    return OwnLoss(*compiled, names[0])
