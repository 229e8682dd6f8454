"""Which keys lie on which shard: ranges of equal traffic.

Ranges of equal length would put all hot features of many data sets on one shard. A key is sent once in a phase that
touches it, however often it does: its traffic is the probability of that, ``1 - exp(-rows * frequency)``.
"""

from __future__ import annotations

import math

import numpy as np

from hogwild.cluster.layout import Layout

MEMORY_SLACK = 2.0  # a range holds at most so many times its share of all keys


def key_traffic(counts: np.ndarray, n_rows: float, phase_rows: float, n_keys: int | None = None) -> np.ndarray:
    """Probability that a phase touches each key.

    Parameters
    ----------
    counts : ndarray, shape (n,)
        In how many of the sampled rows each key occurs.
    n_rows : float
        Rows sampled.
    phase_rows : float
    n_keys : int or None
        With keys beyond `counts` (intercepts and the like), which every phase touches.

    Examples
    --------
    >>> key_traffic(np.array([1000, 1, 0]), 1000, 100, 4).round(3)
    array([1.   , 0.095, 0.   , 1.   ])
    """
    traffic = -np.expm1(-np.asarray(counts, np.float64) * (phase_rows / max(n_rows, 1)))
    if n_keys is not None and n_keys > len(traffic):
        traffic = np.concatenate([traffic, np.ones(n_keys - len(traffic))])
    return traffic


def cut_ranges(traffic: np.ndarray, n_shards: int, slack: float = MEMORY_SLACK) -> np.ndarray:
    """Cut keys into consecutive ranges of about equal traffic.

    Parameters
    ----------
    traffic : ndarray, shape (n_keys,)
        See `key_traffic`; keys never seen have a part in the memory alone.
    n_shards : int
    slack : float
        No range holds more than so many times ``n_keys / n_shards``.

    Returns
    -------
    ndarray of int64, shape (n_shards + 1,)
        Shard k holds keys ``cuts[k]`` to ``cuts[k + 1] - 1``; none is empty where there are keys enough.

    Examples
    --------
    >>> cut_ranges(np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]), 2)
    array([ 0,  5, 10])
    """
    traffic = np.asarray(traffic, np.float64)
    n = len(traffic)
    if n_shards < 1:
        raise ValueError(f"n_shards must be at least 1, found {n_shards}")
    if not np.isfinite(traffic).all() or traffic.min(initial=0) < 0:
        raise ValueError("traffic must be finite and not negative")
    # a trace of weight for every key cuts ranges without any traffic evenly
    reached = np.concatenate([[0.0], np.cumsum(traffic + max(traffic.sum(), 1.0) * 1e-6 / max(n, 1))])
    most = max(math.ceil(slack * n / n_shards), math.ceil(n / n_shards), 1)
    least = 1 if n >= n_shards else 0
    cuts = np.zeros(n_shards + 1, np.int64)
    for k in range(n_shards):
        left = n_shards - k - 1  # shards after this one
        begin = int(cuts[k])
        # what a range may hold shrinks what those before it may leave: one is cut where the rest is shared equally
        aim = reached[begin] + (reached[-1] - reached[begin]) / (left + 1)
        at = int(np.searchsorted(reached, aim))
        if at > begin + least and reached[min(at, n)] - aim > aim - reached[at - 1]:
            at -= 1  # nearer from below
        lowest, highest = max(begin + least, n - left * most), min(begin + most, n - left * least)
        cuts[k + 1] = min(max(at, lowest), highest)
    return cuts


def shards_for(layout: Layout, shard_bytes: int, n_nodes: int) -> int:
    """How many shards hold a table: one a node, and more where one would be larger than `shard_bytes`.

    Examples
    --------
    >>> layout = Layout(10**6, 10**6, 8, "float32", np.zeros(8), np.zeros((0, 8)), np.zeros(8, bool))
    >>> shards_for(layout, 1 << 30, 2), shards_for(layout, 1 << 22, 2)
    (2, 8)
    """
    return max(1, min(layout.n_keys, max(n_nodes, math.ceil(layout.nbytes / shard_bytes))))
