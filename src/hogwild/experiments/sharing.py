"""Why replicas: what shared weights cost."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    return Findings()


EXPERIMENT = Experiment("sharing", "Why replicas: what shared weights cost", "", "", run)
