"""Jobs under faults of every kind, every invariant checked after every event."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.simulation.soak import job, soak

from hogwild.cluster.simulation.run import run

EVENTS = 20_000
FEW = 8


@pytest.mark.parametrize("seed", range(FEW))
def test_nothing_breaks(seed):
    results = soak(seed, EVENTS // 4)
    assert sum(result.events for result in results) >= EVENTS // 4


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 25))
def test_nothing_breaks_under_200_seeds(first):
    for seed in range(first, first + 25):
        results = soak(seed, EVENTS)
        assert sum(result.events for result in results) >= EVENTS
        assert all(result.checker.checks for result in results)


def test_faults_of_every_kind_are_drawn():
    jobs = [job(seed) for seed in range(200)]
    faults = [each["faults"] for each in jobs]
    for name in ("worker_crashes", "shard_crashes", "leaves", "joins", "partitions"):
        assert sum(getattr(each, name) > 0 for each in faults) > 80
    networks = [each["network"] for each in jobs]
    assert sum(each.loss > 0 for each in networks) > 80 and sum(each.duplication > 0 for each in networks) > 80
    settings = [each["settings"] for each in jobs]
    assert {(each.consistency, each.replicas) for each in settings} == {
        (consistency, replicas) for consistency in {each.consistency for each in settings} for replicas in (1, 2)
    }
    assert len({each.consistency for each in settings}) == 4


def test_the_same_seed_makes_the_same_run():
    first, again, other = (run(**{**job(seed, 0, 4_000), "events": 50_000}) for seed in (11, 11, 13))
    assert first.digest == again.digest != other.digest
    assert first.faults == again.faults and first.losses == again.losses and first.sent == again.sent


def test_the_hashes_of_texts_do_not_matter():
    program = (
        "from cluster.simulation.soak import job\nfrom hogwild.cluster.simulation.run import run\n"
        "print([run(**{**job(seed, 0, 2_000), 'events': 40_000}).digest for seed in range(3)])"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    shown = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1]
