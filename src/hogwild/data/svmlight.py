"""Rows from and to svmlight (libsvm) text: ``label index:value index:value ...``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, read_bytes, write_whole
from hogwild.data.number_text import rows_text
from hogwild.data.numerals import PADDING, decide
from hogwild.data.parts import Part, data_error, in_threads, n_threads, split_lines
from hogwild.data.svmlight_kernel import (
    AUTO,
    EXPECTED,
    FRACTIONS,
    NUMBER,
    SEVERAL,
    TEXT,
    UNSURE_LABELS,
    WORDS,
    Read,
    Rules,
    count,
    read_rows,
)

_PART = 1 << 22  # bytes: a few milliseconds of work, and what is counted is still in the cache when it is read
WIDEST = 2**32 - 1
LABELS = {"auto": AUTO, "number": NUMBER, "text": TEXT, "several": SEVERAL}
_WORD_END = re.compile(rb"[ \t\r\n#]")
NOT_FINITE = {"nan", "inf", "infinity"}
_ROWS_AT_ONCE = 4096


def load_svmlight(
    path: PathLike,
    *,
    n_features: int | None = None,
    zero_based: bool | Literal["auto"] = "auto",
    dtype: type | np.dtype | str = np.float32,
    labels: Literal["auto", "number", "text", "several"] = "auto",
    n_jobs: int | None = None,
) -> tuple[sparse.csr_matrix, np.ndarray | list[tuple]]:
    r"""Read a file in svmlight (libsvm) format.

    Parameters
    ----------
    path : str or path-like
        A local file; .gz, .bz2, .xz and .zst are decompressed.
    n_features : int, optional
        Number of columns. By default what the largest index asks for.
    zero_based : bool or "auto", default "auto"
        Whether the first column's index is written 0 or 1. "auto" takes 1 unless an index 0 occurs: for a file that
        starts at 0 but never uses column 0, say so.
    dtype : float32 or float64, default float32
        Type of the values; each numeral is rounded to it once, to the nearest.
    labels : {"auto", "number", "text", "several"}, default "auto"
        "auto" returns int64 if every label is an integer (``3``, but not ``3.0``), float64 if every label is a number,
        and text otherwise. "number" takes any other label for an error, "text" takes every label as text. "several" is
        for rows with any number of labels (``2,5``; a blank in front of the first entry for none).
    n_jobs : int, optional
        Threads that read; None is one, -1 all cores. The result does not depend on it.

    Returns
    -------
    X : csr_matrix of shape (n_rows, n_features)
        Indices are sorted within rows, and values of the same row and index added up; they are int32 as long as that
        can count columns and entries, else int64.
    y : ndarray of shape (n_rows,), or list of tuples
        Labels: int64, float64 or str. Several labels: a tuple for each row, of int if all labels of the file are
        integers, else of float; scikit-learn's MultiLabelBinarizer makes a matrix of them.

    Raises
    ------
    DataError
        If the file holds anything else than rows; it names file, line, column, what was found and what was expected.

    Notes
    -----
    Blank lines, comments (from ``#`` to the end of the line) and ``qid:number`` are skipped. Blanks and tabs separate,
    ``\n`` and ``\r\n`` end lines. Values have to be finite.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild.data.svmlight import load_svmlight
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "mails.svm")
    ...     with open(name, "w") as file:
    ...         _ = file.write("spam 1:0.5 3:2\nham 2:1e-1  # short\n")
    ...     X, y = load_svmlight(name)
    >>> X.toarray()
    array([[0.5, 0. , 2. ],
           [0. , 0.1, 0. ]], dtype=float32)
    >>> y.tolist()
    ['spam', 'ham']
    """
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype is float32 or float64, not {dtype}")
    if labels not in LABELS:
        raise ValueError(f"labels is 'auto', 'number', 'text' or 'several', not {labels!r}")
    if zero_based not in (True, False, "auto"):
        raise ValueError(f"zero_based is True, False or 'auto', not {zero_based!r}")
    if n_features is not None and not 1 <= n_features <= WIDEST + 1:
        raise ValueError(f"n_features lies between 1 and 2**32, not {n_features}")

    text = read_bytes(path)
    shift = 0 if zero_based is True else 1
    limit = WIDEST if n_features is None else min(n_features - 1 + shift, WIDEST)
    rules = Rules(LABELS[labels], dtype == np.float32, shift, 1 if zero_based is False else 0, limit)
    rows = _read(path, text, rules, dtype, n_features, n_threads(n_jobs))
    shift = 0 if rows.lowest == 0 else shift
    if shift == 0 and rules.shift == 1:  # "auto", and an index 0 has turned up
        if rows.highest == n_features:  # there is no room any more for the largest: find it
            _read(path, text, rules._replace(shift=0, limit=n_features - 1), dtype, n_features, n_threads(n_jobs))
        rows.indices.view(np.uint32)[...] += np.uint32(1)

    columns = n_features or max(rows.highest + 1 - shift, 0)
    return _matrix(path, text, rows, columns), _labels(path, text, rows, rules.mode)


# ------------------------------------------------------------------------------------------------ reading


class _Rows(NamedTuple):
    indices: np.ndarray
    values: np.ndarray
    row_ends: np.ndarray  # with a 0 in front
    labels: np.ndarray
    label_starts: np.ndarray
    lowest: int
    highest: int
    unordered: bool
    label_kinds: int


def _read(
    path: PathLike, text: np.ndarray, rules: Rules, dtype: np.dtype, n_features: int | None, threads: int
) -> _Rows:
    """Count, allocate, and let every part write to its place."""
    parts = split_lines(text, _PART, PADDING)
    counts = np.array(in_threads(count, (part[:3] for part in parts), threads), np.int64).reshape(-1, 2)
    first_entry, first_row = np.vstack([np.zeros((1, 2), np.int64), counts.cumsum(0)]).T.tolist()
    indices = np.empty(first_entry[-1], np.uint32)
    values = np.empty(first_entry[-1], dtype)
    row_ends = np.zeros(first_row[-1] + 1, np.int64)
    labels = np.empty(first_row[-1])
    label_starts = np.empty(first_row[-1], np.uint64)

    def read(part: Part, row: int, entry: int) -> tuple[Read, np.ndarray]:
        unsure = np.empty((64, 2), np.uint64)
        while True:
            found = Read(
                *read_rows(*part, rules, row, entry, indices, values, row_ends[1:], labels, label_starts, unsure)
            )
            if found.unsure <= len(unsure):
                return found, unsure[: found.unsure]
            unsure = np.empty((found.unsure, 2), np.uint64)

    found = in_threads(read, zip(parts, first_row, first_entry, strict=False), threads)
    for part, (read_, unsure) in zip(parts, found, strict=True):
        for place, entry in unsure.tolist():
            values[entry] = _decided(path, text, place, dtype)
        if read_.error:
            expected = EXPECTED[read_.error].format(n_features=n_features)
            raise data_error(path, text, part.base + read_.position, expected)

    # Colons and line ends that were counted but are none of rows (comments, blank lines) have left gaps.
    row = entry = 0
    for (read_, _), from_row, from_entry in zip(found, first_row, first_entry, strict=False):
        if from_entry != entry:
            row_ends[from_row + 1 : from_row + 1 + read_.rows] -= from_entry - entry
            for array in (indices, values):
                array[entry : entry + read_.entries] = array[from_entry : from_entry + read_.entries]
        if from_row != row:
            for array in (row_ends[1:], labels, label_starts):
                array[row : row + read_.rows] = array[from_row : from_row + read_.rows]
        row, entry = row + read_.rows, entry + read_.entries
    if row == 0:
        raise DataError(path, found="a file that holds no rows", expected="lines 'label index:value ...'")
    results = [read_ for read_, _ in found]
    return _Rows(
        _shortened(indices, entry),
        _shortened(values, entry),
        row_ends[: row + 1],
        labels[:row],
        label_starts[:row],
        min(read_.lowest for read_ in results),
        max(read_.highest if read_.entries else -1 for read_ in results),
        any(read_.unordered for read_ in results),
        int(np.bitwise_or.reduce([read_.label_kinds for read_ in results])),
    )


def _shortened(array: np.ndarray, size: int) -> np.ndarray:
    return array if len(array) == size else array[:size].copy()


def _decided(path: PathLike, text: np.ndarray, place: int, dtype: np.dtype) -> np.floating:
    value = decide(word_at(text, place).decode(), dtype)
    if not np.isfinite(value):
        raise data_error(path, text, place, f"a number within the range of {dtype}")
    return value


def word_at(text: np.ndarray, place: int) -> bytes:
    """Return the word that begins at a place."""
    length = 64
    while True:
        piece = text[place : place + length].tobytes()
        end = _WORD_END.search(piece)
        if end or len(piece) < length:
            return piece[: end.start()] if end else piece
        length *= 8


def _matrix(path: PathLike, text: np.ndarray, rows: _Rows, n_features: int) -> sparse.csr_matrix:
    narrow = max(n_features, len(rows.indices)) < 2**31
    indices = rows.indices.view(np.int32) if narrow else rows.indices.astype(np.int64)
    row_ends = rows.row_ends.astype(np.int32 if narrow else np.int64)
    X = sparse.csr_matrix((rows.values, indices, row_ends), shape=(len(rows.labels), n_features))
    if rows.unordered:
        with np.errstate(over="ignore"):
            X.sum_duplicates()
        infinite = np.flatnonzero(~np.isfinite(X.data))
        if len(infinite):
            row = np.searchsorted(X.indptr, infinite[0], "right") - 1
            raise data_error(path, text, int(rows.label_starts[row]), "values of one index whose sum is finite")
    X.has_sorted_indices = X.has_canonical_format = True
    return X


def _labels(path: PathLike, text: np.ndarray, rows: _Rows, mode: int) -> np.ndarray:
    """Labels as the narrowest kind that holds all of them."""
    if mode in (AUTO, NUMBER) and not rows.label_kinds & (WORDS | UNSURE_LABELS):
        return rows.labels if rows.label_kinds & FRACTIONS else rows.labels.astype(np.int64)
    starts = rows.label_starts.tolist()
    words = []
    for start in starts:
        try:
            words.append(word_at(text, start).decode())
        except UnicodeDecodeError:
            raise data_error(path, text, start, "text in UTF-8") from None
    if mode == TEXT:
        return np.array(words)
    if mode == SEVERAL:
        return _several(path, text, starts, words)
    for start, word in zip(starts, words, strict=True):
        if word.lstrip("+-").lower() in NOT_FINITE:
            raise data_error(path, text, start, "a finite number (labels='text' reads such a word as it is)")
    if rows.label_kinds & WORDS:
        return np.array(words)
    if all(word.lstrip("+-").isdigit() for word in words):
        integers = [int(word) for word in words]
        if all(-(2**63) <= integer < 2**63 for integer in integers):
            return np.array(integers, np.int64)
    numbers = np.array([float(word) for word in words])
    infinite = np.flatnonzero(~np.isfinite(numbers))
    if len(infinite):
        raise data_error(path, text, starts[infinite[0]], "a number within the range of float64")
    return numbers


def _several(path: PathLike, text: np.ndarray, starts: list[int], words: list[str]) -> list[tuple]:
    """Labels of rows that have several, or none."""
    parts = [word.split(",") if word else [] for word in words]
    for start, labels in zip(starts, parts, strict=True):
        if not all(map(_is_finite, labels)):
            raise data_error(path, text, start, "finite numbers with commas between them")
    whole = all(label.lstrip("+-").isdigit() for labels in parts for label in labels)
    return [tuple(map(int if whole else float, labels)) for labels in parts]


def _is_finite(word: str) -> bool:
    return _is_number(word) and np.isfinite(float(word)) and "_" not in word


# ------------------------------------------------------------------------------------------------ writing


def dump_svmlight(X: sparse.spmatrix | np.ndarray, y: np.ndarray, path: PathLike, *, zero_based: bool = False) -> None:
    r"""Write rows in svmlight (libsvm) format; the file appears complete or not at all.

    Parameters
    ----------
    X : sparse matrix or ndarray of shape (n_rows, n_features)
        Stored entries are written, zeros among them as well, with the fewest digits that read back as the same number.
    y : ndarray of shape (n_rows,), or list of tuples
        Numbers or words; a float keeps its point (``1.0``), so that labels read back as the kind they were. Tuples of
        numbers are written with commas.
    path : str or path-like
        Compressed if it ends in .gz, .bz2, .xz or .zst.
    zero_based : bool, default False
        Whether the first column is written 0 or 1.

    Raises
    ------
    ValueError
        If values or labels could not be read back: not finite, or words that hold blanks or one of ``# : ,``, or that
        are numbers. Nothing is written then.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from hogwild.data.svmlight import dump_svmlight
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "rows.svm")
    ...     dump_svmlight(np.array([[0.1, 0.0, 2.0]], np.float32), np.array([1]), name)
    ...     open(name).read()
    '1 1:0.1 3:2\n'
    """
    X = sparse.csr_matrix(X)
    several = isinstance(y, list) and bool(y) and isinstance(y[0], tuple)
    y = np.array([None, *y], object)[1:] if several else np.asarray(y)
    if y.shape != (X.shape[0],):
        raise ValueError(f"y has shape {y.shape}, expected one label for each of the {X.shape[0]} rows of X")
    if X.shape[1] + (not zero_based) > WIDEST + 1:
        raise ValueError(f"X has {X.shape[1]} columns; the format holds indices below 2**32")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    if X.data.dtype.kind not in "biuf":
        raise ValueError(f"X holds {X.data.dtype}, expected real numbers")
    if not np.isfinite(X.data).all():
        raise ValueError("X holds NaN or infinity, which the reader would refuse")
    labels = [",".join(map(str, labels)) for labels in y] if several else label_texts(y)
    with write_whole(path) as file:
        for start in range(0, X.shape[0], _ROWS_AT_ONCE):
            ends = X.indptr[start : start + _ROWS_AT_ONCE + 1].astype(np.int64)
            entries = slice(ends[0], ends[-1])
            some = labels[start : start + _ROWS_AT_ONCE]
            file.write(rows_text(some, ends - ends[0], X.indices[entries], X.data[entries], int(not zero_based)))


def write_svmlight(batches: Iterable[Batch], path: PathLike, *, zero_based: bool = False) -> int:
    """Write batches in svmlight (libsvm) format, in constant memory; the file appears complete or not at all.

    Parameters
    ----------
    batches : iterable of Batch
        Their weights and fields have no place in the format.
    path : str or path-like
        Compressed if it ends in .gz, .bz2, .xz or .zst.
    zero_based : bool, default False
        Whether the first column is written 0 or 1.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ValueError
        If a label could not be read back. Nothing is written then.
    """
    n_rows = 0
    with write_whole(path) as file:
        for whole in batches:
            for start in range(0, whole.n_rows, _ROWS_AT_ONCE):
                batch = whole.rows(start, min(start + _ROWS_AT_ONCE, whole.n_rows))
                labels = label_texts(batch.labels)
                file.write(rows_text(labels, batch.indptr, batch.indices, batch.values, int(not zero_based)))
                n_rows += batch.n_rows
    return n_rows


def label_texts(y: np.ndarray) -> list[str]:
    """Labels as they are written; a ValueError for those that would not read back."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("y holds NaN or infinity, which the reader would refuse")
    if y.dtype.kind in "iuf":
        return [str(label) for label in (y.tolist() if y.dtype != np.float32 else y)]
    if y.dtype.kind == "b":
        return [str(int(label)) for label in y]
    words = [str(label) for label in y]
    for word in words:
        if not word or re.search(r"[\s#:,\x00-\x1f\x7f]", word) or _is_number(word):
            raise ValueError(
                f"the label {word!r} would not read back: no blanks, '#', ':', ',' and no numbers in words"
            )
    return words


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
