"""Slow twins of steps whose columns learn together: plain Python over one row after the other, in float64."""

from __future__ import annotations

import math

import naive
import numpy as np


def softmax(p: np.ndarray) -> np.ndarray:
    e = np.exp(p - p.max())
    return e / e.sum()


def loss_and_slopes(p: np.ndarray, own: int, multi_class: str, loss: str) -> tuple[float, np.ndarray]:
    """Loss of a row of class `own` at the scores `p`, and its derivatives with respect to them."""
    if multi_class == "multinomial":
        return float(np.log(np.exp(p - p.max()).sum()) + p.max() - p[own]), softmax(p) - np.eye(len(p))[own]
    others = [c for c in range(len(p)) if c != own]
    rival = others[int(np.argmax(p[others]))]
    twin, margin = naive.LOSSES[loss], p[own] - p[rival]
    slope = twin.derivative(1.0, margin, twin.parameter)
    return twin.value(1.0, margin, twin.parameter), slope * (np.eye(len(p))[own] - np.eye(len(p))[rival])


def fit(
    X: np.ndarray,
    y: np.ndarray,
    settings: naive.Settings,
    multi_class: str,
    *,
    n_epochs: int,
    class_weights: np.ndarray | None = None,
    row_weights: np.ndarray | None = None,
    sparse: bool = True,
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Weights of shape (n_classes, n_features), intercepts and loss curve; L2 or no penalty, rows in file order.

    AdaGrad's penalty comes to the entries that a sparse row stores, and to all of a dense one.
    """
    s, n_classes = settings, int(y.max()) + 1
    w, b = np.zeros((n_classes, X.shape[1])), np.zeros(n_classes)
    squares, b_squares = np.zeros_like(w), np.zeros_like(b)
    class_weights = np.ones(n_classes) if class_weights is None else class_weights
    row_weights = np.ones(len(X)) if row_weights is None else row_weights
    owed, taken, t, curve = 0.0, np.zeros(X.shape[1]), 1, []
    z, n, b_z, b_n = np.zeros_like(w), np.zeros_like(w), np.zeros_like(b), np.zeros_like(b)

    def shrink(features) -> None:  # AdaGrad's penalty: one implicit step at each weight's own rate
        for j in features:
            for c in range(n_classes):
                if squares[c, j] > 0:
                    w[c, j] /= 1.0 + (owed - taken[j]) / math.sqrt(squares[c, j])
            taken[j] = owed

    def ftrl_weights(t: int) -> None:
        w[...] = -z / ((s.beta + np.sqrt(n)) / s.eta0 + s.strength * t)
        b[...] = -b_z / ((s.beta + np.sqrt(b_n)) / s.eta0)

    for epoch in range(n_epochs):
        total = 0.0
        for x, own, row_weight in zip(X, y, row_weights, strict=True):
            if row_weight == 0:
                continue
            eta = naive.step_size(s, t, epoch)
            if s.learning_rate == "adagrad":
                owed += eta * s.strength
                shrink(np.flatnonzero(x) if sparse else range(X.shape[1]))
            if s.learning_rate == "ftrl":
                ftrl_weights(t)
            loss, slopes = loss_and_slopes(w @ x + b, own, multi_class, s.loss)
            slopes = slopes * class_weights[own] * row_weight
            total += loss * row_weight
            g, g_b = np.outer(slopes, x), slopes * (1.0 if s.fit_intercept else 0.0)
            if s.learning_rate == "adagrad":
                squares += g**2
                b_squares += g_b**2
                w -= eta * np.divide(g, np.sqrt(squares), out=np.zeros_like(g), where=g != 0)
                b -= eta * np.divide(g_b, np.sqrt(b_squares), out=np.zeros_like(g_b), where=g_b != 0)
            elif s.learning_rate == "ftrl":
                z += g - (np.sqrt(n + g**2) - np.sqrt(n)) / s.eta0 * w
                n += g**2
                b_z += g_b - (np.sqrt(b_n + g_b**2) - np.sqrt(b_n)) / s.eta0 * b
                b_n += g_b**2
            elif s.learning_rate in ("pa1", "pa2"):
                norm = 2.0 * float(x @ x)  # the step moves two columns
                length = loss / (norm + 0.5 / s.eta0) if s.learning_rate == "pa2" else min(s.eta0, loss / norm)
                w *= 1.0 - eta * s.strength
                signs = -np.sign(slopes) * class_weights[own] * row_weight
                w += np.outer(signs, x) * length
                b += signs * length * (1.0 if s.fit_intercept else 0.0)
            else:
                w = w * (1.0 - eta * s.strength) - eta * g
                b -= eta * g_b
            t += 1
        curve.append(total / row_weights.sum())
    if s.learning_rate == "adagrad":
        shrink(range(X.shape[1]))
    if s.learning_rate == "ftrl":
        ftrl_weights(t - 1)
    return w, b, curve
