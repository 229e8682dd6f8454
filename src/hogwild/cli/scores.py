"""How well predictions agree with labels: scikit-learn's metrics, and the table that shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics

from hogwild.cli.terminal import CommandError, say_warning

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


def score(estimator: Any, X: Any, y: np.ndarray, path: Path | str = "", only: str | None = None) -> Scores:
    """Return the metrics of a fitted estimator's task, or `only` one of them; None where one is not defined.

    Rows whose label the model does not know count as wrong in accuracy and are left out of log loss and AUC.
    """
    found = _classification if hasattr(estimator, "classes_") else _regression
    return {name: _rounded(value) for name, value in found(estimator, X, y, path, only).items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _classification(estimator: Any, X: Any, y: np.ndarray, path: Path | str, only: str | None) -> Scores:
    classes, wanted = estimator.classes_, (only,) if only else (*CLASSIFICATION, "base_rate")
    margins = np.asarray(estimator.decision_function(X), np.float64)
    codes = (margins > 0).astype(int) if margins.ndim == 1 else margins.argmax(axis=1)
    known = np.isin(y, classes)
    if not known.all() and not only:
        strange = y[~known]
        say_warning(
            f"{path}: {len(strange):,} of {len(y):,} rows have labels that the model does not know "
            f"({', '.join(map(str, np.unique(strange)[:5]))}): counted as wrong, left out of log loss and AUC"
        )
    scores: Scores = {}
    if "log_loss" in wanted or (margins.ndim > 1 and "auc" in wanted):
        proba = _probabilities(estimator, X[known])
    if "log_loss" in wanted:
        usable = proba is not None and len(proba) > 0
        scores["log_loss"] = metrics.log_loss(y[known], proba, labels=classes) if usable else None
    if "auc" in wanted:
        values = margins[known] if margins.ndim == 1 else proba
        complete = values is not None and len(np.unique(y[known])) == len(classes)
        several = {} if margins.ndim == 1 else {"multi_class": "ovr", "labels": classes}
        scores["auc"] = metrics.roc_auc_score(y[known], values, **several) if complete else None
    if "accuracy" in wanted:
        scores["accuracy"] = metrics.accuracy_score(y, classes[codes])
    if "base_rate" in wanted:
        scores["base_rate"] = np.unique(y, return_counts=True)[1].max() / len(y)
    return scores


def _probabilities(estimator: Any, X: Any) -> np.ndarray | None:
    """Return probabilities that add up to 1 in double precision, as scikit-learn wants; None for other losses."""
    if not hasattr(estimator, "predict_proba"):
        return None
    proba = estimator.predict_proba(X).astype(np.float64)
    return proba / proba.sum(axis=1, keepdims=True)


def _regression(estimator: Any, X: Any, y: np.ndarray, path: Path | str, only: str | None) -> Scores:
    predicted = estimator.predict(X)
    scores: Scores = {
        "mae": metrics.mean_absolute_error(y, predicted),
        "rmse": metrics.root_mean_squared_error(y, predicted),
        "r2": metrics.r2_score(y, predicted) if len(y) > 1 else None,
    }
    return {only: scores[only]} if only else scores


def summary(columns: Mapping[str, Scores]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of scores, one column for each data set."""
    names = list(next(iter(columns.values())))
    return ["", *columns], [[NAMES[name], *(shown(scores[name]) for scores in columns.values())] for name in names]


def shown(value: float | None) -> str:
    """Write a score with the digits that are worth reading."""
    if value is None:
        return "-"
    return f"{value:.5f}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.5g}"
