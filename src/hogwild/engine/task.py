"""What an engine runs: rows, a model, a schedule, and how the model's arrays merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.schedules import Schedule
from hogwild.steps.rows import DenseRows, PairRows, Rows, feature, span, value

SAMPLE_ROWS = 512  # rows that curvature and feature frequencies are estimated from
SHRINK = 0.7  # of the row-sum bound: .4 diverges on a9a (64 replicas), 1.5 loses 6 to 8 % on ijcnn1 (16 and 64)


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
        Those that are in memory at present.
    model : NamedTuple
        Arrays and settings of the model (steps/); changed in place.
    merges : dict of str to Merge
        Parameter arrays that replicas copy, in the order of the shared buffer.
    lazy : tuple of str
        Further arrays by feature that merges keep up to date.
    schedule : Schedule
    n_features, n_columns : int
    curvature_of : callable
        ``curvature_of(rows, sample of row numbers, features) -> dict``: for each damped array the row-sum bound of
        the loss's curvature along each parameter at the present weights (of the array's shape); of arrays with a row
        for each feature the rows `features` only (None: all, none: such arrays are left out).
    step_bound : float
        Largest step size where steps divide it themselves (passive-aggressive); infinity otherwise.
    objective_of : callable, optional
        ``objective_of(rows, sample of row numbers, coef, intercept) -> float``, for self-tuned merges and measuring.
    cost : float
        Time of a step relative to plain SGD's, for the length of slices.
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
    curvature_of: Callable[[Rows, np.ndarray, np.ndarray | None], dict[str, np.ndarray]]
    step_bound: float = np.inf
    objective_of: Callable | None = None
    cost: float = 1.0
    t: float = 1.0
    penalty: float = 0.0
    settled: tuple[str, ...] = field(default=("coef", "intercept"))  # those with a penalty or an average that is lazy

    def curvature(self, sample: np.ndarray, features: np.ndarray | None) -> dict[str, np.ndarray]:
        """Curvature along each parameter on rows of the present block."""
        return self.curvature_of(self.rows, sample, features)

    def objective(self, sample: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> float:
        """Mean loss of rows of the present block."""
        return self.objective_of(self.rows, sample, coef, intercept)

    @property
    def n_rows(self) -> int:
        """Rows in memory."""
        return len(self.rows.targets)

    @property
    def dtype(self) -> np.dtype:
        """Precision of the parameters."""
        return getattr(self.model, next(iter(self.merges))).dtype

    @property
    def row_length(self) -> float:
        """Mean number of features that a row touches."""
        if isinstance(self.rows, PairRows):
            return 2.0
        if isinstance(self.rows, DenseRows):
            return float(max(1, self.rows.values.shape[1]))
        return max(1.0, len(self.rows.values) / max(1, self.n_rows))

    @property
    def n_settled(self) -> int:
        """Leading parameters that `settle` knows."""
        return sum(getattr(self.model, name).size for name in self.settled)


@kernel
def _count_features(rows, sample, counts):
    for k in range(np.uint64(sample.size)):
        i = sample[k]
        start, stop = span(rows, i)
        for j in range(start, stop):
            if value(rows, i, j) != 0:
                counts[feature(rows, j)] += 1


def count_features(task: Task, rng: np.random.Generator) -> np.ndarray:
    """Count in how many rows of a sample each feature stands."""
    counts = np.zeros(task.n_features, np.uint32)
    _count_features(task.rows, draw_sample(task, rng, SAMPLE_ROWS), counts)
    return counts


def draw_sample(task: Task, rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw row numbers, all of them where there are no more than `size`."""
    if task.n_rows <= size:
        return np.arange(task.n_rows, dtype=np.uint32)
    return np.sort(rng.integers(0, task.n_rows, size=size, dtype=np.uint32))
