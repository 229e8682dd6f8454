"""Who runs the calls of a parallel engine, and in which memory: threads of this process, or processes beside it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.pool import thread_pool

if TYPE_CHECKING:
    from hogwild.engine.process_pool import ProcessPool

_MODULES = ("hogwild.engine.loops", "hogwild.steps.linear")
_HELD_SECONDS = 0.3  # a lock that is held for so long was held by a process that was killed: others need microseconds


class ThreadWorkers:
    """The threads of this process: all memory is theirs already."""

    deaths = 0
    apart = False  # whether they see only what was shared with them

    def zeros(self, shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
        """Allocate memory that all workers see."""
        return aligned_zeros(shape, dtype)

    def shared(self, arrays: Any) -> Any:
        """Return a tuple whose arrays all workers see."""
        return arrays

    def lent(self, name: str, arrays: Any) -> Any:
        """Return `arrays` as `shared` does, for as long as the next ones come under this name."""
        return arrays

    def run(self, function: Callable, calls: Sequence[tuple]) -> list:
        """Run all calls at once."""
        return thread_pool().run(function, calls)

    def guard(self, locks: np.ndarray) -> None:
        """Free those of `locks` that a killed worker leaves behind."""

    def close(self) -> None:
        """Let the workers go."""


class ProcessWorkers:
    """Worker processes: arrays are copied into memory that is shared with them."""

    apart = True

    def __init__(self, n_workers: int) -> None:
        self._pool = take_pool(n_workers, _MODULES)
        self._lent: dict[str, tuple[Any, Any]] = {}

    @property
    def deaths(self) -> int:
        """Workers that have been killed."""
        return self._pool.deaths

    def zeros(self, shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
        """Allocate memory that all workers see."""
        return self._pool.zeros(shape, dtype)

    def shared(self, arrays: Any) -> Any:
        """Copy the arrays of a (nested) NamedTuple into shared memory."""
        if isinstance(arrays, np.ndarray):
            return self._pool.share(arrays)
        return type(arrays)(*map(self.shared, arrays)) if hasattr(arrays, "_fields") else arrays

    def lent(self, name: str, arrays: Any) -> Any:
        """Copy as `shared` does, once for each new NamedTuple; what was lent under this name before is let go."""
        if name not in self._lent or self._lent[name][0] is not arrays:
            self._lent.pop(name, None)
            self._lent[name] = arrays, self.shared(arrays)
        return self._lent[name][1]

    def run(self, function: Callable, calls: Sequence[tuple]) -> list:
        """Run all calls at once."""
        return self._pool.run(function, calls)

    def guard(self, locks: np.ndarray) -> None:
        """Free those of `locks` that a killed worker leaves behind."""
        self._pool.on_death = lambda: _free(locks)

    def close(self) -> None:
        """Let go of the shared memory; the processes wait for another fit."""
        self._lent.clear()
        if self._pool is not None:
            return_pool(self._pool)
            self._pool = None


def _free(locks: np.ndarray) -> None:
    """Free the locks that nobody alive holds."""
    held, until = np.flatnonzero(locks), time.monotonic() + _HELD_SECONDS
    while held.size and time.monotonic() < until:
        time.sleep(1e-4)
        held = held[locks[held] != 0]
    locks[held] = 0


# ------------------------------------------------------------------------------------------------ one idle pool

_lock = threading.Lock()
_idle: ProcessPool | None = None


def _renew() -> None:
    global _lock, _idle
    _lock, _idle = threading.Lock(), None  # a forked child has none of its parent's workers


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def take_pool(n_workers: int, modules: Sequence[str]) -> ProcessPool:
    """Return the idle pool if it has the size, else a new one: 0.3 s, which each `partial_fit` would pay again."""
    from hogwild.engine.process_pool import ProcessPool

    global _idle
    with _lock:
        pool, _idle = _idle, None
    if pool is not None and pool.n_workers == n_workers:
        return pool
    if pool is not None:
        pool.close()
    return ProcessPool(n_workers, modules=modules)


def return_pool(pool: ProcessPool) -> None:
    """Keep a pool for the next fit, without any memory of this one."""
    global _idle
    pool.on_death, pool.deaths = None, 0
    pool.drop_blocks()
    with _lock:
        before, _idle = _idle, pool
    if before is not None:
        before.close()


def close_idle_processes() -> None:
    """End the worker processes that wait for another fit (about 120 MB each); the next fit starts new ones."""
    global _idle
    with _lock:
        pool, _idle = _idle, None
    if pool is not None:
        pool.close()
