"""One round of mixing, from the side of its master."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hogwild.cluster.mix.protocol import (
    Diff,
    Expel,
    GetDiff,
    Install,
    Locked,
    Mixed,
    Obsolete,
    PutDiff,
    RoundEnded,
    Unlock,
)
from hogwild.cluster.protocol import Effect, Send, SetTimer, Told

DEADLINE, RESEND = "round", "resend"


class Round:
    """Gathers diffs, folds those of the newest version, sends the fold to all, and strikes off who did not take it.

    Or it puts a new model in the place of all: its master's. That is what the master of a replacing round does, and of
    any round in a group that has no version yet, if it has a file's model. The others are obsolete then.

    Parameters
    ----------
    node, coordination : str
    locked : Locked
        The round's number, and the group at that moment.
    deadline : float
        Seconds that members have for each of the two answers; they are asked again every fourth of it.
    fold : callable
        Of the model.
    replacing : bool
    whole : bool
        No server that was a member lately is missing: none may come back with a model of before.
    """

    def __init__(
        self,
        node: str,
        coordination: str,
        locked: Locked,
        deadline: float,
        fold: Callable[[list[Any]], Any],
        replacing: bool = False,
        whole: bool = True,
    ) -> None:
        self.number, self._node, self._coordination = locked.round, node, coordination
        self._members, self._actives, self._noted = locked.members, locked.actives, locked.floor
        self._deadline, self._fold, self._replacing, self._whole = deadline, fold, replacing, whole
        self._diffs: dict[str, Diff] = {}
        self._answers: dict[str, bool] = {}
        self._puts: dict[str, PutDiff | Obsolete | Install] = {}
        self._base: int | None = None
        self._sources: tuple[str, ...] = ()
        self._floor = 0
        self.over = False

    def begin(self) -> list[Effect]:
        """Ask for the diffs."""
        return [*self._ask(), *self._clock()]

    def diff(self, message: Diff) -> list[Effect]:
        """Take a diff; the first of a member counts."""
        if self._puts or self.over or message.node in self._diffs:
            return []
        self._diffs[message.node] = message
        return self._put() if len(self._diffs) == len(self._members) else []

    def mixed(self, message: Mixed) -> list[Effect]:
        """Take an answer."""
        if not self._puts or self.over:
            return []
        self._answers[message.node] = message.took
        if isinstance(self._puts.get(message.node), Install) and len(self._puts) < len(self._members):
            self._puts |= {node: Obsolete(self.number) for node in self._members if node != message.node}
            return self._ask()
        return self._end() if self._answers.keys() >= self._puts.keys() else []

    def resend(self) -> list[Effect]:
        """Ask those again who have not answered."""
        if self.over:
            return []
        return [*self._ask(), SetTimer(RESEND, self._deadline / 4)]

    def deadline(self) -> list[Effect]:
        """Go on without those who have not answered."""
        if self.over:
            return []
        return self._end() if self._puts else self._put()

    def abandon(self) -> list[Effect]:
        """Stop: others have gone on to a later one, or the lock is lost."""
        self.over = True
        timers = [SetTimer(DEADLINE, None), SetTimer(RESEND, None)]
        ended = RoundEnded(self.number, None, (), (), self._members)
        return [Send(self._coordination, Unlock(self._node, self.number)), *timers, Told(ended)]

    def _ask(self) -> list[Effect]:
        if self._puts:
            return [Send(node, put) for node, put in self._puts.items() if node not in self._answers]
        return [Send(node, GetDiff(self.number)) for node in self._members if node not in self._diffs]

    def _clock(self) -> list[Effect]:
        return [SetTimer(DEADLINE, self._deadline), SetTimer(RESEND, self._deadline / 4)]

    def _put(self) -> list[Effect]:
        """Fold and send."""
        head = self._head()
        seeded = [node for node, diff in self._diffs.items() if diff.seeded and head == 0]
        if self._replacing or self._node in seeded:
            self._puts = {self._node: Install(self.number)}
            return [*self._ask(), *self._clock()]
        if seeded:  # theirs is the better start: they will ask for the lock
            return self.abandon()
        if head is None:
            return self._end()
        diffs = sorted((diff for diff in self._diffs.values() if diff.version == head), key=lambda diff: diff.source)
        self._base, self._sources = head, tuple(diff.source for diff in diffs)
        # a member without a model has no cuts in any, and nobody goes on from it while others are active
        settled = self._whole and all(
            node in self._diffs and self._diffs[node].version in (head, 0) for node in self._members
        )
        self._floor = head if settled else 0
        put = PutDiff(self.number, head, self._fold([diff.diff for diff in diffs]), self._sources, settled, self._noted)
        for node in self._members:
            behind = node in self._diffs and self._diffs[node].version != head
            self._puts[node] = Obsolete(self.number) if behind else put
        return [*self._ask(), *self._clock()]

    def _head(self) -> int | None:
        """Return the newest version of the active members; of all where the group has no active one."""
        versions = [diff.version for diff in self._diffs.values() if diff.active]
        if not versions and not self._actives:
            versions = [diff.version for diff in self._diffs.values()]
        return max(versions, default=None)

    def _end(self) -> list[Effect]:
        self.over = True
        took = tuple(node for node in self._members if self._answers.get(node))
        missed = tuple(node for node in self._members if not self._answers.get(node))
        # silence is no success: who did not say that it took the fold answers with an old model
        struck = [Expel(node, self.number) for node in missed if self._puts and node not in self._answers]
        return [
            *(Send(self._coordination, expel) for expel in struck),
            Send(self._coordination, Unlock(self._node, self.number, self._floor)),
            SetTimer(DEADLINE, None),
            SetTimer(RESEND, None),
            Told(RoundEnded(self.number, self._base, self._sources, took, missed)),
        ]
