"""How long a cache line takes from one core to another and back: what shared weights cost on this machine."""

from __future__ import annotations

import time

import numpy as np

from hogwild.compiled import aligned_zeros, kernel, load_acquire, store_release, wait_turn
from hogwild.engine.pool import thread_pool


@kernel
def _play(line, mine, turns):
    """Wait for `mine`, write the other's number, `turns` times."""
    for _ in range(turns):
        waited = 0
        while load_acquire(line, np.uint64(0)) != mine:
            waited = wait_turn(waited)
        store_release(line, np.uint64(0), np.int64(1) - mine)


def ping_pong_ns(turns: int = 20_000) -> float:
    """Measure the round trip of a cache line between two threads, in nanoseconds (the best of five).

    Examples
    --------
    >>> ping_pong_ns(100) > 0
    True
    """
    line = aligned_zeros(8, np.int64)
    best = np.inf
    for _ in range(6):
        line[0] = 0
        began = time.perf_counter()
        thread_pool().run(_play, [(line, np.int64(0), turns), (line, np.int64(1), turns)])
        best = min(best, (time.perf_counter() - began) / turns * 1e9)
    return best
