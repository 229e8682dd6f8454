"""Delimited text in plain Python: for samples, names and what is wrong with a line."""

from __future__ import annotations

import math
import re

import numpy as np

from hogwild.data.columns import MISSING_WORDS

BLANKS = b" \t"
MISSING = {b"", *(word.encode() for word in MISSING_WORDS)}
NUMERAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def split_fields(line: bytes, separator: bytes, quote: bytes | None) -> list[bytes]:
    """Return the fields of a line without their quotes; none for an empty line, ValueError where quotes are wrong."""
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if not line or quote is None:
        return line.split(separator) if line else []
    fields, p = [], 0
    while True:
        if line.startswith(quote, p):
            end = line.find(quote, p + 1)
            while end >= 0 and line.startswith(quote, end + 1):
                end = line.find(quote, end + 2)
            if end < 0 or (end + 1 < len(line) and not line.startswith(separator, end + 1)):
                raise ValueError(f"a closing quote with {separator.decode()!r} or the end of the line behind it")
            fields.append(line[p + 1 : end].replace(quote * 2, quote))
            end += 1
        else:
            end = line.find(separator, p)
            end = len(line) if end < 0 else end
            fields.append(line[p:end])
        if end == len(line):
            return fields
        p = end + 1


def line_start(text: np.ndarray, start: int, position: int) -> int:
    """Where the line of `position` begins, `start` at the earliest."""
    size = 1 << 10
    while True:
        begin = max(start, position - size)
        found = text[begin:position].tobytes().rfind(b"\n")
        if found >= 0 or begin == start:
            return begin + found + 1
        size *= 8


def line_stop(text: np.ndarray, position: int) -> int:
    """Where the line of `position` ends."""
    size = 1 << 10
    while (found := text[position : position + size].tobytes().find(b"\n")) < 0:
        size *= 8
    return position + found


def numeral_at(text: np.ndarray, place: int) -> str:
    """The number of which the kernel found that it begins at `place`."""
    rest = text[place : line_stop(text, place)].tobytes().lstrip(BLANKS)
    return NUMERAL.match(rest)[0].decode()


def bin_of(value: float) -> int:
    """Bin of a number: ``floor(log2(1 + |value|))`` with its sign."""
    size = math.frexp(1.0 + abs(value))[1] - 1
    return -size if value < 0 else size
