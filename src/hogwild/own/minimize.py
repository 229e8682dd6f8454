"""The door for researchers: a step of one's own in a few lines of Python, run by the engines of the library."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hogwild.engine.engines import Locked, OwnEngine, Processes, resolve_own_engine
from hogwild.engine.own_choose import make_own_runner
from hogwild.engine.own_data import OwnData, as_own_data
from hogwild.engine.own_params import own_params, rehearse
from hogwild.engine.own_python import Drawn
from hogwild.engine.own_task import OwnTask, resolve_schedule
from hogwild.engine.trace import Trace
from hogwild.engine.training import DivergedError, Outcome, Progress, Stopping, Training
from hogwild.estimators.threads import counted, resolve_n_jobs, threads_for
from hogwild.own.rows import MemoryRows, OpenedRows, is_rows
from hogwild.steps.own import view_of

SAMPLINGS = ("shuffle", "with_replacement", "file")
_ASKED = ("rows", "kept", "longest", "coordinates", "n_coordinates", "row_length")  # what a task takes over of its data
MOST_TRACED = 1 << 26  # coordinates: a trace keeps 8 bytes for each, 4 times a thread


@dataclass
class History:
    """Losses of a run.

    Attributes
    ----------
    loss : list of float
        By epoch: mean of ``loss(row, params)`` over all rows at its end; without `loss` the same as `progressive`.
    progressive : list of float
        By epoch: mean of what the steps returned, each before its own update.
    curve : list of [rows, loss]
        Progressive loss since the point before, after 1,024 rows and then twice as many each time.
    """

    loss: list[float] = field(default_factory=list)
    progressive: list[float] = field(default_factory=list)
    curve: list[list[float]] = field(default_factory=list)


@dataclass
class Result:
    """What `minimize` returns.

    Attributes
    ----------
    params : NamedTuple or dict
        New parameters, in the container that was given.
    history : History
    engine : engine object
        What ran, with the settings that were chosen.
    trace : Trace or None
        Staleness, conflicts and lost updates, with ``trace=True``.
    n_threads : int
        Threads or processes that ran.
    compiled : bool
        Whether the step was compiled.
    message : str
        Why it was not; empty where it was, or where there was no need to.
    n_epochs : int
        Epochs that were begun.
    interrupted, stopped : bool
        Whether Ctrl-C or the callback ended the run before its last epoch.
    compile_seconds, seconds : float
        Time of compiling (none where the same step ran before in this process), and of everything else.
    """

    params: Any
    history: History
    engine: OwnEngine
    trace: Trace | None = None
    n_threads: int = 1
    compiled: bool = True
    message: str = ""
    n_epochs: int = 0
    interrupted: bool = False
    stopped: bool = False
    compile_seconds: float = 0.0
    seconds: float = 0.0


def minimize(
    step: Callable[[Any, Any, float], float],
    data: Any,
    params: Any,
    *,
    schedule: float | str | tuple | Callable[[float], float],
    loss: Callable[[Any, Any], float] | None = None,
    batch: Callable[[np.random.Generator], Any] | None = None,
    epochs: int = 1,
    engine: str | OwnEngine = "auto",
    n_jobs: int | None = None,
    random_state: int | np.random.Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    trace: bool = False,
    sampling: str = "shuffle",
) -> Result:
    """Minimise a sum of losses of rows with a step of your own: stochastic gradient descent on one or many threads.

    The step is compiled where Numba can, and then as fast as the library's own; where it cannot, it runs in Python, on
    several processes if there is more than one job, and a `RuntimeWarning` says which function and why.

    Parameters
    ----------
    step : callable
        ``step(row, params, eta) -> loss before the update``: what one row does to the arrays of `params`, in place.
    data : tuple, NamedTuple, dict or int
        - ``(X, y)`` or ``(X, y, sample_weight)``, X a sparse or a dense matrix: a row has ``index``, ``indices``
          (uint32), ``values``, ``target`` and ``weight``; X, float32 or float64, is not copied, and rows of weight 0
          are left out;
        - a NamedTuple, dict or tuple of equally long arrays, such as ``Ratings(user, item, value)``: a row has
          ``index`` and an entry of each under its name (``column0``, ... for a tuple). Columns of integers name
          coordinates (users, items, nodes), which `Locked` locks and a trace counts;
        - what `hogwild.data.open` returns, for rows beyond memory: as rows of ``(X, y)``, the target float32, the index
          counted within a batch; batches come in their order and are shuffled within; on threads only;
        - with `batch`, the number of batches of an epoch.
    params : NamedTuple or dict of arrays
        Where to start; not changed. Numbers among the arrays are constants of the step.
    schedule : float, tuple, str or callable
        Step size: constant; ``("invscaling", eta0, power_t)``: eta0 / t**power_t, by default its root; ``("optimal",
        alpha, t0)``: 1 / (alpha (t0 + t - 1)); ``("bottou", eta0, alpha)``: eta0 / (1 + alpha eta0 (t - 1));
        ``("epoch_decay", eta0, beta)``: constant in an epoch and times beta, by default .9, between epochs, as in the
        HOGWILD! paper; or a function of t. t counts rows over all threads and epochs, from 1.
    loss : callable, optional
        ``loss(row, params) -> float``. Its mean over all rows at the end of each epoch is the history; and replicas
        choose by it how much of each other's work they add.
    batch : callable, optional
        ``batch(rng) -> anything``: draws what the step gets as its row. Runs in Python.
    epochs : int, default=1
    engine : str or engine object, default="auto"
        ``"sequential"``, ``"shared"`` (classic HOGWILD!), ``"replicas"``, ``"locked"``, ``"round_robin"``,
        ``"processes"``, or an object of `hogwild.engine`. ``"auto"``: one job is sequential; more are replicas where
        the step declares how its parameters merge (`hogwild.step`) or `loss` is given, if copies cost little; else
        shared.
    n_jobs : int, optional
        Most threads or processes: None is 1, -1 all cores. Each gets at least 256 rows.
    random_state : int or Generator, optional
        Seed of the order of rows.
    callback : callable, optional
        Called with a `Progress` after each slice of about 25 ms; a true result stops the run.
    trace : bool, default=False
        Whether to count staleness, conflicts and lost updates (`Trace`); twice to ten times slower.
    sampling : {"shuffle", "with_replacement", "file"}, default="shuffle"
        Each row once an epoch, in random order (blocks of 32 rows shuffled among and within each other where rows are
        many); rows drawn with replacement, as in the HOGWILD! paper; or the order of the data.

    Returns
    -------
    Result
        New parameters, history, engine. After Ctrl-C too, with ``interrupted`` true.

    Raises
    ------
    DivergedError
        If a loss or a parameter is not finite.
    TypeError, ValueError
        If data, parameters or settings do not fit together, or the step returns no number.

    Notes
    -----
    Compiled steps know no bounds: the step is first tried in Python, on a copy of the parameters, on the first row, the
    longest, and those with the largest coordinates. Globals that a step refers to have, while it runs, the values that
    they had at the call. ``row.values`` and other arrays of a row are views: leave them as they are. Steps that make no
    arrays run without reference counts, which threads would fight over.

    References
    ----------
    F. Niu, B. Recht, C. Re, S. Wright: HOGWILD!: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent.
    NeurIPS 2011.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> import hogwild
    >>> class Weights(NamedTuple):
    ...     w: np.ndarray
    >>> @hogwild.step(w="damped")
    ... def squared(row, params, eta):
    ...     w, score = params.w, 0.0
    ...     for j, x in zip(row.indices, row.values):
    ...         score += w[j] * x
    ...     error = score - row.target
    ...     for j, x in zip(row.indices, row.values):
    ...         w[j] -= eta * error * x
    ...     return error * error / 2
    >>> X, y, _ = hogwild.data.make_sparse_regression(2_000, 10, random_state=0)
    >>> result = hogwild.minimize(squared, (X, y), Weights(np.zeros(10)), schedule=0.1, epochs=3, random_state=0)
    >>> bool(result.history.loss[-1] < 1e-3)
    True
    """
    if not callable(step):
        raise TypeError(f"step must be a function of row, params and eta; found {step!r}")
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs must be an integer of at least 1, found {epochs!r}")
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}; found {sampling!r}")
    began = time.perf_counter()
    chosen, sizes, (own, pack) = resolve_own_engine(engine), resolve_schedule(schedule), own_params(params)
    rng = random_state if isinstance(random_state, np.random.Generator) else np.random.default_rng(random_state)
    with contextlib.ExitStack() as held:
        opened = None
        if is_rows(data):
            opened = OpenedRows(data, resolve_n_jobs(n_jobs))
            held.callback(opened.close)
            _check_opened(opened.data, chosen, sampling, trace)
        prepared = as_own_data(data) if opened is None else opened.data
        _check_batch(batch, prepared, loss, trace)
        asked = {name: getattr(prepared, name) for name in _ASKED}
        view = view_of(prepared.rows, prepared.fields)
        task = OwnTask(**asked, view=view, step=step, loss=loss, params=own, sizes=sizes)
        source = MemoryRows(task) if opened is None else opened.attach(task)
        if batch is None:
            rehearse(task, prepared)
            n_jobs = threads_for(n_jobs, task.n_kept) if opened is None else resolve_n_jobs(n_jobs)
        else:
            n_jobs = min(resolve_n_jobs(n_jobs), task.n_rows)
        started = time.perf_counter()
        runner, message = make_own_runner(task, prepared, chosen, n_jobs, rng, batch, trace, opened is not None)
        held.callback(runner.close)
        compile_seconds = time.perf_counter() - started
        if message:
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        mean_loss = None if loss is None else lambda: source.mean_loss(runner)
        stopping = Stopping(None, 1, lambda: 0.0, None if loss is None else lambda: -source.mean_loss(runner))
        shuffle = _shuffle(prepared, sampling, opened is not None)
        training = Training(task, runner, source, epochs, shuffle, rng, stopping, sizes.beta, callback)
        with counted(n_jobs):
            outcome = _run(training, step)
        history = _history(outcome, mean_loss)
        return Result(
            params=pack(task.params),
            history=history,
            engine=runner.describe(),
            trace=runner.trace(),
            n_threads=runner.n_threads,
            compiled=runner.compiled,
            message=message,
            n_epochs=outcome.n_epochs,
            interrupted=outcome.interrupted,
            stopped=outcome.stopped,
            compile_seconds=compile_seconds,
            seconds=time.perf_counter() - began - compile_seconds,
        )


def _shuffle(data: OwnData, sampling: str, opened: bool) -> bool | str:
    """How the training loop orders the rows."""
    if sampling == "file" or isinstance(data.rows, Drawn):
        return False
    if sampling == "with_replacement":
        return sampling
    return True if opened else data.shuffle()


# ------------------------------------------------------------------------------------------------ what was given


def _check_batch(batch: Callable | None, data: OwnData, loss: Callable | None, trace: bool) -> None:
    """See that batches and data belong to each other."""
    drawn = isinstance(data.rows, Drawn)
    if drawn != (batch is not None):
        raise ValueError(
            "batch= draws what the step gets: data must be the number of batches of an epoch, an int"
            if batch is not None
            else "data is a number of batches: give batch=, a function of a random generator that draws one"
        )
    if drawn and (loss is not None or trace):
        raise ValueError("loss= and trace=True need rows to go over: with batch= the history is what steps return")
    if trace and data.n_coordinates > MOST_TRACED:
        raise ValueError(
            f"the rows name {data.n_coordinates:,} coordinates, a trace counts at most {MOST_TRACED:,}: columns of "
            "integers that name nothing (times, counts) can be given as floating-point numbers"
        )


def _check_opened(data: OwnData, engine: OwnEngine | None, sampling: str, trace: bool) -> None:
    """See that rows which come in batches are asked for what they can."""
    if isinstance(engine, Processes):
        raise ValueError("opened rows come to threads: engine must not be processes")
    if sampling == "with_replacement":
        raise ValueError(
            'rows that come in batches are not drawn with replacement: sampling must be "shuffle" or "file"'
        )
    if (trace or isinstance(engine, Locked)) and not data.n_coordinates:
        raise ValueError("locks and traces need to know the number of features: give n_features= to hogwild.data.open")


def _run(training: Training, step: Callable) -> Outcome:
    """Run the epochs; a divergence names the step and the size of its steps."""
    try:
        return training.run()
    except DivergedError as error:
        name, task = getattr(step, "__name__", "the step"), training.task
        raise DivergedError(
            f"Floating-point under-/overflow occurred at epoch #{training.position.epoch}: the step size "
            f"(eta={float(task.etas(1)[0]):g} of {name}) is too large for these data."
        ) from error


def _history(outcome: Outcome, mean_loss: Callable[[], float] | None) -> History:
    """Losses by epoch; an epoch that was cut short is evaluated where it was left."""
    losses = [-score for score in outcome.scores] if mean_loss else list(outcome.losses)
    if mean_loss and len(losses) < outcome.n_epochs:
        losses.append(mean_loss())
    if mean_loss and not all(map(math.isfinite, losses)):
        raise DivergedError(f"Floating-point under-/overflow: the loss is {losses[-1]} after epoch #{len(losses)}")
    return History(losses, list(outcome.losses), outcome.curve)
