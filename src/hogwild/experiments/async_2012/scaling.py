"""From one worker to a thousand: throughput, counted without stepping."""

from __future__ import annotations

from hogwild.cluster.consistency import ASP, BSP, SSP, Consistency
from hogwild.cluster.simulation.job import Simulation, simulate
from hogwild.cluster.simulation.scenario import Scenario
from hogwild.experiments.async_2012.problem import Problem
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

COUNTS = (1, 3, 10, 30, 100, 300, 1_000)
FEWER_COUNTS = (1, 10, 100, 1_000)  # at small scales
SHARDS, RATE, PHASE_ROWS = 4, 1e5, 20_000
PHASES = 10  # of an undisturbed worker, in the time of a run
SLOW_LINK, FAST_LINK = 1.25e8, 1.25e9  # bytes a second: 1 and 10 Gbit/s
KEYS, NONZEROS = 47_236, 66  # of the imagined model: RCV1's
CASES: dict[str, tuple[Consistency, float]] = {
    "BSP": (BSP, FAST_LINK),
    "SSP(3)": (SSP(3), FAST_LINK),
    "SSP(10)": (SSP(10), FAST_LINK),
    "ASP": (ASP, FAST_LINK),
    "ASP, 1 Gbit/s": (ASP, SLOW_LINK),
}


def run(setting: Setting, problem: Problem) -> Findings:
    """Run the part; the rows of `problem` are not touched."""
    counts = COUNTS if setting.scale >= 0.1 or setting.data else FEWER_COUNTS
    runs = {}
    for workers in counts:
        for name, (policy, link) in CASES.items():
            setting.say(f"{workers:,} workers, {name}")
            runs[workers, name] = _simulate(workers, policy, link)
    seconds = PHASES * PHASE_ROWS / RATE
    parts = [
        Remark(
            "From 1 to 1,000 workers. Here nothing is learned: workers, shards and messages are those of a real job, "
            f"phases of {PHASE_ROWS:,} rows take {PHASE_ROWS / RATE:g} s (20 % of noise; one in a hundred stalls for "
            f"1 s on average), {SHARDS} shards hold {KEYS:,} weights. {seconds:g} s of virtual time each."
        ),
        _table(counts, runs),
        Picture("scaling", _picture(counts, runs)),
    ]
    return Findings(parts, _statements(runs))


def _simulate(workers: int, policy: Consistency, link: float) -> Simulation:
    scenario = Scenario(
        workers=workers,
        shards=SHARDS,
        consistency=policy,
        phase_rows=PHASE_ROWS,
        rate=RATE,
        noise=0.2,
        stalls=0.01,
        stall_seconds=1.0,
        bandwidth=link,
    )
    rows = 2 * workers * PHASES * PHASE_ROWS  # more than any of them steps in the time
    return simulate(scenario=scenario, rows=rows, keys=KEYS, nonzeros=NONZEROS, until=PHASES * PHASE_ROWS / RATE)


def efficiency(run: Simulation) -> float:
    """Rows a second, as a share of what the workers could step if nothing held them up."""
    return run.rows_per_second / (run.scenario.workers * RATE)


def _table(counts: tuple[int, ...], runs: dict) -> Measured:
    rows = []
    for workers in counts:
        for name in CASES:
            found = runs[workers, name]
            _, exchange, waiting = found.share
            rows.append(
                [workers, name, found.rows_per_second / 1e6, 100 * efficiency(found), 100 * exchange, 100 * waiting]
            )
    columns = {
        "workers": ",d",
        "policy": "",
        "million rows/s": ".2f",
        "% of all": ".0f",
        "exchange, %": ".0f",
        "waiting, %": ".0f",
    }
    note = (
        f"Counted, without steps. Of all: of {RATE:,.0f} rows/s for each worker. Exchange and waiting: shares of the "
        "workers' time, as far as they have reported it. Links of 10 Gbit/s where nothing is said."
    )
    return Measured("scaling", "Simulated workers, throughput", columns, rows, note)


def _picture(counts: tuple[int, ...], runs: dict) -> Lines:
    lines = {name: (list(counts), [runs[workers, name].rows_per_second for workers in counts]) for name in CASES}
    lines["nothing holds them up"] = (list(counts), [workers * RATE for workers in counts])
    heading = "Throughput by workers, random stalls (counted)"
    return Lines(heading, "workers", "rows/s", lines, log_x=True, log_y=True, dashed=("nothing holds them up",))


def _statements(runs: dict) -> list[Statement]:
    share = {key: efficiency(found) for key, found in runs.items()}
    return [
        Statement(
            "With random stalls 1,000 asynchronous workers keep more than three quarters of their throughput, "
            "1,000 synchronous ones less than a quarter",
            share[1_000, "ASP"] > 0.75 and share[1_000, "BSP"] < 0.25,
            "Dean et al. 2012",
        ),
        Statement(
            "The more workers there are, the larger the share of the throughput that waiting for the slowest costs BSP",
            share[1, "BSP"] > share[10, "BSP"] > share[100, "BSP"] > share[1_000, "BSP"],
        ),
        Statement(
            "With 1,000 workers on links of 1 Gbit/s the shards' links are the limit: ten times faster ones bring more "
            "than a quarter more rows",
            share[1_000, "ASP"] > 1.25 * share[1_000, "ASP, 1 Gbit/s"],
        ),
    ]
