"""Checks every invariant of the protocol after every event of a simulation with counting stores.

It knows the machines by what goes in and out alone, and what is in the stores:

- reads: a worker is answered only if its clock is at most `staleness` beyond the slowest member's, and the values hold
  everything that the shard has applied, its own push included;
- each push is applied once in the history of a shard, and (worker, epoch, clock) names one push;
- what is acknowledged is applied; with copies, no loss of one node loses it; without, a shard comes back with exactly
  its last snapshot;
- views, clocks and rows only grow;
- every chunk of every turn is accepted at least once before the job ends, and twice only after a disturbance;
- nobody who may go on idles for ever, and the job ends (`progress.py`).
"""

from __future__ import annotations

from typing import Any

from hogwild.cluster.consistency import Consistency
from hogwild.cluster.protocol import (
    COORDINATOR,
    Compute,
    Computed,
    Happened,
    Joined,
    Leases,
    Members,
    Phase,
    PhaseResult,
    PushPull,
    Recv,
    Send,
    Stop,
    Synced,
    Told,
    View,
    Wait,
)
from hogwild.cluster.simulation.cluster import place_of
from hogwild.cluster.simulation.counting import CountingStore
from hogwild.cluster.simulation.faults import Injector
from hogwild.cluster.simulation.nodes import Node
from hogwild.cluster.simulation.progress import Watch
from hogwild.cluster.simulation.shard_checks import ShardChecks, ShardState


class Checker(ShardChecks):
    """Watches a simulation; raises `InvariantError` at the first event that breaks an invariant.

    Parameters
    ----------
    consistency : Consistency
    shards : int
    chunks : sequence of Chunk
    turns : int
    grace : float
        Seconds of virtual time without faults within which something has to move.

    Attributes
    ----------
    coverage : Coverage
    checks : int
        Reads that were checked.
    lost : int
        Acknowledged pushes that were lost where the settings allow it.
    restores : int
        Shards that came back without all that they had acknowledged.
    """

    def __init__(self, consistency: Consistency, shards: int, chunks: Any, turns: int, grace: float = 120.0) -> None:
        super().__init__(consistency, shards)
        self.chunks, self.turns = list(chunks), turns
        self.watch = Watch(self, grace)
        self.injector: Injector | None = None
        self.stopped = False
        self._parts: dict[str, dict[int, Any]] = {}
        self._held: dict[str, dict[int, int]] = {}  # by worker: where its leases end
        self._roles = {"shard": self._after_shard, "worker": self._after_worker, COORDINATOR: self._after_coordinator}

    # ------------------------------------------------------------------------------------------ called by the simulator

    def store(self, node: str) -> CountingStore:
        """Make the store of a node that is about to start."""
        store = CountingStore()
        self.shards[node] = ShardState(store, int(node.split("/")[1]))
        return store

    def began(self, now: float, node: Node) -> None:
        """Check what a shard starts with: exactly its last snapshot."""
        if node.role == "shard":
            state = self.shards[node.name]
            disk = self.simulator.disks.get(place_of(node.name))
            expected = set() if disk is None else set(disk.state["log"].tolist())
            if state.store.log != expected:
                self.fail(
                    "restored", f"{node.name} starts with {len(state.store.log)} pushes, has {len(expected)} on disk"
                )
            self._recount(state)

    def ended(self, now: float, node: Node) -> None:
        """Note a death, and who still holds what was acknowledged."""
        self.disturbances += 1
        if node.role == "worker":
            self._parts.pop(node.name, None)
            self.watch.forget(node.name)
        elif node.role == "shard":
            k = int(node.name.split("/")[1])
            self.holders[k].discard((node.name, node.life - 1))
            if not self.holders[k]:
                self.may_lose[k] = True

    def copied(self, name: str) -> bool:
        """Whether another living node holds all that this shard's node has acknowledged."""
        k = int(name.split("/")[1])
        return any(holder != name for holder, _ in self.holders[k])

    def quiet_since(self) -> float:
        """When the last fault happened or ended; infinity: there still are some."""
        if self.injector is None:
            return 0.0
        return float("inf") if self.injector.ongoing else self.injector.quiet_since

    def after(self, now: float, node: Node, event: Any, effects: list) -> None:
        """Check one event and its effects."""
        self._roles[node.role](now, node, event, effects)
        if now >= self.watch.due:
            self.watch.look(now)

    def finish(self, now: float) -> None:
        """Check the end of the job: all rows, nothing lost."""
        gaps = [] if self.stopped else self.coverage.gaps(self.chunks, self.turns)
        if gaps:
            self.fail("coverage", f"the job ended without all its rows: {len(gaps)} gaps, {gaps[:5]}")
        for k, primary in enumerate(self.primaries):
            if primary is not None and self.simulator.nodes[primary[0]].life == primary[1]:
                self._holds(k, self.shards[primary[0]].store, "at the end")

    # ------------------------------------------------------------------------------------------ workers, coordinator

    def _after_worker(self, now: float, node: Node, event: Any, effects: list) -> None:
        if type(event) is Computed and type(event.result) is PhaseResult:
            parts = self._parts.get(node.name, {}).pop(event.ticket, ())
            phase = [parts, sum(push is not None for push in event.result.pushes)]
            for push in event.result.pushes:
                if push is not None:
                    self._phases[push.serial] = phase
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                message = effect.message
                if type(message) is PushPull:
                    self._pushed(now, node, effect.to, message)
            elif kind is Compute:
                self.watch.computes(now, node.name)
                if type(effect.job) is Phase:
                    self._parts.setdefault(node.name, {})[effect.ticket] = effect.job.parts

    def _pushed(self, now: float, node: Node, to: str, message: PushPull) -> None:
        self.watch.asks(now, node.name, message.epoch, message.clock)
        if message.push is None:
            return
        name = (node.name, message.epoch, message.clock, int(to.split("/")[1]))
        serial = message.push.serial
        if self._pushes.setdefault(name, serial) != serial or self._of.setdefault(serial, name[:3]) != name[:3]:
            self.fail("clocks name pushes", f"{name} and push {serial} do not belong together")

    def _after_coordinator(self, now: float, node: Node, event: Any, effects: list) -> None:
        if type(event) is Recv and type(event.message) is Synced:
            message = event.message
            backup, k = self.simulator.nodes[message.backup], int(message.node.split("/")[1])
            if (
                backup.alive
                and backup.starts - 1 == message.backup_incarnation
                and self.view.backups[k] == message.backup
            ):
                self.holders[k].add((backup.name, backup.life))
        elif type(event) is Stop:
            self.stopped = True
        for effect in effects:
            if type(effect) is Told and type(effect.what) is Happened:
                self.disturbances += effect.what.what != "joined"
            if type(effect) is not Send:
                continue
            message = effect.message
            kind = type(message)
            if kind is Members:
                if message.view is not self.view:
                    self._viewed(now, message.view)
            elif kind is Joined:
                self._begins(effect.to, message)
            elif kind is Leases:
                self._leased(now, effect.to, message)
            elif kind is Wait:
                self.watch.told(now, effect.to, False)

    def _viewed(self, now: float, view: View) -> None:
        if view.number <= self.view.number:
            return
        self.view = self._views[view.number] = view

    def _leased(self, now: float, worker: str, message: Leases) -> None:
        """Note who holds what: rows that are taken from a slow worker may be stepped twice."""
        self.watch.told(now, worker, bool(message.leases))
        held = {lease.number: lease.stop for lease in message.leases}
        for number, stop in self._held.get(worker, {}).items():
            if held.get(number, self.coverage.reached.get(number, -1)) < stop:
                self.disturbances += 1
        self._held[worker] = held

    def _begins(self, worker: str, message: Joined) -> None:
        member = (worker, message.leases.epoch)
        self._leased(self.simulator.now, worker, message.leases)
        if self.joined.setdefault(member, message.clock) != message.clock:
            self.fail("clocks grow", f"{worker} is told clock {message.clock}, then {self.joined[member]}")
        for state in self.shards.values():
            if state.view.members.get(worker) == member[1] and worker not in state.clocks:
                self._begin_member(state, *member)
