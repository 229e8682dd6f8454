"""A described cluster: its nodes, their speed, the network between them, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import exp
from typing import Any

from hogwild.cluster.consistency import Consistency, resolve_consistency
from hogwild.cluster.protocol import Pulled, PushPull
from hogwild.cluster.settings import JobSettings, worker_node
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.faults import Faults, Planned
from hogwild.cluster.simulation.network import HEADER, Network, size_of

MERGES = ("self-tuned", "damped", "mean", "sum")


@dataclass(frozen=True)
class Scenario:
    """A cluster and a job on it, as far as they do not depend on the data.

    Parameters
    ----------
    workers, shards, replicas : int
    consistency : Consistency or {"bsp", "ssp", "asp"}
    phase_rows : int or None
        Rows between two exchanges of a worker; None: chosen while the job runs, as on a real cluster.
    leases : bool
        Whether fast workers take rows from slow ones.
    merge : {"self-tuned", "damped", "mean", "sum"}
        How a shard adds the deltas of several workers, where there are real kernels.
    rate : float
        Rows a second of a worker.
    overhead : float
        Seconds of every phase apart from its rows.
    slow : dict of int to float
        By number of a worker: how many times slower than the others it is, always.
    spread, noise : float
        Standard deviations of the logarithms of a constant factor of each worker, and of a factor of each phase.
    stalls, stall_seconds : float
        Probability that a phase stalls, and for how long on average (exponential).
    delay, jitter : float
        Seconds of a message on its way, and the mean of an exponential part that comes on top.
    bandwidth : float
        Bytes a second of each node's link, in each direction.
    handling : float
        Seconds of a node's processor for receiving a message.
    loss, duplication : float
        Probability that a message is lost, or comes twice.
    worker_crashes, shard_crashes, leaves, joins, partitions : float
        A second, over the whole cluster.
    planned : tuple of Planned
        Faults at given times.
    resend, heartbeat, timeout : float
        Seconds until something unanswered is repeated, between signs of life, and of silence until a node counts as
        lost.
    told : float
        Probability that the runtime knows of a death at once.
    half : bool
        Whether numbers travel as float16.
    seed : int

    Examples
    --------
    >>> scenario = Scenario(workers=4, consistency="bsp", slow={0: 10})
    >>> scenario.settings().consistency, scenario.costs().factors
    (BSP, {'worker/0': 10})
    """

    workers: int = 2
    shards: int = 2
    replicas: int = 1
    consistency: Consistency | str = field(default_factory=Consistency)
    phase_rows: int | None = None
    leases: bool = True
    merge: str = "self-tuned"
    rate: float = 5e6
    overhead: float = 0.0
    slow: dict[int, float] = field(default_factory=dict)
    spread: float = 0.0
    noise: float = 0.0
    stalls: float = 0.0
    stall_seconds: float = 1.0
    delay: float = 0.0005
    jitter: float = 0.0001
    bandwidth: float = 1.25e8
    handling: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    worker_crashes: float = 0.0
    shard_crashes: float = 0.0
    leaves: float = 0.0
    joins: float = 0.0
    partitions: float = 0.0
    planned: tuple[Planned, ...] = ()
    resend: float = 2.0
    heartbeat: float = 2.0
    timeout: float = 20.0
    told: float = 1.0
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check names and ranges."""
        object.__setattr__(self, "consistency", resolve_consistency(self.consistency))
        if self.merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(MERGES)}; found {self.merge!r}")
        for name in ("rate", "bandwidth", "resend", "heartbeat", "timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)!r}")
        for name in ("overhead", "spread", "noise", "stall_seconds", "delay", "jitter", "handling"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)!r}")
        strange = [number for number in self.slow if not 0 <= number < self.workers]
        if strange:
            raise ValueError(f"worker {strange[0]} is to be slow, but workers are numbered 0 to {self.workers - 1}")
        if any(not factor > 0 for factor in self.slow.values()):
            raise ValueError(f"slow workers need a positive factor, found {self.slow}")
        self.settings(), self.network(), self.costs()

    def changed(self, **changes: Any) -> Scenario:
        """Return another one that differs in some points."""
        return replace(self, **changes)

    def settings(self) -> JobSettings:
        """Settings of the job."""
        return JobSettings(
            shards=self.shards,
            replicas=self.replicas,
            consistency=self.consistency,
            phase_rows=self.phase_rows,
            leases=self.leases,
            workers=self.workers,
            resend=self.resend,
            heartbeat=self.heartbeat,
            worker_timeout=self.timeout,
            shard_timeout=self.timeout,
        )

    def network(self, size: Callable[[Any], int] | None = None) -> Network:
        """Links between the nodes; `size` as in `Network`."""
        delay = Delay(self.delay, self.jitter)
        return Network(delay, self.bandwidth, self.handling, self.loss, self.duplication, size)

    def costs(self) -> Costs:
        """Durations of jobs."""
        return Costs(
            rate=self.rate,
            overhead=self.overhead,
            factors={worker_node(number): factor for number, factor in self.slow.items()},
            spread=self.spread,
            noise=self.noise,
            stalls=self.stalls,
            stall=Delay(mean=self.stall_seconds),
        )

    def faults(self) -> Faults:
        """What goes wrong."""
        return Faults(
            worker_crashes=self.worker_crashes,
            shard_crashes=self.shard_crashes,
            leaves=self.leaves,
            joins=self.joins,
            partitions=self.partitions,
            planned=self.planned,
        )


class ModelSizes:
    """Sizes of messages about a linear model that is only imagined.

    Nonzeros are taken to fall on all keys alike: m rows with z of them touch ``keys * (1 - exp(-m z / keys))``. A push
    brings those, what is pulled all that the workers together have touched since; dense where that is smaller.

    Parameters
    ----------
    keys, nonzeros : int
        Keys of the whole model, and of a row.
    shards, workers : int
    number_bytes : int
        Of a number on its way.

    Examples
    --------
    >>> sizes = ModelSizes(keys=1_000_000, nonzeros=10, shards=2, workers=4)
    >>> round(sizes.touched(1_000)), sizes.payload(9_950.0)
    (9950, 39800)
    """

    def __init__(self, keys: int, nonzeros: int, shards: int, workers: int, number_bytes: int = 4) -> None:
        self.keys, self.nonzeros, self.shards, self.workers = keys, nonzeros, shards, workers
        self.number_bytes = number_bytes
        self._rows = 0  # of the last push

    def touched(self, rows: float) -> float:
        """Keys that so many rows touch."""
        return self.keys * (1 - exp(-rows * self.nonzeros / self.keys))

    def payload(self, touched: float) -> int:
        """Bytes of one shard's part of that many keys' numbers."""
        return round(min(touched * (4 + self.number_bytes), self.keys * self.number_bytes) / self.shards)

    def __call__(self, message: Any) -> int:
        """Bytes of a message."""
        kind = type(message)
        if kind is PushPull:
            if message.push is not None:
                self._rows = message.rows
                return HEADER + self.payload(self.touched(message.rows))
            return HEADER
        if kind is Pulled:
            return HEADER + self.payload(self.touched(self._rows * self.workers) if self._rows else self.keys)
        return size_of(message)
