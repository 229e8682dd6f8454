"""A made-up click log: rows of hashed categories with fields, labels from planted weights and interactions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtri

from hogwild.compiled import inlined, kernel
from hogwild.data.batch import Batch

POSITIVE = 0.25  # share of rows with a click
LINEAR_VARIANCE, PAIRS_VARIANCE = 1.0, 1.8  # of the planted score
MOST_PAIRS = 60  # pairs of fields that interact
RANK = 3  # of an interaction
NOISE = 0.5  # standard deviation of what no entry of a row tells
_FLATTEN = 1 / np.sqrt(1 + np.pi * NOISE**2 / 8)  # mean of a logistic function under normal noise, to 3 digits
MOST_CATEGORIES = 1_000_000  # of a field
_ROWS_AT_ONCE = 1 << 15  # bounds the memory beside the result
_NORMALS = ndtri((np.arange(1 << 12) + 0.5) / (1 << 12)).astype(np.float32)  # 12 bits of a hash make a normal number


class _Planted(NamedTuple):
    """Zipf's distribution function of each field, end to end, with guides into it, and the interacting pairs."""

    starts: np.ndarray
    cumulated: np.ndarray
    guide: np.ndarray
    left: np.ndarray
    right: np.ndarray
    linear: np.float64
    joint: np.float64
    salt: np.uint64


def make_click_log(
    n_rows: int = 550_000,
    n_fields: int = 39,
    n_features: int = 1_000_000,
    random_state: int | np.random.Generator | None = 0,
    *,
    return_probabilities: bool = False,
) -> Batch | tuple[Batch, np.ndarray]:
    """Make a click log: one category a field, hashed to `n_features` numbers, a quarter of the rows positive.

    A third of the fields have 60 to 200 categories, like counts in buckets, the others from 3 to
    `n_features`, a million at most. Their frequencies follow Zipf's law with an exponent of each field, .6 to 1.2 and
    1 to 1.5. Every category has a planted
    weight, and up to 60 pairs of fields interact: with ``<v, w>`` of vectors of 3 numbers that each category has for
    that pair,

        score = sum over fields of weight / sqrt(n_fields) + sum over pairs of .1 <v, w>

    (.1 for 60 pairs), and a row is positive where score plus constant plus noise, normal of standard deviation .5 and
    logistic, is. Linear models learn a part of it, models of interactions more.

    Parameters
    ----------
    n_rows : int, default=550_000
        Number of rows.
    n_fields : int, default=39
        Entries of each row, one a field.
    n_features : int, default=1_000_000
        Numbers that the categories are hashed to, at most ``2**32``; different categories may share one.
    random_state : int, numpy.random.Generator or None, default=0
        Seed of everything, the planted weights too; None draws another one at each call.
    return_probabilities : bool, default=False
        Whether to return ``P(positive | row)`` as well: its log loss is the best that any model can reach.

    Returns
    -------
    batch : Batch
        With `fields` (0 to n_fields - 1 in each row), values 1, labels 0 and 1 (int64). ``batch.rows(start, stop)``
        cuts validation rows off, `hogwild.data.dump_libffm` writes the text that libffm reads.
    probabilities : numpy.ndarray of float64, shape (n_rows,)
        Only with `return_probabilities`.

    Raises
    ------
    ValueError
        If a size is out of range.

    Examples
    --------
    >>> from hogwild.data import make_click_log
    >>> log = make_click_log(n_rows=1_000, n_features=5_000)
    >>> log.n_rows, len(log.fields), sorted(set(log.labels.tolist()))
    (1000, 39000, [0, 1])
    """
    for name, value, most in (
        ("n_rows", n_rows, 2**32),
        ("n_fields", n_fields, 2**16),
        ("n_features", n_features, 2**32),
    ):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must lie in 1 to {most}, got {value!r}")
    rng = np.random.default_rng(random_state)
    planted = _plant(rng, n_fields, n_features)
    indices = np.empty((n_rows, n_fields), np.uint32)
    score = np.empty(n_rows)
    ranks = np.empty((min(n_rows, _ROWS_AT_ONCE), n_fields), np.uint32)
    for low in range(0, n_rows, _ROWS_AT_ONCE):
        part = slice(low, min(n_rows, low + _ROWS_AT_ONCE))
        drawn = ranks[: part.stop - low]
        _draw_ranks(
            rng.random(drawn.shape[::-1], np.float32), rng.random(drawn.shape[::-1], np.float32), planted, drawn
        )
        _hash_ranks(drawn, np.uint64(n_features), indices[part])
        _score_rows(drawn, planted, _NORMALS, score[part])
    score *= _FLATTEN
    probabilities = expit(score + _offset(lambda offset: expit(score + offset).mean()))
    batch = Batch(
        indptr=np.arange(0, n_rows * n_fields + 1, n_fields, dtype=np.uint64),
        indices=indices.reshape(-1),
        values=np.ones(n_rows * n_fields, np.float32),
        labels=(rng.random(n_rows) < probabilities).astype(np.int64),
        fields=np.tile(np.arange(n_fields, dtype=np.uint32), n_rows),
    )
    return (batch, probabilities) if return_probabilities else batch


def _plant(rng: np.random.Generator, n_fields: int, n_features: int) -> _Planted:
    """Draw what all rows share."""
    n_buckets = n_fields // 3
    n_wide = n_fields - n_buckets
    # half of them above a hundredth of the most: like the categories of an advertiser's log
    spread = (np.arange(n_wide) / max(1, n_wide - 1)) ** 0.64
    buckets = np.resize([60, 100, 200], n_buckets)
    categories = np.round(3.0 * (np.clip(n_features, 3, MOST_CATEGORIES) / 3.0) ** spread).astype(np.int64)
    sizes = np.concatenate([buckets, rng.permutation(categories)]).clip(max=n_features)
    exponents = np.concatenate([rng.uniform(0.6, 1.2, n_buckets), rng.uniform(1.0, 1.5, n_wide)])
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    cumulated, guide = np.empty(int(starts[-1])), np.empty(int(starts[-1]), np.uint32)
    for field, (size, exponent) in enumerate(zip(sizes, exponents, strict=True)):
        place = slice(int(starts[field]), int(starts[field + 1]))
        part = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -exponent, out=cumulated[place])
        part /= part[-1]
        guide[place] = np.searchsorted(part, np.arange(size) / size)
    pairs = np.array(list(combinations(range(n_fields), 2)), np.uint64).reshape(-1, 2)
    pairs = pairs[rng.permutation(len(pairs))[:MOST_PAIRS]]
    joint = np.sqrt(PAIRS_VARIANCE / (RANK * max(1, len(pairs))))
    linear = np.sqrt(LINEAR_VARIANCE / n_fields)
    left, right = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    return _Planted(starts, cumulated, guide, left, right, linear, joint, rng.integers(2**63, dtype=np.uint64))


def _offset(share: Callable[[float], float]) -> float:
    """Constant that makes a quarter of the rows positive."""
    low, high = -30.0, 30.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if share(middle) > POSITIVE else (middle, high)
    return low


@inlined
def _mix(word):
    """Spread every bit of a word over all of them."""
    word ^= word >> np.uint64(32)
    word *= np.uint64(0x6A09E667F3BCC909)  # odd numbers from the digits of the roots of 2 and 3
    word ^= word >> np.uint64(29)
    word *= np.uint64(0xBB67AE8584CAA73B)
    return word ^ (word >> np.uint64(32))


@inlined
def _category_hash(field, rank, salt):
    return _mix(_mix(salt + np.uint64(field)) ^ np.uint64(rank))


@kernel
def _draw_ranks(coarse, fine, planted, ranks):
    """Draw a category of every field for each row; two single numbers make a uniform one of 48 bits."""
    for field in range(np.uint64(ranks.shape[1])):
        start = planted.starts[field]
        size = planted.starts[field + np.uint64(1)] - start
        last = start + size - np.uint64(1)
        for i in range(np.uint64(ranks.shape[0])):
            u = (np.float64(coarse[field, i]) + np.float64(fine[field, i]) * 2.0**-24) * (1 - 2.0**-53)
            place = start + np.uint64(planted.guide[start + np.uint64(u * size)])
            while place < last and planted.cumulated[place] < u:
                place += np.uint64(1)
            ranks[i, field] = place - start


@kernel
def _hash_ranks(ranks, n_features, indices):
    for i in range(np.uint64(ranks.shape[0])):
        for field in range(np.uint64(ranks.shape[1])):
            word = _category_hash(field, ranks[i, field], np.uint64(0)) >> np.uint64(32)
            indices[i, field] = word * n_features >> np.uint64(32)


@kernel
def _score_rows(ranks, planted, normals, score):
    """Planted score of each row: normal numbers from hashes, so that no category's weights are kept."""
    mask = np.uint64(normals.size - 1)
    for i in range(np.uint64(ranks.shape[0])):
        total = 0.0
        for field in range(np.uint64(ranks.shape[1])):
            word = _category_hash(field, ranks[i, field], planted.salt)
            total += planted.linear * normals[word & mask]
        for pair in range(np.uint64(planted.left.size)):
            a, b = planted.left[pair], planted.right[pair]
            salt = planted.salt + (pair + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            one = _category_hash(a, ranks[i, a], salt)
            other = _category_hash(b, ranks[i, b], salt)
            for _ in range(RANK):
                total += planted.joint * normals[one & mask] * normals[other & mask]
                one, other = one >> np.uint64(12), other >> np.uint64(12)
        score[i] = total
