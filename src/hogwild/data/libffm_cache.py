"""libffm's binary cache of rows, ``NAME.bin``: read, written, and matched with the text it was made of."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

import numpy as np

from hogwild.compiled import strict_kernel
from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, write_whole
from hogwild.steps.rows import SparseFieldRows

CHUNK = 10_000_000  # bytes of text that are hashed at a time, and nonzeros that a block is closed after
LARGEST = 2**31 - 2  # index or field: their number is a signed 32-bit number in the files
_SEED = 90_359
_HEADER = struct.Struct("<iiiiqQQ")
_NODE = 12  # bytes: field, index, value


class LibffmCache(NamedTuple):
    """Rows of a binary cache.

    Attributes
    ----------
    rows : Batch
        Labels are -1 and 1.
    norms : ndarray of float32, shape (n_rows,)
        ``1 / sum of squared values`` of each row, as libffm rounds it; infinity for a row without values.
    n_features, n_fields : int
        Largest index and field plus 1.
    hashes : tuple of int
        What `text_hashes` says of the text.
    """

    rows: Batch
    norms: np.ndarray
    n_features: int
    n_fields: int
    hashes: tuple[int, int]


@strict_kernel
def _hash(text, start, stop, seed):
    """Hash ``text[start:stop]`` as libffm does, going on from `seed`: words of 8 bytes, then the last 1 to 8 bytes."""
    hashed, p, stop = np.uint64(seed), np.uint64(start), np.uint64(stop)
    one = np.uint64(1)
    while p + np.uint64(8) < stop:
        x = np.uint64(0)
        for k in range(np.uint64(8)):
            x |= np.uint64(text[p + k]) << (np.uint64(8) * k)
        hashed = (((hashed + x) * (hashed + x + one)) >> one) + x
        p += np.uint64(8)
    while p < stop:
        x = np.uint64(np.int64(np.int8(text[p])))  # bytes have signs there
        hashed = (((hashed + x) * (hashed + x + one)) >> one) + x
        p += one
    return hashed


def text_hashes(text: np.ndarray) -> tuple[int, int]:
    """Return libffm's two hashes of a text (uint8): of its first 10,000,000 bytes, and of all of it."""
    hashed, first = np.uint64(_SEED), _SEED
    for start in range(0, len(text), CHUNK):
        hashed = np.uint64(_hash(text, start, min(start + CHUNK, len(text)), hashed))
        first = int(hashed) if start == 0 else first
    return first, int(hashed)


@strict_kernel
def _norms(indptr, values, norms):
    for i in range(np.uint64(norms.size)):
        total = np.float32(0)
        for j in range(indptr[i], indptr[i + np.uint64(1)]):
            total += values[j] * values[j]
        norms[i] = np.float32(1) / total


def row_norms(rows: Batch | SparseFieldRows) -> np.ndarray:
    """``1 / sum of squared values`` of each row, summed in float32 as libffm does; infinity where it has no values."""
    norms = np.empty(len(rows.indptr) - 1, np.float32)
    _norms(rows.indptr, rows.values, norms)
    return norms


def block_starts(indptr: np.ndarray) -> np.ndarray:
    """Return where libffm's blocks of rows start, and the end: a block is closed after 10,000,000 nonzeros.

    What remains is one more block, even without rows, and an empty one marks the end.
    """
    starts, n_rows = [0], len(indptr) - 1
    while True:
        first_above = int(np.searchsorted(indptr, int(indptr[starts[-1]]) + CHUNK, "right"))
        if first_above > n_rows:
            return np.array([*starts, n_rows, n_rows], np.int64)
        starts.append(first_above)


# ------------------------------------------------------------------------------------------------ reading


def read_cache(path: PathLike) -> LibffmCache:
    """Read a binary cache of libffm.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    LibffmCache

    Raises
    ------
    DataError
        If the file is cut off or holds anything else; it says what was found and what was expected.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from hogwild.data.batch import Batch
    >>> from hogwild.data.libffm_cache import read_cache, write_cache
    >>> rows = Batch(
    ...     indptr=np.array([0, 2], np.uint64),
    ...     indices=np.array([3, 17], np.uint32),
    ...     values=np.array([0.5, 1], np.float32),
    ...     labels=np.array([1]),
    ...     fields=np.array([0, 2], np.uint32),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "clicks.ffm.bin")
    ...     write_cache(rows, name, hashes=(1, 2))
    ...     cache = read_cache(name)
    >>> cache.n_features, cache.n_fields, cache.norms.tolist(), cache.rows.fields.tolist()
    (18, 3, [0.800000011920929], [0, 2])
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = np.fromfile(file, np.uint8, size)
    if len(content) < _HEADER.size:
        raise _wrong(path, f"{len(content)} bytes", f"a header of {_HEADER.size} bytes")
    n, m, n_rows, n_blocks, table, *hashes = _HEADER.unpack_from(content)
    if min(n, m, n_rows) < 0 or n_blocks < 1:
        raise _wrong(path, f"{n:,} features, {m:,} fields, {n_rows:,} rows, {n_blocks:,} blocks", "counts of rows")
    if table < _HEADER.size or table + 8 * n_blocks != len(content):
        ends = f"one that ends with a table of {n_blocks:,} blocks at byte {table:,}"
        raise _wrong(path, f"a file of {len(content):,} bytes", ends)
    places = np.frombuffer(content, np.int64, n_blocks, table)
    blocks = [_block(path, content, int(place), table) for place in places]
    labels, norms, ends, nodes = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    if len(labels) != n_rows:
        raise _wrong(path, f"{len(labels):,} rows in all blocks", f"the {n_rows:,} that its header tells of")
    fields, indices = (np.ascontiguousarray(nodes[:, k]) for k in (0, 1))
    for what, found, count in (("field", fields, m), ("index", indices, n)):
        if len(found) and not 0 <= found.min() <= found.max() < count:
            bad = found[(found < 0) | (found >= count)][0]
            raise _wrong(path, f"{what} {bad}", f"one below {count:,} as its header says")
    values = np.ascontiguousarray(nodes.view(np.float32)[:, 2])
    if not np.isfinite(values).all():
        raise _wrong(path, f"the value {values[~np.isfinite(values)][0]}", "finite ones")
    if not np.isin(labels, (-1, 1)).all():
        raise _wrong(path, f"the label {labels[np.abs(labels) != 1][0]:g}", "-1 and 1")
    indptr = np.concatenate([[0], np.cumsum(ends)]).astype(np.uint64)
    rows = Batch(indptr, indices.view(np.uint32), values, labels.astype(np.int64), fields=fields.view(np.uint32))
    return LibffmCache(rows, norms, n, m, (hashes[0], hashes[1]))


def _block(path: PathLike, content: np.ndarray, place: int, stop: int) -> tuple[np.ndarray, ...]:
    """Labels, norms, lengths and entries of the rows of one block."""
    whole = f"a block of rows at byte {place:,}, before byte {stop:,}"
    if not _HEADER.size <= place <= stop - 4:
        raise _wrong(path, f"a block at byte {place:,}", f"one between byte {_HEADER.size} and {stop:,}")
    n_rows = int(content[place : place + 4].view(np.int32)[0])
    if n_rows < 0 or place + 12 + 16 * n_rows > stop:
        raise _wrong(path, f"{n_rows:,} rows", whole)
    labels, norms = content[place + 4 : place + 4 + 8 * n_rows].view(np.float32).reshape(2, n_rows)
    place += 4 + 8 * n_rows
    ends = content[place : place + 8 * (n_rows + 1)].copy().view(np.int64)
    place += 8 * (n_rows + 1)
    if ends[0] != 0 or np.any(ends[1:] < ends[:-1]) or int(ends[-1]) * _NODE > stop - place:
        raise _wrong(path, f"rows that end at entry {int(ends[-1]):,}", whole)
    nodes = content[place : place + _NODE * int(ends[-1])].view(np.int32).reshape(-1, 3)
    return labels, norms, np.diff(ends), nodes


def cached_hashes(path: PathLike) -> tuple[int, int] | None:
    """Return the hashes in the header of a cache; None where there is none, or no file at all."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER.size)
    except OSError:
        return None
    if len(header) < _HEADER.size:
        return None
    *_, first, whole = _HEADER.unpack(header)
    return first, whole


def _wrong(path: PathLike, found: str, expected: str) -> DataError:
    return DataError(path, found=found, expected=f"{expected} (libffm's binary cache)")


# ------------------------------------------------------------------------------------------------ writing


def write_cache(rows: Batch, path: PathLike, hashes: tuple[int, int] = (0, 0)) -> None:
    """Write rows as a binary cache of libffm, byte for byte as libffm does; the file appears complete or not at all.

    Parameters
    ----------
    rows : Batch
        With fields; labels above 0, read as whole numbers, are positive.
    path : str or path-like
    hashes : tuple of int
        `text_hashes` of the text; libffm makes the cache anew where they differ.

    Raises
    ------
    ValueError
        If the rows have no fields, or an index or a field is 2**31 - 1 or above: libffm holds their numbers in 32
        bits with a sign.
    """
    check_fields(rows)
    starts = block_starts(rows.indptr)
    n, m = (int(found.max()) + 1 if len(found) else 0 for found in (rows.indices, rows.fields))
    labels, norms = libffm_labels(rows.labels), row_norms(rows)
    places = []
    try:
        with write_whole(path) as file:
            file.write(bytes(_HEADER.size))
            for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
                places.append(file.tell())
                low, high = int(rows.indptr[first]), int(rows.indptr[last])
                nodes = np.empty((high - low, 3), np.int32)
                nodes[:, 0], nodes[:, 1] = rows.fields[low:high], rows.indices[low:high]
                nodes.view(np.float32)[:, 2] = rows.values[low:high]
                file.write(struct.pack("<i", last - first))
                for array in (labels[first:last], norms[first:last]):
                    file.write(array.tobytes())
                file.write((rows.indptr[first : last + 1] - np.uint64(low)).tobytes())
                file.write(nodes.data)
            table = file.tell()
            file.write(np.array(places, np.int64).tobytes())
            file.seek(0)
            file.write(_HEADER.pack(n, m, rows.n_rows, len(places), table, *hashes))
    except OSError as error:
        if error.filename is None:  # a full disk does not say whose
            error.filename = os.fspath(path)
        raise


def libffm_labels(labels: np.ndarray) -> np.ndarray:
    """-1 and 1 in float32: libffm takes labels for positive that are above 0, read as whole numbers."""
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"libffm's labels are numbers, found {labels[0]!r}")
    return np.where(labels >= 1, np.float32(1), np.float32(-1))


def check_fields(rows: Batch) -> None:
    """Refuse rows without fields, and numbers beyond those of libffm."""
    if len(rows.fields) != len(rows.indices):
        raise ValueError("libffm's rows need a field for each entry, found rows without fields")
    for what, found in (("index", rows.indices), ("field", rows.fields)):
        if len(found) and found.max() > LARGEST:
            raise ValueError(
                f"found {what} {int(found.max())}, expected at most {LARGEST}: libffm's files hold their number in 32 "
                "bits with a sign"
            )
