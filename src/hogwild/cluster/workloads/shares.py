"""What a worker holds of one shard's keys: values as they were pulled, what it keeps back, curvature."""

from __future__ import annotations

import math

import numpy as np

from hogwild.cluster.deltas import KeySet, Values
from hogwild.cluster.proximal import carry_proximal
from hogwild.cluster.sending import count_features, take_over
from hogwild.cluster.workloads.problem import Problem
from hogwild.cluster.workloads.table import Where


class Share:
    """One shard's part of what a worker holds.

    Attributes
    ----------
    keys : KeySet
    where : Where
        Those keys among the rows of the worker's arrays.
    base : ndarray, shape (n, width)
        Values as they were pulled last.
    tail : ndarray of bool, shape (n,), or None
        Keys whose changes may be kept back for some phases.
    kept : ndarray, shape (n, width), or None
        What phases have changed the tail by and not pushed.
    """

    def __init__(self, problem: Problem, low: int, high: int, keys: KeySet, where: Where) -> None:
        self.low, self.high, self.keys, self.where = low, high, keys, where
        self.base = np.zeros((where.n_keys, problem.layout.width), problem.layout.dtype)
        self.n_features = count_features(problem.layout, low, high, keys)
        self.version = -1
        self.curvature: np.ndarray | None = None
        self.then: tuple[float, float] | None = None
        self.tail: np.ndarray | None = None
        self.kept: np.ndarray | None = None

    def name_tail(self, hot: np.ndarray, keys: np.ndarray) -> None:
        """Mark those of `keys` (this share's) that are not among the hot ones; further keys are always hot."""
        self.tail = ~np.isin(keys, hot)
        self.tail[self.n_features :] = False

    def keep_back(self, local: np.ndarray, log_decay: float, decays: np.ndarray) -> np.ndarray:
        """Keep what has changed of the tail; returns values in which it has not."""
        factors = np.where(decays, math.exp(log_decay), 1.0).astype(local.dtype)
        tail = self.tail
        unchanged = self.base[tail] * factors
        self.kept = np.zeros(local.shape, local.dtype) if self.kept is None else self.kept
        self.kept[tail] = local[tail] - unchanged
        told = local.copy()
        told[tail] = unchanged
        return told

    def write(self, problem: Problem, arrays: dict[str, np.ndarray]) -> None:
        """Let the model start from what was pulled, and what is kept back."""
        values = self.base if self.kept is None else self.base + self.kept
        problem.table.write(values, arrays, self.where)

    def install(self, problem: Problem, values: Values, arrays: dict[str, np.ndarray]) -> None:
        """Take over what the shard sent, and let the model start from it."""
        layout = problem.layout
        if layout.roots is not None and values.positions is not None:
            carry_proximal(self.base[: self.n_features], layout, values.owed - self.then[1])
            self.then = values.log_scale, values.owed
        self.then = take_over(self.base, values, self.n_features, layout.decays, self.then)
        self.version = values.version
        self.write(problem, arrays)
