"""The cache file `.hog`: training data larger than memory, read where it is mapped."""

from __future__ import annotations

import contextlib
import copy
import mmap
import os
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike
from hogwild.data.hog_layout import Opened, block_arrays, block_size, open_layout
from hogwild.data.lines import Reading

_CODES, _NUMBERS = np.empty(0, np.uint16), np.empty(0, np.float64)
_PAGE = np.uint64(mmap.PAGESIZE)
_AGREE = ("features", "columns", "labels", "numbering_id")


class HogBlock(NamedTuple):
    """Rows of a cache file, in its own feature numbers; most arrays are read-only views of the file.

    Attributes
    ----------
    indptr : ndarray of uint64, shape (n_rows + 1,)
    indices : ndarray of uint32, shape (n_entries,)
        Columns: ``numbering[indices]`` are the original features.
    values : ndarray of float32, shape (n_entries,)
        A view if values are stored as float32, converted if as float16; if every one is 1, a part of one array of ones.
    codes : ndarray of uint16, shape (n_rows,), or None
        Places of the labels in `HogFile.labels`; None if there is no table of labels.
    numbers : ndarray of float64, shape (n_rows,), or None
        The labels, if there is no table.
    weights : ndarray of float32, shape (n_rows,) or (0,)
    fields : ndarray of uint32, shape (n_entries,) or (0,)
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    codes: np.ndarray | None
    numbers: np.ndarray | None
    weights: np.ndarray
    fields: np.ndarray


@kernel
def _touch(content, start, stop):
    """Read a byte of every page."""
    total, place = np.uint8(0), np.uint64(start)
    while place < np.uint64(stop):
        total ^= content[place]
        place += _PAGE
    return total


class _Mapped:
    """One file."""

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        self.descriptor = os.open(path, os.O_RDONLY)  # kept, to ask for pages ahead
        self._closed = weakref.finalize(self, os.close, self.descriptor)
        try:
            size = os.fstat(self.descriptor).st_size
            if not size:
                raise DataError(path, found="an empty file", expected="a whole .hog file")
            self.mapping = mmap.mmap(self.descriptor, 0, access=mmap.ACCESS_READ)
            self.content = np.frombuffer(self.mapping, np.uint8)
            self.opened: Opened = open_layout(path, self.content)
        except BaseException:
            self._closed()
            raise
        self.unverified = np.ones(len(self.opened.index), bool)

    def extent(self, k: int) -> tuple[int, int]:
        """Where block `k` starts and ends."""
        start, rows, entries, _ = self.opened.index[k].tolist()
        return start, start + block_size(self.opened.form, rows, entries)

    def close(self) -> None:
        self._closed()
        del self.content, self.opened
        with contextlib.suppress(BufferError):  # as long as somebody holds a view, the mapping stays
            self.mapping.close()


class HogFile:
    """Rows of a cache file, or of several shards of one.

    Parameters
    ----------
    path : path or sequence of paths
    verify : bool, default True
        Whether the checksum of a block is computed when it is first used.

    Attributes
    ----------
    paths : list of str
    n_rows, n_features, n_columns, n_entries, n_blocks : int
        `n_features` counts the original features, `n_columns` those that the file has numbers for.
    numbering : ndarray of uint32, shape (n_columns,), or None
        Original feature of each column; None if features kept their numbers.
    numbering_id : str or None
        Digest of the numbering: files with the same one can be used together.
    label_kind : {"int", "float", "text"}
    labels : ndarray or None
        The distinct labels, sorted; None if there are too many to have codes.
    label_counts : ndarray of int64
        Rows of each of the labels; empty without a table.
    has_weights, has_fields : bool
    shuffled : bool
        Whether rows stand in a random order of all of them.
    about : dict
        What the writer was given to keep.
    block_rows : ndarray of int64, shape (n_blocks,)
    reading : Reading
        As other rows have it; blocks are not parsed.

    Raises
    ------
    DataError
        If a file is truncated, altered, of another kind or of a newer version.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from hogwild.data.batch import Batch
    >>> from hogwild.data.hog import HogFile
    >>> from hogwild.data.hog_writer import write_hog
    >>> rows = Batch(
    ...     np.array([0, 2, 3], np.uint64),
    ...     np.array([7, 9, 9], np.uint32),
    ...     np.array([0.5, 2, 1], np.float32),
    ...     np.array([3, -1]),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.hog")
    ...     write_hog([rows], path, shuffle=False).close()
    ...     with HogFile(path) as hog:
    ...         block = hog.block(0)
    ...         print(block.indices, hog.numbering[block.indices], hog.labels[block.codes])
    [1 0 0] [7 9 9] [ 3 -1]
    """

    def __init__(self, path: PathLike | Sequence[PathLike], *, verify: bool = True) -> None:
        paths = [path] if isinstance(path, str | os.PathLike) else list(path)
        if not paths:
            raise ValueError("no file is named")
        if len({os.path.realpath(path) for path in paths}) < len(paths):
            raise ValueError("a file is named twice")
        self._verify = verify
        self._files: list[_Mapped] = []
        try:
            for each in paths:
                self._files.append(_Mapped(each))
            self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> None:
        """Check that the files belong together, and add them up."""
        opened = [file.opened for file in self._files]
        first = opened[0].description
        for file in self._files[1:]:
            for name in (name for name in _AGREE if file.opened.description[name] != first[name]):
                raise DataError(file.path, found=f"another {name}", expected=f"the one of {self._files[0].path}")
        self.paths = [file.path for file in self._files]
        self.n_rows = sum(each.description["rows"] for each in opened)
        self.n_entries = sum(each.description["entries"] for each in opened)
        self.n_features, self.n_columns = first["features"], first["columns"]
        self.numbering, self.numbering_id = opened[0].numbering, first["numbering_id"]
        self.label_kind, labels = first["labels"]["kind"], first["labels"]["distinct"]
        kinds = {"int": np.int64, "float": np.float64, "text": np.str_}
        self.labels = None if labels is None else np.array(labels, kinds[self.label_kind])
        self.label_counts = np.sum([each.description["label_counts"] for each in opened], axis=0, dtype=np.int64)
        self.has_weights = any(each.form.weights for each in opened)
        self.has_fields = any(each.form.fields for each in opened)
        self.shuffled = all(each.description["shuffled"] for each in opened)
        self.about: dict[str, Any] = first["about"]
        self.block_rows = np.concatenate([each.index[:, 1] for each in opened]).astype(np.int64)
        self._places = [(file, k) for file in self._files for k in range(len(file.opened.index))]
        self.n_blocks = len(self._places)
        self.reading = Reading()

    def counted_from_one(self) -> HogFile:
        """Return the same file with features that were numbered from 1 numbered from 0.

        Raises
        ------
        ValueError
            If a feature 0 occurs, or features kept their numbers.
        """
        if self.numbering is None or (len(self.numbering) and self.numbering.min() == 0):
            raise ValueError("found features that count from 0 or kept their numbers, expected them to count from 1")
        other = copy.copy(self)  # of the same open files
        other.numbering = self.numbering - np.uint32(1)
        other.n_features -= 1
        return other

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        return f"<HogFile {', '.join(self.paths)}: {self.n_rows} rows, {self.n_features} features>"

    def __enter__(self) -> HogFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple:
        return _reopen, (self.paths, self._verify)

    def close(self) -> None:
        """Close the files; views that somebody holds stay valid."""
        self.numbering, self._places = None, []
        for file in self._files:
            file.close()
        self._files = []

    @cached_property
    def _ones(self) -> np.ndarray:
        most = max(int(each.opened.index[:, 2].max()) for each in self._files)
        ones = np.ones(most, np.float32)
        ones.flags.writeable = False
        return ones

    def block(self, k: int) -> HogBlock:
        """Return block `k`, its checksum verified if this is the first time.

        Raises
        ------
        DataError
            If the block has been altered.
        """
        file, own = self._places[k]
        start, stop = file.extent(own)
        _, rows, entries, crc = file.opened.index[own].tolist()
        content = file.content[start:stop]
        if self._verify and file.unverified[own]:
            if zlib.crc32(content) != crc:
                raise DataError(file.path, found=f"an altered block {own}", expected="one that fits its checksum")
            file.unverified[own] = False
        form = file.opened.form
        stored = block_arrays(content, form, rows, entries)
        values = self._ones[:entries] if form.values == "ones" else stored.values.astype(np.float32, copy=False)
        codes, numbers = (stored.labels, None) if form.codes else (None, stored.labels)
        return HogBlock(stored.indptr, stored.indices, values, codes, numbers, stored.weights, stored.fields)

    def read_ahead(self, k: int) -> None:
        """Bring block `k` into memory; to be called by another thread than the one that works on blocks."""
        file, own = self._places[k]
        start, stop = file.extent(own)
        if hasattr(os, "posix_fadvise"):  # unlike madvise it lets other threads of Python run
            os.posix_fadvise(file.descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)
        _touch(file.content, start, stop)

    def release(self, k: int) -> None:
        """Let the pages of block `k` go from this process's memory; its views stay valid, and read them again."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        file, own = self._places[k]
        start, stop = file.extent(own)
        first, last = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, stop // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            file.mapping.madvise(mmap.MADV_DONTNEED, first, last - first)

    def batches(self) -> Iterator[Batch]:
        """Iterate the rows, a block at a time, in original features and labels; slow: everything is copied."""
        for k in range(self.n_blocks):
            block = self.block(k)
            if self.labels is not None:
                labels = self.labels[block.codes]
            else:
                labels = block.numbers.astype(np.int64 if self.label_kind == "int" else np.float64)
            indices = block.indices.copy() if self.numbering is None else self.numbering[block.indices]
            rest = (array.copy() for array in (block.weights, block.fields))
            yield Batch(block.indptr.copy(), indices, block.values.copy(), labels, *rest)
            self.release(k)


def _reopen(paths: list[str], verify: bool) -> HogFile:
    return HogFile(paths, verify=verify)


def open_hog(paths: PathLike | Iterable[PathLike], *, verify: bool = True) -> HogFile:
    """Open a cache file, or shards that belong together as one.

    Parameters
    ----------
    paths : path or iterable of paths
        Some or all shards, in the order in which their blocks are to be numbered. A path without such a file stands for
        the shards that `write_hog` made of it.
    verify : bool, default True
        As for `HogFile`.

    Returns
    -------
    HogFile

    Raises
    ------
    DataError
        If a file is damaged, or its version, numbering, features or labels differ from the first one's.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild.data.batch import Batch
    >>> from hogwild.data.hog import open_hog
    >>> from hogwild.data.hog_writer import write_hog
    >>> import numpy as np
    >>> rows = Batch(np.zeros(6, np.uint64), np.empty(0, np.uint32), np.empty(0, np.float32), np.arange(5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.hog")
    ...     write_hog([rows], path, shards=2).close()
    ...     with open_hog(path) as hog:
    ...         print([os.path.basename(each) for each in hog.paths], len(hog))
    ['rows-00000-of-00002.hog', 'rows-00001-of-00002.hog'] 5
    """
    if isinstance(paths, str | os.PathLike):
        path = Path(paths)
        shards = sorted(path.parent.glob(f"{path.stem}-[0-9]*-of-[0-9]*{path.suffix}"))
        return HogFile(shards if shards and not path.exists() else path, verify=verify)
    return HogFile(list(paths), verify=verify)
