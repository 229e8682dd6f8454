"""What a worker computes for an estimator: phases of real steps between pulls and pushes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hogwild.cluster.deltas import Delta, KeySet, Request
from hogwild.cluster.keys import key_set, split_keys
from hogwild.cluster.merging import ConstantTuning, judging_rows
from hogwild.cluster.protocol import Flush, Part, Phase, PhaseResult, Prepare, Prepared
from hogwild.cluster.sending import make_delta
from hogwild.cluster.workloads.constants import constant_of, kept_share, losses_of_constants, observed
from hogwild.cluster.workloads.loading import Held, Loader, Ordered
from hogwild.cluster.workloads.problem import Problem
from hogwild.cluster.workloads.shares import Share
from hogwild.cluster.workloads.sources import Source
from hogwild.cluster.workloads.stepping import Stepped, Stepper, load_parts, window
from hogwild.cluster.workloads.table import Where
from hogwild.engine.tuning import CONSTANTS

MEMORY_LIMIT = 4 << 30  # bytes of a node's copies of the whole model, beyond which it takes parts of it
COPIES = 4  # of the table that a node keeps: the model, its base, what a phase makes of it, curvature
SELDOM = 16  # phases between estimates of the curvature, at most
DEAR = 8  # times the rows that scoring takes have to be stepped between two choices of the constant
_WHOLE, _PARTIAL = "whole", "partial"


class EstimatorWorkload:
    """Steps on the rows of leased chunks, behind `protocol.Workload`.

    Parameters
    ----------
    problem : Problem
    source : Source
    cuts : ndarray
        Shard k holds the keys ``cuts[k]`` to ``cuts[k + 1] - 1``.
    n_threads : int
        Of this node's engine.
    seed : int
        Of the job: of the order of rows.
    mode : {"auto", "whole", "partial"}
        Whether the node keeps a copy of the whole model, brought up to date by what has changed, or pulls the features
        of each phase's rows only. "auto": by `memory`.
    memory : int
        Bytes that copies of the model may take.
    cache_bytes : int
        Bytes of chunks that are kept in memory.
    half : bool
        Whether values and deltas travel as float16; what rounding keeps back is sent later.
    hot : ndarray of uint32, optional
        Keys whose changes are pushed in every phase.
    tail_every : int
        Phases after which those of all other keys are pushed, where there is a copy of the whole model.
    """

    def __init__(
        self,
        problem: Problem,
        source: Source,
        cuts: np.ndarray,
        *,
        n_threads: int = 1,
        seed: int = 0,
        mode: str = "auto",
        memory: int = MEMORY_LIMIT,
        cache_bytes: int = 1 << 30,
        half: bool = False,
        hot: np.ndarray | None = None,
        tail_every: int = 1,
    ) -> None:
        if mode not in ("auto", _WHOLE, _PARTIAL):
            raise ValueError(f"mode must be auto, whole or partial; found {mode!r}")
        if mode == "auto":
            mode = _PARTIAL if problem.layout.nbytes * COPIES > memory and problem.can_be_partial else _WHOLE
        if mode == _PARTIAL and not problem.can_be_partial:
            raise ValueError(
                f"{type(problem.estimator).__name__} needs the whole model on each node, found mode='partial'"
            )
        self.mode, self.problem, self.n_threads, self.half = mode, problem, n_threads, half
        self._cuts = np.asarray(cuts, np.int64)
        self._rng = np.random.default_rng([seed, 1])
        self._loader = Loader(problem, source, seed, cache_bytes=cache_bytes, compact=mode == _PARTIAL)
        self._phases, self._due = 0, 1
        self._tuning = ConstantTuning()
        self._constant = constant_of(problem.merge) if problem.merge != "self-tuned" else self._tuning.constant
        self._left, self._gap = 0, 1  # rows until the constant is chosen anew, and from then on
        self._last: float | None = None  # step size times rows of the last phase
        self._kept = float("nan")  # share of the pushes that damping leaves
        self._residuals: list[np.ndarray | None] = [None] * (len(self._cuts) - 1)
        if half:
            width, dtype = problem.layout.width, problem.layout.dtype
            self._residuals = [np.zeros((high - low, width), dtype) for low, high in self._ranges]
        self._stepper: Stepper | None = None
        self._shares: list[Share] = []
        self._parts: dict[tuple, list[Share]] = {}
        self._hot = hot if mode == _WHOLE and tail_every > 1 else None
        self._tail_every, self._since_tail = tail_every, 0
        if mode == _WHOLE:
            self._hold_everything(source.numbering)

    @property
    def _ranges(self) -> list[tuple[int, int]]:
        return list(zip(self._cuts[:-1].tolist(), self._cuts[1:].tolist(), strict=True))

    def close(self) -> None:
        """Let go of threads."""
        self._loader.close()
        if self._stepper is not None:
            self._stepper.close()

    def run(self, job: Prepare | Phase | Flush) -> Prepared | PhaseResult:
        """Run a job."""
        if isinstance(job, Flush):
            return self._flush()
        return self._prepare(job) if isinstance(job, Prepare) else self._phase(job)

    # ------------------------------------------------------------------------------------------ what is held

    def _hold_everything(self, numbering: np.ndarray | None) -> None:
        """Lay out copies of all keys; of a cache file's, in the order of its numbers."""
        layout = self.problem.layout
        n = layout.n_features
        if numbering is None:
            self._arrays = self.problem.arrays(n)
        else:
            self._arrays = self.problem.arrays(len(numbering))
            present = np.argsort(numbering).astype(np.uint32)  # columns by original feature
            features = numbering[present]
        for low, high in self._ranges:
            last = max(low, min(high, n))
            rest = slice(max(low - n, 0), max(high - n, 0))
            if numbering is None:
                keys, where = KeySet(0), Where.span(low, last, rest)
            else:
                first, stop = np.searchsorted(features, (low, last))
                others = np.arange(max(low, n), max(high, n), dtype=np.uint32)
                keys = key_set(np.concatenate([features[first:stop], others]).astype(np.uint32), low, high)
                where = Where.of(present[first:stop], rest)
            share = Share(self.problem, low, high, keys, where)
            if self._hot is not None:
                share.name_tail(self._hot, np.arange(low, high, dtype=np.uint32) if keys.keys is None else keys.keys)
            self._shares.append(share)

    def _hold_parts(self, parts: Sequence[Part]) -> list[Share]:
        """Name the keys of the rows of a phase, and lay out room for them."""
        name = _name(parts)
        if name not in self._parts:
            loaded = load_parts(self._loader, parts)
            sets = list({part.lease.chunk.number: held.keys for part, held, _ in loaded}.values())
            keys = sets[0] if len(sets) == 1 else np.unique(np.concatenate(sets))
            n, shares, first = self.problem.layout.n_features, [], 0
            for (low, high), mine in zip(self._ranges, split_keys(keys, self._cuts), strict=True):
                rest = slice(max(low - n, 0), max(high - n, 0))
                others = np.arange(max(low, n), max(high, n), dtype=np.uint32)
                named = key_set(np.concatenate([mine, others]).astype(np.uint32), low, high)
                shares.append(Share(self.problem, low, high, named, Where.span(first, first + len(mine), rest)))
                first += len(mine)
            while len(self._parts) > 1:
                del self._parts[next(iter(self._parts))]
            self._parts[name] = shares
        return self._parts[name]

    # ------------------------------------------------------------------------------------------ jobs

    def _pulls(self, parts: Sequence[Part]) -> tuple[Request, ...]:
        if self.mode == _WHOLE:
            self._loader.read_ahead(part.lease.chunk for part in parts)
            return tuple(Request(share.keys, share.version, self.half) for share in self._shares)
        return tuple(Request(share.keys, -1, self.half) for share in self._hold_parts(parts))

    def _prepare(self, job: Prepare) -> Prepared:
        if job.fresh:
            self._last, self._since_tail = None, 0
            for share in self._shares:
                share.version, share.kept = -1, None
        return Prepared(self._pulls(job.parts))

    def _phase(self, job: Phase) -> PhaseResult:
        self._loader.read_ahead(part.lease.chunk for part in job.parts)
        whole = self.mode == _WHOLE
        shares = self._shares if whole else self._hold_parts(job.parts)
        loaded = load_parts(self._loader, job.parts)
        if whole:
            arrays = self._arrays
        else:
            arrays = self.problem.arrays(max(1, sum(share.where.n for share in shares)))
            loaded = _renumbered(loaded, shares)
        self._loader.read_ahead(part.lease.chunk for part in job.following)
        if self._stepper is None:
            self._stepper = Stepper(self.problem, arrays, loaded[0][1].rows, self.n_threads, self._rng)
        self._install(shares, arrays, loaded, job)
        stepped = self._stepper.step(loaded, job.rows)
        self._since_tail += 1
        keeps = self._hot is not None and bool(job.following) and self._since_tail < self._tail_every
        pushes = self._pushes(shares, stepped, job, keeps)
        if not whole:
            self._stepper.close()
            self._stepper = None
            self._parts.pop(_name(job.parts), None)
        pulls = self._pulls(job.following) if job.following else ()
        return PhaseResult(
            pushes, pulls, stepped.rows, stepped.weight, stepped.loss, self._constant, self._kept, not keeps
        )

    def _install(
        self, shares: list[Share], arrays: dict[str, np.ndarray], loaded: list[tuple[Part, Held, Ordered]], job: Phase
    ) -> None:
        """Take over what was pulled; choose the constant by what the merges since the last pull came to."""
        problem = self.problem
        tries = self._tries(job) and self._last is not None and all(share.then is not None for share in shares)
        before = [(share.base.copy(), share.then[0]) for share in shares] if tries else []
        for share, values in zip(shares, job.pulled, strict=True):
            if values is not None:
                share.install(problem, values, arrays)
        if not tries:
            return
        merges = [
            observed(problem, share, base, share.then[0] - log_scale, self._constant, self._last, job.active)
            for share, (base, log_scale) in zip(shares, before, strict=True)
        ]
        part, held, _ = loaded[0]
        n = judging_rows(sum(part.stop - part.start for part in job.parts))
        task, rows = self._stepper.task, window(held, self._rng, n)
        problem.start_clock(task, job.rows, part.lease.turn)
        self._constant = self._tuning.choose(losses_of_constants(problem, task, rows, merges, self._last, job.active))
        self._left, self._gap = self._gap, min(2 * self._gap, DEAR * len(CONSTANTS) * n)
        for share in shares:
            share.write(problem, arrays)

    def _tries(self, job: Phase) -> bool:
        """Whether the constant is to be chosen anew; partial models keep the first, as they cannot compare pulls."""
        problem = self.problem
        if self.mode == _PARTIAL:
            return False
        return self._left <= 0 and problem.merge == "self-tuned" and problem.table.any_damped and job.active > 1

    def _flush(self) -> PhaseResult:
        """Push what was kept back."""
        layout, self._since_tail = self.problem.layout, 0
        pushes = []
        for share, residual in zip(self._shares, self._residuals, strict=True):
            told = share.base if share.kept is None else share.base + share.kept
            numbers = {"rows": 0, "eta": 0.0, "constant": self._constant, "half": self.half, "residual": residual}
            pushes.append(make_delta(layout, share.low, share.high, share.keys, share.base, told, **numbers))
            share.kept = None
        return PhaseResult(tuple(pushes), (), 0, 0.0, 0.0, self._constant)

    def _pushes(self, shares: list[Share], stepped: Stepped, job: Phase, keeps: bool) -> tuple[Delta | None, ...]:
        """Make the deltas of a phase, of all keys or of the hot ones."""
        problem, stepper, passed = self.problem, self._stepper, stepped.passed
        told = self._refresh(shares, job.active)
        local = [problem.table.read(stepper.arrays, share.where) for share in shares]
        if keeps:
            decays = problem.layout.decays
            local = [share.keep_back(each, passed.log_decay, decays) for share, each in zip(shares, local, strict=True)]
        pushes = [
            make_delta(
                problem.layout,
                share.low,
                share.high,
                share.keys,
                share.base,
                each,
                rows=stepped.rows,
                eta=passed.eta,
                curvature=share.curvature if told else None,
                log_decay=passed.log_decay,
                shrink=passed.shrink,
                half=self.half,
                residual=residual,
            )
            for share, each, residual in zip(shares, local, self._residuals, strict=True)
        ]
        if not keeps:
            self._since_tail = 0
            for share in shares:
                share.kept = None
        self._last, self._left = passed.eta * stepped.rows, self._left - stepped.rows
        chosen = tuple(push and push._replace(constant=self._constant) for push in pushes)
        if told:
            self._kept = kept_share(problem, shares, chosen, job.active)
        return chosen

    def _refresh(self, shares: list[Share], active: int) -> bool:
        """Estimate the curvature in the phases 1, 2, 4, 8, 16, 32, 48, ..."""
        if active == 1:  # nothing is damped
            return False
        self._phases += 1
        problem = self.problem
        due = self._phases >= self._due and problem.merge in ("self-tuned", "damped") and problem.table.any_damped
        if due:
            self._due = min(2 * self._due, self._due + SELDOM)  # AdaGrad's roots, which are in it, grow
        if not due:
            return False
        curvature = self._stepper.curvature()
        for share in shares:
            share.curvature = problem.table.read(curvature, share.where, np.dtype(np.float32))
        return True


def _name(parts: Sequence[Part]) -> tuple:
    return tuple((part.lease.number, part.lease.chunk.number, part.start, part.stop) for part in parts)


def _renumbered(loaded: list[tuple[Part, Held, Ordered]], shares: list[Share]) -> list[tuple[Part, Held, Ordered]]:
    """Number the features of several chunks as rows of one model."""
    if len({part.lease.chunk.number for part, _, _ in loaded}) == 1:
        return loaded
    keys = np.unique(np.concatenate([held.keys for _, held, _ in loaded]))
    found, done = [], {}
    for part, held, ordered in loaded:
        if id(held) not in done:
            numbers = np.searchsorted(keys, held.keys).astype(np.uint32)
            indices = numbers[held.rows.indices]
            indices.flags.writeable = False
            done[id(held)] = held._replace(rows=held.rows._replace(indices=indices))
        found.append((part, done[id(held)], ordered))
    return found


__all__ = ["EstimatorWorkload", "Share"]
