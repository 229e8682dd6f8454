"""Predictions beside the truth, as a record keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Binary:
    """Curves of a problem with two classes.

    Attributes
    ----------
    positive : str
        The class that is looked for.
    share : float
        Of the rows that are of it.
    roc : list of (false positive rate, true positive rate)
    roc_area : float
    precision_recall : list of (recall, precision)
    average_precision : float
    calibration : list of (mean predicted probability, observed share, rows)
        Empty for models without probabilities.
    """

    positive: str
    share: float
    roc: list[tuple[float, float]]
    roc_area: float
    precision_recall: list[tuple[float, float]]
    average_precision: float
    calibration: list[tuple[float, float, int]] = field(default_factory=list)


@dataclass
class Classes:
    """What was taken for what, with three classes or more.

    Attributes
    ----------
    n_classes : int
    each : list of (label, rows, precision, recall, F1)
        All classes; with more than 20 those that the model finds worst.
    confusion : list of list of float
        Rows by true class (in the order of `each`) and predicted class; empty with more than 20 classes.
    mistaken : list of (true, predicted, rows)
        The most frequent mistakes.
    """

    n_classes: int
    each: list[tuple[str, float, float, float, float]]
    confusion: list[list[float]]
    mistaken: list[tuple[str, str, float]]


@dataclass
class Numbers:
    """Predicted against true values.

    Attributes
    ----------
    binned : list of (mean predicted, mean true, standard deviation of true, rows)
        Rows with like predictions together.
    residuals : list of (predicted - true, share of rows)
        The outermost hold all that lies beyond them.
    """

    binned: list[tuple[float, float, float, int]]
    residuals: list[tuple[float, float]]


@dataclass
class Judged:
    """Predictions beside the truth.

    Attributes
    ----------
    on : str
        Which rows: "validation rows".
    rows, all_rows : int
        Rows that were looked at, and those that there are.
    binary : Binary, optional
    classes : Classes, optional
    numbers : Numbers, optional
    """

    on: str
    rows: int
    all_rows: int
    binary: Binary | None = None
    classes: Classes | None = None
    numbers: Numbers | None = None
