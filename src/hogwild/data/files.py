"""Local files as bytes, decompressed on the way, and files that are written whole or not at all."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from hogwild.data.errors import DataError
from hogwild.data.frames import Frames
from hogwild.folders import sync

PathLike = str | os.PathLike[str]
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


def read_bytes(path: PathLike) -> np.ndarray:
    """Return the content of a local file, decompressed if its name ends in .gz, .bz2, .xz or .zst.

    Parameters
    ----------
    path : str or path-like
        A plain file is mapped into memory, not read. What cannot be mapped (a pipe) is read to its end.

    Returns
    -------
    ndarray of uint8, read-only

    Raises
    ------
    DataError
        If a compressed file is damaged or ends too early.
    ImportError
        If a .zst file is named and nothing that reads it is installed.

    Examples
    --------
    >>> import gzip, os, tempfile
    >>> from hogwild.data.files import read_bytes
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "rows.svm.gz")
    ...     with gzip.open(name, "wb") as file:
    ...         _ = file.write(b"1 3:0.5")
    ...     bytes(read_bytes(name))
    b'1 3:0.5'
    """
    extension = Path(path).suffix.lower()
    if extension in _DECOMPRESS:
        return np.frombuffer(_decompressed(path, extension), np.uint8)
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return np.asarray(np.memmap(file, np.uint8, "r"))
        return np.frombuffer(file.read(), np.uint8)


@contextlib.contextmanager
def write_whole(path: PathLike) -> Iterator[IO[bytes]]:
    """Open `path` for writing bytes: it appears at the end of the ``with`` block, complete, or not at all.

    Parameters
    ----------
    path : str or path-like
        What is written is compressed if the name ends in .gz, .bz2, .xz or .zst. An existing file stays as it is until
        it is replaced. A pipe or a device is written to as it is.

    Yields
    ------
    file : binary file, to write

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild.data.files import write_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_whole(os.path.join(folder, "rows.svm")) as file:
    ...         _ = file.write(b"1 3:0.5")
    ...     os.listdir(folder)
    ['rows.svm']
    """
    path = Path(os.path.realpath(path))  # through links: the file is replaced, not the link
    compress = _COMPRESS.get(path.suffix.lower(), contextlib.nullcontext)
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device takes what comes
        with open(path, "wb") as raw, compress(raw) as file:
            yield file
        return
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as raw:
            with compress(raw) as file:
                yield file
            raw.flush()
            os.fchmod(raw.fileno(), _mode(path))
            os.fsync(raw.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync(path.parent)


def _mode(path: Path) -> int:
    """Permissions of the file that is replaced, or those that a new file gets."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


# ------------------------------------------------------------------------------------------------ compression


def _decompressed(path: PathLike, extension: str) -> bytes:
    content = Path(path).read_bytes()
    whole = f"a whole {extension} file"
    if not content:
        raise DataError(path, found="an empty file", expected=whole)
    try:
        return _DECOMPRESS[extension](content)
    except EOFError:
        raise DataError(path, found="a truncated file", expected=whole) from None
    except (OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(path, found=f"damaged data ({error})", expected=whole) from error


def _bunzip(content: bytes) -> bytes:
    with bz2_reader(io.BytesIO(content)) as file:
        return file.read()


def _unxz(content: bytes) -> bytes:
    with xz_reader(io.BytesIO(content)) as file:
        return file.read()


def _zstd() -> ModuleType:
    """Python's own module, from 3.14 on, or the package `zstandard`."""
    for name in ("compression.zstd", "zstandard"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise ImportError("reading and writing .zst files needs Python 3.14 or zstandard: pip install hogwild[zstd]")


def bz2_reader(raw: IO[bytes]) -> IO[bytes]:
    """Decompress .bz2 data as a stream; EOFError where they end too early."""
    return io.BufferedReader(Frames(raw, bz2.BZ2Decompressor), 1 << 20)


def xz_reader(raw: IO[bytes]) -> IO[bytes]:
    """Decompress .xz data as a stream; EOFError where they end too early."""
    return io.BufferedReader(Frames(raw, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ), b"\0"), 1 << 20)


def zstd_reader(raw: IO[bytes]) -> IO[bytes]:
    """Decompress .zst data as a stream; EOFError where they end too early."""
    zstd = _zstd()
    native = zstd.__name__ != "zstandard"
    begin = zstd.ZstdDecompressor if native else lambda: zstd.ZstdDecompressor().decompressobj()
    return io.BufferedReader(Frames(raw, begin), 1 << 20)


def zstd_error() -> type[Exception]:
    """Return the exception that damaged .zst data raise."""
    return _zstd().ZstdError


def _unzstd(content: bytes) -> bytes:
    try:
        with zstd_reader(io.BytesIO(content)) as file:
            return file.read()
    except zstd_error() as problem:
        raise ValueError(problem) from problem


def _zstd_writer(file: IO[bytes]) -> Any:
    zstd = _zstd()
    if zstd.__name__ == "zstandard":
        return zstd.ZstdCompressor().stream_writer(file, closefd=False)
    return zstd.ZstdFile(file, "wb")


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": _bunzip,
    ".xz": _unxz,
    ".zst": _unzstd,
}
_COMPRESS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0),
    ".bz2": partial(bz2.BZ2File, mode="wb"),
    ".xz": partial(lzma.LZMAFile, mode="wb"),
    ".zst": _zstd_writer,
}
