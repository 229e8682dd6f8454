"""MessagePack-RPC from the client's end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from hogwild.online.service.framing import Frames, MalformedError
from hogwild.online.service.packing import NOTIFICATION, REQUEST, RESPONSE, packer


class RpcError(RuntimeError):
    """A server refused a call.

    Attributes
    ----------
    error : Any
        1: no such method; 2: wrong arguments; else a text.
    result : Any
        What came with it.
    """

    def __init__(self, error: Any, result: Any = None) -> None:
        super().__init__({1: f"no method {result!r}", 2: f"wrong arguments: {result}"}.get(error, str(error)))
        self.error, self.result = error, result


class RpcClient:
    """One connection, for any number of calls at the same time.

    Parameters
    ----------
    host : str
    port : int
    bins : bool
        Whether bytes are sent as such; old servers know no difference between them and texts.
    limit : int
        Bytes of one answer.

    Examples
    --------
    >>> from hogwild.online.service.client import RpcClient
    >>> async def total(port):
    ...     async with RpcClient("127.0.0.1", port) as client:
    ...         return await client.call("sum", ("", "key"))
    """

    def __init__(self, host: str, port: int, *, bins: bool = False, limit: int = 1 << 30) -> None:
        self._host, self._port, self._limit = host, port, limit
        self._pack = packer(bins).pack
        self._tickets = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._transport: asyncio.Transport | None = None
        self._connecting = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether calls can be made."""
        return self._transport is not None and not self._transport.is_closing()

    async def connect(self, timeout: float = 10.0) -> None:
        """Connect, unless it is connected.

        Raises
        ------
        OSError
            Nobody answers there (`TimeoutError` is one).
        """
        async with self._connecting:
            if not self.connected:
                make = asyncio.get_running_loop().create_connection(lambda: _Answers(self), self._host, self._port)
                self._transport, _ = await asyncio.wait_for(make, timeout)

    async def call(self, method: str, params: Sequence[Any], timeout: float | None = 10.0) -> Any:
        """Make a call, on the connection that is there or a new one.

        Raises
        ------
        RpcError
            The server refused it.
        OSError
            The connection is lost, or the time is over: whether the call was carried out is not known.
        """
        if not self.connected:
            await self.connect(timeout or 10.0)
        ticket = next(self._tickets) & 0xFFFFFFFF
        data = self._pack((REQUEST, ticket, method, params))
        self._waiting[ticket] = future = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(data)
            return await (future if timeout is None else asyncio.wait_for(future, timeout))
        finally:
            self._waiting.pop(ticket, None)

    def notify(self, method: str, params: Sequence[Any]) -> None:
        """Make a call that has no answer, on the connection that is there.

        Raises
        ------
        ConnectionError
            It is not.
        """
        if not self.connected:
            raise ConnectionError(f"not connected to {self._host}:{self._port}")
        self._transport.write(self._pack((NOTIFICATION, method, params)))

    def close(self) -> None:
        """Close the connection; calls without an answer fail."""
        if self._transport is not None:
            self._transport.close()

    async def __aenter__(self) -> RpcClient:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _answered(self, message: Any) -> None:
        if type(message) is not tuple or len(message) != 4 or message[0] != RESPONSE:
            raise MalformedError("expected an answer")
        _, ticket, error, result = message
        future = self._waiting.get(ticket) if type(ticket) is int else None
        if future is None or future.done():
            return  # of a call that has timed out
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(RpcError(error, result))

    def _lost(self, reason: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError(f"connection to {self._host}:{self._port} lost{reason}"))


class _Answers(asyncio.Protocol):
    """What comes back on one connection."""

    def __init__(self, client: RpcClient) -> None:
        self._client, self._frames = client, Frames(client._limit)
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        try:
            while (taken := self._frames.take()) is not None:
                self._client._answered(taken[0])
        except MalformedError as error:
            self._reason = f": {error}"
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._client._lost(self._reason or (f": {error}" if error else ""))
