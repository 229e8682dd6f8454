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
from hogwild.cli.recording import keep, keeps_record, named_scores, named_weights, new_record
from hogwild.cli.rows import FORMAT_KEY, say_bad_lines
from hogwild.cli.scores import Scorer
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs, print_table, say_warning
from hogwild.cli.training_data import InCache, InMemory, Streamed, TrainingData
from hogwild.estimators.cv_columns import LEARNING_RATES
from hogwild.estimators.progress import describe
from hogwild.report.record import Epoch, Record, Search
from hogwild.report.run_quality import search_table

WARM_ROWS = 64  # enough to compile for
SCORES = {True: "accuracy", False: "R2"}


def check_search(wishes: Any) -> None:
    """Fail now rather than after the reading."""
    refused = {
        "--valid": wishes.valid,
        "--holdout": wishes.holdout,
        "--patience": wishes.patience,
        "--checkpoint": wishes.checkpoint,
        "--tensorboard": wishes.tensorboard,
        "--history": wishes.history,
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


def search(wishes: Any, data: TrainingData, classes: np.ndarray | None, why: str, reading_seconds: float = 0.0) -> None:
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
    score = SCORES[classes is not None]
    tried = tried_by(estimator, score)
    if not wishes.quiet:
        print_table(*search_table(tried))
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
    if wishes.search.plot is not None:
        from hogwild.report import save_plot
        from hogwild.report.cv import score_lines

        save_plot(score_lines(estimator.cv_results_, tried.names, score), wishes.search.plot)
        if not wishes.quiet:
            print_pairs([("plot", str(wishes.search.plot))])
    if keeps_record(wishes):
        record = _record(wishes, estimator, data, tried, interrupted)
        record.settings, record.outcome = pairs, outcome
        record.seconds = {"reading": reading_seconds} | record.seconds
        keep(wishes, record)
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


def tried_by(estimator: Any, score: str) -> Search:
    """Return what a record keeps of the settings."""
    results, names = estimator.cv_results_, list(estimator.best_params_)
    known = {
        key: [float(value) if np.isfinite(value) else None for value in results[key]]
        for key in ("mean_test_score", "std_test_score")
    }
    return Search(
        score=score,
        folds=int(estimator.n_splits_),
        names=names,
        settings=[[float(setting[name]) for name in names] for setting in results["params"]],
        means=known["mean_test_score"],
        deviations=known["std_test_score"],
        ranks=[int(rank) for rank in results["rank_test_score"]],
        best=int(estimator.best_index_),
    )


def _record(wishes: Any, estimator: Any, data: TrainingData, tried: Search, interrupted: bool) -> Record:
    """Return the record of a search: of its best model, fitted to all rows, with its losses beside all others'."""
    best, scores, judged = estimator.best_estimator_, {}, None
    if isinstance(data, InMemory) and not interrupted:
        from hogwild.report.judging import Sample

        sample = Sample("training rows")
        scorer = Scorer(best, str(wishes.data), sample=sample)
        scorer.add(data.X, data.y, data.weights)
        scores = {"training": scorer.result()}
        judged = sample.judge(getattr(best, "classes_", None), hasattr(best, "predict_proba"))
    return new_record(
        f"hogwild: {wishes.data}",
        epochs=[Epoch(number, loss) for number, loss in enumerate(estimator.loss_curve_, 1)],
        loss_of="training, mean of all settings and folds",
        interrupted=interrupted,
        seconds={"training": float(estimator.seconds_)},
        scores=named_scores(scores),
        judged=judged,
        search=tried,
        **named_weights(best, data.rows, data.reader),
    )
