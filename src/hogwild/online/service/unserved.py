"""Types of the original that are not served: their servers start, and say so to whoever calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hogwild.online.methods import TYPES, Method
from hogwild.online.service.figures import Figures
from hogwild.online.service.lane import Answer

UNSERVED = ("bandit", "burst", "clustering", "graph")


class UnservedTypeError(NotImplementedError):
    """A type that is known and not served; the message names those that are."""


class Unserved:
    """Answers every call with an error, behind an `RpcServer` as a `Service` is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.methods: dict[str, Method] = {}
        self.packs: dict[str, Any] = {}
        self.figures = Figures()
        self.serving = False
        self.on_served: list[Callable[[], None]] = []
        self._error = UnservedTypeError(f"{kind!r} is not served; served are {', '.join(sorted(TYPES))}")

    def submit(self, name: str, arguments: Sequence[Any], answer: Answer) -> None:
        """Refuse a call."""
        answer(None, self._error)

    def gather(self) -> None:
        """There is nothing to gather."""

    def serve_gathered(self, at_once: bool) -> None:
        """There is nothing to serve."""
