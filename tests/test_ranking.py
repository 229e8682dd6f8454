"""Ranking measures beside brute force over users, items and pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from hogwild import ranking


def brute(scores, relevant, seen, k):
    """Precision, recall, NDCG and AUC of one user; None without a relevant item."""
    left = [i for i in range(len(scores)) if not seen[i]]
    wanted = {i for i in left if relevant[i]}
    if not wanted:
        return None
    order = sorted(left, key=lambda i: -scores[i])[:k]
    hits = [i in wanted for i in order]
    gain = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
    ideal = sum(1.0 / math.log2(place + 2) for place in range(min(k, len(wanted))))
    others = [i for i in left if i not in wanted]
    pairs = [(scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]) for i in wanted for j in others]
    area = sum(pairs) / len(pairs) if pairs else 0.5
    return sum(hits) / k, sum(hits) / len(wanted), gain / ideal, area


@given(seed=st.integers(0, 10_000), n_users=st.integers(1, 6), n_items=st.integers(1, 12), k=st.integers(1, 14))
def test_measures_are_those_of_brute_force(seed, n_users, n_items, k):
    rng = np.random.default_rng(seed)
    scores = rng.permutation(n_users * n_items).reshape(n_users, n_items) / 7.0 - 3.0
    relevant, seen = rng.random((2, n_users, n_items)) < 0.3
    found = [brute(*rows, k) for rows in zip(scores.tolist(), relevant, seen, strict=True)]
    found = [user for user in found if user is not None]
    if not found:
        with pytest.raises(ValueError, match="no user with a relevant item"):
            ranking.evaluate(scores, relevant, seen, k)
        return
    result = ranking.evaluate(lambda users: scores[users], sp.csr_matrix(relevant), sp.coo_matrix(seen), k)
    assert result[:4] == pytest.approx(np.mean(found, axis=0).tolist())
    assert result.n_users == len(found)


def test_ties_count_half_in_the_area():
    scores, relevant = np.array([[1.0, 1.0, 0.0, 2.0]]), np.array([[1, 0, 0, 0]])
    assert ranking.auc(scores, relevant) == pytest.approx((0.5 + 1.0 + 0.0) / 3)


def test_blocks_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    scores, relevant, seen = rng.random((50, 30)), rng.random((50, 30)) < 0.2, rng.random((50, 30)) < 0.2
    whole = ranking.evaluate(scores, relevant, seen)
    monkeypatch.setattr(ranking, "BLOCK_CELLS", 100)
    assert ranking.evaluate(scores, relevant, seen) == pytest.approx(whole)
    assert ranking.precision_at_k(scores, relevant, seen) == pytest.approx(whole.precision)
    assert ranking.recall_at_k(scores, relevant, seen) == pytest.approx(whole.recall)
    assert ranking.ndcg_at_k(scores, relevant, seen) == pytest.approx(whole.ndcg)


def test_top_is_a_stable_sort():
    scores = np.random.default_rng(0).integers(0, 1000, (5, 200)) / 1.0
    for n in (1, 7, 200, 300):
        expected = -np.sort(-scores, axis=1)[:, :n]
        found = ranking.top(scores, n)
        assert (np.take_along_axis(scores, found, axis=1) == expected).all()


@pytest.mark.parametrize(
    ("scores", "relevant", "k", "message"),
    [
        (np.zeros((2, 3)), np.ones((2, 4)), 10, "expected the same"),
        (np.zeros((2, 3)), np.ones((2, 3)), 0, "k must be at least 1"),
        (np.full((2, 3), np.nan), np.ones((2, 3)), 1, "not finite"),
        (lambda users: np.zeros((1, 1)), np.ones((2, 3)), 1, "found scores of shape"),
    ],
)
def test_bad_input_is_named(scores, relevant, k, message):
    with pytest.raises(ValueError, match=message):
        ranking.evaluate(scores, relevant, k=k)
