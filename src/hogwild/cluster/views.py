"""The views of a job: which nodes hold which shard, which copies are complete, and who has heard of it."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.cluster.protocol import (
    Effect,
    Members,
    MembersSet,
    Ping,
    Pong,
    Send,
    SetTimer,
    ShardUp,
    Synced,
    View,
)
from hogwild.cluster.settings import JobSettings, number_of, shard_node


@dataclass
class _Node:
    """A shard node."""

    incarnation: int
    heard: float
    view: int = -1  # the last that it has taken over
    clock: int = 0
    up: bool = True


class Views:
    """The present view, and what the coordinator knows of the shard nodes in it.

    Attributes
    ----------
    view : View
        Number -1 until all shards are up for the first time.
    stats : dict of str to Pong
        Last answer of each shard node.
    """

    def __init__(self, settings: JobSettings) -> None:
        self._settings = settings
        primaries = tuple(shard_node(k, 0) for k in range(settings.shards))
        backups = tuple(shard_node(k, 1) if settings.replicas == 2 else None for k in range(settings.shards))
        self.view = View(-1, {}, primaries, backups, {})
        self.stats: dict[str, Pong] = {}
        self._nodes: dict[str, _Node] = {}
        self._synced: set[str] = set()  # backups that hold everything

    def __contains__(self, node: str) -> bool:
        return node in self._nodes

    @property
    def number(self) -> int:
        """Number of the present view."""
        return self.view.number

    def change(self, members: dict[str, int], **changes: tuple) -> list[Effect]:
        """Make the next view, and tell it to the shard nodes."""
        incarnations = {node: each.incarnation for node, each in self._nodes.items() if each.up}
        self.view = self.view._replace(
            number=self.view.number + 1, members=members, incarnations=incarnations, **changes
        )
        return self.tell()

    def tell(self) -> list[Effect]:
        """Send the view to the shard nodes that have not taken it over."""
        late = [node for node in self._named() if self._nodes[node].view < self.view.number]
        if not late:
            return []
        return [*(Send(node, Members(self.view)) for node in late), SetTimer("members", self._settings.resend)]

    def _named(self) -> list[str]:
        """Shard nodes of the view that are up."""
        return [node for node in (*self.view.primaries, *self.view.backups) if self.up(node)]

    def up(self, node: str | None) -> bool:
        """Whether a shard node is up, as far as anybody knows."""
        return node in self._nodes and self._nodes[node].up

    def reached(self) -> int:
        """View that all primaries have taken over."""
        return min(self._nodes[node].view if self.up(node) else -1 for node in self.view.primaries)

    def clock(self) -> int:
        """Highest clock that any primary has told."""
        return max(self._nodes[node].clock for node in self.view.primaries)

    # ------------------------------------------------------------------------------------------ what nodes say

    def took(self, now: float, message: MembersSet) -> bool:
        """Note that a node has taken a view over; returns whether that is news."""
        node = self._nodes.get(message.node)
        if node is None or message.view <= node.view:
            return False
        node.view, node.heard, node.clock = message.view, now, max(node.clock, message.clock)
        return True

    def started(self, now: float, message: ShardUp) -> bool:
        """Note that a node is up; returns whether that is news."""
        known = self._nodes.get(message.node)
        if known is not None and message.incarnation <= known.incarnation:
            if known.up and message.incarnation == known.incarnation:
                known.heard = now
            return False
        self._nodes[message.node] = _Node(message.incarnation, now)
        return True

    def complete(self) -> bool:
        """Whether all shards and their copies are up."""
        wanted = (*self.view.primaries, *(node for node in self.view.backups if node is not None))
        return all(self.up(node) for node in wanted)

    def pong(self, now: float, message: Pong) -> None:
        """Note a sign of life."""
        node = self._nodes.get(message.node)
        if node is not None and node.incarnation == message.incarnation:
            node.heard = now
            self.stats[message.node] = message

    def synced(self, message: Synced) -> None:
        """Note that a backup holds everything, if it is still the backup of that primary."""
        k = number_of(message.node)
        if self.view.primaries[k] != message.node or self.view.backups[k] != message.backup:
            return
        if self.up(message.node) and self.up(message.backup):
            now = self._nodes[message.node].incarnation, self._nodes[message.backup].incarnation
            if now == (message.incarnation, message.backup_incarnation):
                self._synced.add(message.backup)

    # ------------------------------------------------------------------------------------------ lost nodes

    def lost(self, node: str) -> None:
        """Note that a node is gone."""
        self._nodes[node].up = False

    def can_promote(self, k: int) -> bool:
        """Whether the backup of shard k can be its primary."""
        backup = self.view.backups[k]
        return self.up(backup) and backup in self._synced

    def promoted(self, k: int) -> dict[str, tuple]:
        """Changes that make the backup of shard k its primary; the node before it is the backup if it is up again."""
        before, backup = self.view.primaries[k], self.view.backups[k]
        self._synced.discard(backup)
        return {
            "primaries": _with(self.view.primaries, k, backup),
            "backups": _with(self.view.backups, k, before if self.up(before) else None),
        }

    def with_backup(self, k: int, node: str | None) -> dict[str, tuple]:
        """Changes that make `node` the backup of shard k."""
        self._synced.discard(self.view.backups[k])
        return {"backups": _with(self.view.backups, k, node)}

    def silent(self, now: float) -> list[str]:
        """Nodes of the view that have been silent for too long."""
        return [node for node in self._named() if now - self._nodes[node].heard > self._settings.shard_timeout]

    def pings(self) -> list[Effect]:
        """Ask all nodes of the view for a sign of life."""
        return [Send(node, Ping()) for node in self._named()]

    def missed(self, now: float) -> list[str]:
        """Lost nodes that it is time to ask for once more."""
        found = []
        for name, node in self._nodes.items():
            if not node.up and now - node.heard >= 2 * self._settings.shard_timeout:
                node.heard = now
                found.append(name)
        return found


def _with(nodes: tuple, k: int, node: str | None) -> tuple:
    return (*nodes[:k], node, *nodes[k + 1 :])
