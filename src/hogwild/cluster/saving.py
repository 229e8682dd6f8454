"""Checkpoints of a whole job: the coordinator's own account first, then every shard's."""

from __future__ import annotations

from hogwild.cluster.protocol import Effect, Persist, Save, Saved, Send
from hogwild.cluster.settings import number_of


class Saving:
    """One checkpoint after the other; each is complete once the coordinator and all shards have written it.

    What is done is written down before the shards are asked, so that no row done later is taken for done; some rows
    may then be stepped twice after a restart, none is left out.

    Attributes
    ----------
    number : int
        Of the last checkpoint that was begun.
    last : float
        When.
    """

    def __init__(self, number: int = 0) -> None:
        self.number, self.last = number, 0.0
        self._missing: set[int] | None = None
        self._own = False

    @property
    def under_way(self) -> bool:
        """Whether a checkpoint is not complete yet."""
        return self._missing is not None

    def begin(self, now: float, about: dict, primaries: tuple[str, ...]) -> list[Effect]:
        """Begin the next checkpoint."""
        self.number, self.last, self._own = self.number + 1, now, False
        self._missing = set(range(len(primaries)))
        return [Persist(self.number, {**about, "number": self.number}, {}), *self.ask(primaries)]

    def ask(self, primaries: tuple[str, ...]) -> list[Effect]:
        """Ask the shards that have not written it (again)."""
        return [Send(primaries[k], Save(self.number)) for k in sorted(self._missing)]

    def own(self, number: int) -> bool:
        """Note that the coordinator's part stands; returns whether the checkpoint is complete now."""
        self._own = self._own or number == self.number
        return self._complete()

    def saved(self, message: Saved) -> bool:
        """Note that a shard's part stands; returns whether the checkpoint is complete now."""
        if self._missing is None or message.number != self.number:
            return False
        self._missing.discard(number_of(message.node))
        return self._complete()

    def _complete(self) -> bool:
        if self._missing is None or self._missing or not self._own:
            return False
        self._missing = None
        return True
