"""What SGDClassifier and SGDRegressor share: parameters, state, the call of the engine."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from hogwild.engine.choose import Runner, make_runner
from hogwild.engine.engines import ENGINES, Engine, resolve_engine
from hogwild.engine.runners import Plan
from hogwild.engine.source import NONE, InMemory, Source
from hogwild.engine.task import Task
from hogwild.engine.training import Outcome, Stopping, Training
from hogwild.estimators.checkpoint import Checkpoint, Saver
from hogwild.estimators.linear_task import (
    LinearOptions,
    LinearState,
    make_schedule,
    make_task,
    new_state,
    penalty_value,
    restart_ftrl,
)
from hogwild.estimators.progress import Reporter
from hogwild.estimators.sources import CacheSource, StreamSource, held_out_score, is_cache
from hogwild.estimators.step_size import search_eta0
from hogwild.estimators.threads import counted, resolve_n_jobs, threads_for
from hogwild.estimators.validation import split_rows
from hogwild.losses import DEFAULTS, LOSSES, OwnLoss, SavedLoss, own_loss
from hogwild.schedules import SCHEDULES
from hogwild.steps.rows import Rows, as_rows

MAX_INT = np.iinfo(np.int32).max


def loss_functions(names: Iterable[str]) -> dict[str, tuple]:
    """Losses by name, each with its default parameter, as scikit-learn's classes list them."""
    return {name: (LOSSES[name], DEFAULTS.get(LOSSES[name].parameter, LOSSES[name].parameter)) for name in names}


class BaseSGD(SparseCoefMixin, BaseEstimator):
    """What both estimators share: parameters, state, the call of the engine."""

    _parameter_constraints: ClassVar[dict] = {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean", StrOptions({"blocks", "full"})],
        "verbose": ["verbose"],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "learning_rate": [StrOptions(set(SCHEDULES))],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, None, None, closed="neither")],
        "decay": [Interval(Real, 0, 1, closed="right")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "search_every": [Interval(Integral, 1, None, closed="left"), None],
        "intercept_decay": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
        "engine": [StrOptions(set(ENGINES)), *Engine.__args__],
        "progress": ["boolean"],
        "callback": [callable, None],
        "checkpoint": [Checkpoint, None],
    }

    def _check_options(self, for_partial_fit: bool) -> None:
        if self.early_stopping and for_partial_fit:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError(
                "alpha must be > 0 since learning_rate is 'optimal'. "
                "alpha is used to compute the optimal learning rate."
            )
        if self.learning_rate in ("pa1", "pa2") and not isinstance(self.loss, str):
            raise ValueError(f"learning_rate '{self.learning_rate}' is not defined for a loss of your own")
        passive_loss = "hinge" if self._classifies else "epsilon_insensitive"
        if self.learning_rate in ("pa1", "pa2") and self.loss != passive_loss:
            raise ValueError(f"Learning rate '{self.learning_rate}' only works with loss '{passive_loss}'.")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
        if self.learning_rate == "ftrl" and self.average:
            raise ValueError("average is not defined for learning_rate 'ftrl': its weights follow from sums already")
        if self.learning_rate == "ftrl" and self.beta == 0:
            raise ValueError("beta must be > 0 for learning_rate 'ftrl'")
        self._resolved_loss()
        resolve_engine(self.engine, 2)

    def _resolved_loss(self) -> str | OwnLoss:
        """Name of the loss, or the user's own, compiled."""
        if isinstance(self.loss, tuple):
            if len(self.loss) != 2 or not all(map(callable, self.loss)):
                raise ValueError(f"found loss={self.loss!r}, expected a name or two functions, (value, derivative)")
            return own_loss(*self.loss)
        if isinstance(self.loss, SavedLoss):
            raise ValueError(
                f"this model was trained with a loss of its user's, {self.loss}, and a model file holds no code: "
                "give it again, set_params(loss=(value, derivative)), before training goes on"
            )
        return self.loss

    def _options(self) -> LinearOptions:
        return LinearOptions(
            loss=self._resolved_loss(),
            multi_class=getattr(self, "multi_class", "ovr"),
            epsilon=self.epsilon,
            quantile=getattr(self, "quantile", 0.5),
            penalty=self.penalty,
            alpha=self.alpha,
            l1_ratio=self.l1_ratio or 0.0,
            learning_rate=self.learning_rate,
            eta0=self.eta0,
            power_t=self.power_t,
            beta=self.beta,
            fit_intercept=self.fit_intercept,
            intercept_decay=self.intercept_decay,
            average=int(self.average),
        )

    # ------------------------------------------------------------------------------------------ state

    def _start(self, n_features: int, n_columns: int, dtype: np.dtype, coef: Any, intercept: Any) -> None:
        """Allocate a new state, at `coef` and `intercept` if given."""
        options = self._options()
        state = new_state(options, n_features, n_columns, dtype)
        if coef is not None:
            coef = np.asarray(coef.toarray() if hasattr(coef, "toarray") else coef, dtype=dtype)
            if n_columns > 1:
                if coef.shape != (n_columns, n_features):
                    raise ValueError("Provided ``coef_`` does not match dataset. ")
                coef = coef.T
            elif coef.size != n_features:
                raise ValueError("Provided coef_init does not match dataset.")
            state.coef[...] = coef.reshape(state.coef.shape)
        if intercept is not None:
            intercept = np.asarray(intercept, dtype=dtype)
            if intercept.shape != (n_columns,) and not (n_columns == 1 and intercept.shape == ()):
                raise ValueError("Provided intercept_init does not match dataset.")
            state.intercept[...] = intercept
        if self.learning_rate == "ftrl":
            restart_ftrl(state, options)
        self._state: LinearState = state
        self.t_ = 1.0

    def _adopt_user_changes(self) -> None:
        """Go on from `coef_` and `intercept_` where the user has put others in their place."""
        state = self._state
        if state.averaged_rows or not hasattr(self, "coef_"):
            return
        coef = self.coef_.toarray() if hasattr(self.coef_, "toarray") else np.asarray(self.coef_)
        coef = coef.T if state.coef.ndim == 2 else coef.reshape(-1)
        intercept = np.atleast_1d(self.intercept_)
        if not (np.array_equal(coef, state.coef) and np.array_equal(intercept, state.intercept)):
            state.coef[...] = coef
            state.intercept[...] = intercept
            if self.learning_rate == "ftrl":
                restart_ftrl(state, self._options())

    def _publish(self, task: Task) -> None:
        """Take over the clock and show the weights."""
        state = self._state
        state.t, state.penalty = task.t, task.penalty
        if "summed" in state.arrays and state.arrays["summed"].size:
            state.averaged_rows = max(0.0, task.t - max(1.0, float(self.average)))
        self.t_ = task.t
        if not hasattr(self, "_renumbered"):
            self.n_features_in_ = len(state.coef)
        self.coef_, self.intercept_ = self._weights()

    def _weights(self) -> tuple[np.ndarray, np.ndarray]:
        """`coef_` and `intercept_` in scikit-learn's shapes, without a copy where there is no average."""
        coef, intercept = self._state.weights()
        if hasattr(self, "_renumbered"):  # the state holds the columns of a cache file
            whole, numbering = self._renumbered
            found, coef = coef, whole.coef.copy()
            coef[numbering] = found
        if coef.ndim == 2:
            return coef.T, intercept
        return (coef.reshape(1, -1) if self._classifies else coef), intercept

    # ------------------------------------------------------------------------------------------ training

    def _train(
        self,
        source: Source,
        rows: Rows,
        positive: np.ndarray,
        negative: np.ndarray,
        *,
        n_epochs: int,
        n_threads: int,
        kept: np.ndarray = NONE,
        score: Callable[[], float] | None = None,
        grows: bool = False,
    ) -> Outcome:
        """Run epochs over `source` on the engine and set the fitted attributes, also where an error or Ctrl-C ends it.

        `rows` (those of them in `kept`) stand for all where a step size is searched and merges are planned.
        """
        options = self._options()
        rng = np.random.default_rng(check_random_state(self.random_state).randint(MAX_INT))
        searches = self.learning_rate == "search"
        engine = resolve_engine(self.engine, n_threads)
        saver = None
        if self.checkpoint is not None:
            problem = self._problem(source, rows, positive, negative, grows)
            saver = Saver(self.checkpoint, problem, f"{engine}, n_jobs={n_threads}", self)
            saver.restore_state()
        training: Training | None = None

        def task_with(eta0: float, copied: LinearState | None = None) -> Task:
            now = training.task.rows if training is not None else rows
            return make_task(options, copied or self._state, now, eta0=eta0, positive=positive, negative=negative)

        def search() -> None:
            task, weights = training.task, {"positive": positive, "negative": negative}
            start = task.schedule.eta0 if self._searched_at else 1.0
            found = search_eta0(task, options, self._state, weights, rng, kept, start)
            # the schedule goes on from here: eta at the present clock is what was tried
            task.schedule = make_schedule(options, found)
            self._searched_at = task.t

        def search_again() -> None:
            if training.task.t - self._searched_at >= self.search_every:
                training.runner.finish()
                search()

        def new_runner(task: Task, plan: Plan | None = None) -> Runner:
            sure = n_epochs if self.tol is None else min(n_epochs, self.n_iter_no_change + 1)
            copy_task = None if grows else lambda: task_with(task.schedule.eta0, self._state.copy())
            return make_runner(task, engine, n_threads, rng, n_epochs=sure, copy_task=copy_task, plan=plan)

        def grow(n_features: int) -> tuple[Task, Runner]:
            before = training.task
            self._state.t, self._state.penalty = before.t, before.penalty
            self._state = self._state.resized(max(n_features, 2 * before.n_features))
            task = task_with(before.schedule.eta0)
            task.schedule = before.schedule
            return task, new_runner(task)

        eta0 = getattr(self, "eta0_", self.eta0) if self.t_ > 1.0 and n_epochs == 1 and searches else self.eta0
        task = task_with(eta0)
        stopping = Stopping(
            tol=self.tol if n_epochs > 1 or self.early_stopping else None,
            patience=self.n_iter_no_change,
            penalty=lambda: (
                0.0 if options.learning_rate in ("pa1", "pa2") else penalty_value(options, self._state.coef)
            ),
            score=None if score is None else lambda: (self._publish(training.task), score())[1],
            adaptive=self.learning_rate == "adaptive",
        )
        with counted(n_threads), Reporter.of(self) as reporter:
            training = Training(
                task,
                None,
                source,
                n_epochs=n_epochs,
                shuffle=self.shuffle,
                rng=rng,
                stopping=stopping,
                epoch_decay=self.decay if self.learning_rate == "epoch_decay" else 1.0,
                callback=reporter.callback,
                publish=lambda: self._publish(training.task),
                before_slice=search_again if searches and self.search_every else None,
                grow=grow if grows else None,
                save=saver,
            )
            if searches and not getattr(self, "_searched_at", 0.0):
                self._searched_at = 0.0
                search()
            training.runner = new_runner(task, None if saver is None else saver.plan)
            if saver is not None:
                saver.restore_training(training)
            try:
                training.run()
            finally:
                outcome = training.outcome
                self.eta0_ = training.task.schedule.eta0
                self.n_threads_ = training.runner.n_threads
                self.engine_ = training.runner.describe()
                if hasattr(training.runner, "waits"):
                    self.n_waits_ = training.runner.waits
                self.n_iter_ = outcome.n_epochs
                self.loss_curve_ = (self.loss_curve_ if hasattr(self, "loss_curve_") else []) + outcome.losses
                self.progressive_curve_ = outcome.curve
                self.step_seconds_ = outcome.step_seconds
                if outcome.scores:
                    self.validation_scores_ = outcome.scores
                self._publish(training.task)
                training.runner.close()
        if outcome.interrupted:
            raise KeyboardInterrupt
        return outcome

    def _problem(
        self, source: Source, rows: Rows, positive: np.ndarray, negative: np.ndarray, grows: bool
    ) -> dict[str, Any]:
        """What a checkpoint's run and this one have to share."""
        state = self._state
        return {
            **{name: value for name, value in self._options()._asdict().items() if name != "eta0"},
            "loss": self.loss if isinstance(self.loss, str) else own_loss(*self.loss).name,
            "eta0": float(self.eta0),
            "shuffle": self.shuffle,
            "seed": self.random_state if isinstance(self.random_state, int | None) else "a RandomState",
            "n_rows": source.n_rows,
            "n_features": None if grows else len(state.coef),
            "n_columns": len(state.intercept),
            "dtype": str(state.coef.dtype),
            "classes": list(map(str, self.classes_)) if self._classifies else None,
            "class weights": [positive.tolist(), negative.tolist()],
            "digest of the labels": zlib.crc32(np.ascontiguousarray(rows.targets)),  # of the first block
        }

    def _fit_rows(self, X, y, targets, sample_weight, positive, negative, *, n_epochs: int, n_threads: int) -> None:
        """Run epochs over a matrix in memory."""
        rows, kept, score = as_rows(X, targets, sample_weight), NONE, None
        if self.early_stopping:
            kept, held_out = split_rows(self, y, sample_weight)
            weight = None if sample_weight is None else sample_weight[held_out]

            def score() -> float:
                return self.score(X[held_out], y[held_out], sample_weight=weight)

        if sample_weight is not None and not len(kept):
            kept = np.flatnonzero(rows.weights).astype(np.uint32)
            kept = NONE if len(kept) == len(rows.targets) else kept
        source = InMemory(rows, kept)
        n_threads = min(n_threads, max(1, source.n_rows // 256))
        self._train(source, rows, positive, negative, n_epochs=n_epochs, n_threads=n_threads, kept=kept, score=score)

    def _fit_cache(self, cache: Any, targets: Callable, positive: np.ndarray, negative: np.ndarray) -> None:
        """Run `max_iter` epochs over the blocks of a cache file; the state ends in the original numbering."""
        every = max(2, round(1 / self.validation_fraction)) if self.early_stopping else 0
        source, whole = CacheSource(cache, targets, every, bool(self.shuffle)), self._state
        if cache.numbering is not None:
            self._state = whole.gathered(cache.numbering)
            self._renumbered = whole, cache.numbering
        n_threads = threads_for(self.n_jobs, cache.n_rows)
        link = np.exp if self.loss == "poisson" else np.asarray
        score = None if not every else lambda: held_out_score(source.held_out(), self._state, self._classifies, link)
        try:
            first = source.first()
            self._train(source, first, positive, negative, n_epochs=self.max_iter, n_threads=n_threads, score=score)
        finally:
            if cache.numbering is not None:
                self._state = whole.scattered(cache.numbering, self._state)
                del self._renumbered
                self.coef_, self.intercept_ = self._weights()
            self.wait_seconds_ = source.wait_seconds

    def _fit_batches(self, source: StreamSource, positive: np.ndarray, negative: np.ndarray, n_epochs: int) -> None:
        """Run epochs over batches; the model grows as wide as their rows ask for."""
        n_threads, width = resolve_n_jobs(self.n_jobs), self.n_features_in_
        try:
            rows = source.first()
            self._train(source, rows, positive, negative, n_epochs=n_epochs, n_threads=n_threads, grows=True)
        finally:
            self._state = self._state.resized(max(width, source.widest))
            self.n_features_in_ = len(self._state.coef)
            self.coef_, self.intercept_ = self._weights()
            self.wait_seconds_ = source.wait_seconds

    def _warn_unconverged(self) -> None:
        if self.tol is not None and self.tol > -math.inf and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. "
                "Consider increasing max_iter to improve the fit.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if self.power_t < 0:
            warnings.warn(
                "Negative values for `power_t` are deprecated in version 1.8 and will raise an error in 1.10. "
                "Use values in the range [0.0, inf) instead.",
                FutureWarning,
                stacklevel=3,
            )

    def _check_opened(self, rows: Any, y: Any, sample_weight: Any) -> None:
        """Refuse what rows that `hogwild.data.open` returned cannot be fitted with."""
        for name, given in (("y", y), ("sample_weight", sample_weight)):
            if given is not None:
                raise ValueError(f"found {name} beside rows that bring their own, expected {name}=None")
        if self.early_stopping and not is_cache(rows):
            raise ValueError("early_stopping needs rows in memory or a cache file: other rows are read as they come")

    def _begin_fit(self) -> tuple[Any, Any]:
        """Forget an earlier fit; returns its weights where `warm_start` asks for them."""
        warm = (self.coef_, self.intercept_) if self.warm_start and hasattr(self, "coef_") else (None, None)
        for name in ("classes_", "loss_curve_", "progressive_curve_", "validation_scores_", "n_waits_", "_searched_at"):
            if hasattr(self, name):
                delattr(self, name)
        return warm

    def _check_weight(self, sample_weight: Any, X: Any) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, X, dtype=X.dtype, allow_all_zero_weights=self.early_stopping)

    def _to_sklearn(self, kind: type) -> Any:
        check_is_fitted(self)
        fitted = kind()
        ours = self.get_params()
        if "loss" in fitted.get_params() and ours["loss"] not in kind.loss_functions:
            raise ValueError(f"scikit-learn's {kind.__name__} has no loss {ours['loss']!r}")
        names = set(fitted.get_params())
        known = {"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"}
        values = {name: value for name, value in ours.items() if name in names}
        if "shuffle" in names:
            values["shuffle"] = bool(self.shuffle)
        if self.learning_rate not in known and "learning_rate" in names:
            values.update(learning_rate="constant", eta0=self.eta0_)
        fitted.set_params(**values)
        for name in ("coef_", "intercept_", "classes_", "n_features_in_", "feature_names_in_", "n_iter_", "t_"):
            if hasattr(self, name):
                value = getattr(self, name)
                setattr(fitted, name, value.copy() if hasattr(value, "copy") else value)
        return fitted

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
