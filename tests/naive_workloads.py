"""Workers and shards of one process, in turn: what a job comes to without messages between them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from hogwild.cluster.protocol import Lease, Part, Phase, Prepare
from hogwild.cluster.workloads import EstimatorWorkload, Trained


@dataclass
class Run:
    """What a run left behind."""

    fitted: object
    losses: list[float]
    seconds: float
    phases: int
    constants: list[float] = field(default_factory=list)
    table: np.ndarray | None = None
    compute: float = 0.0


def positions(chunks, worker, n_workers, turn, phase_rows, seed):
    """Yield the parts of each phase of a worker in one pass."""
    order = np.random.default_rng([seed, turn]).permutation(len(chunks))
    mine = [chunks[k] for k in order[worker::n_workers]]
    parts, room = [], phase_rows
    for chunk in mine:
        lease, at = Lease(turn * 100_000 + chunk.number, turn, chunk, 0, chunk.rows), 0
        while at < chunk.rows:
            stop = min(chunk.rows, at + room)
            parts.append(Part(lease, at, stop))
            room -= stop - at
            at = stop
            if room == 0:
                yield tuple(parts)
                parts, room = [], phase_rows
    if parts:
        yield tuple(parts)


def even_cuts(n_keys, n_shards):
    return np.linspace(0, n_keys, n_shards + 1).astype(np.int64)


def train(
    problem,
    source,
    survey,
    *,
    workers=1,
    shards=2,
    phase_rows=2_000,
    turns=None,
    seed=0,
    chunk_rows=None,
    together=True,
    **options,
):
    """Train in phases: all workers' pushes after all have pulled (`together`), or one after the other."""
    chunks = source.chunks(survey, workers, chunk_rows)
    cuts = even_cuts(problem.layout.n_keys, shards)
    stores = [problem.store(low, high) for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)]
    loads = [EstimatorWorkload(problem, source, cuts, seed=seed, **options) for _ in range(workers)]
    turns = problem.n_turns if turns is None else turns
    rows, losses, phases, constants, compute = 0, [], 0, [], 0.0
    began = time.perf_counter()

    def read(pulls):
        for store, pull in zip(stores, pulls, strict=True):
            assert not store.missing(None, pull)
        return tuple(store.read(pull) for store, pull in zip(stores, pulls, strict=True))

    waiting: list[tuple] = [() for _ in loads]
    for turn in range(1, turns + 1):
        plans = [list(positions(chunks, w, workers, turn, phase_rows, seed)) for w in range(workers)]
        lost = weight = 0.0
        for k in range(max(map(len, plans))):
            active = [w for w in range(workers) if k < len(plans[w])]
            results = []
            for w in active:
                parts = plans[w][k]
                following = plans[w][k + 1] if k + 1 < len(plans[w]) else ()
                pulls = waiting[w] or loads[w].run(Prepare(parts, turn == 1 and k == 0)).pulls
                start = time.perf_counter()
                result = loads[w].run(Phase(parts, read(pulls), float(rows), len(active), following))
                compute += time.perf_counter() - start
                waiting[w] = result.pulls
                phases += 1
                constants.append(result.constant)
                lost, weight = lost + result.loss, weight + result.weight
                results.append(result)
                if not together:
                    rows += result.rows
                    push(stores, result, len(active))
            if together:
                for result in results:
                    rows += result.rows
                    push(stores, result, len(active))
        waiting = [() for _ in loads]
        losses.append(lost / weight)
    seconds = time.perf_counter() - began
    for load in loads:
        load.close()
    table = np.concatenate([store.read(request_all()).values for store in stores])
    fitted = problem.finish(table, Trained(rows, losses, turns))
    return Run(fitted, losses, seconds, phases, constants, table, compute)


def request_all():
    from hogwild.cluster.deltas import ALL, KeySet, Request

    return Request(KeySet(ALL))


def push(stores, result, active):
    for store, each in zip(stores, result.pushes, strict=True):
        if each is not None:
            assert not store.missing(each, None)
            store.apply(each, active)
