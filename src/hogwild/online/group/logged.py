"""How a member's share in a group goes into its log, and comes back out of it.

The log holds the cuts (`GetDiff`), the folds (`PutDiff`), the models that were taken over or put in everybody's place
(`Model`), and now and then all of it (`Kept`), in order with the updates. What is replayed is what there was: the same
master part, version and cuts, under the same source. A cut is in the log before its diff leaves, so no update counts
twice when the server comes back; and cuts that a group's model lacks are handed over then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hogwild.cluster.mix.lineage import Lineage
from hogwild.cluster.mix.protocol import GetDiff, Mixable, Model, PutDiff
from hogwild.online.group.packing import PackingError, kinds_of, unpack

MIX = "mix"  # kind of the records


class Kept(NamedTuple):
    """All that a lineage is."""

    state: Any


Record = GetDiff | PutDiff | Model | Kept
_KINDS = kinds_of((GetDiff, PutDiff, Model, Kept))


class LoggedLineage(Lineage):
    """A lineage that notes what becomes of it.

    Parameters
    ----------
    source, model, seeded
        See `Lineage`.
    note : callable
        Takes a record, right after the change.

    Attributes
    ----------
    torn : bool
        A change of the model has failed half-way: it is of no version any more.
    """

    def __init__(self, source: str, model: Mixable, seeded: bool, note: Callable[[Record], None]) -> None:
        super().__init__(source, model, seeded)
        self._note, self.torn = note, False

    def cut(self, round: int) -> None:
        """See `Lineage`."""
        self.torn = True
        super().cut(round)
        self._noted(GetDiff(round))

    def put(self, message: PutDiff) -> None:
        """See `Lineage`."""
        self.torn = True
        super().put(message)
        self._noted(message)

    def take(self, message: Model) -> None:
        """See `Lineage`."""
        self.torn = True
        super().take(message)
        self._noted(message)

    def install(self, round: int) -> None:
        """See `Lineage`."""
        super().install(round)
        self._noted(Model(self.source, round, self.model.full(), self.included, self.forgotten))

    def replaced(self, round: int) -> None:
        """See `Lineage`."""
        super().replaced(round)
        self._noted(Model(self.source, round, self.model.full(), self.included, self.forgotten))

    def keep(self) -> None:
        """Note all of it."""
        self._noted(Kept(self.state()))

    def _noted(self, record: Record) -> None:
        self._note(record)
        self.torn = False


class Replay:
    """Takes a log's records.

    Parameters
    ----------
    note : callable
        For the lineage, from then on.

    Attributes
    ----------
    lineage : LoggedLineage or None
        What has come out, if the log is that of a member.
    """

    def __init__(self, note: Callable[[Record], None]) -> None:
        self._live, self._note = False, note
        self.lineage: LoggedLineage | None = None

    def take(self, driver: Any, fields: Sequence[Any]) -> None:
        """Take a record.

        Raises
        ------
        PackingError
            It is none, or does not belong here.
        """
        record = unpack(fields[0], _KINDS)
        if record is None:
            raise PackingError("the log has a record of mixing that this version does not know")
        if isinstance(record, Kept):
            self.lineage = LoggedLineage("", driver.parts, False, self._noted)
            self.lineage.restore(record.state)
        elif self.lineage is None:
            raise PackingError(f"the log has a {type(record).__name__} before it says what the server had")
        elif isinstance(record, GetDiff):
            self.lineage.cut(record.round)
        elif isinstance(record, PutDiff):
            self.lineage.put(record)
        else:
            self.lineage.take(record)

    def end(self) -> LoggedLineage | None:
        """Return what has come out; what becomes of it from now on is noted."""
        self._live = True
        return self.lineage

    def _noted(self, record: Record) -> None:
        if self._live:
            self._note(record)
