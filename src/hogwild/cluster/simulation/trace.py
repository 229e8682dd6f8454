"""What a simulation leaves behind: a hash of its events, counts of bytes, losses, and a log for diagrams."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from hogwild.cluster.protocol import Happened, Stats

BATCH = 4_096  # events that are hashed at a time
_SHARES = ("compute", "exchange", "waiting")


class Sent(NamedTuple):
    """A message in a log: `received` is None where it was lost."""

    sent: float
    received: float | None
    source: str
    to: str
    name: str
    size: int
    clock: int | None


class Span(NamedTuple):
    """A job in a log."""

    began: float
    ended: float
    node: str
    name: str


@dataclass
class EventLog:
    """Which events to keep for a sequence diagram, and those kept.

    Parameters
    ----------
    start, stop : float
        Only what is sent or begun in this span of virtual time.
    clock : int or None
        Only messages of that phase number (`PushPull`, `Accepted`, `Pulled`, `Progress`), and the jobs beside them.
    nodes : set of str or None
        Only between these.
    limit : int
        Keep no more.
    """

    start: float = 0.0
    stop: float = float("inf")
    clock: int | None = None
    nodes: set[str] | None = None
    limit: int = 100_000
    messages: list[Sent] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def message(self, now: float, received: float | None, source: str, to: str, message: Any, size: int) -> None:
        """Keep a message, if it is one of those asked for."""
        clock = getattr(message, "clock", None)
        if self.clock is not None and clock != self.clock:
            return
        if self._wanted(now, source) and self._wanted(now, to) and len(self.messages) < self.limit:
            self.messages.append(Sent(now, received, source, to, type(message).__name__, size, clock))

    def span(self, began: float, ended: float, node: str, job: Any) -> None:
        """Keep a job."""
        if self._wanted(began, node) and len(self.spans) < self.limit:
            self.spans.append(Span(began, ended, node, type(job).__name__))

    def jobs(self) -> list[Span]:
        """Return the jobs that ran while the messages that were kept were on their way."""
        if not self.messages:
            return []
        first = min(each.sent for each in self.messages)
        last = max(each.received or each.sent for each in self.messages)
        return [span for span in self.spans if span.ended >= first and span.began <= last]

    def _wanted(self, now: float, node: str) -> bool:
        return self.start <= now <= self.stop and (self.nodes is None or node in self.nodes)


class PhaseDone(NamedTuple):
    """A phase that a worker has stepped: sums over its rows."""

    now: float
    worker: str
    rows: int
    weight: float
    loss: float


class Trace:
    """Record of a run, cheap enough to be always on.

    Parameters
    ----------
    log : EventLog or None
    recent : int
        How many of the last events an error shows.

    Attributes
    ----------
    events : int
        Events that machines have handled.
    sent : dict of str to dict
        By node, number and bytes of the messages sent of each kind.
    times, kinds : list
        Events that wait to be hashed: when, and node number and kind in one.
    phases : list of PhaseDone
    told : list
        What the coordinator told the user.
    faults : Counter
        Faults that were injected, by kind.
    """

    def __init__(self, log: EventLog | None = None, recent: int = 60) -> None:
        self.log = log
        self.recent: deque = deque(maxlen=recent)
        self.events = 0
        self.sent: dict[str, dict[type, list[int]]] = {}
        self.phases: list[PhaseDone] = []
        self.told: list[Any] = []
        self.faults: Counter = Counter()
        self._sums: dict[str, dict[int, Stats]] = {}
        # Appending to two lists costs 60 ns an event; packing each into the hash 300.
        self.times: list[float] = []
        self.kinds: list[int] = []
        self.codes: dict[type, int] = {}
        self._names, self._times, self._kinds = (blake2b(digest_size=16) for _ in range(3))

    def code(self, kind: type) -> int:
        """Return the number of a kind of message or event in the hash."""
        code = self.codes.get(kind)
        if code is None:
            code = self.codes[kind] = len(self.codes)
            self._names.update(f"{kind.__name__} ".encode())
        return code

    def fold(self) -> None:
        """Take the events that are waiting into the hash."""
        self._times.update(array("d", self.times).tobytes())
        self._kinds.update(array("q", self.kinds).tobytes())
        self.times.clear()
        self.kinds.clear()

    def digest(self) -> str:
        """Return the hash over (time, node, kind) of all events so far."""
        self.fold()
        whole = self._names.copy()
        whole.update(self._times.digest())
        whole.update(self._kinds.digest())
        return whole.hexdigest()

    @property
    def messages(self) -> Counter:
        """Messages sent, by kind."""
        return sum(
            (Counter({kind: tally[0] for kind, tally in sent.items()}) for sent in self.sent.values()), Counter()
        )

    def progress(self, worker: str, epoch: int, stats: Stats) -> None:
        """Take a worker's sums since it joined."""
        self._sums.setdefault(worker, {})[epoch] = stats

    @property
    def shares(self) -> dict[str, tuple[float, float, float]]:
        """By worker, seconds of compute, exchange and waiting over all its memberships, as it reported them."""
        return {
            worker: tuple(sum(getattr(stats, name) for stats in epochs.values()) for name in _SHARES)
            for worker, epochs in self._sums.items()
        }

    def happened(self, what: str) -> int:
        """How often the coordinator told of that."""
        return sum(type(told) is Happened and told.what == what for told in self.told)

    def tail(self, lines: int = 60) -> str:
        """Return the last events, one a line."""
        return "\n".join(f"  {now:12.6f} {node:<12} {_short(event)}" for now, node, event in list(self.recent)[-lines:])


def _short(event: Any, limit: int = 200) -> str:
    text = repr(event)
    return text if len(text) <= limit else text[: limit - 3] + "..."
