"""What predictions look like beside the truth: ROC, precision and recall, calibration, confusion, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics

from hogwild.report.judged import Binary, Classes, Judged, Numbers
from hogwild.report.words import label

LIMIT = 100_000  # rows that are kept
POINTS = 200  # of a curve
MOST_CLASSES = 20  # of a confusion table
_BINS, _BIN_ROWS = 10, 10
_LARGEST_BINS, _RESIDUAL_BINS = 20, 30


class Sample:
    """Predictions of rows that come in batches, a random choice of them where there are many.

    Parameters
    ----------
    on : str
        Which rows these are: "validation rows".
    limit : int, default=100,000
    """

    def __init__(self, on: str, limit: int = LIMIT) -> None:
        self.on, self.rows = on, 0
        self._limit, self._rng = limit, np.random.default_rng(0)
        self._kept: list[np.ndarray] = []

    def add(self, true: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        true : ndarray
            Numbers of classes, or targets.
        predicted : ndarray
            Two classes: probability or margin of the second; more: the number of the class; regression: the value.
        weights : ndarray
        """
        self.rows += len(true)
        # the rows with the largest random keys are a random choice of all, however many come
        new = [np.asarray(column, np.float64) for column in (self._rng.random(len(true)), true, predicted, weights)]
        whole = [np.concatenate(pair) for pair in zip(self._kept, new, strict=True)] if self._kept else new
        if len(whole[0]) > self._limit:
            chosen = np.argpartition(whole[0], len(whole[0]) - self._limit)[-self._limit :]
            whole = [column[chosen] for column in whole]
        self._kept = whole

    def judge(self, classes: Sequence[Any] | None, probabilities: bool) -> Judged | None:
        """Return what there is to show; None where there is nothing.

        Parameters
        ----------
        classes : sequence or None
            None: regression.
        probabilities : bool
            Whether predictions for two classes are probabilities.
        """
        if not self._kept:
            return None
        _, true, predicted, weights = self._kept
        usable = np.isfinite(true) & np.isfinite(predicted) & (weights > 0)
        labels = [label(str(each)) for each in classes] if classes is not None else []
        true, predicted, weights = true[usable], predicted[usable], weights[usable]
        if not len(true):
            return None
        found = Judged(self.on, len(true), self.rows)
        if classes is None:
            found.numbers = judge_numbers(true, predicted, weights)
        elif len(classes) == 2:
            if 0 < true.sum() < len(true):
                found.binary = judge_binary(true, predicted, weights, labels[1], probabilities)
        else:
            found.classes = judge_classes(true.astype(int), predicted.astype(int), weights, labels)
        return found


def judge_binary(
    true: np.ndarray, predicted: np.ndarray, weights: np.ndarray, positive: str, probabilities: bool
) -> Binary:
    """Return the curves of a problem with two classes."""
    false_rate, true_rate, _ = metrics.roc_curve(true, predicted, sample_weight=weights)
    precision, recall, _ = metrics.precision_recall_curve(true, predicted, sample_weight=weights)
    area = metrics.auc(false_rate, true_rate)
    average = metrics.average_precision_score(true, predicted, sample_weight=weights)
    along = np.abs(np.diff(false_rate)) + np.abs(np.diff(true_rate))
    return Binary(
        positive=positive,
        share=float(weights @ true / weights.sum()),
        roc=_thinned(false_rate, true_rate, along),
        roc_area=float(area),
        precision_recall=_thinned(recall[::-1], precision[::-1], np.abs(np.diff(recall[::-1]))),
        average_precision=float(average),
        calibration=_calibration(true, predicted, weights) if probabilities else [],
    )


def _thinned(x: np.ndarray, y: np.ndarray, steps: np.ndarray) -> list[tuple[float, float]]:
    """At most `POINTS` points of a curve, at even distances of the sums of `steps`, with both ends."""
    places = np.arange(len(x))
    if len(x) > POINTS:
        way = np.concatenate([[0.0], np.cumsum(steps)])
        places = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS - 2)))
        places = np.unique(np.concatenate([[0], np.minimum(places, len(x) - 1), [len(x) - 1]]))
    return [(float(a), float(b)) for a, b in zip(x[places], y[places], strict=True)]


def _groups(predicted: np.ndarray, n_bins: int) -> list[np.ndarray]:
    """Rows by their predictions, as many in each group; equal predictions are never torn apart."""
    order = np.argsort(predicted, kind="stable")
    n_bins = max(1, min(n_bins, len(order) // _BIN_ROWS))
    places = np.linspace(0, len(order), n_bins + 1).astype(int)[1:-1]
    starts = np.unique(np.searchsorted(predicted[order], predicted[order[places]]))
    return [group for group in np.split(order, starts) if len(group)]


def _calibration(true: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> list[tuple[float, float, int]]:
    return [
        (
            float(np.average(predicted[group], weights=weights[group])),
            float(np.average(true[group], weights=weights[group])),
            len(group),
        )
        for group in _groups(predicted, _BINS)
    ]


def judge_classes(true: np.ndarray, predicted: np.ndarray, weights: np.ndarray, labels: list[str]) -> Classes:
    """Return what was taken for what."""
    numbers = np.arange(len(labels))
    present = np.unique(np.concatenate([true, predicted]))
    inner = metrics.confusion_matrix(true, predicted, labels=present, sample_weight=weights)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        true, predicted, labels=numbers, sample_weight=weights, zero_division=0
    )
    each = [
        (labels[k], float(support[k]), float(precision[k]), float(recall[k]), float(f1[k])) for k in numbers.tolist()
    ]
    wrong = inner.astype(float)
    np.fill_diagonal(wrong, 0)
    pairs = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CLASSES]
    mistaken = [
        (labels[present[row]], labels[present[column]], float(wrong[row, column]))
        for row, column in zip(*np.unravel_index(pairs, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    whole: list[list[float]] = []
    if len(labels) <= MOST_CLASSES:
        whole = metrics.confusion_matrix(true, predicted, labels=numbers, sample_weight=weights).astype(float).tolist()
    else:
        each = sorted((row for row in each if row[1]), key=lambda row: row[4])[:MOST_CLASSES]
    return Classes(len(labels), each, whole, mistaken)


def judge_numbers(true: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> Numbers:
    """Return predicted against true values, and how the errors are spread."""
    binned = []
    for group in _groups(predicted, _LARGEST_BINS):
        mean = float(np.average(true[group], weights=weights[group]))
        deviation = float(np.sqrt(np.average((true[group] - mean) ** 2, weights=weights[group])))
        binned.append((float(np.average(predicted[group], weights=weights[group])), mean, deviation, len(group)))
    errors = predicted - true
    low, high = np.percentile(errors, [0.5, 99.5])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(errors, low, high), _RESIDUAL_BINS, (low, high), weights=weights)
    shares = counts / counts.sum()
    middles = (edges[1:] + edges[:-1]) / 2
    residuals = [(float(a), float(b)) for a, b in zip(middles, shares, strict=True)]
    return Numbers(binned, residuals)
