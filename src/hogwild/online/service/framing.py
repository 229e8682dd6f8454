"""Values out of what arrives, whatever arrives."""

from __future__ import annotations

from typing import Any

import msgpack

_SMALL = 1 << 16  # bytes, up to which one reader serves all: 2 us less than one of its own for each value
_READING: dict[str, Any] = {"raw": False, "unicode_errors": "surrogateescape", "use_list": False}  # keys: texts only


class MalformedError(ValueError):
    """What arrived is no message, or one that is not taken."""


class _Reader:
    """Makes values of bytes that are known to hold one each."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._reader = msgpack.Unpacker(read_size=_SMALL, max_buffer_size=_SMALL, **_READING)

    def value(self, data: bytes) -> Any:
        try:
            if len(data) > _SMALL:
                return msgpack.unpackb(data, **_READING)
            self._reader.feed(data)
            return self._reader.unpack()
        except Exception as error:  # keys of maps that are no texts, times that are none
            self._renew()
            raise MalformedError(f"no MessagePack that is taken: {error}") from None


_reader = _Reader()


class Frames:
    """Cuts what arrives into MessagePack values.

    A value is made only when all of it is there. Its end is found by skipping over it, which makes nothing: an array
    that is said to have 2^32 items costs nothing until they come.

    Parameters
    ----------
    limit : int
        Bytes of one value.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._scanner = msgpack.Unpacker(read_size=1024, max_buffer_size=0)
        self._came = self._start = 0  # bytes so far, and where the next value starts among them
        self._data, self._at = b"", 0  # the same place, in what is at hand
        self._behind: list[bytes] = []  # what came after that

    @property
    def unfinished(self) -> int:
        """Bytes of a value that is not taken, or not whole yet."""
        return self._came - self._start

    def feed(self, data: bytes) -> None:
        """Take what arrived; `take` has the values."""
        self._scanner.feed(data)
        self._came += len(data)
        self._behind.append(data)

    def take(self) -> tuple[Any, int] | None:
        """Return the next value and its length in bytes, or None where it is not whole.

        Raises
        ------
        MalformedError
            There is no such value, or it is too long.
        """
        frame = self.take_bytes()
        return None if frame is None else (value_of(frame), len(frame))

    def take_bytes(self) -> bytes | None:
        """Return the same as its bytes.

        Raises
        ------
        MalformedError
            There is no such value, or it is too long.
        """
        try:
            self._scanner.skip()
        except msgpack.OutOfData:
            if self.unfinished > self._limit:
                raise MalformedError(f"expected at most {self._limit} bytes, found more") from None
            return None
        except ValueError as error:
            raise MalformedError(f"no MessagePack: {type(error).__name__}") from None
        end = self._scanner.tell()
        size, self._start = end - self._start, end
        if size > self._limit:
            raise MalformedError(f"expected at most {self._limit} bytes, found {size}")
        if self._behind:
            self._data, self._at = b"".join((self._data[self._at :], *self._behind)), 0
            self._behind.clear()
        at = self._at
        self._at = at + size
        frame = self._data[at : self._at]
        if self._at == len(self._data):
            self._data, self._at = b"", 0
        return frame


def value_of(frame: bytes) -> Any:
    """Return the value that bytes of `Frames` hold.

    Raises
    ------
    MalformedError
        It has a part that is not taken: a map whose keys are no texts, for example.
    """
    return _reader.value(frame)


def short_text(frame: bytes, at: int) -> tuple[str, int] | None:
    """Return a text of at most 31 bytes that stands there, and where it ends; None where there is none."""
    length = frame[at] - 0xA0 if at < len(frame) else -1
    if not 0 <= length <= 31:
        return None
    return frame[at + 1 : at + 1 + length].decode("utf-8", "surrogateescape"), at + 1 + length


def list_call(frame: bytes) -> tuple[int, str, int] | None:
    """Return number, method and the place of the argument of a request with one argument after the group's name.

    None for all other messages, and for those whose numbers or names are written at more length than they need.
    """
    if frame[:2] != b"\x94\x00" or len(frame) < 8:
        return None
    code = frame[2]
    size = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(code, 0)
    if not size and code > 0x7F:
        return None
    ticket = int.from_bytes(frame[3 : 3 + size], "big") if size else code
    method = short_text(frame, 3 + size)
    if method is None or frame[method[1] : method[1] + 1] != b"\x92":
        return None
    group = short_text(frame, method[1] + 1)
    return None if group is None else (ticket, method[0], group[1])
