"""Rows that are no lines of text: Parquet, Feather and Arrow IPC files, and folders of documents."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hogwild.data.batch import Batch
from hogwild.data.columns import Columns
from hogwild.data.files import read_bytes
from hogwild.data.lines import Reading, in_background
from hogwild.data.locations import STANDARD_INPUT, compression, fingerprint, is_url, open_bytes, stored_bytes
from hogwild.data.parts import n_threads
from hogwild.data.tables import from_matrix, table_batches


class BatchRows:
    """Rows that something gives in batches, as often as it is asked.

    Attributes
    ----------
    locations : list of str
    n_features : int or None
    reading : Reading
    """

    name = ""

    def __init__(self, locations: list[str], n_features: int | None, n_jobs: int | None) -> None:
        self.locations, self.n_features, self.n_threads = locations, n_features, n_threads(n_jobs)
        self.reading = Reading()
        self.repeatable = STANDARD_INPUT not in locations
        self._taken = False

    @property
    def stored_bytes(self) -> int | None:
        """Bytes of all files as they are stored; None where it is not known."""
        sizes = [stored_bytes(location) for location in self.locations]
        return None if None in sizes else sum(sizes)

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of the files and of the options."""
        state = [self.description(), *(fingerprint(location) for location in self.locations)]
        return hashlib.blake2b(json.dumps(state).encode(), digest_size=12).hexdigest()

    def estimated_bytes(self) -> int | None:
        """Bytes that all rows would take in memory, from those of the first batch; None where nobody can tell."""
        if self.stored_bytes is None:
            return None
        batches = self._batches(Reading())
        first = next(batches, None)
        batches.close()
        return 0 if first is None else int(first.nbytes * self._estimated_batches(first))

    def description(self) -> dict[str, Any]:
        """What a model has to remember of how its rows were read."""
        raise NotImplementedError

    def _estimated_batches(self, first: Batch) -> float:
        raise NotImplementedError

    def _batches(self, reading: Reading) -> Iterator[Batch]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        """Read all rows from the start."""
        if self._taken and not self.repeatable:
            raise ValueError("standard input can be read only once: give a file, or let a cache be written")
        self._taken = True
        self.reading = Reading()
        batches = self._counted(self._batches(self.reading))
        return in_background(batches, 2, self.reading) if self.n_threads > 1 else batches

    def _counted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.reading.rows += batch.n_rows
            yield batch


class ArrowRows(BatchRows):
    """Parquet, Feather and Arrow IPC files, local or behind URLs.

    Parameters
    ----------
    locations : list of str
    n_jobs : int, optional
    bad_lines : str
        There are no lines: what cannot be read is an error.
    **options
        Those of `Columns`. Without any, files in the sparse layout of `write_parquet` are recognised.
    """

    name = "arrow"

    def __init__(
        self, locations: list[str], *, n_jobs: int | None = None, bad_lines: str = "error", **options: Any
    ) -> None:
        from hogwild.data.arrow import sparse_features

        known = {field.name for field in dataclasses.fields(Columns)}
        unknown = sorted(options.keys() - known)
        if unknown:
            raise ValueError(f"format arrow has no option {unknown[0]!r}; it has {', '.join(sorted(known))}")
        self.columns = Columns(**options) if options else None
        first = locations[0]
        told = None
        if self.columns is None and not is_url(first) and first != STANDARD_INPUT and _starts(first, b"PAR1"):
            told = sparse_features(first)
        super().__init__(locations, self.columns.n_features if self.columns else told, n_jobs)

    def description(self) -> dict[str, Any]:
        """Return format and schema."""
        return {"name": "arrow", "options": dataclasses.asdict(self.columns) if self.columns else {}}

    def _estimated_batches(self, first: Batch) -> float:
        # rows compress differently: what the file takes on disk is the least that its rows can take in memory
        return max(1.0, 4.0 * (self.stored_bytes or 0) / max(1, first.nbytes))

    def _batches(self, reading: Reading) -> Iterator[Batch]:
        from hogwild.data.arrow import read_arrow

        for location in self.locations:
            if location == STANDARD_INPUT or is_url(location) or compression(location):
                with open_bytes(location) as stream:
                    yield from read_arrow(stream.binary_file(), self.columns)
            else:
                yield from read_arrow(location, self.columns)
            reading.stored_bytes += stored_bytes(location) or 0


class TableRows(BatchRows):
    """A table or matrix in memory.

    Parameters
    ----------
    table : DataFrame of pandas or Polars, Arrow table, or (X, y) or (X, y, weights)
        X an array or a SciPy sparse matrix.
    **options
        Those of `Columns`, for tables.
    """

    name = "arrow"

    def __init__(self, table: Any, *, n_jobs: int | None = None, **options: Any) -> None:
        if isinstance(table, tuple):
            if options:
                raise ValueError(
                    f"found options ({', '.join(options)}) for a matrix, whose columns are features already"
                )
            self._batch, self.columns = from_matrix(*table), None
            n_features = table[0].shape[1]
        else:
            self._batch, self.columns = None, Columns(**options)
            n_features = self.columns.n_features
        super().__init__([], n_features, n_jobs)
        self._table = table

    @property
    def stored_bytes(self) -> int | None:
        """Nothing is stored."""
        return None

    def description(self) -> dict[str, Any]:
        """Return format and schema."""
        return {"name": "arrow", "options": dataclasses.asdict(self.columns) if self.columns else {}}

    def _batches(self, reading: Reading) -> Iterator[Batch]:
        if self._batch is not None:
            yield self._batch
        else:
            yield from table_batches(self._table, self.columns)


def _starts(path: str, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


class FolderRows(BatchRows):
    """Documents: a subfolder for each class, a file for each document.

    Parameters
    ----------
    folder : str
    text : Text
        How documents become rows.
    """

    name = "text"

    def __init__(self, folder: str, text: Any, n_jobs: int | None = None) -> None:
        files = sorted(str(path) for path in Path(folder).glob("*/*") if path.is_file())
        super().__init__(files, text.n_features, n_jobs)
        self.folder, self.format = folder, text

    def description(self) -> dict[str, Any]:
        """Return format and options."""
        from hogwild.data.registry import to_json

        return {"name": "text", "options": to_json(self.format)}

    def _estimated_batches(self, first: Batch) -> float:
        sample = self.locations[:: max(1, len(self.locations) // 50)]
        unpacked = sum(len(read_bytes(path)) for path in sample) / max(1, sum(map(os.path.getsize, sample)))
        taken = min((self.stored_bytes or 0) * unpacked, 4 << 20)
        return max(1.0, (self.stored_bytes or 0) * unpacked / max(1.0, taken))

    def _batches(self, reading: Reading) -> Iterator[Batch]:
        from hogwild.data.text import read_folder

        return read_folder(self.folder, self.format)
