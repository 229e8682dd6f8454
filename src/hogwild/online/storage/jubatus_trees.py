"""What trees of several models of the original have in common: numbers of keys, counts, and what is known of words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hogwild.online.state import State, packed_texts, unpacked_texts

Tree = list[Any]
States = dict[str, State]

_TABLES = ("frequencies", "groups", "lengths", "weights")


def keys_of(manager: Tree) -> dict[int, str]:
    """Return the keys of a key manager by number; those that were deleted are not among them."""
    numbers, _, _ = manager
    return {number: key for key, number in numbers.items()}


def manager_of(keys: Iterable[str]) -> tuple[Tree, dict[str, int]]:
    """Return a key manager, and the numbers that it gives keys."""
    numbers = {key: number for number, key in enumerate(keys)}
    return [numbers, {number: key for key, number in numbers.items()}, len(numbers)], numbers


def summed(tables: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the sums of tables of counts."""
    sums: dict[str, int] = {}
    for table in tables:
        for key, count in table.items():
            sums[key] = sums.get(key, 0) + count
    return sums


def counts_of(manager: Tree) -> State:
    """Return what a weight manager has counted."""
    _, recent, master = manager
    tables: dict[str, dict[str, float]] = {table: {} for table in _TABLES}
    for weights in (master, recent):
        _, *counters, user = weights
        for table, (counter,) in zip(_TABLES, counters, strict=False):
            for key, count in counter.items():
                tables[table][key] = tables[table].get(key, 0.0) + count
        tables["weights"].update(user)
    arrays = {}
    for table, values in tables.items():
        names = sorted(values)
        arrays[f"{table}.letters"], arrays[f"{table}.offsets"] = packed_texts(names)
        numbers = np.array([values[name] for name in names], np.float64)
        arrays[table] = numbers if table in ("lengths", "weights") else np.rint(numbers).astype(np.int64)
    return State({"documents": recent[0] + master[0]}, arrays)


def weight_manager_of(state: State) -> Tree:
    """Return the weight manager that holds these counts."""
    tables = []
    for table in _TABLES:
        names = unpacked_texts(state.arrays[f"{table}.letters"], state.arrays[f"{table}.offsets"])
        tables.append(dict(zip(names, map(float, state.arrays[table].tolist()), strict=True)))
    *counters, weights = tables
    recent = [state.about["documents"], *([counter] for counter in counters), weights]
    return [[0], recent, [0, [{}], [{}], [{}], {}]]
