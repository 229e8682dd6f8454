"""How a service shares its time, and what it takes from strangers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceSettings:
    """How a service shares its one thread.

    Parameters
    ----------
    slice : float
        Seconds of learning, or of answering, before the other, and the network, have their turn.
    wait : float
        Seconds that a call may wait for its turn (for the learner to load, above all) before it fails; 0: as long as
        it takes.
    try_every : int
        Examples after which one is predicted before it is learnt, for the progressive accuracy.
    """

    slice: float = 0.004
    wait: float = 300.0
    try_every: int = 16


@dataclass(frozen=True)
class Limits:
    """What a server takes from its connections: who exceeds one is disconnected, or waits.

    Parameters
    ----------
    message : int
        Bytes of one message.
    depth : int
        Nesting of arrays and maps in calls whose types do not bound it.
    connections : int
    backlog : int
        Bytes of all calls that are not answered yet: above it, nothing more is read.
    pipelined : int
        Calls of one connection that are not answered yet: above it, nothing more is read of that one.
    unread : int
        Bytes of answers that a connection may leave unread before one more is due.
    idle : float
        Seconds without a call after which a connection is closed; 0: never.
    unfinished : float
        Seconds within which a message that has begun must end; 0: as long as it takes.
    """

    message: int = 64 << 20
    depth: int = 64
    connections: int = 4096
    backlog: int = 256 << 20
    pipelined: int = 4096
    unread: int = 64 << 20
    idle: float = 10.0
    unfinished: float = 60.0
