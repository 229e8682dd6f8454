"""Omega, Delta and rho against counting every pair of edges."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from hogwild.experiments.hogwild_2011 import constants
from hogwild.experiments.hogwild_2011.constants import constants_of_pairs, constants_of_rows


def naive_constants(edges: list[set[int]]) -> tuple[int, float, float]:
    """Count as the definitions say, edge by edge."""
    n, nodes = len(edges), set().union(*edges)
    delta = max(sum(node in edge for edge in edges) for node in nodes) / n
    rho = max(sum(bool(edge & other) for other in edges) for edge in edges) / n
    return max(map(len, edges)), delta, rho


@pytest.mark.parametrize("seed", range(5))
def test_constants_of_rows_are_those_of_the_definitions(seed):
    X = sp.random(60, 40, 0.04, "csr", np.float32, rng=np.random.default_rng(seed))
    X = X[np.diff(X.indptr) > 0]
    edges = [set(X.indices[X.indptr[i] : X.indptr[i + 1]].tolist()) for i in range(X.shape[0])]
    found = constants_of_rows(X, np.random.default_rng(0))
    assert found[:3] == pytest.approx(naive_constants(edges))
    assert found.exact


@pytest.mark.parametrize("seed", range(5))
def test_constants_of_graphs_count_parallel_edges_once_each(seed):
    rng = np.random.default_rng(seed)
    u, v = rng.integers(0, 12, 50), rng.integers(0, 12, 50)
    u, v = u[u != v].astype(np.uint32), v[u != v].astype(np.uint32)
    edges = [set(pair) for pair in zip(u.tolist(), v.tolist(), strict=True)]
    assert constants_of_pairs(u, v, 12)[:3] == pytest.approx(naive_constants(edges))


def test_rho_of_many_rows_is_a_lower_bound_that_looks_at_the_likeliest(monkeypatch):
    monkeypatch.setattr(constants, "EXACT_BELOW", 0)
    monkeypatch.setattr(constants, "SAMPLED", 20)
    X = sp.random(200, 500, 0.01, "csr", np.float32, rng=np.random.default_rng(0))
    X = X[np.diff(X.indptr) > 0]
    found = constants_of_rows(X, np.random.default_rng(0))
    edges = [set(X.indices[X.indptr[i] : X.indptr[i + 1]].tolist()) for i in range(X.shape[0])]
    rho = naive_constants(edges)[2]
    assert not found.exact
    assert 0.5 * rho < found.rho <= rho
