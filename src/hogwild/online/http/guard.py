"""What holds for every request: no other site's page may speak through a user's browser, and answers say what they are.

A server on loopback is open to every page that a user of the machine looks at, as browsers send requests anywhere. They
name the page's origin in all that may change something, and the name by which they know the server, which is the
attacker's own where DNS was bent to reach this machine.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from hogwild.online.http.problems import ProblemError

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """ASGI middleware; see the module.

    Parameters
    ----------
    app : ASGI application
    answered : Counter of int
        Counts answers by their status.
    hosts : frozenset of str, optional
        Names that the server may be called by; None: any.
    """

    def __init__(self, app: Any, answered: Counter[int], hosts: frozenset[str] | None = None) -> None:
        self._app = app
        self._answered = answered
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._answered[message["status"]] += 1
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._refusal(scope["method"], Headers(scope=scope))
        answer = self._app if problem is None else problem.response()
        await answer(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> ProblemError | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return ProblemError(421, f"this server is not called {host[:100]!r}")
        origin = headers.get("origin")
        if method not in ("GET", "HEAD", "OPTIONS") and origin is not None and urlsplit(origin).netloc != host:
            return ProblemError(403, f"pages of {origin[:100]!r} may not call this server")
        return None


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
