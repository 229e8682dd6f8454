"""Who waits for whom: six policies without stragglers, with a slow worker, and with random stalls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hogwild.cluster.consistency import ASP, BSP, SSP
from hogwild.cluster.simulation.job import Simulation
from hogwild.experiments.async_2012.curves import loss_by_updates, loss_curve, rows_until, staleness_at, time_to
from hogwild.experiments.async_2012.jobs import SECONDS, SHARDS, WORKERS, make_job, run_job
from hogwild.experiments.async_2012.problem import Problem
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

POINTS = 32  # of a curve
POLICIES = (BSP, SSP(1), SSP(3), SSP(10), SSP(100), ASP)
SHOWN = ("BSP", "SSP(1)", "SSP(3)", "SSP(10)", "ASP")  # SSP(100) lies on ASP
NONE, SLOW, STALLS = "no stragglers", "one worker 4x slower", "random stalls"
SITUATIONS = {
    NONE: {},
    SLOW: {"slow": {0: 4.0}},
    STALLS: {"stalls": 0.05, "stall_seconds": 3.0},  # of phases; times their duration
}
DEAN = "Dean et al. 2012"
HO = "Ho et al. 2013"
Runs = dict[tuple[str, str], Simulation]


def run(setting: Setting, problem: Problem) -> Findings:
    """Run the part."""
    phase_rows, phase_seconds = problem.phase_rows, SECONDS / problem.phases
    runs: Runs = {}
    job = make_job(problem)
    try:
        for situation, changes in SITUATIONS.items():
            changes = {**changes, "stall_seconds": phase_seconds * changes.get("stall_seconds", 0.0)}
            for policy in POLICIES:
                setting.say(f"{situation}, {policy}")
                runs[situation, repr(policy)] = run_job(job, problem, policy, POINTS, leases=False, **changes)
        setting.say("one worker 4x slower, its rows leased to others")
        leased = run_job(job, problem, BSP, POINTS, leases=True, **SITUATIONS[SLOW])
    finally:
        job.close()
    parts = [
        Remark(
            f"Who waits for whom. {WORKERS} workers and {SHARDS} shards in virtual time, real steps: an undisturbed "
            f"worker finishes {problem.phases} phases of {phase_rows:,} rows in the {SECONDS:.0f} s that every run "
            "lasts. A slow worker takes four times as long for every phase; random stalls hit one phase in twenty for "
            "three phases on average. Every worker keeps its own rows."
        ),
        _table(runs, leased, phase_rows),
        _staleness(runs),
        Picture("loss-by-time", _loss_by_time(runs)),
        Picture("loss-by-updates", _loss_by_updates(runs, phase_rows)),
    ]
    return Findings(parts, _statements(runs, leased, phase_rows))


def work(runs: Runs, situation: str, policy: str) -> float:
    """Rows stepped, as a share of those of asynchronous workers that nothing disturbs."""
    return runs[situation, policy].rows / runs[NONE, "ASP"].rows


def late_rate(run: Simulation) -> float:
    """Rows a second in the last third."""
    before, after = rows_until(run, np.array([SECONDS * 2 / 3, SECONDS]))
    return float(after - before) / (SECONDS / 3)


def loss_after(run: Simulation, updates: float, phase_rows: int) -> float:
    """Median loss over the last fifth of so many updates: single points of a curve leap."""
    return float(np.median(np.interp(np.linspace(0.8, 1, 9) * updates, *loss_by_updates(run, phase_rows))))


def fewest_updates(runs: Runs, situation: str, phase_rows: int) -> float:
    """Updates that every policy has made at the end."""
    return min(loss_by_updates(run, phase_rows)[0][-1] for (where, _), run in runs.items() if where == situation)


def _table(runs: Runs, leased: Simulation, phase_rows: int) -> Measured:
    goal = runs[NONE, "BSP"].losses[len(runs[NONE, "BSP"].losses) // 2][1]
    rows = []
    for (situation, policy), found in runs.items():
        updates = fewest_updates(runs, situation, phase_rows)
        rows.append(
            [
                situation,
                policy,
                100 * work(runs, situation, policy),
                100 * found.share[2],
                time_to(found, goal),
                found.losses[-1][1],
                loss_after(found, updates, phase_rows),
            ]
        )
    whole = 100 * leased.rows / runs[NONE, "ASP"].rows
    rows.append(
        [f"{SLOW}, leases", "BSP", whole, 100 * leased.share[2], time_to(leased, goal), leased.losses[-1][1], None]
    )
    columns = {
        "stragglers": "",
        "policy": "",
        "rows, %": ".0f",
        "waiting, %": ".0f",
        "s to goal": ".1f",
        f"loss at {SECONDS:.0f} s": ".4f",
        "loss, equal updates": ".4f",
    }
    note = (
        f"Rows: stepped in {SECONDS:.0f} s, of those of undisturbed ASP. Waiting: share of the workers' time. Goal: "
        f"loss {goal:.4f}, which undisturbed BSP has half way. Equal updates: as many as the slowest policy of the "
        "situation makes, median of their last fifth. Leases: whoever is free takes the rows, and a slow "
        "worker's phases are shorter."
    )
    return Measured("waiting", "Policies and stragglers", columns, rows, note)


def _staleness(runs: Runs) -> Measured:
    rows = []
    for policy in SHOWN:
        found = runs[SLOW, policy]
        undisturbed = runs[NONE, policy].mean_staleness
        spread = [staleness_at(found, share) for share in (0.05, 0.5, 0.95, 1.0)]
        rows.append([policy, undisturbed, found.mean_staleness, *spread])
    columns = {
        "policy": "",
        "mean, no stragglers": ".1f",
        "mean, slow worker": ".1f",
        "5 %": "d",
        "median": "d",
        "95 %": "d",
        "most": "d",
    }
    note = "Pushes of other workers that came between a worker's pull and its push; the last four with the slow worker."
    return Measured("staleness", "Staleness of updates", columns, rows, note)


def _loss_by_time(runs: Runs) -> Lines:
    lines = {policy: loss_curve(runs[SLOW, policy]) for policy in SHOWN}
    lines["BSP, no stragglers"] = loss_curve(runs[NONE, "BSP"])
    heading = f"{WORKERS} workers, one of them 4 times slower"
    return Lines(heading, "virtual time (s)", "mean log loss", lines, dashed=("BSP, no stragglers",))


def _loss_by_updates(runs: Runs, phase_rows: int) -> Lines:
    chosen = {
        "BSP": (NONE, "BSP"),
        "ASP": (NONE, "ASP"),
        "BSP, slow worker": (SLOW, "BSP"),
        "ASP, slow worker": (SLOW, "ASP"),
        "ASP, stalls": (STALLS, "ASP"),
    }
    lines = {name: loss_by_updates(runs[key], phase_rows) for name, key in chosen.items()}
    return Lines(f"Loss by updates, {WORKERS} workers", "updates (pushes of a phase)", "mean log loss", lines)


def _statements(runs: Runs, leased: Simulation, phase_rows: int) -> list[Statement]:
    names = [repr(policy) for policy in POLICIES]
    equal = {
        situation: [
            loss_after(runs[situation, name], fewest_updates(runs, situation, phase_rows), phase_rows) for name in names
        ]
        for situation in SITUATIONS
    }
    alike = all(max(losses) <= 1.15 * min(losses) for losses in equal.values())
    rising = all(
        work(runs, situation, fewer) <= 1.02 * work(runs, situation, more)
        for situation in (SLOW, STALLS)
        for fewer, more in pairwise(names)
    )
    far = work(runs, SLOW, "BSP") < 0.8 * work(runs, SLOW, "SSP(10)") and work(runs, SLOW, "SSP(3)") < 0.8 * work(
        runs, SLOW, "ASP"
    )
    late = {name: late_rate(runs[SLOW, name]) for name in names}
    last = {name: runs[SLOW, name].losses[-1][1] for name in names}
    return [
        Statement(
            "Asynchronous updates are worth as much as synchronous ones: after equally many updates all policies have "
            "the same loss within 15 %, with and without stragglers",
            alike,
            DEAN,
        ),
        Statement(
            "One worker of 16 that is 4 times slower costs BSP more than half of the rows it steps in a given time, "
            "ASP less than a tenth",
            work(runs, SLOW, "BSP") < 0.5 * work(runs, NONE, "BSP")
            and work(runs, SLOW, "ASP") > 0.9 * work(runs, NONE, "ASP"),
            DEAN,
        ),
        Statement(
            "With the slow worker ASP has a lower loss than BSP after the same time",
            last["ASP"] < 0.95 * last["BSP"],
            DEAN,
        ),
        Statement("The larger the staleness allowed, the more rows are stepped", rising and far, HO),
        Statement(
            "Against a worker that is always slower, a staleness of 1 to 3 is a head start and not a rate: once it is "
            "used up, SSP steps no more rows a second than BSP",
            max(late["SSP(1)"], late["SSP(3)"]) < 1.25 * late["BSP"] < 0.5 * late["ASP"],
        ),
        Statement(
            "Against random stalls a staleness of 10 is nearly as good as none to obey, where BSP loses more than "
            "a third of the rows",
            work(runs, STALLS, "SSP(10)") > 0.9 * work(runs, STALLS, "ASP")
            and work(runs, STALLS, "BSP") < 0.65 * work(runs, NONE, "BSP"),
            HO,
        ),
        Statement(
            "Where rows are leased and a slow worker's phases are shorter, BSP steps at least one and a half times as "
            "many rows beside the slow worker",
            leased.rows > 1.5 * runs[SLOW, "BSP"].rows,
        ),
    ]
