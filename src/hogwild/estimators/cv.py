"""SGDClassifierCV and SGDRegressorCV: cross-validation of all settings at once, in one pass over the rows."""

from __future__ import annotations

from contextlib import closing
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight

from hogwild.estimators.classifier import SGDClassifier, _check_proba
from hogwild.estimators.cv_base import BaseSGDCV
from hogwild.estimators.cv_folds import FoldedCache, FoldedStream, count_folds
from hogwild.estimators.cv_scores import CLASSIFICATION, REGRESSION
from hogwild.estimators.labels import as_numbers, check_classes, class_codes, encode
from hogwild.estimators.regressor import SGDRegressor
from hogwild.estimators.sources import is_cache, is_rows
from hogwild.estimators.threads import resolve_n_jobs
from hogwild.estimators.validation import check_matrix
from hogwild.losses import CLASSIFICATION as CLASS_LOSSES
from hogwild.losses import REGRESSION as NUMBER_LOSSES

_ALPHAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def _refuse_labels(y: Any, sample_weight: Any) -> None:
    for name, given in (("y", y), ("sample_weight", sample_weight)):
        if given is not None:
            raise ValueError(f"found {name} beside rows that bring their own, expected {name}=None")


class SGDClassifierCV(ClassifierMixin, BaseSGDCV):
    """`SGDClassifier` whose parameters are chosen by cross-validation, at little more than the price of one fit.

    Every combination of the lists, once for each fold that it leaves out and once for all rows, is a column of one
    matrix of weights, ``(n_features, (folds + 1) * settings * classes)``. A row is read once and steps all columns
    that train on it; a column has its own step sizes, penalty and row clock. It has the bits that it has alone: the
    model of all rows is the one that ``SGDClassifier(**setting, tol=None)`` fits on one thread with the same
    `random_state`. scikit-learn's ``GridSearchCV`` over `SGDClassifier` works as well and costs a fit for each setting
    and fold. For the C of a support vector machine search ``alpha = 1 / (C * n_samples)``.

    Parameters
    ----------
    loss, penalty, fit_intercept, shuffle, verbose, random_state, class_weight, decay, intercept_decay, progress, \
            callback
        As in `SGDClassifier`. ``class_weight="balanced"`` counts all rows, in the folds as well.
    alpha, eta0, l1_ratio, power_t, epsilon : float or list of float
        As in `SGDClassifier`, or several values to choose from. alpha: ``(1e-6, 1e-5, 1e-4, 1e-3, 1e-2)`` by default.
    learning_rate : {"constant", "optimal", "invscaling", "epoch_decay", "search", "adagrad"}, default="optimal"
        As in `SGDClassifier`. ``"search"`` finds one eta0 for each setting, on a sample of all rows.
    max_iter : int, default=20
        Epochs. No column stops before the others: `tol` and early stopping do not exist here.
    cv : int, splitter or iterable, default=None
        Number of folds (None: 5), or anything that scikit-learn's ``check_cv`` takes, 63 folds at most. Rows that
        `hogwild.data.open` returned are split by their numbers: fold f holds out those with ``number % cv == f``. 0: no
        folds; settings are judged by their mean loss over the first epoch, each row before its own step.
    scoring : str, callable or None, default=None
        ``"accuracy"`` (None) and ``"neg_log_loss"`` come from one pass over the held-out rows for all columns, row
        weights included; other names and callables of scikit-learn score one model at a time, on matrices only.
    refit : bool, default=True
        Whether the best setting's model of all rows is kept. Without it there is nothing to predict with.
    n_jobs : int or None, default=None
        Threads that share out the columns, each reading all rows: the same bits for any number.

    Attributes
    ----------
    best_params_ : dict
        Setting with the highest mean score.
    best_score_, best_index_ : float, int
    best_estimator_ : SGDClassifier
        That setting, fitted to all rows; it can go on with `partial_fit` and be saved.
    cv_results_ : dict of ndarray
        ``params``, ``param_alpha``, ..., ``split0_test_score``, ..., ``mean_test_score``, ``std_test_score``,
        ``rank_test_score``, as of scikit-learn's GridSearchCV. A column that diverged has the score NaN.
    n_splits_ : int
    coef_, intercept_, classes_, n_features_in_, feature_names_in_
        Those of the best estimator.
    n_iter_, n_passes_, n_threads_ : int
        Epochs; how often the epochs were run (more than once where the columns take more than 1 GiB: then the best
        setting is fitted to all rows afterwards); threads.
    loss_curve_ : list of float
        Mean loss of each epoch over all columns, each row before its own step.

    Raises
    ------
    DivergedError
        A ValueError: no setting has a score. Single columns that diverge are reported by a ConvergenceWarning.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild import SGDClassifierCV
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> search = SGDClassifierCV(alpha=[1e-5, 1e-3, 1e-1], loss="log_loss", random_state=0).fit(X, y)
    >>> search.cv_results_["mean_test_score"].shape
    (3,)
    >>> bool(search.score(X, y) > 0.8)
    True
    """

    _classifies = True
    score = BaseSGDCV.score
    _single = SGDClassifier
    _fast = CLASSIFICATION
    _parameter_constraints: ClassVar[dict] = {
        **BaseSGDCV._parameter_constraints,
        "loss": [StrOptions(set(CLASS_LOSSES))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        alpha=_ALPHAS,
        *,
        loss="hinge",
        penalty="l2",
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=20,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        n_jobs=None,
        random_state=None,
        learning_rate="optimal",
        eta0=0.01,
        power_t=0.5,
        class_weight=None,
        decay=0.9,
        intercept_decay=1.0,
        cv=None,
        scoring=None,
        refit=True,
        progress=False,
        callback=None,
    ):
        self.alpha = alpha
        self.loss = loss
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.class_weight = class_weight
        self.decay = decay
        self.intercept_decay = intercept_decay
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.progress = progress
        self.callback = callback

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit all settings and folds, and choose.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or rows of `hogwild.data.open`
            As in `SGDClassifier.fit`. A stream is read once for the labels, once for each epoch and once for scores.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows, in training and in scores; rows of weight 0 are skipped.

        Returns
        -------
        self : object
        """
        self._estimators = self._check_settings()
        if is_rows(X):
            _refuse_labels(y, sample_weight)
            return self._fit_opened(X)
        X, y = check_matrix(self, X, y, reset=True, n_threads=resolve_n_jobs(self.n_jobs))
        self.classes_, codes = encode(y)
        self._check_two()
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
        n_classes = len(self.classes_)
        weights = np.ones(n_classes)
        if self.class_weight is not None:
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y).astype(np.float64)
        if n_classes == 2:
            targets, classes = (codes * 2 - 1).astype(X.dtype), (1, weights[1:], weights[:1])
        else:
            targets, classes = codes.astype(X.dtype), (n_classes, weights, np.ones(n_classes))
        self._fit_matrix(X, y, targets, codes, weight, classes)
        return self

    def _check_two(self) -> None:
        if len(self.classes_) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(self.classes_)} class")

    def _fit_opened(self, rows: Any) -> SGDClassifierCV:
        """Fit rows that `hogwild.data.open` returned."""
        n_folds = count_folds(self.cv)
        if is_cache(rows):
            if rows.labels is None:
                raise ValueError("found a cache of rows with more than 65,536 different labels, expected classes")
            self.classes_ = check_classes(rows.labels)
            self._check_two()
            targets, classes = self._class_targets(np.asarray(rows.label_counts))
            source = FoldedCache(rows, lambda block: targets[block.codes], n_folds, bool(self.shuffle))
            width = rows.n_features if rows.numbering is None else len(rows.numbering)
            self._fit_source(source, width, classes, cache=rows)
            self.wait_seconds_ = source.wait_seconds
            return self
        n_features, labels = rows.n_features or 1, []
        for batch in rows:
            n_features = max(n_features, batch.n_features)
            labels.append(np.unique(batch.labels))
        if not labels:
            raise ValueError("found no rows to train on")
        if len({some.dtype.kind == "U" for some in labels}) > 1:
            raise ValueError("found labels that are numbers and labels that are words, expected one kind")
        self.classes_ = check_classes(np.unique(np.concatenate(labels)))
        self._check_two()
        targets, classes = self._class_targets(None)
        with closing(FoldedStream(rows, resolve_n_jobs(self.n_jobs), n_folds)) as source:
            source.targets = lambda labels: targets[class_codes(self.classes_, labels)]
            self._fit_source(source, n_features, classes)
            self.wait_seconds_ = source.wait_seconds
        return self

    def _class_targets(self, counts: np.ndarray | None) -> tuple[np.ndarray, tuple[int, np.ndarray, np.ndarray]]:
        """What the engine makes of each class; number of columns of a model, and class weights."""
        single = self._estimators[0]
        single.classes_ = self.classes_
        targets, positive, negative = single._class_targets(counts)
        return targets, (len(positive), positive, negative)

    def decision_function(self, X):
        """Return the scores of the best setting.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._best().decision_function(X)

    @available_if(_check_proba)
    def predict_proba(self, X):
        """Return the probabilities of the best setting, as `SGDClassifier.predict_proba` does.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._best().predict_proba(X)

    @available_if(_check_proba)
    def predict_log_proba(self, X):
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._best().predict_log_proba(X)


class SGDRegressorCV(RegressorMixin, BaseSGDCV):
    """`SGDRegressor` whose parameters are chosen by cross-validation; see `SGDClassifierCV`.

    Parameters
    ----------
    alpha, eta0, l1_ratio, power_t, epsilon, quantile : float or list of float
        As in `SGDRegressor`, or several values to choose from.
    loss, penalty, learning_rate, max_iter, ...
        As in `SGDRegressor` and `SGDClassifierCV`; learning_rate: ``"invscaling"`` by default.
    scoring : str, callable or None, default=None
        ``"r2"`` (None), ``"neg_mean_squared_error"``, ``"neg_root_mean_squared_error"`` and
        ``"neg_mean_absolute_error"`` come from one pass over the held-out rows; else as in `SGDClassifierCV`.

    Attributes
    ----------
    best_estimator_ : SGDRegressor
        And all others of `SGDClassifierCV`, without `classes_`.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from hogwild import SGDRegressorCV
    >>> X, y = make_regression(1000, 20, noise=10.0, random_state=0)
    >>> search = SGDRegressorCV(alpha=[1e-4, 1e-2], eta0=[0.001, 0.01], random_state=0).fit(X, y)
    >>> len(search.cv_results_["params"])
    4
    >>> bool(search.score(X, y) > 0.9)
    True
    """

    _classifies = False
    score = BaseSGDCV.score
    _single = SGDRegressor
    _fast = REGRESSION
    _parameter_constraints: ClassVar[dict] = {
        **BaseSGDCV._parameter_constraints,
        "loss": [StrOptions(set(NUMBER_LOSSES))],
        "quantile": [*SGDRegressor._parameter_constraints["quantile"], "array-like"],
    }

    def __init__(
        self,
        alpha=_ALPHAS,
        *,
        loss="squared_error",
        penalty="l2",
        l1_ratio=0.15,
        fit_intercept=True,
        max_iter=20,
        shuffle=True,
        verbose=0,
        epsilon=0.1,
        n_jobs=None,
        random_state=None,
        learning_rate="invscaling",
        eta0=0.01,
        power_t=0.25,
        decay=0.9,
        intercept_decay=1.0,
        cv=None,
        scoring=None,
        refit=True,
        progress=False,
        callback=None,
        quantile=0.5,
    ):
        self.alpha = alpha
        self.loss = loss
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.decay = decay
        self.intercept_decay = intercept_decay
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.progress = progress
        self.callback = callback
        self.quantile = quantile

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit all settings and folds, and choose.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or rows of `hogwild.data.open`
            As in `SGDClassifier.fit`.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : object
        """
        self._estimators, classes = self._check_settings(), (1, np.ones(1), np.ones(1))
        if is_rows(X):
            _refuse_labels(y, sample_weight)
            return self._fit_opened(X, classes)
        X, y = check_matrix(self, X, y, reset=True, n_threads=resolve_n_jobs(self.n_jobs))
        y = self._estimators[0]._checked(y.astype(X.dtype, copy=False))
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
        self._fit_matrix(X, y, y, None, weight, classes)
        return self

    def _fit_opened(self, rows: Any, classes: tuple[int, np.ndarray, np.ndarray]) -> SGDRegressorCV:
        """Fit rows that `hogwild.data.open` returned."""
        n_folds, checked = count_folds(self.cv), self._estimators[0]._checked
        if is_cache(rows):
            if rows.labels is not None and rows.labels.dtype.kind not in "iuf":
                raise ValueError(f"found labels that are words ({rows.labels[0]}), expected numbers")
            table = None if rows.labels is None else rows.labels.astype(np.float32)

            def targets(block: Any) -> np.ndarray:
                numbers = block.numbers.astype(np.float32) if table is None else table[block.codes]
                return checked(numbers)

            source = FoldedCache(rows, targets, n_folds, bool(self.shuffle))
            width = rows.n_features if rows.numbering is None else len(rows.numbering)
            self._fit_source(source, width, classes, cache=rows)
            self.wait_seconds_ = source.wait_seconds
            return self
        n_features = rows.n_features or max((batch.n_features for batch in rows), default=1)
        with closing(FoldedStream(rows, resolve_n_jobs(self.n_jobs), n_folds)) as source:
            source.targets = lambda labels: checked(as_numbers(labels))
            self._fit_source(source, max(1, n_features), classes)
            self.wait_seconds_ = source.wait_seconds
        return self
