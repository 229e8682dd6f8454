"""A user's own step on a worker: the engine of `hogwild.minimize` on leased rows, deltas of all arrays."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hogwild.cluster.flat import FlatTable, merges_for
from hogwild.cluster.merging import ConstantTuning, judging_rows
from hogwild.cluster.protocol import Chunk, Part, Phase, PhaseResult, Prepare, Prepared
from hogwild.cluster.workloads.probing import probe
from hogwild.cluster.workloads.replica import TableReplica
from hogwild.engine.engines import Processes, resolve_own_engine
from hogwild.engine.order import Order, draw_order, epoch_rows
from hogwild.engine.own_choose import make_own_runner
from hogwild.engine.own_data import OwnData, as_own_data
from hogwild.engine.own_functions import plain
from hogwild.engine.own_params import own_params, rehearse
from hogwild.engine.own_python import Drawn, draw_part
from hogwild.engine.own_replicas import LEAST_PROBES, MOST_PROBES, PROBED
from hogwild.engine.own_task import OwnTask, resolve_schedule
from hogwild.engine.pool import thread_pool
from hogwild.engine.task import SHRINK
from hogwild.engine.training import DivergedError
from hogwild.estimators.threads import counted, resolve_n_jobs
from hogwild.steps.own import declared, view_of

_ASKED = ("rows", "kept", "longest", "coordinates", "n_coordinates", "row_length")
FULL_CURVATURE = 1e12  # of a parameter whose measured curvature is no number: its deltas are averaged


@dataclass
class OwnProblem:
    """What `hogwild.cluster.minimize` was given, as it travels to the workers.

    Attributes
    ----------
    step, data, params, schedule, loss, batch, sampling
        As `hogwild.minimize` takes them.
    engine, n_jobs
        Within a worker.
    seed : int
    """

    step: Callable
    data: Any
    params: Any
    schedule: Any
    loss: Callable | None = None
    batch: Callable | None = None
    engine: Any = "auto"
    n_jobs: int | None = None
    sampling: str = "shuffle"
    seed: int = 0

    def prepare(self) -> tuple[OwnTask, OwnData, Callable[[Any], Any]]:
        """Look at what was given; returns task, rows, and what puts parameters into the user's container.

        Raises
        ------
        TypeError, ValueError
            If data, parameters or settings do not fit together, or the step returns no number.
        """
        own, pack = own_params(self.params)
        data = as_own_data(self.data)
        drawn = isinstance(data.rows, Drawn)
        if drawn != (self.batch is not None):
            raise ValueError(
                "batch= draws what the step gets: data must be the number of batches of an epoch, an int"
                if self.batch is not None
                else "data is a number of batches: give batch=, a function of a random generator that draws one"
            )
        if drawn and self.loss is not None:
            raise ValueError("loss= needs rows to go over: with batch= the history is what steps return")
        if isinstance(resolve_own_engine(self.engine), Processes):
            raise ValueError("the workers are processes already: engine must be one of threads")
        if self.sampling not in ("shuffle", "with_replacement", "file"):
            raise ValueError(f"sampling must be shuffle, with_replacement or file; found {self.sampling!r}")
        asked = {name: getattr(data, name) for name in _ASKED}
        view, sizes = view_of(data.rows, data.fields), resolve_schedule(self.schedule)
        task = OwnTask(**asked, view=view, step=self.step, loss=self.loss, params=own, sizes=sizes)
        if not drawn:
            rehearse(task, data)
        return task, data, pack

    def table(self, task: OwnTask) -> FlatTable:
        """Where the arrays stand in the shards' table."""
        return FlatTable(task.params, merges_for(task.params, declared(self.step).merges))


def own_chunks(n_rows: int, workers: int, rows: int | None = None) -> tuple[Chunk, ...]:
    """Cut rows (or the batches of an epoch) into chunks: 16 for each worker, of 256 rows at least."""
    rows = rows or max(1, min(1 << 16, max(256, -(-n_rows // (16 * workers))), -(-n_rows // workers)))
    bounds = range(0, n_rows, rows)
    return tuple(Chunk(k, min(rows, n_rows - low), (low, min(n_rows, low + rows))) for k, low in enumerate(bounds))


class OwnWorkload:
    """What one worker computes.

    Parameters
    ----------
    problem : OwnProblem
    cuts : ndarray of int
        First key of each shard, and the end.
    worker : int
        Its number, for seeds of its own.
    """

    def __init__(self, problem: OwnProblem, cuts: np.ndarray, worker: int = 0) -> None:
        self._problem, self._worker = problem, worker
        self.task, self._data, _ = problem.prepare()
        self.table = problem.table(self.task)
        self._replica = TableReplica(self.table, np.asarray(cuts))
        self._local, self._moved, self._before = (self.table.zeros() for _ in range(3))
        self._rng = np.random.default_rng([problem.seed, 1, worker])
        self._declared, self._phases, self._due = declared(problem.step), 0, 1
        self._curvature: np.ndarray | None = None
        self._tuning, self._x = None if problem.loss is None else ConstantTuning(), 0.0
        self._tell = False  # a shard may have been started anew since it was told of the curvature
        self._sizes, self._beta = self.task.schedule, self.task.sizes.beta
        self._integers = {name: getattr(self.task.params, name).copy() for name in self.table.fixed}
        self._orders: dict[tuple[int, int], np.ndarray] = {}
        self._n_jobs = min(resolve_n_jobs(problem.n_jobs), self.task.n_rows)
        self._runner, self.message = None, ""
        if problem.batch is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # as if opened: what only Python can run then runs on one thread, not on processes of a process
                engine = resolve_own_engine(problem.engine)
                given = (self.task, self._data, engine, self._n_jobs, self._rng, None, False, True)
                self._runner, self.message = make_own_runner(*given)

    def run(self, job: Prepare | Phase) -> Prepared | PhaseResult:
        """Run a job."""
        if isinstance(job, Prepare):
            if job.fresh:
                self._replica.forget()
                self._tell, self._x = True, 0.0
            return Prepared(self._replica.requests())
        return self._phase(job)

    # ------------------------------------------------------------------------------------------ a phase

    def _phase(self, job: Phase) -> PhaseResult:
        task, table = self.task, self.table
        before = self._replica.base.copy() if self._tuning is not None and self._x else None
        self._replica.take(job.pulled)
        rows = sum(part.stop - part.start for part in job.parts)
        turn = job.parts[0].lease.turn
        task.schedule = self._sizes._replace(eta0=self._sizes.eta0 * self._beta ** (turn - 1))
        eta = float(task.sizes.fill(job.rows + 1 + rows // 2, 1)[0])
        self._load(self._replica.base)
        told = self._measure(job.parts, eta) if job.active > 1 else False
        constant = self._choose(job, rows, before)
        self._load(self._replica.base)
        table.gather(task.params, self._before)
        task.t = job.rows + 1.0
        loss = self._step_batches(job.parts) if self._runner is None else self._step_rows(job.parts)
        np.subtract(table.gather(task.params, self._local), self._before, out=self._moved)
        self._check(loss, eta)
        curvature = self._curvature if told or self._tell else None
        self._tell = False
        in_front = SHRINK if math.isnan(constant) else constant
        pushes = self._replica.deltas(self._moved, rows, eta, in_front, curvature)
        pulls = self._replica.requests() if job.following else ()
        self._phases, self._x = self._phases + 1, eta * rows
        return PhaseResult(pushes, pulls, rows, float(rows), loss, constant)

    def _load(self, table: np.ndarray) -> None:
        self.table.scatter(table, self.task.params)

    def _check(self, loss: float, eta: float) -> None:
        name = getattr(self._problem.step, "__name__", "the step")
        if not math.isfinite(loss) or not np.isfinite(self._moved.sum(dtype=np.float64)):
            raise DivergedError(
                f"Floating-point under-/overflow occurred in phase #{self._phases + 1} of worker {self._worker}: the "
                f"step size (eta={eta:g} of {name}) is too large for these data."
            )
        for fixed, before in self._integers.items():
            if not np.array_equal(before, getattr(self.task.params, fixed)):
                raise ValueError(
                    f"{name} has changed params.{fixed}, an array of {before.dtype}: workers exchange floating-point "
                    "arrays only"
                )

    # ------------------------------------------------------------------------------------------ rows

    def _order_of(self, part: Part) -> np.ndarray:
        """Row numbers of a chunk in their order: the same on every worker that gets the chunk in this turn."""
        lease, problem = part.lease, self._problem
        key = (lease.turn, lease.chunk.number)
        if key not in self._orders:
            while len(self._orders) > 8:  # more chunks are seldom under way at once
                self._orders.pop(next(iter(self._orders)))
            low, high = lease.chunk.where
            own = np.arange(low, high, dtype=np.uint32) if not len(self.task.kept) else self.task.kept[low:high]
            rng = np.random.default_rng([problem.seed, 2, *key])
            shuffle = {"file": False, "shuffle": self._data.shuffle()}.get(problem.sampling, "with_replacement")
            self._orders[key] = epoch_rows(draw_order(rng, len(own), own, shuffle))
        return self._orders[key][part.start : part.stop]

    def _step_rows(self, parts: tuple[Part, ...]) -> float:
        numbers = np.concatenate([self._order_of(part) for part in parts])
        nothing = np.empty(0, np.uint32)
        order = Order(nothing, np.uint64(len(numbers)), numbers, np.uint64(1), np.uint64(0))
        low, loss = 0, 0.0
        with counted(self._runner.n_threads):
            while low < len(numbers):
                part, low = self._runner.run(order, low, len(numbers))
                loss += part
                if not math.isfinite(loss):
                    break
            self._runner.finish()
        return float(loss)

    def _step_batches(self, parts: tuple[Part, ...]) -> float:
        """Draw and step: every part from a seed of its own, its batches split over the threads."""
        task, problem, loss = self.task, self._problem, 0.0
        function = functools.partial(draw_part, problem.step, problem.batch)
        for part in parts:
            n = part.stop - part.start
            etas = task.etas(n)
            seed = [problem.seed, 3, part.lease.turn, part.lease.chunk.number, part.start]
            rngs = np.random.default_rng(seed).spawn(min(n, self._n_jobs))
            shares = np.array_split(etas, len(rngs))
            calls = [(task.params, share, rng) for share, rng in zip(shares, rngs, strict=True)]
            loss += sum(value for value, _ in thread_pool().run(function, calls))
            task.t += n
        return float(loss)

    # ------------------------------------------------------------------------------------------ merging

    def _sample(self, parts: tuple[Part, ...], size: int) -> np.ndarray:
        """Draw row numbers among those that are about to be stepped."""
        numbers = np.concatenate([self._order_of(part) for part in parts])
        return numbers if len(numbers) <= size else np.sort(self._rng.choice(numbers, size, replace=False))

    def _measure(self, parts: tuple[Part, ...], eta: float) -> bool:
        """Measure the curvature of the damped parameters anew, in the phases 1, 2, 4, 8, ...; true where it was."""
        if self._phases + 1 < self._due or not self.table.n_damped:
            return False
        self._due, table = 2 * self._due, self.table
        size = int(np.clip(PROBED // table.size, LEAST_PROBES, MOST_PROBES))
        with np.errstate(all="ignore"):
            if self._problem.batch is not None:
                drawn = (self._problem.batch(self._rng) for _ in range(LEAST_PROBES))
                found = self._probe_in_python(drawn, eta)
            elif self._declared.curvature is not None:
                found = self._declared_curvature(self._sample(parts, size))
            else:
                found = self._probe(self._sample(parts, size), eta)
        curvature = np.zeros(table.n_keys * table.width, np.float32)
        ceiling = FULL_CURVATURE
        curvature[: table.n_damped] = np.minimum(np.nan_to_num(found, nan=ceiling, posinf=ceiling), ceiling)
        self._curvature = curvature.reshape(table.n_keys, table.width)
        return True

    def _probe(self, sample: np.ndarray, eta: float) -> np.ndarray:
        table, task = self.table, self.task
        if not self._runner.compiled or not table.uniform:
            return self._probe_in_python((task.view.row(task.rows, i) for i in sample[:LEAST_PROBES]), eta)
        base = self._replica.base.reshape(-1)[: table.size]
        flat = base.copy()
        params = table.view(flat, task.params)
        sums, places, moves = np.zeros(table.n_damped), np.empty(table.size, np.uint64), np.empty_like(flat)
        changes = (places, moves, np.uint64(table.n_damped))
        self._runner.loops.probe(task.rows, sample, params, flat, base, *changes, sums, eta)
        return sums / max(1, len(sample))

    def _probe_in_python(self, rows: Iterator[Any], eta: float) -> np.ndarray:
        return probe(plain(self._problem.step), rows, self.task.params, self.table, self._replica.base, eta)

    def _declared_curvature(self, sample: np.ndarray) -> np.ndarray:
        """Mean over the rows of the sample of what the user's function bounds."""
        table, task, function = self.table, self.task, plain(self._declared.curvature)
        sums = np.zeros((table.n_keys, table.width))
        flat, shapes = sums.reshape(-1), {}
        for name, start, stop in zip(table.names, table.starts[:-1], table.starts[1:], strict=True):
            shapes[name] = flat[start:stop].reshape(getattr(task.params, name).shape)
        bound = task.params._replace(**shapes)
        for i in sample[:MOST_PROBES]:
            function(task.view.row(task.rows, i), task.params, bound)
        return flat[: table.n_damped] / max(1, len(sample[:MOST_PROBES]))

    def _choose(self, job: Phase, rows: int, before: np.ndarray | None) -> float:
        """Constant in front of the curvature, by what became of the last phase; NaN where there is no choice."""
        if self._tuning is None or job.active < 2 or self._curvature is None or not self.table.n_damped:
            return math.nan
        if before is None or any(part is None for part in job.pulled):
            return self._tuning.constant
        sample = self._sample(job.parts, judging_rows(rows))
        reference = self.mean_loss(sample)

        def score(table: np.ndarray) -> float:
            self._load(table.reshape(before.shape))
            found = self.mean_loss(sample)
            # losses are compared by their logarithms: those that may be negative by their distance to the present one
            return found if reference > 0 else float(np.exp((found - reference) / max(-reference, 1e-300)))

        base = self._replica.base
        with np.errstate(all="ignore"):
            return float(self._tuning.observe(score, before, base, self._curvature, self._x, job.active))

    def mean_loss(self, sample: np.ndarray) -> float:
        """Mean of the losses of the rows `sample` at the present parameters."""
        task = self.task
        if self._runner.compiled:
            return self._runner.losses(sample, len(sample)) / max(1, len(sample))
        with np.errstate(all="ignore"):  # divergence is told by an error
            return float(np.mean([plain(task.loss)(task.view.row(task.rows, i), task.params) for i in sample]))
