"""A user's own step: what it is told of a row, which coordinates a row touches, and how its parameters merge.

The functions here are plain Python that the compiler understands: the engine compiles them together with the user's
step (engine/own_kernels.py), or runs them as they are where the step cannot be compiled.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hogwild.steps.base import register
from hogwild.steps.rows import SparseRows

HOW = ("damped", "add", "mean", "none")


class Row(NamedTuple):
    """One row of ``(X, y)`` as a step sees it.

    Attributes
    ----------
    index : int
        Number of the row.
    indices : ndarray of uint32, shape (n,)
        Columns of the row's entries: those that are stored of a sparse row, all of a dense one.
    values : ndarray, shape (n,)
        Their values, in X's dtype.
    target : number
        ``y[index]`` (an array where y has more than one axis).
    weight : number
        ``sample_weight[index]``, 1 without sample weights.
    """

    index: int
    indices: np.ndarray
    values: np.ndarray
    target: Any
    weight: Any


class Dense(NamedTuple):
    """A C-ordered matrix, as `steps.rows.DenseRows`, with the numbers of its columns."""

    values: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    indices: np.ndarray


class Columns(NamedTuple):
    """Equally long arrays, one entry of each for a row (ratings, edges, events).

    Attributes
    ----------
    columns : tuple of ndarray
    targets : ndarray
        The first of them: what tells the engine the number of rows.
    weights : ndarray, shape (0,)
    offsets : tuple of int
        Coordinate of the value 0 of each column of integers (they name coordinates: user, item, node); -1 for others.
    """

    columns: tuple[np.ndarray, ...]
    targets: np.ndarray
    weights: np.ndarray
    offsets: tuple[int, ...]


class View(NamedTuple):
    """How rows of one kind are looked at; the functions are plain Python, to be compiled or not.

    Attributes
    ----------
    row : callable
        ``row(rows, i)``: what the step is given.
    touched : callable
        ``touched(rows, i, keys) -> n``: writes the coordinates that row `i` touches; they need not be sorted or unique.
    ahead : bool
        Whether rows are prefetched as those of a matrix.
    """

    row: Callable
    touched: Callable
    ahead: bool


# ------------------------------------------------------------------------------------------------ rows


def sparse_row(rows, i):
    """View row `i` of a sparse matrix."""
    start, stop = rows.indptr[i], rows.indptr[i + np.uint32(1)]
    weight = rows.weights[i] if rows.weights.size else rows.weights.dtype.type(1)
    return Row(i, rows.indices[start:stop], rows.values[start:stop], rows.targets[i], weight)


def sparse_touched(rows, i, keys):
    """Write the columns of the entries."""
    start, n = rows.indptr[i], rows.indptr[i + np.uint32(1)] - rows.indptr[i]
    for k in range(n):
        keys[k] = rows.indices[start + k]
    return n


def dense_row(rows, i):
    """View row `i` of a matrix."""
    weight = rows.weights[i] if rows.weights.size else rows.weights.dtype.type(1)
    return Row(i, rows.indices, rows.values[i], rows.targets[i], weight)


def dense_touched(rows, i, keys):
    """Write all columns."""
    for k in range(np.uint64(rows.indices.size)):
        keys[k] = k
    return np.uint64(rows.indices.size)


SPARSE, DENSE = View(sparse_row, sparse_touched, True), View(dense_row, dense_touched, True)


@functools.cache
def columns_view(fields: tuple[str, ...], offsets: tuple[int, ...]) -> View:
    """Make the view of `Columns` with these fields: a row is their entries side by side, after its number."""
    made = namedtuple("Row", ("index", *fields))
    entries = ", ".join(f"rows.columns[{c}][i]" for c in range(len(fields)))
    named = [c for c, offset in enumerate(offsets) if offset >= 0]
    keys = "; ".join(f"keys[{k}] = {offsets[c]} + rows.columns[{c}][i]" for k, c in enumerate(named)) or "pass"
    source = f"""
def row(rows, i):
    return Row(i, {entries})

def touched(rows, i, keys):
    {keys}
    return np.uint64({len(named)})
"""
    names: dict[str, Any] = {"Row": made, "np": np}
    exec(source, names)  # a tuple of arrays of several types can only be indexed by constants
    return View(names["row"], names["touched"], False)


def view_of(rows: tuple, fields: tuple[str, ...] = ()) -> View:
    """Return the view of rows of any kind."""
    if isinstance(rows, Columns):
        return columns_view(fields, rows.offsets)
    return SPARSE if isinstance(rows, SparseRows) else DENSE


# ------------------------------------------------------------------------------------------------ merges


class Declared(NamedTuple):
    """How a step's parameters merge: by name, and the curvature of the damped ones."""

    merges: dict[str, str]
    curvature: Callable | None = None


def step(*, curvature: Callable | None = None, **merges: str) -> Callable[[Callable], Callable]:
    """Declare how replicas of a step's parameter arrays merge: ``@hogwild.step(w="damped", squares="add")``.

    Parameters
    ----------
    **merges : {"damped", "add", "mean", "none"}
        For each parameter array by its name:

        - ``"damped"``: deltas are added where replicas seldom meet and averaged where each of them walks most of the
          way (weights, factors, intercepts);
        - ``"add"``: deltas are added whole (sums of squares, counts, dual variables);
        - ``"mean"``: deltas are averaged;
        - ``"none"``: no replicas; all threads write to one array (large tables whose rows are seldom shared).
    curvature : callable, optional
        ``curvature(row, params, bound)`` adds, to the arrays of `bound` (shaped as those of `params`), a bound of the
        second derivatives of the row's loss along each damped parameter: the sum of the absolute values of a row of its
        Hessian, ``loss'' * abs(x_j) * sum(abs(x))`` for a linear model. By default it is measured with steps from
        parameters that are moved a little.

    Returns
    -------
    callable
        A decorator that returns the function itself, which stays plain Python.

    Raises
    ------
    ValueError
        If a merge has another name.

    Examples
    --------
    >>> import hogwild
    >>> @hogwild.step(w="damped")
    ... def squared(row, params, eta):
    ...     error = params.w[row.indices] @ row.values - row.target
    ...     params.w[row.indices] -= eta * error * row.values
    ...     return error**2 / 2
    """
    for name, how in merges.items():
        if how not in HOW:
            raise ValueError(f"the merge of {name} must be one of {', '.join(HOW)}; found {how!r}")

    def declare(function: Callable) -> Callable:
        function.__hogwild__ = Declared(merges, curvature)
        return function

    return declare


def declared(function: Callable) -> Declared:
    """Return what `step` has declared of a function; nothing by default."""
    return getattr(function, "__hogwild__", Declared({}))


class Unsettled(NamedTuple):
    """The model that merges are told of where nothing is kept lazily: penalties are the step's own affair."""

    unused: int


def _no_step(rows, i, model, work, k):
    return 0.0


register(
    Unsettled,
    step=lambda model: _no_step,
    prefetch=lambda rows, i, model: None,
    merges={},
)
