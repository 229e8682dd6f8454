"""Slow, obvious twins of the baseline engines: plain NumPy over the update rules of naive.py, one column.

Rows are those of nonzero weight, in file order. Nothing here has a scale, a clock or a slice.
"""

from __future__ import annotations

import math

import naive
import numpy as np


def slope_of(s: naive.Settings, y: float, p: float, weight: float) -> float:
    return min(max(naive.LOSSES[s.loss].derivative(y, p, s.parameter), -1e12), 1e12) * weight


class PlainSgd(naive.PlainSgd):
    """`measure` looks, `row` is the clock, `arrive` changes: ``w += change * x`` some rows later."""

    def measure(self, x, present, y, eta, weight):
        p = float(self.w @ x) + self.b
        value = naive.LOSSES[self.s.loss].value(y, p, self.s.parameter)
        if self.s.learning_rate in ("pa1", "pa2"):
            return value, self.passive_aggressive(x, y, p, value) * weight
        return value, -eta * slope_of(self.s, y, p, weight)

    def tick(self, eta):
        self.w *= max(1e-6, 1.0 - eta * self.s.strength * (1.0 - self.s.l1_share))
        self.owed += self.s.l1_share * eta * self.s.strength

    def arrive(self, x, present, eta, change):
        self.w += change * x
        if self.s.fit_intercept:
            self.b += change * self.s.intercept_decay
        self.truncate(np.flatnonzero(present))


class AdaGrad(naive.AdaGrad):
    def measure(self, x, present, y, eta, weight):
        self.shrink(np.flatnonzero(present))
        p = float(self.w @ x) + self.b
        return naive.LOSSES[self.s.loss].value(y, p, self.s.parameter), slope_of(self.s, y, p, weight)

    def tick(self, eta):
        self.owed += eta * self.s.strength

    def arrive(self, x, present, eta, slope):
        gradient = slope * x
        self.squares += gradient**2
        moved = gradient != 0
        self.w[moved] -= eta * gradient[moved] / np.sqrt(self.squares[moved])
        if self.s.fit_intercept and slope:
            self.b_squares += slope**2
            self.b -= eta * slope / math.sqrt(self.b_squares) * self.s.intercept_decay


class Ftrl(naive.Ftrl):
    def measure(self, x, present, y, eta, weight):
        weights = self.weights()
        p = float(weights[:-1] @ x) + weights[-1]
        return naive.LOSSES[self.s.loss].value(y, p, self.s.parameter), slope_of(self.s, y, p, weight)

    def tick(self, eta):
        self.t += 1

    def arrive(self, x, present, eta, slope):
        gradient = slope * np.append(x, self.s.intercept_decay if self.s.fit_intercept else 0.0)
        sigma = (np.sqrt(self.n + gradient**2) - np.sqrt(self.n)) / self.s.eta0
        self.z += gradient - sigma * self.weights()
        self.n += gradient**2


RULES = {"adagrad": AdaGrad, "ftrl": Ftrl}


class Average:
    """Mean of the weights after each tick of the clock, from tick `start` on."""

    def __init__(self, start: int, n_features: int) -> None:
        self.start, self.w, self.b, self.n = start, np.zeros(n_features), 0.0, 0

    def add(self, t: int, model) -> None:
        if self.start and t >= self.start:
            self.w, self.b, self.n = self.w + model.w, self.b + model.b, self.n + 1

    def fitted(self, model, curve: list[float], t: int) -> naive.Fitted:
        if self.n:
            return naive.Fitted(self.w / self.n, np.array([self.b / self.n]), curve, t)
        model.settle()
        return naive.Fitted(model.w.copy(), np.array([model.b]), curve, t)


def weights_of(targets, row_weights, class_weights) -> tuple[np.ndarray, np.ndarray]:
    row_weights = np.ones(len(targets)) if row_weights is None else row_weights
    return row_weights, row_weights * np.where(targets > 0, class_weights[1], class_weights[0])


def fit_delayed(
    X, targets, s: naive.Settings, *, tau, n_epochs, present=None, row_weights=None, class_weights=(1.0, 1.0)
) -> naive.Fitted:
    """Each row is measured in its turn; what follows arrives after `tau` more rows, or at the end of the epoch."""
    present = np.ones(X.shape, bool) if present is None else present
    row_weights, weights = weights_of(targets, row_weights, class_weights)
    model, average, t, curve = (
        RULES.get(s.learning_rate, PlainSgd)(X.shape[1], s),
        Average(s.average, X.shape[1]),
        1,
        [],
    )
    for epoch in range(n_epochs):
        total, travelling = 0.0, []
        for i in np.flatnonzero(row_weights):
            eta = naive.step_size(s, t, epoch)
            if s.learning_rate in RULES:  # their penalties of this row come before its score
                model.tick(eta)
            value, change = model.measure(X[i], present[i], float(targets[i]), eta, weights[i])
            if s.learning_rate not in RULES:
                model.tick(eta)
            total += row_weights[i] * value
            travelling.append((i, eta, change))
            if len(travelling) > tau:
                j, *step = travelling.pop(0)
                model.arrive(X[j], present[j], *step)
            average.add(t, model)
            t += 1
        for j, *step in travelling:
            model.arrive(X[j], present[j], *step)
        curve.append(total / row_weights.sum())
    return average.fitted(model, curve, t)


def fit_minibatch(
    X, targets, s: naive.Settings, *, size, n_epochs, present=None, row_weights=None, class_weights=(1.0, 1.0)
) -> naive.Fitted:
    """``w <- (1 - eta l2) w - eta mean of gradients`` for every `size` rows, then L1; the clock counts these steps.

    `size` None: all rows of the epoch, and L1 of every weight.
    """
    present = np.ones(X.shape, bool) if present is None else present
    row_weights, weights = weights_of(targets, row_weights, class_weights)
    model, average, t, curve = PlainSgd(X.shape[1], s), Average(s.average, X.shape[1]), 1, []
    rows = np.flatnonzero(row_weights)
    for epoch in range(n_epochs):
        total = 0.0
        for first in range(0, len(rows), size or len(rows)):
            batch = rows[first : first + (size or len(rows))]
            eta, gradient, slopes = naive.step_size(s, t, epoch), np.zeros(X.shape[1]), 0.0
            for i in batch:
                p, y = float(model.w @ X[i]) + model.b, float(targets[i])
                total += row_weights[i] * naive.LOSSES[s.loss].value(y, p, s.parameter)
                slope = slope_of(s, y, p, weights[i])
                gradient, slopes = gradient + slope * X[i], slopes + slope
            model.tick(eta)
            model.w -= eta * gradient / len(batch)
            if s.fit_intercept:
                model.b -= eta * slopes / len(batch) * s.intercept_decay
            touched = present[batch].any(axis=0) if size else np.ones(X.shape[1], bool)
            model.truncate(np.flatnonzero(touched))
            average.add(t, model)
            t += 1
        curve.append(total / row_weights.sum())
    return average.fitted(model, curve, t)
