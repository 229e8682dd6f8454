"""Threads of one process on this machine, beside virtual ones."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from hogwild.engine.engines import Engine, Replicas, Sequential, Shared, Simulated
from hogwild.experiments.async_2012.problem import EPOCHS, Problem, fitted_loss
from hogwild.experiments.findings import Findings, Measured, Remark, Setting, Statement

INTERVALS = (64, 1_024)
RULES = ("sum", "mean", "damped", "self-tuned")
TIMES = 3


class Trial(NamedTuple):
    """Who stepped, and what came of it."""

    threads: int
    name: str
    interval: int | None
    rule: str
    rows_per_second: float
    loss: float
    virtual: float | None


def run(setting: Setting, problem: Problem) -> Findings:
    """Run the part."""
    trials = [_trial(problem, 1, "one thread", Sequential())]
    for threads in setting.counts:
        if threads < 2:
            continue
        setting.say(f"{threads} threads, shared weights")
        trials.append(_trial(problem, threads, "shared (HOGWILD!)", Shared()))
        for interval in INTERVALS:
            for rule in RULES:
                setting.say(f"{threads} threads, replicas merged every {interval:,} rows, {rule}")
                trials.append(_replicas(problem, threads, interval, rule))
    parts = [
        Remark(
            "On this machine, threads: each has a copy of the weights and merges it into the shared ones at its own "
            "time, without a barrier: asynchronous workers inside one process."
        ),
        _table(problem, trials),
    ]
    return Findings(parts, _statements(problem, trials))


def _replicas(problem: Problem, threads: int, interval: int, rule: str) -> Trial:
    engine = Replicas(interval=interval, head=problem.X.shape[1], merge=rule, tune=False)
    virtual = Simulated(threads, interval=interval, head=problem.X.shape[1], merge=rule)
    trial = _trial(problem, threads, "replicas", engine)
    loss = fitted_loss(problem.estimator(engine=virtual), problem.X, problem.y)
    return trial._replace(interval=interval, rule=rule, virtual=loss)


def _trial(problem: Problem, threads: int, name: str, engine: Engine) -> Trial:
    """Fit some times; speed and loss in the median."""
    speeds, losses = [], []
    for _ in range(TIMES):
        began = time.perf_counter()
        losses.append(fitted_loss(problem.estimator(engine=engine, n_jobs=threads), problem.X, problem.y))
        speeds.append(problem.n_rows * EPOCHS / (time.perf_counter() - began))
    return Trial(threads, name, None, "", float(np.median(speeds)), float(np.median(losses)), None)


def _table(problem: Problem, trials: list[Trial]) -> Measured:
    rows = [
        [
            each.threads,
            each.name,
            each.interval,
            each.rule,
            each.rows_per_second / 1e6,
            each.loss if np.isfinite(each.loss) else None,
            each.virtual if each.virtual is not None and np.isfinite(each.virtual) else None,
        ]
        for each in trials
    ]
    columns = {
        "threads": "d",
        "weights": "",
        "merged every": ",d",
        "merge": "",
        "million rows/s": ".2f",
        "loss": ".4f",
        "loss, virtual": ".4f",
    }
    note = (
        f"{problem.n_rows:,} rows, {EPOCHS} epochs, medians of {TIMES} runs; the time is that of a whole fit. Virtual: "
        "as many replicas simulated on one thread, at virtual times instead of real ones."
    )
    return Measured("threads", "Threads of this machine", columns, rows, note)


def _statements(problem: Problem, trials: list[Trial]) -> list[Statement]:
    safe = [each for each in trials if each.rule in ("mean", "damped", "self-tuned")]
    good = [each.loss for each in trials if each.rule in ("damped", "self-tuned")]
    return [
        Statement(
            "Real threads and virtual ones end at the same loss within 15 %, for every rule but the sum",
            all(abs(each.loss / each.virtual - 1) < 0.15 for each in safe) if safe else None,
        ),
        Statement(
            "Threads that merge damped or self-tuned at their own time end within 15 % of one thread's loss",
            max(good) < 1.15 * problem.alone if good else None,
        ),
    ]
