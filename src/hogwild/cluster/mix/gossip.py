"""A server of a group without rounds: it exchanges changes with others, pair by pair, and everybody gets them in time.

For models whose changes can be taken in any order and more than once, such as rows of which the latest one counts. Each
change belongs to an owner (one life of a server) and has that owner's next number. What a model has is then said by one
number for each owner, and what another one lacks follows from two such summaries: no lock, no master, no versions.

An exchange is three messages: a summary; what that one lacks, with the other's summary; what the other lacks. Losing,
doubling or delaying any of them costs time only.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from hogwild.cluster.mix import protocol as say
from hogwild.cluster.mix.settings import MixSettings
from hogwild.cluster.protocol import Effect, Event, Finished, Recv, Send, SetTimer, Started, Stop, Timer, Told

MIX, SEEK, EXCHANGE = "mix", "seek", "exchange"

Choice = Literal["random", "broadcast", "skip"]


class Gossiped(Protocol):
    """A model whose changes are numbered by owner."""

    def summary(self) -> dict[str, int]:
        """Return the number of the last change that is here, for each owner: all before it are here as well."""
        ...

    def since(self, summary: dict[str, int]) -> Any:
        """Return the changes that a model with that summary lacks."""
        ...

    def merge(self, changes: Any) -> int:
        """Take over what is new here among changes; return how many that were."""
        ...


class Ask(NamedTuple):
    """Server to another: tell me what I lack."""

    number: int
    summary: dict[str, int]


class Give(NamedTuple):
    """The answer: changes, and what I have."""

    number: int
    changes: Any
    summary: dict[str, int]
    active: bool


class Push(NamedTuple):
    """Server to another: what you lack."""

    number: int
    changes: Any


class Taken(NamedTuple):
    """The answer: it is here."""

    number: int


def _one(others: list[str], node: str, chance: random.Random) -> list[str]:
    return [chance.choice(others)]


def _all(others: list[str], node: str, chance: random.Random) -> list[str]:
    return others


def _skipping(others: list[str], node: str, chance: random.Random) -> list[str]:
    """Return the neighbours at distances 1, 2, 4, ... in the ring of sorted names."""
    ring = sorted([*others, node])
    place = ring.index(node)
    distances = [1 << power for power in range(len(ring).bit_length()) if 1 << power < len(ring)]
    return [ring[(place + distance) % len(ring)] for distance in distances]


CHOICES: dict[str, Callable[[list[str], str, random.Random], list[str]]] = {
    "random": _one,
    "broadcast": _all,
    "skip": _skipping,
}


class GossipServer:
    """The machine of one server; events, effects and what is told are those of `MixServer`.

    Parameters
    ----------
    node : str
    incarnation : int
    settings : MixSettings
        `interval_count` and `interval_sec` say when to exchange, `deadline` how long to wait for the others.
    model : Gossiped
    coordination : str
    choice : {"random", "broadcast", "skip"}
        With whom: one drawn at random; all active servers; those at distances 1, 2, 4, ... in the ring of names, which
        reach everybody in as many exchanges as the logarithm of their number.

    Attributes
    ----------
    active : bool
        Whether clients may be sent here: what another active server had is here.
    """

    def __init__(
        self,
        node: str,
        incarnation: int,
        settings: MixSettings,
        model: Gossiped,
        coordination: str = say.COORDINATION,
        choice: Choice = "random",
    ) -> None:
        self.node, self.settings, self.model = node, settings, model
        self.source, self._incarnation, self._coordination = f"{node}#{incarnation}", incarnation, coordination
        self.active = False
        self.pending = 0  # updates since the last exchange
        self._choose, self._chance = CHOICES[choice], random.Random(self.source)
        self._group = say.Group((), {})
        self._number = 0
        self._open: dict[int, str] = {}  # exchanges under way, with whom
        self._demands: list[int] = []
        self._failed = self._stopping = self._left = False

    leads = False

    @property
    def version(self) -> int:
        """Changes that are here: what servers with the same one have may differ."""
        return sum(self.model.summary().values())

    def handle(self, now: float, event: Event | say.Updated | say.MixNow) -> list[Effect]:
        """Take one event."""
        if self._left:
            return []
        if isinstance(event, Recv):
            return _HEARD.get(type(event.message), GossipServer._ignored)(self, event.message, event.source)
        if isinstance(event, Timer):
            return _TIMERS[event.name](self)
        return _EVENTS[type(event)](self, event)

    # ------------------------------------------------------------------------------------------- this server

    def _started(self, _: Started) -> list[Effect]:
        return [*self._seek(), SetTimer(MIX, self.settings.interval_sec)]

    def _updated(self, event: say.Updated) -> list[Effect]:
        self.pending += event.count
        return self._exchange() if self.pending >= self.settings.interval_count and not self._open else []

    def _mix_now(self, event: say.MixNow) -> list[Effect]:
        self._demands.append(event.ticket)
        return self._exchange()

    def _stop(self, _: Stop) -> list[Effect]:
        """Hand over what others may lack, then go."""
        self._stopping = True
        return self._exchange(self._others())

    def _mix_timer(self) -> list[Effect]:
        """Exchange even where nothing was learnt here: others may have what nobody has sent here yet."""
        sign = say.Announce(self.node, self.version) if self.active else say.Withdraw(self.node)
        signs = [self._ask(sign)] if self._group.members else []  # a session that has ended unnoticed is noticed
        return [*signs, *self._exchange(), SetTimer(MIX, self.settings.interval_sec)]

    # ------------------------------------------------------------------------------------------- coordination

    def _ask(self, message: Any) -> Send:
        return Send(self._coordination, message)

    def _grouped(self, message: say.Group, _: str) -> list[Effect]:
        first, self._group = not self._group.members, message
        return self._seek() if first else []

    def _session_lost(self, _: say.SessionLost, __: str) -> list[Effect]:
        self._group = say.Group((), {})
        return [self._ask(say.Register(self.node, self._incarnation)), SetTimer(SEEK, self.settings.retry)]

    def _seek(self) -> list[Effect]:
        """Be registered; then be active, at once where nobody else is, otherwise with an active server's changes."""
        if not self._group.members:
            return [self._ask(say.Register(self.node, self._incarnation)), SetTimer(SEEK, self.settings.retry)]
        if self.active:
            announced = self.node in self._group.actives
            return [] if announced else [self._ask(say.Announce(self.node, self.version))]
        others = self._others()
        if not others:
            return self._rise()
        return [*self._exchange([self._chance.choice(others)]), SetTimer(SEEK, self.settings.retry)]

    def _rise(self) -> list[Effect]:
        self.active = True
        return [
            SetTimer(SEEK, None),
            self._ask(say.Announce(self.node, self.version)),
            Told(say.Standing(True, self.version)),
        ]

    # ------------------------------------------------------------------------------------------- exchanges

    def _others(self) -> list[str]:
        return sorted(self._group.actives.keys() - {self.node})

    def _exchange(self, partners: list[str] | None = None) -> list[Effect]:
        others = self._others()
        if partners is None:
            partners = self._choose(others, self.node, self._chance) if others else []
        self.pending = 0 if partners else self.pending
        effects = [effect for partner in partners for effect in self._with(partner)]
        return [*effects, SetTimer(EXCHANGE, self.settings.deadline)] if effects else self._ended()

    def _with(self, partner: str) -> list[Effect]:
        self._number += 1
        self._open[self._number] = partner
        return [Send(partner, Ask(self._number, self.model.summary()))]

    def _asked(self, message: Ask, source: str) -> list[Effect]:
        changes = self.model.since(message.summary)
        return [Send(source, Give(message.number, changes, self.model.summary(), self.active))]

    def _given(self, message: Give, source: str) -> list[Effect]:
        self.model.merge(message.changes)
        rises = self._rise() if not self.active and message.active and self._group.members else []
        return [*rises, Send(source, Push(message.number, self.model.since(message.summary)))]

    def _pushed(self, message: Push, source: str) -> list[Effect]:
        self.model.merge(message.changes)
        return [Send(source, Taken(message.number))]

    def _taken(self, message: Taken, _: str) -> list[Effect]:
        self._open.pop(message.number, None)
        return [] if self._open else [SetTimer(EXCHANGE, None), *self._ended()]

    def _exchange_timer(self) -> list[Effect]:
        """Wait no longer: the next exchange carries what this one did not."""
        self._failed = bool(self._open)
        self._open.clear()
        return self._ended()

    def _ended(self) -> list[Effect]:
        told: list[Effect] = [Told(say.MixEnded(ticket, not self._failed)) for ticket in self._demands]
        self._demands, self._failed = [], False
        if not self._stopping:
            return told
        self._left, self.active = True, False
        timers = [SetTimer(name, None) for name in _TIMERS]
        return [*told, self._ask(say.Deregister(self.node)), *timers, Finished()]

    def _ignored(self, _: Any, __: str) -> list[Effect]:
        return []


_EVENTS = {
    Started: GossipServer._started,
    say.Updated: GossipServer._updated,
    say.MixNow: GossipServer._mix_now,
    Stop: GossipServer._stop,
}
_TIMERS = {
    MIX: GossipServer._mix_timer,
    SEEK: GossipServer._seek,
    EXCHANGE: GossipServer._exchange_timer,
}
_HEARD = {
    Ask: GossipServer._asked,
    Give: GossipServer._given,
    Push: GossipServer._pushed,
    Taken: GossipServer._taken,
    say.Group: GossipServer._grouped,
    say.SessionLost: GossipServer._session_lost,
}
