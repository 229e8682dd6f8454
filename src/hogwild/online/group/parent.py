"""A group on one machine without ZooKeeper: a parent process that starts its servers and coordinates them.

Server i of K listens at port + i (and answers HTTP at its port + i), and has the folder ``server-i`` of the log's. One
that ends without being asked to is started anew.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hogwild.cluster.mix.coordination import MixCoordination
from hogwild.cluster.mix.protocol import Register
from hogwild.online.group.child import packed_settings
from hogwild.online.group.coordination import Answer, Desk
from hogwild.online.group.packing import PackingError
from hogwild.online.group.pipe import attend

if TYPE_CHECKING:
    from collections.abc import Callable

    from hogwild.online.group.coordination import Request
    from hogwild.online.settings import ServeSettings

_LIVED = 30.0  # seconds after which a server that ends has not failed to start
_FAILURES = 5  # in a row, shorter lives than that
_PAUSE = 0.1  # seconds before the second start, doubled each time
_STOP = 60.0  # seconds that servers have to hand over what they learnt, and end
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = logging.getLogger(__name__)


class ServerFailedError(ValueError):
    """A server of the group ends again and again."""


async def run_servers(settings: ServeSettings, count: int) -> int:
    """Run that many servers until SIGTERM or SIGINT, and return the exit status.

    Parameters
    ----------
    settings : ServeSettings
        Of the first one.
    count : int

    Raises
    ------
    ServerFailedError
        One ended before it was in the group, or again and again; the others have been stopped.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in _SIGNALS:
        loop.add_signal_handler(one, stopped.set)
    desk = Desk(MixCoordination(round=_first_round(settings)))
    keepers = [_Keeper(settings_of(settings, index), desk) for index in range(count)]
    running = [loop.create_task(keeper.run()) for keeper in keepers]
    stopping = loop.create_task(stopped.wait())
    try:
        await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        statuses = await asyncio.gather(*(keeper.stop() for keeper in keepers))
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        for one in _SIGNALS:
            loop.remove_signal_handler(one)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return int(any(statuses))


def _first_round(settings: ServeSettings) -> int:
    """Return a number that no round of a former parent can have had, whose versions the servers' logs may hold.

    Milliseconds: no group mixes that often for long.
    """
    return 0 if settings.log is None else time.time_ns() // 1_000_000


def settings_of(settings: ServeSettings, index: int) -> ServeSettings:
    """Return what server `index` is to be."""
    return replace(
        settings,
        servers=1,
        port=settings.port and settings.port + index,
        http=settings.http and settings.http + index,
        log=None if settings.log is None else settings.log / f"server-{index}",
    )


class _Keeper:
    """Starts a server, and again whenever it has died."""

    def __init__(self, settings: ServeSettings, desk: Desk) -> None:
        self._settings, self._desk = settings, desk
        self._name = f"{settings.kind} at {settings.host}:{settings.port}"
        self._process: asyncio.subprocess.Process | None = None
        self._joined = self._stopping = False

    async def run(self) -> None:
        failures = 0
        while not self._stopping:
            since = time.monotonic()
            status = await self._live()
            if self._stopping:
                return
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            failures = 1 if time.monotonic() - since > _LIVED else failures + 1
            if status > 0 and not self._joined:
                raise ServerFailedError(f"{self._name} did not start: it ended {how}, and said why above")
            if failures >= _FAILURES:
                raise ServerFailedError(f"{self._name} ended {failures} times in a row, the last time {how}")
            _log.error("%s ended %s: it is started anew", self._name, how)
            await asyncio.sleep(_PAUSE * 2 ** (failures - 1))

    async def stop(self) -> int:
        """Have it end, by force if it takes too long; return its exit status."""
        self._stopping = True
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), _STOP)
        except TimeoutError:
            _log.error("%s did not end within %g s of SIGTERM: it is killed", self._name, _STOP)
            process.kill()
            return await process.wait()

    async def _live(self) -> int:
        """Run one process to its end."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        links: dict[str, Callable[[Answer], None]] = {}
        attending: asyncio.Task[Any] | None = None
        try:
            with theirs:
                self._process = process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "hogwild.online.group.child", str(theirs.fileno())),
                    stdin=asyncio.subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C is for the parent, which stops them in order
                )
            attending = asyncio.get_running_loop().create_task(attend(ours, partial(self._receive, links)))
            if self._stopping:
                process.terminate()
            process.stdin.write(packed_settings(self._settings))
            process.stdin.close()
            status = await process.wait()
            try:
                await attending
            except PackingError as error:
                _log.error("%s sent something else than a message: %s", self._name, error)
            return status
        finally:
            if attending is None:
                ours.close()
            else:
                attending.cancel()
            for node, link in links.items():
                self._desk.lost(node, link)

    def _receive(
        self, links: dict[str, Callable[[Answer], None]], message: Request, link: Callable[[Answer], None]
    ) -> None:
        self._joined = self._joined or isinstance(message, Register)
        links[message.node] = link
        self._desk.receive(message.node, message, link)
