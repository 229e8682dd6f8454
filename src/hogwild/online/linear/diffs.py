"""What servers have learnt, by the names of features and labels: sparse entries, and how they become one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hogwild.online.linear.settings import Mixing
from hogwild.online.state import packed_texts, unpacked_texts


class Diff(NamedTuple):
    """Changes of weights, or a fold of such, or all weights.

    Attributes
    ----------
    names, labels : list of str
    lives : int64 by label
        How often it had been deleted: entries of a former life count no more.
    known : bool by label
        Whether it exists in that life.
    learnt : int64 by label
        Examples.
    rows, columns : int64 by entry
        Places in `names` and `labels`; each pair once.
    weights : float64 by entry
    covariance : float64 by entry, or empty
        The new variance, or what was added to its inverse.
    changes : int64 by entry
        How often it was changed.
    """

    names: list[str]
    labels: list[str]
    lives: np.ndarray
    known: np.ndarray
    learnt: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    covariance: np.ndarray
    changes: np.ndarray

    def packed(self) -> dict[str, np.ndarray]:
        """Return it as it travels."""
        letters, offsets = packed_texts(self.names)
        label_letters, label_offsets = packed_texts(self.labels)
        texts = {"letters": letters, "offsets": offsets, "label_letters": label_letters, "label_offsets": label_offsets}
        compact = {"rows": self.rows.astype(np.uint32), "columns": self.columns.astype(np.uint32)}
        return {**texts, **dict(zip(self._fields[2:], self[2:], strict=True)), **compact}

    @classmethod
    def unpacked(cls, packed: dict[str, np.ndarray]) -> Diff:
        """Return what came."""
        names = unpacked_texts(packed["letters"], packed["offsets"])
        labels = unpacked_texts(packed["label_letters"], packed["label_offsets"])
        return cls(names, labels, *(np.asarray(packed[field], kind) for field, kind in _KINDS.items()))


_KINDS = {
    "lives": np.int64,
    "known": np.bool_,
    "learnt": np.int64,
    "rows": np.int64,
    "columns": np.int64,
    "weights": np.float64,
    "covariance": np.float64,
    "changes": np.int64,
}


class _Together(NamedTuple):
    """Several diffs' entries, sorted by their places in common names and labels."""

    diff: Diff  # without its entries' values
    order: np.ndarray
    starts: np.ndarray


def _together(diffs: list[Diff]) -> _Together:
    places: dict[str, int] = {}
    lives: dict[str, int] = {}
    for diff in diffs:
        for label, life in zip(diff.labels, diff.lives.tolist(), strict=True):
            lives[label] = max(life, lives.get(label, life))
    labels = sorted(lives)
    columns = {label: column for column, label in enumerate(labels)}
    known, learnt = np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.int64)
    keys = []
    for diff in diffs:
        rows = np.fromiter((places.setdefault(name, len(places)) for name in diff.names), np.int64, len(diff.names))
        to = np.fromiter((columns[label] for label in diff.labels), np.int64, len(diff.labels))
        alive = diff.lives == np.array([lives[label] for label in diff.labels], np.int64)
        known[to] |= diff.known & alive
        learnt[to] += diff.learnt * alive
        key = rows[diff.rows] * len(labels) + to[diff.columns]
        keys.append(np.where(alive[diff.columns], key, -1))
    key = np.concatenate(keys) if keys else np.zeros(0, np.int64)
    order = np.argsort(key, kind="stable")
    order = order[np.searchsorted(key[order], 0) :]  # without those of former lives
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    row, column = np.divmod(key[starts], max(len(labels), 1))
    none = np.zeros(0)
    life = np.array([lives[label] for label in labels], np.int64)
    return _Together(Diff(list(places), labels, life, known, learnt, row, column, none, none, none), order, starts)


def _reduced(how: np.ufunc, values: list[np.ndarray], together: _Together, dtype: Any = np.float64) -> np.ndarray:
    joined = np.concatenate(values) if values else np.zeros(0, dtype)
    return how.reduceat(joined[together.order], together.starts) if len(together.starts) else np.zeros(0, dtype)


def join(diffs: list[Diff], mixing: Mixing) -> Diff:
    """Return consecutive cuts of one server as one."""
    together = _together(diffs)
    lowest = mixing.covariance == "minimum"
    covariances = [diff.covariance for diff in diffs]
    covariance = (
        _reduced(np.minimum if lowest else np.add, covariances, together) if any(map(len, covariances)) else np.zeros(0)
    )
    return together.diff._replace(
        weights=_reduced(np.add, [diff.weights for diff in diffs], together),
        covariance=covariance,
        changes=_reduced(np.add, [diff.changes for diff in diffs], together, np.int64),
    )


def fold(diffs: list[Diff], mixing: Mixing) -> Diff:
    """Return what the cuts of several servers amount to."""
    together = _together(diffs)
    servers = np.diff(together.starts, append=len(together.order))
    if mixing.weights == "updates":
        weight = _reduced(np.add, [diff.changes for diff in diffs], together, np.int64)
        total = _reduced(np.add, [diff.weights * diff.changes for diff in diffs], together)
    else:
        weight = servers if mixing.weights == "changed" else max(len(diffs), 1)
        total = _reduced(np.add, [diff.weights for diff in diffs], together)
    covariance = np.zeros(0)
    if any(len(diff.covariance) for diff in diffs):
        lowest = mixing.covariance == "minimum"
        covariance = _reduced(np.minimum if lowest else np.add, [diff.covariance for diff in diffs], together)
        if mixing.covariance == "mean":
            covariance = covariance / servers
    return together.diff._replace(weights=total / weight, covariance=covariance, changes=servers)
