"""What LinearSVC, LinearSVR, LogisticRegression and Ridge share: problems in dual form, threads, fitted attributes."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from hogwild.compiled import aligned_zeros
from hogwild.engine.dual import SHORT, DualOutcome, DualTraining, dual_task
from hogwild.engine.engines import Engine, Replicas, Sequential, Simulated, resolve_engine
from hogwild.engine.pool import thread_pool
from hogwild.engine.source import NONE
from hogwild.engine.training import deferred_interrupt
from hogwild.estimators.labels import encode
from hogwild.estimators.progress import Reporter
from hogwild.estimators.threads import counted, threads_for
from hogwild.estimators.validation import check_matrix
from hogwild.steps.dual import Dual, DualSettings
from hogwild.steps.dual_losses import EPSILON, HINGE, KINDS, LOGISTIC, SQUARED_EPSILON, SQUARED_HINGE
from hogwild.steps.dual_multiclass import DualMulticlass
from hogwild.steps.rows import Rows, as_rows

LARGE = 1 << 20  # bytes of weights beyond which they are prefetched row by row

SAMPLED_FROM = 8192  # rows from which on one in eight tells a logistic gap well enough


class Problem(NamedTuple):
    """One dual problem over the rows of a fit.

    Attributes
    ----------
    targets : ndarray, shape (n_rows,)
    positive, negative : float
        C of rows with a positive target and of the others.
    """

    targets: np.ndarray
    positive: float
    negative: float


class Solution(NamedTuple):
    """Weights of a solved problem, its signed duals, and how it went."""

    coef: np.ndarray
    intercept: np.ndarray
    duals: np.ndarray
    outcome: DualOutcome


class Shift(NamedTuple):
    """What stands beside the features: the constant K, each row's product with the mean, and the mean itself."""

    constant: float = 0.0
    centres: np.ndarray | None = None
    mean: np.ndarray | None = None


def as_engine(engine: str | Engine, n_threads: int) -> Engine:
    """Return the engine of a dual solver: deltas are added whole, all weights are replicated."""
    found = resolve_engine(engine, n_threads)
    if isinstance(found, Replicas | Simulated):
        if found.head is not None:
            raise ValueError(f"dual solvers replicate all weights, expected head=None, found head={found.head!r}")
        return replace(found, merge="sum")
    if isinstance(found, Sequential):
        return found
    raise ValueError(
        f"engine={engine!r} lets threads race on the weights, which would part them from the duals: "
        'expected "auto", "replicas", "sequential", or a Replicas, Simulated or Sequential object'
    )


class BaseDual(SparseCoefMixin, BaseEstimator):
    """Parameters, the call of the solver and the fitted attributes of the dual estimators."""

    _loss_name: ClassVar[str]
    _parameter_constraints: ClassVar[dict] = {
        "tol": [Interval(Real, 0.0, None, closed="neither")],
        "fit_intercept": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "engine": [StrOptions({"auto", "sequential", "replicas", "shared", "atomic"}), *Engine.__args__],
        "shrinking": ["boolean"],
        "progress": ["boolean"],
        "callback": [callable, None],
    }

    # ------------------------------------------------------------------------------------------ input

    def _check_input(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, Any, int]:
        """Return matrix, targets, row weights of X's dtype (or None), and the number of threads."""
        n_threads = threads_for(self.n_jobs, X.shape[0] if hasattr(X, "shape") and X.shape else 0)
        X, y = check_matrix(self, X, y, reset=True, n_threads=n_threads, **options)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
            if (sample_weight == sample_weight[0]).all() and sample_weight[0] == 1:
                sample_weight = None
        return X, y, sample_weight, n_threads

    def _class_problems(self, y: np.ndarray, dtype: Any, C: float) -> tuple[np.ndarray, list[Problem]]:
        """Set `classes_`; returns the class number of each row, and the problems, one for each class if over two."""
        codes, weights = self._classes_of(y)
        if len(self.classes_) == 2:
            return codes, [Problem(_signs(codes, 1, dtype), C * weights[1], C * weights[0])]
        return codes, [Problem(_signs(codes, k, dtype), C * weights[k], C) for k in range(len(self.classes_))]

    def _classes_of(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Set `classes_`; returns the class number of each row, and the weight of each class."""
        self.classes_, codes = encode(y)
        if len(self.classes_) < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
                f"{self.classes_[0]!r}"
            )
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y) if self.class_weight else None
        return codes, np.ones(len(self.classes_)) if weights is None else weights

    def _constant(self) -> Shift:
        """Return the constant feature of an intercept that is penalised like a weight."""
        if not self.fit_intercept:
            return Shift()
        if self.intercept_scaling <= 0:
            raise ValueError(
                f"Intercept scaling is {self.intercept_scaling!r} but needs to be greater than 0. To disable fitting "
                "an intercept, set fit_intercept=False."
            )
        return Shift(float(self.intercept_scaling) ** 2)

    # ------------------------------------------------------------------------------------------ solving

    def _solve(
        self,
        X: np.ndarray | sp.csr_matrix,
        problems: Sequence[Problem],
        sample_weight: np.ndarray | None,
        n_threads: int,
        *,
        loss: str,
        epsilon: float = 0.0,
        shift: Shift | None = None,
        scale: float | np.ndarray = 1.0,
        costs: np.ndarray | None = None,
    ) -> list[Solution]:
        """Solve the problems and set the fitted attributes that all estimators have.

        With as many problems as threads or more, each thread solves whole problems; the result is then that of one
        thread. `scale` is what the solver's objective is multiplied by in `objective_` and `dual_gap_`; with `costs`,
        the C of each class, there is one problem over all classes.
        """
        kind, shift = KINDS[loss], shift or Shift()
        as_engine(self.engine, 2)
        rows, kept = as_rows(X, problems[0].targets, sample_weight), NONE
        if sample_weight is not None:
            kept = np.flatnonzero(sample_weight).astype(np.uint32)
            if not len(kept):
                raise ValueError("found no row of weight above 0, expected at least one")
            kept = NONE if len(kept) == len(sample_weight) else kept
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        seeds = [np.random.default_rng([seed, k]) for k in range(len(problems))]
        apart = 1 < n_threads <= len(problems)
        engine = as_engine(self.engine, 1 if apart else n_threads)
        if self.engine == "auto" and (X.nnz if sp.issparse(X) else X.size) < SHORT and not apart:
            n_threads, engine = 1, Sequential()
        norms = np.full(X.shape[0], -1, X.dtype)
        shrinks = (
            costs is None
            and self.shrinking
            and (kind in (HINGE, SQUARED_HINGE, EPSILON) or (kind == SQUARED_EPSILON and epsilon))
        )

        def solve(k: int, interrupted: Callable[[], bool], callback: Callable | None) -> Solution:
            model = make_dual(rows, problems[k], kind, epsilon, shift, norms, bool(shrinks), X.shape[1])
            if costs is not None:
                model = as_multiclass(model, costs)
            training = DualTraining(
                dual_task(rows._replace(targets=problems[k].targets), model, X.shape[1]),
                engine,
                1 if apart else n_threads,
                kept=kept,
                n_epochs=self.max_iter if self.max_iter is not None else 1000,
                tol=self.tol,
                shrinks=bool(shrinks),
                rng=seeds[k],
                interrupted=interrupted,
                callback=callback,
                spares_threads=self.engine == "auto",
            )
            outcome = training.run()
            self.engine_ = training.runner.describe()
            coef, sums = model.coef, model.intercept
            if shift.centres is not None:
                coef -= (float(sums[0]) * shift.mean).astype(coef.dtype)
            intercept = (sums[0].astype(np.float64) * shift.constant).astype(X.dtype)
            return Solution(coef, intercept, model.duals, outcome)

        with counted(n_threads), Reporter.of(self) as reporter, deferred_interrupt() as interrupted:
            solutions = _solve_all(solve, len(problems), n_threads if apart else 1, interrupted, reporter.callback)
        self.n_threads_ = n_threads
        self._record([solution.outcome for solution in solutions], scale)
        return solutions

    def _record(self, outcomes: list[DualOutcome], scale: float | np.ndarray) -> None:
        """Set the attributes that say how the fit went."""
        single = len(outcomes) == 1
        gaps = scale * np.array([outcome.measured.gap for outcome in outcomes])
        objectives = scale * np.array([outcome.measured.primal for outcome in outcomes])
        self.dual_gap_ = float(gaps[0]) if single else gaps
        self.objective_ = float(objectives[0]) if single else objectives
        self.gap_curve_ = outcomes[0].curve if single else [outcome.curve for outcome in outcomes]
        self.n_iter_ = max(outcome.n_epochs for outcome in outcomes)
        self._interrupted = any(outcome.interrupted for outcome in outcomes)
        self._converged = all(outcome.converged for outcome in outcomes)

    def _finish(self) -> None:
        """End a fit whose attributes are set: with Ctrl-C, an error or a warning where it did not go well."""
        gaps, objectives = np.atleast_1d(self.dual_gap_), np.atleast_1d(self.objective_)
        interrupted, converged = self._interrupted, self._converged
        del self._interrupted, self._converged
        if interrupted:
            raise KeyboardInterrupt
        if not np.isfinite(self.coef_).all() or not np.isfinite(gaps).all():
            raise ValueError(
                "Floating-point under-/overflow occurred: the weights are not finite. Scaling input data with "
                "StandardScaler or MaxAbsScaler might help, or a smaller C (a larger alpha)."
            )
        if not converged:
            worst = float(np.max(gaps / np.maximum(objectives, 1e-300)))
            warnings.warn(
                f"{type(self).__name__} did not converge: after {self.n_iter_} epochs the duality gap is {worst:.1e} "
                f"of the objective, expected at most tol={self.tol:g}. Increase max_iter, scale the features "
                "(StandardScaler, MaxAbsScaler), penalise more (a smaller C, a larger alpha)"
                + (", use float64" if self.coef_.dtype == np.float32 and self.tol < 1e-5 else "")
                + " or accept a larger tol.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _set_support(self, solutions: Sequence[Solution]) -> None:
        """Set `support_`, `dual_coef_` and `margin_`."""
        duals = np.stack([solution.duals for solution in solutions]) if len(solutions) > 1 else solutions[0].duals[None]
        self.support_ = np.flatnonzero((duals != 0).any(axis=0)).astype(np.int32)
        self.dual_coef_ = duals[:, self.support_]
        with np.errstate(divide="ignore"):
            margins = 1.0 / np.array([np.linalg.norm(solution.coef) for solution in solutions])
        self.margin_ = float(margins[0]) if len(solutions) == 1 else margins

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _signs(codes: np.ndarray, k: int, dtype: Any) -> np.ndarray:
    return np.where(codes == k, dtype.type(1), dtype.type(-1))


def make_dual(
    rows: Rows,
    problem: Problem,
    kind: int,
    epsilon: float,
    shift: Shift,
    norms: np.ndarray,
    shrinks: bool,
    n_features: int,
) -> Dual:
    """Allocate a problem's weights and duals, all zero; `norms` may be shared by problems over the same rows."""
    n, dtype = len(rows.targets), rows.values.dtype
    settings = DualSettings(
        kind,
        float(epsilon),
        float(problem.positive),
        float(problem.negative),
        float(shift.constant),
        shift.constant != 0 or shift.centres is not None,
        kind == LOGISTIC and n >= SAMPLED_FROM,
        n_features * dtype.itemsize > LARGE,
        lazy=True,
        lazy_intercept=True,
        penalised=False,
        averaged=False,
    )
    return Dual(
        aligned_zeros(n_features, dtype),
        aligned_zeros(2, dtype),
        aligned_zeros(n, dtype),
        np.ascontiguousarray(problem.targets, dtype),
        norms,
        np.empty(0, dtype) if shift.centres is None else np.ascontiguousarray(shift.centres, dtype),
        aligned_zeros(n if shrinks else 0, dtype),
        np.ones(1),
        settings,
    )


def as_multiclass(model: Dual, costs: np.ndarray) -> DualMulticlass:
    """Allocate the problem of all classes at once."""
    (n_features,), (n,), dtype = model.coef.shape, model.duals.shape, model.coef.dtype
    return DualMulticlass(
        aligned_zeros((n_features, len(costs)), dtype),
        aligned_zeros((2, len(costs)), dtype),
        aligned_zeros((n, len(costs)), dtype),
        model.targets,
        model.norms,
        np.ascontiguousarray(costs, np.float64),
        model.safety,
        model.settings,
    )


def _solve_all(
    solve: Callable, n_problems: int, n_threads: int, interrupted: Callable[[], bool], callback: Callable | None
) -> list[Solution]:
    """Solve the problems, each on one of `n_threads`; the callback is never called by two at once."""
    if n_threads == 1:
        return [solve(k, interrupted, callback) for k in range(n_problems)]
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for k in range(n_problems):
        waiting.put(k)
    solutions: list = [None] * n_problems
    lock, stopped = threading.Lock(), threading.Event()

    def tell(progress: Any) -> bool:
        with lock:
            if not stopped.is_set() and callback(progress):
                stopped.set()
            return stopped.is_set()

    def work() -> None:
        while True:
            try:
                k = waiting.get_nowait()
            except queue.Empty:
                return
            solutions[k] = solve(k, interrupted, tell if callback is not None else None)

    thread_pool().run(work, [()] * n_threads)
    return solutions
