"""Machines that need no data: a coordinator that counts, workers that add to a shard through jobs."""

import os
import signal
import time
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.protocol import (
    COORDINATOR,
    Compute,
    Computed,
    Finish,
    Finished,
    Lost,
    Persist,
    Persisted,
    Recv,
    Send,
    SetTimer,
    Start,
    Started,
    Stop,
    Timer,
    Told,
    View,
)
from hogwild.cluster.ray.host import Parts

SHARD = "shard/0/0"


class Add(NamedTuple):
    """Worker to shard: number `clock` of mine."""

    worker: str
    clock: int
    values: np.ndarray


class Added(NamedTuple):
    """Shard to worker."""

    clock: int


class Enough(NamedTuple):
    """Worker to coordinator: I have had so many of mine added."""

    worker: str
    clock: int


class Counting:
    """Ends the job when the workers have had `rounds` of theirs added, each once; has lost nodes started again."""

    def __init__(self, workers: int, rounds: int) -> None:
        self.views = SimpleNamespace(view=View(0, {}, (SHARD,), (None,), {}))
        self.done, self.lost, self.stopped = {}, [], False
        self._workers, self._rounds = workers, rounds

    def handle(self, now, event):
        match event:
            case Lost(node):
                self.lost.append(node)
                return [Start(node), Told(("lost", node))]
            case Recv(_, Enough(worker, clock)):
                self.done[worker] = max(clock, self.done.get(worker, 0))
                effects = [Told((worker, clock))]
                if len(self.done) >= self._workers and all(clock >= self._rounds for clock in self.done.values()):
                    return [*effects, *self._end()]
                return effects
            case Stop():
                self.stopped = True
                return self._end()
        return []

    def _end(self):
        return [*(Send(node, Finish()) for node in [SHARD, *self.done]), Finished()]


class Adding:
    """Asks for a job, sends what it gives to the shard, repeats it until it is answered."""

    def __init__(self, node: str, rounds: int) -> None:
        self.node, self.clock, self.rounds, self.sent = node, 0, rounds, None

    def handle(self, now, event):
        match event:
            case Started():
                return [Compute(0, 0)]
            case Computed(_, result):
                self.sent = Add(self.node, self.clock + 1, result)
                return self._send()
            case Timer():
                return self._send()
            case Recv(_, Added(clock)) if clock == self.clock + 1:
                self.clock = clock
                effects = [SetTimer("resend", None), Send(COORDINATOR, Enough(self.node, clock))]
                if clock < self.rounds:
                    return [*effects, Compute(clock, clock)]
                return [*effects, SetTimer("enough", 0.1)]
            case Recv(_, Finish()):
                return [Finished()]
        return []

    def _send(self):
        if self.clock >= self.rounds:
            return [Send(COORDINATOR, Enough(self.node, self.clock)), SetTimer("enough", 0.1)]
        return [Send(SHARD, self.sent), SetTimer("resend", 0.1)]


class Summing:
    """Adds what it is sent, each (worker, clock) once; writes itself down after every one."""

    def __init__(self, node: str, restored: Any, persists: bool) -> None:
        self.total, self.clocks, self.number, self.persists = np.zeros(3), {}, 0, persists
        if restored is not None:
            about, arrays = restored
            self.clocks, self.number, self.total = about["clocks"], about["number"], arrays["total"]

    def handle(self, now, event):
        match event:
            case Recv(worker, Add(_, clock, values)):
                if clock <= self.clocks.get(worker, 0):
                    return [Send(worker, Added(clock))]
                self.clocks[worker] = clock
                self.total = self.total + values[:3]
                if not self.persists:
                    return [Send(worker, Added(clock))]
                self.number += 1
                return [Persist(self.number, {"clocks": dict(self.clocks), "number": self.number}, self.read())]
            case Persisted():
                return [Send(worker, Added(clock)) for worker, clock in self.clocks.items()]
            case Recv(_, Finish()):
                return [Finished()]
        return []

    def read(self):
        return {"total": self.total}


class Make:
    """Makes the parts of a node; jobs take `seconds` and may fail."""

    def __init__(self, rounds: int, seconds: float = 0.0, size: int = 3, persists=False, trouble=None) -> None:
        self.rounds, self.seconds, self.size, self.persists, self.trouble = rounds, seconds, size, persists, trouble

    def __call__(self, node, threads, incarnation, restored):
        if node.startswith("shard"):
            machine = Summing(node, restored, self.persists)
            return Parts(machine, read=machine.read)
        return Parts(Adding(node, self.rounds), run=self.run)

    def run(self, job):
        if self.trouble == "raises":
            raise ArithmeticError("found nonsense")
        if self.trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return np.ones(self.size)
