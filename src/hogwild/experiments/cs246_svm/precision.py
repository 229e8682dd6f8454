"""How near to the optimum, and when: SGD, dual coordinate descent, L-BFGS, mini-batch and batch gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from hogwild import DivergedError, LinearSVC
from hogwild.engine import MiniBatch
from hogwild.experiments.cs246_svm.problem import Problem, Trace, median_of, median_trace, seconds_of
from hogwild.experiments.findings import Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Lines

EPOCHS = 40
STEPS = 60  # of the batch methods
REPEAT = 3  # runs of SGD and L-BFGS, whose weights are the same each time
DUAL_EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16)
BATCH = 64
BATCH_STEPS = (1.0, 4.0, 16.0, 64.0)
LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
FLOOR = 1e-9  # below it the optimum itself is not known
Points = tuple[list[float], list[float]]  # seconds, J / J* - 1

SGD, DUAL, LBFGS, MINI, BATCHES = "SGD", "dual", "L-BFGS", "mini-batch GD", "batch GD"


def run(setting: Setting, problem: Problem) -> Findings:
    """Follow each method towards the optimum of one smooth objective."""
    setting.say("precision: the optimum")
    exact = LinearSVC(C=problem.C, fit_intercept=False, tol=1e-10, max_iter=3000, random_state=0)
    _, exact = seconds_of(lambda: exact.fit(problem.X, problem.y))
    best = problem.objective(exact.coef_, squared=True)
    gap = exact.dual_gap_ / exact.objective_
    settings = {"loss": "squared_hinge"}

    def above(trace: Trace) -> Points:
        return trace.seconds, [problem.objective(weights, squared=True) / best - 1 for weights in trace.weights]

    lines = {}
    setting.say(f"precision: {SGD}")
    sgd = problem.sgd(max_iter=EPOCHS, learning_rate="search", **settings)
    lines[SGD] = above(median_trace([Trace().fit(sgd, problem) for _ in range(REPEAT)]))
    setting.say(f"precision: {DUAL}")
    lines[DUAL] = _dual(problem, best)
    setting.say(f"precision: {LBFGS}")
    start = np.zeros(problem.X.shape[1])
    options = {"maxiter": STEPS, "ftol": 0.0, "gtol": 0.0}

    def descend(note: Callable) -> None:
        minimize(problem.slope, start, jac=True, method="L-BFGS-B", callback=note, options=options)

    lines[LBFGS] = above(median_trace([Trace().descend(descend) for _ in range(REPEAT)]))
    setting.say(f"precision: {MINI}")
    eta = _mini_batch_step(problem)
    minis = _mini_batches(problem, eta, EPOCHS)
    lines[MINI] = above(Trace().fit(minis, problem))
    setting.say(f"precision: {BATCHES}")
    step = 1.9 / largest_curvature(problem)
    batches = problem.sgd(max_iter=STEPS, engine="batch", learning_rate="constant", eta0=step, **settings)
    lines[BATCHES] = above(Trace().fit(batches, problem))
    lines = {
        name: (seconds, [high if high > FLOOR else math.nan for high in highs])
        for name, (seconds, highs) in lines.items()
    }
    when = {name: [seconds_to(points, level) for level in LEVELS] for name, points in lines.items()}
    return Findings(
        [*_tables(problem, lines, when, best, gap, eta, step), _picture(lines)],
        _statements(problem, lines, when),
    )


def _dual(problem: Problem, best: float) -> Points:
    """Whole fits of more and more epochs: the weights under way are not published."""
    seconds, highs = [], []
    for epochs in DUAL_EPOCHS:
        settings = {"C": problem.C, "fit_intercept": False, "tol": 1e-12, "random_state": 0}
        taken, model = median_of(
            lambda epochs=epochs, settings=settings: LinearSVC(max_iter=epochs, **settings), problem
        )
        seconds.append(taken)
        highs.append(problem.objective(model.coef_, squared=True) / best - 1)
    return seconds, highs


def _mini_batches(problem: Problem, eta: float, epochs: int):
    return problem.sgd(
        loss="squared_hinge",
        max_iter=epochs,
        engine=MiniBatch(BATCH),
        learning_rate="invscaling",
        power_t=0.25,
        eta0=eta,
    )


def _mini_batch_step(problem: Problem) -> float:
    """Return the best first step size of `BATCH_STEPS` after a few epochs."""
    found = {}
    for eta in BATCH_STEPS:
        try:
            model = _mini_batches(problem, eta, 5).fit(problem.X, problem.y)
        except DivergedError:
            continue
        found[eta] = problem.objective(model.coef_, squared=True)
    return min(found, key=found.get)


def largest_curvature(problem: Problem, steps: int = 20) -> float:
    """Return an upper bound of the objective's second derivative, by power iteration over all rows."""
    direction, size = np.ones(problem.X.shape[1]), 1.0
    for _ in range(steps):
        direction = problem.X.T @ (problem.X @ (direction / size)) / problem.n_rows
        size = float(np.sqrt(np.square(direction).sum()))
    return 2 * size + problem.strength


def seconds_to(points: Points, level: float) -> float | None:
    """Return when a method was first at most `level` above the optimum (below the floor counts)."""
    for seconds, high in zip(*points, strict=True):
        if not high > level:
            return seconds
    return None


def _tables(problem, lines, when, best, gap, eta, step):
    yield Remark(
        "Quality of optimisation against time. The hinge has a kink, so that L-BFGS and batch gradient descent are not "
        "made for it: here all methods minimise J with the squared hinge, max(0, 1 - y (w.x + b))^2."
    )
    columns = {"method": ""} | {f"s to {level:g}": ".3g" for level in LEVELS} | {"lowest": ".0e", "last s": ".3g"}
    rows = []
    for name, (seconds, highs) in lines.items():
        lowest = min((high for high in highs if math.isfinite(high)), default=math.nan)
        beyond = any(math.isnan(high) for high in highs)
        rows.append([name, *when[name], FLOOR if beyond else lowest, seconds[-1]])
    tried = ", ".join(f"{each:g}" for each in BATCH_STEPS)
    yield Measured(
        "precision",
        "Seconds until |J - J*| is at most this share of J*",
        columns,
        rows,
        f"J* = {best:.8g} from the dual solver, proven to {gap:.0e} of it. One thread; SGD, dual (whole fits of 1 to "
        f"{DUAL_EPOCHS[-1]} epochs) and L-BFGS: median of {REPEAT} runs, "
        f"the others one run. SGD: {EPOCHS} epochs, search included. Mini-batches of "
        f"{BATCH} rows: eta_t = {eta:g} / t^0.25, the best of {tried} (trials not timed). "
        f"Batch: constant eta = {step:.3g}, just below the largest that is sure to converge. -: not within {EPOCHS} "
        f"epochs or {STEPS} steps. J itself is not timed.",
    )


def _picture(lines: dict[str, Points]) -> Picture:
    return Picture(
        "precision",
        Lines("Quality of optimisation", "seconds", "(J - J*) / J*", lines, log_x=True, log_y=True),
    )


def _statements(problem: Problem, lines: dict[str, Points], when: dict[str, list[float | None]]) -> list[Statement]:
    at = {name: dict(zip(LEVELS, seconds, strict=True)) for name, seconds in when.items()}

    def sooner(one: str, other: str, level: float) -> bool:
        first, second = at[one][level], at[other][level]
        return first is not None and (second is None or first < second)

    return [
        Statement(
            "SGD comes within a hundredth of the optimum sooner than L-BFGS and batch gradient descent",
            sooner(SGD, LBFGS, 0.01) and sooner(SGD, BATCHES, 0.01) if problem.many else None,
            "CS246",
        ),
        Statement(
            "The last digits are not SGD's: dual coordinate descent is within a millionth of the optimum before SGD is",
            sooner(DUAL, SGD, 1e-6),
            "CS246",
        ),
        Statement(
            "L-BFGS gets nearer to the optimum than batch gradient descent in as many steps", _nearer(lines), "CS246"
        ),
    ]


def _nearer(lines: dict[str, Points]) -> bool:
    return bool(np.nanmin(lines[LBFGS][1]) < np.nanmin(lines[BATCHES][1]))
