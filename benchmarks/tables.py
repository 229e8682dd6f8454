"""What the benchmarks share: tables that are printed and recorded, fits timed in turn, the place of real data.

A program's `main` is wrapped in `recorded`: where the variable HOGWILD_BENCH_RESULTS names a folder (`make bench*`
sets it), all that `show`, `say` and `headline` were told is written there as ``<program>.json``, from which ``page.py``
makes docs/benchmarks.md and the picture of the README.
"""

from __future__ import annotations

import datetime
import functools
import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer

from hogwild.data.files import read_bytes, write_whole
from hogwild.report.environment import describe_environment

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RESULTS = "HOGWILD_BENCH_RESULTS"
console = Console(width=140)

_parts: list[dict[str, Any]] = []
_headlines: list[dict[str, Any]] = []


def show(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows of figures as a table."""
    columns = list(rows[0])
    numeric = [not isinstance(rows[0][column], str) for column in columns]
    show_texts(title, columns, [[_shown(value) for value in row.values()] for row in rows], numeric)


def show_texts(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    """Print a table whose cells are texts already."""
    table = Table(title=title, title_justify="left")
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if right else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    _parts.append({"title": title, "columns": list(columns), "rows": [list(row) for row in rows]})


def say(text: str) -> None:
    """Print a sentence that belongs to the figures."""
    console.print(text)
    _parts.append({"text": text})


def headline(task: str, rival: str, theirs: float, ours: Mapping[str, float], unit: str) -> None:
    """Record a comparison for the table of rivals and the picture: the rival's figure beside ours.

    Parameters
    ----------
    task, rival : str
    theirs : float
    ours : mapping of str to float
        By what ran: "1 thread", "2 threads".
    unit : str
        "s" (fewer are better), or what is done in a second: "examples/s".
    """
    _headlines.append({"task": task, "rival": rival, "theirs": theirs, "ours": dict(ours), "unit": unit})


def recorded(main: Callable[[], None]) -> Callable[[], None]:
    """Write what a program has shown, once it has ended well, where a folder for it is named."""

    @functools.wraps(main)
    def run() -> None:
        machine = describe_environment()
        console.print(", ".join(f"{name} {value}" for name, value in machine.items()))
        main()
        if folder := os.environ.get(RESULTS):
            program = Path(sys.argv[0]).stem
            record = {
                "command": " ".join(["python", f"benchmarks/{program}.py", *map(_without_folders, sys.argv[1:])]),
                "date": datetime.date.today().isoformat(),
                "machine": machine,
                "parts": _parts,
                "headlines": _headlines,
            }
            with write_whole(Path(folder, f"{program}.json")) as file:
                file.write((json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())

    return run


def _without_folders(word: str) -> str:
    """Leave out where a file lies on this machine."""
    return Path(word).name if word.startswith(("/", "~")) else word


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
