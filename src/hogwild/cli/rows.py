"""Rows and models of the commands: sources as the user names them, read as the model was trained."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from hogwild import data
from hogwild.cli.terminal import CommandError, say_warning
from hogwild.data import registry
from hogwild.data.batch import Batch
from hogwild.data.locations import expand
from hogwild.data.other_rows import FolderRows
from hogwild.data.sources import TextRows
from hogwild.models import describe, extra_arrays, load

FORMAT_KEY = "reader"  # of what a model file says about its training data


@dataclass(frozen=True)
class Sources:
    """Rows as a command line names them.

    Attributes
    ----------
    names : tuple of str
        Files, folders, patterns, URLs, ``-``.
    format : str
    options : dict
        Options of the format that the user gave.
    n_jobs : int
    bad_lines : {"error", "skip"}
    """

    names: tuple[str, ...]
    format: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    n_jobs: int = -1
    bad_lines: str = "error"

    def __str__(self) -> str:
        """Name the sources, briefly."""
        shown = [Path(name).name if name != "-" else "standard input" for name in self.names[:3]]
        return ", ".join(shown) + (f" and {len(self.names) - 3} more" if len(self.names) > 3 else "")

    def open(self) -> Any:
        """Open the rows."""
        return data.open(*self.names, format=self.format, n_jobs=self.n_jobs, bad_lines=self.bad_lines, **self.options)


class Opened(NamedTuple):
    """A model and how it was trained.

    Attributes
    ----------
    path : Path
    estimator : SGDClassifier or SGDRegressor
    about : dict
        What `hogwild.models.describe` says.
    names : dict of int to str
        Names of features, where they were recovered.
    """

    path: Path
    estimator: Any
    about: dict[str, Any]
    names: dict[int, str] = {}  # noqa: RUF012  a NamedTuple's default; nobody changes it

    @property
    def classes(self) -> np.ndarray | None:
        """Labels that the model knows; None for regression."""
        return getattr(self.estimator, "classes_", None)

    @property
    def reader(self) -> dict[str, Any]:
        """Name and options of the format that the training rows had."""
        extra = self.about["extra"]
        if FORMAT_KEY in extra:
            return extra[FORMAT_KEY]
        return {"name": "svmlight", "options": {"zero_based": extra.get("zero_based", "auto")}}

    @property
    def first_index(self) -> int:
        """Number that the first feature has in files."""
        return 0 if self.reader["options"].get("zero_based", True) is True else 1


def open_model(path: Path) -> Opened:
    """Read a model file."""
    about = describe(path)
    return Opened(path, load(path), about)


def reader_of(rows: Any) -> dict[str, Any]:
    """Return what a model has to remember of how its rows were read."""
    if isinstance(rows, TextRows):
        return {"name": rows.format.name, "options": registry.to_json(rows.format)}
    return rows.description() if hasattr(rows, "description") else {"name": "hog", "options": {}}


def reader_arrays(rows: Any) -> dict[str, np.ndarray]:
    """Return what the format has learned from the rows (frequencies of words), which a model has to keep as well."""
    text_format = getattr(rows, "format", None)
    return text_format.arrays() if hasattr(text_format, "arrays") else {}


def packed(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return arrays as values that JSON can hold: a cache file keeps what its format has learned."""
    return {
        name: [array.dtype.str, base64.b64encode(zlib.compress(np.ascontiguousarray(array), 1)).decode()]
        for name, array in arrays.items()
    }


def unpacked(texts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that `packed` has made texts of."""
    return {
        name: np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype) for name, (dtype, text) in texts.items()
    }


def numbered(rows: Any, zero_based: bool | None = None) -> Any:
    """Return rows with features that count from 0, where a cache file has left open from where on they do.

    By default those that were written without a feature 0 are taken to count from 1.
    """
    if not getattr(rows, "about", {}).get("first_index_open"):
        return rows
    if zero_based is None:
        zero_based = not len(rows.numbering) or rows.numbering.min() == 0
    return rows if zero_based else rows.counted_from_one()


def open_like(sources: Sources, model: Opened, *, with_labels: bool = True) -> Any:
    """Open rows as those that the model was trained on, unless the user says otherwise."""
    if sources.format != "auto" or sources.options:
        return numbered(sources.open(), model.first_index == 0)
    return open_as(sources, model.reader, extra_arrays(model.path), model.classes, with_labels=with_labels)


def open_as(
    sources: Sources,
    reader: dict[str, Any],
    arrays: dict[str, np.ndarray],
    classes: np.ndarray | None,
    *,
    with_labels: bool = True,
) -> Any:
    """Open rows of a format that is known, with labels of the kind of `classes` (None: numbers)."""
    locations = expand(sources.names)
    found, name = registry.detect(locations), reader["name"]
    if found == "arrow" and name == "arrow":
        return replace(sources, options=reader["options"]).open()
    if found in registry.OTHER_FORMATS or name not in registry.TEXT_FORMATS:
        return numbered(sources.open(), reader["options"].get("zero_based", True) is True)
    text_format = registry.from_json(reader["name"], reader["options"])
    if hasattr(text_format, "labels"):
        kind = "number" if classes is None or classes.dtype.kind in "iufb" else "text"
        text_format = replace(text_format, labels=kind if with_labels else "text")
    if arrays and hasattr(text_format, "with_arrays"):
        text_format = text_format.with_arrays(arrays)
    if reader["name"] == "text" and len(sources.names) == 1 and Path(sources.names[0]).is_dir():
        return FolderRows(sources.names[0], text_format, sources.n_jobs)
    return TextRows(locations, text_format, n_jobs=sources.n_jobs, bad_lines=sources.bad_lines)


def batches_for(rows: Any, n_features: int, source: str) -> Iterator[tuple[sparse.csr_matrix, Batch]]:
    """Matrices of the model's width and their batches; a warning at the end counts what lies beyond it."""
    beyond, entries, all_entries = set(), 0, 0
    for batch in rows.batches() if hasattr(rows, "batches") else rows:
        all_entries += len(batch.indices)
        outside = batch.indices >= np.uint32(n_features) if n_features < 2**32 else np.zeros(0, bool)
        if outside.any():
            beyond |= set(np.unique(batch.indices[outside])[:100_000].tolist())
            entries += int(outside.sum())
            batch = without(batch, outside)
        yield batch.matrix(n_features), batch
    if entries:
        say_warning(
            f"{source}: {len(beyond):,} features ({entries:,} of {all_entries:,} entries) are beyond the "
            f"model's {n_features:,}: ignored, as they have no weight"
        )


def without(batch: Batch, left_out: np.ndarray) -> Batch:
    """Leave entries out of a batch."""
    counts = np.concatenate([[0], np.cumsum(~left_out)]).astype(np.uint64)
    kept = ~left_out
    fields = batch.fields[kept] if len(batch.fields) else batch.fields
    return batch._replace(
        indptr=counts[batch.indptr.astype(np.int64)],
        indices=batch.indices[kept],
        values=batch.values[kept],
        fields=fields,
    )


def check_labels(labels: np.ndarray, classes: np.ndarray | None, source: str) -> None:
    """Refuse labels of another kind than those of training."""
    numbers = classes is None or classes.dtype.kind in "iufb"
    if numbers and labels.dtype.kind == "U":
        raise CommandError(f"{source}: found the label {str(labels[0])!r}, expected numbers as in training")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise CommandError(
            f"{source}: found a row without a label, expected one in each row (--label names its column)"
        )


def say_bad_lines(rows: Any, source: str) -> None:
    """Report the lines that were left out."""
    reading = getattr(rows, "reading", None)
    if reading is None or not reading.bad_lines:
        return
    lines = "1 bad line was" if reading.bad_lines == 1 else f"{reading.bad_lines:,} bad lines were"
    say_warning(f"{source}: {lines} left out, the first: {reading.errors[0]}")
