"""Ridge: least squares with an L2 penalty, by dual coordinate descent."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import RegressorMixin, _fit_context
from sklearn.linear_model._base import LinearModel
from sklearn.utils._param_validation import Interval

from hogwild.estimators.dual import BaseDual, Problem, Shift


class Ridge(RegressorMixin, BaseDual, LinearModel):
    """Linear least squares with an L2 penalty, fitted by dual coordinate descent.

    Minimises ``sum_i s_i (y_i - w.x_i - b)^2 + alpha |w|^2``; the intercept is not penalised. Sparse rows are centred
    implicitly and stay sparse, dense ones in a copy. Parameters are scikit-learn's; the additions stand last.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1.0
        Strength of the penalty, above 0.
    fit_intercept : bool, default=True
    max_iter : int or None, default=None
        Largest number of epochs; None is 1000.
    tol : float, default=1e-4
        The fit ends when the duality gap is proven to be at most this share of the objective.
    positive : bool, default=False
        Only False is supported.
    verbose : int, default=0
        Print a line for each epoch.
    random_state : int, RandomState or None, default=None
        Seed of the order of rows.
    n_jobs : int or None, default=None
        Largest number of threads. Where there are as many problems (classes) as threads, each thread solves whole
        problems and the result is that of one thread; else the threads share each problem's rows.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"replicas"`` (a copy of the weights for each, deltas added whole),
        ``"sequential"``, or an object of `hogwild.engine`; ``Replicas(deterministic=True)`` is reproducible.
    progress : bool, default=False
        Show a live line.
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice of rows; a true result ends the fit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights, of X's dtype.
    intercept_ : float or ndarray of shape (n_targets,)
    dual_gap_, objective_ : float or ndarray of shape (n_targets,)
        Objective at these weights, and how far above the dual objective it is.
    gap_curve_ : list of float, or list of such lists
        Progressive gap of each epoch as a share of the objective.
    n_iter_ : int
        Epochs run (of the longest problem).
    n_threads_ : int
    engine_ : engine object
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    Made for many rows and many sparse features. Where the features are few, dense and strongly correlated or of very
    different scale, coordinate descent takes many epochs: scale them, or use scikit-learn's Ridge, which factorises.

    References
    ----------
    S. Shalev-Shwartz, T. Zhang. Stochastic Dual Coordinate Ascent Methods for Regularized Loss Minimization. JMLR 14,
    2013.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild import Ridge
    >>> X, y = make_regression(500, 10, noise=1.0, random_state=0)
    >>> bool(Ridge(alpha=0.1, random_state=0).fit(X, y).score(X, y) > 0.99)
    True
    """

    shrinking = False  # no dual variable is ever at a bound
    _parameter_constraints: ClassVar[dict] = {
        **{k: v for k, v in BaseDual._parameter_constraints.items() if k != "shrinking"},
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "positive": ["boolean"],
    }

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        max_iter=None,
        tol=1e-4,
        positive=False,
        verbose=0,
        random_state=None,
        n_jobs=None,
        engine="auto",
        progress=False,
        callback=None,
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.positive = positive
        self.verbose = verbose
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.engine = engine
        self.progress = progress
        self.callback = callback

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 and float64 are kept; CSR input is not copied, nor is C-ordered input without an intercept.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If alpha is 0 or of another length than there are targets, `positive` is true, or the weights overflow.
        """
        if self.positive:
            raise ValueError("positive=True is not supported: expected False, or scikit-learn's Ridge(positive=True)")
        X, y, sample_weight, n_threads = self._check_input(X, y, sample_weight, y_numeric=True, multi_output=True)
        Y = y.reshape(len(y), -1)
        alphas = np.asarray(self.alpha, np.float64).ravel()
        if len(alphas) not in (1, Y.shape[1]):
            raise ValueError(f"alpha has {len(alphas)} values, expected 1 or one for each of {Y.shape[1]} targets")
        if (alphas <= 0).any():
            raise ValueError(f"alpha={self.alpha!r} is not supported: the dual needs a penalty, expected alpha > 0")
        alphas = np.broadcast_to(alphas, Y.shape[1])
        shift, Y_mean = Shift(), np.zeros(Y.shape[1])
        if self.fit_intercept:
            X, shift = _centred(X, sample_weight)
            Y_mean = np.average(Y, axis=0, weights=sample_weight)
        problems = [
            Problem(np.ascontiguousarray(Y[:, k] - Y_mean[k], X.dtype), 0.5 / alphas[k], 0.5 / alphas[k])
            for k in range(Y.shape[1])
        ]
        scale = 2.0 * (alphas if len(alphas) > 1 else alphas[0])
        solutions = self._solve(X, problems, sample_weight, n_threads, loss="squared_error", shift=shift, scale=scale)
        coef = np.stack([solution.coef for solution in solutions])
        intercept = Y_mean - (coef @ shift.mean if shift.mean is not None else 0.0)
        self.coef_ = coef if y.ndim == 2 else coef[0]
        self.intercept_ = intercept.astype(X.dtype) if y.ndim == 2 else float(intercept[0])
        if not self.fit_intercept:
            self.intercept_ = 0.0
        self._finish()
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _centred(X: Any, sample_weight: np.ndarray | None) -> tuple[Any, Shift]:
    """Take the mean off the rows: off a copy of dense ones, implicitly off sparse ones."""
    weights = None if sample_weight is None else sample_weight.astype(np.float64)
    if not sp.issparse(X):
        mean = np.average(X, axis=0, weights=weights) if weights is not None else X.mean(axis=0, dtype=np.float64)
        return X - mean.astype(X.dtype), Shift(mean=mean)
    weights = np.ones(X.shape[0]) if weights is None else weights
    total = np.bincount(X.indices, X.data * np.repeat(weights, np.diff(X.indptr)), minlength=X.shape[1])
    mean = total / weights.sum()
    return X, Shift(float(mean @ mean), X @ mean.astype(X.dtype), mean)
