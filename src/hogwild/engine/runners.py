"""Running slices of an epoch: on one thread, or on several with replicas.

A slice is what runs between two looks at the clock: at most 50 ms, so that Ctrl-C, progress and divergence are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.engines import Atomic, Engine, Replicas, Sequential, Shared, Simulated
from hogwild.engine.loops import advance, advance_interval, advance_replica, advance_static, close_slice
from hogwild.engine.merge import MEAN, STRIPE, SUM, Merging, Replica
from hogwild.engine.order import Order
from hogwild.engine.pool import thread_pool
from hogwild.engine.task import Statistics, Task, sample_statistics
from hogwild.schedules import CHUNK, chunk_starts
from hogwild.steps.base import make_work
from hogwild.steps.weights import MOST_HOT, Split, box_hot
from hogwild.steps.weights import Atomic as AtomicWeights

MEMORY_LIMIT = 1 << 30  # bytes that replicas may take together
_NEVER = np.uint64(2**62)
ROWS_A_PARAMETER = 2.7  # rows of one nonzero between merges, for each parameter that is merged


class SequentialRunner:
    """One thread, every row exactly in order."""

    n_threads = 1

    def __init__(self, task: Task) -> None:
        self._task = task
        settings = task.model.settings._replace(lazy=True, lazy_intercept=True)
        self._model = task.model._replace(settings=settings)
        self._work = make_work(task.n_columns, task.rows.values.dtype)

    def describe(self) -> Engine:
        """Return the engine as it runs."""
        return Sequential()

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch; returns the sum of losses and the position reached."""
        task, running = self._task, self._work.running
        running[:] = 0.0, task.t, 1.0, task.penalty, 0.0, 0.0, 0.0, 0.0
        loss = advance(
            task.rows,
            order,
            self._model,
            np.uint64(task.n_settled),
            task.schedule,
            np.uint64(low),
            np.uint64(high),
            self._work,
        )
        task.t, task.penalty = running[1], running[3]
        return loss, high


@dataclass(frozen=True)
class Plan:
    """Interval and head that a parallel run uses; `head` None: everything replicated."""

    interval: int
    head: int | None


def default_plan(task: Task, n_threads: int, interval: int | None, head: int | None) -> Plan:
    """Interval and head such that merges cost a tenth of the steps between them.

    A merge costs about 0.3 ns a parameter (its cache lines come from another core), a step 1.4 ns a nonzero. More
    threads merge more often, or the model suffers: at most 4,096 rows of all threads lie between two merges of one.
    """
    most = int(np.clip(4096 // n_threads, 64, 2048))
    affordable = ROWS_A_PARAMETER / (task.row_length * task.n_columns)
    if interval is None:
        wanted = affordable * min(task.n_features if head is None else head, task.n_features) * task.n_columns
        interval = int(np.clip(1 << int(np.ceil(np.log2(max(wanted, 1.0)))), min(256, most), most))
    if head is None and affordable * task.n_features * task.n_columns > 2 * interval:
        # two threads seldom meet in a large model: finding out which features are hot costs more (1.7 against 1.55 ns a
        # nonzero, 2^22 features)
        head = 0 if n_threads <= 2 else max(16, 1 << int(np.log2(max(1.0, interval / (affordable * task.n_columns)))))
    if head is not None and head >= task.n_features:
        head = None
    return Plan(interval, head)


class ReplicasRunner:
    """Several threads (or virtual ones), each with its copy of the replicated parameters."""

    def __init__(self, task: Task, engine: Engine, n_threads: int, rng: np.random.Generator, plan: Plan | None = None):
        self._task, self._engine, self._rng = task, engine, rng
        self._simulated = isinstance(engine, Simulated)
        self.n_threads = 1 if self._simulated else n_threads
        self.n_replicas = engine.n_replicas if isinstance(engine, Simulated) else n_threads
        self._classic = isinstance(engine, Shared | Atomic)
        self._merge = "damped" if self._classic else engine.merge
        self._static = isinstance(engine, Replicas) and engine.deterministic
        self.statistics: Statistics = sample_statistics(task, rng, bool(task.model.settings.fit_intercept))
        if plan is None:
            if self._classic:
                plan = Plan(engine.interval, 0)
            elif self._static:
                plan = Plan(engine.interval or _deterministic_interval(task, self.n_replicas), None)
            else:
                plan = default_plan(task, self.n_replicas, engine.interval, engine.head)
        self.plan = plan
        self._allocate()

    def describe(self) -> Engine:
        """Return the engine as it runs, with the interval and head that were chosen."""
        if self._classic:
            return self._engine
        kept = {"interval": self.plan.interval, "merge": self._merge}
        if isinstance(self._engine, Simulated):
            return Simulated(self._engine.n_replicas, head=self.plan.head, **kept)
        return Replicas(head=self.plan.head, deterministic=self._static, tune=self._engine.tune, **kept)

    # ------------------------------------------------------------------------------------------ memory

    def _allocate(self) -> None:
        """Lay out the shared buffer and a copy of it for each replica: weights, intercepts, then AdaGrad sums alike."""
        task, model, head = self._task, self._task.model, self.plan.head
        dtype = task.rows.values.dtype
        if head is None:
            self._hot = None
            n_hot = task.n_features
        else:
            self._hot = hottest_features(self.statistics.counts, min(head, MOST_HOT))
            n_hot = len(self._hot)
        self._shapes = {}
        for name, merge in task.merges.items():
            shape = getattr(model, name).shape
            self._shapes[name] = (n_hot, *shape[1:]) if merge.by_feature else shape
        size = sum(int(np.prod(shape)) for shape in self._shapes.values())
        needed = size * dtype.itemsize * (3 * self.n_replicas + 2)
        if needed > MEMORY_LIMIT and self.plan.head is None:
            raise ValueError(
                f"replicas of all {size:,} parameters on {self.n_replicas} threads take {needed / 2**20:,.0f} MB; "
                f"the limit is {MEMORY_LIMIT / 2**20:,.0f} MB: replicate a head of the hottest features "
                "(Replicas(head=...), not deterministic) or use fewer threads"
            )
        self._target = aligned_zeros(size, dtype)
        padded = -(-size * dtype.itemsize // 64) * 64 // dtype.itemsize
        self._values = aligned_zeros((self.n_replicas, padded), dtype)
        self._replicas = [
            Replica(
                self._values[k, :size],
                aligned_zeros(size, dtype),
                aligned_zeros(size, dtype),
                aligned_zeros(8, np.float64),
            )
            for k in range(self.n_replicas)
        ]
        self._shared = self._make_shared()
        self._models = [self._make_view(replica.values) for replica in self._replicas]
        self._works = [make_work(task.n_columns, dtype) for _ in self._replicas]
        n_stripes = size // STRIPE + 1
        n_areas = max(n_stripes, self.n_replicas)
        squares_at = size // 2 if "squares" in task.merges else 0
        n_settled = sum(int(np.prod(self._shapes[name])) for name in task.settled if name in self._shapes)
        settings = model.settings
        self._merging = Merging(
            target=self._target,
            curvature=self._curvature(size),
            squares_at=np.uint64(squares_at),
            constant=1.0,
            n_replicas=self.n_replicas,
            interval=np.uint64(min(self.plan.interval, int(_NEVER))),
            n_features=np.uint64(n_settled),
            settles=bool(settings.penalised or settings.averaged),
            locks=aligned_zeros(n_stripes * 8, np.int64),
            areas=np.zeros((n_areas, 2)),
        )
        self._cursor, self._meeting = aligned_zeros(8, np.int64), aligned_zeros(16, np.int64)

    def _views(self, buffer: np.ndarray) -> dict[str, np.ndarray]:
        views, start = {}, 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            views[name] = buffer[start : start + size].reshape(shape)
            start += size
        return views

    def _make_shared(self) -> tuple:
        """View the shared buffer as a model; with a head, its lazy arrays are compact too."""
        model, views = self._task.model, self._views(self._target)
        lazy = {}
        if self._hot is not None:
            for name in self._task.lazy:
                array = getattr(model, name)
                if array.size:
                    lazy[name] = array[self._hot]
        return model._replace(**views, **lazy)

    def _make_view(self, buffer: np.ndarray) -> tuple:
        """View one replica as a model whose cold features, if any, are shared."""
        model, views = self._task.model, self._views(buffer)
        everything = self._hot is None
        for name, merge in self._task.merges.items():
            if merge.by_feature and self._hot is not None and not len(self._hot):
                array = getattr(model, name)
                views[name] = AtomicWeights(array) if isinstance(self._engine, Atomic) else array
            elif merge.by_feature and not everything:
                views[name] = Split(views[name], getattr(model, name))
        settings = model.settings._replace(lazy=not everything, lazy_intercept=False)
        return model._replace(settings=settings, **views)

    def _curvature(self, size: int) -> np.ndarray:
        curvature, start = np.empty(size, np.float32), 0
        for name, merge in self._task.merges.items():
            shape = self._shapes[name]
            part = curvature[start : start + int(np.prod(shape))]
            if merge.kind == "add" or self._merge == "sum":
                part[:] = SUM
            elif self._merge == "mean":
                part[:] = MEAN
            elif merge.by_feature:
                c = self.statistics.curvature if self._hot is None else self.statistics.curvature[self._hot]
                part.reshape(shape)[:] = c.reshape(-1, *(1 for _ in shape[1:]))
            else:
                part[:] = self.statistics.intercept_curvature
            start += part.size
        bound = self._task.step_bound / self._task.schedule.eta0
        if bound < 1.0 and self._merge != "mean":  # steps that divide the step size themselves
            curvature *= np.float32(bound)
        return curvature

    # ------------------------------------------------------------------------------------------ slices

    def _gather(self) -> None:
        """Copy the model's replicated parameters into the shared buffer."""
        views = self._views(self._target)
        for name, merge in self._task.merges.items():
            array = getattr(self._task.model, name)
            views[name][...] = array[self._hot] if merge.by_feature and self._hot is not None else array
        if self._hot is not None:
            for name in self._task.lazy:
                array = getattr(self._shared, name)
                if array.size:
                    array[...] = getattr(self._task.model, name)[self._hot]
        if self._hot is not None and len(self._hot):
            for name, merge in self._task.merges.items():
                if merge.by_feature:
                    box_hot(getattr(self._task.model, name), self._hot)
        self._merging.areas[:] = 0.0

    def _publish(self) -> None:
        """Copy the shared buffer back into the model."""
        views = self._views(self._target)
        for name, merge in self._task.merges.items():
            array = getattr(self._task.model, name)
            if merge.by_feature and self._hot is not None:
                array[self._hot] = views[name]
            else:
                array[...] = views[name]
        if self._hot is not None:
            for name in self._task.lazy:
                array = getattr(self._shared, name)
                if array.size:
                    getattr(self._task.model, name)[self._hot] = array

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch; returns the sum of losses and the position reached."""
        task = self._task
        starts = np.empty(((high - low) // CHUNK + 2, 5))
        ready = chunk_starts(task.schedule, task.t, task.penalty, high - low, starts)
        if ready == 0:  # the L2 penalty shrinks weights to nothing within a chunk: exactly, on one thread
            return SequentialRunner(task).run(order, low, min(high, low + CHUNK))
        high = low + ready
        end = starts[-(-ready // CHUNK)]
        self._gather()
        if self._simulated:
            loss = self._run_simulated(order, starts, low, high)
        else:
            loss = self._run_threads(order, starts, low, high)
        self._publish()
        self._close(end)
        task.t, task.penalty = end[0], end[2]
        return loss, high

    def _run_threads(self, order: Order, starts: np.ndarray, low: int, high: int) -> float:
        task, merging = self._task, self._merging
        self._cursor[0] = 0
        first = (task.rows, order)
        bounds = (np.uint64(low), np.uint64(high))
        calls = []
        for k, (model, replica, work) in enumerate(zip(self._models, self._replicas, self._works, strict=True)):
            if self._static:
                rest = (self._values, task.schedule, starts, *bounds, k, self._meeting, work)
            else:
                rest = (task.schedule, starts, self._cursor, *bounds, k, work)
            calls.append((*first, model, self._shared, merging, replica, *rest))
        return sum(thread_pool().run(advance_static if self._static else advance_replica, calls))

    def _run_simulated(self, order: Order, starts: np.ndarray, low: int, high: int) -> float:
        for replica in self._replicas:
            replica.values[...] = self._target
            replica.base[...] = self._target
        loss, interval, position, turn = 0.0, self.plan.interval, low, 0
        while position < high:
            k = turn % self.n_replicas
            rest = CHUNK - (position - low) % CHUNK if interval < CHUNK else interval
            n = min(interval, rest, high - position)
            loss += advance_interval(
                self._task.rows,
                order,
                self._models[k],
                self._shared,
                self._merging,
                self._replicas[k],
                self._task.schedule,
                starts,
                np.uint64(low),
                np.uint64(position),
                np.uint64(n),
                self._works[k],
            )
            position, turn = position + n, turn + 1
        return loss

    def _close(self, end: np.ndarray) -> None:
        """Settle and fold the whole model at the end of the slice."""
        t, scale, penalty, area, count = end
        running = np.array([0.0, t, scale, penalty, 0.0, 0.0, 0.0, 0.0])
        task = self._task
        if self._hot is None:
            if task.model.settings.averaged:
                self._finish_average(area, count)
        elif task.model.settings.averaged:
            self._finish_split_average(area, count)
        close_slice(task.model, np.uint64(task.n_settled), running)

    def _finish_average(self, area: float, count: float) -> None:
        """Add what each stripe's average still lacks of this slice."""
        model = self._task.model
        flat, summed = model.coef.reshape(-1), model.summed.reshape(-1)
        if self._static:
            n = self._target.size
            bounds = [k * n // self.n_replicas for k in range(self.n_replicas + 1)]
        else:
            bounds = [*range(0, self._target.size, STRIPE), self._target.size]
        for k, (low, high) in enumerate(zip(bounds, bounds[1:], strict=False)):
            done_area, done_count = self._merging.areas[k]
            stop = min(high, flat.size)
            if low < stop:
                summed[low:stop] += (area - done_area) * flat[low:stop]
            start = max(low, flat.size)
            stop = min(high, flat.size + model.intercept.size)
            if start < stop:
                part = slice(start - flat.size, stop - flat.size)
                model.summed_intercept[part] += (count - done_count) * model.intercept[part]

    def _finish_split_average(self, area: float, count: float) -> None:
        """The tail's sums lack ``area`` times the weights (steps subtracted what was not there yet); the head's, a rest."""
        model = self._task.model
        hot = self._hot
        tail = np.ones(self._task.n_features, bool)
        tail[hot] = False
        model.summed[tail] += area * model.coef[tail]
        width = int(np.prod(model.coef.shape[1:], dtype=int))
        n_head = len(hot) * width
        stripe = np.arange(n_head) // STRIPE
        rest = (area - self._merging.areas[stripe, 0]).reshape((len(hot), *model.coef.shape[1:]))
        model.summed[hot] += rest * model.coef[hot]
        stripe = (n_head + np.arange(model.intercept.size)) // STRIPE
        model.summed_intercept += (count - self._merging.areas[stripe, 1]) * model.intercept


def hottest_features(counts: np.ndarray, head: int) -> np.ndarray:
    """The `head` most frequent features (fewer where fewer were seen), in ascending order."""
    seen = np.flatnonzero(counts)
    if len(seen) > head:
        seen = seen[np.argpartition(counts[seen], len(seen) - head)[len(seen) - head :]] if head else seen[:0]
    return np.sort(seen).astype(np.uint32)


def _deterministic_interval(task: Task, n_threads: int) -> int:
    """Interval fixed by shape and threads alone: whole chunks, twice what threads without barriers take."""
    plan = default_plan(task, n_threads, None, task.n_features)
    return max(CHUNK, 2 * plan.interval)


def make_runner(
    task: Task, engine: Engine, n_threads: int, rng: np.random.Generator
) -> SequentialRunner | ReplicasRunner:
    """Return what runs `task` on `engine` with `n_threads`."""
    if isinstance(engine, Sequential) or (n_threads == 1 and not isinstance(engine, Simulated)):
        return SequentialRunner(task)
    return ReplicasRunner(task, engine, n_threads, rng)
