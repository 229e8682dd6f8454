"""What has to be known of all rows before the first can be written to a `.hog` file."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hogwild.data.batch import Batch
from hogwild.data.hog_labels import Labels, LabelTable
from hogwild.data.hog_layout import Form
from hogwild.data.hog_numbering import FeatureCounts

_STEP = 1 << 18  # values checked at a time
_LARGEST_HALF = 65_520  # the first that float16 rounds to infinity
_DTYPES = {"indptr": np.uint64, "indices": np.uint32, "values": np.float32, "weights": np.float32, "fields": np.uint32}


def checked(batch: Batch) -> Batch:
    """Return the batch as kernels take it: lengths and types checked, arrays contiguous and read-only."""
    n, entries = batch.n_rows, len(batch.indices)
    lengths = {"indptr": (n + 1,), "labels": (n,), "weights": (0, n), "fields": (0, entries)}
    arrays = []
    for name, array in zip(Batch._fields, batch, strict=True):
        dtype = _DTYPES.get(name, array.dtype)
        if array.ndim != 1 or len(array) not in lengths.get(name, (entries,)) or array.dtype != dtype:
            raise ValueError(f"{name}: {array.dtype} of shape {array.shape} in a batch of {n} rows, {entries} entries")
        view = np.ascontiguousarray(array).view()
        view.flags.writeable = False  # or kernels would be compiled twice
        arrays.append(view)
    indptr = arrays[0]
    if n < 0 or indptr[0] != 0 or indptr[-1] != entries or (n and np.diff(indptr).max() >= 2**32):
        raise ValueError("indptr of a batch starts at 0, ascends by less than 2**32, and ends at its number of entries")
    return Batch(*arrays)


class Survey:
    """Labels, features and values of all rows."""

    def __init__(self, n_features: int | None, values: str, renumber: bool) -> None:
        self._given, self.n_features = n_features, n_features or 0
        self._values = values
        self._ones = self._exact = values == "auto"
        self._weighted = False
        self._counts = FeatureCounts() if renumber else None
        self._labels = Labels()

    def look(self, batch: Batch) -> np.ndarray:
        """Take in some rows; return the words of their labels."""
        if self._given is None:
            self.n_features = max(self.n_features, batch.n_features)
        elif batch.n_features > self._given:
            raise ValueError(f"index {batch.n_features - 1} is beyond n_features = {self._given}")
        if self._counts is not None:
            self._counts.add(batch.indices)
        if self._ones or self._exact or self._values == "float16":
            for start in range(0, len(batch.values), _STEP):
                self._look_at_values(batch.values[start : start + _STEP])
        self._weighted = self._weighted or bool((batch.weights != 1).any())
        return self._labels.words(batch.labels)

    def _look_at_values(self, values: np.ndarray) -> None:
        self._ones = self._ones and bool((values == 1).all())
        if self._exact:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            self._exact = bool((half.astype(np.float32).view(np.uint32) == values.view(np.uint32)).all())
        if self._values == "float16":
            beyond = np.abs(values) >= _LARGEST_HALF
            if beyond.any():
                raise ValueError(f"the value {values[beyond][0]!s} is beyond float16")

    @cached_property
    def table(self) -> LabelTable:
        """How words become labels, once all rows are known."""
        return self._labels.table()

    def form(self, fields: bool) -> Form:
        """Which arrays blocks need."""
        values = "ones" if self._ones else "float16" if self._exact else self._values
        values = "float32" if values == "auto" else values
        return Form(values, self.table.distinct is not None, self._weighted, fields)

    def number(self) -> np.ndarray | None:
        """Return the original numbers of the new features; from now on `pages` hold the new numbers."""
        return None if self._counts is None else self._counts.number()

    @property
    def directory(self) -> np.ndarray:
        """Where each page starts (`hog_numbering.place_of`); empty if features keep their numbers."""
        return np.empty(0, np.uint64) if self._counts is None else self._counts.directory

    @property
    def pages(self) -> np.ndarray:
        """Counts, then new numbers of features."""
        return np.empty(0, np.uint32) if self._counts is None else self._counts.pages
