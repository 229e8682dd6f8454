"""Linear models of the original."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hogwild.online.linear.rest import Sparse
from hogwild.online.state import State
from hogwild.online.storage.jubatus_trees import (
    States,
    Tree,
    counts_of,
    keys_of,
    manager_of,
    summed,
    weight_manager_of,
)

METHODS = ("perceptron", "PA", "PA1", "PA2", "CW", "AROW", "NHERD")
_CONFIDENT = METHODS[4:]
_ONLY = "+"  # the label under which a regression keeps its weights


def read_classifier(data: Tree, method: str) -> States:
    """Return the states of a classifier's driver data."""
    (storage, (master, recent, _)), manager = data
    return {"model": _weights(storage, method, summed([master, recent])), "features": counts_of(manager)}


def read_regression(data: Tree, method: str) -> States:
    """Return the states of a regression's driver data, which say nothing of the targets."""
    (storage,), manager = data
    targets = State({}, {"targets": np.zeros(3)})
    return {"model": _weights(storage, method, None), "targets": targets, "features": counts_of(manager)}


def _weights(storage: Tree, method: str, learnt: Mapping[str, int] | None) -> State:
    """Return a linear model; `learnt` is None for a regression."""
    table, manager, changes, _ = storage
    keys = keys_of(manager)
    labels = [""] if learnt is None else sorted({*keys.values(), *learnt})
    column_of = {number: 0 if learnt is None else labels.index(key) for number, key in keys.items()}
    confident = method in _CONFIDENT
    names, lengths, columns, entries = [], [], [], []
    for name in sorted({*table, *changes}):
        row: dict[int, np.ndarray] = {}
        for part in (table, changes):
            for number, triple in part.get(name, {}).items():
                if number in column_of:
                    column = column_of[number]
                    row[column] = row.get(column, 0.0) + np.array(triple, np.float64)
        if row:
            names.append(name)
            lengths.append(len(row))
            columns += sorted(row)
            entries += [row[column] for column in sorted(row)]
    values = np.array(entries, np.float64).reshape(-1, 3)
    if not np.isfinite(values).all():
        raise ValueError("weights that are not finite")
    sparse = Sparse(
        names,
        labels,
        np.zeros(len(labels), np.int64),
        np.ones(len(labels), np.uint8),
        np.array([(learnt or {}).get(label, 0) for label in labels], np.int64),
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        np.array(columns, np.int64),
        values[:, 0].copy(),
        values[:, 1].copy() if confident else None,
    )
    return State({"method": method, "clock": sum((learnt or {}).values()), "rounds": 0}, sparse.packed(None))


def write_classifier(states: States, method: str) -> Tree:
    """Return the driver data of a classifier with these states."""
    sparse = Sparse.unpacked(states["model"].arrays, confident=method in _CONFIDENT, single=False)
    known = {label: int(n) for label, n, there in zip(sparse.labels, sparse.learnt, sparse.known, strict=True) if there}
    return [[_storage(sparse, sparse.labels, known), [{}, known, [0]]], weight_manager_of(states["features"])]


def write_regression(states: States, method: str) -> Tree:
    """Return the driver data of a regression with these states."""
    sparse = Sparse.unpacked(states["model"].arrays, confident=method in _CONFIDENT, single=True)
    return [[_storage(sparse, [_ONLY], [_ONLY])], weight_manager_of(states["features"])]


def _storage(sparse: Sparse, labels: list[str], known: Iterable[str]) -> Tree:
    manager, numbers = manager_of(known)
    covariance = sparse.covariance if sparse.covariance is not None else np.zeros(len(sparse.weights))
    table: dict[str, dict[int, list[float]]] = {}
    ends = sparse.indptr.tolist()
    entries = list(zip(sparse.columns.tolist(), sparse.weights.tolist(), covariance.tolist(), strict=True))
    for row, name in enumerate(sparse.names):
        held = entries[ends[row] : ends[row + 1]]
        table[name] = {numbers[labels[column]]: [weight, variance, 0.0] for column, weight, variance in held}
    return [table, manager, {}, [0]]
