"""Scores of all rows against pairs taken one by one, after any changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_rows import similar

from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows import arena, indexes
from hogwild.online.rows.indexes import nearest
from hogwild.online.rows.parameters import HASHED, INVERTED

METHODS = {**INVERTED, **HASHED}
FEATURES = ["a@num", "b@num", "t$ü@str#bin/bin", "\udcff", "e", "f"]
ROWS = st.dictionaries(st.sampled_from(FEATURES), st.integers(-4, 4).filter(bool).map(lambda n: n / 3), max_size=5)
NAMES = st.sampled_from(["x", "y", "z", "u", "v", "w"])


class Found:
    """An index and the rows that it ought to hold."""

    def __init__(self, method, **parameter):
        self.method, self.vocabulary, self.rows = method, Vocabulary(), {}
        self.index = METHODS[method](parameter, "$.parameter", self.vocabulary, "")

    def put(self, name, row):
        slots = np.array([self.vocabulary.slot(feature) for feature in row], np.uint32)
        self.index.table.put(name, slots, np.array(list(row.values()), float))
        self.index.table.tidy()
        self.rows[name] = row

    def remove(self, name):
        self.index.table.remove(name)
        self.index.table.tidy()
        self.rows.pop(name, None)

    def check(self, query, bits=64):
        for features, wanted in self.queries(query):
            expected = similar(self.method, wanted, self.rows, bits=bits)
            found = nearest(self.index, features, len(self.rows))
            assert sorted(name for name, _ in found) == sorted(name for name, _ in expected)
            assert dict(found) == pytest.approx(dict(expected), abs=1e-7)
            for count in range(3):
                assert nearest(self.index, features, count) == found[:count]

    def queries(self, query):
        yield self.index.features(query.items()), query
        for name, row in self.rows.items():
            yield self.index.features_of(self.index.table.live[name]), row
            yield self.index.features_at(*self.index.table.row(name)), row


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, ROWS),
        st.tuples(st.just("put"), NAMES, ROWS),
        st.tuples(st.just("remove"), NAMES),
    ),
    max_size=12,
)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30, deadline=None)
@given(steps=STEPS, query=ROWS)
def test_scores_are_those_of_pairs(method, steps, query):
    found = Found(method)
    for kind, *rest in steps:
        getattr(found, kind)(*rest)
    if method == "inverted_index":  # products that cancel out to 0 or nearly would hide whether a row is found
        query = {feature: abs(value) for feature, value in query.items()}
        for name, row in list(found.rows.items()):
            found.put(name, {feature: abs(value) for feature, value in row.items()})
    found.check({**query, "unknown": 1.5})  # which counts for the query's length


@pytest.mark.parametrize("method", HASHED)
@pytest.mark.parametrize("bits", [1, 63, 64, 65, 200])
def test_signatures_have_as_many_bits_as_asked_for(method, bits):
    found = Found(method, hash_num=bits)
    for name, row in {"x": {"a": 1.0, "b": -2.0}, "y": {"b": 3.0}, "z": {"a": -1.0, "e": 0.5}, "none": {}}.items():
        found.put(name, row)
    found.check({"a": 0.3, "b": 1.0}, bits)
    assert found.index.table.arena.codes.shape[1] == math.ceil(bits / 64)


@pytest.mark.parametrize("method", ["inverted_index", "inverted_index_euclid"])
def test_lists_and_new_rows_are_searched_together(method, monkeypatch):
    monkeypatch.setattr(indexes, "_TAIL", 40)
    monkeypatch.setattr(arena, "_ROWS", 8)
    monkeypatch.setattr(arena, "_ENTRIES", 16)
    found = Found(method)
    draw = np.random.default_rng(0)
    for number in range(300):
        row = dict(zip(draw.choice(FEATURES, 3, replace=False).tolist(), draw.uniform(0.1, 1, 3).tolist(), strict=True))
        found.put(f"row {draw.integers(60)}", row)
        if number % 7 == 0:
            found.remove(f"row {draw.integers(60)}")
        expected = similar(method, row, found.rows)
        scores = nearest(found.index, found.index.features(row.items()), 60)
        assert dict(scores) == pytest.approx(dict(expected), abs=1e-7)


def test_a_row_that_is_taken_back_is_found_again():
    # a change lies over the master's row; a round in which another server's change wins uncovers or replaces it
    found = Found("inverted_index_euclid")
    found.put("x", {"a": 1.0})
    found.put("y", {"b": 1.0})
    rows = found.index.table
    rows.apply(rows.fold([rows.cut()]), [])
    found.put("x", {"e": 9.0})
    found.check({"a": 1.0})
    rows.load(rows.full(), [])  # what has been learnt since the last cut stays
    found.check({"a": 1.0})
    rows.apply(rows.fold([]), [rows.cut()])
    found.check({"a": 1.0})
    rows.cut()
    rows.apply(rows.fold([]), [])  # and what was cut and is not kept goes
    found.rows["x"] = {"a": 1.0}
    found.check({"a": 1.0})


def test_rows_that_share_no_feature_can_be_ignored():
    found = Found("inverted_index_euclid", ignore_orthogonal=True)
    found.put("x", {"a": 1.0})
    found.put("y", {"b": 1.0})
    assert nearest(found.index, found.index.features([("a", 3.0)]), 9) == [("x", -2.0)]


def test_equal_scores_are_in_the_order_of_names():
    found = Found("inverted_index_euclid")
    for name in ("c", "a", "d", "b"):
        found.put(name, {"x": 1.0})
    assert [name for name, _ in nearest(found.index, found.index.features([("x", 1.0)]), 3)] == ["a", "b", "c"]


def test_a_row_is_at_no_distance_from_itself():
    found = Found("inverted_index_euclid")
    draw = np.random.default_rng(1)
    for number in range(50):
        found.put(
            str(number),
            {feature: float(value) for feature, value in zip(FEATURES, draw.normal(size=6) * 1e5, strict=True)},
        )
    for name, row in found.rows.items():
        assert nearest(found.index, found.index.features(row.items()), 1) == [(name, 0.0)]


def test_values_too_large_to_square_are_not_found():
    for method in INVERTED:
        found = Found(method)
        found.put("x", {"a": 1e200})
        found.put("y", {"a": 1.0})
        assert all(math.isfinite(score) for _, score in nearest(found.index, found.index.features([("a", 1.0)]), 9))
        assert "y" in dict(nearest(found.index, found.index.features([("a", 1.0)]), 9))


def test_random_planes_tell_angles():
    found = Found("lsh", hash_num=4096)
    found.put("x", {"a": 1.0})
    for degrees in (0, 30, 90, 150):
        angle = math.radians(degrees)
        ((_, score),) = nearest(found.index, found.index.features([("a", math.cos(angle)), ("b", math.sin(angle))]), 1)
        assert score == pytest.approx(1 - degrees / 180, abs=0.03)


def test_minwise_bits_tell_common_features():
    found = Found("minhash", hash_num=4096)
    found.put("x", dict.fromkeys("abcdef", 1.0))
    ((_, score),) = nearest(found.index, found.index.features(dict.fromkeys("defghi", 1.0).items()), 1)
    assert score == pytest.approx((1 + 3 / 9) / 2, abs=0.03)  # half of the others agree by chance


def test_servers_agree_on_signatures():
    one, other = Found("lsh"), Found("lsh")
    one.put("x", {"a": 1.0, "b": 2.0})
    other.put("y", {"c": 1.0})  # takes the first slot
    other.put("x", {"b": 2.0, "a": 1.0})
    codes = [found.index.table.arena.codes[found.index.table.live["x"]] for found in (one, other)]
    assert codes[0].tolist() == codes[1].tolist()


def test_slots_that_are_given_again_have_other_signatures():
    found = Found("lsh")
    for number in range(5_000):
        found.put("x", {f"feature {number}": 1.0, "a": 0.1})
    found.check({"feature 4999": 1.0})
    assert len(found.vocabulary) < 4_000
