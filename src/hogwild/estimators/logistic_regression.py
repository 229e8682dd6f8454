"""LogisticRegression by dual coordinate descent."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from hogwild.estimators.dual import BaseDual


class LogisticRegression(LinearClassifierMixin, BaseDual):
    """Logistic regression with an L2 penalty, fitted by dual coordinate descent.

    Minimises ``|w|^2 / 2 + C sum_i s_i log(1 + exp(-y_i (w.x_i + b)))``; the intercept is the weight of a constant
    feature, as with scikit-learn's ``solver="liblinear"``. Parameters are scikit-learn's; the additions stand last.

    Parameters
    ----------
    C : float, default=1.0
        Weight of the losses against the penalty.
    l1_ratio : float, default=0.0
        Share of L1 in the penalty; only 0 is supported.
    dual : bool, default=True
        The dual problem is solved in any case: it has the same optimum.
    tol : float, default=1e-4
        The fit ends when the duality gap is proven to be at most this share of the objective.
    multi_class : {"ovr"}, default="ovr"
        Several classes: one problem for each class against the rest.
    fit_intercept : bool, default=True
    intercept_scaling : float, default=1
        Value of the constant feature; the larger, the less the intercept is penalised.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, which multiply C.
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
    progress : bool, default=False
        Show a live line.
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice of rows; a true result ends the fit.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights, of X's dtype.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    dual_gap_, objective_ : float or ndarray of shape (n_classes,)
        Objective at these weights, and how far above the dual objective it is.
    gap_curve_ : list of float, or list of such lists
        Progressive gap of each epoch as a share of the objective, estimated on one row of eight.
    n_iter_ : ndarray of int32, shape (1,) or (n_classes,)
        Epochs run.
    n_threads_ : int
    engine_ : engine object
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    H.-F. Yu, F.-L. Huang, C.-J. Lin. Dual Coordinate Descent Methods for Logistic Regression and Maximum Entropy
    Models. Machine Learning 85, 2011.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild import LogisticRegression
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> clf = LogisticRegression(C=0.1, random_state=0).fit(X, y)
    >>> clf.predict_proba(X).shape
    (1000, 2)
    """

    shrinking = False  # no dual variable is ever at a bound
    _parameter_constraints: ClassVar[dict] = {
        **{k: v for k, v in BaseDual._parameter_constraints.items() if k != "shrinking"},
        "C": [Interval(Real, 0.0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0.0, 1.0, closed="both"), None],
        "dual": ["boolean", StrOptions({"auto"})],
        "multi_class": [StrOptions({"ovr", "multinomial"})],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [None, dict, StrOptions({"balanced"})],
    }

    def __init__(
        self,
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=True,
        tol=1e-4,
        multi_class="ovr",
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        verbose=0,
        random_state=None,
        max_iter=1000,
        n_jobs=None,
        engine="auto",
        progress=False,
        callback=None,
    ):
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.multi_class = multi_class
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.verbose = verbose
        self.random_state = random_state
        self.max_iter = max_iter
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
            float32 and float64 are kept; CSR and C-ordered input of these is not copied.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, which multiply C.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a parameter asks for what the dual cannot do, there is one class only, or the weights overflow.
        """
        if self.l1_ratio:
            raise ValueError(
                f"l1_ratio={self.l1_ratio!r} is not supported: expected 0 (an L2 penalty), "
                "or SGDClassifier(loss='log_loss', penalty='elasticnet', l1_ratio=...)"
            )
        if self.multi_class == "multinomial":
            raise ValueError(
                "multi_class='multinomial' is not supported: expected 'ovr', "
                "or SGDClassifier(loss='log_loss', multi_class='multinomial')"
            )
        if not np.isfinite(self.C):
            raise ValueError("C=inf is not supported: the dual needs a penalty, expected a finite C")
        X, y, sample_weight, n_threads = self._check_input(X, y, sample_weight)
        _, problems = self._class_problems(y, X.dtype, float(self.C))
        shift = self._constant()
        solutions = self._solve(X, problems, sample_weight, n_threads, loss="log_loss", shift=shift)
        self.coef_ = np.stack([solution.coef for solution in solutions])
        self.intercept_ = np.array([solution.intercept for solution in solutions], X.dtype)
        self._finish()
        self.n_iter_ = np.array([solution.outcome.n_epochs for solution in solutions], np.int32)
        return self

    def predict_proba(self, X):
        """Estimate probabilities; several classes: one-vs-rest, normalised to sum 1.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return self._predict_proba_lr(X)

    def predict_log_proba(self, X):
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))
