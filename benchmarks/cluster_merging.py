"""Merge rules of a cluster by workers and phase length, log loss after 5 epochs, simulated exactly on one thread.

Workers step on copies of the shared weights and push their deltas:
BSP merges them together, under SSP(4) each arrives at a time of its own. ``best`` scores the sum of all deltas of a
merge under every constant; ``alone`` is `hogwild.cluster.merging`, the only one under SSP.
"""

from __future__ import annotations

import argparse
import heapq
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from tables import SHARED, recorded, show

from hogwild.cluster.merging import ConstantTuning, judging_rows
from hogwild.compiled import kernel
from hogwild.data import load_svmlight, make_rcv1_like
from hogwild.engine.tuning import CONSTANTS, damped

EPOCHS, ALPHA, STALENESS = 5, 1e-5, 4
CASES = [("a9a", 4, 2_000), ("a9a", 16, 1_000), ("ijcnn1", 16, 1_000)]
CASES += [("RCV1-like 100,000", *case) for case in ((4, 500), (8, 2_000), (16, 1_000))]
LARGE = [("RCV1-like 781,000", 2, m) for m in (2_000, 25_000, 100_000, 200_000)]
FILES = {"a9a": "a9a.svm.xz", "ijcnn1": "ijcnn1.trn.bz2"}
ETA = {"a9a": 0.01, "ijcnn1": 0.3}  # best for one thread; RCV1-like: 10


@kernel
def step_rows(indptr, indices, values, y, order, w, eta):
    """Log-loss steps."""
    for i in order:
        score = np.float32(0)
        for j in range(indptr[i], indptr[i + np.uint32(1)]):
            score += w[indices[j]] * values[j]
        g = eta * y[i] / (np.float32(1) + np.exp(y[i] * score))
        for j in range(indptr[i], indptr[i + np.uint32(1)]):
            w[indices[j]] += g * values[j]


@kernel
def mean_loss(indptr, indices, values, y, rows, w):
    """Mean log loss of some rows."""
    total = 0.0
    for i in rows:
        score = np.float32(0)
        for j in range(indptr[i], indptr[i + np.uint32(1)]):
            score += w[indices[j]] * values[j]
        margin = y[i] * score
        total += np.log1p(np.exp(-abs(margin))) + max(-margin, np.float32(0))
    return total / rows.size


class Problem(NamedTuple):
    """Rows, their curvature, and a step size."""

    rows: tuple
    curvature: np.ndarray
    eta0: float

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.rows[3])

    def eta(self, t: float) -> float:
        """Step size after `t` rows."""
        return self.eta0 / (1 + ALPHA * self.eta0 * t)

    def delta(self, w: np.ndarray, rows: np.ndarray, eta: float) -> np.ndarray:
        """What a phase changes."""
        stepped = w.copy()
        step_rows(*self.rows, rows, stepped, np.float32(eta))
        return stepped - w

    def loss(self, w: np.ndarray, rows: np.ndarray | None = None) -> float:
        """Mean loss; infinite where it has diverged."""
        found = mean_loss(*self.rows, np.arange(self.n, dtype=np.uint32) if rows is None else rows, w)
        return found if np.isfinite(found) else np.inf

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """All rows, epoch by epoch."""
        return np.concatenate([rng.permutation(self.n) for _ in range(EPOCHS)]).astype(np.uint32)


def make_problem(name: str) -> Problem:
    """Read or make a data set."""
    if name.startswith("RCV1-like"):
        X, y = make_rcv1_like(int(name.split()[1].replace(",", "")))
    else:
        X, y = load_svmlight(SHARED / FILES[name])
    X = sp.csr_matrix(X, dtype=np.float32)
    size = abs(X)
    curvature = np.asarray(size.T @ np.asarray(size.sum(1)).ravel()).ravel() / X.shape[0]
    rows = X.indptr.astype(np.uint64), X.indices.astype(np.uint32), X.data, np.asarray(y, np.float32)
    return Problem(rows, curvature.astype(np.float32), ETA.get(name, 10.0))


def bulk(problem: Problem, n_workers: int, m: int, rule: str) -> float:
    """BSP: all deltas are merged at once."""
    rng = np.random.default_rng(0)
    order, w = problem.order(rng), np.zeros_like(problem.curvature)
    for t in range(0, len(order), m * n_workers):
        eta = problem.eta(t)
        parts = [order[k : k + m] for k in range(t, min(t + m * n_workers, len(order)), m)]
        total = sum(problem.delta(w, part, eta) for part in parts)
        if rule == "best":
            sample = rng.integers(0, problem.n, 2_000).astype(np.uint32)
            tried = [w + factors(problem, eta * m * c, n_workers) * total for c in CONSTANTS]
            w = min(tried, key=lambda candidate: problem.loss(candidate, sample))
        else:
            s = {"sum": 1.0, "mean": 1 / n_workers}.get(rule)
            w = w + np.float32(s) * total if s else w + factors(problem, eta * m * 0.1, n_workers) * total
    return problem.loss(w)


def factors(problem: Problem, x: float, n_workers: int) -> np.ndarray:
    """Factors of a damped merge."""
    return damped(problem.curvature, x, n_workers, None).astype(np.float32)


def alone(problem: Problem, n_workers: int, m: int) -> float:
    """SSP: every worker pushes at its own time, with the constant of its own choice."""
    rng = np.random.default_rng(0)
    order, w, position, stepped = problem.order(rng), np.zeros_like(problem.curvature), 0, 0
    tunings = [ConstantTuning() for _ in range(n_workers)]
    bases, scales = [w] * n_workers, [0.0] * n_workers
    clocks, phases = [0] * n_workers, [order[:0]] * n_workers
    events: list[tuple[float, int]] = []
    idle, now = list(range(n_workers)), 0.0
    while events or idle:
        for i in list(idle):
            if position >= len(order):
                clocks[i] = 1 << 60  # has left
                idle.remove(i)
            elif clocks[i] - min(clocks) <= STALENESS:
                idle.remove(i)
                phases[i], position = order[position : position + m], position + m
                if scales[i]:
                    judged = phases[i][: judging_rows(m)]
                    tunings[i].observe(
                        lambda v, rows=judged: problem.loss(v, rows),
                        bases[i], w, problem.curvature, scales[i], n_workers,
                    )  # fmt: skip
                bases[i] = w
                heapq.heappush(events, (now + rng.lognormal(0, 0.3), i))
        if not events:
            break
        now, i = heapq.heappop(events)
        eta = problem.eta(stepped)
        stepped, scales[i] = stepped + len(phases[i]), eta * len(phases[i])
        delta = problem.delta(bases[i], phases[i], eta)
        w = w + factors(problem, scales[i] * tunings[i].constant, n_workers) * delta
        clocks[i] += 1
        idle.append(i)
    return problem.loss(w)


@recorded
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="781,000 rows too: a minute more")
    arguments = parser.parse_args()
    rules = ("one", "sum", "mean", "damped", "best", "alone")
    rows = []
    problems: dict[str, tuple[Problem, float]] = {}
    for name, n_workers, m in CASES + (LARGE if arguments.large else []):
        if name in FILES and not (SHARED / FILES[name]).exists():
            continue
        if name not in problems:
            problem = make_problem(name)
            problems = {name: (problem, bulk(problem, 1, 500, "sum"))}
        problem, one = problems[name]
        found = [bulk(problem, n_workers, m, rule) for rule in ("sum", "mean", "damped", "best")]
        losses = dict(zip(rules, [one, *found, alone(problem, n_workers, m)], strict=True))
        rows.append({"data": name, "workers": n_workers, "phase rows": f"{m:,}", **losses})
    show("Log loss after 5 epochs by merge rule", rows)


if __name__ == "__main__":
    main()
