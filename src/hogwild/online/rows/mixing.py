"""Rows that are mixed with those of other servers: in rounds, or told on from server to server."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.online.rows.arena import FRESH, REMOVED, SEARCHED, UNCUT
from hogwild.online.rows.blocks import Block, Known, Version, highest, latest
from hogwild.online.rows.table import REMEMBERED, Table


class RowTable(Table):
    """Rows by name; a `Part`, whose rule is that of `hogwild.cluster.mix.mixers.Latest`."""

    # ------------------------------------------------------------------------------------------- in rounds

    def cut(self) -> dict[str, Any]:
        """See `Mixable`."""
        block = self._uncut()
        own = self.known.get(self.owner, -1)
        if own > self._settled.get(self.owner, -1):  # perhaps of a change that a newer one has made void since
            block.known[self.owner] = own
        self.arena.flags[self._flagged(UNCUT)] &= ~np.uint8(UNCUT)
        return block.packed()

    def join(self, cuts: list[dict[str, Any]]) -> dict[str, Any]:
        """See `Mixable`."""
        return latest(map(Block.read, cuts)).packed()

    fold = join

    def apply(self, mixed: dict[str, Any], kept: list[dict[str, Any]]) -> None:
        """See `Mixable`."""
        block, own = Block.read(mixed), latest(map(Block.read, kept))
        uncut = self._uncut()
        fresh = [self.arena.names[row] for row in self._flagged(FRESH).tolist()]
        for name in [*fresh, *self._beneath]:
            self._place(name, self._beneath.pop(name, None))
            if name in self.live:
                self.arena.flags[self.live[name]] = SEARCHED
        self._take(block)
        self._bound()
        self._lay(own, 0)
        self._lay(uncut, UNCUT)
        self._settled = highest(self._settled, block.known)
        self._mixed(block.known)

    def full(self) -> dict[str, Any]:
        """See `Mixable`."""
        fresh = {self.arena.names[row] for row in self._flagged(FRESH).tolist()}
        rows = {name: row for name, row in [*self.live.items(), *self._gone.items()] if name not in fresh}
        return self._pack((rows | self._beneath).values(), self._settled).packed()

    def load(self, full: dict[str, Any], kept: list[dict[str, Any]]) -> None:
        """See `Mixable`."""
        block, own = Block.read(full), latest(map(Block.read, kept))
        uncut, known = self._uncut(), self.known
        self._fill(block)
        self._lay(own, 0)
        self._lay(uncut, UNCUT)
        self._mixed(known)

    def _uncut(self) -> Block:
        block = self._pack(self._flagged(UNCUT), {})
        for version in block.versions:
            block.known[version.owner] = max(block.known.get(version.owner, -1), version.clock)
        return block

    def _flagged(self, flag: int) -> np.ndarray:
        return np.flatnonzero(self.arena.flags[: self.arena.size] & flag)

    def _version(self, row: int) -> Version:
        removed = bool(self.arena.lengths[row] == REMOVED)
        return Version(int(self.arena.clocks[row]), self._owner_names[self.arena.owners[row]], removed)

    def _newer(self, block: Block) -> list[int]:
        """Return which rows of a block are newer than the table's."""
        rows = [self._current(name) for name in block.names]
        return [place for place, row in enumerate(rows) if row is None or block.versions[place] > self._version(row)]

    def _take(self, block: Block) -> int:
        """Take newer rows over into the master part."""
        return self._enter(block, self._newer(block), 0, beneath=False)

    def _lay(self, block: Block, flag: int) -> None:
        """Lay newer rows over the master part."""
        self._enter(block, self._newer(block), flag, beneath=True)

    def _enter(self, block: Block, places: list[int], flag: int, beneath: bool) -> int:
        places.sort(key=lambda place: (block.versions[place], block.names[place]))
        slots = self._slots(block) if places else np.zeros(0, np.uint32)
        for place in places:
            name, version = block.names[place], block.versions[place]
            fresh = self._set_beneath(name) if beneath else 0
            if not beneath and name in self._beneath:
                self.arena.drop(self._beneath.pop(name))
            _, own, values = (None, None, None) if version.removed else block.taken([place], slots)
            self._place(name, self._append(name, version, own, values, block.marks[place], flag | fresh))
        return len(places)

    def _bound(self) -> None:
        """Keep the master part small, in the same way on all servers; no other part is there at the moment."""
        if self._unlearner is not None and len(self.live) > self._unlearner.max_size:
            names = self._by_age(self.live)
            clock = self._version(self.live[names[-1]]).clock
            for name in self._unlearner.victims(len(names) - self._unlearner.max_size, names, clock):
                gone = self._version(self.live[name])._replace(removed=True)
                self._place(name, self._append(name, gone, None, None, None, 0))
        if len(self._gone) > REMEMBERED:
            for name in self._by_age(self._gone)[:-REMEMBERED]:
                self._place(name, None)

    def _by_age(self, numbers: dict[str, int]) -> list[str]:
        """Return names in the order of their rows' versions."""
        rows = np.fromiter(numbers.values(), np.int64)
        rank = np.argsort(np.argsort(np.array(self._owner_names, object)))
        names = list(numbers)
        return [names[place] for place in np.lexsort((rank[self.arena.owners[rows]], self.arena.clocks[rows])).tolist()]

    def _mixed(self, known: Known) -> None:
        self.known = highest(self.known, known)
        if self._unlearner is not None:  # its order is that of the last changes
            self.live = {name: self.live[name] for name in self._by_age(self.live)}
        self.generation += 1
        self.tidy()

    # ------------------------------------------------------------------------------------------- from server to server

    def summary(self) -> Known:
        """Return the number of each owner's latest change that is known here."""
        return dict(self.known)

    def since(self, summary: Known) -> dict[str, Any]:
        """Return all changes that someone with that summary lacks."""
        heard = np.array([summary.get(owner, -1) for owner in self._owner_names], np.int64)
        rows = np.array([*self.live.values(), *self._gone.values()], np.int64)
        return self._pack(rows[self.arena.clocks[rows] > heard[self.arena.owners[rows]]], self.known).packed()

    def merge(self, rows: dict[str, Any]) -> int:
        """Take over what `since` gave elsewhere; return how many rows have changed."""
        block = Block.read(rows)
        changed = self._take(block)
        self._mixed(block.known)
        if self._unlearner is not None:
            self._shrink(self._unlearner)
            self.tidy()
        return changed
