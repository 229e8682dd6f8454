"""Any differentiable model on a cluster: gradients by the workers, rules at the parameter server."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hogwild.cluster.consistency import Consistency
from hogwild.cluster.flat import FlatTable
from hogwild.cluster.launching import (
    Curve,
    Ran,
    Recipe,
    check_cuts,
    count,
    first_values,
    job_settings,
    launch,
    result_of,
    seed_of,
)
from hogwild.cluster.rules import resolve_rule
from hogwild.cluster.served import ScheduledStore
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.workloads.gradients import (
    ArrayBatches,
    Batches,
    DrawnBatches,
    FunctionModel,
    GradientProblem,
    GradientWorkload,
    batch_chunks,
)
from hogwild.engine.own_task import resolve_schedule
from hogwild.engine.training import Progress
from hogwild.own.minimize import Result


def descend(
    gradient: Callable[[Any, Any], tuple[float, Any]],
    data: Any,
    params: Any,
    *,
    schedule: float | str | tuple | Callable[[float], float],
    batch: Callable[[np.random.Generator], Any] | None = None,
    batch_size: int = 64,
    shuffle: bool = True,
    rule: str = "sgd",
    n_push: int = 1,
    n_fetch: int | None = None,
    epochs: int = 1,
    random_state: int | np.random.Generator | None = None,
    callback: Callable[[Progress], object] | None = None,
    workers: int | None = None,
    shards: int = 1,
    replicas: int = 1,
    consistency: str | Consistency = "ssp",
    staleness: int | None = None,
    address: str | None = None,
    **settings: Any,
) -> Result:
    """Minimise with a gradient of your own: workers compute gradients, the parameter server applies them.

    A worker announces itself, takes the parameters as soon as the server lets it (the gate of staleness), draws a
    batch, computes the gradient of any loss of any model, and puts it to the server.

    Parameters
    ----------
    gradient : callable
        ``gradient(params, batch) -> (mean loss, gradients)``, gradients by name as the parameters are. Check it with
        `hogwild.check_gradient`.
    data : tuple, NamedTuple or dict of equally long arrays, or int
        A batch has the same form, with `batch_size` rows; or, with `batch`, the number of batches of an epoch.
    params : NamedTuple or dict of arrays
        Where to start; not changed.
    schedule : float, tuple, str or callable
        Step size by the number of batches of all workers, from 1, as `hogwild.minimize` takes it. T workers make T
        steps from the same parameters: where one worker is near the largest step size that works, divide by T.
    batch : callable, optional
        ``batch(rng) -> anything``.
    batch_size : int, default=64
    shuffle : bool, default=True
        Whether every epoch has an order of its own.
    rule : {"sgd", "adagrad", "ftrl"}, default="sgd"
        What the server does with a gradient. FTRL needs parameters that start from 0 and a constant step size.
    n_push, n_fetch : int
        Batches between two pushes (1) and between two pulls (as many): Downpour SGD, with local steps in between. A
        worker that is faster than others takes more of them at a time, a slower one less, unless ``leases=False``.
    epochs, random_state, callback, workers, shards, replicas, consistency, staleness, address, **settings
        As `hogwild.cluster.minimize` takes them.

    Returns
    -------
    Result
        New parameters; history of the losses of batches before their steps.

    References
    ----------
    J. Dean et al.: Large Scale Distributed Deep Networks. NeurIPS 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild.cluster.descending import descend
    >>> def gradient(params, batch):
    ...     X, y = batch
    ...     error = X @ params["w"] - y
    ...     return float(error @ error) / 2 / len(y), {"w": X.T @ error / len(y)}
    >>> X = np.random.default_rng(0).normal(size=(1_000, 3))
    >>> result = descend(gradient, (X, X @ [1.0, 2.0, 3.0]), {"w": np.zeros(3)}, schedule=0.1)  # doctest: +SKIP
    """
    if not callable(gradient):
        raise TypeError(f"gradient must be a function of params and batch; found {gradient!r}")
    seed = seed_of(random_state)
    model = FunctionModel(gradient, params)
    problem = GradientProblem(
        functools.partial(FunctionModel, gradient, params),
        batches_of(data, batch, batch_size, shuffle, seed),
        schedule,
        rule,
        n_push,
        n_push if n_fetch is None else n_fetch,
        seed,
    )
    job = job_settings(shards, replicas, consistency, staleness, problem.phase_batches, settings)
    where = {"workers": workers, "address": address, "epochs": count("epochs", epochs), "callback": callback}
    began = time.perf_counter()
    ran, curve = launch_gradients(problem, model.table, first_values(model.table, model.params), job, **where)
    model.table.scatter(ran.values, model.params)
    return result_of(ran, model.pack(model.params), curve, [], began, gradient)


def launch_gradients(
    problem: GradientProblem,
    table: FlatTable,
    values: np.ndarray,
    job: JobSettings,
    *,
    workers: int | None,
    address: str | None,
    epochs: int,
    callback: Callable[[Progress], object] | None,
    threads: int | None = 1,
) -> tuple[Ran, Curve]:
    """Run workers that compute gradients."""
    check_cuts(table, job.shards)
    n_batches, eta = problem.batches.n_batches, float(resolve_schedule(problem.schedule).fill(1.0, 1)[0])
    if problem.rule == "ftrl" and (values.any() or not isinstance(problem.schedule, int | float)):
        raise ValueError(
            "weights of ftrl follow from sums of gradients that begin at 0, under a constant step size: expected "
            f"parameters of 0 and a number; found {'other values' if values.any() else problem.schedule!r}"
        )
    recipe = Recipe(
        functools.partial(_gradient_workload, problem),
        functools.partial(gradient_store, problem.rule, eta),
        table,
        values,
        job,
    )
    curve = Curve(callback, epochs, n_batches)
    ran = launch(
        recipe,
        lambda n: batch_chunks(n_batches, n),
        epochs,
        workers=workers,
        threads=threads,
        address=address,
        seed=problem.seed,
        told=curve.told,
    )
    return ran, curve


def batches_of(data: Any, batch: Callable | None, batch_size: int, shuffle: bool, seed: int) -> Batches:
    """Batches of what was given.

    Raises
    ------
    TypeError, ValueError
        If data, `batch` and `batch_size` do not fit together.
    """
    if isinstance(data, int | np.integer) and not isinstance(data, bool):
        if batch is None:
            raise ValueError("data is a number of batches: give batch=, a function of a random generator")
        return DrawnBatches(batch, count("data", data), seed)
    if batch is not None:
        raise ValueError("batch= draws what the gradient gets: data must be the number of batches of an epoch, an int")
    if not isinstance(data, tuple | list | Mapping) or not len(data):
        raise TypeError(f"data must be a tuple or dict of arrays, or a number of batches; found {type(data).__name__}")
    return ArrayBatches(data, count("batch_size", batch_size), shuffle, seed)


def gradient_store(rule: str, eta: float, layout: Any, low: int, high: int, values: np.ndarray) -> ScheduledStore:
    """Make a shard that applies a rule to gradients; `eta` is the first step size, and the constant one of FTRL."""
    made = resolve_rule(rule, **({"alpha": eta} if rule == "ftrl" else {"eta": eta}))
    return ScheduledStore(layout, low, high, made, values)


def _gradient_workload(problem: GradientProblem, cuts: np.ndarray, worker: int, threads: int) -> GradientWorkload:
    return GradientWorkload(problem, cuts, worker, threads)
