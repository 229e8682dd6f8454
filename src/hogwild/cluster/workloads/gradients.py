"""Gradients on a worker: take the parameters, draw batches, compute the gradient of any loss, push what came together.

The shards apply a rule (plain SGD, AdaGrad, FTRL) to what is pushed, and are the gate of staleness; so the workers may
use anything that gives a gradient: NumPy by hand, an automatic differentiation of the user's, PyTorch (`downpour`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hogwild.cluster.deltas import Delta
from hogwild.cluster.flat import FlatTable
from hogwild.cluster.protocol import Chunk, Part, Phase, PhaseResult, Prepare, Prepared
from hogwild.cluster.workloads.replica import TableReplica
from hogwild.engine.own_params import own_params
from hogwild.engine.own_task import resolve_schedule
from hogwild.engine.training import DivergedError

GRADIENT_RULES = ("sgd", "adagrad", "ftrl")


# ------------------------------------------------------------------------------------------------ batches


class Batches(Protocol):
    """Where batches come from; `number` counts those of an epoch."""

    n_batches: int

    def draw(self, turn: int, number: int) -> tuple[Any, int]:
        """Return batch `number` of the pass `turn` and how many rows it has, whichever worker asks."""
        ...


@dataclass
class DrawnBatches:
    """Batches that a function draws, each from a seed of its own."""

    batch: Callable[[np.random.Generator], Any]
    n_batches: int
    seed: int = 0

    def draw(self, turn: int, number: int) -> tuple[Any, int]:
        """Draw."""
        return self.batch(np.random.default_rng([self.seed, 4, turn, number])), 1


@dataclass
class ArrayBatches:
    """Rows of equally long arrays in a container, in an order of its own for each epoch.

    Attributes
    ----------
    data : tuple, NamedTuple or dict of arrays
        Whatever can be indexed by an array of row numbers along its first axis (sparse matrices and tensors too).
    """

    data: Any
    batch_size: int = 64
    shuffle: bool = True
    seed: int = 0
    n_rows: int = field(init=False)
    _order: tuple[int, np.ndarray] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Count rows."""
        parts = list(self.data.values()) if isinstance(self.data, Mapping) else list(self.data)
        lengths = {int(part.shape[0]) for part in parts}
        if len(lengths) != 1:
            raise ValueError(f"found {' and '.join(map(str, sorted(lengths)))} rows, expected as many in all arrays")
        (self.n_rows,) = lengths
        if not self.n_rows:
            raise ValueError("found no rows to train on")

    @property
    def n_batches(self) -> int:
        """Batches of an epoch."""
        return -(-self.n_rows // self.batch_size)

    def rows_of(self, turn: int, number: int) -> np.ndarray:
        """Row numbers of a batch."""
        low, high = number * self.batch_size, (number + 1) * self.batch_size
        if not self.shuffle:
            return np.arange(low, min(high, self.n_rows))
        if self._order is None or self._order[0] != turn:
            self._order = turn, np.random.default_rng([self.seed, 5, turn]).permutation(self.n_rows)
        return self._order[1][low:high]

    def draw(self, turn: int, number: int) -> tuple[Any, int]:
        """Index."""
        rows = self.rows_of(turn, number)
        if isinstance(self.data, Mapping):
            return {name: part[rows] for name, part in self.data.items()}, len(rows)
        parts = [part[rows] for part in self.data]
        return (type(self.data)(*parts) if hasattr(self.data, "_fields") else tuple(parts)), len(rows)


def batch_chunks(n_batches: int, workers: int) -> tuple[Chunk, ...]:
    """Cut the batches of an epoch into chunks, 8 for each worker where there are as many."""
    size = max(1, -(-n_batches // (8 * workers)))
    return tuple(
        Chunk(k, min(size, n_batches - low), (low, min(n_batches, low + size)))
        for k, low in enumerate(range(0, n_batches, size))
    )


# ------------------------------------------------------------------------------------------------ models


class Model(Protocol):
    """Something with parameters in a table and a gradient."""

    table: FlatTable

    def attach(self, local: np.ndarray, seed: int, threads: int) -> None:
        """Keep the parameters in `local`, shape (n_keys, width), from now on; it changes from outside.

        `seed` is for random numbers of this worker, `threads` what it may use.
        """
        ...

    def gradient(self, batch: Any, grads: np.ndarray) -> float:
        """Write the gradient at the present parameters into `grads`, shaped as `local`; returns the mean loss."""
        ...


class FunctionModel:
    """Arrays of a user's, and a function ``gradient(params, batch) -> (loss, gradients)``."""

    def __init__(self, gradient: Callable[[Any, Any], tuple[float, Any]], params: Any) -> None:
        self._function, self._kind = gradient, dict if isinstance(params, Mapping) else None
        self.params, self.pack = own_params(params)
        self.table = FlatTable(self.params, dict.fromkeys(self.params._fields, "add"))
        self._name = getattr(gradient, "__name__", "the gradient")

    def attach(self, local: np.ndarray, seed: int = 0, threads: int = 1) -> None:
        """Keep the parameters in `local`."""
        self._local = local
        self._views = self.table.view(local, self.params)

    def gradient(self, batch: Any, grads: np.ndarray) -> float:
        """Call the function."""
        if not self.table.uniform:
            self._views = self.table.view(self._local, self.params)
        given = self._views._asdict() if self._kind is dict else self._views
        found = self._function(given, batch)
        if not isinstance(found, tuple) or len(found) != 2 or hasattr(found, "_fields"):
            raise TypeError(f"{self._name} returned {_shown(found)}, expected a pair: loss and gradients")
        loss, gradients = found
        if not isinstance(gradients, Mapping):
            gradients = gradients._asdict() if hasattr(gradients, "_asdict") else {}
        flat, table = grads.reshape(-1), self.table
        for name, start, stop in zip(table.names, table.starts[:-1], table.starts[1:], strict=True):
            shape, value = getattr(self.params, name).shape, gradients.get(name)
            if np.shape(value) != shape:
                raise ValueError(
                    f"{self._name} returned {_shown(value)} for {name}, expected an array of shape {shape}"
                )
            flat[start:stop] = np.reshape(value, -1)
        return float(loss)


def _shown(value: Any) -> str:
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"{value!r:.60}"


@dataclass
class GradientProblem:
    """What travels to the workers.

    Attributes
    ----------
    make_model : callable
        Returns a `Model`, in the worker.
    batches : Batches
    schedule
        Step size by the number of batches of all workers, from 1, as `hogwild.minimize` takes it.
    rule : str
        What the shards do with gradients; local steps between two fetches follow it as far as they can.
    n_push, n_fetch : int
        Batches between two pushes, and between two pulls.
    seed : int
    """

    make_model: Callable[[], Model]
    batches: Batches
    schedule: Any
    rule: str = "sgd"
    n_push: int = 1
    n_fetch: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.rule not in GRADIENT_RULES:
            raise ValueError(f"rule must be {', '.join(GRADIENT_RULES)}; found {self.rule!r}")
        for name in ("n_push", "n_fetch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, found {value!r}")
        resolve_schedule(self.schedule)

    @property
    def phase_batches(self) -> int:
        """Batches of a phase: after each there may be a push, a pull or both."""
        return math.gcd(self.n_push, self.n_fetch)


# ------------------------------------------------------------------------------------------------ workload


class GradientWorkload:
    """What one worker computes: Downpour SGD.

    Between two fetches the worker steps on its own copy; between two pushes it sums gradients up. What has come
    together is pushed as well before a worker that has no further work known falls silent.

    Parameters
    ----------
    problem : GradientProblem
    cuts : ndarray of int
        First key of each shard, and the end.
    worker, threads : int

    References
    ----------
    J. Dean et al.: Large Scale Distributed Deep Networks. NeurIPS 2012.
    """

    def __init__(self, problem: GradientProblem, cuts: np.ndarray, worker: int = 0, threads: int = 1) -> None:
        self._problem, self._worker, self.model = problem, worker, problem.make_model()
        table = self.table = self.model.table
        self._replica = TableReplica(table, np.asarray(cuts))
        self._local, self._grads, self._sum = table.zeros(), table.zeros(), table.zeros()
        self._squares = table.zeros() if problem.rule != "sgd" else None
        self.model.attach(self._local, (problem.seed + worker) % 2**63, threads)
        self._sizes = resolve_schedule(problem.schedule)
        self._unpushed = self._unfetched = self._phases = 0
        self._fetched = False

    def run(self, job: Prepare | Phase) -> Prepared | PhaseResult:
        """Run a job."""
        if isinstance(job, Prepare):
            if job.fresh:
                self._replica.forget()
                self._sum[...], self._unpushed, self._fetched = 0, 0, False
            return Prepared(self._pulls())
        return self._phase(job)

    def _pulls(self) -> tuple[Any, ...]:
        """Requests where a fetch is due."""
        if self._fetched and self._unfetched < self._problem.n_fetch:
            return (None,) * (len(self._replica.cuts) - 1)
        return self._replica.requests()

    def _phase(self, job: Phase) -> PhaseResult:
        if any(values is not None for values in job.pulled):
            self._replica.take(job.pulled)
            np.copyto(self._local, self._replica.base)
            self._unfetched, self._fetched = 0, True
        total, weight, rows = 0.0, 0.0, 0
        etas = self._sizes.fill(job.rows + 1.0, sum(part.stop - part.start for part in job.parts))
        for part in job.parts:
            for number in self._numbers(part):
                batch, n = self._problem.batches.draw(part.lease.turn, number)
                with np.errstate(over="ignore", invalid="ignore"):  # divergence is told by an error
                    loss = self.model.gradient(batch, self._grads)
                total, weight = total + loss * n, weight + n
                self._check(total, etas[rows])
                self._step(float(etas[rows]))
                rows += 1
        eta = float(etas[rows // 2])
        self._unpushed, self._unfetched = self._unpushed + rows, self._unfetched + rows
        pushes: tuple[Delta | None, ...] = (None,) * (len(self._replica.cuts) - 1)
        if self._unpushed >= self._problem.n_push or not job.following:
            pushes = self._replica.deltas(self._sum, self._unpushed, eta, 1.0)
            self._sum[...], self._unpushed = 0, 0
        self._phases += 1
        return PhaseResult(pushes, self._pulls() if job.following else (), rows, weight, total, math.nan)

    def _numbers(self, part: Part) -> range:
        low = part.lease.chunk.where[0]
        return range(low + part.start, low + part.stop)

    def _check(self, total: float, eta: float) -> None:
        if not math.isfinite(total) or not np.isfinite(self._grads.sum(dtype=np.float64)):
            raise DivergedError(
                f"Floating-point under-/overflow occurred in phase #{self._phases + 1} of worker {self._worker}: loss "
                f"or gradient is not finite; the step size (eta={eta:g}) is too large for these data."
            )

    def _step(self, eta: float) -> None:
        self._sum += self._grads
        if self._squares is None:
            self._local -= self._local.dtype.type(eta) * self._grads
            return
        self._squares += self._grads * self._grads
        tiny = np.finfo(self._local.dtype).tiny
        self._local -= self._local.dtype.type(eta) * self._grads / np.sqrt(np.maximum(self._squares, tiny))
