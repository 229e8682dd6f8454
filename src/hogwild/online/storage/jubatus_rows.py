"""Rows of the original, where they are kept by their features."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import numpy as np

from hogwild.online.rows.blocks import Block, Version
from hogwild.online.state import State
from hogwild.online.storage.jubatus_trees import States, Tree, counts_of, keys_of, manager_of, summed, weight_manager_of

Row = tuple[str, Mapping[str, float], str | None]  # name, features, label


def read_recommender(data: Tree, method: str) -> States:
    """Return the states of a recommender's driver data."""
    ((table, manager), (*_, row_manager)), counts = data
    keys, order = keys_of(manager), keys_of(row_manager)
    rows = {name: {keys[number]: value for number, value in row.items()} for name, row in table.items()}
    known = [order[number] for number in sorted(order) if order[number] in rows]
    names = [*known, *sorted(rows.keys() - set(known))]
    return {"rows": _block([(name, rows[name], None) for name in names]), "counts": counts_of(counts)}


def read_classifier(data: Tree, method: str) -> States:
    """Return the states of a classifier's driver data."""
    (inverted, (master, recent, _)), counts = data
    table, changes, _, _, manager = inverted
    keys = keys_of(manager)
    rows: dict[int, dict[str, float]] = {}
    for part in (table, changes):  # changes replace
        for feature, row in part.items():
            for number, value in row.items():
                rows.setdefault(number, {})[feature] = value
    labelled = []
    for number in sorted(rows):
        held = {feature: value for feature, value in rows[number].items() if value}
        if held:  # else it was removed
            labelled.append((keys[number], held, _label(keys[number])))
    learnt = summed([master, recent])
    labelled += _without_features(learnt, labelled)
    labels = _block([(label, {}, None) for label in sorted(learnt)])
    return {"counts": counts_of(counts), "rows": _block(labelled), "labels": labels}


def _without_features(learnt: Mapping[str, int], rows: list[Row]) -> list[Row]:
    """Return rows for the examples without features, which the original only counts."""
    missing = Counter(learnt)
    missing.subtract(label for _, _, label in rows)
    taken, added = {name for name, _, _ in rows}, []
    for label, count in sorted(missing.items()):
        free = (name for number in itertools.count() if (name := f"{label}_{number}") not in taken)
        added += [(name, {}, label) for name in itertools.islice(free, max(count, 0))]
    return added


def write_recommender(states: States, method: str) -> Tree:
    """Return the driver data of a recommender with these states."""
    rows = _rows(states["rows"])
    manager, numbers = manager_of(sorted({feature for _, row, _ in rows for feature in row}))
    table = {name: {numbers[feature]: value for feature, value in row.items()} for name, row, _ in rows}
    return [[[table, manager], _inverted(rows)], weight_manager_of(states["counts"])]


def write_classifier(states: States, method: str) -> Tree:
    """Return the driver data of a classifier with these states."""
    rows = _rows(states["rows"])
    learnt = dict.fromkeys((name for name, _, _ in _rows(states["labels"])), 0) | Counter(label for _, _, label in rows)
    return [[_inverted(_labelled(rows)), [{}, learnt, [0]]], weight_manager_of(states["counts"])]


def _labelled(rows: list[Row]) -> list[Row]:
    """Return the rows that have features under names that tell their labels."""
    taken = {name for name, _, _ in rows}
    named = []
    for name, row, label in rows:
        if _label(name) != label:
            numbers = itertools.count()
            name = f"{label}_{name.replace('_', '-')}"
            while name in taken:
                name = f"{name}-{next(numbers)}"
            taken.add(name)
        if row:
            named.append((name, row, label))
    return named


def _rows(state: State) -> list[Row]:
    """Return names, features and marks of rows, the oldest first."""
    block = Block.read({**state.about, **state.arrays})
    ends = np.cumsum(np.maximum(block.lengths, 0)).tolist()
    features = [block.features[code] for code in block.codes.tolist()]
    values, rows = block.values.tolist(), []
    for row in sorted(range(len(block)), key=lambda row: (block.versions[row], block.names[row])):
        if not block.versions[row].removed:
            place = slice(ends[row] - int(block.lengths[row]), ends[row])
            held = dict(zip(features[place], values[place], strict=True))
            rows.append((block.names[row], held, block.marks[row]))
    return rows


def _inverted(rows: list[Row]) -> Tree:
    """Return an inverted index of rows; it knows the squares of their lengths."""
    manager, numbers = manager_of(name for name, _, _ in rows)
    table: dict[str, dict[int, float]] = {}
    for name, row, _ in rows:
        for feature, value in row.items():
            table.setdefault(feature, {})[numbers[name]] = value
    squares = {numbers[name]: sum(value * value for value in row.values()) for name, row, _ in rows}
    return [{}, table, {}, squares, manager]


def _label(row: str) -> str:
    """The original names a row by its label and ten random letters."""
    return row.rpartition("_")[0]


def _block(rows: list[Row]) -> State:
    """Return a table of rows, the oldest first."""
    features = sorted({feature for _, row, _ in rows for feature in row})
    codes = {feature: code for code, feature in enumerate(features)}
    packed = Block(
        {"": len(rows) - 1} if rows else {},
        [name for name, _, _ in rows],
        [Version(clock, "", False) for clock in range(len(rows))],
        np.array([len(row) for _, row, _ in rows], np.int64),
        features,
        np.array([codes[feature] for _, row, _ in rows for feature in row], np.uint32),
        np.array([value for _, row, _ in rows for value in row.values()], np.float64),
        [mark for _, _, mark in rows],
    ).packed()
    return State({key: packed.pop(key) for key in ("known", "owner_names")}, packed)
