"""Who the active servers of a group are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

from hogwild.online.group.coordination import address_of
from hogwild.online.proxy.ring import Ring


class NoServerError(RuntimeError):
    """A group has no active server."""


class Group:
    """The active servers of a group at one time.

    Parameters
    ----------
    nodes : sequence of str

    Attributes
    ----------
    nodes : tuple of str
    ring : Ring
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes, self.ring = tuple(nodes), Ring(nodes)


class Members(Protocol):
    """Knows groups by name."""

    async def group(self, name: str) -> Group:
        """Return a group's active servers, at least one.

        Raises
        ------
        NoServerError
            There is none, or it cannot be known.
        """
        ...

    async def close(self) -> None:
        """Stop watching."""
        ...


class FixedMembers:
    """Always the same servers, whatever the group's name.

    Parameters
    ----------
    addresses : sequence of str
        As in ``"127.0.0.1:9199"``.

    Raises
    ------
    ValueError
        One is no address.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        nodes = [f"{host}_{port}" for host, _, port in (address.strip().rpartition(":") for address in addresses)]
        for node, address in zip(nodes, addresses, strict=True):
            try:
                address_of(node)
            except ValueError:
                raise ValueError(f"a member is HOST:PORT, found {address!r}") from None
        self._group = Group(nodes)

    async def group(self, name: str) -> Group:
        """See `Members`."""
        return self._group

    async def close(self) -> None:
        """See `Members`."""


class ZooKeeperMembers:
    """The active servers that ZooKeeper lists, watched; while it is away, those that it listed last.

    Parameters
    ----------
    hosts, kind : str
    timeout : float
        Of the session, and the seconds that a question about a group not asked for before may take.
    """

    def __init__(self, hosts: str, kind: str, timeout: float = 10.0) -> None:
        from hogwild.online.group.zookeeper_client import GONE, ZooKeeperClient

        self._hosts, self._kind, self._timeout, self._gone = hosts, kind, timeout, GONE
        self._client = ZooKeeperClient(hosts, timeout, noticed=self._noticed)
        self._client.open()
        self._groups: dict[str, Group] = {}  # by path
        self._looking: set[asyncio.Task[None]] = set()

    async def group(self, name: str) -> Group:
        """See `Members`."""
        from hogwild.online.group.zookeeper_paths import GroupPaths

        path = GroupPaths.of(self._kind, name).actives
        if path not in self._groups:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._client.wait()
                    await self._look(path)
            except (TimeoutError, *self._gone):
                raise NoServerError(f"ZooKeeper at {self._hosts}: not reached") from None
        group = self._groups.get(path)
        if group is None or not group.nodes:
            raise NoServerError(f"ZooKeeper at {self._hosts}: found no active server in {path}")
        return group

    async def close(self) -> None:
        """See `Members`."""
        for looking in self._looking:
            looking.cancel()
        await self._client.close()

    def _noticed(self, path: str | None) -> None:
        for one in [*self._groups] if path is None else [path]:
            looking = asyncio.create_task(self._look_again(one))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _look_again(self, path: str) -> None:
        with contextlib.suppress(*self._gone):  # a new connection has everything looked at
            await self._look(path)

    async def _look(self, path: str) -> None:
        nodes = await self._client.children(path, watch=True)
        if nodes is None:  # there is nothing to watch: whoever asks again looks again
            self._groups.pop(path, None)
        elif path not in self._groups or self._groups[path].nodes != tuple(nodes):
            self._groups[path] = Group(nodes)
