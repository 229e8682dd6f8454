"""Where rows are: local files, globs, folders, standard input, URLs; each opened as a stream of decompressed bytes."""

from __future__ import annotations

import contextlib
import functools
import glob
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from hogwild.data.errors import DataError
from hogwild.data.files import COMPRESSED, PathLike, bz2_reader, xz_reader, zstd_error, zstd_reader

STANDARD_INPUT = "-"


def expand(sources: PathLike | Iterable[PathLike]) -> list[str]:
    """Return the files that `sources` stand for, in a fixed order.

    Parameters
    ----------
    sources : str, path-like or an iterable of them
        A file; a folder (all files in it and below, by name, hidden ones left out); a pattern with ``*``, ``?`` or
        ``[...]`` (``**`` matches folders); ``-`` for standard input; a URL that fsspec opens (``s3://bucket/*.gz``).

    Returns
    -------
    list of str

    Raises
    ------
    FileNotFoundError
        If a source is not there, or a folder or pattern matches no file.
    """
    given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    found: list[str] = []
    for source in map(os.fspath, given):
        if source == STANDARD_INPUT:
            found.append(source)
        elif is_url(source):
            found.extend(_expand_url(source))
        elif os.path.isdir(source):
            files = sorted(
                os.path.join(folder, name)
                for folder, _, names in os.walk(source)
                for name in names
                if not any(part.startswith(".") for part in Path(folder, name).relative_to(source).parts)
            )
            if not files:
                raise FileNotFoundError(2, "found no file in this folder", source)
            found.extend(files)
        elif not os.path.exists(source) and glob.has_magic(source):
            files = sorted(name for name in glob.glob(source, recursive=True) if os.path.isfile(name))
            if not files:
                raise FileNotFoundError(2, "found no file that matches", source)
            found.extend(files)
        elif not os.path.exists(source):
            raise FileNotFoundError(2, "No such file or directory", source)
        else:
            found.append(source)
    if not found:
        raise ValueError("found no sources, expected at least one")
    return found


def is_url(location: str) -> bool:
    """Whether `location` names something that fsspec opens."""
    return "://" in location


def _path(location: str) -> Path:
    """Path of a file, or of a URL's; ``memory://rows.svm`` has nothing but a host."""
    url = urlsplit(location)
    return Path((url.path.strip("/") and url.path) or url.netloc) if is_url(location) else Path(location)


def suffix(location: str) -> str:
    """Extension without that of a compression, in lower case: ``.svm`` for ``rows.svm.gz``."""
    path = _path(location)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix.lower()


def compression(location: str) -> str:
    """``.gz``, ``.bz2``, ``.xz``, ``.zst``, or nothing."""
    extension = _path(location).suffix.lower()
    return extension if extension in COMPRESSED else ""


def stored_bytes(location: str) -> int | None:
    """Bytes of the file as it is stored; None where nobody knows (standard input, pipes)."""
    if location == STANDARD_INPUT:
        return None
    if is_url(location):
        return _fsspec().core.url_to_fs(location)[0].info(_fsspec().core.url_to_fs(location)[1]).get("size")
    return os.path.getsize(location) if os.path.isfile(location) else None


def fingerprint(location: str) -> list[Any]:
    """What tells one state of a source from another: name, size, time of its last change."""
    if location == STANDARD_INPUT:
        raise ValueError("standard input has no fingerprint")
    if is_url(location):
        system, path = _fsspec().core.url_to_fs(location)
        about = system.info(path)
        state = next((about[key] for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in about), "")
        return [location, about.get("size"), str(state)]
    status = os.stat(location)
    return [os.path.abspath(location), status.st_size, status.st_mtime_ns]


@contextlib.contextmanager
def open_bytes(location: str) -> Iterator[Stream]:
    """Open a source: the stream of its decompressed bytes.

    Raises
    ------
    DataError
        While reading: a compressed file is damaged or ends too early.
    """
    with contextlib.ExitStack() as stack:
        if location == STANDARD_INPUT:
            raw: Any = _standard_input()
        elif is_url(location):
            raw = stack.enter_context(_fsspec().open(location, "rb"))
        else:
            raw = stack.enter_context(open(location, "rb", buffering=0))
        yield Stream(location, raw, compression(location))


class Stream:
    """Decompressed bytes of one source.

    Attributes
    ----------
    consumed : int
        Stored bytes that have been read so far.
    """

    def __init__(self, location: str, raw: IO[bytes], extension: str) -> None:
        self.location, self.consumed = location, 0
        self._extension, self._raw = extension, raw
        self._file = _DECOMPRESSORS[extension](_Counted(self)) if extension else _Counted(self)
        self._empty = True

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as there are bytes; returns how many."""
        filled = 0
        try:
            while filled < len(buffer):
                count = self._file.readinto(buffer[filled:])
                if not count:
                    break
                filled += count
        except EOFError:
            raise DataError(self.location, found="a truncated file", expected=self._whole()) from None
        except (zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if self._extension == ".bz2" and error.errno is None:
                raise self._damaged(error) from error
            raise
        except Exception as error:  # zstandard's own class is known only where it is installed
            if self._extension == ".zst" and isinstance(error, zstd_error()):
                raise self._damaged(error) from error
            raise
        if self._extension and self._empty and not filled and len(buffer) and not self.consumed:
            raise DataError(self.location, found="an empty file", expected=self._whole())
        self._empty = self._empty and not filled
        return filled

    def binary_file(self) -> IO[bytes]:
        """Return the bytes as a file that others can read; it cannot seek unless the source can."""
        if not self._extension and hasattr(self._raw, "seek") and self._raw.seekable():
            return self._raw
        return io.BufferedReader(_Raw(self), 1 << 20)

    def _damaged(self, error: Exception) -> DataError:
        return DataError(self.location, found=f"damaged data ({error})", expected=self._whole())

    def _whole(self) -> str:
        return f"a whole {self._extension} file"


class _StandardInput(io.RawIOBase):
    """Standard input whose first bytes can be looked at before they are read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._ahead, self.name = raw, b"", STANDARD_INPUT

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._raw.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes, or all if there are fewer: waits for them."""
        if self.seekable():
            place = self.tell()
            found = self._raw.read(size)
            self.seek(place)
            return found
        while len(self._ahead) < size:
            more = self._raw.read(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:size]

    def readinto(self, buffer: memoryview) -> int:
        content = self._ahead[: len(buffer)] or self._raw.read(len(buffer))
        self._ahead = self._ahead[len(content) :]
        memoryview(buffer)[: len(content)] = content
        return len(content)


def _standard_input() -> _StandardInput:
    return _looked_at(sys.stdin.buffer)


_looked_at = functools.lru_cache(1)(_StandardInput)


class _Raw(io.RawIOBase):
    """A stream as Python's own files read it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.name = stream.location

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        return self._stream.readinto(memoryview(buffer))


class _Counted:
    """The raw file of a `Stream`, counting what is read: all that the decompressors ask of a file."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._raw = stream, stream._raw

    def readinto(self, buffer: memoryview) -> int:
        if hasattr(self._raw, "readinto"):
            count = self._raw.readinto(buffer) or 0
        else:
            content = self._raw.read(len(buffer))
            count = len(content)
            buffer[:count] = content
        self._stream.consumed += count
        return count

    def read(self, size: int = -1) -> bytes:
        content = self._raw.read(size) or b""
        self._stream.consumed += len(content)
        return content

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return True

    closed = False


_DECOMPRESSORS = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),
    ".bz2": bz2_reader,
    ".xz": xz_reader,
    ".zst": zstd_reader,
}


def _expand_url(url: str) -> list[str]:
    system, path = _fsspec().core.url_to_fs(url)
    if glob.has_magic(path):
        matched = sorted(system.glob(path))
    elif system.isdir(path):
        below = len(system._strip_protocol(path).rstrip("/"))
        matched = sorted(name for name in system.find(path) if "/." not in name[below:])
    else:
        return [url]
    if not matched:
        raise FileNotFoundError(2, "found no file that matches", url)
    return [system.unstrip_protocol(name) for name in matched]


def _fsspec() -> Any:
    try:
        import fsspec
        import fsspec.core
    except ImportError:
        raise ImportError("URLs need fsspec: pip install hogwild[cloud]") from None
    return fsspec


def sample(location: str, size: int = 1 << 20) -> bytes:
    """Return the first bytes of a source, decompressed; of standard input what is there without taking it."""
    if location == STANDARD_INPUT:
        return _standard_input().peek(size)
    with open_bytes(location) as stream:
        buffer = memoryview(bytearray(size))
        return bytes(buffer[: stream.readinto(buffer)])
