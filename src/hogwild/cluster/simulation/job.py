"""``hogwild.cluster.simulate``: a described cluster, run in virtual time, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sklearn.base import BaseEstimator

from hogwild.cluster.protocol import COORDINATOR, Chunk
from hogwild.cluster.simulation.cluster import SimulationError
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.run import SimulationResult, build, result_of
from hogwild.cluster.simulation.scenario import ModelSizes, Scenario
from hogwild.cluster.simulation.trace import EventLog
from hogwild.cluster.workloads.sources import rows_of_chunks
from hogwild.engine.training import DivergedError

ROWS_A_WORKER = 200_000  # of a simulation without data


@dataclass
class Simulation:
    """A simulated job.

    Attributes
    ----------
    scenario : Scenario
    finished : bool
        Whether all rows were stepped; False after `until`, after `goal`, and where the job failed.
    failed : str or None
        Why it could not go on.
    seconds : float
        Of virtual time.
    rows : int
        Rows stepped.
    epochs : list of float
        Mean loss of each pass, each row before its own step; empty without data.
    losses : list of (float, float)
        Virtual time and mean loss of the shards' model on rows of the data; empty without data.
    reached : float or None
        Virtual time at which `goal` was reached.
    throughput : list of (float, float)
        Virtual time and rows a second since the point before.
    shares : dict of str to (float, float, float)
        By worker, seconds of compute, exchange and waiting, as it reported them.
    staleness : Counter
        Accepted pushes by the pushes of others between their pull and them, at one shard.
    sent, messages : dict of str to int
        Bytes and number of messages by kind.
    phase_rows : list of (float, int)
        Virtual time and length of phases from then on.
    evictions : list of (str, str)
        Workers taken out, and why.
    faults : Counter
        Injected faults by kind.
    events : int
    wall_seconds : float
        Of the simulator, with the kernels where there are any.
    digest : str
        Hash of all events: the same for the same arguments on the same machine and versions.
    log : EventLog or None
        For a sequence diagram.
    model : estimator or None
        Fitted on what the shards hold at the end.
    """

    scenario: Scenario
    finished: bool
    failed: str | None
    seconds: float
    rows: int
    epochs: list[float]
    losses: list[tuple[float, float]]
    reached: float | None
    throughput: list[tuple[float, float]]
    shares: dict[str, tuple[float, float, float]]
    staleness: Counter
    sent: dict[str, int]
    messages: dict[str, int]
    phase_rows: list[tuple[float, int]]
    evictions: list[tuple[str, str]]
    faults: Counter
    events: int
    wall_seconds: float
    digest: str
    log: EventLog | None = None
    model: BaseEstimator | None = field(default=None, repr=False)

    @property
    def rows_per_second(self) -> float:
        """Rows of all workers in a second of virtual time."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def events_per_second(self) -> float:
        """Speed of the simulator."""
        return self.events / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def share(self) -> tuple[float, float, float]:
        """Shares of compute, exchange and waiting in the time of all workers."""
        sums = [sum(each) for each in zip(*self.shares.values(), strict=True)] or [0.0, 0.0, 0.0]
        whole = sum(sums) or 1.0
        return sums[0] / whole, sums[1] / whole, sums[2] / whole

    @property
    def mean_staleness(self) -> float:
        """Mean of `staleness`."""
        return sum(k * n for k, n in self.staleness.items()) / max(1, sum(self.staleness.values()))


def simulate(
    estimator: BaseEstimator | None = None,
    data: Any = None,
    *,
    scenario: Scenario | None = None,
    epochs: int | None = None,
    rows: int | None = None,
    keys: int = 50_000,
    nonzeros: int = 70,
    until: float = float("inf"),
    goal: float | None = None,
    points: int = 100,
    check: bool = False,
    log: EventLog | None = None,
    chunk_rows: int | None = None,
    job: RealJob | None = None,
    **changes: Any,
) -> Simulation:
    """Run a job on a described cluster in virtual time: the machines that a real cluster runs, in one process.

    Without `estimator` and `data` nothing is learned: durations and sizes of messages are made up, the coordination is
    real. With them workers run the real kernels on the real rows; only the time that they take is made up.

    Parameters
    ----------
    estimator : estimator, optional
        SGD, factorisation machines; not changed. With `data` only.
    data : tuple of (X, y) or (X, y, sample_weight), or Source, optional
    scenario : Scenario, optional
        The cluster; `changes` differ from it.
    epochs : int, optional
        Passes over the rows; by default the estimator's, 1 without.
    rows : int, optional
        Rows in all, without data; 200,000 a worker by default.
    keys, nonzeros : int
        Of the imagined model, and of a row: for the sizes of messages.
    until : float
        Virtual time at which to stop all the same.
    goal : float, optional
        Loss (on rows of the data) at which to stop; see `Simulation.reached`.
    points : int
        Of the curve of losses, about; that of throughput has half as many.
    check : bool
        Check every invariant of the protocol after every event (without data only; slower).
    log : EventLog, optional
        What to keep for a sequence diagram.
    chunk_rows : int, optional
        Rows that are leased as a whole.
    job : RealJob, optional
        In place of `estimator` and `data`: kernels and rows that several simulations share.
    **changes
        Parameters of `Scenario`.

    Returns
    -------
    Simulation

    Raises
    ------
    SimulationError
        If a machine fails, an invariant breaks, or nothing is left to happen.
    DivergedError
        If the model does.

    Examples
    --------
    >>> from hogwild.cluster.simulation.job import simulate
    >>> result = simulate(workers=8, shards=2, consistency="bsp", slow={0: 10}, phase_rows=10_000, rows=400_000)
    >>> result.finished, result.rows >= 400_000  # some may be stepped twice
    (True, True)
    >>> again = simulate(workers=8, shards=2, consistency="bsp", slow={0: 10}, phase_rows=10_000, rows=400_000)
    >>> result.digest == again.digest
    True
    """
    scenario = (scenario or Scenario()).changed(**changes)
    if (estimator is None) != (data is None):
        raise ValueError("estimator and data belong together: give both, or neither for sampled durations")
    if estimator is None and job is None:
        return _count(scenario, epochs or 1, rows, keys, nonzeros, until, points, check, log, chunk_rows)
    if check:
        raise ValueError("only simulations without data are checked: leave check or the data out")
    own = job is None
    if own:
        job = RealJob(
            estimator,
            data,
            shards=scenario.shards,
            workers=scenario.workers,
            merge=scenario.merge,
            seed=scenario.seed,
            half=scenario.half,
            chunk_rows=chunk_rows,
        )
    try:
        return _learn(job, scenario, epochs or job.turns, until, goal, points, log)
    finally:
        if own:
            job.close()


def _count(
    scenario: Scenario,
    epochs: int,
    rows: int | None,
    keys: int,
    nonzeros: int,
    until: float,
    points: int,
    check: bool,
    log: EventLog | None,
    chunk_rows: int | None,
) -> Simulation:
    """Simulate without kernels."""
    rows = ROWS_A_WORKER * scenario.workers if rows is None else rows
    each = rows_of_chunks(rows, scenario.workers, chunk_rows)
    bounds = [rows * k // max(1, -(-rows // each)) for k in range(max(1, -(-rows // each)) + 1)]
    chunks = [Chunk(k, stop - start) for k, (start, stop) in enumerate(pairwise(bounds))]
    sizes = ModelSizes(keys, nonzeros, scenario.shards, scenario.workers, 2 if scenario.half else 4)
    parts = build(
        scenario.settings(),
        chunks,
        epochs,
        network=scenario.network(sizes),
        costs=scenario.costs(),
        faults=scenario.faults(),
        seed=scenario.seed,
        check=check,
        told=scenario.told,
        log=log,
    )
    began = time.perf_counter()
    if not parts[0].run(until) and not (parts[0].finished or parts[0].failed):
        raise SimulationError(f"nothing is left to happen, and the job is not over\n{parts[0].trace.tail()}")
    return _result(scenario, result_of(*parts, max(1, points // 2)), [], None, time.perf_counter() - began)


def _learn(
    job: RealJob, scenario: Scenario, epochs: int, until: float, goal: float | None, points: int, log: EventLog | None
) -> Simulation:
    """Simulate with kernels, and look at the shards' model now and then."""
    if job.shards != scenario.shards:
        raise ValueError(f"the job has {job.shards} shards, the scenario {scenario.shards}")
    parts = build(
        scenario.settings(),
        job.chunks,
        epochs,
        workload=job.workload,
        store=job.store,
        network=scenario.network(),
        costs=scenario.costs(),
        faults=scenario.faults(),
        seed=scenario.seed,
        told=scenario.told,
        log=log,
    )
    simulator = parts[0]
    losses: list[tuple[float, float]] = []
    began, reached, table = time.perf_counter(), None, None
    total = job.survey.n_rows * epochs
    step = total / (scenario.workers * scenario.rate) / points
    due, running = step, True
    while running and reached is None and simulator.now < until:
        try:
            running = simulator.run(min(due, until))
        except SimulationError as error:
            if isinstance(error.__cause__, ValueError) and "finite" in str(error.__cause__):  # a shard refuses a delta
                raise DivergedError(str(error.__cause__)) from None
            raise
        table = job.table(simulator)
        if table is not None:
            losses.append((simulator.now if not running else min(due, until), job.loss(table)))
            if goal is not None and losses[-1][1] <= goal:
                reached = losses[-1][0]
        if len(losses) >= 2 * points:  # it takes longer than the rows alone would: half the points from now on
            step, losses = 2 * step, losses[1::2]
        due += step
    wall = time.perf_counter() - began
    result = result_of(*parts, max(1, points // 2))
    found = _result(scenario, result, losses, reached, wall)
    if table is not None:
        found.model = job.model(table, found.rows, found.epochs, found.seconds)
    return found


def _result(
    scenario: Scenario, result: SimulationResult, losses: list, reached: float | None, wall: float
) -> Simulation:
    coordinator = result.simulator.nodes[COORDINATOR].machine
    sent: Counter = Counter()
    messages: Counter = Counter()
    for kinds in result.sent.values():
        for kind, (number, nbytes) in kinds.items():
            messages[kind] += number
            sent[kind] += nbytes
    return Simulation(
        scenario=scenario,
        finished=result.finished,
        failed=result.failed,
        seconds=result.seconds,
        rows=result.rows,
        epochs=[each.loss for each in result.epochs] if losses else [],
        losses=losses,
        reached=reached,
        throughput=result.throughput,
        shares=result.shares,
        staleness=result.staleness,
        sent=dict(sent.most_common()),
        messages=dict(messages.most_common()),
        phase_rows=list(coordinator.length.curve) if coordinator is not None else [],
        evictions=list(coordinator.evictions) if coordinator is not None else [],
        faults=result.faults,
        events=result.events,
        wall_seconds=wall,
        digest=result.digest,
        log=result.log,
    )
