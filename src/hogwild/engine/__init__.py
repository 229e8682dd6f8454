"""Who runs the steps: one thread, replicas, classic shared memory, atomic additions, virtual replicas, baselines."""

from __future__ import annotations

from hogwild.engine.engines import (
    Atomic,
    Batch,
    Delayed,
    Grid,
    Locked,
    MiniBatch,
    Processes,
    Replicas,
    RoundRobin,
    Sequential,
    Shared,
    Simulated,
    resolve_engine,
)
from hogwild.engine.pool import usable_cores

__all__ = [
    "Atomic",
    "Batch",
    "Delayed",
    "Grid",
    "Locked",
    "MiniBatch",
    "Processes",
    "Replicas",
    "RoundRobin",
    "Sequential",
    "Shared",
    "Simulated",
    "resolve_engine",
    "usable_cores",
]
