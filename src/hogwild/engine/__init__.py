"""Who runs the steps: one thread, replicas, classic shared memory, atomic additions, virtual replicas."""

from __future__ import annotations

from hogwild.engine.engines import Atomic, Processes, Replicas, Sequential, Shared, Simulated, resolve_engine
from hogwild.engine.pool import usable_cores

__all__ = ["Atomic", "Processes", "Replicas", "Sequential", "Shared", "Simulated", "resolve_engine", "usable_cores"]
