"""What all machines of one job share."""

from __future__ import annotations

from dataclasses import dataclass, field

from hogwild.cluster.consistency import Consistency


@dataclass(frozen=True)
class JobSettings:
    """Settings of one job.

    Attributes
    ----------
    shards, replicas : int
        Parameter shards, and copies of each (1 or 2).
    consistency : Consistency
    phase_rows : int or None
        Rows that a worker steps between two exchanges; None: chosen by measuring, from `first_phase_rows` on.
    first_phase_rows, most_phase_rows : int
    progress_every : float
        Seconds between two reports of a worker, at least, as long as it has rows: each costs a call, like a push.
    leases : bool
        Whether fast workers take chunks from slow ones and phases are paced by each worker's rate. False: chunk i
        belongs to worker i modulo `workers`, phases have equal length (for comparison), and goes to another one only
        where its own is lost.
    workers : int
        Expected number; for ``leases=False``, and for how many rows are leased ahead.
    resend, heartbeat : float
        Seconds until something unanswered is repeated, and between signs of life.
    worker_timeout, shard_timeout : float
        Seconds of silence after which a node counts as lost.
    compute_timeout : float
        A worker whose job takes longer than this, and `patience` times the median of the workers' phases, is evicted:
        its chunks go to others, and nobody waits for it any more.
    patience : float
    give_up : float
        Seconds without a word from any worker after which the job fails.
    checkpoint_every : float or None
        Seconds between checkpoints; None: none.
    """

    shards: int = 1
    replicas: int = 1
    consistency: Consistency = field(default_factory=Consistency)
    phase_rows: int | None = None
    first_phase_rows: int = 8_000
    most_phase_rows: int = 1 << 20
    progress_every: float = 0.05
    leases: bool = True
    workers: int = 1
    resend: float = 2.0
    heartbeat: float = 2.0
    worker_timeout: float = 20.0
    shard_timeout: float = 20.0
    compute_timeout: float = 60.0
    patience: float = 20.0
    give_up: float = 120.0
    checkpoint_every: float | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("shards", "workers", "first_phase_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)!r}")
        if self.replicas not in (1, 2):
            raise ValueError(f"replicas must be 1 or 2, found {self.replicas!r}")
        if self.phase_rows is not None and self.phase_rows < 1:
            raise ValueError(f"phase_rows must be at least 1, found {self.phase_rows!r}")


def shard_node(shard: int, replica: int) -> str:
    """Name of a shard's node."""
    return f"shard/{shard}/{replica}"


def worker_node(number: int) -> str:
    """Name of a worker's node."""
    return f"worker/{number}"


def number_of(node: str) -> int:
    """Number of a worker or shard."""
    return int(node.split("/")[1])
