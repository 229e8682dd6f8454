"""Updates that are lost: deltas merged without locks and under them, and steps that met another thread's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import hogwild
from hogwild.compiled import aligned_zeros
from hogwild.engine.pool import thread_pool
from hogwild.experiments.findings import Finding, Measured, Remark, Setting, Statement
from hogwild.experiments.sharing.density import A_ROW, DENSITIES, ETA, make_rows
from hogwild.experiments.sharing.kernels import STRIPE, gather, merge_ones

WORDS, MERGES, RUNS = 47_236, 200, 15
TRACED = (DENSITIES[0], DENSITIES[2], DENSITIES[4])
TRACED_ROWS, TRACED_RUNS = 20_000, 5


class Weights(NamedTuple):
    """Weights of a linear model."""

    w: np.ndarray


@hogwild.step(w="damped")
def hinge(row, params, eta):
    """One row of the hinge loss."""
    w, score, y = params.w, 0.0, row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        score += w[j] * x
    if y * score < 1.0:
        for j, x in zip(row.indices, row.values):  # noqa: B905
            w[j] += eta * y * x
    return max(0.0, 1.0 - y * score)


def count_lost_deltas(n_threads: int, n_words: int, merges: int, *, locked: bool) -> float:
    """Merge deltas of 1 in each word by all threads at once; returns the share that the sum lacks."""
    n_stripes = -(-n_words // STRIPE)
    target, locks = aligned_zeros(n_words, np.int64), aligned_zeros(8 * n_stripes, np.int64)
    state = aligned_zeros(16, np.int64)

    def work(thread: int) -> None:
        replica, base = aligned_zeros(n_words, np.int64), aligned_zeros(n_words, np.int64)
        gather(state, np.int64(n_threads))
        merge_ones(target, replica, base, locks, np.uint64(thread * n_stripes // n_threads), np.int64(merges), locked)

    thread_pool().run(work, [(thread,) for thread in range(n_threads)])
    sent = n_threads * merges * n_words
    return (sent - int(target.sum())) / sent


def measure_lost(setting: Setting) -> tuple[list[Finding], list[Statement]]:
    """Count lost deltas and traced conflicts."""
    claims = (
        "Deltas merged without locks are lost",
        "Deltas merged under striped locks are never lost",
        "Updates of dense rows meet another thread's far more often than those of rows that have one feature in 10,000",
    )
    if setting.threads < 2:
        return [], [Statement(claim, None) for claim in claims]
    setting.say("counting lost deltas")
    rows, lost = [], {False: 0.0, True: 0.0}
    for count in (*setting.counts[1:], 2 * setting.threads):
        shares = {
            locked: [count_lost_deltas(count, WORDS, MERGES, locked=locked) for _ in range(RUNS)]
            for locked in (False, True)
        }
        for locked, found in shares.items():
            lost[locked] += sum(found)
        rows.append(
            [count, *(100 * value for locked in shares for value in (np.median(shares[locked]), max(shares[locked])))]
        )
    traced, met = _trace(setting)
    parts: list[Finding] = [
        Remark(
            "Merging adds a replica's delta to the shared copy: a load, an addition and a store for each weight. "
            "Two threads that do so at once can overwrite each other; the engine locks stripes of "
            f"{STRIPE:,} weights, one at a time, and threads begin at different stripes."
        ),
        Measured(
            "merges",
            "Deltas lost by merging without locks and under striped locks",
            {
                "threads": "d",
                "no locks, lost % (median)": ".4f",
                "no locks, lost % (most)": ".4f",
                "stripes, lost % (median)": ".4f",
                "stripes, lost % (most)": ".4f",
            },
            rows,
            f"Sum of {MERGES} merges a thread of a delta of 1 in each of {WORDS:,} words, against what was sent; "
            f"{RUNS} runs, integers. The last row has twice as many threads.",
        ),
        traced,
    ]
    return parts, [
        Statement(claims[0], lost[False] > 0),
        Statement(claims[1], lost[True] == 0),
        Statement(claims[2], met[DENSITIES[0]] > 3 * met[DENSITIES[-1]]),
    ]


def _trace(setting: Setting) -> tuple[Measured, dict[float, float]]:
    rows, met = [], {}
    for density in TRACED:
        setting.say(f"tracing steps on rows of density {density:.2%}")
        X, y = make_rows(TRACED_ROWS, density, setting.seed)
        traces = [
            hogwild.minimize(
                hinge,
                (X, y),
                Weights(np.zeros(X.shape[1], X.dtype)),
                schedule=ETA,
                epochs=3,
                engine="shared",
                n_jobs=setting.threads,
                random_state=setting.seed + run,
                trace=True,
            ).trace
            for run in range(TRACED_RUNS)
        ]
        total = sum(int(trace.updates.sum()) for trace in traces)
        met[density] = sum(int(trace.conflicts.sum()) for trace in traces) / total
        lost = sum(int(trace.lost.sum()) for trace in traces) / total
        staleness = float(np.mean([trace.mean_staleness for trace in traces]))
        rows.append([100 * density, round(A_ROW / density), staleness, 100 * met[density], 100 * lost])
    table = Measured(
        "conflicts",
        f"Steps on shared weights, traced: {setting.threads} threads",
        {
            "density, %": "g",
            "features": ",d",
            "mean staleness, steps": ".2f",
            "updates that met another thread's, %": ".4f",
            "lost (estimated), %": ".4f",
        },
        rows,
        f"{TRACED_ROWS:,} rows of {A_ROW} nonzeros, 3 epochs, {TRACED_RUNS} runs of hogwild.minimize(trace=True). "
        "Counting makes steps longer, so that more of them meet than do otherwise.",
    )
    return table, met
