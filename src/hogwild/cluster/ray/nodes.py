"""Actors: one for each worker and shard, and the mailbox of the coordinator, which is a machine in the driver.

The coordinator lives in the driver because Ray ends a job's actors with its driver anyway: an actor of its own would be
one more process to lose and no more robust. What workers and shards tell it goes through a mailbox, an actor without
state that Ray may restart at any time: whatever is lost with it is repeated by the senders' timers.

Ray's own restarts (`max_restarts`) bring an actor back empty and do its last calls again. Nodes are therefore never
restarted by Ray: the driver starts new actors in their place, which read their newest checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import ray

from hogwild.cluster.protocol import COORDINATOR, Persist, Recv, Started
from hogwild.cluster.ray.host import Hooks, Host, Parts
from hogwild.cluster.ray.metrics import NodeMetrics

# node, threads, incarnation, (about, arrays) of the checkpoint to start from or None
Make = Callable[[str, int, int, tuple[dict, dict] | None], Parts]
Restore = Callable[[str], tuple[dict, dict] | None]  # node: the checkpoint to start from


class Failed(NamedTuple):
    """Node to driver: this went wrong."""

    error: BaseException


class ShardFigures(NamedTuple):
    """What a shard has applied, left out, and how stale it was."""

    pushes: int
    duplicates: int
    staleness: dict[int, int]


class Figures(NamedTuple):
    """What a node has done, for the report."""

    sent: int
    sent_bytes: int
    computing: float
    shard: ShardFigures | None = None


@ray.remote(num_cpus=0, max_restarts=-1, max_concurrency=1000)
class Mailbox:
    """Messages to the coordinator, until the driver takes them."""

    def __init__(self) -> None:
        self._mail: list[tuple[str, Any]] = []
        self._full: asyncio.Event | None = None

    @ray.method(num_returns=0)
    async def put(self, source: str, message: Any) -> None:
        """Leave a message."""
        self._mail.append((source, message))
        if self._full is not None:
            self._full.set()

    async def take(self, seconds: float) -> list[tuple[str, Any]]:
        """Wait for mail, `seconds` at most, and take all of it."""
        if not self._mail:
            self._full = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), seconds)
            self._full = None
        taken, self._mail = self._mail, []
        return taken


class Node:
    """What an actor of a worker or of a shard does: Ray allows no subclasses of actors, so it is a plain class.

    Parameters
    ----------
    node : str
    make : callable
        Makes the machine and what it runs on.
    threads, incarnation : int
    mailbox : actor handle
    checkpoints : Checkpoints, optional
        Where its snapshots go.
    restore : callable, optional
        Gives the checkpoint to start from.
    """

    def __init__(
        self,
        node: str,
        make: Make,
        threads: int,
        incarnation: int,
        mailbox: Any,
        checkpoints: Any = None,
        restore: Restore | None = None,
    ) -> None:
        self.node, self._make, self._threads, self._incarnation = node, make, threads, incarnation
        self._mailbox, self._checkpoints, self._restore = mailbox, checkpoints, restore
        self._book: dict[str, Any] = {}
        self._host: Host | None = None
        self._metrics = NodeMetrics(node)

    async def begin(self, book: dict[str, Any]) -> int:
        """Make the machine, from its checkpoint if there is one, and start it; returns the process id."""
        self._book.update(book)
        loop = asyncio.get_running_loop()
        parts = await loop.run_in_executor(None, self._parts)  # kernels may have to be compiled
        persist = self._persist if self._checkpoints is not None else None
        self._host = Host(self.node, parts, Hooks(self._send, self._fail, persist))
        self._host.deliver(Started())
        return os.getpid()

    def meet(self, book: dict[str, Any]) -> None:
        """Take over where other nodes are."""
        self._book.update(book)

    def recv(self, source: str, message: Any) -> None:
        """Deliver a message; what comes before the machine stands is lost, and will be repeated."""
        if self._host is not None:
            self._host.deliver(Recv(source, message))

    async def ended(self) -> Figures:
        """Wait for the end of this node's work: the driver learns from this call if the actor dies."""
        await self._host.finished.wait()
        return self.figures()

    def figures(self) -> Figures:
        """Return what has been done so far."""
        host, machine = self._host, self._host.parts.machine
        shard = None
        if hasattr(machine, "staleness"):
            shard = ShardFigures(machine.version, machine.duplicates, dict(machine.staleness))
        return Figures(host.sent, host.sent_bytes, host.computing, shard)

    def read(self) -> dict[str, Any]:
        """Return all that a shard holds."""
        return self._host.parts.read()

    def _parts(self) -> Parts:
        restored = None if self._restore is None else self._restore(self.node)
        return self._make(self.node, self._threads, self._incarnation, restored)

    def _persist(self, effect: Persist) -> None:
        self._checkpoints.write(self.node, effect.number, effect.about, effect.state)

    def _send(self, to: str, message: Any) -> None:
        self._metrics.sent(self._host.sent_bytes)
        if to == COORDINATOR:
            self._mailbox.put.remote(self.node, message)
        elif to in self._book:
            self._book[to].recv.remote(self.node, message)

    def _fail(self, error: BaseException) -> None:
        self._mailbox.put.remote(self.node, Failed(portable(error)))


@ray.remote(num_cpus=0, max_restarts=0)
class NodeActor:
    """A worker or a shard: every method is `Node`'s, which says what it does."""

    def __init__(self, *arguments: Any) -> None:
        self._node = Node(*arguments)

    async def begin(self, book: dict[str, Any]) -> int:
        """Start the machine."""
        return await self._node.begin(book)

    @ray.method(num_returns=0)
    async def meet(self, book: dict[str, Any]) -> None:
        """Take over where other nodes are."""
        self._node.meet(book)

    @ray.method(num_returns=0)
    async def recv(self, source: str, message: Any) -> None:
        """Take a message; nobody waits for this call, and it parks nothing."""
        self._node.recv(source, message)

    async def ended(self) -> Figures:
        """Wait for the end of this node's work."""
        return await self._node.ended()

    async def figures(self) -> Figures:
        """Return what has been done so far."""
        return self._node.figures()

    async def read(self) -> dict[str, Any]:
        """Return all that a shard holds."""
        return self._node.read()


def portable(error: BaseException) -> BaseException:
    """Return the exception if it can travel, else one that says the same."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
