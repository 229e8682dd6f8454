"""What a worker sends and takes: deltas in as few bytes as they fit into, values that bring its copy up to date."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hogwild.cluster.deltas import Delta, KeySet, Values
from hogwild.cluster.keyed import LARGEST_HALF
from hogwild.cluster.layout import Layout
from hogwild.cluster.store_kernels import carry_rows, differences, list_touched

_NO_ROWS = np.empty(0, np.uint32)
_ROUNDING = 16.0  # units in the last place by which weights that no row touched may differ from their shrunk base


def count_features(layout: Layout, low: int, high: int, keys: KeySet) -> int:
    """How many leading keys of a key set of the shard low..high are features."""
    if keys.keys is None:
        return min(max(layout.n_features - low, 0), high - low)
    return int(np.searchsorted(keys.keys, layout.n_features))


def make_delta(
    layout: Layout,
    low: int,
    high: int,
    keys: KeySet,
    base: np.ndarray,
    local: np.ndarray,
    *,
    rows: int,
    eta: float,
    constant: float = 1.0,
    curvature: np.ndarray | None = None,
    log_decay: float = 0.0,
    shrink: float = 0.0,
    half: bool = False,
    residual: np.ndarray | None = None,
) -> Delta | None:
    """Make a push of what a phase has changed.

    Parameters
    ----------
    layout : Layout
    low, high : int
        Range of the shard.
    keys : KeySet
        What `base` and `local` are about: spelled, or `ALL`.
    base, local : ndarray, shape (n, width)
        Values pulled, and after the phase.
    rows, eta, constant, log_decay, shrink
        See `Delta`.
    curvature : ndarray of float32, shape (n, width), or None
    half : bool
        Send float16 where no number is too large for it.
    residual : ndarray, shape (high - low, width), or None
        With `half`: what rounding has kept back of each key so far, sent with the next push that names it (error
        feedback); changed in place.

    Returns
    -------
    Delta or None
        None where nothing changed, and no penalty has to be told.
    """
    base, local = np.ascontiguousarray(base), np.ascontiguousarray(local)
    n, width, dtype = len(base), layout.width, base.dtype
    n_features = np.uint64(count_features(layout, low, high, keys))
    factors = np.where(layout.decays, math.exp(log_decay), 1.0).astype(dtype)
    tolerance = dtype.type(_ROUNDING * np.finfo(dtype).eps if log_decay else 0.0)
    positions = np.empty(n, np.uint32)
    flat = base.reshape(-1), local.reshape(-1), np.uint64(width), n_features, factors
    n_touched = int(list_touched(*flat, tolerance, positions))
    if not n_touched and not log_decay and not shrink:
        return None
    number_bytes = 2 if half else dtype.itemsize
    if n_touched * (4 + width * number_bytes) < n * width * number_bytes:
        positions = positions[:n_touched].copy()
        where, values = (positions, False), np.empty((n_touched, width), dtype)
    else:
        positions = None
        where, values = (_NO_ROWS, True), np.empty((n, width), dtype)
    differences(*flat, *where, values.reshape(-1))
    if curvature is not None and positions is not None:
        curvature = curvature[positions]
    if half:
        values = _halved(values, _residual_rows(keys, positions, low), residual)
    return Delta(keys, positions, values, rows, eta, constant, curvature, log_decay, shrink)


def _residual_rows(keys: KeySet, positions: np.ndarray | None, low: int) -> Any:
    if keys.keys is None:
        return slice(None) if positions is None else positions
    return (keys.keys if positions is None else keys.keys[positions]) - np.uint32(low)


def _halved(values: np.ndarray, rows: Any, residual: np.ndarray | None) -> np.ndarray:
    if residual is not None:
        values = values + residual[rows]
    if not np.abs(values).max(initial=0) <= LARGEST_HALF:  # or not a number: the shard says so
        if residual is not None:
            residual[rows] = 0
        return values
    halved = values.astype(np.float16)
    if residual is not None:
        residual[rows] = values - halved
    return halved


def carry_over(
    values: np.ndarray,
    n_features: int,
    decays: np.ndarray,
    then: tuple[float, float],
    now: tuple[float, float],
    positions: np.ndarray | None = None,
) -> None:
    """Bring values up to date that no push has changed since they were read, in place.

    Parameters
    ----------
    values : ndarray, shape (n, width)
    n_features : int
        Leading rows that are features; the others have no penalty.
    decays : ndarray of bool, shape (width,)
    then, now : tuple of float
        ``(log_scale, owed)`` of the `Values` that they came with, and of the present ones.
    positions : ndarray of uint32 or None
        Which rows; None: all.
    """
    log_factor = now[0] - then[0]
    factor = math.exp(log_factor)
    truncated = max(now[1] - factor * then[1], 0.0)
    if log_factor == 0 and truncated == 0:
        return
    if positions is not None:
        positions = positions[: np.searchsorted(positions, n_features)]
    where = (
        (_NO_ROWS, True, np.uint64(n_features)) if positions is None else (positions, False, np.uint64(len(positions)))
    )
    flat = values.reshape(-1)
    if not np.shares_memory(flat, values):
        raise ValueError("values must be contiguous to be changed in place")
    carry_rows(flat, np.uint64(values.shape[1]), *where, np.ascontiguousarray(decays, np.uint8), factor, truncated)


def take_over(
    values: np.ndarray, read: Values, n_features: int, decays: np.ndarray, then: tuple[float, float] | None
) -> tuple[float, float]:
    """Bring a worker's values of one key set up to date with an answer to its request.

    Parameters
    ----------
    values : ndarray, shape (n, width)
        Changed in place.
    read : Values
        All of the key set's keys, or those that have changed.
    n_features, decays
        See `carry_over`.
    then : tuple of float, or None
        What this function returned for the answer before; None where there was none.

    Returns
    -------
    tuple of float
        ``(log_scale, owed)``, for the next answer.
    """
    now = read.log_scale, read.owed
    if read.positions is None:
        values[...] = read.values
        return now
    if then is None:
        raise ValueError("an answer brings changes to values that were never pulled")
    carry_over(values, n_features, decays, then, now)
    values[read.positions] = read.values
    return now


def payload_bytes(payload: Any) -> int:
    """Bytes that a push, a request or values take on their way: their arrays, and 8 for each number beside them.

    Examples
    --------
    >>> payload_bytes(Delta(KeySet(5, np.zeros(3, np.uint32)), None, np.zeros((3, 2), np.float16), 10, 0.1, 0.1))
    72
    """
    if payload is None:
        return 0
    if isinstance(payload, np.ndarray):
        return payload.nbytes
    if isinstance(payload, tuple | list):
        return sum(map(payload_bytes, payload))
    if isinstance(payload, dict):
        return sum(map(payload_bytes, payload.values()))
    return 8
