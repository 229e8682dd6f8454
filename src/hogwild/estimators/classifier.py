"""SGDClassifier: scikit-learn's classifier on the lock-free engine."""

from __future__ import annotations

from contextlib import closing
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Hidden, StrOptions
from sklearn.utils.extmath import softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from hogwild.estimators.base import BaseSGD, loss_functions
from hogwild.estimators.labels import check_classes, class_codes, encode
from hogwild.estimators.sources import StreamSource, is_cache, is_rows
from hogwild.estimators.threads import resolve_n_jobs, threads_for
from hogwild.estimators.validation import check_matrix
from hogwild.losses import CLASSIFICATION, LOSSES, SavedLoss
from hogwild.steps.linear import MULTICLASS


def _check_proba(self) -> bool:
    if self.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={self.loss!r}")
    if getattr(self, "multi_class", "ovr") == "crammer_singer" and len(getattr(self, "classes_", ())) > 2:
        raise AttributeError("probability estimates are not available for multi_class='crammer_singer'")
    return True


class SGDClassifier(LinearClassifierMixin, BaseSGD):
    """Linear classifier fitted by lock-free stochastic gradient descent.

    Minimises ``mean_i s_i l(y_i, w.x_i + b) + alpha * penalty(w)``, ``y_i`` -1 or +1, one step a row:
    ``w <- w - eta_t (s_i l'(y_i, w.x_i + b) x_i + alpha * penalty'(w))``. Several classes are learned in one pass over
    the rows, one against the rest or together (`multi_class`). Parameters, defaults and attributes are scikit-learn's;
    the additions stand last.

    Parameters
    ----------
    loss : {"hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber", \
            "epsilon_insensitive", "squared_epsilon_insensitive"} or tuple of two functions, default="hinge"
        Loss of a margin, or a regression loss on -1 / +1. A loss of your own is ``(value, derivative)``: plain Python
        functions ``f(y, p)`` of the target and the score, which Numba compiles (about a second in each process);
        `hogwild.check_gradient` compares the two.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        ``|w|^2 / 2``, ``|w|_1``, their mix, or none.
    alpha : float, default=1e-4
        Strength of the penalty. ``learning_rate="optimal"`` is computed from it.
    l1_ratio : float, default=0.15
        Share of L1 in ``"elasticnet"``.
    fit_intercept : bool, default=True
    max_iter : int, default=1000
        Largest number of epochs.
    tol : float or None, default=1e-3
        Training stops when `n_iter_no_change` epochs in a row improve the objective (the progressive loss and the
        penalty; with `early_stopping` the validation score) by less than this. None: never.
    shuffle : bool or {"blocks", "full"}, default=True
        Order of the rows in each epoch. ``"blocks"``: random blocks of 32 consecutive rows, shuffled within, which is
        nearly as fast as file order; ``"full"``: any order; True: full below 16,384 rows and where the rows are sorted
        by their labels, else blocks.
    verbose : int, default=0
        Print a line for each epoch.
    epsilon : float, default=0.1
        Parameter of huber and of the epsilon-insensitive losses.
    n_jobs : int or None, default=None
        Largest number of threads on this one problem. None or 1: one thread, exact and reproducible; -1: all usable
        cores. A thread gets at least 256 rows.
    random_state : int, RandomState or None, default=None
        Seed of the order of rows.
    learning_rate : str, default="optimal"
        ``"constant"``: eta0. ``"optimal"``: ``1 / (alpha (t0 + t))``. ``"invscaling"``: ``eta0 / t^power_t``.
        ``"adaptive"``: eta0, divided by 5 when the loss stalls. ``"pa1"``, ``"pa2"``: passive-aggressive.
        ``"epoch_decay"``: ``eta0 * decay^epoch`` (as in the HOGWILD! paper). ``"search"``:
        ``eta0 / (1 + alpha eta0 t)`` with eta0 found by trying powers on a subsample. ``"adagrad"``:
        ``eta0 / sqrt(sum of g^2)`` for each weight. ``"ftrl"``: FTRL-proximal.
    eta0 : float, default=0.01
        Initial step size; the aggressiveness C of ``"pa1"`` and ``"pa2"``; the rate of AdaGrad and FTRL.
    power_t : float, default=0.5
        Exponent of ``"invscaling"``.
    early_stopping : bool, default=False
        Hold rows out and stop by their score.
    validation_fraction : float, default=0.1
        Share of rows that `early_stopping` holds out.
    n_iter_no_change : int, default=5
        Epochs without improvement before training stops.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes.
    warm_start : bool, default=False
        Whether `fit` starts from the previous weights.
    average : bool or int, default=False
        Average the weights over all rows, or from this row on.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"auto"`` and ``"replicas"`` (a copy for each thread, merged often),
        ``"shared"`` (classic HOGWILD!), ``"atomic"``, ``"processes"`` (shared, by worker processes),
        ``"sequential"``, a baseline (``"locked"``, ``"round_robin"``,
        ``"delayed"``, ``"batch"``, ``"minibatch"``), or an object of `hogwild.engine`.
    decay : float, default=0.9
        Factor of ``"epoch_decay"``.
    beta : float, default=1.0
        FTRL's beta.
    search_every : int or None, default=None
        Rows after which ``"search"`` looks for eta0 again. None: once.
    intercept_decay : float, default=1.0
        Factor of the intercept's steps; 0.01 is what scikit-learn uses on sparse data (and only there).
    progress : bool, default=False
        Show a live line with rows/s, loss and time left.
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice of at most 50 ms; a true result ends
        training. Where ``progress.epoch_ended``, `coef_` and `intercept_` hold the present weights.
    checkpoint : hogwild.Checkpoint or None, default=None
        Where and how often to write down where a long fit stands, and whether to go on from there.
    multi_class : {"ovr", "crammer_singer", "multinomial"}, default="ovr"
        More than two classes: ``"ovr"``: each against the rest, ``sum_c l(+-1, p_c)``. ``"crammer_singer"``: one loss
        of the margin between the row's class and the largest other, ``l(1, p_y - max_{c != y} p_c)``, for losses of a
        margin (hinge: the multiclass SVM). ``"multinomial"``: ``log sum_c exp(p_c) - p_y``, for ``"log_loss"``. Two
        classes are one column in any case.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights, of X's dtype.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
    n_iter_ : int
        Epochs run.
    t_ : float
        Rows stepped, plus 1 (rows of weight 0 are skipped and not counted); with ``"batch"`` and ``"minibatch"``
        batches stepped, plus 1.
    loss_curve_ : list of float
        Mean progressive loss of each epoch: every row before its own step.
    progressive_curve_ : list of [int, float]
        Rows stepped in this fit (1,024 and up, twice as many each time, and the end of each epoch) and the mean
        progressive loss since the point before.
    validation_scores_ : list of float
        Score after each epoch, with `early_stopping`.
    eta0_ : float
        Step size that was used, or found.
    n_threads_ : int
        Threads that ran.
    engine_ : engine object
        Engine that ran, with the interval and head it chose.
    n_waits_ : int
        Rows of this fit that waited for a lock or their turn (``"locked"`` and ``"round_robin"`` on several threads).
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Raises
    ------
    DivergedError
        A ValueError: the loss or a weight is not finite.

    Notes
    -----
    With several threads the result varies a little from run to run (the objective by less than 1 % on RCV1-like
    data; more on small data with few epochs of ``"optimal"`` steps), unless ``engine=Replicas(deterministic=True)``.

    References
    ----------
    F. Niu, B. Recht, C. Re, S. Wright. HOGWILD!: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent.
    NIPS 2011.

    K. Crammer, Y. Singer. On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines. JMLR 2001.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from hogwild import SGDClassifier
    >>> X, y = make_classification(1000, 20, random_state=0)
    >>> clf = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.8)
    True
    """

    _classifies = True
    loss_functions: ClassVar[dict] = loss_functions(CLASSIFICATION)
    _parameter_constraints: ClassVar[dict] = {
        **BaseSGD._parameter_constraints,
        "loss": [StrOptions(set(CLASSIFICATION)), tuple, Hidden(SavedLoss)],
        "multi_class": [StrOptions(set(MULTICLASS))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss="hinge",
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
        n_jobs=None,
        random_state=None,
        learning_rate="optimal",
        eta0=0.01,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        class_weight=None,
        warm_start=False,
        average=False,
        engine="auto",
        decay=0.9,
        beta=1.0,
        search_every=None,
        intercept_decay=1.0,
        progress=False,
        callback=None,
        checkpoint=None,
        multi_class="ovr",
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
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average
        self.engine = engine
        self.decay = decay
        self.beta = beta
        self.search_every = search_every
        self.intercept_decay = intercept_decay
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint
        self.multi_class = multi_class

    def _check_options(self, for_partial_fit: bool) -> None:
        super()._check_options(for_partial_fit)
        if self.multi_class == "multinomial" and self.loss != "log_loss":
            raise ValueError(f"multi_class='multinomial' needs loss='log_loss', found {self.loss!r}")
        if (
            getattr(self, "multi_class", "ovr") == "crammer_singer"
            and isinstance(self.loss, str)
            and not LOSSES[self.loss].margin
        ):
            margins = ", ".join(name for name, loss in LOSSES.items() if loss.margin)
            raise ValueError(f"multi_class='crammer_singer' needs a loss of a margin ({margins}), found {self.loss!r}")

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, coef_init=None, intercept_init=None, sample_weight=None):
        """Fit the model from the start (or from the last weights, with `warm_start`).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or rows of `hogwild.data.open`
            float32 and float64 are kept; CSR and C-ordered input of these is not copied. The blocks of a cache file
            (``.hog``) are visited in random order; other rows are read `max_iter` times, after one more pass for the
            labels. Their labels and weights belong to them: `y` and `sample_weight` stay None.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        coef_init, intercept_init : ndarray, optional
            Weights to start from.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows; rows of weight 0 are skipped.

        Returns
        -------
        self : object
        """
        self._check_options(for_partial_fit=False)
        warm = self._begin_fit()
        if is_rows(X):
            coef = coef_init if coef_init is not None else warm[0]
            self._check_opened(X, y, sample_weight)
            self._fit_opened(X, coef, intercept_init if intercept_init is not None else warm[1])
            self._warn_unconverged()
            return self
        n_threads = threads_for(self.n_jobs, X.shape[0] if hasattr(X, "shape") and X.shape else 0)
        X, y = check_matrix(self, X, y, reset=True, n_threads=n_threads)
        self.classes_, codes = encode(y)
        self._begin_classes(
            X.shape[1],
            X.dtype,
            coef_init if coef_init is not None else warm[0],
            intercept_init if intercept_init is not None else warm[1],
        )
        self._fit_classes(X, y, codes, sample_weight, n_epochs=self.max_iter, n_threads=n_threads)
        self._warn_unconverged()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Go through the rows once, from the present weights, clock, penalties and optimiser state.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : ndarray of shape (n_classes,), optional
            All classes that there will be; needed at the first call.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "classes_")
        if first:
            self._check_options(for_partial_fit=True)
            if self.class_weight == "balanced":
                raise ValueError(
                    "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                    "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
                    "sample of the full training set target to properly estimate the class frequency distributions. "
                    "Pass the resulting weights as the class_weight parameter."
                )
        n_threads = threads_for(self.n_jobs, X.shape[0] if hasattr(X, "shape") and X.shape else 0)
        X, y = check_matrix(self, X, y, reset=first, n_threads=n_threads)
        _check_partial_fit_first_call(self, classes)
        if not hasattr(self, "_state"):
            self._begin_classes(X.shape[1], X.dtype, None, None)
        else:
            self._adopt_user_changes()
        codes = class_codes(self.classes_, y)
        self._fit_classes(X, y, codes, sample_weight, n_epochs=1, n_threads=n_threads)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_stream(self, batches, classes=None):
        """Go through batches once, in their order, from the present weights, clock and optimiser state.

        Rows are read while earlier ones are stepped through; the model grows as wide as they ask for.

        Parameters
        ----------
        batches : iterable
            Of `hogwild.data.Batch`, ``(X, y)`` or ``(X, y, sample_weight)``; what `hogwild.data.open` returns.
        classes : array-like, optional
            All labels that there will be. Default: those of the first batch.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a label turns up that is not one of the classes.
        """
        self._check_options(for_partial_fit=True)
        with closing(StreamSource(batches, resolve_n_jobs(self.n_jobs))) as source:
            if not hasattr(self, "classes_"):
                self.classes_ = check_classes(np.unique(source.head.labels if classes is None else np.asarray(classes)))
            elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"classes={classes!r} are not those of the first call, {self.classes_!r}")
            self._fit_labelled(source, 1)
        return self

    def _fit_opened(self, rows: Any, coef: Any, intercept: Any) -> None:
        """Fit rows that `hogwild.data.open` returned."""
        if is_cache(rows):
            if rows.labels is None:
                raise ValueError("found a cache of rows with more than 65,536 different labels, expected classes")
            self.classes_, counts = check_classes(rows.labels), np.asarray(rows.label_counts)
            self._begin_classes(rows.n_features, np.dtype(np.float32), coef, intercept)
            targets, positive, negative = self._class_targets(counts)
            self._fit_cache(rows, lambda block: targets[block.codes], positive, negative)
            return
        n_features, labels = rows.n_features or 0, []
        for batch in rows:
            n_features = max(n_features, batch.n_features)
            labels.append(np.unique(batch.labels))
        if not labels:
            raise ValueError("found no rows to train on")
        if len({some.dtype.kind == "U" for some in labels}) > 1:
            raise ValueError("found labels that are numbers and labels that are words, expected one kind")
        self.classes_ = check_classes(np.unique(np.concatenate(labels)))
        self._begin_classes(max(1, n_features), np.dtype(np.float32), coef, intercept)
        with closing(StreamSource(rows, resolve_n_jobs(self.n_jobs))) as source:
            self._fit_labelled(source, self.max_iter)

    def _fit_labelled(self, source: StreamSource, n_epochs: int) -> None:
        """Run epochs over batches whose labels are of `classes_`."""
        targets, positive, negative = self._class_targets(None)
        source.targets = lambda labels: targets[class_codes(self.classes_, labels)]
        if not hasattr(self, "_state"):
            self._begin_classes(max(1, source.n_features or source.head.n_features), np.dtype(np.float32), None, None)
        else:
            self._adopt_user_changes()
        self._fit_batches(source, positive, negative, n_epochs)

    def _class_targets(self, counts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the engine makes of each class, and its weights; `counts` are the rows of each."""
        n_classes = len(self.classes_)
        weights = np.ones(n_classes)
        if self.class_weight == "balanced":
            if counts is None:
                raise ValueError("class_weight 'balanced' needs the number of rows of each class: a cache file has it")
            weights = counts.sum() / (n_classes * np.maximum(counts, 1))
        elif self.class_weight is not None:
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        if n_classes == 2:
            return np.array([-1.0, 1.0], np.float32), weights[1:].astype(float), weights[:1].astype(float)
        return np.arange(n_classes, dtype=np.float32), weights.astype(float), np.ones(n_classes)

    def _begin_classes(self, n_features: int, dtype: np.dtype, coef: Any, intercept: Any) -> None:
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {n_classes} class")
        self.n_features_in_ = n_features
        self._start(n_features, 1 if n_classes == 2 else n_classes, dtype, coef, intercept)

    def _fit_classes(self, X, y, codes, sample_weight, *, n_epochs: int, n_threads: int) -> None:
        n_classes = len(self.classes_)
        weights = np.ones(n_classes)
        if self.class_weight is not None:
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y).astype(np.float64)
        if n_classes == 2:
            targets = (codes * 2 - 1).astype(X.dtype)
            positive, negative = weights[1:], weights[:1]
        else:
            targets = codes.astype(X.dtype)
            positive, negative = weights, np.ones(n_classes)
        weight = self._check_weight(sample_weight, X)
        self._fit_rows(X, y, targets, weight, positive, negative, n_epochs=n_epochs, n_threads=n_threads)

    @available_if(_check_proba)
    def predict_proba(self, X):
        """Estimate probabilities: logistic for ``"log_loss"``, Zadrozny and Elkan's for ``"modified_huber"``.

        Several classes: one-vs-rest, normalised to sum 1; ``softmax`` of the scores for ``multi_class="multinomial"``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        if self.multi_class == "multinomial" and len(self.classes_) > 2:
            return softmax(self.decision_function(X), copy=False)
        if self.loss == "log_loss":
            return self._predict_proba_lr(X)
        share = (np.clip(self.decision_function(X), -1, 1) + 1) / 2
        if len(self.classes_) == 2:
            return np.column_stack([1 - share, share])
        total = share.sum(axis=1, keepdims=True)
        return np.divide(share, total, out=np.full_like(share, 1 / len(self.classes_)), where=total > 0)

    @available_if(_check_proba)
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

    def to_sklearn(self):
        """Return a fitted ``sklearn.linear_model.SGDClassifier`` of the same weights.

        Learning rates that scikit-learn does not know become ``"constant"`` with the present eta0. A multinomial model
        of several classes becomes a ``LogisticRegression``, which has its probabilities.

        Raises
        ------
        ValueError
            If the loss is one of your own.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.linear_model import SGDClassifier as Peer

        several = self.multi_class == "multinomial" and len(getattr(self, "classes_", ())) > 2
        return self._to_sklearn(LogisticRegression if several else Peer)
