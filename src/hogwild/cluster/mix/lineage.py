"""What a server has learnt and mixed, apart from the group it is in: all that has to outlast its process."""

from __future__ import annotations

from typing import Any

from hogwild.cluster.mix.cuts import Cut, Cuts
from hogwild.cluster.mix.protocol import Mixable, Model, PutDiff

REMEMBERED = 4096  # servers, former ones and former lives included, whose last mixed round a model names


class Lineage:
    """A master part with its version, own cuts, some of which it may lack, and what has been learnt since.

    Parameters
    ----------
    source : str
        Names this life of the server. One that comes back with all that it had learnt (from a log) is the same life;
        any other is a new one.
    model : Mixable
    seeded : bool
        The model holds what a file had, and is not of any version yet.

    Attributes
    ----------
    version : int
        Round that made the master part.
    included : dict of int
        By source, the last round whose cuts the master part holds.
    forgotten : int
        The same for sources that are not there, if they had any.
    cuts : Cuts
    updates : int
        Since the last cut.
    """

    def __init__(self, source: str, model: Mixable, seeded: bool = False) -> None:
        self.source, self.model, self.seeded = source, model, seeded
        self.version, self.forgotten, self.updates = 0, 0, 0
        self.included: dict[str, int] = {}
        self.cuts = Cuts(model.join)
        self._early: list[Any] = []  # of the next cut

    @property
    def pending(self) -> int:
        """Updates that the master part lacks."""
        return self.updates + self.cuts.updates()

    @property
    def heard(self) -> int:
        """The latest round that this tells of."""
        return max(self.version, self.cuts.last)

    def cut(self, round: int) -> None:
        """Close what has been learnt, at that round's question."""
        diff = self.model.cut()
        self.cuts.cut(round, self.model.join([*self._early, diff]) if self._early else diff, self.updates)
        self._early, self.updates = [], 0

    def put(self, message: PutDiff) -> None:
        """Add a fold that belongs on top of the version that is here."""
        if message.settled:
            self.cuts.settled(self.version)
        self.cuts.forget(message.floor)
        self._include(self.included | dict.fromkeys(message.sources, message.round), self.forgotten)
        self.model.apply(message.mixed, self._kept())
        self.version, self.seeded = message.round, False

    def take(self, message: Model) -> None:
        """Take over another server's master part."""
        self._include(message.included, message.forgotten)
        self.model.load(message.full, self._kept())
        self.version, self.seeded = message.version, False

    def install(self, round: int) -> None:
        """Give the seed a version: what has been learnt on top of it, here and elsewhere, is still to come."""
        self.version, self.seeded = round, False

    def replaced(self, round: int) -> None:
        """Note that another model stands here, in place of all that any server had learnt up to that round's cut."""
        self._include({}, round)
        self.version, self.seeded = round, False

    def _kept(self) -> list[Any]:
        return [*self.cuts.kept(), *self._early]

    def _include(self, included: dict[str, int], forgotten: int) -> None:
        if len(included) > REMEMBERED:
            kept = sorted(included.items(), key=lambda item: (item[1], item[0]))
            forgotten = max(forgotten, kept[-REMEMBERED - 1][1])
            included = dict(kept[-REMEMBERED:])
        self.included, self.forgotten = included, forgotten
        self.cuts.rebase(included.get(self.source, forgotten))

    def state(self) -> dict[str, Any]:
        """Return all of it: what `restore` takes."""
        self._early = [self.model.join([*self._early, self.model.cut()])]
        return {
            "source": self.source,
            "seeded": self.seeded,
            "version": self.version,
            "included": self.included,
            "forgotten": self.forgotten,
            "updates": self.updates,
            "early": list(self._early),
            "full": self.model.full(),
            **self.cuts.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be what a state says, the model too, which has learnt nothing since."""
        self.source, self.seeded, self.version = state["source"], state["seeded"], state["version"]
        self.included, self.forgotten = state["included"], state["forgotten"]
        self.updates, self._early = state["updates"], list(state["early"])
        self.cuts.restore([Cut(*cut) for cut in state["cuts"]], state["settled"], state["held"])
        self.model.cut()
        self.model.load(state["full"], self._kept())
