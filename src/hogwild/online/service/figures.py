"""What a service has done so far."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass
class Trials:
    """Progressive validation: examples that were predicted just before they were learnt.

    Attributes
    ----------
    count : int
    total : float
        Of a classifier, how many were right; of a regression, the sum of absolute errors.
    recent : deque of float
        The last ones.
    """

    count: int = 0
    total: float = 0.0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=512))

    def add(self, value: float) -> None:
        """Add one."""
        self.count += 1
        self.total += value
        self.recent.append(value)

    @property
    def mean(self) -> float | None:
        """Over all, or None before the first."""
        return self.total / self.count if self.count else None

    @property
    def recent_mean(self) -> float | None:
        """Over the last ones, or None before the first."""
        return sum(self.recent) / len(self.recent) if self.recent else None


@dataclass
class Histogram:
    """How often values fell between bounds.

    Attributes
    ----------
    bounds : tuple of float
        Each is in the part that it ends.
    counts : list of int
        One more than there are bounds.
    total : float
        Sum of the values.
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Add one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = tuple(float(1 << power) for power in range(13))


@dataclass
class Figures:
    """Counts since the start; times are those of `time.time`, 0 where it never was.

    Attributes
    ----------
    started : float
    calls, errors : Counter
        By method; "?" stands for methods that do not exist.
    latency : Histogram
        Seconds from a call's coming to its answer.
    batches : Histogram
        Examples that the learner was given at once.
    learnt : int
        Updates applied: the examples of a call count one each.
    trials : Trials
    connections : int
        Open now.
    last_saved, last_loaded : float
    last_saved_path, last_loaded_path : str
    """

    started: float = field(default_factory=time.time)
    calls: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    batches: Histogram = field(default_factory=lambda: Histogram(_SIZES))
    learnt: int = 0
    trials: Trials = field(default_factory=Trials)
    connections: int = 0
    last_saved: float = 0.0
    last_saved_path: str = ""
    last_loaded: float = 0.0
    last_loaded_path: str = ""
