"""Where things are in ZooKeeper: as Jubatus has it, and under its lock what a MIX group has to remember for ever."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

CONFIGURATIONS = "/jubatus/config"
ACTORS = "/jubatus/actors"
VIRTUAL_NODES = 8


class GroupPaths(NamedTuple):
    """The nodes of one group.

    Attributes
    ----------
    members, actives : str
        Folders of ephemeral nodes, one a server.
    ring : str
        Folder of ephemeral nodes for proxies of the original, `VIRTUAL_NODES` an active server.
    lock : str
        Folder that exists for good.
    holder : str
        The ephemeral node of the round's master.
    progress : str
        The node, there for good, of the last round's number and of the floor.
    """

    members: str
    actives: str
    ring: str
    lock: str
    holder: str
    progress: str

    @classmethod
    def of(cls, kind: str, name: str) -> GroupPaths:
        """Return those of the group of that type and name."""
        root = f"{ACTORS}/{_word(kind)}/{_word(name)}"
        lock = f"{root}/master_lock"
        return cls(f"{root}/nodes", f"{root}/actives", f"{root}/cht", lock, f"{lock}/holder", f"{root}/progress")


def configuration_path(kind: str, name: str) -> str:
    """Return where a group's configuration is."""
    return f"{CONFIGURATIONS}/{_word(kind)}/{_word(name)}"


def digest(text: str) -> str:
    """Return where a text is on the ring of consistent hashing."""
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def places(node: str) -> list[str]:
    """Return where a server's virtual nodes are on the ring.

    Examples
    --------
    >>> from hogwild.online.group.zookeeper_paths import digest, places
    >>> places("127.0.0.1_9199")[:2] == [digest("127.0.0.1_9199"), digest("127.0.0.1_9199_1")]
    True
    """
    return [digest(f"{node}_{number}" if number else node) for number in range(VIRTUAL_NODES)]


def _word(text: str) -> str:
    """Return a name that can be part of a path."""
    if not text or text in (".", "..") or "/" in text or not text.isprintable():
        raise ValueError(f"the name of a type or group must be printable and without '/', found {text!r}")
    return text
