"""A parameter shard: a range of keys, the gate of consistency, and the copy of it on another node.

Every push carries (worker, epoch, clock) and is applied once, whatever the network repeats. A push is acknowledged
before any wait begins: a worker that waited for both at once would send it again and again. A pull waits, without a
message, until the policy admits its worker; the clocks that it is compared with are those of the view's members alone.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

from hogwild.cluster.protocol import (
    COORDINATOR,
    Accepted,
    Effect,
    Event,
    Evicted,
    Members,
    MembersSet,
    NeedKeys,
    Persist,
    Persisted,
    Ping,
    Pong,
    Pulled,
    PushPull,
    Recv,
    Replicate,
    Replicated,
    Save,
    Saved,
    Send,
    SetTimer,
    ShardUp,
    Started,
    State,
    Store,
    Synced,
    Timer,
    View,
)
from hogwild.cluster.settings import JobSettings, number_of

COPIED_AGAIN = 64  # pushes without an answer that are copied again at a time


class _Waiter(NamedTuple):
    """A pull that waits: since when, and how stale the push was that came with it."""

    message: PushPull
    since: float
    staleness: int


class _Copied(NamedTuple):
    """A push on its way to the backup."""

    message: PushPull
    active: int
    accepted: bool
    staleness: int


class ParameterShard:
    """One node of a shard, primary or backup as the view says.

    Parameters
    ----------
    node : str
    settings : JobSettings
    store : Store
        With its initial values; `restored` is put into it.
    incarnation : int
        How often this node has been started before.
    restored : tuple of (dict, dict), optional
        `about` and `state` of the newest checkpoint.
    """

    def __init__(
        self,
        node: str,
        settings: JobSettings,
        store: Store,
        incarnation: int = 0,
        restored: tuple[dict, dict] | None = None,
    ) -> None:
        self.node, self.store, self.incarnation = node, store, incarnation
        self.view = View(-1, {}, (), (), {})
        self.primary = self.backup = False
        self.rows, self.version, self.sequence, self.highest = 0.0, 0, 0, 0
        self.clocks: dict[str, int] = {}  # of members
        self.lowest = 0
        self.duplicates, self.staleness = 0, Counter()
        self._settings, self._number, self._restored = settings, number_of(node), restored is not None
        self._counts: Counter[int] = Counter()  # members by clock
        self._waiters: dict[str, _Waiter] = {}
        self._pulled_at: dict[str, int] = {}  # version that a member's last pull saw
        self._active_at: dict[str, int] = {}  # active workers then
        self._epochs: dict[str, int] = {}
        self._provisional: set[str] = set()  # members whose clock is the node's guess: they have not said it yet
        self._copies: OrderedDict[int, _Copied] = OrderedDict()
        self._copying: tuple[str, int] | None = None  # backup and its incarnation
        self._told: dict[str, tuple[int, int]] = {}  # as a backup: epoch and clock of workers, as the primary told
        self._ahead: dict[int, Replicate] = {}  # as a backup: copies that have overtaken others
        self._installed = False  # the backup has the state that it was sent
        self._lineage = -1  # of the state that this backup, or this primary's backup, has
        self._synced = False
        self._sync_target = 0
        self._state: State | None = None
        self._spelled: set[int] = set()  # key sets that the backup knows
        self._saving: dict[int, bool] = {}
        if restored is not None:
            about, state = restored
            store.restore(state)
            self.rows, self.version = float(about["rows"]), int(about["version"])
            self.sequence, self.highest = int(about["sequence"]), int(about["highest"])
        self._handlers = {
            PushPull: self._push_pull,
            Replicate: self._replicate,
            Replicated: self._replicated,
            Members: self._members,
            State: self._install,
            Ping: self._ping,
            Save: self._save,
        }

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Take one event."""
        if type(event) is Recv:
            handler = self._handlers.get(type(event.message))
            return handler(now, event.source, event.message) if handler else []
        if isinstance(event, Started):
            return self._announce()
        if isinstance(event, Timer):
            return self._announce() if event.name == "up" else self._copy_again()
        if isinstance(event, Persisted):
            self._saving[event.number] = True
            return [Send(COORDINATOR, Saved(self.node, event.number))]
        return []

    @property
    def active(self) -> int:
        """Active workers."""
        return len(self.clocks)

    # ------------------------------------------------------------------------------------------ the view

    def _announce(self) -> list[Effect]:
        if self.view.number >= 0:
            return []
        up = ShardUp(self.node, self.incarnation, self._restored, self.rows)
        return [Send(COORDINATOR, up), SetTimer("up", self._settings.resend)]

    def _members(self, now: float, source: str, message: Members) -> list[Effect]:
        view = message.view
        if view.incarnations.get(self.node) != self.incarnation:
            return []
        effects: list[Effect] = []
        if view.number > self.view.number:
            effects = self._adopt(now, view)
        if view.number == self.view.number:
            effects.append(Send(COORDINATOR, MembersSet(self.node, view.number, self.highest)))
        return effects

    def _adopt(self, now: float, view: View) -> list[Effect]:
        """Take a newer view over: members, roles, the backup."""
        self.view = view
        self.primary = view.primaries[self._number] == self.node
        self.backup = view.backups[self._number] == self.node
        effects: list[Effect] = [SetTimer("up", None)]
        for worker in [worker for worker, epoch in self._epochs.items() if view.members.get(worker) != epoch]:
            del self._epochs[worker], self.clocks[worker]
            self._waiters.pop(worker, None)
            self._pulled_at.pop(worker, None)
            self._active_at.pop(worker, None)
            self._provisional.discard(worker)
        for worker, epoch in view.members.items():
            if worker not in self._epochs:
                told, clock = self._told.get(worker, (-1, 0))
                self._epochs[worker], self.clocks[worker] = epoch, clock if told == epoch else self.highest
                if told != epoch:
                    self._provisional.add(worker)
        self._counts = Counter(self.clocks.values())
        if self.primary:
            effects += self._choose_backup(now)
            effects += self._raise_lowest(now)
        else:
            self._waiters.clear()
            self._copies.clear()
            self._copying = self._state = None
        return effects

    def _choose_backup(self, now: float) -> list[Effect]:
        backup = self.view.backups[self._number]
        wanted = None if backup is None else (backup, self.view.incarnations[backup])
        if wanted == self._copying:
            return []
        effects = self._accept_all(now)  # the coordinator has taken the old backup out: this node's word is enough
        self._copying, self._installed, self._synced = wanted, False, False
        self._copies.clear()
        self._spelled.clear()
        self._state = None
        if wanted is not None:
            told = {worker: clock for worker, clock in self.clocks.items() if worker not in self._provisional}
            about = {"epochs": dict(self._epochs), "clocks": told, **self._about()}
            self._lineage = self.view.number
            self._state = State(self._lineage, self.sequence, about, self.store.snapshot())
            effects += [Send(wanted[0], self._state), SetTimer("copy", self._settings.resend)]
        return effects

    def _about(self) -> dict[str, float]:
        return {"rows": self.rows, "version": self.version, "sequence": self.sequence, "highest": self.highest}

    # ------------------------------------------------------------------------------------------ workers

    def _push_pull(self, now: float, source: str, message: PushPull) -> list[Effect]:
        worker, epoch, clock = message.worker, message.epoch, message.clock
        if not self.primary:
            return []
        member = self._epochs.get(worker)
        if member != epoch:
            if member is not None and member > epoch:
                return [Send(worker, Evicted(epoch))]
            # a member that this node has not heard of yet asks again; epochs are numbers of views
            return [Send(worker, Evicted(epoch))] if epoch <= self.view.number and member is None else []
        reached, provisional = self.clocks[worker], worker in self._provisional
        if clock < reached and not provisional:
            self.duplicates += 1
            return []  # an old copy: its worker has gone on
        new = clock > reached or provisional
        missing = self.store.missing(message.push if new else None, message.pull)
        if missing:
            return [Send(worker, NeedKeys(self.node, epoch, clock, missing))]
        if not new:
            return self._repeated(now, message)
        self._provisional.discard(worker)
        staleness = self.version - self._pulled_at.get(worker, self.version)
        # those who have retired since stepped beside it: undamped, the last pushes of a job would undo much of it
        stepped, active = message.rows > 0 or message.push is not None, max(self.active, self._active_at.get(worker, 0))
        if stepped:
            self.staleness[staleness] += 1
            self._apply(message, active)
        effects = self._advance(now, worker, clock)
        if self._copying is not None and stepped:
            return effects + self._copy(now, message, active, staleness)
        return effects + self._accept(now, message, staleness)

    def _apply(self, message: PushPull, active: int) -> None:
        if message.push is not None:
            self.store.apply(message.push, active)
        self.version += 1
        self.sequence += 1
        self.rows += message.rows

    def _advance(self, now: float, worker: str, clock: int) -> list[Effect]:
        """Set a member's clock; release those who waited for it."""
        before = self.clocks[worker]
        self.clocks[worker] = clock
        self.highest = max(self.highest, clock)
        self.lowest = min(self.lowest, clock)
        self._counts[clock] += 1
        self._counts[before] -= 1
        if self._counts[before] == 0:
            del self._counts[before]
            if before == self.lowest:
                return self._raise_lowest(now)
        return []

    def _raise_lowest(self, now: float) -> list[Effect]:
        self.lowest = min(self._counts) if self._counts else self.highest
        admits = self._settings.consistency.admits
        ready = [worker for worker, waiter in self._waiters.items() if admits(waiter.message.clock, self.lowest)]
        effects: list[Effect] = []
        for worker in ready:
            waiter = self._waiters.pop(worker)
            effects.append(self._answer(now, waiter.message, waiter.since, waiter.staleness))
        return effects

    def _accept(self, now: float, message: PushPull, staleness: int) -> list[Effect]:
        """Acknowledge a push, and answer its pull or let it wait."""
        worker, clock = message.worker, message.clock
        if self._epochs.get(worker) != message.epoch:
            return []  # it was evicted while its push was copied
        if message.wants:
            if self._settings.consistency.admits(clock, self.lowest):
                return [self._answer(now, message, now, staleness)]
            # spelled: its key set may be forgotten while it waits
            spelled = message.pull if message.pull is None else self.store.spelled(message.pull)
            self._waiters[worker] = _Waiter(message._replace(pull=spelled), now, staleness)
        return [Send(worker, Accepted(self.node, message.epoch, clock, staleness))]

    def _answer(self, now: float, message: PushPull, since: float, staleness: int) -> Send:
        worker = message.worker
        values = None if message.pull is None else self.store.read(message.pull)
        self._pulled_at[worker] = self.version
        self._active_at[worker] = self.active
        pulled = Pulled(
            self.node, message.epoch, message.clock, values, self.lowest, self.active, self.rows, now - since, staleness
        )
        return Send(worker, pulled)

    def _repeated(self, now: float, message: PushPull) -> list[Effect]:
        """Answer a phase's message that came before: what it brought is applied, or on its way to the backup."""
        worker = message.worker
        if message.push is not None:
            self.duplicates += 1
        if any(copied.message.worker == worker and not copied.accepted for copied in self._copies.values()):
            return []
        waiter = self._waiters.get(worker)
        if waiter is not None:
            return [Send(worker, Accepted(self.node, message.epoch, message.clock, waiter.staleness))]
        return self._accept(now, message, 0)

    # ------------------------------------------------------------------------------------------ the backup

    def _copy(self, now: float, message: PushPull, active: int, staleness: int) -> list[Effect]:
        """Send a push on to the backup, which has to have it before it is accepted."""
        backup, _ = self._copying
        entry = _Copied(message, active, not self._installed, staleness)
        self._copies[self.sequence] = entry
        effects: list[Effect] = [SetTimer("copy", self._settings.resend)] if len(self._copies) == 1 else []
        effects.append(Send(backup, self._replica_of(self.sequence, entry)))
        return effects + (self._accept(now, message, staleness) if entry.accepted else [])

    def _replica_of(self, sequence: int, copied: _Copied, again: bool = False) -> Replicate:
        """What the backup is sent of a push: no pull, and key sets spelled the first time."""
        push = copied.message.push
        if push is not None:
            ids = push.ids()
            if again or not self._spelled.issuperset(ids):
                push = self.store.spelled(push)
                self._spelled.update(ids)
            else:
                push = push.brief()
        return Replicate(self._lineage, sequence, copied.message._replace(push=push, pull=None), copied.active)

    def _replicate(self, now: float, source: str, message: Replicate) -> list[Effect]:
        if not self.backup or source != self.view.primaries[self._number] or message.lineage != self._lineage:
            return []
        if self.sequence < message.sequence <= self.sequence + COPIED_AGAIN:
            # Dropping those that overtake let through two of each round of repetitions where the network reorders.
            self._ahead[message.sequence] = message
        while self.sequence + 1 in self._ahead:
            copy = self._ahead.pop(self.sequence + 1)
            push = copy.message
            if self.store.missing(push.push, None):
                break  # the copy that spelled them will be sent again
            self._apply(push, copy.active)
            self._take_clock(push.worker, push.epoch, push.clock)
            self.highest = max(self.highest, push.clock)
        if message.sequence <= self.sequence:
            return [Send(source, Replicated(self._lineage, self.sequence))]
        return []

    def _take_clock(self, worker: str, epoch: int, clock: int) -> None:
        """As a backup: take over how far a worker is, be it of a view that has not come here yet."""
        self._told[worker] = epoch, clock
        if self._epochs.get(worker) == epoch:
            self.clocks[worker] = clock
            self._provisional.discard(worker)

    def _replicated(self, now: float, source: str, message: Replicated) -> list[Effect]:
        if not self.primary or self._copying is None or message.lineage != self._lineage:
            return []
        effects: list[Effect] = []
        if not self._installed:
            if self._state is None or message.sequence < self._state.sequence:
                return []
            self._installed, self._sync_target, self._state = True, self.sequence, None
        while self._copies and next(iter(self._copies)) <= message.sequence:
            _, copied = self._copies.popitem(last=False)
            if not copied.accepted:
                effects += self._accept(now, copied.message, copied.staleness)
        if not self._synced and message.sequence >= self._sync_target:
            self._synced = True
            effects.append(self._say_synced())
        if not self._copies:
            effects.append(SetTimer("copy", None))
        return effects

    def _say_synced(self) -> Send:
        return Send(COORDINATOR, Synced(self.node, self.incarnation, *self._copying))

    def _accept_all(self, now: float) -> list[Effect]:
        """Accept what was on its way to a backup that is no longer one."""
        effects: list[Effect] = []
        for copied in list(self._copies.values()):
            if not copied.accepted:
                effects += self._accept(now, copied.message, copied.staleness)
        return effects

    def _copy_again(self) -> list[Effect]:
        if self._copying is None or not self.primary:
            return []
        backup, _ = self._copying
        if self._state is not None:
            return [Send(backup, self._state), SetTimer("copy", self._settings.resend)]
        first = list(self._copies.items())[:COPIED_AGAIN]
        effects: list[Effect] = [Send(backup, self._replica_of(n, each, again=True)) for n, each in first]
        return [*effects, SetTimer("copy", self._settings.resend)] if effects else []

    def _install(self, now: float, source: str, message: State) -> list[Effect]:
        """Take the primary's state over."""
        if not self.backup or source != self.view.primaries[self._number] or message.lineage < self._lineage:
            return []
        if message.lineage > self._lineage:
            about = message.about
            self.store.restore(message.state)
            self.rows, self.version = about["rows"], about["version"]
            self.sequence, self.highest = message.sequence, about["highest"]
            self._told.clear()
            for worker, clock in about["clocks"].items():
                self._take_clock(worker, about["epochs"][worker], clock)
            self._lineage = message.lineage
            self._ahead.clear()
        return [Send(source, Replicated(self._lineage, self.sequence))]

    # ------------------------------------------------------------------------------------------ the coordinator

    def _ping(self, now: float, source: str, message: Ping) -> list[Effect]:
        pong = Pong(self.node, self.incarnation, self.version, self.rows, self.duplicates, dict(self.staleness))
        return [Send(source, pong), *([self._say_synced()] if self.primary and self._synced else [])]

    def _save(self, now: float, source: str, message: Save) -> list[Effect]:
        done = self._saving.get(message.number)
        if done is None:
            self._saving = {message.number: False}
            return [Persist(message.number, dict(self._about()), self.store.snapshot())]
        return [Send(source, Saved(self.node, message.number))] if done else []
