"""Processes of this machine under Ray: the same machines as in the simulation, on a real network stack."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hogwild.experiments.async_2012.problem import EPOCHS, Problem, log_loss
from hogwild.experiments.findings import Findings, Measured, Remark, Setting, Statement

WORKERS = 2
LEAST_SCALE = 0.05  # processes take seconds to start
POLICIES = {"BSP": ("bsp", None), "SSP(3)": ("ssp", 3), "ASP": ("asp", None)}
SLOWED = {"BSP": ("bsp", None), "ASP": ("asp", None)}
PHASES = 20  # of a worker, in a fit
MOST_ROWS = 200_000  # that are handed to Ray
BATCHES, BATCH_ROWS = 160, 100  # of the runs with a slow worker
QUICK, SLOW = 0.02, 0.1  # seconds that a batch takes at least: five times slower
CLAIMS = (
    "Two Ray workers end within 15 % of one thread's loss under BSP, SSP(3) and ASP",
    "On Ray with one of two workers five times slower ASP steps more rows a second than BSP",
)


class Fit(NamedTuple):
    """A fit on two workers."""

    waiting: float
    loss: float


def ray_installed() -> bool:
    """Whether Ray can be imported."""
    return importlib.util.find_spec("ray") is not None


def run(setting: Setting, problem: Problem) -> Findings:
    """Run the part, where Ray is installed and there are two cores."""
    if not ray_installed():
        return _untried("Ray is not installed (pip install hogwild[ray])")
    if setting.scale < LEAST_SCALE and not setting.data:
        return _untried(f"below --scale {LEAST_SCALE:g} it is not worth starting")
    if setting.threads < WORKERS:
        return _untried("two workers need two threads")
    from hogwild.cluster.ray.local import connected

    fits, slowed = {}, {}
    setting.say("starting Ray")
    with connected("local", cores=WORKERS):
        for name, policy in POLICIES.items():
            setting.say(f"two Ray workers, {name}")
            fits[name] = _fit(problem, *policy)
        for name, policy in SLOWED.items():
            setting.say(f"two Ray workers, one slow, {name}")
            slowed[name] = _slowed(problem, *policy)
    alone = log_loss(problem.estimator().fit(*_rows(problem)), *_rows(problem))
    parts = [
        Remark(
            "On this machine, Ray: two processes as workers, the parameter shard in another. Then one of two is "
            f"slow: a worker computes gradients of {BATCH_ROWS} rows and sleeps, {QUICK:g} s after each or, the slow "
            f"one, {SLOW:g} s."
        ),
        _table(problem, fits, slowed, alone),
    ]
    near = all(fit.loss < 1.15 * alone for fit in fits.values())
    return Findings(parts, [Statement(CLAIMS[0], near), Statement(CLAIMS[1], slowed["ASP"] > 1.3 * slowed["BSP"])])


def _untried(why: str) -> Findings:
    return Findings([Remark(f"On Ray: not tried, {why}.")], [Statement(claim, None) for claim in CLAIMS])


def _rows(problem: Problem) -> tuple[Any, np.ndarray]:
    return problem.X[:MOST_ROWS], problem.y[:MOST_ROWS]


def _fit(problem: Problem, consistency: str, staleness: int | None) -> Fit:
    from hogwild.cluster.fitting import fit

    X, y = _rows(problem)
    fitted = fit(
        problem.estimator(),
        (X, y),
        workers=WORKERS,
        shards=1,
        consistency=consistency,
        staleness=staleness,
        phase_rows=max(1, len(y) * EPOCHS // (WORKERS * PHASES)),
    )
    report = fitted.cluster_report_
    waiting = float(np.mean([worker.waiting for worker in report.workers]))
    return Fit(waiting, log_loss(fitted, X, y))


class SlowGradient:
    """The gradient of the mean log loss, after a sleep: a long one in the first process that asks, the slow worker.

    Parameters
    ----------
    claimed : Path
        File that this process makes if it is the first.
    """

    def __init__(self, claimed: Path) -> None:
        self.claimed, self.seconds = claimed, 0.0

    def __call__(self, params: dict[str, np.ndarray], batch: tuple) -> tuple[float, dict[str, np.ndarray]]:
        """Compute loss and gradient."""
        if not self.seconds:
            try:
                os.close(os.open(self.claimed, os.O_CREAT | os.O_EXCL))
                self.seconds = SLOW
            except FileExistsError:
                self.seconds = QUICK
        time.sleep(self.seconds)
        X, y = batch
        margins = y * (X @ params["w"])
        slopes = -y / (1 + np.exp(margins)) / len(y)
        return float(np.logaddexp(0, -margins).mean()), {"w": X.T @ slopes}


def _slowed(problem: Problem, consistency: str, staleness: int | None) -> float:
    """Rows a second of two workers, one of them slow, each with its own rows."""
    from hogwild.cluster.descending import descend

    n_rows = min(problem.n_rows, BATCHES * BATCH_ROWS)
    X = problem.X[:n_rows].astype(np.float64)
    y = np.where(problem.y[:n_rows] > 0, 1.0, -1.0)
    seen: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        descend(
            SlowGradient(Path(folder) / "slow"),
            (X, y),
            {"w": np.zeros(X.shape[1])},
            schedule=1.0,
            batch_size=BATCH_ROWS,
            workers=WORKERS,
            consistency=consistency,
            staleness=staleness,
            leases=False,
            random_state=0,
            callback=lambda progress: seen.append((progress.seconds, progress.rows)),
        )
    n_batches = n_rows // BATCH_ROWS
    half = next((k for k, (_, batches) in enumerate(seen) if batches >= n_batches // 2), len(seen) - 1)
    (began, first), (ended, last) = seen[0], seen[half]
    return (last - first) * BATCH_ROWS / max(ended - began, 1e-9)


def _table(problem: Problem, fits: dict[str, Fit], slowed: dict[str, float], alone: float) -> Measured:
    rows = [[name, 100 * found.waiting, found.loss, slowed.get(name)] for name, found in fits.items()]
    columns = {
        "policy": "",
        "waiting, %": ".0f",
        "loss": ".4f",
        "rows/s, one slow": ",.0f",
    }
    n_rows = min(problem.n_rows, MOST_ROWS)
    note = (
        f"Two workers, one shard, {n_rows:,} rows, {EPOCHS} epochs, {PHASES} phases a worker; one thread has the loss "
        f"{alone:.4f}. The last column: gradients, the first half of {BATCHES} batches, one run each."
    )
    return Measured("ray", "Ray workers of this machine", columns, rows, note)
