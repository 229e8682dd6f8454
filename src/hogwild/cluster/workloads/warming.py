"""Loading kernels before a job needs them, so that nobody waits for a worker or a shard that compiles."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from hogwild.cluster.deltas import ALL, KeySet, Request, Values
from hogwild.cluster.protocol import Chunk, Lease, Part, Phase, Prepare
from hogwild.cluster.sending import make_delta
from hogwild.cluster.workloads.estimator import EstimatorWorkload
from hogwild.cluster.workloads.problem import Problem
from hogwild.cluster.workloads.sources import Source
from hogwild.cluster.workloads.stepping import MIN_ROWS

WORKERS = 2  # that there seem to be: one alone damps nothing


def warm_workload(
    problem: Problem, source: Source, cuts: np.ndarray, chunk: Chunk, n_threads: int, **options: Any
) -> None:
    """Run two short phases on the first rows of a chunk, on a workload of their own.

    Whatever is wrong with the rows, the job itself will say.
    """
    stop = min(chunk.rows, WORKERS * MIN_ROWS * n_threads)
    parts = (Part(Lease(-1, 1, chunk, 0, stop), 0, stop),)
    workload = EstimatorWorkload(problem, source, cuts, n_threads=n_threads, **options)
    with contextlib.suppress(ValueError):
        for turn in range(2):
            pulls = workload.run(Prepare(parts, turn == 0)).pulls
            pulled = tuple(
                Values(None, _first(problem, pull, low, high), turn, 0.0, 0.0)
                for pull, low, high in zip(pulls, cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
            )
            workload.run(Phase(parts, pulled, 0.0, WORKERS, ()))
    workload.close()


def _first(problem: Problem, pull: Request, low: int, high: int) -> np.ndarray:
    """Values to start from of the keys that a request names."""
    if pull.keys.id == ALL:
        return problem.initial(low, high)
    return problem.initial(low, high)[pull.keys.keys - np.uint32(low)]


def warm_store(problem: Problem) -> None:
    """Push to and pull from a store of the first key."""
    store = problem.store(0, 1)
    base = store.read(Request(KeySet(ALL))).values
    curvature = np.ones(base.shape, np.float32)
    for told in (curvature, None):
        push = make_delta(
            problem.layout, 0, 1, KeySet(ALL), base, base + 1, rows=1, eta=0.1, constant=0.1, curvature=told
        )
        store.apply(push, WORKERS)
        store.read(Request(KeySet(ALL), store.version - 1))
    store.restore(store.snapshot())
