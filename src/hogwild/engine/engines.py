"""The engines by name: frozen dataclasses that say who runs the steps; `resolve_engine` finds one."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

MERGES = ("damped", "self-tuned", "sum", "mean")


@dataclass(frozen=True)
class Sequential:
    """One thread, exact and reproducible, whatever `n_jobs` says."""


@dataclass(frozen=True)
class Replicas:
    """One copy of the parameters for each thread, merged into the shared copy every `interval` rows.

    Parameters
    ----------
    interval : int, optional
        Rows that a thread steps between merges. Default: by the number of threads (1,024 for two), or measured at the
        start of a long run (``tune=True``).
    head : int, optional
        Number of hottest features that are replicated; the others stay shared between threads. Default: all where a
        merge then costs little beside the steps, else as many as do.
    merge : {"damped", "self-tuned", "sum", "mean"}, default="damped"
        Factor of the deltas: by the curvature along each feature; the same with a constant that is chosen anew on 2,000
        rows; 1; 1 / n_threads.
    deterministic : bool, default=False
        Fixed parts, merges in thread order at barriers: the same bits on every run with the same `n_jobs`, versions and
        machine. Needs everything replicated.
    tune : bool, default=True
        Whether a long run may measure interval and head at its start. Never with ``deterministic``.
    """

    interval: int | None = None
    head: int | None = None
    merge: str = "damped"
    deterministic: bool = False
    tune: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.interval is not None and self.interval < 1:
            raise ValueError(f"interval must be at least 1 row, found {self.interval!r}")
        if self.head is not None and self.head < 0:
            raise ValueError(f"head must be at least 0 features, found {self.head!r}")
        if self.merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(MERGES)}; found {self.merge!r}")
        if self.deterministic and self.head is not None:
            raise ValueError("deterministic=True replicates everything: leave head unset")


@dataclass(frozen=True)
class Shared:
    """Classic HOGWILD! (Niu, Recht, Re, Wright 2011): all threads step on the same weights, without locks.

    The intercept, which every row touches, is kept per thread and merged every `interval` rows.
    """

    interval: int = 256


@dataclass(frozen=True)
class Atomic:
    """Like `Shared` with indivisible additions of components, as the HOGWILD! paper assumes."""

    interval: int = 256


@dataclass(frozen=True)
class Processes:
    """Classic HOGWILD! as `Shared`, by worker processes over shared memory instead of threads.

    Rows and model are copied into memory that the processes share: once for a matrix, block by block for a cache file
    or a stream. Compiled steps release Python's lock, so threads are as fast and copy nothing; processes are for steps
    that cannot be compiled, and for comparing with what others run by processes. The workers (0.3 s to start) stay for
    the next fit; one that is killed is replaced, and its slice of at most 50 ms runs again.

    Parameters
    ----------
    interval : int, default=256
        As in `Shared`.
    compiled : bool, default=True
        Whether workers compile a step of the user's own, each for itself, where that is possible.
    """

    interval: int = 256
    compiled: bool = True


@dataclass(frozen=True)
class Simulated:
    """Virtual replicas on one thread, exact and repeatable: what many threads would do to the model, at any speed.

    Each of `n_replicas` steps through `interval` rows in turn and merges at its own time, as `Replicas` threads do.

    Parameters
    ----------
    n_replicas : int
    interval, head, merge
        As in `Replicas`.
    """

    n_replicas: int
    interval: int | None = None
    head: int | None = None
    merge: str = "damped"


@dataclass(frozen=True)
class Locked:
    """All threads step on the same weights, each row under the locks of the features that it touches.

    AIG of the HOGWILD! paper: exact, as if the rows had come one after the other. Every row also takes the lock of the
    intercept, so that only ``fit_intercept=False`` lets threads step at the same time.

    Parameters
    ----------
    stripes : int, optional
        Locks; each is for a power of two of features side by side, so that they may be fewer. Default: one for each
        feature, at most 1,048,576.
    """

    stripes: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.stripes is not None:
            _check_count("stripes", self.stripes, 1, "lock")


@dataclass(frozen=True)
class RoundRobin:
    """All threads share the weights; they measure their rows at the same time and change the weights in turn.

    RR of the HOGWILD! paper: rows change the weights in the order of the epoch; each was measured at weights that lack
    at most the ``n_threads - 1`` rows before it. A step of one's own (`hogwild.minimize`) cannot be divided: threads
    take their turns with it whole, which is the sequential run with its bits.

    Parameters
    ----------
    interval : int, default=1
        Rows of a turn, for steps of one's own; the estimators have turns of one row.
    """

    interval: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_count("interval", self.interval, 1, "row")


@dataclass(frozen=True)
class Delayed:
    """One thread; the step of each row is measured at once and changes the weights `tau` rows later, exactly.

    What asynchronous threads do to a model, with the staleness as a parameter; ``tau=0`` has the bits of one thread.

    Parameters
    ----------
    tau : int, default=1
        Rows between measuring and changing.
    """

    tau: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_count("tau", self.tau, 0, "row")


@dataclass(frozen=True)
class Batch:
    """Batch gradient descent: one step an epoch, along the mean gradient of all rows; for plain SGD steps.

    Threads add up the gradients of fixed parts of the rows: the same bits on every run with the same `n_jobs`.
    """


@dataclass(frozen=True)
class MiniBatch:
    """One thread; a step every `size` rows, along their mean gradient at the same weights; for plain SGD steps.

    Parameters
    ----------
    size : int, default=32
        Rows of a step.
    """

    size: int = 32

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_count("size", self.size, 1, "row")


@dataclass(frozen=True)
class Grid:
    """Threads on blocks of users and items that no two of them share at a time; for ratings (`MatrixFactorization`).

    Nothing is copied or merged, and the bits are the same on every run with the same number of threads.

    References
    ----------
    R. Gemulla, P. J. Haas, E. Nijkamp, Y. Sismanis. Large-Scale Matrix Factorization with Distributed Stochastic
    Gradient Descent. KDD 2011.
    """


def _check_count(name: str, value: int, least: int, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, found {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least} {unit}{'' if least == 1 else 's'}, found {value!r}")


Engine = (
    Sequential | Replicas | Shared | Atomic | Processes | Simulated | Locked | RoundRobin | Delayed | Batch | MiniBatch
)
OwnEngine = Sequential | Replicas | Shared | Locked | RoundRobin | Processes
ALONE = Simulated | Delayed | Batch | MiniBatch  # what these do is not what one thread does row by row

ENGINES: dict[str, Engine | None] = {
    "auto": None,
    "sequential": Sequential(),
    "replicas": Replicas(),
    "shared": Shared(),
    "atomic": Atomic(),
    "processes": Processes(),
    "locked": Locked(),
    "round_robin": RoundRobin(),
    "delayed": Delayed(),
    "batch": Batch(),
    "minibatch": MiniBatch(),
}
OWN_ENGINES: dict[str, OwnEngine | None] = {  # those that run a user's own step
    "auto": None,
    "sequential": Sequential(),
    "replicas": Replicas(),
    "shared": Shared(),
    "locked": Locked(),
    "round_robin": RoundRobin(),
    "processes": Processes(),
}


def resolve_engine(engine: str | Engine, n_threads: int) -> Engine:
    """Return the engine that runs on `n_threads`: one thread is sequential, more are replicas unless told otherwise."""
    if isinstance(engine, str):
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)} or an engine object; found {engine!r}")
        engine = ENGINES[engine] or Replicas()
    elif not isinstance(engine, Engine):
        raise ValueError(f"engine must be a name or an engine object; found {engine!r}")
    return engine if n_threads > 1 or isinstance(engine, ALONE) else Sequential()


def resolve_own_engine(engine: str | OwnEngine) -> OwnEngine | None:
    """Return the engine that a user's own step is to run on; None leaves the choice to the run."""
    if isinstance(engine, str):
        if engine not in OWN_ENGINES:
            raise ValueError(f"engine must be one of {', '.join(OWN_ENGINES)} or an engine object; found {engine!r}")
        return OWN_ENGINES[engine]
    if not isinstance(engine, OwnEngine):
        raise ValueError(
            f"a step of one's own runs on {', '.join(kind.__name__ for kind in OwnEngine.__args__)}; found {engine!r}"
        )
    if isinstance(engine, Locked) and engine.stripes is not None:
        raise ValueError(
            f"locks of a step of one's own are one for each coordinate: leave stripes unset, found {engine!r}"
        )
    if isinstance(engine, Replicas) and (engine.deterministic or engine.head is not None):
        raise ValueError(
            "replicas of a step of one's own hold all parameters and merge at their own time: leave head and "
            f'deterministic unset, found {engine!r} (engine="round_robin" repeats its bits)'
        )
    return engine
