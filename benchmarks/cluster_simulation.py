"""Events a second of the simulated cluster: 1,000 workers, the real machines, sampled durations.

Without and with all invariants checked after every event.
"""

from __future__ import annotations

import argparse
import gc
import time

from tables import recorded, show

from hogwild.cluster.consistency import SSP
from hogwild.cluster.protocol import Chunk
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.network import Network
from hogwild.cluster.simulation.run import build


def measure(workers: int, shards: int, events: int, runs: int, *, check: bool) -> dict[str, object]:
    """Events a second of the best and the median of some spans of one run."""
    simulator, _, _ = build(
        JobSettings(workers=workers, shards=shards, phase_rows=2_000, consistency=SSP(4)),
        [Chunk(number, 20_000) for number in range(20 * workers)],
        1_000,
        seed=1,
        check=check,
        key_sets=0,
        network=Network(Delay(0.0002, 0.0002), bandwidth=1e9),
        costs=Costs(rate=1e5, noise=0.2),
    )
    simulator.run(events=25 * workers)
    gc.collect()
    gc.freeze()
    walls, processors = [], []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        simulator.run(events=events)
        walls.append(events / (time.perf_counter() - wall))
        processors.append(events / (time.process_time() - processor))
    return {
        "": "every event checked" if check else "no checks",
        "events/s, best": f"{max(walls):,.0f}",
        "events/s, median": f"{sorted(walls)[runs // 2]:,.0f}",
        "events a processor second, best": f"{max(processors):,.0f}",
        "virtual seconds": simulator.now,
    }


@recorded
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    show(
        f"{options.workers:,} workers, {options.shards} shards, SSP(4)",
        [
            measure(options.workers, options.shards, options.events, options.runs, check=check)
            for check in (False, True)
        ],
    )


if __name__ == "__main__":
    main()
