"""Matrix factorisation on a cluster: users and items are keys, numbered where the job is started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from hogwild.cluster.layout import Kind
from hogwild.cluster.workloads.problem import BLOCK_FEATURES, Problem, Trained, bare
from hogwild.cluster.workloads.sources import ArraySource
from hogwild.cluster.workloads.survey import Survey
from hogwild.cluster.workloads.table import Table, Where, column
from hogwild.compiled import aligned_zeros
from hogwild.engine.engines import Engine, resolve_engine
from hogwild.engine.runners import Plan
from hogwild.engine.task import Task
from hogwild.estimators.factors import FactorState
from hogwild.estimators.interactions import check_weights, read_interactions
from hogwild.estimators.matrix_task import EXPLICIT, FIRST_SQUARES, first_factors, make_matrix_task, matrix_plan
from hogwild.estimators.matrix_task import Table as Ratings
from hogwild.steps.matrix import padded, score_pairs
from hogwild.steps.rows import PairRows, Rows


class RatingsProblem(Problem):
    """The problem of a MatrixFactorization; see `read_ratings`."""

    can_be_partial = False  # choices are compared with items that lie anywhere

    def __init__(
        self, estimator: BaseEstimator, fitted: BaseEstimator, rows: PairRows, seed: int, merge: str = "self-tuned"
    ) -> None:
        super().__init__(estimator, Survey("the rows", [len(rows.targets)]), merge)
        self.shell, self.seed = fitted, seed
        self.options = options = fitted._options()
        self.n_users, self.n_items = len(fitted.users_), len(fitted.items_)
        self.n_features = self.n_users + self.n_items + 1  # one more that stays 0
        self.dtype = np.dtype(np.float32)
        self.level = float(np.mean(rows.targets)) if options.loss in EXPLICIT else 0.0
        named = np.zeros(self.n_features, bool)
        named[rows.first] = named[rows.second] = True
        self.nameless = np.flatnonzero(~named)
        if options.learning_rate == "epoch_decay":
            self.decay = float(estimator.decay)
        weights = np.arange(1 + options.n_factors)
        parts = [column("factors", weights, self.damped)]
        if options.learning_rate == "adagrad":
            parts.append(column("factors", padded(options.n_factors) + weights, Kind.ADD))
        self.table = Table(self.n_features, self.dtype, parts, [])
        mean = 0.0 if options.loss in EXPLICIT else fitted.mean_
        self.ratings = Ratings(self.n_users, self.n_items, mean, *fitted._seen, seed)
        if fitted._before is not None:
            factors = self._start()
            self.t_start = fitted._take_over(fitted._before, factors)
            self.warm = {"factors": factors}
        fitted._before = None

    def _start(self) -> np.ndarray:
        factors = np.concatenate([block for _, block in self._blocks()])
        factors[self.nameless, : padded(self.options.n_factors)] = 0.0
        return factors

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        rng = np.random.default_rng(self.seed)
        for first in range(0, self.n_features, BLOCK_FEATURES):
            n = min(BLOCK_FEATURES, self.n_features - first)
            yield first, first_factors(self.options, n, self.level, rng)

    def _drawn(self) -> Iterator[tuple[int, np.ndarray]]:
        for first, block in self._blocks():
            low, high = np.searchsorted(self.nameless, (first, first + len(block)))
            block[self.nameless[low:high] - first, : padded(self.options.n_factors)] = 0.0
            yield first, self.table.read({"factors": block}, Where.span(0, len(block)))

    # ------------------------------------------------------------------------------------------ nodes

    def targets(self, labels: Any) -> Any:
        """Nothing: pairs bring their own."""
        return None

    def rows(self, batch: PairRows, targets: Any) -> Rows:
        """Pairs as they are."""
        return batch

    def arrays(self, n: int) -> dict[str, np.ndarray]:
        """Allocate factors."""
        width = padded(self.options.n_factors)
        sums = self.options.learning_rate == "adagrad"
        factors = aligned_zeros((n, 2 * width if sums else width), np.float32)
        factors[:, width:] = FIRST_SQUARES
        return {"factors": factors}

    def task(self, arrays: dict[str, np.ndarray], rows: Rows) -> Task:
        """Put arrays and rows together."""
        return make_matrix_task(self.options, self.ratings, arrays["factors"], rows)

    def engine(self, n_threads: int) -> Engine:
        """Who runs the steps of one node: replicas, not a grid, which needs all rows at once."""
        engine = self.estimator.engine
        grid = engine in ("auto", "grid") or type(engine).__name__ == "Grid"
        return resolve_engine("replicas" if grid else engine, n_threads)

    def plan(self, task: Task, engine: Engine, n_threads: int) -> Plan | None:
        """Interval and head of this model's replicas."""
        return matrix_plan(task, engine, n_threads)

    def start_clock(self, task: Task, rows: float, turn: int) -> None:
        """Set t and the step size of this pass."""
        super().start_clock(task, rows, turn)
        if self.options.learning_rate == "epoch_decay":
            task.schedule = task.schedule._replace(eta0=self.options.eta0 * self.decay ** (turn - 1))

    def curvature(self, task: Task, sample: np.ndarray) -> dict[str, np.ndarray]:
        """By how often each row of factors occurs among the rows at hand."""
        fresh = make_matrix_task(self.options, self.ratings, task.model.factors, task.rows)
        return fresh.curvature(sample, None)

    def mean_loss(self, task: Task, rows: PairRows) -> float:
        """Mean loss of rows; of choices, against items drawn for it."""
        factors, n = task.model.factors, len(rows.targets)
        width = padded(self.options.n_factors)
        scores = np.empty(n, np.float32)
        score_pairs(rows.first, rows.second, factors, width, self.ratings.mean, scores)
        y, s = rows.targets.astype(np.float64), scores.astype(np.float64)
        weights = rows.weights if rows.weights.size else None
        if self.options.loss == "squared":
            return float(np.average(0.5 * (s - y) ** 2, weights=weights))
        if self.options.loss == "absolute":
            return float(np.average(np.abs(s - y), weights=weights))
        others = np.random.default_rng(self.seed).integers(0, self.n_items, n).astype(np.uint32)
        drawn = np.empty(n, np.float32)
        score_pairs(rows.first, others + np.uint32(self.n_users), factors, width, self.ratings.mean, drawn)
        if self.options.loss == "bpr":
            return float(np.average(np.logaddexp(0.0, drawn - s), weights=weights))
        against = self.options.n_negatives * np.logaddexp(0.0, drawn.astype(np.float64)) * (y > 0)
        return float(np.average(np.logaddexp(0.0, -y * s) + against, weights=weights))

    # ------------------------------------------------------------------------------------------ back

    def finish(self, values: np.ndarray, trained: Trained) -> BaseEstimator:
        """Make a fitted estimator of the table."""
        fitted = clone(self.estimator)
        for name in ("users_", "items_", "_seen", "mean_", "_scale"):
            setattr(fitted, name, getattr(self.shell, name))
        arrays = self.arrays(self.n_features)
        self.table.write(values, arrays, self.table.everything())
        fitted._state = FactorState(arrays, t=self.t_start + trained.rows)
        fitted.t_ = fitted._state.t
        return self._publish(fitted, trained)


def read_ratings(
    estimator: BaseEstimator,
    users: Any,
    items: Any = None,
    values: Any = None,
    sample_weight: Any = None,
    merge: str = "self-tuned",
) -> tuple[RatingsProblem, ArraySource]:
    """Number users and items, and make the problem and its rows; arguments are those of `MatrixFactorization.fit`.

    Raises
    ------
    ValueError
        As `fit` does, and with `early_stopping`.
    """
    estimator._validate_params()
    if estimator.early_stopping:
        raise ValueError("MatrixFactorization on a cluster needs early_stopping=False, found True")
    shell = bare(estimator)
    if estimator.warm_start and hasattr(estimator, "_state"):
        for name in ("users_", "items_", "_state", "_scale", "mean_"):
            setattr(shell, name, getattr(estimator, name))
    data = read_interactions(users, items, values)
    weights = check_weights(sample_weight, len(data))
    if not len(data):
        raise ValueError("found no rows, expected at least one pair of a user and an item")
    if shell.loss in EXPLICIT and data.values is None:
        raise ValueError(f"found no values, expected a rating for each pair with loss={shell.loss!r}")
    rng = shell._generator()
    first, second = shell._number(data)
    targets = shell._targets(data.values, len(data))
    kept = np.ones(len(data), bool) if weights is None else weights > 0
    if shell.loss == "bpr":
        kept &= targets > 0
    if not kept.any():
        raise ValueError("found no row to train on: all have weight 0 or a value that is not above 0")
    chosen = np.flatnonzero(kept)
    chosen = rng.permutation(chosen) if shell.shuffle is True else chosen
    targets, weights = targets[chosen], None if weights is None else weights[chosen]
    if shell._before is None or not hasattr(shell, "_scale"):
        shell.mean_, shell._scale = shell._constants(shell._options(), targets, weights)
    if shell.loss in EXPLICIT:
        targets = (targets - shell.mean_) / shell._scale
    rows = PairRows(
        first[chosen].astype(np.uint32),
        (second[chosen] + len(shell.users_)).astype(np.uint32),
        targets.astype(np.float32),
        np.empty(0, np.float32) if weights is None else weights.astype(np.float32),
    )
    problem = RatingsProblem(estimator, shell, rows, int(rng.integers(2**62)), merge)
    return problem, ArraySource(rows, None)


__all__ = ["RatingsProblem", "read_ratings"]
