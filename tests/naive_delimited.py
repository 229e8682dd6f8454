"""A slow, obvious reader of delimited text: Python's csv module, exact numerals, scikit-learn's FeatureHasher."""

from __future__ import annotations

import csv
import itertools
import math

import numpy as np
from naive_svmlight import rounded
from sklearn.feature_extraction import FeatureHasher
from sklearn.utils import murmurhash3_32

ABSENT = ["", "nan", "NaN", "NA", "N/A", "null", "NULL", "None", r"\N", "?"]


def load(text: str, names, roles, *, separator=",", quote='"', crosses=(), bits=20, signed=False,
         transform="none", missing="skip"):  # fmt: skip
    """Return for each row ``[(feature name, index, value), ...]``, all labels as text, and all weights."""
    rows, labels, weights = [], [], []
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if not line:
            continue
        quoting = {"quoting": csv.QUOTE_NONE} if quote is None else {"quotechar": quote}
        (words,) = csv.reader([line], delimiter=separator, strict=True, **quoting)
        assert len(words) == len(names)
        features = {}
        for name, role, word in zip(names, roles, words, strict=True):
            if role == "label":
                labels.append(word.strip(" \t"))
            elif role == "weight":
                weights.append(rounded(word.strip(" \t"), np.float32))
            elif role == "categorical" and (word or missing == "category"):
                features[name] = {name: word}
            elif role == "numeric" and word.strip(" \t") in ABSENT:
                if missing == "category":
                    features[name] = {name: ""}
            elif role == "numeric":
                features[name] = {name: _number(word.strip(" \t"), transform)}
        rows.append(_entries(features, crosses, bits, signed))
    return rows, labels, weights


def _number(word, transform):
    if transform == "none":
        return rounded(word, np.float32)
    x = float(word)
    if transform == "bins":
        return str(int(math.copysign(int(1.0 + abs(x)).bit_length() - 1, x)))
    return float(np.float32(math.copysign(math.log1p(abs(x)), x)))


def _entries(features, crosses, bits, signed):
    features = {name: feature for name, feature in features.items() if next(iter(feature.values())) != 0}
    hasher = FeatureHasher(2**bits, dtype=np.float32, alternate_sign=signed)
    X = hasher.transform(list(features.values())) if features else None
    texts, hashes, amounts, entries = {}, {}, {}, []
    for i, (name, feature) in enumerate(features.items()):
        ((_, value),) = feature.items()
        texts[name] = f"{name}={value}" if isinstance(value, str) else name
        hashes[name] = murmurhash3_32(texts[name], positive=True)
        amounts[name] = np.float32(1 if isinstance(value, str) else value)
        entries.append((texts[name], int(X[i].indices[0]), X[i].data[0]))
    for first, second in crosses:
        if first in features and second in features:
            h = _scramble((hashes[first] * 16_777_619) % 2**32 ^ hashes[second])
            magnitude, sign = (h, 1) if h < 2**31 else (2**32 - h, -1)
            amount = amounts[first] * amounts[second] * np.float32(sign if signed else 1)
            if amount:
                entries.append((f"{texts[first]}*{texts[second]}", magnitude % 2**bits, amount))
    return entries


def _scramble(h):
    h = (h ^ h >> 16) * 0x85EBCA6B % 2**32
    h = (h ^ h >> 13) * 0xC2B2AE35 % 2**32
    return h ^ h >> 16


def all_pairs(names):
    return list(itertools.combinations(names, 2))
