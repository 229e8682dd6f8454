"""LinearSVC: support vector classification by dual coordinate descent."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions

from hogwild.estimators.dual import BaseDual, Problem


class LinearSVC(LinearClassifierMixin, BaseDual):
    """Linear support vector classifier fitted by dual coordinate descent.

    Minimises ``|w|^2 / 2 + C sum_i s_i l(y_i (w.x_i + b))``, ``y_i`` -1 or +1, ``l(m) = max(0, 1 - m)`` or its square;
    the intercept is the weight of a constant feature, as in LIBLINEAR. Each step maximises the dual problem exactly
    over one row's dual variable. Parameters are scikit-learn's; the additions stand last.

    Parameters
    ----------
    penalty : {"l2"}, default="l2"
    loss : {"hinge", "squared_hinge"}, default="squared_hinge"
    dual : bool or "auto", default="auto"
        The dual problem is solved in any case: it has the same optimum.
    tol : float, default=1e-4
        The fit ends when the duality gap is proven to be at most this share of the objective, which is then at most
        this share above its minimum. (LIBLINEAR's `tol` bounds the gradient instead.)
    C : float, default=1.0
        Weight of the losses against the penalty.
    multi_class : {"ovr", "crammer_singer"}, default="ovr"
        Several classes: one problem for each class against the rest, or one over all (Crammer and Singer 2001; `loss`
        and `shrinking` then have no meaning).
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
    shrinking : bool, default=True
        Whether rows that stand far from their kink are left out of some epochs; all are visited again before the end.
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
    dual_gap_ : float or ndarray of shape (n_classes,)
        Objective at these weights minus the dual objective: the true minimum is at most this much lower. Measured by a
        pass over all rows when the steps' own sums promise that `tol` is reached, and at the end.
    objective_ : float or ndarray of shape (n_classes,)
    gap_curve_ : list of float, or list of such lists
        Progressive gap of each epoch as a share of the objective: each row's part at the weights that its step met.
        Epochs that left rows out know nothing of theirs.
    support_ : ndarray of int32, shape (n_support,)
        Rows with a dual variable other than 0 in any problem.
    n_support_ : ndarray of int32, shape (n_classes,)
        Number of them in each class.
    dual_coef_ : ndarray of shape (1 or n_classes, n_support)
        Signed dual variables: ``coef_ = dual_coef_ @ X[support_]``.
    margin_ : float or ndarray of shape (n_classes,)
        ``1 / |w|``: distance from the decision boundary to where the losses begin.
    n_iter_ : int
        Epochs run (of the longest problem).
    n_threads_ : int
    engine_ : engine object
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    Sample weights multiply C; rows of weight 0 are skipped. With threads that share a problem's rows, their steps are
    made safer (CoCoA+, Ma et al. 2015) and an epoch is undone whenever it does not raise the dual objective.

    References
    ----------
    C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan. A Dual Coordinate Descent Method for
    Large-scale Linear SVM. ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild import LinearSVC
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> clf = LinearSVC(C=0.1, random_state=0).fit(X, y)
    >>> bool(clf.dual_gap_ <= 1e-4 * clf.objective_)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseDual._parameter_constraints,
        "penalty": [StrOptions({"l1", "l2"})],
        "loss": [StrOptions({"hinge", "squared_hinge"})],
        "dual": ["boolean", StrOptions({"auto"})],
        "C": [Interval(Real, 0.0, None, closed="neither")],
        "multi_class": [StrOptions({"ovr", "crammer_singer"})],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [None, dict, StrOptions({"balanced"})],
    }

    def __init__(
        self,
        penalty="l2",
        loss="squared_hinge",
        *,
        dual="auto",
        tol=1e-4,
        C=1.0,
        multi_class="ovr",
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        verbose=0,
        random_state=None,
        max_iter=1000,
        n_jobs=None,
        engine="auto",
        shrinking=True,
        progress=False,
        callback=None,
    ):
        self.penalty = penalty
        self.loss = loss
        self.dual = dual
        self.tol = tol
        self.C = C
        self.multi_class = multi_class
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
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
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, which multiply C.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If penalty, loss and multi_class do not go together, there is one class only, or the weights overflow.
        """
        if self.penalty == "l1":
            raise ValueError(
                "penalty='l1' is not supported: expected penalty='l2', "
                "or SGDClassifier(loss='squared_hinge', penalty='l1')"
            )
        X, y, sample_weight, n_threads = self._check_input(X, y, sample_weight)
        if self.multi_class == "crammer_singer":
            return self._fit_crammer_singer(X, y, sample_weight, n_threads)
        codes, problems = self._class_problems(y, X.dtype, float(self.C))
        shift = self._constant()
        solutions = self._solve(X, problems, sample_weight, n_threads, loss=self.loss, shift=shift)
        self.coef_ = np.stack([solution.coef for solution in solutions])
        self.intercept_ = np.array([solution.intercept for solution in solutions], X.dtype)
        self._set_support(solutions)
        self.n_support_ = np.bincount(codes[self.support_], minlength=len(self.classes_)).astype(np.int32)
        self._finish()
        return self

    def _fit_crammer_singer(self, X, y, sample_weight, n_threads: int):
        codes, weights = self._classes_of(y)
        problem = Problem(codes.astype(X.dtype), float(self.C), float(self.C))
        solution = self._solve(
            X, [problem], sample_weight, n_threads, loss="hinge", shift=self._constant(), costs=self.C * weights
        )[0]
        coef, intercept, duals = solution.coef.T, solution.intercept, solution.duals
        self.support_ = np.flatnonzero((duals != 0).any(axis=1)).astype(np.int32)
        self.n_support_ = np.bincount(codes[self.support_], minlength=len(self.classes_)).astype(np.int32)
        self.dual_coef_ = np.ascontiguousarray(duals[self.support_].T)
        self.margin_ = float(1.0 / max(np.linalg.norm(coef), 1e-300))
        if len(self.classes_) == 2:  # one column, as in scikit-learn
            coef, intercept = (coef[1] - coef[0])[None], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = np.ascontiguousarray(coef), intercept.astype(X.dtype)
        self._finish()
        return self
