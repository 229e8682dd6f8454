"""What a run on a cluster was like: shares of time, staleness, phase lengths, losses of nodes."""

from __future__ import annotations

from collections.abc import Iterator

from hogwild.report.parts import Groups, Lines, Part, Table
from hogwild.report.record import Cluster, Record

_SHOWN = 16  # workers that are drawn; staleness values that are drawn


def cluster_parts(record: Record) -> Iterator[Part]:
    """Parts about the workers and their exchange."""
    cluster = record.cluster
    if cluster is None:
        return
    if cluster.workers:
        yield from _workers(cluster)
    total = sum(count for _, count in cluster.staleness)
    if total:
        shown = {str(late): {"share": count / total} for late, count in cluster.staleness[:_SHOWN]}
        rest = sum(count for _, count in cluster.staleness[_SHOWN:])
        if rest:
            shown["more"] = {"share": rest / total}
        yield Groups("Staleness: pushes of others since the pull", "share of pushes", shown)
    if len({rows for _, rows in cluster.phase_rows}) > 1:
        points = [at for at, _ in cluster.phase_rows], [float(rows) for _, rows in cluster.phase_rows]
        yield Lines("Phase length", "seconds", "rows", {"rows": points}, from_zero=True)
    happened = [[f"{at:.1f}", node, what] for at, what, node in cluster.happened]
    happened += [["-", worker, f"evicted: {reason}"] for worker, reason in cluster.evictions]
    if happened:
        yield Table("What happened", ["seconds", "node", ""], happened)


def _workers(cluster: Cluster) -> Iterator[Part]:
    shown = cluster.workers[:_SHOWN]
    shares = {
        each.name: {"compute": each.compute, "exchange": each.exchange, "waiting": each.waiting} for each in shown
    }
    yield Groups("Time of the workers", "share of time", shares, stacked=True)
    rows = [
        [
            each.name,
            f"{each.rows:,}",
            f"{each.phases:,}",
            f"{each.compute:.0%}",
            f"{each.exchange:.0%}",
            f"{each.waiting:.0%}",
            f"{each.sent_bytes / 1e6:,.1f}",
        ]
        for each in cluster.workers
    ]
    yield Table("Workers", ["", "rows", "phases", "compute", "exchange", "waiting", "sent, MB"], rows)
