"""What happens to messages between nodes, and how large they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hogwild.cluster.protocol import (
    Accepted,
    Leases,
    Members,
    Moved,
    Progress,
    Pulled,
    PushPull,
    Replicate,
    State,
)
from hogwild.cluster.simulation.delays import Delay

HEADER = 256  # bytes of a message without its payload; a call through Ray carries some hundred


@dataclass(frozen=True)
class Network:
    """Links between nodes.

    Each node sends over one link, in order: large messages keep the later ones waiting. On arrival they pass the
    receiver's link and its processor in the same way. Reordering comes from delays that differ.

    Parameters
    ----------
    delay : Delay
        From leaving the sender's link to reaching the receiver's.
    bandwidth : float
        Bytes a second of each node's link, in each direction; infinity: messages never queue.
    handling : float
        Seconds of processor time that a node spends on receiving one message (through Ray about 0.001), one after the
        other.
    loss, duplication : float
        Probability that a message is dropped, or arrives twice.
    size : callable
        Bytes of a message.
    """

    delay: Delay = field(default_factory=lambda: Delay(0.0002, 0.0001))
    bandwidth: float = float("inf")
    handling: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    size: Callable[[Any], int] | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (0 <= self.loss < 1 and 0 <= self.duplication <= 1 and self.loss + self.duplication <= 1):
            raise ValueError(f"loss and duplication are probabilities, found {self.loss} and {self.duplication}")
        if not self.bandwidth > 0:
            raise ValueError(f"bandwidth must be positive, found {self.bandwidth}")


def payload_bytes(value: Any) -> int:
    """Return the bytes of a payload: arrays by their size, numbers 8, texts by their length.

    Examples
    --------
    >>> import numpy as np
    >>> payload_bytes((np.zeros(3), None, {"name": 1}))
    36
    """
    if value is None:
        return 0
    size = getattr(value, "nbytes", None)
    if size is not None:
        return size
    kind = type(value)
    if kind in (int, float, bool):
        return 8
    if kind in (str, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(payload_bytes(key) + payload_bytes(item) for key, item in value.items())
    if isinstance(value, (tuple, list, set, frozenset)):
        return sum([payload_bytes(item) for item in value])
    return 8


SIZES: dict[type, Callable[[Any], int]] = {
    PushPull: lambda m: HEADER + payload_bytes(m.push) + payload_bytes(m.pull),
    Pulled: lambda m: HEADER + payload_bytes(m.values),
    Replicate: lambda m: HEADER + payload_bytes(m.message.push),
    State: lambda m: HEADER + payload_bytes(m.about) + payload_bytes(m.state),
    Accepted: lambda m: HEADER,
    Members: lambda m: HEADER + 24 * len(m.view.members),
    Leases: lambda m: HEADER + 48 * len(m.leases),
    Progress: lambda m: HEADER + 16 * len(m.done),
    Moved: lambda m: HEADER + 16 * len(m.primaries),
}


def size_of(message: Any) -> int:
    """Return the bytes that a message takes on a link: a header, its payload, 16 to 48 bytes for each list entry."""
    sizer = SIZES.get(type(message))
    return HEADER if sizer is None else sizer(message)
