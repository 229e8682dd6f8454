"""The features that speak most for and against, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hogwild.report.words import label, shortened

TOP = 10  # features of each class
MOST_CLASSES = 100  # that are listed
_LONGEST = 120  # characters of a name


class Heaviest(NamedTuple):
    """The heaviest weights of one class, or of one direction.

    Attributes
    ----------
    label : str
        What the features speak for.
    features : list of (str, float)
        Names and weights, heaviest first.
    """

    label: str
    features: list[tuple[str, float]]


class Weights(NamedTuple):
    """Weights of a linear model, a row for each class or direction.

    Attributes
    ----------
    labels : list of str
    rows : list of (ndarray of int, ndarray)
        Features and their weights, heaviest first.
    """

    labels: list[str]
    rows: list[tuple[np.ndarray, np.ndarray]]

    @property
    def features(self) -> np.ndarray:
        """All features that are among them."""
        found = [features for features, _ in self.rows]
        return np.unique(np.concatenate(found)).astype(np.int64) if found else np.zeros(0, np.int64)

    def named(self, names: Mapping[int, str], first_index: int = 0) -> list[Heaviest]:
        """Return them with names; features without one keep their number, counted from `first_index`."""
        return [
            Heaviest(
                label(name),
                [
                    (shortened(names.get(j, str(j + first_index)), _LONGEST), float(weight))
                    for j, weight in zip(features.tolist(), weights.tolist(), strict=True)
                ],
            )
            for name, (features, weights) in zip(self.labels, self.rows, strict=True)
        ]


def largest(row: np.ndarray, top: int) -> np.ndarray:
    """Return the places of the largest weights, in descending order."""
    top = min(top, len(row))
    if not top:
        return np.zeros(0, np.int64)
    found = np.argpartition(row, len(row) - top)[len(row) - top :]
    return found[np.argsort(-row[found], kind="stable")]


def heaviest(estimator: Any, top: int = TOP) -> Weights | None:
    """Return the heaviest weights of a fitted linear model, or of the linear part of a factorisation machine.

    Parameters
    ----------
    estimator : estimator
    top : int, default=10

    Returns
    -------
    Weights or None
        One row for each class, two for two classes and for regression (features that raise and that lower); None for
        models without a weight for each feature.
    """
    coef = getattr(estimator, "coef_", None)
    if coef is None:
        return None
    coef = np.atleast_2d(coef.toarray() if hasattr(coef, "toarray") else np.asarray(coef))
    labels = _labels(getattr(estimator, "classes_", None), len(coef))
    if labels is None:
        return None
    signed = [coef[0], -coef[0]] if len(coef) == 1 else list(coef[:MOST_CLASSES])
    rows = []
    for place, row in enumerate(signed):
        features = largest(row, top)
        features = features[row[features] > 0]
        rows.append((features, row[features] * (-1 if len(coef) == 1 and place else 1)))
    return Weights(labels[: len(rows)], rows)


def known_names(estimator: Any) -> dict[int, str]:
    """Return the names that a data frame's columns had."""
    return {j: str(name) for j, name in enumerate(getattr(estimator, "feature_names_in_", ()))}


def _labels(classes: Sequence[Any] | None, n_rows: int) -> list[str] | None:
    if classes is None:
        return ["raises", "lowers"] if n_rows == 1 else None
    if n_rows == 1 and len(classes) == 2:
        return [str(classes[1]), str(classes[0])]
    return list(map(str, classes)) if n_rows == len(classes) else None
