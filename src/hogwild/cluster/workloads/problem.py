"""A training problem on its way to the nodes: from an estimator and a survey to a table, and back to a fitted clone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone

from hogwild.cluster.layout import Kind, Layout
from hogwild.cluster.proximal import ProximalStore
from hogwild.cluster.store import TableStore
from hogwild.cluster.workloads.survey import Survey
from hogwild.cluster.workloads.table import Table, Where
from hogwild.engine.engines import Engine, Replicas, Sequential, Shared, resolve_engine
from hogwild.engine.runners import Plan
from hogwild.engine.task import Task
from hogwild.estimators.factors import FactorState
from hogwild.schedules import Schedule, chunk_starts
from hogwild.steps.rows import Rows

MERGE_RULES = {"self-tuned": Kind.DAMPED, "damped": Kind.DAMPED, "sum": Kind.ADD, "mean": Kind.MEAN}
BLOCK_FEATURES = 65_536  # of initial values that are made at a time


class Trained(NamedTuple):
    """What a job ended with, beside its table.

    Attributes
    ----------
    rows : float
        Rows that workers have had accepted, over all epochs.
    losses : sequence of float
        Mean progressive loss of each epoch.
    epochs : int
    n_threads : int
        Of all workers together.
    seconds : float
    """

    rows: float
    losses: Sequence[float]
    epochs: int
    n_threads: int = 1
    seconds: float = 0.0


class Passed(NamedTuple):
    """What depends on the clock alone over some rows.

    Attributes
    ----------
    eta : float
        Mean step size.
    log_decay : float
        Logarithm of what the L2 penalty leaves of a weight.
    shrink : float
        What the penalty that the shard applies grows by.
    """

    eta: float
    log_decay: float
    shrink: float


class Problem:
    """What all estimators share; a subclass for each family.

    Parameters
    ----------
    estimator : estimator
        Not fitted, or fitted before, with `warm_start`; a clone is kept.
    survey : Survey
    merge : {"self-tuned", "damped", "sum", "mean"}

    Attributes
    ----------
    table : Table
    """

    table: Table
    shuffle: bool | str = True
    can_be_partial = True

    def __init__(self, estimator: BaseEstimator, survey: Survey, merge: str = "self-tuned") -> None:
        if merge not in MERGE_RULES:
            raise ValueError(f"merge must be one of {', '.join(MERGE_RULES)}; found {merge!r}")
        self.estimator, self.survey, self.merge = bare(estimator), survey, merge
        self.damped = MERGE_RULES[merge]
        self.shuffle = estimator.shuffle
        self.t_start = 1.0
        self.warm: dict[str, np.ndarray] | None = None
        check_engine(estimator.engine)

    # ------------------------------------------------------------------------------------------ what shards hold

    @property
    def layout(self) -> Layout:
        """Shape of the table."""
        return self.table.layout

    @property
    def n_turns(self) -> int:
        """Epochs that the estimator asks for."""
        return int(self.estimator.max_iter)

    def initial(self, low: int, high: int) -> np.ndarray:
        """Values of the keys low..high that training starts from, as `fit` on one machine draws them."""
        layout = self.layout
        out = np.zeros((high - low, layout.width), layout.dtype)
        if self.warm is not None:
            whole = Where.span(low, max(low, min(high, layout.n_features)), _rest_of(layout, low, high))
            return self.table.read(self.warm, whole)
        for first, values in self._drawn():
            start, stop = max(first, low), min(first + len(values), high)
            if start < stop:
                out[start - low : stop - low] = values[start - first : stop - first]
            if first + len(values) >= min(high, layout.n_features):
                break
        if high > layout.n_features:
            rest = self.table.read(self._first_others(), Where.span(0, 0, _rest_of(layout, low, high)))
            out[max(low, layout.n_features) - low :] = rest
        return out

    def store(self, low: int, high: int) -> TableStore:
        """Make the store of a shard, as training starts."""
        kind = TableStore if self.layout.roots is None else ProximalStore
        return kind(self.layout, low, high, self.initial(low, high))

    def _drawn(self) -> Iterator[tuple[int, np.ndarray]]:
        """Iterate ``(first feature, values)`` of the table's rows, where they are not all 0."""
        return iter(())

    def _first_others(self) -> dict[str, np.ndarray]:
        """Arrays without a row for each feature, as training starts."""
        return {}

    # ------------------------------------------------------------------------------------------ what nodes do

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Labels as the steps see them."""
        raise NotImplementedError

    def rows(self, batch: Any, targets: np.ndarray) -> Rows:
        """Rows as the steps see them."""
        raise NotImplementedError

    def arrays(self, n: int) -> dict[str, np.ndarray]:
        """Allocate a model of `n` features."""
        raise NotImplementedError

    def task(self, arrays: dict[str, np.ndarray], rows: Rows) -> Task:
        """Put arrays and rows together; the penalties that shards apply are not the task's."""
        raise NotImplementedError

    def plan(self, task: Task, engine: Engine, n_threads: int) -> Plan | None:
        """Interval and head of replicas on one node; None leaves them to the engine."""
        return None

    def mean_loss(self, task: Task, rows: Rows) -> float:
        """Mean loss of rows at the present weights of the task's arrays."""
        raise NotImplementedError

    def curvature(self, task: Task, sample: np.ndarray) -> dict[str, np.ndarray]:
        """Curvature along each parameter, divided by what the update rule divides steps by."""
        return task.curvature(sample, None)

    def start_clock(self, task: Task, rows: float, turn: int) -> None:
        """Set the task's clock to a number of rows of all workers, in pass `turn`."""
        task.t = self.t_start + rows

    def passed(self, task: Task, t: float, n_rows: int) -> Passed:
        """What `n_rows` rows from clock `t` on do whatever they hold."""
        return pass_rows(task.schedule, t, n_rows)

    def engine(self, n_threads: int) -> Engine:
        """Who runs the steps of one node."""
        return resolve_engine(self.estimator.engine, n_threads)

    # ------------------------------------------------------------------------------------------ back

    def finish(self, values: np.ndarray, trained: Trained) -> BaseEstimator:
        """Make a fitted estimator.

        Parameters
        ----------
        values : ndarray, shape (n_keys, width)
            The whole table.
        trained : Trained
        """
        raise NotImplementedError

    def _publish(self, fitted: BaseEstimator, trained: Trained) -> BaseEstimator:
        """Set what all fitted estimators have."""
        fitted.n_iter_ = trained.epochs
        fitted.loss_curve_ = list(map(float, trained.losses))
        rows = trained.rows / max(1, trained.epochs)
        fitted.progressive_curve_ = [[int(rows * (k + 1)), loss] for k, loss in enumerate(fitted.loss_curve_)]
        fitted.n_threads_ = trained.n_threads
        fitted.engine_ = self.engine(trained.n_threads)
        fitted.step_seconds_ = trained.seconds
        return fitted


def _rest_of(layout: Layout, low: int, high: int) -> slice:
    n = layout.n_features
    return slice(max(low - n, 0), max(high - n, 0))


def bare(estimator: BaseEstimator) -> BaseEstimator:
    """Clone an estimator without what only its own process can use."""
    found = clone(estimator)
    return found.set_params(callback=None, checkpoint=None, progress=False, verbose=0)


def check_engine(engine: Any) -> None:
    """Refuse engines that a node of a cluster does not run."""
    if engine == "grid" or type(engine).__name__ == "Grid":
        return
    found = resolve_engine(engine, 2)
    if not isinstance(found, Sequential | Replicas | Shared) or getattr(found, "merge", "damped") == "self-tuned":
        raise ValueError(
            f"the nodes of a cluster run 'auto', 'replicas', 'shared' or 'sequential'; found engine={engine!r}"
        )


def pass_rows(schedule: Schedule, t: float, n_rows: int) -> Passed:
    """Sum up the clock of `n_rows` rows from `t` on."""
    if n_rows < 1:
        return Passed(0.0, 0.0, 0.0)
    counted = schedule._replace(shrink=1.0, shrink_by_eta=True, average_from=math.inf)
    starts, log_decay, summed, left = np.empty((n_rows // 256 + 2, 5)), 0.0, 0.0, n_rows
    while left > 0:
        ready = chunk_starts(counted, t, 1.0, 0.0, 0.0, 0.0, left, starts)
        if ready < left:  # the scale has left its range within the next chunk: a part of it is enough
            ready = max(ready, 1)
            chunk_starts(counted, t, 1.0, 0.0, 0.0, 0.0, ready, starts)
        place = -(-ready // 256)
        t, scale, eta = starts[place, :3] if starts[place, 0] > t else (t + ready, 1e-300, summed)
        log_decay, summed, left = log_decay + math.log(max(scale, 1e-300)), summed + eta, left - ready
    by_eta = summed if schedule.shrink_by_eta else float(n_rows)
    return Passed(summed / n_rows, max(log_decay, -690.0), schedule.shrink * by_eta)


def like_state(arrays: dict[str, np.ndarray]) -> FactorState:
    """State whose arrays are these."""
    return FactorState(arrays)


def everything(rows: Rows) -> np.ndarray:
    """Numbers of all rows."""
    return np.arange(len(rows.targets), dtype=np.uint32)
