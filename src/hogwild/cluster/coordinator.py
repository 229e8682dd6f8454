"""Membership: who takes part, under which epoch, on which rows, at which shards; and when the job is over.

Nothing here is about parameters. A worker is a member of the view exactly while it holds leases, so that nobody ever
waits for one that has nothing to do. Whoever is lost, silent or far too slow is taken out of the view: its chunks go to
others, its clock counts no more, and if it comes back it joins under a new epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from hogwild.cluster.ledger import Ledger
from hogwild.cluster.phases import PhaseLength, paced
from hogwild.cluster.protocol import (
    Advanced,
    Checkpointed,
    Chunk,
    Effect,
    EpochEnded,
    Event,
    Evicted,
    Fail,
    Finish,
    Finished,
    Happened,
    Join,
    Joined,
    Leases,
    Lost,
    Members,
    MembersSet,
    Moved,
    Persisted,
    Pong,
    Progress,
    Recv,
    Saved,
    Send,
    SetTimer,
    ShardUp,
    Start,
    Started,
    Stats,
    Stop,
    Synced,
    Timer,
    Told,
    Wait,
)
from hogwild.cluster.saving import Saving
from hogwild.cluster.settings import JobSettings, number_of
from hogwild.cluster.views import Views

AHEAD = 2  # phases of rows that a worker holds leases on
RATE_MEMORY = 0.5  # weight of the rate so far, beside that of the newest phase


@dataclass
class _Member:
    """A worker in the view, or on its way into it."""

    attempt: tuple[int, int]
    epoch: int
    joined: bool = False
    clock: int = -1
    held: list[int] = field(default_factory=list)  # leases, in the order in which they were granted
    planned: dict[int, int] = field(default_factory=dict)  # positions that its present phase goes to
    order: int = 0
    told: tuple = ()  # what its last `Leases` said
    view: int = 0
    heard: float = 0.0
    rate: float = 0.0  # rows a second of its jobs
    stats: Stats = field(default_factory=Stats)


class Coordinator:
    """The one that leases, admits and evicts.

    Parameters
    ----------
    settings : JobSettings
    chunks : sequence of Chunk
    turns : int
        Passes over the data.
    seed : int
        Of the order of chunks.
    restored : dict, optional
        What the coordinator of an earlier run had written.

    Attributes
    ----------
    ledger : Ledger
    length : PhaseLength
    views : Views
    evictions : list of (worker, reason)
    totals : dict of str to Stats
        By worker, over all of its epochs.
    """

    def __init__(
        self, settings: JobSettings, chunks: Sequence[Chunk], turns: int, seed: int = 0, restored: dict | None = None
    ) -> None:
        self.settings = settings
        self.ledger = Ledger(chunks, turns, seed)
        self.length = PhaseLength(settings, self.ledger.rows)
        self._share = self.ledger.rows / (8 * settings.workers)  # rows that may be leased between two reports
        self.views = Views(settings)
        self.evictions: list[tuple[str, str]] = []
        self.totals: dict[str, Stats] = {}
        self.losses: dict[int, list[float]] = {}  # by turn: sums of weight and loss
        self._members: dict[str, _Member] = {}
        self._waiting: dict[str, tuple[int, int]] = {}  # workers without work, by their last attempt
        self._attempts: dict[str, tuple[int, int]] = {}  # the last that was answered
        self._typical_rate, self._rates_due = 0.0, 0  # rows a second of the median worker, for pacing
        self._ended = 0
        self._heard = 0.0
        self._saving = Saving()
        self._stopping = self.finished = False
        if restored is not None:
            self.ledger.restore(restored["ledger"])
            self.length.rows = settings.phase_rows or restored["phase_rows"]
            self.losses = {int(turn): sums for turn, sums in restored["losses"].items()}
            self._ended = restored["ended"]
            self._saving = Saving(restored["number"])
        self._handlers = {
            Progress: self._progress,
            Join: self._join,
            MembersSet: self._members_set,
            ShardUp: self._shard_up,
            Pong: self._pong,
            Synced: self._synced,
            Saved: self._saved,
        }

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Take one event."""
        if isinstance(event, Started):
            self._heard = self._saving.last = now
            return [SetTimer("tick", self.settings.heartbeat)]
        if self.finished:
            answers = isinstance(event, Recv) and isinstance(event.message, Join | Progress)
            return [Send(event.source, Finish())] if answers else []
        if isinstance(event, Recv):
            handler = self._handlers.get(type(event.message))
            return handler(now, event.message) if handler else []
        if isinstance(event, Timer):
            return self._tick(now) if event.name == "tick" else self.views.tell()
        if isinstance(event, Lost):
            return self._lost(now, event.node)
        if isinstance(event, Persisted):
            return self._checkpointed(now) if self._saving.own(event.number) else []
        if isinstance(event, Stop):
            self._stopping = True
            return self._end(now)
        return []

    # ------------------------------------------------------------------------------------------ joining

    def _change_view(self, **changes: tuple) -> list[Effect]:
        return self.views.change({worker: member.epoch for worker, member in self._members.items()}, **changes)

    def _members_set(self, now: float, message: MembersSet) -> list[Effect]:
        if not self.views.took(now, message):
            return []
        reached = self.views.reached()
        effects: list[Effect] = []
        for worker, member in self._members.items():
            if not member.joined and member.epoch <= reached:
                effects += self._welcome(now, worker, member)
        return effects + (self._admit(now) if reached == self.views.number else [])

    def _join(self, now: float, message: Join) -> list[Effect]:
        worker, attempt = message.worker, message.attempt
        self._heard = now
        if attempt < self._attempts.get(worker, (-1, -1)):
            return []
        member = self._members.get(worker)
        effects: list[Effect] = []
        if member is not None:
            if member.attempt == attempt:
                member.heard = now
                return [self._joined(worker, member)] if member.joined else []
            effects = self._drop(now, worker, "joins again")
        self._attempts[worker] = self._waiting[worker] = attempt
        admitted = self._admit(now)
        return [*effects, *admitted, *([Send(worker, Wait())] if worker in self._waiting else [])]

    def _admit(self, now: float) -> list[Effect]:
        """Take in those who wait, as far as there are rows for them; all at once, when no view is on its way."""
        if not self._waiting or self._stopping or self.views.reached() < max(self.views.number, 0):
            return []
        effects: list[Effect] = []
        taken = False
        for worker in list(self._waiting):
            member = _Member(self._waiting[worker], self.views.number + 1, heard=now)
            self._members[worker] = member
            effects += self._grant(now, worker, member)
            if not member.held:
                del self._members[worker]
                if self.settings.leases:
                    break
                continue
            del self._waiting[worker]
            taken = True
        return [*effects, *self._change_view()] if taken else effects

    def _welcome(self, now: float, worker: str, member: _Member) -> list[Effect]:
        """Tell a worker that all shards know it now."""
        member.joined, member.heard = True, now
        member.clock = self.views.clock()
        member.view = member.epoch
        member.told = self._terms(worker, member)
        return [self._joined(worker, member), Told(Happened("joined", worker, now))]

    def _joined(self, worker: str, member: _Member) -> Send:
        leases = Leases(member.epoch, *member.told, member.order)
        return Send(worker, Joined(member.attempt, member.clock, self.views.view.primaries, leases))

    def _drop(self, now: float, worker: str, why: str) -> list[Effect]:
        """Take a worker out: its rows are free again. The view is changed by the caller."""
        member = self._members.pop(worker)
        for number in member.held:
            if number in self.ledger.leases:
                self.ledger.give_back(number)
        self._add_totals(worker, member)
        self.length.forget(worker)
        self.evictions.append((worker, why))
        return [Told(Happened(why, worker, now))]

    def _evict(self, now: float, worker: str, why: str) -> list[Effect]:
        effects = self._drop(now, worker, why)
        return [*effects, *self._change_view(), *self._admit(now)]

    def _add_totals(self, worker: str, member: _Member) -> None:
        before, now = self.totals.get(worker, Stats()), member.stats
        self.totals[worker] = Stats(
            *(a + b for a, b in zip(before[:-2], now[:-2], strict=True)), now.constant, now.kept
        )

    # ------------------------------------------------------------------------------------------ leases

    def _rows_for(self, member: _Member) -> int:
        return paced(self.length.rows, member.rate, self._typical_rate) if self.settings.leases else self.length.rows

    def _grant(self, now: float, worker: str, member: _Member) -> list[Effect]:
        """Lease rows for the next phases, as far as there are any; an idle worker takes from the slowest."""
        effects: list[Effect] = []
        until_heard = min(AHEAD * member.rate * self.settings.progress_every, self._share)
        wanted = max(AHEAD * self._rows_for(member), until_heard)
        rows = sum(self.ledger.left(number, member.planned.get(number, 0)) for number in member.held)
        while rows < wanted and not self._stopping:
            lease = self.ledger.lease(self._accepts(worker))
            if lease is None:
                if member.held or not self.settings.leases:
                    break
                victim = self._take_from_slowest(now, worker)
                if victim is None:
                    break
                effects += self._tell_leases(victim, self._members[victim], changed=True)
                continue
            member.held.append(lease.number)
            rows += lease.stop - lease.start
        return effects

    def _accepts(self, worker: str):
        if self.settings.leases:
            return None
        own, workers = number_of(worker), self.settings.workers
        alive = {number_of(each) % workers for each in (*self._members, *self._waiting)}
        return lambda chunk: chunk % workers == own % workers or chunk % workers not in alive

    def _take_from_slowest(self, now: float, worker: str) -> str | None:
        """Free half of what is left of the worker that would need longest; returns that worker."""
        longest, victim = 0.0, None
        for name, member in self._members.items():
            spare = self._spare(now, member)
            seconds = spare / member.rate if member.rate > 0 else 0.0
            if name != worker and seconds > longest and spare >= self._rows_for(member):
                longest, victim = seconds, name
        if victim is None:
            return None
        member = self._members[victim]
        number, spare = member.held[-1], self._spare(now, member)
        lease = self.ledger.leases[number]
        if spare == lease.stop - lease.start:
            member.held.pop()
            self.ledger.give_back(number)
        elif not self.ledger.split(number, lease.stop - spare):
            return None
        return victim

    def _spare(self, now: float, member: _Member) -> int:
        """Rows of a worker's last lease that it cannot have begun since it was heard."""
        begun, spare = round(member.rate * (now - member.heard)) + self._rows_for(member), 0
        for number in member.held:
            left = self.ledger.left(number, member.planned.get(number, 0))
            spare, begun = max(0, left - begun), max(0, begun - left)
        return spare

    def _terms(self, worker: str, member: _Member) -> tuple:
        leases = tuple(self.ledger.leases[number] for number in member.held)
        return leases, self._rows_for(member)

    def _tell_leases(
        self, worker: str, member: _Member, *, repeat: bool = False, changed: bool = False
    ) -> list[Effect]:
        """Tell a worker what it holds, if that is news to it."""
        if not member.joined:
            return []
        terms = self._terms(worker, member)
        known = {(lease.number, lease.stop) for lease in member.told[0]}
        changed = changed or any((lease.number, lease.stop) not in known for lease in terms[0])
        if changed or abs(terms[1] - member.told[1]) * 8 > member.told[1]:
            member.order += 1
            member.told = terms
        elif not repeat:
            return []
        return [Send(worker, Leases(member.epoch, *member.told, member.order))]

    def _progress(self, now: float, message: Progress) -> list[Effect]:
        worker = message.worker
        self._heard = now
        member = self._members.get(worker)
        if member is None or member.epoch != message.epoch:
            known = member.epoch if member is not None else self.views.number
            return [Send(worker, Evicted(message.epoch))] if message.epoch <= known else []
        member.heard = now
        effects = self._count(now, worker, member, message)
        if self.finished or self._stopping:
            return effects
        if message.computing is not None and self._too_long(message.computing):
            return [*effects, *self._evict(now, worker, "too slow")]
        if self._members.get(worker) is not member:
            return effects
        effects += self._grant(now, worker, member)
        if not member.held:
            return [*effects, *self._retire(now, worker, member)]
        effects += self._tell_leases(worker, member, repeat=message.order < member.order)
        if message.view < member.view:
            effects.append(Send(worker, Moved(self.views.view.primaries, member.view)))
        return effects

    def _count(self, now: float, worker: str, member: _Member, message: Progress) -> list[Effect]:
        """Take over what a worker has done since it was heard last."""
        before, stats = member.stats, message.stats
        if stats.phases < before.phases or (stats.phases == before.phases and message.clock < member.clock):
            return []
        rows = stats.rows - before.rows
        member.stats = stats
        if rows > 0 and stats.compute > before.compute:
            rate = rows / (stats.compute - before.compute)
            member.rate = RATE_MEMORY * member.rate + (1 - RATE_MEMORY) * rate if member.rate else rate
            self._rates_due -= 1
            if self._rates_due <= 0:  # a median of a thousand for every message of a thousand workers would be slow
                rates = [each.rate for each in self._members.values() if each.rate > 0]
                self._typical_rate, self._rates_due = median(rates) if len(rates) > 1 else 0.0, len(rates) // 8
        fresh = self.ledger.done.copy()
        member.planned = {number: planned for number, _, planned in message.done}
        for number, position, _ in message.done:
            lease = self.ledger.leases.get(number)
            if number not in member.held or lease is None:
                continue
            if position > lease.start:
                turn, new = self.ledger.reach(number, position)
                sums = self.losses.setdefault(turn, [0.0, 0.0])
                if rows > 0:
                    sums[0] += (stats.weight - before.weight) * new / rows
                    sums[1] += (stats.loss - before.loss) * new / rows
            if number not in self.ledger.leases:
                member.held.remove(number)
        stepped = sum(self.ledger.done.values()) - sum(fresh.values())
        self.ledger.twice += max(0, rows - stepped)
        if rows <= 0:
            return []
        self.length.report(worker, stats, self._members, now)
        return [self._advanced(now), *self._end_turns(now)]

    def _advanced(self, now: float) -> Told:
        done, turn = sum(self.ledger.done.values()), min(self._ended + 1, self.ledger.turns)
        weight, loss = self.losses.get(turn, (0.0, 0.0))
        return Told(Advanced(done, turn, weight, loss, self.length.rows, len(self._members), now))

    def _end_turns(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._ended < self.ledger.turns and self.ledger.done.get(self._ended + 1, 0) >= self.ledger.rows:
            self._ended += 1
            weight, loss = self.losses.get(self._ended, (0.0, 0.0))
            effects.append(Told(EpochEnded(self._ended, loss / weight if weight else 0.0, self.ledger.rows, now)))
        return [*effects, *(self._end(now) if self.ledger.complete else [])]

    def _retire(self, now: float, worker: str, member: _Member) -> list[Effect]:
        """Take a worker out that there are no rows for; it asks again."""
        del self._members[worker]
        self._add_totals(worker, member)
        self.length.forget(worker)
        gone = Leases(member.epoch, (), self.length.rows, member.order + 1)
        return [Send(worker, gone), *self._change_view()]

    # ------------------------------------------------------------------------------------------ shards

    def _shard_up(self, now: float, message: ShardUp) -> list[Effect]:
        name, views = message.node, self.views
        if not views.started(now, message):
            return [Send(name, Members(views.view))] if views.number >= 0 and views.up(name) else []
        if views.number < 0:
            return self._change_view() if views.complete() else []
        k = number_of(name)
        if views.view.primaries[k] != name:
            return self._change_view(**views.with_backup(k, name))
        if views.can_promote(k):
            return self._promote(now, k)
        effects: list[Effect] = [Told(Happened("restored" if message.restored else "started empty", name, now))]
        for worker in list(self._members):  # what they have pushed since the checkpoint is lost there
            effects += self._drop(now, worker, "shard restored")
        return [*effects, *self._change_view(), *self._admit(now)]

    def _promote(self, now: float, k: int) -> list[Effect]:
        """Make the backup of shard k its primary, and tell the workers."""
        effects = [Told(Happened("promoted", self.views.view.backups[k], now))]
        effects += self._change_view(**self.views.promoted(k))
        for worker, member in self._members.items():
            member.view = self.views.number
            if member.joined:
                effects.append(Send(worker, Moved(self.views.view.primaries, member.view)))
        return effects

    def _shard_lost(self, now: float, name: str) -> list[Effect]:
        self.views.lost(name)
        k, view = number_of(name), self.views.view
        effects: list[Effect] = [Told(Happened("lost", name, now)), Start(name)]
        if view.primaries[k] == name:
            return [*effects, *(self._promote(now, k) if self.views.can_promote(k) else [])]
        return [*effects, *(self._change_view(**self.views.with_backup(k, None)) if view.backups[k] == name else [])]

    def _synced(self, now: float, message: Synced) -> list[Effect]:
        self.views.synced(message)
        return []

    def _pong(self, now: float, message: Pong) -> list[Effect]:
        self.views.pong(now, message)
        return []

    # ------------------------------------------------------------------------------------------ time

    def _tick(self, now: float) -> list[Effect]:
        settings = self.settings
        effects: list[Effect] = [SetTimer("tick", settings.heartbeat)]
        for worker, member in list(self._members.items()):
            if now - member.heard > settings.worker_timeout:
                effects += self._drop(now, worker, "silent")
        if self.views.view.members.keys() - self._members.keys():
            effects += [*self._change_view(), *self._admit(now)]
        for name in self.views.silent(now):
            effects += self._shard_lost(now, name)
        effects += [*self.views.pings(), *map(Start, self.views.missed(now))]
        if now - self._heard > settings.give_up:
            return [*effects, Fail(f"no worker has been heard from for {settings.give_up:g} s")]
        if self._saving.under_way:
            return effects + self._saving.ask(self.views.view.primaries)
        every = settings.checkpoint_every
        if every is not None and now - self._saving.last >= every and self.views.reached() >= 0:
            effects += self._save(now)
        return effects

    def _too_long(self, seconds: float) -> bool:
        if seconds <= self.settings.compute_timeout:
            return False
        spent = [each.stats.compute / each.stats.phases for each in self._members.values() if each.stats.phases]
        return seconds > self.settings.patience * (median(spent) if spent else 0.0)

    def _lost(self, now: float, node: str) -> list[Effect]:
        if node in self._members:
            return [*self._evict(now, node, "lost"), Start(node)]
        if node in self.views:
            return self._shard_lost(now, node) if self.views.up(node) else []
        if node.startswith("worker/"):
            self._waiting.pop(node, None)
            return [Start(node)]
        return []

    # ------------------------------------------------------------------------------------------ checkpoints, the end

    def _save(self, now: float) -> list[Effect]:
        about = {
            "ledger": self.ledger.about(),
            "phase_rows": self.length.rows,
            "losses": {str(turn): sums for turn, sums in self.losses.items()},
            "ended": self._ended,
        }
        return self._saving.begin(now, about, self.views.view.primaries)

    def _saved(self, now: float, message: Saved) -> list[Effect]:
        return self._checkpointed(now) if self._saving.saved(message) else []

    def _checkpointed(self, now: float) -> list[Effect]:
        effects: list[Effect] = [Told(Checkpointed(self._saving.number, now))]
        return [*effects, *self._finish(now)] if self._stopping else effects

    def _end(self, now: float) -> list[Effect]:
        """End the job: after a last checkpoint, where there are any."""
        self._stopping = True
        if self.settings.checkpoint_every is not None and self.views.reached() >= 0:
            return self._save(now)
        return self._finish(now)

    def _finish(self, now: float) -> list[Effect]:
        self.finished = True
        for worker, member in self._members.items():
            self._add_totals(worker, member)
        told = {**self._waiting, **self._members}
        return [*(Send(worker, Finish()) for worker in told), SetTimer("tick", None), Finished()]
