"""One shard of a parameter server: tables by name, pushes applied once each, snapshots. Plain Python, no network."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.checkpoints import Checkpoints
from hogwild.cluster.deltas import ALL, Delta, KeySet, Request
from hogwild.cluster.keys import key_set
from hogwild.cluster.layout import Kind, Layout
from hogwild.cluster.rules import Adagrad, RuleStore, Sgd, resolve_rule

CLIENTS = 65_536  # whose sequence numbers a shard remembers; 200 bytes each
_BLOCK = 1 << 16  # keys whose initial values are made at a time


class Table(NamedTuple):
    """A table of a parameter server.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Keys are the numbers along the first axis; an array without axes has one key.
    dtype : str
        ``"float32"`` or ``"float64"``.
    rule : str
        What a push does: ``"add"``, or a rule for gradients.
    options : dict
        Of the rule: `hogwild.cluster.rules`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rule: str = "add"
    options: dict[str, float] = {}  # noqa: RUF012  never changed

    @property
    def n_keys(self) -> int:
        """Number of keys."""
        return self.shape[0] if self.shape else 1

    @property
    def width(self) -> int:
        """Numbers of a key."""
        return math.prod(self.shape[1:])

    @property
    def nbytes(self) -> int:
        """Size of the values."""
        return self.n_keys * self.width * np.dtype(self.dtype).itemsize

    def held_by(self, shard: int, shards: int) -> int:
        """How many keys a shard holds: key k belongs to shard ``k % shards``, so that hot neighbours are apart."""
        return len(range(shard, self.n_keys, shards))

    def layout(self, n: int) -> Layout:
        """Layout of a shard's `n` keys: no features, everything added."""
        columns = np.full(self.width, Kind.ADD, np.uint8)
        rest = np.broadcast_to(columns, (0, self.width))
        return Layout(n, n, self.width, self.dtype, columns, rest, np.zeros(self.width, bool))


class Update(NamedTuple):
    """What is pushed to one table of one shard.

    Attributes
    ----------
    name : str
    rows : ndarray of uint32 or None
        None are all its keys, ascending otherwise.
    values : ndarray, shape (n, width)
    eta : float
        Step size of the push; NaN: the rule's own.
    """

    name: str
    rows: np.ndarray | None
    values: np.ndarray
    eta: float = math.nan


class ScheduledStore(RuleStore):
    """A store that steps by a rule with the step size of each push; where that is NaN, with the rule's own."""

    def apply(self, push: Delta, active: int) -> None:
        """Take a step with the gradients of a push."""
        own = self.rule
        if math.isfinite(push.eta) and isinstance(own, Sgd | Adagrad):
            self.rule = replace(own, eta=push.eta)
        try:
            super().apply(push, active)
        finally:
            self.rule = own


def make_store(table: Table, n: int, values: np.ndarray | None = None) -> ScheduledStore:
    """Make what holds `n` keys of a table and applies its rule."""
    rule = resolve_rule(table.rule, **table.options)
    return ScheduledStore(table.layout(n), 0, n, rule, values, cache_bytes=0)


class ServedShard:
    """Holds every `shards`-th key of all tables.

    Parameters
    ----------
    shard, shards : int
    tables : tuple of Table
    initial : dict, optional
        By table, values of this shard's keys, or a function of an array of keys that returns them; zeros by default.
    place, number : optional
        Checkpoint to start from.
    """

    def __init__(
        self,
        shard: int,
        shards: int,
        tables: tuple[Table, ...],
        initial: dict[str, np.ndarray | Callable[[np.ndarray], Any]] | None = None,
        place: str | None = None,
        number: int | None = None,
    ) -> None:
        self.shard, self.shards, self._tables = shard, shards, {table.name: table for table in tables}
        self._held = {table.name: table.held_by(shard, shards) for table in tables}
        self._clients: OrderedDict[str, tuple[int, set[int]]] = OrderedDict()
        initial = initial or {}
        self._stores = {
            table.name: make_store(table, self._held[table.name], self._first(table, initial.get(table.name)))
            for table in tables
        }
        if place is not None:
            self._restore(*Checkpoints(place).read(self._node, number))

    @property
    def _node(self) -> str:
        return f"shard-{self.shard}"

    def _first(self, table: Table, values: Any) -> np.ndarray | None:
        """Initial values; those that a function makes are made some thousand keys at a time."""
        if not callable(values):
            return values
        n = self._held[table.name]
        found = np.empty((n, *table.shape[1:]), table.dtype)
        for low in range(0, n, _BLOCK):
            keys = self.shard + self.shards * np.arange(low, min(n, low + _BLOCK))
            made = np.asarray(values(keys))
            if made.shape != (len(keys), *table.shape[1:]):
                raise ValueError(
                    f"init made values of shape {made.shape} for {len(keys)} keys of {table.name}, expected "
                    f"{(len(keys), *table.shape[1:])}"
                )
            found[low : low + len(keys)] = made
        return found

    # -------------------------------------------------------------------------------------------- clients

    def push(self, client: str, sequence: int, updates: list[Update]) -> bool:
        """Apply what a client pushed as its number `sequence` to this shard; false where that was done before."""
        below, above = self._clients.get(client, (0, set()))
        if sequence <= below or sequence in above:
            return False
        for update in updates:
            store, n = self._stores[update.name], self._held[update.name]
            keys = KeySet(ALL) if update.rows is None else key_set(update.rows, 0, n)
            store.apply(Delta(keys, None, update.values, 1, update.eta, 1.0), 1)
        above.add(sequence)
        while below + 1 in above:
            below += 1
            above.remove(below)
        self._clients[client] = below, above
        self._clients.move_to_end(client)
        while len(self._clients) > CLIENTS:
            self._clients.popitem(last=False)
        return True

    def pull(self, wanted: list[tuple[str, np.ndarray | None]]) -> list[np.ndarray]:
        """Values of some rows (None: all) of tables, each of shape (n, width)."""
        found = []
        for name, rows in wanted:
            keys = KeySet(ALL) if rows is None else key_set(rows, 0, self._held[name])
            found.append(self._stores[name].read(Request(keys)).values)
        return found

    # -------------------------------------------------------------------------------------------- checkpoints

    def save(self, place: str, number: int) -> str:
        """Write snapshot `number`; returns the name that it has there."""
        arrays = {
            f"{name}.{part}": array for name, store in self._stores.items() for part, array in store.snapshot().items()
        }
        clients = [[client, below, sorted(above)] for client, (below, above) in self._clients.items()]
        about = {"shard": self.shard, "shards": self.shards, "clients": clients}
        Checkpoints(place).write(self._node, number, about, arrays)
        return self._node

    def _restore(self, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        for name, store in self._stores.items():
            parts = {k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(f"{name}.")}
            store.restore(parts)
        self._clients = OrderedDict((client, (below, set(above))) for client, below, above in about["clients"])

    def process(self) -> int:
        """Id of the process that holds it."""
        return os.getpid()
