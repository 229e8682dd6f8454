"""What a step is: the functions that a model defines over its own NamedTuple, found by the type of that tuple.

A model registers functions for its NamedTuple of arrays and settings:

``step(rows, i, model, work, k) -> float``
    What row `i` does to the parameters, in place; returns the row's loss before the update. `k` is the row's place in
    `work`, the thread's own scratch memory (step sizes, penalties, scores).
``measure(rows, i, model, work, k) -> float``, ``apply(rows, i, model, work, k)``
    The same in two parts, for the engines that put time or other rows between them: what the row's derivatives are
    (written to ``work.derivatives``; returns the loss), and the update that follows from them.
``settle(model, low, high, scale, penalty, area, count)``
    Brings what is kept lazily (penalty, average) of the flat parameters low..high (those with a row for each feature,
    then the others) up to the row clock.
``prefetch(rows, i, model)``
    Asks the memory for the weights of a row before its turn (models larger than the cache).
``fold(model, scale)``
    Multiplies the scale factor of the L2 penalty into the weights.

The settings of every model have the flags that engines set or ask for: `large` (prefetch weights), `penalised` and
`averaged` (something is kept lazily), `lazy` and `lazy_intercept` (by the steps, not by merges). Models of factors keep
one matrix, a row of factors (and their AdaGrad sums) for each feature, user, item or node, and see its rows through
`compiled.row_of`; they have no penalty or average that is lazy.

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
from hogwild.steps.rows import INLINE

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
    predictions, derivatives : ndarray of float64, shape (n_columns,)
        Scores of the row with scale and intercept, and the derivatives of its loss with respect to them.
    scores, factors : ndarray, shape (n_columns,)
        Products of the row and the stored weights, and factors of the row in their change.
    lanes : ndarray, shape (2, LANES)
        Gradients and sums of squares of some entries of a row, side by side for the vector unit.
    active : ndarray of uint32, shape (n_columns,)
        Columns whose slope is not 0.
    following : ndarray of uint32, shape (2,)
        The next row and the one after it (models beyond the cache; the last of a chunk is repeated).
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
    predictions: np.ndarray
    derivatives: np.ndarray
    scores: np.ndarray
    factors: np.ndarray
    lanes: np.ndarray
    active: np.ndarray
    following: np.ndarray
    running: np.ndarray


def make_work(n_columns: int, dtype: np.dtype) -> Work:
    """Allocate one thread's memory."""
    clocks = [aligned_zeros(size, np.float64) for size in (CHUNK, CHUNK + 1, CHUNK, CHUNK, CHUNK, CHUNK)]
    scores = [aligned_zeros(n_columns, kind) for kind in (np.float64, np.float64, dtype, dtype)]
    lanes, active = aligned_zeros((2, LANES), dtype), aligned_zeros(n_columns, np.uint32)
    last = aligned_zeros(2, np.uint32), aligned_zeros(8, np.float64)
    return Work(aligned_zeros(CHUNK, np.uint32), *clocks, *scores, lanes, active, *last)


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
_PARTS: dict[type, Callable[[types.Type], tuple[Callable, Callable]]] = {}
_SETTLES: dict[type, Callable] = {}
_FOLDS: dict[type, Callable] = {}
_PREFETCHES: dict[type, Callable] = {}
MERGES: dict[type, dict[str, tuple[str, bool]]] = {}  # array: (how replicas merge, has it a row a feature)
LAZY: dict[type, tuple[str, ...]] = {}  # model: further arrays by feature, which merges keep up to date


def no_settle(model, low, high, scale, penalty, area, count):
    """Settle nothing: what has no penalty and no average."""


def no_fold(model, scale):
    """Fold nothing: what has no scale."""


def register(
    model: type,
    *,
    step: Callable[[types.Type], Callable] | None = None,
    parts: Callable[[types.Type], tuple[Callable, Callable]] | None = None,
    prefetch: Callable,
    settle: Callable = no_settle,
    fold: Callable = no_fold,
    merges: dict[str, tuple[str, bool]],
    lazy: tuple[str, ...] = (),
) -> None:
    """Register the functions of a model class, and how its arrays merge.

    `step` maps the compiler's type of the model to the function, or `parts` maps it to ``(measure, apply)``.
    """
    MERGES[model], LAZY[model] = merges, lazy
    _SETTLES[model], _FOLDS[model], _PREFETCHES[model] = settle, fold, prefetch
    if parts is not None:
        _PARTS[model] = parts
        step = step or (lambda model: _whole)
    _STEPS[model] = step


def has_parts(model: type) -> bool:
    """Whether steps of the model class come in two parts."""
    return model in _PARTS


def measure(rows, i, model, work, k):
    """Write the derivatives of row `i` to ``work.derivatives``; returns its loss."""
    raise NotImplementedError


def apply(rows, i, model, work, k):
    """Let row `i` change the parameters by ``work.derivatives``."""
    raise NotImplementedError


def _whole(rows, i, model, work, k):
    loss = measure(rows, i, model, work, k)
    apply(rows, i, model, work, k)
    return loss


def _registered(table: dict, model: types.Type) -> Callable | None:
    return table.get(model.instance_class) if isinstance(model, types.BaseNamedTuple) else None


@overload(step, jit_options=OPTIONS)
def _step(rows, i, model, work, k):
    choose = _registered(_STEPS, model)
    return choose(model) if choose else None


@overload(measure, jit_options=INLINE)
def _measure(rows, i, model, work, k):
    choose = _registered(_PARTS, model)
    return choose(model)[0] if choose else None


@overload(apply, jit_options=INLINE)
def _apply(rows, i, model, work, k):
    choose = _registered(_PARTS, model)
    return choose(model)[1] if choose else None


@overload(settle, jit_options=OPTIONS)
def _settle(model, low, high, scale, penalty, area, count):
    return _registered(_SETTLES, model)


@overload(fold, jit_options=OPTIONS)
def _fold(model, scale):
    return _registered(_FOLDS, model)


@overload(prefetch_weights, jit_options=OPTIONS)
def _prefetch_weights(rows, i, model):
    return _registered(_PREFETCHES, model)
