"""Checking gradients: derivatives of a loss from its values at equidistant points beside those that somebody wrote."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hogwild.losses import DEFAULTS, LOSSES

MOST_COORDINATES = 1_000  # looked at in one check; each costs points - 1 losses
_SMALL = 1e-3  # of the largest derivative: smaller ones are compared with so much, or rounding would decide
_SCORES = 101
_BENT = 1e-2  # of the tolerance: differences from points at half the distance deviate more only where a loss has a kink


@dataclass(frozen=True)
class GradientCheck:
    """What a check found; true where the gradient is right.

    Attributes
    ----------
    error : float
        Largest relative error, ``|found - expected| / max(|found|, |expected|, floor)``; the floor is a thousandth of
        the largest derivative.
    where : str
        Coordinate (or target and score) of that error.
    found, expected : float
        Derivative there: as given, and from the values of the loss.
    tol : float
    points : int
    checked : int
        Derivatives that were compared.
    """

    error: float
    where: str
    found: float
    expected: float
    tol: float
    points: int
    checked: int

    @property
    def ok(self) -> bool:
        """Whether the largest error is within the tolerance."""
        return bool(self.error <= self.tol)

    def __bool__(self) -> bool:
        """Whether the largest error is within the tolerance."""
        return self.ok

    def __str__(self) -> str:
        """Verdict in a line."""
        return (
            f"{'right' if self.ok else 'WRONG'}: {self.checked:,} derivatives, largest relative error {self.error:.2g} "
            f"at {self.where}: found {self.found:.8g}, expected {self.expected:.8g} from {self.points} points"
        )


def central_difference(points: int) -> np.ndarray:
    """Coefficients of the first derivative from `points` values at distance 1, their middle where it is wanted.

    The polynomial of degree N - 1 through all values is differentiated: with ``h = (N - 1) / 2``, the coefficients
    ``c_k``, k = -h..h, solve the linear equations ``sum_k c_k k**m = (1 if m == 1 else 0)``, m = 0..N - 1.

    Raises
    ------
    ValueError
        If `points` is even or below 3.

    Examples
    --------
    >>> (12 * central_difference(5)).round(12).tolist()
    [1.0, -8.0, 0.0, 8.0, -1.0]
    """
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 3 or points % 2 == 0:
        raise ValueError(f"points must be an odd number of at least 3 (as many on either side), found {points!r}")
    if points > 15:
        raise ValueError(f"points must be at most 15, found {points}: more only add rounding errors")
    half = points // 2
    wanted = np.zeros(points)
    wanted[1] = 1.0
    coefficients = np.linalg.solve(np.vander(np.arange(-half, half + 1.0), increasing=True).T, wanted)
    return (coefficients - coefficients[::-1]) / 2  # exactly odd: the middle is 0


def check_gradient(
    loss: str | Callable[..., float],
    grad: Callable[..., Any] | None = None,
    x: Any = None,
    points: int = 5,
    *,
    step: float | None = None,
    tol: float = 1e-6,
    random_state: int | np.random.Generator | None = 0,
) -> GradientCheck:
    """Compare a gradient with derivatives from the values of the loss at equidistant points (central differences).

    For each coordinate, ``df/dx ~ sum_k c_k f(x + k step) / step`` over N points, k = -(N - 1)/2 .. (N - 1)/2: the
    derivative of the polynomial through them, exact for polynomials of degree N - 1, with an error of order
    ``step**(N - 1)`` otherwise. The c_k come from a system of linear equations (`central_difference`).

    Parameters
    ----------
    loss : callable or str
        ``loss(x) -> float`` with `x` given; or, without `x`, the value ``loss(y, p)`` of a loss of target and score; or
        the name of a loss of the library.
    grad : callable, optional
        ``grad(x)``, shaped as `x`; or the derivative ``grad(y, p)`` with respect to p. Not for a name.
    x : float, array, NamedTuple or dict of arrays, optional
        Where to check. Evaluated in float64. Of more than 1,000 coordinates so many are drawn.
    points : int, default=5
        Odd.
    step : float, optional
        Distance of the points. Default: ``eps**(1 / points) * max(1, abs(x))``, which balances rounding and truncation.
    tol : float, default=1e-6
        Relative error up to which the gradient counts as right.
    random_state : int or Generator, default=0
        Draws coordinates, and scores where there is no `x`.

    Returns
    -------
    GradientCheck
        The largest relative error and where it is; true where it is at most `tol`.

    Raises
    ------
    ValueError
        If `points` is even or below 3, `grad` or `x` is missing, or a shape differs.

    References
    ----------
    B. Fornberg: Generation of Finite Difference Formulas on Arbitrarily Spaced Grids. Mathematics of Computation 51,
    1988.

    Examples
    --------
    >>> import numpy as np
    >>> import hogwild
    >>> x = np.array([1.0, 2.0])
    >>> bool(hogwild.check_gradient(lambda x: np.sum(x**3), lambda x: 3 * x**2, x))
    True
    >>> print(hogwild.check_gradient(lambda x: np.sum(x**3), lambda x: 3 * x**2 + [0, 1], x))
    WRONG: 2 derivatives, largest relative error 0.077 at x[1]: found 13, expected 12 from 5 points
    >>> bool(hogwild.check_gradient("log_loss"))
    True
    """
    coefficients = central_difference(points)
    rng = np.random.default_rng(random_state)
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function; found {loss!r}")
        if grad is not None or x is not None:
            raise ValueError("a loss by name has its own derivative and scores: leave grad and x unset")
        row = LOSSES[loss]
        a = DEFAULTS[row.parameter] if isinstance(row.parameter, str) else row.parameter
        value, slope = (lambda y, p: row.value(y, p, a)), (lambda y, p: row.derivative(y, p, a))
        return _check_slopes(value, slope, coefficients, step, tol, rng)
    if isinstance(loss, tuple) and len(loss) == 2 and grad is None:
        loss, grad = loss
    if grad is None:
        raise ValueError("grad is missing: give the gradient that is to be checked")
    if x is None:
        if _n_arguments(loss) != 2:
            raise ValueError("x is missing: give the point to check at (only a loss of target and score has its own)")
        return _check_slopes(loss, grad, coefficients, step, tol, rng)
    names, flat, make = _flatten(x)
    found_names, found, _ = _flatten(grad(make(flat)))
    if found.shape != flat.shape or (len(found_names) > 1 and found_names != names):
        raise ValueError(
            f"grad returned {_shapes(found_names, found)}, expected the shape of x: {_shapes(names, flat)}"
        )
    where = np.arange(flat.size)
    if flat.size > MOST_COORDINATES:
        where = np.sort(rng.choice(flat.size, MOST_COORDINATES, replace=False))
    distances = _distance(step, points) * (np.maximum(1.0, np.abs(flat)) if step is None else np.ones(flat.size))
    expected = np.array([_derivative(lambda v: loss(make(v)), flat, j, distances[j], coefficients) for j in where])
    labels = [_label(names, int(j)) for j in where]
    return _verdict(found[where], expected, labels, tol, points)


def _distance(step: float | None, points: int) -> float:
    if step is not None and not step > 0:
        raise ValueError(f"step must be above 0, found {step!r}")
    return float(np.finfo(np.float64).eps ** (1 / points)) if step is None else float(step)


def _derivative(loss: Callable, flat: np.ndarray, j: int, distance: float, coefficients: np.ndarray) -> float:
    """Derivative along coordinate `j`."""
    total, moved, half = 0.0, flat.copy(), len(coefficients) // 2
    for k, c in zip(range(-half, half + 1), coefficients, strict=True):
        if k:
            moved[j] = flat[j] + k * distance
            total += c * float(loss(moved))
    return total / distance


def _check_slopes(value, slope, coefficients, step, tol, rng) -> GradientCheck:
    """Check a loss of target and score: at both classes, and at some numbers, over scores around them."""
    points = len(coefficients)
    distance = _distance(step, points)
    found, expected, labels = [], [], []
    for y in (-1.0, 1.0, 0.3):
        for p in y + rng.uniform(-3.0, 3.0, _SCORES):
            one, narrow = np.array([p]), distance / 2
            near = _derivative(lambda v, y=y: value(y, v[0]), one, 0, distance, coefficients)
            nearer = _derivative(lambda v, y=y: value(y, v[0]), one, 0, narrow, coefficients)
            if abs(near - nearer) > _BENT * tol * (1 + abs(near)):
                continue  # a kink between the points: no differences could tell the derivative
            found.append(float(slope(y, p)))
            expected.append(near)
            labels.append(f"y = {y:g}, p = {p:.6g}")
    if not found:
        raise ValueError(f"the loss is not smooth enough for {points} points at the distance {distance:g}: change step")
    return _verdict(np.array(found), np.array(expected), labels, tol, points)


def _verdict(found: np.ndarray, expected: np.ndarray, labels: list[str], tol: float, points: int) -> GradientCheck:
    floor = max(_SMALL * float(np.abs(expected).max(initial=0.0)), 1e-8)
    with np.errstate(invalid="ignore"):
        errors = np.abs(found - expected) / np.maximum(np.maximum(np.abs(found), np.abs(expected)), floor)
    errors = np.where(np.isfinite(errors), errors, np.inf)  # what is not a number is wrong
    worst = int(errors.argmax())
    return GradientCheck(
        float(errors[worst]), labels[worst], float(found[worst]), float(expected[worst]), tol, points, len(found)
    )


# ------------------------------------------------------------------------------------------------ shapes


def _flatten(x: Any) -> tuple[list[tuple[str, tuple[int, ...]]], np.ndarray, Callable[[np.ndarray], Any]]:
    """Return names and shapes, all numbers side by side in float64, and what makes an `x` of such."""
    if isinstance(x, Mapping):
        fields, values, build = list(x), list(x.values()), lambda parts: dict(zip(x, parts, strict=True))
    elif isinstance(x, tuple) and hasattr(x, "_fields"):
        fields, values, build = list(x._fields), list(x), lambda parts: type(x)(*parts)
    else:
        fields, values, build = ["x"], [x], lambda parts: parts[0]
    arrays = [np.asarray(value, np.float64) for value in values]
    names = [(field, array.shape) for field, array in zip(fields, arrays, strict=True)]
    ends = np.cumsum([array.size for array in arrays])

    def make(flat: np.ndarray) -> Any:
        parts = np.split(flat.copy(), ends[:-1])
        return build([part.reshape(a.shape) if a.ndim else part[0] for part, a in zip(parts, arrays, strict=True)])

    return names, np.concatenate([array.reshape(-1) for array in arrays]), make


def _label(names: list[tuple[str, tuple[int, ...]]], j: int) -> str:
    """Name of coordinate `j`."""
    for field, shape in names:
        size = int(np.prod(shape))
        if j < size:
            place = ", ".join(str(int(i)) for i in np.unravel_index(j, shape)) if shape else ""
            return f"{field}[{place}]" if shape else field
        j -= size
    raise IndexError(j)


def _shapes(names: list[tuple[str, tuple[int, ...]]], flat: np.ndarray) -> str:
    return ", ".join(f"{field} {shape}" for field, shape in names) or f"{flat.size} numbers"


def _n_arguments(function: Callable) -> int:
    try:
        return len(inspect.signature(getattr(function, "py_func", function)).parameters)
    except (TypeError, ValueError):
        return 0
