"""What an engine runs: rows, a model, a schedule, and how the model's arrays merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.schedules import Schedule
from hogwild.steps.rows import Rows, SparseRows, feature, span, value

SAMPLE_ROWS = 2048  # rows that curvature and feature frequencies are estimated from
SHRINK = 0.4  # of the row-sum bound of the curvature: chosen by hand on a9a, ijcnn1 and RCV1-like data


class Merge(NamedTuple):
    """How one parameter array merges: ``"damped"`` or ``"add"``, and whether it has a row for each feature."""

    kind: str
    by_feature: bool


@dataclass
class Task:
    """One training problem on its way through an engine.

    Attributes
    ----------
    rows : SparseRows or DenseRows
    model : NamedTuple
        Arrays and settings of the model (steps/); changed in place.
    merges : dict of str to Merge
        Parameter arrays that replicas copy, in the order of the shared buffer.
    lazy : tuple of str
        Further arrays by feature that merges keep up to date.
    schedule : Schedule
    n_features, n_columns : int
    curvature : float
        Largest second derivative of the loss.
    mean_weight : float
        Mean row weight, which multiplies the curvature.
    step_bound : float
        Largest step size where steps divide it themselves (passive-aggressive); infinity otherwise.
    objective : callable, optional
        ``objective(sample of row numbers, model) -> float``, for self-tuned merges and measuring.
    t, penalty : float
        Row clock: rows stepped so far plus one, and the penalty accumulated over them.
    """

    rows: Rows
    model: NamedTuple
    merges: dict[str, Merge]
    lazy: tuple[str, ...]
    schedule: Schedule
    n_features: int
    n_columns: int
    curvature: float
    mean_weight: float = 1.0
    step_bound: float = np.inf
    objective: Callable | None = None
    t: float = 1.0
    penalty: float = 0.0
    settled: tuple[str, ...] = field(default=("coef", "intercept"))

    @property
    def n_rows(self) -> int:
        """Rows in memory."""
        return len(self.rows.targets)

    @property
    def row_length(self) -> float:
        """Mean number of nonzeros of a row."""
        if isinstance(self.rows, SparseRows):
            return max(1.0, len(self.rows.values) / max(1, self.n_rows))
        return float(max(1, self.rows.values.shape[1]))

    @property
    def n_settled(self) -> int:
        """Leading parameters that `settle` knows."""
        return sum(getattr(self.model, name).size for name in self.settled)


@kernel
def _sample_statistics(rows, sample, counts, products, bias):
    """Frequencies of features, and sums of |x_ij| (|x_i|_1 + bias); returns the sum of |x_i|_1 + bias."""
    total = 0.0
    for k in range(np.uint64(sample.size)):
        i = sample[k]
        start, stop = span(rows, i)
        length = bias
        for j in range(start, stop):
            length += abs(value(rows, i, j))
        for j in range(start, stop):
            f = feature(rows, j)
            x = abs(value(rows, i, j))
            if x > 0:
                counts[f] += 1
                products[f] += x * length
        total += length
    return total


class Statistics(NamedTuple):
    """What a sample of rows says about features.

    Attributes
    ----------
    counts : ndarray of uint32, shape (n_features,)
        Rows of the sample that have the feature.
    curvature : ndarray of float32, shape (n_features,)
    intercept_curvature : float
    """

    counts: np.ndarray
    curvature: np.ndarray
    intercept_curvature: float


def sample_statistics(task: Task, rng: np.random.Generator, fit_intercept: bool = True) -> Statistics:
    """Estimate frequencies and curvatures ``c_j = 0.4 max(loss'') mean |x_ij| |x_i|_1`` from one pass over a sample."""
    sample = draw_sample(task, rng, SAMPLE_ROWS)
    counts = np.zeros(task.n_features, np.uint32)
    products = np.zeros(task.n_features, np.float32)
    total = _sample_statistics(task.rows, sample, counts, products, float(fit_intercept))
    factor = SHRINK * task.curvature * task.mean_weight / max(1, len(sample))
    products *= np.float32(factor)
    return Statistics(counts, products, factor * total)


def draw_sample(task: Task, rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw row numbers, all of them where there are no more than `size`."""
    if task.n_rows <= size:
        return np.arange(task.n_rows, dtype=np.uint32)
    return np.sort(rng.integers(0, task.n_rows, size=size, dtype=np.uint32))
