"""The work of `hogwild reproduce`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

from hogwild.cli.recording import check_report
from hogwild.cli.terminal import CommandError, live_line, print_pairs, print_table
from hogwild.estimators.threads import resolve_n_jobs
from hogwild.experiments import FINDABLE, find
from hogwild.experiments.findings import Experiment, Findings, Measured, Picture, Published, Remark, Setting
from hogwild.experiments.writing import report_parts, shown_rows, write_findings
from hogwild.report.environment import describe_environment
from hogwild.report.parts import Part


@dataclass(frozen=True)
class Wishes:
    """The command line of `hogwild reproduce`."""

    names: tuple[str, ...]
    scale: float
    data: tuple[str, ...]
    output: Path
    report: Path | None
    seed: int
    jobs: int | None
    quiet: bool


def list_experiments() -> None:
    """Print which experiments there are."""
    experiments = [find(name) for name in FINDABLE]
    print_table(["experiment", "what it shows"], [[each.name, each.title] for each in experiments])
    print("hogwild reproduce NAME... [--scale 0.1] runs them; docs/reproduce.md tells more")


def run(wishes: Wishes) -> None:
    """Run the experiments one after the other; what an experiment found is written before the next one begins."""
    experiments = [find(name) for name in wishes.names]
    _check(wishes, experiments)
    threads = resolve_n_jobs(-1 if wishes.jobs is None else wishes.jobs)
    told: list[Part] = []
    for experiment in experiments:
        began = time.perf_counter()
        if not wishes.quiet:
            print(f"\n{experiment.name}: {experiment.title}\n{experiment.about}")
        with live_line(experiment.name, wishes.quiet) as line:

            def say(doing: str, line=line, name=experiment.name) -> None:
                if line is not None:
                    line.update(f"{name}: {doing}")

            findings = experiment.run(Setting(wishes.scale, threads, wishes.seed, wishes.data, say))
        seconds = time.perf_counter() - began
        environment = {
            "scale": f"{wishes.scale:g}" if not wishes.data else f"real data: {', '.join(wishes.data)}",
            "threads": f"at most {threads}",
            "seed": str(wishes.seed),
            "seconds": f"{seconds:.0f}",
            **describe_environment(),
        }
        folder = wishes.output / experiment.name
        write_findings(experiment, findings, environment, folder)
        told += report_parts(experiment.title, experiment.about, environment, findings)
        if not wishes.quiet:
            _say(findings, folder, seconds)
    if wishes.report is not None:
        from hogwild.report import write_report

        write_report(wishes.report, "hogwild: published figures, measured again", told)
        if not wishes.quiet:
            print_pairs([("report", str(wishes.report))])


def _check(wishes: Wishes, experiments: list[Experiment]) -> None:
    """Fail now rather than after an hour."""
    if not (math.isfinite(wishes.scale) and wishes.scale > 0):
        raise CommandError(f"--scale: found {wishes.scale:g}, expected a number above 0")
    if wishes.data:
        without = [each.name for each in experiments if not each.data]
        if without:
            raise CommandError(f"--data: {', '.join(without)} makes its own data: leave one out")
        for name in wishes.data:
            if name != "rcv1" and not Path(name).exists():
                raise CommandError(f"{name}: found no such file")
    if wishes.output.exists() and not wishes.output.is_dir():
        raise CommandError(f"{wishes.output}: found a file, expected a folder or nothing")
    wishes.output.mkdir(parents=True, exist_ok=True)
    check_report(wishes.report if wishes.report is not None else wishes.output / "report.html")


def _say(findings: Findings, folder: Path, seconds: float) -> None:
    """Print tables, where pictures are, and the statements."""
    for part in findings.parts:
        if isinstance(part, Measured):
            print_table(list(part.columns), shown_rows(part), part.heading)
            if part.note:
                print(f"  {part.note}")
        elif isinstance(part, Published):
            print_table(part.columns, part.rows, f"Published: {part.heading}")
            print(f"  Source: {part.source}")
        elif isinstance(part, Picture):
            print(f"  picture: {folder / part.key}.png  ({part.plot.heading})")
        elif isinstance(part, Remark):
            print(f"\n{part.text}")
    if findings.statements:
        print()
        print_pairs([(each.verdict, each.claim) for each in findings.statements])
    print(f"\nwritten to {folder}  ({seconds:.0f} s)")
