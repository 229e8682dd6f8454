"""Field-aware factorisation machines for the engine: state, task, scores and loss of rows, libffm's arrangement."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros, kernel
from hogwild.data.libffm_cache import row_norms as libffm_norms
from hogwild.engine.engines import Engine, Replicas, Simulated
from hogwild.engine.runners import Plan
from hogwild.engine.task import Merge, Task
from hogwild.estimators.factors import FactorState
from hogwild.losses import LOSSES, loss_id, loss_value
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.base import MERGES, make_work
from hogwild.steps.ffm import Ffm, FfmSettings, row_norm, score
from hogwild.steps.products import row_weight
from hogwild.steps.rows import SparseFieldRows, span
from hogwild.vectors.tiles import ESTIMATE, QUAD, TILE

FFM_LOSSES = ("log_loss", "squared_error")
HEAD_BYTES, INTERVAL = 1 << 18, 1024  # of the hot features that two threads replicate, and rows between their merges
SHORTEST, INTERVALS = 64, 480  # rows; an epoch of fewer than 500,000 merges about so many times
SHARE = 0.02  # of the row-sum bound: AdaGrad's sums, which merge whole, damp the steps that follow by themselves
LARGE = 1 << 21  # bytes of blocks beyond which the next row's are asked for ahead of time


class BlockShape(NamedTuple):
    """How a feature's block is laid out: groups of four fields, quads of factors, floats in all."""

    n_groups: int
    n_quads: int
    width: int


def block_shape(n_fields: int, n_factors: int) -> BlockShape:
    """Return the layout of a feature's block; its width is a whole number of cache lines."""
    for name, number in (("n_fields", n_fields), ("n_factors", n_factors)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, found {number!r}")
    n_groups, n_quads = -(-n_fields // TILE), -(-n_factors // QUAD)
    return BlockShape(n_groups, n_quads, 2 * n_groups * TILE * n_quads * QUAD)


def split_blocks(blocks: np.ndarray, n_fields: int, n_factors: int) -> tuple[np.ndarray, np.ndarray]:
    """View the weights and the AdaGrad sums of `blocks`, each of shape (n_features, n_fields, n_quads, 4)."""
    n_groups, n_quads, width = block_shape(n_fields, n_factors)
    if blocks.ndim != 2 or blocks.shape[1] != width:
        raise ValueError(
            f"blocks of {n_fields} fields and {n_factors} factors have shape (n_features, {width}), "
            f"found {blocks.shape}"
        )
    whole = blocks.reshape(len(blocks), 2, n_quads, n_groups * TILE, QUAD)[:, :, :, :n_fields].swapaxes(2, 3)
    return whole[:, 0], whole[:, 1]


def empty_state(n_features: int, n_fields: int, n_factors: int, *, linear: bool = False) -> FactorState:
    """Allocate a state with all weights 0 and all sums 1; every feature's block starts on a cache line."""
    width = block_shape(n_fields, n_factors).width
    blocks = aligned_zeros((n_features, width), np.float32)
    blocks[:, width // 2 :] = 1.0  # those of the padding as well: its gradients are 0, and 0 / sqrt(1) stays 0
    arrays = {"blocks": blocks}
    arrays["linear"] = aligned_zeros((n_features if linear else 0, 2), np.float32)
    arrays["bias"] = aligned_zeros(2 if linear else 0, np.float32)
    arrays["linear"][:, 1:] = 1.0
    arrays["bias"][1:] = 1.0
    return FactorState(arrays)


def new_ffm_state(
    n_features: int, n_fields: int, n_factors: int, rng: np.random.Generator, *, linear: bool = False
) -> FactorState:
    """Draw initial weights from ``U[0, 1) / sqrt(n_factors)``; sums are 1, linear terms and bias 0.

    Parameters
    ----------
    n_features, n_fields, n_factors : int
    rng : Generator
    linear : bool, default=False
        Whether the model has linear terms and a bias.

    Returns
    -------
    FactorState
        Arrays ``blocks`` (n_features, width), ``linear`` (n_features, 2) or (0, 2), ``bias`` (2,) or (0,), float32.
    """
    state = empty_state(n_features, n_fields, n_factors, linear=linear)
    weights, _ = split_blocks(state.arrays["blocks"], n_fields, n_factors)
    factor = np.float32(1.0 / math.sqrt(n_factors))
    for first in range(0, n_features, 4096):  # no second array of the model's size
        part = weights[first : first + 4096]
        drawn = rng.random((len(part), n_fields, n_factors), dtype=np.float32) * factor
        for d in range(n_factors):
            part[:, :, d // QUAD, d % QUAD] = drawn[:, :, d]
    return state


def row_norms(rows: SparseFieldRows) -> np.ndarray:
    """Return ``1 / sum of squared values`` of each row, summed in row order in float32; 1 where all values are 0.

    Returns
    -------
    ndarray of float32, shape (n_rows,)
    """
    norms = libffm_norms(rows)
    return np.where(np.isfinite(norms), norms, np.float32(1))


def _model(state: FactorState, n_fields: int, n_factors: int, loss: str, alpha: float) -> Ffm:
    if loss not in FFM_LOSSES:
        raise ValueError(f"loss must be one of {', '.join(FFM_LOSSES)}; found {loss!r}")
    blocks = state.arrays["blocks"]
    split_blocks(blocks, n_fields, n_factors)
    n_groups, n_quads, _ = block_shape(n_fields, n_factors)
    linear = state.arrays["bias"].size > 0
    large = blocks.nbytes > LARGE
    sizes = (len(blocks), n_fields, n_factors, n_groups, n_quads)
    settings = FfmSettings(loss_id(loss), 0.0, alpha, *sizes, linear, not ESTIMATE, large, False, False, True, True)
    return Ffm(**state.arrays, settings=settings)


def make_ffm_task(
    rows: SparseFieldRows,
    state: FactorState,
    *,
    n_fields: int,
    n_factors: int,
    loss: str = "log_loss",
    alpha: float = 2e-5,
    eta0: float = 0.2,
) -> Task:
    """Make the task of training `state` on `rows`, with libffm's steps.

    Parameters
    ----------
    rows : SparseFieldRows
        Float32 values; `norms` from `row_norms`, or of shape (0,) for none; targets -1 and +1 (any number for
        ``"squared_error"``).
    state : FactorState
        From `new_ffm_state`; its arrays are changed in place.
    loss : {"log_loss", "squared_error"}
    alpha : float
        libffm's lambda: acts once for each pair.
    eta0 : float
        Step size before AdaGrad's division.
    """
    model = _model(state, n_fields, n_factors, loss, alpha)
    names = ("blocks", "linear", "bias") if model.settings.linear else ("blocks",)
    merges = {name: Merge(*MERGES[Ffm][name]) for name in names}
    schedule = Schedule(schedule_id("constant"), eta0, 0.5, 0.0, 0.0, 0.0, 0.0, False, math.inf)

    def curvature_of(rows, sample, features):
        return _curvature(rows, sample, features, model, LOSSES[loss].curvature)

    size = model.blocks.shape
    return Task(rows, model, merges, (), schedule, *size, curvature_of, t=state.t, settled=())


def _curvature(
    rows: SparseFieldRows, sample: np.ndarray, features: np.ndarray | None, model: Ffm, largest: float
) -> dict[str, np.ndarray]:
    """Row-sum bound of the loss's curvature along each weight, over the root of its AdaGrad sum; 0 for the sums.

    A merge multiplies it by eta and the rows of a replica: what AdaGrad's steps make of that distance.
    """
    n = len(model.blocks) if features is None else len(features)
    slots = np.full(len(model.blocks), n, np.uint32)
    slots[slice(None) if features is None else features] = np.arange(n, dtype=np.uint32)
    found = {"blocks": np.zeros((n, model.blocks.shape[1]), np.float32)}
    found["linear"] = np.zeros((n if model.settings.linear else 0, 2), np.float32)
    found["bias"] = np.zeros(len(model.bias), np.float32)
    _add_curvature(rows, sample, slots, np.uint64(n), model, largest, found["blocks"], found["linear"], found["bias"])
    for name, array in found.items():
        if array.size:
            sums, half = getattr(model, name), array.shape[-1] // 2
            sums = sums if features is None or name == "bias" else sums[features]
            share = SHARE if name == "blocks" else 1.0  # every row walks the bias: summed, 64 replicas overshoot
            array[..., :half] *= share / np.sqrt(sums[..., half:]) / max(1, len(sample))
    return found if model.settings.linear else {"blocks": found["blocks"]}


@kernel
def _add_curvature(rows, sample, slots, n_slots, model, largest, blocks, linear, bias):
    settings, one, quad = model.settings, np.uint64(1), np.uint64(QUAD)
    plane = np.uint64(settings.n_groups) * np.uint64(TILE * QUAD)
    n_features, n_fields = np.uint64(settings.n_features), np.uint64(settings.n_fields)
    for k in range(np.uint64(sample.size)):
        i = sample[k]
        start, stop = span(rows, i)
        r, length, weight = row_norm(rows, i), np.float32(0), np.float32(largest * row_weight(rows, i))
        side = np.sqrt(r)
        for turn in range(np.uint64(2)):  # the sum of |derivatives of the score|, then each weight's share of it
            if settings.linear:
                length += one * (turn == 0)
                bias[0] += weight * length * (turn == 1)
            for a in range(start, stop):
                if rows.indices[a] >= n_features or rows.fields[a] >= n_fields:
                    continue
                ja, fa = np.uint64(rows.indices[a]), np.uint64(rows.fields[a]) * quad
                if settings.linear:
                    x = abs(rows.values[a]) * side
                    if turn == 0:
                        length += x
                    elif slots[ja] < n_slots:
                        linear[slots[ja], 0] += weight * length * x
                for c in range(a + one, stop):
                    if rows.indices[c] >= n_features or rows.fields[c] >= n_fields:
                        continue
                    jc, fc = np.uint64(rows.indices[c]), np.uint64(rows.fields[c]) * quad
                    v = abs(rows.values[a] * rows.values[c]) * r
                    for q in range(np.uint64(settings.n_quads)):
                        for d in range(q * plane, q * plane + quad):
                            x, z = v * abs(model.blocks[jc, fa + d]), v * abs(model.blocks[ja, fc + d])
                            if turn == 0:
                                length += x + z
                            else:
                                if slots[ja] < n_slots:
                                    blocks[slots[ja], fc + d] += weight * length * x
                                if slots[jc] < n_slots:
                                    blocks[slots[jc], fa + d] += weight * length * z


def ffm_plan(task: Task, engine: Engine, n_threads: int) -> Plan | None:
    """Choose interval and head of replicas; None where the engine's own choice stands.

    Copies of the hottest features that fit a second-level cache keep threads off each other's cache lines; cold
    features seldom meet. Few rows merge more often, and fewer features: until the sums have grown, replicas that do not
    see each other's take longer steps (50,000 rows merged every 1,024: validation loss .5150 after 5 epochs, not
    .5129). What the engine says itself is kept.
    """
    if not isinstance(engine, Replicas | Simulated) or getattr(engine, "deterministic", False):
        return None
    interval = INTERVAL
    while interval > SHORTEST and interval > task.n_rows // INTERVALS:
        interval //= 2
    head_bytes = HEAD_BYTES * interval // INTERVAL
    head = min(max(1, head_bytes // (4 * task.n_columns)), task.n_features) if engine.head is None else engine.head
    interval = engine.interval or max(16, interval // max(1, n_threads // 2))
    return Plan(interval, None if head >= task.n_features else head)


@kernel
def _fill_scores(rows, model, work, scores):
    for i in range(np.uint64(scores.size)):
        scores[i] = score(rows, i, model, work)


@kernel
def _sum_losses(rows, model, work):
    settings, total, weight = model.settings, 0.0, 0.0
    for i in range(np.uint64(rows.targets.size)):
        t, w = np.float64(score(rows, i, model, work)), np.float64(row_weight(rows, i))
        total += w * loss_value(settings.loss, np.float64(rows.targets[i]), t, settings.parameter)
        weight += w
    return total, weight


def ffm_scores(rows: SparseFieldRows, state: FactorState, *, n_fields: int, n_factors: int) -> np.ndarray:
    """Return the scores of rows (before the logistic function) as float32.

    Entries whose feature or field is beyond the model are skipped; their values count in ``rows.norms``.
    """
    scores = np.empty(len(rows.indptr) - 1, np.float32)
    model = _model(state, n_fields, n_factors, FFM_LOSSES[0], 0.0)
    _fill_scores(rows, model, make_work(model.blocks.shape[1], np.dtype(np.float32)), scores)
    return scores


def ffm_loss(
    rows: SparseFieldRows, state: FactorState, *, n_fields: int, n_factors: int, loss: str = "log_loss"
) -> float:
    """Return the (weighted) mean loss of rows; squared error counts half, as everywhere in the package."""
    model = _model(state, n_fields, n_factors, loss, 0.0)
    total, weight = _sum_losses(rows, model, make_work(model.blocks.shape[1], np.dtype(np.float32)))
    return total / weight if weight else math.nan


def to_libffm(state: FactorState, n_fields: int, n_factors: int) -> np.ndarray:
    """Arrange the model as in libffm's files: (n_features, n_fields, 2 * padded factors), 4 weights, 4 sums, ... ."""
    weights, sums = split_blocks(state.arrays["blocks"], n_fields, n_factors)
    return np.stack((weights, sums), axis=3).reshape(len(weights), n_fields, -1)


def from_libffm(array: np.ndarray, n_factors: int) -> FactorState:
    """Make a state of what `to_libffm` returns, or of the floats of libffm's model file in that shape."""
    n, m, width = array.shape
    n_quads = block_shape(m, n_factors).n_quads
    if width != 2 * n_quads * QUAD:
        raise ValueError(
            f"a model of {n_factors} factors has {2 * n_quads * QUAD} numbers for a feature and field, found {width}"
        )
    state = empty_state(n, m, n_factors)
    parts = array.reshape(n, m, n_quads, 2, QUAD)
    for k, own in enumerate(split_blocks(state.arrays["blocks"], m, n_factors)):
        own[...] = parts[:, :, :, k]
    return state


__all__ = [
    "FFM_LOSSES",
    "empty_state",
    "ffm_loss",
    "ffm_plan",
    "ffm_scores",
    "from_libffm",
    "make_ffm_task",
    "new_ffm_state",
    "row_norms",
    "split_blocks",
    "to_libffm",
]
