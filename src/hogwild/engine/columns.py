"""Running the columns of many settings through an epoch: threads share out the columns, each reads all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.engine.engines import Engine, Sequential
from hogwild.engine.loops import _run_rows
from hogwild.engine.order import Order, fill_order
from hogwild.engine.pool import thread_pool
from hogwild.engine.training import FOLD_SHARE, DivergedError, Training
from hogwild.schedules import CHUNK
from hogwild.steps.column_clocks import ColumnsWork
from hogwild.steps.columns import close_columns, rewind_columns
from hogwild.steps.rows import Rows, SparseRows

ETA0 = 1  # field of a schedule


@kernel
def advance_columns(rows, order, model, low, high, work):
    """Run positions low..high of the epoch for all columns of `model` on one thread."""
    position = low
    while position < high:
        n = min(np.uint64(CHUNK), high - position)
        fill_order(order, position, n, work.order)
        _run_rows(rows, order, model, work, np.uint64(0), n, position, position == low)
        position += n


class Part(NamedTuple):
    """The columns of one thread: groups that it runs, their model and its memory."""

    groups: np.ndarray
    model: NamedTuple
    work: ColumnsWork


class Rates(NamedTuple):
    """The schedules' step sizes as the training loop sees them: between epochs it multiplies `eta0`."""

    eta0: np.ndarray


@dataclass
class ColumnsTask:
    """What the training loop asks of a task (`engine.task.Task`), for columns.

    Attributes
    ----------
    rows : SparseRows or DenseRows
        Those that are in memory at present.
    trains : callable
        Returns, for each of them, a word with one bit for each fold that trains on it; the lowest stands for all rows.
    parts : sequence of Part
    schedule : Rates
    n_features, n_columns : int
        Those of one model alone, so that weights are folded where a single run folds them.
    cost : float
        Time of a step relative to one of plain SGD, for the length of slices.
    """

    rows: Rows
    trains: Callable[[], np.ndarray]
    parts: Sequence[Part]
    schedule: Rates
    n_features: int
    n_columns: int
    cost: float
    settled: tuple[str, ...] = ()  # a column that is not finite ends by itself

    @property
    def n_settled(self) -> int:
        """Parameters of one model."""
        return (self.n_features + 1) * self.n_columns

    @property
    def row_length(self) -> float:
        """Mean number of nonzeros of a row."""
        if isinstance(self.rows, SparseRows):
            return max(1.0, len(self.rows.values) / max(1, len(self.rows.targets)))
        return float(max(1, self.rows.values.shape[1]))


class ColumnsTraining(Training):
    """The training loop for columns: every epoch runs, and scales are folded exactly where a single run folds them.

    `first_losses` keeps each group's sum of losses in the first epoch: each row before its own step.
    """

    first_losses: np.ndarray | None = None

    def _stops(self, epoch: int) -> bool:
        task = self.task
        if FOLD_SHARE * task.n_settled <= self.position.epoch_rows * task.row_length * task.n_columns:
            self.runner.fold()
        if epoch == 1:
            self.first_losses = self.runner.losses.copy()
        return False


class ColumnsRunner:
    """Runs the parts of a `ColumnsTask`, each on a thread; a group that diverges stops stepping."""

    fixed_slices = False
    exact = True
    plan = None

    def __init__(self, task: ColumnsTask) -> None:
        self.task, self.n_threads = task, len(task.parts)
        n_groups = sum(len(part.groups) for part in task.parts)
        self.losses = np.zeros(n_groups)
        self.diverged = np.zeros(n_groups, bool)
        self._eta0 = task.schedule.eta0

    def describe(self) -> Engine:
        """Return the engine as it runs: each column alone."""
        return Sequential()

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch; returns the mean of the groups' sums of losses, and the position."""
        task = self.task
        if task.schedule.eta0 is not self._eta0:
            self._eta0 = task.schedule.eta0
            for part in task.parts:
                rewind_columns(part.work)
                part.work.rates[:, ETA0] = self._eta0[part.groups]
        trains, calls = task.trains(), []
        for part in task.parts:
            model = part.model._replace(trains=trains)
            calls.append((task.rows, order, model, np.uint64(low), np.uint64(high), part.work))
        thread_pool().run(advance_columns, calls)
        before = self.losses.copy()
        for part in task.parts:
            self.losses[part.groups] = part.work.losses
            self._bury(part, ~np.isfinite(part.work.losses))
        self._end_if_none_is_left()
        alive = ~self.diverged
        return float((self.losses[alive] - before[alive]).mean()), high

    def finish(self) -> None:
        """Leave everything as it is: whether somebody looks changes no bits."""

    def fold(self) -> None:
        """Fold the scales of groups without a lazy penalty."""
        self._close(False)

    def close(self) -> None:
        """Bring everything lazy up to the clocks: the arrays hold the weights."""
        self._close(True)
        for part in self.task.parts:
            coef, n_groups = part.model.coef, len(part.groups)
            sums = coef.reshape(len(coef), -1).sum(axis=0) + part.model.intercept
            if not np.isfinite(sums).all():  # a sum of large weights may overflow where no weight does
                sums = coef.sum(axis=(0, 2), dtype=np.float64) + part.model.intercept.reshape(n_groups, -1).sum(axis=1)
            self._bury(part, ~np.isfinite(sums.reshape(n_groups, -1)).all(axis=1))
        self._end_if_none_is_left()

    def _close(self, lazy_too: bool) -> None:
        calls = [(part.model, part.work, lazy_too) for part in self.task.parts]
        thread_pool().run(close_columns, calls)

    def _bury(self, part: Part, dead: np.ndarray) -> None:
        """Take groups out: weights of 0 cost no time, NaN and denormal numbers may."""
        dead = dead & part.work.alive
        if not dead.any():
            return
        part.work.alive[dead] = False
        self.diverged[part.groups[dead]] = True
        for array in (part.model.coef, part.model.received):
            if array.size:
                array[:, dead] = 0
        part.model.intercept.reshape(part.model.coef.shape[1:])[dead] = 0

    def _end_if_none_is_left(self) -> None:
        if self.diverged.all():
            raise DivergedError(
                "Floating-point under-/overflow occurred with every setting: the step sizes (eta0="
                f"{', '.join(f'{eta:g}' for eta in np.unique(self._eta0))}) are too large for these data. Scaling "
                "input data with StandardScaler or MinMaxScaler might help, or a smaller eta0."
            )
