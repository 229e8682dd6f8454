"""What the columns of a table become, row by row in plain Python: the twin of the readers of tables."""

from __future__ import annotations

import itertools
import math
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from sklearn.utils import murmurhash3_32

MASK = 2**32 - 1


def rows_of(batch: Any) -> list[dict[int, float]]:
    """Feature numbers and values of each row of a batch."""
    ends = batch.indptr.tolist()
    pairs = list(zip(batch.indices.tolist(), batch.values.tolist(), strict=True))
    found = [dict(pairs[start:stop]) for start, stop in itertools.pairwise(ends)]
    assert sum(map(len, found)) == len(pairs), "an index is repeated within a row"
    return found


def same_rows(batch: Any, expected: list[dict[int, list[float]]]) -> None:
    found = rows_of(batch)
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    for row, other in zip(found, expected, strict=True):
        for index, value in row.items():
            assert abs(value - math.fsum(other[index])) <= 1e-6 * sum(map(abs, other[index]))


def is_missing(value: Any) -> bool:
    return value is None or value == "" or value == b"" or (isinstance(value, float) and math.isnan(value))


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def features(name: str, value: Any, numeric: bool, columns: Any) -> list[tuple[str, float]]:
    """Names and values of what one value becomes."""
    if is_missing(value):
        return [(f"{name}=", 1.0)] if columns.missing == "category" else []
    if not numeric:
        return [(f"{name}={text_of(value)}", 1.0)]
    number = float(value)
    if columns.transform == "bins":
        k = math.frexp(1 + abs(number))[1] - 1
        return [(f"{name}={-k if number < 0 else k}", 1.0)]
    if columns.transform == "log":
        number = math.copysign(math.log1p(abs(number)), number)
    return [(name, number)] if np.float32(number) != 0 else []


def unsigned(name: str) -> int:
    return murmurhash3_32(name.encode(), positive=True)


def crossed(a: int, b: int) -> int:
    h = (a * 16_777_619 & MASK) ^ b
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = ((h ^ (h >> shift)) * factor) & MASK
    return h ^ (h >> 16)


def encode(
    rows: list[dict[str, Any]], numeric: dict[str, bool], columns: Any, lists: frozenset[str] = frozenset()
) -> list[dict[int, list[float]]]:
    """Feature numbers of each row, and the values to add up for each.

    `numeric` tells the kind of each column that gives features, `lists` names those of lists, which are not crossed.
    """
    encoded = []
    for row in rows:
        scalars: dict[str, tuple[int, float]] = {}
        hashed = []
        for name, kind in numeric.items():
            value = row[name]
            if isinstance(value, list):
                for i, element in enumerate(value):
                    part = f"{name}[{i}]" if kind else name
                    hashed += [(unsigned(n), v) for n, v in features(part, element, kind, columns)]
                continue
            found = [(unsigned(n), v) for n, v in features(name, value, kind, columns)]
            if found and name not in lists:
                scalars[name] = found[0]
            hashed += found
        done = []
        for first, second in columns.crosses:
            for a in sorted(scalars):
                for b in sorted(scalars):
                    if fnmatchcase(a, first) and fnmatchcase(b, second) and a != b and {a, b} not in done:
                        done.append({a, b})
                        value = np.float32(scalars[a][1]) * np.float32(scalars[b][1])
                        if value:
                            hashed.append((crossed(scalars[a][0], scalars[b][0]), value))
        row_values: dict[int, list[float]] = {}
        for h, value in hashed:
            signed = h - 2**32 if h >= 2**31 else h
            index = abs(signed) % columns.n_features
            row_values.setdefault(index, []).append(-value if columns.signed and signed < 0 else value)
        encoded.append(row_values)
    return encoded
