"""Labels of any kind as class numbers."""

from __future__ import annotations

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from hogwild.compiled import strict_kernel


@strict_kernel
def _mark(y, low, seen):
    for i in range(np.uint64(y.size)):
        seen[y[i] - low] = 1


@strict_kernel
def _number(y, low, numbers, codes):
    for i in range(np.uint64(y.size)):
        codes[i] = numbers[y[i] - low]


def encode(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes in ascending order and the class number of each row; whole numbers in a small range without sorting."""
    if y.dtype.kind in "iub" and len(y):
        whole = y.astype(np.int64, copy=False)
        low, high = int(whole.min()), int(whole.max())
        if high - low < max(1_000, len(y)):
            seen = np.zeros(high - low + 1, np.int32)
            _mark(whole, low, seen)
            codes = np.empty(len(y), np.int32)
            _number(whole, low, np.cumsum(seen, dtype=np.int32) - 1, codes)
            return (np.flatnonzero(seen) + low).astype(y.dtype), codes
    if y.dtype.kind not in "US":  # text is always a class
        check_classification_targets(y)
    return np.unique(y, return_inverse=True)


def check_classes(labels: np.ndarray) -> np.ndarray:
    """Return labels that can be classes.

    Raises
    ------
    ValueError
        If a row has none, or they are numbers with fractions.
    """
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError("found a row without a label, expected one in each row")
    if labels.dtype.kind not in "US":
        check_classification_targets(labels)
    return labels


def class_codes(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class number of each label.

    Raises
    ------
    ValueError
        If a label is none of the classes.
    """
    codes = np.searchsorted(classes, labels)
    unknown = np.flatnonzero(classes[np.minimum(codes, len(classes) - 1)] != labels)
    if len(unknown):
        raise ValueError(
            f"y[{unknown[0]}] is {labels[unknown[0]]!s}, which is not one of the classes of the first rows "
            f"({', '.join(map(str, classes[:10]))})"
        )
    return codes


def as_numbers(labels: np.ndarray) -> np.ndarray:
    """Labels as regression targets.

    Raises
    ------
    ValueError
        If they are words, or a row has none.
    """
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"found the label {labels[0]!s}, expected a number")
    if not np.isfinite(labels).all():
        raise ValueError(f"found no label in row {int(np.flatnonzero(~np.isfinite(labels))[0])} of a batch")
    return labels.astype(np.float32)
