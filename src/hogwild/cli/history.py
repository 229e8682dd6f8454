"""What happens during a fit, epoch by epoch: for the live line, the summary and the report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hogwild import Progress
from hogwild.cli.scores import NAMES, Scorer, Scores, shown
from hogwild.data.batch import Batch
from hogwild.estimators.progress import describe


class Epoch(NamedTuple):
    """One pass over the rows; seconds and rate are without the validation."""

    number: int
    loss: float
    validation: float | None
    seconds: float
    rows_per_second: float


class History:
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
    epochs : list of Epoch
    line : rich.status.Status or None
    """

    def __init__(self, estimator: Any, metric: str, patience: int | None = None) -> None:
        self.epochs: list[Epoch] = []
        self.line: Any = None
        self._estimator, self._metric = estimator, metric
        self._held_out: Callable[[], Iterator[tuple[Any, Batch]]] | None = None
        self._held_out_name, self._patience, self._without = "", patience, 0
        self._aside = 0.0  # seconds spent on validation so far
        self._rows, self._last = 0, (0, 0.0)
        self.seconds = 0.0

    def validate_on(self, rows: Callable[[], Iterator[tuple[Any, Batch]]], name: str) -> None:
        """Follow the metric on the rows that `rows` gives whenever it is called."""
        self._held_out, self._held_out_name = rows, name

    def score_validation(self, only: str | None = None) -> Scores:
        """Score the validation rows at the present weights."""
        scorer = Scorer(self._estimator, self._held_out_name, only)
        for X, batch in self._held_out():
            scorer.add(X, batch.labels, batch.weights)
        return scorer.result()

    @property
    def holdout(self) -> int:
        """One row in so many that the estimator holds out."""
        return round(1 / self._estimator.validation_fraction)

    @property
    def rows(self) -> int:
        """Rows stepped so far."""
        return self._rows

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
        return self._rows / max(self.seconds, 1e-9)

    def __call__(self, progress: Progress) -> bool:
        """Note a slice of training; whether to stop."""
        halted = False
        self._rows, self.seconds = progress.rows, progress.seconds - self._aside
        if progress.epoch_ended:
            rows, seconds = self._last
            rows, seconds = progress.rows - rows, self.seconds - seconds
            self._last = progress.rows, self.seconds
            value = self._validate() if self.validates else None
            halted = self._stalled(value)
            self.epochs.append(Epoch(progress.epoch, progress.loss, value, seconds, rows / max(seconds, 1e-9)))
        if self.line is not None:
            _, values = self.validation_curve
            seen = f"  validation {self.metric_name} {shown(values[-1])}" if values else ""
            self.line.update(describe(progress) + seen)
        return halted

    def _stalled(self, value: float | None) -> bool:
        """Whether the metric has not become better for `patience` epochs."""
        if self._patience is None or value is None:
            return False
        _, values = self.validation_curve
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

    def _validate(self) -> float:
        """Score the weights as they are after this epoch."""
        started = time.perf_counter()
        value = self.score_validation(self._metric)[self._metric]
        self._aside += time.perf_counter() - started
        return value
