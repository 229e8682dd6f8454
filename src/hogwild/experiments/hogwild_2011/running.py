"""One run: a problem on an engine and a number of threads, timed and judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hogwild.engine.choose import make_runner
from hogwild.engine.engines import ENGINES, Replicas, Sequential
from hogwild.engine.runners import Plan
from hogwild.engine.source import InMemory
from hogwild.engine.task import Merge, Task
from hogwild.engine.training import Progress, Stopping, Training
from hogwild.estimators.classifier import SGDClassifier
from hogwild.experiments.hogwild_2011.models import Factors
from hogwild.experiments.hogwild_2011.problems import SVM, Judged, Problem, svm_alpha
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.base import MERGES
from hogwild.steps.rows import Rows

EPOCHS, DECAY = 20, 0.9
LONGEST = 0.5  # seconds that locks and turns get on several threads; their whole time follows from the rows done
SLOW = ("locked", "round_robin")
MERGED_A_ROW = 0.02  # replicas of factors and points: parameters merged for each row stepped
WHOLE_BELOW = 1 << 22  # parameters up to which replicas copy all of them


@dataclass
class Run:
    """What a run came to.

    Attributes
    ----------
    seconds : float
        Of `EPOCHS` epochs; extrapolated where `whole` is false.
    whole : bool
        Whether all epochs were run.
    curve : list of float
        By epoch: mean loss of each row before its own step.
    judged : Judged or None
        None where the run was cut short.
    """

    seconds: float
    whole: bool
    curve: list[float]
    judged: Judged | None


class _Clock:
    """Callback of training that stops it in time, and tells how long all epochs would have taken."""

    def __init__(self, limit: float) -> None:
        self._limit, self._began, self._share = limit, time.perf_counter(), 1.0

    def __call__(self, progress: Progress) -> bool:
        self._share = progress.rows / progress.total_rows
        return time.perf_counter() - self._began > self._limit and self._share < 1.0

    def run(self, curve: list[float], seconds: float, judge: Callable[[], Judged]) -> Run:
        """Return the run that this clock has watched."""
        whole = self._share == 1.0
        return Run(seconds / self._share, whole, curve, judge() if whole else None)


def longest(engine: str, threads: int) -> float:
    """Seconds after which a run is stopped."""
    return LONGEST if engine in SLOW and threads > 1 else math.inf


def train(problem: Problem, engine: str, threads: int, seed: int, limit: float = math.inf) -> Run:
    """Train a problem's model from the start; it is stopped after `limit` seconds, but not before its first slice."""
    if problem.family == SVM:
        return _train_svm(problem, engine, threads, seed, _Clock(limit))
    model = problem.start()
    task = task_of(problem.data, model, problem.n_nodes, problem.n_columns, problem.eta0)
    if isinstance(model, Factors):
        task.curvature_of = _FactorCurvature(problem.data, model.factors)
    clock, began = _Clock(limit), time.perf_counter()
    losses = _run(task, engine, threads, seed, clock)
    return clock.run(losses, time.perf_counter() - began, lambda: problem.judge(model[0]))


def _train_svm(problem: Problem, engine: str, threads: int, seed: int, clock: _Clock) -> Run:
    documents = problem.data
    machine = SGDClassifier(
        "hinge",
        alpha=svm_alpha(documents),
        learning_rate="epoch_decay",
        eta0=problem.eta0,
        decay=DECAY,
        max_iter=EPOCHS,
        tol=None,
        fit_intercept=False,
        n_jobs=threads,
        engine=engine,
        random_state=seed,
        callback=clock,
    )
    began = time.perf_counter()
    machine.fit(documents.X, documents.y)
    seconds = time.perf_counter() - began
    return clock.run(list(machine.loss_curve_), seconds, lambda: problem.judge(machine.coef_[0]))


def task_of(rows: Rows, model: tuple, n_nodes: int, n_columns: int, eta0: float) -> Task:
    """Make the task of a model of this experiment: a constant step size in an epoch."""
    kind = schedule_id("epoch_decay")
    return Task(
        rows,
        model,
        {name: Merge(*how) for name, how in MERGES[type(model)].items()},
        (),
        Schedule(kind, eta0, 0.0, 0.0, 0.0, 0.0, 0.0, False, math.inf),
        n_nodes,
        n_columns,
        lambda rows, sample, features: {},
        settled=(),
    )


def _run(task: Task, engine: str, threads: int, seed: int, clock: _Clock) -> list[float]:
    """Run the epochs of a task; returns their mean losses."""
    rng = np.random.default_rng(seed)
    kind = Sequential() if threads == 1 else ENGINES[engine]
    plan = _plan(task, threads) if isinstance(kind, Replicas) else None
    runner = make_runner(task, kind, threads, rng, plan=plan)
    stopping, source = Stopping(None, 1, lambda: 0.0), InMemory(task.rows)
    try:
        return Training(task, runner, source, EPOCHS, True, rng, stopping, DECAY, clock).run().losses
    finally:
        runner.close()


def _plan(task: Task, threads: int) -> Plan:
    """Interval and head of replicas: everything where that is little, else the most frequent nodes."""
    size, rows_each = task.n_features * task.n_columns, task.n_rows / threads
    interval = max(256, 1 << round(math.log2(MERGED_A_ROW * size)))
    if size <= WHOLE_BELOW and interval <= rows_each / 4:
        return Plan(interval, None)
    return Plan(1024, max(16, int(1024 / MERGED_A_ROW / task.n_columns / 64)))


class _FactorCurvature:
    """Curvature along each factor: how often its row is stepped on, times the row sum of its partners' products."""

    def __init__(self, rows, factors: np.ndarray) -> None:
        counts = np.bincount(rows.first, minlength=len(factors)) + np.bincount(rows.second, minlength=len(factors))
        self._share, self._factors, self._n_users = counts / len(rows.first), factors, int(rows.second.min())

    def __call__(self, rows, sample: np.ndarray, features: np.ndarray | None) -> dict[str, np.ndarray]:
        chosen = np.arange(len(self._factors)) if features is None else features
        users, items = self._factors[: self._n_users], self._factors[self._n_users :]
        partners = [np.abs(part[:: len(part) // 4096 + 1]).mean(axis=0) for part in (items, users)]
        by_side = np.stack([mean * mean.sum() for mean in partners])
        found = self._share[chosen, None] * by_side[(chosen >= self._n_users).astype(np.intp)]
        return {"factors": found.astype(np.float32)}
