"""A job: the coordinator's machine in the driver, its mail, its user."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError

from hogwild.cluster.protocol import COORDINATOR, Checkpointed, Lost, Machine, Persist, Recv, Started, Stop
from hogwild.cluster.ray.crew import Crew, Nursery
from hogwild.cluster.ray.host import Hooks, Host, Parts
from hogwild.cluster.ray.nodes import Failed, Figures, Mailbox, Make
from hogwild.cluster.ray.places import Places, here
from hogwild.engine.interrupt import deferred_interrupt

_LOOK = 0.05  # seconds between looks for Ctrl-C
_MAIL = 10.0  # seconds that a question for mail waits at most
_PATIENCE = 60.0  # seconds for the end after Ctrl-C


class Job:
    """Runs a coordinator and the nodes that it works with until it says that the job is over.

    Parameters
    ----------
    coordinator : Machine
        With the attribute ``views``.
    nursery : Nursery or callable
        What nodes are made with; a callable makes the parts of workers and shards alike.
    shards : list of str
        Names of all shard nodes.
    places : Places
    persist : callable, optional
        Takes the coordinator's own snapshots.
    saved : callable, optional
        Called with the number of each checkpoint that is complete, before anything else happens.
    """

    def __init__(
        self,
        coordinator: Machine,
        nursery: Nursery | Make,
        shards: list[str],
        places: Places,
        *,
        persist: Callable[[Persist], None] | None = None,
        saved: Callable[[int], None] | None = None,
    ) -> None:
        self.coordinator = coordinator
        if not isinstance(nursery, Nursery):
            nursery = Nursery({"worker": nursery, "shard": nursery})
        self._nursery, self._shards, self._places = nursery, shards, places
        self._persist, self._saved = persist, saved
        self._tasks: set[asyncio.Task] = set()
        self._said: queue.SimpleQueue = queue.SimpleQueue()
        self._begun = threading.Event()

    @property
    def figures(self) -> dict[str, Figures]:
        """What the nodes had done at the end."""
        return self._crew.figures

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the nodes that have begun, for tests."""
        return self._crew.pids

    def run(self, told: Callable[[Any], object]) -> tuple[list[dict[str, np.ndarray]], bool]:
        """Run to the end; `told` is called in this thread and ends the job early by returning something true.

        Returns
        -------
        values : list of dict of ndarray
            What each shard holds at the end.
        interrupted : bool
            Whether Ctrl-C ended it.
        """
        outcome: list[Any] = []
        thread = threading.Thread(target=self._in_thread, args=(outcome,), name="hogwild job", daemon=True)
        thread.start()
        try:
            interrupted = self._follow(thread, told)
        except BaseException as error:
            self._from_outside(self._fail, error)
            raise
        finally:
            thread.join()
        if isinstance(outcome[0], BaseException):
            if interrupted:
                raise KeyboardInterrupt(f"interrupted; there is no model: {outcome[0]}")
            raise outcome[0]
        return outcome[0], interrupted

    def add_worker(self) -> None:
        """Start one more worker, on the node that has the most cores for it; any thread may ask."""
        self._places.add()
        self._from_outside(lambda: self._crew.start_another())

    def _follow(self, thread: threading.Thread, told: Callable[[Any], object]) -> bool:
        """Pass on what the coordinator tells, until the job has ended; returns whether Ctrl-C ended it."""
        stopped, interrupted, deadline = False, False, float("inf")
        with deferred_interrupt() as pressed:
            while thread.is_alive() or not self._said.empty():
                with contextlib.suppress(queue.Empty):
                    if told(self._said.get(timeout=_LOOK)) and not stopped:
                        stopped = True
                        self._from_outside(self._stop)
                if pressed() and not interrupted:
                    interrupted, deadline = True, time.monotonic() + _PATIENCE
                    self._from_outside(self._stop)
                if time.monotonic() > deadline:
                    raise KeyboardInterrupt("interrupted; the nodes did not come to an end: there is no model")
        return interrupted

    def _from_outside(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have something done in the loop's thread."""
        self._begun.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    # ------------------------------------------------------------------------------------------ inside the loop

    def _in_thread(self, outcome: list[Any]) -> None:
        try:
            outcome.append(asyncio.run(self._main()))
        except BaseException as error:
            outcome.append(error)
        finally:
            self._begun.set()

    async def _main(self) -> list[dict[str, np.ndarray]]:
        self._loop = asyncio.get_running_loop()
        self._failed = self._loop.create_future()
        self._mailbox = Mailbox.options(scheduling_strategy=here()).remote()
        self._crew = Crew(self._nursery, self._places, self._mailbox, self._spawn, self._lost, self._fail)
        hooks = Hooks(self._send, self._fail, self._persist, self._crew.start, self._tell)
        self._host = Host(COORDINATOR, Parts(self.coordinator), hooks)
        self._begun.set()
        try:
            self._crew.start_all(self._shards)
            self._host.deliver(Started())
            self._spawn(self._post())
            await self._until_finished()
            view = self.coordinator.views.view
            nodes = zip(view.primaries, view.backups, strict=True)
            values = [await self._crew.values(*each) for each in nodes]
            await self._crew.ask_figures()
            return values
        finally:
            self._host.close()
            for task in self._tasks:
                task.cancel()
            self._crew.dismiss()
            with contextlib.suppress(RayError):
                ray.kill(self._mailbox)

    async def _until_finished(self) -> None:
        finished = asyncio.ensure_future(self._host.finished.wait())
        await asyncio.wait([finished, self._failed], return_when=asyncio.FIRST_COMPLETED)
        finished.cancel()
        if self._failed.done():
            raise self._failed.result()

    async def _post(self) -> None:
        """Deliver the coordinator's mail."""
        while True:
            try:
                letters = await self._mailbox.take.remote(_MAIL)
            except RayError:  # Ray is starting it anew
                await asyncio.sleep(0.2)
                continue
            for source, message in letters:
                if isinstance(message, Failed):
                    self._fail(message.error)
                else:
                    self._host.deliver(Recv(source, message))

    def _tell(self, what: Any) -> None:
        if isinstance(what, Checkpointed) and self._saved is not None:
            self._saved(what.number)
        self._said.put(what)

    def _send(self, to: str, message: Any) -> None:
        self._crew.send(COORDINATOR, to, message)

    def _lost(self, node: str) -> None:
        if not self._host.finished.is_set():
            self._host.deliver(Lost(node))

    def _stop(self) -> None:
        self._host.deliver(Stop())

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_result(error)

    def _spawn(self, work: Coroutine) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fail(task.exception())
