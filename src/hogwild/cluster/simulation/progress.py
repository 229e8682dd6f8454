"""Whether something moves: nobody who may go on idles for ever, and work goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hogwild.cluster.protocol import COORDINATOR

if TYPE_CHECKING:
    from hogwild.cluster.simulation.checker import Checker

_EVENTS = 20_000  # without a new push, and 50 more for each node


class Watch:
    """Looks now and then, in virtual time, who waits and why.

    Parameters
    ----------
    checker : Checker
    grace : float
        Seconds without faults within which something has to move.

    Attributes
    ----------
    due : float
        When to look again.
    """

    def __init__(self, checker: Checker, grace: float) -> None:
        self.grace, self.due = grace, grace / 4
        self._checker = checker
        self._last, self._events = 0.0, 0  # of the last new push
        self._active: dict[str, float] = {}  # by worker: its last job, or the last word that there is no work
        self._asks: dict[str, tuple[float, int, int]] = {}  # by worker: since when for which epoch and clock

    def moved(self, now: float) -> None:
        """A primary has taken a new push."""
        self._last, self._events = now, self._checker.simulator.trace.events

    def computes(self, now: float, worker: str) -> None:
        """A worker has a job."""
        self._active[worker] = now
        self._asks.pop(worker, None)

    def asks(self, now: float, worker: str, epoch: int, clock: int) -> None:
        """A worker asks shards to take a push and to let it go on."""
        asked = self._asks.get(worker)
        if asked is None or asked[1:] != (epoch, clock):
            self._asks[worker] = (now, epoch, clock)

    def told(self, now: float, worker: str, work: bool) -> None:
        """The coordinator has spoken to a worker: there is work for it, or there is none."""
        if not work:
            self._active[worker] = now
            self._asks.pop(worker, None)

    def forget(self, worker: str) -> None:
        """It is dead."""
        self._active.pop(worker, None)
        self._asks.pop(worker, None)

    def look(self, now: float) -> None:
        """Raise if nothing moves, or somebody who could move does not."""
        checker = self._checker
        simulator = checker.simulator
        self.due = now + self.grace / 4
        events = simulator.trace.events
        workers = [node for node in simulator.nodes.values() if node.role == "worker" and node.machine is not None]
        computing = not workers or any(node.computing for node in workers)
        if events - self._events > _EVENTS + 50 * len(simulator.nodes) and not computing:
            checker.fail("progress", f"{events - self._events} events without a new push: livelock")
        quiet = now - max(checker.quiet_since(), 0.0)
        if quiet < self.grace:
            return
        if now - self._last > self.grace and not computing:
            checker.fail("progress", f"no new push for {now - self._last:.1f} s, and nobody computes")
        for node in workers:
            if not node.computing:
                self._idles(now, node.name)

    def _idles(self, now: float, worker: str) -> None:
        checker = self._checker
        asked = self._asks.get(worker)
        if asked is not None:
            since, _, clock = asked
            if now - since > self.grace and self._admitted(worker, clock):
                checker.fail(
                    "idles", f"{worker} has waited at {clock} for {now - since:.1f} s; all shards could admit it"
                )
            return
        since = self._active.get(worker, 0.0)
        ledger = getattr(checker.simulator.nodes[COORDINATOR].machine, "ledger", None)
        if now - since > self.grace and ledger is not None and ledger.has_free:
            checker.fail("idles", f"{worker} has had no work for {now - since:.1f} s; some is free")

    def _admitted(self, worker: str, clock: int) -> bool:
        """Whether the clocks of the others let it go on at all shards."""
        checker = self._checker
        for primary in checker.primaries:
            if primary is None:
                return False
            lowest = checker.shards[primary[0]].lowest
            if lowest is None or not checker.consistency.admits(clock, lowest):
                return False
        return True
