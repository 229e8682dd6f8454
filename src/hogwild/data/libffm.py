"""Rows from and to libffm text: ``label field:index:value field:index:value ...``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hogwild.data.batch import Batch, concatenate
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, read_bytes, write_whole
from hogwild.data.formats import Parsed, TextFormat
from hogwild.data.libffm_kernel import EXPECTED, Read, Rows, read_rows
from hogwild.data.number_text import rows_text
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part, data_error, in_threads, n_threads, split_lines
from hogwild.data.svmlight import label_texts
from hogwild.data.svmlight_kernel import count
from hogwild.data.values_kernel import Doubts, decided, numeric_labels

_PART = 1 << 22  # bytes: a few milliseconds of work
_MOST = 1 << 32
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Libffm:
    r"""libffm text, as field-aware factorization machines read it: ``label field:index:value ...``.

    Parameters
    ----------
    n_features, n_fields : int, optional
        Indices and fields have to be below them; by default below 2**32.

    Notes
    -----
    Indices and fields start at 0. Blanks and tabs separate, ``\n`` and ``\r\n`` end lines of any length, blank lines
    are skipped; there are no comments. Labels are kept as the numbers they are (libffm itself takes labels above 0,
    read as whole numbers, for positive). Values are finite and rounded once to float32. Entries stay in the order of
    the line, repeated ones too: each is a term of the model.

    Examples
    --------
    >>> from hogwild.data.libffm import Libffm
    >>> Libffm().names(b"1 0:3:0.5 2:17:1")
    ['0:3', '2:17']
    """

    name: ClassVar[str] = "libffm"
    header_lines: ClassVar[int] = 0
    n_features: int | None = None
    n_fields: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        for option in ("n_features", "n_fields"):
            limit = getattr(self, option)
            if limit is not None and not 1 <= limit <= _MOST:
                raise ValueError(f"{option} lies between 1 and 2**32, found {limit!r}")

    def parse(self, part: Part) -> Parsed:
        """Read the lines of a part; see `TextFormat`."""
        colons, lines = (int(number) for number in count(*part[:3]))
        rows = Rows(
            np.empty(colons // 2, np.uint32),
            np.empty(colons // 2, np.float32),
            np.empty(colons // 2, np.uint32),
            np.zeros(lines + 1, np.uint64),
            np.empty(lines),
            np.empty((lines, 2), np.uint64),
        )
        ends_only = rows._replace(row_ends=rows.row_ends[1:])

        def run(doubts: Doubts) -> Read:
            return Read(*read_rows(*part[:3], self.n_fields or _MOST, self.n_features or _MOST, ends_only, doubts))

        found = decided(part.text, run)
        labels = numeric_labels(part.text, rows.label_places[: found.rows], rows.labels[: found.rows], found.kinds)
        batch = Batch(
            rows.row_ends[: found.rows + 1],
            rows.indices[: found.entries],
            rows.values[: found.entries],
            labels,
            fields=rows.fields[: found.entries],
        )
        if not found.error:
            return Parsed(batch, True)
        expected = EXPECTED[found.error].format(n_features=self.n_features, n_fields=self.n_fields)
        return Parsed(batch, True, found.position, expected)

    def names(self, line: bytes) -> list[str]:
        """Return ``field:index`` of each entry of a line."""
        return [word.rpartition(b":")[0].decode() for word in line.split()[1:]]

    def with_header(self, lines: list[bytes]) -> Libffm:
        """Return the format itself: there is no header."""
        return self


def load_libffm(
    path: PathLike, *, n_features: int | None = None, n_fields: int | None = None, n_jobs: int | None = None
) -> Batch:
    r"""Read a whole file in libffm format.

    Parameters
    ----------
    path : str or path-like
        A local file; .gz, .bz2, .xz and .zst are decompressed.
    n_features, n_fields : int, optional
        Indices and fields have to be below them; by default below 2**32.
    n_jobs : int, optional
        Threads that read; None is one, -1 all cores. The result does not depend on it.

    Returns
    -------
    Batch
        With the field of each entry in `fields`. Labels are int64 if all are whole numerals, else float64.

    Raises
    ------
    DataError
        If the file holds anything else than rows; it names file, line, column, what was found and what was expected.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild.data.libffm import load_libffm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "clicks.ffm")
    ...     with open(name, "w") as file:
    ...         _ = file.write("1 0:3:0.5 2:17:1\n0 0:4:1\n")
    ...     batch = load_libffm(name)
    >>> batch.labels.tolist(), batch.fields.tolist(), batch.indices.tolist()
    ([1, 0], [0, 2, 0], [3, 17, 4])
    """
    return concatenate(load_parts(Libffm(n_features, n_fields), path, n_jobs))


def load_parts(text_format: TextFormat, path: PathLike, n_jobs: int | None) -> list[Batch]:
    """Read a whole file in a format without header, part by part; repeated entries are left as they are."""
    text = read_bytes(path)
    parts = split_lines(text, _PART, PADDING)
    found = in_threads(text_format.parse, ((part,) for part in parts), n_threads(n_jobs))
    for part, parsed in zip(parts, found, strict=True):
        if parsed.error >= 0:
            raise data_error(path, text, part.base + parsed.error, parsed.expected)
    if not any(parsed.batch.n_rows for parsed in found):
        raise DataError(path, found="a file that holds no rows", expected=f"lines in {text_format.name} format")
    return [parsed.batch for parsed in found if parsed.batch.n_rows]


# ------------------------------------------------------------------------------------------------ writing


def dump_libffm(batches: Batch | Iterable[Batch], path: PathLike) -> None:
    r"""Write rows in libffm format; the file appears complete or not at all.

    Parameters
    ----------
    batches : Batch or iterable of Batch
        With fields. Values are written with the fewest digits that read back as the same float32; a label that is a
        float keeps its point (``1.0``), so that labels read back as the kind they were.
    path : str or path-like
        Compressed if it ends in .gz, .bz2, .xz or .zst.

    Raises
    ------
    ValueError
        If a batch has weights or no fields, for which the format has no place, or values or labels that could not be
        read back: not finite, or labels that are words. Nothing is written then.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from hogwild.data.batch import Batch
    >>> from hogwild.data.libffm import dump_libffm
    >>> rows = Batch(
    ...     indptr=np.array([0, 2], np.uint64),
    ...     indices=np.array([3, 17], np.uint32),
    ...     values=np.array([0.1, 1], np.float32),
    ...     labels=np.array([1]),
    ...     fields=np.array([0, 2], np.uint32),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "clicks.ffm")
    ...     dump_libffm(rows, name)
    ...     open(name).read()
    '1 0:3:0.1 2:17:1\n'
    """
    with write_whole(path) as file:
        for batch in [batches] if isinstance(batches, Batch) else batches:
            for start in range(0, batch.n_rows, _ROWS_AT_ONCE):
                file.write(_text(batch.rows(start, min(start + _ROWS_AT_ONCE, batch.n_rows))))


def _text(batch: Batch) -> bytes:
    if len(batch.fields) != len(batch.indices):
        raise ValueError("libffm rows need a field for each entry, the batch has none")
    if np.any(batch.weights != 1):
        raise ValueError("libffm has no place for the weights of rows")
    if batch.labels.dtype.kind not in "biuf":
        raise ValueError(f"libffm labels are numbers, found {batch.labels.dtype}")
    if not np.isfinite(batch.values).all():
        raise ValueError("values hold NaN or infinity, which the reader would refuse")
    return rows_text(label_texts(batch.labels), batch.indptr, batch.indices, batch.values, 0, batch.fields)
