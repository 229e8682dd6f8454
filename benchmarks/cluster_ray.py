"""Two workers on a local Ray cluster beside the two-thread engine: throughput, objective and time to a loss.

By phase length for the three policies, and by merge rule. "Time to loss" is the time until the mean loss of an epoch
(each row before its own step) is at most 2 % above the last one of the two-thread engine.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
from tables import console, recorded, show

from hogwild import SGDClassifier
from hogwild.cluster.fitting import fit
from hogwild.cluster.ray.local import connected
from hogwild.data import make_rcv1_like

ALPHA = 1e-6
LENGTHS = (2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 200_000)


def objective(model: SGDClassifier, X, y: np.ndarray) -> float:
    """Mean log loss plus penalty."""
    margins = np.where(y > 0, 1, -1) * (X @ model.coef_[0].astype(np.float64) + model.intercept_[0])
    return float(np.logaddexp(0, -margins).mean() + 0.5 * ALPHA * np.square(model.coef_).sum())


class Curve:
    """A callback that notes when each epoch ended, and its loss."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] = (0.0, 0)

    def __call__(self, progress: Any) -> bool:
        """Note."""
        self.first = self.first or (progress.seconds, progress.rows)
        self.last = progress.seconds, progress.rows
        if progress.epoch_ended:
            self.points.append((progress.seconds, progress.loss))
        return False

    @property
    def rows_per_second(self) -> float:
        """Throughput after the first phase, which loads rows and kernels."""
        return (self.last[1] - self.first[1]) / max(self.last[0] - self.first[0], 1e-9)

    def time_to(self, loss: float) -> float | None:
        """Seconds to the end of the first epoch with that loss or less."""
        return next((seconds for seconds, found in self.points if found <= loss), None)


@recorded
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=781_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small data and few runs: a smoke test")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n_rows, lengths = (20_000, (500, 2_000)) if options.quick else (options.rows, LENGTHS)
    X, y = make_rcv1_like(n_rows, random_state=0)

    def model(**changes: Any) -> SGDClassifier:
        common = {"alpha": ALPHA, "learning_rate": "invscaling", "power_t": 0.25, "eta0": 1.0, "random_state": 0}
        return SGDClassifier("log_loss", **common, max_iter=options.epochs, tol=None, **changes)

    rows, aim = [], np.inf
    for threads in (1, 2):
        model(n_jobs=threads).fit(X[:2_000], y[:2_000])  # compiles
        curve = Curve()
        fitted = model(n_jobs=threads, callback=curve).fit(X, y)
        aim = 1.02 * fitted.loss_curve_[-1]
        rows.append(figures(f"{threads} thread{'s' * (threads > 1)}", "", "", fitted, X, y, curve, None))
    for row in rows:
        row["time to loss, s"] = None
    rates = []
    with connected("local", cores=2):
        jobs = [(policy, length, "self-tuned") for policy in ("bsp", "ssp", "asp") for length in (None, *lengths)]
        jobs += [("ssp", length, merge) for merge in ("sum", "mean", "damped") for length in lengths[::2]]
        fit(model(), (X[:4_000], y[:4_000]), workers=2, shards=2)  # compiles
        for policy, length, merge in jobs[:4] if options.quick else jobs:
            curve = Curve()
            fitted = fit(
                model(),
                (X, y),
                workers=2,
                shards=2,
                consistency=policy,
                phase_rows=length,
                merge=merge,
                callback=curve,
            )
            rates.append(figures("2 workers", f"{policy}, {merge}", length or "chosen", fitted, X, y, curve, aim))
            console.print(rates[-1])
    rows += rates
    for row in rows:
        row["% of two threads"] = 100 * row["rows/s"] / rows[1]["rows/s"]
        row["objective, % of one"] = 100 * row["objective"] / rows[0]["objective"]
    show(f"Ray: {n_rows:,} rows x {X.shape[1]:,}, log loss, {options.epochs} epochs", rows)


def figures(
    name: str, how: str, length: Any, fitted: Any, X: Any, y: np.ndarray, curve: Curve, aim: float | None
) -> dict[str, Any]:
    """One row of the table."""
    report = getattr(fitted, "cluster_report_", None)
    share = sum(each.exchange for each in report.workers) / len(report.workers) if report else None
    waiting = sum(each.waiting for each in report.workers) / len(report.workers) if report else None
    return {
        "run": name,
        "policy, merge": how,
        "phase rows": str(length),
        "last phase": str(report.phase_rows[-1][1]) if report else "",
        "rows/s": curve.rows_per_second,
        "objective": objective(fitted, X, y),
        "time to loss, s": None if aim is None else curve.time_to(aim),
        "exchange, %": None if share is None else 100 * share,
        "waiting, %": None if waiting is None else 100 * waiting,
        "MB sent": None if report is None else report.sent_bytes / 1e6,
    }


if __name__ == "__main__":
    main()
