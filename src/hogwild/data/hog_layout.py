"""The `.hog` file: rows in blocks that are used where they are mapped.

head | block | block | ... | numbering | index | description

- head: 64 bytes that say where the description stands, written last. So a file without one was never finished.
- block: the arrays of its rows (`block_arrays`), each from a multiple of 64 bytes on: mapped into memory they are what
  kernels read, without a copy.
- numbering: uint32, the original number of each column; none if features keep their numbers.
- index: uint64, shape (n_blocks, 4): offset, rows, entries and CRC-32 of each block.
- description: JSON.

Indices are stored plain: 16-bit deltas of sorted rows save a quarter of the file but cost .4 ns an index to decode (1.2
with 2**22 features) where reading them costs .1 (RCV1-like data in the page cache).

All numbers are little-endian. Every byte is under a CRC-32 (zlib's, 7 GB/s): of the head in itself, of the description
in the head, of numbering and index in the description, of blocks in the index. They find damage, not forgery.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from hogwild.compiled import LINE
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike

MAGIC = b"\x89HOG\r\n\x1a\n"  # what a transfer as text breaks
VERSION = 1
HEAD = LINE  # bytes
VALUES = ("float32", "float16", "ones")
MOST_LABELS = 1 << 16  # distinct labels up to which blocks hold uint16 codes
_HEAD = struct.Struct("<8sIIQQQ20xI")  # magic, version, CRC, offset and length of the description, file size, own CRC
_WHOLE = "a whole .hog file"


class Form(NamedTuple):
    """Which arrays the blocks of a file have.

    Attributes
    ----------
    values : str
        One of `VALUES`; for ones nothing is stored.
    codes : bool
        Labels are codes (uint16) of a table, else numbers (float64).
    weights, fields : bool
    """

    values: str
    codes: bool
    weights: bool
    fields: bool

    @property
    def row_bytes(self) -> int:
        """Bytes that a row takes beside its entries."""
        return 8 + (2 if self.codes else 8) + 4 * self.weights

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry."""
        return 4 + {"float32": 4, "float16": 2, "ones": 0}[self.values] + 4 * self.fields


class BlockArrays(NamedTuple):
    """Arrays of a block, as stored; those that a file has not are empty."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    fields: np.ndarray


def padded(n_bytes: int) -> int:
    """Next multiple of 64."""
    return -(-n_bytes // LINE) * LINE


def _shapes(form: Form, rows: int, entries: int) -> list[tuple[str, int]]:
    """Type and length of each of `BlockArrays`."""
    return [
        ("<u8", rows + 1),
        ("<u4", entries),
        ("<f2" if form.values == "float16" else "<f4", 0 if form.values == "ones" else entries),
        ("<u2" if form.codes else "<f8", rows),
        ("<f4", rows if form.weights else 0),
        ("<u4", entries if form.fields else 0),
    ]


def block_size(form: Form, rows: int, entries: int) -> int:
    """Bytes of a block."""
    return sum(padded(np.dtype(kind).itemsize * n) for kind, n in _shapes(form, rows, entries))


def block_arrays(buffer: np.ndarray, form: Form, rows: int, entries: int) -> BlockArrays:
    """View the arrays of a block that `buffer` (uint8) holds."""
    arrays, start = [], 0
    for kind, n in _shapes(form, rows, entries):
        stop = start + np.dtype(kind).itemsize * n
        arrays.append(buffer[start:stop].view(kind))
        start = padded(stop)
    return BlockArrays(*arrays)


def clear_padding(buffer: np.ndarray, form: Form, rows: int, entries: int) -> None:
    """Zero the bytes between the arrays: no checksum may depend on what stood there before."""
    start = 0
    for kind, n in _shapes(form, rows, entries):
        stop = start + np.dtype(kind).itemsize * n
        start = padded(stop)
        buffer[stop:start] = 0


def tail(start: int, description: dict[str, Any], numbering: np.ndarray | None, index: np.ndarray) -> tuple[bytes, ...]:
    """Return what follows the blocks, which end at `start`, in pieces; the last one is the head."""
    numbers = b"" if numbering is None else memoryview(numbering.astype("<u4", copy=False)).cast("B")
    gap = bytes(padded(len(numbers)) - len(numbers))
    places = memoryview(index.astype("<u8", copy=False)).cast("B")
    at = start + len(numbers) + len(gap)
    numbering_crc = zlib.crc32(gap, zlib.crc32(numbers))
    described = description | {"tail": [start, at, numbering_crc, zlib.crc32(places)]}
    text = json.dumps(described).encode()
    at += len(places)
    fields = (MAGIC, VERSION, zlib.crc32(text), at, len(text), at + len(text))
    head = _HEAD.pack(*fields, 0)[:-4]
    return numbers, gap, places, text, head + struct.pack("<I", zlib.crc32(head))


class Opened(NamedTuple):
    """What stands around the blocks of a file, checked."""

    description: dict[str, Any]
    form: Form
    index: np.ndarray  # uint64, shape (n_blocks, 4)
    numbering: np.ndarray | None  # view of the file


def open_layout(path: PathLike, content: np.ndarray) -> Opened:
    """Check all but the blocks of a file, given as uint8, and view it."""
    if bytes(content[: len(MAGIC)]) != MAGIC[: len(content)] or not len(content):
        raise DataError(path, found="a file of another kind or one that was never finished", expected=_WHOLE)
    if len(content) < HEAD:
        raise DataError(path, found=f"a truncated file ({len(content)} bytes)", expected=_WHOLE)
    _, version, crc, at, length, size, head_crc = _HEAD.unpack(content[:HEAD].tobytes())
    if zlib.crc32(content[: HEAD - 4]) != head_crc:
        if version > VERSION:  # a newer version may check itself in another way
            raise _newer(path, version)
        raise DataError(path, found="an altered head", expected=_WHOLE)
    if version != VERSION:
        raise _newer(path, version)
    if size != len(content):
        found = "a truncated file" if len(content) < size else "a file with something behind its end"
        raise DataError(path, found=f"{found} ({len(content)} bytes)", expected=f"{size} bytes")
    text = content[at : at + length]
    if zlib.crc32(text) != crc:
        raise DataError(path, found="an altered description", expected=_WHOLE)
    description = json.loads(text.tobytes())
    start, index_at, numbering_crc, index_crc = description["tail"]
    if zlib.crc32(content[start:index_at]) != numbering_crc:
        raise DataError(path, found="an altered numbering", expected=_WHOLE)
    if zlib.crc32(content[index_at:at]) != index_crc:
        raise DataError(path, found="an altered index", expected=_WHOLE)
    numbering = None
    if description["numbering_id"] is not None:
        numbering = content[start : start + 4 * description["columns"]].view("<u4")
    index = content[index_at:at].tobytes()
    return Opened(description, Form(**description["form"]), np.frombuffer(index, "<u8").reshape(-1, 4), numbering)


def _newer(path: PathLike, version: int) -> DataError:
    return DataError(path, found=f"version {version}", expected=f"version {VERSION}: this needs a newer hogwild")
