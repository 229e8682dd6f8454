"""Jobs in which everything goes wrong, drawn by a seed."""

from __future__ import annotations

import numpy as np

from hogwild.cluster.consistency import ASP, BSP, SSP
from hogwild.cluster.protocol import Chunk
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.faults import Faults
from hogwild.cluster.simulation.network import Network
from hogwild.cluster.simulation.run import SimulationResult, run


def job(seed: int, number: int = 0, events: int = 20_000) -> dict:
    """Draw a job that takes about that many events, and its faults."""
    rng = np.random.default_rng([seed, number])
    workers, shards = int(rng.integers(2, 9)), int(rng.integers(1, 4))
    replicas = 1 + seed % 2
    settings = JobSettings(
        shards=shards,
        replicas=replicas,
        consistency=[BSP, SSP(1), SSP(4), ASP][seed // 2 % 4],
        phase_rows=None if seed % 3 else 1_000,
        first_phase_rows=500,
        most_phase_rows=2_000,
        leases=bool(rng.random() < 0.8),
        workers=workers,
        resend=0.2,
        heartbeat=0.2,
        worker_timeout=2.0,
        shard_timeout=2.0,
        compute_timeout=1.0,
        patience=20.0,
        give_up=1_000.0,
        checkpoint_every=[None, 0.5, 2.0][seed % 3],
    )
    told = float(rng.choice([0.0, 0.5, 1.0]))
    phases = events / (6.0 * shards * replicas)
    rows = rng.integers(500, 4_000, 40)
    chunks = [Chunk(number, int(each)) for number, each in enumerate(rows)]
    turns = max(1, round(phases * 1_000 / rows.sum()))
    faults = Faults(
        worker_crashes=rng.choice([0.0, 0.1, 0.5]),
        shard_crashes=rng.choice([0.0, 0.1, 0.3]),
        leaves=0.05,
        joins=0.15,
        partitions=rng.choice([0.0, 0.1, 0.2]),
        restart=None if told == 1.0 else Delay(0.05, 1.0),
        partition=Delay(0.1, float(rng.choice([0.5, 3.0]))),
        both_copies=bool(rng.random() < 0.3),
        spared=frozenset({"worker/0"}),
        most_joins=6,
    )
    network = Network(
        Delay(0.0002, float(rng.choice([0.0002, 0.005, 0.05]))),
        bandwidth=float(rng.choice([1e7, float("inf")])),
        loss=float(rng.choice([0.0, 0.01, 0.1])),
        duplication=float(rng.choice([0.0, 0.01, 0.1])),
    )
    costs = Costs(
        rate=1e5, spread=float(rng.choice([0.0, 0.5])), noise=0.2, stalls=float(rng.choice([0.0, 0.01])), write=0.02
    )
    return {
        "settings": settings,
        "chunks": chunks,
        "turns": turns,
        "faults": faults,
        "network": network,
        "costs": costs,
        "seed": 1_000 * number + seed,
        "told": told,
        "start": Delay(0.05, 0.3),
        "serialize": seed % 10 == 0,
        "fault_events": events,
    }


def soak(seed: int, events: int = 20_000, **changes) -> list[SimulationResult]:
    """Run such jobs until that many events have passed under faults; then nothing goes wrong any more, and it ends."""
    results, left = [], events
    while left > 0:
        drawn = {**job(seed, len(results), left), "events": 20 * events, **changes}
        results.append(run(**drawn))
        left -= results[-1].events
        assert results[-1].finished, (seed, len(results), results[-1].failed)
    return results
