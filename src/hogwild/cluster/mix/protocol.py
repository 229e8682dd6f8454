"""What the servers of a MIX group say to each other and to the service that coordinates them.

A round: one server gets the lock, with a number that only grows; asks all members for their diffs; folds those of the
newest version; sends the result to all. A model's version is the number of the round that made it, so two models of
one version are the same to the byte, whatever became of the rounds between.

Messages between servers may be lost, doubled, delayed and reordered. To and from the coordination service they are in
order and complete as long as the session lasts, as ZooKeeper (and a pipe to a parent process) has it. A session belongs
to one life of a server; when it ends, the lock and the entry in the list of active servers go with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

COORDINATION = "coordination"


class Mixable(Protocol):
    """A model whose changes can be mixed: a master part, and what has been learnt here since.

    Diffs, folds and full models are opaque to the machines, are never changed once they are handed over, and travel.
    """

    def cut(self) -> Any:
        """Return what has been learnt here since the last cut; what comes from now on belongs to the next."""
        ...

    def join(self, cuts: list[Any]) -> Any:
        """Return consecutive cuts of this server as one (of nothing: a diff that changes nothing)."""
        ...

    def fold(self, diffs: list[Any]) -> Any:
        """Return what several servers' diffs amount to together."""
        ...

    def apply(self, mixed: Any, kept: list[Any]) -> None:
        """Add a fold to the master part. The model is that, and `kept` (own cuts that no fold holds), and the rest."""
        ...

    def full(self) -> Any:
        """Return the master part alone."""
        ...

    def load(self, full: Any, kept: list[Any]) -> None:
        """Take over a master part; the model is that, and `kept`, and what has been learnt since the last cut."""
        ...


# ------------------------------------------------------------------------------------------------ local events


class Updated(NamedTuple):
    """The model behind this server has taken that many updates."""

    count: int


class MixNow(NamedTuple):
    """A client wants a round now; `MixEnded` answers."""

    ticket: int


class Replace(NamedTuple):
    """Another model is to stand in place of everybody's; `MixEnded` answers.

    `change` puts it into the model behind this server, as its master part, when a round has been called for that: it
    returns whether it did.
    """

    ticket: int
    change: Callable[[], bool]


# ------------------------------------------------------------------------------------------------ between servers


class GetDiff(NamedTuple):
    """Master to member: tell what you have learnt."""

    round: int


class Diff(NamedTuple):
    """Member to master: this, on top of `version`.

    `source` names this life of the member: one that has been restarted is another. A member is `seeded` where it has
    the model of a file, which no round has made everybody's yet.
    """

    round: int
    node: str
    source: str
    version: int
    active: bool
    diff: Any
    seeded: bool = False


class Overtaken(NamedTuple):
    """Member to master: your round is over, I have heard of a later one."""

    seen: int


class PutDiff(NamedTuple):
    """Master to member: add this to a model of version `base`, which then has version `round`.

    Attributes
    ----------
    round, base : int
    mixed : Any
    sources : tuple of str
        Whose diffs are in it.
    settled : bool
        All members are at `base`, which is the next floor.
    floor : int
        What the coordination service has noted: nobody will go on from a version before that one.
    """

    round: int
    base: int
    mixed: Any
    sources: tuple[str, ...]
    settled: bool = False
    floor: int = 0


class Mixed(NamedTuple):
    """Member to master: whether it was taken."""

    round: int
    node: str
    took: bool


class Obsolete(NamedTuple):
    """Master to member: your version is not the one that was mixed; fetch a model of at least version `round`."""

    round: int


class Install(NamedTuple):
    """Master to itself: put the new model in place, whose version is that round."""

    round: int


class GetModel(NamedTuple):
    """Obsolete server to an active one: send your model if it has at least that version, and is not what I have."""

    node: str
    least: int
    have: int


class Model(NamedTuple):
    """Active server to an obsolete one: the master part, and the last round that each server's diff was mixed in.

    `full` is None where the one who asks has that version. Diffs of servers that are not in `included` were mixed in up
    to round `forgotten`, if at all.
    """

    node: str
    version: int
    full: Any
    included: dict[str, int]
    forgotten: int = 0


# ------------------------------------------------------------------------------------------------ coordination


class Register(NamedTuple):
    """Server to service: open a session for me; `Group` answers, and again whenever something has changed."""

    node: str
    incarnation: int


class Deregister(NamedTuple):
    """Server to service: end my session."""

    node: str


class Announce(NamedTuple):
    """Server to service: I am active, with that version (clients may be sent to me, others may fetch from me)."""

    node: str
    version: int


class Withdraw(NamedTuple):
    """Server to service: I am not active any more."""

    node: str


class TryLock(NamedTuple):
    """Server to service: make me master of a round with a number above that one; `Locked` or `Busy` answers."""

    node: str
    above: int


class Unlock(NamedTuple):
    """Server to service: that round is over; nobody will need to go on from a version below `floor`."""

    node: str
    round: int
    floor: int = 0


class Expel(NamedTuple):
    """Master to service: strike a server that did not take the round off the active ones."""

    node: str
    round: int


class Group(NamedTuple):
    """Service to server: all members, the version that each active one announced, and the highest floor so far."""

    members: tuple[str, ...]
    actives: dict[str, int]
    floor: int = 0


class Locked(NamedTuple):
    """Service to server: you are master of that round; members, active ones and floor at this moment."""

    round: int
    members: tuple[str, ...]
    actives: dict[str, int]
    floor: int


class Busy(NamedTuple):
    """Service to server: another one is master."""


class Expelled(NamedTuple):
    """Service to server: a master has struck you off, as you did not answer in that round."""

    round: int


class SessionLost(NamedTuple):
    """Service (or its adapter) to server: your session has ended; register again."""


# ------------------------------------------------------------------------------------------------ told


class RoundEnded(NamedTuple):
    """Told by a master: who took the round, and who did not (refused, or silent until the deadline).

    `base` is None where nothing could be mixed.
    """

    round: int
    base: int | None
    sources: tuple[str, ...]
    took: tuple[str, ...]
    missed: tuple[str, ...]


class MixEnded(NamedTuple):
    """Told for `MixNow`: whether all updates up to then are mixed in; for `Replace`: whether the new model stands."""

    ticket: int
    done: bool


class Standing(NamedTuple):
    """Told by a server: it is active or not from now on, with that version."""

    active: bool
    version: int
