"""Checkpoints of long fits: what a run goes on from with the same bits, each written whole beside the older one."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hogwild import storage
from hogwild.data.errors import DataError
from hogwild.engine.runners import Plan
from hogwild.engine.training import Outcome, Position, Training

FORMAT = 1
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_INFINITE = {"inf": float("inf"), "-inf": float("-inf")}


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a fit writes down where it stands, and whether it goes on from there.

    Parameters
    ----------
    folder : str
        Made if it is not there. The newest two checkpoints are kept; each appears whole or not at all.
    every : float, default 300
        Seconds between two of them; one more is written at the end and after Ctrl-C.
    resume : bool, default False
        Go on from the newest complete checkpoint of this problem in `folder`; start afresh if there is none. On one
        thread, and with ``Replicas(deterministic=True)``, the result has the bits of a run without interruption.

    Examples
    --------
    >>> import tempfile
    >>> from hogwild import Checkpoint, SGDClassifier
    >>> from hogwild.data import make_rcv1_like
    >>> X, y = make_rcv1_like(2_000, 300, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = {"tol": None, "random_state": 0}
    ...     half = SGDClassifier(max_iter=2, checkpoint=Checkpoint(folder), **settings).fit(X, y)
    ...     whole = SGDClassifier(max_iter=4, checkpoint=Checkpoint(folder, resume=True), **settings).fit(X, y)
    >>> bool((whole.coef_ == SGDClassifier(max_iter=4, **settings).fit(X, y).coef_).all())
    True
    """

    folder: str
    every: float = 300.0
    resume: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        object.__setattr__(self, "folder", os.fspath(self.folder))
        if self.every < 0:
            raise ValueError(f"every must be at least 0 seconds, found {self.every!r}")

    def newest(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return the newest complete checkpoint of the folder; None if there is none.

        Raises
        ------
        DataError
            If there are files, and none of them is complete.
        """
        problem: DataError | None = None
        for path in reversed(self._files()):
            try:
                about, arrays = storage.read(path)
            except DataError as error:
                problem = problem or error
                continue
            if about.get("format") != FORMAT:
                raise DataError(path, found=f"format {about.get('format')!r}", expected=f"{FORMAT}")
            return about, arrays
        if problem is not None:
            raise problem
        return None

    def write(self, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Path:
        """Write the next checkpoint and remove all but the newest two."""
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = self._files()
        number = int(_NAME.fullmatch(files[-1].name)[1]) + 1 if files else 1
        path = folder / f"checkpoint-{number:08d}.safetensors"
        storage.write(path, {"format": FORMAT, **about}, arrays)
        for old in files[:-1]:
            with contextlib.suppress(OSError):
                old.unlink()
        for left in folder.glob(".checkpoint-*.safetensors-*"):  # by a run that was killed while it wrote
            with contextlib.suppress(OSError):
                left.unlink()
        return path

    def _files(self) -> list[Path]:
        if not os.path.isdir(self.folder):
            return []
        return sorted(path for path in Path(self.folder).iterdir() if _NAME.fullmatch(path.name))


class Saver:
    """Writes checkpoints of one fit when they are due, and takes a fit back to where one was written.

    Parameters
    ----------
    checkpoint : Checkpoint
    problem : dict
        What has to be the same for a run to go on: options, shape, labels of the data.
    engine : str
        Engine and threads; they have to be the same where the result is to have the same bits.
    estimator : BaseSGD or FactorModel
        Whose state it is.
    best : object, optional
        With the weights of the best epoch so far: ``named()`` returns them, ``resume(arrays, scores)`` takes them and
        the scores of the epochs that have run.
    """

    def __init__(
        self, checkpoint: Checkpoint, problem: dict[str, Any], engine: str, estimator: Any, best: Any = None
    ) -> None:
        self._checkpoint, self._problem, self._engine, self._estimator = checkpoint, problem, engine, estimator
        self._best = best
        self._due = time.monotonic() + checkpoint.every
        self._found = checkpoint.newest() if checkpoint.resume else None
        if self._found is not None:
            for name, ours in problem.items():
                theirs = self._found[0]["problem"].get(name)
                if theirs != ours:
                    raise ValueError(
                        f"the checkpoint in {checkpoint.folder} is of another run: {name} was {theirs!r:.60}, is "
                        f"{ours!r:.60}; expected the same, or an empty folder"
                    )

    @property
    def plan(self) -> Plan | None:
        """Interval and head of the run that is gone on with."""
        found = self._found[0]["plan"] if self._found is not None else None
        return Plan(**found) if found else None

    def restore_state(self) -> None:
        """Put the checkpoint's parameters into the estimator's state, before a task is made of it."""
        if self._found is None:
            return
        about, arrays = self._found
        if about["exact"] and about["engine"] != self._engine:
            raise ValueError(
                f"the checkpoint in {self._checkpoint.folder} is of another run: engine was {about['engine']}, is "
                f"{self._engine}; expected the same, or an empty folder"
            )
        state = self._estimator._state
        if "model.coef" in arrays and len(arrays["model.coef"]) != len(state.coef):  # a stream's rows made it wider
            state = self._estimator._state = state.resized(len(arrays["model.coef"]))
        for name, array in state.named().items():
            array[...] = arrays[f"model.{name}"]
        state.t, state.penalty = about["t"], about["penalty"]
        if about["searched_at"]:
            self._estimator._searched_at = about["searched_at"]

    def restore_training(self, training: Training) -> None:
        """Put position, step size and the engine's own state back."""
        if self._found is None:
            return
        about, arrays = self._found
        task, runner = training.task, training.runner
        training.position = _position(about["position"])
        task.schedule = task.schedule._replace(eta0=about["eta0"])
        if self._best is not None:
            self._best.resume(_under("best.", arrays), training.position.outcome["scores"])
        if about["widest"] is not None:  # the batches that were wider may not be read again
            training.source.widest = max(training.source.widest, about["widest"])
        if about["exact"]:
            runner.restore(_under("engine.", arrays))

    def __call__(self, training: Training, last: bool) -> None:
        """Write a checkpoint if one is due."""
        if not last and time.monotonic() < self._due:
            return
        task, runner, state = training.task, training.runner, self._estimator._state
        if not runner.exact:
            runner.finish()
        arrays = {f"model.{name}": array for name, array in state.named().items()}
        if runner.exact:
            arrays |= {f"engine.{name}": array for name, array in runner.state().items()}
        if self._best is not None:
            arrays |= {f"best.{name}": array for name, array in self._best.named().items()}
        about = {
            "problem": self._problem,
            "position": _texts(asdict(training.snapshot())),
            "t": float(task.t),
            "penalty": float(task.penalty),
            "eta0": float(task.schedule.eta0),
            "widest": getattr(training.source, "widest", None),
            "exact": runner.exact,
            "engine": self._engine,
            "plan": asdict(runner.plan) if runner.exact and runner.plan is not None else None,
            "searched_at": float(getattr(self._estimator, "_searched_at", 0.0)),
        }
        self._checkpoint.write(about, arrays)
        self._due = time.monotonic() + self._checkpoint.every


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _texts(value: Any) -> Any:
    """Spell out infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _position(about: dict[str, Any]) -> Position:
    """Make the position again."""
    fields = {name: _INFINITE.get(value, value) if isinstance(value, str) else value for name, value in about.items()}
    position = Position(**fields)
    Outcome(**position.outcome)  # an error now rather than later if it is of another version
    return position
