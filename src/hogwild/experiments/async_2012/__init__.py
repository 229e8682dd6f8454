"""Synchronous, stale synchronous and asynchronous workers (Dean et al. 2012, Ho et al. 2013)."""

from __future__ import annotations

from hogwild.experiments.async_2012 import faults, machine, merging, on_ray, scaling, waiting
from hogwild.experiments.async_2012.problem import load_problem
from hogwild.experiments.findings import Experiment, Findings, Remark, Setting
from hogwild.experiments.text_rows import DATA

ABOUT = (
    "Workers step on copies of a model and exchange deltas with parameter shards: in lock step (BSP), at most s phases "
    "apart (stale synchronous, SSP(s)), or never waiting (asynchronous, ASP; Downpour SGD of Dean et al. 2012). "
    "Logistic regression on documents shaped like RCV1. Simulated parts run real steps on these rows in virtual time, "
    "which a seed repeats bit by bit; beside them threads and Ray processes of this machine."
)
PARTS = (waiting, merging, scaling, faults, machine, on_ray)


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    problem = load_problem(setting)
    findings = Findings([Remark(problem.about)])
    for part in PARTS:
        found = part.run(setting, problem)
        findings.parts.extend(found.parts)
        findings.statements.extend(found.statements)
    return findings


EXPERIMENT = Experiment(
    "async-2012",
    "Synchronous, stale synchronous and asynchronous workers, with and without stragglers",
    ABOUT,
    DATA,
    run,
)
