"""What a job on a cluster has done: shares of time, staleness, evictions, bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hogwild.cluster.protocol import Stats


@dataclass(frozen=True)
class WorkerReport:
    """What one worker did.

    Attributes
    ----------
    name : str
    rows, phases : int
    compute, exchange, waiting : float
        Shares of its time: in steps, in exchange of deltas, and waiting for slower workers.
    sent_bytes : int
        Of arrays; 0 where it was gone at the end.
    """

    name: str
    rows: int
    phases: int
    compute: float
    exchange: float
    waiting: float
    sent_bytes: int

    @classmethod
    def of(cls, name: str, stats: Stats, sent_bytes: int = 0) -> WorkerReport:
        """Make it of a worker's sums."""
        total = max(stats.compute + stats.exchange + stats.waiting, 1e-9)
        shares = stats.compute / total, stats.exchange / total, stats.waiting / total
        return cls(name, stats.rows, stats.phases, *shares, sent_bytes)


@dataclass(frozen=True)
class ClusterReport:
    """A job on a cluster.

    Attributes
    ----------
    seconds : float
        From the first step to the last.
    rows : int
        Rows stepped for the model.
    rows_twice : int
        Rows that were stepped again, as whoever had them was lost or evicted.
    workers : list of WorkerReport
    staleness : dict of int to int
        How often a push found so many pushes of others between it and the pull before it.
    pushes, duplicates : int
        Pushes that shards applied, and repeated ones that they left out.
    evictions : list of (worker, reason)
    happened : list of (seconds, what, node)
        Joins, losses, promotions.
    phase_rows : list of (seconds, rows)
        Phase lengths over time.
    sent_bytes : int
        By all nodes that were there at the end.
    consistency : str
    shards, replicas : int
    """

    seconds: float
    rows: int
    rows_twice: int
    workers: list[WorkerReport]
    staleness: dict[int, int]
    pushes: int
    duplicates: int
    evictions: list[tuple[str, str]]
    happened: list[tuple[float, str, str]] = field(repr=False)
    phase_rows: list[tuple[float, int]] = field(repr=False)
    sent_bytes: int
    consistency: str
    shards: int
    replicas: int

    @property
    def rows_per_second(self) -> float:
        """Throughput of all workers."""
        return self.rows / max(self.seconds, 1e-9)


def staleness_of(counts: list[dict[int, int]]) -> dict[int, int]:
    """Add the histograms of several shards up."""
    found: dict[int, int] = {}
    for each in counts:
        for staleness, n in each.items():
            found[staleness] = found.get(staleness, 0) + n
    return dict(sorted(found.items()))


def report_of(
    coordinator: Any,
    figures: dict[str, Any],
    happened: list[tuple[float, str, str]],
    began: float,
    seconds: float,
) -> ClusterReport:
    """Make the report of a job that has ended.

    Parameters
    ----------
    coordinator : Coordinator
    figures : dict of str to Figures
        By node, what it had done at the end.
    happened : list
    began, seconds : float
        When the first rows were stepped, by the coordinator's clock, and how long it took.
    """
    settings, view = coordinator.settings, coordinator.views.view
    shards = [figures[node].shard for node in view.primaries if node in figures and figures[node].shard]
    workers = [
        WorkerReport.of(name, stats, figures[name].sent_bytes if name in figures else 0)
        for name, stats in sorted(coordinator.totals.items(), key=lambda item: int(item[0].split("/")[1]))
    ]
    return ClusterReport(
        seconds=seconds,
        rows=sum(coordinator.ledger.done.values()),
        rows_twice=coordinator.ledger.twice,
        workers=workers,
        staleness=staleness_of([each.staleness for each in shards]),
        pushes=sum(each.pushes for each in shards),
        duplicates=sum(each.duplicates for each in shards),
        evictions=list(coordinator.evictions),
        happened=happened,
        phase_rows=[(max(0.0, at - began) if at else 0.0, rows) for at, rows in coordinator.length.curve],
        sent_bytes=sum(each.sent_bytes for each in figures.values()),
        consistency=repr(settings.consistency),
        shards=settings.shards,
        replicas=settings.replicas,
    )
