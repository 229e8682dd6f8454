"""Stanford CS246: SVM by SGD beside batch methods and QP solvers; one module for each part."""

from __future__ import annotations

from hogwild.experiments.cs246_svm import amount, classes, margins, precision, solvers, step_sizes, subsets
from hogwild.experiments.cs246_svm.problem import load
from hogwild.experiments.findings import Experiment, Findings, Setting
from hogwild.experiments.text_rows import DATA

PARTS = (solvers, precision, subsets, step_sizes, margins, amount)


def run(setting: Setting) -> Findings:
    """Run the parts one after the other on the same documents, and the one with many classes on its own."""
    problem = load(setting)
    found = [part.run(setting, problem) for part in PARTS]
    del problem
    found.append(classes.run(setting))
    return Findings(
        [part for each in found for part in each.parts], [said for each in found for said in each.statements]
    )


EXPERIMENT = Experiment(
    "cs246-svm",
    "Stanford CS246: SVM by SGD beside batch methods and QP solvers",
    "A support vector machine on documents like those of RCV1, class CCAT: does SGD minimise the objective, how fast, "
    "and with which test error, beside a quadratic-programming solver, dual coordinate descent, L-BFGS, conjugate "
    "gradient, batch and mini-batch gradient descent; how the step size is found; what C does; several classes; "
    "how much the data matter.",
    DATA,
    run,
)
