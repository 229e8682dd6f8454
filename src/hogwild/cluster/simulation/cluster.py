"""The nodes of a simulated cluster: they start, die, come back, and are parted from each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappush
from typing import Any

from hogwild.cluster.protocol import COORDINATOR, Lost, Machine, Persist, Started, Stop, Workload
from hogwild.cluster.simulation.nodes import Node
from hogwild.cluster.simulation.trace import Trace

MESSAGE, ARRIVAL, TIMER, EVENT, WRITTEN, ACTION = range(6)  # what entries of the heap are

Factory = Callable[[Persist | None, int], Machine]


class SimulationError(AssertionError):
    """A machine failed, or broke an invariant; the message ends with the last events."""


def place_of(name: str) -> str:
    """Return where a node's snapshots lie: those of a shard's copies in one place."""
    return name.rsplit("/", 1)[0] if name.startswith("shard/") else name


class Cluster:
    """Nodes and the heap of what happens to them; see `Simulator`."""

    def __init__(
        self,
        machines: Mapping[str, Factory],
        workloads: Callable[[str], Workload] | None,
        starting: Callable[[], float],
        telling: Callable[[], float],
        chance: Callable[[], float],
        told: float,
        trace: Trace,
        observer: Any,
    ) -> None:
        self.trace, self.observer, self.told = trace, observer, told
        self.now = 0.0
        self.nodes: dict[str, Node] = {}
        self.disks: dict[str, Persist] = {}
        self._starting, self._telling, self._chance = starting, telling, chance
        self._factories, self._workloads = dict(machines), workloads
        self._heap: list[tuple] = []
        self._sequence = 0
        for name in self._factories:
            self._begin(self._node(name))

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Call `action` at that time."""
        self._push(max(time, self.now), ACTION, None, action, None)

    def add(self, name: str, factory: Factory | None = None) -> None:
        """Start a new node now."""
        if factory is not None:
            self._factories[name] = factory
        self._begin(self._node(name))

    def crash(self, name: str, restart: float | None = None, *, leave: bool = False) -> bool:
        """Kill a node; what it has on disk stays. False: it was not running.

        `restart`: seconds until it comes back by itself; `leave`: it never does.
        """
        node = self.nodes[name]
        node.gone = node.gone or leave
        if node.machine is None:
            return False
        self._end(node)
        if restart is not None and not leave:
            self._restart(node, restart)
        return True

    def isolate(self, names: list[str], bit: int) -> None:
        """Part these nodes from all others."""
        for name in names:
            self.nodes[name].wall |= 1 << bit

    def heal(self, bit: int) -> None:
        """End that partition."""
        for node in self.nodes.values():
            node.wall &= ~(1 << bit)

    def stop(self) -> None:
        """Tell the coordinator that the user wants to end."""
        node = self.nodes[COORDINATOR]
        self._push(self.now, EVENT, node, Stop(), node.life)

    def _asked(self, node: Node) -> None:
        """Start a node in place of one that was lost; if that still runs, it is killed first, as a runtime would."""
        if node.starting or node.gone:
            return
        if node.machine is not None:
            self._end(node)
        self._restart(node, self._starting())

    def _restart(self, node: Node, delay: float) -> None:
        node.starting = True

        def begin() -> None:
            if node.starting and node.machine is None:
                self._begin(node)

        self.at(self.now + delay, begin)

    # -------------------------------------------------------------------------------------------- lives

    def _node(self, name: str) -> Node:
        if name in self.nodes:
            raise ValueError(f"there is a node {name} already")
        node = self.nodes[name] = Node(name, len(self.nodes))
        self.trace.sent[name] = node.sent
        return node

    def _begin(self, node: Node) -> None:
        node.up(self._factories[node.name](self.disks.get(place_of(node.name)), node.starts), self.now)
        if node.role == "worker" and self._workloads is not None:
            node.workload = self._workloads(node.name)
        if self.observer is not None:
            self.observer.began(self.now, node)
        self._push(self.now, EVENT, node, Started(), node.life)

    def _end(self, node: Node) -> None:
        node.down()
        if self.observer is not None:
            self.observer.ended(self.now, node)
        if node.name != COORDINATOR and COORDINATOR in self.nodes and self._chance() < self.told:
            life, coordinator = node.life, self.nodes[COORDINATOR]

            def tell() -> None:
                # A runtime knows which process died: a node that has been started again meanwhile is not reported.
                if node.life == life and coordinator.machine is not None:
                    self._push(self.now, EVENT, coordinator, Lost(node.name), coordinator.life)

            self.at(self.now + self._telling(), tell)

    def _push(self, time: float, kind: int, node: Node | None, what: Any, about: Any) -> None:
        self._sequence += 1
        heappush(self._heap, (time, self._sequence, kind, node, what, about))
