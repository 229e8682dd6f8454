"""A slow, obvious svmlight reader: the twin that the compiled one is compared with."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import sparse

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d+")


def rounded(text: str, dtype: type) -> float:
    """`text` to the nearest float32 or float64, ties to even, by exact arithmetic."""
    near = float(text)
    if dtype == np.float64 or near == 0 or not np.isfinite(near):
        return near
    if abs(near) >= 2.0**128:
        return float(np.copysign(np.inf, near))
    exact = Fraction(text)
    with np.errstate(over="ignore"):
        guess = np.float32(near)
        around = [guess, np.nextafter(guess, np.float32(np.inf)), np.nextafter(guess, np.float32(-np.inf))]

    def distance(number: np.float32) -> tuple[Fraction, int]:
        # What comes after the largest number counts as 2**128 when it is decided whether to overflow.
        value = Fraction(float(number)) if np.isfinite(number) else Fraction(2**128) * (1 if number > 0 else -1)
        return abs(value - exact), int(number.view(np.uint32)) & 1

    return float(min(around, key=distance))


def load(path: Path, dtype: type, zero_based: bool | str = "auto") -> tuple[sparse.csr_matrix, np.ndarray]:
    labels, rows = [], []
    for line in path.read_bytes().decode().replace("\r\n", "\n").split("\n"):
        words = line.split("#")[0].split()
        if not words:
            continue
        labels.append(words[0])
        row: dict[int, np.floating] = {}
        for word in words[1:]:
            index, value = word.split(":")
            if index == "qid":
                continue
            number = dtype(rounded(value, dtype))
            row[int(index)] = row[int(index)] + number if int(index) in row else number
        rows.append(row)
    used = [index for row in rows for index in row]
    first = 0 if zero_based is True or (zero_based == "auto" and 0 in used) else 1
    shape = (len(rows), max(used, default=first - 1) + 1 - first)
    entries = [(i, j - first, row[j]) for i, row in enumerate(rows) for j in sorted(row)]
    row_ends = np.cumsum([0, *map(len, rows)])
    X = sparse.csr_matrix(
        (np.array([v for *_, v in entries], dtype), np.array([j for _, j, _ in entries], np.int32), row_ends), shape
    )
    if all(_INTEGER.fullmatch(label) for label in labels):
        return X, np.array(list(map(int, labels)), np.int64)
    if all(_NUMBER.fullmatch(label) for label in labels):
        return X, np.array(list(map(float, labels)))
    return X, np.array(labels)
