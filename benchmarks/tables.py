"""What the benchmarks share: tables of figures, fits timed in turn, the place of real data."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
console = Console(width=120)


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
