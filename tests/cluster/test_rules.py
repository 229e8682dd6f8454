"""Stores that step by a rule, against twins; ranges of keys."""

from __future__ import annotations

import numpy as np
import pytest
from cluster.naive_store import NaiveRuleStore
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.cluster.deltas import ALL, Delta, KeySet, Request
from hogwild.cluster.keys import key_set, split_keys
from hogwild.cluster.layout import Layout
from hogwild.cluster.ranges import cut_ranges, key_traffic
from hogwild.cluster.rules import Adagrad, Add, Ftrl, RuleStore, Sgd, resolve_rule

RULES = [Add(), Sgd(0.3), Adagrad(0.3), Adagrad(0.3, 1e-3, 0.1), Ftrl(0.5), Ftrl(0.3, 0.1, 0.4, 0.2)]


def make_layout(n_keys, width, dtype="float64"):
    return Layout(0, n_keys, width, dtype, np.zeros(width), np.zeros((n_keys, width)), np.zeros(width, bool))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), width=st.sampled_from([1, 3]))
def test_rules_agree_with_the_twin(rule, dtype, seed, width):
    rng = np.random.default_rng(seed)
    values = np.zeros((9, width)) if isinstance(rule, Ftrl) else rng.normal(size=(9, width)).astype(dtype)
    layout = make_layout(14, width, dtype)
    store, naive = RuleStore(layout, 3, 12, rule, values), NaiveRuleStore(3, values, rule)
    for k in range(12):
        keys = np.flatnonzero(rng.random(9) < 0.6).astype(np.uint32) + np.uint32(3)
        gradients = (rng.normal(size=(len(keys), width)) * (rng.random((len(keys), width)) < 0.8)).astype(dtype)
        store.apply(Delta(key_set(keys, 3, 12), None, gradients, 1, 1.0, 1.0), active=1 + k)
        naive.apply(keys, gradients)
        if k == 5:
            other = RuleStore(layout, 3, 12, rule)
            other.restore(store.snapshot())
            store = other
    found = store.read(Request(KeySet(ALL)))
    assert found.version == 12
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(found.values, naive.values, rtol=tolerance, atol=tolerance)


def test_rules_refuse():
    layout = make_layout(4, 1)
    with pytest.raises(ValueError, match="rule must be one of add, sgd, adagrad, ftrl, found 'adam'"):
        resolve_rule("adam")
    with pytest.raises(ValueError, match="sgd has no setting 'alpha'; it has eta"):
        resolve_rule("sgd", alpha=1.0)
    with pytest.raises(ValueError, match="eta of sgd must be greater than 0, found 0"):
        resolve_rule("sgd", eta=0)
    with pytest.raises(ValueError, match="l1 of ftrl must be at least 0, found -1"):
        resolve_rule(Ftrl(l1=-1))
    with pytest.raises(ValueError, match="takes no initial values"):
        RuleStore(layout, 0, 4, Ftrl(), np.ones(4))
    with pytest.raises(ValueError, match="has no sums"):
        RuleStore(layout, 0, 4, Adagrad()).restore(RuleStore(layout, 0, 4, Add()).snapshot())
    with pytest.raises(ValueError, match="a gradient of nan for key 2, column 0"):
        RuleStore(layout, 0, 4, Sgd()).apply(
            Delta(KeySet(ALL), None, np.array([[0.0], [0], [np.nan], [0]]), 1, 1.0, 1.0), 1
        )


@settings(max_examples=200, deadline=None)
@given(
    traffic=st.lists(st.one_of(st.just(0.0), st.floats(0, 1)), max_size=60),
    n_shards=st.integers(1, 9),
    slack=st.floats(1.0, 4.0),
)
def test_cuts(traffic, n_shards, slack):
    cuts = cut_ranges(np.array(traffic), n_shards, slack)
    sizes = np.diff(cuts)
    assert cuts[0] == 0
    assert cuts[-1] == len(traffic)
    assert len(cuts) == n_shards + 1
    assert (sizes >= (len(traffic) >= n_shards)).all()
    assert (sizes <= max(np.ceil(slack * len(traffic) / n_shards), 1)).all()


def test_hot_keys_are_spread():
    """Zipf's law in the order of heat: equal lengths would give the first shard nearly all traffic."""
    counts = 1e5 / np.arange(1, 100_001)
    traffic = key_traffic(counts, 1e5, 1000)
    cuts = cut_ranges(traffic, 4, slack=4.0)
    shares = np.add.reduceat(traffic, cuts[:-1]) / traffic.sum()
    assert shares.max() < 0.26
    assert cuts[1] < 3_000
    bounded = cut_ranges(traffic, 4, slack=1.5)
    assert np.diff(bounded).max() <= 37_500
    keys = np.sort(np.random.default_rng(0).permutation(100_000)[:1000]).astype(np.uint32)
    parts = split_keys(keys, cuts)
    assert [len(part) for part in parts] == np.histogram(keys, cuts)[0].tolist()
    assert np.concatenate(parts).tolist() == keys.tolist()
