"""The work of `hogwild demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from hogwild import SGDClassifier
from hogwild.cli.recording import check_report
from hogwild.cli.terminal import live_line, print_table
from hogwild.data.python_sources import Corpus, load_python_sources
from hogwild.estimators.threads import resolve_n_jobs

EPOCHS = 5
SETTINGS: dict[str, Any] = {"loss": "log_loss", "alpha": 1e-6, "max_iter": EPOCHS, "tol": None, "random_state": 0}
OURS = SETTINGS | {"intercept_decay": 0.01}  # what scikit-learn does with the intercept on sparse rows
_WARM_UP_ROWS = 2_048


class Fit(NamedTuple):
    """One line of the table."""

    name: str
    seconds: float
    accuracy: float
    losses: list[float]


def run(report: Path, n_jobs: int) -> None:
    """Load the corpus, fit all three, print the table and write the report."""
    check_report(report)
    began = time.perf_counter()
    with live_line("looking for installed Python packages") as line:

        def show(done: int, total: int) -> None:
            if line is not None:
                line.update(f"reading Python sources: {done:,} of {total:,} files")

        corpus = load_python_sources(progress=show)
    where = "from the cache of an earlier run" if corpus.from_cache else f"{corpus.n_files:,} files read"
    n_rows = corpus.X_train.shape[0]
    print(f"Which package is a Python function from? {len(corpus.packages)} packages, {where} ({corpus.seconds:.1f} s)")
    print(
        f"{n_rows:,} functions to train on, {corpus.X_test.shape[0]:,} to test, {corpus.X_train.shape[1]:,} features, "
        f"{corpus.X_train.nnz / n_rows:.0f} nonzeros a row"
    )
    print(f"{EPOCHS} epochs of logistic loss, one-vs-rest, alpha 1e-06; our kernels are compiled on a slice first")
    fits = _fit_all(corpus, sorted({1, resolve_n_jobs(n_jobs)}))
    columns, rows = _table(fits)
    print_table(columns, rows)
    _write_report(report, corpus, fits, columns, rows)
    print(f"report: {report}  ({time.perf_counter() - began:.0f} s in all)")


def _fit_all(corpus: Corpus, threads: list[int]) -> list[Fit]:
    from sklearn.linear_model import SGDClassifier as Peer

    fits = []
    with live_line("scikit-learn SGDClassifier, one process") as line:
        fits.append(_fit("scikit-learn SGDClassifier", Peer(**SETTINGS), corpus))
        for n_threads in threads:
            name = f"hogwild, {n_threads} thread" + ("s" if n_threads > 1 else "")
            if line is not None:
                line.update(name)
            slice_ = corpus.X_train[:_WARM_UP_ROWS], corpus.y_train[:_WARM_UP_ROWS]
            SGDClassifier(**OURS | {"max_iter": 1}, n_jobs=n_threads).fit(*slice_)
            fits.append(_fit(name, SGDClassifier(**OURS, n_jobs=n_threads), corpus))
    return fits


def _fit(name: str, estimator: Any, corpus: Corpus) -> Fit:
    started = time.perf_counter()
    estimator.fit(corpus.X_train, corpus.y_train)
    seconds = time.perf_counter() - started
    accuracy = float(estimator.score(corpus.X_test, corpus.y_test))
    return Fit(name, seconds, accuracy, getattr(estimator, "loss_curve_", []))


def _table(fits: list[Fit]) -> tuple[list[str], list[list[str]]]:
    first = fits[0].seconds
    rows = [[fit.name, f"{fit.seconds:.2f} s", f"{first / fit.seconds:.1f} x", f"{fit.accuracy:.4f}"] for fit in fits]
    return ["", "time", "speed-up", "held-out accuracy"], rows


def _write_report(report: Path, corpus: Corpus, fits: list[Fit], columns: list[str], rows: list[list[str]]) -> None:
    from hogwild.report import Bars, Lines, Table, Text, write_report

    epochs = list(range(1, EPOCHS + 1))
    lines = {fit.name: (epochs[: len(fit.losses)], fit.losses) for fit in fits if fit.losses}
    facts = [
        ["rows", f"{corpus.X_train.shape[0]:,} to train on, {corpus.X_test.shape[0]:,} to test"],
        ["features", f"{corpus.X_train.shape[1]:,} (hashed words, TF-IDF)"],
        ["classes", ", ".join(corpus.packages)],
        [
            "settings",
            f"logistic loss, one-vs-rest, alpha 1e-06, {EPOCHS} epochs, step size 1 / (alpha (t0 + t)), intercept 1 %",
        ],
        ["timed", "whole fits; our kernels were compiled on a slice before"],
    ]
    write_report(
        report,
        "hogwild demo",
        [
            Text("Which installed package is a Python function from?"),
            Table("Result", columns, rows),
            Bars("Time of a fit", "seconds", {fit.name: fit.seconds for fit in fits}),
            Lines("Loss by epoch", "epoch", "mean loss, each row before its own step", lines),
            Table("Data", ["", ""], facts),
        ],
    )
