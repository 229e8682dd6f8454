"""Factorisation machines on a cluster, plain and field-aware."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import compute_class_weight

from hogwild.cluster.layout import Kind
from hogwild.cluster.workloads.problem import BLOCK_FEATURES, Problem, Trained, like_state
from hogwild.cluster.workloads.sources import DenseBatch
from hogwild.cluster.workloads.survey import Survey
from hogwild.cluster.workloads.table import Table, Where, column
from hogwild.compiled import aligned_zeros
from hogwild.data.batch import Batch, merge_repeats
from hogwild.data.field_rows import field_of_columns
from hogwild.engine.engines import Engine
from hogwild.engine.runners import Plan
from hogwild.engine.task import Task
from hogwild.estimators import ffm_task, fm_task
from hogwild.estimators.factorization_machine import DTYPE
from hogwild.estimators.factors import FactorState, resolve_factor_engine
from hogwild.estimators.field_aware import MOST_OWN_FIELDS
from hogwild.estimators.labels import check_classes, class_codes
from hogwild.steps.fm import FmSgd, lanes_of, width_of
from hogwild.steps.rows import DenseRows, Rows, SparseFieldRows, SparseRows


class MachineProblem(Problem):
    """What both kinds share: two classes or numbers, float32, initial factors drawn by block."""

    def __init__(self, estimator: BaseEstimator, survey: Survey, merge: str = "self-tuned") -> None:
        super().__init__(estimator, survey, merge)
        estimator._validate_params()
        resolve_factor_engine(estimator.engine, 2)
        if estimator.early_stopping:
            raise ValueError(
                f"{type(estimator).__name__} on a cluster needs early_stopping=False, found True: no rows are held out"
            )
        self.dtype = np.dtype(np.float32)
        self.n_features = max(1, survey.n_features)
        self.classes, self.class_weights = None, None
        self._name_classes()
        self.seed = int(np.random.default_rng().integers(2**63)) if estimator.random_state is None else None

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed) if self.seed is not None else self.estimator._generator()

    def _name_classes(self) -> None:
        survey = self.survey
        if not self.estimator._classifies:
            if survey.label_kind == "text":
                raise ValueError("found labels that are words, expected numbers")
            if survey.missing:
                raise ValueError("found a row without a label, expected a number in each row")
            return
        if survey.labels is None or len(survey.labels) > 2:
            found = "more than 65,536" if survey.labels is None else str(len(survey.labels))
            raise ValueError(f"Only binary classification is supported: found {found} classes, expected two")
        if survey.missing:
            raise ValueError("found a row without a label, expected one in each row")
        self.classes = check_classes(survey.labels)
        if len(self.classes) < 2:
            raise ValueError(f"found one class only ({self.classes[0]!s}), expected two")
        given = self.estimator.class_weight
        if given == "balanced":
            self.class_weights = survey.label_counts.sum() / (2.0 * np.maximum(survey.label_counts, 1))
        elif given is not None:
            self.class_weights = compute_class_weight(given, classes=self.classes, y=self.classes)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """-1 and +1, or numbers."""
        if self.classes is None:
            return np.asarray(labels).astype(DTYPE)
        return np.where(class_codes(self.classes, labels) == 1, DTYPE.type(1), DTYPE.type(-1))

    def _row_weights(self, weights: np.ndarray, targets: np.ndarray) -> np.ndarray:
        if self.class_weights is None:
            return weights.astype(DTYPE, copy=False)
        own = np.where(targets > 0, self.class_weights[1], self.class_weights[0]).astype(DTYPE)
        return own if not len(weights) else own * weights.astype(DTYPE)

    def _publish(self, fitted: BaseEstimator, trained: Trained) -> BaseEstimator:
        if self.classes is not None:
            fitted.classes_ = self.classes
        fitted._state.t = self.t_start + trained.rows
        return super()._publish(fitted, trained)

    def _warm_arrays(self, estimator: BaseEstimator, expected: dict[str, tuple]) -> None:
        """Start from the state of an earlier fit, with `warm_start`."""
        if not (estimator.warm_start and hasattr(estimator, "_state")):
            return
        found = {name: array.shape for name, array in estimator._state.arrays.items()}
        if found != expected:
            raise ValueError(f"warm_start goes on with weights of shapes {found}, expected {expected}")
        self.warm = {name: array.copy() for name, array in estimator._state.arrays.items()}
        self.t_start = estimator._state.t


def compact(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of a batch whose positions start at 0: indptr, indices, values, fields."""
    low, high = int(batch.indptr[0]), int(batch.indptr[-1])
    indptr = batch.indptr if not low else batch.indptr - np.uint64(low)
    fields = batch.fields[low:high] if len(batch.fields) else batch.fields
    return indptr, batch.indices[low:high], batch.values[low:high].astype(np.float32, copy=False), fields


# ------------------------------------------------------------------------------------------------ plain


class FmProblem(MachineProblem):
    """The problem of an FMClassifier or FMRegressor."""

    def __init__(self, estimator: BaseEstimator, survey: Survey, merge: str = "self-tuned") -> None:
        super().__init__(estimator, survey, merge)
        self.options = options = estimator._options()
        k, n, sums = options.n_factors, lanes_of(options.n_factors), options.rule is not FmSgd
        weights = np.arange(1 + k)
        parts, rest = [column("factors", weights, self.damped)], [column("intercept", 1, self.damped)]
        if sums:
            parts.append(column("factors", n + weights, Kind.ADD))
            rest.append(column("intercept", np.array([1]), Kind.ADD))
        self.width = width_of(k, DTYPE, sums)
        self.table = Table(self.n_features, DTYPE, parts, rest)
        self._warm_arrays(estimator, {"factors": (self.n_features, self.width), "intercept": (2,)})

    def _drawn(self) -> Iterator[tuple[int, np.ndarray]]:
        """Draw as `fm_task.new_state` does: blocks of 65,536 features follow each other in one stream."""
        rng, one = self._generator(), Table(BLOCK_FEATURES, DTYPE, self.table.by_feature, self.table.others)
        for first in range(0, self.n_features, BLOCK_FEATURES):
            n = min(BLOCK_FEATURES, self.n_features - first)
            state = fm_task.new_state(self.options, n, DTYPE, rng, float(self.estimator.init_scale))
            yield first, one.read(state.arrays, _span(n))

    def _first_others(self) -> dict[str, np.ndarray]:
        state = fm_task.new_state(self.options, 1, DTYPE, np.random.default_rng(0), 0.0)
        survey = self.survey
        if self.options.fit_intercept and self.classes is None and survey.label_weight:
            fm_task.set_bias(state, self.options, survey.label_sum / survey.label_weight)
        return {"intercept": state.arrays["intercept"]}

    def rows(self, batch: Batch | DenseBatch, targets: np.ndarray) -> Rows:
        """Rows of a batch, as float32; what stands twice in one is added up."""
        weights = self._row_weights(batch.weights, targets)
        if isinstance(batch, DenseBatch):
            return DenseRows(np.ascontiguousarray(batch.values, DTYPE), targets, weights)
        if len(batch.fields):
            indptr, indices, values, _ = compact(batch)
            batch = merge_repeats(Batch(indptr, indices.copy(), values.copy(), targets))
        return SparseRows(batch.indptr, batch.indices, batch.values.astype(DTYPE, copy=False), targets, weights)

    def arrays(self, n: int) -> dict[str, np.ndarray]:
        """Allocate the matrix; the sums of features that are not there are 1."""
        factors = aligned_zeros((n, self.width), DTYPE)
        if self.options.rule is not FmSgd:
            factors[:, self.width // 2 :] = 1.0
        return {"factors": factors, "intercept": np.zeros(2, DTYPE)}

    def task(self, arrays: dict[str, np.ndarray], rows: Rows) -> Task:
        """Put arrays and rows together."""
        return fm_task.make_task(self.options, like_state(arrays), rows)

    def plan(self, task: Task, engine: Engine, n_threads: int) -> Plan | None:
        """Interval and head of this model's replicas."""
        return fm_task.fm_plan(task, engine, n_threads)

    def mean_loss(self, task: Task, rows: Rows) -> float:
        """Mean loss of rows."""
        state = like_state({"factors": task.model.factors, "intercept": task.model.intercept})
        return fm_task.mean_loss(rows, fm_task.plain_model(self.options, state))

    def finish(self, values: np.ndarray, trained: Trained) -> BaseEstimator:
        """Make a fitted estimator of the table."""
        fitted, arrays = clone(self.estimator), self.arrays(self.n_features)
        state = fm_task.new_state(self.options, 1, DTYPE, np.random.default_rng(0), 0.0)
        arrays["factors"][...] = state.arrays["factors"][0]  # what the table leaves out: zeros and lanes of no factor
        self.table.write(values, arrays, self.table.everything())
        fitted._state = FactorState(arrays)
        fitted._fitted_options, fitted._untrained = self.options, False
        fitted.n_features_in_ = self.n_features
        return self._publish(fitted, trained)


def _span(n: int) -> Where:
    return Where.span(0, n)


# ------------------------------------------------------------------------------------------------ field-aware


class FfmProblem(MachineProblem):
    """The problem of an FFMClassifier or FFMRegressor.

    Rows have fields (libffm and cache files, `FieldRows`), or are those of a matrix with the estimator's `fields`.
    """

    def __init__(self, estimator: BaseEstimator, survey: Survey, merge: str = "self-tuned") -> None:
        super().__init__(estimator, survey, merge)
        self.column_fields = None
        if not survey.has_fields:
            if estimator.fields is None and self.n_features > MOST_OWN_FIELDS:
                raise ValueError(
                    f"found rows without fields and {self.n_features:,} columns, which makes each a field of its own: "
                    f"expected rows with fields, fields=(field of each column), or at most {MOST_OWN_FIELDS} columns"
                )
            self.column_fields = field_of_columns(estimator.fields, self.n_features)
            self.n_fields = int(self.column_fields.max()) + 1
        elif estimator.fields is not None:
            raise ValueError("fields tells the field of each column of a matrix, found rows that have fields")
        else:
            self.n_fields = max(1, survey.n_fields)
        self.n_factors, self.linear = int(estimator.n_factors), bool(estimator.linear_terms)
        m, k = self.n_fields, self.n_factors
        self.width = ffm_task.block_shape(m, k).width
        places = np.arange(self.width, dtype=np.float32).reshape(1, -1)  # whole numbers below 2**24 are exact
        both = [
            part.reshape(m, -1)[:, :k].reshape(-1).astype(np.uint32) for part in ffm_task.split_blocks(places, m, k)
        ]
        parts = [column("blocks", both[0], self.damped), column("blocks", both[1], Kind.ADD)]
        rest = []
        if self.linear:
            parts += [column("linear", 1, self.damped), column("linear", np.array([1]), Kind.ADD)]
            rest += [column("bias", 1, self.damped), column("bias", np.array([1]), Kind.ADD)]
        self.table = Table(self.n_features, DTYPE, parts, rest)
        n = self.n_features if self.linear else 0
        shapes = {"blocks": (self.n_features, self.width), "linear": (n, 2), "bias": (2 if self.linear else 0,)}
        self._warm_arrays(estimator, shapes)

    def _drawn(self) -> Iterator[tuple[int, np.ndarray]]:
        """Draw as `ffm_task.new_ffm_state` does: blocks of 4,096 features follow each other in one stream."""
        rng, n_block = self._generator(), 4096
        for first in range(0, self.n_features, n_block):
            n = min(n_block, self.n_features - first)
            state = ffm_task.new_ffm_state(n, self.n_fields, self.n_factors, rng, linear=self.linear)
            yield first, self.table.read(state.arrays, _span(n))

    def _first_others(self) -> dict[str, np.ndarray]:
        return {"bias": self.arrays(1)["bias"]}

    def rows(self, batch: Batch | DenseBatch, targets: np.ndarray) -> Rows:
        """Rows of a batch with their fields, and the length of each."""
        weights = self._row_weights(batch.weights, targets)
        if isinstance(batch, DenseBatch):
            filled = batch.values != 0
            indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.uint64)
            indices = np.nonzero(filled)[1].astype(np.uint32)
            values, fields = batch.values[filled].astype(DTYPE), np.empty(0, np.uint32)
        else:
            indptr, indices, values, fields = compact(batch)
        if self.column_fields is not None:
            fields = self.column_fields[indices].astype(np.uint32)
        elif len(fields) != len(indices):
            raise ValueError("found rows without fields, expected a field for each entry")
        none = np.empty(0, DTYPE)
        rows = SparseFieldRows(indptr, indices, fields, values, none, targets, weights)
        return rows._replace(norms=ffm_task.row_norms(rows)) if self.estimator.normalize else rows

    def arrays(self, n: int) -> dict[str, np.ndarray]:
        """Allocate blocks; sums are 1."""
        return ffm_task.empty_state(n, self.n_fields, self.n_factors, linear=self.linear).arrays

    def task(self, arrays: dict[str, np.ndarray], rows: Rows) -> Task:
        """Put arrays and rows together."""
        est, sizes = self.estimator, {"n_fields": self.n_fields, "n_factors": self.n_factors}
        return ffm_task.make_ffm_task(rows, like_state(arrays), **sizes, loss=est._loss, alpha=est.alpha, eta0=est.eta0)

    def plan(self, task: Task, engine: Engine, n_threads: int) -> Plan | None:
        """Interval and head of this model's replicas."""
        return ffm_task.ffm_plan(task, engine, n_threads)

    def mean_loss(self, task: Task, rows: Rows) -> float:
        """Mean loss of rows."""
        model = task.model
        state = like_state({"blocks": model.blocks, "linear": model.linear, "bias": model.bias})
        sizes = {"n_fields": self.n_fields, "n_factors": self.n_factors}
        return ffm_task.ffm_loss(rows, state, **sizes, loss=self.estimator._loss)

    def finish(self, values: np.ndarray, trained: Trained) -> BaseEstimator:
        """Make a fitted estimator of the table."""
        fitted, arrays = clone(self.estimator), self.arrays(self.n_features)
        self.table.write(values, arrays, self.table.everything())
        fitted._state = FactorState(arrays)
        fitted.n_fields_, fitted._n_factors, fitted.n_features_in_ = self.n_fields, self.n_factors, self.n_features
        fitted.form_ = "rows" if self.column_fields is None else "matrix"
        if self.column_fields is not None:
            fitted.fields_ = self.column_fields.copy()
        return self._publish(fitted, trained)


__all__ = ["FfmProblem", "FmProblem", "MachineProblem"]
