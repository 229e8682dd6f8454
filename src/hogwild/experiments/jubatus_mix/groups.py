"""Groups of servers that mix, under the old protocol and under ours; the learners are the real ones."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any, NamedTuple

from hogwild.cluster.mix.coordination import MixCoordination
from hogwild.cluster.mix.protocol import COORDINATION, MixNow, PutDiff, Standing, Updated
from hogwild.cluster.mix.server import MixServer
from hogwild.cluster.mix.settings import MixSettings
from hogwild.cluster.protocol import Effect, Event, Finished, Lost, Recv, Send, SetTimer, Started, Timer, Told
from hogwild.experiments.jubatus_mix.stream import CONVERTER, Example
from hogwild.online.driver import Driver, make_driver

LATENCY = 0.001  # seconds that a message takes
SESSION = 3.0  # seconds until the coordination service knows that a server has died
NEVER = 10**9  # rounds begin when they are asked for, at the same updates under both protocols


def new_learner() -> Driver:
    """Return an empty learner: AROW with C = 1, which mixes."""
    driver = make_driver(
        "classifier", {"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": CONVERTER}
    )
    driver.parts.full()  # from now on it tells what is mixed from what is learnt
    return driver


class WithoutVersions:
    """The protocol of 0.5.0: only what was learnt since the last round is exchanged, and all are taken to be equal.

    A server's diff is all that it has learnt since it took a fold the last time. Who gets none keeps its diff, which
    the next round adds again; a new server takes its place with an empty model, and gets diffs from then on.

    Attributes
    ----------
    drivers : dict of Driver
        The learners of the servers that are up, by name.
    now : float
        Seconds.
    """

    def __init__(self) -> None:
        self.drivers: dict[str, Driver] = {}
        self.now = 0.0
        self._diffs: dict[str, Any] = {}  # told, and not cleared by a fold yet
        self._folds: Counter[str] = Counter()
        self._rounds, self._deaf = 0, ""

    def start(self, node: str) -> None:
        """Start a server with an empty model."""
        self.drivers[node] = new_learner()

    def kill(self, node: str) -> None:
        """End a server, and what it had learnt."""
        del self.drivers[node]
        self._diffs.pop(node, None)
        self._folds.pop(node, None)

    def asked(self) -> list[str]:
        """Return the servers that clients are sent to."""
        return list(self.drivers)

    def learn(self, node: str, examples: list[Example]) -> None:
        """Have a server learn examples."""
        self.drivers[node].run("train", [examples])

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def lose_fold(self, node: str) -> None:
        """Have the put_diff of the next round not reach a server."""
        self._deaf = node

    def mix(self) -> None:
        """Run a round."""
        for node, driver in self.drivers.items():
            cut = driver.parts.cut()
            self._diffs[node] = driver.parts.join([self._diffs[node], cut]) if node in self._diffs else cut
        fold = next(iter(self.drivers.values())).parts.fold(list(self._diffs.values()))
        for node, driver in self.drivers.items():
            if node != self._deaf:
                driver.parts.apply(fold, [])
                del self._diffs[node]
                self._folds[node] += 1
        self._rounds, self._deaf = self._rounds + 1, ""

    def version(self, node: str) -> int:
        """Return how many folds a server has taken: nobody knows that number under this protocol."""
        return self._folds[node]

    def newest(self) -> int:
        """Return how many rounds there were."""
        return self._rounds


class Stood(NamedTuple):
    """A server became active, or obsolete."""

    now: float
    node: str
    active: bool


class WithVersions:
    """Ours, which has the versions of 0.5.1: the servers' and the coordination service's machines, in virtual time.

    Attributes
    ----------
    drivers : dict of Driver
        The learners of the servers that are up, by name.
    now : float
        Seconds.
    stood : list of Stood
    """

    def __init__(self) -> None:
        self.drivers: dict[str, Driver] = {}
        self.now, self.stood = 0.0, list[Stood]()
        self._settings = MixSettings(interval_count=NEVER, interval_sec=NEVER)
        self._service, self._servers, self._lives = MixCoordination(), dict[str, MixServer](), Counter[str]()
        self._events: list[tuple[float, int, str, int, Event]] = []  # when, in which order, for whose which life
        self._timers: dict[tuple[str, str], Timer] = {}
        self._order, self._deaf, self._lost_round = 0, "", 0

    def start(self, node: str) -> None:
        """Start a server with an empty model."""
        self._lives[node] += 1
        self.drivers[node] = new_learner()
        self._servers[node] = MixServer(node, self._lives[node], self._settings, self.drivers[node].parts)
        self._give(node, Started())

    def kill(self, node: str) -> None:
        """End a server, and what it had learnt; its session ends later."""
        del self._servers[node], self.drivers[node]
        self._later(SESSION, COORDINATION, self._lives[node], Lost(node))

    def asked(self) -> list[str]:
        """Return the servers that clients are sent to: the active ones."""
        return [node for node, server in self._servers.items() if server.active]

    def learn(self, node: str, examples: list[Example]) -> None:
        """Have a server learn examples."""
        self.drivers[node].run("train", [examples])
        self._give(node, Updated(len(examples)))

    def lose_fold(self, node: str) -> None:
        """Have no put_diff of the next round reach a server, however often it is sent."""
        self._deaf, self._lost_round = node, 0

    def mix(self) -> None:
        """Ask for a round, and wait as long as it takes if all answer."""
        self._give(self.asked()[0], MixNow(0))
        self.wait(1.0)

    def version(self, node: str) -> int:
        """Return the version of a server's model."""
        return self._servers[node].version

    def newest(self) -> int:
        """Return the newest version."""
        return max(server.version for server in self._servers.values())

    def wait(self, seconds: float) -> None:
        """Let time pass: what is due happens."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, node, life, event = heapq.heappop(self._events)
            if node == COORDINATION:
                if not isinstance(event, Lost) or life == self._lives[event.node]:
                    self._carry(node, self._service.handle(self.now, event))
            elif node in self._servers and life == self._lives[node] and self._due(node, event):
                self._give(node, event)
        self.now = end

    def _give(self, node: str, event: Any) -> None:
        self._carry(node, self._servers[node].handle(self.now, event))

    def _carry(self, source: str, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                if not self._is_lost(effect):
                    self._later(LATENCY, effect.to, self._lives[effect.to], Recv(source, effect.message))
            elif isinstance(effect, SetTimer):
                self._timers.pop((source, effect.name), None)
                if effect.delay is not None:
                    timer = self._timers[source, effect.name] = Timer(effect.name)
                    self._later(effect.delay, source, self._lives[source], timer)
            elif isinstance(effect, Told) and isinstance(effect.what, Standing):
                self.stood.append(Stood(self.now, source, effect.what.active))
            elif isinstance(effect, Finished):
                raise AssertionError("no server is asked to stop")

    def _later(self, delay: float, node: str, life: int, event: Event) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.now + delay, self._order, node, life, event))

    def _due(self, node: str, event: Event) -> bool:
        """Whether an event still counts: a timer may have been set anew."""
        return not isinstance(event, Timer) or self._timers.get((node, event.name)) is event

    def _is_lost(self, sent: Send) -> bool:
        if sent.to != self._deaf or not isinstance(sent.message, PutDiff):
            return False
        self._lost_round = self._lost_round or sent.message.round
        return sent.message.round == self._lost_round


Group = WithoutVersions | WithVersions
