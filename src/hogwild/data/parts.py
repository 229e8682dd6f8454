"""Text in memory, cut at line ends into parts that threads read independently."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from hogwild.data.errors import DataError

NEWLINE = 10
BOM = b"\xef\xbb\xbf"
_STEP = 1 << 16  # bytes in which the next line end is looked for at a time


class Part(NamedTuple):
    """Whole lines, ``text[start:stop]``, the last byte a line end; `base` is where ``text[0]`` stands in the file."""

    text: np.ndarray
    start: int
    stop: int
    base: int


def split_lines(text: np.ndarray, size: int, padding: int) -> list[Part]:
    """Cut `text` into parts of about `size` bytes, each readable for `padding` bytes behind its end.

    The last lines are copied for that, and given the line end that may be missing. A byte order mark is left out.
    """
    start = len(BOM) if text[: len(BOM)].tobytes() == BOM else 0
    last = last_line_end(text, start, len(text) - padding)
    cuts = [start]
    while cuts[-1] < last:
        cuts.append(next_line_end(text, min(cuts[-1] + size, last) - 1))
    parts = [Part(text, begin, end, 0) for begin, end in itertools.pairwise(cuts)]
    if last < len(text):
        tail = np.full(len(text) - last + 1 + padding, NEWLINE, np.uint8)
        tail[: len(text) - last] = text[last:]
        tail.flags.writeable = False
        parts.append(Part(tail, 0, len(text) - last + 1, last))
    return parts


def next_line_end(text: np.ndarray, position: int) -> int:
    """Place behind the first line end from `position` on; there is one."""
    while True:
        found = np.flatnonzero(text[position : position + _STEP] == NEWLINE)
        if len(found):
            return position + int(found[0]) + 1
        position += _STEP


def last_line_end(text: np.ndarray, start: int, stop: int) -> int:
    """Place behind the last line end in ``text[start:stop]``, or `start`."""
    while stop > start:
        begin = max(start, stop - _STEP)
        found = np.flatnonzero(text[begin:stop] == NEWLINE)
        if len(found):
            return begin + int(found[-1]) + 1
        stop = begin
    return start


def n_threads(n_jobs: int | None) -> int:
    """How many threads `n_jobs` stands for: None is one, -1 all of the cores that this process may use."""
    if n_jobs is None:
        return 1
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: use None, a positive number, or -1 for all cores")
    if n_jobs > 0:
        return n_jobs
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores + 1 + n_jobs)


def in_threads(function: Callable[..., Any], tasks: Iterable[tuple], threads: int) -> list[Any]:
    """``[function(*task) for task in tasks]``, by several threads if `function` releases the GIL."""
    if threads == 1:
        return [function(*task) for task in tasks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda task: function(*task), tasks))


def data_error(path: str | os.PathLike[str], text: np.ndarray, position: int, expected: str) -> DataError:
    """Describe what stands at `position`: its line, its column and the word that begins there."""
    line = 1 + int(np.count_nonzero(text[:position] == NEWLINE))
    column = position - last_line_end(text, 0, position) + 1
    return DataError(path, line, column, found_at(text, position), expected)


def found_at(text: np.ndarray, position: int) -> str:
    """Describe the word that begins at `position`, or what else is there."""
    shown = text[position : position + 41].tobytes()
    if not shown or shown[:1] in b"\r\n":
        return "a carriage return" if shown[:1] == b"\r" and shown[1:2] != b"\n" and len(shown) > 1 else "end of line"
    if shown[0] < 32 and shown[:1] != b"\t":
        return "a NUL byte" if shown[0] == 0 else f"byte 0x{shown[0]:02x}"
    word = shown.split(maxsplit=1)[0] if not shown[:1].isspace() else shown[:1]
    return repr((word[:40] + b"..." if len(word) > 40 else word).decode("utf-8", "backslashreplace"))
