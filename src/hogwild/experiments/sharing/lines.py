"""What a write to a cache line costs that other cores write to as well, and how many plain additions are lost there."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.engine.pingpong import ping_pong_ns
from hogwild.engine.pool import thread_pool, usable_cores
from hogwild.experiments.findings import Finding, Measured, Picture, Remark, Setting, Statement
from hogwild.experiments.sharing.kernels import add_at_random, gather
from hogwild.report.parts import Lines

WORDS = (1, 8, 64, 512, 4_096, 32_768, 262_144)  # of 8 bytes; 8 are a cache line
FEW, MANY = 64, 262_144  # the words that the statements compare
ADDITIONS = 200_000  # of each thread, about a millisecond
TRIES, KEPT = 120, 7
HOWS = ("own words, plain", "own words, atomic", "shared words, plain", "shared words, atomic")


class Adding(NamedTuple):
    """What threads that added at the same time have measured.

    Attributes
    ----------
    ns : float
        Nanoseconds an addition.
    lost : float
        Share of the additions that the sum lacks.
    together : float
        How far the threads really ran at the same time, from 0 to 1.
    """

    ns: float
    lost: float
    together: float


def _timed(words, first, n_words, seed, indivisible, state, parties):
    gather(state, np.int64(parties))
    began, used = time.perf_counter(), time.thread_time()
    add_at_random(words, np.uint64(first), np.uint64(n_words - 1), np.uint64(seed), ADDITIONS, indivisible)
    return began, time.perf_counter(), time.thread_time() - used


def add_together(n_words: int, n_threads: int, *, shared: bool, indivisible: bool, seed: int) -> Adding:
    """Let threads add at random to `n_words` words (a power of two) that they share, or that each has for itself."""
    apart = max(n_words, 16)  # processors fetch lines in pairs
    words = aligned_zeros(apart * n_threads, np.int64)
    state = aligned_zeros(16, np.int64)
    calls = [
        (words, 0 if shared else k * apart, n_words, seed * n_threads + k + 1, indivisible, state, n_threads)
        for k in range(n_threads)
    ]
    found = thread_pool().run(_timed, calls)
    walls = [ended - began for began, ended, _ in found]
    overlap = min(ended for _, ended, _ in found) - max(began for began, _, _ in found)
    running = min(used / wall for (_, _, used), wall in zip(found, walls, strict=True))
    sent = ADDITIONS * n_threads
    return Adding(
        1e9 * float(np.mean(walls)) / ADDITIONS,
        (sent - int(words.sum())) / sent,
        max(0.0, overlap / max(walls)) * min(1.0, running),
    )


def measure_adding(n_words: int, n_threads: int, *, shared: bool, indivisible: bool, seed: int) -> Adding:
    """Repeat `add_together` until enough of its runs ran together; returns the median of those that did so most."""
    runs: list[Adding] = []
    while len(runs) < TRIES and sum(run.together > 0.8 for run in runs) < KEPT:
        runs.append(add_together(n_words, n_threads, shared=shared, indivisible=indivisible, seed=seed + len(runs)))
    best = sorted(runs, key=lambda run: -run.together)[:KEPT]
    return Adding(*(float(np.median([run[k] for run in best])) for k in range(3)))


def measure_lines(setting: Setting) -> tuple[list[Finding], list[Statement]]:
    """Measure the ping-pong, and additions into private and shared words."""
    threads = min(setting.threads, usable_cores())
    claims = (
        "A write to a few cache lines that another core writes to costs at least twice a write to lines of one's own",
        "Writes that spread over megabytes suffer less from sharing than writes to a few cache lines",
        "Plain additions by several threads into the same words are lost",
        "Indivisible additions are never lost",
        "Spread over megabytes, a tenth as many plain additions are lost as within one cache line, or fewer",
    )
    if threads < 2:
        return [], [Statement(claim, None) for claim in claims]
    setting.say("measuring cache lines")
    trips = [ping_pong_ns() for _ in range(5)]
    found: dict[str, dict[int, Adding]] = {how: {} for how in HOWS}
    for n_words in WORDS:
        for how in HOWS:
            shared, indivisible = how.startswith("shared"), how.endswith("atomic")
            found[how][n_words] = measure_adding(
                n_words, threads, shared=shared, indivisible=indivisible, seed=setting.seed
            )
    own, plain = found[HOWS[0]], found[HOWS[2]]
    lost = {how: sum(run.lost for run in found[how].values()) for how in HOWS}
    cost = {n_words: plain[n_words].ns / own[n_words].ns for n_words in WORDS}
    holds = (
        cost[FEW] >= 2,
        cost[MANY] < 0.7 * cost[FEW],
        lost[HOWS[2]] > 0,
        lost[HOWS[1]] == lost[HOWS[3]] == 0,
        plain[MANY].lost < 0.1 * plain[8].lost,
    )
    parts: list[Finding] = [
        Remark(
            "Cores work on cache lines of 64 bytes. A line that one core has written must travel before another core "
            "can write to it. First the journey itself, then what it does to threads that only add 1 to random words."
        ),
        Measured(
            "ping-pong",
            "A cache line there and back between two cores",
            {"measurement": "d", "ns": ".1f"},
            [[k + 1, trip] for k, trip in enumerate(trips)],
            "Each the best of five runs of 20,000 round trips; where they differ, other programs were on the cores.",
        ),
        Measured(
            "additions",
            f"{threads} threads add to random words of 8 bytes: ns an addition, and what was lost",
            {"words": ",d", **{f"{how}, ns": ".2f" for how in HOWS}, "plain, lost %": ".3f", "atomic, lost %": ".3f"},
            [
                [
                    n_words,
                    *(found[how][n_words].ns for how in HOWS),
                    100 * plain[n_words].lost,
                    100 * found[HOWS[3]][n_words].lost,
                ]
                for n_words in WORDS
            ],
            f"{ADDITIONS:,} additions a thread; the median of the {KEPT} runs, of at most {TRIES}, in which the "
            "threads most fully ran at the same time. 8 words are one cache line.",
        ),
        Picture(
            "additions",
            Lines(
                f"What an addition costs, {threads} threads",
                "words of 8 bytes that they add to",
                "ns an addition",
                {how: (list(WORDS), [found[how][n_words].ns for n_words in WORDS]) for how in HOWS},
                log_x=True,
                log_y=True,
            ),
        ),
        Picture(
            "lost-additions",
            Lines(
                f"Plain additions that are lost, {threads} threads",
                "words of 8 bytes that they share",
                "lost, %",
                {"lost, %": (list(WORDS), [100 * plain[n_words].lost for n_words in WORDS])},
                log_x=True,
                log_y=True,
            ),
        ),
    ]
    return parts, [Statement(claim, bool(held)) for claim, held in zip(claims, holds, strict=True)]
