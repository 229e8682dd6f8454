"""Streams of text as streams of batches: byte blocks are cut at line ends and parsed by several threads, in order.

Memory is constant: a few blocks of text and the batches made of them, whatever the size of the files; a line that is
longer than a block makes the block grow.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.data.batch import Batch, concatenate, merge_repeats
from hogwild.data.errors import DataError
from hogwild.data.formats import TextFormat
from hogwild.data.locations import open_bytes
from hogwild.data.numerals import PADDING
from hogwild.data.parts import BOM, NEWLINE, Part, found_at, last_line_end, next_line_end

BLOCK_BYTES = 8 << 20  # text parsed at a time: 8 to 10 ms of one thread
_AFTER_ERROR = 1 << 12  # bytes parsed at a time behind a bad line; twice as many each time
_REPORTED = 10  # bad lines that are kept word for word


@dataclass
class Reading:
    """What reading has cost and left out so far; filled while the batches are taken.

    Attributes
    ----------
    rows, text_bytes, stored_bytes : int
        Rows given, bytes of text parsed, bytes of files read (less than the text where these are compressed).
    parse_seconds, wait_seconds : float
        Seconds of all parsing threads together; seconds in which who takes the batches waited for one.
    bad_lines : int
        Lines left out (``bad_lines="skip"``).
    errors : list of DataError
        The first ten of them.
    """

    rows: int = 0
    text_bytes: int = 0
    stored_bytes: int = 0
    parse_seconds: float = 0.0
    wait_seconds: float = 0.0
    bad_lines: int = 0
    errors: list[DataError] = field(default_factory=list)


class _Block(NamedTuple):
    location: str
    part: Part
    first: bool  # of its file
    offset: int  # bytes of the file's text before it


class _Outcome(NamedTuple):
    batches: list[Batch]
    bad: list[tuple[int, str]]  # place in the part's text, what was expected
    lines: int
    seconds: float
    infinite: bool  # whether repeated features added up to infinity


@kernel
def count_line_ends(text, start, stop):
    """Count line feeds in ``text[start:stop]``."""
    ends, p = np.uint64(0), np.uint64(start)
    while p + np.uint64(192) <= np.uint64(stop):
        some = np.uint8(0)  # a byte: LLVM counts 64 of them at a time
        for i in range(np.uint64(192)):
            some = np.uint8(some + np.uint8(text[p + i] == np.uint8(10)))
        ends += np.uint64(some)
        p += np.uint64(192)
    while p < np.uint64(stop):
        ends += np.uint64(text[p] == np.uint8(10))
        p += np.uint64(1)
    return ends


def read_lines(
    text_format: TextFormat,
    locations: Iterable[str],
    *,
    n_threads: int = 1,
    bad_lines: str = "error",
    block_bytes: int = BLOCK_BYTES,
    reading: Reading | None = None,
) -> Iterator[Batch]:
    """Parse files as rows of `text_format`, in their order.

    Parameters
    ----------
    text_format : TextFormat
    locations : iterable of str
        As `locations.expand` gives them.
    n_threads : int
        Threads that parse; the batches do not depend on it.
    bad_lines : {"error", "skip"}
        Stop at the first bad line, or leave it out and count it.
    reading : Reading, optional
        Filled on the way.

    Raises
    ------
    DataError
        Names file, line, column, what was found and what was expected.
    """
    if bad_lines not in ("error", "skip"):
        raise ValueError(f"bad_lines is 'error' or 'skip', not {bad_lines!r}")
    reading = reading if reading is not None else Reading()
    state = _Formats(text_format)
    blocks = _blocks(locations, block_bytes, state, reading)
    before = 0  # lines of the present file
    for block, outcome in _parsed(blocks, state, bad_lines == "skip", n_threads):
        if block.first:
            before = state.header_lines
        reading.parse_seconds += outcome.seconds
        reading.text_bytes += block.part.stop - block.part.start
        if outcome.bad and bad_lines == "error":
            raise _error(block, before, *outcome.bad[0])
        if outcome.infinite:
            raise DataError(
                block.location, found="repeated features that add up to infinity", expected="sums within float32"
            )
        reading.bad_lines += len(outcome.bad)
        for position, expected in outcome.bad[: _REPORTED - len(reading.errors)]:
            reading.errors.append(_error(block, before, position, expected))
        before += outcome.lines
        for batch in outcome.batches:
            reading.rows += batch.n_rows
            yield batch


def text_blocks(
    locations: Iterable[str], text_format: TextFormat, size: int, reading: Reading
) -> Iterator[tuple[_Block, TextFormat]]:
    """Blocks of whole lines, and the format as the first file's header completes it."""
    formats = _Formats(text_format)
    for block in _blocks(locations, size, formats, reading):
        yield block, formats.current


class _Formats:
    """The format as the header lines of the first file complete it."""

    def __init__(self, text_format: TextFormat) -> None:
        self.current = text_format
        self.header_lines = text_format.header_lines

    def read_header(self, lines: list[bytes]) -> None:
        self.current = self.current.with_header(lines)


def _blocks(locations: Iterable[str], size: int, formats: _Formats, reading: Reading) -> Iterator[_Block]:
    """Cut each file's text into blocks of whole lines."""
    for location in locations:
        with open_bytes(location) as stream:
            stored, offset, begun, first = reading.stored_bytes, 0, False, True
            carried = b""  # the begin of a line whose end has not been read
            while True:
                wanted = max(size, 2 * len(carried))
                text = np.empty(wanted + 1 + PADDING, np.uint8)
                text[: len(carried)] = np.frombuffer(carried, np.uint8)
                filled = len(carried) + stream.readinto(memoryview(text)[len(carried) : wanted])
                reading.stored_bytes = stored + stream.consumed
                text[filled:] = NEWLINE
                ended = filled < wanted
                if ended and filled and text[filled - 1] != NEWLINE:
                    filled += 1  # the last line's end may be missing
                stop = last_line_end(text, 0, filled)
                carried = text[stop:filled].tobytes()
                start = 0
                if stop and not begun:
                    begun = True
                    start = len(BOM) if text[: len(BOM)].tobytes() == BOM else 0
                    if formats.header_lines:
                        start = _take_header(location, text, start, stop, formats)
                if stop > start:
                    yield _Block(location, Part(text, start, stop, offset), first, offset)
                    first = False
                offset += stop
                if ended:
                    break


def _take_header(location: str, text: np.ndarray, start: int, stop: int, formats: _Formats) -> int:
    """Hand the header lines to the format; returns where the rows begin."""
    lines = []
    for _ in range(formats.header_lines):
        if start >= stop:
            raise DataError(location, found="the end of the file", expected=f"{formats.header_lines} header lines")
        end = next_line_end(text, start)
        lines.append(text[start : end - 1].tobytes().removesuffix(b"\r"))
        start = end
    try:
        formats.read_header(lines)
    except DataError:
        raise
    except ValueError as error:
        raise DataError(location, 1, None, None, str(error)) from None
    return start


def _parsed(
    blocks: Iterator[_Block], formats: _Formats, skip: bool, n_threads: int
) -> Iterator[tuple[_Block, _Outcome]]:
    """Parse blocks, a few ahead of who takes them where there are threads."""
    if n_threads == 1:
        for block in blocks:
            yield block, _parse(formats.current, block.part, skip)
        return
    with ThreadPoolExecutor(n_threads, "hogwild-parse") as pool:
        waiting: deque[tuple[_Block, Future[_Outcome]]] = deque()
        try:
            exhausted, failure = False, None
            while not exhausted or waiting:
                while not exhausted and len(waiting) <= n_threads:
                    try:
                        block = next(blocks, None)
                    except Exception as error:  # what is wrong with the lines before it goes first
                        block, failure = None, error
                    if block is None:
                        exhausted = True
                        break
                    waiting.append((block, pool.submit(_parse, formats.current, block.part, skip)))
                if waiting:
                    block, future = waiting.popleft()
                    yield block, future.result()
            if failure is not None:
                raise failure
        finally:
            for _, future in waiting:
                future.cancel()


def _parse(text_format: TextFormat, part: Part, skip: bool) -> _Outcome:
    """Parse a part, from behind each bad line again if these are to be skipped."""
    began = time.perf_counter()
    batches, bad, start, infinite = [], [], part.start, False
    size = part.stop - part.start
    while start < part.stop:
        # after a bad line short pieces first: a parser may look at all that it is given before it stops
        stop = part.stop if start + size >= part.stop else next_line_end(part.text, start + size)
        parsed = text_format.parse(Part(part.text, start, stop, part.base))
        if parsed.batch.n_rows:
            batch = parsed.batch
            if not parsed.unique and not len(batch.fields):
                batch = merge_repeats(batch)
                infinite = infinite or not np.isfinite(batch.values).all()
            batches.append(batch)
        if parsed.error < 0:
            start, size = stop, 2 * size
            continue
        bad.append((parsed.error, parsed.expected))
        if not skip:
            break
        start, size = next_line_end(part.text, parsed.error), _AFTER_ERROR
    if len(batches) > 1:  # pieces around bad lines; their labels may be of several kinds
        kinds = itertools.groupby(batches, key=lambda batch: batch.labels.dtype.kind == "U")
        batches = [concatenate(alike) for _, alike in kinds]
    lines = int(count_line_ends(part.text, part.start, part.stop))
    return _Outcome(batches, bad, lines, time.perf_counter() - began, infinite)


def _error(block: _Block, lines_before: int, position: int, expected: str) -> DataError:
    text, start = block.part.text, block.part.start
    line = 1 + lines_before + int(count_line_ends(text, start, position))
    column = position - last_line_end(text, start, position) + 1
    return DataError(block.location, line, column, found_at(text, position), expected)


def ahead(batches: Iterable[Batch], n_batches: int = 2, reading: Reading | None = None) -> Iterator[Batch]:
    """Let another thread take batches before they are asked for, at most `n_batches` of them."""
    return in_background(batches, n_batches, reading)


def in_background(items: Iterable, n_ahead: int, reading: Reading | None = None) -> Iterator:
    """Iterate in another thread, at most `n_ahead` items ahead; errors arrive where their item would."""
    waiting: deque = deque()
    changed, stopped = threading.Condition(), False

    def put(kind: str, value: object) -> bool:
        with changed:
            changed.wait_for(lambda: stopped or len(waiting) < n_ahead)
            waiting.append((kind, value))
            changed.notify_all()
            return not stopped

    def run() -> None:
        try:
            for item in items:
                if not put("item", item):
                    break
        except BaseException as error:  # whatever it is, who takes the items has to see it
            put("error", error)
        else:
            put("end", None)
        finally:
            close: Callable | None = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=run, name="hogwild-read", daemon=True)
    thread.start()
    try:
        while True:
            began = time.perf_counter()
            with changed:
                changed.wait_for(lambda: len(waiting) > 0)
                kind, value = waiting.popleft()
                changed.notify_all()
            if reading is not None:
                reading.wait_seconds += time.perf_counter() - began
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        with changed:
            stopped = True
            waiting.clear()
            changed.notify_all()
        thread.join()


__all__ = ["BLOCK_BYTES", "Reading", "ahead", "count_line_ends", "in_background", "read_lines"]
