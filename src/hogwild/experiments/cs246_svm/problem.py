"""The problem that all solvers get: documents, one objective, one treatment of the intercept, one clock."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from hogwild import SGDClassifier
from hogwild.experiments.findings import Setting
from hogwild.experiments.text_rows import load_documents

LAMBDA = 1e-4  # as in Bottou's tests
MANY = 50_000  # rows from which on lambda times their number is well above 1
CONSTANT = 0.1  # in the last column, whose weight is b / CONSTANT: b moves a hundredth as far, as in Bottou's programs


class Problem(NamedTuple):
    """Rows to train and to test on, float64, with the constant column last; labels are -1 and 1."""

    X: sp.csr_matrix
    y: np.ndarray
    X_test: sp.csr_matrix
    y_test: np.ndarray
    about: str
    strength: float = LAMBDA

    @property
    def n_rows(self) -> int:
        """Rows to train on."""
        return self.X.shape[0]

    @property
    def many(self) -> bool:
        """Whether there are as many rows as the claims are about."""
        return self.n_rows >= MANY

    @property
    def C(self) -> float:  # noqa: N802
        """The same strength as a weight of the losses."""
        return 1.0 / (self.strength * self.n_rows)

    def first(self, n_rows: int) -> Problem:
        """Return the problem of the first rows; the test rows stay."""
        return self._replace(X=self.X[:n_rows], y=self.y[:n_rows])

    def margins(self, coef: np.ndarray) -> np.ndarray:
        """Return y (w.x + b) of every row to train on."""
        return self.y * (self.X @ np.asarray(coef, np.float64).ravel())

    def objective(self, coef: np.ndarray, squared: bool = False) -> float:
        """Return J: lambda / 2 |(w, b / CONSTANT)|^2 plus the mean hinge (or its square)."""
        losses = np.maximum(0.0, 1.0 - self.margins(coef))
        # no product by BLAS: its threads would spin into the next fit
        penalty = self.strength / 2 * float(np.square(np.asarray(coef, np.float64)).sum())
        return penalty + float((np.square(losses) if squared else losses).mean())

    def slope(self, coef: np.ndarray) -> tuple[float, np.ndarray]:
        """Return J with the squared hinge, and its gradient."""
        losses = np.maximum(0.0, 1.0 - self.margins(coef))
        value = self.strength / 2 * float(np.square(coef).sum()) + float(np.square(losses).mean())
        return value, self.strength * coef + self.X.T @ (losses * self.y * (-2.0 / self.n_rows))

    def test_error(self, coef: np.ndarray) -> float:
        """Return the share of test rows on the wrong side."""
        scores = self.X_test @ np.asarray(coef, np.float64).ravel()
        return float(np.mean(np.where(scores > 0, 1, -1) != self.y_test))

    def sgd(self, **settings: Any) -> SGDClassifier:
        """Return SGD that minimises J, one thread and a fixed number of epochs unless told otherwise."""
        chosen = {"alpha": self.strength, "fit_intercept": False, "tol": None, "random_state": 0, **settings}
        return SGDClassifier(**chosen)


def load(setting: Setting) -> Problem:
    """Make or read the documents; real ones are shuffled, so that the first rows are a fair sample."""
    X, y, X_test, y_test, about = load_documents(setting)
    if setting.data:
        order = np.random.default_rng(setting.seed).permutation(len(y))
        X, y = X[order], y[order]
    return Problem(_widened(X), np.asarray(y, np.float64), _widened(X_test), y_test, about)


def _widened(X: sp.csr_matrix) -> sp.csr_matrix:
    """Copy to float64 with the constant column."""
    column = sp.csr_matrix(np.full((X.shape[0], 1), CONSTANT))
    return sp.hstack([X.astype(np.float64), column], format="csr")


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """Run `work`; returns its time and what it returned."""
    with unconverged():
        began = time.perf_counter()
        result = work()
        return time.perf_counter() - began, result


def median_of(make: Callable[[], Any], problem: Problem, repeat: int = 3) -> tuple[float, Any]:
    """Fit what `make` returns, several times; returns the median time and the last fit."""
    runs = [seconds_of(lambda: make().fit(problem.X, problem.y)) for _ in range(repeat)]
    return float(np.median([seconds for seconds, _ in runs])), runs[-1][1]


@contextmanager
def unconverged() -> Iterator[None]:
    """Solvers are stopped early on purpose here: let them not complain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


class Trace:
    """Callback of an estimator: its weights after each epoch and the time so far, without what is spent here."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.weights: list[np.ndarray] = []
        self._spent = 0.0
        self._began = 0.0

    def fit(self, model: SGDClassifier, problem: Problem) -> Trace:
        """Fit a model and write down where it is after each epoch."""

        def note(progress: Any) -> None:
            now = time.perf_counter()
            if progress.epoch_ended:
                self.seconds.append(now - self._began - self._spent)
                self.weights.append(model.coef_.ravel().copy())
            self._spent += time.perf_counter() - now

        model.set_params(callback=note)
        self._began = time.perf_counter()
        with unconverged():
            model.fit(problem.X, problem.y)
        return self

    def descend(self, minimise: Callable[[Callable], Any]) -> Trace:
        """Run one of scipy's minimisers, which calls what it is given with its weights after each iteration."""

        def note(weights: np.ndarray) -> None:
            now = time.perf_counter()
            self.seconds.append(now - self._began - self._spent)
            self.weights.append(weights.copy())
            self._spent += time.perf_counter() - now

        with threadpool_limits(1, user_api="blas"):  # its threads would spin between short products
            self._began = time.perf_counter()
            minimise(note)
        return self


def median_trace(traces: list[Trace]) -> Trace:
    """Return the first of several runs that went through the same weights, with the median times of all."""
    traces[0].seconds = np.median([trace.seconds for trace in traces], axis=0).tolist()
    return traces[0]
