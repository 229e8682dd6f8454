"""What the benchmarks share: tables of figures, fits timed in turn, the place of real data."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer

from hogwild.data.files import read_bytes

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
console = Console(width=140)


def show(title: str, rows: list[dict]) -> None:
    """Print rows of figures as a table."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    console.print(table)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def in_turn(fits: dict[str, Callable[[], object]], repeat: int) -> tuple[dict[str, list[float]], dict[str, object]]:
    """Run the fits in turn, `repeat` times after one that warms them; returns all seconds, and the last results."""
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    fitted = {}
    for turn in range(repeat + 1):
        for name, fit in fits.items():
            began = time.perf_counter()
            fitted[name] = fit()
            if turn:  # the first turn warms kernels, pool and caches
                seconds[name].append(time.perf_counter() - began)
    return seconds, fitted


def newsgroups_tfidf() -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """20 Newsgroups by date as TF-IDF rows of float32: X, y of the training split, and of the test split."""
    texts: dict[str, list] = {"train": [[], []], "test": [[], []]}
    with tarfile.open(fileobj=io.BytesIO(bytes(read_bytes(SHARED / "20news-bydate.tar.xz")))) as archive:
        for member in archive:
            if member.isfile():
                folder, label, _ = member.name.split("/")[-3:]
                part = texts[folder.rsplit("-", 1)[1]]
                part[0].append(archive.extractfile(member).read().decode("latin-1"))
                part[1].append(label)
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
    X, X_test = vectorizer.fit_transform(texts["train"][0]), vectorizer.transform(texts["test"][0])
    return X, np.array(texts["train"][1]), X_test, np.array(texts["test"][1])
