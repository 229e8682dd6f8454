"""Sources of files: cache files, whose blocks are mapped, and others, which are parsed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from hogwild.cluster.protocol import Chunk
from hogwild.cluster.workloads.sources import NO_ROWS, Loaded, Source, cut_chunks, rows_of_chunks, weighted
from hogwild.cluster.workloads.survey import SAMPLE_ROWS, Survey, merge_surveys, survey_batch, survey_labels
from hogwild.data import open as open_rows
from hogwild.data.batch import Batch, concatenate
from hogwild.data.hog import HogFile
from hogwild.data.locations import expand
from hogwild.data.sources import TextRows

# ------------------------------------------------------------------------------------------------ cache files


class HogSource:
    """Cache files: ranges of rows in blocks.

    Parameters
    ----------
    paths : sequence of path
        Shards that belong together.
    """

    def __init__(self, paths: Sequence[Any]) -> None:
        self.paths = [os.path.abspath(os.fspath(path)) for path in paths]

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths}

    @cached_property
    def _file(self) -> HogFile:
        return HogFile(self.paths)

    @property
    def numbering(self) -> np.ndarray | None:
        """Original feature of each column."""
        return self._file.numbering

    @property
    def labels(self) -> np.ndarray | None:
        """What codes stand for."""
        return self._file.labels

    @property
    def mixed(self) -> bool:
        """Whether the writer has shuffled the rows."""
        return self._file.shuffled and self._file.n_blocks >= 16

    def pieces(self) -> list[Any]:
        """Its files."""
        return self.paths

    def survey(self, piece: str) -> Survey:
        """Look at the description of a file, and at its first rows."""
        with HogFile(piece) as file:
            found = Survey(piece, has_weights=file.has_weights, has_fields=file.has_fields)
            found.n_features = file.n_features
            found.label_kind = "text" if file.label_kind == "text" else "number"
            found.labels, found.label_counts = file.labels, file.label_counts
            found.rows = file.block_rows.tolist()
            looks = range(file.n_blocks if file.has_weights or file.has_fields or file.labels is None else 1)
            for k in looks:
                block = file.block(k)
                if len(block.weights):
                    found.rows[k] = int(np.count_nonzero(block.weights))
                if len(block.fields):
                    found.n_fields = max(found.n_fields, int(block.fields.max()) + 1)
                if file.labels is None:
                    survey_labels(found, block.numbers, block.weights)
                    found.labels, found.label_counts = None, np.empty(0, np.int64)
                file.release(k)
            if file.labels is not None and found.label_kind == "number":
                found.label_sum = float(file.labels.astype(np.float64) @ file.label_counts)
                found.label_weight = float(file.label_counts.sum())
            block = file.block(0)
            n = min(SAMPLE_ROWS, len(block.indptr) - 1)
            indices = block.indices[: int(block.indptr[n])]
            found.sample = indices.copy() if file.numbering is None else file.numbering[indices]
            found.sample_rows = n
        return found

    def chunks(self, survey: Survey, n_workers: int, rows: int | None = None) -> tuple[Chunk, ...]:
        """Cut blocks."""
        return cut_chunks(survey.rows, rows_of_chunks(survey.n_rows, n_workers, rows))

    def load(self, where: tuple[int, int, int]) -> Loaded:
        """View rows of a block."""
        k, start, stop = where
        self._file.read_ahead(k)
        block = self._file.block(k)
        labels = block.numbers if block.codes is None else block.codes
        if len(block.weights) and not block.weights.all():
            rows = weighted(block.weights, start, stop)
            low, high = int(rows[0]), int(rows[-1]) + 1
            kept = rows - rows[0] if high - low > len(rows) else NO_ROWS
        else:
            low, high, kept = start, stop, NO_ROWS
        weights = block.weights[low:high] if len(block.weights) else block.weights
        # positions in `indptr` stay those of the block, so that nothing is copied
        batch = Batch(
            block.indptr[low : high + 1], block.indices, block.values, labels[low:high], weights, block.fields
        )
        return Loaded(batch, kept)


# ------------------------------------------------------------------------------------------------ other files


class FileSource:
    """Files that have to be parsed: ranges of their rows; a file that is leased from is parsed whole, once.

    Parameters
    ----------
    paths : sequence of path
        As `hogwild.data.open` takes them.
    format : str
    **options
        Of the format.
    """

    numbering = labels = None
    mixed = False

    def __init__(self, paths: Sequence[Any], format: str = "auto", **options: Any) -> None:
        self.paths = [path if "://" in path else os.path.abspath(path) for path in expand(paths)]
        rows = open_rows(*self.paths, format=format, **options)
        # what the first file's rows decide holds for all files
        self._format = rows.format if isinstance(rows, TextRows) else None
        self._options = {"format": format, **options}
        self._n_features = rows.n_features
        self._parsed: dict[int, Batch] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parsed": {}}

    def _rows(self, path: str) -> Any:
        return open_rows(path, **self._options) if self._format is None else TextRows([path], self._format)

    def pieces(self) -> list[Any]:
        """Its files."""
        return self.paths

    def survey(self, piece: str) -> Survey:
        """Read a file."""
        found, n = Survey(piece), 0
        for batch in self._rows(piece):
            survey_batch(found, batch, SAMPLE_ROWS - found.sample_rows)
            n += int(np.count_nonzero(batch.weights)) if len(batch.weights) else batch.n_rows
        found.rows = [n]
        found.n_features = max(found.n_features, self._n_features or 0)
        return found

    def chunks(self, survey: Survey, n_workers: int, rows: int | None = None) -> tuple[Chunk, ...]:
        """Cut files."""
        return cut_chunks(survey.rows, rows_of_chunks(survey.n_rows, n_workers, rows))

    def load(self, where: tuple[int, int, int]) -> Loaded:
        """View rows of a file."""
        number, start, stop = where
        whole = self._parsed.get(number)
        if whole is None:
            whole = concatenate(self._rows(self.paths[number]))
            self._parsed = {number: whole}  # one at a time: chunks of a file are leased one after the other
        rows = weighted(whole.weights, start, stop)
        low, high = int(rows[0]), int(rows[-1]) + 1
        kept = rows - rows[0] if high - low > len(rows) else NO_ROWS
        return Loaded(whole.rows(low, high), kept)


def survey_all(source: Source) -> Survey:
    """Survey all pieces here, one after the other."""
    return merge_surveys(source.survey(piece) for piece in source.pieces())


def open_source(*paths: Any, format: str = "auto", **options: Any) -> Source:
    """Return the source that files are: cache files by name or format, others by parsing."""
    found = [os.fspath(path) for path in expand(paths)] if format != "hog" else list(map(os.fspath, paths))
    if format == "hog" or (format == "auto" and all(path.endswith(".hog") for path in found)):
        return HogSource(HogFile(found).paths)
    return FileSource(found, format, **options)
