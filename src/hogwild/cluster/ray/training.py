"""Training a problem on Ray: surveys on the nodes, machines with stores and workloads, a job, and its table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import ray

from hogwild.cluster.checkpoints import Checkpoints
from hogwild.cluster.coordinator import Coordinator
from hogwild.cluster.deltas import ALL, KeySet, Request
from hogwild.cluster.protocol import Advanced, EpochEnded, Happened
from hogwild.cluster.ray.crew import Nursery
from hogwild.cluster.ray.host import Parts
from hogwild.cluster.ray.job import Job
from hogwild.cluster.ray.metrics import JobMetrics
from hogwild.cluster.ray.places import Places
from hogwild.cluster.ray.saved import JobRecords, ShardSnapshots
from hogwild.cluster.report import ClusterReport, report_of
from hogwild.cluster.settings import JobSettings, number_of, shard_node
from hogwild.cluster.shard import ParameterShard
from hogwild.cluster.worker import Worker
from hogwild.cluster.workloads import EstimatorWorkload, Problem, Source, Survey
from hogwild.cluster.workloads.warming import warm_store, warm_workload
from hogwild.engine.training import Progress

_LEVELS = 1.0  # seconds between levels for the metrics


@dataclass(frozen=True)
class Plan:
    """One job: what is trained, on which rows, cut how.

    Attributes
    ----------
    problem, source, chunks
    cuts : ndarray
        Shard k holds the keys ``cuts[k]`` to ``cuts[k + 1] - 1``.
    settings : JobSettings
    seed : int
        Of the order of rows.
    workload : dict
        Further arguments of `EstimatorWorkload`.
    """

    problem: Problem
    source: Source
    chunks: tuple
    cuts: np.ndarray
    settings: JobSettings
    seed: int
    workload: dict[str, Any] = field(default_factory=dict)


class Outcome(NamedTuple):
    """What a job ended with."""

    table: np.ndarray
    rows: float
    losses: list[float]
    seconds: float
    interrupted: bool
    report: ClusterReport


@dataclass(frozen=True)
class MakeShard:
    """Makes the parts of a shard's node, in its process."""

    problem: Problem
    cuts: np.ndarray
    settings: JobSettings

    def __call__(self, node: str, threads: int, incarnation: int, restored: tuple[dict, dict] | None) -> Parts:
        """Allocate its range, with the first values or those of a checkpoint."""
        warm_store(self.problem)
        store = self.problem.store(*map(int, self.cuts[number_of(node) :][:2]))
        return Parts(ParameterShard(node, self.settings, store, incarnation, restored), read=store.snapshot)


@dataclass(frozen=True)
class MakeWorker:
    """Makes the parts of a worker's node, in its process."""

    plan: Plan

    def __call__(self, node: str, threads: int, incarnation: int, restored: None) -> Parts:
        """Open the source and lay the model out, once all kernels are there."""
        plan = self.plan
        warm_workload(plan.problem, plan.source, plan.cuts, plan.chunks[0], threads, **plan.workload)
        workload = EstimatorWorkload(
            plan.problem, plan.source, plan.cuts, n_threads=threads, seed=plan.seed, **plan.workload
        )
        return Parts(Worker(node, plan.settings, incarnation), run=workload.run)


@ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")
def _survey(source: Source, piece: Any) -> Survey:
    return source.survey(piece)


def survey_pieces(source: Source) -> list[Survey]:
    """Survey the pieces of a source, on all nodes at once."""
    pieces = source.pieces()
    if len(pieces) == 1:
        return [source.survey(pieces[0])]
    shared = ray.put(source)
    try:
        return ray.get([_survey.remote(shared, piece) for piece in pieces])
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None


class Follower:
    """Turns what the coordinator tells into `Progress`, metrics, and a record."""

    def __init__(
        self, coordinator: Coordinator, callback: Callable[[Progress], object] | None, tol: float | None, patience: int
    ) -> None:
        self._coordinator, self._callback = coordinator, callback
        self._tol, self._patience, self._best, self._without = tol, patience, float("inf"), 0
        self._ledger = coordinator.ledger
        self._metrics = JobMetrics(ray.get_runtime_context().get_job_id())
        self._before = sum(self._ledger.done.values())  # by the run that is gone on with
        self._last, self._evicted, self._due = self._before, 0, 0.0
        self._point, self._recent = (0, 0.0, 0.0), float("nan")  # turn and its sums at the last progress
        self.began = self.at = time.monotonic()
        self.happened: list[tuple[float, str, str]] = []

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return self.at - self.began

    def __call__(self, what: Any) -> bool:
        """Take one; whether the user wants to stop."""
        if isinstance(what, Happened):
            self.happened.append((what.now - self.began, what.what, what.node))
        elif isinstance(what, Advanced):
            self.at = what.now
            self._measure(what)
            return self._tell(what.turn, what.rows, what.weight, what.loss, ended=False)
        elif isinstance(what, EpochEnded):
            self.at = what.now
            weight, loss = self._coordinator.losses.get(what.turn, (0.0, 0.0))
            stops = self._tell(what.turn, sum(self._ledger.done.values()), weight, loss, ended=True)
            return self._stalls(what.loss) or stops
        return False

    def _stalls(self, loss: float) -> bool:
        """Whether so many epochs in a row have not brought the loss down by `tol`, as `fit` on one machine stops."""
        if self._tol is None:
            return False
        self._without = 0 if loss <= self._best - self._tol else self._without + 1
        self._best = min(self._best, loss)
        return self._without >= self._patience

    def _tell(self, turn: int, rows: int, weight: float, loss: float, *, ended: bool) -> bool:
        before = self._point if self._point[0] == turn else (turn, 0.0, 0.0)
        if weight > before[1]:
            self._recent = (loss - before[2]) / (weight - before[1])
        self._point = turn, weight, loss
        if self._callback is None:
            return False
        turns, rows_a_turn = self._ledger.turns, self._ledger.rows
        mean = loss / weight if weight else float("nan")
        total = max(0, turns * rows_a_turn - self._before)
        told = Progress(turn, turns, rows - self._before, total, mean, self._recent, self.seconds, ended)
        return bool(self._callback(told))

    def _measure(self, what: Advanced) -> None:
        self._metrics.phase(what.rows - self._last)
        self._last = what.rows
        for _ in range(len(self._coordinator.evictions) - self._evicted):
            self._metrics.eviction()
        self._evicted = len(self._coordinator.evictions)
        if what.now >= self._due:
            self._due = what.now + _LEVELS
            loss = what.loss / what.weight if what.weight else float("nan")
            self._metrics.level(loss, (what.rows - self._before) / max(self.seconds, 1e-9))


def train(
    plan: Plan,
    places: Places,
    *,
    checkpoints: Checkpoints | None = None,
    resumed: tuple[int, dict] | None = None,
    extra: dict[str, Any] | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Outcome:
    """Run a job to its end.

    Parameters
    ----------
    plan : Plan
    places : Places
    checkpoints : Checkpoints, optional
    resumed : tuple of (int, dict), optional
        Number and record of the checkpoint to go on from.
    extra : dict, optional
        What else the records of checkpoints hold.
    callback : callable, optional
        Told of the progress; ends the job by returning something true.
    """
    settings = plan.settings
    restored = resumed[1]["coordinator"] if resumed else None
    coordinator = Coordinator(settings, plan.chunks, plan.problem.n_turns, plan.seed, restored)
    estimator = plan.problem.estimator
    tol, patience = getattr(estimator, "tol", None), getattr(estimator, "n_iter_no_change", 1)
    follower = Follower(coordinator, callback, tol, patience)
    make = {"worker": MakeWorker(plan), "shard": MakeShard(plan.problem, plan.cuts, settings)}
    nursery, options = Nursery(make), {}
    if checkpoints is not None:
        records, snapshots = JobRecords(checkpoints, settings.shards, extra or {}), ShardSnapshots(checkpoints)
        first = ShardSnapshots(checkpoints, resumed[0]) if resumed else None
        nursery, options = (
            Nursery(make, snapshots, first, snapshots),
            {"persist": records.persist, "saved": records.commit},
        )
    figures: dict[str, Any] = {}
    interrupted = False
    if coordinator.ledger.complete:
        values = [nursery.resumed(shard_node(k, 0))[1] for k in range(settings.shards)]
    else:
        shards = [shard_node(k, r) for k in range(settings.shards) for r in range(settings.replicas)]
        job = Job(coordinator, nursery, shards, places, **options)
        values, interrupted = job.run(follower)
        figures = job.figures
    table = np.concatenate([_values(plan, k, state) for k, state in enumerate(values)])
    losses = [
        sums[1] / sums[0]
        for turn, sums in sorted(coordinator.losses.items())
        if sums[0] and coordinator.ledger.done.get(turn, 0)
    ]
    report = report_of(coordinator, figures, follower.happened, follower.began, follower.seconds)
    rows = float(sum(coordinator.ledger.done.values()))
    return Outcome(table, rows, losses, follower.seconds, interrupted, report)


def _values(plan: Plan, shard: int, state: dict[str, np.ndarray]) -> np.ndarray:
    """Return the values that a shard's snapshot stands for, penalties applied."""
    store = plan.problem.store(int(plan.cuts[shard]), int(plan.cuts[shard + 1]))
    store.restore(state)
    return store.read(Request(KeySet(ALL))).values
