"""A linear model by names: what it has learnt, what it may remember, at rest and in a group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import numpy as np

from hogwild.online.features.vocabulary import Rows, Vocabulary
from hogwild.online.linear.arrays import Arrays
from hogwild.online.linear.classifier_kernel import METHODS
from hogwild.online.linear.diffs import Diff, fold, join
from hogwild.online.linear.mixing import Master
from hogwild.online.linear.rest import Sparse
from hogwild.online.linear.settings import Settings
from hogwild.online.state import State

UNBOUNDED = 2**62


class Model:
    """A part: weights by feature and label.

    Parameters
    ----------
    settings : Settings
    vocabulary : Vocabulary
        Of features; the converter adds to it, the model forgets.
    single : bool
        One column without a name (regression).

    Attributes
    ----------
    arrays : Arrays
    columns : dict of str to int
        Of labels.
    labels : list of str or None
        By column; None where it is free.
    lives : dict of str to int
        How often labels have been deleted; 0 where nothing is said.
    deleted : dict of str to int
        The same of those deleted since the last cut.
    added : set of str
        Labels that were added since, without examples.
    clock : int
        Of the last example; the first one's is 2. What was only mixed in is of 1.
    tally : ndarray of int64
        Features seen that are in no master part; examples whose step was beyond what numbers hold.
    """

    def __init__(self, settings: Settings, vocabulary: Vocabulary, single: bool = False) -> None:
        self.settings, self.vocabulary, self.single = settings, vocabulary, single
        self._empty()

    def _empty(self) -> None:
        self.vocabulary.clear()
        self.master: Master | None = None
        self.arrays = Arrays(self.settings.confident, self.single)
        self.columns: dict[str, int] = {}
        self.labels: list[str | None] = []
        self.lives: dict[str, int] = {}
        self.deleted: dict[str, int] = {}
        self.added: set[str] = set()
        self.clock = 1
        self._restored: int | None = None  # clock then
        self._recent: dict[str, None] = {}  # labels, the least recently learnt first; where they are limited
        self._ranks: np.ndarray | None = None
        self.tally = np.zeros(2, np.int64)
        if self.single:
            self.arrays.known[self.column("")] = 1

    def clear(self) -> None:
        """See `Part`."""
        mixes = self.master is not None
        self._empty()
        if mixes:
            self.master = Master(self)

    def reserve(self) -> None:
        """Make room for all names."""
        self.arrays.reserve(len(self.vocabulary.names), len(self.labels))
        if self.master is not None:
            self.master.reserve()

    # ------------------------------------------------------------------------------------------- labels

    def column(self, label: str) -> int:
        """Return a label's column; a new one gets a free one."""
        column = self.columns.get(label)
        if column is None:
            column = self.labels.index(None) if None in self.labels else len(self.labels)
            self.labels[column : column + 1] = [label]
            self.columns[label] = column
            self._ranks = None
            self.reserve()
        return column

    def free_column(self, label: str) -> None:
        """Forget a label that nobody knows any more."""
        column = self.columns.pop(label)
        self.labels[column] = None
        self.wipe_column(column)

    def wipe_column(self, column: int) -> None:
        """Forget what was learnt of a label."""
        self.arrays.wipe(slice(None), column)
        self.arrays.known[column] = self.arrays.learnt[column] = 0
        if self.labels[column] is not None:
            self._recent.pop(self.labels[column], None)

    @property
    def ranks(self) -> np.ndarray:
        """Places of labels in their order: the first of equals is taken, whichever column it has."""
        if self._ranks is None or len(self._ranks) != self.arrays.shape[1]:
            self._ranks = np.zeros(self.arrays.shape[1], np.uint32)
            for rank, label in enumerate(sorted(self.columns)):
                self._ranks[self.columns[label]] = rank
        return self._ranks

    def known(self) -> list[tuple[str, int]]:
        """Return labels and their columns, sorted."""
        return [(label, column) for label, column in sorted(self.columns.items()) if self.arrays.known[column]]

    def add_label(self, label: str) -> bool:
        """Know a label from now on; return False where it was known."""
        column = self.columns.get(label)
        if column is not None and self.arrays.known[column]:
            return False
        self._make_room(label, self.clock)
        column = self.column(label)  # first: it may make the arrays larger
        self.arrays.known[column] = 1
        self.added.add(label)
        return True

    def delete_label(self, label: str) -> bool:
        """Forget a label, here and in the group; return False where it was not known."""
        column = self.columns.get(label)
        if column is None or not self.arrays.known[column]:
            return False
        self.added.discard(label)
        self.wipe_column(column)
        if self.master is None:
            self.free_column(label)
        else:
            self.lives[label] = self.deleted[label] = self.lives.get(label, 0) + 1
            self.master.forget_column(column)
        return True

    def _lacks_room(self, label: str) -> bool:
        """Whether another label has to go for this one; those of the master part go by what is mixed."""
        limit = self.settings.limits.labels
        if limit is None or label in self._recent or (self.master is not None and self.master.knows(label)):
            return False
        return len(self._recent) >= limit

    def _make_room(self, label: str, clock: int) -> None:
        """Note that a label is learnt now; where there are too many then, forget the one that the unlearner says."""
        limits = self.settings.limits
        if limits.labels is None or (self.master is not None and self.master.knows(label)):
            return
        if self._lacks_room(label):
            # by chance, but the same when the log is replayed
            place = 0 if limits.unlearner == "lru" else crc32(str(clock).encode()) % len(self._recent)
            gone = (list if limits.unlearner == "lru" else sorted)(self._recent)[place]
            column = self.columns[gone]
            self.added.discard(gone)
            self.wipe_column(column)
            if self.master is None:
                self.free_column(gone)
            else:
                self.master.forget_column(column)
        self._recent.pop(label, None)
        self._recent[label] = None

    def pieces(self, labels: list[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Cut a batch where a label has to go; yield the piece's end, and the columns of its rows."""
        columns: list[int] = []
        if self.settings.limits.labels is None:
            for label in dict.fromkeys(labels):
                self.column(label)
            columns = list(map(self.columns.__getitem__, labels))
        else:
            for end, label in enumerate(labels):
                if columns and self._lacks_room(label):
                    yield end, np.array(columns, np.uint32)
                    columns = []
                self._make_room(label, self.clock + end)
                columns.append(self.column(label))
        yield len(labels), np.array(columns, np.uint32)

    def recount(self) -> None:
        """Take up the labels that are here alone, for the unlearner."""
        if self.settings.limits.labels is not None:
            alone = [label for label, _ in self.known() if self.master is None or not self.master.knows(label)]
            self._recent = dict.fromkeys([label for label in self._recent if label in set(alone)] + alone)

    # ------------------------------------------------------------------------------------------- features

    @property
    def limit(self) -> int:
        """Features that may be remembered."""
        return self.settings.limits.features or UNBOUNDED

    def free_features(self, rows: Rows, row: int) -> None:
        """Forget the features that were seen longest ago, a tenth of them or as many as there are too many.

        The names of those that `rows` from `row` on hold are kept for these, as new ones.
        """
        keep = self.limit - self.limit // 10
        seen = self.arrays.seen
        slots = np.flatnonzero(seen if self.master is None else seen * (self.master.mixed == 0))
        slots = self.oldest(slots, seen[slots], int(self.tally[0]) - keep)
        seen[slots] = 0
        self.arrays.wipe(slots)
        if self.master is not None:
            self.master.forget_slots(slots)
        self.tally[0] -= len(slots)
        coming = rows.slots[int(rows.indptr[row]) :]
        self.vocabulary.free(np.setdiff1d(slots, coming, assume_unique=False).tolist())

    def oldest(self, slots: np.ndarray, times: np.ndarray, count: int) -> np.ndarray:
        """Return `count` of the slots, the first by time and then by name."""
        last = np.partition(times, count - 1)[count - 1]
        sure, equal = slots[times < last], slots[times == last]
        equal = sorted(equal.tolist(), key=lambda slot: self.vocabulary.names[slot] or "")
        return np.concatenate([sure, np.array(equal[: count - len(sure)], sure.dtype)])

    def status(self, kind: str) -> dict[str, str]:
        """Return figures for a driver's status."""
        size = self.arrays.nbytes() + (0 if self.master is None else self.master.nbytes())
        learnt = self.arrays.learnt.sum()
        figures = {"features": len(self.vocabulary), "bytes": size, "examples": learnt, "skipped": self.tally[1]}
        return {f"{kind}.{name}": str(int(value)) for name, value in figures.items()}

    # ------------------------------------------------------------------------------------------- at rest

    def sparse(self, arrays: Any, learnt: np.ndarray, known: np.ndarray, lives: dict[str, int]) -> Sparse:
        """Return what arrays of this model's slots and columns hold, by names."""
        labels = sorted(label for label, column in self.columns.items() if known[column])
        labels = sorted({*labels, *(label for label, life in lives.items() if life)})
        columns = np.array([self.columns.get(label, -1) for label in labels], np.int64)
        alive = np.array([column >= 0 and bool(known[column]) for column in columns.tolist()], np.bool_)
        return Sparse.of(
            arrays, self.vocabulary, labels, columns, alive, learnt, np.array([lives.get(one, 0) for one in labels])
        )

    def state(self) -> State:
        """See `Part`. Names are sorted: models that are equal have equal states."""
        master = self.master
        times = None
        if self.settings.limits.features is not None:
            times = self.arrays.seen if master is None else master.mixed
        sparse = self.sparse(self.arrays, self.arrays.learnt, self.arrays.known, self.lives)
        about = {
            "method": METHODS[self.settings.method],
            "clock": self.clock if master is None else 1,
            "rounds": 0 if master is None else master.rounds,
        }
        arrays = sparse.packed(times)
        if self.settings.limits.labels is not None and master is None:
            order = {label: place for place, label in enumerate(self._recent)}
            arrays["recent"] = np.array([order.get(label, 0) for label in sparse.labels], np.uint32)
        return State(about, arrays)

    def restore(self, state: State) -> None:
        """See `Part`."""
        method = METHODS[self.settings.method]
        if state.about.get("method") != method:
            raise ValueError(f"found a model of {state.about.get('method')}, expected one of {method}")
        sparse = Sparse.unpacked(state.arrays, confident=self.settings.confident, single=self.single)
        mixes = self.master is not None
        self._empty()
        self.clock = max(int(state.about.get("clock", 1)), 1)
        self._place(sparse)
        recent = state.arrays.get("recent")
        if recent is not None and len(recent) == len(sparse.labels):
            order = dict(zip(sparse.labels, recent.tolist(), strict=True))
            self._recent = dict.fromkeys(sorted(self._recent, key=order.__getitem__))
        self._restored = self.clock
        if mixes:
            self.master = Master(self, rounds=int(state.about.get("rounds", 0)))

    def _place(self, sparse: Sparse) -> None:
        """Take over what a state holds into empty arrays."""
        slots = np.fromiter(map(self.vocabulary.slot, sparse.names), np.int64, len(sparse.names))
        columns = np.fromiter(map(self.column, sparse.labels), np.int64, len(sparse.labels))
        self.reserve()
        arrays = self.arrays
        sparse.fill(arrays, slots, columns)
        arrays.known[columns], arrays.learnt[columns] = sparse.known, sparse.learnt
        self.lives = {label: life for label, life in zip(sparse.labels, sparse.lives.tolist(), strict=True) if life}
        arrays.seen[slots] = 1 if sparse.times is None else np.maximum(sparse.times, 1)
        self.clock = max(self.clock, int(arrays.seen.max(initial=0)))
        self.tally[0] = len(slots)
        self.recount()

    # ------------------------------------------------------------------------------------------- in a group

    def _mixed(self) -> Master:
        """Return the master part; there is one from the first call on."""
        if self.master is None:
            if self._restored is not None and self.clock > self._restored:
                raise RuntimeError("examples were learnt between a model's loading and the first call of its mixing")
            self.master = Master(self, fresh=self._restored is None)
        return self.master

    def cut(self) -> dict[str, np.ndarray]:
        """See `Mixable`."""
        return self._mixed().cut().packed()

    def join(self, cuts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """See `Mixable`."""
        return join([Diff.unpacked(one) for one in cuts], self.settings.mixing).packed()

    def fold(self, diffs: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """See `Mixable`."""
        return fold([Diff.unpacked(one) for one in diffs], self.settings.mixing).packed()

    def apply(self, mixed: dict[str, np.ndarray], kept: list[dict[str, np.ndarray]]) -> None:
        """See `Mixable`."""
        self._mixed().apply(Diff.unpacked(mixed), [Diff.unpacked(one) for one in kept])

    def full(self) -> dict[str, Any]:
        """See `Mixable`."""
        return self._mixed().full()

    def load(self, full: dict[str, Any], kept: list[dict[str, np.ndarray]]) -> None:
        """See `Mixable`."""
        self._mixed().load(full, [Diff.unpacked(one) for one in kept])
