"""From what a user hands over, an estimator and rows in any form, to a problem and a source."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from hogwild.cluster.workloads.linear import LinearProblem
from hogwild.cluster.workloads.machines import FfmProblem, FmProblem
from hogwild.cluster.workloads.problem import Problem, bare
from hogwild.cluster.workloads.sources import ArraySource, Source
from hogwild.cluster.workloads.survey import Survey
from hogwild.data.field_rows import FieldRows
from hogwild.engine.order import choose_shuffle
from hogwild.engine.source import NONE
from hogwild.estimators.base import MAX_INT
from hogwild.estimators.classifier import SGDClassifier
from hogwild.estimators.ffm import FFMClassifier, FFMRegressor
from hogwild.estimators.fm import FMClassifier, FMRegressor
from hogwild.estimators.linear_svc import LinearSVC
from hogwild.estimators.linear_svr import LinearSVR
from hogwild.estimators.logistic_regression import LogisticRegression
from hogwild.estimators.matrix_factorization import MatrixFactorization
from hogwild.estimators.regressor import SGDRegressor
from hogwild.estimators.ridge import Ridge
from hogwild.estimators.step_size import search_eta0
from hogwild.estimators.validation import check_matrix

PROBLEMS: dict[type, type[Problem]] = {
    SGDClassifier: LinearProblem,
    SGDRegressor: LinearProblem,
    FMClassifier: FmProblem,
    FMRegressor: FmProblem,
    FFMClassifier: FfmProblem,
    FFMRegressor: FfmProblem,
}
_DUAL = {LinearSVC: "hinge", LogisticRegression: "log_loss", LinearSVR: "epsilon_insensitive", Ridge: "squared_error"}


def check_estimator(estimator: Any) -> None:
    """Refuse estimators that do not run on a cluster.

    Raises
    ------
    TypeError
        That names one that does.
    """
    for kind, loss in _DUAL.items():
        if isinstance(estimator, kind):
            peer = "SGDRegressor" if kind in (LinearSVR, Ridge) else "SGDClassifier"
            raise TypeError(
                f"{kind.__name__} keeps a dual variable for each row, which a chunk that is leased again would lose or "
                f"double; on a cluster use {peer}(loss={loss!r})"
            )
    if type(estimator) not in PROBLEMS and not isinstance(estimator, MatrixFactorization):
        names = ", ".join(kind.__name__ for kind in (*PROBLEMS, MatrixFactorization))
        raise TypeError(f"found {type(estimator).__name__}, expected one of {names}")


def make_problem(estimator: BaseEstimator, survey: Survey, source: Source, *, merge: str = "self-tuned") -> Problem:
    """Make the problem of an estimator and the rows of a source.

    ``learning_rate="search"`` looks for its step size here, on rows of the first chunk.

    Raises
    ------
    TypeError, ValueError
        For an estimator, parameters or labels that a cluster does not train.
    """
    check_estimator(estimator)
    if isinstance(estimator, MatrixFactorization):
        raise TypeError("MatrixFactorization takes users and items: read_ratings makes its problem and its source")
    kind = PROBLEMS[type(estimator)]
    if kind is not LinearProblem:
        return kind(estimator, survey, merge)
    X = getattr(source, "X", None)
    dtype = X.dtype if X is not None and getattr(X, "dtype", None) in (np.float32, np.float64) else np.float32
    problem = LinearProblem(estimator, survey, merge, dtype)
    if estimator.learning_rate == "search":
        _search(problem, source, survey)
    return problem


def _search(problem: LinearProblem, source: Source, survey: Survey) -> None:
    from hogwild.cluster.workloads.loading import Loader

    loader = Loader(problem, source, 0)
    held = loader.get(source.chunks(survey, 1)[0])
    loader.close()
    n = problem.n_features if source.numbering is None else len(source.numbering)
    state = problem._state(n)
    task = problem.task(state.named(), held.rows)
    rng = np.random.default_rng(check_random_state(problem.estimator.random_state).randint(MAX_INT))
    weights = {"positive": problem.positive, "negative": problem.negative}
    problem.eta0 = search_eta0(task, problem.options._replace(penalty=_l2_part(problem)), state, weights, rng, NONE)


def _l2_part(problem: LinearProblem) -> str | None:
    # what it tries has no room for the L1 penalty that shards apply
    return "l2" if problem.options.penalty in ("l2", "elasticnet") else None


def read_matrix(estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any = None) -> ArraySource:
    """Check rows in memory as `fit` does; they are put in a random order where blocks of them would not do.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    X : array-like, sparse matrix or FieldRows
    y : array-like
    sample_weight : array-like, optional
    """
    check_estimator(estimator)
    shell = bare(estimator)
    if isinstance(shell, SGDClassifier | SGDRegressor):
        X, y = check_matrix(shell, X, y, reset=True)
        if isinstance(shell, SGDRegressor):
            y = y.astype(X.dtype, copy=False)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=X.dtype)
    else:
        if not isinstance(X, FieldRows) and isinstance(shell, FFMClassifier | FFMRegressor):
            X, y = check_matrix(shell, X, y, reset=True, dtype=np.float32, y_numeric=not shell._classifies)
        else:
            X, y = shell._check_data(X, y, reset=True)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, y, dtype=np.float32, ensure_non_negative=True)
    y = np.asarray(y)
    return ArraySource(X, y, weights, _order(estimator, y, weights))


def _order(estimator: BaseEstimator, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
    """Draw an order of all rows where they are sorted by their labels, or a full shuffle is asked for."""
    shuffle = estimator.shuffle
    if shuffle is True:
        numbers = y.astype(np.float64) if y.dtype.kind in "biuf" else np.unique(y, return_inverse=True)[1]
        # as if there were many: few rows are shuffled in full within a chunk, which does not mix chunks
        shuffle = choose_shuffle(True, np.tile(numbers, -(-65_536 // max(1, len(y)))))
    if shuffle != "full":
        return None
    seed = check_random_state(estimator.random_state).randint(MAX_INT)
    kept = np.arange(len(y), dtype=np.uint32) if weights is None else np.flatnonzero(weights).astype(np.uint32)
    return np.random.default_rng(seed).permutation(kept)


__all__ = ["check_estimator", "make_problem", "read_matrix"]
