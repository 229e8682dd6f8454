"""HOGWILD! (Niu, Recht, Re, Wright 2011): speed-up against threads."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    return Findings()


EXPERIMENT = Experiment("hogwild-2011", "HOGWILD! (Niu, Recht, Re, Wright 2011): speed-up against threads", "", "", run)
