"""Test error against the amount of data."""

from __future__ import annotations

import numpy as np

from hogwild import LinearSVC
from hogwild.experiments.cs246_svm.problem import Problem, seconds_of
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

SHARES = (64, 32, 16, 8, 4, 2, 1)
LEAST = 64  # rows


def run(setting: Setting, problem: Problem) -> Findings:
    """Solve the problem for more and more rows."""
    rows = []
    for share in SHARES:
        part = problem.first(max(LEAST, problem.n_rows // share))
        setting.say(f"amount: {part.n_rows:,} rows")
        model = LinearSVC(loss="hinge", C=part.C, fit_intercept=False, tol=1e-2, max_iter=200, random_state=0)
        seconds, model = seconds_of(lambda model=model, part=part: model.fit(part.X, part.y))
        train = float(np.mean(part.margins(model.coef_) <= 0))
        rows.append([part.n_rows, f"1/{share}" if share > 1 else "all", train, part.test_error(model.coef_), seconds])
    counts, _, train, test, _ = (list(column) for column in zip(*rows, strict=True))
    return Findings(
        [
            Remark("More data or a better optimiser? The same problem solved for more and more of the rows."),
            Measured(
                "amount",
                "Error against the number of rows",
                {"rows": ",d", "share": "", "train error": ".2%", "test error": ".2%", "seconds": ".3g"},
                rows,
                f"Hinge, lambda {problem.strength:g}, dual coordinate descent until the gap is 1 % of the objective; "
                f"{len(problem.y_test):,} rows to test.",
            ),
            Picture(
                "amount",
                Lines(
                    "Error against the amount of data",
                    "rows to train on",
                    "error (%)",
                    {
                        name: (list(map(float, counts)), [100 * value for value in values])
                        for name, values in (("test", test), ("train", train))
                    },
                    log_x=True,
                ),
            ),
        ],
        [
            Statement(
                "More data, fewer errors: each fourfold number of rows lowers the test error",
                all(later < earlier for earlier, later in zip(test[:-1:2], test[2::2], strict=True)),
                "CS246",
            ),
            Statement(
                "The error on the rows that were trained on rises with their number, towards the test error",
                train[-1] > train[0] and test[-1] - train[-1] < test[0] - train[0],
            ),
        ],
    )
