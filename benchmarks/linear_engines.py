"""Every engine on the same problem: time of an epoch, objective after three, how many rows met another thread's.

Hinge loss without intercept (under locks the intercept would let one thread step at a time; ``--intercept`` shows it).
Times are the shortest of whole, warmed fits, run in turn within one process. Step size tuned for one thread over powers
of three; the engines that step along mean gradients, which make fewer and longer steps, have their own.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from tables import SHARED, in_turn, recorded, show

import hogwild
from hogwild import SGDClassifier
from hogwild.data import load_svmlight, make_rcv1_like
from hogwild.engine import Batch, Delayed, MiniBatch, Processes, Replicas

ALPHA, EPOCHS = 1e-5, 3
ENGINES = {
    "sequential": "sequential",
    "replicas": "replicas",
    "deterministic": Replicas(deterministic=True),
    "shared": "shared",
    "atomic": "atomic",
    "locked": "locked",
    "round_robin": "round_robin",
    "delayed, tau 1": Delayed(1),
    "delayed, tau 64": Delayed(64),
    "delayed, tau 1,024": Delayed(1024),
    "minibatch, 32 rows": MiniBatch(32),
    "minibatch, 1,024 rows": MiniBatch(1024),
    "batch": Batch(),
    "processes": "processes",
}
# a hinge step of one's own on the engines that run it: compiled in threads and processes, plain Python in processes
OWN = {
    "sequential": "sequential",
    "replicas": "replicas",
    "shared": "shared",
    "locked": "locked",
    "round_robin": "round_robin",
    "processes": Processes(),
    "processes, plain Python": Processes(compiled=False),
}
UNTRACED = ("processes", "processes, plain Python")
# engine: share of rows that met another thread's, by a fitted model; those that count nothing while they run are traced
CONFLICTS: dict[str, Callable[[SGDClassifier], float]] = {
    name: lambda model: model.n_waits_ / (model.t_ - 1) for name in ("locked", "round_robin")
}


def objective(model: SGDClassifier, X, y: np.ndarray) -> float:
    """Mean hinge loss plus penalty."""
    coef = np.asarray(model.coef_[0], np.float64)
    margin = np.where(y > 0, 1, -1) * (X @ coef + model.intercept_[0])
    return float(np.maximum(0, 1 - margin).mean() + 0.5 * ALPHA * np.square(coef).sum())


def tuned(fit: Callable[[float], SGDClassifier], X, y: np.ndarray, start: float) -> float:
    """Step size with the lowest objective, by multiplying or dividing by three from `start` on."""
    tried: dict[float, float] = {}

    def value(power: int) -> float:
        if power not in tried:
            tried[power] = objective(fit(start * 3.0**power), X, y)
        return tried[power]

    best = 0
    for direction in (1, -1):
        while abs(best) < 12 and value(best + direction) < value(best):
            best += direction
        if best:
            break
    return start * 3.0**best


def table(name: str, X, y: np.ndarray, n_threads: int, repeat: int, intercept: bool) -> list[dict]:
    """Fit with every engine in turn."""
    common = {
        "alpha": ALPHA,
        "max_iter": EPOCHS,
        "tol": None,
        "random_state": 0,
        "learning_rate": "invscaling",
        "power_t": 0.25,
        "fit_intercept": intercept,
        "n_jobs": n_threads,
    }

    def model(engine, eta0: float) -> SGDClassifier:
        return SGDClassifier(engine=engine, eta0=eta0, **common).fit(X, y)

    one = tuned(lambda eta0: model("sequential", eta0), X, y, 1.0)
    eta0 = {
        label: tuned(lambda eta0, engine=engine: model(engine, eta0), X, y, 10 * one)
        if isinstance(engine, Batch | MiniBatch)
        else one
        for label, engine in ENGINES.items()
    }
    fits = {label: lambda e=engine, label=label: model(e, eta0[label]) for label, engine in ENGINES.items()}
    seconds, fitted = in_turn(fits, repeat)
    base = min(seconds["sequential"])
    return [
        {
            "data": name,
            "engine": label,
            "threads": found.n_threads_,
            "eta0": eta0[label],
            "ms an epoch": 1e3 * min(seconds[label]) / EPOCHS,
            "times one thread": min(seconds[label]) / base,
            "objective": objective(found, X, y),
            "rows that waited, %": 100 * CONFLICTS[label](found)
            if label in CONFLICTS and found.n_threads_ > 1
            else None,
        }
        for label, found in fitted.items()
    ]


class Weights(NamedTuple):
    """Weights of a linear model."""

    w: np.ndarray


@hogwild.step(w="damped")
def hinge(row, params, eta):
    """One row of the hinge loss."""
    w, score, y = params.w, 0.0, 2.0 * row.target - 1.0
    for j, x in zip(row.indices, row.values):  # noqa: B905
        score += w[j] * x
    if y * score < 1.0:
        for j, x in zip(row.indices, row.values):  # noqa: B905
            w[j] += eta * y * x
    return max(0.0, 1.0 - y * score)


def own_steps(name: str, X, y: np.ndarray, n_threads: int, eta: float, python_rows: int) -> list[dict]:
    """Run a step of one's own on every engine: time, loss, and what a traced run counts."""
    rows = []
    for label, engine in OWN.items():
        n = python_rows if label.endswith("Python") else X.shape[0]
        common = {"schedule": eta, "epochs": EPOCHS, "engine": engine, "n_jobs": n_threads, "random_state": 0}
        start, data = Weights(np.zeros(X.shape[1], X.dtype)), (X[:n], y[:n])
        best = min(
            (hogwild.minimize(hinge, data, start, **common) for _ in range(3)), key=lambda result: result.seconds
        )
        margin = np.where(y > 0, 1, -1) * (X @ best.params.w.astype(np.float64))
        trace = None if label in UNTRACED else hogwild.minimize(hinge, data, start, trace=True, **common).trace
        rows.append(
            {
                "data": name,
                "own step on": label,
                "threads": best.n_threads,
                "rows": n,
                "ns a row": 1e9 * best.seconds / EPOCHS / n,
                "hinge loss": float(np.maximum(0, 1 - margin).mean()),
                "mean staleness": trace and trace.mean_staleness,
                "conflicts, %": trace and 100.0 * trace.conflicts.sum() / max(1, trace.updates.sum()),
                "lost, %": trace and 100.0 * trace.lost.sum() / max(1, trace.updates.sum()),
            }
        )
    return rows


@recorded
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--intercept", action="store_true", help="fit an intercept")
    parser.add_argument("--quick", action="store_true", help="small data and one repetition: a smoke test")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sets = {"RCV1-like": make_rcv1_like(3_000 if options.quick else 100_000, random_state=0)}
    if (SHARED / "a9a.svm.xz").exists() and not options.quick:
        sets["a9a"] = load_svmlight(SHARED / "a9a.svm.xz", n_features=123)
    for name, (X, y) in sets.items():
        repeat = 1 if options.quick else options.repeat
        rows = table(name, X, y, options.threads, repeat, options.intercept)
        show(f"{name}: hinge, alpha {ALPHA:g}, {EPOCHS} epochs, {X.shape[0]:,} x {X.shape[1]:,}", rows)
        own = own_steps(
            name, X, y, options.threads, 0.1 if name == "RCV1-like" else 0.003, 300 if options.quick else 10_000
        )
        show(f"{name}: a hinge step of one's own, {EPOCHS} epochs", own)


if __name__ == "__main__":
    main()
