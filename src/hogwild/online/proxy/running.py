"""A proxy from its start to its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from hogwild.online.proxy.front import Front, make_server
from hogwild.online.proxy.links import Links
from hogwild.online.proxy.members import FixedMembers, Members, ZooKeeperMembers
from hogwild.online.proxy.routing import Router
from hogwild.online.proxy.settings import ProxySettings

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Proxy:
    """A proxy that listens until it is closed.

    Parameters
    ----------
    settings : ProxySettings

    Attributes
    ----------
    port : int

    Examples
    --------
    >>> from hogwild.online.proxy.running import Proxy
    >>> from hogwild.online.proxy.settings import ProxySettings
    >>> async def pass_on(ports):
    ...     members = tuple(f"127.0.0.1:{port}" for port in ports)
    ...     async with Proxy(ProxySettings("classifier", members=members, port=0)) as proxy:
    ...         print(proxy.port)
    """

    def __init__(self, settings: ProxySettings) -> None:
        self.settings, self.port = settings, settings.port
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Proxy:
        settings = self.settings
        async with AsyncExitStack() as parts:
            members: Members = (
                FixedMembers(settings.members)
                if settings.zookeeper is None
                else ZooKeeperMembers(settings.zookeeper, settings.kind)
            )
            parts.push_async_callback(members.close)
            links = Links(settings.timeout)
            parts.push_async_callback(links.close)
            front = Front(settings.kind, Router(settings.kind, members, links))
            server = make_server(front, settings.host, settings.port, settings.limits)
            self.port = await server.start()
            front.node = f"{settings.host}_{self.port}"
            parts.push_async_callback(server.close)
            parts.push_async_callback(front.drain)
            parts.callback(server.stop)
            self._parts = parts.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.aclose()


async def run_proxy(settings: ProxySettings, say: Callable[[str], None] = print) -> int:
    """Pass calls on until SIGTERM or SIGINT; answer those that have come; return the exit status.

    Raises
    ------
    OSError
        The port is taken.
    ImportError
        ZooKeeper is asked for, and kazoo is not installed.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for one in _SIGNALS:
        loop.add_signal_handler(one, stopped.set)
    async with Proxy(settings) as proxy:
        say(f"{settings.kind} proxy listens at {settings.host}:{proxy.port}")
        await stopped.wait()
        for one in _SIGNALS:
            loop.remove_signal_handler(one)  # the second one ends the process
    return 0
