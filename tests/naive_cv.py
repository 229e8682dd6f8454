"""Slow, obvious twin of the columns: for each setting and fold, one row after the other, on a clock of its own."""

from __future__ import annotations

import numpy as np

SLOPES = {
    "hinge": lambda y, p: -y if y * p <= 1 else 0.0,
    "log_loss": lambda y, p: -y / (1 + np.exp(y * p)),
    "squared_error": lambda y, p: p - y,
}


def step_size(rate: str, t: int, *, alpha: float, eta0: float, power_t: float) -> float:
    """Step size of the row with clock `t`, 1 for the first."""
    if rate == "constant":
        return eta0
    if rate == "invscaling":
        return eta0 / t**power_t
    typical = np.sqrt(1 / np.sqrt(alpha))
    t0 = 1 / (typical * alpha)  # the slope of a typical loss is at most 1
    return 1 / (alpha * (t0 + t - 1))


def fit_column(
    X: np.ndarray,
    targets: np.ndarray,
    epochs: list[np.ndarray],
    trains: np.ndarray,
    *,
    loss: str,
    rate: str,
    alpha: float,
    eta0: float,
    power_t: float = 0.5,
) -> tuple[np.ndarray, float]:
    """Return weights and intercept of plain SGD with L2 over `epochs` (orders of rows), only where `trains`."""
    w, b, t = np.zeros(X.shape[1]), 0.0, 0
    for order in epochs:
        for i in order:
            if not trains[i]:
                continue
            t += 1
            eta = step_size(rate, t, alpha=alpha, eta0=eta0, power_t=power_t)
            slope = SLOPES[loss](targets[i], X[i] @ w + b)
            w = (1 - eta * alpha) * w - eta * slope * X[i]
            b -= eta * slope
    return w, b
