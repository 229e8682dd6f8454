"""What the models of factors share: state, engine, the run of epochs, early stopping that keeps the best weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from hogwild.compiled import aligned_copy
from hogwild.engine.choose import make_runner
from hogwild.engine.engines import ENGINES, Engine, Grid, Replicas, Sequential, Shared, Simulated, resolve_engine
from hogwild.engine.runners import Plan
from hogwild.engine.source import Source
from hogwild.engine.task import Task
from hogwild.engine.training import Outcome, Progress, Stopping, Training
from hogwild.estimators.checkpoint import Checkpoint, Saver
from hogwild.estimators.progress import Reporter
from hogwild.estimators.threads import counted

FACTOR_ENGINES = Sequential | Replicas | Shared | Simulated
NAMES = {"auto", *(name for name, engine in ENGINES.items() if isinstance(engine, FACTOR_ENGINES))}
MAX_INT = np.iinfo(np.int32).max
_IN_STATE = "state."  # in front of the names of the state's arrays in model files


@dataclass
class FactorState:
    """Everything that training a model of factors goes on from.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Parameters and the optimiser's sums, by name; those that the task's model holds.
    t, penalty : float
        Row clock; the accumulated penalty is 0.
    """

    arrays: dict[str, np.ndarray]
    t: float = 1.0
    penalty: float = 0.0

    def named(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return self.arrays

    def copy(self) -> FactorState:
        """Copy everything; arrays start on cache lines."""
        return replace(self, arrays={name: aligned_copy(array) for name, array in self.arrays.items()})


def resolve_factor_engine(engine: str | Engine, n_threads: int) -> Engine:
    """Return the engine that a model of factors runs on.

    Raises
    ------
    ValueError
        For an engine that steps on vectors of factors are not defined for.
    """
    found = resolve_engine(engine, n_threads)
    asked = resolve_engine(engine, 2)
    merge = getattr(asked, "merge", "damped")
    if not isinstance(asked, FACTOR_ENGINES) or merge == "self-tuned":
        names = ", ".join(sorted(NAMES))
        raise ValueError(f"models of factors run on {names}, without self-tuned merges; found engine={engine!r}")
    return found


class FactorModel(BaseEstimator):
    """Parameters that all models of factors have, and the run of their epochs.

    A subclass makes a `FactorState` (kept as ``_state``), a `Task` over its arrays and a source of rows, and calls
    `_run`.
    """

    _parameter_constraints: ClassVar[dict] = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean", StrOptions({"blocks", "full"})],
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "engine": [StrOptions(NAMES), *Engine.__args__],
        "progress": ["boolean"],
        "callback": [callable, None],
        "checkpoint": [Checkpoint, None],
        "warm_start": ["boolean"],
    }

    _saved_names: ClassVar[tuple[str, ...]] = (
        "n_features_in_",
        "n_iter_",
        "loss_curve_",
        "progressive_curve_",
        "validation_scores_",
        "best_iter_",
        "n_threads_",
        "engine_",
    )  # fitted attributes in model files

    def _saved_arrays(self) -> dict[str, np.ndarray]:
        """Arrays of a model file: the state's; a subclass adds its own."""
        return {f"{_IN_STATE}{name}": array for name, array in self._state.arrays.items()}

    def _restore_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what `_saved_arrays` returned; ValueError or KeyError where it makes no model."""
        names = {name for name in arrays if name.startswith(_IN_STATE)}
        self._state = FactorState({name.removeprefix(_IN_STATE): aligned_copy(arrays[name]) for name in sorted(names)})

    def _generator(self) -> np.random.Generator:
        """Random numbers of one fit: initial weights first, then orders."""
        return np.random.default_rng(check_random_state(self.random_state).randint(MAX_INT))

    def _engine_for(self, n_threads: int) -> Engine | Grid:
        """Who runs the steps on that many threads."""
        return resolve_factor_engine(self.engine, n_threads)

    def _run(
        self,
        task: Task,
        source: Source,
        *,
        rng: np.random.Generator,
        n_epochs: int,
        n_threads: int,
        score: Callable[[], float] | None = None,
        keep_best: bool = True,
        tol: float | None = None,
        plan: Callable[[Task, Engine], Plan | None] | None = None,
        problem: dict[str, Any] | None = None,
        shuffle: bool | str | Callable | None = None,
        epoch_decay: float = 1.0,
        watch: Callable[[Progress], object] | None = None,
    ) -> Outcome:
        """Run epochs of `task` over `source` and set the fitted attributes, also where an error or Ctrl-C ends it.

        Parameters
        ----------
        score : callable, optional
            Validation score after each epoch, larger is better. `n_iter_no_change` epochs without improvement by `tol`
            end the run, and the best epoch's weights are kept: ``best_iter_``.
        keep_best : bool
            False: `score` is only recorded, and the last weights stay.
        tol : float, optional
            Without `score`, of the training loss; None never stops.
        plan : callable, optional
            Interval and head for replicas of this task; None leaves them to the engine.
        problem : dict, optional
            What a checkpoint's run and this one have to share.
        watch : callable, optional
            Called after each slice, before the user's callback; a true result ends the run.
        """
        engine = self._engine_for(n_threads)
        state: FactorState = self._state
        saver, best = None, _Best(state, keep_best)
        if self.checkpoint is not None:
            saver = Saver(self.checkpoint, problem or {}, f"{engine}, n_jobs={n_threads}", self, best)
            saver.restore_state()
            task.t = state.t
        stopping = Stopping(
            tol=tol,
            patience=self.n_iter_no_change,
            penalty=lambda: 0.0,
            score=None if score is None else lambda: best.seen(score()),
        )
        training: Training | None = None

        def save(training: Training, last: bool) -> None:
            state.t = training.task.t
            saver(training, last)

        with counted(n_threads), Reporter.of(self) as reporter:
            training = Training(
                task,
                None,
                source,
                n_epochs=n_epochs,
                shuffle=self.shuffle if shuffle is None else shuffle,
                rng=rng,
                stopping=stopping,
                epoch_decay=epoch_decay,
                callback=_both(watch, reporter.callback),
                save=None if saver is None else save,
            )
            chosen = saver.plan if saver is not None else None
            if chosen is None and plan is not None and isinstance(engine, Replicas | Simulated):
                chosen = plan(task, engine)
            training.runner = make_runner(task, engine, n_threads, rng, plan=chosen)
            if saver is not None:
                saver.restore_training(training)
            try:
                training.run()
            finally:
                outcome = training.outcome
                training.runner.finish()
                best.restore(outcome)
                state.t = training.task.t
                self.n_threads_ = training.runner.n_threads
                self.engine_ = training.runner.describe()
                self.n_iter_ = outcome.n_epochs
                self.loss_curve_ = (self.loss_curve_ if hasattr(self, "loss_curve_") else []) + outcome.losses
                self.progressive_curve_ = outcome.curve
                self.step_seconds_ = outcome.step_seconds
                if outcome.scores:
                    self.validation_scores_ = outcome.scores
                    self.best_iter_ = best.epoch
                training.runner.close()
        if outcome.interrupted:
            raise KeyboardInterrupt
        return outcome


def _both(watch: Callable | None, callback: Callable | None) -> Callable | None:
    """Call one, then the other; a true result of either ends the run."""
    if watch is None or callback is None:
        return watch or callback

    def told(progress: Progress) -> bool:
        ends = bool(watch(progress))
        return bool(callback(progress)) or ends

    return told


class _Best:
    """The best epoch's weights so far: a copy, made only while epochs still improve on it."""

    def __init__(self, state: FactorState, keeps: bool = True) -> None:
        self._state, self._keeps, self._score, self._epochs = state, keeps, -math.inf, 0
        self._kept: dict[str, np.ndarray] | None = None
        self.epoch = 0

    def seen(self, score: float) -> float:
        """Look at the score of an epoch that ended; returns it."""
        self._epochs += 1
        if score > self._score:
            self._score, self.epoch = score, self._epochs
            if not self._keeps:
                return score
            if self._kept is None:
                self._kept = {name: array.copy() for name, array in self._state.arrays.items()}
            else:
                for name, array in self._state.arrays.items():
                    self._kept[name][...] = array
        return score

    def named(self) -> dict[str, np.ndarray]:
        """Arrays of the best epoch by name, none where nothing is kept."""
        return self._kept or {}

    def resume(self, arrays: dict[str, np.ndarray], scores: list[float]) -> None:
        """Go on behind epochs with these scores, the best of which had these weights."""
        if scores:
            self._epochs, self.epoch, self._score = len(scores), int(np.argmax(scores)) + 1, max(scores)
        if arrays and self._keeps:
            self._kept = {name: array.copy() for name, array in arrays.items()}

    def restore(self, outcome: Outcome) -> None:
        """Put the best epoch's weights back, if later epochs have changed them."""
        if self._kept is not None and (self.epoch < self._epochs or outcome.interrupted):
            for name, array in self._state.arrays.items():
                array[...] = self._kept[name]
