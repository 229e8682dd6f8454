"""What a proxy is to its clients: `RpcServer` serves it as it serves a learner."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from hogwild.online.proxy.routing import Router
from hogwild.online.service.client import RpcError
from hogwild.online.service.figures import Figures
from hogwild.online.service.packing import NO_METHOD, WRONG_ARGUMENTS
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import UnknownMethodError
from hogwild.online.service.settings import Limits
from hogwild.online.wire import WrongTypeError

Answer = Callable[[Any, BaseException | None], None]


class Front:
    """Takes calls, with the group's name first, and answers them by a router.

    Parameters
    ----------
    kind : str
    router : Router

    Attributes
    ----------
    figures : Figures
    node : str
        The proxy's own address, for its status.
    """

    serving = False  # answers go out as they come

    def __init__(self, kind: str, router: Router) -> None:
        self.figures, self.node = Figures(), ""
        self.methods: dict[str, Any] = {}  # none: so parameters come whole, with the group's name
        self.packs: dict[str, Any] = {}
        self.on_served: list[Callable[[], None]] = []
        self._kind, self._router = kind, router
        self._open: set[asyncio.Task[None]] = set()
        self._forwarded = 0

    def submit(self, method: str, params: Sequence[Any], answer: Answer) -> None:
        """Take a call; `answer` is given its result or its error."""
        task = asyncio.create_task(self._serve(method, params, answer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    def gather(self) -> None:
        """Do nothing: calls are passed on as they come."""

    def serve_gathered(self, at_once: bool = False) -> None:
        """Do nothing: all have been passed on."""

    async def drain(self) -> None:
        """Wait for the answers to all calls."""
        while self._open:
            await asyncio.wait(self._open)

    async def _serve(self, method: str, params: Sequence[Any], answer: Answer) -> None:
        known = method if method in self._router.methods or method == "get_proxy_status" else "?"
        self.figures.calls[known] += 1
        came = time.monotonic()
        try:
            result = self._status() if method == "get_proxy_status" else await self._router.call(method, params)
        except Exception as error:
            self.figures.errors[known] += 1
            answer(None, _as_it_was(error))
        else:
            answer(result, None)
        finally:
            self.figures.latency.add(time.monotonic() - came)

    def _status(self) -> dict[str, dict[str, str]]:
        figures = self.figures
        status = {
            "pid": os.getpid(),
            "type": self._kind,
            "PROGNAME": f"juba{self._kind}_proxy",
            "uptime": int(time.time() - figures.started),
            "clock_time": int(time.time()),
            "connections": figures.connections,
            "request.total": figures.calls.total(),
            "request.errors": figures.errors.total(),
        }
        return {self.node: {name: str(value) for name, value in status.items()}}


def _as_it_was(error: Exception) -> Exception:
    """Return a server's error so that the client sees the same."""
    if isinstance(error, RpcError):
        if error.error == NO_METHOD:
            return UnknownMethodError(_text(error.result))
        if error.error == WRONG_ARGUMENTS:
            return WrongTypeError(_text(error.result))
        return RuntimeError(_text(error.error))
    return error


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def make_server(front: Front, host: str, port: int, limits: Limits) -> RpcServer:
    """Return what listens for a front; all is packed as old clients read it."""
    server = RpcServer(front, host, port, limits)
    server.pack_bins = server.pack
    return server
