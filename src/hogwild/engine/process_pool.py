"""A pool of worker processes over shared memory: the arrays are mapped by all of them, calls travel over sockets.

A worker is a new interpreter, not a fork and not an import of the caller's main module: it works from a notebook, from
``python -c`` and from a script without ``if __name__ == "__main__"``, and threads of the parent do it no harm.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from hogwild.engine import shared_memory
from hogwild.engine.interrupt import deferred_interrupt
from hogwild.engine.pool import usable_cores
from hogwild.engine.process_worker import (
    HEADER,
    MOST_DESCRIPTORS,
    REPLY,
    RESULT,
    UNKNOWN_MODULE,
    receive,
    serve,
)

MOST_DEATHS = 16  # of workers in the life of a pool; then something is wrong that new ones do not mend
_TRIES = 2  # of one call
_LOOK = 1.0  # seconds between two looks whether a worker lives whose socket somebody else holds open
_START = (
    "import pickle, sys; sys.path[:], descriptor, modules = pickle.load(sys.stdin.buffer); "
    f"from {serve.__module__} import serve; serve(descriptor, modules)"
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDiedError(RuntimeError):
    """Worker processes were killed again and again; the last was not replaced."""


class RemoteTraceback(Exception):  # noqa: N818 (it is a place, not a mistake)
    """Where in a worker process an exception was raised: the cause of the exception that is raised here."""

    def __str__(self) -> str:
        return f"in a worker process:\n{self.args[0]}"


class _Worker:
    """A process at the other end of a socket."""

    def __init__(self, modules: Sequence[str], n_workers: int) -> None:
        self.connection, theirs = socket.socketpair()
        self.blocks: set[tuple[int, int]] = set()  # that it has mapped
        threads = str(max(1, usable_cores() // n_workers))
        environment = {**dict.fromkeys(_THREADS, threads), **os.environ}
        package = str(Path(__file__).parents[2])
        paths = [os.path.abspath(path) for path in sys.path]
        paths += [] if package in paths else [package]
        # not even while it starts may Ctrl-C of the terminal end it: it unblocks the signal once it ignores it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                [os.fsdecode(get_executable()), "-c", _START],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(pickle.dumps((paths, theirs.fileno(), list(modules))))
        theirs.close()

    def send(self, blocks: dict[tuple[int, int], Any], function: bytes, arguments: bytes) -> None:
        """Send a call, with the descriptors of the blocks that the worker has not mapped yet."""
        new = [name for name in blocks if name not in self.blocks]
        dropped = [name for name in self.blocks if not shared_memory.alive(name)]
        self.blocks.difference_update(dropped)
        while len(new) > MOST_DESCRIPTORS:
            self._send(new[:MOST_DESCRIPTORS], [], b"", b"")
            del new[:MOST_DESCRIPTORS]
        self._send(new, dropped, function, arguments)

    def drop_blocks(self) -> None:
        """Let the worker unmap everything."""
        dropped, self.blocks = list(self.blocks), set()
        self._send([], dropped, b"", b"")

    def _send(self, new: list, dropped: list, function: bytes, arguments: bytes) -> None:
        places = [shared_memory.descriptor_of(name) for name in new]
        about = pickle.dumps(([(name, size) for name, (_, size) in zip(new, places, strict=True)], dropped))
        header = HEADER.pack(len(about), len(function), len(arguments))
        sent = socket.send_fds(self.connection, [header], [descriptor for descriptor, _ in places])
        self.connection.sendall(header[sent:] + about + function + arguments)
        self.blocks.update(new)

    def receive(self) -> tuple[int, Any]:
        """Return what came of the call."""
        kind, size = REPLY.unpack(receive(self.connection, REPLY.size))
        return kind, shared_memory.loads(receive(self.connection, size))

    def end(self, patience: float) -> int:
        """Let the process end, by force after `patience` seconds; returns its exit status."""
        self.connection.close()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _end_all(workers: list[_Worker], pid: int) -> None:
    """End the workers of a pool; in a forked child only its own ends of their sockets."""
    for worker in workers:
        worker.connection.close()
    if os.getpid() == pid:
        for worker in workers:
            worker.end(1.0)
    else:
        for worker in workers:
            worker.process.returncode = 0  # somebody else's child: nothing to wait for
    workers.clear()


_pools: weakref.WeakSet[ProcessPool] = weakref.WeakSet()


def _part_from_parent() -> None:
    """Let go of the parent's workers in a forked child: they end when nobody else holds their sockets."""
    for pool in _pools:
        pool._lock = threading.Lock()
        _end_all(pool._workers, 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_part_from_parent)


class ProcessPool:
    """Worker processes that call functions over arrays in shared memory.

    Parameters
    ----------
    n_workers : int
        Processes; each runs one call at a time.
    modules : sequence of str, optional
        What workers import at once, while the parent is still busy with its arrays.
    on_death : callable, optional
        Called without arguments when a worker has been killed, before its call runs again (to free what it held).

    Attributes
    ----------
    deaths : int
        Workers that have been killed so far.

    Notes
    -----
    Starting costs the caller 2 ms a worker; its first call is answered after 0.1 s, or 0.6 s where it needs Numba. The
    workers stay for all calls and end with `close`, with the last reference to the pool, and with this process.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild.engine.process_pool import ProcessPool
    >>> def fill(part, value):
    ...     part[:] = value
    >>> with ProcessPool(2) as pool:
    ...     shared = pool.share(np.zeros(6))
    ...     _ = pool.run(fill, [(shared[:3], 1.0), (shared[3:], 2.0)])
    >>> shared
    array([1., 1., 1., 2., 2., 2.])
    """

    def __init__(
        self, n_workers: int, *, modules: Sequence[str] = (), on_death: Callable[[], object] | None = None
    ) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers must be at least 1 process, found {n_workers!r}")
        self.n_workers, self.deaths, self.on_death = n_workers, 0, on_death
        self._modules, self._lock = tuple(modules), threading.Lock()
        self._workers: list[_Worker] = []
        self._by_value: set[str] = set()  # modules that only this process can import
        self._closed = False
        self._start()
        _pools.add(self)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._workers[:] = [_Worker(self._modules, self.n_workers) for _ in range(self.n_workers)]
        self._finalizer = weakref.finalize(self, _end_all, self._workers, self._pid)

    # ------------------------------------------------------------------------------------------ memory

    def zeros(self, shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
        """Allocate zeros in shared memory, on a cache line."""
        return shared_memory.shared_zeros(shape, dtype)

    def share(self, array: np.ndarray) -> np.ndarray:
        """Copy `array` (C-ordered, writable) into shared memory, where all workers see it.

        The copy, its slices, reshapes and other views are not copied again when they are arguments or results of calls
        (inside of tuples, objects, closures too). The memory is freed when the last of them is collected.

        Raises
        ------
        MemoryError
            If there is too little memory: with the bytes needed and found.
        TypeError
            If `array` holds Python objects.
        """
        return shared_memory.shared_copy(np.asarray(array))

    # ------------------------------------------------------------------------------------------ calls

    def run(self, function: Callable, calls: Sequence[tuple]) -> list:
        """Call ``function(*arguments)`` for all `calls` at once, each in a worker of its own; returns the results.

        All calls have ended when it returns or raises, after Ctrl-C too. A worker that is killed is replaced at once
        and its call runs again, once, with a `RuntimeWarning`.

        Raises
        ------
        Exception
            What a call raised; its cause tells where in the worker.
        WorkerDiedError
            If the same call was killed twice, or 16 workers of this pool in all.
        """
        if len(calls) > self.n_workers:
            raise ValueError(f"found {len(calls)} calls, expected at most {self.n_workers}: one for each worker")
        with self._lock:
            if self._closed:
                raise ValueError("the pool of processes is closed")
            if self._pid != os.getpid():  # in a forked child: the parent's workers are not ours
                self._finalizer.detach()
                self._start()
            with deferred_interrupt() as interrupted:
                try:
                    results = _Round(self, function, calls).run()
                except BaseException:
                    self._abandon()
                    raise
            if interrupted():
                raise KeyboardInterrupt
        for kind, found in results:
            if kind != RESULT:
                raise found[0] from RemoteTraceback(found[1])
        return [found for _, found in results]

    def _replace(self, k: int) -> int:
        """Put a new worker in the place of worker `k`, which was killed; returns the exit status of the old."""
        status = self._workers[k].end(1.0)
        self.deaths += 1
        if self.on_death is not None:
            self.on_death()
        self._workers[k] = _Worker(self._modules, self.n_workers)
        return status

    def _abandon(self) -> None:
        """Forget workers in the middle of calls: by force, others may wait for what never comes."""
        for worker in self._workers:
            worker.process.kill()
        self._finalizer()
        if not self._closed:
            self._start()

    def drop_blocks(self) -> None:
        """Let workers unmap all shared memory: it is freed once no array here is in use; calls map it again."""
        with self._lock:
            for worker in self._workers:
                with contextlib.suppress(OSError):
                    worker.drop_blocks()

    def close(self) -> None:
        """End the workers. Shared arrays stay valid here."""
        self._closed = True
        self._finalizer()

    def __enter__(self) -> ProcessPool:
        """Return the pool."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the workers."""
        self.close()


class _Round:
    """One run of a pool: calls under way, and what came of them."""

    def __init__(self, pool: ProcessPool, function: Callable, calls: Sequence[tuple]) -> None:
        self._pool, self._function, self._calls = pool, function, calls
        self._results: list = [None] * len(calls)
        self._tries = [0] * len(calls)
        self._learned: dict[str, int] = {}  # how often workers missed a module
        self._dumped, self._needs = self._dumps(function)

    def run(self) -> list[tuple[int, Any]]:
        """Send all calls and wait for all results."""
        workers, left = self._pool._workers, set(range(len(self._calls)))
        with selectors.DefaultSelector() as selector:
            for k in left:
                self._send(k)
                selector.register(workers[k].connection, selectors.EVENT_READ, k)
            while left:
                ready = [key.data for key, _ in selector.select(_LOOK)]
                dead = [] if ready else [k for k in left if workers[k].process.poll() is not None]
                for k in ready + dead:
                    connection = workers[k].connection
                    if self._ends(k, k in dead):
                        left.remove(k)
                    if k not in left or workers[k].connection is not connection:
                        selector.unregister(connection)
                    if k in left and workers[k].connection is not connection:
                        selector.register(workers[k].connection, selectors.EVENT_READ, k)
        return self._results

    def _ends(self, k: int, dead: bool) -> bool:
        """Take the reply of worker `k`, or see that it is gone; returns whether its call has ended."""
        try:
            if dead:
                raise EOFError
            kind, found = self._pool._workers[k].receive()
        except (EOFError, OSError):
            self._start_again(k)
            return False
        if kind == UNKNOWN_MODULE:
            if self._learn(found[0]):
                self._send(k)
                return False
            found = ModuleNotFoundError(f"No module named {found[0]!r}", name=found[0]), found[1]
        self._results[k] = kind, found
        return True

    def _dumps(self, obj: Any) -> tuple[bytes, dict]:
        """Pickle, with what some modules define by value."""
        modules = [sys.modules[name] for name in self._pool._by_value if name in sys.modules]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            return shared_memory.dumps(obj)
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)

    def _send(self, k: int) -> None:
        arguments, needs = self._dumps(tuple(self._calls[k]))
        with contextlib.suppress(OSError):  # the worker is gone: seen where its result is awaited
            self._pool._workers[k].send({**self._needs, **needs}, self._dumped, arguments)

    def _learn(self, name: str) -> bool:
        """Send what a module defines by value, if only this process can import it; returns whether that can help."""
        if name not in sys.modules:
            return False
        if name in self._pool._by_value and self._learned.get(name, 0) > len(self._calls):
            return False  # what refers to it is not ours to pickle
        self._learned[name] = self._learned.get(name, 0) + 1
        self._pool._by_value.add(name)
        self._dumped, self._needs = self._dumps(self._function)
        return True

    def _start_again(self, k: int) -> None:
        """Replace a worker that was killed, and let its call run again."""
        pool, pid = self._pool, self._pool._workers[k].process.pid
        self._tries[k] += 1
        status = pool._replace(k)
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        told = f"worker process {pid} ended ({how}) in the middle of a call"
        if self._tries[k] >= _TRIES or pool.deaths >= MOST_DEATHS:
            raise WorkerDiedError(
                f"{told}, as {pool.deaths - 1} before it in this pool: out of memory, or the function ends its process?"
            )
        warnings.warn(
            f"{told}: the call runs again from its start in a new one, and what it had done to shared arrays stays",
            RuntimeWarning,
            stacklevel=5,
        )
        self._send(k)
