"""`hogwild train` with several settings: all of them and all folds side by side, a table, a plot, the best model."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import clone

from hogwild import SGDClassifierCV, SGDRegressorCV, save
from hogwild.cli.choices import make_estimator
from hogwild.cli.rows import FORMAT_KEY, say_bad_lines
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs, print_table, say_warning
from hogwild.cli.training_data import InCache, InMemory, Streamed, TrainingData
from hogwild.estimators.cv_columns import LEARNING_RATES
from hogwild.estimators.progress import describe

WARM_ROWS = 64  # enough to compile for
SCORES = {True: "accuracy", False: "R2"}


def check_search(wishes: Any) -> None:
    """Fail now rather than after the reading."""
    refused = {
        "--valid": wishes.valid,
        "--holdout": wishes.holdout,
        "--patience": wishes.patience,
        "--checkpoint": wishes.checkpoint,
    }
    for option in (name for name, wanted in refused.items() if wanted is not None):
        raise CommandError(f"found {option} beside several settings, which are judged by --cv: leave it out")
    if wishes.schedule is not None and wishes.schedule not in LEARNING_RATES:
        raise CommandError(
            f"found --schedule {wishes.schedule} beside several settings, expected one of {', '.join(LEARNING_RATES)}"
        )
    if wishes.search.plot is not None:
        check_output(wishes.search.plot)
        if wishes.search.plot.suffix.lower() not in (".png", ".svg"):
            raise CommandError(f"{wishes.search.plot}: found {wishes.search.plot.suffix!r}, expected .png or .svg")
        if importlib.util.find_spec("matplotlib") is None:
            raise CommandError("--plot draws with Matplotlib, which is not installed: pip install hogwild[report]")


def search(wishes: Any, data: TrainingData, classes: np.ndarray | None, why: str) -> None:
    """Fit all settings and folds, say how they did, and save the best one's model."""
    from hogwild.cli.training import settings_of

    estimator = _make_search(wishes, classes)
    pairs = settings_of(wishes, estimator, data, classes, why)
    if not wishes.quiet:
        print_pairs(pairs)
    if data.has_fields:
        say_warning(f"{wishes.data}: the rows have fields, which a linear model does not use: they are left out")
    interrupted = _fit(estimator, data, wishes.quiet)
    if isinstance(data, Streamed):
        say_bad_lines(data.rows, str(wishes.data))
    extra = {"source": str(wishes.data), "rows": estimator.n_rows_, FORMAT_KEY: data.reader, "interrupted": interrupted}
    best = estimator.best_estimator_
    save(best, wishes.model, extra=extra, arrays=data.arrays)
    score, names = SCORES[classes is not None], list(estimator.best_params_)
    table = score_table(estimator, score)
    if not wishes.quiet:
        print_table(*table)
    threads = f"{estimator.n_threads_} thread" + ("s" if estimator.n_threads_ > 1 else "")
    rate = estimator.n_rows_ * estimator.n_iter_ * estimator.n_passes_ / max(estimator.seconds_, 1e-9)
    columns = len(estimator.cv_results_["params"]) * (estimator.n_splits_ + 1)
    passes = f" in {estimator.n_passes_} passes" if estimator.n_passes_ > 1 else ""
    outcome = [
        (
            "best",
            ", ".join(f"{name} {value:g}" for name, value in estimator.best_params_.items())
            + f": {score} {estimator.best_score_:.5f}",
        ),
        (
            "trained",
            f"{estimator.seconds_:.2f} s, {rate:,.0f} rows/s, {columns} models side by side{passes}, {threads}",
        ),
        ("model", f"{wishes.model}, fitted to all rows"),
    ]
    if not wishes.quiet:
        print_pairs(outcome)
    _draw(wishes, estimator, names, score, table, [*pairs, *outcome])
    if interrupted:
        raise KeyboardInterrupt(f"interrupted in epoch {estimator.n_iter_}: the best model so far is in {wishes.model}")


def _make_search(wishes: Any, classes: np.ndarray | None) -> Any:
    asked = wishes.search
    single = make_estimator(replace(wishes, engine="auto"), classes is not None, classes)
    kind = SGDClassifierCV if classes is not None else SGDRegressorCV
    parameters = single.get_params()
    lists = {"alpha": list(asked.alphas), "eta0": list(asked.eta0s) if asked.eta0s else [single.eta0]}
    lists = {name: values for name, values in lists.items() if len(values) > 1} or {"alpha": lists["alpha"]}
    names = set(kind._get_param_names()) & set(parameters)
    return kind(**{**{name: parameters[name] for name in names}, **lists, "cv": asked.n_folds})


def _warm_up(estimator: Any, data: TrainingData) -> None:
    """Compile what the search will need, so that its rates are those of the data."""
    head = data.head(WARM_ROWS) if hasattr(data, "head") else None
    if head is None:
        return
    warm = clone(estimator).set_params(max_iter=1, cv=2)
    if hasattr(warm, "class_weight"):
        warm.set_params(class_weight=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm.fit(head.matrix(), head.labels, sample_weight=head.weights if len(head.weights) else None)


def _fit(estimator: Any, data: TrainingData, quiet: bool) -> bool:
    """Fit; returns whether Ctrl-C ended it early."""
    with live_line("preparing (the first run compiles)", quiet) as line:
        with contextlib.suppress(ValueError):  # whatever is wrong with the rows, the fit itself will say it
            _warm_up(estimator, data)
        if line is not None:
            estimator.set_params(callback=lambda progress: line.update(describe(progress)))
        try:
            if isinstance(data, InMemory):
                estimator.fit(data.X, data.y, sample_weight=data.weights)
            else:
                estimator.fit(data.cache if isinstance(data, InCache) else data.rewound())
        except KeyboardInterrupt:
            if not hasattr(estimator, "best_estimator_"):
                raise KeyboardInterrupt("interrupted before there was a model: none was written") from None
            return True
        finally:
            estimator.set_params(callback=None)
    return False


def score_table(estimator: Any, score: str) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of settings, in their order, the best one marked."""
    results, names = estimator.cv_results_, list(estimator.best_params_)
    rows = []
    for place, setting in enumerate(results["params"]):
        mean, deviation = results["mean_test_score"][place], results["std_test_score"][place]
        shown = f"{mean:.5f} \u00b1 {deviation:.5f}" if np.isfinite(mean) else "diverged"
        mark = "best" if place == estimator.best_index_ else ""
        rows.append([*(f"{setting[name]:g}" for name in names), shown, str(results["rank_test_score"][place]), mark])
    return [*names, f"{score}, {estimator.n_splits_} folds", "rank", ""], rows


def _draw(
    wishes: Any, estimator: Any, names: list[str], score: str, table: tuple, settings: list[tuple[str, str]]
) -> None:
    if wishes.search.plot is None and wishes.report is None:
        return
    from hogwild.report import Table, save_plot, write_report
    from hogwild.report.cv import score_lines

    lines = score_lines(estimator.cv_results_, names, score)
    written = []
    if wishes.search.plot is not None:
        save_plot(lines, wishes.search.plot)
        written.append(("plot", str(wishes.search.plot)))
    if wishes.report is not None:
        parts = [Table("Settings tried", *table), lines, Table("Settings", ["", ""], [list(pair) for pair in settings])]
        write_report(wishes.report, f"hogwild: {wishes.data}", parts)
        written.append(("report", str(wishes.report)))
    if not wishes.quiet:
        print_pairs(written)
