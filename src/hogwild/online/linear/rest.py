"""Linear models at rest: sparse, by sorted names."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.state import packed_texts, unpacked_texts


class Sparse(NamedTuple):
    """Entries by features (rows, in CSR form) and labels (columns).

    Attributes
    ----------
    names, labels : list of str
        Sorted.
    lives, known, learnt : ndarray by label
    indptr, columns : int64
    weights : float64 by entry
    covariance : float64 by entry, or None
    times : uint64 by feature, or None
        What the least recent is found by.
    slots : int64 by feature, or None
        Where they came from.
    """

    names: list[str]
    labels: list[str]
    lives: np.ndarray
    known: np.ndarray
    learnt: np.ndarray
    indptr: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    covariance: np.ndarray | None
    times: np.ndarray | None = None
    slots: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        arrays: Any,
        vocabulary: Vocabulary,
        labels: list[str],
        columns: np.ndarray,
        known: np.ndarray,
        learnt: np.ndarray,
        lives: np.ndarray,
    ) -> Sparse:
        """Gather what is not as it starts from an object with ``weights``, ``variances`` and ``confident``."""
        place = np.flatnonzero(known)
        weights = arrays.weights[: len(vocabulary.names), columns[place]]
        filled = weights != 0
        if arrays.confident:
            variances = arrays.variances[: len(vocabulary.names), columns[place]]
            filled |= variances != 1
        names = vocabulary.names
        slots = np.array(sorted(np.flatnonzero(filled.any(axis=1)).tolist(), key=lambda slot: names[slot]), np.int64)
        filled = filled[slots]
        indptr = np.zeros(len(slots) + 1, np.int64)
        np.cumsum(filled.sum(axis=1), out=indptr[1:])
        return cls(
            [names[slot] for slot in slots.tolist()],
            labels,
            lives.astype(np.int64),
            known.astype(np.uint8),
            np.where(known, learnt[columns], 0).astype(np.int64),
            indptr,
            place[np.nonzero(filled)[1]],
            weights[slots][filled],
            variances[slots][filled] if arrays.confident else None,
            slots=slots,
        )

    def packed(self, times: np.ndarray | None) -> dict[str, np.ndarray]:
        """Return arrays that travel and are saved; `times` is by slot."""
        letters, offsets = packed_texts(self.names)
        label_letters, label_offsets = packed_texts(self.labels)
        packed = {
            "letters": letters,
            "offsets": offsets,
            "label_letters": label_letters,
            "label_offsets": label_offsets,
            "lives": self.lives,
            "known": self.known,
            "learnt": self.learnt,
            "indptr": self.indptr,
            "columns": self.columns.astype(np.uint32),
            "weights": self.weights,
        }
        if self.covariance is not None:
            packed["covariance"] = self.covariance
        if times is not None:
            packed["updated"] = times[self.slots].astype(np.uint64)
        return packed

    @classmethod
    def unpacked(cls, packed: dict[str, np.ndarray], *, confident: bool, single: bool) -> Sparse:
        """Return what came.

        Raises
        ------
        ValueError
            Something is missing, or does not fit.
        """
        try:
            names = unpacked_texts(packed["letters"], packed["offsets"])
            labels = unpacked_texts(packed["label_letters"], packed["label_offsets"])
            lives, known, learnt = (np.asarray(packed[name]) for name in ("lives", "known", "learnt"))
            indptr, columns = packed["indptr"].astype(np.int64), packed["columns"].astype(np.int64)
            weights = np.asarray(packed["weights"], np.float64)
            covariance = np.asarray(packed["covariance"], np.float64) if confident else None
            times = packed["updated"].astype(np.uint64) if "updated" in packed else None
        except KeyError as error:
            raise ValueError(f"a linear model needs {error}") from None
        fits = (
            len(lives) == len(known) == len(learnt) == len(labels) == len(set(labels))
            and len(set(names)) == len(names) == len(indptr) - 1
            and indptr[0] == 0
            and (np.diff(indptr) >= 0).all()
            and indptr[-1] == len(columns) == len(weights)
            and (not len(columns) or 0 <= columns.min() <= columns.max() < len(labels))
            and (covariance is None or len(covariance) == len(weights))
            and (times is None or len(times) == len(names))
        )
        if not fits:
            raise ValueError("the arrays of a linear model do not fit each other")
        if single and labels != [""]:
            raise ValueError(f"a regression has no labels, found {len(labels)}")
        return cls(names, labels, lives, known, learnt, indptr, columns, weights, covariance, times)

    def fill(self, arrays: Any, slots: np.ndarray, columns: np.ndarray) -> None:
        """Write the entries into arrays that are as they start."""
        rows = np.repeat(slots, np.diff(self.indptr))
        arrays.weights[rows, columns[self.columns]] = self.weights
        if self.covariance is not None:
            arrays.variances[rows, columns[self.columns]] = self.covariance
