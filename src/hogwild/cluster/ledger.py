"""Which rows are done, leased, or still to be leased: every position of every chunk is in exactly one place."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from hogwild.cluster.protocol import Chunk, Lease


class Span(NamedTuple):
    """Positions start..stop of a chunk in a turn that nobody holds."""

    turn: int
    chunk: int
    start: int
    stop: int


class Ledger:
    """Leases on chunks, turn after turn; a turn's chunks come in an order drawn for it.

    The next turn is opened when nothing of this one is left to lease, so that nobody idles at its end.

    Parameters
    ----------
    chunks : sequence of Chunk
    turns : int
        Passes over the data.
    seed : int
    """

    def __init__(self, chunks: Sequence[Chunk], turns: int, seed: int) -> None:
        self.chunks = {chunk.number: chunk for chunk in chunks if chunk.rows > 0}
        if not self.chunks:
            raise ValueError("found no rows to train on")
        self.turns, self.seed = turns, seed
        self.rows = sum(chunk.rows for chunk in self.chunks.values())
        self.leases: dict[int, Lease] = {}
        self.done: dict[int, int] = {}  # rows by turn
        self.twice = 0  # rows that were stepped by one who no longer held them
        self.opened = 0
        self._free: deque[Span] = deque()
        self._next = 0

    @property
    def complete(self) -> bool:
        """Whether all rows of all turns are done."""
        return self.done.get(self.turns, 0) >= self.rows and all(
            self.done.get(turn, 0) >= self.rows for turn in range(1, self.turns)
        )

    def open_turn(self) -> bool:
        """Make the next turn's chunks free; returns whether there is one."""
        if self.opened >= self.turns:
            return False
        self.opened += 1
        numbers = sorted(self.chunks)
        random.Random(f"{self.seed}/{self.opened}").shuffle(numbers)
        self._free.extend(Span(self.opened, number, 0, self.chunks[number].rows) for number in numbers)
        return True

    def lease(self, accepts: Any = None) -> Lease | None:
        """Lease the next free rows (those of a chunk that `accepts` takes); None where there are none."""
        while True:
            for place, span in enumerate(self._free):
                if accepts is None or accepts(span.chunk):
                    del self._free[place]
                    lease = Lease(self._next, span.turn, self.chunks[span.chunk], span.start, span.stop)
                    self._next += 1
                    self.leases[lease.number] = lease
                    return lease
            if not self.open_turn():
                return None

    def reach(self, number: int, position: int) -> tuple[int, int]:
        """Note that a lease's rows up to `position` are done; returns their turn, and how many are new."""
        lease = self.leases[number]
        rows = min(position, lease.stop) - lease.start
        if position > lease.stop:
            self.twice += position - lease.stop  # it was shortened while its worker went on
        if rows <= 0:
            return lease.turn, 0
        self.done[lease.turn] = self.done.get(lease.turn, 0) + rows
        if position >= lease.stop:
            del self.leases[number]
        else:
            self.leases[number] = lease._replace(start=position)
        return lease.turn, rows

    def give_back(self, number: int) -> None:
        """Free what is left of a lease, before everything else."""
        lease = self.leases.pop(number)
        self._free.appendleft(Span(lease.turn, lease.chunk.number, lease.start, lease.stop))

    def split(self, number: int, planned: int) -> bool:
        """Free the second half of what is left of a lease behind position `planned`; returns whether there was any."""
        lease = self.leases[number]
        middle = (max(lease.start, planned) + lease.stop + 1) // 2
        if middle < lease.stop:
            self.leases[number] = lease._replace(stop=middle)
            self._free.append(Span(lease.turn, lease.chunk.number, middle, lease.stop))
        return middle < lease.stop

    def left(self, number: int, planned: int = 0) -> int:
        """Rows that are left of a lease, behind position `planned`."""
        lease = self.leases[number]
        return lease.stop - max(lease.start, planned)

    @property
    def has_free(self) -> bool:
        """Whether there is something to lease."""
        return bool(self._free) or self.opened < self.turns

    def about(self) -> dict:
        """What a job goes on from, as JSON knows it: held leases count as free."""
        held = [Span(lease.turn, lease.chunk.number, lease.start, lease.stop) for lease in self.leases.values()]
        return {
            "opened": self.opened,
            "done": {str(turn): rows for turn, rows in self.done.items()},
            "free": [list(span) for span in (*held, *self._free)],
            "chunks": [[chunk.number, chunk.rows] for chunk in self.chunks.values()],
            "seed": self.seed,
        }

    def restore(self, about: dict) -> None:
        """Take back what `about` returned.

        Raises
        ------
        ValueError
            If it is of other chunks.
        """
        ours = [[chunk.number, chunk.rows] for chunk in self.chunks.values()]
        if about["chunks"] != ours:
            raise ValueError(
                f"the checkpoint is of other data: found {len(ours)} chunks of {self.rows:,} rows, expected "
                f"{len(about['chunks'])} of {sum(rows for _, rows in about['chunks']):,}"
            )
        self.opened, self.seed = about["opened"], about["seed"]
        self.done = {int(turn): rows for turn, rows in about["done"].items()}
        self._free = deque(Span(*each) for each in about["free"])
