"""Jubatus' MIX without and with versions: a lost message, a new server, and one that comes back empty."""

from __future__ import annotations

from collections.abc import Callable

from hogwild.experiments.findings import Experiment, Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.experiments.jubatus_mix.groups import WithoutVersions, WithVersions
from hogwild.experiments.jubatus_mix.running import (
    ADDED_AT,
    DEAF,
    KILLED,
    LOST_AT,
    NEW,
    RESTARTED_AT,
    ROUNDS,
    SECONDS,
    SERVERS,
    Bounds,
    Record,
    Run,
    recovery,
    run_bounds,
    run_group,
)
from hogwild.experiments.jubatus_mix.stream import Stream, load_stream
from hogwild.report.parts import Lines

UPDATES = 512  # of each server a round: Jubatus' interval_count
LEAST_UPDATES = 20
EQUAL = 1e-9  # a distance below it is rounding
JUBATUS = "Jubatus 0.5.1"
FIRST = SERVERS[0]
KINDS = ("without versions", "with versions")


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    stream = load_stream(setting, len(SERVERS) * ROUNDS * setting.rows(UPDATES, LEAST_UPDATES))
    bounds = run_bounds(stream, setting)
    versioned = WithVersions()
    without = run_group(WithoutVersions(), stream, setting, KINDS[0])
    with_versions = run_group(versioned, stream, setting, KINDS[1])
    runs = dict(zip(KINDS, (without, with_versions), strict=True))
    seconds = [recovery(versioned, event) for event in with_versions.events]
    parts = [
        Remark(
            f"Four servers learn a stream together ({stream.about}; AROW, C = 1) and mix {ROUNDS} times. "
            f"The put_diff of round {LOST_AT} never reaches {DEAF}; before round {ADDED_AT}, {NEW} is added; {KILLED} "
            f"dies and comes back empty before round {RESTARTED_AT}. Nothing happens to {FIRST}. Without versions "
            "(Jubatus 0.5.0) servers exchange what they learnt since the last round and take it that all are equal. "
            "With versions (0.5.1, and here) a server whose model is old is found out, gets no clients, and fetches "
            "the model of another one. Both use the same learners and the same mean of changes; the versions' side "
            "runs the very machines of hogwild's servers, over a simulated network in virtual time."
        ),
        Remark(
            "Nobody has published figures for this: the text that proposed versions says that results on accuracy "
            "were planned."
        ),
        _happened(runs, seconds),
        *_served(stream, bounds, runs),
        *(_by_server(kind, found) for kind, found in runs.items()),
        _ends(stream, bounds, runs),
        _apart(runs),
        _behind(runs),
    ]
    return Findings(parts, statements(stream, bounds, without, with_versions))


def statements(stream: Stream, bounds: Bounds, without: Run, with_versions: Run) -> list[Statement]:
    """Return what the figures say.

    Parameters
    ----------
    stream : Stream
    bounds : Bounds
    without, with_versions : Run
    """
    before, after = without.served(), with_versions.served()
    one, unmixed = bounds.one[-1], bounds.unmixed[-1]
    ends = {record.node: record for record in without.at(ROUNDS)}
    steps = [after[turn - 1] - after[turn - 2] for turn in (ADDED_AT, RESTARTED_AT - 1, RESTARTED_AT)]
    joined = with_versions.of(NEW, ADDED_AT) + with_versions.of(KILLED, RESTARTED_AT)
    fallen = [turn for turn in range(2, ROUNDS + 1) if not _equal(with_versions, turn)]
    newcomers = without.of(NEW, ADDED_AT) + without.of(KILLED, RESTARTED_AT)
    others = {record.round: record.accuracy for record in without.of(FIRST)}
    held = {record.examples for record in with_versions.at(ROUNDS)}
    return [
        Statement(
            "Without versions, a server that missed one put_diff differs from the others to the end",
            all(record.distance > EQUAL for record in without.of(DEAF, LOST_AT)),
            JUBATUS,
        ),
        Statement(
            "Without versions, it feeds wrong diffs: examples that it had told already count twice in all others",
            ends[FIRST].examples > len(stream.y),
            JUBATUS,
        ),
        Statement(
            "Without versions, a server that is added, or comes back empty, lacks what was mixed before to the end",
            all(one.distance > EQUAL and one.behind > 0 for one in newcomers),
            JUBATUS,
        ),
        Statement(
            "Without versions, such a server answers worse than the others in every round",
            all(one.accuracy < others[one.round] for one in newcomers),
        ),
        Statement(
            "With versions, all servers are equal again one round after each of the three",
            all(turn == LOST_AT for turn in fallen),
            JUBATUS,
        ),
        Statement(
            "With versions, a server that is added, or comes back empty, answers as the others from its first round on",
            all(record.active and record.behind == 0 and record.distance < EQUAL for record in joined),
        ),
        Statement("With versions, every example counts exactly once in every server's model", held == {len(stream.y)}),
        Statement(
            "With versions, what clients are answered gets no worse when a server is added, dies or comes back",
            min(steps) > -0.05,
        ),
        Statement(
            "From the added server on, clients are answered better with versions than without",
            sum(after[ADDED_AT - 1 :]) > sum(before[ADDED_AT - 1 :]) + 0.02 * (ROUNDS - ADDED_AT + 1),
        ),
        Statement(
            "Mixed servers come closer to one server that learns everything than to servers that never mix",
            one - after[-1] < after[-1] - unmixed,
        ),
    ]


def _equal(found: Run, turn: int) -> bool:
    return all(record.distance < EQUAL for record in found.at(turn))


def _happened(runs: dict[str, Run], seconds: list[float | None]) -> Measured:
    rows = []
    for event, took in zip(runs[KINDS[1]].events, seconds, strict=True):
        unequal = [sum(one.distance > EQUAL for one in found.of(event.node, event.round)) for found in runs.values()]
        rows.append([f"{event.node} {event.what}", event.round, *unequal, ROUNDS - event.round + 1, took])
    columns = {
        "what happens": "",
        "round": "d",
        "after it, unequal without versions (rounds)": "d",
        "with versions (rounds)": "d",
        "of (rounds)": "d",
        "with versions, active after (s)": ".1f",
    }
    note = (
        f"Unequal: its weights are not those of {FIRST} after the round. Seconds are virtual: a round begins every "
        f"{SECONDS + 1:.0f} s, messages take 1 ms; the master waits 10 s for an answer before it strikes a server off."
    )
    return Measured("events", "Three things that go wrong", columns, rows, note)


def _served(stream: Stream, bounds: Bounds, runs: dict[str, Run]) -> list[Measured | Picture]:
    lines = {
        "one server with everything": bounds.one,
        **{f"4 to 5 servers, {kind}": found.served() for kind, found in runs.items()},
        "4 servers that never mix": bounds.unmixed,
    }
    near = {turn + by for turn in (LOST_AT, ADDED_AT, RESTARTED_AT) for by in (-1, 0, 1)}
    turns = sorted(near | set(range(10, ROUNDS + 1, 10)) | {1, ROUNDS})
    rows = [[turn, *(line[turn - 1] for line in lines.values())] for turn in turns]
    columns = {"round": "d", **dict.fromkeys(lines, ".3f")}
    note = (
        f"Share of test rows that are answered rightly, mean over the servers that clients are sent to. {stream.about}."
    )
    plot = Lines(
        "What clients are answered",
        _round_label(stream),
        "accuracy",
        {name: (_turns(), line) for name, line in lines.items()},
        dashed=("one server with everything",),
    )
    return [Measured("accuracy", "Accuracy that clients get, by round", columns, rows, note), Picture("answers", plot)]


def _by_server(kind: str, found: Run) -> Picture:
    lines = {}
    for name, node, since in (("1 and 4", FIRST, 1), *_hit(found)):
        records = found.of(node, since)
        lines[name] = [one.round for one in records], [one.accuracy for one in records]
    plot = Lines(f"Accuracy of servers 1 to 5, {kind}", "round", "accuracy", lines, from_zero=True)
    return Picture(f"servers-{kind.replace(' ', '-')}", plot)


def _hit(found: Run) -> list[tuple[str, str, int]]:
    """Legend, node and round of the servers to which something happens; up to then they are as the others."""
    short = {DEAF: "2 misses a round", NEW: "5 is added", KILLED: "3 is back, empty"}
    return [(short[event.node], event.node, event.round) for event in found.events]


def _ends(stream: Stream, bounds: Bounds, runs: dict[str, Run]) -> Measured:
    rows = [
        [kind, one.node, one.accuracy, one.distance, one.version, one.behind, one.examples]
        for kind, found in runs.items()
        for one in found.at(ROUNDS)
    ]
    rows.append(["one server", "", bounds.one[-1], None, None, None, len(stream.y)])
    rows.append(["never mixed", "mean of 4", bounds.unmixed[-1], None, None, None, len(stream.y) // len(SERVERS)])
    columns = {
        "protocol": "",
        "server": "",
        "accuracy": ".3f",
        "distance": ".3f",
        "version": "d",
        "rounds it lacks": "d",
        "examples in its model": ",d",
    }
    note = (
        f"After round {ROUNDS}, when the stream has brought {len(stream.y):,} examples. Distance: of the weights from "
        f"those of {FIRST}, as a share of their length. Version: number of the round that made the model (rounds by "
        "which a server comes back are rounds too); without versions, how many put_diffs it has taken."
    )
    return Measured("end", "Servers at the end", columns, rows, note)


def _apart(runs: dict[str, Run]) -> Picture:
    plot = Lines(
        f"Distance of weights from {FIRST}'s, without versions",
        "round",
        "|w - w1| / |w1|",
        _of_hit(runs, lambda record: record.distance),
        from_zero=True,
    )
    return Picture("distance", plot)


def _behind(runs: dict[str, Run]) -> Picture:
    heading = "Rounds that a server's model lacks, without versions"
    plot = Lines(heading, "round", "rounds", _of_hit(runs, lambda record: record.behind), from_zero=True)
    return Picture("behind", plot)


def _of_hit(runs: dict[str, Run], value: Callable[[Record], float]) -> dict[str, tuple[list[int], list[float]]]:
    """Lines of the servers to which something happens, without versions, and of the worst one with them."""
    without, with_versions = runs.values()
    lines = {}
    for name, node, since in _hit(without):
        records = without.of(node, since)
        lines[name] = [one.round for one in records], [value(one) for one in records]
    worst = [max(value(one) for one in with_versions.at(turn)) for turn in _turns()]
    lines["any, with versions"] = _turns(), worst
    return lines


def _turns() -> list[int]:
    return list(range(1, ROUNDS + 1))


def _round_label(stream: Stream) -> str:
    return f"round (of {len(stream.y) / ROUNDS:,.0f} examples in all)"


EXPERIMENT = Experiment(
    "jubatus-mix",
    "Jubatus' MIX without and with versions",
    "Servers learn apart and mix what they have learnt by rounds. One misses a round, one is added, one comes back "
    "empty: what becomes of their models without versions (Jubatus 0.5.0) and with them (0.5.1, hogwild).",
    "svmlight files of two classes or more (to learn, and if you like a second one to test on)",
    run,
)
