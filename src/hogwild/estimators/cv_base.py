"""What SGDClassifierCV and SGDRegressorCV share: settings, passes over the rows, choice of the best."""

from __future__ import annotations

import warnings
from contextlib import suppress
from itertools import product
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from hogwild.engine.source import NONE
from hogwild.engine.training import DivergedError
from hogwild.estimators.base import MAX_INT, BaseSGD
from hogwild.estimators.cv_columns import ALL_ROWS, LEARNING_RATES, Columns, Group, Problem, passes_of
from hogwild.estimators.cv_folds import FoldedMatrix, FoldedSource, split_rows
from hogwild.estimators.cv_scores import held_out_scores
from hogwild.estimators.linear_task import LinearState, make_task, new_state
from hogwild.estimators.progress import Reporter
from hogwild.estimators.step_size import search_eta0
from hogwild.estimators.threads import counted, resolve_n_jobs
from hogwild.steps.rows import as_rows

LISTS = ("alpha", "epsilon", "eta0", "l1_ratio", "power_t", "quantile")  # parameters that may be lists


def _or_list(name: str) -> list:
    return [*BaseSGD._parameter_constraints[name], "array-like"]


class BaseSGDCV(BaseEstimator):
    """What both estimators share: settings, passes, choice."""

    _single: ClassVar[type]
    _fast: ClassVar[tuple[str, ...]]
    _parameter_constraints: ClassVar[dict] = {
        **{
            name: BaseSGD._parameter_constraints[name]
            for name in (
                "penalty",
                "fit_intercept",
                "max_iter",
                "shuffle",
                "verbose",
                "n_jobs",
                "random_state",
                "decay",
                "intercept_decay",
                "progress",
                "callback",
            )
        },
        **{name: _or_list(name) for name in LISTS if name in BaseSGD._parameter_constraints},
        "learning_rate": [StrOptions(set(LEARNING_RATES))],
        "cv": ["cv_object", Options(Integral, {0})],
        "scoring": [str, callable, None],
        "refit": ["boolean"],
    }

    # ------------------------------------------------------------------------------------------ settings

    def _settings(self) -> list[dict[str, Any]]:
        """All combinations of the lists, in the order of scikit-learn's ParameterGrid."""
        lists = {}
        for name in LISTS:
            value = getattr(self, name, 0.0)
            if np.ndim(value) == 0:
                continue
            if np.ndim(value) != 1 or not len(value):
                raise ValueError(f"found {name}={value!r}, expected a number or a list of numbers")
            lists[name] = [each.item() if isinstance(each, np.generic) else each for each in value]
            wrong = [each for each in lists[name] if not isinstance(each, Real) or isinstance(each, bool)]
            if wrong:
                raise ValueError(f"found {wrong[0]!r} in {name}, expected numbers")
        return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]

    def _estimator(self, setting: dict[str, Any]) -> Any:
        """Return the unfitted estimator of one setting."""
        names = set(self._single._get_param_names()) & set(self.get_params()) - {"callback", "progress", "verbose"}
        parameters = {name: getattr(self, name) for name in names} | setting
        return self._single(**parameters, tol=None)

    def _check_settings(self) -> list[Any]:
        """Return the unfitted estimators of all settings, checked."""
        self._params = self._settings()
        estimators = [self._estimator(setting) for setting in self._params]
        for estimator in estimators:
            estimator._validate_params()
            estimator._check_options(for_partial_fit=False)
        return estimators

    # ------------------------------------------------------------------------------------------ fitting

    def _fit_matrix(self, X: Any, y: np.ndarray, targets: np.ndarray, codes: Any, weight: Any, classes: Any) -> None:
        """Fit a matrix in memory; `classes` are the number of columns of one model and the class weights."""
        rows, kept = as_rows(X, targets, weight), np.empty(0, np.uint32)
        if weight is not None:
            kept = np.flatnonzero(rows.weights).astype(np.uint32)
            kept = kept[:0] if len(kept) == len(targets) else kept
        source = FoldedMatrix(rows, kept, split_rows(self.cv, X, y, codes, kept))
        self._fit_source(source, X.shape[1], classes, kept=kept, matrix=(X, y))

    def _fit_source(
        self,
        source: FoldedSource,
        n_features: int,
        classes: tuple[int, np.ndarray, np.ndarray],
        *,
        kept: np.ndarray = NONE,
        matrix: tuple[Any, np.ndarray] | None = None,
        cache: Any = None,
    ) -> None:
        """Run all settings and folds over the rows of `source`, choose, and set the fitted attributes."""
        self._cache, self._matrix = cache, matrix
        try:
            self._fit_groups(source, n_features, classes, kept)
        finally:  # a fitted estimator keeps no data alive
            del self._cache, self._matrix, self._estimators

    def _fit_groups(
        self, source: FoldedSource, n_features: int, classes: tuple[int, np.ndarray, np.ndarray], kept: np.ndarray
    ) -> None:
        estimators = self._estimators
        if self._matrix is None and self.scoring is not None and self.scoring not in self._fast:
            raise ValueError(f"found scoring={self.scoring!r}, expected one of {', '.join(self._fast)} for opened rows")
        if self.scoring == "neg_log_loss" and self.loss not in ("log_loss", "modified_huber"):
            raise ValueError(f"probability estimates are not available for loss={self.loss!r}: scoring is neg_log_loss")
        dtype = source.first().values.dtype
        seed = check_random_state(self.random_state).randint(MAX_INT)
        n_classes, positive, negative = classes
        options = [estimator._options() for estimator in estimators]
        problem = Problem(options, n_features, n_classes, dtype, positive, negative)
        rng_state = self._search(problem, source, kept, seed)
        settings = range(len(estimators))
        folded = [Group(s, f) for f in range(source.n_folds) for s in settings]
        whole = [Group(s, ALL_ROWS) for s in settings] if self.refit or not source.n_folds else []
        passes = passes_of(problem, [*whole, *folded])
        if len(passes) > 1 and source.n_folds:
            passes = passes_of(problem, folded)  # the best setting alone is fitted to all rows afterwards
            whole = []
        scores, losses, models = {}, {}, {}
        self.loss_curve_, self.n_passes_, self.wait_seconds_, self.seconds_ = [], 0, 0.0, 0.0
        interrupted = False
        for groups in passes:
            interrupted = self._run(problem, groups, source, rng_state, scores, losses, models, interrupted)
        missing = {Group(s, f): np.nan for f in range(source.n_folds) for s in settings}
        self._choose({**missing, **scores}, losses, models, source.n_folds)
        if self.refit and not models:
            best = Group(self.best_index_, ALL_ROWS)
            interrupted = self._run(problem, [best], source, rng_state, {}, {}, models, interrupted)
            if best not in models:
                if interrupted:
                    raise KeyboardInterrupt
                raise DivergedError(
                    f"Floating-point under-/overflow occurred when the best setting, {self.best_params_}, was fitted "
                    "to all rows: a smaller eta0 or scaled data might help."
                )
        if self.refit:
            self._set_best(problem, models[Group(self.best_index_, ALL_ROWS)], n_features)
        self.n_threads_ = min(resolve_n_jobs(self.n_jobs), len(folded) + len(whole))
        if interrupted:
            raise KeyboardInterrupt

    def _run(self, problem, groups, source, rng_state, scores, losses, models, interrupted) -> bool:
        """Run one pass over the epochs, and score what it left out; returns whether Ctrl-C came, now or before."""
        if interrupted:
            return True
        n_threads = min(resolve_n_jobs(self.n_jobs), len(groups))
        columns = Columns(problem, groups, n_threads)
        rng = np.random.default_rng()
        rng.bit_generator.state = rng_state
        with counted(n_threads), Reporter.of(self) as reporter:
            training = columns.training(
                source,
                rng,
                n_epochs=self.max_iter,
                shuffle=self.shuffle,
                epoch_decay=self.decay if self.learning_rate == "epoch_decay" else 1.0,
                callback=reporter.callback,
            )
            with suppress(DivergedError):  # every column of this pass: the others may have better step sizes
                training.run()
                columns.runner.close()
        outcome = training.outcome
        self.n_passes_, self.n_iter_ = self.n_passes_ + 1, outcome.n_epochs
        self.loss_curve_, self.seconds_ = outcome.losses, self.seconds_ + outcome.seconds
        self.n_rows_ = training.position.rows // max(1, outcome.n_epochs)
        first = training.first_losses if training.first_losses is not None else columns.runner.losses
        losses.update(zip(groups, (first / max(1, self.n_rows_)).tolist(), strict=True))
        losses.update({group: np.nan for group in groups if columns.diverged(group)})
        if any(group.fold != ALL_ROWS for group in groups):
            scores.update(self._score_columns(columns, source))
        for group in groups:
            if group.fold == ALL_ROWS and not columns.diverged(group):
                models[group] = (columns, outcome)
        self._finished(columns)
        return outcome.interrupted

    def _finished(self, columns: Columns) -> None:
        """Look at the columns of a pass."""

    def _search(self, problem: Problem, source: FoldedSource, kept: np.ndarray, seed: int) -> dict:
        """Find eta0 of each setting for ``"search"``; returns the state of the random numbers before the epochs."""
        rng = np.random.default_rng(seed)
        if self.learning_rate != "search":
            return rng.bit_generator.state
        start = rng.bit_generator.state
        for s, options in enumerate(problem.options):
            rng.bit_generator.state = start

            state = new_state(options, problem.n_features, problem.n_classes, problem.dtype)
            weights = {"positive": problem.positive, "negative": problem.negative}
            task = make_task(options, state, source.first(), eta0=options.eta0, **weights)
            found = search_eta0(task, options, state, weights, rng, kept)
            problem.options[s] = options._replace(eta0=found)
        return rng.bit_generator.state

    # ------------------------------------------------------------------------------------------ scores and choice

    def _score_columns(self, columns: Columns, source: FoldedSource) -> dict[Group, float]:
        scoring = self.scoring or self._fast[0]
        if isinstance(scoring, str) and scoring in self._fast:
            return held_out_scores(columns, source, scoring, self.loss)
        X, y = self._matrix
        found = {}
        ((_, held),) = source.held_out()
        for group in columns.groups:
            if group.fold == ALL_ROWS:
                continue
            found[group] = np.nan
            if not columns.diverged(group):
                fitted = self._fitted(columns, group)
                chosen = held(group.fold)
                found[group] = float(check_scoring(fitted, scoring)(fitted, X[chosen], y[chosen]))
        return found

    def _choose(self, scores: dict, losses: dict, models: dict, n_folds: int) -> None:
        """Fill the table of results and choose the best setting."""
        n = len(self._params)
        if n_folds:
            table = np.array([[scores[Group(s, f)] for f in range(n_folds)] for s in range(n)])
        else:
            table = -np.array([[losses[Group(s, ALL_ROWS)]] for s in range(n)])
        mean = table.mean(axis=1)
        usable = np.isfinite(mean)
        if self.refit and models:
            usable &= [Group(s, ALL_ROWS) in models for s in range(n)]
        ranked = np.where(np.isfinite(mean), mean, -np.inf)
        results: dict[str, Any] = {
            f"param_{name}": np.ma.MaskedArray([setting[name] for setting in self._params], mask=False)
            for name in self._params[0]
        }
        results["params"] = self._params
        results.update({f"split{f}_test_score": table[:, f] for f in range(table.shape[1])})
        results["mean_test_score"], results["std_test_score"] = mean, table.std(axis=1)
        results["rank_test_score"] = rankdata(-ranked, method="min").astype(np.int32)
        self.cv_results_, self.n_splits_ = results, n_folds
        if not usable.any():
            raise DivergedError(
                "Floating-point under-/overflow occurred with every setting: the step sizes (eta0) are too large for "
                "these data. Scaling input data with StandardScaler or MinMaxScaler might help, or a smaller eta0."
            )
        if not usable.all():
            which = "; ".join(str(self._params[s]) for s in np.flatnonzero(~usable)[:5])
            warnings.warn(
                f"{int((~usable).sum())} of {n} settings diverged and have no score: {which}",
                ConvergenceWarning,
                stacklevel=5,
            )
        self.best_index_ = int(np.argmax(np.where(usable, mean, -np.inf)))
        self.best_params_, self.best_score_ = self._params[self.best_index_], float(mean[self.best_index_])

    # ------------------------------------------------------------------------------------------ models

    def _fitted(self, columns: Columns, group: Group) -> Any:
        """Return the estimator of one setting and fold."""
        state, estimator = columns.state(group), self._estimator(self._params[group.setting])
        if self._cache is not None and self._cache.numbering is not None:
            options = columns.problem.options[group.setting]
            whole = new_state(options, self._cache.n_features, columns.problem.n_classes, columns.problem.dtype)
            state = whole.scattered(self._cache.numbering, state)
        return self._take_over(estimator, state, columns.problem.options[group.setting].eta0)

    def _take_over(self, estimator: Any, state: LinearState, eta0: float) -> Any:
        estimator._state, estimator.t_ = state, state.t
        for name in ("classes_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        estimator.n_features_in_ = len(state.coef)
        estimator.coef_, estimator.intercept_ = estimator._weights()
        estimator.eta0_, estimator.n_iter_, estimator.n_threads_ = eta0, self.n_iter_, 1
        if self.learning_rate == "search":
            estimator._searched_at = state.t
        return estimator

    def _set_best(self, problem: Problem, model: Any, n_features: int) -> None:
        columns, outcome = model
        group = Group(self.best_index_, ALL_ROWS)
        best = self._fitted(columns, group)
        best.engine_, best.step_seconds_ = columns.runner.describe(), outcome.step_seconds
        best.loss_curve_, best.progressive_curve_ = list(outcome.losses), [list(point) for point in outcome.curve]
        self.best_estimator_, self.coef_, self.intercept_ = best, best.coef_, best.intercept_
        self.n_features_in_ = best.n_features_in_

    def _best(self) -> Any:
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    def predict(self, X):
        """Predict with the best setting, fitted to all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._best().predict(X)

    def score(self, X, y, sample_weight=None):
        """Score the best setting: by `scoring`, or accuracy / R^2.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        best = self._best()
        if self.scoring is None:
            return best.score(X, y, sample_weight=sample_weight)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return check_scoring(best, self.scoring)(best, X, y, **weights)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


__all__ = ["LISTS", "BaseSGDCV"]
