"""Real kernels on real rows in virtual time: what workers compute and shards hold is that of a real job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from hogwild.cluster.deltas import ALL, KeySet, Request
from hogwild.cluster.protocol import Chunk, Lease, Part, Phase, Prepare
from hogwild.cluster.ranges import cut_ranges, key_traffic
from hogwild.cluster.simulation.simulator import Simulator
from hogwild.cluster.store import TableStore
from hogwild.cluster.workloads import EstimatorWorkload, Source, Trained, make_problem, read_matrix, survey_all
from hogwild.cluster.workloads.stepping import cut

# Seconds of a worker's processor for one push and pull through Ray. With them (two workers, two shards, two cores,
# 200,000 RCV1-like rows, phases of 2,000, 10,000 and 50,000 rows) 291,000, 1.28 and 4.52 million rows/s are predicted,
# and 252,000, 1.02 and 3.74 million were measured; without, 675,000, 2.50 and 7.10 million are predicted.
RAY_CALL = 0.004
JUDGES = 8_192  # rows that the loss is followed on
_CACHE = 1 << 29  # bytes of rows that all workers together keep beside the source
_PHASE_ROWS = 2_000  # for which keys are cut into ranges of equal traffic
_PIECES = 16  # chunks that those rows come from


class RealJob:
    """An estimator and rows, ready for any number of simulations with the same shards.

    Parameters
    ----------
    estimator : estimator
        Not changed.
    rows : Source, or tuple of (X, y) or (X, y, sample_weight)
    shards, workers : int
    merge : {"self-tuned", "damped", "mean", "sum"}
    seed : int
    half : bool
        Whether numbers travel as float16.
    chunk_rows : int, optional
        Rows that are leased as a whole.
    judges : int
        Rows that the loss is followed on, spread over the data.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        rows: Source | tuple,
        *,
        shards: int = 1,
        workers: int = 1,
        merge: str = "self-tuned",
        seed: int = 0,
        half: bool = False,
        chunk_rows: int | None = None,
        judges: int = JUDGES,
    ) -> None:
        self.source = read_matrix(estimator, *rows) if isinstance(rows, tuple) else rows
        self.survey = survey_all(self.source)
        self.problem = make_problem(estimator, self.survey, self.source, merge=merge)
        self.chunks: tuple[Chunk, ...] = self.source.chunks(self.survey, workers, chunk_rows)
        layout, (features, shares) = self.problem.layout, self.survey.frequencies()
        counts = np.zeros(layout.n_features)
        counts[features] = shares * self.survey.sample_rows
        traffic = key_traffic(counts, self.survey.sample_rows, _PHASE_ROWS, layout.n_keys)
        self.cuts = cut_ranges(traffic, shards)
        self.shards, self.seed, self.half = shards, seed, half
        self._options = {"seed": seed, "half": half, "mode": "whole", "cache_bytes": max(1 << 24, _CACHE // workers)}
        self._made: list[EstimatorWorkload] = []
        self._judge = self.workload("judge")
        self._windows: list | None = None
        self._n_judges = judges

    @property
    def turns(self) -> int:
        """Epochs that the estimator asks for."""
        return self.problem.n_turns

    def workload(self, name: str) -> EstimatorWorkload:
        """Make a worker's workload."""
        made = EstimatorWorkload(self.problem, self.source, self.cuts, n_threads=1, **self._options)
        self._made.append(made)
        return made

    def store(self, shard: int) -> TableStore:
        """Make a shard's store."""
        low, high = int(self.cuts[shard]), int(self.cuts[shard + 1])
        return self.problem.store(low, high)

    def close(self) -> None:
        """Let go of what the workloads hold."""
        for made in self._made:
            made.close()
        self._made.clear()

    # ------------------------------------------------------------------------------------------ what shards hold

    def table(self, simulator: Simulator) -> np.ndarray | None:
        """Values of all keys as the shards have them now; None while one of them is down."""
        stores: list[Any] = [None] * self.shards
        for node in simulator.nodes.values():
            if node.role == "shard" and node.machine is not None and node.machine.primary:
                stores[int(node.name.split("/")[1])] = node.machine.store
        if None in stores:
            return None
        return np.concatenate([store.read(Request(KeySet(ALL))).values for store in stores])

    def loss(self, table: np.ndarray) -> float:
        """Mean loss of the judging rows, without penalty."""
        judge, problem = self._judge, self.problem
        for share in judge._shares:
            mine = table[share.low : share.high]
            keys = share.keys.keys
            problem.table.write(mine if keys is None else mine[keys - share.low], judge._arrays, share.where)
        if self._windows is None:
            self._windows = self._choose_windows()
            self._task = problem.task(judge._arrays, self._windows[0])
        sizes = [len(window.targets) for window in self._windows]
        losses = [problem.mean_loss(self._task, window) for window in self._windows]
        return float(np.average(losses, weights=sizes))

    def _choose_windows(self) -> list:
        """Rows of chunks that are spread over the data."""
        places = np.unique(np.linspace(0, len(self.chunks) - 1, min(_PIECES, len(self.chunks))).astype(int))
        each = -(-self._n_judges // len(places))
        held = [self._judge._loader.get(self.chunks[place]) for place in places]
        return [cut(one.rows, 0, min(each, len(one.rows.targets))) for one in held]

    def model(self, table: np.ndarray, rows: float, losses: Sequence[float], seconds: float) -> BaseEstimator:
        """Make a fitted clone of the estimator."""
        return self.problem.finish(table, Trained(rows, losses, len(losses), 1, seconds))

    # ------------------------------------------------------------------------------------------ speed

    def measure(self, seconds: float = 1.0, active: int = 2) -> tuple[float, float]:
        """Measure how fast one thread of this machine is.

        Parameters
        ----------
        seconds : float
            About how long to measure.
        active : int
            Workers that the rule of merging is to reckon with.

        Returns
        -------
        rate : float
            Rows a second, apart from the overhead of phases.
        overhead : float
            Seconds of a phase apart from its rows: taking over what was pulled, deltas, the trial of constants.
        """
        most = max(chunk.rows for chunk in self.chunks)
        chunk = next(chunk for chunk in self.chunks if chunk.rows == most)
        long, short = most, max(1, most // 8)
        workload, stores = self.workload("measure"), [self.store(k) for k in range(self.shards)]
        times: dict[int, list[float]] = {long: [], short: []}
        began, n = time.perf_counter(), 0
        while n < 8 or (time.perf_counter() - began < seconds and n < 400):
            if n == 2:  # what comes before compiles
                began, times = time.perf_counter(), {long: [], short: []}
            rows = (long, short)[n % 2]
            part = Part(Lease(n, 1 + n // 2, chunk, 0, rows), 0, rows)
            pulls = workload.run(Prepare((part,), n == 0)).pulls
            pulled = tuple(store.read(pull) for store, pull in zip(stores, pulls, strict=True))
            start = time.perf_counter()
            result = workload.run(Phase((part,), pulled, float(n * rows), active, ()))
            times[rows].append(time.perf_counter() - start)
            for store, push in zip(stores, result.pushes, strict=True):
                if push is not None:
                    store.apply(push, active)
            n += 1
        slow, quick = (float(np.quantile(times[rows], 0.25)) for rows in (long, short))  # others may disturb
        per_row = (slow - quick) / max(1, long - short)
        if not per_row > 0:
            return long / slow, 0.0
        return 1 / per_row, max(0.0, quick - short * per_row)
