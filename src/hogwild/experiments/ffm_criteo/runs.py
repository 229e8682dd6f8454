"""The fits: ours on one thread and several, libffm where it is installed, models that know no fields."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hogwild import FFMClassifier, FMClassifier, Progress, SGDClassifier
from hogwild.data import dump_libffm
from hogwild.experiments.ffm_criteo.clicks import Clicks, log_loss
from hogwild.experiments.findings import Setting

ITERATIONS = 15  # libffm's default
SHORT = 3  # iterations of the runs that are only timed
REPEATS = 3  # of those


class Fit(NamedTuple):
    """A run of a model.

    Attributes
    ----------
    name : str
    threads : int
    losses : list of float
        On the rows to validate on, by iteration.
    training : list of float
        Mean progressive loss, by iteration.
    seconds : float
        Of steps, for an iteration: the mean of a run.
    share : float
        Of the processor time that its threads could have had in that run; less where other work takes the cores.
    """

    name: str
    threads: int
    losses: list[float]
    training: list[float]
    seconds: float
    share: float = 1.0

    @property
    def best(self) -> float:
        """The lowest validation loss."""
        return min(self.losses)

    @property
    def best_iteration(self) -> int:
        """Where it is, from 1."""
        return self.losses.index(self.best) + 1

    @property
    def label(self) -> str:
        """Name for a legend."""
        return f"{self.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"


Runner = Callable[[int, bool], Fit]  # of so many iterations, validated or timed


class _Clock:
    """A callback that knows how long the slices after the first took, and how much processor time."""

    def __init__(self) -> None:
        self._times: list[tuple[float, float]] = []

    def __call__(self, progress: Progress) -> None:
        self._times[1:] = [(time.perf_counter(), time.process_time())]

    def share(self, threads: int) -> float:
        """Return the share of the processor time that so many threads could have had."""
        (began, before), (ended, after) = self._times[0], self._times[-1]
        return (after - before) / max((ended - began) * threads, 1e-9)


def run_all(clicks: Clicks, setting: Setting) -> list[Fit]:
    """Run every model once with validation, then without it for a few iterations to time it, in turns."""
    program = libffm()
    with tempfile.TemporaryDirectory() as name:
        runners = _ours(clicks, setting)
        if program is not None:
            folder = Path(name)
            setting.say("writing the rows for libffm")
            dump_libffm(clicks.train, folder / "train.ffm")
            dump_libffm(clicks.valid, folder / "valid.ffm")
            runners |= _theirs(program, folder, setting)
        fits = {}
        for label, runner in runners.items():
            setting.say(label)
            fits[label] = runner(ITERATIONS, True)
        timed: dict[str, list[Fit]] = {label: [] for label in runners}
        for turn in range(REPEATS):
            for label, runner in runners.items():
                setting.say(f"{label}: timed, {turn + 1} of {REPEATS}")
                timed[label].append(runner(SHORT, False))
    for label, again in timed.items():
        fastest = min(again, key=lambda fit: fit.seconds)
        fits[label] = fits[label]._replace(seconds=fastest.seconds, share=fastest.share)
    return list(fits.values())


def libffm() -> str | None:
    """Return the path of libffm's own ``ffm-train``: the programs that `hogwild aliases` writes call ours."""
    found = shutil.which("ffm-train")
    if found is None:
        return None
    with open(found, "rb") as file:
        return None if b"hogwild" in file.read(4_000) else found


def run_libffm(program: str, folder: Path, iterations: int, threads: int) -> Fit:
    """Train with libffm on the files in a folder; it prints a line for each iteration.

    Raises
    ------
    RuntimeError
        It fails, or prints something else.
    """
    command = [program, "-s", str(threads), "-t", str(iterations), "-p", "valid.ffm", "train.ffm", "libffm.model"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[0].isdigit()]
    if done.returncode or len(rows) != iterations:
        said = (done.stderr or done.stdout).strip()[-200:]
        raise RuntimeError(f"{program}: found status {done.returncode} and {len(rows)} iterations: {said}")
    losses, training = ([float(row[column]) for row in rows] for column in (2, 1))
    return Fit("libffm", threads, losses, training, float(rows[-1][3]) / len(rows))


def _theirs(program: str, folder: Path, setting: Setting) -> dict[str, Runner]:
    def runner(threads: int) -> Runner:
        return lambda iterations, _: run_libffm(program, folder, iterations, threads)

    return {f"libffm, {threads} threads": runner(threads) for threads in sorted({1, setting.threads})}


def _ours(clicks: Clicks, setting: Setting) -> dict[str, Runner]:
    rows, held = clicks.field_rows()
    labels, held_labels, width = clicks.train.labels, clicks.valid.labels, clicks.n_features
    X, X_held = clicks.train.matrix(width), clicks.valid.matrix(width)

    def of_factors(name: str, model: FFMClassifier | FMClassifier, x: object, x_held: object) -> Runner:
        def fit(iterations: int, validated: bool) -> Fit:
            clock = _Clock()
            model.set_params(max_iter=iterations, callback=clock)
            model.fit(x, labels, validation=(x_held, held_labels) if validated else None)
            losses = [-score for score in model.validation_scores_] if validated else []
            seconds = model.step_seconds_ / model.n_iter_
            return Fit(name, model.n_jobs, losses, model.loss_curve_, seconds, clock.share(model.n_jobs))

        return fit

    def linear(iterations: int, validated: bool) -> Fit:
        losses: list[float] = []
        model = SGDClassifier("log_loss", alpha=1e-6, learning_rate="adagrad", eta0=0.02, tol=None)

        def measure(progress: Progress) -> None:
            if validated and progress.epoch_ended:
                losses.append(log_loss(held_labels, X_held @ model.coef_.ravel() + model.intercept_))

        model.set_params(max_iter=iterations, callback=measure, random_state=setting.seed).fit(X, labels)
        return Fit("linear", 1, losses, model.loss_curve_, model.step_seconds_ / model.n_iter_)

    ffm = {
        f"FFM, {threads} threads": of_factors(
            "FFM", FFMClassifier(n_jobs=threads, random_state=setting.seed), rows, held
        )
        for threads in sorted({1, setting.threads})
    }
    fm = FMClassifier(n_factors=4, eta0=0.1, normalize=True, n_jobs=1, random_state=setting.seed)
    return {**ffm, "FM": of_factors("FM", fm, X, X_held), "linear": linear}
