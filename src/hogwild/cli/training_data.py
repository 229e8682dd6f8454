"""The rows of `hogwild train`, wherever they fit: in memory, in a cache file on disk, or read anew for each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from hogwild.cli.caching import ARRAYS_KEY, build_cache, cache_path, leave_first_index_open, limit_blocks
from hogwild.cli.memory import shown_size
from hogwild.cli.rows import FORMAT_KEY, Sources, numbered, reader_arrays, reader_of, say_bad_lines, unpacked
from hogwild.cli.scores import Scores, score
from hogwild.cli.terminal import CommandError, live_line
from hogwild.data.batch import Batch, concatenate
from hogwild.estimators.threads import MIN_ROWS, resolve_n_jobs

_IN_MEMORY = 2.2  # times the size of all rows that collecting them takes


class InMemory:
    """Rows that were read into memory."""

    def __init__(self, sources: Sources, rows: Any, batch: Batch, first_index_open: bool) -> None:
        self.sources, self.rows, self.batch = sources, rows, batch
        if not batch.n_rows:
            raise CommandError(f"{sources}: found a file that holds no rows, expected some")
        if not len(batch.indices):
            raise CommandError(f"{sources}: found rows without any feature, expected some")
        if first_index_open and batch.indices.min() > 0:
            batch.indices[...] -= np.uint32(1)
            rows.format = replace(rows.format, zero_based=False)
        self.n_features = rows.n_features or batch.n_features
        self.X, self.y = batch.matrix(self.n_features), batch.labels
        self.weights = batch.weights if len(batch.weights) else None
        self.n_rows, self.n_entries = batch.n_rows, len(batch.indices)
        self.reader, self.arrays, self.has_fields = reader_of(rows), reader_arrays(rows), bool(len(batch.fields))

    @property
    def labels(self) -> np.ndarray:
        """All labels."""
        return self.y

    @property
    def place(self) -> str:
        """Where the rows are."""
        return "in memory"

    def head(self, n_rows: int) -> Batch:
        """Return some rows."""
        return self.batch.rows(0, min(n_rows, self.n_rows))

    def warm_up(self, estimator: Any) -> None:
        """Compile what the fit will need."""
        warm_up(estimator, self.head(_some(estimator)), self.labels)

    def fit(self, estimator: Any) -> None:
        """Fit the estimator."""
        estimator.fit(self.X, self.y, sample_weight=self.weights)

    def score(self, estimator: Any) -> Scores | None:
        """Score the training rows."""
        return score(estimator, self.X, self.y, str(self.sources), weights=self.weights)


class InCache:
    """Rows in a cache file."""

    def __init__(self, sources: Sources, rows: Any, cache: Any, path: Path | None = None) -> None:
        self.sources, self.rows, self.path = sources, rows, path
        if not cache.n_entries:
            raise CommandError(f"{sources}: found rows without any feature, expected some")
        self.reader = cache.about.get(FORMAT_KEY, {"name": "hog", "options": {}})
        self.arrays = unpacked(cache.about.get(ARRAYS_KEY, {}))
        self.cache = numbered(cache)
        if self.cache is not cache:
            self.reader = {**self.reader, "options": {**self.reader["options"], "zero_based": False}}
        self.n_features, self.n_rows, self.n_entries = self.cache.n_features, cache.n_rows, cache.n_entries
        self.has_fields = cache.has_fields

    @property
    def labels(self) -> np.ndarray:
        """Labels of all kinds that there are; numbers with fractions if there are too many."""
        return self.cache.labels if self.cache.labels is not None else np.array([0.5])

    @property
    def place(self) -> str:
        """Where the rows are."""
        return f"cache {self.path}" if self.path else "cache file"

    def head(self, n_rows: int) -> Batch:
        """Return some rows."""
        batch = next(iter(self.cache.batches()))
        return batch.rows(0, min(n_rows, batch.n_rows))

    def warm_up(self, estimator: Any) -> None:
        """Compile what the fit will need: for views of a file that are other kernels than for memory."""
        one_slice = {"callback": lambda progress: True, "checkpoint": None, "early_stopping": False, "max_iter": 1}
        clone(estimator).set_params(**one_slice).fit(self.cache)

    def fit(self, estimator: Any) -> None:
        """Fit the estimator."""
        estimator.fit(self.cache)

    def score(self, estimator: Any) -> Scores | None:
        """Leave the training rows unscored: that would be one more pass over the disk."""
        return None


class Streamed:
    """Rows that are read anew for each epoch."""

    def __init__(self, sources: Sources, rows: Any, n_epochs: int) -> None:
        self.sources, self.rows, self._n_epochs = sources, rows, n_epochs
        self.n_features, self.n_rows, self.n_entries = rows.n_features, None, None
        self._batches = iter(rows)
        self._first = next(self._batches, None)
        if self._first is None:
            raise CommandError(f"{sources}: found a file that holds no rows, expected some")
        self.reader, self.arrays = reader_of(rows), reader_arrays(rows)
        self.has_fields = bool(len(self._first.fields))

    @property
    def labels(self) -> np.ndarray:
        """Labels of the first batch."""
        return self._first.labels

    @property
    def place(self) -> str:
        """Where the rows are."""
        return "read as they come" if self._n_epochs == 1 else "read anew in each epoch"

    def head(self, n_rows: int) -> Batch:
        """Return some rows."""
        return self._first.rows(0, min(n_rows, self._first.n_rows))

    def warm_up(self, estimator: Any) -> None:
        """Compile what the fit will need."""
        warm_up(estimator, self.head(_some(estimator)), self.labels)

    def fit(self, estimator: Any) -> None:
        """Fit the estimator."""
        if self._n_epochs == 1:
            estimator.fit_stream(Chained([self._first], self._batches, self.rows))
        else:
            self._batches.close() if hasattr(self._batches, "close") else None
            estimator.fit(self.rows)

    def rewound(self) -> Any:
        """Return the rows, to be read from their start."""
        if hasattr(self._batches, "close"):
            self._batches.close()
        return self.rows

    def score(self, estimator: Any) -> Scores | None:
        """Leave the training rows unscored: each was, before its own step."""
        return None


class Chained:
    """Batches that were taken and those that follow them, with what else there is to ask of rows."""

    def __init__(self, taken: list[Batch], rest: Iterator[Batch], rows: Any) -> None:
        self._taken, self._rest, self.opened = taken, rest, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opened, name)

    def __iter__(self) -> Iterator[Batch]:
        while self._taken:
            yield self._taken.pop(0)
        yield from self._rest


def _some(estimator: Any) -> int:
    return MIN_ROWS * resolve_n_jobs(estimator.n_jobs)


def warm_up(estimator: Any, head: Batch, labels: np.ndarray) -> None:
    """Compile what a fit will need, so that its rates are those of the data; a moment where that has been done."""
    classes = {"classes": np.unique(labels)} if hasattr(estimator, "class_weight") else {}
    changed = dict.fromkeys({"class_weight", "checkpoint", "callback"} & estimator.get_params().keys())
    warm = clone(estimator).set_params(**changed, early_stopping=False)
    weights = head.weights if len(head.weights) else None
    warm.partial_fit(head.matrix(), head.labels, sample_weight=weights, **classes)


TrainingData = InMemory | InCache | Streamed


def read_training_data(
    sources: Sources, *, task: str, n_epochs: int, memory: int, cache: str, quiet: bool
) -> TrainingData:
    """Read, cache or begin to stream the rows."""
    rows = sources.open()
    if task == "regression" and hasattr(getattr(rows, "format", None), "labels"):
        rows.format = replace(rows.format, labels="number")
    if hasattr(rows, "block"):
        return InCache(sources, rows, rows)
    limit_blocks(rows, memory)
    needed = rows.estimated_bytes()
    if cache == "off" and (needed is None or needed * _IN_MEMORY > memory):
        return Streamed(sources, rows, n_epochs)
    is_open = leave_first_index_open(sources, rows)
    taken: list[Batch] = []
    whole = False
    if cache in ("auto", "off") and (needed is None or needed * _IN_MEMORY <= memory):
        with live_line(f"reading {sources}", quiet) as line:
            batches = _followed(rows, line)
            whole = _take(batches, taken, memory if needed is None else None)
    if whole:
        data: TrainingData = InMemory(sources, rows, concatenate(taken), is_open)
    else:
        path = cache_path(rows, sources, cache, is_open)
        source = Chained(taken, batches, rows) if taken else rows
        file = build_cache(source, sources, path, memory=memory, needed=needed, is_open=is_open, quiet=quiet)
        data = InCache(sources, rows, file, path)
    say_bad_lines(rows, str(sources))
    return data


def _take(batches: Iterator[Batch], taken: list[Batch], memory: int | None) -> bool:
    """Take batches until there is none, or they would exceed `memory`; whether these are all."""
    size = 0
    for batch in batches:
        taken.append(batch)
        size += batch.nbytes
        if memory is not None and size * _IN_MEMORY > memory:
            return False
    return True


def _followed(rows: Any, line: Any) -> Iterator[Batch]:
    """Batches, with the live line moving."""
    for batch in rows:
        if line is not None:
            line.update(f"reading  {rows.reading.rows:,} rows  {shown_size(rows.reading.text_bytes)}")
        yield batch
