"""A slow, obvious reader of raw text: the twin that the compiled one is compared with."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from sklearn.utils import murmurhash3_32

WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")


def grams(line: bytes, text: Any, stop_words: set[bytes]) -> list[bytes]:
    words = [word.lower() if text.lowercase else word for word in WORD.findall(line)]
    kept = []
    for word in words:
        characters = len([byte for byte in word if not 0x80 <= byte < 0xC0])
        if characters >= text.min_length and word not in stop_words:
            kept.append(word)
    found = []
    for last in range(len(kept)):
        for n in range(text.ngrams[0], text.ngrams[1] + 1):
            if last + 1 - n >= 0:
                found.append(b" ".join(kept[last + 1 - n : last + 1]))
    return found


def split(content: bytes, text: Any) -> list[tuple[str | None, bytes]]:
    """Label and text of each line that is not blank."""
    rows = []
    for line in content.split(b"\n"):
        if not line.strip(b" \t\r"):
            continue
        if text.label == "none":
            rows.append((None, line))
        elif text.label == "tab":
            label, _, rest = line.partition(b"\t")
            rows.append((label.decode(), rest))
        else:
            word, rest = re.fullmatch(rb"[ \t\r]*__label__([^\x00-\x20]+)(.*)", line, re.S).groups()
            rows.append((word.decode(), rest))
    return rows


def counts(documents: list[bytes], text: Any, stop_words: set[bytes]) -> list[dict[int, float]]:
    rows = []
    for document in documents:
        row: dict[int, float] = {}
        for gram in grams(document, text, stop_words):
            h = murmurhash3_32(gram)
            index = abs(h) % 2**text.bits
            row[index] = row.get(index, 0) + (-1 if text.signed and h < 0 else 1)
        rows.append(row)
    return rows


def weighed(rows: list[dict[int, float]], learned: list[dict[int, float]], text: Any) -> list[dict[int, float]]:
    """Rows with the weights that the rows in `learned` give."""
    frequency = Counter(index for row in learned for index in row)
    result = []
    for row in rows:
        new = {}
        for index, value in row.items():
            if text.minimum > 1 and frequency[index] < text.minimum:
                continue
            if text.sublinear:
                value = 1 + math.log(value)
            if text.tfidf:
                value *= math.log((1 + len(learned)) / (1 + frequency[index])) + 1
            new[index] = value
        length = math.sqrt(sum(value * value for value in new.values()))
        if text.norm and length:
            new = {index: value / length for index, value in new.items()}
        result.append(new)
    return result
