"""Dual coordinate descent in plain NumPy, slow and obvious: losses, conjugates, one-row problems, duality gaps."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import xlogy

MARGIN = ("hinge", "squared_hinge", "log_loss")
LOSSES = (*MARGIN, "epsilon_insensitive", "squared_epsilon_insensitive")


def loss(name, y, p, epsilon=0.0):
    """Loss of a row of weight 1."""
    if name == "hinge":
        return np.maximum(0, 1 - y * p)
    if name == "squared_hinge":
        return np.maximum(0, 1 - y * p) ** 2
    if name == "log_loss":
        return np.logaddexp(0, -y * p)
    residual = np.maximum(0, np.abs(y - p) - epsilon)
    return residual if name == "epsilon_insensitive" else residual**2


def conjugate(name, y, b, c, epsilon=0.0):
    """``C l*(-b / C)``."""
    a = y * b
    if name == "hinge":
        return -a
    if name == "squared_hinge":
        return -a + a**2 / (4 * c)
    if name == "log_loss":
        return xlogy(a, a / c) + xlogy(c - a, (c - a) / c)
    value = -y * b + epsilon * np.abs(b)
    return value if name == "epsilon_insensitive" else value + b**2 / (4 * c)


def bounds(name, y, c):
    """Least and largest signed dual."""
    most = {"squared_hinge": np.inf, "squared_epsilon_insensitive": np.inf}.get(name, c)
    if name in MARGIN:
        return (0.0, most) if y > 0 else (-most, 0.0)
    return -most, most


def best_dual(name, y, p, b, q, c, epsilon=0.0):
    """Minimise ``q (new - b)^2 / 2 + p (new - b) + conjugate(new)`` by the sign of its slope."""
    low, high = (float(np.clip(end, -1e6, 1e6)) for end in bounds(name, y, c))

    def slope(new):
        first = q * (new - b) + p
        if name == "log_loss":
            a = y * new
            return first + y * np.log(a / (c - a))
        if name in MARGIN:
            return first - y + (new / (2 * c) if name == "squared_hinge" else 0.0)
        return first - y + epsilon * np.sign(new) + (new / (2 * c) if name.startswith("squared") else 0.0)

    if name == "log_loss":
        inside = 1e-300 if y > 0 else -1e-300
        low, high = (inside, c * (1 - 1e-16)) if y > 0 else (-c * (1 - 1e-16), inside)
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    if name not in MARGIN and slope(-1e-300) <= 0 <= slope(1e-300):
        return 0.0
    return brentq(slope, low, high, xtol=1e-300, rtol=1e-14, maxiter=2000)


def epoch(X, y, order, w, b, name, c, epsilon=0.0):
    """One step for each row of `order`, on weights and duals in place."""
    for i in order:
        new = best_dual(name, y[i], X[i] @ w, b[i], X[i] @ X[i], c[i], epsilon)
        w += (new - b[i]) * X[i]
        b[i] = new


def primal(X, y, w, name, c, epsilon=0.0):
    return 0.5 * w @ w + np.sum(c * loss(name, y, X @ w, epsilon))


def dual(X, y, b, name, c, epsilon=0.0):
    w = X.T @ b
    return -0.5 * w @ w - np.sum(conjugate(name, y, b, c, epsilon))


def optimum(X, y, name, c, epsilon=0.0):
    """Largest dual objective by SciPy's bounded quasi-Newton method: no coordinate descent."""
    if name == "log_loss":
        found = minimize(
            lambda w: primal(X, y, w, name, c),
            np.zeros(X.shape[1]),
            jac=lambda w: w - X.T @ (c * y / (1 + np.exp(y * (X @ w)))),
            method="L-BFGS-B",
            options={"maxiter": 20_000, "ftol": 1e-16, "gtol": 1e-10},
        )
        return found.fun
    # signed duals b = plus - minus, both at least 0: smooth, with box constraints
    one = name in MARGIN
    sides = (y[:, None] * X, np.ones(len(y))) if one else (np.vstack([X, -X]), None)
    Z = sides[0]
    linear = np.ones(len(y)) if one else np.concatenate([y - epsilon, -y - epsilon])
    weight = c if one else np.concatenate([c, c])
    upper = np.full(len(linear), np.inf) if name.startswith("squared") else weight
    curve = 1 / (2 * weight) if name.startswith("squared") else np.zeros(len(linear))

    def value(a):
        w = Z.T @ a
        return 0.5 * w @ w + 0.5 * np.sum(curve * a**2) - linear @ a, Z @ w + curve * a - linear

    bounds, at, best = list(zip(np.zeros(len(linear)), upper, strict=True)), np.zeros(len(linear)), np.inf
    for _ in range(20):  # each method stalls now and then, short of the optimum, where the other goes on
        for method, options in (
            ("L-BFGS-B", {"maxiter": 20_000, "ftol": 1e-16, "gtol": 1e-11}),
            ("TNC", {"maxfun": 5_000}),
        ):
            at = minimize(value, at, jac=True, bounds=bounds, method=method, options=options).x
        before, best = best, value(at)[0]
        if before - best <= 1e-10 * abs(best):
            break
    return -best
