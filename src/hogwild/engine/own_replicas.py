"""Replicas under a user's own step: what merges how, curvature that is measured, a constant that is tuned."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from hogwild.compiled import aligned_zeros
from hogwild.engine.engines import OwnEngine, Replicas
from hogwild.engine.merge import MEAN, STRIPE, SUM, Merging, Replica
from hogwild.engine.order import NO_ROWS, Order
from hogwild.engine.own_functions import COUNTED, plain
from hogwild.engine.own_runners import ThreadsRunner
from hogwild.engine.own_task import OwnTask
from hogwild.engine.pool import thread_pool
from hogwild.engine.runners import BEYOND_CACHE, CACHE, ROWS_A_PARAMETER
from hogwild.engine.task import SHRINK
from hogwild.engine.tuning import AS_GOOD, CONSTANTS, JUDGING_ROWS, MOST_ROWS, damped
from hogwild.schedules import CHUNK
from hogwild.steps.own import Declared, Unsettled

PROBED = 1 << 22  # parameters looked at in a measurement of the curvature: 2 ms
LEAST_PROBES, MOST_PROBES = 16, 256  # rows of a measurement
PROBE_SHARE = 0.05  # of the running time that measurements may take after the first


def merges_of(task: OwnTask, declared: Declared) -> dict[str, str]:
    """How each parameter array merges: as declared; damped for other floating-point arrays, none for the rest.

    Raises
    ------
    ValueError
        If a name is declared that the parameters do not have, or an array of integers is to be replicated.
    """
    arrays = {n: a for n, a in zip(task.params._fields, task.params, strict=True) if isinstance(a, np.ndarray)}
    for name, how in declared.merges.items():
        if name not in arrays:
            raise ValueError(f"the step declares how {name!r} merges, but the parameters are {', '.join(arrays)}")
        if how != "none" and arrays[name].dtype.kind != "f":
            raise ValueError(f"{name} has dtype {arrays[name].dtype}: only floating-point arrays are replicated")
    return {
        name: declared.merges.get(name, "damped" if array.dtype.kind == "f" else "none")
        for name, array in arrays.items()
    }


class Layout:
    """The replicated parameters side by side in one buffer: first the damped ones, then the others."""

    def __init__(self, params: Any, merges: dict[str, str]) -> None:
        names = [name for name, how in merges.items() if how != "none"]
        names.sort(key=lambda name: merges[name] != "damped")
        kinds = {getattr(params, name).dtype for name in names}
        if len(kinds) > 1:
            found = ", ".join(f"{name} {getattr(params, name).dtype}" for name in names)
            raise ValueError(f"replicated parameters must share one dtype; found {found}")
        self.dtype = kinds.pop() if kinds else np.dtype(np.float32)
        self.params, self.merges, self.names = params, merges, names
        sizes = [getattr(params, name).size for name in names]
        self.starts = np.concatenate([[0], np.cumsum(sizes, dtype=int)]).astype(int)
        self.size = int(self.starts[-1])
        self.n_damped = sum(size for name, size in zip(names, sizes, strict=True) if merges[name] == "damped")

    def view(self, buffer: np.ndarray, others: Callable[[np.ndarray], np.ndarray] = lambda array: array) -> Any:
        """View a buffer as parameters; `others` makes what stands in for arrays outside of it."""
        views = {}
        for name, value in zip(self.params._fields, self.params, strict=True):
            if name in self.names:
                k = self.names.index(name)
                views[name] = buffer[self.starts[k] : self.starts[k + 1]].reshape(value.shape)
            elif isinstance(value, np.ndarray):
                views[name] = others(value)
        return self.params._replace(**views)

    def fixed(self) -> np.ndarray:
        """Curvatures that say how arrays merge that are not damped."""
        curvature = np.zeros(self.size, np.float32)
        for k, name in enumerate(self.names):
            rule = {"add": SUM, "mean": MEAN, "damped": 0.0}[self.merges[name]]
            curvature[self.starts[k] : self.starts[k + 1]] = rule
        return curvature


def interval_for(task: OwnTask, size: int, itemsize: int, n_threads: int) -> tuple[int, bool]:
    """Rows between merges, as engine/runners.py chooses them, and whether merges then cost little beside steps."""
    least, most = max(16, 512 // n_threads), 4096 // n_threads if n_threads <= 4 else max(16, 1024 // n_threads)
    wanted = ROWS_A_PARAMETER * size / task.row_length * (BEYOND_CACHE if size * itemsize > CACHE else 1.0)
    interval = int(np.clip(1 << int(np.ceil(np.log2(max(wanted, 1.0)))), least, most))
    return interval, wanted <= 2 * most


class OwnReplicasRunner(ThreadsRunner):
    """Threads with a replica each, merged at their own time."""

    replicated = True

    def __init__(
        self,
        task: OwnTask,
        engine: Replicas,
        n_threads: int,
        rng: np.random.Generator,
        declared: Declared,
        *,
        traced: bool = False,
    ) -> None:
        super().__init__(task, engine, n_threads, traced=traced)
        self._rng, self._declared = rng, declared
        layout = self._layout = Layout(task.params, merges_of(task, declared))
        self._target = aligned_zeros(layout.size, layout.dtype)
        task_params = layout.view(self._target)
        for name in layout.names:
            getattr(task_params, name)[...] = getattr(task.params, name)
        layout.params = task.params = task_params
        task.name_parameters()
        self._replicas = [
            Replica(*(aligned_zeros(layout.size, layout.dtype) for _ in range(3)), aligned_zeros(8, np.float64))
            for _ in range(n_threads)
        ]
        self._views = [layout.view(replica.values) for replica in self._replicas]
        self._running = [aligned_zeros(8, np.float64) for _ in range(n_threads)]
        self._cursors = [aligned_zeros(8, np.int64) for _ in range(n_threads)]
        interval = engine.interval or interval_for(task, layout.size, layout.dtype.itemsize, n_threads)[0]
        n_stripes = layout.size // STRIPE + 1
        self._merging = Merging(
            target=self._target,
            curvature=layout.fixed(),
            squares_at=np.uint64(0),
            constant=1.0,
            n_replicas=n_threads,
            interval=np.uint64(interval),
            n_features=np.uint64(0),
            settles=False,
            locks=aligned_zeros(n_stripes * 8, np.int64),
            areas=np.zeros((n_stripes, 2)),
        )
        self._merge = engine.merge
        tunes = declared.curvature is None and task.loss is not None and layout.n_damped > 0
        if engine.merge == "damped" and tunes:
            self._merge = "self-tuned"
        if self._merge == "self-tuned" and task.loss is None:
            raise ValueError('merge="self-tuned" chooses by the loss: give loss=')
        self._round = interval * n_threads
        self._gap, self._left = self._round, 0
        self._slices, self._due, self._probing, self._stepping = 0, 1, 0.0, 0.0

    def describe(self) -> OwnEngine:
        """Return the engine as it runs, with interval and merge that were chosen."""
        return Replicas(interval=int(self._merging.interval), merge=self._merge, tune=self.engine.tune)

    def _try(self) -> None:
        self._advance(NO_ROWS, np.empty(0), 0, 0)
        self.losses(NO_ROWS.kept, 0)
        if self._merge == "self-tuned":
            super()._advance(NO_ROWS, np.empty(0), 0, 0)
        if self._declared.curvature is None and self._merge in ("damped", "self-tuned"):
            self._probe(NO_ROWS.kept, 1.0)

    # ------------------------------------------------------------------------------------------ slices

    def _step(self, order: Order, low: int, high: int) -> float:
        """Run positions low..high of the epoch, with a choice of the constant wherever one is due."""
        self._refresh_curvature()
        began, loss, at = time.perf_counter(), 0.0, low
        while at < high:
            if self._merge == "self-tuned" and self._left <= 0:
                part, reached = self._choose(order, at, min(high, at + self._round))
                self._left, self._gap = self._gap, min(2 * self._gap, MOST_ROWS)
            else:
                reached = high if self._merge != "self-tuned" else min(high, at + -(-self._left // CHUNK) * CHUNK)
                part = self._advance(order, self.task.etas(reached - at), at, reached)
                self._left -= reached - at
            loss, self.task.t, at = loss + part, self.task.t + (reached - at), reached
        self._stepping += time.perf_counter() - began
        return loss

    def _advance(self, order: Order, etas: np.ndarray, low: int, high: int) -> float:
        self.cursor[0] = 0
        bounds = tuple(map(np.uint64, (low, high, self.share_of(high - low))))
        calls = [
            (
                *(self.task.rows, order, self._views[k], Unsettled(0), self._merging, self._replicas[k], etas),
                *(*bounds, self.cursor, np.uint64(k), self.tools[k], self._running[k], self.numbers[k]),
            )
            for k in range(self.n_threads)
        ]
        return sum(thread_pool().run(self.loops.advance_replica, calls))

    # ------------------------------------------------------------------------------------------ curvature

    def _refresh_curvature(self) -> None:
        """Measure the curvature at the present parameters: before the slices 1, 2, 4, ..., for a twentieth of the time.

        Rules without curvature are filled in once.
        """
        self._slices += 1
        if self._slices < self._due:
            return
        first, self._due = self._due == 1, 2 * self._due
        curvature, n = self._merging.curvature, self._layout.n_damped
        if self._merge in ("sum", "mean"):
            if first:
                curvature[:n] = SUM if self._merge == "sum" else MEAN
            return
        if n == 0 or (not first and self._probing > PROBE_SHARE * self._stepping):
            return
        began = time.perf_counter()
        eta = float(self.task.etas(1)[0])
        size = int(np.clip(PROBED // max(1, self._layout.size), LEAST_PROBES, MOST_PROBES))
        sample = self.task.draw_sample(self._rng, size)
        measured = self._probe(sample, eta) if self._declared.curvature is None else self._declared_curvature(sample)
        shrink = 1.0 if self._merge == "self-tuned" else SHRINK
        curvature[:n] = np.nan_to_num(shrink * measured, nan=MEAN, posinf=MEAN)
        for replica in self._replicas:
            replica.state[0] = 0.0  # factors of the old curvature are forgotten
        self._probing += time.perf_counter() - began

    def _probe(self, sample: np.ndarray, eta: float) -> np.ndarray:
        """Mean over the rows of the sample of the curvature that their own steps show."""
        layout, flat = self._layout, self._target.copy()
        sums = np.zeros(layout.n_damped)
        params = layout.view(flat, np.copy if len(sample) else lambda array: array)
        places, moves = np.empty(layout.size, np.uint64), np.empty_like(flat)
        changes = (places, moves, np.uint64(layout.n_damped))
        changed = self.loops.probe(self.task.rows, sample, params, flat, self._target, *changes, sums, eta)
        if len(sample) and self.engine.interval is None:
            self.task.row_length = max(1.0, changed / len(sample))
            interval, _ = interval_for(self.task, layout.size, layout.dtype.itemsize, self.n_threads)
            self._merging = self._merging._replace(interval=np.uint64(interval))
        return sums / max(1, len(sample))

    def _declared_curvature(self, sample: np.ndarray) -> np.ndarray:
        """Mean over the rows of the sample of what the user's function bounds."""
        layout = self._layout
        sums = np.zeros(layout.size)
        _sum_over(self._declared.curvature, self.task.view.row)(
            self.task.rows, sample, self.task.params, layout.view(sums, np.zeros_like)
        )
        return sums[: layout.n_damped] / max(1, len(sample))

    # ------------------------------------------------------------------------------------------ tuning

    def _choose(self, order: Order, low: int, high: int) -> tuple[float, int]:
        """Let each replica step through one interval, score the merge of all under every constant, keep the best."""
        etas = self.task.etas(high - low)
        if self.traced:
            for tools in self.tools:
                tools.seen[...], tools.sight[0] = tools.versions, tools.clock[0]
        calls, interval = [], -(-(high - low) // self.n_threads)
        for k, replica in enumerate(self._replicas):
            start, stop = min(high, low + k * interval), min(high, low + (k + 1) * interval)
            replica.values[...] = self._target
            replica.base[...] = self._target
            self._cursors[k][0] = 0
            bounds = (start, stop, max(1, stop - start))
            part = etas[start - low : stop - low]
            calls.append(self.arguments(order, self._views[k], part, bounds, self._cursors[k], self._turn, k))
        # every call takes its own range: as thread 0, from a cursor of its own
        loss = sum(thread_pool().run(self.loops.advance, calls))
        deltas = sum(replica.values.astype(np.float64) - replica.base for replica in self._replicas)
        before, x = self._target.astype(np.float64), float(etas[0]) * (high - low) / self.n_threads
        sample, tried = self.task.draw_sample(self._rng, JUDGING_ROWS), []
        for constant in CONSTANTS:
            factors = damped(self._merging.curvature, x * constant, self.n_threads, None)
            self._target[...] = before + factors * deltas
            tried.append((self.losses(sample, len(sample)) / len(sample), constant, self._target.copy()))
        lowest = min((value for value, _, _ in tried if np.isfinite(value)), default=np.nan)
        # the safest of those that are as good, as engine/tuning.py has it
        as_good = [(constant, target) for value, constant, target in tried if value <= lowest + AS_GOOD * abs(lowest)]
        constant, target = as_good[-1] if as_good else (MEAN, before + deltas / self.n_threads)
        self._target[...] = target
        self._merging = self._merging._replace(constant=float(constant))
        for replica in self._replicas:
            replica.state[:] = 0.0
        return loss, high


def _sum_over(function: Callable, row: Callable) -> Callable:
    """Loop over rows that adds up the user's curvatures: compiled where that is possible."""

    def in_python(rows, numbers, params, bound):
        for i in numbers:
            function(row(rows, i), params, bound)

    def compiled(rows, numbers, params, bound):
        for k in range(numbers.size):
            own(row_of(rows, numbers[k]), params, bound)

    own, row_of = njit(**COUNTED)(plain(function)), njit(**COUNTED)(row)
    loop = njit(**COUNTED)(compiled)

    def run(rows, numbers, params, bound):
        try:
            loop(rows, numbers[:0], params, bound)
        except Exception:  # no row has run: it is the compiler's, which raises many kinds
            in_python(rows, numbers, params, bound)
        else:
            loop(rows, numbers, params, bound)

    return run
