"""Files and models of the commands: feature numbers are those of the file, whether it counts from 0 or from 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import sparse

from hogwild.cli.terminal import CommandError, say_warning
from hogwild.data import DataError, load_svmlight
from hogwild.models import describe, load


class Opened(NamedTuple):
    """A model and how it was trained.

    Attributes
    ----------
    path : Path
    estimator : SGDClassifier or SGDRegressor
    about : dict
        What `hogwild.models.describe` says.
    """

    path: Path
    estimator: Any
    about: dict[str, Any]

    @property
    def classes(self) -> np.ndarray | None:
        """Labels that the model knows; None for regression."""
        return getattr(self.estimator, "classes_", None)

    @property
    def zero_based(self) -> bool | Literal["auto"]:
        """Whether feature 0 of the training file was the first."""
        return self.about["extra"].get("zero_based", "auto")


def open_model(path: Path) -> Opened:
    """Read a model file."""
    about = describe(path)
    return Opened(path, load(path), about)


def read_training_rows(
    path: Path, labels: Literal["auto", "number"], n_jobs: int
) -> tuple[sparse.csr_matrix, np.ndarray, bool]:
    """Read rows; the third result tells whether features count from 0 there (an index 0 occurs)."""
    X, y = load_svmlight(path, zero_based=True, labels=labels, n_jobs=n_jobs)
    zero_based = bool(X.nnz) and int(X.indices.min()) == 0
    if X.nnz and not zero_based:
        X.indices -= 1
        X = _resized(X, X.shape[1] - 1)
    if not X.nnz:
        raise DataError(path, found="rows without any feature", expected="'label index:value ...'")
    return X, y, zero_based


def read_rows(
    path: Path, model: Opened, *, n_jobs: int, with_labels: bool = True
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Read rows for a trained model: of its width, with labels of its kind."""
    return read_like(
        path, model.classes, model.estimator.n_features_in_, model.zero_based, n_jobs=n_jobs, with_labels=with_labels
    )


def read_like(
    path: Path,
    classes: np.ndarray | None,
    n_features: int,
    zero_based: bool | Literal["auto"],
    *,
    n_jobs: int,
    with_labels: bool = True,
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Read rows as wide as `n_features`; what lies beyond is left out, with a warning that counts it."""
    kind = "number" if classes is None else "text" if classes.dtype.kind in "UO" else "auto"
    try:
        X, y = load_svmlight(path, zero_based=zero_based, labels=kind if with_labels else "auto", n_jobs=n_jobs)
    except DataError:
        if with_labels:
            raise
        X, y = load_svmlight(path, zero_based=zero_based, labels="text", n_jobs=n_jobs)  # any word will do
    if with_labels and kind == "auto" and y.dtype.kind == "U":
        words = [word for word in y[:1000].tolist() if not _is_number(word)]
        raise CommandError(f"{path}: found the label {(words or y.tolist())[0]!r}, expected numbers as in training")
    return _fitting(path, X, n_features), y


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _fitting(path: Path, X: sparse.csr_matrix, n_features: int) -> sparse.csr_matrix:
    if X.shape[1] <= n_features:
        return _resized(X, n_features)
    beyond = X.indices[X.indices >= n_features]
    kept = X[:, :n_features]
    if len(beyond):
        say_warning(
            f"{path}: {len(np.unique(beyond)):,} features ({len(beyond):,} of {X.nnz:,} entries) are beyond the "
            f"model's {n_features:,}: ignored, as they have no weight"
        )
    return kept


def _resized(X: sparse.csr_matrix, n_features: int) -> sparse.csr_matrix:
    """Return the same entries under another width."""
    resized = sparse.csr_matrix((X.data, X.indices, X.indptr), shape=(X.shape[0], n_features), copy=False)
    resized.has_sorted_indices = resized.has_canonical_format = True
    return resized
