"""What happens during a fit, epoch by epoch: for the live line, the summary, the record and whoever follows it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild import Progress
from hogwild.cli.recording import Follower, tell
from hogwild.cli.scores import NAMES, Scorer, Scores, shown
from hogwild.data.batch import Batch
from hogwild.estimators.progress import describe
from hogwild.report.record import Epoch

if TYPE_CHECKING:
    from hogwild.report.judging import Sample


_MOST_POINTS = 200


class Epochs:
    """The epochs of a run as its callback sees them.

    Parameters
    ----------
    followers : sequence of callable
        Told of each slice, and of the scores at the end of each epoch.

    Attributes
    ----------
    epochs : list of Epoch
    points : list of (rows, loss)
        Mean loss of late, after slices: fewer of them in long runs.
    rows : int
        Stepped so far.
    seconds, aside : float
        Time of training, and of what its callback did in between.
    """

    def __init__(self, followers: Sequence[Follower] = ()) -> None:
        self.epochs: list[Epoch] = []
        self.points: list[tuple[float, float]] = []
        self.followers = followers
        self.rows, self.seconds, self.aside = 0, 0.0, 0.0
        self._last: tuple[int, float] | None = None
        self._slices, self._stride = 0, 1

    def note(self, progress: Progress, validate: Callable[[], tuple[str, float | None]] | None = None) -> None:
        """Note a slice; at the end of an epoch `validate` gives the name and value of a score."""
        self.rows, self.seconds = progress.rows, progress.seconds - self.aside
        progress = replace(progress, seconds=self.seconds)  # followers are told the time without the validation
        if self._last is None:  # a run that is gone on with begins in the middle
            self._last = (0, 0.0) if progress.epoch == 1 else (self.rows, self.seconds)
        self._add_point(progress)
        if not progress.epoch_ended:
            tell(self.followers, progress)
            return
        rows, seconds = self.rows - self._last[0], self.seconds - self._last[1]
        self._last = self.rows, self.seconds
        name, value = "", None
        if validate is not None:
            started = time.perf_counter()
            name, value = validate()
            self.aside += time.perf_counter() - started
        known = rows > 0 and seconds > 0
        self.epochs.append(
            Epoch(
                progress.epoch,
                progress.loss,
                value,
                seconds if known else None,
                rows / seconds if known else None,
                None if math.isnan(progress.eta) else progress.eta,
            )
        )
        tell(self.followers, progress, **({f"validation_{name}": value} if name else {}), eta=progress.eta)

    def _add_point(self, progress: Progress) -> None:
        if self._slices % self._stride == 0:
            self.points.append((float(progress.rows), progress.recent_loss))
            if len(self.points) > _MOST_POINTS:
                self.points, self._stride = self.points[::2], 2 * self._stride
        self._slices += 1


class History(Epochs):
    """A callback of `fit` that keeps the epochs, validates after each and moves the live line.

    Parameters
    ----------
    estimator : SGDClassifier or SGDRegressor
        The one that is being fitted.
    metric : str
        Followed on the validation rows.
    patience : int, optional
        Epochs without a better metric after which training stops.

    Attributes
    ----------
    line : rich.status.Status or None
    preparing_seconds : float
        Before the fit.
    """

    def __init__(self, estimator: Any, metric: str, patience: int | None = None) -> None:
        super().__init__()
        self.line: Any = None
        self._estimator, self._metric = estimator, metric
        self._held_out: Callable[[], Iterator[tuple[Any, Batch]]] | None = None
        self._held_out_name, self._patience, self._without = "", patience, 0
        self.preparing_seconds = 0.0

    def validate_on(self, rows: Callable[[], Iterator[tuple[Any, Batch]]], name: str) -> None:
        """Follow the metric on the rows that `rows` gives whenever it is called."""
        self._held_out, self._held_out_name = rows, name

    def score_validation(self, only: str | None = None, sample: Sample | None = None) -> Scores:
        """Score the validation rows at the present weights."""
        scorer = Scorer(self._estimator, self._held_out_name, only, sample)
        for X, batch in self._held_out():
            scorer.add(X, batch.labels, batch.weights)
        return scorer.result()

    @property
    def holdout(self) -> int:
        """One row in so many that the estimator holds out."""
        return round(1 / self._estimator.validation_fraction)

    @property
    def progressive_curve(self) -> list[list[float]]:
        """Rows and their mean loss since the point before."""
        return getattr(self._estimator, "progressive_curve_", [])

    @property
    def validates(self) -> bool:
        """Whether there are validation rows."""
        return self._held_out is not None

    @property
    def follows_loss(self) -> bool:
        """Whether the metric is the loss that training lowers; with several classes that is another, one-vs-rest."""
        estimator = self._estimator
        return self._metric == estimator.loss == "log_loss" and len(estimator.classes_) == 2

    @property
    def metric_name(self) -> str:
        """The metric as people write it."""
        return NAMES[self._metric]

    @property
    def validation_curve(self) -> tuple[list[int], list[float]]:
        """Epochs and the metric on the validation rows, where it is defined."""
        points = [(epoch.number, epoch.validation) for epoch in self.epochs if epoch.validation is not None]
        return [number for number, _ in points], [value for _, value in points]

    @property
    def rows_per_second(self) -> float:
        """Mean throughput of the whole fit."""
        return self.rows / max(self.seconds, 1e-9)

    def __call__(self, progress: Progress) -> bool:
        """Note a slice of training; whether to stop."""
        self.note(progress, self._validate if self.validates else None)
        halted = progress.epoch_ended and self._stalled(self.epochs[-1].validation)
        if self.line is not None:
            _, values = self.validation_curve
            seen = f"  validation {self.metric_name} {shown(values[-1])}" if values else ""
            self.line.update(describe(progress) + seen)
        return halted

    def _stalled(self, value: float | None) -> bool:
        """Whether the metric has not become better for `patience` epochs."""
        if self._patience is None or value is None:
            return False
        values = [epoch.validation for epoch in self.epochs[:-1] if epoch.validation is not None]
        sign = 1.0 if self._metric in ("auc", "accuracy", "r2") else -1.0
        best = max((sign * seen for seen in values), default=-np.inf)
        self._without = 0 if sign * value > best else self._without + 1
        return self._without >= self._patience

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Watch the fit that runs inside this context."""
        self._estimator.set_params(callback=self)
        try:
            yield
        finally:
            self._estimator.set_params(callback=None)

    def _validate(self) -> tuple[str, float | None]:
        """Score the weights as they are after this epoch."""
        return self._metric, self.score_validation(self._metric)[self._metric]
