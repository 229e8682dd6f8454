"""The search for the step size at work: what it tried on a sample, and what each choice would have been worth."""

from __future__ import annotations

import numpy as np

from hogwild.engine.order import draw_order
from hogwild.engine.runners import SequentialRunner
from hogwild.engine.source import NONE
from hogwild.estimators.linear_task import make_task, new_state
from hogwild.estimators.step_size import FINE, SAMPLE
from hogwild.experiments.cs246_svm.problem import Problem
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines
from hogwild.steps.rows import as_rows

POWERS = range(-8, 13)  # of 10^(1/4): from 0.01 to 1,000
NEAR = 0.1


def run(setting: Setting, problem: Problem) -> Findings:
    """Try step sizes on the sample and on all rows, and see which one the search keeps."""
    setting.say("step sizes: search")
    model = problem.sgd(learning_rate="search", max_iter=1).fit(problem.X, problem.y)
    sample = problem.first(SAMPLE) if problem.n_rows > SAMPLE else problem
    etas = [FINE**power for power in POWERS]
    setting.say("step sizes: one epoch with each")
    on_sample = [after_an_epoch(sample, eta) for eta in etas]
    on_all = [after_an_epoch(problem, eta) for eta in etas]
    kept = after_an_epoch(problem, model.eta0_)
    return Findings(
        _parts(problem, sample, etas, on_sample, on_all, float(model.eta0_), kept),
        [
            Statement(
                "The step size found on the sample costs, after an epoch of all rows, within a tenth of the best one",
                kept <= (1 + NEAR) * min(on_all),
                "CS246",
            ),
            Statement(
                "A step size ten times as large or small as the one found costs more, on the sample",
                _bracketed(sample, float(model.eta0_)),
                "CS246",
            ),
        ],
    )


def after_an_epoch(problem: Problem, eta0: float, seed: int = 0) -> float:
    """Return J after one pass with eta0 / (1 + lambda eta0 t); infinite where it diverges."""
    options = problem.sgd(learning_rate="search")._options()._replace(eta0=eta0)
    state = new_state(options, problem.X.shape[1], 1, problem.X.dtype)
    rows = as_rows(problem.X, problem.y, None)
    runner = SequentialRunner(make_task(options, state, rows, eta0=eta0, positive=np.ones(1), negative=np.ones(1)))
    loss, _ = runner.run(draw_order(np.random.default_rng(seed), problem.n_rows, NONE, "full"), 0, problem.n_rows)
    runner.finish()
    value = problem.objective(state.coef)
    return value if np.isfinite(loss) and np.isfinite(value) else np.inf


def _bracketed(sample: Problem, eta0: float) -> bool:
    found = after_an_epoch(sample, eta0)
    return all(after_an_epoch(sample, other) > found for other in (eta0 / 10, eta0 * 10))


def _parts(problem, sample, etas, on_sample, on_all, found, kept) -> list:
    rows = [[eta, one, all_, ""] for eta, one, all_ in zip(etas[::4], on_sample[::4], on_all[::4], strict=True)]
    rows.append([found, after_an_epoch(sample, found), kept, "kept by the search"])
    rows.sort(key=lambda row: row[0])
    return [
        Remark(
            f"The step size eta_t = eta0 / (1 + lambda eta0 t): eta0 is tried in powers of ten, then of 10^(1/4), on "
            f"{SAMPLE:,} rows, one pass each, and the one with the lowest cost of these rows is kept (CS246: try 10, "
            "1, .1, ... on a small sample)."
        ),
        Measured(
            "step-sizes",
            "Cost J after one epoch",
            {"eta0": ".4g", "of the sample": ".4g", "of all rows": ".4g", "": ""},
            rows,
            f"Hinge, one thread; a sample of {sample.n_rows:,} rows, {problem.n_rows:,} rows in all.",
        ),
        Picture(
            "step-sizes",
            Lines(
                "Cost after one epoch by step size",
                "eta0",
                "J",
                {
                    "sample": (etas, on_sample),
                    "all rows": (etas, on_all),
                    "kept by the search": ([found], [kept]),
                },
                log_x=True,
                dots=("kept by the search",),
            ),
        ),
    ]
