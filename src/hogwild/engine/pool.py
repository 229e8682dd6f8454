"""One pool of threads for a process: kept alive, lent to fits, made anew after a fork."""

from __future__ import annotations

import ctypes
import math
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def usable_cores() -> int:
    """Cores that this process may use: affinity and the container's quota respected.

    Examples
    --------
    >>> usable_cores() >= 1
    True
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quota = _container_quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def _container_quota() -> float | None:
    """CPU quota of the control group in cores (version 2, then 1), or None."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text())
        period = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError):
        return None


try:
    _sched_getcpu = ctypes.CDLL(None).sched_getcpu
except (AttributeError, OSError, TypeError):  # macOS
    _sched_getcpu = None


def _current_core() -> int | None:
    """Core that this thread runs on, or None where nobody tells."""
    return _sched_getcpu() if _sched_getcpu is not None else None


def _move_to(core: int) -> None:
    """Move this thread to a core, and leave it free to be moved on.

    Threads that wake for a few milliseconds are often put on the core of the one that woke them, and stay there for a
    tenth of a second: two threads then took 106 ms for what takes them 49.
    """
    try:
        allowed = os.sched_getaffinity(0)
        if core in allowed:
            os.sched_setaffinity(0, {core})
            os.sched_setaffinity(0, allowed)
    except OSError:  # not allowed here: the scheduler decides
        pass


def _places(n_workers: int) -> list[int | None]:
    """A core of its own for each worker beside the calling thread's; None where there are not enough."""
    core = _current_core()
    allowed = sorted(os.sched_getaffinity(0)) if core is not None and hasattr(os, "sched_getaffinity") else []
    if core not in allowed or n_workers >= len(allowed):
        return [None] * n_workers
    first = allowed.index(core) + 1
    return [allowed[(first + k) % len(allowed)] for k in range(n_workers)]


class _Worker:
    """A thread that waits for calls."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="hogwild", daemon=True).start()

    def _serve(self) -> None:
        while True:
            core, function, arguments, results, k, finished = self._calls.get()
            try:
                if core is not None and core != _current_core():
                    _move_to(core)
                results[k] = function(*arguments)
            except BaseException as error:  # handed to the thread that asked
                results[k] = error
            finally:
                del function, arguments  # an idle worker keeps no data alive
                finished.put(k)

    def call(self, *call: Any) -> None:
        self._calls.put(call)


class ThreadPool:
    """Idle workers of this process; `run` lends as many as it needs: fits in several threads never share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def run(self, function: Callable, calls: Sequence[tuple]) -> list:
        """Call ``function(*arguments)`` for all `calls` at once, the first on this thread; returns the results.

        All calls have ended when it returns or raises, after Ctrl-C too.
        """
        if len(calls) == 1:
            return [function(*calls[0])]
        with self._lock:
            workers = [self._idle.pop() if self._idle else _Worker() for _ in calls[1:]]
        results: list = [None] * len(calls)
        finished: queue.SimpleQueue = queue.SimpleQueue()
        for k, (worker, core) in enumerate(zip(workers, _places(len(workers)), strict=True), start=1):
            worker.call(core, function, calls[k], results, k, finished)
        interrupted: BaseException | None = None
        try:
            results[0] = function(*calls[0])
        except BaseException as error:
            interrupted = error
        for _ in workers:
            while True:
                try:
                    finished.get()
                    break
                except KeyboardInterrupt as error:
                    interrupted = error
        with self._lock:
            self._idle.extend(workers)
        for result in (interrupted, *results):
            if isinstance(result, BaseException):
                raise result
        return results


_pool = ThreadPool()


def _renew() -> None:
    global _pool
    _pool = ThreadPool()  # a forked child has none of its parent's threads; waiting for them would hang


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def thread_pool() -> ThreadPool:
    """Return the pool of this process."""
    return _pool
