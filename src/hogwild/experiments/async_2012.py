"""Synchronous, stale synchronous and asynchronous workers."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    return Findings()


EXPERIMENT = Experiment("async-2012", "Synchronous, stale synchronous and asynchronous workers", "", "", run)
