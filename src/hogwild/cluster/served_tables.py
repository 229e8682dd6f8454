"""What a parameter server is started with, how its shards are reached, and how they fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from hogwild.cluster.rules import resolve_rule
from hogwild.cluster.served import Table

ONLY = "values"  # name of the table of a server that has one and was not told a name


class ShardLostError(ConnectionError):
    """A shard of a parameter server is gone, and what it held with it; a checkpoint brings it back."""


class Transport(Protocol):
    """What carries calls to the shards."""

    def submit(self, shard: int, method: str, *arguments: Any) -> Any:
        """Call ``ServedShard.method`` and return something to wait for."""
        ...

    def results(self, calls: list[Any]) -> list[Any]:
        """Wait for calls; raises `ShardLostError` where a shard is gone."""
        ...

    def close(self) -> None:
        """End the shards."""
        ...


def tables_of(
    tables: Any, keys: int | None, width: int | None, dtype: Any, init: Any, rule: Any
) -> tuple[tuple[Table, ...], dict[str, Any]]:
    """Tables and their initial values."""
    if (tables is None) == (keys is None):
        raise ValueError("expected either tables, a dict of arrays, or keys=, the number of keys of one table")
    if tables is None:
        shape = (int(keys),) if width is None else (int(keys), int(width))
        given, initial = {ONLY: (shape, np.dtype(dtype))}, {} if init is None else {ONLY: init}
    else:
        if not isinstance(tables, Mapping) or not tables:
            raise ValueError(f"tables must be a dict of arrays by name, found {tables!r:.60}")
        initial = {name: np.asarray(array) for name, array in tables.items()}
        initial = {n: a.astype(np.float64) if a.dtype.kind in "biu" else a for n, a in initial.items()}
        given = {name: (array.shape, array.dtype) for name, array in initial.items()}
    rules = dict(rule) if isinstance(rule, Mapping) else dict.fromkeys(given, rule)
    made = []
    for name, (shape, kind) in given.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"tables are named by strings, found {name!r}")
        if kind not in (np.float32, np.float64):
            raise ValueError(f"{name} has dtype {kind}, expected float32 or float64")
        if min(shape, default=1) < 1:
            raise ValueError(f"{name} has the shape {shape}, expected at least one number")
        chosen = resolve_rule(rules.get(name, "add"))
        made.append(Table(name, tuple(map(int, shape)), kind.name, type(chosen).__name__.lower(), asdict(chosen)))
    return tuple(made), initial


def parts_of(initial: dict[str, Any], shard: int, shards: int) -> dict[str, Any]:
    """What a shard starts from."""
    return {
        name: values if callable(values) else np.atleast_1d(values)[shard::shards] for name, values in initial.items()
    }
