"""Batch conjugate gradient on subsets against SGD on everything."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from hogwild.experiments.cs246_svm.problem import Problem, Trace
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

SHARES = (64, 16, 4, 1)
STEPS = 30
EPOCHS, SLICES = 8, 8
LEAST = 64  # rows of a subset


class Course(NamedTuple):
    """Where a method was when: objective over all rows, test error."""

    seconds: list[float]
    objectives: list[float]
    errors: list[float]

    def best_by(self, seconds: float) -> float:
        """Lowest objective reached by then; infinite for none."""
        reached = [value for at, value in zip(self.seconds, self.objectives, strict=True) if at <= seconds]
        return min(reached, default=np.inf)


def run(setting: Setting, problem: Problem) -> Findings:
    """Let conjugate gradient run on subsets of growing size and SGD on all rows; judge both on all rows."""
    setting.say("subsets: SGD")
    courses = {"SGD, all rows": _judged(_sgd(problem), problem)}
    for share in SHARES:
        part = problem.first(max(LEAST, problem.n_rows // share))
        name = f"CG, 1/{share} of the rows" if share > 1 else "CG, all rows"
        setting.say(f"subsets: {name}")
        courses[name] = _judged(conjugate_gradient(part), problem)
    return Findings(_parts(problem, courses), _statements(problem, courses))


def _sgd(problem: Problem) -> Trace:
    """Run SGD in slices of an epoch, to see where it is under way."""
    bounds = np.linspace(0, problem.n_rows, SLICES + 1).astype(int)
    slices = [(problem.X[low:high], problem.y[low:high]) for low, high in pairwise(bounds)]
    model, trace, seconds = problem.sgd(loss="squared_hinge", learning_rate="search"), Trace(), 0.0
    for _ in range(EPOCHS):
        for X, y in slices:
            began = time.perf_counter()
            model.partial_fit(X, y, classes=[-1, 1])
            seconds += time.perf_counter() - began
            trace.seconds.append(seconds)
            trace.weights.append(model.coef_.ravel().copy())
    return trace


def conjugate_gradient(problem: Problem) -> Trace:
    """Minimise J with the squared hinge over these rows."""
    start = np.zeros(problem.X.shape[1])
    return Trace().descend(
        lambda note: minimize(problem.slope, start, jac=True, method="CG", callback=note, options={"maxiter": STEPS})
    )


def _judged(trace: Trace, problem: Problem) -> Course:
    return Course(
        trace.seconds,
        [problem.objective(weights, squared=True) for weights in trace.weights],
        [problem.test_error(weights) for weights in trace.weights],
    )


def _parts(problem: Problem, courses: dict[str, Course]) -> list:
    rows = []
    for name, course in courses.items():
        best = int(np.argmin(course.errors))
        rows.append(
            [
                name,
                course.seconds[-1],
                course.objectives[-1],
                course.errors[-1],
                course.errors[best],
                course.seconds[best],
            ]
        )
    table = Measured(
        "subsets",
        "Conjugate gradient on subsets against SGD on everything",
        {
            "method": "",
            "seconds": ".3g",
            "J over all rows": ".4f",
            "test error": ".2%",
            "best of it": ".2%",
            "after s": ".3g",
        },
        rows,
        f"Squared hinge, lambda {problem.strength:g} of the rows each sees. CG: {STEPS} steps of scipy's. SGD: "
        f"{EPOCHS} epochs, the search for the step size included. One run each; judging is not timed.",
    )
    lines = {name: (course.seconds, [100 * error for error in course.errors]) for name, course in courses.items()}
    return [
        Remark("Is it better to do much with few rows, or little with all of them?"),
        table,
        Picture(
            "subsets",
            Lines(
                "Conjugate gradient on subsets, SGD on all",
                "seconds",
                "test error (%)",
                lines,
                from_zero=True,
                log_x=True,
            ),
        ),
    ]


def _statements(problem: Problem, courses: dict[str, Course]) -> list[Statement]:
    sgd, *others = courses.values()
    after = sgd.seconds[2 * SLICES - 1]
    return [
        Statement(
            "When SGD has seen all rows twice, conjugate gradient on no subset has as low an objective over all rows",
            all(course.best_by(after) > sgd.best_by(after) for course in others) if problem.many else None,
            "CS246",
        ),
        Statement(
            "Conjugate gradient, run to its end on a sixteenth of the rows, has a higher test error than SGD on all",
            courses["CG, 1/16 of the rows"].errors[-1] > sgd.errors[-1],
            "CS246",
        ),
    ]
