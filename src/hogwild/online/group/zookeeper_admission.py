"""Which servers may be in one group: all of ours that can read each other's messages, and no two of one name."""

from __future__ import annotations

import asyncio

from hogwild.online.group.packing import ProtocolError, check_protocol
from hogwild.online.group.zookeeper_client import ZooKeeperClient
from hogwild.online.group.zookeeper_entries import Member, read_entry
from hogwild.online.group.zookeeper_paths import GroupPaths


class Refusal(str):
    """Why a server cannot be a member.

    Attributes
    ----------
    passing : bool
        Whether it may be otherwise soon.
    """

    passing = False


class Admission:
    """Decides about one server.

    Parameters
    ----------
    hosts, group : str
        For messages.
    paths : GroupPaths
    node, machine : str
        The server, and where it runs.
    """

    def __init__(self, hosts: str, group: str, paths: GroupPaths, node: str, machine: str) -> None:
        self._place, self._group, self._paths = f"ZooKeeper at {hosts}: {paths.members}", group, paths
        self._node, self._machine = node, machine

    async def refusal(self, client: ZooKeeperClient) -> Refusal | None:
        """Return what is against this server in the group as it is."""
        names = await client.children(self._paths.members) or []
        found = await asyncio.gather(*(client.read(f"{self._paths.members}/{name}") for name in names))
        entries = {name: read_entry(Member, one[0]) for name, one in zip(names, found, strict=True) if one is not None}
        return self.against(entries) or self._namesake(entries.get(self._node))

    def against(self, entries: dict[str, Member | None]) -> Refusal | None:
        """Return what is against one group with those members."""
        for name, entry in sorted(entries.items()):
            place = f"{self._place}/{name}"
            if entry is None:
                return Refusal(
                    f"{place} is an original Jubatus server (found no entry of hogwild's): original servers and ours "
                    f"cannot mix in one group; end those of {self._group}, or give this group another name"
                )
            try:
                check_protocol(entry.protocol, place)
            except ProtocolError as error:
                return Refusal(error)
        return None

    def _namesake(self, entry: Member | None) -> Refusal | None:
        """Return what is against taking this server's name: it is another's, on another machine.

        On this machine it can only be a former life's, since this server listens where that one did.
        """
        if entry is None or entry.machine == self._machine:
            return None
        refusal = Refusal(
            f"{self._place}/{self._node} is a server on {entry.machine.partition('/')[0]}, expected none of that name: "
            "tell each server the address by which the others reach it (--listen_addr)"
        )
        refusal.passing = True  # its session may be about to end
        return refusal
