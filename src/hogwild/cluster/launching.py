"""From a workload of a user's own to a job on Ray: shards with the first values, workers, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from hogwild.cluster.consistency import Consistency, resolve_consistency
from hogwild.cluster.deltas import ALL, KeySet, Request
from hogwild.cluster.flat import FlatTable
from hogwild.cluster.protocol import Advanced, Chunk, EpochEnded, Happened
from hogwild.cluster.settings import JobSettings, number_of
from hogwild.engine.training import DivergedError, Progress
from hogwild.own.minimize import History, Result


@dataclass(frozen=True)
class Cluster:
    """What ran: in `Result.engine` of a run on a cluster.

    Attributes
    ----------
    workers, threads, shards, replicas : int
        Workers at the start, threads of each, shards, and copies of each shard.
    consistency : Consistency
    phases : tuple of (seconds, rows)
        Rows of a phase from that time of the run on, as they were chosen.
    evictions : tuple of (worker, reason)
    events : tuple of Happened
        Who joined, left, was lost or replaced, in seconds since the start.
    """

    workers: int
    threads: int
    shards: int
    replicas: int
    consistency: Consistency
    phases: tuple[tuple[float, int], ...] = ()
    evictions: tuple[tuple[str, str], ...] = ()
    events: tuple[Happened, ...] = ()


@dataclass
class Recipe:
    """Makes the parts of every node, in its process.

    Attributes
    ----------
    make_workload : callable
        ``make_workload(cuts, worker, threads) -> Workload``.
    make_store : callable
        ``make_store(layout, low, high, values) -> Store``.
    table : FlatTable
    values : ndarray, shape (n_keys, width)
        Where to start.
    settings : JobSettings
    """

    make_workload: Callable[[np.ndarray, int, int], Any]
    make_store: Callable[[Any, int, int, np.ndarray], Any]
    table: FlatTable
    values: np.ndarray
    settings: JobSettings

    def __call__(self, node: str, threads: int, incarnation: int, restored: tuple[dict, dict] | None) -> Any:
        """Make a worker or a shard."""
        from hogwild.cluster.ray.host import Parts
        from hogwild.cluster.shard import ParameterShard
        from hogwild.cluster.worker import Worker

        cuts, number = self.table.cuts(self.settings.shards), number_of(node)
        if node.startswith("worker/"):
            workload = self.make_workload(cuts, number, threads)
            return Parts(Worker(node, self.settings, incarnation), run=workload.run)
        low, high = int(cuts[number]), int(cuts[number + 1])
        store = self.make_store(self.table.layout, low, high, self.values[low:high])
        machine = ParameterShard(node, self.settings, store, incarnation, restored)
        return Parts(machine, read=lambda: {"values": store.read(Request(KeySet(ALL))).values})


@dataclass
class Ran:
    """What came of a job.

    Attributes
    ----------
    values : ndarray, shape (n_keys, width)
    interrupted, stopped : bool
    losses : list of float
        Mean loss of each epoch's rows, each before its own step.
    cluster : Cluster
    """

    values: np.ndarray
    interrupted: bool
    stopped: bool
    losses: list[float]
    cluster: Cluster


def launch(
    recipe: Recipe,
    chunks_for: Callable[[int], Sequence[Chunk]],
    epochs: int,
    *,
    workers: int | None,
    threads: int | None,
    address: str | None,
    seed: int,
    told: Callable[[Any], object] | None = None,
) -> Ran:
    """Run a job on Ray to its end.

    Parameters
    ----------
    recipe : Recipe
        Its settings are told how many workers there are.
    chunks_for : callable
        Cuts the rows for a number of workers.
    epochs : int
    workers, threads : int, optional
        Default: one worker a node, with all its cores.
    address : str, optional
    seed : int
        Of the order of chunks.
    told : callable, optional
        Called with what the coordinator tells; a true result ends the job.
    """
    from hogwild.cluster.coordinator import Coordinator
    from hogwild.cluster.ray.job import Job
    from hogwild.cluster.ray.local import connected
    from hogwild.cluster.ray.places import Places, alive
    from hogwild.cluster.settings import shard_node

    losses: list[float] = []
    events: list[Happened] = []
    stopped = []

    def listen(what: Any) -> bool:
        if isinstance(what, EpochEnded):
            losses.append(what.loss)
        if isinstance(what, Happened):
            events.append(what)
        if told is not None and told(what):
            stopped.append(True)
        return bool(stopped)

    cores = None if workers is None or threads is None else workers * threads
    with connected(address, cores):
        places = Places(workers, threads)
        per_worker = min(max(1, p.cores // places.slots[p.id]) for p in alive() if p.id in places.slots)
        settings = replace(recipe.settings, workers=places.workers)
        recipe = replace(recipe, settings=settings)
        coordinator = Coordinator(settings, chunks_for(places.workers), epochs, seed)
        shards = [shard_node(k, r) for k in range(settings.shards) for r in range(settings.replicas)]
        job = Job(coordinator, recipe, shards, places)
        began = time.monotonic()
        values, interrupted = job.run(listen)
    cluster = Cluster(
        workers=places.workers,
        threads=threads or per_worker,
        shards=settings.shards,
        replicas=settings.replicas,
        consistency=settings.consistency,
        phases=tuple((max(0.0, at - began), rows) for at, rows in coordinator.length.curve),
        evictions=tuple(coordinator.evictions),
        events=tuple(each._replace(now=each.now - began) for each in events),
    )
    table = np.concatenate([part["values"].reshape(-1, recipe.table.width) for part in values])
    return Ran(table, interrupted, bool(stopped), losses, cluster)


def check_cuts(table: FlatTable, shards: int) -> None:
    """See that every shard gets a key.

    Raises
    ------
    ValueError
        Where there are more shards than keys.
    """
    cuts = table.cuts(shards)
    if any(high == low for low, high in pairwise(cuts)):
        raise ValueError(f"shards must be at most {table.n_keys}, the keys of these parameters; found {shards}")


def first_values(table: FlatTable, params: Any) -> np.ndarray:
    """Table that training starts from."""
    return table.gather(params, table.zeros())


def count(name: str, value: Any) -> int:
    """Return `value` as an integer of at least 1, or say what it is."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, found {value!r}")
    return int(value)


def seed_of(random_state: int | np.random.Generator | None) -> int:
    """Draw the seed of a job."""
    rng = random_state if isinstance(random_state, np.random.Generator) else np.random.default_rng(random_state)
    return int(rng.integers(2**62))


def job_settings(
    shards: int,
    replicas: int,
    consistency: str | Consistency,
    staleness: int | None,
    phase_rows: int | None,
    further: dict[str, Any],
) -> JobSettings:
    """Make the settings of a job; `further` are fields of them by name."""
    policy = resolve_consistency(consistency, staleness)
    return JobSettings(shards=shards, replicas=replicas, consistency=policy, phase_rows=phase_rows, **further)


class Curve:
    """The progressive curve, and the user's callback."""

    def __init__(self, callback: Callable[[Progress], object] | None, epochs: int, rows: int) -> None:
        self._callback, self._epochs, self._total = callback, epochs, epochs * rows
        self._began, self._next = time.perf_counter(), 1024
        self.points: list[list[float]] = []
        self.seconds: list[float] = []
        self.rows = 0
        self.epochs_begun = 0

    def told(self, what: Any) -> object:
        """Hear of progress; returns what the callback does."""
        if isinstance(what, Advanced):
            return self._advanced(what.rows, what.turn, what.weight, what.loss, False)
        if isinstance(what, EpochEnded):
            self.seconds.append(time.perf_counter() - self._began)
            return self._advanced(self.rows, what.turn, 1.0, what.loss, True)
        return None

    def _advanced(self, rows: int, turn: int, weight: float, loss: float, ended: bool) -> object:
        self.epochs_begun, self.rows = max(self.epochs_begun, turn), max(self.rows, rows)
        mean = loss / weight if weight else math.nan
        if rows >= self._next and not ended:
            self.points.append([float(rows), mean])
            self._next = 2 * rows
        if self._callback is None:
            return None
        seconds = time.perf_counter() - self._began
        return self._callback(Progress(turn, self._epochs, rows, self._total, mean, mean, seconds, ended))


def result_of(ran: Ran, params: Any, curve: Curve, final: list[float], began: float, function: Any) -> Result:
    """Make what the user is given."""
    if not np.isfinite(ran.values.sum(dtype=np.float64)):
        name = getattr(function, "__name__", "the function")
        raise DivergedError(f"Floating-point under-/overflow: the parameters are not finite; the step size of {name}")
    history = History(final or list(ran.losses), list(ran.losses), curve.points)
    return Result(
        params=params,
        history=history,
        engine=ran.cluster,
        n_threads=ran.cluster.workers * ran.cluster.threads,
        n_epochs=max(curve.epochs_begun, len(ran.losses)),
        interrupted=ran.interrupted,
        stopped=ran.stopped,
        seconds=time.perf_counter() - began,
    )
