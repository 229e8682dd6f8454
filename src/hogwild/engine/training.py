"""The training loop: epochs of slices, history, stopping, divergence, Ctrl-C. Every estimator's `fit` runs here."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from hogwild.engine.choose import Runner
from hogwild.engine.order import choose_shuffle, draw_order
from hogwild.engine.task import Task
from hogwild.schedules import CHUNK

SLICE_SECONDS = 0.025  # aim; a slice never takes much more than 50 ms
FOLD_SHARE = 16  # parameters are folded after each epoch if they are fewer than this share of its nonzeros
_FIRST_GUESS = 3e-9  # seconds a nonzero and thread, before anything was measured


class DivergedError(ValueError):
    """Training met numbers that are not finite: the step size is too large for the data, or the data are not scaled."""


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each slice of training.

    Attributes
    ----------
    epoch : int
        Epoch under way, from 1.
    n_epochs : int
        Largest number of epochs.
    rows : int
        Rows stepped in this fit.
    total_rows : int
        Rows that all epochs together have.
    loss : float
        Mean progressive loss of this epoch so far (each row before its own step).
    seconds : float
        Since the fit began to step.
    epoch_ended : bool
    """

    epoch: int
    n_epochs: int
    rows: int
    total_rows: int
    loss: float
    seconds: float
    epoch_ended: bool

    @property
    def rows_per_second(self) -> float:
        """Mean throughput."""
        return self.rows / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Time to the end of the last epoch at this rate."""
        return (self.total_rows - self.rows) / max(self.rows_per_second, 1e-9)


@dataclass
class Stopping:
    """When to stop before the last epoch.

    Attributes
    ----------
    tol : float or None
        None: never. Else an epoch that improves the objective (or the score) by less than `tol` counts.
    patience : int
        Epochs in a row without improvement that stop.
    penalty : callable
        Value of the penalty at the present weights, added to the mean loss.
    score : callable, optional
        Validation score, larger is better; used instead of the objective.
    adaptive : bool
        Whether to divide the step size by 5 instead of stopping, as long as it is above 1e-6.
    """

    tol: float | None
    patience: int
    penalty: Callable[[], float]
    score: Callable[[], float] | None = None
    adaptive: bool = False


@dataclass
class Outcome:
    """What a run of epochs left behind."""

    n_epochs: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    stopped: bool = False
    interrupted: bool = False


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C instead of raising in the middle of a slice; yields a function that tells whether it came.

    Only in the main thread and where nobody else handles the signal.
    """
    noted: list[int] = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield lambda: bool(noted)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def train(
    task: Task,
    runner: Runner,
    *,
    n_epochs: int,
    shuffle: bool | str,
    rng: np.random.Generator,
    kept: np.ndarray,
    stopping: Stopping,
    epoch_decay: float = 1.0,
    callback: Callable[[Progress], object] | None = None,
    before_slice: Callable[[], None] | None = None,
    publish: Callable[[], None] | None = None,
) -> Outcome:
    """Run epochs over the rows of `task`.

    Parameters
    ----------
    kept : ndarray of uint32
        Rows that take part; empty for all.
    epoch_decay : float
        Factor of the step size between epochs.
    callback : callable, optional
        Called after each slice; a true result stops training.
    before_slice : callable, optional
        Called before each slice (repeated search for a step size).
    publish : callable, optional
        Called before the callback at the end of each epoch, when the model's arrays hold its weights.

    Raises
    ------
    DivergedError
        Where the sum of losses or a parameter is not finite.
    """
    n_rows = len(kept) or task.n_rows
    weights = task.rows.weights
    total_weight = float(weights[kept].sum() if len(kept) else weights.sum()) if weights.size else float(n_rows)
    outcome, watch = Outcome(), _Watch(stopping)
    shuffle = choose_shuffle(shuffle, task.rows.targets[kept] if len(kept) else task.rows.targets)
    slice_rows, began, done = _first_slice(task, runner), time.perf_counter(), 0
    # folded after each epoch where that is cheap, so that the bits do not depend on whether anybody looks; a penalty
    # that weights take when they are touched stays lazy
    small = (
        FOLD_SHARE * task.n_settled <= n_rows * task.row_length * task.n_columns and not task.model.settings.penalised
    )
    try:
        with deferred_interrupt() as interrupted:
            for epoch in range(1, n_epochs + 1):
                order = draw_order(rng, n_rows, kept, shuffle)
                low, loss, halted = 0, 0.0, False
                while low < n_rows and not halted:
                    if before_slice is not None:
                        before_slice()
                    started = time.perf_counter()
                    part, high = runner.run(order, low, min(n_rows, low + slice_rows))
                    ended = time.perf_counter()
                    loss, done = loss + part, done + high - low
                    if not math.isfinite(loss):
                        raise _diverged(task, epoch)
                    if not runner.fixed_slices:
                        slice_rows = _next_slice(slice_rows, high - low, ended - started)
                    low = high
                    mean = loss / max(total_weight * low / n_rows, 1e-300)
                    if callback is not None:
                        now = Progress(epoch, n_epochs, done, n_rows * n_epochs, mean, ended - began, low == n_rows)
                        if now.epoch_ended:
                            runner.finish()
                            if publish is not None:
                                publish()
                        halted = bool(callback(now))
                    halted = halted or interrupted()
                outcome.losses.append(mean)
                outcome.n_epochs = epoch
                if halted:
                    outcome.interrupted = interrupted()
                    outcome.stopped = not outcome.interrupted
                    break
                if watch.wanted or small:
                    runner.finish()
                    _check_finite(task, epoch)
                if watch.wanted and watch.stalled(outcome):
                    if not (stopping.adaptive and task.schedule.eta0 > 1e-6):
                        outcome.stopped = True
                        break
                    task.schedule = task.schedule._replace(eta0=task.schedule.eta0 / 5.0)
                if epoch_decay != 1.0 and epoch < n_epochs:
                    task.schedule = task.schedule._replace(eta0=task.schedule.eta0 * epoch_decay)
    finally:
        runner.finish()
    _check_finite(task, outcome.n_epochs)
    return outcome


class _Watch:
    """Counts the epochs without improvement."""

    def __init__(self, stopping: Stopping) -> None:
        self._stopping = stopping
        self._best, self._best_score, self._without = math.inf, -math.inf, 0
        self.wanted = stopping.score is not None or stopping.tol is not None

    def stalled(self, outcome: Outcome) -> bool:
        """Look at the epoch that ended; whether `patience` epochs in a row have not improved."""
        stopping = self._stopping
        if stopping.score is not None:
            score = stopping.score()
            outcome.scores.append(score)
            better = stopping.tol is None or score >= self._best_score + stopping.tol
            self._best_score = max(self._best_score, score)
        else:
            objective = outcome.losses[-1] + stopping.penalty()
            better = objective <= self._best - stopping.tol
            self._best = min(self._best, objective)
        self._without = 0 if better else self._without + 1
        if self._without < stopping.patience:
            return False
        self._without = 0
        return True


def _check_finite(task: Task, epoch: int) -> None:
    if not all(np.isfinite(getattr(task.model, name)).all() for name in task.settled):
        raise _diverged(task, epoch)


def _diverged(task: Task, epoch: int) -> DivergedError:
    return DivergedError(
        f"Floating-point under-/overflow occurred at epoch #{epoch}: the step size (eta0={task.schedule.eta0:g}) is "
        "too large for these data. Scaling input data with StandardScaler or MinMaxScaler might help, or a smaller "
        'eta0 or learning_rate="search".'
    )


def _whole_chunks(rows: float) -> int:
    return max(CHUNK, int(rows) // CHUNK * CHUNK)


def _first_slice(task: Task, runner: Runner) -> int:
    seconds = (task.row_length * task.n_columns * task.cost + 20) * _FIRST_GUESS / runner.n_threads
    return _whole_chunks(min(SLICE_SECONDS / seconds, 1 << 22))


def _next_slice(slice_rows: int, rows: int, seconds: float) -> int:
    """Rows of the next slice by the rate of the last; never more than twice as many at once."""
    wanted = SLICE_SECONDS * rows / max(seconds, 1e-6)
    return _whole_chunks(min(max(wanted, slice_rows / 4), slice_rows * 2, 1 << 24))
