"""The constant in front of the curvature where deltas of several workers merge: tried on rows, the best is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.deltas import Delta
from hogwild.cluster.layout import Kind
from hogwild.cluster.workloads.problem import Problem
from hogwild.cluster.workloads.table import Where
from hogwild.engine.task import SHRINK, Task
from hogwild.engine.tuning import CONSTANTS, damped
from hogwild.steps.rows import Rows


class Merge(NamedTuple):
    """What the deltas of all workers come to on one shard, for the keys that moved.

    Attributes
    ----------
    base, deltas : ndarray, shape (n, width)
        Values before, and the sum of all deltas.
    curvature : ndarray, shape (n, width)
        0 where deltas are added whole.
    features, others : ndarray
        Rows of the model's arrays, and further keys.
    """

    base: np.ndarray
    deltas: np.ndarray
    curvature: np.ndarray
    features: np.ndarray
    others: np.ndarray


def constant_of(merge: str) -> float:
    """Constant of a rule that does not look for one."""
    return SHRINK if merge == "damped" else 0.0


def losses_of_constants(
    problem: Problem, task: Task, rows: Rows, merges: Sequence[Merge], x: float, active: int
) -> list[float]:
    """Return the mean losses of what merges would have led to under each of `CONSTANTS`.

    The task's arrays are left as the last candidate has them.

    Parameters
    ----------
    problem : Problem
    task : Task
        Over the arrays that candidates are written to.
    rows : Rows
        To score on.
    merges : sequence of Merge
    x : float
        Step size times rows of a worker.
    active : int
        Workers.
    """
    arrays = {name: getattr(task.model, name) for name in task.model._fields if name != "settings"}
    losses = []
    for constant in CONSTANTS:
        for merge in merges:
            s = damped(merge.curvature.reshape(-1), x * constant, active, None).reshape(merge.curvature.shape)
            values = (merge.base + merge.deltas * s).astype(merge.base.dtype)
            n = len(merge.features)
            if n:
                problem.table.write(values[:n], arrays, Where.of(merge.features))
            problem.table.write_rest(values[n:], arrays, merge.others)
        losses.append(problem.mean_loss(task, rows))
    return losses


def observed(
    problem: Problem, share: Any, before: np.ndarray, decay: float, constant: float, x: float, active: int
) -> Merge:
    """What the merges since the last pull came to, undone: the sum of all workers' deltas, as far as it can be told.

    Parameters
    ----------
    problem, share
    before : ndarray
        Values of the last pull.
    decay : float
        Logarithm of what an L2 penalty has left of them since.
    constant, x : float
        Under which deltas were damped: the constant, and step size times rows.
    active : int
    """
    layout, n = problem.layout, share.n_features
    then = before.copy()
    then[:n] *= np.where(layout.decays, math.exp(decay), 1.0).astype(before.dtype)
    moved = share.base - then
    tolerance = 1e-6 if before.dtype == np.float32 else 1e-14
    positions = np.flatnonzero((np.abs(moved) > tolerance * np.abs(then)).any(axis=1)).astype(np.uint32)
    found = _merge(problem, share, positions, then[positions], moved[positions].astype(np.float64))
    s = damped(found.curvature.reshape(-1), x * constant, active, None).reshape(found.curvature.shape)
    return found._replace(deltas=found.deltas / s)


def kept_share(problem: Problem, shares: Sequence[Any], pushes: Sequence[Delta | None], active: int) -> float:
    """Share of the squares of a phase's deltas that damping leaves: from 1 (sum) to 1 / active (mean)."""
    kept = whole = 0.0
    for share, push in zip(shares, pushes, strict=True):
        if push is None or share.curvature is None:
            continue
        positions = np.arange(len(push.values), dtype=np.uint32) if push.positions is None else push.positions
        merge = _merge(problem, share, positions, share.base[positions], push.values.astype(np.float64))
        counts = merge.curvature.reshape(-1) > 0
        squares = np.square(merge.deltas.reshape(-1)[counts])
        s = damped(merge.curvature.reshape(-1)[counts], push.eta * push.rows * push.constant, active, None)
        kept, whole = kept + float((s * squares).sum()), whole + float(squares.sum())
    return kept / whole if whole > 0 else math.nan


def _merge(problem: Problem, share: Any, positions: np.ndarray, base: np.ndarray, deltas: np.ndarray) -> Merge:
    layout = problem.layout
    features, others = share.where.picked(positions)
    n = len(features)
    curvature = np.zeros(base.shape, np.float32) if share.curvature is None else share.curvature[positions]
    curvature[:n] *= layout.kinds == Kind.DAMPED
    curvature[n:] *= layout.rest[others] == Kind.DAMPED
    return Merge(base, deltas, curvature, features, others)
