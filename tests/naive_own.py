"""Plain NumPy twins of `minimize`, its merges' curvature and its central differences: slow and obvious."""

from __future__ import annotations

import numpy as np

from hogwild.engine.order import draw_order, epoch_rows


def orders(n_rows: int, epochs: int, seed: int, shuffle: bool | str, kept: np.ndarray) -> list[np.ndarray]:
    """The rows of each epoch as `minimize` visits them with this seed."""
    rng = np.random.default_rng(seed)
    return [epoch_rows(draw_order(rng, n_rows, kept, shuffle)) for _ in range(epochs)]


def least_squares(X: np.ndarray, y: np.ndarray, w: np.ndarray, visits: list[np.ndarray], eta) -> tuple:
    """SGD on ``(w.x - y)^2 / 2``; returns the weights and the mean loss of each epoch before the steps."""
    w, losses, t = w.copy(), [], 1
    for visited in visits:
        total = 0.0
        for i in visited:
            error = X[i] @ w - y[i]
            w -= eta(t) * error * X[i]
            total += error**2 / 2
            t += 1
        losses.append(total / len(visited))
    return w, losses


def factorise(ratings, P: np.ndarray, Q: np.ndarray, visits: list[np.ndarray], eta: float) -> tuple:
    """SGD on ``(P_u.Q_i - r)^2 / 2``."""
    P, Q = P.copy(), Q.copy()
    for visited in visits:
        for n in visited:
            u, i = ratings.user[n], ratings.item[n]
            error = P[u] @ Q[i] - ratings.value[n]
            P[u], Q[i] = P[u] - eta * error * Q[i], Q[i] - eta * error * P[u]
    return P, Q


def row_sums(X: np.ndarray) -> np.ndarray:
    """Curvature along each weight under least squares: mean of ``|x_j| |x|_1``."""
    return (np.abs(X) * np.abs(X).sum(axis=1, keepdims=True)).mean(axis=0)


def slope_of_polynomial(f, x: float, points: int, step: float) -> float:
    """Derivative at x of the polynomial through `points` equidistant values."""
    k = np.arange(points) - points // 2
    fitted = np.polynomial.Polynomial.fit(k, [f(x + step * j) for j in k], points - 1, domain=[-1, 1])
    return fitted.deriv()(0.0) / step
