"""The simulator with small machines: time, timers, links, lives, disks, the trace."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from cluster.simulation.toys import Alarm, Ball, Boss, Labourer, Player, Saver

from hogwild.cluster.protocol import (
    COORDINATOR,
    Chunk,
    Lease,
    Part,
    Phase,
    PhaseResult,
    Prepare,
    Prepared,
    Send,
    SetTimer,
    Start,
    Started,
)
from hogwild.cluster.simulation.cluster import SimulationError
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.faults import Faults, Injector, Planned
from hogwild.cluster.simulation.network import HEADER, Network, payload_bytes
from hogwild.cluster.simulation.simulator import Simulator
from hogwild.cluster.simulation.trace import EventLog, Trace


def kept(machine):
    """A factory that always gives the same machine."""
    return lambda disk, starts: machine


def game(network=None, seed=0, **options):
    a, b = Player(COORDINATOR, True), Player("worker/0", False)
    simulator = Simulator({COORDINATOR: kept(b), "worker/0": kept(a)}, network=network, seed=seed, **options)
    return simulator, a, b


def test_a_game_takes_its_delays():
    simulator, a, b = game(Network(Delay(0.25)))
    assert not simulator.run()
    assert simulator.finished
    assert [number for _, number in b.seen] == list(range(0, 101, 2))
    assert [number for _, number in a.seen] == list(range(1, 100, 2))
    assert simulator.now == pytest.approx(0.25 * 101)


def test_a_lossy_game_ends_by_its_timers():
    simulator, a, b = game(Network(Delay(0.01, 0.1), loss=0.3, duplication=0.3), seed=3)
    simulator.run()
    assert simulator.finished
    numbers = [number for _, number in (*a.seen, *b.seen)]
    assert set(numbers) >= set(range(101))
    assert len(numbers) > 101


def test_same_seed_same_hash():
    network = Network(Delay(0.01, 0.1), loss=0.1, duplication=0.1)
    digests = []
    for seed in (1, 1, 2):
        simulator, _, _ = game(network, seed)
        simulator.run()
        digests.append(simulator.trace.digest())
    assert digests[0] == digests[1] != digests[2]


def test_the_hash_of_a_run_in_pieces_is_the_same():
    whole, pieces = game(Network(Delay(0.01, 0.1)))[0], game(Network(Delay(0.01, 0.1)))[0]
    whole.run()
    while pieces.run(events=7):
        pieces.trace.digest()
    assert whole.trace.digest() == pieces.trace.digest()
    assert whole.trace.events == pieces.trace.events


def test_it_stops_at_a_time_and_after_a_number_of_events():
    simulator, _, _ = game(Network(Delay(0.5)))
    assert simulator.run(until=10.1)
    assert simulator.now <= 10.1
    before = simulator.trace.events
    assert simulator.run(events=5)
    assert simulator.trace.events == before + 5


@pytest.mark.parametrize(
    ("effects", "fired"),
    [
        ([SetTimer("a", 2.0), SetTimer("b", 1.0)], [(1.0, "b"), (2.0, "a")]),
        ([SetTimer("a", 1.0), SetTimer("a", 3.0)], [(3.0, "a")]),
        ([SetTimer("a", 3.0), SetTimer("a", 1.0)], [(1.0, "a")]),
        ([SetTimer("a", 1.0), SetTimer("a", None)], []),
        ([SetTimer("a", 1.0), SetTimer("a", None), SetTimer("a", 2.0)], [(2.0, "a")]),
        ([SetTimer("a", 3.0), SetTimer("a", 5.0), SetTimer("a", 4.0)], [(4.0, "a")]),
        ([SetTimer("a", None)], []),
    ],
)
def test_timers(effects, fired):
    alarm = Alarm(effects)
    Simulator({"worker/0": kept(alarm)}).run()
    assert alarm.fired == fired


def test_timers_of_an_earlier_life_do_not_fire():
    alarms = []

    def make(disk, starts):
        alarms.append(Alarm([SetTimer("a", 10.0)]))
        return alarms[-1]

    simulator = Simulator({COORDINATOR: kept(Boss(40.0)), "worker/0": make}, told=0.0)
    simulator.at(5.0, lambda: simulator.crash("worker/0", restart=2.0))
    simulator.run()
    assert alarms[0].fired == []
    assert alarms[1].fired == [(17.0, "a")]


def test_a_death_is_told_and_the_node_comes_back_from_its_disk():
    boss, lives = Boss(), []

    def make(disk, starts):
        lives.append(Saver(disk, starts))
        return lives[-1]

    simulator = Simulator(
        {COORDINATOR: kept(boss), "shard/0/0": make}, costs=Costs(write=0.5), start=Delay(3.0), telling=Delay(0.1)
    )
    simulator.at(7.2, lambda: simulator.crash("shard/0/0"))
    simulator.run()
    assert boss.lost == [(pytest.approx(7.3), "shard/0/0")]
    assert [life.starts for life in lives] == [0, 1]
    # the seventh write, begun at 7.0, was torn: it would have stood at 7.5
    assert lives[0].standing == [1, 2, 3, 4, 5, 6]
    assert lives[1].disk.number == 6


def test_copies_of_a_shard_share_a_disk():
    lives = {}
    simulator = Simulator(
        {
            COORDINATOR: kept(Boss(20.0)),
            "shard/0/0": Saver,
            "shard/0/1": lambda disk, starts: lives.setdefault(starts, Alarm([])) and Saver(disk, starts),
        },
        told=0.0,
    )
    simulator.at(3.5, lambda: simulator.crash("shard/0/1", restart=1.0))
    simulator.run()
    assert simulator.nodes["shard/0/1"].machine.disk.number == 4


def test_a_node_that_is_started_while_it_runs_is_killed_first():
    class Impatient(Boss):
        def handle(self, now, event):
            effects = super().handle(now, event)
            return [Start("worker/0"), Start("worker/0"), *effects] if isinstance(event, Started) else effects

    starts = []
    simulator = Simulator(
        {COORDINATOR: kept(Impatient(30.0)), "worker/0": lambda disk, number: starts.append(number) or Alarm([])},
        start=Delay(1.0),
        told=0.0,
    )
    simulator.run()
    assert starts == [0, 1]


def test_partitions_stop_messages_until_they_heal():
    simulator, a, b = game(Network(Delay(0.1)))
    Injector(simulator, Faults(planned=(Planned(2.05, "partition", ("worker/0",), 5.0),)))
    simulator.run()
    assert simulator.finished
    times = [now for now, _ in sorted(a.seen + b.seen)]
    gaps = [(after - before) for before, after in pairwise(times)]
    assert max(gaps) >= 5.0 - 0.1 and simulator.trace.faults == {"partition": 1, "heal": 1}


def test_two_partitions_at_once_overlap():
    simulator = Simulator({name: kept(Alarm([])) for name in ("worker/0", "worker/1", "worker/2")})
    simulator.isolate(["worker/0", "worker/1"], 0)
    simulator.isolate(["worker/1"], 1)
    walls = [node.wall for node in simulator.nodes.values()]
    assert len(set(walls)) == 3
    simulator.heal(0)
    assert simulator.nodes["worker/0"].wall == simulator.nodes["worker/2"].wall != simulator.nodes["worker/1"].wall


def test_large_messages_queue_on_the_link():
    class Burst(Alarm):
        pass

    got = []

    class Sink:
        def handle(self, now, event):
            if hasattr(event, "message"):
                got.append((now, event.message.number))
            return []

    sends = [Send("worker/1", Ball(number)) for number in range(3)]
    network = Network(Delay(1.0), bandwidth=1_000.0, size=lambda message: 100)
    Simulator({"worker/0": kept(Burst(sends)), "worker/1": kept(Sink())}, network=network).run()
    assert got == [(pytest.approx(1.1 + 0.1 * i), i) for i in range(3)]


def test_messages_pass_the_receivers_processor_one_by_one():
    got = []

    class Sink:
        def handle(self, now, event):
            if hasattr(event, "message"):
                got.append(now)
            return []

    machines = {f"worker/{i}": kept(Alarm([Send("shard/0/0", Ball(i))])) for i in range(4)}
    Simulator({**machines, "shard/0/0": kept(Sink())}, network=Network(Delay(1.0), handling=0.25)).run()
    assert got == pytest.approx([1.25, 1.5, 1.75, 2.0])


def phase(rows):
    part = Part(Lease(0, 1, Chunk(0, rows), 0, rows), 0, rows)
    return Phase((part,), (), 0.0, 1, ())


class Echo:
    def run(self, job):
        if isinstance(job, Prepare):
            return Prepared(())
        rows = job.parts[0].stop
        return PhaseResult((), (), rows, float(rows), 0.5 * rows, float("nan"))


def test_jobs_follow_each_other_at_the_workers_rate():
    labourer = Labourer((Prepare((), True), phase(100), phase(50)))
    simulator = Simulator(
        {"worker/0": kept(labourer)},
        workloads=lambda name: Echo(),
        costs=Costs(rate=100.0, prepare=0.25, overhead=0.5, factors={"worker/0": 2.0}),
    )
    simulator.run()
    assert [(now, ticket) for now, ticket, _ in labourer.done] == [(0.5, 0), (3.5, 1), (5.5, 2)]
    assert [(done.now, done.rows, done.loss) for done in simulator.trace.phases] == [(3.5, 100, 50.0), (5.5, 50, 25.0)]


def test_stragglers_are_drawn():
    costs = Costs(rate=1.0, spread=0.5, noise=0.3, stalls=0.5, stall=Delay(10.0))
    draw = costs.clock(np.random.default_rng(0))
    spans = np.array([draw("worker/0", phase(1)) for _ in range(2_000)])
    assert 0.45 < (spans > 10).mean() < 0.55
    quick = np.log(spans[spans < 10])
    assert quick.std() == pytest.approx(0.3, rel=0.1)


def test_a_log_holds_messages_and_jobs():
    simulator, _, _ = game(Network(Delay(0.5), loss=0.1), seed=5, trace=Trace(EventLog(start=3.0, stop=20.0)))
    simulator.run()
    log = simulator.trace.log
    assert log.messages and all(3.0 <= each.sent <= 20.0 and each.size == HEADER for each in log.messages)
    assert {each.name for each in log.messages} == {"Ball"}
    assert any(each.received is None for each in log.messages)


def test_a_machine_that_fails_is_named():
    class Broken:
        def handle(self, now, event):
            raise KeyError("missing")

    with pytest.raises(SimulationError, match=r"worker/0 failed at 0.000000 s.*KeyError\('missing'\)"):
        Simulator({"worker/0": kept(Broken())}).run()


def test_serialized_messages_are_copies():
    sent, got = np.zeros(3), []

    class Sink:
        def handle(self, now, event):
            if hasattr(event, "message"):
                got.append(event.message)
            return []

    alarm = Alarm([Send("worker/1", sent)])
    Simulator({"worker/0": kept(alarm), "worker/1": kept(Sink())}, serialize=True).run()
    assert np.array_equal(got[0], sent) and got[0] is not sent


def test_sizes_count_arrays():
    assert payload_bytes({"a": (np.zeros(4, np.float32), [1, 2.0, None])}) == 1 + 16 + 16


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (partial(Network, loss=1.5), "probabilities"),
        (partial(Network, bandwidth=0.0), "positive"),
        (partial(Costs, rate=0.0), "positive"),
        (partial(Delay, -1.0), "negative"),
    ],
)
def test_bad_settings(make, match):
    with pytest.raises(ValueError, match=match):
        make()
