"""Running slices of an epoch: on one thread, or on several with replicas.

A slice is what runs between two looks at the clock: at most 50 ms, so that Ctrl-C, progress and divergence are seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hogwild.engine.engines import Atomic, Engine, Processes, Replicas, Sequential, Shared, Simulated
from hogwild.engine.loops import advance, advance_alone, advance_interval, advance_replica, advance_static, close_clock
from hogwild.engine.merge import MEAN, STRIPE, SUM, Merging, Replica
from hogwild.engine.order import Order
from hogwild.engine.task import SAMPLE_ROWS, SHRINK, Task, count_features, draw_sample
from hogwild.engine.workers import ProcessWorkers, ThreadWorkers
from hogwild.schedules import CHUNK, chunk_starts
from hogwild.steps.base import make_work
from hogwild.steps.weights import MOST_HOT, Split, box_hot
from hogwild.steps.weights import Atomic as AtomicWeights

MEMORY_LIMIT = 1 << 30  # bytes that replicas may take together
_NEVER = np.uint64(2**62)
CACHE, BEYOND_CACHE = 1 << 19, 6.0  # bytes of parameters beyond which five copies leave the cache, and what that costs
ROWS_A_PARAMETER = 2.7  # rows of one nonzero between merges, for each parameter that is merged


class SequentialRunner:
    """One thread, every row exactly in order."""

    n_threads = 1
    fixed_slices = True
    exact = True  # a run that goes on from `state` has the same bits
    plan = None

    def __init__(self, task: Task) -> None:
        self.task = task
        settings = task.model.settings._replace(lazy=True, lazy_intercept=True)
        self._model = task.model._replace(settings=settings)
        self._work = make_work(task.n_columns, task.dtype)
        self._work.running[2] = 1.0

    def describe(self) -> Engine:
        """Return the engine as it runs."""
        return Sequential()

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch; returns the sum of losses and the position reached."""
        task, running = self.task, self._work.running
        running[1], running[3] = task.t, task.penalty
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

    @property
    def running(self) -> list[np.ndarray]:
        """What the thread keeps beside its clock, from place 6 on (`steps.base.Work`)."""
        return [self._work.running]

    def finish(self) -> None:
        """Bring everything lazy up to the clock: the model's arrays hold its weights."""
        close_clock(self._model, np.uint64(self.task.n_settled), self._work.running)

    def state(self) -> dict[str, np.ndarray]:
        """Return what is kept beside the model's arrays and the task's clock."""
        return {"running": self._work.running.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self._work.running[...] = state["running"]

    def close(self) -> None:
        """Let go of nothing."""


@dataclass(frozen=True)
class Plan:
    """Interval and head that a parallel run uses; `head` None: everything replicated."""

    interval: int
    head: int | None


def default_plan(task: Task, n_threads: int, interval: int | None, head: int | None) -> Plan:
    """Interval and head such that merges cost a tenth of the steps between them.

    A merge costs about 0.3 ns a parameter (its cache lines come from another core), a step 1.4 ns a nonzero. Many
    threads merge more often, or the model suffers (a9a, ijcnn1, RCV1-like data, 16 and 64 virtual replicas).
    """
    least = max(16, 512 // n_threads)
    most = 4096 // n_threads if n_threads <= 4 else max(16, 1024 // n_threads)
    affordable = ROWS_A_PARAMETER / (task.row_length * task.n_columns)
    if task.n_features * task.n_columns * task.dtype.itemsize > CACHE and head is None:
        affordable *= BEYOND_CACHE
    if interval is None:
        wanted = affordable * min(task.n_features if head is None else head, task.n_features) * task.n_columns
        interval = int(np.clip(1 << int(np.ceil(np.log2(max(wanted, 1.0)))), least, most))
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
        self.task, self._engine, self._rng = task, engine, rng
        self._simulated = isinstance(engine, Simulated)
        self.n_threads = 1 if self._simulated else n_threads
        self.n_replicas = engine.n_replicas if isinstance(engine, Simulated) else n_threads
        self._classic = isinstance(engine, Shared | Atomic | Processes)
        self._merge = "damped" if self._classic else engine.merge
        self._static = isinstance(engine, Replicas) and engine.deterministic
        self.fixed_slices = self._static or self._simulated
        self.exact = self._static
        self._slices, self._due = 0, 1
        self._scale, self._area, self._count = 1.0, 0.0, 0.0
        self._compiled: tuple | None = None
        if plan is None:
            if self._classic:
                plan = Plan(engine.interval, 0)
            elif self._static:
                plan = Plan(engine.interval or _deterministic_interval(task, self.n_replicas), None)
            else:
                plan = default_plan(task, self.n_replicas, engine.interval, engine.head)
        self.plan = plan
        self._workers = ProcessWorkers(n_threads) if isinstance(engine, Processes) else ThreadWorkers()
        try:
            self._allocate()
        except BaseException:
            self.close()
            raise

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
        task, model, head = self.task, self.task.model, self.plan.head
        dtype = task.dtype
        if head is None:
            self._hot = None
            n_hot = task.n_features
        else:
            self._hot = np.empty(0, np.uint32)
            if head:
                self._hot = hottest_features(count_features(task, self._rng), min(head, MOST_HOT))
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
        zeros = self._workers.zeros
        self._model = self._workers.shared(model)  # what is stepped on: of processes, a copy of the task's
        self.target = zeros(size, dtype)
        padded = -(-size * dtype.itemsize // 64) * 64 // dtype.itemsize
        self._values = zeros((self.n_replicas, padded), dtype)
        self._replicas = [
            Replica(
                self._values[k, :size],
                zeros(size, dtype),
                zeros(size, dtype),
                zeros(8, np.float64),
            )
            for k in range(self.n_replicas)
        ]
        self._shared = self._make_shared()
        self._models = [self._make_view(replica.values) for replica in self._replicas]
        self._works = [self._workers.shared(make_work(task.n_columns, dtype)) for _ in self._replicas]
        n_stripes = size // STRIPE + 1
        n_areas = max(n_stripes, self.n_replicas)
        squares_at = size // 2 if "squares" in task.merges else 0
        n_settled = sum(int(np.prod(self._shapes[name])) for name in task.settled if name in self._shapes)
        settings = model.settings
        self.merging = Merging(
            target=self.target,
            curvature=zeros(size, np.float32),
            squares_at=np.uint64(squares_at),
            constant=1.0,
            n_replicas=self.n_replicas,
            interval=np.uint64(min(self.plan.interval, int(_NEVER))),
            n_features=np.uint64(n_settled),
            settles=bool(settings.penalised or settings.averaged),
            locks=zeros(n_stripes * 8, np.int64),
            areas=zeros((n_areas, 2), np.float64),
        )
        self._cursor, self._meeting = zeros(8, np.int64), zeros(16, np.int64)
        self._workers.guard(self.merging.locks)

    def _views(self, buffer: np.ndarray) -> dict[str, np.ndarray]:
        views, start = {}, 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            views[name] = buffer[start : start + size].reshape(shape)
            start += size
        return views

    def _make_shared(self) -> tuple:
        """View the shared buffer as a model; with a head, its lazy arrays are compact too."""
        model, views = self._model, self._views(self.target)
        lazy = {}
        if self._hot is not None:
            for name in self.task.lazy:
                array = getattr(model, name)
                if array.size:
                    lazy[name] = array[self._hot]
        return model._replace(**views, **lazy)

    def _make_view(self, buffer: np.ndarray) -> tuple:
        """View one replica as a model whose cold features, if any, are shared."""
        model, views = self._model, self._views(buffer)
        everything = self._hot is None
        for name, merge in self.task.merges.items():
            if merge.by_feature and self._hot is not None and not len(self._hot):
                array = getattr(model, name)
                views[name] = AtomicWeights(array) if isinstance(self._engine, Atomic) else array
            elif merge.by_feature and not everything:
                views[name] = Split(views[name], getattr(model, name))
        settings = model.settings._replace(lazy=not everything, lazy_intercept=False)
        return model._replace(settings=settings, **views)

    def _refresh_curvature(self) -> None:
        """Estimate the curvature at the present weights, before the slices 1, 2, 4, 8, ..."""
        self._slices += 1
        if self._slices < self._due:
            return
        first, self._due = self._due == 1, 2 * self._due
        self.finish()
        if self._merge in ("sum", "mean"):
            if first:
                self._fill_curvature({}, SUM if self._merge == "sum" else MEAN)
            return
        estimated = self.task.curvature(draw_sample(self.task, self._rng, SAMPLE_ROWS), self._hot)
        bound = min(1.0, self.task.step_bound / self.task.schedule.eta0)  # where steps divide the step size themselves
        shrink = bound if self._merge == "self-tuned" else SHRINK * bound
        self._fill_curvature({name: shrink * array for name, array in estimated.items()}, 0.0)
        for replica in self._replicas:
            replica.state[0] = 0.0  # factors of the old curvature are forgotten

    def _fill_curvature(self, estimated: dict[str, np.ndarray], otherwise: float) -> None:
        start = 0
        for name, merge in self.task.merges.items():
            size = int(np.prod(self._shapes[name]))
            part = self.merging.curvature[start : start + size]
            if merge.kind == "add":
                part[:] = SUM
            elif name in estimated:
                part[:] = estimated[name].reshape(-1)
            else:
                part[:] = otherwise
            start += size

    # ------------------------------------------------------------------------------------------ slices

    def _gather(self) -> None:
        """Copy the model's replicated parameters into the shared buffer."""
        views = self._views(self.target)
        for name, merge in self.task.merges.items():
            array = getattr(self._model, name)
            views[name][...] = array[self._hot] if merge.by_feature and self._hot is not None else array
        if self._hot is not None:
            for name in self.task.lazy:
                array = getattr(self._shared, name)
                if array.size:
                    array[...] = getattr(self._model, name)[self._hot]
        if self._hot is not None and len(self._hot):
            for name, merge in self.task.merges.items():
                if merge.by_feature:
                    box_hot(getattr(self._model, name), self._hot)

    def _publish(self) -> None:
        """Copy the shared buffer back into the model."""
        views = self._views(self.target)
        for name, merge in self.task.merges.items():
            array = getattr(self._model, name)
            if merge.by_feature and self._hot is not None:
                array[self._hot] = views[name]
            else:
                array[...] = views[name]
        if self._hot is not None:
            for name in self.task.lazy:
                array = getattr(self._shared, name)
                if array.size:
                    getattr(self._model, name)[self._hot] = array

    def run(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Run positions low..high of the epoch; returns the sum of losses and the position reached."""
        self._refresh_curvature()
        starts, ready = self._starts(high - low)
        if ready == 0:  # the L2 penalty shrinks weights to nothing within a chunk: exactly, on one thread
            alone = SequentialRunner(self.task)
            loss, high = alone.run(order, low, min(high, low + CHUNK))
            alone.finish()
            self._copy_model(self.task.model, self._model)
            return loss, high
        high = low + ready
        self._gather()
        if self._simulated:
            loss = self._run_simulated(order, starts, low, high)
        else:
            loss = self._run_threads(order, starts, low, high)
        self._publish()
        self._move_clock(starts, ready)
        return loss, high

    def scale_deltas(self, factor: float) -> None:
        """Merge deltas times `factor` from now on; for engines with ``merge="sum"``."""
        for replica in self._replicas:
            replica.factors[:] = factor
            replica.state[0] = self.task.schedule.eta0  # as if computed for this step size

    @property
    def running(self) -> list[np.ndarray]:
        """What each thread keeps beside its clock, from place 6 on (`steps.base.Work`)."""
        return [work.running for work in self._works]

    def _starts(self, n_rows: int) -> tuple[np.ndarray, int]:
        """Clock at the start of each chunk of the next `n_rows`, and how many of them fit in the present scale."""
        task = self.task
        starts = np.empty((n_rows // CHUNK + 2, 5))
        for _ in range(2):
            now = (task.t, self._scale, task.penalty, self._area, self._count)
            ready = chunk_starts(task.schedule, *now, n_rows, starts)
            if ready:
                break
            self.finish()
        return starts, ready

    def _move_clock(self, starts: np.ndarray, n_rows: int) -> None:
        self.task.t, self._scale, self.task.penalty, self._area, self._count = starts[-(-n_rows // CHUNK)]

    def finish(self) -> None:
        """Bring everything lazy up to the clock: the model's arrays hold its weights."""
        task = self.task
        if task.model.settings.averaged:
            finish_average = self._finish_average if self._hot is None else self._finish_split_average
            finish_average(self._area, self._count)
        running = np.array([0.0, task.t, self._scale, task.penalty, 0.0, 0.0, 0.0, 0.0])
        close_clock(self._model, np.uint64(task.n_settled), running)
        self._scale, self._area, self._count = 1.0, 0.0, 0.0
        self.merging.areas[:] = 0.0
        self._copy_model(self._model, task.model)

    def _copy_model(self, model: tuple, to: tuple) -> None:
        """Copy the arrays between the task's model and the one that is stepped on, where they are two."""
        if self._workers.apart:
            for name, array in model._asdict().items():
                if isinstance(array, np.ndarray):
                    getattr(to, name)[...] = array

    def close(self) -> None:
        """Let go of the workers, and of the memory that is shared with them."""
        self._workers.close()
        if self._workers.apart:
            self.target = self.merging = self._cursor = self._meeting = self._values = None
            self._model = self._shared = self._models = self._replicas = self._works = None

    def state(self) -> dict[str, np.ndarray]:
        """Return what a deterministic run keeps beside the model's arrays and the task's clock."""
        clock = [self._slices, self._due, self._scale, self._area, self._count]
        kept = {"clock": np.array(clock, np.float64), "curvature": self.merging.curvature, "areas": self.merging.areas}
        for k, replica in enumerate(self._replicas):
            kept |= {f"factors.{k}": replica.factors, f"replica.{k}": replica.state}
        return {name: array.copy() for name, array in kept.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self._slices, self._due = int(state["clock"][0]), int(state["clock"][1])
        self._scale, self._area, self._count = state["clock"][2:].tolist()
        self.merging.curvature[...], self.merging.areas[...] = state["curvature"], state["areas"]
        for k, replica in enumerate(self._replicas):
            replica.factors[...], replica.state[...] = state[f"factors.{k}"], state[f"replica.{k}"]

    def _run_threads(self, order: Order, starts: np.ndarray, low: int, high: int) -> float:
        task, merging, workers = self.task, self.merging, self._workers
        first = (workers.lent("rows", task.rows), workers.lent("order", order))
        bounds = (np.uint64(low), np.uint64(high))
        calls = []
        for k, (model, replica, work) in enumerate(zip(self._models, self._replicas, self._works, strict=True)):
            if self._static:
                rest = (self._values, task.schedule, starts, *bounds, k, self._meeting, work)
            else:
                rest = (task.schedule, starts, self._cursor, *bounds, k, work)
            calls.append((*first, model, self._shared, merging, replica, *rest))
        if workers.apart:
            self._compile(calls[0])
        while True:
            self._cursor[0], deaths = 0, workers.deaths
            loss = sum(workers.run(advance_static if self._static else advance_replica, calls))
            if workers.deaths == deaths:  # else the rows and losses of a killed worker are missing: the slice again
                return loss

    def _compile(self, call: tuple) -> None:
        """Compile here, once: workers then find the kernel on disk instead of compiling it all at the same time."""
        kind = tuple((array.dtype, array.flags.writeable) for array in call[0])
        if self._compiled != kind:
            self._compiled = kind
            advance_replica(*call[:9], np.uint64(0), np.uint64(0), *call[11:])

    def run_for_choice(self, order: Order, low: int, high: int, choose: Callable) -> tuple[float, int]:
        """Let each replica step through one interval, merge all at once as `choose` says, and keep its constant.

        ``choose(sum of deltas, eta, rows of a replica) -> (target, constant)``. Returns as `run` does.
        """
        task, interval = self.task, max(CHUNK, self.plan.interval // CHUNK * CHUNK)
        high = min(high, low + interval * self.n_replicas)
        self.finish()
        self._refresh_curvature()
        starts, ready = self._starts(high - low)
        if ready < high - low:
            return self.run(order, low, high)
        self._gather()
        calls = []
        for k, (model, replica, work) in enumerate(zip(self._models, self._replicas, self._works, strict=True)):
            replica.values[...] = self.target
            replica.base[...] = self.target
            position = min(high, low + k * interval)
            n = min(high, position + interval) - position
            bounds = (np.uint64(low), np.uint64(position), np.uint64(n))
            calls.append((task.rows, order, model, task.schedule, starts, *bounds, work))
        if self._simulated:
            loss = sum(advance_alone(*call) for call in calls)
        else:
            loss = sum(self._workers.run(advance_alone, calls))
        deltas = sum(replica.values.astype(np.float64) - replica.base for replica in self._replicas)
        eta = float(self._works[0].eta[0])
        target, constant = choose(deltas, eta, (high - low) / self.n_replicas)
        self.target[...] = target
        self.merging = self.merging._replace(constant=float(constant))
        for replica in self._replicas:
            replica.state[:] = 0.0
        self._publish()
        self._move_clock(starts, ready)
        return loss, high

    def weights_of(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """View (or, with a head, copy) weights and intercept with `target` in the place of the shared buffer."""
        views, model = self._views(target), self.task.model
        coef = views.get("coef", model.coef)
        if self._hot is not None:
            coef = model.coef.copy()
            coef[self._hot] = views["coef"]
        return coef, views.get("intercept", model.intercept)

    def _run_simulated(self, order: Order, starts: np.ndarray, low: int, high: int) -> float:
        for replica in self._replicas:
            replica.values[...] = self.target
            replica.base[...] = self.target
        loss, interval, position, turn = 0.0, self.plan.interval, low, 0
        while position < high:
            k = turn % self.n_replicas
            rest = CHUNK - (position - low) % CHUNK if interval < CHUNK else interval
            n = min(interval, rest, high - position)
            loss += advance_interval(
                self.task.rows,
                order,
                self._models[k],
                self._shared,
                self.merging,
                self._replicas[k],
                self.task.schedule,
                starts,
                np.uint64(low),
                np.uint64(position),
                np.uint64(n),
                self._works[k],
            )
            position, turn = position + n, turn + 1
        return loss

    def _finish_average(self, area: float, count: float) -> None:
        """Add what each stripe's average still lacks of this slice."""
        model = self._model
        flat, summed = model.coef.reshape(-1), model.summed.reshape(-1)
        if self._static:
            n = self.target.size
            bounds = [k * n // self.n_replicas for k in range(self.n_replicas + 1)]
        else:
            bounds = [*range(0, self.target.size, STRIPE), self.target.size]
        for k, (low, high) in enumerate(pairwise(bounds)):
            done_area, done_count = self.merging.areas[k]
            stop = min(high, flat.size)
            if low < stop:
                summed[low:stop] += (area - done_area) * flat[low:stop]
            start = max(low, flat.size)
            stop = min(high, flat.size + model.intercept.size)
            if start < stop:
                part = slice(start - flat.size, stop - flat.size)
                model.summed_intercept[part] += (count - done_count) * model.intercept[part]

    def _finish_split_average(self, area: float, count: float) -> None:
        """Add ``area`` times the tail's weights (steps subtracted what was not there yet), and the head's rest."""
        model = self._model
        hot = self._hot
        tail = np.ones(self.task.n_features, bool)
        tail[hot] = False
        model.summed[tail] += area * model.coef[tail]
        width = int(np.prod(model.coef.shape[1:], dtype=int))
        n_head = len(hot) * width
        stripe = np.arange(n_head) // STRIPE
        rest = (area - self.merging.areas[stripe, 0]).reshape((len(hot), *model.coef.shape[1:]))
        model.summed[hot] += rest * model.coef[hot]
        stripe = (n_head + np.arange(model.intercept.size)) // STRIPE
        model.summed_intercept[...] += (count - self.merging.areas[stripe, 1]) * model.intercept


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
