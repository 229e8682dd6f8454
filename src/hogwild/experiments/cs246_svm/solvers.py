"""Training time, objective and test error: SGD, the dual solvers, and a QP solver on subsamples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.svm import SVC
from sklearn.svm import LinearSVC as Liblinear

from hogwild import LinearSVC
from hogwild.experiments.cs246_svm.problem import CONSTANT, Problem, median_of, seconds_of
from hogwild.experiments.findings import Findings, Measured, Picture, Published, Remark, Setting, Statement
from hogwild.report.parts import Lines

WITHIN, TIGHT = 0.01, 0.001  # of the optimum
EPOCHS = (1, 2, 3, 5, 8, 13, 21, 34, 55)
QP_FIRST, QP_SECONDS = 250, 5.0
FASTER = 100
SOURCE = "J. Leskovec, Stanford CS246, after L. Bottou"


class Fit(NamedTuple):
    """A solver's cheapest setting that comes near the optimum, or its last one."""

    solver: str
    setting: str
    seconds: float
    objective: float
    test_error: float
    near: bool


class Quadratic(NamedTuple):
    """Runs of the QP solver and the power law through the longest of them."""

    rows: list[int]
    seconds: list[float]
    objectives: list[float]
    errors: list[float]
    factor: float
    exponent: float

    def seconds_for(self, n_rows: float) -> float:
        """Return the extrapolated time."""
        return self.factor * n_rows**self.exponent


def optimum(problem: Problem) -> tuple[float, float, LinearSVC]:
    """Return the lowest objective, how far below it the true one may be, and the model."""
    exact = LinearSVC(loss="hinge", C=problem.C, fit_intercept=False, tol=1e-6, max_iter=3000, random_state=0)
    _, exact = seconds_of(lambda: exact.fit(problem.X, problem.y))
    return problem.objective(exact.coef_), exact.dual_gap_ / (problem.C * problem.n_rows), exact


def run(setting: Setting, problem: Problem) -> Findings:
    """Compare the solvers on one objective."""
    setting.say("solvers: the optimum")
    best, gap, exact = optimum(problem)
    fits = []
    for solver, described, make in _solvers(setting, problem):
        setting.say(f"solvers: {solver}")
        fits.append(_near(solver, described, make, problem, best, WITHIN))
    setting.say("solvers: SGD, nearer")
    tight = _near("SGD, 1 thread, nearer", "epochs", next(_solvers(setting, problem))[2], problem, best, TIGHT)
    setting.say("solvers: QP on subsamples")
    quadratic = quadratic_times(problem)
    return Findings(
        [
            _published(),
            *_tables(problem, [fits[0], tight, *fits[1:]], quadratic, best, gap, exact),
            _picture(problem, quadratic, fits),
        ],
        _statements(problem, fits, tight, problem.test_error(exact.coef_), quadratic),
    )


def _solvers(setting: Setting, problem: Problem) -> Iterator[tuple[str, str, Callable[[int], Any]]]:
    """Name, what the number is, and what makes the solver of a number of epochs."""
    for threads in dict.fromkeys([1, setting.threads]):
        name = f"SGD, {threads} thread{'s' * (threads > 1)}"
        yield name, "epochs", lambda epochs, threads=threads: problem.sgd(max_iter=epochs, n_jobs=threads)
    dual = {"loss": "hinge", "C": problem.C, "fit_intercept": False, "tol": 1e-9, "random_state": 0}
    yield "dual (hogwild.LinearSVC)", "epochs", lambda epochs: LinearSVC(max_iter=epochs, **dual)
    yield "LIBLINEAR (sklearn.svm.LinearSVC)", "iterations", lambda epochs: Liblinear(max_iter=epochs, **dual)


def _near(solver: str, described: str, make: Callable[[int], Any], problem: Problem, best: float, within: float) -> Fit:
    """Return the first of `EPOCHS` that comes near the optimum."""
    for epochs in EPOCHS:
        _, model = seconds_of(lambda epochs=epochs: make(epochs).fit(problem.X, problem.y))
        if problem.objective(model.coef_) <= (1 + within) * best:
            break
    seconds, model = median_of(lambda: make(epochs), problem, 5)
    reached = problem.objective(model.coef_)
    # threads do not repeat their bits: a run may end a little beside the first one
    near = reached <= (1 + 2 * within) * best
    described = described if epochs > 1 else described.removesuffix("s")
    return Fit(solver, f"{epochs} {described}", seconds, reached, problem.test_error(model.coef_), near)


def quadratic_times(problem: Problem) -> Quadratic:
    """Run the QP solver on more and more rows for some seconds, and fit a power law to the longer half of the runs."""
    rows, times, objectives, errors = [], [], [], []
    n_rows = min(QP_FIRST, problem.n_rows)
    while True:
        part = problem.first(n_rows)
        model = SVC(kernel="linear", C=part.C)
        seconds, model = seconds_of(lambda model=model, part=part: model.fit(part.X, part.y))
        coef = model.coef_.toarray().ravel() if hasattr(model.coef_, "toarray") else model.coef_.ravel()
        coef[-1] += model.intercept_[0] / CONSTANT  # its own intercept, which it does not penalise
        rows.append(n_rows)
        times.append(seconds)
        objectives.append(problem.objective(coef))
        errors.append(problem.test_error(coef))
        # the next one takes about three times as long: stop before the sum does
        if n_rows == problem.n_rows or sum(times) + 3 * seconds > QP_SECONDS:
            break
        n_rows = min(round(n_rows * 1.5), problem.n_rows)
    exponent, factor = power_law(rows[len(rows) // 2 - 1 :], times[len(rows) // 2 - 1 :])
    return Quadratic(rows, times, objectives, errors, factor, exponent)


def power_law(x: list[int], y: list[float]) -> tuple[float, float]:
    """Return exponent and factor of ``y = factor * x^exponent`` by least squares of the logarithms."""
    if len(x) < 2:
        return 2.0, y[-1] / x[-1] ** 2
    exponent, intercept = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(intercept))


def _published() -> Published:
    return Published(
        "SVM on RCV1, class CCAT (781,265 training and 23,149 test documents), hinge loss, lambda 1e-4",
        "L. Bottou, Stochastic Gradient Descent, leon.bottou.org/projects/sgd (SVMLight, SVMPerf, svmsgd), "
        "as shown in J. Leskovec, CS246: Mining Massive Data Sets, Stanford University",
        ["solver", "training time", "objective", "test error"],
        [
            ["standard SVM (SVMLight)", "23,642 s", "0.2275", "6.02 %"],
            ["fast SVM (SVMPerf)", "66 s", "0.2278", "6.03 %"],
            ["SGD-SVM", "1.4 s", "0.2275", "6.02 %"],
        ],
    )


def _tables(
    problem: Problem, fits: list[Fit], quadratic: Quadratic, best: float, gap: float, exact: LinearSVC
) -> Iterator[Measured | Remark]:
    n_rows = problem.n_rows
    yield Remark(
        f"Data: {problem.about}. All solvers minimise J(w, b) = lambda/2 |w|^2 + mean of max(0, 1 - y (w.x + b)), "
        f"lambda = {problem.strength:g}, that is 1/2 |w|^2 + C sum of the same with C = 1/(lambda n). The intercept b "
        f"is the weight of a column of the constant {CONSTANT:g}, penalised like the others."
    )
    rows = [
        [fit.solver, fit.setting, n_rows, fit.seconds, fit.objective, fit.objective / best - 1, fit.test_error]
        for fit in fits
    ]
    last = [quadratic.rows[-1], quadratic.seconds[-1], quadratic.objectives[-1]]
    rows.append(
        ["QP (sklearn.svm.SVC)", "a subsample", *last, quadratic.objectives[-1] / best - 1, quadratic.errors[-1]]
    )
    rows.append(["QP, EXTRAPOLATED, not run", "power law", n_rows, quadratic.seconds_for(n_rows), None, None, None])
    rows.append(["optimum J*", f"gap {gap / best:.0e} of J*", n_rows, None, best, 0.0, problem.test_error(exact.coef_)])
    yield Measured(
        "solvers",
        f"Time to an objective within {WITHIN:.0%} of the optimum",
        {
            "solver": "",
            "setting": "",
            "rows": ",d",
            "seconds": ".3g",
            "J": ".4f",
            "above J*": ".2%",
            "test error": ".2%",
        },
        rows,
        f"The fewest epochs of {', '.join(map(str, EPOCHS))} that come within {WITHIN:.0%} of J*, or the last "
        f"(SGD, nearer: within {TIGHT:.1%}); whole "
        "calls of fit, median of 5, kernels warm. J and above J* are over all rows, also for the subsample.",
    )
    yield Measured(
        "qp",
        "The QP solver on subsamples",
        {"rows": ",d", "seconds": ".3f", "kind": "", "J over all rows": ".4f", "test error": ".2%"},
        [
            *(
                [count, seconds, "measured", objective, error]
                for count, seconds, objective, error in zip(*quadratic[:4], strict=True)
            ),
            *(
                [count, quadratic.seconds_for(count), "EXTRAPOLATED", None, None]
                for count in _beyond(quadratic, n_rows)
            ),
        ],
        f"Measured: one run each. Extrapolated: {quadratic.factor:.2g} rows^{quadratic.exponent:.2f} s, "
        "by least squares through the logarithms of the longer half of the measured times.",
    )


def _beyond(quadratic: Quadratic, n_rows: int) -> list[int]:
    """Numbers of rows to extrapolate to."""
    if quadratic.rows[-1] >= n_rows:
        return []
    powers = [10**power for power in range(3, 6) if quadratic.rows[-1] < 10**power < n_rows]
    return [*powers, n_rows]


def _picture(problem: Problem, quadratic: Quadratic, fits: list[Fit]) -> Picture:
    fitted = [float(count) for count in np.geomspace(quadratic.rows[len(quadratic.rows) // 2], problem.n_rows, 20)]
    lines = {
        "QP solver": ([float(count) for count in quadratic.rows], quadratic.seconds),
        "extrapolated": (fitted, [quadratic.seconds_for(count) for count in fitted]),
    }
    for fit in fits:
        lines[fit.solver.split(" (")[0]] = ([float(problem.n_rows)], [fit.seconds])
    return Picture(
        "qp-time",
        Lines(
            "Training time against the number of rows",
            "rows",
            "seconds",
            lines,
            log_x=True,
            log_y=True,
            dashed=("extrapolated",),
            dots=tuple(lines)[2:],
        ),
    )


def _statements(
    problem: Problem, fits: list[Fit], tight: Fit, exact_error: float, quadratic: Quadratic
) -> list[Statement]:
    sgd, liblinear = fits[0], fits[-1]
    return [
        Statement(
            f"SGD on one thread is more than {FASTER} times faster than the QP solver, extrapolated to all rows",
            quadratic.seconds_for(problem.n_rows) > FASTER * sgd.seconds,
            SOURCE,
        ),
        Statement(
            f"SGD comes within {WITHIN:.0%} of the optimum in less time than LIBLINEAR does",
            (sgd.near and sgd.seconds < liblinear.seconds) if problem.many else None,
            SOURCE,
        ),
        Statement(
            "A thousandth above the optimum, SGD has the test error of the optimum, to within one point in a hundred",
            tight.near and tight.test_error < exact_error + 0.01 if problem.many else None,
            SOURCE,
        ),
        Statement("The QP solver's time grows faster than its number of rows", quadratic.exponent > 1.2, SOURCE),
    ]
