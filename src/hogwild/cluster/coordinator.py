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
    Persist,
    Persisted,
    Ping,
    Pong,
    Progress,
    Recv,
    Save,
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
    View,
    Wait,
)
from hogwild.cluster.settings import JobSettings, number_of, shard_node

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
    order: int = 0
    told: tuple = ()  # what its last `Leases` said
    view: int = 0
    heard: float = 0.0
    rate: float = 0.0  # rows a second of its jobs
    stats: Stats = field(default_factory=Stats)


@dataclass
class _Node:
    """A shard node."""

    incarnation: int
    heard: float
    view: int = -1  # the last that it has taken over
    clock: int = 0
    up: bool = True


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
    view : View
    evictions : list of (worker, reason)
    totals : dict of str to Stats
        By worker, over all of its epochs.
    shard_stats : dict of str to Pong
    """

    def __init__(
        self, settings: JobSettings, chunks: Sequence[Chunk], turns: int, seed: int = 0, restored: dict | None = None
    ) -> None:
        self.settings = settings
        self.ledger = Ledger(chunks, turns, seed)
        self.length = PhaseLength(settings, self.ledger.rows)
        primaries = tuple(shard_node(k, 0) for k in range(settings.shards))
        backups = tuple(shard_node(k, 1) if settings.replicas == 2 else None for k in range(settings.shards))
        self.view = View(-1, {}, primaries, backups, {})
        self.evictions: list[tuple[str, str]] = []
        self.totals: dict[str, Stats] = {}
        self.shard_stats: dict[str, Pong] = {}
        self.losses: dict[int, list[float]] = {}  # by turn: sums of weight and loss
        self._members: dict[str, _Member] = {}
        self._waiting: dict[str, tuple[int, int]] = {}  # workers without work, by their last attempt
        self._attempts: dict[str, tuple[int, int]] = {}  # the last that was answered
        self._nodes: dict[str, _Node] = {}
        self._typical_rate, self._rates_due = 0.0, 0  # rows a second of the median worker, for pacing
        self._synced: set[str] = set()  # backups that hold everything
        self._ended = 0
        self._heard = 0.0
        self._number, self._unsaved = 0, None
        self._saved_at: float | None = None
        self._about: dict = {}
        self._own_saved = False
        self._stopping = self.finished = False
        if restored is not None:
            self.ledger.restore(restored["ledger"])
            self.length.rows = settings.phase_rows or restored["phase_rows"]
            self.losses = {int(turn): sums for turn, sums in restored["losses"].items()}
            self._ended = restored["ended"]
            self._number = restored["number"]
        self._handlers = {
            Progress: self._progress,
            Join: self._join,
            MembersSet: self._members_set,
            ShardUp: self._shard_up,
            Pong: self._pong,
            Synced: self._synced_up,
            Saved: self._saved,
        }

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Take one event."""
        if isinstance(event, Started):
            self._heard = self._saved_at = now
            return [SetTimer("tick", self.settings.heartbeat)]
        if self.finished:
            answers = isinstance(event, Recv) and isinstance(event.message, Join | Progress)
            return [Send(event.source, Finish())] if answers else []
        if isinstance(event, Recv):
            handler = self._handlers.get(type(event.message))
            return handler(now, event.message) if handler else []
        if isinstance(event, Timer):
            return self._tick(now) if event.name == "tick" else self._tell_members()
        if isinstance(event, Lost):
            return self._lost(now, event.node)
        if isinstance(event, Persisted):
            self._own_saved = self._own_saved or event.number == self._number
            return self._checkpointed(now)
        if isinstance(event, Stop):
            self._stopping = True
            return self._end(now)
        return []

    # ------------------------------------------------------------------------------------------ views

    def _change_view(self, now: float, **changes: object) -> list[Effect]:
        members = {worker: member.epoch for worker, member in self._members.items()}
        incarnations = {node: each.incarnation for node, each in self._nodes.items() if each.up}
        number = self.view.number + 1
        changed = {"members": members, **changes, "incarnations": incarnations, "number": number}
        self.view = self.view._replace(**changed)
        return self._tell_members()

    def _tell_members(self) -> list[Effect]:
        """Send the view to the shard nodes that have not taken it over."""
        late = [node for node in self._shard_nodes() if self._nodes[node].view < self.view.number]
        if not late:
            return []
        return [*(Send(node, Members(self.view)) for node in late), SetTimer("members", self.settings.resend)]

    def _shard_nodes(self) -> list[str]:
        named = (*self.view.primaries, *self.view.backups)
        return [node for node in named if node in self._nodes and self._nodes[node].up]

    def _reached(self) -> int:
        """View that all primaries have taken over."""
        return min(self._nodes[node].view if self._up(node) else -1 for node in self.view.primaries)

    def _up(self, node: str | None) -> bool:
        return node in self._nodes and self._nodes[node].up

    def _members_set(self, now: float, message: MembersSet) -> list[Effect]:
        node = self._nodes.get(message.node)
        if node is None or message.view <= node.view:
            return []
        node.view, node.heard, node.clock = message.view, now, max(node.clock, message.clock)
        reached = self._reached()
        effects: list[Effect] = []
        for worker, member in list(self._members.items()):
            if not member.joined and member.epoch <= reached:
                effects += self._welcome(now, worker, member)
        return effects + (self._admit(now) if reached == self.view.number else [])

    # ------------------------------------------------------------------------------------------ joining

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
        if not self._waiting or self._stopping or self._reached() < max(self.view.number, 0):
            return []
        effects: list[Effect] = []
        taken = False
        for worker in list(self._waiting):
            member = _Member(self._waiting[worker], self.view.number + 1, heard=now)
            self._members[worker] = member
            effects += self._grant(worker, member)
            if not member.held:
                del self._members[worker]
                if self.settings.leases:
                    break
                continue
            del self._waiting[worker]
            taken = True
        return [*effects, *self._change_view(now)] if taken else effects

    def _welcome(self, now: float, worker: str, member: _Member) -> list[Effect]:
        """Tell a worker that all shards know it now."""
        member.joined, member.heard = True, now
        member.clock = max(self._nodes[node].clock for node in self.view.primaries)
        member.view = member.epoch
        member.told = self._terms(worker, member)
        return [self._joined(worker, member), Told(Happened("joined", worker, now))]

    def _joined(self, worker: str, member: _Member) -> Send:
        leases = Leases(member.epoch, *member.told, member.order)
        return Send(worker, Joined(member.attempt, member.clock, self.view.primaries, leases))

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
        return [*effects, *self._change_view(now), *self._admit(now)]

    def _add_totals(self, worker: str, member: _Member) -> None:
        before, now = self.totals.get(worker, Stats()), member.stats
        self.totals[worker] = Stats(*(a + b for a, b in zip(before[:-1], now[:-1], strict=True)), now.constant)

    # ------------------------------------------------------------------------------------------ leases

    def _rows_for(self, member: _Member) -> int:
        return paced(self.length.rows, member.rate, self._typical_rate) if self.settings.leases else self.length.rows

    def _grant(self, worker: str, member: _Member) -> list[Effect]:
        """Lease rows for the next phases, as far as there are any; an idle worker takes from the slowest."""
        leases, effects = self.ledger.leases, []
        wanted = AHEAD * self._rows_for(member)
        rows = sum(leases[number].stop - leases[number].start for number in member.held)
        while rows < wanted and not self._stopping:
            lease = self.ledger.lease(self._accepts(worker))
            if lease is None:
                if member.held or not self.settings.leases:
                    break
                victim = self._take_from_slowest(worker)
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

    def _take_from_slowest(self, worker: str) -> str | None:
        """Free half of what is left of the worker that would need longest; returns that worker."""
        leases, longest, victim = self.ledger.leases, 0.0, None
        for name, member in self._members.items():
            rows = sum(leases[number].stop - leases[number].start for number in member.held)
            seconds = rows / member.rate if member.rate > 0 else 0.0
            if name != worker and seconds > longest and rows >= 2 * self._rows_for(member):
                longest, victim = seconds, name
        if victim is None:
            return None
        held = self._members[victim].held
        if len(held) > 1:
            self.ledger.give_back(held.pop())
        else:
            self.ledger.halve(held[-1])
        return victim

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
            known = member.epoch if member is not None else self.view.number
            return [Send(worker, Evicted(message.epoch))] if message.epoch <= known else []
        member.heard = now
        effects = self._count(now, worker, member, message)
        if self.finished or self._stopping:
            return effects
        if message.computing is not None and self._too_long(message.computing):
            return [*effects, *self._evict(now, worker, "too slow")]
        if self._members.get(worker) is not member:
            return effects
        effects += self._grant(worker, member)
        if not member.held:
            return [*effects, *self._retire(now, worker, member)]
        effects += self._tell_leases(worker, member, repeat=message.order < member.order)
        if message.view < member.view:
            effects.append(Send(worker, Moved(self.view.primaries, member.view)))
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
        for number, position in message.done:
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
        return [Send(worker, gone), *self._change_view(now)]

    # ------------------------------------------------------------------------------------------ shards

    def _shard_up(self, now: float, message: ShardUp) -> list[Effect]:
        name, known = message.node, self._nodes.get(message.node)
        if known is not None and message.incarnation <= known.incarnation and known.up:
            if message.incarnation < known.incarnation or self.view.number < 0:
                return []
            known.heard = now
            return [Send(name, Members(self.view))]
        if known is not None and message.incarnation <= known.incarnation:
            return []  # of one that was given up
        self._nodes[name] = _Node(message.incarnation, now)
        if self.view.number < 0:
            return self._begin(now)
        k = number_of(name)
        effects: list[Effect] = []
        if self.view.primaries[k] == name:
            if self._can_promote(k):
                return self._promote(now, k, name)
            effects = [Told(Happened("restored" if message.restored else "started empty", name, now))]
            for worker in list(self._members):  # what they have pushed since the checkpoint is lost there
                effects += self._drop(now, worker, "shard restored")
            return [*effects, *self._change_view(now), *self._admit(now)]
        return self._change_backup(now, k, name)

    def _begin(self, now: float) -> list[Effect]:
        """Make the first view, once all shards and their copies are up."""
        wanted = (*self.view.primaries, *(node for node in self.view.backups if node is not None))
        return self._change_view(now) if all(self._up(node) for node in wanted) else []

    def _can_promote(self, k: int) -> bool:
        backup = self.view.backups[k]
        return self._up(backup) and backup in self._synced

    def _promote(self, now: float, k: int, lost: str) -> list[Effect]:
        """Make the backup of shard k its primary; the lost node becomes the backup if it is up again."""
        backup = self.view.backups[k]
        self._synced.discard(backup)
        primaries = _with(self.view.primaries, k, backup)
        backups = _with(self.view.backups, k, lost if self._up(lost) else None)
        effects = [Told(Happened("promoted", backup, now))]
        effects += self._change_view(now, primaries=primaries, backups=backups)
        for worker, member in self._members.items():
            member.view = self.view.number
            if member.joined:
                effects.append(Send(worker, Moved(primaries, member.view)))
        return effects

    def _change_backup(self, now: float, k: int, node: str | None) -> list[Effect]:
        old = self.view.backups[k]
        if old is not None:
            self._synced.discard(old)
        return self._change_view(now, backups=_with(self.view.backups, k, node))

    def _shard_lost(self, now: float, name: str) -> list[Effect]:
        self._nodes[name].up = False
        k = number_of(name)
        effects: list[Effect] = [Told(Happened("lost", name, now)), Start(name)]
        if self.view.primaries[k] == name:
            return [*effects, *(self._promote(now, k, name) if self._can_promote(k) else [])]
        if self.view.backups[k] == name:
            effects += self._change_backup(now, k, None)
        return effects

    def _synced_up(self, now: float, message: Synced) -> list[Effect]:
        k = number_of(message.node)
        backup = self._nodes.get(message.backup)
        node = self._nodes.get(message.node)
        right = self.view.primaries[k] == message.node and self.view.backups[k] == message.backup
        if right and self._up(message.backup) and self._up(message.node):
            of_now = (node.incarnation, backup.incarnation) == (message.incarnation, message.backup_incarnation)
            if of_now:
                self._synced.add(message.backup)
        return []

    def _pong(self, now: float, message: Pong) -> list[Effect]:
        node = self._nodes.get(message.node)
        if node is not None and node.incarnation == message.incarnation:
            node.heard = now
            self.shard_stats[message.node] = message
        return []

    # ------------------------------------------------------------------------------------------ time

    def _tick(self, now: float) -> list[Effect]:
        settings = self.settings
        effects: list[Effect] = [SetTimer("tick", settings.heartbeat)]
        for worker, member in list(self._members.items()):
            if now - member.heard > settings.worker_timeout:
                effects += self._drop(now, worker, "silent")
        if set(self.view.members) - set(self._members):
            effects += [*self._change_view(now), *self._admit(now)]
        for name in self._shard_nodes():
            if now - self._nodes[name].heard > settings.shard_timeout:
                effects += self._shard_lost(now, name)
            else:
                effects.append(Send(name, Ping()))
        effects += [Start(name) for name, node in self._nodes.items() if not node.up and self._asks_again(now, node)]
        if now - self._heard > settings.give_up:
            return [*effects, Fail(f"no worker has been heard from for {settings.give_up:g} s")]
        if self._unsaved is not None:
            return effects + self._ask_for_saves()
        every = settings.checkpoint_every
        if every is not None and now - self._saved_at >= every and self._reached() >= 0:
            effects += self._save(now)
        return effects

    def _asks_again(self, now: float, node: _Node) -> bool:
        """Whether it is time to ask for a lost node once more."""
        if now - node.heard < 2 * self.settings.shard_timeout:
            return False
        node.heard = now
        return True

    def _too_long(self, seconds: float) -> bool:
        spent = [(each.stats.compute / each.stats.phases) for each in self._members.values() if each.stats.phases]
        typical = median(spent) if spent else 0.0
        return seconds > self.settings.patience * typical

    def _lost(self, now: float, node: str) -> list[Effect]:
        if node in self._members:
            return [*self._evict(now, node, "lost"), Start(node)]
        if node in self._nodes:
            return self._shard_lost(now, node) if self._nodes[node].up else []
        if node.startswith("worker/"):
            self._waiting.pop(node, None)
            return [Start(node)]
        return []

    # ------------------------------------------------------------------------------------------ checkpoints, the end

    def _save(self, now: float) -> list[Effect]:
        """Begin a checkpoint: what is done is written down first, so that no row done later is taken for done."""
        self._number += 1
        self._saved_at, self._own_saved = now, False
        self._unsaved = set(range(self.settings.shards))
        self._about = {
            "ledger": self.ledger.about(),
            "phase_rows": self.length.rows,
            "losses": {str(turn): sums for turn, sums in self.losses.items()},
            "ended": self._ended,
            "number": self._number,
        }
        return [Persist(self._number, self._about, {}), *self._ask_for_saves()]

    def _ask_for_saves(self) -> list[Effect]:
        return [Send(self.view.primaries[k], Save(self._number)) for k in sorted(self._unsaved)]

    def _saved(self, now: float, message: Saved) -> list[Effect]:
        if self._unsaved is None or message.number != self._number:
            return []
        self._unsaved.discard(number_of(message.node))
        return self._checkpointed(now)

    def _checkpointed(self, now: float) -> list[Effect]:
        if self._unsaved is None or self._unsaved or not self._own_saved:
            return []
        self._unsaved = None
        effects: list[Effect] = [Told(Checkpointed(self._number, now))]
        return [*effects, *self._finish(now)] if self._stopping else effects

    def _end(self, now: float) -> list[Effect]:
        """End the job: after a last checkpoint, where there are any."""
        self._stopping = True
        if self.settings.checkpoint_every is not None and self._reached() >= 0:
            return self._save(now)
        return self._finish(now)

    def _finish(self, now: float) -> list[Effect]:
        self.finished = True
        for worker, member in self._members.items():
            self._add_totals(worker, member)
        told = {**self._waiting, **self._members}
        return [*(Send(worker, Finish()) for worker in told), SetTimer("tick", None), Finished()]


def _with(nodes: tuple, k: int, node: str | None) -> tuple:
    return (*nodes[:k], node, *nodes[k + 1 :])
