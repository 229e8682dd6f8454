"""Coordination by a parent process, over a pair of sockets: each message with its length before it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from hogwild.cluster.mix.protocol import SessionLost
from hogwild.online.group.coordination import ANSWERS, REQUESTS, Answer, Request
from hogwild.online.group.packing import PackingError, kinds_of, pack, unpack

_LENGTH = 4
_LIMIT = 64 << 20  # bytes of a message: the names of all members, at most
_log = logging.getLogger(__name__)


def framed(message: Any) -> bytes:
    """Return a message as it goes over the pipe."""
    data = pack(message)
    return len(data).to_bytes(_LENGTH, "big") + data


async def messages(reader: asyncio.StreamReader, kinds: tuple[type, ...]) -> AsyncIterator[Any]:
    """Yield what comes over the pipe until it ends.

    Raises
    ------
    PackingError
        Something else came.
    """
    known = kinds_of(kinds)
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(_LENGTH), "big")
            if size > _LIMIT:
                raise PackingError(f"expected a message of at most {_LIMIT} bytes, found one of {size}")
            message = unpack(await reader.readexactly(size), known)
            if message is not None:
                yield message
    except (asyncio.IncompleteReadError, ConnectionError):
        return


class PipeCoordination:
    """The child's end; see `Coordination`.

    Parameters
    ----------
    end : socket
    orphaned : callable
        Called when the parent is gone.
    """

    def __init__(self, end: socket.socket, orphaned: Callable[[], None]) -> None:
        self._end, self._orphaned = end, orphaned
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, tell: Callable[[Answer], None]) -> None:
        """See `Coordination`."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._end)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader, tell))

    def send(self, message: Request) -> None:
        """See `Coordination`."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(framed(message))

    async def close(self) -> None:
        """See `Coordination`."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()  # what was sent goes out before

    async def _read(self, reader: asyncio.StreamReader, tell: Callable[[Answer], None]) -> None:
        async for message in messages(reader, ANSWERS):
            tell(message)
        _log.error("the parent process is gone: this server ends")
        tell(SessionLost())
        self._orphaned()


async def attend(end: socket.socket, receive: Callable[[Request, Callable[[Answer], None]], None]) -> None:
    """Be the parent's end of a pipe until it ends: `receive` is given what comes, and what answers go by.

    Raises
    ------
    PackingError
        Something else came.
    """
    reader, writer = await asyncio.open_unix_connection(sock=end)

    def link(answer: Answer) -> None:
        if not writer.is_closing():
            writer.write(framed(answer))

    try:
        async for message in messages(reader, REQUESTS):
            receive(message, link)
    finally:
        writer.close()
