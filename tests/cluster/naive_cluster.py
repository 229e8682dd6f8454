"""A cluster in a plain loop: workloads in turn, shards that do as they are told at once; slow and obvious."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hogwild.cluster.deltas import Delta, Request, Values
from hogwild.cluster.layout import Kind, Layout
from hogwild.cluster.protocol import Chunk, Lease, Part, Phase, Prepare


class NaiveStore:
    """A shard's part of the table, in float64 loops."""

    def __init__(self, layout: Layout, low: int, high: int, values: np.ndarray) -> None:
        self.values = values.astype(layout.dtype)
        self.kinds = layout.rest[low - layout.n_features : high - layout.n_features]
        self.changed, self.version = np.zeros(len(values), int), 0
        self.curvature = np.zeros(values.shape, np.float32)

    def apply(self, push: Delta, active: int) -> None:
        keys = np.arange(len(self.values)) if push.positions is None else push.positions
        if push.curvature is not None:
            self.curvature[keys] = push.curvature
        self.version += 1
        for n, key in enumerate(keys):
            for c in range(self.values.shape[1]):
                half = push.eta * push.rows * push.constant * float(self.curvature[key, c]) / 2
                damped = (half + math.hypot(1, half)) / (active * half + math.hypot(1, active * half))
                s = {Kind.DAMPED: damped, Kind.ADD: 1.0, Kind.MEAN: 1.0 / active}[self.kinds[key, c]]
                self.values[key, c] += s * float(push.values[n, c])
            self.changed[key] = self.version

    def read(self, pull: Request) -> Values:
        which = np.flatnonzero(self.changed > pull.since).astype(np.uint32) if pull.since >= 0 else None
        values = self.values.copy() if which is None else self.values[which]
        return Values(which, values, self.version, 0.0, 0.0)


def run_bsp(
    workloads: list, stores: list, chunks: tuple[Chunk, ...], epochs: int, phase_rows: int
) -> tuple[list[float], list[Any]]:
    """Every worker steps a phase from the same parameters, then all push; returns losses by epoch and all results."""
    clock, losses, results = 0, [], []
    for turn in range(1, epochs + 1):
        parts, total, weight = [], 0.0, 0.0
        for chunk in chunks:
            for start in range(0, chunk.rows, phase_rows):
                stop = min(start + phase_rows, chunk.rows)
                parts.append(Part(Lease(chunk.number, turn, chunk, 0, chunk.rows), start, stop))
        while parts:
            now, parts = parts[: len(workloads)], parts[len(workloads) :]
            pushed = []
            for worker, part in zip(workloads, now, strict=False):
                pulls = worker.run(Prepare((part,), False)).pulls
                pulled = tuple(s.read(p) if p is not None else None for s, p in zip(stores, pulls, strict=True))
                pushed.append(worker.run(Phase((part,), pulled, float(clock), len(workloads), ())))
            for result in pushed:
                for store, push in zip(stores, result.pushes, strict=True):
                    if push is not None:
                        store.apply(push, len(workloads))
                clock, total, weight = clock + result.rows, total + result.loss, weight + result.weight
            results += pushed
        losses.append(total / weight)
    return losses, results


def table_of(stores: list) -> np.ndarray:
    """All shards' values, one under the other."""
    return np.concatenate([store.values for store in stores])


class NaiveRule(NaiveStore):
    """A shard that is pushed sums of gradients: plain SGD or AdaGrad."""

    def __init__(self, layout: Layout, low: int, high: int, values: np.ndarray, rule: str = "sgd") -> None:
        super().__init__(layout, low, high, values)
        self.rule, self.squares = rule, np.zeros(values.shape)

    def apply(self, push: Delta, active: int) -> None:
        keys = np.arange(len(self.values)) if push.positions is None else push.positions
        self.version += 1
        self.changed[keys] = self.version
        for n, key in enumerate(keys):
            self.squares[key] += push.values[n] ** 2
            divisor = np.sqrt(np.maximum(self.squares[key], 1e-300)) if self.rule == "adagrad" else 1.0
            self.values[key] -= push.eta * push.values[n] / divisor
