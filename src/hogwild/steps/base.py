"""What a step is: the functions that a model defines over its own NamedTuple, found by the type of that tuple.

A model registers functions for its NamedTuple of arrays and settings:

``step(rows, i, model, work, k) -> float``
    What row `i` does to the parameters, in place; returns the row's loss before the update. `k` is the row's place in
    `work`, the thread's own scratch memory (step sizes, penalties, scores).
``settle(model, low, high, scale, penalty, area, count)``
    Brings what is kept lazily (penalty, average) of the flat parameters low..high (those with a row for each feature,
    then the others) up to the row clock.
``prefetch(rows, i, model)``
    Asks the memory for the weights of a row before its turn (models larger than the cache).
``fold(model, scale)``
    Multiplies the scale factor of the L2 penalty into the weights.

Kernels of the engine are compiled once for each type of model and cached on disk: a compiled function passed as an
argument would miss that cache in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from hogwild.compiled import OPTIONS, aligned_zeros
from hogwild.schedules import CHUNK

LANES = 64  # entries of a row that are worked on side by side
DAMPED, ADD = "damped", "add"  # how the replicas of a parameter array merge


class Work(NamedTuple):
    """Per-thread memory: one chunk's row numbers and clock, and a row's scores.

    Attributes
    ----------
    order : ndarray of uint32, shape (CHUNK,)
    eta : ndarray of float64, shape (CHUNK,)
        Step size of each row.
    scale : ndarray of float64, shape (CHUNK + 1,)
        Factor of the L2 penalty before each row (and after the last): weights are ``scale * stored``.
    inverse : ndarray of float64, shape (CHUNK,)
        1 / scale after each row: a division less between a row's score and its step.
    penalty : ndarray of float64, shape (CHUNK,)
        L1 penalty (or the rule's own) accumulated since the start of training, this row included.
    area, count : ndarray of float64, shape (CHUNK,)
        Sums of `scale` and of 1 over the averaged rows of this slice, this row excluded.
    scores, slopes : ndarray, shape (n_columns,)
    lanes : ndarray, shape (2, LANES)
        Gradients and sums of squares of some entries of a row, side by side for the vector unit.
    active : ndarray of uint32, shape (n_columns,)
        Columns whose slope is not 0.
    running : ndarray of float64, shape (8,)
        End of the last chunk: position, t, scale, penalty, area, count.
    """

    order: np.ndarray
    eta: np.ndarray
    scale: np.ndarray
    inverse: np.ndarray
    penalty: np.ndarray
    area: np.ndarray
    count: np.ndarray
    scores: np.ndarray
    slopes: np.ndarray
    lanes: np.ndarray
    active: np.ndarray
    running: np.ndarray


def make_work(n_columns: int, dtype: np.dtype) -> Work:
    """Allocate one thread's memory."""
    clocks = [aligned_zeros(size, np.float64) for size in (CHUNK, CHUNK + 1, CHUNK, CHUNK, CHUNK, CHUNK)]
    scores = [aligned_zeros(n_columns, dtype) for _ in range(2)]
    lanes, active = aligned_zeros((2, LANES), dtype), aligned_zeros(n_columns, np.uint32)
    return Work(aligned_zeros(CHUNK, np.uint32), *clocks, *scores, lanes, active, aligned_zeros(8, np.float64))


def step(rows, i, model, work, k):
    """Let row `i` change the parameters; returns its loss before the update."""
    raise NotImplementedError


def settle(model, low, high, scale, penalty, area, count):
    """Bring penalty and average of the flat parameters low..high up to the row clock."""
    raise NotImplementedError


def fold(model, scale):
    """Multiply `scale` into the weights."""
    raise NotImplementedError


def prefetch_weights(rows, i, model):
    """Ask the memory for the weights that row `i` will touch."""
    raise NotImplementedError


_STEPS: dict[type, Callable[[types.Type], Callable]] = {}
_SETTLES: dict[type, Callable] = {}
_FOLDS: dict[type, Callable] = {}
_PREFETCHES: dict[type, Callable] = {}


def register(
    model: type, *, step: Callable[[types.Type], Callable], settle: Callable, fold: Callable, prefetch: Callable
) -> None:
    """Register the functions of a model class; `step` maps the compiler's type of the model to the function."""
    _STEPS[model], _SETTLES[model], _FOLDS[model], _PREFETCHES[model] = step, settle, fold, prefetch


def _registered(table: dict, model: types.Type) -> Callable | None:
    return table.get(model.instance_class) if isinstance(model, types.BaseNamedTuple) else None


@overload(step, jit_options=OPTIONS)
def _step(rows, i, model, work, k):
    choose = _registered(_STEPS, model)
    return choose(model) if choose else None


@overload(settle, jit_options=OPTIONS)
def _settle(model, low, high, scale, penalty, area, count):
    return _registered(_SETTLES, model)


@overload(fold, jit_options=OPTIONS)
def _fold(model, scale):
    return _registered(_FOLDS, model)


@overload(prefetch_weights, jit_options=OPTIONS)
def _prefetch_weights(rows, i, model):
    return _registered(_PREFETCHES, model)
