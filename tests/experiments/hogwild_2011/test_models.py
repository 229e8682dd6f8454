"""The plain steps of factors, points and slow gradients against naive twins, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from naive_cut import nearest_on_simplex

from hogwild.engine.choose import make_runner
from hogwild.engine.engines import ENGINES, Sequential
from hogwild.engine.order import draw_order
from hogwild.engine.source import NONE
from hogwild.experiments.hogwild_2011.models import Factors, Points, Settings, Slow
from hogwild.experiments.hogwild_2011.running import task_of
from hogwild.steps.rows import PairRows, as_rows

ETA, ALPHA = 0.05, 0.1


def run(rows, model, n_nodes, n_columns, engine="sequential", threads=1):
    """Run the rows once, in their order."""
    task, rng = task_of(rows, model, n_nodes, n_columns, ETA), np.random.default_rng(0)
    runner = make_runner(task, ENGINES[engine] if threads > 1 else Sequential(), threads, rng)
    order = draw_order(rng, task.n_rows, NONE, False)
    loss, low = 0.0, 0
    while low < task.n_rows:
        part, low = runner.run(order, low, task.n_rows)
        loss += part
    runner.finish()
    runner.close()
    return loss


def ratings(n=600):
    """Ratings of 30 users and 20 items by 5 factors."""
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 30, n).astype(np.uint32), (30 + rng.integers(0, 20, n)).astype(np.uint32)
    factors = rng.normal(0, 0.5, (50, 5)).astype(np.float32)
    return PairRows(users, items, rng.normal(size=n).astype(np.float32), np.empty(0, np.float32)), factors


def edges(n=600):
    """Edges of 40 nodes and 4 terminals."""
    rng = np.random.default_rng(2)
    u, v = rng.integers(0, 40, n), rng.integers(0, 44, n)
    v[u == v] = 40
    points = np.full((44, 4), 0.25, np.float32)
    points[40:] = np.eye(4)
    weights = rng.random(n).astype(np.float32) + 0.5
    return PairRows(u.astype(np.uint32), v.astype(np.uint32), np.zeros(n, np.float32), weights), points


def naive_ratings(rows, factors):
    """Step by step in float64."""
    factors, loss = factors.astype(np.float64), 0.0
    for u, v, y in zip(*rows[:3], strict=True):
        p, q = factors[u].copy(), factors[v].copy()
        error = p @ q - y
        factors[u] -= ETA * (error * q + ALPHA * p)
        factors[v] -= ETA * (error * p + ALPHA * q)
        loss += error**2 / 2
    return factors, loss


def naive_edges(rows, points):
    """Step by step in float64."""
    points, loss = points.astype(np.float64), 0.0
    for u, v, _, weight in zip(*rows, strict=True):
        gap = points[u] - points[v]
        loss += weight * np.abs(gap).sum()
        if np.abs(gap).max() > 1e-6:
            points[u] = nearest_on_simplex(points[u] - ETA * weight * np.sign(gap))
            if v < 40:
                points[v] = nearest_on_simplex(points[v] + ETA * weight * np.sign(gap))
    return points, loss


EXACT = [("sequential", 1), ("shared", 1)]
THREADS = [(engine, 2) for engine in ("shared", "atomic", "locked", "round_robin", "replicas")]


@pytest.mark.parametrize(("engine", "threads"), EXACT + THREADS)
def test_ratings_step_as_the_naive_twin_does(engine, threads):
    rows, first = ratings()
    model = Factors(first.copy(), Settings(alpha=ALPHA))
    loss = run(rows, model, 50, 5, engine, threads)
    expected, total = naive_ratings(rows, first)
    if threads == 1:
        np.testing.assert_allclose(model.factors, expected, rtol=1e-3, atol=1e-4)
    assert loss == pytest.approx(total, rel=1e-4 if threads == 1 else 0.15)


@pytest.mark.parametrize(("engine", "threads"), EXACT + THREADS)
def test_edges_step_as_the_naive_twin_does(engine, threads):
    rows, first = edges(60 if threads == 1 else 600)  # the signs of tiny gaps are a matter of rounding
    model = Points(first.copy(), Settings(n_free=40))
    loss = run(rows, model, 44, 4, engine, threads)
    expected, total = naive_edges(rows, first)
    if threads == 1:
        np.testing.assert_allclose(model.points, expected, atol=1e-3)
    assert loss == pytest.approx(total, rel=1e-3 if threads == 1 else 0.25)
    np.testing.assert_array_equal(model.points[40:], np.eye(4))
    np.testing.assert_allclose(model.points.sum(axis=1), 1.0, atol=0.2 if threads > 1 else 1e-4)


@pytest.mark.parametrize(("engine", "threads"), [("sequential", 1), ("round_robin", 2), ("locked", 2), ("shared", 2)])
def test_a_delay_changes_no_step(engine, threads):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 8)).astype(np.float32), np.where(rng.random(600) < 0.5, -1.0, 1.0)
    weights, loss = np.zeros(8), 0.0
    for x, label in zip(X, y, strict=True):
        margin = label * (x @ weights)
        loss += max(0.0, 1.0 - margin)
        weights += ETA * label * x * (margin < 1)
    for turns in (0, 50):
        model = Slow(np.zeros(8, np.float32), Settings(turns=turns))
        found = run(as_rows(X, y), model, 8, 1, engine, threads)
        assert found == pytest.approx(loss, rel=1e-4 if threads == 1 else 0.1)
        if threads == 1:
            np.testing.assert_allclose(model.coef, weights, atol=1e-4)
