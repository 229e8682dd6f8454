"""How well predictions agree with labels: scikit-learn's metrics, and the table that shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import metrics

from hogwild.cli.terminal import CommandError, say_warning

if TYPE_CHECKING:
    from hogwild.report.judging import Sample

NAMES = {
    "log_loss": "log loss",
    "auc": "AUC",
    "accuracy": "accuracy",
    "base_rate": "base rate (most frequent class)",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
}
CLASSIFICATION = ("log_loss", "auc", "accuracy")
REGRESSION = ("mae", "rmse", "r2")

Scores = dict[str, float | None]


def check_metric(metric: str | None, classifies: bool) -> str:
    """Return the metric to follow; an error where it belongs to the other task."""
    ours = CLASSIFICATION if classifies else REGRESSION
    if metric is None:
        return "log_loss" if classifies else "rmse"
    if metric not in ours:
        task = "classification" if classifies else "regression"
        raise CommandError(f"found --metric {metric} for {task}, expected one of {', '.join(ours)}")
    return metric


def score(
    estimator: Any,
    X: Any,
    y: np.ndarray,
    path: Path | str = "",
    only: str | None = None,
    weights: np.ndarray | None = None,
) -> Scores:
    """Return the metrics of a fitted estimator's task, or `only` one of them; None where one is not defined.

    Rows whose label the model does not know count as wrong in accuracy and are left out of log loss and AUC.
    """
    scorer = Scorer(estimator, path, only)
    scorer.add(X, y, weights)
    return scorer.result()


class Scorer:
    """Metrics of rows that come in batches.

    Parameters
    ----------
    estimator : SGDClassifier or SGDRegressor
    path : path-like
        Named in warnings.
    only : str, optional
        The one metric that is wanted.
    sample : Sample, optional
        Keeps predictions for the curves of a report; with all metrics only.
    """

    def __init__(
        self, estimator: Any, path: Path | str = "", only: str | None = None, sample: Sample | None = None
    ) -> None:
        classifies = hasattr(estimator, "classes_")
        names = (only,) if only else (*CLASSIFICATION, "base_rate") if classifies else REGRESSION
        self.rows = 0
        self._sums = (_Classified if classifies else _Regressed)(estimator, names, path, sample)

    def add(self, X: Any, y: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add rows; no weights are weights of 1."""
        if not len(y):
            return
        weights = np.ones(len(y)) if weights is None or not len(weights) else weights.astype(np.float64)
        self.rows += len(y)
        self._sums.add(X, y, weights)

    def result(self) -> Scores:
        """Return the metrics of all rows so far."""
        return {name: _rounded(value) for name, value in self._sums.result().items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


class _Classified:
    """Sums over rows with classes."""

    def __init__(self, estimator: Any, names: tuple[str, ...], path: Path | str, sample: Sample | None) -> None:
        self._estimator, self._names, self._path, self._sample = estimator, names, path, sample
        self._weight = self._right = self._loss = self._known = 0.0
        self._counts: dict[Any, float] = {}
        self._strange: dict[Any, int] = {}
        self._rows = 0
        self._curves = [RankCurve() for _ in range(max(1, len(estimator.classes_) if self._many else 1))]

    @property
    def _many(self) -> bool:
        return len(self._estimator.classes_) > 2

    def add(self, X: Any, y: np.ndarray, weights: np.ndarray) -> None:
        estimator, classes = self._estimator, self._estimator.classes_
        margins = np.asarray(estimator.decision_function(X), np.float64)
        codes = (margins > 0).astype(int) if margins.ndim == 1 else margins.argmax(axis=1)
        known = np.isin(y, classes)
        self._rows += len(y)
        self._weight += weights.sum()
        self._right += weights @ (classes[codes] == y)
        for label in y[~known].tolist():
            self._strange[label] = self._strange.get(label, 0) + 1
        if "base_rate" in self._names:
            labels, places = np.unique(y, return_inverse=True)
            for label, count in zip(labels.tolist(), np.bincount(places, weights).tolist(), strict=True):
                self._counts[label] = self._counts.get(label, 0.0) + count
        if not known.any() or not {"log_loss", "auc"} & set(self._names):
            return
        true, weights = np.searchsorted(classes, y[known]), weights[known]
        needed = "log_loss" in self._names or self._many
        proba = _probabilities(estimator, X[np.flatnonzero(known)]) if needed else None
        if "log_loss" in self._names and proba is not None:
            chosen = proba[np.arange(len(true)), true]
            self._loss -= weights @ np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0))
        self._known += weights.sum()
        if self._sample is not None:
            one = margins[known] if proba is None else proba[:, 1]
            self._sample.add(true, codes[known] if margins.ndim > 1 else one, weights)
        if "auc" in self._names:
            values = margins[known] if margins.ndim == 1 else proba
            for k, curve in enumerate(self._curves if values is not None else ()):
                curve.add(values if values.ndim == 1 else values[:, k], true == (k if self._many else 1), weights)

    def result(self) -> Scores:
        strange = sum(self._strange.values())
        if strange and len(self._names) > 1:
            say_warning(
                f"{self._path}: {strange:,} of {self._rows:,} rows have labels that the model does not know "
                f"({', '.join(map(str, sorted(self._strange, key=str)[:5]))}): counted as wrong, left out of log loss "
                "and AUC"
            )
        found: Scores = {}
        if "log_loss" in self._names:
            usable = hasattr(self._estimator, "predict_proba") and self._known > 0
            found["log_loss"] = self._loss / self._known if usable else None
        if "auc" in self._names:
            areas = [curve.area() for curve in self._curves]
            found["auc"] = None if None in areas else float(np.mean(areas))
        if "accuracy" in self._names:
            found["accuracy"] = self._right / self._weight if self._weight else None
        if "base_rate" in self._names:
            found["base_rate"] = max(self._counts.values()) / self._weight if self._weight else None
        return found


class _Regressed:
    """Sums over rows with numbers."""

    def __init__(self, estimator: Any, names: tuple[str, ...], path: Path | str, sample: Sample | None) -> None:
        self._estimator, self._names, self._sample = estimator, names, sample
        self._rows = 0
        self._weight = self._absolute = self._squared = 0.0
        self._mean = self._spread = 0.0  # of the targets, and their sum of squares around it

    def add(self, X: Any, y: np.ndarray, weights: np.ndarray) -> None:
        predicted = self._estimator.predict(X).astype(np.float64)
        errors = predicted - y
        if self._sample is not None:
            self._sample.add(y, predicted, weights)
        total = weights.sum()
        self._rows += len(y)
        if not total:
            return
        mean = weights @ y / total
        share = total / (self._weight + total)
        self._spread += weights @ (y - mean) ** 2 + (mean - self._mean) ** 2 * self._weight * share
        self._mean += (mean - self._mean) * share
        self._weight += total
        self._absolute += weights @ np.abs(errors)
        self._squared += weights @ errors**2

    def result(self) -> Scores:
        if not self._weight:
            return dict.fromkeys(self._names)
        found: Scores = {
            "mae": self._absolute / self._weight,
            "rmse": math.sqrt(self._squared / self._weight),
            "r2": 1.0 - self._squared / self._spread if self._rows > 1 and self._spread > 0 else None,
        }
        return {name: found[name] for name in self._names}


class RankCurve:
    """Area under the ROC curve: exact for the first rows, by bins of the scores (a relative 1/2,048 wide) beyond."""

    def __init__(self, exact_rows: int = 1 << 21) -> None:
        self._exact, self._rows = exact_rows, 0
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._bins: np.ndarray | None = None

    def add(self, scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> None:
        """Add rows."""
        self._kept.append((scores, positive, weights))
        self._rows += len(scores)
        if self._rows > self._exact:
            self._bins = np.zeros((2, 1 << 20)) if self._bins is None else self._bins
            for scores, positive, weights in self._kept:
                bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 is 0
                places = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)) >> 12
                for side, chosen in enumerate((~positive, positive)):
                    self._bins[side] += np.bincount(places[chosen], weights[chosen], 1 << 20)
            self._kept = []

    def area(self) -> float | None:
        """Return the area; None where there are rows of one kind only."""
        if self._bins is not None:
            negative, positive = self._bins
            below = np.cumsum(negative) - negative / 2
            pairs = negative.sum() * positive.sum()
            return float(positive @ below / pairs) if pairs else None
        if not self._kept:
            return None
        scores, positive, weights = map(np.concatenate, zip(*self._kept, strict=True))
        if not (weights[positive].any() and weights[~positive].any()):
            return None
        return float(metrics.roc_auc_score(positive, scores, sample_weight=weights))


def _probabilities(estimator: Any, X: Any) -> np.ndarray | None:
    """Return probabilities that add up to 1 in double precision; None for losses without."""
    if not hasattr(estimator, "predict_proba"):
        return None
    proba = estimator.predict_proba(X).astype(np.float64)
    return proba / proba.sum(axis=1, keepdims=True)


def summary(columns: Mapping[str, Scores]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of scores, one column for each data set."""
    names = list(next(iter(columns.values())))
    return ["", *columns], [[NAMES[name], *(shown(scores[name]) for scores in columns.values())] for name in names]


def shown(value: float | None) -> str:
    """Write a score with the digits that are worth reading."""
    if value is None:
        return "-"
    return f"{value:.5f}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.5g}"
