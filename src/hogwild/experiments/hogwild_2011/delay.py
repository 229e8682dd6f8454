"""The experiment with slow gradients: who gains from threads when each gradient takes long."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.choose import make_runner
from hogwild.engine.engines import ENGINES as KINDS
from hogwild.engine.order import draw_order
from hogwild.engine.source import NONE
from hogwild.experiments.findings import Setting
from hogwild.experiments.hogwild_2011.models import Settings, Slow, burn
from hogwild.experiments.hogwild_2011.running import task_of
from hogwild.experiments.text_rows import Documents
from hogwild.schedules import CHUNK
from hogwild.steps.rows import as_rows

DELAYS = (0, 100, 300, 1_000, 3_000, 10_000, 100_000)  # ns
ENGINES = ("shared", "locked", "round_robin")
SECONDS = 0.08  # that one thread takes, about: the longer the delay, the fewer rows
ROUNDS = 3
CHUNKS = 4  # that each thread gets at least: threads take rows by the chunk
_OWN = 200  # ns of a row without delay, generously


class Delayed(NamedTuple):
    """Times of one delay.

    Attributes
    ----------
    delay : int
        In ns.
    rows : int
        Rows stepped, in as many epochs as it takes.
    alone : float
        Seconds on one thread.
    together : dict of str to float
        Seconds on all threads, by engine; empty with one thread.
    """

    delay: int
    rows: int
    alone: float
    together: dict[str, float]

    def speedup(self, engine: str) -> float:
        """How many times faster than on one thread."""
        return self.alone / self.together[engine]


def turn_ns() -> float:
    """Measure a turn of the delaying loop: the best of five."""
    turns, best = 1_000_000, np.inf
    for _ in range(6):
        began = time.perf_counter()
        burn(np.uint64(turns))
        best = min(best, time.perf_counter() - began)
    return best / turns * 1e9


def try_delays(setting: Setting, documents: Documents) -> list[Delayed]:
    """Time the SVM with each delay, the best of `ROUNDS`, engines in turn."""
    a_turn, names = turn_ns(), ENGINES if setting.threads > 1 else ()
    for name in ("sequential", *names):  # what has to be compiled, or read from disk, is then ready
        _time(documents.X[:CHUNK], documents.y[:CHUNK], 1, 1, name, 1 if name == "sequential" else setting.threads, 0)
    found = []
    for delay in DELAYS:
        least = CHUNKS * CHUNK * setting.threads
        wanted = max(least, int(SECONDS * 1e9 / (delay + _OWN)))
        n = min(documents.X.shape[0], wanted)
        epochs = -(-wanted // n)
        setting.say(f"gradients that take {delay:,} ns longer, {epochs * n:,} rows")
        X, y = documents.X[:n], documents.y[:n]
        times: dict[str, list[float]] = {"sequential": [], **{name: [] for name in names}}
        for turn in range(ROUNDS):
            for name, spent in times.items():
                threads = 1 if name == "sequential" else setting.threads
                spent.append(_time(X, y, epochs, round(delay / a_turn), name, threads, setting.seed + turn))
        best = {name: min(spent) for name, spent in times.items()}
        found.append(Delayed(delay, epochs * n, best.pop("sequential"), best))
    return found


def _time(X, y, epochs: int, turns: int, engine: str, threads: int, seed: int) -> float:
    """Time epochs of one slice each: short slices of slow rows would not be enough for all threads."""
    rows, rng = as_rows(X, y), np.random.default_rng(seed)
    model = Slow(aligned_zeros(X.shape[1], X.dtype), Settings(turns=turns))
    task = task_of(rows, model, X.shape[1], 1, 0.3)
    runner = make_runner(task, KINDS[engine], threads, rng)
    orders = [draw_order(rng, len(y), NONE, True) for _ in range(epochs)]
    began = time.perf_counter()
    try:
        for order in orders:
            low = 0
            while low < len(y):
                _, low = runner.run(order, low, len(y))
        return time.perf_counter() - began
    finally:
        runner.close()
