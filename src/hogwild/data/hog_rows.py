"""Rows in random order within bounded memory: dealt at random into files, each shuffled when it is read back.

A row travels as a record of 32-bit words: number of entries, two words of the label, weight, then its indices, values
and fields. Rows dealt into independent random buckets, each of which is permuted, are in uniformly random order.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from hogwild.compiled import inlined, kernel, prefetch
from hogwild.data.batch import Batch

HEADER = np.uint64(4)  # words in front of a record's entries
_OFFSET = np.uint64(2)  # words that a row takes in the table of offsets
_0, _1, _2, _3 = (np.uint64(i) for i in range(4))
_32 = np.uint64(32)
_ONE = np.float32(1).view(np.uint32)
_LINE_WORDS, _AHEAD = np.uint64(16), np.uint64(1024)  # walking from record to record takes 14 ns a row, 136 without
_PIECE = 1 << 18  # bytes that a bucket should be given at a time
_MOST_BUCKETS, _FEWEST_BUCKETS = 256, 8


@kernel
def _append(indptr, indices, values, labels, weights, fields, row, entry_words, stream, used, held):
    """Write rows from `row` on behind the `used` words of `held` records while they and their offsets fit."""
    row, used, held = np.uint64(row), np.uint64(used), np.uint64(held)
    while row < np.uint64(labels.size):
        start, n = indptr[row], indptr[row + _1] - indptr[row]
        if used + HEADER + n * entry_words + _OFFSET * (held + _1) > np.uint64(stream.size):
            break
        stream[used] = np.uint32(n)
        stream[used + _1] = np.uint32(labels[row])
        stream[used + _2] = np.uint32(labels[row] >> _32)
        stream[used + _3] = weights[row] if weights.size else _ONE
        used += HEADER
        for j in range(n):
            stream[used + j] = indices[start + j]
        used += n
        for j in range(n):
            stream[used + j] = values[start + j]
        used += n
        if fields.size:
            for j in range(n):
                stream[used + j] = fields[start + j]
            used += n
        row, held = row + _1, held + _1
    return row, used, held


@inlined
def record_words(stream, at, entry_words):
    """Length of the record at word `at`."""
    return HEADER + np.uint64(stream[at]) * entry_words


@inlined
def _walk(stream, at, entry_words):
    """Length of the record at word `at`; asks for as many words further on."""
    length, ahead = record_words(stream, at, entry_words), _0
    while ahead <= length:
        prefetch(stream, at + _AHEAD + ahead)
        ahead += _LINE_WORDS
    return length


@kernel
def _advance(stream, at, limit, entry_words):
    """Records from `at` on, one at least, up to `limit` words: ``(end, rows)``."""
    at, rows = np.uint64(at), _0
    stop = at + np.uint64(limit)
    while at < np.uint64(stream.size):
        end = at + _walk(stream, at, entry_words)
        if end > stop and rows:
            break
        at, rows = end, rows + _1
    return at, rows


@kernel
def _offsets(stream, entry_words, offsets):
    at = _0
    for i in range(np.uint64(offsets.size)):
        offsets[i] = at
        at += _walk(stream, at, entry_words)


@kernel
def _weigh(stream, buckets, entry_words, words):
    """Add up the words that each bucket gets."""
    at = _0
    for bucket in buckets:
        length = _walk(stream, at, entry_words)
        words[bucket] += length
        at += length


@kernel
def _deal(stream, buckets, entry_words, cursors, dealt):
    """Copy each record to the cursor of its bucket."""
    at = _0
    for bucket in buckets:
        length, cursor = record_words(stream, at, entry_words), cursors[bucket]
        for j in range(length):
            dealt[cursor + j] = stream[at + j]
        cursors[bucket] = cursor + length
        at += length


class _Bucket:
    """A file of records, and after how many words and rows it can be cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.segments: list[int] = []
        self.words = self.rows = 0

    @property
    def need(self) -> int:
        """Words that its records and their offsets take in memory."""
        return self.words + int(_OFFSET) * self.rows

    def append(self, records: np.ndarray, rows: int, limit: int) -> None:
        """Write records; segments are joined up to `limit` words."""
        with open(self.path, "ab") as file:
            file.write(memoryview(records))
        if self.segments and self.segments[-1] + len(records) <= limit:
            self.segments[-1] += len(records)
        else:
            self.segments.append(len(records))
        self.words += len(records)
        self.rows += rows

    def load(self, start: int, into: np.ndarray) -> None:
        """Read from word `start` on."""
        with open(self.path, "rb") as file:
            file.seek(4 * start)
            if file.readinto(memoryview(into).cast("B")) != into.nbytes:
                raise OSError(f"{self.path} has become shorter")


class RowStore:
    """All rows, in memory or in a temporary folder that the ``with`` block removes.

    Three quarters of the memory hold records and their offsets, a quarter what is dealt.

    Parameters
    ----------
    place : Path
        Where the temporary folder is made, and how its name begins.
    memory : int
        Bytes.
    rng : Generator
    shuffle : bool
        Whether rows are drawn in random order, else in the order in which they came.
    """

    def __init__(self, place: Path, memory: int, rng: np.random.Generator, shuffle: bool) -> None:
        self._place, self._rng, self._shuffle = place, rng, shuffle
        self._side = max(memory // 16, 1)  # words
        self._stream = np.empty(3 * self._side, np.uint32)  # memory that nothing is written to is not taken
        self._dealt = np.empty(self._side, np.uint32)
        self._used = self._held = 0
        self._folder: tempfile.TemporaryDirectory | None = None
        self._buckets: list[_Bucket] = []
        self._files = 0
        self.fields: bool | None = None
        self.n_rows = 0

    def __enter__(self) -> RowStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def entry_words(self) -> np.uint64:
        """Words of an entry."""
        return _3 if self.fields else _2

    def add(self, batch: Batch, labels: np.ndarray) -> None:
        """Keep rows, their labels given as words (`hog_labels.Labels`)."""
        if len(batch.indices):
            fields = len(batch.fields) > 0
            if self.fields not in (None, fields):
                raise ValueError("some batches have fields and others have none")
            self.fields = fields
        values, weights, fields = (array.view(np.uint32) for array in (batch.values, batch.weights, batch.fields))
        arrays = batch.indptr, batch.indices, values, labels, weights, fields
        row = 0
        while row < len(labels):
            state = _append(*arrays, row, self.entry_words, self._stream, self._used, self._held)
            row, self._used, self._held = map(int, state)
            if row < len(labels) and self._held:
                self._spill()
            elif row < len(labels):  # longer than all of the memory
                n = int(batch.indptr[row + 1] - batch.indptr[row])
                self._stream = np.empty(int(HEADER + _OFFSET) + n * int(self.entry_words), np.uint32)
        self.n_rows += len(labels)

    def _spill(self) -> None:
        """Empty the memory into files: random ones, or the next one."""
        if not self._buckets:
            self._folder = tempfile.TemporaryDirectory(dir=self._place.parent, prefix=f".{self._place.name}-")
            if self._shuffle:
                n = min(max(4 * self._side // _PIECE, _FEWEST_BUCKETS), _MOST_BUCKETS)
                self._buckets = [self._new_bucket() for _ in range(n)]
        if self._shuffle:
            self._deal(self._stream[: self._used], self._buckets)
        else:
            self._buckets.append(self._new_bucket())
            self._buckets[-1].append(self._stream[: self._used], self._held, self._side)
        self._used = self._held = 0

    def _new_bucket(self) -> _Bucket:
        self._files += 1
        return _Bucket(Path(self._folder.name, str(self._files)))

    def _deal(self, stream: np.ndarray, buckets: list[_Bucket]) -> None:
        """Append each record to a random bucket."""
        at = 0
        while at < len(stream):
            end, rows = map(int, _advance(stream, at, self._side, self.entry_words))
            piece, at = stream[at:end], end
            chosen = self._rng.integers(len(buckets), size=rows, dtype=np.uint16)
            words = np.zeros(len(buckets), np.uint64)
            _weigh(piece, chosen, self.entry_words, words)
            if len(self._dealt) < len(piece):
                self._dealt = np.empty(len(piece), np.uint32)
            stops = words.cumsum(dtype=np.uint64)
            _deal(piece, chosen, self.entry_words, stops - words, self._dealt)
            dealt = np.bincount(chosen, minlength=len(buckets))
            for bucket, n, stop, rows in zip(buckets, words.tolist(), stops.tolist(), dealt.tolist(), strict=True):
                if n:
                    bucket.append(self._dealt[stop - n : stop], rows, self._side)

    def read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate all rows once: records (uint32), and where each starts, in the order in which they come.

        Both are valid until the next are asked for.
        """
        if self._buckets and self._held:
            self._spill()
        self._dealt = self._dealt[:0].copy()  # a quarter of the memory goes back
        if not self._buckets:
            yield self._unit(self._stream[: self._used], self._held)
        waiting = self._buckets[::-1]
        while waiting:
            bucket = waiting.pop()
            if bucket.need > len(self._stream) and bucket.rows > 1 and self._shuffle:
                waiting += self._split(bucket)
                continue
            together, need = [bucket], bucket.need
            while waiting and need + waiting[-1].need <= len(self._stream):
                together.append(waiting.pop())
                need += together[-1].need
            if len(self._stream) < need:  # one row longer than all of the memory
                self._stream = np.empty(need, np.uint32)
            words = 0
            for bucket in filter(lambda b: b.rows, together):
                bucket.load(0, self._stream[words : words + bucket.words])
                os.unlink(bucket.path)
                words += bucket.words
            if words:
                yield self._unit(self._stream[:words], sum(b.rows for b in together))

    def _unit(self, stream: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
        offsets = np.empty(rows, np.uint64)
        _offsets(stream, self.entry_words, offsets)
        if self._shuffle:
            self._rng.shuffle(offsets)
        return stream, offsets

    def _split(self, bucket: _Bucket) -> list[_Bucket]:
        """Deal a bucket that is too large for the memory into smaller ones, half as large as they may be."""
        n = min(-(-2 * bucket.need // len(self._stream)), _MOST_BUCKETS)
        smaller = [self._new_bucket() for _ in range(n)]
        done = 0
        for words in bucket.segments:
            if len(self._stream) < words:
                self._stream = np.empty(words, np.uint32)
            bucket.load(done, self._stream[:words])
            self._deal(self._stream[:words], smaller)
            done += words
        os.unlink(bucket.path)
        self._dealt = self._dealt[:0].copy()
        return smaller
