"""When a MIX group mixes, and how long its members wait for each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MixSettings:
    """When to mix, and how long to wait.

    Parameters
    ----------
    interval_count : int
        Updates of one server since its last round that call for a round.
    interval_sec : float
        Seconds after which a single update calls for one.
    deadline : float
        Seconds that a member has to hand over its diff, and again to take the fold.
    retry : float
        Seconds until the lock, or an active server's model, is asked for again.
    patience : float
        Seconds that a server whose model is too old waits, in a group without any active server, for one with a newer
        model; then the group goes on from the newest there is, and what only the newer one knew is lost. For as long
        a server that was a member is reckoned to come back: nobody drops a cut that its model may lack.
    """

    interval_count: int = 512
    interval_sec: float = 16.0
    deadline: float = 10.0
    retry: float = 1.0
    patience: float = 60.0
