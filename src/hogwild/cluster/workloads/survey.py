"""What has to be known of the rows before training: sizes, labels, which features occur often. Nodes survey pieces."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hogwild.data.batch import Batch
from hogwild.data.errors import DataError

MOST_LABELS = 1 << 16  # distinct labels that are listed
SAMPLE_ROWS = 512  # of each piece, for the frequencies of features
WIDEST = 1 << 32  # features


@dataclass
class Survey:
    """What one piece of the data, or all of them, is like.

    Attributes
    ----------
    name : str
        Of the piece, for messages.
    rows : list of int
        Rows that take part (those of weight 0 do not), of each unit that chunks are cut from.
    n_features, n_fields : int
        Largest number plus 1.
    label_kind : {"number", "text", None}
        None where there are no rows.
    labels, label_counts : ndarray or None
        Distinct labels, ascending, and the weightless rows of each; None: more than 65,536.
    missing : bool
        Whether some row has no label.
    label_sum, label_weight : float
        Sums of ``weight * label`` and of weights.
    sample : ndarray of uint32
        Features of some rows, as often as they occur there.
    sample_rows : int
    has_weights, has_fields : bool
    """

    name: str = ""
    rows: list[int] = field(default_factory=list)
    n_features: int = 0
    n_fields: int = 0
    label_kind: str | None = None
    labels: np.ndarray | None = None
    label_counts: np.ndarray | None = None
    missing: bool = False
    label_sum: float = 0.0
    label_weight: float = 0.0
    sample: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))
    sample_rows: int = 0
    has_weights: bool = False
    has_fields: bool = False

    @property
    def n_rows(self) -> int:
        """Rows that take part."""
        return sum(self.rows)

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Features of the sample, ascending, and in what share of its rows each occurs."""
        features, counts = np.unique(self.sample, return_counts=True)
        return features, counts / max(1, self.sample_rows)


def survey_labels(survey: Survey, labels: np.ndarray, weights: np.ndarray) -> None:
    """Take the labels of some rows into account."""
    if not len(labels):
        return
    kind = "text" if labels.dtype.kind in "USO" else "number"
    if survey.label_kind not in (None, kind):
        raise DataError(survey.name, found=f"labels that are {_KINDS[kind]}", expected=_KINDS[survey.label_kind])
    survey.label_kind = kind
    if kind == "number":
        numbers = labels.astype(np.float64)
        if np.isnan(numbers).any():
            survey.missing = True
        weighted = numbers if not len(weights) else numbers * weights
        survey.label_sum += float(np.nansum(weighted))
        survey.label_weight += float(len(labels) if not len(weights) else weights.sum(dtype=np.float64))
    found, counts = np.unique(labels, return_counts=True)
    if survey.labels is None and survey.label_counts is None:
        survey.labels, survey.label_counts = found, counts
    elif survey.labels is not None:
        survey.labels, survey.label_counts = add_counts([(survey.labels, survey.label_counts), (found, counts)])
    if survey.labels is not None and len(survey.labels) > MOST_LABELS:
        survey.labels, survey.label_counts = None, np.empty(0, np.int64)


def add_counts(tables: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Join tables of labels and their counts."""
    given = list(tables)
    labels, places = np.unique(np.concatenate([labels for labels, _ in given]), return_inverse=True)
    counts = np.zeros(len(labels), np.int64)
    np.add.at(counts, places, np.concatenate([counts for _, counts in given]))
    return labels, counts


_KINDS = {"text": "words", "number": "numbers"}


def survey_batch(survey: Survey, batch: Batch, sampled: int = SAMPLE_ROWS) -> None:
    """Take a batch into account; `sampled` of its rows at most join the sample."""
    survey.n_features = max(survey.n_features, batch.n_features)
    survey.has_weights |= bool(len(batch.weights))
    if len(batch.fields):
        survey.has_fields = True
        survey.n_fields = max(survey.n_fields, int(batch.fields.max()) + 1)
    survey_labels(survey, batch.labels, batch.weights)
    rows = min(batch.n_rows, max(0, sampled))
    if rows:
        survey.sample = np.concatenate([survey.sample, batch.indices[int(batch.indptr[0]) : int(batch.indptr[rows])]])
        survey.sample_rows += rows


def merge_surveys(surveys: Iterable[Survey]) -> Survey:
    """Put the surveys of all pieces together, in their order.

    Raises
    ------
    DataError
        Where the labels of pieces are of different kinds, named by piece.
    ValueError
        If there are no rows, or more than 2**32 features.
    """
    given = list(surveys)
    whole = Survey()
    for piece in given:
        whole.rows += piece.rows
        whole.n_features, whole.n_fields = max(whole.n_features, piece.n_features), max(whole.n_fields, piece.n_fields)
        whole.missing |= piece.missing
        whole.label_sum += piece.label_sum
        whole.label_weight += piece.label_weight
        whole.sample_rows += piece.sample_rows
        whole.has_weights |= piece.has_weights
        whole.has_fields |= piece.has_fields
        if piece.label_kind is not None and whole.label_kind not in (None, piece.label_kind):
            first = next(other.name for other in given if other.label_kind == whole.label_kind)
            raise DataError(
                piece.name,
                found=f"labels that are {_KINDS[piece.label_kind]}",
                expected=f"{_KINDS[whole.label_kind]}, as in {first}",
            )
        whole.label_kind = whole.label_kind or piece.label_kind
        if piece.n_features > WIDEST:
            raise DataError(piece.name, found=f"feature {piece.n_features - 1}", expected="less than 2**32")
    if not whole.n_rows:
        names = ", ".join(piece.name for piece in given[:5] if piece.name)
        raise ValueError(f"found no rows to train on{' in ' + names if names else ''}")
    whole.sample = np.concatenate([piece.sample for piece in given])
    filled = [piece for piece in given if piece.label_kind is not None]
    if all(piece.labels is not None for piece in filled) and filled:
        whole.labels, whole.label_counts = add_counts((piece.labels, piece.label_counts) for piece in filled)
    if whole.labels is None or len(whole.labels) > MOST_LABELS:
        whole.labels, whole.label_counts = None, np.empty(0, np.int64)
    whole.name = given[0].name if len(given) == 1 else f"{len(given)} pieces"
    return whole


def check_paths(paths: Iterable[Any]) -> list[str]:
    """Return what keeps this node from reading files: one line for each, empty where all is well.

    Examples
    --------
    >>> check_paths(["/no/such/folder/rows.hog"])
    ['/no/such/folder/rows.hog: No such file or directory']
    """
    troubles = []
    for path in map(os.fspath, paths):
        if "://" in path:  # a URL: fsspec says whether it can be opened, when it is
            continue
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:
            troubles.append(f"{path}: {error.strerror or error}")
    return troubles
