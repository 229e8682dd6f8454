"""What factorisation machines share, field-aware or not: `fit`, early stopping, warm start, predictions."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from hogwild.engine.engines import Engine
from hogwild.engine.runners import Plan
from hogwild.engine.source import NONE, InMemory
from hogwild.engine.task import Task
from hogwild.estimators.factors import FactorModel, FactorState, resolve_factor_engine
from hogwild.estimators.labels import check_classes, class_codes, encode
from hogwild.estimators.threads import MIN_ROWS, threads_for
from hogwild.estimators.validation import check_matrix, split_rows
from hogwild.steps.rows import Rows, as_rows

DTYPE = np.dtype(np.float32)  # of parameters, values and targets, whatever X has: half the memory traffic


class FactorizationMachine(FactorModel):
    """Base of the estimators; a subclass says what its rows, its state and its task are.

    To be defined: `_new_state`, `_resized`, `_task`, `_row_scores`; where X is more than a matrix also `_check_data`
    and `_kernel_rows`. The parts for classification and regression are `FactorizationClassifier` and
    `FactorizationRegressor`, which stand before it among a class's bases.
    """

    _classifies: ClassVar[bool]
    _parameter_constraints: ClassVar[dict] = {
        **FactorModel._parameter_constraints,
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "normalize": ["boolean"],
        "init_scale": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
    }

    # ------------------------------------------------------------------------------------------ what a subclass defines

    def _check_data(self, X: Any, y: Any = "no_validation", *, reset: bool, n_threads: int = 1) -> Any:
        """Check the input; returns rows that can be counted (`shape`) and picked by an index array, and y where given.

        `reset` is true in `fit`: `n_features_in_` and names are set then, and compared otherwise.
        """
        more = {} if isinstance(y, str) else {"y_numeric": not self._classifies}
        with np.errstate(over="ignore"):  # what float32 has no room for is found to be infinite
            X, found = check_matrix(self, X, y, reset=reset, n_threads=n_threads, dtype=DTYPE, **more)
        return X if isinstance(y, str) else (X, found)

    def _kernel_rows(self, data: Any, targets: np.ndarray, weights: np.ndarray | None) -> Rows:
        """Return what `_check_data` returned as kernels see it; no `weights`: all are 1."""
        return as_rows(data, targets, weights)

    def _new_state(self, data: Any, rng: np.random.Generator) -> FactorState:
        """Return the state that a fit of `data` starts from."""
        raise NotImplementedError

    def _resized(self, state: FactorState, data: Any, rng: np.random.Generator) -> FactorState:
        """Return `state` with room for all features (and fields) of `data`; itself if there is room.

        What was there stays as it is; the new part is as `_new_state` makes it.
        """
        raise NotImplementedError

    def _task(self, rows: Rows) -> Task:
        """Return the task of training ``self._state`` on `rows`."""
        raise NotImplementedError

    def _plan(self, task: Task, engine: Engine) -> Plan | None:
        """Return interval and head for replicas; None leaves them to the engine."""
        return None

    def _row_scores(self, rows: Rows) -> np.ndarray:
        """Return the score of each row at the present weights; features that the model does not know are skipped."""
        raise NotImplementedError

    def _mean_loss(self, rows: Rows) -> float:
        """Mean loss of rows, by their weights."""
        scores, targets = np.asarray(self._row_scores(rows), np.float64), rows.targets
        losses = np.logaddexp(0.0, -targets * scores) if self._classifies else 0.5 * (scores - targets) ** 2
        return float(np.average(losses, weights=rows.weights if rows.weights.size else None))

    def _targets(self, y: np.ndarray, *, reset: bool) -> np.ndarray:
        """Return y as the loss takes it."""
        raise NotImplementedError

    def _row_weights(self, sample_weight: np.ndarray | None, targets: np.ndarray) -> np.ndarray | None:
        """Return weights of rows with those of their classes."""
        return sample_weight

    # ------------------------------------------------------------------------------------------ training

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, validation=None):
        """Fit the model from the start, or go on from the last weights, with `warm_start`.

        Parameters
        ----------
        X : rows of shape (n_samples, n_features)
            In the forms that the class names.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows; rows of weight 0 are skipped.
        validation : tuple (X, y) or (X, y, sample_weight), optional
            Rows whose loss is measured after each epoch (`validation_scores_`). With `early_stopping` they decide, and
            no rows of X are held out.

        Returns
        -------
        self : object

        Raises
        ------
        DivergedError
            A ValueError: the loss or a weight is not finite.
        """
        resolve_factor_engine(self.engine, 2)
        warm = self.warm_start and hasattr(self, "_state")
        n_threads = threads_for(self.n_jobs, _length(X))
        if not warm:
            self._forget()
        data, y = self._check_data(X, y, reset=True, n_threads=n_threads)
        targets = self._targets(y, reset=not warm)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, targets, dtype=DTYPE, ensure_non_negative=True)
        weights = self._row_weights(sample_weight, targets)
        rows, kept, score = self._kernel_rows(data, targets, weights), NONE, None
        if validation is not None:
            held_out = self._held_out(validation)
            score = self._scorer(held_out)
        elif self.early_stopping:
            kept, chosen = split_rows(self, y, sample_weight)
            part = None if weights is None else weights[chosen]
            score = self._scorer(self._kernel_rows(data[chosen], targets[chosen], part))
        if sample_weight is not None and not len(kept):
            kept = np.flatnonzero(sample_weight).astype(np.uint32)
            kept = NONE if len(kept) == len(sample_weight) else kept
        if self._classifies and len(kept) and np.all(targets[kept] == targets[kept[0]]):
            raise ValueError("found rows of one class only among those to train on of weight above 0, expected two")

        rng = self._generator()
        self._state: FactorState = self._resized(self._state, data, rng) if warm else self._new_state(data, rng)
        for name in ("loss_curve_", "validation_scores_", "best_iter_"):
            if hasattr(self, name):
                delattr(self, name)
        task, source = self._task(rows), InMemory(rows, kept)
        task.t = self._state.t
        self._run(
            task,
            source,
            rng=rng,
            n_epochs=self.max_iter,
            n_threads=min(n_threads, max(1, source.n_rows // MIN_ROWS)),
            score=score,
            keep_best=self.early_stopping,
            tol=(self.tol or 0.0) if self.early_stopping else None if score is not None else self.tol,
            plan=self._plan,
            problem=None if self.checkpoint is None else self._problem(rows, kept, warm),
        )
        return self

    def _forget(self) -> None:
        """Forget an earlier fit."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        if hasattr(self, "_state"):
            del self._state

    def _held_out(self, validation: Any) -> Rows:
        """Return the rows that the caller gave to validate on."""
        if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
            raise ValueError("validation is (X, y) or (X, y, sample_weight)")
        X, y, *more = validation
        data = self._check_data(X, reset=False)
        y = np.asarray(y)
        if y.shape != (_length(data),):
            raise ValueError(
                f"validation has {_length(data)} rows in X and y of shape {y.shape}, expected one for each"
            )
        targets = self._targets(y, reset=False)
        given = more[0] if more else None
        if given is not None:
            given = _check_sample_weight(given, targets, dtype=DTYPE, ensure_non_negative=True)
        return self._kernel_rows(data, targets, self._row_weights(given, targets))

    def _scorer(self, rows: Rows) -> Callable[[], float]:
        return lambda: -self._mean_loss(rows)

    def _problem(self, rows: Rows, kept: np.ndarray, warm: bool) -> dict[str, Any]:
        """What a checkpoint's run and this one have to share."""
        same = {"n_jobs", "engine", "max_iter", "verbose", "progress", "callback", "checkpoint", "warm_start", "fields"}
        seed = self.random_state if isinstance(self.random_state, Integral | None) else "a RandomState"
        plain = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in same and isinstance(value, Integral | Real | str | None)
        }
        digests = {
            f"digest of {name}": zlib.crc32(np.ascontiguousarray(array))
            for name, array in (("targets", rows.targets), ("weights", rows.weights), ("kept rows", kept))
        }
        return {
            **{name: value.item() if isinstance(value, np.generic) else value for name, value in plain.items()},
            "seed": seed if seed is None or isinstance(seed, str) else int(seed),
            "class": type(self).__name__,
            "shapes": {name: list(array.shape) for name, array in self._state.arrays.items()},
            "n_rows": len(rows.targets),
            "n_values": int(rows.values.size),
            "classes": list(map(str, self.classes_)) if self._classifies else None,
            "warm": warm,
            **digests,
        }

    # ------------------------------------------------------------------------------------------ predictions

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "_state")
        data = self._check_data(X, reset=False)
        return self._row_scores(self._kernel_rows(data, np.zeros(_length(data), DTYPE), None))

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are weights."""
        return hasattr(self, "_state")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class FactorizationClassifier(ClassifierMixin):
    """Two classes and the log loss ``log(1 + exp(-y t))`` of y = -1 or +1 and the score t."""

    _classifies = True
    _class_constraints: ClassVar[dict] = {"class_weight": [StrOptions({"balanced"}), dict, None]}

    def _targets(self, y: np.ndarray, *, reset: bool) -> np.ndarray:
        if not reset:
            codes = class_codes(self.classes_, check_classes(y))
            return np.where(codes == 1, DTYPE.type(1), DTYPE.type(-1))
        classes, codes = encode(y)
        if len(classes) == 1:
            raise ValueError(f"found one class only ({classes[0]!s}), expected two")
        if len(classes) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass: found "
                f"{len(classes)} classes, expected two; sklearn.multiclass.OneVsRestClassifier makes several of them"
            )
        self.classes_ = classes
        return np.where(codes == 1, DTYPE.type(1), DTYPE.type(-1))

    def _row_weights(self, sample_weight: np.ndarray | None, targets: np.ndarray) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        labels = self.classes_[(targets > 0).astype(int)]
        low, high = compute_class_weight(
            self.class_weight, classes=self.classes_, y=labels, sample_weight=sample_weight
        )
        weights = np.where(targets > 0, high, low).astype(DTYPE)
        return weights if sample_weight is None else weights * sample_weight

    def decision_function(self, X):
        """Return the score of each row, above 0 for ``classes_[1]``.

        Parameters
        ----------
        X : rows, as for `fit`
            Features (and fields) that the model has not seen are skipped.

        Returns
        -------
        ndarray of float32, shape (n_samples,)
        """
        return self._scores(X)

    def predict(self, X):
        """Return the class of each row.

        Parameters
        ----------
        X : rows, as for `fit`

        Returns
        -------
        ndarray, shape (n_samples,)
        """
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(int)]

    def predict_proba(self, X):
        """Return the probability of each class, ``1 / (1 + exp(-t))`` for ``classes_[1]``.

        Parameters
        ----------
        X : rows, as for `fit`

        Returns
        -------
        ndarray of float64, shape (n_samples, 2)
        """
        scores = np.asarray(self.decision_function(X), np.float64)
        return np.column_stack([expit(-scores), expit(scores)])

    def predict_log_proba(self, X):
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : rows, as for `fit`

        Returns
        -------
        ndarray of float64, shape (n_samples, 2)
        """
        scores = np.asarray(self.decision_function(X), np.float64)
        return -np.column_stack([np.logaddexp(0.0, scores), np.logaddexp(0.0, -scores)])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class FactorizationRegressor(RegressorMixin):
    """Numbers and the squared loss ``(t - y)^2 / 2`` of the score t."""

    _classifies = False

    def _targets(self, y: np.ndarray, *, reset: bool) -> np.ndarray:
        with np.errstate(over="ignore"):
            targets = np.asarray(y).astype(DTYPE)
        if not np.isfinite(targets).all():
            raise ValueError("y holds NaN, infinity or numbers beyond the range of float32")
        return targets

    def predict(self, X):
        """Return the number predicted for each row.

        Parameters
        ----------
        X : rows, as for `fit`
            Features (and fields) that the model has not seen are skipped.

        Returns
        -------
        ndarray of float32, shape (n_samples,)
        """
        return self._scores(X)


def _length(X: Any) -> int:
    """Rows of X; 0 where nobody can tell yet."""
    if hasattr(X, "shape"):
        return X.shape[0] if len(X.shape) else 0
    return len(X) if hasattr(X, "__len__") else 0
