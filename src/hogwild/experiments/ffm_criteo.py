"""Field-aware factorisation machines beside libffm."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    return Findings()


EXPERIMENT = Experiment("ffm-criteo", "Field-aware factorisation machines beside libffm", "", "", run)
