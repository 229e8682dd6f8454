"""Whole jobs in virtual time: what they report."""

from __future__ import annotations

import pytest

from hogwild.cluster.consistency import ASP, BSP, SSP
from hogwild.cluster.protocol import Chunk
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.coverage import Coverage
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.faults import Faults, Planned
from hogwild.cluster.simulation.network import Network
from hogwild.cluster.simulation.run import run
from hogwild.cluster.simulation.trace import EventLog

CHUNKS = [Chunk(number, 1_000 + 100 * number) for number in range(20)]
ROWS = sum(chunk.rows for chunk in CHUNKS)


@pytest.mark.parametrize("consistency", [BSP, SSP(2), ASP])
def test_a_calm_job_steps_every_row(consistency):
    result = run(JobSettings(workers=4, shards=2, phase_rows=500, consistency=consistency), CHUNKS, 3, seed=2)
    assert result.finished and result.failed is None
    coverage = result.checker.coverage
    assert coverage.rows - coverage.twice == 3 * ROWS
    assert coverage.twice < 0.01 * coverage.rows  # rows that were taken from a slow worker while it stepped them
    assert [epoch.turn for epoch in result.epochs] == [1, 2, 3]
    assert sum(result.staleness.values()) == 2 * len(result.trace.phases)
    assert sum(rows for _, rows in result.throughput) * result.seconds / 200 == pytest.approx(result.rows)
    assert result.rows >= coverage.rows and result.losses[0][1] > result.losses[-1][1]
    assert set(result.shares) == {f"worker/{i}" for i in range(4)}
    messages, size = result.sent["worker/0"]["PushPull"]
    assert messages > 10 and size > 256 * messages


def test_a_constant_straggler_holds_up_bulk_synchronous_workers_alone():
    costs = Costs(rate=1e4, factors={"worker/0": 5.0})
    seconds = {
        policy: run(
            JobSettings(workers=4, phase_rows=500, consistency=policy, leases=False), CHUNKS, 4, costs=costs, until=1e4
        )
        for policy in (BSP, ASP)
    }
    rows = {
        policy: sum(phase.rows for phase in result.trace.phases if phase.now < 4.0)
        for policy, result in seconds.items()
    }
    assert rows[ASP] > 2 * rows[BSP]


def test_losses_are_counted_and_checkpoints_bring_back_the_rest():
    settings = JobSettings(
        workers=3, shards=2, phase_rows=500, checkpoint_every=0.5, resend=0.1, heartbeat=0.1, shard_timeout=1.0
    )
    crash = Faults(planned=(Planned(2.0, "crash", ("shard/1/0",)),))
    result = run(settings, CHUNKS, 3, faults=crash, costs=Costs(rate=1e4), start=Delay(0.2), seed=1)
    assert result.finished and result.checker.restores == 1
    assert 0 < result.checker.lost < 0.7 * 3e4 / 500


def test_copies_lose_nothing():
    settings = JobSettings(
        workers=3, shards=2, replicas=2, phase_rows=500, resend=0.1, heartbeat=0.1, shard_timeout=1.0
    )
    crash = Faults(planned=(Planned(1.0, "crash", ("shard/1/0",)), Planned(2.5, "crash", ("shard/1/1",))))
    result = run(settings, CHUNKS, 3, faults=crash, costs=Costs(rate=1e4), start=Delay(0.2), seed=1)
    assert result.finished and result.checker.restores == result.checker.lost == 0
    assert result.faults == {"crash": 2}


def test_planned_joins_leaves_and_stops():
    plan = (
        Planned(0.5, "join"),
        Planned(1.0, "leave", ("worker/0",)),
        Planned(1.5, "partition", ("worker/1",), 0.2),
        Planned(4.0, "stop"),
    )
    settings = JobSettings(workers=2, phase_rows=500, resend=0.1, heartbeat=0.1, worker_timeout=1.0)
    result = run(settings, CHUNKS, 100, faults=Faults(planned=plan), costs=Costs(rate=1e4), seed=1)
    assert result.finished and 4.0 <= result.seconds < 5.0
    assert {phase.worker for phase in result.trace.phases} == {"worker/0", "worker/1", "worker/2"}
    assert max(phase.now for phase in result.trace.phases if phase.worker == "worker/0") < 1.1


def test_an_unknown_fault_is_an_error():
    with pytest.raises(ValueError, match="'earthquake' is no fault"):
        run(JobSettings(), CHUNKS, faults=Faults(planned=(Planned(0.0, "earthquake"),)))


def test_the_messages_of_one_round_are_kept():
    log = EventLog(clock=2)
    result = run(JobSettings(workers=2, shards=2, phase_rows=500), CHUNKS, network=Network(Delay(0.001)), log=log)
    assert result.log is log
    names = [each.name for each in log.messages]
    assert names.count("PushPull") == 4 and names.count("Pulled") == 4
    assert all(each.received > each.sent for each in log.messages)
    assert 0 < len(log.jobs()) < len(log.spans)


def test_a_slow_network_takes_its_time():
    settings = JobSettings(workers=4, phase_rows=500)
    fast, slow = (
        run(settings, CHUNKS, row_bytes=1_000, network=Network(bandwidth=bandwidth), costs=Costs(rate=1e6))
        for bandwidth in (float("inf"), 1e7)
    )
    assert slow.seconds > fast.seconds + ROWS * 1_000 / 1e7 * 0.9  # all pass the shard's link


def test_store_and_workload_belong_together():
    with pytest.raises(ValueError, match="belong together"):
        run(JobSettings(), CHUNKS, workload=lambda name: None)


def test_coverage_counts_what_is_covered_twice():
    from hogwild.cluster.protocol import Lease, Part

    def part(start, stop, number=0):
        return Part(Lease(number, 1, Chunk(0, 100), 0, 100), start, stop)

    coverage = Coverage()
    assert coverage.add([part(10, 20)]) == 0
    assert coverage.add([part(20, 30)]) == 0
    assert coverage.add([part(50, 60)]) == 0
    assert coverage.add([part(15, 55)]) == 20
    assert coverage.gaps([Chunk(0, 100)], 1) == ["turn 1, chunk 0: [(10, 60)] of 100 rows"]
    assert coverage.add([part(0, 100)]) == 50
    assert not coverage.gaps([Chunk(0, 100), Chunk(1, 0)], 1)
    assert (coverage.rows, coverage.twice) == (170, 70)
