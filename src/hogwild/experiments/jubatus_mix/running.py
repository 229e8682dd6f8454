"""The run: a stream is dealt out to the servers, rounds follow each other, and things go wrong at three of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hogwild.experiments.findings import Setting
from hogwild.experiments.jubatus_mix.groups import Group, WithVersions, new_learner
from hogwild.experiments.jubatus_mix.stream import Example, Stream, feature_numbers
from hogwild.online.driver import Driver

SERVERS = tuple(f"server {number}" for number in (1, 2, 3, 4))
DEAF, KILLED, NEW = "server 2", "server 3", "server 5"
ROUNDS = 40
LOST_AT, ADDED_AT, KILLED_AT, RESTARTED_AT = 5, 14, 25, 26  # rounds: at the end of the first, before the others
SECONDS, SLICES = 16.0, 4  # of a round, and how often in it the stream looks where to send its rows


class Record(NamedTuple):
    """A server after a round.

    Attributes
    ----------
    round : int
    node : str
    accuracy : float
        On rows that nobody learns.
    distance : float
        Of its weights from those of the first server, to which nothing happens, as a share of their length.
    version : int
    behind : int
        Rounds that its model lacks.
    active : bool
        Whether clients are sent to it.
    examples : int
        That its model says it holds.
    """

    round: int
    node: str
    accuracy: float
    distance: float
    version: int
    behind: int
    active: bool
    examples: int


class Event(NamedTuple):
    """Something that happened to a server.

    Attributes
    ----------
    round : int
    now : float
        Seconds.
    node, what : str
    """

    round: int
    now: float
    node: str
    what: str


class Run(NamedTuple):
    """What became of a group."""

    records: list[Record]
    events: list[Event]

    def of(self, node: str, since: int = 1) -> list[Record]:
        """Return the records of a server from a round on."""
        return [record for record in self.records if record.node == node and record.round >= since]

    def at(self, turn: int) -> list[Record]:
        """Return the records of all servers after a round."""
        return [record for record in self.records if record.round == turn]

    def served(self) -> list[float]:
        """Return by round the accuracy that clients get: the mean over the servers that they are sent to."""
        turns = range(1, ROUNDS + 1)
        return [float(np.mean([record.accuracy for record in self.at(turn) if record.active])) for turn in turns]


class Bounds(NamedTuple):
    """Accuracies by round of one server that learns everything, and of four (their mean) that never mix."""

    one: list[float]
    unmixed: list[float]


def cuts(stream: Stream) -> np.ndarray:
    """Return where the rows of each round begin and end."""
    return np.linspace(0, len(stream.y), ROUNDS + 1).astype(np.int64)


def run_group(group: Group, stream: Stream, setting: Setting, name: str) -> Run:
    """Run a group over the stream."""
    for node in SERVERS:
        group.start(node)
    group.wait(2 * SECONDS)
    ends, run = cuts(stream), Run([], [])
    for turn in range(1, ROUNDS + 1):
        setting.say(f"{name}: round {turn} of {ROUNDS}")
        if turn == ADDED_AT:
            run.events.append(Event(turn, group.now, NEW, "is added, empty"))
            group.start(NEW)
        elif turn == KILLED_AT:
            group.kill(KILLED)
        elif turn == RESTARTED_AT:
            run.events.append(Event(turn, group.now, KILLED, "is back after it died, empty"))
            group.start(KILLED)
        for start, stop in _slices(ends[turn - 1], ends[turn]):
            _deal(group, stream.examples(start, stop))
            group.wait(SECONDS / SLICES)
        if turn == LOST_AT:
            run.events.append(Event(turn, group.now, DEAF, "misses the put_diff of a round"))
            group.lose_fold(DEAF)
        group.mix()
        run.records.extend(_records(group, stream, turn))
    return run


def _deal(group: Group, examples: list[Example]) -> None:
    asked = group.asked()
    for place, node in enumerate(asked):
        if examples[place :: len(asked)]:
            group.learn(node, examples[place :: len(asked)])


def run_bounds(stream: Stream, setting: Setting) -> Bounds:
    """Run one server on everything, and servers that never mix."""
    ends, one, apart = cuts(stream), new_learner(), [new_learner() for _ in SERVERS]
    bounds = Bounds([], [])
    for turn in range(1, ROUNDS + 1):
        setting.say(f"one server, and servers apart: round {turn} of {ROUNDS}")
        examples = stream.examples(ends[turn - 1], ends[turn])
        one.run("train", [examples])
        for place, driver in enumerate(apart):
            driver.run("train", [examples[place :: len(apart)]])
        bounds.one.append(accuracy(look(one, stream), stream))
        bounds.unmixed.append(float(np.mean([accuracy(look(driver, stream), stream) for driver in apart])))
    return bounds


def recovery(group: WithVersions, event: Event) -> float | None:
    """Return the seconds from an event until its server is active again, or for the first time; None: it never is."""
    return next(
        (stood.now - event.now for stood in group.stood if stood[1:] == (event.node, True) and stood.now > event.now),
        None,
    )


class Seen(NamedTuple):
    """What a learner has learnt: weights, features by classes (0 for those it does not know), and classes it knows."""

    weights: np.ndarray
    known: list[int]


def look(driver: Driver, stream: Stream) -> Seen:
    """Return a learner's weights in the stream's numbers."""
    model: Any = driver.parts.parts["model"]
    found = np.zeros((stream.X.shape[1], stream.n_classes))
    known = [(int(label), column) for label, column in model.known()]
    rows = feature_numbers(model.vocabulary.names)
    for label, column in known:
        found[rows, label] = model.arrays.weights[: len(rows), column]
    return Seen(found, [label for label, _ in known])


def accuracy(seen: Seen, stream: Stream) -> float:
    """Return the share of test rows whose class gets the highest score."""
    if not seen.known:
        return 0.0
    scores = stream.X_test @ seen.weights
    return float(np.mean(np.array(seen.known)[scores[:, seen.known].argmax(axis=1)] == stream.y_test))


def _slices(start: int, stop: int) -> list[tuple[int, int]]:
    ends = np.linspace(start, stop, SLICES + 1).astype(np.int64).tolist()
    return list(pairwise(ends))


def _records(group: Group, stream: Stream, turn: int) -> list[Record]:
    seen = {node: look(driver, stream) for node, driver in group.drivers.items()}
    first = next(iter(seen.values())).weights
    length = max(_length(first), 1e-300)
    asked, newest = group.asked(), group.newest()
    return [
        Record(
            turn,
            node,
            accuracy(seen[node], stream),
            _length(seen[node].weights - first) / length,
            group.version(node),
            newest - group.version(node),
            node in asked,
            sum(driver.run("get_labels", []).values()),
        )
        for node, driver in group.drivers.items()
    ]


def _length(found: np.ndarray) -> float:
    return float(np.sqrt(np.square(found).sum()))  # by one thread: it is called often, on small arrays
