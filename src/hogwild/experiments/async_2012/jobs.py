"""The simulated job that parts share: 16 workers with real steps, in virtual time."""

from __future__ import annotations

from hogwild.cluster.consistency import Consistency
from hogwild.cluster.simulation.job import Simulation, simulate
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.scenario import Scenario
from hogwild.experiments.async_2012.problem import EPOCHS, JUDGES, Problem

WORKERS, SHARDS = 16, 2
SECONDS = 60.0  # of virtual time; a worker that nothing disturbs finishes `Problem.phases` phases in it


def make_job(problem: Problem) -> RealJob:
    """Make the job; with twice the epochs that fit into SECONDS none of its workers runs out of rows."""
    rows = problem.X, problem.y
    return RealJob(problem.estimator(2 * EPOCHS), rows, shards=SHARDS, workers=WORKERS, judges=JUDGES)


def run_job(job: RealJob, problem: Problem, policy: Consistency, points: int, **changes: object) -> Simulation:
    """Run it for SECONDS; its curve has about `points` points, `changes` are those of the scenario."""
    scenario = Scenario(
        workers=WORKERS,
        shards=SHARDS,
        consistency=policy,
        phase_rows=problem.phase_rows,
        rate=problem.phase_rows * problem.phases / SECONDS,
        noise=0.1,
        **changes,
    )
    # `points` of a simulation are for all epochs of the estimator: twice as many as fit into SECONDS
    return simulate(job=job, scenario=scenario, until=SECONDS, points=2 * points)
