"""A node of the simulated cluster."""

from __future__ import annotations

from typing import Any

from hogwild.cluster.protocol import Machine


class Node:
    """A machine, its processor and its links.

    Attributes
    ----------
    name : str
    number : int
        In the order of creation; it stands for the name in the trace's hash.
    role : str
        The name up to its first slash.
    machine : Machine or None
        None while it is down.
    life : int
        Starts and deaths so far: what belongs to an earlier life does not reach this one.
    starts : int
    wall : int
        Bits of the partitions that set it apart; nodes with different bits cannot reach each other.
    link, inbox, processor : float
        When the link out, the way in and the worker's processor are free again.
    starting : bool
        A start has been asked for.
    gone : bool
        It has left for good.
    """

    __slots__ = (
        "computing",
        "gone",
        "handle",
        "inbox",
        "life",
        "link",
        "machine",
        "name",
        "number",
        "processor",
        "role",
        "sent",
        "starting",
        "starts",
        "timers",
        "wall",
        "workload",
    )

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number, self.role = name, number, name.split("/")[0]
        self.machine: Machine | None = None
        self.handle: Any = None
        self.workload: Any = None
        self.life = self.starts = 0
        self.wall = 0
        self.link = self.inbox = self.processor = 0.0
        self.timers: dict[str, list[float]] = {}
        self.computing = 0
        self.starting = self.gone = False
        self.sent: dict[type, list[int]] = {}  # by kind: messages and bytes

    def up(self, machine: Machine, now: float) -> None:
        """Begin a life."""
        self.machine, self.handle = machine, machine.handle
        self.life += 1
        self.starts += 1
        self.link = self.inbox = self.processor = now
        self.starting = False

    def down(self) -> None:
        """End it: state, timers and jobs are lost."""
        self.machine = self.handle = None
        self.timers = {}
        self.computing = 0
        self.life += 1

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.machine is not None
