"""How deltas of many workers are added: sum, mean, damped, self-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from hogwild import DivergedError
from hogwild.cluster.consistency import SSP
from hogwild.cluster.simulation.job import Simulation, simulate
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.scenario import Scenario
from hogwild.engine.engines import Simulated
from hogwild.experiments.async_2012.curves import time_to
from hogwild.experiments.async_2012.problem import EPOCHS, JUDGES, Problem, fitted_loss
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

RULES = ("sum", "mean", "damped", "self-tuned")
INTERVALS = (64, 256)  # rows between two merges of a replica
REPLICAS = (2, 4, 8, 16, 32, 64)
WORKERS = (4, 16, 64)
PHASES_OF_MOST = 8  # of each of 64 workers
SECONDS = 960.0  # of virtual time that one worker needs for all rows
SHARDS, STALENESS = 2, 3
GOAL = 1.1  # times the loss of one worker after all epochs
Losses = Mapping[tuple, float]


def run(setting: Setting, problem: Problem) -> Findings:
    """Run the part."""
    replicas = {}
    for interval, count, rule in product(INTERVALS, REPLICAS, RULES):
        setting.say(f"{count} virtual replicas, {rule}")
        engine = Simulated(count, interval=interval, merge=rule)
        replicas[interval, count, rule] = fitted_loss(problem.estimator(engine=engine), problem.X, problem.y)
    alone = _simulate(problem, 1, "self-tuned")
    runs = {}
    for count, rule in product(WORKERS, RULES):
        setting.say(f"{count} workers on a cluster, {rule}")
        runs[count, rule] = _simulate(problem, count, rule)
    losses = {key: np.inf if found is None else found.losses[-1][1] for key, found in runs.items()}
    goal = GOAL * alone.losses[-1][1]
    times = {key: None if found is None else time_to(found, goal) for key, found in runs.items()}
    parts = [
        Remark(
            "Merge rules. Every worker's delta walks most of the way for features that all of them touch: the sum "
            "overshoots, the mean is slow where few touch a feature; damped merges lie between, by the curvature along "
            "each feature; self-tuned ones also choose the constant in front of it."
        ),
        _replica_table(problem, replicas),
        _cluster_table(problem, losses, times, alone, goal),
        Picture("merge-rules", _picture(problem, replicas)),
    ]
    return Findings(parts, _statements(problem, replicas, losses, times, alone, goal))


def _simulate(problem: Problem, workers: int, rule: str) -> Simulation | None:
    """Run a job on a cluster in virtual time to its end; None: it diverges."""
    scenario = Scenario(
        workers=workers,
        shards=SHARDS,
        consistency=SSP(STALENESS),
        phase_rows=_phase_rows(problem),
        merge=rule,
        rate=problem.n_rows * EPOCHS / SECONDS,
        noise=0.1,
    )
    rows = problem.X, problem.y
    job = RealJob(problem.estimator(), rows, shards=SHARDS, workers=workers, merge=rule, judges=JUDGES)
    try:
        return simulate(job=job, scenario=scenario, points=40)
    except DivergedError:
        return None
    finally:
        job.close()


def _phase_rows(problem: Problem) -> int:
    return max(1, problem.n_rows * EPOCHS // (WORKERS[-1] * PHASES_OF_MOST * problem.phases // 32))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _replica_table(problem: Problem, losses: Losses) -> Measured:
    rows = [
        [interval, count, *(_finite(losses[interval, count, rule]) for rule in RULES)]
        for interval, count in product(INTERVALS, REPLICAS)
    ]
    columns = {"merged every": "d", "replicas": "d", **dict.fromkeys(RULES, ".4f")}
    note = (
        f"Log loss after {EPOCHS} epochs, {problem.n_rows:,} rows; every replica merges after so many rows, at a time "
        f"of its own (simulated exactly on one thread: `Simulated`); one thread: {problem.alone:.4f}. - : not finite."
    )
    return Measured("merge-replicas", "Merge rules, replicas of one process", columns, rows, note)


def _cluster_table(problem: Problem, losses: Losses, times: Mapping, alone: Simulation, goal: float) -> Measured:
    base = time_to(alone, goal)
    rows = []
    for (count, rule), loss in losses.items():
        reached = times[count, rule]
        rows.append([count, rule, _finite(loss), reached, base / reached if base and reached else None])
    columns = {"workers": "d", "merge": "", "loss": ".4f", "s to goal": ".1f", "speed-up to goal": ".1f"}
    shown = "never" if base is None else f"{base:.0f} s"
    note = (
        f"Real steps in virtual time, SSP({STALENESS}), phases of {_phase_rows(problem):,} rows, {EPOCHS} epochs. "
        f"Goal: loss {goal:.4f}, {GOAL:g} times that of one worker ({alone.losses[-1][1]:.4f}), who reaches it after "
        f"{shown}. - : never, or not finite."
    )
    return Measured("merge-cluster", "Merge rules, workers of a cluster", columns, rows, note)


def _picture(problem: Problem, losses: Losses) -> Lines:
    counts = list(REPLICAS)
    lines = {
        rule: (counts, [losses[INTERVALS[-1], count, rule] / problem.alone for count in counts]) for rule in RULES[1:]
    }
    lines["one thread"] = (counts, [1.0] * len(counts))
    heading = f"Loss after {EPOCHS} epochs, merged every {INTERVALS[-1]} rows (not shown: the sum)"
    return Lines(heading, "replicas", "times the loss of one thread", lines, dashed=("one thread",))


def _statements(
    problem: Problem, replicas: Losses, cluster: Losses, times: Mapping, alone: Simulation, goal: float
) -> list[Statement]:
    rare = {(count, rule): replicas[INTERVALS[-1], count, rule] for count, rule in product(REPLICAS, RULES)}
    many = [count for count in REPLICAS if count >= 8]
    one, base = alone.losses[-1][1], time_to(alone, goal)
    far = all(rare[count, "sum"] > 2 * problem.alone for count in many) and all(
        cluster[count, "sum"] > 2 * one for count in WORKERS if count >= 16
    )
    near = all(rare[count, rule] < 1.25 * problem.alone for count, rule in product(REPLICAS, RULES[2:]))
    above = all(rare[count, rule] < rare[count, "mean"] for count, rule in product(many, RULES[2:]))
    most = WORKERS[-1]
    fast, slow = times[most, "self-tuned"], times[most, "mean"]
    every = f"merged every {INTERVALS[-1]} rows"
    return [
        Statement("With 8 replicas or more the sum of deltas ends at more than twice the loss of one thread", far),
        Statement(
            f"Damped and self-tuned merges ({every}) end within 25 % of one thread's loss for 2 to 64 replicas", near
        ),
        Statement(
            f"The mean is safe and slow: with 8 replicas or more ({every}) it ends above damped and self-tuned merges",
            above,
        ),
        Statement(
            f"On a cluster of {most} workers self-tuned merges reach a loss {100 * (GOAL - 1):.0f} % above one "
            "worker's at least ten times sooner than one worker does, and sooner than the mean, if that does at all",
            base is not None and fast is not None and base > 10 * fast and (slow is None or slow > fast),
        ),
    ]
