"""Jobs on a local Ray cluster whose processes are killed: objective beside the undisturbed run, pushes, recovery.

A worker, a shard with and without a copy, and one of Ray's nodes (`ray.cluster_utils.Cluster`) are killed with SIGKILL
once a third of the rows is done. A copy has to hold every accepted push, so both shards must have counted the same
number of them, that of the phases accepted. Recovery is the time from the kill to the first rows that are done after it
(for workers: by the one that took its place).
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
import warnings
from typing import Any

import numpy as np
from tables import recorded, say, show

from hogwild import SGDClassifier
from hogwild.cluster.fitting import fit
from hogwild.cluster.protocol import Advanced, Happened
from hogwild.cluster.ray import training
from hogwild.cluster.ray.local import connected
from hogwild.data import make_rcv1_like

ALPHA = 1e-6
HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_failure_threshold": 4}


class Watched(training.Job):
    """A job that notes when rows advance, and the last one made."""

    last: Any = None

    def __init__(self, *arguments: Any, **extra: Any) -> None:
        super().__init__(*arguments, **extra)
        Watched.last, self.times, self.happened = self, [], []

    def _tell(self, what: Any) -> None:
        if isinstance(what, Advanced):
            self.times.append(what.now)
        elif isinstance(what, Happened):
            self.happened.append(what)
        super()._tell(what)


def objective(model: SGDClassifier, X, y: np.ndarray) -> float:
    """Mean log loss plus penalty."""
    margins = np.where(y > 0, 1, -1) * (X @ model.coef_[0].astype(np.float64) + model.intercept_[0])
    return float(np.logaddexp(0, -margins).mean() + 0.5 * ALPHA * np.square(model.coef_).sum())


def run(name: str, rows: tuple, epochs: int, kill: Any, **options: Any) -> dict[str, Any]:
    """Train; `kill(job)` returns the process to end once a third of the rows is done."""
    X, y = rows
    killed: list[float] = []

    def callback(progress: Any) -> bool:
        if kill is not None and not killed and progress.rows >= epochs * X.shape[0] // 3:
            os.kill(kill(Watched.last), signal.SIGKILL)
            killed.append(time.monotonic())
        return False

    model = SGDClassifier("log_loss", alpha=ALPHA, eta0=1.0, learning_rate="invscaling", power_t=0.25, random_state=0)
    began = time.perf_counter()
    fitted = fit(model.set_params(max_iter=epochs, tol=None), rows, callback=callback, **options)
    seconds, report, job = time.perf_counter() - began, fitted.cluster_report_, Watched.last
    view = job.coordinator.views.view
    pushes = [job.figures[node].shard.pushes if node in job.figures else None for node in view.primaries]
    recovered = None
    if killed:
        joined = [each.now for each in job.happened if each.what in ("joined", "promoted") and each.now > killed[0]]
        after = joined[0] if joined else killed[0]
        recovered = next((at for at in job.times if at > after), job.times[-1]) - killed[0]
    return {
        "run": name,
        "s": seconds,
        "objective": objective(fitted, X, y),
        "phases": sum(each.phases for each in report.workers),
        "pushes applied": " ".join(map(str, pushes)),
        "repeated": report.duplicates,
        "rows twice": report.rows_twice,
        "recovery s": recovered,
        "happened": ", ".join(f"{node} {what}" for _, what, node in report.happened if what != "joined")[:60],
    }


def pid_of(node: str) -> Any:
    """Return what finds the process of a node."""
    return lambda job: job.pids[node]


@recorded
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=781_000)
    parser.add_argument("--epochs", type=int, default=280, help="enough for a minute or more")
    parser.add_argument("--quick", action="store_true", help="small data: a smoke test")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    training.Job = Watched
    n_rows, epochs = (20_000, 6) if options.quick else (options.rows, options.epochs)
    rows = make_rcv1_like(n_rows, random_state=0)
    common = {"workers": 2, "shards": 2}
    figures = []
    with connected("local", cores=2):
        figures.append(run("undisturbed", rows, epochs, None, **common))
        figures.append(run("worker killed", rows, epochs, pid_of("worker/1"), **common))
        figures.append(run("shard killed, copy", rows, epochs, pid_of("shard/0/0"), replicas=2, **common))
        with tempfile.TemporaryDirectory() as folder:
            saved = {"checkpoint": folder, "every": 2.0 if options.quick else 10.0}
            figures.append(run("shard killed, checkpoint", rows, epochs, pid_of("shard/0/0"), **saved, **common))
    figures.append(on_two_nodes(rows, epochs, common))
    for row in figures:
        row["% of undisturbed"] = 100 * row["objective"] / figures[0]["objective"]
    show(f"Faults: {n_rows:,} rows, {epochs} epochs, 2 workers, 2 shards", figures)
    say("A copy loses nothing: with it, both shards have applied as many pushes as phases were accepted.")


def on_two_nodes(rows: tuple, epochs: int, common: dict) -> dict[str, Any]:
    """Kill one of two of Ray's nodes."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": HEALTH}
    )
    second = cluster.add_node(num_cpus=1)
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    try:
        kill = lambda job: second.all_processes["raylet"][0].process.pid  # noqa: E731
        return run("Ray node killed, copies", rows, epochs, kill, replicas=2, **common)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
