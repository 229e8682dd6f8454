"""Connections that must not be held open by clients who never finish what comes before a body."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedConnection(H11Protocol):
    """A connection of uvicorn that is closed where a request's head has not come whole in time.

    Bodies have limits of their own (`bodies`), and connections between two requests uvicorn's.
    """

    seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        self._time_head()

    def data_received(self, data: bytes) -> None:
        """Take a piece."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # its head is there
            self._stop()
        elif self._late is None:
            self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop()
        super().connection_lost(exc)

    def _time_head(self) -> None:
        self._late = self.loop.call_later(self.seconds, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def connections_of(seconds: float) -> type[Any]:
    """Return the class of connections that wait so long."""
    return type("Connection", (TimedConnection,), {"seconds": seconds})
