"""Factorisation machines in slow, obvious Python: pairs one by one, the steps of all three rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

Row = list[tuple[int, float]]


@dataclass
class Machine:
    """A machine of degree 2 in float64; `squares`, `z` and `n` are the sums of AdaGrad and of FTRL.

    Attributes
    ----------
    weights : ndarray, shape (n_features, 1 + n_factors)
        Linear weight, then factors.
    """

    weights: np.ndarray
    bias: float
    rule: str = "constant"
    loss: str = "log_loss"
    alpha: float = 0.0
    alpha_linear: float = 0.0
    alpha_l1: float = 0.0
    eta0: float = 0.1
    beta: float = 1.0
    linear: bool = True
    fit_intercept: bool = True
    normalize: bool = False
    squares: np.ndarray = field(init=False)
    bias_squares: float = field(init=False)
    z: np.ndarray = field(init=False)
    bias_z: float = field(init=False)

    def __post_init__(self) -> None:
        self.weights = np.array(self.weights, np.float64)
        first = 0.0 if self.rule == "ftrl" else 1.0
        self.squares, self.bias_squares = np.full(self.weights.shape, first), first
        rate = self.beta / self.eta0
        self.z = -self.weights * (rate + self.penalties) - np.sign(self.weights) * self.alpha_l1
        self.bias_z = -self.bias * rate

    @property
    def penalties(self) -> np.ndarray:
        return np.array([self.alpha_linear] + [self.alpha] * (self.weights.shape[1] - 1))

    def scale(self, row: Row) -> float:
        total = sum(x * x for _, x in row)
        return 1.0 / total if self.normalize and total > 0 else 1.0

    def score(self, row: Row) -> float:
        r = self.scale(row)
        linear = sum(self.weights[j, 0] * x for j, x in row) if self.linear else 0.0
        pairs = sum(self.weights[j, 1:] @ self.weights[m, 1:] * x * y for (j, x), (m, y) in combinations(row, 2))
        return self.bias + math.sqrt(r) * linear + r * pairs

    def row_loss(self, row: Row, y: float) -> float:
        t = self.score(row)
        return math.log1p(math.exp(-y * t)) if self.loss == "log_loss" else 0.5 * (t - y) ** 2

    def slope(self, row: Row, y: float) -> float:
        t = self.score(row)
        return -y / (1.0 + math.exp(y * t)) if self.loss == "log_loss" else t - y

    def score_gradient(self, row: Row) -> dict[tuple[int, int], float]:
        """Derivative of the score with respect to each parameter of the row."""
        r, found = self.scale(row), {}
        for j, x in row:
            found[j, 0] = math.sqrt(r) * x if self.linear else 0.0
            for f in range(1, self.weights.shape[1]):
                found[j, f] = r * x * sum(self.weights[m, f] * y for m, y in row if m != j)
        return found

    def step(self, row: Row, y: float, weight: float = 1.0, eta: float | None = None) -> float:
        """Let a row change the weights; returns its loss before. Entries of 0 are no entries."""
        eta = self.eta0 if eta is None else eta
        row = [(j, x) for j, x in row if x != 0]
        loss, slope = self.row_loss(row, y) * weight, self.slope(row, y) * weight
        for (j, f), derivative in self.score_gradient(row).items():
            if f > 0 or self.linear:
                self._change(j, f, slope * derivative, eta)
        if self.fit_intercept:
            self._change_bias(slope, eta)
        return loss

    def _change(self, j: int, f: int, gradient: float, eta: float) -> None:
        if self.rule == "ftrl":
            n = self.squares[j, f]
            sigma = (math.sqrt(n + gradient**2) - math.sqrt(n)) / self.eta0
            self.z[j, f] += gradient - sigma * self.weights[j, f]
            self.squares[j, f] += gradient**2
            z, n = self.z[j, f], self.squares[j, f]
            size = max(abs(z) - self.alpha_l1, 0.0)
            self.weights[j, f] = -math.copysign(size, z) / ((self.beta + math.sqrt(n)) / self.eta0 + self.penalties[f])
            return
        gradient += self.penalties[f] * self.weights[j, f]
        self.squares[j, f] += gradient**2
        divisor = math.sqrt(self.squares[j, f]) if self.rule == "adagrad" else 1.0
        self.weights[j, f] -= eta * gradient / divisor

    def _change_bias(self, gradient: float, eta: float) -> None:
        if self.rule == "ftrl":
            n = self.bias_squares
            sigma = (math.sqrt(n + gradient**2) - math.sqrt(n)) / self.eta0
            self.bias_z += gradient - sigma * self.bias
            self.bias_squares += gradient**2
            self.bias = -self.bias_z / ((self.beta + math.sqrt(self.bias_squares)) / self.eta0)
            return
        self.bias_squares += gradient**2
        self.bias -= eta * gradient / (math.sqrt(self.bias_squares) if self.rule == "adagrad" else 1.0)
