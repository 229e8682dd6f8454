"""The work of `hogwild ffm-train`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hogwild.cli.ffm_machines import LibffmMachine, Machine, OurMachine
from hogwild.cli.ffm_metrics import measure
from hogwild.cli.ffm_rows import read_rows
from hogwild.cli.memory import free_memory, shown_size
from hogwild.cli.rows import Sources
from hogwild.cli.terminal import CommandError, check_output, live_line, say_warning
from hogwild.data.libffm_cache import block_starts
from hogwild.data.libffm_model import LibffmModel, model_shape, read_model, write_model
from hogwild.engine.choose import make_runner
from hogwild.engine.engines import Sequential, Shared, resolve_engine
from hogwild.engine.libffm_order import LibffmOrder
from hogwild.engine.runners import Plan
from hogwild.engine.source import InMemory
from hogwild.engine.task import Task
from hogwild.engine.training import DivergedError, Progress, Stopping, Training
from hogwild.estimators.checkpoint import Checkpoint, Saver
from hogwild.estimators.factors import FactorState
from hogwild.estimators.ffm_task import ffm_plan
from hogwild.estimators.progress import describe
from hogwild.estimators.threads import MIN_ROWS, counted
from hogwild.steps.rows import SparseFieldRows


@dataclass(frozen=True)
class Wishes:
    """What the user asked for: the options of the command."""

    data: Sources
    model: Path
    regularisation: float
    factors: int
    iterations: int
    eta: float
    threads: int
    validation: str | None
    quiet: bool
    normalized: bool
    auto_stop: bool
    compat: bool
    metrics: tuple[str, ...]
    seed: int
    initial: Path | None
    text_model: bool
    caches: bool
    checkpoint: Path | None
    every: float
    resume: bool


class Printer:
    """Prints as libffm does, and keeps the live line of a terminal out of its way."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self.line = quiet, None

    def __call__(self, text: str, end: str = "\n") -> None:
        """Print at once."""
        if self._quiet:
            return
        if self.line is not None:
            self.line.stop()
        print(text, end=end, flush=True)
        if self.line is not None:
            self.line.start()


def run(wishes: Wishes) -> None:
    """Train as `wishes` says."""
    check_output(wishes.model)
    say = Printer(wishes.quiet)
    begun = _read_initial(wishes) if wishes.initial is not None else None
    reading = {"normalized": wishes.normalized, "caches": wishes.caches}
    data = read_rows(wishes.data, say, **reading, like=None if begun is None else begun.about or None)
    held_out = None
    if wishes.validation is not None:
        sources = replace(wishes.data, names=(wishes.validation,))
        held_out = read_rows(sources, say, **reading, like=data.about).rows
    classes = np.unique(data.rows.targets)
    if len(classes) < 2:
        say_warning(f"{wishes.data}: found one class only, {'positive' if classes[0] > 0 else 'negative'} labels")
    n, m = (data.n_features, data.n_fields) if begun is None else begun[:2]
    _check_memory(n, m, wishes)
    make = LibffmMachine if wishes.compat else OurMachine
    machine = make(n, m, wishes.factors, wishes.seed, None if begun is None else begun.weights)
    fit = Fit(wishes, data.rows, held_out, machine, (n, m), say)
    interrupted = fit.run()
    model = LibffmModel(n, m, wishes.factors, wishes.normalized, machine.weights(), data.about)
    write_model(model, wishes.model, text=wishes.text_model)
    if interrupted:
        raise KeyboardInterrupt(f"interrupted in iteration {fit.iteration}: the model so far is in {wishes.model}")


def _read_initial(wishes: Wishes) -> LibffmModel:
    model = read_model(wishes.initial)
    if (model.n_factors, model.normalized) != (wishes.factors, wishes.normalized):
        raise CommandError(
            f"{wishes.initial}: found a model with -k {model.n_factors}{'' if model.normalized else ' --no-norm'}, "
            f"expected -k {wishes.factors}{'' if wishes.normalized else ' --no-norm'}"
        )
    return model


def _check_memory(n: int, m: int, wishes: Wishes) -> None:
    """Refuse a model that memory has no room for, before the system kills the program."""
    needed = int(np.prod(model_shape(n, m, wishes.factors), dtype=object)) * 4 * (2 + wishes.auto_stop)
    if needed > free_memory():
        raise CommandError(
            f"{wishes.data}: a model of {n:,} features x {m:,} fields x {wishes.factors} factors takes "
            f"{shown_size(needed)} to train and write, found {shown_size(free_memory())} free; expected fewer features "
            "(hash them to fewer), fields or factors"
        )


# ------------------------------------------------------------------------------------------------ training


class Fit:
    """One training run, from the header line to the last iteration's.

    Parameters
    ----------
    wishes : Wishes
    rows, held_out : SparseFieldRows
        Training rows, and those to validate on or None.
    machine : OurMachine or LibffmMachine
        Trained in place.
    shape : tuple of int
        Features and fields.
    say : Printer
    """

    def __init__(
        self,
        wishes: Wishes,
        rows: SparseFieldRows,
        held_out: SparseFieldRows | None,
        machine: Machine,
        shape: tuple[int, int],
        say: Printer,
    ) -> None:
        self._wishes, self._rows, self._held_out, self._say = wishes, rows, held_out, say
        self._machine, self._shape = machine, shape
        self._state = machine.state  # a checkpoint looks here
        self._best = _Best(machine.state) if wishes.auto_stop else None
        self._training: Training | None = None
        self.iteration = 0

    def run(self) -> bool:
        """Run the iterations and leave the weights to keep in the state; returns whether Ctrl-C ended them."""
        wishes = self._wishes
        n_threads = max(1, min(wishes.threads, len(self._rows.targets) // MIN_ROWS))
        engine = (Shared() if n_threads > 1 else Sequential()) if wishes.compat else resolve_engine("auto", n_threads)
        order = self._order()
        with live_line("preparing (the first run compiles)", wishes.quiet) as line, counted(n_threads):
            saver = self._saver(engine, n_threads)
            if saver is not None:
                if self._best is not None:
                    self._state = self._best.beside()
                saver.restore_state()
            task = self._task(self._machine, self._rows)
            task.t = self._state.t
            self._training = training = Training(
                task,
                None,
                InMemory(self._rows),
                n_epochs=wishes.iterations,
                shuffle=order or True,
                rng=np.random.default_rng([wishes.seed, 1]),
                stopping=Stopping(tol=None, patience=1, penalty=lambda: 0.0),
                callback=self._told,
                save=None if saver is None else self._save(saver),
            )
            plan = saver.plan if saver is not None else None
            plan = ffm_plan(task, engine, n_threads) if plan is None and n_threads > 1 else plan
            self._warm_up(engine, n_threads, plan)
            training.runner = make_runner(task, engine, n_threads, training.rng, plan=plan)
            if saver is not None:
                saver.restore_training(training)
                if order is not None:
                    order.skip(training.position.epoch - 1)
            self._say.line = line
            self._header()
            return self._run(training)

    def _run(self, training: Training) -> bool:
        """Run the prepared training."""
        try:
            if self._best is not None and self._best.stopped:  # so the run that is resumed had ended
                self._say(f"Auto-stop. Use model at {self._best.iteration}th iteration.")
            else:
                training.run()
        except DivergedError as error:
            smaller = f"-r {self._wishes.eta / 10:g}" + (
                " or leave out --no-norm" if not self._wishes.normalized else ""
            )
            raise CommandError(f"training diverged, no model was written: try {smaller} ({error})") from None
        finally:
            self._say.line = None
            outcome = training.outcome
            training.runner.finish()
            training.runner.close()
        if self._best is not None and (self._best.stopped or outcome.interrupted):
            self._best.restore()
        return outcome.interrupted

    def _order(self) -> LibffmOrder | None:
        """Libffm's order of rows, where it is asked for."""
        if not self._wishes.compat:
            return None
        held_out = None if self._held_out is None else block_starts(self._held_out.indptr)
        return LibffmOrder(block_starts(self._rows.indptr), held_out)

    def _task(self, machine: Machine, rows: SparseFieldRows) -> Task:
        return machine.task(rows, self._wishes.regularisation, self._wishes.eta)

    def _warm_up(self, engine: Any, n_threads: int, plan: Plan | None) -> None:
        """Compile what the run will need, so that its times are those of the data."""
        if plan is not None and plan.head:
            plan = replace(plan, head=1)  # of two features: kernels of a head and a tail are others
        n = MIN_ROWS * n_threads
        one = {"values": np.float32, "norms": np.float32, "targets": np.float32, "weights": np.float32}
        arrays = {name: np.ones(n if len(getattr(self._rows, name)) else 0, dtype) for name, dtype in one.items()}
        zeros = np.zeros(n, np.uint32)
        rows = SparseFieldRows(np.arange(n + 1, dtype=np.uint64), zeros, zeros, **arrays)
        machine = type(self._machine)(2, self._shape[1], self._wishes.factors)
        task, rng = self._task(machine, rows), np.random.default_rng(0)
        runner = make_runner(task, engine, n_threads, rng, plan=plan)
        shuffle = (lambda *given: LibffmOrder(np.array([0, n, n]))(*given)) if self._wishes.compat else True
        stopping = Stopping(tol=None, patience=1, penalty=lambda: 0.0)
        try:
            Training(task, runner, InMemory(rows), 1, shuffle, rng, stopping).run()
        finally:
            runner.finish()
            runner.close()
        machine.loss(rows)

    # -------------------------------------------------------------------------------------------- what is said

    def _header(self) -> None:
        columns = ["tr_logloss", *(f"va_{name}" for name in self._wishes.metrics)]
        columns = columns if self._held_out is not None else columns[:1]
        self._say(f"{'iter':>4}" + "".join(f"{name:>13}" for name in [*columns, "tr_time"]))

    def _told(self, progress: Progress) -> bool:
        """Move the live line; at the end of an iteration validate, print its line, and say whether to stop."""
        self.iteration = progress.epoch
        if self._say.line is not None:
            self._say.line.update(describe(progress))
        if not progress.epoch_ended:
            return False
        found = [progress.loss, *self._validated()]
        text = f"{progress.epoch:4d}" + "".join(f"{value:13.5f}" for value in found)
        if self._best is not None and self._best.is_worse(found[1], progress.epoch):
            self._say(f"{text}\nAuto-stop. Use model at {self._best.iteration}th iteration.")
            return True
        self._say(f"{text}{self._training.outcome.step_seconds:13.1f}")
        return False

    def _validated(self) -> list[float]:
        """Metrics of the validation rows, if there are any."""
        if self._held_out is None:
            return []
        if self._wishes.metrics == ("logloss",):
            return [self._machine.loss(self._held_out)]
        scores = self._machine.scores(self._held_out)
        return measure(self._wishes.metrics, scores, self._held_out.targets, self._held_out.weights)

    # -------------------------------------------------------------------------------------------- checkpoints

    def _saver(self, engine: Any, n_threads: int) -> Saver | None:
        wishes = self._wishes
        if wishes.checkpoint is None:
            return None
        problem = {
            "rows": len(self._rows.targets),
            "entries": len(self._rows.values),
            "features and fields": list(self._shape),
            "-k": wishes.factors,
            "-l": wishes.regularisation,
            "-r": wishes.eta,
            "normalized": wishes.normalized,
            "--compat": wishes.compat,
            "--auto-stop": wishes.auto_stop,
            "--seed": wishes.seed,
        }
        checkpoint = Checkpoint(str(wishes.checkpoint), wishes.every, wishes.resume)
        return Saver(checkpoint, problem, f"{engine}, n_jobs={n_threads}", self)

    def _save(self, saver: Saver) -> Any:
        def save(training: Training, last: bool) -> None:
            self._state.t = training.task.t
            saver(training, last)

        return save


class _Best:
    """The weights of the best iteration so far, for --auto-stop."""

    def __init__(self, state: FactorState) -> None:
        self._state = state
        self._kept = {f"best_{name}": array.copy() for name, array in state.arrays.items()}
        self._about = np.array([np.inf, 0.0, 0.0])  # its loss, the iteration, whether a worse one has followed

    @property
    def iteration(self) -> int:
        """The best iteration so far; 0 before the first."""
        return int(self._about[1])

    @property
    def stopped(self) -> bool:
        """Whether a worse iteration has followed."""
        return bool(self._about[2])

    def is_worse(self, loss: float, iteration: int) -> bool:
        """Whether a validation loss is above the best; else the weights are kept."""
        if loss > self._about[0]:
            self._about[2] = 1.0
            return True
        self._about[:2] = loss, iteration
        for name, array in self._state.arrays.items():
            self._kept[f"best_{name}"][...] = array
        return False

    def restore(self) -> None:
        """Put the best weights back, if there are any yet."""
        if self.iteration:
            for name, array in self._state.arrays.items():
                array[...] = self._kept[f"best_{name}"]

    def beside(self) -> FactorState:
        """Return a state whose checkpoints hold the best weights as well."""
        return FactorState({**self._state.arrays, **self._kept, "best": self._about})
