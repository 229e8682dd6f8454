"""Stanford CS246: SVM by SGD beside batch methods and QP solvers."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Findings, Setting


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    return Findings()


EXPERIMENT = Experiment("cs246-svm", "Stanford CS246: SVM by SGD beside batch methods and QP solvers", "", "", run)
