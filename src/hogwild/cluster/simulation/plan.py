"""``hogwild.cluster.plan``: which consistency, phase length and number of workers reaches a loss soonest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sklearn.base import BaseEstimator

from hogwild.cluster.consistency import Consistency, resolve_consistency
from hogwild.cluster.simulation.job import Simulation, simulate
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.scenario import Scenario
from hogwild.engine.training import DivergedError

AS_GOOD = 1.02  # of the loss of one worker: what is to be reached where no goal is given


@dataclass(frozen=True)
class Candidate:
    """One setting, and what came of it in virtual time.

    Attributes
    ----------
    workers : int
    consistency : Consistency
    phase_rows : int or None
        None: chosen while the job runs.
    seconds_to_goal : float or None
        None: it is not reached.
    seconds, loss : float
        Of all epochs, and at their end, on rows of the data; infinity where the job diverged.
    rows_per_second : float
    nbytes : int
        Bytes sent by all nodes.
    compute, exchange, waiting : float
        Shares of the workers' time.
    last_phase_rows : int
        Length of phases at the end.
    why : str
        Why the job failed; empty where it did not.
    """

    workers: int
    consistency: Consistency
    phase_rows: int | None
    seconds_to_goal: float | None
    seconds: float
    loss: float
    rows_per_second: float
    nbytes: int
    compute: float
    exchange: float
    waiting: float
    last_phase_rows: int
    why: str = ""

    @property
    def flags(self) -> str:
        """Flags of ``hogwild cluster train`` for this setting."""
        words = [f"--workers {self.workers}"]
        staleness = self.consistency.staleness
        name = {0: "bsp", None: "asp"}.get(staleness, "ssp")
        words.append(f"--consistency {name}" + (f" --staleness {staleness}" if name == "ssp" else ""))
        return " ".join(words + ([f"--phase-rows {self.phase_rows}"] if self.phase_rows else []))


@dataclass(frozen=True)
class Plan:
    """What was tried.

    Attributes
    ----------
    candidates : list of Candidate
        The soonest first, then those that do not reach the goal, by their loss.
    goal : float
        Loss to be reached.
    alone : Candidate
        One worker, whose loss the goal comes from where none is given.
    scenario : Scenario
        The described cluster.
    rows, epochs : int
    """

    candidates: list[Candidate]
    goal: float
    alone: Candidate
    scenario: Scenario
    rows: int
    epochs: int

    @property
    def best(self) -> Candidate:
        """The one that reaches the goal soonest (where none does: has the lowest loss)."""
        return self.candidates[0]

    @property
    def command(self) -> str:
        """How to run the best on a cluster."""
        return f"hogwild cluster train DATA... --model MODEL {self.best.flags} --shards {self.scenario.shards}"


def plan(
    estimator: BaseEstimator,
    data: Any,
    *,
    workers: Sequence[int] = (1, 2, 4, 8),
    consistencies: Sequence[Consistency | str] = ("bsp", "ssp", "asp"),
    phase_rows: Sequence[int | None] = (None,),
    loss_goal: float | None = None,
    scenario: Scenario | None = None,
    epochs: int | None = None,
    points: int = 50,
    callback: Callable[[int, int], Any] | None = None,
    **changes: Any,
) -> Plan:
    """Simulate a grid of settings of a described cluster with real kernels on (a sample of) the data.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    data : tuple of (X, y) or (X, y, sample_weight), or Source
    workers, consistencies, phase_rows : sequence
        The grid; a phase length of None is chosen while the job runs. Settings whose phases are longer than a worker's
        part of the rows are left out.
    loss_goal : float, optional
        Mean loss on rows of the data; by default 2 % above what one worker has at the end.
    scenario : Scenario, optional
        The cluster; `changes` differ from it.
    epochs : int, optional
        The estimator's by default.
    points : int
        Of every loss curve: the goal is met between two of them.
    callback : callable, optional
        Called with the number of settings done and of all.
    **changes
        Parameters of `Scenario`.

    Returns
    -------
    Plan

    Examples
    --------
    >>> from hogwild import SGDClassifier
    >>> from hogwild.cluster.simulation.plan import plan
    >>> from hogwild.data import make_rcv1_like
    >>> estimator = SGDClassifier(learning_rate="adagrad", eta0=0.3, max_iter=2, random_state=0)
    >>> found = plan(estimator, make_rcv1_like(1_000, 100), workers=(2,), consistencies=("ssp",), phase_rows=(100, 200))
    >>> found.best.workers, sorted(candidate.phase_rows for candidate in found.candidates)
    (2, [100, 200])
    """
    scenario = (scenario or Scenario()).changed(**changes)
    scenario = scenario.changed(slow={}) if scenario.slow and min(workers) <= max(scenario.slow) else scenario
    policies = [resolve_consistency(each) for each in consistencies]
    n_rows, candidates, alone, goal = 0, [], None, loss_goal
    done, grid = 0, list(product(sorted(set(workers)), phase_rows, policies))
    for count in sorted({1, *workers}):
        job = RealJob(
            estimator,
            data,
            shards=scenario.shards,
            workers=count,
            merge=scenario.merge,
            seed=scenario.seed,
            half=scenario.half,
        )
        n_rows = job.survey.n_rows
        try:
            if alone is None:
                first = scenario.changed(workers=1, consistency=policies[0], phase_rows=None)
                alone_run = _run(job, first, epochs, points)
                goal = AS_GOOD * _last(alone_run) if goal is None else goal
                alone = _candidate(first, alone_run, goal)
            for _, length, policy in [each for each in grid if each[0] == count]:
                if length is None or length * count <= n_rows:
                    tried = scenario.changed(workers=count, consistency=policy, phase_rows=length)
                    candidates.append(_candidate(tried, _run(job, tried, epochs, points), goal))
                done += 1
                if callback is not None:
                    callback(done, len(grid))
        finally:
            job.close()
    if not candidates:
        raise ValueError(f"phases of {min(filter(None, phase_rows)):,} rows are too long for {n_rows:,} rows")
    candidates.sort(key=lambda each: (each.seconds_to_goal or float("inf"), each.loss))
    return Plan(candidates, goal, alone, scenario, n_rows, epochs or estimator.max_iter)


def _run(job: RealJob, scenario: Scenario, epochs: int | None, points: int) -> Simulation | str:
    """Simulate; of a job that diverges, a word in place of the result."""
    try:
        return simulate(job=job, scenario=scenario, epochs=epochs, points=points)
    except DivergedError:
        return "diverged"


def _last(run: Simulation | str) -> float:
    return float("inf") if isinstance(run, str) else run.losses[-1][1]


def _candidate(scenario: Scenario, run: Simulation | str, goal: float) -> Candidate:
    setting = scenario.workers, scenario.consistency, scenario.phase_rows
    if isinstance(run, str):
        return Candidate(*setting, None, float("inf"), float("inf"), 0.0, 0, 0.0, 0.0, 0.0, 0, run)
    reached = next((now for now, loss in run.losses if loss <= goal), None)
    figures = run.rows_per_second, sum(run.sent.values()), *run.share, run.phase_rows[-1][1]
    return Candidate(*setting, reached, run.seconds, run.losses[-1][1], *figures, run.failed or "")
