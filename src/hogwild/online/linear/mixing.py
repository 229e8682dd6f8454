"""The master part of a linear model, and what its server has learnt on top of it.

Three layers: the master; the base, which is the master and those cuts that no fold holds yet; the model itself, which
is the base and what was learnt since the last cut (the open changes). Limits: which features and labels the master
forgets follows from what was mixed, so it is the same on all servers; a server's own choice falls on what no master
holds, so it remembers at most twice as much as the limit says.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from hogwild.online.linear.diffs import Diff
from hogwild.online.linear.layers import Layers
from hogwild.online.linear.rest import Sparse


class _Kept(NamedTuple):
    """A cut that no fold holds, at the model's slots and columns."""

    cut: Diff
    slots: np.ndarray
    columns: np.ndarray
    alive: np.ndarray  # by label: of its present life

    def entries(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return which entries count, and where they are."""
        counted = self.alive[self.cut.columns]
        return counted, (self.slots[self.cut.rows[counted]], self.columns[self.cut.columns[counted]])


class Master(Layers):
    """The master part, and what is on top of it."""

    def cut(self) -> Diff:
        """See `Mixable`."""
        model, arrays = self._model, self._model.arrays
        touched = np.flatnonzero(arrays.seen > np.uint64(self._cut_at))
        changed = arrays.changes[touched] > 0
        at, columns = np.nonzero(changed)
        slots, entries = touched[at], changed.sum(axis=1)
        used = np.flatnonzero(entries)
        rows = np.repeat(np.arange(len(used)), entries[used])
        weights = arrays.weights[slots, columns] - self.base[slots, columns]
        covariance = np.zeros(0)
        if self.confident:
            covariance = arrays.variances[slots, columns]
            if not self._lowest:
                covariance = 1 / covariance - 1 / self.base_variances[slots, columns]
        changes = arrays.changes[slots, columns].astype(np.int64)
        labels, lives, known, learnt = [], [], [], []
        places = np.zeros(arrays.shape[1], np.int64)
        for label in sorted({label for label, _ in model.known()} | model.deleted.keys()):
            column = model.columns.get(label, -1)
            alive = column >= 0 and bool(arrays.known[column])
            if alive:
                places[column] = len(labels)
            labels.append(label)
            lives.append(model.lives.get(label, 0))
            known.append(alive)
            learnt.append(int(arrays.learnt[column] - self._base_learnt[column]) if alive else 0)
        names = [model.vocabulary.names[slot] for slot in touched[used].tolist()]
        self.dirty[touched[used]] = True
        self._close(touched)
        label_arrays = np.array(lives, np.int64), np.array(known, np.bool_), np.array(learnt, np.int64)
        return Diff(names, labels, *label_arrays, rows, places[columns], weights, covariance, changes)

    def _close(self, slots: np.ndarray) -> None:
        """Have no open changes from now on."""
        model, arrays = self._model, self._model.arrays
        self.base[slots] = arrays.weights[slots]
        if len(self.base_variances):
            self.base_variances[slots] = arrays.variances[slots]
        arrays.changes[slots] = 0
        self._base_learnt[:] = arrays.learnt
        model.deleted.clear()
        model.added.clear()
        self._cut_at = model.clock

    def apply(self, mixed: Diff, kept: list[Diff]) -> None:
        """See `Mixable`."""
        self.rounds += 1
        slots = self._slots(mixed)
        whole = self._merge(mixed, slots) | self._evict_labels()
        gone = self._evict_features()
        self._rebuild(None if whole else np.concatenate([slots, gone]), kept)
        if self._model.settings.limits.features is not None:
            self._free_unused()

    def full(self) -> dict[str, Any]:
        """See `Mixable`."""
        model, limits = self._model, self._model.settings.limits
        sparse = model.sparse(self, self.learnt, self.known, self.lives)
        full = sparse.packed(None if limits.features is None else self.mixed)
        if limits.labels is not None:
            columns = np.array([model.columns.get(label, 0) for label in sparse.labels], np.int64)
            full["label_updated"] = np.where(sparse.known, self.label_mixed[columns], 0)
        return {"rounds": self.rounds, **full}

    def load(self, full: dict[str, Any], kept: list[Diff]) -> None:
        """See `Mixable`."""
        model = self._model
        sparse = Sparse.unpacked(full, confident=self.confident, single=model.single)
        self._empty()
        self.rounds = int(full["rounds"])
        self.lives = {label: life for label, life in zip(sparse.labels, sparse.lives.tolist(), strict=True) if life}
        slots, columns = self._slots(sparse), self._columns(sparse)
        sparse.fill(self, slots, columns)
        self.known[columns], self.learnt[columns] = sparse.known, sparse.learnt
        self.label_mixed[columns] = full.get("label_updated", sparse.known)
        self.mixed[slots] = 1 if sparse.times is None else np.maximum(sparse.times, 1)
        model.arrays.seen[slots] = np.maximum(model.arrays.seen[slots], 1)
        self._rebuild(None, kept)
        self._free_unused()

    def _free_unused(self) -> None:
        """Free the slots of names that neither the master part nor own changes hold."""
        model = self._model
        seen = model.arrays.seen[: len(model.vocabulary.names)]
        held = (self.mixed > 0) | self.dirty | (model.arrays.seen > np.uint64(self._cut_at))
        slots = np.flatnonzero(~held[: len(seen)])
        seen[slots] = 0
        model.arrays.wipe(slots)
        self.forget_slots(slots)
        model.vocabulary.free(slots.tolist())
        self._count()

    def _count(self) -> None:
        """Count the features that are here alone."""
        self._model.tally[0] = np.count_nonzero((self._model.arrays.seen > 0) & (self.mixed == 0))

    def _rebuild(self, slots: np.ndarray | None, diffs: list[Diff]) -> None:
        """Make base and model anew: at `slots` (None: everywhere) and wherever they are not the master part."""
        model, arrays = self._model, self._model.arrays
        places = [(self._slots(cut), self._columns(cut)) for cut in diffs]
        lives = self._present_lives(diffs)
        kept = [
            _Kept(cut, *place, cut.lives == np.array([lives.get(label, 0) for label in cut.labels], np.int64))
            for cut, place in zip(diffs, places, strict=True)
        ]
        changed = [c for label, c in model.columns.items() if lives.get(label, 0) != model.lives.get(label, 0)]
        hidden = [c for label, c in model.columns.items() if lives.get(label, 0) != self.lives.get(label, 0)]
        rows = np.arange(len(model.vocabulary.names))
        if slots is not None and not changed:
            late = np.flatnonzero(arrays.seen > np.uint64(self._cut_at))
            rows = np.unique(np.concatenate([np.flatnonzero(self.dirty), late, slots, *(one.slots for one in kept)]))
        arrays.changes[:, changed] = 0
        model.lives = {label: life for label, life in lives.items() if life}
        self._rebuild_weights(rows, hidden, changed, kept)
        if self.confident:
            self._rebuild_variances(rows, hidden, changed, kept)
        self._rebuild_labels(hidden, changed, kept)
        self.dirty[:] = False
        for one in kept:
            self.dirty[one.slots] = True
        self._count()

    def _present_lives(self, diffs: list[Diff]) -> dict[str, int]:
        """Return how often each label has been deleted, as far as is known here."""
        lives = dict(self.lives)
        told = [zip(cut.labels, cut.lives.tolist(), strict=True) for cut in diffs]
        for label, life in chain(*told, self._model.deleted.items()):
            lives[label] = max(life, lives.get(label, 0))
        return lives

    def _rebuild_weights(self, rows: np.ndarray, hidden: list[int], changed: list[int], kept: list[_Kept]) -> None:
        weights = self._model.arrays.weights
        learnt = weights[rows] - self.base[rows]
        learnt[:, changed] = 0
        base = self.weights[rows]
        base[:, hidden] = 0
        self.base[rows] = base
        for one in kept:
            counted, at = one.entries()
            self.base[at] += one.cut.weights[counted]
        weights[rows] = self.base[rows] + learnt

    def _rebuild_variances(self, rows: np.ndarray, hidden: list[int], changed: list[int], kept: list[_Kept]) -> None:
        variances = self._model.arrays.variances
        if self._lowest:
            learnt = np.where(self._model.arrays.changes[rows] > 0, variances[rows], np.inf)
        else:
            learnt = 1 / variances[rows] - 1 / self.base_variances[rows]
            learnt[:, changed] = 0
        base = self.variances[rows]
        base[:, hidden] = 1
        variances[rows] = base
        for one in kept:
            counted, at = one.entries()
            variances[at] = self._with(variances[at], one.cut.covariance[counted])
        base = variances[rows]
        if self._lowest:
            variances[rows] = np.minimum(base, learnt)
        else:
            self.base_variances[rows] = base
            variances[rows] = np.where(learnt != 0, 1 / (1 / base + learnt), base)

    def _rebuild_labels(self, hidden: list[int], changed: list[int], kept: list[_Kept]) -> None:
        model, arrays = self._model, self._model.arrays
        learnt = arrays.learnt - self._base_learnt
        learnt[changed] = 0
        known = self.known.copy()
        known[hidden] = 0
        late = [
            column
            for label, column in model.columns.items()
            if arrays.known[column] and column not in changed and (label in model.added or learnt[column])
        ]
        self._base_learnt = np.where(known, self.learnt, 0)
        for one in kept:
            known[one.columns[one.alive & one.cut.known]] = 1
            self._base_learnt[one.columns[one.alive]] += one.cut.learnt[one.alive]
        known[late] = 1
        arrays.known[:] = known
        arrays.learnt[:] = np.where(known, self._base_learnt + learnt, 0)
        self._base_learnt[known == 0] = 0
        for label in [label for label, column in model.columns.items() if not known[column] and not self.known[column]]:
            model.free_column(label)
        model.recount()
