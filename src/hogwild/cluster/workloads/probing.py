"""Curvature along each parameter, measured with steps of a user's own; in Python, for any step and any row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hogwild.cluster.flat import FlatTable


def probe(
    step: Callable, rows: Iterable[Any], params: Any, table: FlatTable, base: np.ndarray, eta: float
) -> np.ndarray:
    """Mean over `rows` of the curvature along each damped number that their steps show.

    The twin of the compiled ``probe`` of engine/own_kernels.py, for steps that the compiler does not take and for
    batches: a step from `base` moves the parameters by ``-eta g``, one from parameters moved by e along the signs of
    that by ``-eta (g + e H sign)``; where the difference is 0, ``g g' / 4`` stands for H.

    Parameters
    ----------
    step : callable
    rows : iterable
        What the step gets, one after the other.
    params : NamedTuple
        Shapes, constants and arrays of integers; not changed.
    table : FlatTable
    base : ndarray, shape (n_keys, width)
        Where to measure.
    eta : float

    Returns
    -------
    ndarray, shape (n_damped,)
    """
    n, start = table.n_damped, base.reshape(-1)[: table.n_damped].astype(np.float64)
    sums, count, moved_table = np.zeros(n), 0, table.zeros()

    def after(row: Any, at: np.ndarray) -> np.ndarray:
        own = params._replace(**{name: np.array(getattr(params, name)) for name in (*table.names, *table.fixed)})
        table.scatter(at, own)
        with np.errstate(all="ignore"):
            step(row, own, eta)
        return table.gather(own, moved_table).reshape(-1)[:n].astype(np.float64)

    for row in rows:
        count += 1
        moves = after(row, base) - start
        changed = np.flatnonzero(moves)
        length = float(np.abs(moves).sum())
        if not len(changed) or not np.isfinite(length):
            continue
        e = max(length, 1e-3 * float(np.abs(start[changed]).sum())) / len(changed)
        beside = base.copy()
        beside.reshape(-1)[changed] += e * np.sign(moves[changed])
        beside_start = beside.reshape(-1)[:n].astype(np.float64)
        bend = np.abs(after(row, beside) - beside_start - moves)[changed]
        sums[changed] += bend / (eta * e)
        if bend.sum() <= 1e-6 * length:
            sums[changed] += 0.25 * np.abs(moves[changed]) * length / eta**2
    return sums / max(1, count)
