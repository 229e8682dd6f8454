"""Slow, obvious twins of the steps of graph cuts, and exact cuts of small graphs."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import maximum_flow


def nearest_on_simplex(x: np.ndarray) -> np.ndarray:
    """Nearest point of the probability simplex: the best of all faces."""
    best = None
    for size in range(1, len(x) + 1):
        for face in map(list, combinations(range(len(x)), size)):
            point = np.zeros(len(x))
            point[face] = x[face] + (1 - x[face].sum()) / size
            if point.min() >= 0 and (best is None or np.square(point - x).sum() < np.square(best - x).sum()):
                best = point
    return best


def subgradient_step(points: np.ndarray, u: int, v: int, weight: float, eta: float, n_free: int) -> float:
    """One edge: half a step each along the sign, then onto the simplex; returns its term before."""
    gap = points[u] - points[v]
    if np.abs(gap).sum() > 0:
        if u < n_free:
            points[u] = nearest_on_simplex(points[u] - eta * weight * np.sign(gap))
        if v < n_free:
            points[v] = nearest_on_simplex(points[v] + eta * weight * np.sign(gap))
    return weight * np.abs(gap).sum()


def flow_step(
    centres: np.ndarray, flows: np.ndarray, edges: np.ndarray, weights: np.ndarray, i: int, eta: float, n_free: int
) -> float:
    """One edge's flow, with the sums of flows added up anew; returns its term before."""
    sums = np.zeros_like(centres)
    for (u, v), flow in zip(edges, flows, strict=True):
        sums[u] += flow
        sums[v] -= flow
    ends = [nearest_on_simplex(centres[a] - eta * sums[a]) if a < n_free else centres[a] for a in edges[i]]
    gap = ends[0] - ends[1]
    moving = (edges[i] < n_free).sum()
    flows[i] = np.clip(flows[i] + gap / (eta * moving), -weights[i], weights[i])
    return weights[i] * np.abs(gap).sum()


def cut_value(u, v, weights, labels) -> float:
    """Weight between labels."""
    labels = np.asarray(labels)
    return float(np.asarray(weights)[labels[u] != labels[v]].sum())


def best_labels(u, v, weights, terminals: np.ndarray, n_labels: int) -> float:
    """Least cut of all ways to label the free nodes."""
    free = np.flatnonzero(terminals < 0)
    labels, least = terminals.copy(), np.inf
    for chosen in product(range(n_labels), repeat=len(free)):
        labels[free] = chosen
        least = min(least, cut_value(u, v, weights, labels))
    return least


def minimum_cut(u, v, weights, terminals: np.ndarray) -> int:
    """Minimum cut between the labels 0 and 1, whole weights, by SciPy's maximum flow."""
    n = len(terminals)
    number = np.where(terminals == 0, n, np.where(terminals == 1, n + 1, np.arange(n)))
    a, b = number[u], number[v]
    kept = a != b
    one_way = sp.csr_matrix((np.asarray(weights)[kept].astype(np.int32), (a[kept], b[kept])), shape=(n + 2, n + 2))
    return int(maximum_flow(sp.csr_matrix(one_way + one_way.T), n, n + 1).flow_value)


def random_graph(rng: np.random.Generator, n: int, m: int, n_seeds: int, n_labels: int = 2):
    """Random edges of whole weights, `n_seeds` terminals a label."""
    u, v = rng.integers(0, n, m), rng.integers(0, n, m)
    kept = u != v
    terminals = np.full(n, -1)
    seeds = rng.permutation(n)[: n_seeds * n_labels]
    terminals[seeds] = np.arange(len(seeds)) % n_labels
    return u[kept], v[kept], rng.integers(1, 20, kept.sum()).astype(float), terminals


def grid_graph(rng: np.random.Generator, side: int, n_seeds: int, n_labels: int = 2):
    """A square grid with random weights and seeds."""
    number = np.arange(side * side).reshape(side, side)
    u = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    v = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    terminals = np.full(side * side, -1)
    seeds = rng.permutation(side * side)[: n_seeds * n_labels]
    terminals[seeds] = np.arange(len(seeds)) % n_labels
    return u, v, rng.integers(1, 100, len(u)).astype(float), terminals


def picture_graph(rng: np.random.Generator, side: int):
    """A noisy bright disc on a dark ground; the middle and the frame are seeds."""
    row, column = np.mgrid[:side, :side] - side / 2
    bright = (np.hypot(row, column) < side / 4) + 0.15 * rng.standard_normal((side, side))
    number = np.arange(side * side).reshape(side, side)
    u = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    v = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    difference = np.square(bright.ravel()[u] - bright.ravel()[v])
    weights = np.maximum(1.0, np.round(1_000 * np.exp(-difference / (2 * difference.mean()))))
    terminals = np.full((side, side), -1)
    terminals[[0, -1]] = terminals[:, [0, -1]] = 0
    terminals[side // 2 - 2 : side // 2 + 2, side // 2 - 2 : side // 2 + 2] = 1
    return u, v, weights, terminals.ravel()
