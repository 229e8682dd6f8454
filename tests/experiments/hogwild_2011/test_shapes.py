"""Made-up ratings and graphs have the sizes, skew and planted truth that they were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.experiments.hogwild_2011.shapes import make_mentions, make_ratings, make_volume, skewed


@pytest.mark.parametrize(("n", "top"), [(1_000, 0.05), (1_000, 0.002), (50, 0.5)])
def test_the_most_frequent_has_its_share(n, top):
    shares = skewed(n, top)
    assert shares[0] == pytest.approx(top, rel=1e-3)
    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares) <= 0).all()


def test_nobody_is_more_frequent_where_there_are_too_few():
    assert skewed(100, 1e-4).max() == pytest.approx(0.01, rel=1e-3)


def test_ratings_name_each_pair_once_and_have_variance_1():
    made = make_ratings(np.random.default_rng(0), 500, 100, 5_000, tops=(0.01, 0.05), noise=0.3)
    users, items, values = (np.concatenate(both) for both in zip(made.train[:3], made.test[:3], strict=True))
    assert len(np.unique(users * 1_000 + items)) == len(users)
    assert users.max() < 500 <= items.min() <= items.max() < 600
    assert 0.7 < values.var() < 1.4
    assert len(made.test.targets) == pytest.approx(len(made.train.targets) / 10, rel=0.01)


def test_mentions_are_joined_to_their_entities_nine_times_in_ten():
    graph = make_mentions(np.random.default_rng(0), 2_000, 50, 0.01)
    edges = graph.edges
    assert edges.first.max() < 2_000 and edges.second.max() < 2_050
    own = (edges.second == 2_000 + graph.planted[edges.first]).sum()
    assert 0.88 * 2_000 < own < 0.98 * 2_000
    assert 0.85 < np.mean(graph.first == graph.planted) < 0.95
    assert edges.weights.mean() == pytest.approx(1, rel=1e-5)


def test_voxels_are_joined_to_6_neighbours_and_terminals_have_their_share():
    graph = make_volume(np.random.default_rng(0), (12, 14, 16), 0.01)
    edges, n = graph.edges, 12 * 14 * 16
    inside = edges.second < n
    assert inside.sum() == 11 * 14 * 16 + 12 * 13 * 16 + 12 * 14 * 15
    steps = {int(step) for step in edges.second[inside].astype(int) - edges.first[inside]}
    assert steps == {1, 16, 14 * 16}
    for label in (0, 1):
        seeds = edges.first[edges.second == n + label]
        assert len(seeds) == pytest.approx(0.01 * len(edges.first), rel=0.05)
        assert (graph.planted[seeds] == label).all()
    assert 0.75 < np.mean(graph.first == graph.planted) < 0.95
