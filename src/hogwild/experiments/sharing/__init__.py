"""Why replicas: what shared weights cost, in time and in lost updates, and whether collisions regularise."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting
from hogwild.experiments.sharing.collisions import measure_collisions
from hogwild.experiments.sharing.density import measure_densities
from hogwild.experiments.sharing.documents import measure_documents
from hogwild.experiments.sharing.lines import measure_lines
from hogwild.experiments.sharing.lost import measure_lost
from hogwild.experiments.text_rows import DATA, load_documents

LEAST = 20_000  # documents to train on: so many are timed at any scale


def run(setting: Setting) -> Findings:
    """Run all parts of the experiment."""
    documents = load_documents(setting, LEAST)  # first: bad data are told at once
    findings = Findings()
    for parts, statements in (
        measure_lines(setting),
        measure_documents(setting, documents),
        measure_densities(setting),
        measure_lost(setting),
        measure_collisions(setting),
    ):
        findings.parts.extend(parts)
        findings.statements.extend(statements)
    return findings


EXPERIMENT = Experiment(
    "sharing",
    "Why replicas: what shared weights cost",
    "Classic HOGWILD! lets all threads step on the same weights. This measures what that costs and what a replica for "
    "each thread, merged now and then, costs instead: cache lines passed between cores, throughput and objective by "
    "engine, merge interval, replicated head and density of the rows, updates that are lost, and whether collisions "
    "regularise. On made-up documents shaped like RCV1, or your own; the other rows are always made up.",
    DATA,
    run,
)
