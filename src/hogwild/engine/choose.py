"""From an engine to what runs a task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hogwild.engine.baselines import BASELINES, Baseline
from hogwild.engine.engines import ALONE, Engine, Grid, Replicas, Sequential
from hogwild.engine.grid import GridRunner
from hogwild.engine.runners import Plan, ReplicasRunner, SequentialRunner
from hogwild.engine.task import Task
from hogwild.engine.tuning import SelfTuned, is_long, tuned_plan

Runner = SequentialRunner | ReplicasRunner | SelfTuned | Baseline | GridRunner


def make_runner(
    task: Task,
    engine: Engine | Grid,
    n_threads: int,
    rng: np.random.Generator,
    *,
    n_epochs: int = 1,
    copy_task: Callable[[], Task] | None = None,
    plan: Plan | None = None,
) -> Runner:
    """Return what runs `task` on `engine` with `n_threads`.

    Parameters
    ----------
    n_epochs : int
        Epochs that are sure to run; a long run may measure interval and head first.
    copy_task : callable, optional
        Returns a copy of `task` over copied parameters, for measuring; without it nothing is measured.
    plan : Plan, optional
        What an earlier run has chosen.
    """
    if isinstance(engine, Sequential) or (n_threads == 1 and not isinstance(engine, ALONE)):
        return SequentialRunner(task)
    if isinstance(engine, Grid):
        return GridRunner(task, engine, n_threads, rng)
    if type(engine) in BASELINES:
        return BASELINES[type(engine)](task, engine, n_threads)
    tunes = isinstance(engine, Replicas) and engine.tune and not engine.deterministic
    given = tunes and engine.interval is not None and engine.head is not None
    if plan is None and tunes and not given and copy_task is not None and is_long(task, n_epochs, n_threads):
        plan = tuned_plan(task, engine, n_threads, rng, copy_task)
    runner = ReplicasRunner(task, engine, n_threads, rng, plan)
    if getattr(engine, "merge", "") == "self-tuned":
        return SelfTuned(runner, rng)
    return runner
