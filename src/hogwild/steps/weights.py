"""Weights as a step sees them: a plain array, one with indivisible additions, or a replicated head over a shared tail.

A step reads and adds through `load` and `add` (by feature) or `accumulate` and `add_row` (all columns); which memory
stands behind them is the engine's choice, and a type for the compiler.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from hogwild.compiled import (
    LINE,
    box_slot,
    boxed_slot,
    fetch_add,
    inlined,
    is_boxed,
    kernel,
    plus,
    prefetch,
    select_add,
    select_load,
)
from hogwild.steps.rows import INLINE
from hogwild.vectors.columns import add_scaled

MOST_HOT = 1 << 21  # slots that a boxed NaN can name


class Atomic(NamedTuple):
    """An array whose components are added to indivisibly, as the HOGWILD! paper assumes."""

    array: np.ndarray


class Split(NamedTuple):
    """Hot features in this thread's own `head`, all others in the `tail` that every thread shares.

    `tail` keeps the original numbering; where a hot feature's weight would stand, it holds the feature's row in `head`,
    boxed in a NaN. A table of slots beside it would cost a second cache miss for each cold feature.
    """

    head: np.ndarray
    tail: np.ndarray


def _kind(weights: types.Type) -> type:
    return weights.instance_class if isinstance(weights, types.BaseNamedTuple) else np.ndarray


@kernel
def box_hot(tail, hot):
    """Put the slots of the features `hot` in the place of their weights (first column)."""
    width = np.uint64(tail.size) // np.uint64(max(tail.shape[0], 1))
    flat = tail.reshape(-1)
    for s in range(np.uint64(hot.size)):
        box_slot(flat, np.uint64(hot[s]) * width, s)


def load(weights, f):
    """Weight of feature `f`."""
    raise NotImplementedError


def add(weights, f, change):
    """Add `change` to the weight of feature `f`."""
    raise NotImplementedError


def load_at(weights, f, c):
    """Weight of feature `f`, column `c`."""
    raise NotImplementedError


def accumulate(weights, f, factor, scores):
    """Add ``factor`` times the columns of feature `f` to `scores`."""
    raise NotImplementedError


def add_row(weights, f, changes, factor):
    """Add ``factor * changes`` to the columns of feature `f`."""
    raise NotImplementedError


def add_at(weights, f, c, change):
    """Add `change` to column `c` of feature `f`."""
    raise NotImplementedError


def is_lazy(weights, f):
    """Whether this memory leaves penalty and average of feature `f` to the steps that touch it."""
    raise NotImplementedError


def prefetch_weight(weights, f):
    """Ask the memory for the weight of feature `f`."""
    raise NotImplementedError


@overload(load, jit_options=INLINE)
def _load(weights, f):
    kind = _kind(weights)
    if kind is Split:
        return lambda weights, f: select_load(weights.tail, np.uint64(f), weights.head)
    if kind is Atomic:
        return lambda weights, f: weights.array[f]
    return lambda weights, f: weights[f]


@overload(add, jit_options=INLINE)
def _add(weights, f, change):
    kind = _kind(weights)
    if kind is Split:

        def split(weights, f, change):
            select_add(weights.tail, np.uint64(f), weights.head, change)

        return split
    if kind is Atomic:

        def atomic(weights, f, change):
            fetch_add(weights.array, np.uint64(f), change)

        return atomic

    def plain(weights, f, change):
        weights[f] = plus(weights[f], change)

    return plain


@overload(load_at, jit_options=INLINE)
def _load_at(weights, f, c):
    kind = _kind(weights)
    if kind is Split:

        def split(weights, f, c):
            first = np.uint64(f) * np.uint64(weights.tail.shape[1])
            if is_boxed(weights.tail, first):
                return weights.head[boxed_slot(weights.tail, first), c]
            return weights.tail[f, c]

        return split
    if kind is Atomic:
        return lambda weights, f, c: weights.array[f, c]
    return lambda weights, f, c: weights[f, c]


@overload(accumulate, jit_options=INLINE)
def _accumulate(weights, f, factor, scores):
    kind = _kind(weights)
    if kind is Split:

        def split(weights, f, factor, scores):
            n, first = np.uint64(scores.size), np.uint64(f) * np.uint64(scores.size)
            if is_boxed(weights.tail, first):
                add_scaled(scores, np.uint64(0), weights.head, boxed_slot(weights.tail, first) * n, n, factor)
            else:
                add_scaled(scores, np.uint64(0), weights.tail, first, n, factor)

        return split
    if kind is Atomic:

        def atomic(weights, f, factor, scores):
            n = np.uint64(scores.size)
            add_scaled(scores, np.uint64(0), weights.array, np.uint64(f) * n, n, factor)

        return atomic

    def plain(weights, f, factor, scores):
        n = np.uint64(scores.size)
        add_scaled(scores, np.uint64(0), weights, np.uint64(f) * n, n, factor)

    return plain


@overload(add_row, jit_options=INLINE)
def _add_row(weights, f, changes, factor):
    kind = _kind(weights)
    if kind is Split:

        def split(weights, f, changes, factor):
            n, first = np.uint64(changes.size), np.uint64(f) * np.uint64(changes.size)
            if is_boxed(weights.tail, first):
                add_scaled(weights.head, boxed_slot(weights.tail, first) * n, changes, np.uint64(0), n, factor)
            else:
                add_scaled(weights.tail, first, changes, np.uint64(0), n, factor)

        return split
    if kind is Atomic:

        def atomic(weights, f, changes, factor):
            first = np.uint64(f) * np.uint64(changes.size)
            for c in range(np.uint64(changes.size)):
                fetch_add(weights.array, first + c, changes[c] * factor)

        return atomic

    def plain(weights, f, changes, factor):
        n = np.uint64(changes.size)
        add_scaled(weights, np.uint64(f) * n, changes, np.uint64(0), n, factor)

    return plain


@overload(add_at, jit_options=INLINE)
def _add_at(weights, f, c, change):
    kind = _kind(weights)
    if kind is Split:

        def split(weights, f, c, change):
            first = np.uint64(f) * np.uint64(weights.tail.shape[1])
            if is_boxed(weights.tail, first):
                weights.head[boxed_slot(weights.tail, first), c] += change
            else:
                weights.tail[f, c] += change

        return split
    if kind is Atomic:

        def atomic(weights, f, c, change):
            fetch_add(weights.array, np.uint64(f) * np.uint64(weights.array.shape[1]) + np.uint64(c), change)

        return atomic

    def plain(weights, f, c, change):
        weights[f, c] = plus(weights[f, c], change)

    return plain


@overload(is_lazy, jit_options=INLINE)
def _is_lazy(weights, f):
    if _kind(weights) is Split:

        def split(weights, f):
            width = np.uint64(weights.tail.size) // np.uint64(weights.tail.shape[0])
            return not is_boxed(weights.tail, np.uint64(f) * width)

        return split
    return lambda weights, f: True


@inlined
def _prefetch_columns(array, f):
    """Ask for every cache line of row `f` (16 float32 or 8 float64 elements apart)."""
    width = np.uint64(array.size) // np.uint64(array.shape[0])
    j, stop = np.uint64(f) * width, np.uint64(f) * width + width
    while j < stop:
        prefetch(array, j)
        j += np.uint64(LINE) // np.uint64(array.itemsize)


@overload(prefetch_weight, jit_options=INLINE)
def _prefetch_weight(weights, f):
    kind = _kind(weights)
    if kind is Split:
        return lambda weights, f: _prefetch_columns(weights.tail, f)
    if kind is Atomic:
        return lambda weights, f: _prefetch_columns(weights.array, f)
    return lambda weights, f: _prefetch_columns(weights, f)
