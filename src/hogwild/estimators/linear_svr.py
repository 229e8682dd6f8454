"""LinearSVR: support vector regression by dual coordinate descent."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.linear_model._base import LinearModel
from sklearn.utils._param_validation import Interval, StrOptions

from hogwild.estimators.dual import BaseDual, Problem


class LinearSVR(RegressorMixin, BaseDual, LinearModel):
    """Linear support vector regression fitted by dual coordinate descent.

    Minimises ``|w|^2 / 2 + C sum_i s_i l(y_i - w.x_i - b)``, ``l(r) = max(0, |r| - epsilon)`` or its square; the
    intercept is the weight of a constant feature, as in LIBLINEAR. Parameters are scikit-learn's; the additions stand
    last.

    Parameters
    ----------
    epsilon : float, default=0.0
        Residuals up to this size cost nothing.
    tol : float, default=1e-4
        The fit ends when the duality gap is proven to be at most this share of the objective.
    C : float, default=1.0
        Weight of the losses against the penalty.
    loss : {"epsilon_insensitive", "squared_epsilon_insensitive"}, default="epsilon_insensitive"
    fit_intercept : bool, default=True
    intercept_scaling : float, default=1.0
        Value of the constant feature; the larger, the less the intercept is penalised.
    dual : bool or "auto", default="auto"
        The dual problem is solved in any case: it has the same optimum.
    verbose : int, default=0
        Print a line for each epoch.
    random_state : int, RandomState or None, default=None
        Seed of the order of rows.
    max_iter : int, default=1000
        Largest number of epochs.
    n_jobs : int or None, default=None
        Largest number of threads. Where there are as many problems (classes) as threads, each thread solves whole
        problems and the result is that of one thread; else the threads share each problem's rows.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"replicas"`` (a copy of the weights for each, deltas added whole),
        ``"sequential"``, or an object of `hogwild.engine`; ``Replicas(deterministic=True)`` is reproducible.
    shrinking : bool, default=True
        Whether rows that stand far from their kink are left out of some epochs; all are visited again before the end.
    progress : bool, default=False
        Show a live line.
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice of rows; a true result ends the fit.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights, of X's dtype.
    intercept_ : ndarray of shape (1,)
        As in scikit-learn's LinearSVR.
    dual_gap_, objective_ : float
        Objective at these weights, and how far above the dual objective it is.
    gap_curve_ : list of float
        Progressive gap of each epoch as a share of the objective.
    support_ : ndarray of int32, shape (n_support,)
        Rows with a dual variable other than 0: those with residuals of at least `epsilon`.
    n_support_ : int
    dual_coef_ : ndarray of shape (1, n_support)
        Signed dual variables: ``coef_ = dual_coef_ @ X[support_]``.
    margin_ : float
        ``1 / |w|``.
    n_iter_ : int
        Epochs run.
    n_threads_ : int
    engine_ : engine object
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    C.-H. Ho, C.-J. Lin. Large-scale Linear Support Vector Regression. JMLR 13, 2012.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild import LinearSVR
    >>> X, y = make_regression(500, 10, noise=1.0, random_state=0)
    >>> svr = LinearSVR(C=10.0, epsilon=0.5, random_state=0).fit(X, y)
    >>> bool(svr.score(X, y) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseDual._parameter_constraints,
        "epsilon": [Interval(Real, 0.0, None, closed="left")],
        "C": [Interval(Real, 0.0, None, closed="neither")],
        "loss": [StrOptions({"epsilon_insensitive", "squared_epsilon_insensitive"})],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "dual": ["boolean", StrOptions({"auto"})],
    }

    def __init__(
        self,
        *,
        epsilon=0.0,
        tol=1e-4,
        C=1.0,
        loss="epsilon_insensitive",
        fit_intercept=True,
        intercept_scaling=1.0,
        dual="auto",
        verbose=0,
        random_state=None,
        max_iter=1000,
        n_jobs=None,
        engine="auto",
        shrinking=True,
        progress=False,
        callback=None,
    ):
        self.epsilon = epsilon
        self.tol = tol
        self.C = C
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.dual = dual
        self.verbose = verbose
        self.random_state = random_state
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.engine = engine
        self.shrinking = shrinking
        self.progress = progress
        self.callback = callback

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 and float64 are kept; CSR and C-ordered input of these is not copied.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, which multiply C.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the weights overflow.
        """
        X, y, sample_weight, n_threads = self._check_input(X, y, sample_weight, y_numeric=True)
        C = float(self.C)
        solutions = self._solve(
            X,
            [Problem(y.astype(X.dtype, copy=False), C, C)],
            sample_weight,
            n_threads,
            loss=self.loss,
            epsilon=self.epsilon,
            shift=self._constant(),
        )
        self.coef_ = solutions[0].coef
        self.intercept_ = np.array([solutions[0].intercept], X.dtype)
        self._set_support(solutions)
        self.n_support_ = len(self.support_)
        self._finish()
        return self
