"""A server of a MIX group: learns alone, mixes now and then, notices when its model is old, and fetches a new one.

What happens when things go wrong:

* The lock's session ends (its master is lost): the next one that wants a round goes on. Some members may have taken
  the lost round. Theirs is the newest version then; the others are told that they are obsolete and fetch it. Has nobody
  taken it, all still have what they said, and say it again. Has one taken it that nobody can reach, it is obsolete when
  it comes back. In every case a model says up to which round each server's diffs are in it (`included`), and a server
  keeps its cuts until no model can come that lacks them: each update counts once.
* All sessions end at once (the service is started anew), and a server that is back first leads a round alone: its model
  is another than the others'. None drops a cut while a former member is missing that may come back (`patience`).
* A master that was only slow: members answer no round that is older than one they have heard of.
* A member is silent: it is struck off the active servers, and obsolete as soon as it hears of it.
* All active servers are lost: with the list of active ones empty, the newest version among the members is gone on with.
  The same rule makes the first server active. A server that is older than what all members once had (a new one above
  all, after a restart of the coordination service has ended all sessions) waits a while for others first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hogwild.cluster.mix import protocol as say
from hogwild.cluster.mix.lineage import Lineage
from hogwild.cluster.mix.round import DEADLINE, RESEND, Round
from hogwild.cluster.mix.settings import MixSettings
from hogwild.cluster.protocol import Effect, Event, Finished, Recv, Send, SetTimer, Started, Stop, Timer, Told

MIX, LOCK, FETCH, DEMAND, REVIVE = "mix", "lock", "fetch", "demand", "revive"
HURRY = 10  # times sooner, when a client waits for the lock, or the server is to end


class MixServer:
    """The machine of one server.

    Parameters
    ----------
    node : str
    incarnation : int
        Which life of the node this is: one that starts anew has another.
    settings : MixSettings
    model : Mixable
        Nothing learnt yet, unless there is a lineage.
    coordination : str
        Node that carries messages to the coordination service.
    lineage : Lineage, optional
        Of the model, where that has a past: a file's, or that of a former process, out of its log.

    Attributes
    ----------
    lineage : Lineage
    active : bool
        Whether clients may be sent here.
    """

    def __init__(
        self,
        node: str,
        incarnation: int,
        settings: MixSettings,
        model: say.Mixable,
        coordination: str = say.COORDINATION,
        lineage: Lineage | None = None,
    ) -> None:
        self.node, self.settings, self.model = node, settings, model
        self.lineage = lineage or Lineage(f"{node}#{incarnation}", model)
        self._incarnation, self._coordination = incarnation, coordination
        self.active = False
        self._seen = self.lineage.heard  # the latest round heard of
        self._group = say.Group((), {})
        self._round: Round | None = None
        self._due = False  # a round is called for
        self._patient = True  # waits for newer models than its own
        self._current = False  # obsolete no more, only the next round is missing
        self._least = 0  # version that a fetched model must have
        self._fetches = 0
        self._demands: list[tuple[int, int]] = []  # tickets, and the latest round when they came
        self._replacements: list[say.Replace] = []
        self._stopping = self._left = False
        self._now = self._began = 0.0
        self._met: dict[str, float] = {}  # servers, and when they were last members, if that is not long ago

    def handle(self, now: float, event: Event | say.Updated | say.MixNow) -> list[Effect]:
        """Take one event."""
        self._now = now
        effects: list[Effect] = []
        waiting = self._take(event)
        while waiting:
            effect = waiting.pop(0)
            if isinstance(effect, Send) and effect.to == self.node:  # a master is a member: that arrives at once
                waiting[:0] = self._take(Recv(self.node, effect.message))
            else:
                effects.append(effect)
        return effects

    @property
    def version(self) -> int:
        """Round that made the model's master part."""
        return self.lineage.version

    @property
    def pending(self) -> int:
        """Updates that the master part lacks."""
        return self.lineage.pending

    @property
    def leads(self) -> bool:
        """Whether this server is master of a round."""
        return self._round is not None

    def _take(self, event: Any) -> list[Effect]:
        if self._left:
            return []
        if isinstance(event, Recv):
            return _HEARD[type(event.message)](self, event.message, event.source)
        if isinstance(event, Timer):
            return _TIMERS[event.name](self)
        return _EVENTS[type(event)](self, event)

    # ------------------------------------------------------------------------------------------- this server

    def _started(self, _: Started) -> list[Effect]:
        self._began = self._now
        return [*self._seek(), SetTimer(MIX, self.settings.interval_sec)]

    def _updated(self, event: say.Updated) -> list[Effect]:
        self.lineage.updates += event.count
        if self._due or not self.active or self.pending < self.settings.interval_count:
            return []
        return self._call()

    def _mix_now(self, event: say.MixNow) -> list[Effect]:
        self._demands.append((event.ticket, self._seen))
        return [*self._call(), SetTimer(DEMAND, 4 * self.settings.deadline)]

    def _replace(self, event: say.Replace) -> list[Effect]:
        self._replacements.append(event)
        return [*self._lock(), SetTimer(DEMAND, 4 * self.settings.deadline)]

    def _stop(self, _: Stop) -> list[Effect]:
        """Hand over what is not mixed in yet, then go."""
        self._stopping = True
        return self._ended() or [*self._call(), SetTimer(DEMAND, 4 * self.settings.deadline)]

    def _mix_timer(self) -> list[Effect]:
        sign = say.Announce(self.node, self.version) if self.active else say.Withdraw(self.node)
        signs = [self._ask(sign)] if self._group.members else []  # a session that has ended unnoticed is noticed
        return [*signs, *(self._call() if self.pending else []), SetTimer(MIX, self.settings.interval_sec)]

    def _demand_timer(self) -> list[Effect]:
        """Give up on those that wait."""
        tickets = [demand[0] for demand in [*self._demands, *self._replacements]]
        ended = [Told(say.MixEnded(ticket, False)) for ticket in tickets]
        self._demands, self._replacements = [], []
        return ended + (self._leave() if self._stopping else [])

    def _ended(self) -> list[Effect]:
        """Say which demands are met, and go if that was all that was missing."""
        if self._round is not None:
            return []
        met = [Told(say.MixEnded(ticket, True)) for ticket, seen in self._demands if seen < self.version]
        self._demands = [demand for demand in self._demands if demand[1] >= self.version]
        alone = self._group.members in ((), (self.node,))
        return met + (self._leave() if self._stopping and (alone or not self.pending) else [])

    def _leave(self) -> list[Effect]:
        self._left, self.active = True, False
        timers = [SetTimer(name, None) for name in _TIMERS]
        return [self._ask(say.Deregister(self.node)), *timers, Finished()]

    # ------------------------------------------------------------------------------------------- coordination

    def _ask(self, message: Any) -> Effect:
        return Send(self._coordination, message)

    def _wanted(self) -> bool:
        """Whether this server has a reason for a round."""
        if self.active or self._replacements:
            return bool(self._replacements) or (self._due and bool(self.pending or self._demands))
        group = self._group
        return self._current or (not group.actives and (self.version >= group.floor or not self._patient))

    def _call(self) -> list[Effect]:
        """Call for a round."""
        self._due = True
        return self._lock()

    def _lock(self) -> list[Effect]:
        if self._round is not None or self.node not in self._group.members or not self._wanted():
            return []
        return [self._ask(say.TryLock(self.node, self._seen)), SetTimer(LOCK, self.settings.retry)]

    def _revive_timer(self) -> list[Effect]:
        self._patient = False
        return self._lock()

    def _locked(self, message: say.Locked, _: str) -> list[Effect]:
        if self._round is not None:
            return []
        if message.round <= self._seen or not self._wanted():
            return [self._ask(say.Unlock(self.node, message.round))]
        replacing = bool(self._replacements)
        whole = not self._missing().difference(message.members)
        self._round = Round(
            self.node, self._coordination, message, self.settings.deadline, self.model.fold, replacing, whole
        )
        return self._round.begin()

    def _missing(self) -> set[str]:
        """Return servers that were members not long ago, or have a part in the model: they may only be on their way.

        One that has led a round alone, while the sessions of the others had ended, has another model than they. Until
        it is here again their cuts are needed.
        """
        since = self._now - self.settings.patience
        shared = {source.rpartition("#")[0] for source in self.lineage.included}
        lately = {node for node in shared.union(self._met) if self._met.get(node, self._began) > since}
        return lately.union(self._group.members)

    def _busy(self, _: say.Busy, __: str) -> list[Effect]:
        return [self._lock_later()]

    def _lock_later(self) -> Effect:
        """Ask for the lock again; soon where somebody waits for that."""
        hurried = self._demands or self._replacements or self._stopping
        return SetTimer(LOCK, self.settings.retry / (HURRY if hurried else 1))

    def _grouped(self, message: say.Group, _: str) -> list[Effect]:
        orphaned = bool(message.members) and not message.actives
        if orphaned and (self._group.actives or not self._group.members):
            self._patient, timers = True, [SetTimer(REVIVE, self.settings.patience)]
        else:
            timers = [] if orphaned else [SetTimer(REVIVE, None)]
        self._meet(message.members)
        self._group = message
        return timers if self.active or self._current else [*timers, *self._seek()]

    def _session_lost(self, _: say.SessionLost, __: str) -> list[Effect]:
        """Be obsolete: nobody asks a server without a session, and the others may have gone on."""
        if not self._group.members:  # known, and registered again
            return []
        self._meet(())
        self._group = say.Group((), {})
        return [*self._abandon(), *self._fall(0), *self._seek()]

    def _meet(self, members: tuple[str, ...]) -> None:
        """Note who was a member up to now, and who is from now on."""
        self._met |= dict.fromkeys((*self._group.members, *members), self._now)
        since = self._now - self.settings.patience
        self._met = {node: seen for node, seen in self._met.items() if seen > since}

    def _expelled(self, message: say.Expelled, _: str) -> list[Effect]:
        if self.version < message.round:
            self._seen = max(self._seen, message.round)
            return [*self._fall(message.round), *self._seek()]
        return [self._ask(say.Announce(self.node, self.version))] if self.active else []  # the answer was lost

    # ------------------------------------------------------------------------------------------- as a member

    def _asked_diff(self, message: say.GetDiff, source: str) -> list[Effect]:
        if message.round < self._seen:
            return [Send(source, say.Overtaken(self._seen))]
        if message.round > self._seen:
            self._seen = message.round
            self.lineage.cut(message.round)
        own, diff = self.lineage, self.lineage.cuts.contribution(message.round)
        answer = say.Diff(message.round, self.node, own.source, own.version, self.active, diff, own.seeded)
        return [Send(source, answer)]

    def _put(self, message: say.PutDiff, source: str) -> list[Effect]:
        if message.round < self._seen:
            return [Send(source, say.Overtaken(self._seen))]
        self._seen = message.round
        if self.version not in (message.base, message.round):
            return [Send(source, say.Mixed(message.round, self.node, False)), *self._fall(message.round), *self._seek()]
        if self.version == message.base:
            self.lineage.put(message)
            unmet = any(seen >= self.version for _, seen in self._demands)
            self._due = unmet or self._stopping or self.pending >= self.settings.interval_count
        return [*self._rise(message.round, source), *self._ended()]

    def _rise(self, round: int, master: str) -> list[Effect]:
        stands = [] if self.active else [Told(say.Standing(True, self.version))]
        self.active, self._current = True, False
        announced = self._ask(say.Announce(self.node, self.version))
        return [*stands, announced, Send(master, say.Mixed(round, self.node, True))]

    def _install(self, message: say.Install, source: str) -> list[Effect]:
        """Put the first of the models that are to replace everybody's in place; else the seed."""
        if source != self.node or self._round is None or self._round.number != message.round:
            return []
        told: list[Effect] = []
        if self._replacements:
            wanted = self._replacements.pop(0)
            if not wanted.change():
                return [Told(say.MixEnded(wanted.ticket, False)), *self._abandon()]
            self.lineage.replaced(message.round)
            told = [Told(say.MixEnded(wanted.ticket, True))]
        else:
            self.lineage.install(message.round)
        return [*told, *self._rise(message.round, source)]

    def _told_obsolete(self, message: say.Obsolete, source: str) -> list[Effect]:
        if message.round < self._seen:
            return [Send(source, say.Overtaken(self._seen))]
        self._seen = message.round
        answer = Send(source, say.Mixed(message.round, self.node, False))
        return [answer] if self.version == message.round else [answer, *self._fall(message.round), *self._seek()]

    def _fall(self, least: int) -> list[Effect]:
        """Be obsolete, until a model of at least that version is here and the next round is taken."""
        stood, self.active, self._current, self._least, self._fetches = self.active, False, False, least, 0
        return [self._ask(say.Withdraw(self.node)), Told(say.Standing(False, self.version))] if stood else []

    def _seek(self) -> list[Effect]:
        """Ask an active server for its model; where there is none, for the lock."""
        if self.active or self._current:
            return []
        again = SetTimer(FETCH, self.settings.retry)
        if not self._group.members:
            return [self._ask(say.Register(self.node, self._incarnation)), again]
        others = [node for node in self._group.actives if node != self.node]
        if not others:
            return [*self._lock(), again]
        self._fetches += 1
        if self._fetches > 2 * len(others) + 2:  # nobody who can be reached has taken that round
            self._least = 0
        node = others[(self._fetches + self._incarnation) % len(others)]
        return [Send(node, say.GetModel(self.node, self._least, self.version)), again]

    def _asked_model(self, message: say.GetModel, source: str) -> list[Effect]:
        if not self.active or self.version < message.least:
            return []
        full = self.model.full() if self.version > message.have else None
        own = self.lineage
        return [Send(source, say.Model(self.node, own.version, full, own.included, own.forgotten))]

    def _fetched(self, message: say.Model, _: str) -> list[Effect]:
        if self.active or self._current or message.version < self._least:
            return []
        if message.version > self.version:
            if message.full is None:  # an answer to an older question
                return []
            self.lineage.take(message)
            self._seen = max(self._seen, self.version)
        self._current = True
        return [SetTimer(FETCH, None), self._lock_later()]

    # ------------------------------------------------------------------------------------------- as master

    def _diff(self, message: say.Diff, _: str) -> list[Effect]:
        return self._led(message.round, lambda round: round.diff(message))

    def _mixed(self, message: say.Mixed, _: str) -> list[Effect]:
        return self._led(message.round, lambda round: round.mixed(message))

    def _overtaken(self, message: say.Overtaken, _: str) -> list[Effect]:
        self._seen = max(self._seen, message.seen)
        return self._abandon() if self._round is not None and message.seen > self._round.number else []

    def _abandon(self) -> list[Effect]:
        return self._led(self._round.number, Round.abandon) if self._round is not None else []

    def _led(self, number: int, step: Callable[[Round], list[Effect]]) -> list[Effect]:
        """Carry the round on; at its end, what has come meanwhile may call for the next."""
        if self._round is None or self._round.number != number:
            return []
        effects = step(self._round)
        if self._round.over:
            self._round = None
            effects = [*effects, self._lock_later(), *self._ended()]
        return effects

    def _round_timer(self) -> list[Effect]:
        return self._led(self._round.number, Round.deadline) if self._round is not None else []

    def _resend_timer(self) -> list[Effect]:
        return self._round.resend() if self._round is not None else []


_EVENTS = {
    Started: MixServer._started,
    say.Updated: MixServer._updated,
    say.MixNow: MixServer._mix_now,
    say.Replace: MixServer._replace,
    Stop: MixServer._stop,
}
_TIMERS = {
    MIX: MixServer._mix_timer,
    LOCK: MixServer._lock,
    FETCH: MixServer._seek,
    DEMAND: MixServer._demand_timer,
    REVIVE: MixServer._revive_timer,
    DEADLINE: MixServer._round_timer,
    RESEND: MixServer._resend_timer,
}
_HEARD = {
    say.GetDiff: MixServer._asked_diff,
    say.PutDiff: MixServer._put,
    say.Obsolete: MixServer._told_obsolete,
    say.Install: MixServer._install,
    say.GetModel: MixServer._asked_model,
    say.Model: MixServer._fetched,
    say.Diff: MixServer._diff,
    say.Mixed: MixServer._mixed,
    say.Overtaken: MixServer._overtaken,
    say.Group: MixServer._grouped,
    say.Locked: MixServer._locked,
    say.Busy: MixServer._busy,
    say.SessionLost: MixServer._session_lost,
    say.Expelled: MixServer._expelled,
}
