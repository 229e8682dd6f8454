"""Two workers on a local Ray cluster, one of them slow or both stalling at random: policies with and without leases.

Each run lasts `--seconds`; a slow worker sleeps after each phase for a multiple of its time, a stall is a sleep.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from cluster_ray import ALPHA, objective
from tables import console, recorded, say, show

from hogwild import SGDClassifier
from hogwild.cluster.fitting import fit
from hogwild.cluster.protocol import Phase
from hogwild.cluster.ray import training
from hogwild.cluster.ray.host import Parts
from hogwild.cluster.ray.local import connected
from hogwild.data import make_rcv1_like

FACTOR = 5.0  # times as long as the other, of the slow worker
CHANCE, STALL = 0.01, 0.5  # of a phase to stall, and for how many seconds


@dataclass(frozen=True)
class SlowWorker(training.MakeWorker):
    """Makes workers that are slow in the way that is asked for."""

    kind: str = "none"

    def __call__(self, node: str, threads: int, incarnation: int, restored: None) -> Parts:
        """Wrap the workload."""
        parts = super().__call__(node, threads, incarnation, restored)
        rng, run, kind = np.random.default_rng(int(node[-1])), parts.run, self.kind

        def slowed(job: Any) -> Any:
            began = time.perf_counter()
            result = run(job)
            if isinstance(job, Phase) and kind == "constant" and node == "worker/0":
                time.sleep((FACTOR - 1) * (time.perf_counter() - began))
            elif isinstance(job, Phase) and kind == "random" and rng.random() < CHANCE:
                time.sleep(STALL)
            return result

        return parts._replace(run=slowed)


class Watch:
    """Stops a job when its time is over, and notes when the mean loss of an epoch was low enough."""

    def __init__(self, seconds: float, goal: float) -> None:
        self.seconds, self.goal, self.reached = seconds, goal, None
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] = (0.0, 0)

    def __call__(self, progress: Any) -> bool:
        """Note."""
        self.first = self.first or (progress.seconds, progress.rows)
        self.last = progress.seconds, progress.rows
        if progress.epoch_ended and progress.loss <= self.goal and self.reached is None:
            self.reached = progress.seconds - self.first[0]
        return progress.seconds - self.first[0] >= self.seconds

    @property
    def rows_per_second(self) -> float:
        """Throughput from the first report on."""
        return (self.last[1] - self.first[1]) / max(self.last[0] - self.first[0], 1e-9)


@recorded
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--phase-rows", type=int, default=25_000)
    parser.add_argument("--kinds", nargs="+", default=["none", "constant", "random"])
    parser.add_argument("--leases", choices=["yes", "no", "both"], default="both")
    options = parser.parse_args()
    X, y = make_rcv1_like(options.rows, random_state=0)
    sgd = SGDClassifier(
        "log_loss", alpha=ALPHA, learning_rate="invscaling", power_t=0.25, eta0=1.0, random_state=0, tol=None
    )
    goal = sgd.set_params(max_iter=20).fit(X, y).loss_curve_[-1]
    say(f"The goal is a loss of {goal:.4f}.")
    make, rows = training.MakeWorker, []
    with connected("local", cores=2):
        for kind in options.kinds:
            training.MakeWorker = lambda plan, kind=kind: SlowWorker(plan, kind)
            for policy in ("bsp", "ssp", "asp"):
                for leases in {"yes": (True,), "no": (False,), "both": (False, True)}[options.leases]:
                    watch = Watch(options.seconds, goal)
                    fitted = fit(
                        sgd.set_params(max_iter=100_000),
                        (X, y),
                        workers=2,
                        shards=2,
                        consistency=policy,
                        phase_rows=options.phase_rows,
                        leases=leases,
                        callback=watch,
                    )
                    waiting = [each.waiting for each in fitted.cluster_report_.workers]
                    rows.append(
                        {
                            "slow": kind,
                            "policy": policy,
                            "leases": "yes" if leases else "no",
                            "seconds": watch.last[0] - watch.first[0],
                            "rows/s": watch.rows_per_second,
                            "waiting, %": 100 * max(waiting),
                            "goal after, s": watch.reached,
                            "objective": objective(fitted, X, y),
                        }
                    )
                    console.print(rows[-1])
    training.MakeWorker = make
    show(f"Ray: {options.rows:,} rows, phases of {options.phase_rows:,}, runs of {options.seconds:g} s", rows)


if __name__ == "__main__":
    main()
