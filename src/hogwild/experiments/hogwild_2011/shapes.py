"""Made-up ratings and graphs with the shapes of the paper's data sets, in sizes that a laptop runs in minutes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hogwild.steps.rows import PairRows

RANK = 10
FADING = 0.7  # each planted factor's size beside the one before: a few tell most, as in real ratings


class Ratings(NamedTuple):
    """Ratings to train and to test on; items are numbered after the users."""

    train: PairRows
    test: PairRows
    n_users: int
    n_items: int


class Graph(NamedTuple):
    """Edges between free nodes and terminals, which are the last nodes, one for each label.

    Attributes
    ----------
    edges : PairRows
    planted, first : ndarray of int64, shape (n_free,)
        Labels that the edges were made from, and those that points start at: what a node tells by itself.
    n_labels : int
    """

    edges: PairRows
    planted: np.ndarray
    first: np.ndarray
    n_labels: int


# ------------------------------------------------------------------------------------------------ ratings


def skewed(n: int, top: float) -> np.ndarray:
    """Make shares of `n` things that fall as 1 / (rank + shift), the first being `top` (or all the same, 1 / n)."""
    rank = np.arange(n, dtype=np.float64)
    low, high = -9.0, 9.0  # powers of ten of the shift
    for _ in range(50):
        middle = (low + high) / 2
        shares = 1 / (rank + 10**middle)
        if shares[0] / shares.sum() > top:
            low = middle
        else:
            high = middle
    return shares / shares.sum()


def _draw(rng: np.random.Generator, shares: np.ndarray, n: int) -> np.ndarray:
    """Draw `n` numbers with these probabilities; frequent things are strewn over all numbers."""
    drawn = np.searchsorted(np.cumsum(shares), rng.random(n)).clip(max=len(shares) - 1)
    return rng.permutation(len(shares))[drawn]


def make_ratings(
    rng: np.random.Generator, n_users: int, n_items: int, n_ratings: int, *, tops: tuple[float, float], noise: float
) -> Ratings:
    """Make ratings from planted factors, in random order; one in eleven is kept for testing.

    Pairs that are drawn twice count once, so that there are a little fewer than `n_ratings` to train on.

    Parameters
    ----------
    tops : tuple of float
        Share of all ratings that the most active user and the most popular item have.
    noise : float
        Part of the ratings' variance (which is 1) that no factors explain.
    """
    n = n_ratings + n_ratings // 10
    users, items = (_draw(rng, skewed(*side), n) for side in ((n_users, tops[0]), (n_items, tops[1])))
    pairs = rng.permutation(np.unique(users.astype(np.int64) * n_items + items))
    users, items = (part.astype(np.uint32) for part in np.divmod(pairs, n_items))
    sizes = FADING ** np.arange(RANK)
    sizes = np.sqrt(sizes * math.sqrt((1 - noise) / np.square(sizes).sum())).astype(np.float32)
    planted = [rng.standard_normal((size, RANK), dtype=np.float32) * sizes for size in (n_users, n_items)]
    values = np.einsum("ij,ij->i", planted[0][users], planted[1][items])
    values += np.float32(math.sqrt(noise)) * rng.standard_normal(len(values), dtype=np.float32)
    items += np.uint32(n_users)
    n_test = len(pairs) // 11
    none = np.empty(0, np.float32)
    parts = [
        PairRows(*(np.ascontiguousarray(column[rows]) for column in (users, items, values)), none)
        for rows in (slice(n_test, None), slice(n_test))
    ]
    return Ratings(*parts, n_users, n_items)


# ------------------------------------------------------------------------------------------------ graphs


def _edges(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> PairRows:
    weights = (weights / weights.mean()).astype(np.float32)
    return PairRows(first.astype(np.uint32), second.astype(np.uint32), np.zeros(len(first), np.float32), weights)


def make_mentions(rng: np.random.Generator, n_mentions: int, n_entities: int, top: float) -> Graph:
    """Make mentions of entities: which of the entities (terminals) does each mention (free node) name.

    A mention resembles its entity, two others, and three other mentions, mostly of the same entity. One in ten does not
    resemble its own entity: only other mentions tell. Mentions start at the entity that they resemble most.

    Parameters
    ----------
    top : float
        Share of all edges that the entity with the most mentions has.
    """
    planted = _draw(rng, skewed(n_entities, min(1.0, 3 * top)), n_mentions)
    mentions = np.arange(n_mentions)
    told = mentions[rng.random(n_mentions) < 0.9]
    ends = [(told, n_mentions + planted[told], 1.0 + rng.random(len(told)))]
    start = rng.integers(0, n_entities, n_mentions)
    for others in (start.copy(), rng.integers(0, n_entities, n_mentions)):
        ends.append((mentions, n_mentions + others, 0.5 * rng.random(n_mentions)))
    start[told] = planted[told]
    by_entity = np.argsort(planted, kind="stable")
    places = np.searchsorted(planted[by_entity], np.arange(n_entities + 1))
    sizes = np.diff(places)[planted]
    for _ in range(3):
        alike = by_entity[places[planted] + (rng.random(n_mentions) * sizes).astype(np.int64)]
        others = np.where(rng.random(n_mentions) < 0.85, alike, rng.integers(0, n_mentions, n_mentions))
        kept = others != mentions
        ends.append((mentions[kept], others[kept], 0.5 + 0.5 * rng.random(kept.sum())))
    first, second, weights = (np.concatenate(parts) for parts in zip(*ends, strict=True))
    order = rng.permutation(len(first))
    return Graph(_edges(first[order], second[order], weights[order]), planted, start, n_entities)


def make_volume(rng: np.random.Generator, shape: tuple[int, int, int], top: float) -> Graph:
    """Make a noisy volume with a bright organ, each voxel joined to its 6 neighbours, and seeds joined to 2 terminals.

    Voxels start at the label that their own brightness tells, of which noise makes one in six wrong.

    Parameters
    ----------
    top : float
        Share of all edges that each terminal has.
    """
    number = np.arange(math.prod(shape)).reshape(shape)
    distance = sum(
        ((axis - (size - 1) / 2) / (size / 2)) ** 2
        for axis, size in zip(np.ogrid[tuple(map(slice, shape))], shape, strict=True)
    )
    planted = (distance < 0.6).ravel().astype(np.int64)
    light = planted + 0.5 * rng.standard_normal(planted.size, dtype=np.float32)
    pairs = [
        (
            number[tuple(slice(None, -1) if axis == along else slice(None) for axis in range(3))].ravel(),
            number[tuple(slice(1, None) if axis == along else slice(None) for axis in range(3))].ravel(),
        )
        for along in range(3)
    ]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    order = np.argsort(first, kind="stable")  # as a volume is read: neighbours side by side
    first, second = first[order], second[order]
    weights = np.exp(-np.square(light[first] - light[second]))
    n_seeds = max(1, round(top * len(first) / (1 - 2 * top)))
    seeds = [rng.choice(np.flatnonzero(planted == label), n_seeds) for label in (0, 1)]
    first = np.concatenate([first, *seeds])
    second = np.concatenate([second, *(np.full(n_seeds, planted.size + label) for label in (0, 1))])
    weights = np.concatenate([weights, np.full(2 * n_seeds, 4.0, np.float32)])
    return Graph(_edges(first, second, weights), planted, (light > 0.5).astype(np.int64), 2)
