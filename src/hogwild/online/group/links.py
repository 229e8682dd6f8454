"""Messages to and from the other servers of a group, over MessagePack-RPC.

Each is one call of `METHOD` or, where it is long, several: ``[[major, minor], group, source, number, index, count,
bytes]``. The answer only says that it came: what is answered to a message is a message of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hogwild.cluster.mix.protocol import Model
from hogwild.online.group.coordination import address_of
from hogwild.online.group.figures import MixFigures
from hogwild.online.group.packing import PEER, PROTOCOL, PackingError, check_protocol, pack, unpack
from hogwild.online.group.settings import LinkSettings
from hogwild.online.service.client import RpcClient, RpcError

METHOD = "hogwild_mix"
_log = logging.getLogger(__name__)


class Link:
    """The connection to one server: messages go out in order, or not at all.

    Where the server cannot be reached, what waits for it is dropped, and what comes in the next moments as well.
    """

    def __init__(self, node: str, head: Sequence[Any], settings: LinkSettings, figures: MixFigures, chunk: int) -> None:
        self.node, self._head, self._settings, self._figures, self._chunk = node, head, settings, figures, chunk
        self._client = RpcClient(*address_of(node), bins=True)
        self._waiting: deque[tuple[type, bytes]] = deque()  # the first is on its way
        self._number = 0
        self._pause, self._shut = settings.least_pause, 0.0
        self._task: asyncio.Task[None] | None = None

    def send(self, kind: type, data: bytes) -> None:
        """Send a message that has been packed, if there is room, and unless it still waits from the time before."""
        loop = asyncio.get_running_loop()
        if any(sent == data or kind is other is Model for other, sent in self._waiting):
            return  # who asks again meanwhile is answered by the first
        if len(self._waiting) >= self._settings.queue or loop.time() < self._shut:
            self._figures.dropped += 1
            return
        self._waiting.append((kind, data))
        if self._task is None:
            self._task = loop.create_task(self._run())

    async def flush(self, seconds: float) -> None:
        """Wait until nothing waits any more, or for so long."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self._client.close()

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._deliver(self._waiting[0][1])
                if self._waiting:
                    self._waiting.popleft()
        finally:
            self._task = None

    async def _deliver(self, data: bytes) -> None:
        try:
            await self._call(data)
        except RpcError as error:
            self._refuse(str(error) if error.error != 1 else "it is no hogwild server: only those mix with each other")
        except OSError as error:
            self._figures.dropped += len(self._waiting)
            self._waiting.clear()
            self._client.close()
            self._shut = asyncio.get_running_loop().time() + self._pause
            self._pause = min(2 * self._pause, self._settings.most_pause)
            _log.debug("%s cannot be reached: %s", self.node, error)
        else:
            self._pause = self._settings.least_pause
            self._figures.sent += len(data)
            self._figures.refused.pop(self.node, None)

    async def _call(self, data: bytes) -> None:
        self._number += 1
        size = self._chunk
        count = max(1, -(-len(data) // size))
        for index in range(count):
            part = data[index * size : (index + 1) * size]
            arguments = [*self._head, self._number, index, count, part]
            fresh = not self._client.connected
            try:
                await self._client.call(METHOD, arguments, self._settings.timeout)
            except TimeoutError:
                raise
            except ConnectionError:
                if fresh:
                    raise
                await self._client.call(METHOD, arguments, self._settings.timeout)  # it had been idle for too long

    def _refuse(self, why: str) -> None:
        self._figures.dropped += 1
        if self._figures.refused.get(self.node) != why:
            _log.warning("%s takes no messages of this group: %s", self.node, why)
        self._figures.refused[self.node] = why


class Post:
    """All links of a server.

    Parameters
    ----------
    node, group : str
        Who sends, and the group's identity.
    settings : LinkSettings
    figures : MixFigures
    chunk : int
        Bytes of a message that one call carries.
    """

    def __init__(self, node: str, group: str, settings: LinkSettings, figures: MixFigures, chunk: int) -> None:
        self._head = [list(PROTOCOL), group, node]
        self._settings, self._figures, self._chunk = settings, figures, chunk
        self._links: dict[str, Link] = {}
        self._packed: tuple[Any, bytes] = (None, b"")  # the last: one goes to many

    def send(self, to: str, message: Any) -> None:
        """Send a message; nobody knows whether it arrives."""
        if to not in self._links:
            self._links[to] = Link(to, self._head, self._settings, self._figures, self._chunk)
        if self._packed[0] is not message:
            self._packed = message, pack(message)
        data = self._packed[1]
        if len(data) > self._settings.largest:
            why = f"a {type(message).__name__} of {len(data)} bytes is longer than the {self._settings.largest} allowed"
            _log.error("nothing sent to %s: %s", to, why)
            self._figures.dropped += 1
            return
        self._links[to].send(type(message), data)

    def keep(self, nodes: Iterable[str]) -> None:
        """Close the links to others than those."""
        for node in self._links.keys() - set(nodes):
            self._links.pop(node).close()
            self._figures.refused.pop(node, None)

    async def close(self, seconds: float = 1.0) -> None:
        """Send what waits, for so long, and close all."""
        if self._links:
            await asyncio.gather(*(link.flush(seconds) for link in self._links.values()))
        self.keep(())


@dataclass
class _Parts:
    """Of a message that is not whole yet."""

    number: int
    count: int
    parts: list[bytes] = field(default_factory=list)
    heard: float = field(default_factory=time.monotonic)


class Inbox:
    """Makes messages of the calls that carry them.

    Parameters
    ----------
    group : str
    settings : LinkSettings
    figures : MixFigures
    """

    def __init__(self, group: str, settings: LinkSettings, figures: MixFigures) -> None:
        self._group, self._settings, self._figures = group, settings, figures
        self._open: dict[str, _Parts] = {}  # by source

    @property
    def receiving(self) -> bool:
        """Whether a long message is on its way."""
        self._forget()
        return bool(self._open)

    def take(self, arguments: Sequence[Any]) -> tuple[str, Any] | None:
        """Take a call; return who sent what, if a message is whole now and of a kind that is known.

        Raises
        ------
        PackingError
            It is none that is taken here; the message is for the sender.
        """
        if not arguments:
            raise PackingError("expected [version, group, source, number, index, count, bytes], found nothing")
        source = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], str) else "the sender"
        check_protocol(arguments[0], source)
        if len(arguments) < 7 or not all(type(number) is int for number in arguments[3:6]):
            raise PackingError(f"expected [version, group, source, number, index, count, bytes] from {source}")
        _, group, _, number, index, count, part = arguments[:7]
        if group != self._group:
            why = f"it is of group {group!r}, this server of {self._group!r} (type/name/digest of the configuration)"
            self._figures.refused[source[:64]] = why[:400] if len(self._figures.refused) < 64 else ""
            raise PackingError(f"{source} is not of this group: {why}")
        if not isinstance(part, bytes) or not 0 <= index < count:
            raise PackingError(f"expected part index of count, as bytes, from {source}, found {index} of {count}")
        try:
            address_of(source)
        except ValueError as error:
            raise PackingError(str(error)) from None
        data = self._whole(source, number, index, count, part)
        if data is None:
            return None
        self._figures.received += len(data)
        message = unpack(data, PEER)
        return None if message is None else (source, message)

    def _whole(self, source: str, number: int, index: int, count: int, part: bytes) -> bytes | None:
        if count == 1:
            return part
        self._forget()
        if index == 0:
            self._open[source] = _Parts(number, count)
        message = self._open.get(source)
        if message is None or (message.number, message.count) != (number, count) or len(message.parts) < index:
            self._open.pop(source, None)
            raise PackingError(f"part {index} of message {number} from {source} came without those before it")
        message.heard = time.monotonic()
        if len(message.parts) > index:  # doubled: its answer was lost
            return None
        message.parts.append(part)
        if sum(len(one) for message in self._open.values() for one in message.parts) > self._settings.largest:
            del self._open[source]
            raise PackingError(f"messages of more than {self._settings.largest} bytes are not taken: {source}")
        if len(message.parts) < count:
            return None
        del self._open[source]
        return b"".join(message.parts)

    def _forget(self) -> None:
        """Give up on messages whose next part has not come within the time of two calls."""
        oldest = time.monotonic() - 2 * self._settings.timeout
        self._open = {source: message for source, message in self._open.items() if message.heard > oldest}
