"""The constants of a hypergraph as the paper defines them: Omega, Delta and rho.

A row of the data is an edge; the parameters that it touches are its nodes. Omega is the largest number of nodes of an
edge; Delta the largest number of edges at a node, and rho the largest number of edges that share a node with one edge
(itself among them), both as shares of all edges. By these definitions rho is never below Delta.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

SAMPLED = 1_000  # edges that rho is estimated from where counting for all would take long
EXACT_BELOW = 2_000  # edges up to which all are counted


class Constants(NamedTuple):
    """Constants of a hypergraph.

    Attributes
    ----------
    omega : int
    delta, rho : float
    exact : bool
        Whether `rho` was counted for all edges; else it is a lower bound, from a sample of them.
    """

    omega: int
    delta: float
    rho: float
    exact: bool


def constants_of_rows(X: sp.csr_matrix, rng: np.random.Generator) -> Constants:
    """Count the constants of rows of features.

    Where rows are many, rho is the largest value of `SAMPLED` of them: half of them drawn at random, the others those
    whose features stand in the most rows.
    """
    n_edges = X.shape[0]
    by_column = sp.csr_matrix((np.ones(X.nnz, np.uint8), X.indices, X.indptr), X.shape).tocsc()
    degrees = np.diff(by_column.indptr)
    omega, delta = int(np.diff(X.indptr).max(initial=0)), int(degrees.max(initial=0)) / n_edges
    edges = np.arange(n_edges)
    exact = n_edges <= EXACT_BELOW
    if not exact:
        at_most = np.add.reduceat(np.append(degrees[X.indices], 0), X.indptr[:-1]) * (np.diff(X.indptr) > 0)
        likely = np.argpartition(at_most, -(SAMPLED // 2))[-(SAMPLED // 2) :]
        edges = np.union1d(likely, rng.choice(n_edges, SAMPLED // 2, replace=False))
    largest, met = 0, np.zeros(n_edges, bool)
    for edge in edges:
        met[:] = False
        for feature in X.indices[X.indptr[edge] : X.indptr[edge + 1]]:
            met[by_column.indices[by_column.indptr[feature] : by_column.indptr[feature + 1]]] = True
        largest = max(largest, int(met.sum()))
    return Constants(omega, delta, largest / n_edges, exact)


def constants_of_pairs(first: np.ndarray, second: np.ndarray, n_nodes: int) -> Constants:
    """Count the constants of a graph: edges of two nodes; parallel edges count each for itself."""
    n_edges = len(first)
    degrees = np.bincount(first, minlength=n_nodes) + np.bincount(second, minlength=n_nodes)
    together = degrees[first] + degrees[second]
    # an edge meets those at its ends, and those that join both (itself at least) were counted twice
    largest = 0
    while together.max() - 1 > largest:
        edge = int(together.argmax())
        u, v = first[edge], second[edge]
        both = ((first == u) & (second == v)) | ((first == v) & (second == u))
        largest = max(largest, int(together[edge] - both.sum()))
        together[both] = 0
    return Constants(2, int(degrees.max()) / n_edges, largest / n_edges, True)
