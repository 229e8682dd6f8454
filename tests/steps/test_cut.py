import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_cut import cut_value, flow_step, nearest_on_simplex, random_graph, subgradient_step

from hogwild.compiled import kernel
from hogwild.steps.base import make_work, step
from hogwild.steps.cut import (
    CutSettings,
    FlowCut,
    SubgradientCut,
    assign,
    balance,
    objective,
    project_rows,
    recentre,
    weight_cut,
    write_points,
)
from hogwild.steps.rows import PairRows


@kernel
def run_steps(rows, order, model, work):
    total = 0.0
    for k in range(np.uint64(order.size)):
        total += step(rows, order[k], model, work, np.uint64(0))
    return total


def make(n_labels, seed, *, weighted=True, eta=0.07):
    rng = np.random.default_rng(seed)
    n_free, m = 7, 25
    edges = rng.integers(0, n_free + n_labels, (m, 2)).astype(np.uint32)
    edges = edges[(edges[:, 0] != edges[:, 1]) & (edges < n_free).any(axis=1)]
    weights = rng.uniform(0.2, 2, len(edges)).astype(np.float32) if weighted else np.empty(0, np.float32)
    first, second = (np.ascontiguousarray(side) for side in edges.T)
    rows = PairRows(first, second, np.ones(len(edges), np.float32), weights)
    points = np.vstack([rng.dirichlet(np.ones(n_labels), n_free), np.eye(n_labels)]).astype(np.float32)
    work = make_work(n_labels, np.float32)
    work.eta[:] = eta
    order = rng.integers(0, len(edges), 120).astype(np.uint32)
    return rows, edges, weights if weighted else np.ones(len(edges)), points, work, order, n_free


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=7))
def test_projection_is_the_nearest_point(x):
    points = np.array([x], np.float32)
    project_rows(points, 0, 1)
    assert points.min() >= 0 and points.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(points[0], nearest_on_simplex(np.array(x)), atol=2e-5)


@pytest.mark.parametrize("x", [[1e6, -1e6, 3], [0.5, 0.5], [1e-30, 0, 1], [2.0] * 9, [1, 0, 0, 0]])
def test_projection_of_extremes(x):
    points = np.array([x], np.float32)
    project_rows(points, 0, 1)
    np.testing.assert_allclose(points[0], nearest_on_simplex(np.array(x)), atol=1e-5)


@pytest.mark.parametrize("n_labels", [2, 3, 5])
@pytest.mark.parametrize("weighted", [True, False])
def test_subgradient_steps_are_those_of_the_twin(n_labels, weighted):
    rows, edges, weights, points, work, order, n_free = make(n_labels, n_labels, weighted=weighted)
    expected, total = points.astype(np.float64), 0.0
    for i in order:
        total += subgradient_step(expected, *edges[i], weights[i], 0.07, n_free)
    got = run_steps(rows, order, SubgradientCut(points, CutSettings(n_free)), work)
    if n_labels == 2:  # of more, a tie that rounding breaks turns a sign
        np.testing.assert_allclose(points, expected, atol=1e-4)
        assert got == pytest.approx(total, rel=1e-4)
    first = order[:3]
    rows, edges, weights, points, work, order, n_free = make(n_labels, n_labels, weighted=weighted)
    expected = points.astype(np.float64)
    total = sum(subgradient_step(expected, *edges[i], weights[i], 0.07, n_free) for i in first)
    assert run_steps(rows, first, SubgradientCut(points, CutSettings(n_free)), work) == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(points, expected, atol=1e-5)


@pytest.mark.parametrize("n_labels", [2, 3, 5])
@pytest.mark.parametrize("weighted", [True, False])
def test_flow_steps_are_those_of_the_twin(n_labels, weighted):
    rows, edges, weights, points, work, order, n_free = make(n_labels, n_labels, weighted=weighted, eta=0.3)
    centres, flows = points.astype(np.float64), np.zeros((len(edges), n_labels))
    total = sum(flow_step(centres, flows, edges, weights, i, 0.3, n_free) for i in order)
    nodes = np.hstack([points, np.zeros_like(points)])
    model = FlowCut(nodes, np.zeros((len(edges), n_labels), np.float32), CutSettings(n_free))
    assert run_steps(rows, order, model, work) == pytest.approx(total, rel=1e-4)
    np.testing.assert_allclose(model.flows, flows, atol=1e-4)
    assert np.abs(model.flows).max(axis=1) == pytest.approx(np.abs(flows).max(axis=1), abs=1e-4)
    assert (nodes[:, :n_labels] == points).all()  # centres move between epochs only
    before = nodes.copy()
    balance(rows, model)
    np.testing.assert_allclose(nodes, before, atol=1e-5)  # the sums were those of the flows
    assert (nodes[n_free:, n_labels:] == 0).all()


def test_bound_is_below_the_objective_of_any_points():
    rng = np.random.default_rng(0)
    rows, edges, weights, points, _, _, n_free = make(3, 1)
    flows = (rng.uniform(-1, 1, (len(edges), 3)) * weights[:, None]).astype(np.float32)
    bound = balance(rows, FlowCut(np.hstack([points, np.zeros_like(points)]), flows, CutSettings(n_free)))
    for _ in range(200):
        points[:n_free] = rng.dirichlet(np.full(3, 0.2), n_free)
        assert bound <= objective(rows, points) + 1e-5


def test_recentring_leaves_points_on_the_simplex():
    rng = np.random.default_rng(0)
    nodes = rng.normal(size=(20, 8)).astype(np.float32)
    sums = nodes[:, 4:].copy()
    expected = [nearest_on_simplex(node[:4] - 0.5 * node[4:]) for node in nodes.astype(np.float64)]
    points, same = np.zeros((20, 4), np.float32), np.zeros((20, 4), np.float32)
    write_points(nodes, 0.5, 0, 20, same)
    recentre(nodes, 0.5, 0, 20, points)
    np.testing.assert_allclose(points, expected, atol=1e-5)
    assert (same == points).all() and (nodes[:, :4] == points).all() and (nodes[:, 4:] == sums).all()


def test_objective_is_twice_the_cut_at_corners():
    rng = np.random.default_rng(2)
    u, v, weights, _ = random_graph(rng, 50, 200, 1)
    labels = rng.integers(0, 4, 50)
    rows = PairRows(u.astype(np.uint32), v.astype(np.uint32), np.ones(len(u), np.float32), weights.astype(np.float32))
    assert weight_cut(rows, labels) == cut_value(u, v, weights, labels)
    assert objective(rows, np.eye(4, dtype=np.float32)[labels]) == 2 * cut_value(u, v, weights, labels)


def test_assign_takes_the_first_label_that_reaches_the_threshold():
    points = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0, 1, 0], [0.34, 0.33, 0.33]], np.float32)
    labels = np.empty(4, np.int64)
    assign(points, np.array([1, 0, 2], np.uint64), np.float32(0.3), labels)
    assert labels.tolist() == [1, 2, 1, 1]
    assign(points, np.array([0, 1, 2], np.uint64), np.float32(0.4), labels)
    assert labels.tolist() == [0, 2, 1, 2]
