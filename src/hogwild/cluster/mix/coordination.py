"""The coordination service of a MIX group as a machine, for a parent process and for simulations.

ZooKeeper does the same: sessions are its own, members and active servers ephemeral nodes, the lock an ephemeral node
too, the rounds' counter a node that its holder raises.
"""

from __future__ import annotations

from hogwild.cluster.mix import protocol as say
from hogwild.cluster.protocol import Effect, Event, Lost, Recv, Send


class MixCoordination:
    """Sessions, active servers, and the lock.

    The runtime says `Lost` when a server's process or connection has ended: that is the end of its session.

    A service that is started anew for servers that live on takes over two numbers, which have to outlast it.

    Parameters
    ----------
    round : int
        The number given last: none may be given twice.
    floor : int
        The highest that a master has told.

    Attributes
    ----------
    round, floor : int
        The same now.
    """

    def __init__(self, round: int = 0, floor: int = 0) -> None:
        self._sessions: dict[str, int] = {}
        self._actives: dict[str, int] = {}
        self._struck: dict[str, int] = {}
        self._holder: str | None = None
        self.round, self.floor = round, floor

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Take one event."""
        if isinstance(event, Lost):
            return self._close(event.node)
        if not isinstance(event, Recv):
            return []
        message = event.message
        if isinstance(message, say.Register):
            return self._register(message)
        if event.source not in self._sessions:
            return [] if isinstance(message, say.Deregister) else [Send(event.source, say.SessionLost())]
        return getattr(self, f"_{type(message).__name__.lower()}")(message)

    def life(self, node: str) -> int | None:
        """Return the incarnation that a node's session belongs to: messages to it are for no other."""
        return self._sessions.get(node)

    def _register(self, message: say.Register) -> list[Effect]:
        if self._sessions.get(message.node) == message.incarnation:  # asked twice
            return [Send(message.node, self._view())]
        self._close(message.node)  # of its former life
        self._sessions[message.node] = message.incarnation
        return self._group()

    def _deregister(self, message: say.Deregister) -> list[Effect]:
        return self._close(message.node)

    def _announce(self, message: say.Announce) -> list[Effect]:
        node, version = message
        if version < self._struck.get(node, 0):
            return [Send(node, say.Expelled(self._struck[node]))]
        changed = node not in self._actives
        self._actives[node] = version
        return self._group() if changed else []

    def _withdraw(self, message: say.Withdraw) -> list[Effect]:
        return [] if self._actives.pop(message.node, None) is None else self._group()

    def _trylock(self, message: say.TryLock) -> list[Effect]:
        if self._holder is None:
            self._holder = message.node
            self.round = max(self.round, message.above) + 1
        if self._holder != message.node:
            return [Send(message.node, say.Busy())]
        return [Send(message.node, say.Locked(self.round, *self._view()))]

    def _unlock(self, message: say.Unlock) -> list[Effect]:
        if (self._holder, self.round) == (message.node, message.round):
            self._holder, self.floor = None, max(self.floor, message.floor)
        return []

    def _expel(self, message: say.Expel) -> list[Effect]:
        node, number = message
        if node not in self._sessions or self._actives.get(node, 0) >= number:
            return []
        self._struck[node] = number
        struck = self._actives.pop(node, None) is not None
        return [Send(node, say.Expelled(number)), *(self._group() if struck else [])]

    def _close(self, node: str) -> list[Effect]:
        if self._sessions.pop(node, None) is None:
            return []
        self._actives.pop(node, None)
        self._struck.pop(node, None)
        if self._holder == node:
            self._holder = None
        return self._group()

    def _group(self) -> list[Effect]:
        group = self._view()
        return [Send(node, group) for node in self._sessions]

    def _view(self) -> say.Group:
        return say.Group(tuple(self._sessions), dict(self._actives), self.floor)
