"""What a server has learnt, cut at each round that asked for it, until no model can come that lacks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

LIMIT = 32  # cuts; more come together only while members are silent, and their sessions end


class Cut(NamedTuple):
    """What was learnt between the round before and `round`."""

    round: int
    diff: Any
    updates: int


class Cuts:
    """The cuts of one server.

    A model holds a prefix of them: all up to the round named in its `included`. Another lineage of the model may hold a
    shorter one (a round that only few have taken loses against a later one that they missed), so cuts are kept beyond
    their inclusion, until a round finds all members at one version and
    the coordination service has noted that.

    Parameters
    ----------
    join : callable
        Makes one diff of several; the two oldest become one when there are more than `LIMIT`.
    """

    def __init__(self, join: Callable[[list[Any]], Any]) -> None:
        self._join, self._cuts = join, []
        self._settled: list[tuple[int, int]] = []
        self.included = 0

    def cut(self, round: int, diff: Any, updates: int) -> None:
        """Add what was learnt up to that round's question."""
        self._cuts.append(Cut(round, diff, updates))
        if len(self._cuts) > LIMIT:
            first, second = self._cuts[:2]
            merged = Cut(second.round, self._join([first.diff, second.diff]), first.updates + second.updates)
            self._cuts[:2] = [merged]

    def contribution(self, round: int) -> Any:
        """Return all that the present model lacks, up to that round's question."""
        return self._join([cut.diff for cut in self._cuts if self.included < cut.round <= round])

    def kept(self) -> list[Any]:
        """Return the cuts that the present model lacks."""
        return [cut.diff for cut in self._cuts if cut.round > self.included]

    def updates(self) -> int:
        """Return how many updates those hold."""
        return sum(cut.updates for cut in self._cuts if cut.round > self.included)

    def rebase(self, included: int) -> None:
        """Stand on a model that holds the cuts up to that round."""
        self.included = included

    def settled(self, version: int) -> None:
        """Note that all members have the version that the present model has."""
        self._settled.append((version, self.included))

    def forget(self, floor: int) -> None:
        """Forget the cuts that every model holds which may still come: of that version, or one that came out of it."""
        held = max((included for version, included in self._settled if version <= floor), default=0)
        self._settled = [pair for pair in self._settled if pair[0] > floor]
        self._cuts = [cut for cut in self._cuts if cut.round > held]

    @property
    def last(self) -> int:
        """The round of the last cut, or of the last that went."""
        return max(self.included, self._cuts[-1].round if self._cuts else 0)

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"cuts": [list(cut) for cut in self._cuts], "settled": list(self._settled), "held": self.included}

    def restore(self, cuts: list[Cut], settled: list[Any], included: int) -> None:
        """Be what a state says."""
        self._cuts, self._settled, self.included = cuts, [(version, held) for version, held in settled], included

    def __len__(self) -> int:
        return len(self._cuts)
