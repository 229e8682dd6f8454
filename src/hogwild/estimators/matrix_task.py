"""The training problem of matrix factorisation: first factors, rows, model, curvature, and how replicas share it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.engines import Engine, Replicas, Simulated
from hogwild.engine.runners import Plan
from hogwild.engine.task import Merge, Task
from hogwild.estimators.interactions import seen_bits
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.base import MERGES
from hogwild.steps.matrix import LOSSES, Matrix, MatrixSettings, padded
from hogwild.steps.rows import PairRows

FIRST_SQUARES = 0.1  # AdaGrad sums to begin with: 1e-6 and 1 cost .001 of MovieLens' RMSE
CACHE = 1 << 21  # bytes of factors from which on rows are asked for ahead of their turn
BITS = 1 << 27  # users times items up to which each pair has a bit (16 MB)
MERGE_FLOATS = 0.45  # ns to merge a parameter
STEP, STEP_FLOATS = 6.0, 0.35  # ns of a step, and of each float of its rows
SHARE = 10.0  # of the time of the steps between them that a merge may take: a tenth
LONGEST = 1 << 15  # rows between merges
EXPLICIT = ("squared", "absolute")
_NONE = np.empty(0, np.uint32)


class MatrixOptions(NamedTuple):
    """Parameters of the estimator that the steps know, with their defaults by loss filled in.

    Attributes
    ----------
    loss, learning_rate : str
    n_factors, n_negatives : int
    alpha, eta0, power_t, init_scale : float
    biases, non_negative : bool
    """

    loss: str
    n_factors: int
    alpha: float
    eta0: float
    learning_rate: str
    power_t: float
    biases: bool
    non_negative: bool
    n_negatives: int
    init_scale: float


class Table(NamedTuple):
    """Sizes and constants of one problem.

    Attributes
    ----------
    n_users, n_items : int
    mean : float
        Constant part of the scores that steps see.
    indptr, items : ndarray of uint64 and uint32
        Each user's items, ascending.
    seed : int
    """

    n_users: int
    n_items: int
    mean: float
    indptr: np.ndarray
    items: np.ndarray
    seed: int


def first_factors(options: MatrixOptions, n: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Draw factors for `n` users or items; biases are 0. `level` is the score that they start from without biases."""
    width = padded(options.n_factors)
    factors = aligned_zeros((n, 2 * width if options.learning_rate == "adagrad" else width), np.float32)
    drawn = factors[:, 1 : options.n_factors + 1]
    drawn[...] = rng.normal(scale=options.init_scale, size=drawn.shape)
    if not options.biases and level > 0.0:
        drawn += math.sqrt(level / options.n_factors)
    if options.non_negative:
        np.abs(drawn, out=drawn)
    factors[:, width:] = FIRST_SQUARES
    return factors


def make_matrix_task(options: MatrixOptions, table: Table, factors: np.ndarray, rows: PairRows) -> Task:
    """Make the task that steps on `factors`, a row for each user, each item, and one more that stays 0."""
    ranks = options.loss not in EXPLICIT
    as_bits = ranks and table.n_users * table.n_items <= BITS
    settings = MatrixSettings(
        large=factors.nbytes > CACHE,
        penalised=False,
        averaged=False,
        lazy=True,
        lazy_intercept=True,
        loss=LOSSES.index(options.loss),
        alpha=float(options.alpha),
        biases=options.biases,
        non_negative=options.non_negative,
        adagrad=options.learning_rate == "adagrad",
        n_negatives=int(options.n_negatives) if options.loss == "logistic" else 0,
        n_users=table.n_users,
        n_items=table.n_items,
        mean=float(table.mean),
        seed=int(table.seed),
    )
    model = Matrix(
        factors,
        seen_bits(table.indptr, table.items, table.n_items) if as_bits else _NONE,
        np.zeros(1, np.uint64) if as_bits or not ranks else table.indptr,
        _NONE if as_bits or not ranks else table.items,
        settings,
    )
    schedule = Schedule(
        kind=schedule_id(options.learning_rate),
        eta0=float(options.eta0),
        power_t=float(options.power_t),
        alpha=0.0,
        shift=0.0,
        decay=0.0,
        shrink=0.0,
        shrink_by_eta=False,
        average_from=math.inf,
    )
    return Task(
        rows,
        model,
        {name: Merge(*how) for name, how in MERGES[Matrix].items()},
        (),
        schedule,
        len(factors),
        factors.shape[1],
        _Curvature(options, table, factors, rows),
        cost=0.2,
        settled=(),
    )


class _Curvature:
    """Curvature along each bias and factor: how often its row is stepped on, times the row sum of its partners."""

    def __init__(self, options: MatrixOptions, table: Table, factors: np.ndarray, rows: PairRows) -> None:
        self._options, self._factors, self._n_users = options, factors, table.n_users
        n_rows = max(1, len(rows.targets))
        share = np.bincount(rows.first, minlength=len(factors)) + np.bincount(rows.second, minlength=len(factors))
        share = share / n_rows
        drawn = {"bpr": 1, "logistic": options.n_negatives}.get(options.loss, 0)
        share[table.n_users : -1] += drawn / max(1, table.n_items)
        if options.loss == "logistic":
            share[: table.n_users] *= 1 + drawn
        self._share = share if options.loss in EXPLICIT else 0.25 * share
        if rows.weights.size:
            self._share *= float(rows.weights.mean())

    def __call__(self, rows: PairRows, sample: np.ndarray, features: np.ndarray | None) -> dict[str, np.ndarray]:
        """Estimate it at the present factors."""
        width = padded(self._options.n_factors)
        chosen = np.arange(len(self._factors)) if features is None else features
        if not len(chosen):
            return {}
        partners = [np.abs(part[:, :width]).mean(axis=0) for part in self._sides()]
        for mean in partners:
            mean[0] = 1.0
        by_side = np.stack([mean * mean.sum() for mean in reversed(partners)])
        found = np.zeros((len(chosen), self._factors.shape[1]), np.float32)
        found[:, :width] = self._share[chosen, None] * by_side[(chosen >= self._n_users).astype(np.intp)]
        if self._options.learning_rate == "adagrad":
            found[:, :width] /= np.sqrt(self._factors[chosen, width:])
        return {"factors": found}

    def _sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Some users and some items, at most 4,096 of each."""
        users, items = self._factors[: self._n_users], self._factors[self._n_users : -1]
        return users[:: len(users) // 4096 + 1], items[:: len(items) // 4096 + 1]


def matrix_plan(task: Task, engine: Engine, n_threads: int) -> Plan | None:
    """Interval and head for replicas, such that merges cost a tenth of the steps; None leaves them to the engine.

    Everything is replicated where an interval of at most 32,768 rows does: RMSE .9107 on MovieLens 100k, .9094 on one
    thread, means of five splits. Else the most frequent rows are replicated, and the others shared: RMSE .7907 of 2
    million made-up ratings, .7904 on one thread, .7918 where all are replicated and merged every 65,536 rows.
    """
    if not isinstance(engine, Replicas | Simulated) or getattr(engine, "deterministic", False):
        return None
    if isinstance(engine, Simulated):
        n_threads = engine.n_replicas
    width = task.n_columns
    step = STEP + STEP_FLOATS * 2 * width / (2 if task.model.settings.adagrad else 1)
    step *= {LOSSES.index("logistic"): 1 + task.model.settings.n_negatives, LOSSES.index("bpr"): 2}.get(
        task.model.settings.loss, 1
    )
    merge = SHARE * MERGE_FLOATS * width / step  # rows of steps for each row of factors merged
    most, wanted = max(1024, task.n_rows // n_threads), merge * task.n_features
    if engine.head is None and wanted <= min(most, LONGEST):
        return Plan(engine.interval or max(1024, 1 << round(math.log2(max(wanted, 1.0)))), None)
    interval = engine.interval or min(most, LONGEST // 2)
    head = engine.head if engine.head is not None else max(64, 1 << int(math.log2(max(64.0, interval / merge))))
    return Plan(interval, None if head >= task.n_features else head)
