"""What a group's member needs of a coordination service: a parent process, ZooKeeper, or one in the same process.

A member's machine (`MixServer`) talks to the service by messages; an adapter carries them. Nodes are named as Jubatus
does, ``"127.0.0.1_9199"``, so a name says where the node listens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hogwild.cluster.mix.coordination import MixCoordination
from hogwild.cluster.mix.protocol import (
    Announce,
    Busy,
    Deregister,
    Expel,
    Expelled,
    Group,
    Locked,
    Register,
    SessionLost,
    TryLock,
    Unlock,
    Withdraw,
)
from hogwild.cluster.protocol import Effect, Lost, Recv

Request = Register | Deregister | Announce | Withdraw | TryLock | Unlock | Expel
Answer = Group | Locked | Busy | Expelled | SessionLost

REQUESTS: tuple[type, ...] = (Register, Deregister, Announce, Withdraw, TryLock, Unlock, Expel)
ANSWERS: tuple[type, ...] = (Group, Locked, Busy, Expelled, SessionLost)


class CoordinationError(RuntimeError):
    """A server cannot be part of the group; the message says why and what to do."""


class Coordination(Protocol):
    """Carries messages between one member and its coordination service.

    Both directions are in order and complete as long as the session lasts. A session begins with `Register` and ends
    with `Deregister`, or when the service is not heard of any more: then `SessionLost` is told, everything of that
    session (membership, active entry, lock) is or will be gone, and what is sent before the next `Register` is dropped.
    The member asks again, by `Register`, every `MixSettings.retry` seconds until `Group` comes; the adapter reconnects
    on its own.

    `Group` is told after `Register` and whenever members, active ones or the floor have changed. `Locked` and
    `Busy` answer `TryLock`; of `Locked`, the number is higher than any before in this group, and than `above`; it has
    members, active ones and floor as they are when the lock is held.
    """

    async def start(self, tell: Callable[[Answer], None]) -> None:
        """Begin; `tell` is called on the event loop's thread, never from within `send`.

        Raises
        ------
        CoordinationError
            The group cannot be joined, by its nature and not by a lost connection (that is tried again).
        """
        ...

    def send(self, message: Request) -> None:
        """Send, without waiting; never raises because of the connection."""
        ...

    async def close(self) -> None:
        """Carry out what was sent, as far as the service can be reached, end the session if it lasts, and end."""
        ...


def address_of(node: str) -> tuple[str, int]:
    """Return where a node listens.

    Raises
    ------
    ValueError
        It is no name of a node.

    Examples
    --------
    >>> from hogwild.online.group.coordination import address_of
    >>> address_of("127.0.0.1_9199")
    ('127.0.0.1', 9199)
    """
    host, _, port = node.rpartition("_")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"a node is named by its address and port, as in 127.0.0.1_9199, found {node!r}")
    return host, int(port)


class Desk:
    """A coordination service in this process: hands each message to the link of the session that it belongs to.

    Attributes
    ----------
    service : MixCoordination
    """

    def __init__(self, service: MixCoordination | None = None) -> None:
        self.service = service or MixCoordination()
        self._links: dict[str, Callable[[Answer], None]] = {}

    def receive(self, node: str, message: Request, link: Callable[[Answer], None]) -> None:
        """Take a node's message, which came over that link: the answers go back over it."""
        if isinstance(message, Register) or node not in self._links:
            self._links[node] = link
        elif self._links[node] != link:
            return  # a former life's
        self._carry(self.service.handle(0.0, Recv(node, message)))

    def lost(self, node: str, link: Callable[[Answer], None]) -> None:
        """Note that a link has ended, and with it the session if it was its."""
        if self._links.get(node) == link:
            del self._links[node]
            self._carry(self.service.handle(0.0, Lost(node)))

    def _carry(self, effects: list[Effect]) -> None:
        for effect in effects:
            if effect.to in self._links:
                self._links[effect.to](effect.message)
