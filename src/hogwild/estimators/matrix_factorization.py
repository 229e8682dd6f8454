"""MatrixFactorization: ratings and choices as products of the factors of users and items."""

from __future__ import annotations

import math
import zlib
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from hogwild.compiled import aligned_copy
from hogwild.engine.engines import Engine, Grid, Sequential
from hogwild.engine.order import Order, draw_order
from hogwild.engine.source import InMemory
from hogwild.engine.training import DivergedError
from hogwild.estimators.factors import NAMES, FactorModel, FactorState
from hogwild.estimators.interactions import (
    Interactions,
    as_arrays,
    check_weights,
    find_ids,
    from_arrays,
    number_ids,
    read_interactions,
    seen_rows,
)
from hogwild.estimators.matrix_task import (
    EXPLICIT,
    MatrixOptions,
    Table,
    first_factors,
    make_matrix_task,
    matrix_plan,
)
from hogwild.estimators.recommender import Recommender
from hogwild.estimators.threads import threads_for
from hogwild.steps.matrix import LOSSES, padded
from hogwild.steps.rows import PairRows

DEFAULTS = {  # alpha and eta0 of each loss, from MovieLens 100k
    "squared": (0.1, 0.05),
    "absolute": (0.1, 0.05),
    "logistic": (0.01, 0.05),
    "bpr": (0.01, 0.1),
}
VALIDATION_PAIRS, VALIDATION_ITEMS = 20_000, 20  # of choices: how many are ranked, each among how many other items


class MatrixFactorization(Recommender, FactorModel):
    """Matrix factorisation with biases, fitted by lock-free stochastic gradient descent.

    A user u and an item i have the score ``mean + b_u + b_i + p_u . q_i``. For ratings, the mean over rows of
    ``s l(y, score) + alpha / 2 (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2)`` is minimised (s: the row's weight), so that the
    penalty grows with the number of a user's or item's rows. For choices the loss compares items that the user has
    chosen with items drawn at random among the others. Parameters are float32.

    Parameters
    ----------
    n_factors : int, default=31
        Length of p_u and q_i. With the bias a multiple of 16 fills whole cache lines: 15, 31, 47, ... cost nothing more
        than smaller numbers.
    loss : {"squared", "absolute", "logistic", "bpr"}, default="squared"
        Of ratings: ``(score - y)^2 / 2`` or ``|score - y|``, y and score in units of the ratings' standard deviation
        while steps run, so that `alpha` and `eta0` suit any scale. Of choices: ``"logistic"`` takes each row as a
        positive example (a negative one where its value is 0 or less), and `n_negatives` items drawn beside each
        positive one as negative examples; ``"bpr"`` is Bayesian personalised ranking, ``log(1 + exp(score_ij'))``,
        ``score_ij'`` the score of an item drawn minus that of the item chosen (rows with a value of 0 or less are left
        out). Values above 0 are not looked at: `sample_weight` weighs rows.
    alpha : float or None, default=None
        L2 penalty of the biases and factors that a row touches. None: 0.1 for ratings, 0.01 for choices.
    learning_rate : {"adagrad", "constant", "invscaling", "epoch_decay"}, default="adagrad"
        ``"adagrad"``: a step size for each bias and factor, ``eta0 / sqrt(sum of squared gradients)``; ``"constant"``:
        eta0; ``"invscaling"``: ``eta0 / t^power_t``, t the row clock; ``"epoch_decay"``: eta0 times `decay` after each
        epoch.
    eta0 : float or None, default=None
        Step size. None: 0.05 with AdaGrad (0.1 for ``"bpr"``), else 0.02.
    power_t : float, default=0.25
    decay : float, default=0.95
    max_iter : int, default=20
        Epochs.
    tol : float or None, default=None
        With a number, the fit ends after `n_iter_no_change` epochs whose loss (or validation score) is not better by
        at least `tol`.
    biases : bool, default=True
        False: the score is ``p_u . q_i`` alone (`mean_` is 0).
    non_negative : bool, default=False
        Keep factors (not biases) at or above 0 by projection after each step.
    n_negatives : int, default=4
        Items drawn for each row of ``"logistic"``.
    init_scale : float, default=0.1
        Standard deviation of the first factors. Without biases ratings above 0 start from factors around
        ``sqrt(mean / n_factors)``.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows (if `fit` is not given others), end after `n_iter_no_change` epochs
        without a better score on them, and keep the best epoch's factors. The score of ratings is that of `score`; of
        choices, the AUC over at most 20,000 pairs, each against 20 items drawn.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=3
    shuffle : bool, "blocks" or "full", default=True
        True: rows are put in a random order once, then visited in random blocks of 32, shuffled within. ``"blocks"``:
        the same without the first part. ``"full"``: a new random order in each epoch. False: in the order given.
    n_jobs : int or None, default=None
        Largest number of threads; each has at least 256 rows. None: one thread, exact and reproducible.
    engine : str or engine object, default="auto"
        Who runs the steps on several threads: ``"grid"`` (the default for ratings: blocks of users and items that no
        two threads share at a time; the same bits on every run), ``"replicas"`` (the default for choices; small models:
        a copy for each thread; large ones: copies of the most frequent rows, the others shared), ``"shared"``,
        ``"sequential"``, or an object of `hogwild.engine`.
    random_state : int, RandomState or None, default=None
    warm_start : bool, default=False
        Go on from the factors of the last fit; users and items that are new are added.
    verbose : int, default=0
    progress : bool, default=False
    callback : callable or None, default=None
        Called as ``callback(progress)`` with a `hogwild.Progress` after each slice of rows; a true result ends the fit.
    checkpoint : Checkpoint or None, default=None

    Attributes
    ----------
    users_, items_ : ndarray of shape (n_users,) and (n_items,)
        Ids in ascending order: those of the rows below.
    user_factors_, item_factors_ : ndarray of float32, shape (n_users, n_factors) and (n_items, n_factors)
    user_biases_, item_biases_ : ndarray of float32, shape (n_users,) and (n_items,)
    mean_ : float
        Mean rating; of choices the log odds that a row is a positive example; 0 for ``"bpr"`` and without biases.
    n_iter_, t_ : int and float
        Epochs of this fit; rows stepped in all, plus 1.
    loss_curve_, validation_scores_ : list of float
        By epoch: mean loss of each row before its own step (and scores).
    best_iter_ : int
        Epoch whose factors were kept (early stopping).
    n_threads_, engine_, progressive_curve_ : see `SGDClassifier`

    Raises
    ------
    DivergedError
        A ValueError: the loss or a factor is not finite.

    Notes
    -----
    scikit-learn's ``check_estimator`` is for estimators of samples and features; this one has the same conventions for
    parameters, cloning, fitted attributes and errors. Seen items of users are kept with the model.

    References
    ----------
    Y. Koren, R. Bell, C. Volinsky. Matrix Factorization Techniques for Recommender Systems. Computer 42, 2009.
    S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme. BPR: Bayesian Personalized Ranking from Implicit
    Feedback. UAI 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild import MatrixFactorization
    >>> rng = np.random.default_rng(0)
    >>> users, items = rng.integers(0, 100, 5_000), rng.integers(0, 50, 5_000)
    >>> ratings = 3.0 + np.sin(users) + np.cos(items)
    >>> model = MatrixFactorization(n_factors=15, alpha=0.01, random_state=0).fit(users, items, ratings)
    >>> bool(model.score(users, items, ratings) > -0.2)
    True
    >>> items, scores = model.recommend(7, n=3)
    >>> len(items)
    3
    """

    _parameter_constraints: ClassVar[dict] = {
        **FactorModel._parameter_constraints,
        "engine": [StrOptions({*NAMES, "grid"}), *Engine.__args__, Grid],
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions(set(LOSSES))],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "learning_rate": [StrOptions({"adagrad", "constant", "invscaling", "epoch_decay"})],
        "eta0": [Interval(Real, 0, None, closed="neither"), None],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "decay": [Interval(Real, 0, 1, closed="right")],
        "tol": [Interval(Real, None, None, closed="neither"), None],
        "biases": ["boolean"],
        "non_negative": ["boolean"],
        "n_negatives": [Interval(Integral, 0, None, closed="left")],
        "init_scale": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        n_factors=31,
        *,
        loss="squared",
        alpha=None,
        learning_rate="adagrad",
        eta0=None,
        power_t=0.25,
        decay=0.95,
        max_iter=20,
        tol=None,
        biases=True,
        non_negative=False,
        n_negatives=4,
        init_scale=0.1,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=3,
        shuffle=True,
        n_jobs=None,
        engine="auto",
        random_state=None,
        warm_start=False,
        verbose=0,
        progress=False,
        callback=None,
        checkpoint=None,
    ):
        self.n_factors = n_factors
        self.loss = loss
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.decay = decay
        self.max_iter = max_iter
        self.tol = tol
        self.biases = biases
        self.non_negative = non_negative
        self.n_negatives = n_negatives
        self.init_scale = init_scale
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.n_jobs = n_jobs
        self.engine = engine
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint

    # ------------------------------------------------------------------------------------------ fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, users, items=None, values=None, *, sample_weight=None, validation=None):
        """Fit the model from the start (or go on, with `warm_start`).

        Parameters
        ----------
        users : array-like of shape (n,), sparse matrix of shape (n_users, n_items), or data frame
            Ids of any one kind (whole numbers, text, objects that can be ordered). Alone: a sparse matrix, whose ids
            are row and column numbers and whose stored entries are the rows (explicit zeros too, repeated entries each
            for itself); or a data frame with columns ``user``, ``item`` and ``value`` or ``rating``, else its first
            three columns in this order.
        items : array-like of shape (n,), optional
        values : array-like of shape (n,), optional
            Ratings; choices need none.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows; those of weight 0 are left out.
        validation : tuple, matrix or data frame, optional
            Rows to validate on with ``early_stopping=True``: ``(users, items, values)``, or as `users` alone. Users and
            items that are not in the training rows are scored as by `predict`.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there are no rows, arrays differ in length, ids or values are missing, values are not finite, or
            ratings have no values.
        """
        data = read_interactions(users, items, values)
        weights = check_weights(sample_weight, len(data))
        if not len(data):
            raise ValueError("found no rows, expected at least one pair of a user and an item")
        if self.loss in EXPLICIT and data.values is None:
            raise ValueError(f"found no values, expected a rating for each pair with loss={self.loss!r}")
        if validation is not None and not self.early_stopping:
            raise ValueError("found validation rows with early_stopping=False, expected early_stopping=True")
        rng = self._generator()
        first, second = self._number(data)
        targets = self._targets(data.values, len(data))
        kept = np.ones(len(data), bool) if weights is None else weights > 0
        if self.loss == "bpr":
            kept &= targets > 0
        held_out = None
        if self.early_stopping:
            held_out, kept = self._hold_out(data, validation, first, second, kept, rng)
        if not kept.any():
            raise ValueError(
                "found no row to train on: all have weight 0, a value that is not above 0, or are held out"
            )
        chosen = np.flatnonzero(kept)
        if self.shuffle is True:
            chosen = rng.permutation(chosen)
        self._fit_rows(
            first[chosen].astype(np.uint32),
            second[chosen].astype(np.uint32),
            targets[chosen],
            None if weights is None else weights[chosen],
            held_out,
            rng,
        )
        return self

    def _number(self, data: Interactions) -> tuple[np.ndarray, np.ndarray]:
        """Number users and items (those of the last fit too, with `warm_start`), and note what is seen."""
        before = None
        if self.warm_start and hasattr(self, "_state"):
            before = self.users_, self.items_, self._state
        if data.shape is not None:
            users_, items_ = (np.arange(n) for n in data.shape)
            first, second = data.users.astype(np.int64), data.items.astype(np.int64)
        else:
            users_, first = number_ids(data.users, "users")
            items_, second = number_ids(data.items, "items")
        if before is not None:
            users_, first = _joined(before[0], users_, first, "users")
            items_, second = _joined(before[1], items_, second, "items")
        if len(users_) + len(items_) >= 2**32 - 1:
            raise ValueError(f"found {len(users_) + len(items_):,} users and items, expected fewer than 2**32 - 1")
        self._before = before
        self.users_, self.items_ = users_, items_
        self._seen = seen_rows(first, second, len(users_), len(items_))
        return first, second

    def _targets(self, values: np.ndarray | None, n: int) -> np.ndarray:
        if self.loss in EXPLICIT:
            return values
        return np.ones(n) if values is None else np.where(values > 0, 1.0, -1.0)

    def _hold_out(self, data, validation, first, second, kept, rng) -> tuple[tuple, np.ndarray]:
        """Rows to validate on (their numbers and values), and those to train on."""
        if validation is None:
            rows = np.flatnonzero(kept)
            n = round(self.validation_fraction * len(rows))
            if not 0 < n < len(rows):
                raise ValueError(
                    f"found {len(rows)} rows, of which validation_fraction={self.validation_fraction!r} leaves none to "
                    "train or to validate on; expected more rows, or early_stopping=False"
                )
            drawn = rng.permutation(rows)[:n]
            kept = kept.copy()
            kept[drawn] = False
            values = None if data.values is None else data.values[drawn]
            return (first[drawn], second[drawn], values), kept
        others = read_interactions(*validation) if isinstance(validation, tuple) else read_interactions(validation)
        if not len(others) or (self.loss in EXPLICIT and others.values is None):
            raise ValueError("found validation rows without values or no such rows, expected as many of both")
        users, items = find_ids(self.users_, others.users, "users"), find_ids(self.items_, others.items, "items")
        return (users, items, others.values), kept

    def _fit_rows(self, first, second, targets, weights, held_out, rng) -> None:
        n_users, n_items, explicit = len(self.users_), len(self.items_), self.loss in EXPLICIT
        options = self._options()
        before, self._before = self._before, None
        if before is None or not hasattr(self, "_scale"):
            self.mean_, self._scale = self._constants(options, targets, weights)
        if explicit:
            targets = (targets - self.mean_) / self._scale
        second = second + np.uint32(n_users)
        rows = PairRows(
            first, second, targets.astype(np.float32), np.empty(0, np.float32) if weights is None else weights
        )
        level = float(np.mean(targets)) if explicit else 0.0
        factors = first_factors(options, n_users + n_items + 1, level, rng)
        width = padded(options.n_factors)
        factors[np.bincount(np.concatenate([first, second]), minlength=len(factors)) == 0, :width] = 0.0
        t = 1.0
        if before is not None:
            t = self._take_over(before, factors)
        self._state = FactorState({"factors": factors}, t=t)
        if before is None:
            self.__dict__.pop("loss_curve_", None)
        for name in ("validation_scores_", "best_iter_"):
            self.__dict__.pop(name, None)
        mean = 0.0 if explicit else self.mean_
        table = Table(n_users, n_items, mean, *self._seen, int(rng.integers(2**62)))
        task = make_matrix_task(options, table, factors, rows)
        task.t = t
        score = None if held_out is None else self._scorer(held_out, rng)

        def order(rng: np.random.Generator, n_rows: int, kept: np.ndarray) -> Order:
            return draw_order(rng, n_rows, kept, self.shuffle)

        n_threads = threads_for(self.n_jobs, len(first))
        try:
            self._run(
                task,
                InMemory(rows),
                rng=rng,
                n_epochs=self.max_iter,
                n_threads=n_threads,
                score=score,
                tol=0.0 if score is not None and self.tol is None else self.tol,
                plan=lambda task, engine: matrix_plan(task, engine, n_threads),
                problem=self._problem(options, rows),
                shuffle=order,
                epoch_decay=self.decay if self.learning_rate == "epoch_decay" else 1.0,
            )
        finally:
            self.t_ = self._state.t
        if not np.isfinite(factors).all():
            raise DivergedError(
                "Floating-point under-/overflow occurred: a factor is not finite; "
                f"the step size (eta0={options.eta0:g}) is too large for these data"
            )

    def _engine_for(self, n_threads: int) -> Engine | Grid:
        """Ratings run on a grid: 1.5 times one thread with replicas, whose merges MovieLens' short epochs feel."""
        grid = isinstance(self.engine, Grid) or self.engine == "grid"
        if grid and self.loss not in EXPLICIT:
            raise ValueError(f"the items that loss={self.loss!r} draws lie anywhere: a grid runs ratings only")
        if grid or (self.engine == "auto" and self.loss in EXPLICIT):
            return Grid() if n_threads > 1 else Sequential()
        return super()._engine_for(n_threads)

    def _options(self) -> MatrixOptions:
        alpha, eta0 = DEFAULTS[self.loss]
        return MatrixOptions(
            loss=self.loss,
            n_factors=int(self.n_factors),
            alpha=alpha if self.alpha is None else float(self.alpha),
            eta0=float(self.eta0) if self.eta0 is not None else eta0 if self.learning_rate == "adagrad" else 0.02,
            learning_rate=self.learning_rate,
            power_t=float(self.power_t),
            biases=bool(self.biases),
            non_negative=bool(self.non_negative),
            n_negatives=int(self.n_negatives),
            init_scale=float(self.init_scale),
        )

    def _constants(
        self, options: MatrixOptions, targets: np.ndarray, weights: np.ndarray | None
    ) -> tuple[float, float]:
        """Constant part of the scores, and the unit of ratings while steps run."""
        if options.loss in EXPLICIT:
            mean = float(np.average(targets, weights=weights)) if options.biases else 0.0
            scale = math.sqrt(float(np.average((targets - np.average(targets, weights=weights)) ** 2, weights=weights)))
            return mean, scale if scale > 1e-6 * float(np.abs(targets).max()) else float(np.abs(targets).max()) or 1.0
        if options.loss == "bpr" or not options.biases:
            return 0.0, 1.0
        positive = float((targets > 0).sum())
        negative = len(targets) - positive + options.n_negatives * positive
        return math.log((positive + 1.0) / (negative + 1.0)), 1.0

    def _take_over(self, before: tuple, factors: np.ndarray) -> float:
        """Put the last fit's factors where their users and items stand now; returns its row clock."""
        users, items, state = before
        old = state.arrays["factors"]
        if old.shape[1] != factors.shape[1]:
            raise ValueError(
                f"warm_start goes on with the same n_factors and kind of learning_rate: found rows of {old.shape[1]} "
                f"numbers, expected {factors.shape[1]}"
            )
        n_users = len(self.users_)
        factors[np.searchsorted(self.users_, users)] = old[: len(users)]
        factors[n_users + np.searchsorted(self.items_, items)] = old[len(users) : len(users) + len(items)]
        return state.t

    def _problem(self, options: MatrixOptions, rows: PairRows) -> dict[str, Any]:
        """What a checkpoint's run and this one have to share."""
        return {
            **{name: value for name, value in options._asdict().items() if name != "eta0"},
            "eta0": options.eta0,
            "shuffle": self.shuffle,
            "seed": self.random_state if isinstance(self.random_state, int | None) else "a RandomState",
            "n_users": len(self.users_),
            "n_items": len(self.items_),
            "n_rows": len(rows.targets),
            "digest of the rows": zlib.crc32(rows.targets, zlib.crc32(rows.first, zlib.crc32(rows.second))),
        }

    def _scorer(self, held_out: tuple, rng: np.random.Generator):
        """Score of the held-out rows at the present factors, larger is better."""
        users, items, values = held_out
        if self.loss in EXPLICIT:
            return lambda: self._rating_score(values, self._scores(users, items))
        chosen = np.flatnonzero((items < len(self.items_)) & (True if values is None else values > 0))
        if not len(chosen):
            raise ValueError("found no validation row that is a choice among the items, expected at least one")
        chosen = rng.permutation(chosen)[:VALIDATION_PAIRS]
        users, items = users[chosen], items[chosen]
        others = rng.integers(0, len(self.items_), (VALIDATION_ITEMS, len(users)))
        fair = self._unseen(users, others)
        if not fair.any():
            raise ValueError("found no item that a user of the validation rows has not seen, expected some")

        def score() -> float:
            positive = self._scores(users, items)
            right = np.stack([_order(positive, self._scores(users, other)) for other in others])
            return float(right[fair].mean())

        return score

    def _unseen(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each user has not seen the items (of shape (n, len(users)))."""
        indptr, seen = self._seen
        cells = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr.astype(np.int64))) * len(self.items_) + seen
        return ~np.isin(users * len(self.items_) + items, cells)

    # ------------------------------------------------------------------------------------------ fitted attributes

    def _part(self, rows: slice, columns: Any, unit: float) -> np.ndarray:
        if "_state" not in self.__dict__:
            raise AttributeError("this MatrixFactorization is not fitted: it has no factors")
        return self._state.arrays["factors"][rows, columns] * np.float32(unit)

    @property
    def user_factors_(self) -> np.ndarray:
        """Factors of the users, a copy."""
        return self._part(slice(len(self.users_)), slice(1, self.n_factors + 1), math.sqrt(self._scale))

    @property
    def item_factors_(self) -> np.ndarray:
        """Factors of the items, a copy."""
        return self._part(slice(len(self.users_), -1), slice(1, self.n_factors + 1), math.sqrt(self._scale))

    @property
    def user_biases_(self) -> np.ndarray:
        """Biases of the users, a copy."""
        return self._part(slice(len(self.users_)), 0, self._scale)

    @property
    def item_biases_(self) -> np.ndarray:
        """Biases of the items, a copy."""
        return self._part(slice(len(self.users_), -1), 0, self._scale)

    # ------------------------------------------------------------------------------------------ files (hogwild.models)

    _saved_names = (
        "mean_",
        "t_",
        "n_iter_",
        "loss_curve_",
        "progressive_curve_",
        "validation_scores_",
        "best_iter_",
        "n_threads_",
        "engine_",
    )

    def _saved_arrays(self) -> dict[str, np.ndarray]:
        """Everything that predicting and going on need, beside parameters and attributes."""
        tables = {"users": as_arrays(self.users_), "items": as_arrays(self.items_)}
        ids = {f"{name}.{kind}": array for name, kinds in tables.items() for kind, array in kinds.items()}
        seen = {"seen.indptr": self._seen[0], "seen.items": self._seen[1]}
        return {"factors": self._state.arrays["factors"], "scale": np.array([self._scale]), **seen, **ids}

    def _restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `_saved_arrays` returned."""
        tables = [
            from_arrays({key.removeprefix(f"{name}."): arrays[key] for key in arrays if key.startswith(f"{name}.")})
            for name in ("users", "items")
        ]
        factors, indptr, seen = arrays["factors"], arrays["seen.indptr"], arrays["seen.items"]
        width = padded(self.n_factors) * (2 if self.learning_rate == "adagrad" else 1)
        if factors.shape != (len(tables[0]) + len(tables[1]) + 1, width) or factors.dtype != np.float32:
            raise ValueError(f"factors of {factors.dtype} and shape {factors.shape}")
        if len(indptr) != len(tables[0]) + 1 or indptr[0] != 0 or (np.diff(indptr.astype(np.int64)) < 0).any():
            raise ValueError("starts of seen items that are no starts")
        if indptr[-1] != len(seen) or seen.max(initial=0) >= len(tables[1]):
            raise ValueError("seen items that are no items")
        self.users_, self.items_ = tables
        self._seen, self._scale = (indptr, seen), float(arrays["scale"][0])
        self._state = FactorState({"factors": aligned_copy(factors)})

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are factors."""
        return hasattr(self, "_state")


def _order(chosen: np.ndarray, other: np.ndarray) -> np.ndarray:
    """1 where the chosen item has the larger score, 1/2 where both have the same."""
    return np.where(chosen == other, 0.5, chosen > other)


def _joined(old: np.ndarray, new: np.ndarray, codes: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids of both tables, and the numbers of the new one's rows among them."""
    find_ids(old, new, name)  # of one kind
    table = np.union1d(old, new)
    return table, np.searchsorted(table, new)[codes]
