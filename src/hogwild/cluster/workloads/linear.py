"""Linear models on a cluster: SGDClassifier and SGDRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import compute_class_weight

from hogwild.cluster.layout import Kind
from hogwild.cluster.workloads.problem import Passed, Problem, Trained, everything, pass_rows
from hogwild.cluster.workloads.sources import DenseBatch
from hogwild.cluster.workloads.survey import Survey
from hogwild.cluster.workloads.table import Table, column
from hogwild.data.batch import Batch, merge_repeats
from hogwild.engine.runners import SequentialRunner
from hogwild.engine.task import Task
from hogwild.estimators.labels import check_classes, class_codes
from hogwild.estimators.linear_task import (
    UPDATE_RULES,
    LinearState,
    l1_share,
    make_schedule,
    make_task,
    mean_loss,
    new_state,
)
from hogwild.losses import LOSSES
from hogwild.steps.adagrad import SMALLEST_SQUARES, AdaGrad
from hogwild.steps.ftrl import Ftrl
from hogwild.steps.rows import DenseRows, Rows, SparseRows
from hogwild.steps.sgd import Sgd


class LinearProblem(Problem):
    """The problem of an SGDClassifier or SGDRegressor.

    Of plain SGD the shards hold the weights: each worker shrinks its own by the L2 penalty (its deltas are against the
    base shrunk as much) and leaves L1 to the shard. AdaGrad's weights come with their sums, by whose roots the shard
    divides both penalties. FTRL's sums z and n hold no penalty: it belongs to the clock.
    """

    def __init__(
        self, estimator: BaseEstimator, survey: Survey, merge: str = "self-tuned", dtype: Any = np.float32
    ) -> None:
        super().__init__(estimator, survey, merge)
        estimator._validate_params()
        estimator._check_options(for_partial_fit=False)
        name = type(estimator).__name__
        for parameter, refused in (("average", False), ("early_stopping", False), ("search_every", None)):
            if getattr(estimator, parameter) not in (refused, 0):
                raise ValueError(
                    f"{name} on a cluster needs {parameter}={refused!r}, found {getattr(estimator, parameter)!r}"
                )
        if estimator.learning_rate == "adaptive":
            raise ValueError(
                "learning_rate='adaptive' waits for the loss of whole epochs, which workers of a cluster do not end "
                "together; expected another, such as 'invscaling' or 'adagrad'"
            )
        self.eta0 = float(estimator.eta0)
        self.dtype = np.dtype(dtype)
        self.n_features = max(1, survey.n_features)
        self.classes = None
        self._name_classes()
        self._options = None
        options = self.options
        self.rule = UPDATE_RULES.get(options.learning_rate, Sgd)
        c, damped = self.n_columns, self.damped
        if self.rule is Ftrl:
            features, others = ["z", "n"], ["intercept_z", "intercept_n"]
            parts = [column(name, c, Kind.ADD) for name in features]
            rest = [column(name, c, Kind.ADD) for name in others]
        else:
            penalised = options.penalty is not None and options.alpha > 0
            parts, rest = [column("coef", c, damped, decays=penalised)], [column("intercept", c, damped)]
            if self.rule is AdaGrad:
                parts.append(column("squares", c, Kind.ADD))
                rest.append(column("intercept_squares", c, Kind.ADD))
        more: dict[str, Any] = {}
        if self.rule is AdaGrad and parts[0].decays:
            more = {
                "roots": np.r_[c + np.arange(c), np.full(c, -1)],
                "l1_ratio": l1_share(options.penalty, options.l1_ratio),
            }
        self.table = Table(self.n_features, self.dtype, parts, rest, **more)
        self._go_on(estimator)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_options": None}  # a compiled loss of the user's stays here

    @property
    def options(self):
        """The parameters that shape the task."""
        if self._options is None:
            self._options = self.estimator._options()
        return self._options

    def _name_classes(self) -> None:
        survey = self.survey
        ones = np.ones(1)
        self.n_columns, self.positive, self.negative = 1, ones, ones
        if not self.estimator._classifies:
            if survey.label_kind == "text":
                raise ValueError("found labels that are words, expected numbers")
            if survey.missing:
                raise ValueError("found a row without a label, expected a number in each row")
            return
        if survey.labels is None:
            raise ValueError("found more than 65,536 different labels, expected classes")
        if survey.missing:
            raise ValueError("found a row without a label, expected one in each row")
        self.classes = check_classes(survey.labels)
        n = len(self.classes)
        if n < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {n} class ({self.classes[0]!s})")
        weights, given = np.ones(n), self.estimator.class_weight
        if given == "balanced":
            weights = survey.label_counts.sum() / (n * np.maximum(survey.label_counts, 1))
        elif given is not None:
            weights = compute_class_weight(given, classes=self.classes, y=self.classes)
        if n == 2:
            self.positive, self.negative = weights[1:].astype(float), weights[:1].astype(float)
        else:
            self.n_columns, self.positive, self.negative = n, weights.astype(float), np.ones(n)

    def _go_on(self, estimator: BaseEstimator) -> None:
        """Start from the weights of an earlier fit, with `warm_start`."""
        if not (estimator.warm_start and hasattr(estimator, "coef_")):
            return
        coef = estimator.coef_.toarray() if hasattr(estimator.coef_, "toarray") else np.asarray(estimator.coef_)
        intercept = np.atleast_1d(estimator.intercept_)
        if coef.size != self.n_features * self.n_columns or len(intercept) != self.n_columns:
            raise ValueError(
                f"warm_start goes on with weights of shape {coef.shape}, expected {self.n_features} features "
                f"and {self.n_columns} columns"
            )
        arrays = self.arrays(self.n_features)
        arrays["coef"][...] = coef.reshape(self.n_columns, -1).T.reshape(arrays["coef"].shape)
        arrays["intercept"][...] = intercept
        if self.rule is Ftrl:
            rate = self.options.beta / self.options.eta0
            arrays["z"][...], arrays["intercept_z"][...] = -rate * arrays["coef"], -rate * arrays["intercept"]
        self.warm = arrays

    # ------------------------------------------------------------------------------------------ nodes

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """-1 and +1, class numbers, or numbers."""
        if self.classes is not None:
            codes = class_codes(self.classes, labels)
            return (codes * 2 - 1 if len(self.classes) == 2 else codes).astype(self.dtype)
        found = np.asarray(labels).astype(self.dtype)
        loss = self.estimator.loss
        lowest = LOSSES[loss].lowest if isinstance(loss, str) else -np.inf
        if len(found) and found.min() < lowest:
            raise ValueError(f"found the label {found.min():g}, expected at least {lowest:g} for loss={loss!r}")
        return found

    def rows(self, batch: Batch | DenseBatch, targets: np.ndarray) -> Rows:
        """Rows of a batch; what stands twice in one is added up."""
        weights = batch.weights.astype(self.dtype, copy=False)
        if isinstance(batch, DenseBatch):
            return DenseRows(batch.values.astype(self.dtype, copy=False), targets, weights)
        if len(batch.fields):
            low = batch.indptr[0]
            copied = Batch(
                batch.indptr - low,
                batch.indices[int(low) : int(batch.indptr[-1])].copy(),
                batch.values[int(low) : int(batch.indptr[-1])].copy(),
                targets,
            )
            batch = merge_repeats(copied)
        return SparseRows(batch.indptr, batch.indices, batch.values.astype(self.dtype, copy=False), targets, weights)

    def arrays(self, n: int) -> dict[str, np.ndarray]:
        """Weights and the rule's sums, 0."""
        return self._state(n).named()

    def _state(self, n: int) -> LinearState:
        # of no penalty: nothing is kept for one that shards apply
        return new_state(self.options._replace(penalty=None), n, self.n_columns, self.dtype)

    def task(self, arrays: dict[str, np.ndarray], rows: Rows) -> Task:
        """Put arrays and rows together."""
        others = {name: array for name, array in arrays.items() if name not in ("coef", "intercept")}
        state = LinearState(arrays["coef"], arrays["intercept"], others)
        task = make_task(self.options, state, rows, eta0=self.eta0, positive=self.positive, negative=self.negative)
        if self.rule is not Ftrl:
            task.schedule = task.schedule._replace(shrink=0.0)
        return task

    def start_clock(self, task: Task, rows: float, turn: int) -> None:
        """Set t, what FTRL's penalty has grown to, and the step size of this pass."""
        super().start_clock(task, rows, turn)
        if self.rule is Ftrl:
            task.penalty = task.schedule.shrink * rows
        if self.options.learning_rate == "epoch_decay":
            task.schedule = task.schedule._replace(eta0=self.eta0 * self.estimator.decay ** (turn - 1))

    def passed(self, task: Task, t: float, n_rows: int) -> Passed:
        """Step size and penalties of some rows."""
        found = pass_rows(make_schedule(self.options, task.schedule.eta0), t, n_rows)
        return found._replace(shrink=0.0) if self.rule is Ftrl else found

    def mean_loss(self, task: Task, rows: Rows) -> float:
        """Mean loss of rows."""
        model = task.model
        if self.rule is Ftrl:
            close(task)
        return mean_loss(rows, everything(rows), model.coef, model.intercept, model.settings)

    def curvature(self, task: Task, sample: np.ndarray) -> dict[str, np.ndarray]:
        """Row-sum bound over the roots of AdaGrad's sums."""
        found = task.curvature(sample, None)
        bound = min(1.0, task.step_bound / task.schedule.eta0)
        if self.rule is AdaGrad:
            model = task.model
            found["coef"] = found["coef"] / np.sqrt(np.maximum(model.squares, SMALLEST_SQUARES))
            found["intercept"] = found["intercept"] / np.sqrt(np.maximum(model.intercept_squares, SMALLEST_SQUARES))
        return {name: bound * array for name, array in found.items()} if bound < 1.0 else found

    # ------------------------------------------------------------------------------------------ back

    def finish(self, values: np.ndarray, trained: Trained) -> BaseEstimator:
        """Make a fitted estimator of the table."""
        fitted, options = clone(self.estimator), self.options
        state = new_state(options, self.n_features, self.n_columns, self.dtype)
        self.table.write(values, state.named(), self.table.everything())
        state.t = self.t_start + trained.rows
        if self.rule is Ftrl:
            state.penalty = options.alpha * trained.rows if options.penalty is not None else 0.0
            rows = SparseRows(
                np.zeros(1, np.uint64), *(np.empty(0, t) for t in (np.uint32, self.dtype, self.dtype, self.dtype))
            )
            close(make_task(options, state, rows, eta0=self.eta0, positive=self.positive, negative=self.negative))
        fitted._state = state
        if self.classes is not None:
            fitted.classes_ = self.classes
        fitted.n_features_in_ = self.n_features
        fitted.t_, fitted.eta0_ = state.t, self.eta0
        fitted.coef_, fitted.intercept_ = fitted._weights()
        return self._publish(fitted, trained)


def close(task: Task) -> None:
    """Bring the task's weights up to its clock."""
    runner = SequentialRunner(task)
    runner._work.running[1], runner._work.running[3] = task.t, task.penalty
    runner.finish()


__all__ = ["LinearProblem"]
