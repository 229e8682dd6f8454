"""The training loop: epochs of blocks of slices, history, stopping, divergence, Ctrl-C. Every `fit` runs here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hogwild.engine.choose import Runner
from hogwild.engine.interrupt import deferred_interrupt
from hogwild.engine.order import Order, choose_shuffle, draw_order
from hogwild.engine.source import Block, Source
from hogwild.engine.task import Task
from hogwild.schedules import CHUNK, Schedule, eta_at

SLICE_SECONDS = 0.025  # aim; a slice never takes much more than 50 ms
FOLD_SHARE = 16  # parameters are folded after each epoch if they are fewer than this share of its nonzeros
_FIRST_GUESS = 3e-9  # seconds a nonzero and thread, before anything was measured
_FIRST_POINT = 1024  # rows of the first point of the progressive curve; then twice as many each time


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
        Rows that all epochs together have; an estimate while the rows of a stream have not been counted, 0 where
        nobody can tell.
    loss : float
        Mean progressive loss of this epoch so far (each row before its own step).
    recent_loss : float
        The same over the rows since the last point of the progressive curve.
    seconds : float
        Since the fit began to step.
    epoch_ended : bool
    eta : float
        Step size of the last row: the constant that is divided where steps divide it themselves (passive-aggressive,
        AdaGrad, FTRL). NaN where there is no single one.
    """

    epoch: int
    n_epochs: int
    rows: int
    total_rows: int
    loss: float
    recent_loss: float
    seconds: float
    epoch_ended: bool
    eta: float = math.nan

    @property
    def rows_per_second(self) -> float:
        """Mean throughput."""
        return self.rows / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Time to the end of the last epoch at this rate; NaN where nobody can tell."""
        if not self.total_rows:
            return math.nan
        return max(0, self.total_rows - self.rows) / max(self.rows_per_second, 1e-9)


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
    """What a run of epochs left behind.

    Attributes
    ----------
    n_epochs : int
    losses, scores : list of float
        By epoch.
    curve : list of [rows, loss]
        Progressive curve: rows stepped in this fit, and their mean loss since the point before.
    stopped, interrupted : bool
        Whether it ended before the last epoch, by itself (or its callback) or by Ctrl-C.
    step_seconds, seconds : float
        Time in the engine's steps, and in all.
    """

    n_epochs: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    curve: list[list[float]] = field(default_factory=list)
    stopped: bool = False
    interrupted: bool = False
    step_seconds: float = 0.0
    seconds: float = 0.0


@dataclass
class Position:
    """Where a run stands between two slices: everything beside arrays that it needs to go on with the same bits.

    Attributes
    ----------
    epoch, block, low : int
        Epoch from 1, blocks finished in it, rows finished in the present block.
    loss, weight : float
        Sums over the finished rows (weight: finished blocks) of this epoch.
    rows, epoch_rows : int
        Rows stepped in all, and in this epoch.
    recent : list of float
        Loss and weight since the last point of the progressive curve.
    slice_rows : int
    rng_epoch, rng_block, rng : dict or None
        States of the random numbers before the epoch's and before the block's order were drawn, and now.
    best, best_score, without : float
        What early stopping has seen.
    converged : bool
        Whether it has ended the run.
    outcome : dict
        Fields of `Outcome` so far.
    """

    epoch: int = 1
    block: int = 0
    low: int = 0
    loss: float = 0.0
    weight: float = 0.0
    rows: int = 0
    epoch_rows: int = 0
    recent: list[float] = field(default_factory=lambda: [0.0, 0.0])
    slice_rows: int = 0
    rng_epoch: dict | None = None
    rng_block: dict | None = None
    rng: dict | None = None
    best: float = math.inf
    best_score: float = -math.inf
    without: int = 0
    converged: bool = False
    outcome: dict[str, Any] = field(default_factory=dict)


_BETWEEN_EPOCHS = ("rows", "recent", "slice_rows", "best", "best_score", "without", "converged")


@dataclass
class Training:
    """A run of epochs over the rows of `source`.

    Attributes
    ----------
    task : Task
    runner : Runner
    source : Source
    n_epochs : int
    shuffle : bool, str or callable
        As `draw_order` takes it, or ``shuffle(rng, n_rows, kept) -> Order``.
    rng : Generator
    stopping : Stopping
    epoch_decay : float
        Factor of the step size between epochs.
    callback : callable, optional
        Called after each slice; a true result stops training.
    before_slice : callable, optional
        Called before each slice (repeated search for a step size).
    publish : callable, optional
        Called before the callback at the end of each epoch, when the model's arrays hold its weights.
    grow : callable, optional
        ``grow(n_features) -> (task, runner)``: makes room for rows that are wider than the model.
    save : callable, optional
        ``save(training, last)``: called after each slice, with `last` true where the run ends; writes checkpoints when
        they are due.
    position : Position
        Where to start: at the beginning, or where a checkpoint was written.
    """

    task: Task
    runner: Runner
    source: Source
    n_epochs: int
    shuffle: bool | str | Callable[[np.random.Generator, int, np.ndarray], Order]
    rng: np.random.Generator
    stopping: Stopping
    epoch_decay: float = 1.0
    callback: Callable[[Progress], object] | None = None
    before_slice: Callable[[], None] | None = None
    publish: Callable[[], None] | None = None
    grow: Callable[[int], tuple[Task, Runner]] | None = None
    save: Callable[[Training, bool], None] | None = None
    position: Position = field(default_factory=Position)
    outcome: Outcome = field(default_factory=Outcome)

    def run(self) -> Outcome:
        """Run the epochs.

        Raises
        ------
        DivergedError
            Where the sum of losses or a parameter is not finite.
        """
        self.outcome = Outcome(**self.position.outcome) if self.position.outcome else self.outcome
        self._began = time.perf_counter() - self.outcome.seconds
        if self.position.converged or self.position.epoch > self.n_epochs:
            return self.outcome  # there is nothing left of the run that is resumed
        self.outcome.stopped = self.outcome.interrupted = False
        self._resumed = self._midway = self.position.rng_epoch is not None
        if self.position.rng is not None and not self._resumed:  # between two epochs
            self.rng.bit_generator.state = self.position.rng
        try:
            with deferred_interrupt() as interrupted:
                for epoch in range(self.position.epoch, self.n_epochs + 1):
                    halted = self._run_epoch(epoch, interrupted)
                    self.outcome.n_epochs = epoch
                    if halted:
                        self.outcome.interrupted = interrupted()
                        self.outcome.stopped = not self.outcome.interrupted
                        break
                    if self._stops(epoch):
                        break
        finally:
            self.runner.finish()
        _check_finite(self.task, self.outcome.n_epochs)
        if self.save is not None and not self._midway:
            now = self.position
            kept = {name: getattr(now, name) for name in _BETWEEN_EPOCHS}
            self.position = Position(self.outcome.n_epochs + 1, **kept)
            self.save(self, True)
        return self.outcome

    def _run_epoch(self, epoch: int, interrupted: Callable[[], bool]) -> bool:
        """Run one epoch, or the rest of one; returns whether it was halted."""
        now = self.position
        if not self._resumed:
            kept = {name: getattr(now, name) for name in _BETWEEN_EPOCHS}
            self.position = now = Position(epoch, **kept, rng_epoch=self.rng.bit_generator.state)
            if self.epoch_decay != 1.0 and epoch > 1:
                self.task.schedule = self.task.schedule._replace(eta0=self.task.schedule.eta0 * self.epoch_decay)
        else:
            self.rng.bit_generator.state = now.rng_epoch
        ended, halted = now.epoch_rows == self.source.n_rows, False
        blocks = self.source.epoch(self.rng, now.block)
        try:
            for block in blocks:
                if block.n_rows:
                    self._enter(block)
                while now.low < block.n_rows and not halted:
                    if self.before_slice is not None:
                        self.before_slice()
                    self._run_slice(block)
                    ended = now.epoch_rows == self.source.n_rows
                    if ended:
                        self._end_epoch()
                    halted = self._tell(block, ended) or interrupted()
                    if self.save is not None:
                        self.save(self, halted)
                if halted:
                    break
                now.block, now.low, now.weight = now.block + 1, 0, now.weight + block.weight
        finally:
            if hasattr(blocks, "close"):
                blocks.close()
        self._midway = halted
        if self._resumed:
            raise _other_rows()
        if not now.epoch_rows:
            raise ValueError("found no rows to train on")
        if not (ended or halted):  # only the stream's end has told that these were all rows
            self._end_epoch()
            halted = self._tell(None, True) or interrupted()
        self.outcome.losses.append(self._mean(block))
        if ended or not halted:
            self._close_curve()
        return halted

    def _enter(self, block: Block) -> None:
        """Take over the rows of a block and draw their order."""
        now = self.position
        if block.n_features > self.task.n_features:
            before = self.runner
            before.finish()
            self.task, self.runner = self.grow(block.n_features)
            if hasattr(before, "hand_over"):
                before.hand_over(self.runner)
            before.close()
        self.task.rows = block.rows
        if self._resumed:
            self.rng.bit_generator.state = now.rng_block
        else:
            now.rng_block = self.rng.bit_generator.state
        targets = block.rows.targets
        shuffle = self.shuffle
        if shuffle is True:
            kept = targets[block.kept] if len(block.kept) else targets
            shuffle = False if block.mixed else choose_shuffle(True, kept)
        if callable(shuffle):
            self._order = shuffle(self.rng, block.n_rows, block.kept)
        else:
            self._order = draw_order(self.rng, block.n_rows, block.kept, shuffle)
        if self._resumed:
            if now.low > block.n_rows:
                raise _other_rows()
            self.rng.bit_generator.state, self._resumed = now.rng, False
        if not now.slice_rows:
            now.slice_rows = _first_slice(self.task, self.runner)

    def _run_slice(self, block: Block) -> None:
        """Run the next slice and move the position."""
        now, started = self.position, time.perf_counter()
        part, high = self.runner.run(self._order, now.low, min(block.n_rows, now.low + now.slice_rows))
        seconds = time.perf_counter() - started
        done = high - now.low
        now.loss, now.low, now.rows, now.epoch_rows = now.loss + part, high, now.rows + done, now.epoch_rows + done
        now.recent = [now.recent[0] + part, now.recent[1] + block.weight * done / block.n_rows]
        self.outcome.step_seconds += seconds
        if not math.isfinite(now.loss):
            raise _diverged(self.task, now.epoch)
        if not self.runner.fixed_slices:
            now.slice_rows = _next_slice(now.slice_rows, done, seconds)
        if now.rows >= (self.outcome.curve[-1][0] * 2 if self.outcome.curve else _FIRST_POINT):
            self._close_curve()

    def _end_epoch(self) -> None:
        """Tell an engine that steps by epochs."""
        if hasattr(self.runner, "end_epoch"):
            self.runner.end_epoch()

    def _close_curve(self) -> None:
        """Add a point to the progressive curve."""
        now = self.position
        if now.recent[1] > 0:
            self.outcome.curve.append([now.rows, now.recent[0] / now.recent[1]])
            now.recent = [0.0, 0.0]

    def _mean(self, block: Block) -> float:
        """Mean loss of the epoch so far."""
        now = self.position
        return now.loss / max(now.weight + block.weight * now.low / max(1, block.n_rows), 1e-300)

    def _tell(self, block: Block | None, ended: bool) -> bool:
        """Tell the callback; returns whether it wants to stop."""
        now = self.position
        self.outcome.seconds = time.perf_counter() - self._began
        if self.callback is None:
            return False
        loss = self._mean(block) if block is not None else now.loss / max(now.weight, 1e-300)
        recent = now.recent[0] / now.recent[1] if now.recent[1] > 0 else loss
        told = Progress(
            now.epoch,
            self.n_epochs,
            now.rows,
            self._total_rows(),
            loss,
            recent,
            self.outcome.seconds,
            ended,
            _eta_of(self.task),
        )
        if ended:
            self.runner.finish()
            if self.publish is not None:
                self.publish()
        return bool(self.callback(told))

    def _total_rows(self) -> int:
        """Rows of all epochs, as far as they are known."""
        now, source = self.position, self.source
        if source.n_rows is not None:
            return source.n_rows * self.n_epochs
        share = source.share()
        return int(now.epoch_rows / share * (self.n_epochs - now.epoch + 1)) + now.rows - now.epoch_rows if share else 0

    def _stops(self, epoch: int) -> bool:
        """Look at the epoch that ended: whether it is the last."""
        task, stopping, now = self.task, self.stopping, self.position
        wanted = stopping.score is not None or stopping.tol is not None
        # folded after each epoch where that is cheap, so that the bits do not depend on whether anybody looks; a
        # penalty that weights take when they are touched stays lazy
        nonzeros = now.epoch_rows * task.row_length * task.n_columns
        if wanted or (FOLD_SHARE * task.n_settled <= nonzeros and not task.model.settings.penalised):
            self.runner.finish()
            _check_finite(task, epoch)
        if wanted and self._stalled():
            if not (stopping.adaptive and task.schedule.eta0 > 1e-6):
                self.outcome.stopped = now.converged = True
                return True
            task.schedule = task.schedule._replace(eta0=task.schedule.eta0 / 5.0)
        return False

    def _stalled(self) -> bool:
        """Whether `patience` epochs in a row have not improved."""
        stopping, now = self.stopping, self.position
        if stopping.score is not None:
            score = stopping.score()
            self.outcome.scores.append(score)
            better = stopping.tol is None or score >= now.best_score + stopping.tol
            now.best_score = max(now.best_score, score)
        else:
            objective = self.outcome.losses[-1] + stopping.penalty()
            better = objective <= now.best - stopping.tol
            now.best = min(now.best, objective)
        now.without = 0 if better else now.without + 1
        if now.without < stopping.patience:
            return False
        now.without = 0
        return True

    def snapshot(self) -> Position:
        """Return the position with everything that goes on from it: random numbers and history."""
        self.position.rng = self.rng.bit_generator.state
        self.position.outcome = asdict(self.outcome)
        return self.position


def _eta_of(task: Any) -> float:
    """Step size of the last row; NaN for several models side by side, each with its own."""
    one = isinstance(task.schedule, Schedule) and np.ndim(task.schedule.eta0) == 0
    return eta_at(task.schedule, max(1.0, task.t - 1.0)) if one else math.nan


def _check_finite(task: Task, epoch: int) -> None:
    if not all(np.isfinite(getattr(task.model, name)).all() for name in task.settled):
        raise _diverged(task, epoch)


def _diverged(task: Task, epoch: int) -> DivergedError:
    return DivergedError(
        f"Floating-point under-/overflow occurred at epoch #{epoch}: the step size (eta0={task.schedule.eta0:g}) is "
        "too large for these data. Scaling input data with StandardScaler or MinMaxScaler might help, or a smaller "
        'eta0 or learning_rate="search".'
    )


def _other_rows() -> ValueError:
    return ValueError("the rows end before the place where the checkpoint was written, expected the same rows")


def _whole_chunks(rows: float) -> int:
    return max(CHUNK, int(rows) // CHUNK * CHUNK)


def _first_slice(task: Task, runner: Runner) -> int:
    cost = task.cost * getattr(runner, "cost", 1.0)
    seconds = (task.row_length * task.n_columns * cost + 20) * _FIRST_GUESS / runner.n_threads
    return _whole_chunks(min(SLICE_SECONDS / seconds, 1 << 22))


def _next_slice(slice_rows: int, rows: int, seconds: float) -> int:
    """Rows of the next slice by the rate of the last; never more than twice as many at once."""
    wanted = SLICE_SECONDS * rows / max(seconds, 1e-6)
    return _whole_chunks(min(max(wanted, slice_rows / 4), slice_rows * 2, 1 << 24))
