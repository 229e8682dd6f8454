"""Merging deltas of many workers: objective after equal epochs, by rule, length of phases and number of workers.

Real kernels on real rows, coordinated by the machines of a cluster in virtual time (`hogwild.cluster.simulate`). The
step size is tuned for one thread over powers of three; the figure beside it is the same estimator on one thread.
Settings whose phases are longer than a worker's part of the rows are left out.
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np
from tables import SHARED, console, recorded, show

from hogwild import DivergedError, SGDClassifier
from hogwild.cluster.simulation.job import simulate
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.scenario import MERGES, Scenario
from hogwild.data import load_svmlight, make_rcv1_like

ALPHA, SHARDS = 1e-6, 2
RULES = ("sum", "mean", "damped", "self-tuned")
assert set(RULES) == set(MERGES)


def objective(model: SGDClassifier, X, y: np.ndarray) -> float:
    """Mean log loss plus penalty."""
    coef = np.asarray(model.coef_[0], np.float64)
    margin = np.where(y > 0, 1, -1) * (X @ coef + model.intercept_[0])
    return float(np.logaddexp(0, -margin).mean() + 0.5 * ALPHA * np.square(coef).sum())


def make(eta0: float, epochs: int) -> SGDClassifier:
    """The estimator."""
    return SGDClassifier(
        loss="log_loss",
        alpha=ALPHA,
        learning_rate="invscaling",
        power_t=0.25,
        eta0=eta0,
        max_iter=epochs,
        tol=None,
        random_state=0,
    )


def tuned(X, y: np.ndarray, epochs: int, start: float = 1.0) -> tuple[float, float]:
    """Step size with the lowest objective on one thread, and that objective."""
    tried: dict[int, float] = {}

    def value(power: int) -> float:
        if power not in tried:
            try:
                tried[power] = objective(make(start * 3.0**power, epochs).fit(X, y), X, y)
            except DivergedError:
                tried[power] = np.inf
        return tried[power]

    best = 0
    for direction in (1, -1):
        while abs(best) < 8 and value(best + direction) < value(best):
            best += direction
    return start * 3.0**best, value(best)


def measure(name: str, X, y: np.ndarray, args: argparse.Namespace) -> None:
    """Print the table of one data set."""
    eta0, alone = tuned(X, y, args.epochs)
    rows = []
    for workers, length in product(args.workers, args.phases):
        if length * workers > X.shape[0]:
            continue
        row: dict = {"workers": workers, "phase rows": length}
        for rule in RULES:
            job = RealJob(make(eta0, args.epochs), (X, y), shards=SHARDS, workers=workers, merge=rule, judges=512)
            scenario = Scenario(
                workers=workers, shards=SHARDS, merge=rule, phase_rows=length, noise=0.1, consistency=args.consistency
            )
            began = time.perf_counter()
            try:
                run = simulate(job=job, scenario=scenario, points=2)
                row[rule] = objective(run.model, X, y)
                sent = sum(run.sent.values())
            except DivergedError:
                row[rule] = "diverged"
            finally:
                job.close()
            if args.verbose:
                shown = row[rule] if isinstance(row[rule], str) else f"{row[rule]:.4f}"
                console.print(f"{name} {workers} x {length} {rule}: {shown} ({time.perf_counter() - began:.1f} s)")
        best = min((row[rule] for rule in RULES if not isinstance(row[rule], str)), default=np.nan)
        row["best, against one thread"] = f"{100 * (best / alone - 1):+.2f} %"
        row["sent, MB"] = sent / 1e6
        rows.append(row)
    policy = Scenario(consistency=args.consistency).consistency
    shape = f"{X.shape[0]:,} x {X.shape[1]:,}"
    show(f"{name}, {shape}, {args.epochs} epochs, {policy}: log loss, one thread {alone:.4f} (eta0 {eta0:.3g})", rows)


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000, help="of the RCV1-like data")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--phases", type=int, nargs="+", default=[500, 2_000, 10_000, 25_000, 100_000, 200_000])
    parser.add_argument("--consistency", choices=["bsp", "ssp", "asp"], default="ssp")
    parser.add_argument("--data", choices=["rcv1", "a9a", "all"], default="all")
    parser.add_argument("--small", action="store_true", help="few rows and settings")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    if args.small:
        args.rows, args.epochs, args.workers, args.phases = 4_000, 2, [2, 4], [250, 1_000]
    if args.data in ("rcv1", "all"):
        measure("RCV1-like", *make_rcv1_like(args.rows, 2_000 if args.small else 47_236), args)
    if args.data in ("a9a", "all"):
        X, y = load_svmlight(SHARED / "a9a.svm.xz")
        n = 4_000 if args.small else X.shape[0]
        measure("a9a", X[:n], y[:n], args)


if __name__ == "__main__":
    main()
