"""The rival table: SGD on one and two threads beside scikit-learn, on the same data, loss and epochs.

Ratios are of whole, warmed ``fit`` calls, run in turn within one process; each figure is the median of its repetitions.

Run by ``make bench``; ``--full`` uses 781,000 rows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier as Peer
from tables import SHARED, headline, in_turn, newsgroups_tfidf, recorded, say, show

from hogwild import SGDClassifier
from hogwild.data import load_svmlight, make_rcv1_like
from hogwild.engine import Replicas, Shared, Simulated


def timed(fits: dict[str, Callable[[], object]], repeat: int) -> dict[str, tuple[float, object]]:
    """Run the fits in turn, `repeat` times; returns the median seconds and the last fitted object of each."""
    seconds, fitted = in_turn(fits, repeat)
    return {name: (float(np.median(taken)), fitted[name]) for name, taken in seconds.items()}


def objective(model: object, X, y: np.ndarray, alpha: float, loss: str = "hinge") -> float:
    """Mean loss plus penalty of a fitted binary classifier."""
    coef = np.asarray(model.coef_[0], np.float64)
    margin = np.where(y > 0, 1, -1) * (X @ coef + model.intercept_[0])
    losses = np.maximum(0, 1 - margin) if loss == "hinge" else np.logaddexp(0, -margin)
    return float(losses.mean() + 0.5 * alpha * np.square(coef).sum())


def against_sklearn(name: str, X, y: np.ndarray, epochs: int, repeat: int) -> list[dict]:
    """Time hinge SGD with scikit-learn's defaults and alpha 1e-5 on one and two threads."""
    alpha = 1e-5
    common = {"alpha": alpha, "max_iter": epochs, "tol": None, "random_state": 0}
    # scikit-learn's intercept takes steps of a hundredth on sparse data; the same here, so that the objectives compare
    ours = {**common, "intercept_decay": 0.01}
    fits = {
        "scikit-learn": lambda: Peer(**common).fit(X, y),
        "hogwild, 1 thread": lambda: SGDClassifier(**ours).fit(X, y),
        "hogwild, 2 threads": lambda: SGDClassifier(n_jobs=2, **ours).fit(X, y),
        "2 threads, deterministic": lambda: SGDClassifier(n_jobs=2, engine=Replicas(deterministic=True), **ours).fit(
            X, y
        ),
        "2 threads, shared": lambda: SGDClassifier(n_jobs=2, engine=Shared(), **ours).fit(X, y),
    }
    results = timed(fits, repeat)
    base = results["scikit-learn"][0]
    rows = []
    for label, (seconds, model) in results.items():
        rows.append(
            {
                "data": name,
                "fit": label,
                "seconds": seconds,
                "ns_a_nonzero": seconds / epochs / X.nnz * 1e9,
                "speedup": base / seconds,
                "objective": objective(model, X, y, alpha),
            }
        )
    return rows


def real_sets() -> dict[str, tuple]:
    """Load a9a and ijcnn1 where they are present."""
    files = {"a9a": ("a9a.svm.xz", 123), "ijcnn1": ("ijcnn1.trn.bz2", 22)}
    return {
        name: load_svmlight(SHARED / file, n_features=width)
        for name, (file, width) in files.items()
        if (SHARED / file).exists()
    }


def simulated(sets: dict[str, tuple], seeds: int) -> list[dict]:
    """Log loss after 3 epochs of 16 and 64 virtual replicas, step sizes tuned for one thread."""
    rows = []
    for name, (X, y) in sets.items():
        for rate in ("constant", "invscaling"):
            common = {
                "loss": "log_loss",
                "alpha": 1e-5,
                "max_iter": 3,
                "tol": None,
                "learning_rate": rate,
                "power_t": 0.25,
            }

            def mean(eta0: float, engine, common=common, X=X, y=y) -> float:
                values = []
                for seed in range(seeds):
                    model = SGDClassifier(eta0=eta0, engine=engine, random_state=seed, **common).fit(X, y)
                    values.append(objective(model, X, y, 1e-5, "log"))
                return float(np.mean(values))

            tried = {eta0: mean(eta0, "auto") for eta0 in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)}
            eta0 = min(tried, key=tried.get)
            row = {"data": name, "schedule": rate, "eta0": eta0, "one thread": tried[eta0]}
            for replicas in (16, 64):
                value = mean(eta0, Simulated(replicas))
                row[f"{replicas} replicas"] = value
                row[f"{replicas}: worse by %"] = 100 * (value / tried[eta0] - 1)
            rows.append(row)
    return rows


def newsgroups(epochs: int, repeat: int) -> list[dict]:
    """20 classes, TF-IDF: time against scikit-learn's ``n_jobs=2``, and accuracy on the test split."""
    X, y, X_test, y_test = newsgroups_tfidf()
    common = {"alpha": 1e-5, "max_iter": epochs, "tol": None, "random_state": 0}
    fits = {
        "scikit-learn, n_jobs=2": lambda: Peer(n_jobs=2, **common).fit(X, y),
        "hogwild, 1 thread": lambda: SGDClassifier(intercept_decay=0.01, **common).fit(X, y),
        "hogwild, 2 threads": lambda: SGDClassifier(intercept_decay=0.01, n_jobs=2, **common).fit(X, y),
    }
    results = timed(fits, repeat)
    base = results["scikit-learn, n_jobs=2"][0]
    return [
        {
            "data": f"20 Newsgroups {X.shape[0]:,} x {X.shape[1]:,}",
            "fit": label,
            "seconds": seconds,
            "speedup": base / seconds,
            "test accuracy": float(model.score(X_test, y_test)),
        }
        for label, (seconds, model) in results.items()
    ]


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory_growth(X, y: np.ndarray) -> float:
    """Growth of resident memory during a fit on two threads in a warmed process, watched by the callback."""
    seen = []
    fit = {"alpha": 1e-5, "max_iter": 5, "tol": None, "n_jobs": 2, "random_state": 0}
    SGDClassifier(**fit).fit(X[:5_000], y[:5_000])
    before = resident_mb()
    SGDClassifier(callback=lambda progress: seen.append(resident_mb()) and False, **fit).fit(X, y)
    return max(seen) - before


def start_times() -> list[dict]:
    """Time to ``import hogwild`` and to ``hogwild --help``, in new processes."""
    commands = {
        "python -c 'import hogwild'": [sys.executable, "-c", "import hogwild"],
        "hogwild --help": [sys.executable, "-m", "hogwild.cli.main", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    rows = []
    for label, command in commands.items():
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            taken.append(time.perf_counter() - began)
        rows.append({"command": label, "seconds": float(np.median(taken))})
    return rows


def compare_headline(task: str, rows: list[dict]) -> None:
    """Record scikit-learn's time beside ours."""
    seconds = {row["fit"]: row["seconds"] for row in rows}
    rival = next(fit for fit in seconds if fit.startswith("scikit-learn"))
    ours = {f"{n} thread{'s' * (n > 1)}": seconds[f"hogwild, {n} thread{'s' * (n > 1)}"] for n in (1, 2)}
    headline(task, rival, seconds[rival], ours, "s")


@recorded
def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="781,000 rows instead of 200,000")
    parser.add_argument("--quick", action="store_true", help="small data and one repetition: a smoke test")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    repeat, seeds = (1, 1) if options.quick else (7, 4)
    n_rows = 781_000 if options.full else 5_000 if options.quick else 200_000
    X, y = make_rcv1_like(n_rows, random_state=0)
    say(f"RCV1-like: {X.shape[0]:,} x {X.shape[1]:,}, {X.nnz / X.shape[0]:.1f} nonzeros a row")
    sets = {"RCV1-like": (X, y), **({} if options.quick else real_sets())}
    beside = [row for name, data in sets.items() for row in against_sklearn(name, *data, 5, repeat)]
    show("Hinge, 5 epochs, alpha 1e-5", beside)
    compare_headline(f"hinge SGD, {n_rows:,} x 47,236, 5 epochs", beside[:5])
    growth = memory_growth(X, y)
    say(f"Growth of resident memory during the RCV1-like fit on two threads: {growth:.0f} MB")
    wide = make_rcv1_like(2_000 if options.quick else 200_000, n_features=2**22, random_state=0)
    wide = against_sklearn("RCV1-like, 2^22 features", *wide, 2, min(repeat, 3))
    show("Hinge, 2 epochs, alpha 1e-5, large model", wide)
    compare_headline("hinge SGD, 4,194,304 features, 2 epochs", wide)
    small = {name: data for name, data in sets.items() if name != "RCV1-like"}
    small["RCV1-like, 100,000 rows"] = make_rcv1_like(min(n_rows, 100_000), random_state=0)
    replicas = simulated(small, seeds)
    show("Virtual replicas, log loss, 3 epochs", replicas)
    if (SHARED / "20news-bydate.tar.xz").exists() and not options.quick:
        classes = newsgroups(5, repeat)
        show("20 Newsgroups, TF-IDF, hinge, 5 epochs, alpha 1e-5", classes)
        compare_headline("20 Newsgroups, 20 classes, 5 epochs", classes)
    starts = start_times()
    show("Start", starts)


if __name__ == "__main__":
    main()
