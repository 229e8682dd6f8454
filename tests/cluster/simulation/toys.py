"""Small machines that try the simulator itself: ping-pong, a counter with a disk, a lamp with a timer."""

from __future__ import annotations

from typing import NamedTuple

from hogwild.cluster.protocol import (
    Compute,
    Computed,
    Finished,
    Lost,
    Persist,
    Persisted,
    Recv,
    Send,
    SetTimer,
    Start,
    Started,
    Timer,
)


class Ball(NamedTuple):
    number: int


class Player:
    """Returns every ball with the next number, and serves again when none has come for a while."""

    def __init__(self, other: str, serves: bool, until: int = 100) -> None:
        self.other, self.serves, self.until = other, serves, until
        self.seen: list[tuple[float, int]] = []
        self.number = 0

    def handle(self, now, event):
        if isinstance(event, Started):
            return self._serve() if self.serves else []
        if isinstance(event, Timer):
            return self._serve()
        if isinstance(event, Recv):
            self.seen.append((now, event.message.number))
            if event.message.number >= self.until:
                return [Finished()]
            if event.message.number >= self.number:
                self.number = event.message.number + 1
                return self._serve()
        return []

    def _serve(self):
        return [Send(self.other, Ball(self.number)), SetTimer("again", 1.0)]


class Saver:
    """Writes a snapshot with every tick; what it was started with shows what stood on disk."""

    def __init__(self, disk, starts) -> None:
        self.disk, self.starts, self.number = disk, starts, 0 if disk is None else disk.number
        self.standing: list[int] = []

    def handle(self, now, event):
        if isinstance(event, Started):
            return [SetTimer("tick", 1.0)]
        if isinstance(event, Persisted):
            self.standing.append(event.number)
            return []
        self.number += 1
        return [Persist(self.number, {}, {}), SetTimer("tick", 1.0)]


class Boss:
    """Has whatever was lost started again; finishes when it is told to."""

    def __init__(self, until: float = 50.0) -> None:
        self.until, self.lost = until, []

    def handle(self, now, event):
        if isinstance(event, Started):
            return [SetTimer("end", self.until)]
        if isinstance(event, Lost):
            self.lost.append((now, event.node))
            return [Start(event.node)]
        return [Finished()] if isinstance(event, Timer) else []


class Labourer:
    """Hands out jobs to itself, one beside the other."""

    def __init__(self, jobs: tuple) -> None:
        self.jobs, self.done = jobs, []

    def handle(self, now, event):
        if isinstance(event, Started):
            return [Compute(ticket, job) for ticket, job in enumerate(self.jobs)]
        if isinstance(event, Computed):
            self.done.append((now, event.ticket, event.result))
        return []


class Alarm:
    """Sets the timers that it is given at its start; notes those that fire."""

    def __init__(self, effects: list) -> None:
        self.effects, self.fired = effects, []

    def handle(self, now, event):
        if isinstance(event, Started):
            return list(self.effects)
        if isinstance(event, Timer):
            self.fired.append((round(now, 9), event.name))
        return []
