"""How many rows a worker steps between two exchanges, chosen while the job runs."""

from __future__ import annotations

import math
from collections.abc import Sized
from statistics import median

from hogwild.cluster.protocol import Stats
from hogwild.cluster.settings import JobSettings

MOST_EXCHANGE = 0.3  # share of the time beyond which phases grow
LEAST_KEPT = 0.75  # of what workers push: where damping takes more, merges are rarer than is good for the model
FEWEST = 2_000  # rows of a phase, even if a pass has fewer than eight for every worker then
SLOWEST, FASTEST = 1 / 16, 4.0  # of the median rate, for the pace of a worker
PHASES_A_LOOK = 2  # that every worker reports before the length is looked at again


class PhaseLength:
    """The rule: double while exchange takes more than 30 % of the time and merges keep most of what is pushed.

    What damping takes grows with the phases, as the constant in front of the curvature, found by trying, follows what
    the model can bear: RCV1-like data, 400,000 rows, 2 workers, 5 epochs end at +.2 % of one thread's objective with
    phases of 2,000 rows (99.5 % kept in the first quarter of the run), 0 % with 25,000 (98 %), 0 % with 100,000 (90 %),
    +.2 % with 200,000 (84 %); with a constant that damps too much, at +1.4 % with 25,000 (76 %), +2.9 % with 100,000
    (65 %).

    Parameters
    ----------
    settings : JobSettings
    total_rows : int
        Of one pass: phases stay so short that every worker has at least eight in it.
    """

    def __init__(self, settings: JobSettings, total_rows: int) -> None:
        most = max(FEWEST, total_rows // (8 * settings.workers))
        self._most = min(most, settings.most_phase_rows)
        self.fixed = settings.phase_rows is not None
        self.rows = settings.phase_rows or min(settings.first_phase_rows, self._most)
        self.curve: list[tuple[float, int]] = [(0.0, self.rows)]
        self._seen: dict[str, Stats] = {}
        self._since: dict[str, Stats] = {}
        self._ready: set[str] = set()

    def forget(self, worker: str) -> None:
        """Leave a worker out that is no longer a member."""
        self._seen.pop(worker, None)
        self._since.pop(worker, None)
        self._ready.discard(worker)

    def report(self, worker: str, stats: Stats, members: Sized, now: float) -> bool:
        """Take a worker's sums; returns whether the length has changed."""
        if self.fixed:
            return False
        self._seen[worker] = stats
        since = self._since.setdefault(worker, Stats())
        if stats.phases - since.phases >= PHASES_A_LOOK:
            self._ready.add(worker)
        if len(self._ready) < len(members):
            return False
        self._ready.clear()
        compute = sum(each.compute - self._since[name].compute for name, each in self._seen.items())
        exchange = sum(each.exchange - self._since[name].exchange for name, each in self._seen.items())
        kept = [each.kept for each in self._seen.values() if not math.isnan(each.kept)]
        self._since = dict(self._seen)
        safe = not kept or median(kept) >= LEAST_KEPT
        if exchange <= MOST_EXCHANGE * (exchange + compute) or not safe or self.rows >= self._most:
            return False
        self.rows = min(2 * self.rows, self._most)
        self.curve.append((now, self.rows))
        return True


def paced(rows: int, rate: float, typical: float) -> int:
    """Rows of a phase of the worker that steps `rate` rows a second, so that all phases take equally long."""
    if rate <= 0 or typical <= 0:
        return rows
    return max(1, round(rows * min(max(rate / typical, SLOWEST), FASTEST)))
