"""A whole job in virtual time, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.coordinator import Coordinator
from hogwild.cluster.protocol import COORDINATOR, Chunk, EpochEnded, Persist, Store, Workload
from hogwild.cluster.settings import JobSettings, shard_node, worker_node
from hogwild.cluster.shard import ParameterShard
from hogwild.cluster.simulation.checker import Checker
from hogwild.cluster.simulation.cluster import SimulationError
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.counting import CountingStore, CountingWorkload
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.faults import Faults, Injector
from hogwild.cluster.simulation.network import Network
from hogwild.cluster.simulation.simulator import Simulator
from hogwild.cluster.simulation.trace import EventLog, Trace
from hogwild.cluster.worker import Worker


class Roles(NamedTuple):
    """The machines' classes."""

    coordinator: type = Coordinator
    shard: type = ParameterShard
    worker: type = Worker


@dataclass
class SimulationResult:
    """What came of a simulated job.

    Attributes
    ----------
    finished : bool
        Whether the job is over.
    failed : str or None
        Why it could not go on.
    seconds : float
        Of virtual time.
    events : int
    trace : Trace
    digest : str
        Hash of the trace: the same for the same arguments.
    losses : list of (float, float)
        Virtual time and mean loss of the rows stepped since the point before (each row before its own step).
    throughput : list of (float, float)
        Virtual time and rows a second since the point before.
    epochs : list of EpochEnded
    staleness : Counter
        Pushes by how many pushes of others came between their pull and them, at the shards as they stand.
    shares : dict of str to (float, float, float)
        By worker, seconds of compute, exchange and waiting.
    sent : dict of str to dict
        By node and kind of message: how many, and their bytes.
    faults : Counter
        Injected faults by kind.
    simulator : Simulator
    checker : Checker or None
    """

    finished: bool
    failed: str | None
    seconds: float
    events: int
    trace: Trace
    digest: str
    losses: list[tuple[float, float]]
    throughput: list[tuple[float, float]]
    epochs: list[EpochEnded]
    staleness: Counter
    shares: dict[str, tuple[float, float, float]]
    sent: dict[str, dict[str, tuple[int, int]]]
    faults: Counter
    simulator: Simulator
    checker: Checker | None

    @property
    def rows(self) -> int:
        """Rows stepped."""
        return sum(phase.rows for phase in self.trace.phases)

    @property
    def log(self) -> EventLog | None:
        """Messages and jobs for a sequence diagram, where they were asked for."""
        return self.trace.log


def build(
    settings: JobSettings,
    chunks: Sequence[Chunk],
    turns: int = 1,
    *,
    workload: Callable[[str], Workload] | None = None,
    store: Callable[[int], Store] | None = None,
    network: Network | None = None,
    costs: Costs | None = None,
    faults: Faults | None = None,
    seed: int = 0,
    key_sets: int = 3,
    row_bytes: int = 0,
    check: bool | None = None,
    grace: float | None = None,
    roles: Roles | None = None,
    told: float = 1.0,
    start: Delay | None = None,
    serialize: bool = False,
    log: EventLog | None = None,
) -> tuple[Simulator, Injector, Checker | None]:
    """Make the simulation of a job without running it; arguments as for `run`."""
    roles = roles or Roles()
    counting = workload is None and store is None
    if (workload is None) != (store is None):
        raise ValueError("workload and store belong together: give both, or neither for sampled durations")
    if check and not counting:
        raise ValueError("only counting stores can be checked: leave workload and store out")
    checker = None
    if counting and check is not False:
        longest = max(settings.worker_timeout, settings.shard_timeout, settings.compute_timeout, settings.resend)
        checker = Checker(settings.consistency, settings.shards, chunks, turns, grace or 4 * longest)
    if counting:
        serials = count()
        workload = lambda name: CountingWorkload(settings.shards, serials, key_sets, row_bytes)  # noqa: E731

    def coordinator(disk: Persist | None, starts: int) -> Any:
        return roles.coordinator(settings, chunks, turns, seed)

    def shard(node: str, number: int) -> Callable:
        def make(disk: Persist | None, starts: int) -> Any:
            made = store or (lambda number: CountingStore())
            values = made(number) if checker is None else checker.store(node)
            return roles.shard(node, settings, values, starts, None if disk is None else (disk.about, disk.state))

        return make

    def worker(node: str) -> Callable:
        return lambda disk, starts: roles.worker(node, settings, starts)

    machines = {COORDINATOR: coordinator}
    for k in range(settings.shards):
        for replica in range(settings.replicas):
            machines[shard_node(k, replica)] = shard(shard_node(k, replica), k)
    for i in range(settings.workers):
        machines[worker_node(i)] = worker(worker_node(i))
    trace = Trace(log)
    simulator = Simulator(
        {},
        workloads=workload,
        network=network,
        costs=costs,
        seed=seed,
        told=told,
        start=start,
        serialize=serialize,
        trace=trace,
        observer=checker,
    )
    if checker is not None:
        checker.simulator = simulator
    for name, machine in machines.items():
        simulator.add(name, machine)

    def joiner(number: int) -> tuple[str, Callable]:
        name = worker_node(settings.workers + number)
        return name, worker(name)

    injector = Injector(simulator, faults or Faults(), joiner, seed)
    if checker is not None:
        checker.injector = injector
    return simulator, injector, checker


def run(
    settings: JobSettings,
    chunks: Sequence[Chunk],
    turns: int = 1,
    *,
    until: float = float("inf"),
    events: int | None = None,
    fault_events: int | None = None,
    points: int = 200,
    **options: Any,
) -> SimulationResult:
    """Simulate a job to its end.

    Parameters
    ----------
    settings : JobSettings
        With the number of workers and shards to start with.
    chunks : sequence of Chunk
    turns : int
        Passes over them.
    until : float
        Virtual time at which to stop all the same.
    events : int, optional
        Events after which to stop all the same.
    fault_events : int, optional
        Events after which nothing goes wrong any more: the job has to end then.
    points : int
        Of the curves of loss and throughput.
    workload, store : callable, optional
        Function of a worker's name that makes its `Workload`, and of a shard's number that makes its `Store`, for real
        kernels. Without them the job counts (`simulation/counting.py`), and every invariant is checked.
    network : Network, optional
    costs : Costs, optional
    faults : Faults, optional
    seed : int
    key_sets, row_bytes : int
        Of a counting job: key sets that are named by id once they are known (0: none), bytes that a row adds to a push.
    check : bool, optional
        False: no checks.
    grace : float, optional
        Seconds without faults within which something has to move; four times the longest timeout.
    roles : Roles, optional
        Other machines.
    told : float
        Probability that the coordinator hears of a death at once.
    start : Delay, optional
        Seconds from the coordinator's order until a node has started.
    serialize : bool
        Pickle every message on its way.
    log : EventLog, optional
        What to keep for a sequence diagram.

    Returns
    -------
    SimulationResult

    Raises
    ------
    SimulationError
        If a machine fails, an invariant breaks (`InvariantError`), or nothing is left to happen.

    Examples
    --------
    >>> chunks = [Chunk(number, 1_000) for number in range(8)]
    >>> result = run(JobSettings(workers=3, shards=2, leases=False), chunks, turns=2, seed=1)
    >>> result.finished, result.rows, result.epochs[-1].turn
    (True, 16000, 2)
    """
    simulator, injector, checker = build(settings, chunks, turns, **options)
    running = True
    if fault_events is not None:
        running = simulator.run(until, fault_events if events is None else min(fault_events, events))
        injector.end()
        events = None if events is None else events - fault_events
    if running and (events is None or events > 0):
        running = simulator.run(until, events)
    if not (running or simulator.finished or simulator.failed):
        raise SimulationError(f"nothing is left to happen, and the job is not over\n{simulator.trace.tail()}")
    return result_of(simulator, injector, checker, points)


def result_of(simulator: Simulator, injector: Injector, checker: Checker | None, points: int = 200) -> SimulationResult:
    """Gather what a simulation has left behind so far."""
    trace = simulator.trace
    losses, throughput = _curves(trace.phases, simulator.now, points)
    staleness: Counter = Counter()
    for node in simulator.nodes.values():
        if node.role == "shard" and getattr(node.machine, "primary", False):
            staleness.update(node.machine.staleness)
    return SimulationResult(
        simulator.finished,
        simulator.failed,
        simulator.now,
        trace.events,
        trace,
        trace.digest(),
        losses,
        throughput,
        [told for told in trace.told if type(told) is EpochEnded],
        staleness,
        trace.shares,
        {name: {kind.__name__: tuple(tally) for kind, tally in sent.items()} for name, sent in trace.sent.items()},
        trace.faults,
        simulator,
        checker,
    )


def _curves(phases: list, end: float, points: int) -> tuple[list, list]:
    """Mean loss and rows a second in equal spans of virtual time."""
    if not phases or end <= 0:
        return [], []
    times = np.array([phase.now for phase in phases])
    edges = np.linspace(0, max(end, times.max()), points + 1)
    rows, weights, losses = (
        np.histogram(times, edges, weights=[getattr(phase, name) for phase in phases])[0]
        for name in ("rows", "weight", "loss")
    )
    speed = rows / np.diff(edges)
    at = edges[1:]
    mean = [(float(t), float(a / b)) for t, a, b in zip(at, losses, weights, strict=True) if b > 0]
    return mean, [(float(t), float(v)) for t, v in zip(at, speed, strict=True)]
