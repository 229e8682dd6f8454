"""What HTTP clients may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpSettings:
    """Limits on requests.

    Parameters
    ----------
    body : int
        Bytes of a call; a bulk request has no limit but that of its lines.
    line : int
        Bytes of a line of a bulk request.
    seconds : float
        How long what comes before a body may take, the whole body of a call, and the next piece of a bulk request.
    connections : int
        Connections and requests under way at once; more are answered 503.
    hosts : frozenset of str, optional
        Names by which browsers may call the server (the header Host, without its port); None: any.
    """

    body: int = 16 << 20
    line: int = 1 << 20
    seconds: float = 30.0
    connections: int = 1000
    hosts: frozenset[str] | None = None
