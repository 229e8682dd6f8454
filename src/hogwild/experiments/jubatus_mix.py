"""Jubatus' MIX without and with versions."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    return Findings()


EXPERIMENT = Experiment("jubatus-mix", "Jubatus' MIX without and with versions", "", "", run)
