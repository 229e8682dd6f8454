"""SGDRegressor: scikit-learn's regressor on the lock-free engine."""

from __future__ import annotations

from contextlib import closing
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from hogwild.estimators.base import BaseSGD, loss_functions
from hogwild.estimators.labels import as_numbers
from hogwild.estimators.sources import StreamSource, is_cache, is_rows
from hogwild.estimators.threads import resolve_n_jobs, threads_for
from hogwild.estimators.validation import check_matrix
from hogwild.losses import LOSSES, REGRESSION, SavedLoss


class SGDRegressor(RegressorMixin, BaseSGD):
    """Linear regression fitted by lock-free stochastic gradient descent.

    Minimises ``mean_i s_i l(y_i, w.x_i + b) + alpha * penalty(w)``. Parameters, defaults and attributes are those of
    scikit-learn's SGDRegressor, and for the rest those of `SGDClassifier`.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile", "poisson"} or \
            tuple of two functions, default="squared_error"
        ``(p - y)^2 / 2`` and its robust relatives. ``"quantile"``: ``q (y - p)`` above, ``(1 - q) (p - y)`` below.
        ``"poisson"``: ``exp(p) - y p`` for counts ``y >= 0``; `predict` returns ``exp(p)``. Two functions: a loss of
        your own, as in `SGDClassifier`.
    penalty, alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle, verbose, epsilon, random_state : \
            see `SGDClassifier`
    learning_rate : str, default="invscaling"
        As in `SGDClassifier`.
    eta0 : float, default=0.01
    power_t : float, default=0.25
    early_stopping, validation_fraction, n_iter_no_change, warm_start, average : see `SGDClassifier`
    n_jobs, engine, decay, beta, search_every, intercept_decay, progress, callback, checkpoint : see `SGDClassifier`
    quantile : float, default=0.5
        The q of ``"quantile"``, between 0 and 1.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
    intercept_ : ndarray of shape (1,)
    n_iter_, t_, loss_curve_, validation_scores_, eta0_, n_threads_, engine_, n_waits_ : see `SGDClassifier`

    Raises
    ------
    DivergedError
        A ValueError: the loss or a weight is not finite.

    Examples
    --------
    >>> from hogwild import SGDRegressor
    >>> from hogwild.data import make_sparse_regression
    >>> X, y, coef = make_sparse_regression(2_000, 10, random_state=0)
    >>> reg = SGDRegressor(random_state=0, learning_rate="search").fit(X, y)
    >>> bool(abs(reg.coef_ - coef).max() < 0.05)
    True
    """

    _classifies = False
    loss_functions: ClassVar[dict] = loss_functions(REGRESSION)
    _parameter_constraints: ClassVar[dict] = {
        **BaseSGD._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION)), tuple, Hidden(SavedLoss)],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss="squared_error",
        *,
        penalty="l2",
        alpha=0.0001,
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=1000,
        tol=1e-3,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        random_state=None,
        learning_rate="invscaling",
        eta0=0.01,
        power_t=0.25,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=False,
        n_jobs=None,
        engine="auto",
        decay=0.9,
        beta=1.0,
        search_every=None,
        intercept_decay=1.0,
        progress=False,
        callback=None,
        checkpoint=None,
        quantile=0.5,
    ):
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.n_jobs = n_jobs
        self.engine = engine
        self.decay = decay
        self.beta = beta
        self.search_every = search_every
        self.intercept_decay = intercept_decay
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint
        self.quantile = quantile

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, coef_init=None, intercept_init=None, sample_weight=None):
        """Fit the model from the start (or from the last weights, with `warm_start`).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or rows of `hogwild.data.open`
            As in `SGDClassifier.fit`.
        y : array-like of shape (n_samples,)
        coef_init, intercept_init : ndarray, optional
            Weights to start from.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : object
        """
        self._check_options(for_partial_fit=False)
        warm = self._begin_fit()
        coef = coef_init if coef_init is not None else warm[0]
        intercept = intercept_init if intercept_init is not None else warm[1]
        if is_rows(X):
            self._check_opened(X, y, sample_weight)
            self._fit_opened(X, coef, intercept)
            self._warn_unconverged()
            return self
        self._fit_targets(X, y, sample_weight, True, self.max_iter, coef, intercept)
        self._warn_unconverged()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Go through the rows once, from the present weights, clock, penalties and optimiser state.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : object
        """
        self._check_options(for_partial_fit=True)
        self._fit_targets(X, y, sample_weight, not hasattr(self, "_state"), 1, None, None)
        return self

    def fit_stream(self, batches):
        """Go through batches once, in their order, from the present weights, clock and optimiser state.

        Rows are read while earlier ones are stepped through; the model grows as wide as they ask for.

        Parameters
        ----------
        batches : iterable
            Of `hogwild.data.Batch`, ``(X, y)`` or ``(X, y, sample_weight)``; what `hogwild.data.open` returns.

        Returns
        -------
        self : object
        """
        self._validate_params()
        self._check_options(for_partial_fit=True)
        with closing(StreamSource(batches, resolve_n_jobs(self.n_jobs))) as source:
            self._fit_numbers(source, 1)
        return self

    def _fit_opened(self, rows: Any, coef: Any, intercept: Any) -> None:
        """Fit rows that `hogwild.data.open` returned."""
        if is_cache(rows):
            if rows.labels is not None and rows.labels.dtype.kind not in "iuf":
                raise ValueError(f"found labels that are words ({rows.labels[0]}), expected numbers")
            self._begin_numbers(rows.n_features, coef, intercept)
            table = None if rows.labels is None else rows.labels.astype(np.float32)

            def targets(block: Any) -> np.ndarray:
                return self._checked(block.numbers.astype(np.float32) if table is None else table[block.codes])

            self._fit_cache(rows, targets, np.ones(1), np.ones(1))
            return
        with closing(StreamSource(rows, resolve_n_jobs(self.n_jobs))) as source:
            self._begin_numbers(max(1, source.n_features or source.head.n_features), coef, intercept)
            self._fit_numbers(source, self.max_iter)

    def _fit_numbers(self, source: StreamSource, n_epochs: int) -> None:
        """Run epochs over batches whose labels are numbers."""
        source.targets = lambda labels: self._checked(as_numbers(labels))
        if not hasattr(self, "_state"):
            self._begin_numbers(max(1, source.n_features or source.head.n_features), None, None)
        else:
            self._adopt_user_changes()
        self._fit_batches(source, np.ones(1), np.ones(1), n_epochs)

    def _begin_numbers(self, n_features: int, coef: Any, intercept: Any) -> None:
        self.n_features_in_ = n_features
        self._start(n_features, 1, np.dtype(np.float32), coef, intercept)

    def _fit_targets(self, X, y, sample_weight, start: bool, n_epochs: int, coef: Any, intercept: Any) -> None:
        n_threads = threads_for(self.n_jobs, X.shape[0] if hasattr(X, "shape") and X.shape else 0)
        X, y = check_matrix(self, X, y, reset=start, n_threads=n_threads)
        y = self._checked(y.astype(X.dtype, copy=False))
        if start:
            self._start(X.shape[1], 1, X.dtype, coef, intercept)
        else:
            self._adopt_user_changes()
        weight, ones = self._check_weight(sample_weight, X), np.ones(1)
        self._fit_rows(X, y, y, weight, ones, ones, n_epochs=n_epochs, n_threads=n_threads)

    def _checked(self, y: np.ndarray) -> np.ndarray:
        """Return targets that the loss is defined for."""
        lowest = LOSSES[self.loss].lowest if isinstance(self.loss, str) and self.loss in LOSSES else -np.inf
        if lowest > -np.inf and len(y) and y.min() < lowest:
            row = int(y.argmin())
            raise ValueError(f"y[{row}] is {y[row]:g}, expected at least {lowest:g} for loss={self.loss!r}")
        return y

    def predict(self, X):
        """Predict ``w.x + b``; ``exp(w.x + b)`` for ``loss="poisson"``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        score = (safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_).ravel()
        return np.exp(score) if self.loss == "poisson" else score

    def to_sklearn(self):
        """Return a fitted ``sklearn.linear_model.SGDRegressor`` of the same weights.

        Learning rates that scikit-learn does not know become ``"constant"`` with the present eta0.
        """
        from sklearn.linear_model import SGDRegressor as Peer

        return self._to_sklearn(Peer)
