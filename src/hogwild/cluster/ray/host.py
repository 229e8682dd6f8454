"""What carries one machine within an event loop: messages, timers, jobs beside the loop, snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.protocol import (
    Compute,
    Computed,
    Effect,
    Event,
    Fail,
    Finished,
    Machine,
    Persist,
    Persisted,
    Send,
    SetTimer,
    Start,
    Timer,
    Told,
)


class Parts(NamedTuple):
    """What a node is made of.

    Attributes
    ----------
    machine : Machine
    run : callable, optional
        Runs a job of `Compute`: a workload's `run`.
    read : callable, optional
        Returns everything that a shard holds, as arrays: a store's `snapshot`.
    """

    machine: Machine
    run: Callable[[Any], Any] | None = None
    read: Callable[[], dict[str, np.ndarray]] | None = None


class Hooks(NamedTuple):
    """Where effects that leave the node go; `fail` takes the exception of a job, a snapshot or the machine itself."""

    send: Callable[[str, Any], None]
    fail: Callable[[BaseException], None]
    persist: Callable[[Persist], None] | None = None  # called in a thread of its own
    start: Callable[[str], None] | None = None
    told: Callable[[Any], None] | None = None


class JobError(RuntimeError):
    """A job on the cluster that could not go on."""


class Host:
    """Delivers events to a machine and carries out its effects; lives in one event loop.

    Jobs and snapshots run in a thread each, so that messages are answered while kernels run.

    Attributes
    ----------
    sent, sent_bytes : int
        Messages, and bytes of arrays in them.
    computing : float
        Seconds in jobs.
    finished : asyncio.Event
    """

    def __init__(self, node: str, parts: Parts, hooks: Hooks) -> None:
        self.node, self.parts = node, parts
        self.sent = self.sent_bytes = 0
        self.computing = 0.0
        self.finished = asyncio.Event()
        self._hooks, self._loop = hooks, asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._jobs = ThreadPoolExecutor(1, thread_name_prefix=f"{node} jobs")
        self._snapshots = ThreadPoolExecutor(1, thread_name_prefix=f"{node} snapshots")
        self._tasks: set[asyncio.Task] = set()
        self._closed = False

    def deliver(self, event: Event) -> None:
        """Let the machine take an event, and carry out what it asks for, in that order."""
        if self._closed:
            return
        try:
            for effect in self.parts.machine.handle(time.monotonic(), event):
                self._carry_out(effect)
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """Drop timers and whatever still runs."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._jobs.shutdown(wait=False, cancel_futures=True)
        self._snapshots.shutdown(wait=False, cancel_futures=True)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self.sent += 1
                self.sent_bytes += size_of(message)
                self._hooks.send(to, message)
            case SetTimer(name, delay):
                self._set_timer(name, delay)
            case Compute(ticket, job):
                self._aside(self._compute(ticket, job))
            case Persist():
                self._aside(self._persist(effect))
            case Start(node):
                self._hooks.start(node)
            case Told(what):
                if self._hooks.told is not None:
                    self._hooks.told(what)
            case Finished():
                self.finished.set()
            case Fail(reason):
                self._give_up(JobError(reason))

    def _set_timer(self, name: str, delay: float | None) -> None:
        running = self._timers.pop(name, None)
        if running is not None:
            running.cancel()
        if delay is not None:
            self._timers[name] = self._loop.call_later(delay, self._ring, name)

    def _ring(self, name: str) -> None:
        del self._timers[name]
        self.deliver(Timer(name))

    def _aside(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps weak references only
        task.add_done_callback(self._tasks.discard)

    async def _compute(self, ticket: int, job: Any) -> None:
        began = time.monotonic()
        try:
            result = await self._loop.run_in_executor(self._jobs, self.parts.run, job)
        except Exception as error:
            self._give_up(error)
            return
        self.computing += time.monotonic() - began
        self.deliver(Computed(ticket, result))

    async def _persist(self, effect: Persist) -> None:
        try:
            if self._hooks.persist is not None:
                await self._loop.run_in_executor(self._snapshots, self._hooks.persist, effect)
        except Exception as error:
            self._give_up(error)
            return
        self.deliver(Persisted(effect.number))

    def _give_up(self, error: BaseException) -> None:
        if not self._closed:
            self._hooks.fail(error)


def size_of(message: Any) -> int:
    """Bytes of the arrays in a message."""
    if isinstance(message, np.ndarray):
        return message.nbytes
    if isinstance(message, tuple | list):
        return sum(map(size_of, message))
    if isinstance(message, dict):
        return sum(map(size_of, message.values()))
    return 0
