"""Compressed files of several frames (streams, members), one after the other, as a stream of what they hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any

_CHUNK = 1 << 14  # compressed bytes taken at once: how far the count of bytes read can run ahead of the text
_MOST = 1 << 20  # bytes decompressed at once, where the decompressor can be told


class Frames(io.RawIOBase):
    """Frames of a .bz2, .xz or .zst file; EOFError where the last one is not complete.

    The readers of Python's bz2 and lzma take a damaged frame behind a whole one for the end of the file, that of the
    package zstandard takes a truncated file for a whole one.

    Parameters
    ----------
    raw : binary file
    begin : callable
        Returns a decompressor for one frame.
    padding : bytes, default b""
        Bytes that may stand behind a frame.
    """

    def __init__(self, raw: IO[bytes], begin: Callable[[], Any], padding: bytes = b"") -> None:
        self._raw, self._begin, self._padding = raw, begin, padding
        self._frame: Any = None
        self._behind_frame = False
        self._waiting, self._decompressed = b"", memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as there are bytes without another read; 0 at the end only."""
        while not self._decompressed:
            if self._frame is not None and self._frame.eof:
                self._waiting, self._frame, self._behind_frame = self._frame.unused_data, None, True
            if not self._waiting and (self._frame is None or getattr(self._frame, "needs_input", True)):
                self._waiting = self._raw.read(_CHUNK)
                if not self._waiting:
                    if self._frame is not None:
                        raise EOFError
                    return 0
            if self._frame is None:
                if self._behind_frame:
                    self._waiting = self._waiting.lstrip(self._padding)
                    if not self._waiting:
                        continue
                self._frame = self._begin()
            bounded = (_MOST,) if hasattr(self._frame, "needs_input") else ()
            self._decompressed = memoryview(self._frame.decompress(self._waiting, *bounded))
            self._waiting = b""
        count = min(len(buffer), len(self._decompressed))
        buffer[:count] = self._decompressed[:count]
        self._decompressed = self._decompressed[count:]
        return count
