"""A user's arrays side by side in the table that shards hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.cluster.layout import Kind, Layout
from hogwild.compiled import aligned_zeros

WIDEST = 64  # numbers of a key; a delta names the keys that have changed, so wide keys send more that has not
_KINDS = {"damped": Kind.DAMPED, "add": Kind.ADD, "mean": Kind.MEAN, "none": Kind.ADD}


class FlatTable:
    """Where each array stands in a table: the damped ones first, one behind the other, cut into rows.

    A row is as wide as the last axis of the largest matrix (a user's factors, a neuron's weights) if that is at most
    64, else 1 number. Arrays of integers are no part of it: they are the same everywhere.

    Parameters
    ----------
    params : NamedTuple of arrays and constants
    merges : dict of str to str
        How each array merges: ``"damped"``, ``"add"``, ``"mean"`` or ``"none"`` (no copies within a process; between
        processes its deltas are added whole).

    Attributes
    ----------
    names : tuple of str
        Arrays in their order.
    starts : ndarray of int
        Position of the first number of each array, and the end of the last.
    dtype : dtype
        Of the table: float32 if all arrays are, else float64.
    uniform : bool
        Whether all arrays have that dtype.
    n_damped : int
        Leading numbers that are damped.
    n_keys, width : int
    """

    def __init__(self, params: Any, merges: dict[str, str]) -> None:
        arrays = {n: a for n, a in zip(params._fields, params, strict=True) if isinstance(a, np.ndarray)}
        self.fixed = tuple(name for name, array in arrays.items() if array.dtype.kind != "f")
        floats = {name: array for name, array in arrays.items() if name not in self.fixed}
        if not floats:
            raise ValueError(f"params has no floating-point array to be trained; found {', '.join(arrays) or 'none'}")
        matrices = [array for array in floats.values() if array.ndim > 1 and array.size]
        last = max(matrices, key=lambda array: array.size).shape[-1] if matrices else 1
        self.width = last if last <= WIDEST else 1
        self.names = tuple(
            sorted(floats, key=lambda n: (merges[n] != "damped", floats[n].ndim < 2 or floats[n].shape[-1] != last))
        )
        sizes = [floats[name].size for name in self.names]
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.size = int(self.starts[-1])
        self.n_keys = max(1, -(-self.size // self.width))
        self.dtype = np.result_type(*floats.values())
        self.uniform = all(array.dtype == self.dtype for array in floats.values())
        self._merges = {name: merges[name] for name in self.names}
        self.n_damped = sum(
            size for name, size in zip(self.names, sizes, strict=True) if self._merges[name] == "damped"
        )

    @property
    def layout(self) -> Layout:
        """What shards are told: every row has kinds of its own, none are features."""
        rest = np.full(self.n_keys * self.width, Kind.ADD, np.uint8)
        for name, start, stop in zip(self.names, self.starts[:-1], self.starts[1:], strict=True):
            rest[start:stop] = _KINDS[self._merges[name]]
        none = np.zeros(self.width, np.uint8)
        rest = rest.reshape(self.n_keys, self.width)
        return Layout(0, self.n_keys, self.width, str(self.dtype), none, rest, none.astype(bool))

    def cuts(self, n_shards: int) -> np.ndarray:
        """First key of each shard, and the end: as many to each, since every key is read by every worker."""
        return np.linspace(0, self.n_keys, n_shards + 1).astype(int)

    def zeros(self) -> np.ndarray:
        """Make an empty table, shape (n_keys, width)."""
        return aligned_zeros((self.n_keys, self.width), self.dtype)

    def gather(self, params: Any, table: np.ndarray) -> np.ndarray:
        """Write the arrays of `params` into `table`, which is returned."""
        flat = table.reshape(-1)
        for name, start, stop in zip(self.names, self.starts[:-1], self.starts[1:], strict=True):
            flat[start:stop] = getattr(params, name).reshape(-1)
        return table

    def scatter(self, table: np.ndarray, params: Any) -> None:
        """Write a table into the arrays of `params`."""
        flat = table.reshape(-1)
        for name, start, stop in zip(self.names, self.starts[:-1], self.starts[1:], strict=True):
            array = getattr(params, name)
            array[...] = flat[start:stop].reshape(array.shape)

    def view(self, table: np.ndarray, params: Any) -> Any:
        """View a table as parameters; where the arrays have several dtypes, copies that do not write to it."""
        flat, views = table.reshape(-1), {}
        for name, start, stop in zip(self.names, self.starts[:-1], self.starts[1:], strict=True):
            array = getattr(params, name)
            views[name] = flat[start:stop].reshape(array.shape).astype(array.dtype, copy=False)
        return params._replace(**views)


def merges_for(params: Any, declared: dict[str, str]) -> dict[str, str]:
    """How each array merges: as `hogwild.step` declared it; damped for other floating-point arrays.

    Raises
    ------
    ValueError
        If a name is declared that the parameters do not have, or an array of integers is to be merged.
    """
    arrays = {n: a for n, a in zip(params._fields, params, strict=True) if isinstance(a, np.ndarray)}
    for name, how in declared.items():
        if name not in arrays:
            raise ValueError(f"the step declares how {name!r} merges, but the parameters are {', '.join(arrays)}")
        if how != "none" and arrays[name].dtype.kind != "f":
            raise ValueError(f"{name} has dtype {arrays[name].dtype}: only floating-point arrays are merged")
    return {name: declared.get(name, "damped" if a.dtype.kind == "f" else "none") for name, a in arrays.items()}
