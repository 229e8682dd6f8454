"""Twins of the parameter shard's stores: every number is looked at on every push, one at a time."""

from __future__ import annotations

import math

import numpy as np

from hogwild.cluster.layout import Kind


def damped(a, n):
    """Factor of a damped merge, by its definition in engine/merge.py."""
    half = min(a, 1e6) / 2
    return (half + math.sqrt(1 + half**2)) / (n * half + math.sqrt(1 + (n * half) ** 2))


class NaiveStore:
    """A table in double precision; penalties act on every weight at every push."""

    def __init__(self, layout, low, high, values):
        self.layout, self.low, self.high = layout, low, high
        self.values = np.array(values, np.float64)
        self.curvature = np.zeros_like(self.values)
        self.received = np.zeros_like(self.values)
        self.owed, self.log_scale, self.version = 0.0, 0.0, 0
        self.changed = np.zeros(high - low, int)

    def kind(self, key, column):
        if key < self.layout.n_features:
            return self.layout.kinds[column]
        return self.layout.rest[key - self.layout.n_features, column]

    def apply(self, keys, push, active):
        """Take a push over; `keys` are those of its rows."""
        self.version += 1
        decay = math.exp(push.log_decay)
        penalised = [
            (key - self.low, c)
            for key in range(self.low, min(self.high, self.layout.n_features))
            for c in range(self.layout.width)
            if self.layout.decays[c]
        ]
        self.owed = self.owed * decay + push.shrink
        self.log_scale += push.log_decay
        for at in penalised:
            self.values[at] *= decay
            self.received[at] *= decay
        for i, key in enumerate(keys):
            self.changed[key - self.low] = self.version
            for c in range(self.layout.width):
                at = key - self.low, c
                if push.curvature is not None:
                    self.curvature[at] = float(push.curvature[i, c])
                kind = self.kind(key, c)
                if kind == Kind.ADD:
                    s = 1.0
                elif kind == Kind.MEAN:
                    s = 1 / active
                else:
                    s = damped(push.eta * push.rows * push.constant * self.curvature[at], active)
                self.values[at] += s * float(push.values[i, c])
        for at in penalised:
            weight = self.values[at]
            if weight > 0:
                left = max(0.0, weight - max(self.owed + self.received[at], 0.0))
            else:
                left = min(0.0, weight + max(self.owed - self.received[at], 0.0))
            self.received[at] += left - weight
            self.values[at] = left


class NaiveRuleStore:
    """Gradients applied number by number."""

    def __init__(self, low, values, rule):
        self.low, self.rule = low, rule
        self.values = np.array(values, np.float64)
        self.sums = np.full_like(self.values, getattr(rule, "initial", 0.0))
        self.z = np.zeros_like(self.values)

    def apply(self, keys, gradients):
        rule, name = self.rule, type(self.rule).__name__
        for i, key in enumerate(keys):
            for c in range(self.values.shape[1]):
                at, g = (key - self.low, c), float(gradients[i, c])
                if name == "Add":
                    self.values[at] += g
                elif name == "Sgd":
                    self.values[at] -= rule.eta * g
                elif name == "Adagrad":
                    self.sums[at] += g * g
                    self.values[at] -= rule.eta * g / (math.sqrt(self.sums[at]) + rule.eps)
                else:
                    before, self.sums[at] = self.sums[at], self.sums[at] + g * g
                    sigma = (math.sqrt(self.sums[at]) - math.sqrt(before)) / rule.alpha
                    self.z[at] += g - sigma * self.values[at]
                    z = self.z[at]
                    slack = abs(z) - rule.l1
                    size = slack / ((rule.beta + math.sqrt(self.sums[at])) / rule.alpha + rule.l2)
                    self.values[at] = 0.0 if slack <= 0 else -math.copysign(size, z)
