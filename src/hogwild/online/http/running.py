"""HTTP beside RPC, on one loop."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from ipaddress import ip_address
from typing import Any

from hogwild.online.http.history import History
from hogwild.online.http.settings import HttpSettings

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_GRACE = 5  # seconds that requests under way have when the server closes


class HttpServer:
    """A server that runs.

    Attributes
    ----------
    port : int
    """

    def __init__(self, server: Any, port: int, history: History, tasks: list[asyncio.Task[Any]]) -> None:
        self._server = server
        self._tasks = tasks
        self.port = port
        self.history = history

    async def close(self) -> None:
        """Take no more requests, and return when those under way are answered, or have had their time."""
        serving, watching = self._tasks
        watching.cancel()
        self._server.should_exit = True
        await asyncio.gather(serving, watching, return_exceptions=True)


async def start_http(service: Any, host: str, port: int, settings: HttpSettings | None = None) -> HttpServer:
    """Serve HTTP for a service, on the loop that runs.

    Signals are left to the service. On a loopback address, only requests that call the server by a loopback name are
    served (see `guard`).

    Parameters
    ----------
    service : Service
    host : str
    port : int
        0: any that is free.
    settings : HttpSettings, optional

    Raises
    ------
    ImportError
        The extra "serve" is not installed.
    OSError
        It cannot listen there.
    """
    listener = _bound(host, port)
    try:
        uvicorn, app, connections = await asyncio.to_thread(_modules)  # half a second in which calls over RPC go on
        settings = settings or HttpSettings(hosts=_LOCAL | {host} if _is_loopback(host) else None)
        history = History(service)
        config = uvicorn.Config(
            app.make_app(service, settings, history),
            log_config=None,
            access_log=False,
            http=connections.connections_of(settings.seconds),
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=settings.connections,
            timeout_graceful_shutdown=_GRACE,
        )
        server = _server_class(uvicorn)(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.up.wait()
    except BaseException:
        listener.close()
        raise
    return HttpServer(server, listener.getsockname()[1], history, [serving, asyncio.create_task(history.watch())])


def _modules() -> list[Any]:
    try:
        return [import_module(name) for name in ("uvicorn", f"{__package__}.app", f"{__package__}.connections")]
    except ModuleNotFoundError as error:
        raise ImportError(f"HTTP needs {error.name}: pip install hogwild[serve]") from error


def _server_class(uvicorn: Any) -> Any:
    class Server(uvicorn.Server):
        """Leaves signals alone, and says when it is up."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.up = asyncio.Event()

        def capture_signals(self) -> AbstractContextManager[None]:
            return nullcontext()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            self.up.set()

    return Server


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port} for HTTP: {error.strerror}") from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
