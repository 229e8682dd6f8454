"""Metrics of two classes that `hogwild ffm-train` prints beside libffm's log loss."""

from __future__ import annotations

import math

import numpy as np

from hogwild.cli.scores import RankCurve


def measure(names: tuple[str, ...], scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> list[float]:
    """Return metrics by name of scores (before the logistic function) of rows with targets -1 and 1.

    Rows count by their weights (empty: 1 each). NaN where a metric is not defined, as the area under the curve with one
    class.
    """
    scores, positive = scores.astype(np.float64), targets > 0
    weights = weights.astype(np.float64) if len(weights) else np.ones(len(scores))
    total = weights.sum()
    chosen = scores > 0
    hits, said, there = weights @ (chosen & positive), weights @ chosen, weights @ positive
    found = {
        "logloss": lambda: weights @ np.logaddexp(0, np.where(positive, -scores, scores)) / total,
        "auc": lambda: _area(scores, positive, weights),
        "accuracy": lambda: weights @ (chosen == positive) / total,
        "precision": lambda: hits / said if said else math.nan,
        "recall": lambda: hits / there if there else math.nan,
        "f1": lambda: 2 * hits / (said + there) if said + there else math.nan,
        "rmse": lambda: math.sqrt(weights @ (probabilities(scores) - positive) ** 2 / total),
    }
    return [float(found[name]()) for name in names]


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Logistic function, rounded after each operation to the precision of `scores`, as libffm's digits are."""
    with np.errstate(over="ignore"):  # exp overflows to infinity, whose inverse is the 0 that is meant
        powers = np.exp(-scores.astype(np.float64)).astype(scores.dtype)
    return scores.dtype.type(1) / (scores.dtype.type(1) + powers)


def _area(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    curve = RankCurve()
    curve.add(scores, positive, weights)
    area = curve.area()
    return math.nan if area is None else area
