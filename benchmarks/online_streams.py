"""Labelled streams for the online learners: handwritten digits, and 20 Newsgroups as binary words."""

from __future__ import annotations

import io
import re
import tarfile
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from tables import SHARED

from hogwild.data.files import read_bytes
from hogwild.online.datum import Datum

WORDS = re.compile(r"[a-z0-9]+")
NUMBERS = {"num_rules": [{"key": "*", "type": "num"}]}
TEXTS = {"string_rules": [{"key": "*", "type": "space", "sample_weight": "bin", "global_weight": "bin"}]}


class Stream(NamedTuple):
    """Examples to learn, in their order, and examples to judge by."""

    name: str
    converter: dict
    train: list[tuple[str, Datum]]
    test: list[tuple[str, Datum]]


def numbers(name: str) -> Stream:
    """Scikit-learn's digits or breast cancer: columns divided by their largest value, zeros left out, 4/5 to train."""
    X, y = {"digits": load_digits, "breast cancer": load_breast_cancer}[name](return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    X = X[order] / (np.abs(X).max(axis=0) + 1e-9)
    examples = [
        (str(label), Datum.of({f"f{place}": value for place, value in enumerate(row.tolist()) if value}))
        for row, label in zip(X, y[order].tolist(), strict=True)
    ]
    parts = int(0.8 * len(examples))
    return Stream(name, NUMBERS, examples[:parts], examples[parts:])


def newsgroups(seed: int = 0) -> Stream:
    """20 Newsgroups by date, in random order; the words of each text once."""
    parts: dict[str, list[tuple[str, Datum]]] = {"train": [], "test": []}
    with tarfile.open(fileobj=io.BytesIO(bytes(read_bytes(SHARED / "20news-bydate.tar.xz")))) as archive:
        for member in sorted(filter(tarfile.TarInfo.isfile, archive), key=lambda member: member.name):
            folder, label, _ = member.name.split("/")[-3:]
            text = archive.extractfile(member).read().decode("latin-1").lower()
            words = " ".join(sorted(set(WORDS.findall(text))))
            parts[folder.rsplit("-", 1)[1]].append((label, Datum.of({"t": words})))
    order = np.random.default_rng(seed).permutation(len(parts["train"])).tolist()
    return Stream("20 Newsgroups", TEXTS, [parts["train"][place] for place in order], parts["test"])


def made_up_texts(n: int = 4_000, seed: int = 0) -> Stream:
    """Where 20 Newsgroups is not at hand: words of 20 classes, as rare as words are."""
    chance = np.random.default_rng(seed)
    examples = []
    for _ in range(n):
        label = int(chance.integers(20))
        words = np.unique(np.r_[chance.zipf(1.2, 80) % 50_000, label * 97 + chance.zipf(1.5, 12) % 60_000])
        examples.append((f"class{label}", Datum.of({"t": " ".join(f"w{word}" for word in words.tolist())})))
    return Stream("made-up texts", TEXTS, examples[: int(0.8 * n)], examples[int(0.8 * n) :])


def texts() -> Stream:
    """20 Newsgroups where it is, made-up texts elsewhere."""
    return newsgroups() if (SHARED / "20news-bydate.tar.xz").exists() else made_up_texts()
