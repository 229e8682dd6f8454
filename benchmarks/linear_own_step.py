"""A least-squares step in ten lines by the user beside our SGDRegressor: whole fits in turn, on one and two threads.

Compile time is reported apart.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
from tables import recorded, show

import hogwild
from hogwild import SGDRegressor
from hogwild.data import make_rcv1_like


class Weights(NamedTuple):
    """Weights of a linear model."""

    w: np.ndarray


@hogwild.step(w="damped")
def squared(row, params, eta):
    """One row of least squares."""
    w, score = params.w, 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905
        score += w[j] * x
    error = score - row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        w[j] -= eta * error * x
    return error * error / 2


def compare(X, y, n_jobs: int, epochs: int, eta: float, runs: int) -> dict[str, object]:
    """Best whole fit of both, in turn, and their objectives."""
    ours = SGDRegressor(
        loss="squared_error",
        penalty=None,
        learning_rate="constant",
        eta0=eta,
        fit_intercept=False,
        max_iter=epochs,
        tol=None,
        n_jobs=n_jobs,
        random_state=0,
    )
    start, seconds, compiling = Weights(np.zeros(X.shape[1], X.dtype)), {"own": [], "ours": []}, 0.0
    for _ in range(runs):
        began = time.perf_counter()
        own = hogwild.minimize(squared, (X, y), start, schedule=eta, epochs=epochs, n_jobs=n_jobs, random_state=0)
        seconds["own"].append(time.perf_counter() - began - own.compile_seconds)
        compiling = max(compiling, own.compile_seconds)
        began = time.perf_counter()
        ours.fit(X, y)
        seconds["ours"].append(time.perf_counter() - began)
    best = {name: min(values) for name, values in seconds.items()}
    objective = {"own": own.params.w, "ours": ours.coef_}
    values = {name: float(np.mean((X @ w.ravel() - y) ** 2) / 2) for name, w in objective.items()}
    return {
        "": f"{n_jobs} thread{'s' * (n_jobs > 1)}",
        "own step, ms": best["own"] * 1e3,
        "SGDRegressor, ms": best["ours"] * 1e3,
        "ratio": best["own"] / best["ours"],
        "objective of the own step": values["own"],
        "of SGDRegressor": values["ours"],
        "compiling, once, s": compiling,
    }


@recorded
def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=180_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--eta", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    X, y = make_rcv1_like(options.rows, random_state=0)
    y = y.astype(X.dtype)
    rows = [compare(X, y, n_jobs, options.epochs, options.eta, options.runs) for n_jobs in (1, 2)]
    show(f"Least squares, {options.rows:,} rows, {options.epochs} epochs", rows)


if __name__ == "__main__":
    main()
