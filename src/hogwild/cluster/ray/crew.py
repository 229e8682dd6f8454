"""The actors of a job: where they are, what becomes of them, others in place of lost ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from hogwild.cluster.ray.host import JobError
from hogwild.cluster.ray.nodes import Figures, Make, NodeActor, Restore
from hogwild.cluster.ray.places import Places, on
from hogwild.cluster.settings import number_of, worker_node

_GROWTH = 5.0  # seconds between looks for nodes that have joined
_DEATHS, _WITHIN = 5, 60.0  # a node that dies so often within so many seconds is not started again
_PATIENCE = 60.0  # seconds for the values of a shard


class Nursery(NamedTuple):
    """What new nodes are made with.

    Attributes
    ----------
    make : dict of str to callable
        Makes the parts of a node, in its actor: by the first part of its name, ``"worker"`` and ``"shard"``.
    checkpoints : ShardSnapshots, optional
        Where nodes write snapshots.
    resumed, restore : callable, optional
        What gives the nodes their first state; what gives it to those that are started in place of lost ones.
    """

    make: dict[str, Make]
    checkpoints: Any = None
    resumed: Restore | None = None
    restore: Restore | None = None


class Crew:
    """Actors of all workers and shards; lives in the event loop of its job.

    Parameters
    ----------
    nursery : Nursery
    places : Places
    mailbox : actor handle
    spawn : callable
        Starts a task.
    lost, fail : callable
        Told of nodes that died, and of what ends the job.

    Attributes
    ----------
    book : dict of str to actor handle
    pids : dict of str to int
    figures : dict of str to Figures
        What nodes had done when they ended.
    """

    def __init__(
        self,
        nursery: Nursery,
        places: Places,
        mailbox: Any,
        spawn: Callable[[Coroutine], None],
        lost: Callable[[str], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.book: dict[str, Any] = {}
        self.pids: dict[str, int] = {}
        self.figures: dict[str, Figures] = {}
        self._nursery, self._places, self._mailbox = nursery, places, mailbox
        self._spawn, self._lost, self._fail = spawn, lost, fail
        self._made = {kind: ray.put(make) for kind, make in nursery.make.items()}
        self._incarnations: dict[str, int] = {}
        self._deaths: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_DEATHS))
        self._without_place: list[str] = []
        self._why = ""

    def start_all(self, shards: list[str]) -> None:
        """Start the first nodes; all know all others from the start."""
        for node in [*shards, *map(worker_node, range(self._places.workers))]:
            self._create(node, self._nursery.resumed)
        for node in list(self.book):
            self._watch(node)
        self._spawn(self._grow())

    def start(self, node: str) -> None:
        """Start a node anew, in place of whatever is left of it."""
        old = self.book.pop(node, None)
        if old is not None:
            with contextlib.suppress(RayError):
                ray.kill(old)
        deaths = self._deaths[node]
        if len(deaths) == _DEATHS and deaths[-1] - deaths[0] < _WITHIN:
            self._fail(JobError(f"{node} died {_DEATHS} times within {deaths[-1] - deaths[0]:.0f} s: {self._why}"))
        elif self._create(node, self._nursery.restore):
            for other, actor in self.book.items():
                if other != node:
                    actor.meet.remote({node: self.book[node]})
            self._watch(node)

    def start_another(self) -> None:
        """Start one more worker."""
        taken = [number_of(node) for node in [*self._incarnations, *self._without_place] if node.startswith("worker/")]
        self.start(worker_node(max(taken, default=-1) + 1))

    def send(self, source: str, to: str, message: Any) -> None:
        """Send a message; it is lost if nobody of that name is there."""
        if to in self.book:
            self.book[to].recv.remote(source, message)

    def dismiss(self) -> None:
        """End all actors."""
        for actor in self.book.values():
            with contextlib.suppress(RayError):
                ray.kill(actor)

    # ------------------------------------------------------------------------------------------ one actor

    def _create(self, node: str, restore: Restore | None) -> bool:
        """Make an actor for a node; False if there is no room for it."""
        found = self._places.choose(node)
        if found is None:
            self._without_place.append(node)
            return False
        place, threads, cores = found
        incarnation = self._incarnations[node] = self._incarnations.get(node, -1) + 1
        # a call that waits counts: `ended` alone does, so this is more than enough
        actor = NodeActor.options(
            scheduling_strategy=on(place), num_cpus=cores, max_concurrency=2 * self._places.workers + 16
        )
        made = self._made[node.partition("/")[0]]
        self.book[node] = actor.remote(
            node, made, threads, incarnation, self._mailbox, self._nursery.checkpoints, restore
        )
        return True

    def _watch(self, node: str) -> None:
        self._spawn(self._see_to(node, self.book[node]))

    async def _see_to(self, node: str, actor: Any) -> None:
        """Begin a node's work and learn of its end: a call that stays open tells within 10 ms that an actor died."""
        try:
            self.pids[node] = await actor.begin.remote(dict(self.book))
            while True:
                try:
                    self.figures[node] = await actor.ended.remote()
                    return
                except ActorUnavailableError:  # out of reach for now: the coordinator's own timers say how long
                    await asyncio.sleep(1.0)
        except RayTaskError as error:
            self._fail(error.cause if isinstance(getattr(error, "cause", None), Exception) else error)
        except RayError as error:
            if self.book.get(node) is not actor:
                return
            why = " ".join(str(error).split())
            self._why = why if len(why) < 700 else f"{why[:200]} ... {why[-500:]}"  # the cause stands at the end
            self._deaths[node].append(time.monotonic())
            self._lost(node)

    async def _grow(self) -> None:
        """Start workers on nodes that have joined the cluster."""
        while True:
            await asyncio.sleep(_GROWTH)
            more = await asyncio.get_running_loop().run_in_executor(None, self._places.grow)
            waiting, self._without_place = self._without_place, []
            for node in waiting:
                self.start(node)
            for _ in range(more - len(waiting)):
                self.start_another()

    # ------------------------------------------------------------------------------------------ the end

    async def ask_figures(self) -> None:
        """Ask what has been done of all nodes that have not said so."""
        rest = [node for node in self.book if node not in self.figures]
        asked = (asyncio.wait_for(_figures(self.book[node]), 2.0) for node in rest)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        self.figures |= {node: got for node, got in zip(rest, answers, strict=True) if isinstance(got, Figures)}

    async def values(self, *nodes: str | None) -> dict[str, np.ndarray]:
        """Values of a shard from the first of its nodes that answers, else from its newest checkpoint."""
        for node in filter(None, nodes):
            try:
                found = await asyncio.wait_for(_read(self.book[node]), _PATIENCE)
            except (RayError, TimeoutError, KeyError):
                continue
            return {name: np.array(array) for name, array in found.items()}  # Ray's memory goes with Ray
        restore = self._nursery.restore
        saved = restore(nodes[0]) if restore is not None else None
        if saved is None:
            raise JobError(f"{nodes[0]} was lost after the last row, and there is neither a copy nor a checkpoint")
        return saved[1]


async def _figures(actor: Any) -> Figures:
    return await actor.figures.remote()


async def _read(actor: Any) -> dict[str, Any]:
    return await actor.read.remote()
