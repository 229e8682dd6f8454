"""Workers that are killed, missed after a while, and started again: the run goes on."""

from __future__ import annotations

import numpy as np

from hogwild.cluster.consistency import ASP, BSP, SSP
from hogwild.cluster.simulation.faults import Planned
from hogwild.cluster.simulation.job import Simulation, simulate
from hogwild.experiments.async_2012.curves import rows_until
from hogwild.experiments.async_2012.jobs import SECONDS, WORKERS, make_job, run_job
from hogwild.experiments.async_2012.problem import Problem
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

KILLED_AT, TIMEOUT = 15.0, 10.0  # when workers die, and after how much silence they count as lost
KILLED = ("worker/3", "worker/7")
POINTS = 20  # of a curve
DEATHS = {"told": 0.0, "timeout": TIMEOUT, "heartbeat": 1.0}  # nobody tells of a death: only silence does
RESTARTED, RESTARTED_AT, AWAY = "worker/5", 36.0, 4.0
POLICIES = (BSP, SSP(3), ASP)
CRASHES_WORKERS, CRASHES, JOINS = 100, 1.0, 0.7  # the counted run; crashes and joins a second over the whole cluster


def run(setting: Setting, problem: Problem) -> Findings:
    """Run the part."""
    job = make_job(problem)
    runs: dict[str, Simulation] = {}
    try:
        for policy in POLICIES:
            setting.say(f"workers are killed, {policy}")
            runs[repr(policy)] = run_job(job, problem, policy, POINTS, planned=_plan(), **DEATHS)
        setting.say("the same, undisturbed")
        undisturbed = run_job(job, problem, ASP, POINTS, **DEATHS)
    finally:
        job.close()
    setting.say("killing workers again and again")
    again = _crash_often()
    parts = [
        Remark(
            f"Workers are killed. {WORKERS} workers as above, their rows leased: at {KILLED_AT:.0f} s {len(KILLED)} of "
            f"them die without a word and are missed after {TIMEOUT:.0f} s of silence; at {RESTARTED_AT:.0f} s another "
            f"one dies and is back, empty, {AWAY:.0f} s later."
        ),
        _table(runs, undisturbed),
        Picture("faults", _picture(runs, undisturbed)),
        Remark(
            f"Counted, without steps: {CRASHES_WORKERS} workers, about {CRASHES:g} killed and {JOINS:g} new ones a "
            f"second; {again.faults['worker crash']} were killed and {again.faults['join']} joined until all rows were "
            "stepped. After every event it was checked that each push is applied once and no runnable worker idles."
        ),
    ]
    return Findings(parts, _statements(runs, undisturbed, again))


def _plan() -> tuple[Planned, ...]:
    return (
        Planned(KILLED_AT, "leave", KILLED),
        Planned(RESTARTED_AT, "crash", (RESTARTED,), AWAY),
    )


def _crash_often() -> Simulation:
    """Count a job whose workers die and join all the time, every invariant checked."""
    return simulate(
        workers=CRASHES_WORKERS,
        shards=2,
        phase_rows=10_000,
        rate=1e5,
        noise=0.2,
        worker_crashes=CRASHES,
        joins=JOINS,
        told=0.5,
        timeout=1.5,
        heartbeat=0.3,
        rows=CRASHES_WORKERS * 300_000,
        check=True,
    )


def rows_between(run: Simulation, start: float, stop: float) -> float:
    """Rows stepped in a span of virtual time."""
    before, after = rows_until(run, np.array([start, stop]))
    return float(after - before)


# from when the workers that are left have finished what they had begun to when the dead are missed
SILENT = KILLED_AT + 5.0, KILLED_AT + TIMEOUT - 1.0
AFTER = SECONDS * 3 / 4, SECONDS


def _table(runs: dict[str, Simulation], undisturbed: Simulation) -> Measured:
    rows = []
    for policy, found in runs.items():
        silent, after = (
            100 * rows_between(found, *span) / rows_between(undisturbed, *span) for span in (SILENT, AFTER)
        )
        whole = 100 * found.rows / undisturbed.rows
        rows.append([policy, whole, silent, after, len(found.evictions), found.losses[-1][1]])
    rows.append(["ASP, nobody killed", 100.0, 100.0, 100.0, len(undisturbed.evictions), undisturbed.losses[-1][1]])
    columns = {
        "policy": "",
        "rows, %": ".0f",
        "while missed, %": ".0f",
        "last quarter, %": ".0f",
        "evicted": "d",
        "loss at the end": ".4f",
    }
    note = (
        f"Rows stepped, of those of ASP that nobody is killed in: in all {SECONDS:.0f} s, from {SILENT[0]:.1f} to "
        f"{SILENT[1]:.1f} s (two are dead, nobody knows), and from {AFTER[0]:.0f} s on. Real steps in virtual time."
    )
    return Measured("faults", "Workers killed and restarted", columns, rows, note)


def _picture(runs: dict[str, Simulation], undisturbed: Simulation) -> Lines:
    times = np.linspace(0, SECONDS, 61)
    lines = {policy: (times, rows_until(found, times) / 1e3) for policy, found in runs.items() if policy != "SSP(3)"}
    lines["ASP, nobody killed"] = (times, rows_until(undisturbed, times) / 1e3)
    heading = f"Two of {WORKERS} workers die at {KILLED_AT:.0f} s, one more restarts at {RESTARTED_AT:.0f} s"
    return Lines(heading, "virtual time (s)", "thousand rows stepped", lines, dashed=("ASP, nobody killed",))


def _statements(runs: dict[str, Simulation], undisturbed: Simulation, again: Simulation) -> list[Statement]:
    silent = {
        policy: rows_between(found, *SILENT) / rows_between(undisturbed, *SILENT) for policy, found in runs.items()
    }
    after = {policy: rows_between(found, *AFTER) / rows_between(undisturbed, *AFTER) for policy, found in runs.items()}
    return [
        Statement(
            "Asynchronous workers make progress through kills and restarts: at the end the loss is within 10 % of that "
            "of a run that nobody is killed in",
            runs["ASP"].losses[-1][1] < 1.1 * undisturbed.losses[-1][1],
            "Dean et al. 2012",
        ),
        Statement(
            "While nobody has missed the killed workers yet, BSP stands still and ASP goes on",
            silent["BSP"] < 0.1 and silent["ASP"] > 0.75,
        ),
        Statement(
            "Once they are evicted, every policy goes on: in the last quarter BSP, SSP(3) and ASP all step more than "
            "three fifths of the rows of an undisturbed run",
            min(after.values()) > 0.6,
        ),
        Statement("A job whose workers are killed again and again steps all of its rows", again.finished),
    ]
