"""Which rows have been stepped and accepted: every chunk of every turn, at least once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from hogwild.cluster.protocol import Chunk, Part


class Coverage:
    """Accepted rows of every chunk and turn.

    Attributes
    ----------
    rows, twice : int
        Accepted rows, and those among them that had been accepted before.
    reached : dict of int to int
        By lease, the position up to which its rows are accepted.
    """

    def __init__(self) -> None:
        self.rows = self.twice = 0
        self.reached: dict[int, int] = {}
        self._spans: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add(self, parts: Iterable[Part]) -> int:
        """Take over the parts of an accepted phase; returns how many of its rows had been accepted before."""
        again = 0
        for part in parts:
            spans = self._spans.setdefault((part.lease.turn, part.lease.chunk.number), [])
            again += _insert(spans, part.start, part.stop)
            self.rows += part.stop - part.start
            self.reached[part.lease.number] = part.stop
        self.twice += again
        return again

    def gaps(self, chunks: Iterable[Chunk], turns: int) -> list[str]:
        """Say which chunks of which turns are not covered."""
        found = []
        for turn in range(1, turns + 1):
            for chunk in chunks:
                spans = self._spans.get((turn, chunk.number), [])
                if chunk.rows and spans != [(0, chunk.rows)]:
                    found.append(f"turn {turn}, chunk {chunk.number}: {spans} of {chunk.rows} rows")
        return found


def _insert(spans: list[tuple[int, int]], start: int, stop: int) -> int:
    """Add start..stop to ascending, disjoint spans that never touch; returns how much of it was there."""
    first = bisect_left(spans, (start, start))
    if first and spans[first - 1][1] >= start:
        first -= 1
    last, overlap, low, high = first, 0, start, stop
    while last < len(spans) and spans[last][0] <= stop:
        begin, end = spans[last]
        overlap += max(0, min(end, stop) - max(begin, start))
        low, high = min(low, begin), max(high, end)
        last += 1
    spans[first:last] = [(low, high)]
    return overlap
