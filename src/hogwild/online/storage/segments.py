"""The files of a log: a segment is a header and frames, a frame is a batch of records that was written at once.

All numbers are big-endian.

======= =========================================================================================================
header  ``hoglog``, format (u16), number of the segment (u64), salt (8 random bytes), CRC-32 of these
frame   marker (4 bytes), length of its records (u32), bytes of the segment that had reached the disk before it was
        written (u64), CRC-32 of the salt, the length, those bytes and the records
record  length (u32), content
======= =========================================================================================================

A crash can tear only what had not reached the disk: damage before a frame that vouches for it is no torn tail.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hogwild.data.errors import DataError
from hogwild.folders import sync
from hogwild.online.storage.errors import UnfitModelError

FORMAT = 1
_HEADER = struct.Struct(">6sHQ8sI")
_FRAME = struct.Struct(">4sIQI")
_LENGTH = struct.Struct(">I")
_NAME = b"hoglog"
_MARKER = b"\xf3hg\x0d"
_WHOLE = "an unaltered segment of a log"

logger = logging.getLogger(__name__)


def segment_path(folder: Path, number: int) -> Path:
    """Return the name of a segment's file."""
    return folder / f"{number:08d}.log"


class Segment:
    """A segment that is being written: a new file.

    Parameters
    ----------
    folder : Path
    number : int
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._path = segment_path(folder, number)
        self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115  it stays open
        salt = os.urandom(8)
        head = _HEADER.pack(_NAME, FORMAT, number, salt, 0)[:-4]
        self._salt_crc, self._end, self._durable = zlib.crc32(salt), 0, 0
        try:
            self._write(head + _LENGTH.pack(zlib.crc32(head)))
            self.sync()
            sync(folder)
        except OSError:
            self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            raise

    def append(self, records: Sequence[bytes]) -> None:
        """Write a frame of records; what cannot be written whole is taken back."""
        body = b"".join([part for record in records for part in (_LENGTH.pack(len(record)), record)])
        checked = struct.pack(">IQ", len(body), self._durable)
        crc = zlib.crc32(body, zlib.crc32(checked, self._salt_crc))
        self._write(_FRAME.pack(_MARKER, len(body), self._durable, crc) + body)

    def sync(self) -> bool:
        """Return when all of it has reached the disk: whether anything was missing there."""
        if self._durable == self._end:
            return False
        os.fsync(self._file.fileno())
        self._durable = self._end
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._end += len(content)


def read_segment(folder: Path, number: int, *, last: bool) -> Iterator[bytes]:
    """Yield a segment's records; the torn tail of the last one is cut off, with a warning.

    Raises
    ------
    DataError
        There is damage elsewhere; the message names the segment and the byte.
    UnfitModelError
        A newer version wrote it.
    """
    path = segment_path(folder, number)
    content = path.read_bytes()
    if last and len(content) <= _HEADER.size and not _header_is_whole(content):  # nothing has ever been in it
        logger.warning("%s: removed, a crash came before its first record", path)
        path.unlink()
        sync(folder)
        return
    salt_crc = _salt_crc(path, content, number)
    at = _HEADER.size
    while at < len(content):
        found = _frame(content, at, salt_crc)
        if found is None:
            if not last or _vouched(content, at, salt_crc):
                raise DataError(path, found=f"damage at byte {at:,} of {len(content):,}", expected=_WHOLE)
            _cut(path, at, len(content))
            return
        _, start, end = found
        while start < end:
            (length,) = _LENGTH.unpack_from(content, start)
            start += _LENGTH.size
            yield content[start : start + length]
            start += length
        at = end


def _header_is_whole(content: bytes) -> bool:
    if len(content) < _HEADER.size:
        return False
    return zlib.crc32(content[: _HEADER.size - 4]) == _HEADER.unpack_from(content)[-1]


def _salt_crc(path: Path, content: bytes, number: int) -> int:
    if not _header_is_whole(content):
        raise DataError(path, found=f"a damaged header in {len(content):,} bytes", expected=_WHOLE)
    name, form, written, salt, _ = _HEADER.unpack_from(content)
    if name != _NAME or written != number:
        raise DataError(path, found=f"segment {written} of {name!r}", expected=f"segment {number} of a log")
    if form > FORMAT:
        raise UnfitModelError(path, found=f"format {form}", expected=f"at most {FORMAT}: a newer hogwild reads it")
    return zlib.crc32(salt)


def _frame(content: bytes, at: int, salt_crc: int) -> tuple[int, int, int] | None:
    """Return what a whole frame vouches for, and where its records begin and end."""
    start = at + _FRAME.size
    if start > len(content):
        return None
    marker, length, durable, crc = _FRAME.unpack_from(content, at)
    end = start + length
    if marker != _MARKER or end > len(content):
        return None
    checked = zlib.crc32(struct.pack(">IQ", length, durable), salt_crc)
    return (durable, start, end) if zlib.crc32(memoryview(content)[start:end], checked) == crc else None


def _vouched(content: bytes, at: int, salt_crc: int) -> bool:
    """Whether a whole frame after that byte says that the byte had reached the disk."""
    place = at
    while (place := content.find(_MARKER, place + 1)) >= 0:
        found = _frame(content, place, salt_crc)
        if found is not None and found[0] > at:
            return True
    return False


def _cut(path: Path, at: int, size: int) -> None:
    logger.warning("%s: cut off the last %s bytes, which a crash has torn", path, f"{size - at:,}")
    with open(path, "r+b") as file:
        file.truncate(at)
        os.fsync(file.fileno())
