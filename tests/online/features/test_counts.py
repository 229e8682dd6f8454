from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hogwild.online.datum import Datum
from hogwild.online.features.converter import Converter
from hogwild.online.features.counts import Counts
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.state import State

KINDS = ["idf", "idf1", "bm25", "weight"]
SETTINGS = {
    "string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": kind} for kind in KINDS]
}
TEXTS = st.lists(st.sampled_from("abc"), max_size=4).map(" ".join)


def converter():
    return Converter(SETTINGS, Vocabulary())


def learn(one, texts):
    for text in texts:
        one.named(Datum.of({"t": text}), update=True)


def shown(one):
    return one.named(Datum.of({"t": "a a b c"}))


def same(one, other):
    return dict(shown(one)) == pytest.approx(dict(shown(other)))


@given(st.lists(st.tuples(st.booleans(), st.lists(TEXTS, max_size=3)), max_size=4))
def test_servers_that_mixed_everything_are_one_server_that_saw_everything(rounds):
    servers, alone = [converter(), converter()], converter()
    for both, texts in rounds:
        for server in servers if both else servers[:1]:
            learn(server, texts)
            learn(alone, texts)
        mixed = servers[0].counts.fold([server.counts.cut() for server in servers])
        for server in servers:
            server.counts.apply(mixed, [])
    assert all(same(server, alone) for server in servers)


def test_a_model_is_its_master_part_what_was_kept_and_what_came_since():
    server, alone = converter(), converter()
    learn(server, ["a", "b"])
    early = server.counts.cut()
    learn(server, ["c"])
    late = server.counts.cut()
    learn(server, ["a b"])
    learn(alone, ["a", "b", "c", "a b"])
    assert same(server, alone)
    server.counts.apply(server.counts.fold([early]), [late])
    assert same(server, alone)

    other = converter()
    learn(other, ["b b"])
    other.counts.load(server.counts.full(), [])
    learn(alone := converter(), ["a", "b", "b b"])
    assert same(other, alone)
    other.counts.load(server.counts.full(), [late])
    learn(alone, ["c"])
    assert same(other, alone)


def test_cuts_and_full_models_do_not_change_once_they_are_handed_over():
    server = converter()
    learn(server, ["a b"])
    cut = server.counts.cut()
    server.counts.apply(server.counts.fold([cut]), [])
    full, frequencies = server.counts.full(), dict(cut["frequencies"])
    learn(server, ["a b"])
    server.counts.apply(server.counts.cut(), [])
    assert (full["documents"], cut["documents"]) == (1, 1)
    assert full["frequencies"] == cut["frequencies"] == frequencies


def test_the_last_weight_that_was_set_is_the_one():
    server, other = converter(), converter()
    server.counts.set_weight("t$a@space", 2)
    other.counts.set_weight("t$a@space", 3)
    server.counts.apply(server.counts.fold([server.counts.cut(), other.counts.cut()]), [])
    assert ("t$a@space#tf/weight", 6.0) in shown(server)
    server.counts.set_weight("t$a@space", -1)
    assert ("t$a@space#tf/weight", -2.0) in shown(server)
    with pytest.raises(ValueError, match="must be finite, found nan"):
        server.counts.set_weight("t$a@space", float("nan"))


def test_a_saved_model_is_the_same_whatever_the_order_it_was_learnt_in():
    first, second = converter(), converter()
    learn(first, ["a b", "c ü"])
    second.counts.set_weight("t$b@space", 2.0)
    learn(second, ["c ü", "a b"])
    first.counts.set_weight("t$b@space", 2.0)
    states = [one.counts.state() for one in (first, second)]
    assert states[0].about == states[1].about == {"documents": 2}
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name])

    restored = converter()
    learn(restored, ["x"])
    restored.counts.restore(states[0])
    assert shown(restored) == shown(first)
    assert restored.counts.cut()["documents"] == 0
    restored.counts.clear()
    assert shown(restored) == shown(converter())


def test_a_state_of_something_else_is_refused_and_changes_nothing():
    one = converter()
    learn(one, ["a b"])
    before, state = shown(one), one.counts.state()
    broken = [
        State({}, state.arrays),
        State(state.about, {}),
        State(state.about, state.arrays | {"groups": np.zeros(7, np.int64)}),
        State(state.about, state.arrays | {"weights.offsets": np.array([0, 9])}),
    ]
    for bad in broken:
        with pytest.raises(ValueError):
            one.counts.restore(bad)
        assert shown(one) == before


def test_documents_are_counted_where_a_weight_needs_them_only():
    plain = Converter({"string_rules": [{"key": "*", "type": "space"}]}, Vocabulary())
    learn(plain, ["a", "b"])
    plain.rows([Datum.of({"t": "a"})], True)
    assert plain.counts.state().about == {"documents": 0} and not len(plain.counts)
    assert len(Counts()) == 0
