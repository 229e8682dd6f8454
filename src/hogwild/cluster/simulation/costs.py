"""How long nodes compute and write: rates, noise, stragglers, disks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp
from typing import Any

import numpy as np

from hogwild.cluster.protocol import Phase
from hogwild.cluster.simulation.delays import Delay, normals, uniforms


@dataclass(frozen=True)
class Costs:
    """Durations of jobs and of writes.

    A phase takes ``overhead + rows / rate``, times what the worker's straggling makes of it; `Prepare` takes `prepare`.

    Parameters
    ----------
    rate : float
        Rows a second of a worker.
    overhead, prepare : float
        Seconds of every phase apart from its rows, and of a job that only says what to pull.
    factors : dict of str to float
        By worker: how many times slower it is, always.
    spread : float
        Standard deviation of the logarithm of a further constant factor, drawn once for each worker.
    noise : float
        Standard deviation of the logarithm of a factor drawn for each job.
    stalls : float
        Probability that a job stalls.
    stall : Delay
        How long.
    disk : float
        Bytes a second of a snapshot's write.
    write : float
        Seconds of every write apart from its bytes.
    """

    rate: float = 1e6
    overhead: float = 0.0
    prepare: float = 0.0005
    factors: dict[str, float] = field(default_factory=dict)
    spread: float = 0.0
    noise: float = 0.0
    stalls: float = 0.0
    stall: Delay = field(default_factory=lambda: Delay(mean=1.0))
    disk: float = 5e8
    write: float = 0.01

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (self.rate > 0 and self.disk > 0 and 0 <= self.stalls <= 1):
            raise ValueError(f"rates must be positive and stalls a probability, found {self}")

    def clock(self, rng: np.random.Generator) -> Callable[[str, Any], float]:
        """Return a function of a worker's name and its job that draws the job's duration."""
        uniform, normal, stall = uniforms(rng), normals(rng), self.stall.stream(rng)
        constant: dict[str, float] = {}

        def duration(worker: str, job: Any) -> float:
            factor = constant.get(worker)
            if factor is None:
                factor = self.factors.get(worker, 1.0) * exp(self.spread * normal() if self.spread else 0.0)
                constant[worker] = factor
            seconds = self.prepare
            if type(job) is Phase:
                seconds = self.overhead + sum([part.stop - part.start for part in job.parts]) / self.rate
            seconds *= factor
            if self.noise:
                seconds *= exp(self.noise * normal())
            if self.stalls and uniform() < self.stalls:
                seconds += stall()
            return seconds

        return duration

    def writing(self, size: int) -> float:
        """Return the seconds that a snapshot of `size` bytes takes."""
        return self.write + size / self.disk
