"""Running the rows of a phase on one node's engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hogwild.cluster.protocol import Part
from hogwild.cluster.workloads.loading import Held, Loader, Ordered
from hogwild.cluster.workloads.problem import Passed, Problem
from hogwild.engine.choose import make_runner
from hogwild.engine.engines import Replicas, Simulated
from hogwild.engine.order import Order
from hogwild.engine.source import NONE
from hogwild.engine.task import SAMPLE_ROWS, Task, draw_sample
from hogwild.engine.training import DivergedError
from hogwild.schedules import CHUNK
from hogwild.steps.rows import Rows

MIN_ROWS = 256  # of a thread


class Stepped(NamedTuple):
    """What the rows of a phase added up to."""

    rows: int
    weight: float
    loss: float
    passed: Passed


class Stepper:
    """A model on one node, and who steps on it.

    Parameters
    ----------
    problem : Problem
    arrays : dict of str to ndarray
        Of the model; changed in place.
    rows : Rows
        Some rows that stand for all.
    n_threads : int
    rng : Generator
    """

    def __init__(
        self, problem: Problem, arrays: dict[str, np.ndarray], rows: Rows, n_threads: int, rng: np.random.Generator
    ) -> None:
        self.problem, self.arrays, self.rng = problem, arrays, rng
        self.task: Task = problem.task(arrays, rows)
        n_threads = max(1, min(n_threads, len(rows.targets) // MIN_ROWS))
        engine, plan = problem.engine(n_threads), None
        if isinstance(engine, Replicas | Simulated):
            plan = problem.plan(self.task, engine, n_threads)
        self.runner = make_runner(self.task, engine, n_threads, rng, plan=plan)

    def step(self, parts: Sequence[tuple[Part, Held, Ordered]], rows: float) -> Stepped:
        """Step through parts of chunks, from the row clock `rows` on.

        Raises
        ------
        DivergedError
            Where the sum of losses is not finite.
        """
        task, runner, problem = self.task, self.runner, self.problem
        problem.start_clock(task, rows, parts[0][0].lease.turn if parts else 1)
        t, loss, weight, n = task.t, 0.0, 0.0, 0
        for part, held, ordered in parts:
            task.rows = held.rows
            for order, low, high in pieces(ordered, part.start, part.stop):
                while low < high:
                    lost, low = runner.run(order, low, high)
                    loss += lost
            n += part.stop - part.start
            weights = held.rows.weights
            weight += float(weights[ordered.rows[part.start : part.stop]].sum()) if weights.size else 0.0
            weight += 0.0 if weights.size else part.stop - part.start
        runner.finish()
        if not math.isfinite(loss):
            raise DivergedError(
                f"Floating-point under-/overflow occurred after {rows:,.0f} rows of all workers: the step size "
                f"(eta0={task.schedule.eta0:g}) is too large for these data, or phases are too long for it. Scaling "
                "input data might help, a smaller eta0, or shorter phases."
            )
        return Stepped(n, weight, loss, problem.passed(task, t, n))

    def curvature(self) -> dict[str, np.ndarray]:
        """Estimate the curvature on rows of the chunk at hand."""
        return self.problem.curvature(self.task, draw_sample(self.task, self.rng, SAMPLE_ROWS))

    def close(self) -> None:
        """Let go of the engine."""
        self.runner.close()


def pieces(ordered: Ordered, start: int, stop: int) -> list[tuple[Order, int, int]]:
    """Cut positions where kernels begin to draw anew; what lies between two such places is spelled."""
    order, rows = ordered
    if order.block == np.uint64(1) or not order.blocks.size:
        return [(order, start, stop)]  # no position depends on another
    first = min(-(-start // CHUNK) * CHUNK, stop)
    last = stop if stop == int(order.n_rows) else max(first, stop // CHUNK * CHUNK)
    found = [] if first == start else [(start, first, False)]
    found += [(first, last, True)] if last > first else []
    found += [(last, stop, False)] if stop > last else []
    # `rows` are numbers in the chunk already, of those that take part
    spelled = Order(NONE, order.n_rows, rows, np.uint64(1), np.uint64(0))
    return [(order if drawn else spelled, low, high) for low, high, drawn in found]


def window(held: Held, rng: np.random.Generator, n: int) -> Rows:
    """View `n` consecutive rows of a chunk, from a place drawn."""
    total = len(held.rows.targets)
    low = int(rng.integers(0, max(1, total - n + 1)))
    return cut(held.rows, low, min(total, low + n))


def cut(rows: Rows, low: int, high: int) -> Rows:
    """View rows low..high."""
    found = {
        name: getattr(rows, name)[low:high]
        for name in ("targets", "weights", "norms", "first", "second")
        if len(getattr(rows, name, ()))
    }
    if hasattr(rows, "indptr"):
        found["indptr"] = rows.indptr[low : high + 1]
    elif hasattr(rows, "values"):
        found["values"] = rows.values[low:high]
    return rows._replace(**found)


def load_parts(loader: Loader, parts: Sequence[Part]) -> list[tuple[Part, Held, Ordered]]:
    """Bring the chunks of parts into memory, and their orders."""
    loader.read_ahead(part.lease.chunk for part in parts)
    return [(part, loader.get(part.lease.chunk), loader.order(part.lease.chunk, part.lease.turn)) for part in parts]
