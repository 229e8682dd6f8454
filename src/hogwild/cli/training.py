"""The work of `hogwild train`: read, choose, fit under a live line, save, sum up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild import DivergedError, save
from hogwild.cli.choices import choose_task, make_estimator
from hogwild.cli.history import History
from hogwild.cli.memory import shown_size
from hogwild.cli.recording import check_kept, followers, keep, keeps_record, named_scores, named_weights, new_record
from hogwild.cli.rows import FORMAT_KEY, Sources, batches_for, check_labels, open_as, say_bad_lines
from hogwild.cli.scores import Scorer, Scores, check_metric, summary
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs, print_table, say_warning
from hogwild.cli.training_data import InCache, InMemory, Streamed, TrainingData, read_training_data
from hogwild.data.batch import Batch
from hogwild.estimators.threads import MIN_ROWS
from hogwild.report.record import Epoch

if TYPE_CHECKING:
    from hogwild.report.judged import Judged
    from hogwild.report.record import Record

ENOUGH = 50_000_000  # bytes of text for which a rate of reading says something
STRONG = 1_000  # alpha x rows from which on the penalty outweighs what the rows say


@dataclass(frozen=True)
class Wishes:
    """The command line of `hogwild train`; None is the user's "you choose"."""

    data: Sources
    model: Path
    task: str
    loss: str | None
    multi_class: str
    quantile: float | None
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
    holdout: int | None
    patience: int | None
    memory: int
    cache: str
    checkpoint: Path | None
    every: float
    resume: bool
    seed: int
    report: Path | None
    run: Path | None
    tensorboard: Path | None
    history: Path | None
    n_jobs: int
    quiet: bool
    search: Search | None = None


@dataclass(frozen=True)
class Search:
    """Several settings to choose from, and where to draw their scores; eta0 None is "you choose"."""

    alphas: tuple[float, ...]
    eta0s: tuple[float, ...] | None
    n_folds: int
    plot: Path | None


def run(wishes: Wishes) -> None:
    """Train as `wishes` says."""
    check_output(wishes.model)
    check_kept(wishes)
    if wishes.search is not None:
        from hogwild.cli.searching import check_search

        check_search(wishes)
    began = time.perf_counter()
    data = read_training_data(
        wishes.data,
        task=wishes.task,
        n_epochs=wishes.epochs,
        memory=wishes.memory,
        cache=wishes.cache,
        quiet=wishes.quiet,
    )
    reading_seconds = time.perf_counter() - began
    if isinstance(data, Streamed):
        refused = {"--holdout": wishes.holdout, "--class-weight balanced": wishes.class_weight == "balanced"}
        for option in (name for name, wanted in refused.items() if wanted):
            raise CommandError(f"{option} needs all rows at hand: leave out --cache off")
    check_labels(data.labels, None if wishes.task == "regression" else data.labels[:0], str(wishes.data))
    classifies, why = choose_task(data.labels, wishes.task)
    classes = np.unique(data.labels) if classifies else None
    if classes is not None and len(classes) < 2:
        raise CommandError(f"{wishes.data}: found one class only ({classes[0]}), expected two or more")
    if wishes.search is not None:
        from hogwild.cli.searching import search

        search(wishes, data, classes, why, reading_seconds)
        return
    estimator = make_estimator(wishes, classifies, classes)
    history = History(estimator, check_metric(wishes.metric, classifies), wishes.patience if wishes.valid else None)
    if wishes.valid is not None:
        history.validate_on(_validation_rows(wishes, data, estimator, classes), str(wishes.valid))
    settings = settings_of(wishes, estimator, data, classes, why)
    if not wishes.quiet:
        print_pairs(settings)
    if wishes.penalty is not None and data.n_rows and wishes.alpha * data.n_rows > STRONG:
        say_warning(
            f"alpha x rows is {wishes.alpha * data.n_rows:,.0f}, more than {STRONG:,}: the penalty outweighs the rows; "
            f"--alpha {STRONG / data.n_rows:.0e} is the most that makes sense here"
        )
    if data.has_fields:
        say_warning(f"{wishes.data}: the rows have fields, which a linear model does not use: they are left out")
    with followers(wishes) as history.followers:
        interrupted = _fit(estimator, history, data, wishes.quiet)
    if isinstance(data, Streamed):
        say_bad_lines(data.rows, str(wishes.data))
    rows = data.n_rows or history.rows // max(1, len(estimator.loss_curve_))
    extra = {"source": str(wishes.data), "rows": rows, FORMAT_KEY: data.reader, "interrupted": interrupted}
    save(estimator, wishes.model, extra=extra, arrays=data.arrays)
    if interrupted:
        if keeps_record(wishes):
            outcome = _outcome(estimator, history, data, reading_seconds, wishes.model)
            pairs, seconds = (settings, outcome), _seconds(estimator, history, reading_seconds)
            keep(wishes, record_of(wishes, estimator, data, history, *pairs, seconds=seconds, interrupted=True))
        raise KeyboardInterrupt(
            f"interrupted in epoch {len(estimator.loss_curve_)}: the model so far is in {wishes.model}"
        )
    if wishes.quiet and not keeps_record(wishes):
        return
    columns, judged = _scored(wishes, estimator, data, history)
    if "training" in columns and _worse_than_a_constant(columns["training"]):
        say_warning(
            "the model does worse on its own training rows than a constant: a smaller --eta0, a smaller --alpha or "
            "another --schedule may mend it"
        )
    trained = _outcome(estimator, history, data, reading_seconds, wishes.model)
    if not wishes.quiet:
        if columns:
            print_table(*summary(columns))
        print_pairs(trained)
    if keeps_record(wishes):
        seconds = _seconds(estimator, history, reading_seconds)
        found = {"scores": named_scores(columns), "judged": judged, "seconds": seconds}
        keep(wishes, record_of(wishes, estimator, data, history, settings, trained, **found))


def _scored(
    wishes: Wishes, estimator: Any, data: TrainingData, history: History
) -> tuple[dict[str, Scores], Judged | None]:
    """Return the scores of all rows, and the curves of validation rows, or training rows where there are none."""
    sample = None
    if keeps_record(wishes):
        from hogwild.report.judging import Sample

        sample = Sample("validation rows" if wishes.valid else "training rows")
    columns: dict[str, Scores | None] = {}
    if sample is not None and wishes.valid is None and isinstance(data, InMemory):
        scorer = Scorer(estimator, str(wishes.data), sample=sample)
        scorer.add(data.X, data.y, data.weights)
        columns["training"] = scorer.result()
    else:
        columns["training"] = data.score(estimator)
    if wishes.valid is not None:
        columns["validation"] = history.score_validation(sample=sample)
    judged = None
    if sample is not None:
        judged = sample.judge(getattr(estimator, "classes_", None), hasattr(estimator, "predict_proba"))
    return {name: scores for name, scores in columns.items() if scores is not None}, judged


def _validation_rows(
    wishes: Wishes, data: TrainingData, estimator: Any, classes: np.ndarray | None
) -> Callable[[], Iterator[tuple[Any, Batch]]]:
    """Return what gives the validation rows, as often as it is called: from memory where they are few."""
    sources, name = replace(wishes.data, names=(str(wishes.valid),)), str(wishes.valid)
    rows = open_as(sources, data.reader, data.arrays, classes)
    width = data.n_features

    def read() -> Iterator[tuple[Any, Batch]]:
        # a stream's model has the width of the rows so far
        for X, batch in batches_for(rows, width or estimator.n_features_in_, name):
            check_labels(batch.labels, classes, name)
            yield X, batch

    needed = rows.estimated_bytes() if hasattr(rows, "estimated_bytes") else None
    if width is None or needed is None or needed > wishes.memory // 4:
        return read
    kept = list(read())
    return lambda: iter(kept)


def _fit(estimator: Any, history: History, data: TrainingData, quiet: bool) -> bool:
    """Fit; returns whether Ctrl-C ended it early."""
    try:
        with live_line("preparing (the first run compiles)", quiet) as history.line:
            began = time.perf_counter()
            with contextlib.suppress(ValueError):  # whatever is wrong with the rows, the fit itself will say it
                data.warm_up(estimator)
            history.preparing_seconds = time.perf_counter() - began
            with history.following():
                data.fit(estimator)
    except KeyboardInterrupt:
        if not getattr(estimator, "loss_curve_", None):
            raise KeyboardInterrupt("interrupted before the first step: no model was written") from None
        return True
    except DivergedError as error:
        smaller = f"--eta0 {estimator.eta0 / 10:g} or --schedule search"
        if estimator.learning_rate == "search":
            smaller = "--schedule adagrad"
        largest = float(np.abs(data.head(MIN_ROWS).values).max(initial=0.0))
        scale = f"; values reach {largest:g}: scale them to about 1" if largest > 10 else ""
        raise CommandError(f"training diverged, no model was written: try {smaller}{scale} ({error})") from None
    finally:
        history.line = None
    return False


# ------------------------------------------------------------------------------------------------ saying it


def settings_of(
    wishes: Wishes, estimator: Any, data: TrainingData, classes: np.ndarray | None, why: str
) -> list[tuple[str, str]]:
    """What is about to be done, for the terminal and the report."""
    task = "regression" if classes is None else f"classification, {len(classes)} classes"
    penalty = "none" if estimator.penalty is None else f"{estimator.penalty}, alpha {_listed(estimator.alpha)}"
    step = "found on a sample" if estimator.learning_rate == "search" else f"eta0 {_listed(estimator.eta0)}"
    size = (
        ""
        if data.n_rows is None
        else f"{data.n_rows:,} rows, {data.n_features:,} features, {data.n_entries:,} nonzeros"
    )
    place = "" if data.place == "in memory" else data.place
    return [
        ("data", f"{wishes.data}: {', '.join(filter(None, (size, place)))}"),
        ("task", f"{task} ({why})"),
        ("loss", estimator.loss),
        ("penalty", penalty),
        ("schedule", f"{estimator.learning_rate}, {step}"),
        ("epochs", str(estimator.max_iter)),
    ]


def _listed(value: Any) -> str:
    return ", ".join(f"{each:g}" for each in np.atleast_1d(value))


def _worse_than_a_constant(scores: Scores) -> bool:
    if "r2" in scores:
        return scores["r2"] is None or scores["r2"] < 0
    return scores["accuracy"] < scores["base_rate"] - 0.01


def _outcome(
    estimator: Any, history: History, data: TrainingData, reading_seconds: float, model: Path
) -> list[tuple[str, str]]:
    threads = f"{estimator.n_threads_} thread" + ("s" if estimator.n_threads_ > 1 else "")
    found = [("step size", f"eta0 {estimator.eta0_:g}")] if estimator.learning_rate == "search" else []
    if getattr(estimator, "validation_scores_", None):
        kind = "accuracy" if hasattr(estimator, "classes_") else "R2"
        found.append(("held out", f"{kind} {estimator.validation_scores_[-1]:.5f} on one row in {history.holdout}"))
    reading = getattr(data.rows, "reading", None)
    if reading is not None and reading.text_bytes and not isinstance(data, InCache):
        seconds = history.seconds if isinstance(data, Streamed) else reading_seconds
        rate = f"{shown_size(reading.text_bytes)} of text, {shown_size(reading.text_bytes / max(seconds, 1e-9))}/s"
        found.append(("read", rate if reading.text_bytes > ENOUGH else rate.split(",")[0]))
    shares = ""
    if not isinstance(data, InMemory):
        total = max(history.seconds, 1e-9)
        waiting = min(1.0, estimator.wait_seconds_ / total)
        shares = f"; {estimator.step_seconds_ / total:.0%} stepping, {waiting:.0%} waiting for rows"
        if isinstance(data, Streamed) and reading is not None and reading.parse_seconds:
            busy = reading.parse_seconds / total / data.rows.n_threads
            shares += f"; each of {data.rows.n_threads} parsing threads busy {min(1.0, busy):.0%}"
    return [
        *found,
        ("loss", f"{estimator.loss_curve_[-1]:.5f} in the last epoch, each row before its own step"),
        ("trained", f"{history.seconds:.2f} s, {history.rows_per_second:,.0f} rows/s, {threads}{shares}"),
        ("engine", str(estimator.engine_)),
        ("model", str(model)),
    ]


def _seconds(estimator: Any, history: History, reading_seconds: float) -> dict[str, float]:
    """Return what took how long; what takes no time is left out."""
    stepping, waiting = estimator.step_seconds_, getattr(estimator, "wait_seconds_", 0.0)
    found = {
        "reading": reading_seconds,
        "preparing, compiling": history.preparing_seconds,
        "stepping": stepping,
        "waiting for rows": waiting,
        "validating": history.aside,
        "the rest of training": history.seconds - stepping - waiting,
    }
    return {name: float(seconds) for name, seconds in found.items() if seconds > 0}


def record_of(
    wishes: Wishes,
    estimator: Any,
    data: TrainingData,
    history: History,
    settings: list[tuple[str, str]],
    outcome: list[tuple[str, str]],
    **found: Any,
) -> Record:
    """Return the record of a fit; `found` are fields of it by name."""
    losses, first = estimator.loss_curve_, history.epochs[0].number if history.epochs else 1
    before = [Epoch(number, loss) for number, loss in enumerate(losses[: first - 1], 1)]  # of the run that is resumed
    return new_record(
        f"hogwild: {wishes.data}",
        settings=settings,
        outcome=outcome,
        epochs=[*before, *history.epochs],
        metric=history.metric_name if history.validates else "",
        metric_is_loss=history.validates and history.follows_loss,
        progressive=[(rows, loss) for rows, loss in history.progressive_curve],
        **named_weights(estimator, data.rows, data.reader),
        **found,
    )
