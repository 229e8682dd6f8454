"""What a member of a group has done so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hogwild.cluster.mix.protocol import RoundEnded


@dataclass
class MixFigures:
    """Counts since the start; times are those of `time.time`.

    Attributes
    ----------
    version : int
        Of the model's master part.
    active : bool
        Whether clients may be sent here.
    members : tuple of str
    actives : dict of int
        Versions that active servers had when they became so.
    mixed : float or None
        When this server last took a fold, or another server's model.
    seconds : float
        That the last round took which this server led.
    rounds, failed : int
        Rounds that this server led to their end, and those of them that some server missed.
    missed : int
        Servers that missed them, together.
    mixes, fetched, replaced : int
        Folds taken, models fetched, and models put in everybody's place from here.
    sent, received : int
        Bytes.
    dropped : int
        Messages that were not delivered.
    refused : dict of str
        By server, why it takes no messages from here, or its are not taken.
    faults : int
        Messages whose handling failed.
    fault : str
        Why this server has left the group, if so.
    """

    version: int = 0
    active: bool = False
    members: tuple[str, ...] = ()
    actives: dict[str, int] = field(default_factory=dict)
    mixed: float | None = None
    seconds: float = 0.0
    rounds: int = 0
    failed: int = 0
    missed: int = 0
    mixes: int = 0
    fetched: int = 0
    replaced: int = 0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    faults: int = 0
    fault: str = ""

    def mix(self) -> None:
        """Note a fold that was taken."""
        self.mixes += 1
        self.mixed = time.time()

    def fetch(self) -> None:
        """Note a model that was taken over."""
        self.fetched += 1
        self.mixed = time.time()

    def round(self, ended: RoundEnded, seconds: float) -> None:
        """Note a round that was led."""
        if ended.base is not None:
            self.rounds += 1
            self.failed += bool(ended.missed)
            self.missed += len(ended.missed)
            self.seconds = seconds

    def status(self, pending: int) -> dict[str, str]:
        """Return what `get_status` shows."""
        return {
            "mix.version": str(self.version),
            "mix.active": str(int(self.active)),
            "mix.last": "" if self.mixed is None else str(int(self.mixed)),
            "mix.members": ",".join(self.members),
            "mix.actives": ",".join(self.actives),
            "mix.rounds": str(self.rounds),
            "mix.seconds": f"{self.seconds:.3g}",
            "mix.missed": str(self.missed),
            "mix.mixes": str(self.mixes),
            "mix.fetched": str(self.fetched),
            "mix.pending": str(pending),
            "mix.dropped": str(self.dropped),
            "mix.fault": self.fault,
            **{f"mix.refused.{node}": why for node, why in self.refused.items()},
        }
