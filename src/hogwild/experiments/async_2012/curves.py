"""What the parts read off simulated jobs."""

from __future__ import annotations

import numpy as np

from hogwild.cluster.simulation.job import Simulation


def rows_until(run: Simulation, times: np.ndarray) -> np.ndarray:
    """Rows that all workers together had stepped by each of `times`."""
    ends = np.array([0.0, *(end for end, _ in run.throughput)])
    rates = np.array([rate for _, rate in run.throughput])
    done = np.concatenate([[0.0], np.cumsum(rates * np.diff(ends))])
    return np.interp(times, ends, done)


def loss_curve(run: Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Virtual times and losses of the shards' model."""
    times, losses = np.array(run.losses).T
    return times, losses


def loss_by_updates(run: Simulation, phase_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Updates (pushes of a worker's phase) and losses of the shards' model."""
    times, losses = loss_curve(run)
    return rows_until(run, times) / phase_rows, losses


def time_to(run: Simulation, goal: float) -> float | None:
    """Virtual time after which the loss was at most `goal` for the first time; None: never."""
    return next((now for now, loss in run.losses if loss <= goal), None)


def staleness_at(run: Simulation, share: float) -> int:
    """Return the staleness that this share of the pushes did not exceed."""
    counts = sorted(run.staleness.items())
    total, seen = sum(number for _, number in counts), 0
    for staleness, number in counts:
        seen += number
        if seen >= share * total:
            return staleness
    return 0
