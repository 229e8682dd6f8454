"""Servers that answer what a test says, and note what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from hogwild.online.proxy.running import Proxy
from hogwild.online.proxy.settings import ProxySettings
from hogwild.online.service.client import RpcClient

HANGS, DROPS = object(), object()


class RefusalError(Exception):
    """An answer with an error."""


class FakeServer:
    """A server.

    Parameters
    ----------
    answer : callable
        Of node, method and parameters: the result, or `HANGS` (no answer), or `DROPS` (it
        closes the connection); it may raise `RefusalError(error, result)`.

    Attributes
    ----------
    asked : list
        Method and parameters of all calls.
    node : str
    """

    def __init__(self, answer: Callable[[str, str, list], Any]) -> None:
        self._answer = answer
        self.asked: list[tuple[str, list]] = []
        self.node, self.port = "", 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> FakeServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.node = f"127.0.0.1_{self.port}"
        return self

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape")
        while data := await reader.read(65536):
            unpacker.feed(data)
            for kind, ticket, method, params in unpacker:
                assert kind == 0
                self.asked.append((method, params))
                try:
                    error, result = None, self._answer(self.node, method, params)
                except RefusalError as refusal:
                    error, result = refusal.args
                if result is DROPS:
                    writer.transport.abort()
                elif result is not HANGS:
                    answer = msgpack.packb(
                        (1, ticket, error, result), use_bin_type=False, unicode_errors="surrogateescape"
                    )
                    writer.write(answer)


@asynccontextmanager
async def behind_proxy(kind: str, answers: Sequence[Callable[[str, str, list], Any]], **settings: Any):
    """Start a server for each function, and a proxy before them; give the servers and a client of the proxy."""
    servers = [await FakeServer(answer).start() for answer in answers]
    members = tuple(f"127.0.0.1:{server.port}" for server in servers)
    try:
        async with (
            Proxy(ProxySettings(kind, members=members, port=0, **settings)) as proxy,
            RpcClient("127.0.0.1", proxy.port) as client,
        ):
            yield servers, client
    finally:
        for server in servers:
            await server.stop()
