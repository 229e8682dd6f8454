"""The last minutes and the whole life of a service, in bounded memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

EVERY = 1.0


class Sample(NamedTuple):
    """What a service had done at a moment.

    Attributes
    ----------
    time : float
        As `time.time` has it.
    learnt : int
    mean, recent : float or None
        Progressive accuracy (classifiers) or error (regressions): over all trials, and over the last ones.
    """

    time: float
    learnt: int
    mean: float | None
    recent: float | None


class Event(NamedTuple):
    """A server came into the group, or left it."""

    time: float
    node: str
    joined: bool


class Life:
    """Samples of a whole life: where they are too many, every other one goes, and half as many come from then on.

    Parameters
    ----------
    room : int
        Samples that are kept at most.
    """

    def __init__(self, room: int = 512) -> None:
        self._room = room
        self._every = 1
        self._count = 0
        self.samples: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Add the next one."""
        if self._count % self._every == 0:
            if len(self.samples) == self._room:
                del self.samples[1::2]
                self._every *= 2
            if self._count % self._every == 0:
                self.samples.append(sample)
        self._count += 1


class History:
    """What a service did.

    Parameters
    ----------
    service : Service
    clock : callable
        The time, as `time.time` has it.

    Attributes
    ----------
    last : deque of Sample
        Of the last minutes.
    life : Life
    events : deque of Event
    """

    def __init__(self, service: Any, clock: Callable[[], float] = time.time) -> None:
        self._service = service
        self._clock = clock
        self._members: frozenset[str] | None = None
        self.last: deque[Sample] = deque(maxlen=300)
        self.life = Life()
        self.events: deque[Event] = deque(maxlen=100)

    async def watch(self) -> None:
        """Take samples until cancelled."""
        while True:
            self.take()
            await asyncio.sleep(EVERY)

    def take(self) -> None:
        """Take a sample, and note who came and who left since the last."""
        now = self._clock()
        figures = self._service.figures
        sample = Sample(now, figures.learnt, figures.trials.mean, figures.trials.recent_mean)
        self.last.append(sample)
        self.life.add(sample)
        group = self._service.group
        members = frozenset(group.figures.members) if group is not None else frozenset()
        if self._members is not None:  # those that were there before are no news
            self.events.extend(Event(now, node, True) for node in sorted(members - self._members))
            self.events.extend(Event(now, node, False) for node in sorted(self._members - members))
        if members or self._members is not None:
            self._members = members

    def rates(self) -> list[tuple[float, float]]:
        """Return times, and examples a second since the time before."""
        return [
            (after.time, (after.learnt - before.learnt) / (after.time - before.time))
            for before, after in pairwise(self.last)
            if after.time > before.time  # clocks are set back at times
        ]

    def rate(self, seconds: float = 60.0) -> float:
        """Return the examples a second of the last while."""
        if len(self.last) < 2:
            return 0.0
        newest = self.last[-1]
        oldest = next(sample for sample in self.last if sample.time >= newest.time - seconds)
        span = newest.time - oldest.time
        return (newest.learnt - oldest.learnt) / span if span > 0 else 0.0
