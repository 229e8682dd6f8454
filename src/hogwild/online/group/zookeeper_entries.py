"""What our servers write into ZooKeeper: small JSON, by which they know each other."""

from __future__ import annotations

import socket
import uuid
from typing import Literal, TypeVar

import msgspec


class Member(msgspec.Struct):
    """A server's entry among the members.

    Attributes
    ----------
    program : str
        A server of another program has no such entry: Jubatus' own leave theirs empty.
    protocol : tuple of int
        Version of its messages to other members: major, minor.
    machine : str
        Where it runs.
    incarnation : int
        Its life.
    struck : int
        The last round for which a master has struck it off the active ones.
    """

    program: Literal["hogwild"]
    protocol: tuple[int, int]
    machine: str
    incarnation: int
    struck: int = 0


class Active(msgspec.Struct):
    """A server's entry among the active ones."""

    version: int


class Holder(msgspec.Struct):
    """The entry of the server that has the lock."""

    node: str
    round: int


class Progress(msgspec.Struct):
    """What outlasts all sessions: the last round's number, and the highest floor."""

    round: int = 0
    floor: int = 0


Entry = TypeVar("Entry", Member, Active, Holder, Progress)

written = msgspec.json.encode


def read_entry(kind: type[Entry], data: bytes) -> Entry | None:
    """Return an entry; None where it is none of ours."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        return None


def this_machine() -> str:
    """Return a name of this machine that others hardly have: two hosts may both be called localhost."""
    return f"{socket.gethostname()}/{uuid.getnode():x}"
