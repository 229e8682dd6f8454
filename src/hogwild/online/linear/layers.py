"""The arrays of a linear model's master part, and how folds are put on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hogwild.online.linear.arrays import grown
from hogwild.online.linear.diffs import Diff
from hogwild.online.linear.rest import Sparse

if TYPE_CHECKING:
    from hogwild.online.linear.model import Model


class Layers:
    """The master part.

    Parameters
    ----------
    model : Model
        All that it holds is the master part; nothing of it, if `fresh`.
    fresh : bool
    rounds : int

    Attributes
    ----------
    weights, variances : float64, slots x columns
    base : float64, slots x columns
        Weights.
    base_variances : float64, slots x columns
        Only where variances are not mixed by the minimum.
    mixed : uint64 by slot
        The last fold that held the feature, counted from 1; 0: it is not in the master part.
    dirty : bool by slot
        Whether a cut that is not mixed in holds it.
    known, learnt, label_mixed : by column
    lives : dict of str to int
    rounds : int
        Folds.
    """

    def __init__(self, model: Model, fresh: bool = False, rounds: int = 0) -> None:
        arrays = model.arrays
        self._model = model
        self.confident = model.settings.confident
        self._lowest = model.settings.mixing.covariance == "minimum"
        self._cut_at = 1 if fresh else model.clock
        self.rounds, self.lives = max(rounds, int(arrays.seen.max(initial=0))), dict(model.lives)
        self.weights, self.variances = arrays.weights.copy(), arrays.variances.copy()
        self.known, self.learnt = arrays.known.copy(), arrays.learnt.copy()
        self.mixed = np.zeros(arrays.shape[0], np.uint64)
        self.label_mixed = np.zeros(arrays.shape[1], np.int64)
        self.dirty = np.zeros(arrays.shape[0], np.bool_)
        if fresh:
            self.rounds, self.lives = 0, {}
            arrays.count(fresh=True)
            self._empty()
        else:
            arrays.count(fresh=False)
            self.mixed[:] = arrays.seen
            self.label_mixed[:] = self.known
        self.base = self.weights.copy()
        self.base_variances = self.variances[:0] if self._lowest else self.variances.copy()
        self._base_learnt = self.learnt.copy()
        self._count()

    def _empty(self) -> None:
        self.weights[...], self.variances[...] = 0, 1
        self.known[...], self.learnt[...] = self._model.single, 0
        self.mixed[...], self.label_mixed[...] = 0, 0

    def reserve(self) -> None:
        """Be as large as the model."""
        rows, width = self._model.arrays.shape
        if self.weights.shape == (rows, width):
            return
        self.weights, self.base = grown(self.weights, (rows, width)), grown(self.base, (rows, width))
        if self.confident:
            self.variances = grown(self.variances, (rows, width), 1.0)
            if not self._lowest:
                self.base_variances = grown(self.base_variances, (rows, width), 1.0)
        self.mixed, self.dirty = grown(self.mixed, (rows,)), grown(self.dirty, (rows,))
        self.known, self.learnt = grown(self.known, (width,)), grown(self.learnt, (width,))
        self.label_mixed = grown(self.label_mixed, (width,))
        self._base_learnt = grown(self._base_learnt, (width,))

    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return sum(one.nbytes for one in (self.weights, self.variances, self.base, self.base_variances, self.mixed))

    def knows(self, label: str) -> bool:
        """Whether the master part has a label."""
        column = self._model.columns.get(label)
        return column is not None and bool(self.known[column])

    def forget_column(self, column: int) -> None:
        """Have no open changes of a label, which has gone here; the master part goes by what is mixed."""
        self.base[:, column] = 0
        if len(self.base_variances):
            self.base_variances[:, column] = 1
        self._base_learnt[column] = 0

    def forget_slots(self, slots: np.ndarray) -> None:
        """Have no open changes of features that have gone here; none is in the master part."""
        self.base[slots] = 0
        if len(self.base_variances):
            self.base_variances[slots] = 1
        self.dirty[slots] = False

    def _slots(self, diff: Diff | Sparse) -> np.ndarray:
        slots = np.fromiter(map(self._model.vocabulary.slot, diff.names), np.int64, len(diff.names))
        self._model.reserve()
        return slots

    def _columns(self, diff: Diff | Sparse) -> np.ndarray:
        return np.fromiter(map(self._model.column, diff.labels), np.int64, len(diff.labels))

    def _merge(self, mixed: Diff, slots: np.ndarray) -> bool:
        """Put a fold on top; return whether a label has begun another life."""
        columns = self._columns(mixed)
        lives = np.array([self.lives.get(label, 0) for label in mixed.labels], np.int64)
        for place in np.flatnonzero(mixed.lives > lives).tolist():
            self.lives[mixed.labels[place]] = int(mixed.lives[place])
            self._wipe(columns[place])
        alive = mixed.lives >= lives
        self.known[columns[alive & mixed.known]] = 1
        self.learnt[columns[alive]] += mixed.learnt[alive]
        self.label_mixed[columns[alive & (mixed.learnt != 0)]] = self.rounds
        self.label_mixed[columns[alive & mixed.known & (self.label_mixed[columns] == 0)]] = self.rounds
        counted = alive[mixed.columns]
        at = slots[mixed.rows[counted]], columns[mixed.columns[counted]]
        self.weights[at] += mixed.weights[counted]
        if len(mixed.covariance):
            self.variances[at] = self._with(self.variances[at], mixed.covariance[counted])
        self.mixed[slots] = self.rounds
        self._model.arrays.seen[slots] = np.maximum(self._model.arrays.seen[slots], 1)
        return bool((mixed.lives > lives).any())

    def _with(self, variances: np.ndarray, change: np.ndarray) -> np.ndarray:
        return np.minimum(variances, change) if self._lowest else 1 / (1 / variances + change)

    def _wipe(self, column: int) -> None:
        self.weights[:, column] = 0
        if self.confident:
            self.variances[:, column] = 1
        self.known[column] = self.learnt[column] = self.label_mixed[column] = 0

    def _evict_features(self) -> np.ndarray:
        """Forget the features that were mixed longest ago, if there are too many; return their slots."""
        limit = self._model.settings.limits.features
        if limit is None:
            return np.zeros(0, np.int64)
        slots = np.flatnonzero(self.mixed)
        filled = (self.weights[slots] != 0).any(axis=1)
        if self.confident:
            filled |= (self.variances[slots] != 1).any(axis=1)
        self.mixed[slots[~filled]] = 0  # changes that came to nothing
        slots = slots[filled]
        if len(slots) <= limit:
            return slots[:0]
        gone = self._model.oldest(slots, self.mixed[slots], len(slots) - (limit - limit // 10))
        self.mixed[gone] = 0
        self.weights[gone] = 0
        if self.confident:
            self.variances[gone] = 1
        return gone

    def _evict_labels(self) -> bool:
        """Forget the labels that were mixed longest ago, if there are too many."""
        limit, model = self._model.settings.limits.labels, self._model
        labels = [label for label, column in model.columns.items() if self.known[column]]
        if limit is None or len(labels) <= limit:
            return False
        labels.sort(key=lambda label: (self.label_mixed[model.columns[label]], label))
        for label in labels[: len(labels) - limit]:
            self._wipe(model.columns[label])
        return True
