"""One pool of threads for a process: kept alive, lent to fits, made anew after a fork."""

from __future__ import annotations

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


class _Worker:
    """A thread that waits for calls."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="hogwild", daemon=True).start()

    def _serve(self) -> None:
        while True:
            function, arguments, results, k, finished = self._calls.get()
            try:
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
        for k, worker in enumerate(workers, start=1):
            worker.call(function, calls[k], results, k, finished)
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
