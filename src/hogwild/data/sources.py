"""Rows of any size and format behind one interface: `open` them, iterate over batches, as often as they can be read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hogwild.data import registry
from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike
from hogwild.data.lines import BLOCK_BYTES, Reading, count_line_ends, in_background, read_lines
from hogwild.data.locations import STANDARD_INPUT, expand, fingerprint, sample, stored_bytes
from hogwild.data.numerals import PADDING
from hogwild.data.other_rows import FolderRows, TableRows
from hogwild.data.parts import BOM, NEWLINE, Part, last_line_end, next_line_end
from hogwild.data.parts import n_threads as threads_of

_SAMPLE = 1 << 20  # bytes that options left open are decided by


@runtime_checkable
class Rows(Protocol):
    """Rows that can be iterated over in batches, as `open` gives them and estimators take them.

    Attributes
    ----------
    n_features : int or None
        Number of columns; None where only the last row tells.
    reading : Reading
        What the last or present iteration has cost.
    """

    n_features: int | None
    reading: Reading

    def __iter__(self) -> Iterator[Batch]: ...


class TextRows:
    """Files of one text format.

    Parameters
    ----------
    locations : list of str
        As `locations.expand` gives them.
    text_format : TextFormat
    n_jobs : int, optional
        Threads that parse.
    bad_lines : {"error", "skip"}
    """

    def __init__(
        self,
        locations: list[str],
        text_format: Any,
        *,
        n_jobs: int | None = None,
        bad_lines: str = "error",
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        if bad_lines not in ("error", "skip"):
            raise ValueError(f"bad_lines is 'error' or 'skip', not {bad_lines!r}")
        self.locations, self.format, self.bad_lines = locations, text_format, bad_lines
        self.n_threads, self.block_bytes = threads_of(n_jobs), block_bytes
        self.reading = Reading()
        self._taken = False

    @property
    def n_features(self) -> int | None:
        """Number of columns, where the format fixes it."""
        return self.format.n_features

    @property
    def repeatable(self) -> bool:
        """Whether the rows can be read more than once."""
        return STANDARD_INPUT not in self.locations

    @property
    def stored_bytes(self) -> int | None:
        """Bytes of all files as they are stored; None where it is not known."""
        sizes = [stored_bytes(location) for location in self.locations]
        return None if None in sizes else sum(sizes)

    def estimated_bytes(self) -> int | None:
        """Bytes that all rows would take in memory, from those of the first MiB; None where nobody can tell."""
        stored = self.stored_bytes
        if stored is None:
            return None
        reading = Reading()
        batches = read_lines(self.format, self.locations, bad_lines="skip", block_bytes=_SAMPLE, reading=reading)
        taken = 0
        for batch in batches:
            taken += batch.nbytes
            if reading.text_bytes >= _SAMPLE // 2:
                break
        batches.close()
        return int(taken / max(1, reading.stored_bytes) * stored)

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of the files and of the format's options."""
        state = [self.format.name, registry.to_json(self.format), self.bad_lines]
        state += [fingerprint(location) for location in self.locations]
        return hashlib.blake2b(json.dumps(state).encode(), digest_size=12).hexdigest()

    def __iter__(self) -> Iterator[Batch]:
        """Read all rows from the start."""
        if self._taken and not self.repeatable:
            raise ValueError("standard input can be read only once: give a file, or let a cache be written")
        self._taken = True
        self.reading = Reading()
        batches = read_lines(
            self.format,
            self.locations,
            n_threads=self.n_threads,
            bad_lines=self.bad_lines,
            block_bytes=self.block_bytes,
            reading=self.reading,
        )
        return in_background(batches, 2, self.reading) if self.n_threads > 1 else batches


def open(
    *sources: PathLike,
    format: str | Any = "auto",
    n_jobs: int | None = None,
    bad_lines: str = "error",
    **options: Any,
) -> Any:
    """Open rows of any size and format for training, prediction or conversion.

    Parameters
    ----------
    *sources : str or path-like, or one table or matrix in memory
        Files, folders, patterns, URLs, ``-`` for standard input (see `locations.expand`), of one format; any of
        .gz, .bz2, .xz, .zst. A table: a DataFrame of pandas or Polars, an Arrow table; a matrix: ``(X, y)`` or
        ``(X, y, sample_weight)`` with X an array or a SciPy sparse matrix.
    format : str or TextFormat, default "auto"
        ``"svmlight"``, ``"libffm"``, ``"vw"``, ``"csv"``, ``"tsv"``, ``"criteo"``, ``"jsonl"``, ``"text"``,
        ``"arrow"`` (Parquet, Feather, Arrow IPC), ``"hog"``. "auto" goes by the extension, else by the first line.
    n_jobs : int, optional
        Threads that parse; None is one, -1 all cores. The rows do not depend on it.
    bad_lines : {"error", "skip"}, default "error"
        Stop at the first bad line, or leave bad lines out and count them in ``reading.bad_lines``.
    **options
        Options of the format: see the classes in `hogwild.data`.

    Returns
    -------
    rows
        Iterable of `Batch`, with ``n_features`` (None where only the last row tells) and ``reading``. `HogFile` for
        cache files, which estimators visit in random order.

    Raises
    ------
    FileNotFoundError, DataError, ValueError

    Examples
    --------
    >>> import os, tempfile
    >>> import hogwild
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "rows.svm")
    ...     hogwild.data.dump_svmlight([[0.5, 2.0], [0.0, 1.0]], [1, -1], name)
    ...     rows = hogwild.data.open(name)
    ...     [batch.labels.tolist() for batch in rows]
    [[1, -1]]
    """
    if len(sources) == 1 and not isinstance(sources[0], str | os.PathLike | list):
        return TableRows(sources[0], n_jobs=n_jobs, **options)
    locations = expand(sources)
    if isinstance(format, str):
        name = registry.detect(locations) if format == "auto" else format
        if name in registry.OPENERS:
            return registry.OPENERS[name](locations, n_jobs=n_jobs, bad_lines=bad_lines, **options)
        format = registry.make(name, options)
    elif options:
        raise ValueError(f"found options ({', '.join(options)}) beside a format that has its own")
    if format.name == "text" and len(sources) == 1 and os.path.isdir(sources[0]):
        return _fitted(FolderRows(os.fspath(sources[0]), format, n_jobs))
    text_format = _decided(format, locations)
    return _fitted(TextRows(locations, text_format, n_jobs=n_jobs, bad_lines=bad_lines))


def _fitted(rows: Any) -> Any:
    """Let a format that counts words first do so: one pass over the rows."""
    text_format = rows.format
    if getattr(text_format, "needs_fit", False) and not text_format.arrays():
        if not rows.repeatable:
            raise ValueError("tfidf and minimum read the rows twice, standard input can be read once: give a file")
        rows.format = text_format.counting()
        rows.format = text_format.fit(rows)
    return rows


def _decided(text_format: Any, locations: list[str]) -> Any:
    """Let the format decide by the first file with rows what its options leave open."""
    if not hasattr(text_format, "decided"):
        return text_format
    chosen = None
    for location in locations:
        text, start, stop = _first_lines(location, text_format.header_lines + 1)
        if text_format.header_lines and start < stop:
            ends = [start]
            while len(ends) <= text_format.header_lines and ends[-1] < stop:
                ends.append(next_line_end(text, ends[-1]))
            lines = [text[low : high - 1].tobytes().removesuffix(b"\r") for low, high in pairwise(ends)]
            try:
                text_format, start = text_format.with_header(lines), ends[-1]
            except ValueError as error:
                raise DataError(location, 1, None, None, str(error)) from None
        if start < stop:
            part = Part(text, start, stop, 0)
            chosen = text_format.decided(part)
            if chosen.parse(part).batch.n_rows:
                return chosen
    return chosen or text_format


def _first_lines(location: str, least: int) -> tuple[np.ndarray, int, int]:
    """Text with about the first MiB of lines of a file, at least `least`, and where they begin and end."""
    size = _SAMPLE
    while True:
        text = np.frombuffer(sample(location, size) + bytes([NEWLINE]) + bytes(PADDING), np.uint8)
        filled = len(text) - PADDING - 1
        if filled < size:  # all of it: the last line's end may be missing
            stop = filled if not filled or text[filled - 1] == NEWLINE else filled + 1
            break
        stop = last_line_end(text, 0, filled)
        if count_line_ends(text, 0, stop) >= least:
            break
        size *= 4
    start = len(BOM) if text[: len(BOM)].tobytes() == BOM else 0
    return text, min(start, stop), stop
