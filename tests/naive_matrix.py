"""Slow, obvious twin of matrix factorisation: plain Python in float64, one row after the other.

Biases and factors stand in separate arrays; gradients come from the definition of the objective of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

MASK = 2**64 - 1
CHUNK = 256  # rows of one clock
TRIES = 32


def scramble(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def log_loss(margin: float) -> float:
    return math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > 0 else math.exp(x) / (1.0 + math.exp(x))


VALUES = {
    "squared": lambda y, p: 0.5 * (p - y) ** 2,
    "absolute": lambda y, p: abs(p - y),
    "logistic": lambda y, p: log_loss(y * p),
}
SLOPES = {
    "squared": lambda y, p: p - y,
    "absolute": lambda y, p: float(np.sign(p - y)),
    "logistic": lambda y, p: -y * sigmoid(-y * p),
}


@dataclass
class Twin:
    """All things in one list, users first: ``bias[x]`` and ``factors[x]``."""

    loss: str
    bias: np.ndarray
    factors: np.ndarray
    n_users: int
    alpha: float
    mean: float = 0.0
    biases: bool = True
    non_negative: bool = False
    adagrad: float = 0.0  # first sums; 0 is plain SGD
    n_negatives: int = 0
    seed: int = 0
    seen: set = field(default_factory=set)
    t: int = 1

    def __post_init__(self) -> None:
        self.bias_sums = np.full(self.bias.shape, self.adagrad)
        self.sums = np.full(self.factors.shape, self.adagrad)

    def score(self, u: int, i: int) -> float:
        return self.mean + self.bias[u] + self.bias[i] + float(self.factors[u] @ self.factors[i])

    def objective(self, u: int, i: int, y: float, other: int | None = None) -> float:
        """Loss of a row and the penalty of what it touches; `other` is ranked below `i`."""
        if other is not None:
            touched, value = (u, i, other), log_loss(self.score(u, i) - self.score(u, other))
        else:
            touched, value = (u, i), VALUES[self.loss](y, self.score(u, i))
        penalty = sum(self.bias[x] ** 2 + float(self.factors[x] @ self.factors[x]) for x in touched)
        return value + 0.5 * self.alpha * penalty

    def change(self, x: int, bias_gradient: float, gradient: np.ndarray, eta: float) -> None:
        rate, bias_rate = eta, eta
        if self.adagrad:
            self.sums[x] += gradient**2
            self.bias_sums[x] += bias_gradient**2
            rate, bias_rate = eta / np.sqrt(self.sums[x]), eta / math.sqrt(self.bias_sums[x])
        self.factors[x] -= rate * gradient
        if self.biases:
            self.bias[x] -= bias_rate * bias_gradient
        if self.non_negative:
            self.factors[x] = np.maximum(self.factors[x], 0.0)

    def pair(self, u: int, i: int, slope: float, eta: float) -> None:
        p, q, a = self.factors[u].copy(), self.factors[i].copy(), self.alpha
        bias_u, bias_i = self.bias[u], self.bias[i]
        self.change(u, slope + a * bias_u, slope * q + a * p, eta)
        self.change(i, slope + a * bias_i, slope * p + a * q, eta)

    def draw(self, user: int, key: int, turn: int) -> int | None:
        n_items = len(self.bias) - 1 - self.n_users
        for attempt in range(TRIES):
            place = (key + (turn * TRIES + attempt + 1) * 0x9E3779B97F4A7C15) & MASK
            item = ((scramble(place) >> 32) * n_items) >> 32
            if (user, item) not in self.seen:
                return self.n_users + item
        return None

    def rank(self, u: int, i: int, key: int, eta: float, weight: float) -> float:
        j = self.draw(u, key, 0)
        if j is None:
            return 0.0
        margin, a = self.score(u, i) - self.score(u, j), self.alpha
        slope = -sigmoid(-margin) * weight
        p, q, r = (self.factors[x].copy() for x in (u, i, j))
        self.change(u, 0.0, slope * (q - r) + a * p, eta)  # a user's bias changes no order
        self.change(i, slope + a * self.bias[i], slope * p + a * q, eta)
        self.change(j, -slope + a * self.bias[j], -slope * p + a * r, eta)
        return weight * log_loss(margin)

    def epoch(self, first, second, targets, weights, eta: float) -> float:
        """Rows in their order; returns the sum of losses, each before its own step."""
        total, start = 0.0, self.t
        for k, (u, i, y) in enumerate(zip(first.tolist(), second.tolist(), targets.tolist(), strict=True)):
            clock = start + min((k // CHUNK + 1) * CHUNK, len(first))
            key = scramble(self.seed ^ ((clock << 24) & MASK) ^ (k + 1))
            weight = 1.0 if weights is None else float(weights[k])
            if self.loss == "bpr":
                total += self.rank(u, i, key, eta, weight)
            else:
                score = self.score(u, i)
                total += weight * VALUES[self.loss](y, score)
                self.pair(u, i, weight * SLOPES[self.loss](y, score), eta)
                if self.loss == "logistic" and y > 0:
                    for turn in range(self.n_negatives):
                        j = self.draw(u, key, turn)
                        if j is not None:
                            score = self.score(u, j)
                            total += VALUES["logistic"](-1.0, score)
                            self.pair(u, j, SLOPES["logistic"](-1.0, score), eta)
            self.t += 1
        return total
