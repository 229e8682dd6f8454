"""Connections to servers, kept."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hogwild.online.group.coordination import address_of
from hogwild.online.service.client import RpcClient

_AVOIDED = 1.0  # seconds for which a server that was not reached is asked after others
_KEPT = 5.0  # seconds after which an idle connection is not used again: servers close theirs after ten


class UnreachedError(OSError):
    """A server was not reached: the call has surely not arrived."""


class Links:
    """One connection to each server that was asked, for all calls.

    Parameters
    ----------
    timeout : float
        Seconds that a call may take; 0: as long as it takes.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout or None
        self._clients: dict[str, RpcClient] = {}
        self._opening: dict[str, asyncio.Task[RpcClient]] = {}
        self._failed: dict[str, float] = {}
        self._used: dict[str, float] = {}
        self._calls: Counter[str] = Counter()

    async def call(self, node: str, method: str, params: Sequence[Any]) -> Any:
        """Call a server.

        Raises
        ------
        UnreachedError
            There is no connection.
        OSError
            The connection was lost, or the time is over: whether the call was carried out is not known.
        RpcError
            The server refused it.
        """
        client = self._clients.get(node)
        if client is None or not client.connected or self._is_stale(node, client):
            client = await self._opened(node)
        self._calls[node] += 1
        try:
            return await client.call(method, params, self._timeout)
        except TimeoutError:
            raise TimeoutError(f"{node}: no answer within {self._timeout:g} s") from None
        finally:
            self._calls[node] -= 1
            self._used[node] = time.monotonic()

    def avoided(self, node: str) -> bool:
        """Whether a server was not reached just now."""
        return time.monotonic() - self._failed.get(node, -_AVOIDED) < _AVOIDED

    async def close(self) -> None:
        """Close all connections."""
        for opening in self._opening.values():
            opening.cancel()
        for client in self._clients.values():
            client.close()

    def _is_stale(self, node: str, client: RpcClient) -> bool:
        """Close a connection that its server may be about to close: what is sent then may or may not arrive."""
        stale = not self._calls[node] and time.monotonic() - self._used[node] > _KEPT
        if stale:
            client.close()
        return stale

    async def _opened(self, node: str) -> RpcClient:
        """Connect, once for all who wait for it."""
        if node not in self._opening:
            self._opening[node] = opening = asyncio.create_task(self._open(node))
            opening.add_done_callback(lambda _: self._opening.pop(node, None))
        return await asyncio.shield(self._opening[node])

    async def _open(self, node: str) -> RpcClient:
        client = RpcClient(*address_of(node))
        try:
            await client.connect(self._timeout or 10.0)
        except OSError as error:
            self._clients.pop(node, None)
            self._failed[node] = time.monotonic()
            raise UnreachedError(f"{node}: not reached ({str(error) or type(error).__name__})") from None
        self._failed.pop(node, None)
        self._clients[node] = client
        return client
