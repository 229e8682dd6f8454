"""Any differentiable model on a cluster: a step of one's own on many machines."""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from hogwild.cluster.consistency import Consistency
from hogwild.cluster.launching import (
    Curve,
    Recipe,
    check_cuts,
    count,
    first_values,
    job_settings,
    launch,
    result_of,
    seed_of,
)
from hogwild.cluster.store import TableStore
from hogwild.cluster.workloads.own import OwnProblem, OwnWorkload, own_chunks
from hogwild.engine.training import DivergedError, Progress
from hogwild.own.minimize import Result


def minimize(
    step: Callable[[Any, Any, float], float],
    data: Any,
    params: Any,
    *,
    schedule: float | str | tuple | Callable[[float], float],
    loss: Callable[[Any, Any], float] | None = None,
    batch: Callable[[np.random.Generator], Any] | None = None,
    epochs: int = 1,
    engine: Any = "auto",
    n_jobs: int | None = None,
    random_state: int | np.random.Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    sampling: str = "shuffle",
    workers: int | None = None,
    shards: int = 1,
    replicas: int = 1,
    consistency: str | Consistency = "ssp",
    staleness: int | None = None,
    phase_rows: int | None = None,
    address: str | None = None,
    **settings: Any,
) -> Result:
    """Minimise a sum of losses of rows with a step of your own on a cluster: `hogwild.minimize` over many machines.

    Each worker leases chunks of rows, pulls the parameters, runs the step on its threads for a phase, and pushes what
    has changed; shards merge what comes from all of them, each array as `hogwild.step` declares it.

    Parameters
    ----------
    step, data, params, schedule, loss, batch, epochs, engine, random_state, callback, sampling
        As `hogwild.minimize` takes them; `data` in memory (it is copied to every machine once, and shared by its
        workers), or, with `batch`, the number of batches of an epoch: each worker draws its own. ``engine`` is that of
        a worker's threads. With `loss`, every phase chooses how much of it is added by the loss on rows of the worker;
        without, by the curvature alone. The callback is called when a worker reports, and a true result ends the run.
    n_jobs : int, optional
        Threads of a worker; default: its share of the cores of its machine, but 1 for batches.
    workers : int, optional
        Default: one for every machine of the cluster; more come when machines join.
    shards, replicas : int, default=1
        Processes that hold the parameters, and copies of each (1 or 2).
    consistency : {"ssp", "bsp", "asp"} or Consistency, default="ssp"
        Stale-synchronous within `staleness` phases (4), bulk-synchronous, asynchronous.
    staleness : int, optional
    phase_rows : int, optional
        Rows (or batches) that a worker steps between two exchanges; default: chosen by measuring.
    address : str, optional
        Of a Ray cluster, ``"auto"`` for the one on this machine; by default what this process is connected to, or one
        that is started and shut down again.
    **settings
        Further fields of `hogwild.cluster.settings.JobSettings`: ``leases``, ``worker_timeout``, ...

    Returns
    -------
    Result
        New parameters in the container that was given; in ``history.progressive`` and ``history.curve`` losses before
        the steps, in ``history.loss`` the mean loss of all rows at the end (with `loss`; one entry, since nobody holds
        all parameters at the end of an epoch under way); ``engine`` is a `Cluster`: what ran, and what happened.
        Arrays of integers are the same everywhere, and must not be changed.

    Raises
    ------
    DivergedError
        If a loss or a parameter is not finite.
    TypeError, ValueError
        If data, parameters or settings do not fit together, or the step returns no number.

    Examples
    --------
    >>> import numpy as np
    >>> import hogwild
    >>> from hogwild.cluster.minimizing import minimize
    >>> @hogwild.step(w="damped")
    ... def squared(row, params, eta):
    ...     error = params.w[row.indices] @ row.values - row.target
    ...     params.w[row.indices] -= eta * error * row.values
    ...     return error**2 / 2
    >>> X, y, _ = hogwild.data.make_sparse_regression(2_000, 10, random_state=0)
    >>> result = minimize(squared, (X, y), {"w": np.zeros(10)}, schedule=0.1, workers=2)  # doctest: +SKIP
    """
    if not callable(step):
        raise TypeError(f"step must be a function of row, params and eta; found {step!r}")
    epochs = count("epochs", epochs)
    job = job_settings(shards, replicas, consistency, staleness, phase_rows, settings)
    seed, began = seed_of(random_state), time.perf_counter()
    problem = OwnProblem(step, data, params, schedule, loss, batch, engine, n_jobs, sampling, seed)
    task, _, pack = problem.prepare()
    table = problem.table(task)
    check_cuts(table, job.shards)
    if batch is not None and phase_rows is None:
        job = job_settings(shards, replicas, consistency, staleness, None, {"first_phase_rows": 8, **settings})
    recipe = Recipe(functools.partial(_own_workload, problem), TableStore, table, first_values(table, task.params), job)
    n_rows, curve = task.n_kept, Curve(callback, epochs, task.n_kept)
    threads = n_jobs if n_jobs is not None and n_jobs > 0 else 1 if batch is not None else None
    ran = launch(
        recipe,
        lambda n: own_chunks(n_rows, n),
        epochs,
        workers=workers,
        threads=threads,
        address=address,
        seed=seed,
        told=curve.told,
    )
    table.scatter(ran.values, task.params)
    final = [] if loss is None else [_mean_loss(problem, task.params)]
    return result_of(ran, pack(task.params), curve, final, began, step)


def _own_workload(problem: OwnProblem, cuts: np.ndarray, worker: int, threads: int) -> OwnWorkload:
    problem.n_jobs = threads
    return OwnWorkload(problem, cuts, worker)


def _mean_loss(problem: OwnProblem, params: Any) -> float:
    """Mean loss of all rows, in this process."""
    from hogwild.engine.own_choose import make_own_runner

    task, data, _ = problem.prepare()
    task.params = params
    task.name_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner, _ = make_own_runner(task, data, None, 1, np.random.default_rng(0), None, False)
    found = float(runner.mean_loss())
    if not math.isfinite(found):
        raise DivergedError(f"Floating-point under-/overflow: the loss is {found} at the end")
    return found
