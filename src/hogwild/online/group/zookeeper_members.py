"""A look at a group in ZooKeeper, for commands."""

from __future__ import annotations

from typing import NamedTuple

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from hogwild.online.group.zookeeper_client import connected, names_in
from hogwild.online.group.zookeeper_entries import Active, Member, read_entry
from hogwild.online.group.zookeeper_paths import GroupPaths


class Seen(NamedTuple):
    """A server of a group.

    Attributes
    ----------
    node : str
    entry : Member or None
        None: an original Jubatus server.
    active : bool
    version : int or None
        Announced by an active server of ours.
    """

    node: str
    entry: Member | None
    active: bool
    version: int | None


def read_members(hosts: str, kind: str, name: str) -> list[Seen]:
    """Return the servers of a group, by name.

    Raises
    ------
    OSError
        ZooKeeper is not reached.
    """
    paths = GroupPaths.of(kind, name)
    with connected(hosts) as client:
        seen = []
        for node in names_in(client, paths.members):
            entry, active = _data(client, f"{paths.members}/{node}"), _data(client, f"{paths.actives}/{node}")
            if entry is not None:
                announced = read_entry(Active, active) if active is not None else None
                version = None if announced is None else announced.version
                seen.append(Seen(node, read_entry(Member, entry), active is not None, version))
        return seen


def _data(client: KazooClient, path: str) -> bytes | None:
    try:
        return client.get(path)[0]
    except NoNodeError:
        return None
