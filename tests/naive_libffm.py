"""A slow, obvious reader of libffm text: the twin that the compiled one is compared with."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from naive_svmlight import rounded

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Row(NamedTuple):
    label: float | int
    fields: list[int]
    indices: list[int]
    values: list[float]


def number(text: str, dtype: type) -> float:
    if not NUMBER.fullmatch(text) or not np.isfinite(rounded(text, dtype)):
        raise ValueError(text)
    return rounded(text, dtype)


def whole(text: str, limit: int) -> int:
    if not re.fullmatch("[0-9]+", text) or int(text) >= limit:
        raise ValueError(text)
    return int(text)


def read_row(line: str, n_features: int, n_fields: int) -> Row:
    label, *entries = (word for word in re.split("[ \t]", line) if word)
    value = number(label, np.float64)
    row = Row(int(label) if re.fullmatch("[+-]?[0-9]+", label) else value, [], [], [])
    for entry in entries:
        field, index, text = entry.split(":")
        row.fields.append(whole(field, n_fields))
        row.indices.append(whole(index, n_features))
        row.values.append(number(text, np.float32))
    return row


def read(content: bytes, n_features: int = 2**32, n_fields: int = 2**32) -> tuple[list[Row], int | None]:
    """The rows up to the first bad line, and the place of this line."""
    rows, place = [], 0
    for line in content.decode("latin-1").split("\n"):
        text = line.removesuffix("\r")
        if text.strip(" \t"):
            try:
                rows.append(read_row(text, n_features, n_fields))
            except ValueError:
                return rows, place
        place += len(line) + 1
    return rows, None
