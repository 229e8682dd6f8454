"""FMClassifier and FMRegressor: factorisation machines of degree 2 on the lock-free engine."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from hogwild.engine.engines import Engine
from hogwild.engine.runners import Plan
from hogwild.engine.task import Task
from hogwild.estimators.factorization_machine import (
    DTYPE,
    FactorizationClassifier,
    FactorizationMachine,
    FactorizationRegressor,
)
from hogwild.estimators.factors import FactorState
from hogwild.estimators.fm_task import (
    FmOptions,
    fm_plan,
    keep_weights,
    make_task,
    mean_loss,
    new_state,
    plain_model,
    score_rows,
    set_bias,
    weights_of,
)
from hogwild.estimators.sources import is_rows
from hogwild.estimators.threads import threads_for
from hogwild.losses import LOSSES
from hogwild.steps.rows import Rows

ETA0 = {"adagrad": 0.1, "ftrl": 0.3, "constant": 0.01, "invscaling": 0.1, "optimal": 0.05}  # where eta0 is None
CLASSIFICATION = tuple(name for name, loss in LOSSES.items() if loss.margin)
REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile")


class _FM(FactorizationMachine):
    """What both estimators share."""

    _parameter_constraints: ClassVar[dict] = {
        **FactorizationMachine._parameter_constraints,
        "alpha_linear": [Interval(Real, 0, None, closed="left"), None],
        "alpha_l1": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions(set(ETA0))],
        "eta0": [Interval(Real, 0, None, closed="neither"), None],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "linear_terms": ["boolean"],
        "fit_intercept": ["boolean"],
    }

    def _options(self) -> FmOptions:
        if self.learning_rate == "optimal" and not self.alpha:
            raise ValueError("learning_rate='optimal' needs alpha above 0, found alpha=0")
        parameter = LOSSES[self.loss].parameter
        return FmOptions(
            n_factors=int(self.n_factors),
            loss=self.loss,
            parameter=float(getattr(self, parameter) if isinstance(parameter, str) else parameter),
            alpha=float(self.alpha),
            alpha_linear=float(self.alpha if self.alpha_linear is None else self.alpha_linear),
            alpha_l1=float(self.alpha_l1),
            learning_rate=self.learning_rate,
            eta0=float(ETA0[self.learning_rate] if self.eta0 is None else self.eta0),
            power_t=float(self.power_t),
            beta=float(self.beta),
            linear=bool(self.linear_terms),
            fit_intercept=bool(self.fit_intercept),
            normalize=bool(self.normalize),
        )

    # ------------------------------------------------------------------------------------------ what the base asks for

    def _check_data(self, X: Any, y: Any = "no_validation", *, reset: bool, n_threads: int = 1) -> Any:
        if is_rows(X):
            raise ValueError(
                f"{type(self).__name__} takes a matrix or a table of numbers; found rows that hogwild.data.open "
                "returned, which SGDClassifier and SGDRegressor read as they come"
            )
        return super()._check_data(X, y, reset=reset, n_threads=n_threads)

    def _new_state(self, data: Any, rng: np.random.Generator) -> FactorState:
        self._fitted_options: FmOptions = self._options()
        self._untrained = True
        return new_state(self._fitted_options, data.shape[1], DTYPE, rng, float(self.init_scale))

    def _resized(self, state: FactorState, data: Any, rng: np.random.Generator) -> FactorState:
        options, before = self._options(), self._fitted_options
        n_features = len(state.arrays["factors"])
        if data.shape[1] != n_features:
            raise ValueError(f"X has {data.shape[1]} features, the weights to go on from have {n_features}")
        if options.n_factors != before.n_factors or options.rule is not before.rule:
            raise ValueError(
                f"found n_factors={options.n_factors} and learning_rate={options.learning_rate!r}, expected those of "
                f"the weights to go on from: n_factors={before.n_factors}, learning_rate={before.learning_rate!r}"
            )
        if options.learning_rate == "ftrl":
            keep_weights(state, before, options)
        self._fitted_options = options
        return state

    def _task(self, rows: Rows) -> Task:
        if self._untrained and self.fit_intercept and not self._classifies:
            weights = rows.weights.astype(np.float64) if rows.weights.size else None
            set_bias(
                self._state, self._fitted_options, float(np.average(rows.targets.astype(np.float64), weights=weights))
            )
        self._untrained = False
        return make_task(self._fitted_options, self._state, rows)

    def _plan(self, task: Task, engine: Engine) -> Plan | None:
        return fm_plan(task, engine, threads_for(self.n_jobs, task.n_rows))

    def _row_scores(self, rows: Rows) -> np.ndarray:
        model = plain_model(self._fitted_options, self._state)
        return score_rows(rows, model, threads_for(self.n_jobs, len(rows.targets)))

    def _mean_loss(self, rows: Rows) -> float:
        return mean_loss(rows, plain_model(self._fitted_options, self._state))

    # ------------------------------------------------------------------------------------------ model files

    _saved_names: ClassVar[tuple[str, ...]] = (*FactorizationMachine._saved_names, "_fitted_settings")

    @property
    def _fitted_settings(self) -> dict[str, Any]:
        """Options that the weights were fitted with, as JSON can hold them."""
        return self._fitted_options._asdict()

    @_fitted_settings.setter
    def _fitted_settings(self, settings: dict[str, Any]) -> None:
        self._fitted_options, self._untrained = FmOptions(**settings), False

    def _restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        super()._restore_arrays(arrays)
        like = new_state(self._fitted_options, 1, DTYPE, np.random.default_rng(0), 0.0).arrays
        found = {name: (array.shape, array.dtype) for name, array in self._state.arrays.items()}
        expected = {name: (array.shape, array.dtype) for name, array in like.items()}
        expected["factors"] = ((self.n_features_in_, like["factors"].shape[1]), DTYPE)
        if found != expected:
            raise ValueError(f"weights of shapes and types {found}, expected {expected}")

    # ------------------------------------------------------------------------------------------ weights

    def _weights(self) -> tuple[np.ndarray, np.ndarray, float]:
        if not hasattr(self, "_state"):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return weights_of(self._state, self._fitted_options)

    @property
    def coef_(self) -> np.ndarray:
        """Linear weights, shape (n_features,)."""
        return self._weights()[0]

    @property
    def factors_(self) -> np.ndarray:
        """Factors, shape (n_features, n_factors)."""
        return self._weights()[1]

    @property
    def intercept_(self) -> float:
        """Bias."""
        return self._weights()[2]


def _check_proba(self: Any) -> bool:
    if self.loss != "log_loss":
        raise AttributeError(f"probability estimates are not available for loss={self.loss!r}")
    return True


class FMClassifier(FactorizationClassifier, _FM):
    """Factorisation machine of degree 2 for two classes, fitted by lock-free stochastic gradient descent.

    The score of a row x is ``t = b + sqrt(r) sum_j w_j x_j + r sum_{j<l} <v_j, v_l> x_j x_l`` with ``r = 1`` (or, with
    `normalize`, ``1 / |x|^2``), computed in O(n_factors) for each nonzero; minimises ``mean_i s_i l(y_i, t_i)`` over
    b, w and v with one step a row. L2 acts at each step on the weights of the row's features.

    Parameters
    ----------
    n_factors : int, default=8
        Length of the vectors v_j.
    loss : {"log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron"}, default="log_loss"
    alpha : float, default=2e-5
        L2 strength of the factors: ``alpha v`` is added to the gradient of a factor that a row touches.
    alpha_linear : float or None, default=None
        The same of the linear weights; None: `alpha`. The bias has no penalty.
    alpha_l1 : float, default=1e-5
        L1 strength of ``"ftrl"``; the other rules have none.
    learning_rate : {"adagrad", "ftrl", "constant", "invscaling", "optimal"}, default="adagrad"
        ``"adagrad"``: ``G += g^2; v -= eta0 g / sqrt(G)``, G from 1 on. ``"ftrl"``: FTRL-proximal. The others are plain
        SGD, ``v -= eta_t g``, with ``eta_t`` = `eta0`, ``eta0 / t^power_t`` or ``1 / (alpha (t0 + t))`` from eta0 on.
    eta0 : float or None, default=None
        Step size; FTRL's alpha. None: 0.1 for ``"adagrad"`` and ``"invscaling"``, 0.3 for ``"ftrl"``, 0.01 for
        ``"constant"``, 0.05 for ``"optimal"``.
    power_t : float, default=0.5
        Exponent of ``"invscaling"``.
    beta : float, default=1.0
        FTRL's beta.
    init_scale : float, default=0.1
        Standard deviation of the initial factors, which are normal (with 0 they stay 0); linear weights start at 0.
    linear_terms, fit_intercept : bool, default=True
        Whether there are linear weights, and a bias.
    normalize : bool, default=False
        Whether rows are scaled to unit length (rows of zeros are left alone).
    max_iter : int, default=15
        Epochs, fewer where `tol` or `early_stopping` ends the run.
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
        Whether `fit` goes on from the last weights and sums; with ``max_iter=1`` it is another pass over new rows.
    n_jobs : int or None, default=None
        Largest number of threads. None or 1: one thread, exact and reproducible; -1: all usable cores.
    random_state : int, RandomState or None, default=None
        Seed of the initial factors and of the order of rows.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"auto"`` and ``"replicas"`` (a copy of the weights, or of the hottest,
        for each thread, merged often), ``"shared"`` (classic HOGWILD!), or an object of `hogwild.engine`.
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
    coef_ : ndarray of float32, shape (n_features,)
        Linear weights.
    factors_ : ndarray of float32, shape (n_features, n_factors)
    intercept_ : float
    n_features_in_ : int
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
    X is a matrix, sparse or dense, or a table of numbers; categories come in through
    ``sklearn.preprocessing.OneHotEncoder`` or a hasher. It is read as float32, and so are all weights. Numeric features
    should be scaled: a factor's gradient grows with the square of the row's length. A feature takes
    ``8 (n_factors + 1)`` bytes, up to the next 64 (plain SGD: ``4 (n_factors + 1)``): 7, 15 or 23 factors fill their
    cache lines, and 8 need twice the memory of 7.

    References
    ----------
    S. Rendle. Factorization Machines. ICDM 2010.

    H. B. McMahan et al. Ad Click Prediction: a View from the Trenches. KDD 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild import FMClassifier
    >>> X = np.random.default_rng(0).choice([-1.0, 1.0], size=(2000, 4))
    >>> y = X[:, 0] * X[:, 1] > 0  # no linear model is better than chance
    >>> float(FMClassifier(random_state=0).fit(X, y).score(X, y))
    1.0
    """

    _parameter_constraints: ClassVar[dict] = {
        **_FM._parameter_constraints,
        **FactorizationClassifier._class_constraints,
        "loss": [StrOptions(set(CLASSIFICATION))],
    }

    def __init__(
        self,
        n_factors=8,
        *,
        loss="log_loss",
        alpha=2e-5,
        alpha_linear=None,
        alpha_l1=1e-5,
        learning_rate="adagrad",
        eta0=None,
        power_t=0.5,
        beta=1.0,
        init_scale=0.1,
        linear_terms=True,
        fit_intercept=True,
        normalize=False,
        max_iter=15,
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
        self.n_factors = n_factors
        self.loss = loss
        self.alpha = alpha
        self.alpha_linear = alpha_linear
        self.alpha_l1 = alpha_l1
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.beta = beta
        self.init_scale = init_scale
        self.linear_terms = linear_terms
        self.fit_intercept = fit_intercept
        self.normalize = normalize
        self.max_iter = max_iter
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

    @available_if(_check_proba)
    def predict_proba(self, X):
        """Return the probability of each class, ``1 / (1 + exp(-t))`` for ``classes_[1]``; of ``"log_loss"`` only.

        Parameters
        ----------
        X : rows, as for `fit`

        Returns
        -------
        ndarray of float64, shape (n_samples, 2)
        """
        return super().predict_proba(X)

    @available_if(_check_proba)
    def predict_log_proba(self, X):
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : rows, as for `fit`

        Returns
        -------
        ndarray of float64, shape (n_samples, 2)
        """
        return super().predict_log_proba(X)


class FMRegressor(FactorizationRegressor, _FM):
    """Factorisation machine of degree 2 for numbers, fitted by lock-free stochastic gradient descent.

    Score, penalties, steps and what is not listed here are those of `FMClassifier`; the prediction is the score. The
    bias starts at the (weighted) mean of y, so that targets far from 0 need no centring.

    Parameters
    ----------
    n_factors : int, default=8
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"}, \
            default="squared_error"
        ``(t - y)^2 / 2`` and its robust relatives. ``"quantile"``: ``q (y - t)`` above, ``(1 - q) (t - y)`` below.
    alpha, alpha_linear, alpha_l1, learning_rate, eta0, power_t, beta, init_scale : see `FMClassifier`
    linear_terms, fit_intercept, normalize, max_iter : see `FMClassifier`
    early_stopping, validation_fraction, n_iter_no_change, tol, shuffle, warm_start : see `FMClassifier`
    n_jobs, random_state, engine, verbose, progress, callback, checkpoint : see `FMClassifier`
    epsilon : float, default=0.1
        Parameter of huber and of the epsilon-insensitive losses.
    quantile : float, default=0.5
        The q of ``"quantile"``, between 0 and 1.

    Attributes
    ----------
    coef_, factors_, intercept_ : see `FMClassifier`
    n_features_in_, feature_names_in_, n_iter_, loss_curve_, validation_scores_, best_iter_ : see `FMClassifier`
    progressive_curve_, step_seconds_, n_threads_, engine_ : see `SGDClassifier`

    Raises
    ------
    DivergedError
        A ValueError: the loss or a weight is not finite.

    References
    ----------
    S. Rendle. Factorization Machines. ICDM 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild import FMRegressor
    >>> X = np.random.default_rng(0).normal(size=(2000, 4))
    >>> y = 10 + X[:, 0] * X[:, 1]
    >>> bool(FMRegressor(random_state=0).fit(X, y).score(X, y) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **_FM._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION))],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        n_factors=8,
        *,
        loss="squared_error",
        alpha=2e-5,
        alpha_linear=None,
        alpha_l1=1e-5,
        learning_rate="adagrad",
        eta0=None,
        power_t=0.5,
        beta=1.0,
        init_scale=0.1,
        linear_terms=True,
        fit_intercept=True,
        normalize=False,
        max_iter=15,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=2,
        tol=None,
        shuffle=True,
        warm_start=False,
        epsilon=0.1,
        quantile=0.5,
        n_jobs=None,
        random_state=None,
        engine="auto",
        verbose=0,
        progress=False,
        callback=None,
        checkpoint=None,
    ):
        self.n_factors = n_factors
        self.loss = loss
        self.alpha = alpha
        self.alpha_linear = alpha_linear
        self.alpha_l1 = alpha_l1
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.beta = beta
        self.init_scale = init_scale
        self.linear_terms = linear_terms
        self.fit_intercept = fit_intercept
        self.normalize = normalize
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.epsilon = epsilon
        self.quantile = quantile
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.engine = engine
        self.verbose = verbose
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint
