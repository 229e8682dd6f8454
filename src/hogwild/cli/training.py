"""The work of `hogwild train`: read, choose, fit under a live line, save, sum up."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from hogwild import DivergedError, save
from hogwild.cli.choices import choose_task, make_estimator
from hogwild.cli.history import History
from hogwild.cli.rows import read_like, read_training_rows
from hogwild.cli.scores import Scores, check_metric, score, summary
from hogwild.cli.terminal import CommandError, live_line, print_pairs, print_table, say_warning
from hogwild.estimators.threads import resolve_n_jobs

STRONG = 1_000  # alpha x rows from which on the penalty outweighs what the rows say


@dataclass(frozen=True)
class Wishes:
    """The command line of `hogwild train`; None is the user's "you choose"."""

    data: Path
    model: Path
    task: str
    loss: str | None
    penalty: str | None
    alpha: float
    l1_ratio: float
    schedule: str | None
    eta0: float | None
    epochs: int
    engine: str
    class_weight: str | None
    valid: Path | None
    metric: str | None
    seed: int
    report: Path | None
    n_jobs: int
    quiet: bool


def run(wishes: Wishes) -> None:
    """Train as `wishes` says."""
    check_output(wishes.model)
    if wishes.report is not None:
        check_report(wishes.report)
    with live_line(f"reading {wishes.data}", wishes.quiet):
        labels = "number" if wishes.task == "regression" else "auto"
        X, y, zero_based = read_training_rows(wishes.data, labels, wishes.n_jobs)
    classifies, why = choose_task(y, wishes.task)
    classes = np.unique(y) if classifies else None
    if classes is not None and len(classes) < 2:
        raise CommandError(f"{wishes.data}: found one class only ({classes[0]}), expected two or more")
    estimator = make_estimator(wishes, classifies, classes)
    history = History(estimator, check_metric(wishes.metric, classifies))
    held_out = None
    if wishes.valid is not None:
        held_out = read_like(wishes.valid, classes, X.shape[1], zero_based, n_jobs=wishes.n_jobs)
        history.validate_on(*held_out)
    settings = _settings(wishes, estimator, X, classes, why)
    if not wishes.quiet:
        print_pairs(settings)
    if wishes.penalty is not None and wishes.alpha * X.shape[0] > STRONG:
        say_warning(
            f"alpha x rows is {wishes.alpha * X.shape[0]:,.0f}, more than {STRONG:,}: the penalty outweighs the rows; "
            f"--alpha {STRONG / X.shape[0]:.0e} is the most that makes sense here"
        )
    interrupted = _fit(estimator, history, X, y, wishes.quiet)
    save(
        estimator,
        wishes.model,
        extra={"source": wishes.data.name, "rows": X.shape[0], "zero_based": zero_based, "interrupted": interrupted},
    )
    if interrupted:
        raise KeyboardInterrupt(
            f"interrupted in epoch {len(estimator.loss_curve_)}: the model so far is in {wishes.model}"
        )
    if wishes.quiet and wishes.report is None:
        return
    columns = {"training": score(estimator, X, y, wishes.data)}
    if held_out is not None:
        columns["validation"] = score(estimator, *held_out, wishes.valid)
    if _worse_than_a_constant(columns["training"]):
        say_warning(
            "the model does worse on its own training rows than a constant: a smaller --eta0, a smaller --alpha or "
            "another --schedule may mend it"
        )
    trained = _outcome(estimator, history, wishes.model)
    if not wishes.quiet:
        print_table(*summary(columns))
        print_pairs(trained)
    if wishes.report is not None:
        _write_report(wishes, [*settings, *trained], columns, history)
        if not wishes.quiet:
            print_pairs([("report", str(wishes.report))])


def check_output(path: Path) -> None:
    """Fail now rather than after the training."""
    if path.is_dir():
        raise CommandError(f"{path}: found a folder, expected the name of a file to write")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: found no folder {path.parent} to write to")
    if not os.access(path.parent, os.W_OK):
        raise CommandError(f"{path}: found no permission to write to the folder {path.parent}")
    if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst"):
        raise CommandError(f"{path}: models and reports are not compressed, expected another name")


def check_report(path: Path) -> None:
    """Fail now rather than after the training."""
    check_output(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise CommandError("--report draws with Matplotlib, which is not installed: pip install hogwild[report]")


def _fit(estimator: Any, history: History, X: Any, y: np.ndarray, quiet: bool) -> bool:
    """Fit; returns whether Ctrl-C ended it early."""
    try:
        with live_line("preparing (the first run compiles)", quiet) as history.line:
            _warm_up(estimator, X, y)
            with history.following():
                estimator.fit(X, y)
    except KeyboardInterrupt:
        if not getattr(estimator, "loss_curve_", None):
            raise KeyboardInterrupt("interrupted before the first step: no model was written") from None
        return True
    except DivergedError as error:
        smaller = f"--eta0 {estimator.eta0 / 10:g} or --schedule search"
        if estimator.learning_rate == "search":
            smaller = "--schedule adagrad"
        largest = float(np.abs(X.data).max())
        scale = f"; values reach {largest:g}: scale them to about 1" if largest > 10 else ""
        raise CommandError(f"training diverged, no model was written: try {smaller}{scale} ({error})") from None
    finally:
        history.line = None
    return False


def _warm_up(estimator: Any, X: Any, y: np.ndarray) -> None:
    """Compile what the fit will need, so that its rates are those of the data; a moment where that has been done."""
    rows = slice(256 * resolve_n_jobs(estimator.n_jobs))
    classes = {"classes": np.unique(y)} if hasattr(estimator, "class_weight") else {}
    warm = clone(estimator).set_params(**dict.fromkeys({"class_weight"} & estimator.get_params().keys()))
    with contextlib.suppress(ValueError):  # whatever is wrong with the rows, the fit itself will say it
        warm.partial_fit(X[rows], y[rows], **classes)


# ------------------------------------------------------------------------------------------------ saying it


def _settings(wishes: Wishes, estimator: Any, X: Any, classes: np.ndarray | None, why: str) -> list[tuple[str, str]]:
    task = "regression" if classes is None else f"classification, {len(classes)} classes"
    penalty = "none" if estimator.penalty is None else f"{estimator.penalty}, alpha {estimator.alpha:g}"
    step = "found on a sample" if estimator.learning_rate == "search" else f"eta0 {estimator.eta0:g}"
    return [
        ("data", f"{wishes.data.name}: {X.shape[0]:,} rows, {X.shape[1]:,} features, {X.nnz:,} nonzeros"),
        ("task", f"{task} ({why})"),
        ("loss", estimator.loss),
        ("penalty", penalty),
        ("schedule", f"{estimator.learning_rate}, {step}"),
        ("epochs", str(estimator.max_iter)),
    ]


def _worse_than_a_constant(scores: Scores) -> bool:
    if "r2" in scores:
        return scores["r2"] is None or scores["r2"] < 0
    return scores["accuracy"] < scores["base_rate"] - 0.01


def _outcome(estimator: Any, history: History, model: Path) -> list[tuple[str, str]]:
    threads = f"{estimator.n_threads_} thread" + ("s" if estimator.n_threads_ > 1 else "")
    found = [("step size", f"eta0 {estimator.eta0_:g}")] if estimator.learning_rate == "search" else []
    return [
        *found,
        ("trained", f"{history.seconds:.2f} s, {history.rows_per_second:,.0f} rows/s, {threads}"),
        ("engine", str(estimator.engine_)),
        ("model", str(model)),
    ]


def _write_report(
    wishes: Wishes, settings: list[tuple[str, str]], columns: dict[str, Scores], history: History
) -> None:
    from hogwild.report import Lines, Table, write_report

    epochs = [epoch.number for epoch in history.epochs]
    curves = {"training, each row before its own step": (epochs, [epoch.loss for epoch in history.epochs])}
    parts = [Table("Result", *summary(columns)), Lines("Loss by epoch", "epoch", "mean loss", curves)]
    if history.validates and history.follows_loss:
        curves["validation"] = history.validation_curve
    elif history.validates:
        name = history.metric_name
        parts.append(Lines(f"Validation: {name} by epoch", "epoch", name, {"validation": history.validation_curve}))
    rates = (epochs, [epoch.rows_per_second for epoch in history.epochs])
    parts += [
        Lines("Throughput", "epoch", "rows/s", {"rows/s": rates}, from_zero=True),
        Table("Settings", ["", ""], [list(pair) for pair in settings]),
    ]
    write_report(wishes.report, f"hogwild: {wishes.data.name}", parts)
