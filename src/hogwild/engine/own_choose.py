"""From an engine to what runs a user's own step on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hogwild.engine.engines import OwnEngine, Processes, Replicas, Sequential, Shared
from hogwild.engine.own_data import OwnData
from hogwild.engine.own_python import PartsRunner
from hogwild.engine.own_replicas import Layout, OwnReplicasRunner, interval_for, merges_of
from hogwild.engine.own_runners import CannotCompileError, ThreadsRunner
from hogwild.engine.own_task import OwnTask
from hogwild.engine.pool import thread_pool
from hogwild.steps.own import Declared, declared


def make_own_runner(
    task: OwnTask,
    data: OwnData,
    engine: OwnEngine | None,
    n_jobs: int,
    rng: np.random.Generator,
    batch: Callable | None,
    trace: bool,
    opened: bool = False,
) -> tuple[ThreadsRunner | PartsRunner, str]:
    """Return what runs the task, compiled, and the message where it had to be something else.

    Rows that are `opened` come batch after batch: in Python they run on one thread.
    """
    kept = declared(task.step)
    if batch is not None:
        processes = isinstance(engine, Processes)
        if not processes and not isinstance(engine, Sequential | Shared | None):
            raise ValueError(f'batches run on "sequential", "shared" or "processes"; found {engine!r}')
        n_jobs = 1 if isinstance(engine, Sequential) else n_jobs
        return _parts(task, data, n_jobs, rng, processes=processes, batch=batch), ""
    if isinstance(engine, Processes):
        if trace:
            raise ValueError("a trace counts what threads do: trace=True needs another engine than processes")
        if not engine.compiled:
            return _parts(task, data, n_jobs, rng, processes=True), ""
    if engine is None:
        engine = _auto(task, kept, n_jobs)
    if n_jobs == 1 and not isinstance(engine, Processes):
        engine = Sequential()
    n_threads = 1 if isinstance(engine, Sequential | Processes) else n_jobs
    original = task.params
    if isinstance(engine, Replicas):
        runner = OwnReplicasRunner(task, engine, n_threads, rng, kept, traced=trace)
    else:
        runner = ThreadsRunner(task, engine, n_threads, traced=trace)
    try:
        runner.compile(lambda: (task.view.row(task.rows, np.uint32(0)), task.params, 1.0))
    except CannotCompileError as error:
        if trace:
            raise CannotCompileError(f"trace=True needs a step that can be compiled; {error}") from error
        task.params = original
        task.name_parameters()
        if opened:
            n_jobs = 1
        processes = n_jobs > 1 or isinstance(engine, Processes)
        where = f"on {n_jobs} processes" if processes else "in this process"
        message = f"not compiled, runs in Python {where}: {error}"
        return _parts(task, data, n_jobs, rng, processes=processes), message
    if isinstance(engine, Processes):
        return _parts(task, data, n_jobs, rng, processes=True, tier=runner.tier), ""
    return runner, ""


def _auto(task: OwnTask, kept: Declared, n_threads: int) -> OwnEngine:
    """The engine that is chosen where none was asked for."""
    if n_threads == 1:
        return Sequential()
    if not kept.merges and kept.curvature is None and task.loss is None:
        return Shared()
    merges = merges_of(task, kept)
    arrays = [getattr(task.params, name) for name, how in merges.items() if how != "none"]
    if len({array.dtype for array in arrays}) != 1:
        return Shared()
    layout = Layout(task.params, merges)
    _, cheap = interval_for(task, layout.size, layout.dtype.itemsize, n_threads)
    return Replicas() if cheap else Shared()


def _parts(
    task: OwnTask,
    data: OwnData,
    n_workers: int,
    rng: np.random.Generator,
    *,
    processes: bool,
    batch: Callable | None = None,
    tier: int | None = None,
) -> PartsRunner:
    pool = thread_pool()
    if processes:
        from hogwild.engine.process_pool import ProcessPool

        pool = ProcessPool(n_workers)
    try:
        return PartsRunner(task, n_workers, pool, data.fields, rng, batch=batch, tier=tier)
    except BaseException:
        if processes:
            pool.close()
        raise
