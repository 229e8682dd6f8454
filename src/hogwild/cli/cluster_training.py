"""The work of `hogwild cluster train`: choose by a survey of the rows, fit on a cluster, save, sum up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild import DivergedError, save
from hogwild.cli.caching import ARRAYS_KEY
from hogwild.cli.choices import choose_task, make_estimator, parse_class_weight
from hogwild.cli.history import Epochs
from hogwild.cli.memory import shown_size
from hogwild.cli.recording import check_kept, followers, keep, keeps_record, named_scores, named_weights, new_record
from hogwild.cli.rows import FORMAT_KEY, Sources, batches_for, check_labels, open_as, reader_arrays, reader_of, unpacked
from hogwild.cli.scores import Scorer, Scores, summary
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs, print_table, say_warning
from hogwild.data.field_rows import FieldRows
from hogwild.estimators.progress import describe
from hogwild.report.record import Cluster, Record

if TYPE_CHECKING:
    from hogwild.report.judged import Judged

_LINEAR_ALPHA, _FACTORS_ALPHA = 1e-6, 2e-5
_EVENTS = 12  # losses, evictions and joins that are listed


@dataclass(frozen=True)
class Wishes:
    """The command line of `hogwild cluster train`; None is the user's "you choose"."""

    data: Sources
    model: Path
    workers: int | None
    shards: int | None
    consistency: str
    staleness: int | None
    replicas: int
    address: str | None
    phase_rows: int | None
    merge: str
    half: bool
    family: str
    task: str
    loss: str | None
    multi_class: str
    quantile: float | None
    penalty: str | None
    alpha: float | None
    l1_ratio: float
    schedule: str | None
    eta0: float | None
    factors: int | None
    normalized: bool
    epochs: int
    engine: str
    class_weight: str | None
    valid: Path | None
    seed: int
    report: Path | None
    run: Path | None
    tensorboard: Path | None
    history: Path | None
    threads: int | None
    quiet: bool
    place: str | None
    every: float
    resume: bool
    # what `make_estimator` looks for as well
    patience: None = None
    holdout: None = None
    checkpoint: None = None
    n_jobs: None = None


def run(wishes: Wishes) -> None:
    """Train as `wishes` says."""
    from hogwild.cluster.fitting import TrainingInterrupted, check_ray, fit

    check_ray()
    from hogwild.cluster.ray.host import JobError

    check_output(wishes.model)
    check_kept(wishes)
    data = Described(wishes)
    choice = Choice(wishes, data)
    interrupted = None
    try:
        with followers(wishes) as choice.epochs.followers, live_line("starting", wishes.quiet) as choice.line:
            fitted = fit(
                choice,
                list(wishes.data.names),
                workers=wishes.workers,
                shards=wishes.shards,
                consistency=wishes.consistency,
                staleness=wishes.staleness,
                replicas=wishes.replicas,
                address=wishes.address,
                checkpoint=wishes.place,
                every=wishes.every,
                resume=wishes.resume,
                phase_rows=wishes.phase_rows,
                merge=wishes.merge,
                half=wishes.half,
                threads=wishes.threads,
                callback=choice.follow,
                format=wishes.data.format,
                **data.options,
            )
    except TrainingInterrupted as stopped:
        interrupted, fitted = stopped, stopped.fitted
    except JobError as error:
        raise CommandError(f"the job could not go on, no model was written: {error}") from None
    except DivergedError as error:
        raise CommandError(f"training diverged, no model was written: try a smaller --eta0 ({error})") from None
    report = fitted.cluster_report_
    extra = {
        "source": str(wishes.data),
        "rows": choice.survey.n_rows,
        FORMAT_KEY: data.reader,
        "interrupted": interrupted is not None,
    }
    save(fitted, wishes.model, extra=extra, arrays=data.arrays)
    scores, judged = {}, None
    if wishes.valid is not None and interrupted is None and (keeps_record(wishes) or not wishes.quiet):
        scores, judged = _scores(wishes, fitted, data)
    outcome = _outcome(report, fitted, wishes.model)
    if not wishes.quiet and interrupted is None:
        if scores:
            print_table(*summary({"validation": scores}))
        print_table(*_workers(report))
        print_pairs(outcome)
    if keeps_record(wishes):
        record = _record(wishes, fitted, data, choice)
        record.outcome, record.judged, record.interrupted = outcome, judged, interrupted is not None
        record.scores = named_scores({"validation": scores} if scores else {})
        keep(wishes, record)
    if interrupted is not None:
        left = f"; --resume goes on from {wishes.place}" if wishes.place else ""
        raise KeyboardInterrupt(f"{interrupted}: the model so far is in {wishes.model}{left}")


class Described:
    """How the rows are read, for the nodes and for whoever predicts with the model later.

    Attributes
    ----------
    options : dict
        Of the format.
    rows : object
    reader : dict
    arrays : dict of ndarray
    """

    def __init__(self, wishes: Wishes) -> None:
        sources = wishes.data
        self.rows = rows = sources.open()
        self.options = dict(sources.options)
        if hasattr(rows, "block"):
            self.reader = rows.about.get(FORMAT_KEY, {"name": "hog", "options": {}})
            self.arrays = unpacked(rows.about.get(ARRAYS_KEY, {}))
            return
        text_format = getattr(rows, "format", None)
        # only the last row of all files could tell whether indices count from 1: they stay as they are written
        if getattr(text_format, "zero_based", None) == "auto":
            self.options["zero_based"] = True
            rows.format = replace(text_format, zero_based=True)
        if wishes.task == "regression" and hasattr(text_format, "labels"):
            self.options["labels"] = "number"
            rows.format = replace(rows.format, labels="number")
        self.reader, self.arrays = reader_of(rows), reader_arrays(rows)


class Choice:
    """Makes the estimator once the rows are surveyed, says what is about to be done, and follows it."""

    def __init__(self, wishes: Wishes, data: Described) -> None:
        self.survey: Any = None
        self.settings: list[tuple[str, str]] = []
        self.line: Any = None
        self.epochs = Epochs()
        self._wishes, self._data = wishes, data

    def __call__(self, survey: Any) -> Any:
        """Return the estimator for these rows."""
        wishes, self.survey = self._wishes, survey
        if not len(survey.sample):
            raise CommandError(f"{wishes.data}: found rows without any feature, expected some")
        labels = survey.labels if survey.labels is not None else np.array([0.5])
        if survey.missing:
            labels = np.array([np.nan])
        check_labels(labels, None if wishes.task == "regression" else labels[:0], str(wishes.data))
        classifies, why = choose_task(labels, wishes.task)
        if classifies and len(labels) < 2:
            raise CommandError(f"{wishes.data}: found one class only ({labels[0]}), expected two or more")
        family = wishes.family if wishes.family != "auto" else "ffm" if survey.has_fields else "linear"
        if family == "ffm" and not survey.has_fields:
            raise CommandError(f"{wishes.data}: found rows without fields, expected some for --estimator ffm")
        if family == "linear" and survey.has_fields:
            say_warning(f"{wishes.data}: the rows have fields, which a linear model does not use: they are left out")
        classes = labels if classifies else None
        estimator = _linear(wishes, classes) if family == "linear" else _machine(wishes, family, classes)
        self.settings = _settings(wishes, estimator, survey, classes, why)
        if not wishes.quiet:
            print_pairs(self.settings)
        return estimator

    def follow(self, progress: Any) -> bool:
        """Note the progress, and move the live line."""
        self.epochs.note(progress)
        if self.line is not None:
            self.line.update(describe(progress))
        return False


def _linear(wishes: Wishes, classes: np.ndarray | None) -> Any:
    for option, given in {"--factors": wishes.factors, "--no-norm": not wishes.normalized or None}.items():
        if given is not None:
            raise CommandError(f"found {option} for a linear model, expected it with --estimator fm or ffm")
    wishes = replace(wishes, alpha=_LINEAR_ALPHA if wishes.alpha is None else wishes.alpha)
    return make_estimator(wishes, classes is not None, classes).set_params(n_jobs=None)


def _machine(wishes: Wishes, family: str, classes: np.ndarray | None) -> Any:
    """Make a factorisation machine; options of linear models only are refused."""
    import hogwild

    losses = (None, "log_loss" if classes is not None else "squared_error")
    refused = {
        f"--loss {wishes.loss}": wishes.loss not in losses,
        f"--penalty {wishes.penalty}": wishes.penalty != "l2",
        f"--multi-class {wishes.multi_class}": wishes.multi_class != "ovr",
        "--quantile": wishes.quantile is not None,
        f"--schedule {wishes.schedule}": wishes.schedule not in (None, "adagrad"),
        "--no-norm": family == "fm" and not wishes.normalized,
    }
    for option in (option for option, found in refused.items() if found):
        raise CommandError(f"found {option}, expected it for linear models only (--estimator {family})")
    if classes is not None and len(classes) != 2:
        raise CommandError(f"found {len(classes)} classes, expected 2 for --estimator {family}")
    parameters: dict[str, Any] = {
        "n_factors": wishes.factors or {"fm": 8, "ffm": 4}[family],
        "alpha": _FACTORS_ALPHA if wishes.alpha is None else wishes.alpha,
        "max_iter": wishes.epochs,
        "engine": wishes.engine,
        "random_state": wishes.seed,
    }
    if wishes.eta0 is not None:
        parameters["eta0"] = wishes.eta0
    if family == "ffm":
        parameters["normalize"] = wishes.normalized
    if classes is not None:
        parameters["class_weight"] = parse_class_weight(wishes.class_weight, classes)
    elif wishes.class_weight is not None:
        raise CommandError("found --class-weight for regression, which has no classes")
    kind = "Classifier" if classes is not None else "Regressor"
    return getattr(hogwild, f"{family.upper()}{kind}")(**parameters)


def _settings(
    wishes: Wishes, estimator: Any, survey: Any, classes: np.ndarray | None, why: str
) -> list[tuple[str, str]]:
    task = "regression" if classes is None else f"classification, {len(classes)} classes"
    policy = f"ssp, staleness {4 if wishes.staleness is None else wishes.staleness}"
    copies = ", each with a copy" if wishes.replicas == 2 else ""
    phases = "rows by measuring" if wishes.phase_rows is None else f"{wishes.phase_rows:,} rows"
    model = type(estimator).__name__
    if hasattr(estimator, "n_factors"):
        model += f", {estimator.n_factors} factors"
    penalty = getattr(estimator, "penalty", "l2")
    return [
        ("data", f"{wishes.data}: {survey.n_rows:,} rows, {survey.n_features:,} features"),
        ("task", f"{task} ({why})"),
        ("model", model),
        ("loss", getattr(estimator, "loss", "log_loss" if classes is not None else "squared_error")),
        ("penalty", "none" if penalty is None else f"{penalty}, alpha {estimator.alpha:g}"),
        ("schedule", getattr(estimator, "learning_rate", "adagrad")),
        ("epochs", str(estimator.max_iter)),
        (
            "exchange",
            f"{policy if wishes.consistency == 'ssp' else wishes.consistency}, {wishes.merge}, {phases}{copies}",
        ),
    ]


def _scores(wishes: Wishes, fitted: Any, data: Described) -> tuple[Scores, Judged | None]:
    """Score the validation rows; with curves where a record is kept."""
    classes, name = getattr(fitted, "classes_", None), str(wishes.valid)
    rows = open_as(replace(wishes.data, names=(name,)), data.reader, data.arrays, classes)
    sample = None
    if keeps_record(wishes):
        from hogwild.report.judging import Sample

        sample = Sample("validation rows")
    scorer = Scorer(fitted, name, sample=sample)
    for X, batch in batches_for(rows, fitted.n_features_in_, name):
        check_labels(batch.labels, classes, name)
        if hasattr(fitted, "fields"):
            X = FieldRows.from_batch(batch, n_features=fitted.n_features_in_)
        scorer.add(X, batch.labels, batch.weights)
    judged = sample.judge(classes, hasattr(fitted, "predict_proba")) if sample is not None else None
    return scorer.result(), judged


def _record(wishes: Wishes, fitted: Any, data: Described, choice: Choice) -> Record:
    """Return the record of the job, without what became of it."""
    return new_record(
        f"hogwild: {wishes.data}",
        settings=choice.settings,
        epochs=choice.epochs.epochs,
        progressive=choice.epochs.points,
        cluster=Cluster.of(fitted.cluster_report_),
        **named_weights(fitted, data.rows, data.reader),
    )


def _workers(report: Any) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what the workers did."""
    rows = [
        [
            each.name,
            f"{each.rows:,}",
            f"{each.phases:,}",
            f"{each.compute:.0%}",
            f"{each.exchange:.0%}",
            f"{each.waiting:.0%}",
            shown_size(each.sent_bytes),
        ]
        for each in report.workers
    ]
    return ["", "rows", "phases", "compute", "exchange", "waiting", "sent"], rows


def _outcome(report: Any, fitted: Any, model: Path) -> list[tuple[str, str]]:
    """Return what the job has done."""
    stale = sum(report.staleness.values())
    counts = ", ".join(f"{s}: {n / max(1, stale):.0%}" for s, n in list(report.staleness.items())[:8])
    lengths = [rows for _, rows in report.phase_rows]
    losses = fitted.loss_curve_[-1:]  # none where Ctrl-C came in the first epoch
    return [
        *(("loss", f"{loss:.5f} in the last epoch, each row before its own step") for loss in losses),
        ("trained", f"{report.seconds:.2f} s, {report.rows_per_second:,.0f} rows/s, {len(report.workers)} workers"),
        ("exchange", f"{report.consistency}, {report.shards} shards, {shown_size(report.sent_bytes)} sent by all"),
        ("phases", f"{report.pushes:,} pushes of {' to '.join(f'{n:,}' for n in _ends(lengths)) or '-'} rows"),
        ("staleness", counts or "-"),
        ("evictions", f"{len(report.evictions)}, {report.rows_twice:,} rows stepped twice"),
        *(("", f"{at:.1f} s: {node} {what}") for at, what, node in _troubles(report)),
        ("model", str(model)),
    ]


def _ends(lengths: list[int]) -> list[int]:
    return lengths[:1] if len(set(lengths)) <= 1 else [lengths[0], lengths[-1]]


def _troubles(report: Any) -> list[tuple[float, str, str]]:
    return [each for each in report.happened if each[1] != "joined"][:_EVENTS]
