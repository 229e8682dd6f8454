"""What goes wrong: crashes, restarts, partitions, joins and leaves, at random or at given times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hogwild.cluster.simulation.cluster import Factory
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.simulator import Simulator


class Planned(NamedTuple):
    """A fault at a given time.

    `what`: ``"crash"`` (a node; `seconds` until it comes back by itself, infinity: only where the coordinator has it
    started), ``"leave"`` (for good), ``"join"`` (a new worker), ``"partition"`` (`nodes` from all others, for
    `seconds`), ``"stop"`` (the user ends the job).
    """

    at: float
    what: str
    nodes: tuple[str, ...] = ()
    seconds: float = float("inf")


@dataclass(frozen=True)
class Faults:
    """Faults of a run; rates are per second of virtual time and count for the whole cluster.

    Parameters
    ----------
    worker_crashes, shard_crashes, leaves, joins, partitions : float
        Leaves are crashes of workers without return; joins are of new workers.
    restart : Delay or None
        Until a crashed worker comes back by itself; None: only where the coordinator has it started.
    partition : Delay
        How long a partition lasts.
    share : float
        Largest share of the nodes on the smaller side of a partition.
    both_copies : bool
        Whether a shard's node may crash while its other copy is down, or is not ready yet.
    spared : set of str
        Workers that never leave.
    most_joins : int
    until : float
        No random faults, losses and duplicates after this time.
    planned : tuple of Planned
    """

    worker_crashes: float = 0.0
    shard_crashes: float = 0.0
    leaves: float = 0.0
    joins: float = 0.0
    partitions: float = 0.0
    restart: Delay | None = None
    partition: Delay = field(default_factory=lambda: Delay(0.5, 3.0))
    share: float = 0.5
    both_copies: bool = True
    spared: frozenset[str] = frozenset()
    most_joins: int = 1_000
    until: float = float("inf")
    planned: tuple[Planned, ...] = ()


class Injector:
    """Carries faults out in a simulation.

    Parameters
    ----------
    simulator : Simulator
    faults : Faults
    joiner : callable or None
        Function of a number that returns name and machine factory of a new worker.
    seed : int

    Attributes
    ----------
    quiet_since : float
        When the last fault happened or ended.
    """

    def __init__(
        self,
        simulator: Simulator,
        faults: Faults,
        joiner: Callable[[int], tuple[str, Factory]] | None = None,
        seed: int = 0,
    ) -> None:
        self.simulator, self.faults, self._joiner = simulator, faults, joiner
        self.quiet_since, self.active = 0.0, True
        self._rng = np.random.default_rng([seed, 77])
        self._restart = None if faults.restart is None else faults.restart.stream(self._rng)
        self._lasts = faults.partition.stream(self._rng)
        self._walls: set[int] = set()
        self._joined = 0
        for rate, act in (
            (faults.worker_crashes, self._crash_worker),
            (faults.shard_crashes, self._crash_shard),
            (faults.leaves, self._leave),
            (faults.joins, self._join),
            (faults.partitions, self._part),
        ):
            if rate > 0:
                self._repeat(rate, act)
        for plan in faults.planned:
            simulator.at(plan.at, lambda plan=plan: self._carry_out(plan))
        if faults.until != float("inf"):
            simulator.at(faults.until, self.end)

    @property
    def ongoing(self) -> bool:
        """Whether random faults go on, or a partition lasts."""
        rates = self.faults
        random = rates.worker_crashes + rates.shard_crashes + rates.leaves + rates.joins + rates.partitions
        return bool(self._walls) or (self.active and random > 0)

    def end(self) -> None:
        """No more random faults, losses and duplicates; partitions heal."""
        if self.active:
            self.active = False
            self.simulator.loss = self.simulator.duplication = 0.0
            for bit in list(self._walls):
                self._heal(bit)
            self._note("end")

    def _note(self, what: str) -> None:
        self.quiet_since = self.simulator.now
        self.simulator.trace.faults[what] += 1

    def _repeat(self, rate: float, act: Callable[[], None]) -> None:
        def once() -> None:
            if self.active:
                act()
                self.simulator.at(self.simulator.now + self._rng.exponential(1 / rate), once)

        self.simulator.at(self._rng.exponential(1 / rate), once)

    def _some(self, role: str) -> str | None:
        names = [node.name for node in self.simulator.nodes.values() if node.role == role and node.machine is not None]
        return names[self._rng.integers(len(names))] if names else None

    def _crash_worker(self) -> None:
        name = self._some("worker")
        if name is not None:
            self.simulator.crash(name, None if self._restart is None else self._restart())
            self._note("worker crash")

    def _crash_shard(self) -> None:
        name = self._some("shard")
        if name is None or not (self.faults.both_copies or self._copied(name)):
            return
        self.simulator.crash(name)
        self._note("shard crash")

    def _copied(self, name: str) -> bool:
        """Whether the other copy holds everything, as the observer knows it."""
        observer = self.simulator.observer
        return observer is None or observer.copied(name)

    def _leave(self) -> None:
        name = self._some("worker")
        if name is not None and name not in self.faults.spared:
            self.simulator.crash(name, leave=True)
            self._note("leave")

    def _join(self) -> None:
        if self._joiner is not None and self._joined < self.faults.most_joins:
            self.simulator.add(*self._joiner(self._joined))
            self._joined += 1
            self._note("join")

    def _part(self) -> None:
        names = list(self.simulator.nodes)
        most = max(1, int(len(names) * self.faults.share))
        chosen = self._rng.permutation(len(names))[: self._rng.integers(1, most + 1)]
        self._isolate([names[i] for i in chosen], self._lasts())

    def _isolate(self, names: list[str], seconds: float) -> None:
        bit = next(number for number in range(len(self._walls) + 1) if number not in self._walls)
        self._walls.add(bit)
        self.simulator.isolate(names, bit)
        self._note("partition")
        if seconds != float("inf"):
            self.simulator.at(self.simulator.now + seconds, lambda: self._heal(bit))

    def _heal(self, bit: int) -> None:
        if bit in self._walls:
            self._walls.discard(bit)
            self.simulator.heal(bit)
            self._note("heal")

    def _carry_out(self, plan: Planned) -> None:
        if plan.what == "partition":
            self._isolate(list(plan.nodes), plan.seconds)
        elif plan.what == "join":
            self._join()
        elif plan.what == "stop":
            self.simulator.stop()
        elif plan.what in ("crash", "leave"):
            for name in plan.nodes:
                back = None if plan.seconds == float("inf") else plan.seconds
                self.simulator.crash(name, back, leave=plan.what == "leave")
                self._note(plan.what)
        else:
            raise ValueError(f"{plan.what!r} is no fault: expected crash, leave, join, partition or stop")
