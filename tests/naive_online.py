"""Slow, obvious twins of the online linear learners: dicts, one example at a time."""

from __future__ import annotations

import math


class NaiveClassifier:
    """A weight and a variance for each label and feature."""

    def __init__(self, method, C=1.0):
        self.method, self.C = method, C
        self.labels, self.w, self.sigma = {}, {}, {}

    def scores(self, x):
        return {label: sum(self.w.get((label, f), 0.0) * v for f, v in x.items()) for label in self.labels}

    def variance(self, label, f):
        return self.sigma.get((label, f), 1.0)

    def train(self, y, x):
        new = y not in self.labels
        self.labels[y] = self.labels.get(y, 0) + 1
        scores = self.scores(x)
        others = sorted(label for label in self.labels if label != y)
        r = max(others, key=lambda label: scores[label]) if others else None  # the first name of equals
        m = scores[y] - (scores[r] if others else 0.0)
        n = sum(v * v for v in x.values())
        if not n:
            return
        C, method = self.C, self.method
        if method == "perceptron":
            if new or (others and m <= 0):
                self._move(y, r, x, 1.0)
        elif method in ("PA", "PA1", "PA2"):
            if m <= 1:
                tau = (1 - m) / (2 * n)
                tau = {"PA": tau, "PA1": min(C, tau), "PA2": (1 - m) / (2 * n + 1 / (2 * C))}[method]
                self._move(y, r, x, tau)
        else:
            self._confident(y, r, x, m)

    def _move(self, y, r, x, tau):
        for f, v in x.items():
            self.w[y, f] = self.w.get((y, f), 0.0) + tau * v
            if r is not None:
                self.w[r, f] = self.w.get((r, f), 0.0) - tau * v

    def _confident(self, y, r, x, m):
        C = self.C
        V = sum((self.variance(y, f) + (1.0 if r is None else self.variance(r, f))) * v * v for f, v in x.items())
        if self.method == "CW":
            b = 1 + 2 * C * m
            step = (-b + math.sqrt(b * b - 8 * C * (m - C * V))) / (4 * C * V)
            if step <= 0:
                return

            def shrunk(s, v):
                return 1 / (1 / s + 2 * step * C * v * v)
        elif m >= 1:
            return
        elif self.method == "AROW":
            beta = 1 / (V + 1 / C)
            step = (1 - m) * beta

            def shrunk(s, v):
                return s - beta * s * s * v * v
        else:
            step = (1 - m) / (V + 1 / C)

            def shrunk(s, v):
                return 1 / (1 / s + (2 * C + C * C * V) * v * v)

        for f, v in x.items():
            for label, sign in ((y, 1), (r, -1)):
                if label is not None:
                    s = self.variance(label, f)
                    self.w[label, f] = self.w.get((label, f), 0.0) + sign * step * s * v
                    self.sigma[label, f] = shrunk(s, v)


class NaiveRegression:
    """A weight and a variance for each feature."""

    def __init__(self, method, C=1.0, sensitivity=0.1, learning_rate=0.1):
        self.method, self.C, self.eps, self.rate = method, C, sensitivity, learning_rate
        self.w, self.sigma, self.targets = {}, {}, []

    def estimate(self, x):
        return sum(self.w.get(f, 0.0) * v for f, v in x.items())

    def train(self, y, x):
        e = y - self.estimate(x)
        sign = 1.0 if e > 0 else -1.0
        n = sum(v * v for v in x.values())
        self.targets.append(y)
        if not n:
            return
        C = self.C
        if self.method == "perceptron":
            self._move(x, self.rate * e)
        elif self.method in ("PA", "PA1", "PA2"):
            mean = sum(self.targets) / len(self.targets)
            sd = math.sqrt(sum((t - mean) ** 2 for t in self.targets) / len(self.targets))
            loss = abs(e) - self.eps * sd
            if loss > 0:
                tau = {"PA": loss / n, "PA1": min(C, loss / n), "PA2": loss / (n + 1 / (2 * C))}[self.method]
                self._move(x, sign * tau)
        else:
            self._confident(x, e, sign)

    def _move(self, x, tau):
        for f, v in x.items():
            self.w[f] = self.w.get(f, 0.0) + tau * v

    def _confident(self, x, e, sign):
        C, loss = self.C, abs(e) - self.eps
        V = sum(self.sigma.get(f, 1.0) * v * v for f, v in x.items())
        if loss <= 0:
            return
        if self.method == "CW":
            b = 1 - 2 * C * abs(e)
            step = (-b + math.sqrt(b * b + 8 * C * (abs(e) + C * V))) / (4 * C * V)
            if step <= 0:
                return

            def shrunk(s, v):
                return 1 / (1 / s + 2 * step * C * v * v)
        elif self.method == "AROW":
            beta = 1 / (V + 1 / C)
            step = loss * beta

            def shrunk(s, v):
                return s - beta * s * s * v * v
        else:
            step = loss / (V + 1 / C)

            def shrunk(s, v):
                return 1 / (1 / s + (2 * C + C * C * V) * v * v)

        for f, v in x.items():
            s = self.sigma.get(f, 1.0)
            self.w[f] = self.w.get(f, 0.0) + sign * step * s * v
            self.sigma[f] = shrunk(s, v)
