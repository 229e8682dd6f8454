"""A slow, obvious reader of Vowpal Wabbit text: the twin that the compiled one is compared with."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from naive_svmlight import rounded
from sklearn.utils import murmurhash3_32

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Row(NamedTuple):
    label: float | int
    weight: float
    names: list[str]
    indices: list[int]
    values: list[float]


def number(text: str, dtype: type) -> float:
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    value = rounded(text, dtype)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


def words_of(text: str) -> list[str]:
    return [word for word in text.replace("\t", " ").split(" ") if word]


def cross_hash(a: int, b: int) -> int:
    h = (a * 16_777_619 % 2**32) ^ b
    h = (h ^ h >> 16) * 0x85EBCA6B % 2**32
    h = (h ^ h >> 13) * 0xC2B2AE35 % 2**32
    return h ^ h >> 16


def is_side(namespace: str, side: str) -> bool:
    if side in ("", " "):
        return namespace == ""
    if side == ":":
        return True
    return namespace[:1] == side if len(side) == 1 else namespace == side


def read_row(line: str, bits: int, signed: bool, crosses: list[tuple[str, str]]) -> Row:
    """One line, whose bytes are the characters of `line`; ValueError if it is wrong."""
    head, *groups = line.split("|")
    if not groups or "\0" in line or "\r" in line:
        raise ValueError(line)
    words = words_of(head)
    if words and (head[-1] not in " \t" or words[-1].startswith("'")):
        words.pop()  # the tag
    if len(words) > 3:
        raise ValueError(line)
    label: float | int = np.nan
    if words:
        label = number(words[0], np.float64)
        if re.fullmatch("[+-]?[0-9]+", words[0]):
            label = int(words[0])
    weight = number(words[1], np.float32) if len(words) > 1 else 1.0
    if weight < 0:
        raise ValueError(line)
    if len(words) > 2:
        number(words[2], np.float32)

    features = []
    for group in groups:
        namespace, scale = "", np.float32(1)
        if group and group[0] not in " \t":
            info, *weight_text = words_of(group)[0].split(":", 1)
            namespace, group = info, group[len(words_of(group)[0]) :]
            if not namespace:
                raise ValueError(line)
            if weight_text:
                scale = np.float32(number(weight_text[0], np.float32))
        for word in words_of(group):
            name, *value_text = word.split(":", 1)
            value = np.float32(number(value_text[0], np.float32)) if value_text else np.float32(1)
            with np.errstate(over="ignore"):
                value = value * scale
            if not name or not np.isfinite(value):
                raise ValueError(line)
            full = f"{namespace}^{name}" if namespace else name
            h = int(murmurhash3_32(full.encode("latin-1"), seed=0, positive=True))
            features.append((namespace, full, h, value))

    entries = [(full, h, value) for _, full, h, value in features]
    for first, second in crosses:
        for i, (a_space, a, a_hash, a_value) in enumerate(features):
            for j, (b_space, b, b_hash, b_value) in enumerate(features):
                if not is_side(a_space, first) or not is_side(b_space, second):
                    continue
                with np.errstate(over="ignore", under="ignore"):
                    product = a_value * b_value
                if is_side(b_space, first) and is_side(a_space, second):
                    if j < i:
                        continue
                    if b_hash < a_hash:
                        entries.append((f"{b}*{a}", cross_hash(b_hash, a_hash), product))
                        continue
                entries.append((f"{a}*{b}", cross_hash(a_hash, b_hash), product))
    if not all(np.isfinite(value) for *_, value in entries):
        raise ValueError(line)

    indices, values = [], []
    for _, h, value in entries:
        h = h - 2**32 if h >= 2**31 else h
        indices.append(abs(h) % 2**bits)
        values.append(float(-value if signed and h < 0 else value))
    shown = [full.encode("latin-1").decode("utf-8", "backslashreplace") for full, *_ in entries]
    return Row(label, weight, shown, indices, values)


def read(content: bytes, bits: int = 20, signed: bool = False, crosses: tuple = ()) -> tuple[list[Row], int | None]:
    """The rows up to the first bad line, and the place of this line."""
    rows, place = [], 0
    for line in content.decode("latin-1").split("\n"):
        text = line.removesuffix("\r")
        if text.strip(" \t"):
            try:
                rows.append(read_row(text, bits, signed, [tuple(pair) for pair in crosses]))
            except ValueError:
                return rows, place
        place += len(line) + 1
    return rows, None
