import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from naive_cut import best_labels, cut_value, grid_graph, minimum_cut, picture_graph, random_graph
from sklearn.base import clone

from hogwild import Checkpoint, GraphCut
from hogwild.engine.engines import Locked, Replicas, Shared, Simulated
from hogwild.estimators.cut_task import read_graph


def graphs():
    rng = np.random.default_rng(0)
    yield "random", random_graph(rng, 400, 2_000, 30)
    yield "grid", grid_graph(rng, 24, 8)
    yield "picture", picture_graph(rng, 40)


GRAPHS = dict(graphs())


def check(cut, u, v, weights, terminals):
    """Points on the simplex, terminals in place, figures that agree with labels and points."""
    points, seeds = cut.points_.astype(np.float64), terminals >= 0
    assert points.min() >= 0
    np.testing.assert_allclose(points.sum(axis=1), 1, atol=1e-5)
    assert (points[seeds] == np.eye(len(cut.classes_))[terminals[seeds]]).all()
    assert (cut.labels_[seeds] == cut.classes_[terminals[seeds]]).all()
    numbers = np.searchsorted(cut.classes_, cut.labels_)
    assert cut.cut_value_ == pytest.approx(cut_value(u, v, weights, numbers), rel=1e-6)
    apart = np.abs(points[u] - points[v]).sum(axis=1)
    assert cut.objective_ == pytest.approx(float(apart @ weights), rel=1e-5)
    assert cut.lower_bound_ <= cut.objective_ * (1 + 1e-6) and cut.lower_bound_ <= 2 * cut.cut_value_ * (1 + 1e-6)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_two_terminals_within_one_percent_of_the_minimum_cut(name, n_jobs):
    u, v, weights, terminals = GRAPHS[name]
    least = minimum_cut(u, v, weights, terminals)
    cut = GraphCut(n_jobs=n_jobs, random_state=0).fit((u, v, weights), terminals)
    check(cut, u, v, weights, terminals)
    assert least * 0.99 <= cut.objective_ / 2 <= least * 1.01
    assert cut.lower_bound_ / 2 == pytest.approx(least, rel=0.01)
    assert least <= cut.cut_value_ <= least * 1.001
    assert cut.n_iter_ < cut.max_iter and len(cut.objective_curve_) == cut.n_iter_
    assert cut.n_threads_ == n_jobs


@pytest.mark.parametrize(
    ("engine", "n_jobs"),
    [
        ("sequential", None),
        ("shared", 2),
        ("replicas", 2),
        (Shared(), 3),
        (Replicas(deterministic=True), 2),
        (Replicas(interval=64, head=50), 2),
        (Simulated(4, interval=16), 1),
        (Simulated(8, interval=32, head=0), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["random", "grid"])
def test_every_engine_comes_to_the_same_objective(engine, n_jobs, name):
    u, v, weights, terminals = GRAPHS[name]
    least = minimum_cut(u, v, weights, terminals)
    cut = GraphCut(engine=engine, n_jobs=n_jobs, random_state=1).fit((u, v, weights), terminals)
    check(cut, u, v, weights, terminals)
    assert cut.objective_ / 2 == pytest.approx(least, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_three_labels_between_relaxation_and_the_best_cut(seed):
    rng = np.random.default_rng(seed)
    u, v, weights, terminals = random_graph(rng, 11, 24, 1, n_labels=3)
    best = best_labels(u, v, weights, terminals, 3)
    cut = GraphCut(tol=1e-4, random_state=seed).fit((u, v, weights), terminals)
    check(cut, u, v, weights, terminals)
    assert cut.objective_ / 2 <= best * 1.001
    assert cut.lower_bound_ / 2 <= best * (1 + 1e-6)
    assert best * (1 - 1e-6) <= cut.cut_value_ <= (3 / 2 - 1 / 3) * best


def test_three_labels_of_a_grid():
    u, v, weights, terminals = grid_graph(np.random.default_rng(3), 20, 5, n_labels=3)
    cut = GraphCut(n_jobs=2, random_state=0).fit((u, v, weights), terminals)
    check(cut, u, v, weights, terminals)
    assert cut.objective_ - cut.lower_bound_ <= 0.01 * cut.objective_
    assert cut.cut_value_ <= 1.05 * cut.objective_ / 2


@pytest.mark.parametrize(
    "schedule", [{}, {"learning_rate": "constant", "eta0": 0.005}, {"learning_rate": "invscaling"}]
)
def test_subgradients_come_near_where_terminals_are_near(schedule):
    u, v, weights, terminals = GRAPHS["random"]
    least = minimum_cut(u, v, weights, terminals)
    cut = GraphCut(solver="subgradient", max_iter=60, random_state=0, **schedule).fit((u, v, weights), terminals)
    check(cut, u, v, weights, terminals)
    assert cut.n_iter_ == 60 and cut.lower_bound_ < least
    assert cut.objective_ / 2 <= (1.02 if not schedule else 1.1) * least
    assert cut.cut_value_ <= 1.01 * least


@pytest.mark.parametrize("engine", [Shared(), Replicas(deterministic=True), Replicas(head=20)], ids=str)
def test_subgradients_of_two_threads(engine):
    u, v, weights, terminals = GRAPHS["random"]
    cut = GraphCut(solver="subgradient", max_iter=60, n_jobs=2, engine=engine, random_state=0)
    check(cut.fit((u, v, weights), terminals), u, v, weights, terminals)
    assert cut.objective_ / 2 <= 1.05 * minimum_cut(u, v, weights, terminals)


def test_the_same_bits():
    u, v, weights, terminals = GRAPHS["grid"]
    for settings in ({}, {"n_jobs": 2, "engine": Replicas(deterministic=True)}):
        one, other = (
            GraphCut(max_iter=30, random_state=4, **settings).fit((u, v, weights), terminals) for _ in range(2)
        )
        assert (one.points_ == other.points_).all() and (one.labels_ == other.labels_).all()


def test_graphs_of_all_kinds_are_the_same_graph():
    u, v, weights, terminals = GRAPHS["grid"]
    n = len(terminals)
    upper = sp.coo_matrix((weights, (np.minimum(u, v), np.maximum(u, v))), shape=(n, n))
    loops = sp.diags_array(np.arange(n, dtype=float))
    kinds = [
        (v, u, weights),
        (u.tolist(), v.tolist(), weights.tolist()),
        (np.r_[u, u], np.r_[v, v], np.r_[weights / 4, weights * 3 / 4]),
        (np.r_[u, 3], np.r_[v, 3], np.r_[weights, 9]),
        upper,
        upper.T.tocsc(),
        (upper + upper.T).tocsr(),
        sp.csr_array(upper + upper.T + loops),
    ]
    expected = read_graph((u, v, weights), n)
    for kind in kinds:
        found = read_graph(kind, n)
        assert found.n_nodes == n
        assert all(np.array_equal(a, b) for a, b in zip(found[:3], expected[:3], strict=True))
    seeds = {"right": np.flatnonzero(terminals == 1), "left": np.flatnonzero(terminals == 0)}
    fits = [GraphCut(max_iter=20, random_state=0).fit(upper, given) for given in (terminals, seeds)]
    assert fits[1].classes_.tolist() == ["left", "right"]
    assert (fits[0].points_ == fits[1].points_).all()
    assert (np.array(["left", "right"])[fits[0].labels_] == fits[1].labels_).all()


def test_labels_keep_their_numbers():
    cut = GraphCut(random_state=0)
    assert cut.fit_predict(([0, 1, 2], [1, 2, 3], [3, 1, 2]), np.array([7, -1, -1, 4])).tolist() == [7, 7, 4, 4]
    assert cut.classes_.tolist() == [4, 7]


def test_unreached_nodes_cost_nothing():
    graph = ([0, 1, 4, 5], [1, 2, 5, 6], [2.0, 1.0, 5.0, 5.0])
    cut = GraphCut(random_state=0).fit(graph, {"a": 0, "b": 2})
    assert cut.unreached_.tolist() == [3, 4, 5, 6]
    assert (cut.labels_[3:] == "a").all() and cut.labels_[1] == "a"
    assert cut.cut_value_ == 1 and cut.objective_ == pytest.approx(2, rel=0.01)


def test_edges_between_terminals_alone():
    cut = GraphCut().fit(([0, 1, 0], [1, 2, 2], [2.0, 3.0, 4.0]), np.array([0, 1, 0]))
    assert (cut.cut_value_, cut.objective_, cut.lower_bound_, cut.n_iter_) == (5, 10, 10, 0)
    assert GraphCut().fit(([], []), [0, -1, 1]).labels_.tolist() == [0, 0, 1]


def test_parts_with_one_label_have_no_cut():
    graph = ([0, 1, 3, 4], [1, 2, 4, 5], np.ones(4))
    cut = GraphCut(random_state=0).fit(graph, {"a": 0, "b": 5})
    assert cut.labels_.tolist() == list("aaabbb") and cut.cut_value_ == 0


def test_scale_of_weights_does_not_matter():
    u, v, weights, terminals = GRAPHS["grid"]
    one, other = (
        GraphCut(max_iter=30, random_state=0).fit((u, v, scale * weights), terminals) for scale in (1, 2.0**40)
    )
    assert (one.points_ == other.points_).all() and other.objective_ == one.objective_ * 2.0**40


def test_warm_start_goes_on():
    u, v, weights, terminals = GRAPHS["grid"]
    cut = GraphCut(warm_start=True, random_state=0).fit((u, v, weights), terminals)
    first = cut.n_iter_
    cut.fit((u, v, weights), terminals)
    assert cut.n_iter_ < first and cut.objective_ / 2 == pytest.approx(minimum_cut(u, v, weights, terminals), rel=0.01)
    assert len(cut.objective_curve_) == cut.n_iter_
    cut.fit(*((lambda a, b, w, t: ((a, b, w), t))(*GRAPHS["random"])))  # another graph: from the start


def test_checkpoint_goes_on_with_the_same_bits(tmp_path):
    u, v, weights, terminals = GRAPHS["grid"]
    settings = {"tol": None, "random_state": 0}
    GraphCut(max_iter=3, checkpoint=Checkpoint(tmp_path), **settings).fit((u, v, weights), terminals)
    resumed = GraphCut(max_iter=9, checkpoint=Checkpoint(tmp_path, resume=True), **settings)
    resumed.fit((u, v, weights), terminals)
    whole = GraphCut(max_iter=9, **settings).fit((u, v, weights), terminals)
    assert (resumed.points_ == whole.points_).all()
    with pytest.raises(ValueError, match="another run"):
        GraphCut(checkpoint=Checkpoint(tmp_path, resume=True)).fit((u, v, 2.0 + weights), terminals)


def test_callback_ends_the_run():
    u, v, weights, terminals = GRAPHS["grid"]
    seen = []
    cut = GraphCut(callback=lambda progress: seen.append(progress.epoch) or len(seen) == 4, random_state=0)
    cut.fit((u, v, weights), terminals)
    assert cut.n_iter_ == 4 and seen == [1, 2, 3, 4]
    check(cut, u, v, weights, terminals)


def test_clone_and_pickle():
    u, v, weights, terminals = GRAPHS["grid"]
    cut = GraphCut(max_iter=5, solver="subgradient", eta0=0.2, random_state=3)
    assert clone(cut).get_params() == cut.get_params()
    cut.fit((u, v, weights), terminals)
    again = pickle.loads(pickle.dumps(cut))
    assert (again.labels_ == cut.labels_).all() and again.cut_value_ == cut.cut_value_


SQUARE = sp.csr_matrix(np.array([[0, 1, 0], [1, 0, 2.0], [0, 2.0, 0]]))
ENDS = {0: 0, 1: 2}


@pytest.mark.parametrize(
    ("graph", "terminals", "message"),
    [
        (([0, 1], [1, 2], [1.0, -2.0]), ENDS, "found the weight -2, expected weights of at least 0"),
        (([0, 1], [1, 2], [1.0, np.nan]), ENDS, "found the weight nan, expected finite"),
        (([0, 1], [1, 2], [1.0, np.inf]), ENDS, "found the weight inf, expected finite"),
        (([0, 1], [1, 2], [1.0]), ENDS, "found edge arrays of shapes"),
        (([0, 1], [1], [1.0, 1.0]), ENDS, "found edge arrays of shapes"),
        (([0, -1], [1, 2]), ENDS, "found node -1, expected nodes numbered from 0"),
        (([0.5, 1], [1, 2]), ENDS, "found u of type float64"),
        (([0, 1], [1, 2], ["a", "b"]), ENDS, "found weights of type"),
        (([0, 2**32], [1, 2]), ENDS, "expected fewer than"),
        (np.eye(3), ENDS, "found a graph of type ndarray"),
        (sp.csr_matrix((0, 0)), {}, "found a graph without nodes"),
        (([], []), {}, "found a graph without nodes"),
        (sp.csr_matrix((2, 3)), ENDS, "expected a square matrix"),
        (sp.csr_matrix([[0, 1.0], [2.0, 0]]), {0: 0, 1: 1}, "not symmetric"),
        (SQUARE, {0: 0, 1: 3}, "found terminal 3 of label 1, expected nodes 0 to 2"),
        (SQUARE, {0: 0, 1: [1, -2]}, "found terminal -2 of label 1"),
        (SQUARE, {0: 0, 1: []}, "found no terminal of label 1"),
        (SQUARE, {0: [0, 1], 1: [1]}, "found node 1 among the terminals of two labels"),
        (SQUARE, {0: 0}, "found terminals of 1 labels"),
        (SQUARE, {}, "found terminals of 0 labels"),
        (SQUARE, [-1, -1, -1], "found terminals of 0 labels"),
        (SQUARE, [0, 1], "found 2 labels, expected one for each of 3 nodes"),
        (SQUARE, [0, 1, -2], "found the label -2"),
        (SQUARE, [0.0, 1.0, -1.0], "found terminals of type float64"),
    ],
)
def test_bad_input(graph, terminals, message):
    with pytest.raises(ValueError, match=message):
        GraphCut().fit(graph, terminals)


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "magic"},
        {"eta0": 0},
        {"beta": -1},
        {"tol": -1.0},
        {"max_iter": 0},
        {"engine": "locked"},
        {"engine": Locked()},
        {"n_jobs": 0},
    ],
    ids=str,
)
def test_bad_settings(settings):
    with pytest.raises(ValueError):
        GraphCut(**settings).fit(SQUARE, ENDS)
