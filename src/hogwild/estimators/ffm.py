"""FFMClassifier and FFMRegressor: field-aware factorisation machines, libffm's model and steps."""

from __future__ import annotations

from typing import ClassVar

from hogwild.estimators.factorization_machine import FactorizationClassifier, FactorizationRegressor
from hogwild.estimators.field_aware import FieldAware


class FFMClassifier(FactorizationClassifier, FieldAware):
    """Field-aware factorisation machine for two classes, fitted by lock-free AdaGrad.

    The score of a row of entries (field f, feature j, value v) is ``t = r sum over pairs a < c of v_a v_c
    <w[j_a, f_c], w[j_c, f_a]>``, with ``r = 1 / sum of v^2``; minimises ``log(1 + exp(-y t))`` with libffm's steps and
    defaults.

    Parameters
    ----------
    fields : array-like of int, shape (n_features,), or None, default=None
        Field of each column of a matrix. None: each column is its own, up to 256 columns. `FieldRows` and tables bring
        their fields.
    n_factors : int, default=4
        Length k of the weight vectors; memory is padded to a multiple of 4.
    linear_terms : bool, default=False
        Whether to add linear terms and a bias to the score, as xLearn does.
    alpha : float, default=2e-5
        libffm's lambda: an L2 penalty that acts at every pair of a row (and every linear term), so that long rows feel
        it more.
    eta0 : float, default=0.2
        Step size, which AdaGrad divides by the root of each weight's sum of squared gradients (these start at 1).
    max_iter : int, default=15
        Epochs, fewer where `tol` or `early_stopping` ends the run.
    normalize : bool, default=True
        Whether to divide each row's sum over pairs by its sum of squared values.
    early_stopping : bool, default=False
        Whether to end after `n_iter_no_change` epochs that do not improve the loss of rows that are held out, or of
        those that `fit` is given as `validation`, and to keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of rows that are held out.
    n_iter_no_change : int, default=2
    tol : float or None, default=None
        An epoch improves if the loss falls by at least this much. None: 0 with `early_stopping`, else all epochs run.
    shuffle : bool or {"blocks", "full"}, default=True
        Order of the rows, as in `SGDClassifier`.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes.
    warm_start : bool, default=False
        Whether `fit` goes on from the last weights and sums; new features and fields get new weights.
    n_jobs : int or None, default=None
        Largest number of threads. None or 1: one thread, exact and reproducible; -1: all usable cores.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, ``U[0, 1) / sqrt(k)``, and of the order of rows.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"auto"`` and ``"replicas"``, ``"shared"`` (racy, as libffm), or an
        object of `hogwild.engine`.
    verbose : int, default=0
        Print a line for each epoch.
    progress : bool, default=False
        Show a live line with rows/s, loss and time left.
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice; a true result ends training.
    checkpoint : hogwild.Checkpoint or None, default=None
        Where and how often to write down where a long fit stands, and whether to go on from there.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
    factors_ : ndarray of float32, shape (n_features, n_fields_, n_factors)
        A copy of the weights, which training keeps in another order.
    linear_ : ndarray of float32, shape (n_features,)
        With `linear_terms`.
    bias_ : float
    n_fields_ : int
    fields_ : ndarray of uint32
        Field of each column, of a model of matrices.
    vocabulary_ : ndarray of uint64
        What the features of a table stand for: see `FieldRows.numbered`.
    form_ : {"matrix", "rows", "table"}
        What the model was fitted on.
    n_features_in_ : int
        Columns of a matrix or table, features of `FieldRows`.
    feature_names_in_ : ndarray of str
    n_iter_ : int
    loss_curve_ : list of float
        Mean progressive loss of each epoch: every row before its own step.
    validation_scores_ : list of float
        Minus the mean validation loss after each epoch.
    best_iter_ : int
        Epoch with the best of them, from 1.
    progressive_curve_, step_seconds_, n_threads_, engine_
        As in `SGDClassifier`.

    Raises
    ------
    DivergedError
        A ValueError: the loss or a weight is not finite.

    Notes
    -----
    Input is a matrix with `fields`; `hogwild.data.FieldRows`; or a data frame (pandas, Polars, Arrow) of which a column
    holds no numbers: each column is a field then, each value of a category a feature, a number the value of one
    feature, and what is missing has no entry. Frames of numbers alone are matrices. Features and fields that the model
    has not seen are skipped in predictions (they count in the row's sum of squares, except in tables). Parameters are
    float32 whatever X holds. A model takes ``n_features * n_fields * k * 8`` bytes, n_fields and k
    rounded up to multiples of 4.

    References
    ----------
    Y. Juan, Y. Zhuang, W.-S. Chin, C.-J. Lin. Field-aware Factorization Machines for CTR Prediction. RecSys 2016.

    Examples
    --------
    >>> import pandas as pd
    >>> from hogwild import FFMClassifier
    >>> days, films = ["mon", "sat"] * 40, ["news", "news", "show", "show"] * 20
    >>> X = pd.DataFrame({"day": days, "film": films})
    >>> y = [int((d == "sat") == (f == "show")) for d, f in zip(days, films)]
    >>> FFMClassifier(random_state=0).fit(X, y).score(X, y)
    1.0
    """

    _loss = "log_loss"
    _parameter_constraints: ClassVar[dict] = {
        **FieldAware._parameter_constraints,
        **FactorizationClassifier._class_constraints,
    }

    def __init__(
        self,
        fields=None,
        *,
        n_factors=4,
        linear_terms=False,
        alpha=2e-5,
        eta0=0.2,
        max_iter=15,
        normalize=True,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=2,
        tol=None,
        shuffle=True,
        class_weight=None,
        warm_start=False,
        n_jobs=None,
        random_state=None,
        engine="auto",
        verbose=0,
        progress=False,
        callback=None,
        checkpoint=None,
    ):
        self.fields = fields
        self.n_factors = n_factors
        self.linear_terms = linear_terms
        self.alpha = alpha
        self.eta0 = eta0
        self.max_iter = max_iter
        self.normalize = normalize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.engine = engine
        self.verbose = verbose
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = not self.linear_terms  # pairs alone cannot tell x from -x
        return tags


class FFMRegressor(FactorizationRegressor, FieldAware):
    """Field-aware factorisation machine for numbers, fitted by lock-free AdaGrad.

    The score of a row of entries (field f, feature j, value v) is ``t = r sum over pairs a < c of v_a v_c
    <w[j_a, f_c], w[j_c, f_a]>``, with ``r = 1 / sum of v^2``; minimises ``(t - y)^2 / 2`` with libffm's steps.

    Parameters
    ----------
    fields : array-like of int, shape (n_features,), or None, default=None
        Field of each column of a matrix. None: each column is its own, up to 256 columns. `FieldRows` and tables bring
        their fields.
    n_factors : int, default=4
        Length k of the weight vectors; memory is padded to a multiple of 4.
    linear_terms : bool, default=False
        Whether to add linear terms and a bias to the score, as xLearn does.
    alpha : float, default=2e-5
        libffm's lambda: an L2 penalty that acts at every pair of a row (and every linear term), so that long rows feel
        it more.
    eta0 : float, default=0.2
        Step size, which AdaGrad divides by the root of each weight's sum of squared gradients (these start at 1).
    max_iter : int, default=15
        Epochs, fewer where `tol` or `early_stopping` ends the run.
    normalize : bool, default=True
        Whether to divide each row's sum over pairs by its sum of squared values.
    early_stopping : bool, default=False
        Whether to end after `n_iter_no_change` epochs that do not improve the loss of rows that are held out, or of
        those that `fit` is given as `validation`, and to keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of rows that are held out.
    n_iter_no_change : int, default=2
    tol : float or None, default=None
        An epoch improves if the loss falls by at least this much. None: 0 with `early_stopping`, else all epochs run.
    shuffle : bool or {"blocks", "full"}, default=True
        Order of the rows, as in `SGDClassifier`.
    warm_start : bool, default=False
        Whether `fit` goes on from the last weights and sums; new features and fields get new weights.
    n_jobs : int or None, default=None
        Largest number of threads. None or 1: one thread, exact and reproducible; -1: all usable cores.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, ``U[0, 1) / sqrt(k)``, and of the order of rows.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"auto"`` and ``"replicas"``, ``"shared"`` (racy, as libffm), or an
        object of `hogwild.engine`.
    verbose : int, default=0
        Print a line for each epoch.
    progress : bool, default=False
        Show a live line with rows/s, loss and time left.
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice; a true result ends training.
    checkpoint : hogwild.Checkpoint or None, default=None
        Where and how often to write down where a long fit stands, and whether to go on from there.

    Attributes
    ----------
    factors_ : ndarray of float32, shape (n_features, n_fields_, n_factors)
        A copy of the weights, which training keeps in another order.
    linear_ : ndarray of float32, shape (n_features,)
        With `linear_terms`.
    bias_ : float
    n_fields_ : int
    fields_ : ndarray of uint32
        Field of each column, of a model of matrices.
    vocabulary_ : ndarray of uint64
        What the features of a table stand for: see `FieldRows.numbered`.
    form_ : {"matrix", "rows", "table"}
        What the model was fitted on.
    n_features_in_ : int
        Columns of a matrix or table, features of `FieldRows`.
    feature_names_in_ : ndarray of str
    n_iter_ : int
    loss_curve_ : list of float
        Mean progressive loss of each epoch: every row before its own step.
    validation_scores_ : list of float
        Minus the mean validation loss after each epoch.
    best_iter_ : int
        Epoch with the best of them, from 1.
    progressive_curve_, step_seconds_, n_threads_, engine_
        As in `SGDClassifier`.

    Raises
    ------
    DivergedError
        A ValueError: the loss or a weight is not finite.

    Notes
    -----
    Targets far from 0 need `linear_terms` (for the bias) or to be centred. For input see `FFMClassifier`.

    References
    ----------
    Y. Juan, Y. Zhuang, W.-S. Chin, C.-J. Lin. Field-aware Factorization Machines for CTR Prediction. RecSys 2016.

    Examples
    --------
    >>> from hogwild import FFMRegressor
    >>> from hogwild.data import FieldRows
    >>> X = FieldRows.from_matrix([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]] * 50, fields=[0, 0, 1, 1])
    >>> y = [1.0, -1.0, -1.0, 1.0] * 50
    >>> FFMRegressor(max_iter=40, random_state=0).fit(X, y).predict(X[:4]).round(1).tolist()
    [1.0, -1.0, -1.0, 1.0]
    """

    _loss = "squared_error"

    def __init__(
        self,
        fields=None,
        *,
        n_factors=4,
        linear_terms=False,
        alpha=2e-5,
        eta0=0.2,
        max_iter=15,
        normalize=True,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=2,
        tol=None,
        shuffle=True,
        warm_start=False,
        n_jobs=None,
        random_state=None,
        engine="auto",
        verbose=0,
        progress=False,
        callback=None,
        checkpoint=None,
    ):
        self.fields = fields
        self.n_factors = n_factors
        self.linear_terms = linear_terms
        self.alpha = alpha
        self.eta0 = eta0
        self.max_iter = max_iter
        self.normalize = normalize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.engine = engine
        self.verbose = verbose
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # rows are scaled to one length
        return tags
