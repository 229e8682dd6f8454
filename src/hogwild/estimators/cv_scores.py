"""Scores of held-out rows for all columns at once: one pass over the rows, sums that batches add to."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from hogwild.compiled import kernel
from hogwild.engine.columns import Part
from hogwild.engine.pool import thread_pool
from hogwild.estimators.cv_columns import ALL_ROWS, Columns, Group
from hogwild.estimators.cv_folds import FoldedSource
from hogwild.steps.rows import Rows, feature, span, value
from hogwild.vectors.columns import add_scaled

CLASSIFICATION = ("accuracy", "neg_log_loss")
REGRESSION = ("r2", "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_mean_absolute_error")
AT_ONCE = 1 << 15  # rows whose scores are in memory together


@kernel
def _decide(rows, chosen, coef, intercept, first, n, scores):
    """Write the scores of the rows `chosen` in the flat columns ``first .. first + n``."""
    width = np.uint64(intercept.size)
    for r in range(np.uint64(chosen.size)):
        i = chosen[r]
        for c in range(n):
            scores[r, c] = intercept[first + c]
        start, stop = span(rows, i)
        for j in range(start, stop):
            place = np.uint64(feature(rows, j)) * width + first
            add_scaled(scores, r * n, coef, place, n, value(rows, i, j))


class _Sums:
    """Sums of one fold's groups in one part."""

    def __init__(self, scoring: str, loss: str, n_groups: int) -> None:
        self._scoring, self._loss = scoring, loss
        self._weight, self._found = 0.0, np.zeros(n_groups)
        self._origin, self._first, self._second = None, 0.0, 0.0

    def add(self, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """Add rows: `scores` of shape (n_rows, n_groups, n_classes)."""
        self._weight += float(weights.sum())
        if self._scoring == "accuracy":
            right = (scores[:, :, 0] > 0) == (targets > 0)[:, None]
            if scores.shape[2] > 1:
                right = scores.argmax(axis=2) == targets[:, None]
            self._found += weights @ right
        elif self._scoring == "neg_log_loss":
            proba = probabilities(scores.astype(np.float64), self._loss)
            codes = (targets > 0 if scores.shape[2] == 1 else targets).astype(int)
            chosen = proba[np.arange(len(codes)), :, codes]
            self._found += weights @ np.log(np.clip(chosen, np.finfo(scores.dtype).eps, 1.0))
        else:
            y = targets.astype(np.float64)
            found = np.exp(scores[:, :, 0]) if self._loss == "poisson" else scores[:, :, 0]
            errors = found - y[:, None]
            self._found += weights @ (np.abs(errors) if self._scoring == "neg_mean_absolute_error" else errors**2)
            self._origin = float(y[0]) if self._origin is None else self._origin
            self._first += float(weights @ (y - self._origin))
            self._second += float(weights @ (y - self._origin) ** 2)

    def result(self) -> np.ndarray:
        """Return the score of each group."""
        mean = self._found / max(self._weight, 1e-300)
        if self._scoring in CLASSIFICATION:
            return mean
        if self._scoring == "r2":
            spread = self._second - self._first**2 / max(self._weight, 1e-300)
            return 1.0 - self._found / max(spread, 1e-300)
        return -np.sqrt(mean) if self._scoring == "neg_root_mean_squared_error" else -mean


def probabilities(scores: np.ndarray, loss: str) -> np.ndarray:
    """Probabilities of all classes from one-vs-rest scores, as `SGDClassifier.predict_proba` makes them."""
    share = expit(scores) if loss == "log_loss" else (np.clip(scores, -1, 1) + 1) / 2
    if share.shape[-1] == 1:
        return np.concatenate([1 - share, share], axis=-1)
    total = share.sum(axis=-1, keepdims=True)
    return np.divide(share, total, out=np.full_like(share, 1 / share.shape[-1]), where=total > 0)


def _ranges(columns: Columns, part: Part) -> dict[int, tuple[int, int]]:
    """First group and number of groups of each fold in a part: they stand side by side."""
    folds = [columns.groups[g].fold for g in part.groups]
    return {fold: (folds.index(fold), folds.count(fold)) for fold in folds if fold != ALL_ROWS}


def held_out_scores(columns: Columns, source: FoldedSource, scoring: str, loss: str) -> dict[Group, float]:
    """Return the score of each group that leaves out a fold, on that fold's rows; row weights count."""
    n_classes = columns.problem.n_classes
    ranges = [_ranges(columns, part) for part in columns.parts]
    sums = [{fold: _Sums(scoring, loss, count) for fold, (_, count) in folds.items()} for folds in ranges]

    def add(k: int, rows: Rows, held) -> None:
        model = columns.parts[k].model
        for fold, (first, count) in ranges[k].items():
            chosen = held(fold)
            for low in range(0, len(chosen), AT_ONCE):
                some = chosen[low : low + AT_ONCE]
                scores = np.empty((len(some), count * n_classes), rows.values.dtype)
                at, n = np.uint64(first * n_classes), np.uint64(count * n_classes)
                _decide(rows, some, model.coef, model.intercept, at, n, scores)
                weights = rows.weights[some].astype(np.float64) if rows.weights.size else np.ones(len(some))
                with np.errstate(over="ignore", invalid="ignore"):
                    sums[k][fold].add(scores.reshape(len(some), count, n_classes), rows.targets[some], weights)

    for rows, held in source.held_out():
        thread_pool().run(add, [(k, rows, held) for k in range(len(columns.parts))])
    found = {}
    for part, folds, totals in zip(columns.parts, ranges, sums, strict=True):
        for fold, (first, count) in folds.items():
            result = totals[fold].result()
            for k in range(count):
                group = columns.groups[part.groups[first + k]]
                found[group] = np.nan if columns.diverged(group) else float(result[k])
    return found
