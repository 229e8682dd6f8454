"""What the scikit-learn estimators of online learners on matrices share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from hogwild.estimators.labels import class_codes, encode
from hogwild.estimators.validation import check_matrix
from hogwild.online.features.vocabulary import Rows
from hogwild.online.linear import classifier_kernel, regression_kernel
from hogwild.online.linear.arrays import Arrays
from hogwild.online.linear.model import UNBOUNDED


class Learnt:
    """What an estimator has learnt.

    Attributes
    ----------
    arrays : Arrays
    targets : ndarray of float64, shape (3,)
        Count, mean and spread of the targets (regression).
    t : int
        Rows so far.
    """

    def __init__(self, arrays: Arrays, targets: np.ndarray | None = None, t: int = 0) -> None:
        self.arrays, self.targets, self.t = arrays, np.zeros(3) if targets is None else targets, t


class Online(BaseEstimator):
    """Parameters and passes."""

    _method: ClassVar[int]
    _single: ClassVar[bool]
    _saved_names: ClassVar[tuple[str, ...]] = ("n_iter_", "n_features_in_")
    _parameter_constraints: ClassVar[dict] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        constraints = Online._parameter_constraints
        cls._parameter_constraints = {name: constraints[name] for name in cls._get_param_names()}

    def _begin(self, columns: int) -> None:
        arrays = Arrays(self._method >= classifier_kernel.CW, self._single)
        arrays.reserve(self.n_features_in_ + 1, columns)
        arrays.known[:columns] = 1
        self._state = Learnt(arrays)

    def _saved_arrays(self) -> dict[str, np.ndarray]:
        """Everything that predicting and going on need, beside parameters and attributes."""
        arrays, rows = self._state.arrays, self.n_features_in_ + 1
        found = {"weights": arrays.weights, "variances": arrays.variances}
        found = {name: array[:rows] for name, array in found.items()}
        return {**found, "learnt": arrays.learnt, "targets": self._state.targets}

    def _restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `_saved_arrays` returned; ValueError or KeyError where it makes no model."""
        self._begin(1 if self._single else len(self.classes_))
        here = self._state.arrays
        for name, expected in self._saved_arrays().items():
            if arrays[name].shape != expected.shape or arrays[name].dtype != expected.dtype:
                found = f"{arrays[name].dtype} and shape {arrays[name].shape}"
                raise ValueError(f"{name} of {found}, expected {expected.dtype} and {expected.shape}")
        rows = self.n_features_in_ + 1
        here.weights[:rows], here.variances[:rows] = arrays["weights"], arrays["variances"]
        here.learnt[...], self._state.targets[...] = arrays["learnt"], arrays["targets"]

    def _rows(self, X: Any) -> Rows:
        """Return a matrix as rows; the intercept is the weight of a last feature that is always 1."""
        if not sp.issparse(X):
            X = sp.csr_matrix(X)
        indptr, slots, values = X.indptr.astype(np.uint64), X.indices.astype(np.uint32), X.data.astype(np.float64)
        if self.fit_intercept:
            ends = indptr[1:].astype(np.int64)
            slots = np.insert(slots, ends, self.n_features_in_)
            values = np.insert(values, ends, 1.0)
            indptr = indptr + np.arange(len(indptr), dtype=np.uint64)
        return Rows(indptr, slots, values)

    def _passes(self, X: Any, targets: np.ndarray) -> None:
        rng = check_random_state(self.random_state)
        rows = None
        for _ in range(self.max_iter):
            if self.shuffle:
                order = rng.permutation(X.shape[0])
                self._learn(self._rows(X[order]), targets[order])
            else:
                rows = rows or self._rows(X)
                self._learn(rows, targets)
        self.n_iter_ = self.max_iter

    def _learn(self, rows: Rows, targets: np.ndarray) -> None:
        raise NotImplementedError

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class OnlineLinearClassifier(ClassifierMixin, Online):
    """Classes as columns of one model."""

    _single = False

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Fit the model from the start, in `max_iter` passes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels of any kind.

        Returns
        -------
        self : object
        """
        X, y = check_matrix(self, X, y, reset=True)
        self.classes_, codes = encode(y)
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 classes, found 1 class: {self.classes_[0]!r}")
        self._begin(len(self.classes_))
        self._passes(X, codes.astype(np.uint32))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None):
        """Go on from the present weights, once through the rows in their order.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like, optional
            All classes that there will be; needed at the first call.

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "classes_")
        X, y = check_matrix(self, X, y, reset=first)
        if _check_partial_fit_first_call(self, classes):
            self._begin(len(self.classes_))
        self._learn(self._rows(X), class_codes(self.classes_, y).astype(np.uint32))
        return self

    def _learn(self, rows: Rows, targets: np.ndarray) -> None:
        arrays = self._state.arrays
        width = arrays.shape[1]
        classifier_kernel.train_rows(
            *rows, targets, 0, self._method, float(getattr(self, "C", 1.0)), arrays.weights, arrays.variances,
            arrays.changes, arrays.seen, arrays.known, np.arange(width, dtype=np.uint32), arrays.learnt,
            np.empty(width), self._state.t, UNBOUNDED, np.zeros(2, np.int64),
        )  # fmt: skip
        self._state.t += len(targets)

    def decision_function(self, X):
        """Return scores of the classes; of two, how far the second's is above the first's.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self, "_state")
        X, _ = check_matrix(self, X, "no_validation", reset=False)
        scores = np.empty((X.shape[0], self._state.arrays.shape[1]))
        classifier_kernel.score_rows(*self._rows(X), self._state.arrays.weights, scores)
        scores = scores[:, : len(self.classes_)]
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X):
        """Return the class of the highest score for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    @property
    def coef_(self):
        """Weights, of shape (1, n_features) or (n_classes, n_features)."""
        return self._columns()[:, : self.n_features_in_]

    @property
    def intercept_(self):
        """Weights of the constant, of shape (1,) or (n_classes,)."""
        return self._columns()[:, self.n_features_in_]

    def _columns(self) -> np.ndarray:
        check_is_fitted(self, "classes_")
        weights = self._state.arrays.weights[: self.n_features_in_ + 1, : len(self.classes_)].T
        return weights[1:] - weights[:1] if len(self.classes_) == 2 else weights.copy()


class OnlineLinearRegressor(RegressorMixin, Online):
    """One column."""

    _single = True

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Fit the model from the start, in `max_iter` passes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self : object
        """
        X, y = check_matrix(self, X, y, reset=True, y_numeric=True)
        self._begin(1)
        self._passes(X, y.astype(np.float64))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y):
        """Go on from the present weights, once through the rows in their order.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "_state")
        X, y = check_matrix(self, X, y, reset=first, y_numeric=True)
        if first:
            self._begin(1)
        self._learn(self._rows(X), y.astype(np.float64))
        return self

    def _learn(self, rows: Rows, targets: np.ndarray) -> None:
        arrays = self._state.arrays
        constants = (float(getattr(self, name, 1.0)) for name in ("C", "epsilon", "learning_rate"))
        regression_kernel.train_rows(
            *rows, targets, 0, self._method, *constants, arrays.weights.reshape(-1), arrays.variances.reshape(-1),
            arrays.changes.reshape(-1), arrays.seen, self._state.targets, self._state.t,
            UNBOUNDED, np.zeros(2, np.int64),
        )  # fmt: skip
        self._state.t += len(targets)

    def predict(self, X):
        """Return the estimate for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "_state")
        X, _ = check_matrix(self, X, "no_validation", reset=False)
        estimates = np.empty(X.shape[0])
        regression_kernel.estimate_rows(*self._rows(X), self._state.arrays.weights.reshape(-1), estimates)
        return estimates

    @property
    def coef_(self):
        """Weights, of shape (n_features,)."""
        check_is_fitted(self, "_state")
        return self._state.arrays.weights[: self.n_features_in_, 0].copy()

    @property
    def intercept_(self):
        """Weight of the constant."""
        check_is_fitted(self, "_state")
        return float(self._state.arrays.weights[self.n_features_in_, 0])
