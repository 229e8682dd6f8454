"""C from small to large: errors, the norm of w, and the rows within the margin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hogwild import LinearSVC
from hogwild.experiments.cs246_svm.problem import Problem, seconds_of
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

STRENGTHS = (1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)
TOL, EPOCHS = 1e-2, 100
CLEARLY = 0.005  # of the test rows


def run(setting: Setting, problem: Problem) -> Findings:
    """Solve the problem for each C."""
    rows = []
    for strength in STRENGTHS:
        here = problem._replace(strength=strength)
        setting.say(f"margins: C = {here.C:.3g}")
        model = LinearSVC(loss="hinge", C=here.C, fit_intercept=False, tol=TOL, max_iter=EPOCHS, random_state=0)
        _, model = seconds_of(lambda model=model, here=here: model.fit(here.X, here.y))
        margins = here.margins(model.coef_)
        rows.append(
            [
                here.C,
                strength,
                float(np.mean(margins <= 0)),
                here.test_error(model.coef_),
                float(np.sqrt(np.square(model.coef_).sum())),
                float(np.mean(margins < 1)),
                len(model.support_) / here.n_rows,
                model.dual_gap_ / model.objective_,
            ]
        )
    costs, _, train, test, norms, within, *_ = (list(column) for column in zip(*rows, strict=True))
    return Findings(
        [
            Remark(
                "C weighs the errors against the margin. Small: the data are ignored; large: the rows are separated at "
                "any price."
            ),
            Measured(
                "margins",
                "C from small to large",
                {
                    "C": ".3g",
                    "lambda": ".0e",
                    "train error": ".2%",
                    "test error": ".2%",
                    "|w|": ".3g",
                    "within margin": ".1%",
                    "support vectors": ".1%",
                    "gap": ".0e",
                },
                rows,
                f"Hinge, dual coordinate descent until the gap is {TOL:g} of the objective or for {EPOCHS} epochs; "
                "within margin: y (w.x + b) < 1; the margin is 1 / |w|.",
            ),
            Picture(
                "margins",
                Lines(
                    "C from small to large",
                    "C",
                    "share of the rows (%)",
                    {
                        name: (costs, [100 * value for value in values])
                        for name, values in (("train error", train), ("test error", test), ("within margin", within))
                    },
                    log_x=True,
                ),
            ),
        ],
        [
            Statement("The larger C, the fewer errors on the rows that were trained on", _falls(train), "CS246"),
            Statement("The larger C, the longer w: the narrower the margin", _falls(norms[::-1]), "CS246"),
            Statement(
                "The test error is lowest at a C between the smallest and the largest",
                min(test[1:-1]) + CLEARLY < min(test[0], test[-1]) if problem.many else None,
                "CS246",
            ),
        ],
    )


def _falls(values: list[float]) -> bool:
    """Tell whether no value is clearly above the one before."""
    return all(later <= earlier * 1.02 + 1e-3 for earlier, later in pairwise(values))
