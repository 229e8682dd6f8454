"""What a sequence diagram is drawn from: messages, jobs, and how long workers stood at the gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hogwild.cluster.protocol import Pulled
from hogwild.cluster.simulation.trace import EventLog


@dataclass
class RoundLog(EventLog):
    """A log that also keeps what shards say of waiting.

    Attributes
    ----------
    gates : list of (str, int, float, float)
        Worker, phase number, when the gate opened, and the seconds that the request had stood there.
    """

    gates: list[tuple[str, int, float, float]] = field(default_factory=list)

    def message(self, now: float, received: float | None, source: str, to: str, message: Any, size: int) -> None:
        """Keep a message, if it is one of those asked for."""
        super().message(now, received, source, to, message, size)
        if type(message) is Pulled and message.waited > 0 and self._wanted(now, to) and len(self.gates) < self.limit:
            self.gates.append((to, message.clock, now, message.waited))
