"""A server from its start to its end: all parts that were asked for, put together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from errno import EADDRINUSE, errorcode
from typing import TYPE_CHECKING, Any

from hogwild.online.service.models import model_path, save_as
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import Service
from hogwild.online.service.unserved import UNSERVED, Unserved
from hogwild.online.settings import ServeSettings as ServeSettings

if TYPE_CHECKING:
    from hogwild.online.group.coordination import Coordination

AUTOSAVED = "autosave"  # id of the model that is saved from time to time
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ANYWHERE = ("", "0.0.0.0", "::")
_log = logging.getLogger(__name__)


class ServeError(ValueError):
    """A server cannot start; the message says why."""


async def serve(
    settings: ServeSettings, say: Callable[[str], None] = print, coordination: Coordination | None = None
) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status.

    Parameters
    ----------
    settings : ServeSettings
    say : callable
        Takes a line when the server listens, and one when it is ready.
    coordination : Coordination, optional
        Of the group that it is to be a member of; by default ZooKeeper's, where that is in the settings.

    Raises
    ------
    ServeError, ConfigurationError, OSError, ImportError
        It cannot start.
    """
    if settings.servers > 1 and coordination is None:
        from hogwild.online.group.parent import run_servers

        return await run_servers(settings, settings.servers)
    if settings.kind in UNSERVED:
        return await _refuse(settings, say)
    source, text = await _configuration(settings)
    service = Service(settings.kind, text, name=settings.name, datadir=settings.datadir, settings=settings.service)
    rpc = RpcServer(service, settings.host, settings.port, settings.limits)
    async with _stopping() as stopped, AsyncExitStack() as parts:
        await _listen(rpc, settings, say)
        parts.push_async_callback(rpc.close)
        service.address = (_own_address(settings), rpc.port)
        if settings.log is not None:
            from hogwild.online.storage.log import open_log

            service.journal = open_log(settings.log, settings.fsync)
        tasks = _Tasks()
        parts.push_async_callback(service.drain)
        parts.push_async_callback(_stop_saving, service, settings, tasks)
        parts.callback(rpc.stop)
        await _join_group(service, rpc, settings, coordination, parts)
        loading = tasks.start(service.load_learner(settings.model_file))
        if settings.http is not None:
            from hogwild.online.http.running import start_http

            http = await start_http(service, settings.host, settings.http)
            parts.push_async_callback(http.close)
            say(f"{settings.kind} answers HTTP at {settings.host}:{http.port}")
        await asyncio.wait({loading, tasks.start(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            _check_loaded(loading, source)
            _start_saving(service, settings, tasks)
            say(f"{settings.kind} is ready at {settings.host}:{rpc.port}")
        await stopped.wait()
        service.draining = True  # a member hands over what it has learnt, and that is all then
    return 0


async def _refuse(settings: ServeSettings, say: Callable[[str], None]) -> int:
    """Answer every call of a type that is not served with an error."""
    rpc = RpcServer(Unserved(settings.kind), settings.host, settings.port, settings.limits)
    async with _stopping() as stopped:
        await _listen(rpc, settings, say)
        await stopped.wait()
        await rpc.close()
    return 0


@asynccontextmanager
async def _stopping() -> AsyncIterator[asyncio.Event]:
    """Give an event that the first SIGTERM or SIGINT sets; the second one ends the process."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        stopped.set()
        for one in _SIGNALS:
            loop.remove_signal_handler(one)

    for one in _SIGNALS:
        loop.add_signal_handler(one, stop)
    try:
        yield stopped
    finally:
        for one in _SIGNALS:
            loop.remove_signal_handler(one)


class _Tasks:
    """What goes on beside the calls."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    async def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _configuration(settings: ServeSettings) -> tuple[str, str]:
    """Return where the configuration comes from, and its text."""
    if settings.zookeeper is not None:
        if not settings.name:
            raise ServeError("a server of a group in ZooKeeper needs a name (-n)")
        from hogwild.online.group.zookeeper_configuration import read_configuration

        text = await asyncio.to_thread(read_configuration, settings.zookeeper, settings.kind, settings.name)
        return f"{settings.zookeeper}: configuration of {settings.kind} {settings.name!r}", text
    if settings.configuration is None:
        raise ServeError("expected a configuration: a file (-f), or a group's in ZooKeeper (-z and -n)")
    try:
        return str(settings.configuration), settings.configuration.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ServeError(f"{settings.configuration}: byte {error.start}: expected UTF-8") from None


async def _listen(rpc: RpcServer, settings: ServeSettings, say: Callable[[str], None]) -> None:
    try:
        await rpc.start()
    except (OSError, OverflowError) as error:
        known = isinstance(error, OSError) and error.errno in errorcode
        reason = os.strerror(error.errno).lower() if known else str(error)
        if known and error.errno == EADDRINUSE:  # jubakit tries another port where it reads this
            reason += f" (server failed to start: any process using port {settings.port}?)"
        raise ServeError(f"cannot listen at {settings.host}:{settings.port}: {reason}") from None
    say(f"{settings.kind} listens at {settings.host}:{rpc.port}")


def _own_address(settings: ServeSettings) -> str:
    """Return the address under which a group knows this server."""
    if settings.host not in _ANYWHERE:
        return settings.host
    if settings.zookeeper is not None:
        host, _, port = settings.zookeeper.partition(",")[0].partition("/")[0].rpartition(":")
        with suppress(OSError, ValueError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.connect((host, int(port)))  # sends nothing
            return towards.getsockname()[0]
    return "127.0.0.1"


async def _join_group(
    service: Service,
    rpc: RpcServer,
    settings: ServeSettings,
    coordination: Coordination | None,
    parts: AsyncExitStack,
) -> None:
    """Make the server a member, if it is to be one; its machine waits for the learner itself."""
    if coordination is None and settings.zookeeper is not None:
        from hogwild.online.group.zookeeper import ZooKeeperCoordination

        coordination = ZooKeeperCoordination(settings.zookeeper, settings.kind, settings.name, service.node)
    if coordination is not None:
        from hogwild.cluster.mix.settings import MixSettings
        from hogwild.online.configuration import parsed
        from hogwild.online.group.coordination import CoordinationError
        from hogwild.online.group.gossiping import check_mixer
        from hogwild.online.group.member import join_group

        mix = MixSettings(interval_count=settings.interval_count, interval_sec=settings.interval_sec)
        try:
            check_mixer(settings.mixer, settings.kind, parsed(service.configuration))
            service.group = await join_group(service, rpc, coordination, mix, mixer=settings.mixer)
        except (CoordinationError, ValueError) as error:
            raise ServeError(str(error)) from None
        parts.push_async_callback(service.group.leave)


def _check_loaded(loading: asyncio.Task[None], source: str) -> None:
    from hogwild.online.configuration import ConfigurationError

    try:
        loading.result()
    except ConfigurationError as error:
        raise ServeError(f"{source}: {str(error).removeprefix('configuration: ')}") from None


def _start_saving(service: Service, settings: ServeSettings, tasks: _Tasks) -> None:
    if settings.autosave is not None:
        from hogwild.online.storage.autosave import autosave

        tasks.start(autosave(service, settings.autosave, model_path(service, AUTOSAVED)))
    if settings.log is not None:
        from hogwild.online.storage.autosave import keep_short

        tasks.start(keep_short(service))


async def _stop_saving(service: Service, settings: ServeSettings, tasks: _Tasks) -> None:
    await tasks.cancel()
    if settings.autosave is not None and service.loaded.is_set() and service.changes:
        try:
            await save_as(service, model_path(service, AUTOSAVED), AUTOSAVED)
        except (OSError, ValueError) as error:
            _log.error("the model could not be saved: %s", error)
