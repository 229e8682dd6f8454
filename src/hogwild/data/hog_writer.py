"""Rows of any source into a `.hog` cache file: shuffled, renumbered and cut into blocks within bounded memory."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

import hogwild
from hogwild.compiled import kernel, prefetch
from hogwild.data.batch import Batch
from hogwild.data.files import PathLike, write_whole
from hogwild.data.hog import HogFile
from hogwild.data.hog_labels import BOX, HELD
from hogwild.data.hog_layout import HEAD, Form, block_arrays, block_size, clear_padding, tail
from hogwild.data.hog_numbering import numbering_id, place_of
from hogwild.data.hog_rows import HEADER, RowStore, record_words
from hogwild.data.hog_survey import Survey, checked

# Records come in random order: their heads are asked for so many rows ahead, then their lines, then the new numbers of
# their features. 1.6 ns an entry (2.0 of 2**22 features), 3.1 (6.0) without.
_FAR, _NEXT, _NEAR = (np.uint64(i) for i in (16, 8, 2))
_0, _1, _2, _3, _4, _32 = (np.uint64(i) for i in (0, 1, 2, 3, 4, 32))
_HELD = np.uint64(HELD - 1)
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


def write_hog(
    batches: Iterable[Batch],
    path: PathLike,
    *,
    n_features: int | None = None,
    memory: int = 256 << 20,
    block_bytes: int = 32 << 20,
    values: str = "auto",
    seed: int | None = 0,
    shards: int = 1,
    about: dict[str, Any] | None = None,
    shuffle: bool = True,
    renumber: bool = True,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> HogFile:
    """Write rows to a cache file that trains faster than memory can hold.

    Parameters
    ----------
    batches : iterable of Batch
        Read once. Labels are integers, floats or text; integers in one batch and floats in another are all floats.
    path : str or path-like
        With several shards the files are called ``name-00000-of-00004.hog``. What stands there is replaced once all is
        written; a writer that fails or is killed leaves it as it was.
    n_features : int, optional
        Number of columns of the data; by default what the largest index asks for.
    memory : int, default 256 MiB
        Bytes in which rows are held. Rows that take more than three quarters of it are shuffled by way of temporary
        files beside `path`, as large as the data. Beside them the writer takes up to 12 bytes a feature: 8 for each
        that occurs, 4 for each of its page (4,096 features from a multiple of 4,096 on).
    block_bytes : int, default 32 MiB
        About the size of a block, at most an eighth of `memory`. A block has at least one row.
    values : {"auto", "float32", "float16"}, default "auto"
        How values are stored. "auto" loses nothing: no values at all if every one is 1, float16 if every one is exact
        in it, else float32. "float16" rounds.
    seed : int or None, default 0
        Seed of the order of rows: the same rows, seed and memory give the same file, however batches are cut.
    shards : int, default 1
        Number of files, of equal numbers of rows and with the same numbering.
    about : dict, optional
        JSON values to keep with the rows (`HogFile.about`).
    shuffle : bool, default True
        Whether to write rows in a random order of all of them.
    renumber : bool, default True
        Whether to number features by how often they occur, the most frequent 0, leaving out those that do not.
    on_progress : callable, optional
        Called as ``on_progress("read", rows, None)`` and ``on_progress("write", rows, rows in all)`` now and then.

    Returns
    -------
    HogFile
        All of the shards.

    Raises
    ------
    ValueError
        If an option is wrong, there are no rows, or rows do not go together: an index beyond `n_features`, NaN as a
        label, numbers and text, more than 65,536 distinct labels that are text, fields in some batches only, values
        beyond float16.
    OSError
        If there is no room left on the disk. Temporary files are removed then.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from hogwild.data.batch import Batch
    >>> from hogwild.data.hog_writer import write_hog
    >>> rows = Batch(
    ...     np.array([0, 2, 3], np.uint64),
    ...     np.array([7, 9, 9], np.uint32),
    ...     np.array([0.5, 2, 1], np.float32),
    ...     np.array(["spam", "ham"]),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     hog = write_hog([rows], os.path.join(folder, "mails.hog"))
    ...     print(hog.n_rows, hog.n_features, hog.n_columns, hog.numbering, hog.labels, hog.label_counts)
    ...     hog.close()
    2 10 2 [9 7] ['ham' 'spam'] [1 1]
    """
    path = Path(path)
    paths = _check(path, values, shards, memory, block_bytes, n_features)
    about = json.loads(json.dumps(about or {}))
    report = on_progress or (lambda stage, rows, total: None)
    with RowStore(path, memory, np.random.default_rng(seed), shuffle) as rows:
        survey = Survey(n_features, values, renumber)
        for batch in map(checked, batches):
            if batch.n_rows:
                words = survey.look(batch)
                with _named(path):
                    rows.add(batch, words)
                report("read", rows.n_rows, None)
        if not rows.n_rows:
            raise ValueError("there are no rows to write")
        if rows.n_rows < shards:
            raise ValueError(f"{rows.n_rows} rows do not fill {shards} shards")
        with _named(path):
            kept = {"about": about, "shuffled": shuffle}
            _write_files(rows, survey, paths, min(block_bytes, memory // 8), kept, report)
    return HogFile(paths if shards > 1 else paths[0])


def _check(path: Path, values: str, shards: int, memory: int, block_bytes: int, n_features: int | None) -> list[Path]:
    """Check options; return the paths of the shards."""
    if values not in ("auto", "float32", "float16"):
        raise ValueError(f"values is 'auto', 'float32' or 'float16', not {values!r}")
    for name, number in (("shards", shards), ("memory", memory), ("block_bytes", block_bytes)):
        if number < 1:
            raise ValueError(f"{name} is at least 1, not {number!r}")
    if n_features is not None and not 1 <= n_features <= 2**32:
        raise ValueError(f"n_features lies between 1 and 2**32, not {n_features!r}")
    if path.suffix.lower() in _COMPRESSED:
        raise ValueError(f"a cache file is mapped into memory, so it cannot be compressed: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    if shards == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{i:05d}-of-{shards:05d}{path.suffix}") for i in range(shards)]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give errors of the system the name of the file; a full disk has none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


# ------------------------------------------------------------------------------------------------ files


def _write_files(
    rows: RowStore,
    survey: Survey,
    paths: list[Path],
    limit: int,
    kept: dict[str, Any],
    report: Callable[[str, int, int | None], None],
) -> None:
    """Write all rows to files that appear together, with `kept` in their descriptions."""
    form, labels, numbering = survey.form(bool(rows.fields)), survey.table, survey.number()
    n_columns = survey.n_features if numbering is None else len(numbering)
    description = {
        "form": form._asdict(),
        "features": survey.n_features,
        "columns": n_columns,
        "labels": {"kind": labels.kind, "distinct": None if labels.distinct is None else labels.distinct.tolist()},
        "numbering_id": None if numbering is None else numbering_id(numbering),
        **kept,
        "writer": f"hogwild {hogwild.__version__}",
    }
    ends = [rows.n_rows * (i + 1) // len(paths) for i in range(len(paths))]
    blocks = _Blocks(form, rows.entry_words, survey)
    with contextlib.ExitStack() as stack:
        files = [_File(stack.enter_context(write_whole(path)), form) for path in paths]
        shard = written = 0
        for stream, offsets in rows.read():
            start = 0
            while start < len(offsets):
                stop = min(start + ends[shard] - written, len(offsets))
                for buffer, n_rows, n_entries in blocks.cut(stream, offsets[start:stop], limit):
                    files[shard].add(buffer, n_rows, n_entries)
                    written += n_rows
                    report("write", written, rows.n_rows)
                start = stop
                shard += written == ends[shard]
        for i, file in enumerate(files):
            file.finish(description | {"shard": [i, len(files)]}, numbering)


class _File:
    """A file that is being written."""

    def __init__(self, file: IO[bytes], form: Form) -> None:
        self._file, self._form = file, form
        self._index: list[tuple[int, int, int, int]] = []
        self._at = HEAD
        self._label_counts = np.zeros(0, np.int64)
        file.write(bytes(HEAD))

    def add(self, buffer: np.ndarray, rows: int, entries: int) -> None:
        """Write a block."""
        self._file.write(memoryview(buffer))
        self._index.append((self._at, rows, entries, zlib.crc32(buffer)))
        self._at += len(buffer)
        if self._form.codes:
            counts = np.bincount(block_arrays(buffer, self._form, rows, entries).labels)
            if len(counts) < len(self._label_counts):
                counts, self._label_counts = self._label_counts, counts
            counts[: len(self._label_counts)] += self._label_counts
            self._label_counts = counts

    def finish(self, description: dict[str, Any], numbering: np.ndarray | None) -> None:
        """Write what follows the blocks, wait until it is on the disk, and write the head."""
        index = np.array(self._index, np.uint64)
        counts = np.zeros(len(description["labels"]["distinct"] or ()), np.int64)
        counts[: len(self._label_counts)] = self._label_counts
        sizes = {"rows": int(index[:, 1].sum()), "entries": int(index[:, 2].sum()), "label_counts": counts.tolist()}
        *pieces, head = tail(self._at, description | sizes, numbering, index)
        for piece in pieces:
            self._file.write(piece)
        self._file.seek(0)
        self._file.write(head)
        self._file.flush()
        os.fsync(self._file.fileno())  # of all files before the first gets its name


# ------------------------------------------------------------------------------------------------ blocks


@kernel
def _entries(stream, offsets):
    entries = _0
    for offset in offsets:
        entries += np.uint64(stream[offset])
    return entries


@kernel
def _cut(stream, offsets, row_bytes, entry_bytes, target):
    """Take rows until they have `target` bytes: ``(rows, entries)``."""
    entries, size, i = _0, _0, _0
    while i < np.uint64(offsets.size) and size < np.uint64(target):
        n = np.uint64(stream[offsets[i]])
        entries += n
        size += np.uint64(row_bytes) + n * np.uint64(entry_bytes)
        i += _1
    return i, entries


@kernel
def _emit(stream, offsets, entry_words, directory, pages, held, indptr, indices, values, labels, weights, fields):
    """Write the records at `offsets` as arrays of a block; those that the block has not are empty."""
    entry = _0
    indptr[_0] = _0
    for i in range(np.uint64(offsets.size)):
        if i + _FAR < np.uint64(offsets.size):
            prefetch(stream, offsets[i + _FAR])
            at = offsets[i + _NEXT]
            for line in range((record_words(stream, at, entry_words) >> _4) + _1):
                prefetch(stream, at + (line << _4))
            if directory.size:
                at = offsets[i + _NEAR] + HEADER
                for j in range(np.uint64(stream[offsets[i + _NEAR]])):
                    prefetch(pages, place_of(stream[at + j], directory))
        at = offsets[i]
        n = np.uint64(stream[at])
        label = np.uint64(stream[at + _1]) | (np.uint64(stream[at + _2]) << _32)
        labels[i] = held[label & _HELD] if label >= BOX else label
        if weights.size:
            weights[i] = stream[at + _3]
        at += HEADER
        if directory.size:
            for j in range(n):
                indices[entry + j] = pages[place_of(stream[at + j], directory)]
        else:
            for j in range(n):
                indices[entry + j] = stream[at + j]
        if values.size:
            for j in range(n):
                values[entry + j] = stream[at + n + j]
        if fields.size:
            for j in range(n):
                fields[entry + j] = stream[at + n + n + j]
        entry += n
        indptr[i + _1] = entry


class _Blocks:
    """Makes blocks of records, all in one buffer."""

    def __init__(self, form: Form, entry_words: np.uint64, survey: Survey) -> None:
        self._form, self._entry_words = form, entry_words
        self._numbers = survey.directory, survey.pages
        self._held = survey.table.codes if form.codes else survey.table.numbers.view(np.uint64)
        self._buffer = np.empty(0, np.uint8)

    def cut(self, stream: np.ndarray, offsets: np.ndarray, limit: int) -> Iterator[tuple[np.ndarray, int, int]]:
        """Iterate blocks of about equal size, at most `limit` bytes and a row: ``(bytes, rows, entries)``."""
        row_bytes, entry_bytes = self._form.row_bytes, self._form.entry_bytes
        size = row_bytes * len(offsets) + entry_bytes * int(_entries(stream, offsets))
        target = -(-size // -(-size // max(limit, 1)))
        start = 0
        while start < len(offsets):
            rows, entries = map(int, _cut(stream, offsets[start:], row_bytes, entry_bytes, target))
            yield self._block(stream, offsets[start : start + rows], entries), rows, entries
            start += rows

    def _block(self, stream: np.ndarray, offsets: np.ndarray, entries: int) -> np.ndarray:
        form, rows = self._form, len(offsets)
        size = block_size(form, rows, entries)
        if len(self._buffer) < size:
            self._buffer = np.empty(size, np.uint8)
        buffer = self._buffer[:size]
        block = block_arrays(buffer, form, rows, entries)
        narrow = form.values == "float16"
        values = np.empty(entries, np.float32) if narrow else block.values
        labels = block.labels if form.codes else block.labels.view(np.uint64)
        words = [array.view(np.uint32) for array in (values, block.weights)]
        arrays = block.indptr, block.indices, words[0], labels, words[1], block.fields
        _emit(stream, offsets, self._entry_words, *self._numbers, self._held, *arrays)
        if narrow:
            block.values[:] = values
        clear_padding(buffer, form, rows, entries)
        return buffer
