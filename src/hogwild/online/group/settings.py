"""How messages travel between the servers of a group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinkSettings:
    """Limits of what is sent to, and taken from, the other servers of a group.

    Parameters
    ----------
    chunk : int
        Bytes of a message that one call carries; less where the server's own limit is lower.
    largest : int
        Bytes of a whole message, a model above all; also of all those together that are not whole yet.
    queue : int
        Messages that wait for one server; more are dropped.
    timeout : float
        Seconds that a server has to take a call.
    least_pause, most_pause : float
        Seconds before a server that could not be reached is tried again: doubled each time.
    """

    chunk: int = 8 << 20
    largest: int = 1 << 30
    queue: int = 64
    timeout: float = 10.0
    least_pause: float = 0.05
    most_pause: float = 2.0
