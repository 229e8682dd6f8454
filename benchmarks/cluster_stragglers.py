"""Slow workers under BSP, SSP(4) and ASP, with and without leases: throughput and time to a loss, in virtual time.

Real kernels on real rows, coordinated by the machines of a cluster in virtual time (`hogwild.cluster.simulate`).
Workers are so slow that the undisturbed job takes a minute. Constant: one worker takes ten times as long; random: a
phase in twenty stalls for five seconds on average.
"""

from __future__ import annotations

import argparse
import time
from itertools import product

from cluster_rules import make, tuned
from tables import console, recorded, show

from hogwild.cluster.simulation.job import simulate
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.scenario import Scenario
from hogwild.data import make_rcv1_like

SECONDS, PHASES, SHARDS = 60.0, 40, 2  # of the undisturbed job, and phases of a worker in it
SITUATIONS = {
    "undisturbed": {},
    "one worker 10 times slower": {"slow": {0: 10.0}},
    "random stalls": {"stalls": 0.05, "stall_seconds": 5.0},
}


@recorded
def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--goal", type=float, default=1.15, help="times the loss of one worker after all epochs")
    parser.add_argument("--small", action="store_true", help="few rows and workers")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    if args.small:
        args.rows, args.epochs, args.workers = 4_000, 2, [4]
    X, y = make_rcv1_like(args.rows, 2_000 if args.small else 47_236)
    eta0, _ = tuned(X, y, args.epochs)
    alone = simulate(make(eta0, args.epochs), (X, y), workers=1, shards=SHARDS, points=1).losses[-1][1]
    goal = args.goal * alone
    for workers in args.workers:
        rows = []
        total = X.shape[0] * args.epochs
        phase_rows = max(1, total // workers // PHASES)
        settings = product(SITUATIONS.items(), ("bsp", "ssp", "asp"), (False, True))
        job = RealJob(make(eta0, args.epochs), (X, y), shards=SHARDS, workers=workers)
        for (situation, changes), policy, leases in settings:
            scenario = Scenario(
                workers=workers,
                shards=SHARDS,
                consistency=policy,
                leases=leases,
                phase_rows=phase_rows,
                rate=total / workers / SECONDS,
                noise=0.1,
                **changes,
            )
            began = time.perf_counter()
            run = simulate(job=job, scenario=scenario, points=120)
            reached = next((now for now, loss in run.losses if loss <= goal), None)
            rows.append(
                {
                    "situation": situation,
                    "policy": repr(scenario.consistency),
                    "leases": "yes" if leases else "no",
                    "rows/s": round(run.rows_per_second),
                    "all epochs, s": round(run.seconds, 1),
                    f"to loss {goal:.3f}, s": "never" if reached is None else f"{reached:.1f}",
                    "loss at the end": run.losses[-1][1],
                    "waiting": f"{100 * run.share[2]:.0f} %",
                    "staleness": run.mean_staleness,
                }
            )
            if args.verbose:
                console.print(f"{workers} {rows[-1]} ({time.perf_counter() - began:.1f} s)")
        job.close()
        title = f"{workers} workers, {SHARDS} shards, RCV1-like {args.rows:,} x {X.shape[1]:,}, {args.epochs} epochs"
        show(f"{title}, phases of {phase_rows:,} rows, loss of one worker {alone:.4f}", rows)


if __name__ == "__main__":
    main()
