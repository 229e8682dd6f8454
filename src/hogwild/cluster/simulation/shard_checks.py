"""What is checked of shards: reads, application, acknowledgement, restoring, fail-over."""

from __future__ import annotations

from typing import Any

from hogwild.cluster.consistency import Consistency
from hogwild.cluster.protocol import Accepted, Members, MembersSet, Pulled, Recv, Send, View
from hogwild.cluster.simulation.cluster import SimulationError
from hogwild.cluster.simulation.counting import CountingStore, worth
from hogwild.cluster.simulation.coverage import Coverage
from hogwild.cluster.simulation.nodes import Node
from hogwild.cluster.simulation.progress import Watch
from hogwild.cluster.simulation.simulator import Simulator

Membership = tuple[str, int]  # worker and epoch


class InvariantError(SimulationError):
    """A machine broke an invariant of the protocol.

    Attributes
    ----------
    invariant : str
        Its name.
    """

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(message)
        self.invariant = invariant


class ShardState:
    """What is known of one shard node's life.

    Attributes
    ----------
    sums : list of int
        What its store should hold.
    reached : dict of (worker, epoch) to int
        Highest clock of each worker's pushes in its store.
    clocks : dict of str to int
        Of the members of its view, as far as they have begun.
    lowest : int or None
        Of those.
    """

    def __init__(self, store: CountingStore, number: int) -> None:
        self.store, self.number = store, number
        self.view = View(-1, {}, (), (), {})
        self.sums = [0, 0, 0]
        self.reached: dict[Membership, int] = {}
        self.clocks: dict[str, int] = {}
        self.counts: dict[int, int] = {}
        self.lowest: int | None = None
        self.rows = -1.0

    def move(self, worker: str, clock: int) -> None:
        """Set a member's clock, if it is higher than before; `lowest` follows."""
        before, counts = self.clocks.get(worker), self.counts
        if before is not None and before >= clock:
            return
        self.clocks[worker] = clock
        counts[clock] = counts.get(clock, 0) + 1
        if before is not None:
            self._leave(before)
        if self.lowest is None or clock < self.lowest:
            self.lowest = clock

    def drop(self, worker: str) -> None:
        """Leave a worker out."""
        clock = self.clocks.pop(worker, None)
        if clock is not None:
            self._leave(clock)

    def _leave(self, clock: int) -> None:
        counts = self.counts
        counts[clock] -= 1
        if not counts[clock]:
            del counts[clock]
            if clock == self.lowest:
                self.lowest = min(counts) if counts else None


class ShardChecks:
    """The part of `Checker` that follows the shards' nodes; see there for the attributes."""

    def __init__(self, consistency: Consistency, shards: int) -> None:
        self.consistency = consistency
        self.coverage = Coverage()
        self.checks = self.lost = self.restores = self.disturbances = 0
        self.shards: dict[str, ShardState] = {}
        self.joined: dict[Membership, int] = {}
        self.accepted: list[set[int]] = [set() for _ in range(shards)]
        self.holders: list[set[tuple[str, int]]] = [set() for _ in range(shards)]
        self.may_lose = [False] * shards
        self.primaries: list[tuple[str, int] | None] = [None] * shards
        self.view = View(-1, {}, (), (), {})
        self.watch: Watch
        self.simulator: Simulator | None = None
        self._views = {-1: self.view}
        self._pushes: dict[tuple[str, int, int, int], int] = {}
        self._of: dict[int, tuple[str, int, int]] = {}
        self._phases: dict[int, list] = {}  # by serial: parts, number of shards that have to accept
        self._staleness = consistency.staleness

    def fail(self, invariant: str, message: str) -> None:
        """Raise, with the last events."""
        simulator = self.simulator
        raise InvariantError(
            invariant,
            f"{invariant}: {message}\nat {simulator.now:.6f} s, event {simulator.trace.events}, seed {simulator.seed}; "
            f"the last events:\n{simulator.trace.tail()}",
        )

    def _after_shard(self, now: float, node: Node, event: Any, effects: list) -> None:
        state = self.shards[node.name]
        store = state.store
        if store.replaced:
            self._recount(state)
        if store.doubled:
            serial = store.doubled[0]
            self.fail("applied once", f"{node.name} applied push {serial} of {self._of.get(serial)} again")
        if store.fresh:
            self._applied(now, node, state)
        if type(event) is Recv and type(event.message) is Members:  # before what it does under the new view
            for effect in effects:
                if type(effect) is Send and type(effect.message) is MembersSet:
                    self._adopted(node, state, effect.message.view)
        answers = False
        for effect in effects:
            if type(effect) is Send:
                message = effect.message
                kind = type(message)
                if kind is Pulled:
                    answers = True
                    self._acknowledged(node, state, effect.to, message)
                elif kind is Accepted:
                    self._acknowledged(node, state, effect.to, message)
        if answers:
            self._reads(node, state, effects)

    def _applied(self, now: float, node: Node, state: ShardState) -> None:
        """Account for pushes that have just been added."""
        members, reached, sums = state.view.members, state.reached, state.sums
        for serial in state.store.fresh:
            worker, epoch, clock = self._of[serial]
            for i, value in enumerate(worth(serial)):
                sums[i] += value
            before = reached.get((worker, epoch), -1)
            if clock <= before:
                self.fail("clocks grow", f"{node.name} applied phase {clock} of {worker} after phase {before}")
            reached[worker, epoch] = clock
            if members.get(worker) == epoch:
                state.move(worker, clock)
        state.store.fresh.clear()
        primary = self.primaries[state.number]
        if primary is not None and primary[0] == node.name:
            self.watch.moved(now)

    def _acknowledged(self, node: Node, state: ShardState, worker: str, message: Accepted | Pulled) -> None:
        """Check that what is acknowledged is applied, and where a copy has to be."""
        epoch, clock = message.epoch, message.clock
        serial = self._pushes.get((worker, epoch, clock, state.number))
        if serial is None:
            if clock != self.joined.get((worker, epoch)):
                self.fail(
                    "acknowledged", f"{node.name} acknowledges phase {clock} of {worker}, epoch {epoch}, not sent"
                )
            return
        k = state.number
        if serial in self.accepted[k]:
            return
        if serial not in state.store.log:
            self.fail("acknowledged", f"{node.name} acknowledges push {serial} of {self._of[serial]} without having it")
        for name, life in self.holders[k]:
            if (
                name != node.name
                and self.simulator.nodes[name].life == life
                and serial not in self.shards[name].store.log
            ):
                self.fail("copied", f"{node.name} acknowledges push {serial} of {self._of[serial]}, {name} has no copy")
        self.accepted[k].add(serial)
        phase = self._phases[serial]
        phase[1] -= 1
        if not phase[1]:
            for part in phase[0]:
                if part.start < self.coverage.reached.get(part.lease.number, 0):
                    self.fail("rows once", f"{worker} stepped rows of lease {part.lease.number} again: {part}")
            again = self.coverage.add(phase[0])
            if again and not self.disturbances:
                self.fail("rows once", f"{worker} stepped {again} rows again that nobody had lost: {phase[0]}")

    def _reads(self, node: Node, state: ShardState, effects: list) -> None:
        """Check the answers to workers: how stale, and whether whole."""
        bound = self._staleness
        for message, worker in [(e.message, e.to) for e in effects if type(e) is Send and type(e.message) is Pulled]:
            epoch, clock = message.epoch, message.clock
            self.checks += 1
            if state.view.members.get(worker) != epoch:
                self.fail("members", f"{node.name} answers {worker} of epoch {epoch}, no member of its view")
            lowest = state.lowest
            if lowest is None or (bound is not None and clock - lowest > bound):
                slow = [name for name, reached in state.clocks.items() if reached == lowest][:3]
                self.fail("staleness", f"{node.name} admits {worker} at {clock}; {slow} are at {lowest}, bound {bound}")
            if message.lowest > lowest:
                self.fail(
                    "staleness", f"{node.name} tells {worker} that all are at {message.lowest}: lowest is {lowest}"
                )
            own = state.reached.get((worker, epoch), self.joined.get((worker, epoch), -1))
            if own < clock:
                self.fail("reads", f"{node.name} answers {worker} at {clock} without its own push: has {own}")
            if message.values is not None and message.values.sums != tuple(state.sums):
                self.fail("reads", f"{node.name} tells {worker} {message.values.sums}, holds {state.sums}")
            if message.rows < state.rows:
                self.fail("rows grow", f"{node.name} tells {worker} {message.rows} rows after {state.rows}")
            state.rows = message.rows

    def _recount(self, state: ShardState) -> None:
        """Take over what a store holds after it was restored."""
        store = state.store
        store.replaced = False
        store.fresh.clear()
        state.sums, state.reached, state.rows = [0, 0, 0], {}, -1.0
        for serial in store.log:
            for i, value in enumerate(worth(serial)):
                state.sums[i] += value
            worker, epoch, clock = self._of[serial]
            if state.reached.get((worker, epoch), -1) < clock:
                state.reached[worker, epoch] = clock
        if state.sums != store.sums:
            self.fail("sums", f"shard {state.number} was restored with {store.sums}, its pushes make {state.sums}")
        self._begin_members(state)

    def _begin_members(self, state: ShardState) -> None:
        state.clocks, state.counts, state.lowest = {}, {}, None
        for member in state.view.members.items():
            self._begin_member(state, *member)

    def _begin_member(self, state: ShardState, worker: str, epoch: int) -> None:
        clock = self.joined.get((worker, epoch))
        if clock is not None:
            state.move(worker, max(clock, state.reached.get((worker, epoch), -1)))

    # ------------------------------------------------------------------------------------------ views

    def _adopted(self, node: Node, state: ShardState, number: int) -> None:
        """A shard node says that it has taken a view over."""
        before = state.view
        if number == before.number:
            return
        if number < before.number:
            self.fail("views grow", f"{node.name} takes view {number} over after {before.number}")
        view = state.view = self._views[number]
        old = set(before.members.items())
        for worker, _ in old - view.members.items():
            state.drop(worker)
        for worker, epoch in view.members.items() - old:
            self._begin_member(state, worker, epoch)
        k, life = state.number, (node.name, node.life)
        if view.primaries[k] == node.name and self.primaries[k] != life and view.number >= self.view.number:
            self._promoted(k, node, state)
        if self.primaries[k] == life and view.backups[k] is None:
            self.holders[k] = {life}

    def _promoted(self, k: int, node: Node, state: ShardState) -> None:
        """A node has become primary: nothing acknowledged may be missing, unless all who held it are dead."""
        if self.primaries[k] is not None:
            self.disturbances += 1
            if self.may_lose[k]:
                missing = self.accepted[k] - state.store.log
                self.lost += len(missing)
                self.restores += 1
                self.accepted[k] &= state.store.log
            else:
                self._holds(k, state.store, f"in {node.name}, now primary")
        self.primaries[k], self.holders[k], self.may_lose[k] = (node.name, node.life), {(node.name, node.life)}, False

    def _holds(self, k: int, store: CountingStore, where: str) -> None:
        missing = self.accepted[k] - store.log
        if missing:
            few = [(serial, self._of[serial]) for serial in sorted(missing)[:3]]
            self.fail("nothing lost", f"{len(missing)} acknowledged pushes of shard {k} are missing {where}: {few}")
