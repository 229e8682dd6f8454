"""Timing on a machine that may be doing other things: what counts are the moments when all threads really ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hogwild.engine.training import Progress

Point = tuple[float, float, int]  # seconds, processor seconds of all threads, rows so far
TIMED_ROWS = 20_000  # an epoch of these is a millisecond or two: short enough to pass between other programs' turns
N_EPOCHS, ROUNDS = 40, 60  # of each round; most rounds
SECONDS, PATIENT = 3.0, 12.0  # when no further round begins; the same where a statement hangs on it
TOGETHER, ENOUGH, LEAST = 0.6, 40, 1
HOW = (
    "nanoseconds a nonzero: processor time of all threads divided by their number, which is the wall clock's time "
    f"where nothing else runs; the median of epochs over {TIMED_ROWS:,} rows with all threads at work"
)


class Rate(NamedTuple):
    """What an estimator's steps take.

    Attributes
    ----------
    ns : float
        Nanoseconds a nonzero.
    undisturbed : bool
        Whether slices were seen in which all threads ran at the same time.
    """

    ns: float
    undisturbed: bool


def faster(one: Rate, other: Rate) -> bool | None:
    """Whether `one` is faster than `other` by more than a twentieth; None where other programs left no way to tell."""
    return 1.05 * one.ns < other.ns if one.undisturbed and other.undisturbed else None


def slice_costs(points: list[Point]) -> np.ndarray:
    """Processor seconds a row, and processor seconds a second, of the slices between points, as two columns.

    The first slice has the start of the fit in it and is left out, as are slices far shorter than the longest.

    Examples
    --------
    >>> slice_costs([(0.0, 0.0, 1), (2.0, 4.0, 101), (5.0, 7.0, 201), (5.5, 8.0, 211)])
    array([[0.04, 2.  ],
           [0.03, 1.  ]])
    """
    seconds, used, rows = np.diff(np.asarray(points, float), axis=0).T
    long = rows >= 0.5 * rows.max()
    return np.stack([used[long] / rows[long], used[long] / seconds[long]], axis=1)


def typical_cost(costs: np.ndarray, n_threads: int) -> float:
    """Return the median of the processor seconds a row, over the slices in which all threads ran at the same time.

    Where these are few, the machine is crowded: then over the quarter of the slices whose threads ran most.
    """
    order = np.argsort(-costs[:, 1], kind="stable")
    kept = max(together(costs, n_threads), round(0.25 * len(costs)), 1)
    return float(np.median(costs[order[:kept], 0]))


def together(costs: np.ndarray, n_threads: int) -> int:
    """Return the number of slices in most of which all threads ran at the same time."""
    return int((costs[:, 1] >= TOGETHER * n_threads).sum())


def fit_rates(
    makers: Mapping[str, Callable[[], Any]], X: Any, y: np.ndarray, patience: float = SECONDS
) -> dict[str, Rate]:
    """Measure nanoseconds a nonzero of estimators, fitted in turn until enough of their slices ran undisturbed.

    A slice is what runs between two calls of a callback: here an epoch. Its time is the processor time of all threads
    divided by their number: other programs' turns on the cores are no part of it.

    Parameters
    ----------
    makers : mapping of str to callable
        Name: makes the estimator, anew for each round.
    X : scipy.sparse.csr_matrix
        Of more rows than `TIMED_ROWS`, the first are used.
    y : ndarray
    patience : float
        Seconds after which no further round begins.
    """
    X, y = X[:TIMED_ROWS], y[:TIMED_ROWS]
    costs: dict[str, np.ndarray] = {name: np.empty((0, 2)) for name in makers}
    threads: dict[str, int] = {}
    began = time.perf_counter()
    for turn in range(ROUNDS + 1):
        if turn > 1 and time.perf_counter() - began > patience:
            break
        for name, make in makers.items():
            if turn and together(costs[name], threads[name]) >= ENOUGH:
                continue
            points: list[Point] = []

            def watch(progress: Progress, points: list[Point] = points) -> None:
                points.append((progress.seconds, time.process_time(), progress.rows))

            model = make().set_params(max_iter=N_EPOCHS if turn else 1, callback=watch).fit(X, y)
            threads[name] = model.n_threads_
            if turn:  # the first is for the compiler and the caches
                costs[name] = np.concatenate([costs[name], slice_costs(points)])
    a_row = X.nnz / X.shape[0]
    return {
        name: Rate(
            1e9 / a_row * typical_cost(found, threads[name]) / threads[name],
            together(found, threads[name]) >= LEAST,
        )
        for name, found in costs.items()
    }
