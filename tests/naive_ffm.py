"""Slow, obvious twin of the field-aware factorisation machine: plain Python in float64, pair after pair."""

from __future__ import annotations

import math

import numpy as np


def norm(values) -> float:
    total = sum(float(v) ** 2 for v in values)
    return 1 / total if total else 1.0


class NaiveFfm:
    """Weights `w` and sums `G` of shape (n_features, n_fields, n_factors); linear terms `u`, `H`; bias `b`, `B`."""

    def __init__(self, weights, *, loss, alpha, eta, normalised, linear):
        self.w = np.array(weights, np.float64)
        self.G = np.ones_like(self.w)
        n = len(self.w)
        self.u, self.H, self.b, self.B = np.zeros(n), np.ones(n), 0.0, 1.0
        self.loss, self.alpha, self.eta, self.normalised, self.linear = loss, alpha, eta, normalised, linear

    def entries(self, row):
        n, m, _ = self.w.shape
        return [(f, j, v) for f, j, v in row if f < m and j < n]

    def scale(self, row):
        return norm(v for _, _, v in row) if self.normalised else 1.0

    def score(self, row):
        r, known, total = self.scale(row), self.entries(row), 0.0
        for a, (fa, ja, va) in enumerate(known):
            for fc, jc, vc in known[a + 1 :]:
                total += va * vc * r * float(self.w[ja, fc] @ self.w[jc, fa])
        if self.linear:
            total += math.sqrt(r) * sum(v * self.u[j] for _, j, v in known) + self.b
        return total

    def value(self, y, t):
        return math.log1p(math.exp(-y * t)) if self.loss == "log_loss" else 0.5 * (t - y) ** 2

    def slope(self, y, t):
        return -y / (1 + math.exp(y * t)) if self.loss == "log_loss" else t - y

    def step(self, row, y, weight=1.0):
        t, r, known = self.score(row), self.scale(row), self.entries(row)
        kappa = self.slope(y, t) * weight
        for a, (fa, ja, va) in enumerate(known):
            for fc, jc, vc in known[a + 1 :]:
                first, second = self.w[ja, fc].copy(), self.w[jc, fa].copy()
                g1 = self.alpha * first + kappa * va * vc * r * second
                g2 = self.alpha * second + kappa * va * vc * r * first
                sums = self.G[ja, fc] + g1**2, self.G[jc, fa] + g2**2
                self.G[ja, fc], self.w[ja, fc] = sums[0], first - self.eta * g1 / np.sqrt(sums[0])
                self.G[jc, fa], self.w[jc, fa] = sums[1], second - self.eta * g2 / np.sqrt(sums[1])
        if self.linear:
            for _, j, v in known:
                g = self.alpha * self.u[j] + kappa * math.sqrt(r) * v
                self.H[j] += g * g
                self.u[j] -= self.eta * g / math.sqrt(self.H[j])
            self.B += kappa**2
            self.b -= self.eta * kappa / math.sqrt(self.B)
        return self.value(y, t) * weight
