"""Rules by which tables are mixed."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.cluster.mix.mixers import Latest, Mean, Minimum, Sum, Tables, serialised

keys = st.sampled_from("abcd")
whole = st.integers(-1000, 1000).map(float)  # sums of them are exact
CHANGES = {
    "mean": (Mean(), whole),
    "updates": (Mean("updates"), whole),
    "all": (Mean("all"), whole),
    "sum": (Sum(), st.integers(-5, 5)),
    "minimum": (Minimum(), whole),
    "latest": (Latest(), st.tuples(st.integers(0, 5), st.none() | st.lists(st.integers(0, 3), max_size=2))),
}


def changes(kind):
    return st.lists(st.tuples(keys, CHANGES[kind][1]), max_size=12)


def recorded(mixer, items):
    cut = {}
    for key, change in items:
        mixer.record(cut, key, change)
    return cut


@pytest.mark.parametrize("kind", CHANGES)
@settings(deadline=None)
@given(data=st.data())
def test_cuts_joined_are_one_cut(kind, data):
    mixer, items = CHANGES[kind][0], data.draw(changes(kind))
    place = data.draw(st.integers(0, len(items)))
    cuts = [recorded(mixer, items[:place]), recorded(mixer, items[place:])]
    before = deepcopy(cuts)
    assert mixer.join(cuts) == recorded(mixer, items)
    assert cuts == before and mixer.join([]) == {}


@pytest.mark.parametrize("kind", CHANGES)
@settings(deadline=None)
@given(data=st.data())
def test_the_order_of_servers_does_not_matter(kind, data):
    mixer = CHANGES[kind][0]
    cuts = [recorded(mixer, items) for items in data.draw(st.lists(changes(kind), max_size=4))]
    before = deepcopy(cuts)
    forward, backward = mixer.fold(cuts), mixer.fold(cuts[::-1])
    assert forward == backward
    assert cuts == before


@settings(deadline=None)
@given(st.lists(changes("mean"), min_size=1, max_size=4))
def test_means(servers):
    for over in ("changed", "updates", "all"):
        mixer = Mean(over)
        mixed = mixer.fold([recorded(mixer, items) for items in servers])
        for key in mixed:
            mine = [[change for name, change in items if name == key] for items in servers]
            weights = {"changed": [bool(m) for m in mine], "updates": [len(m) for m in mine], "all": [1] * len(mine)}
            total = sum(weight * sum(m) for weight, m in zip(weights[over], mine, strict=True))
            assert math.isclose(mixed[key], total / sum(weights[over]), abs_tol=1e-12)


def test_one_server_alone_is_what_it_learnt():
    tables = Tables({name: mixer for name, (mixer, _) in CHANGES.items() if name != "all"})
    for name, change in {"mean": 1.5, "updates": -2.0, "sum": 3, "minimum": 0.5, "latest": (1, [2])}.items():
        tables.change(name, "k", change)
    before = deepcopy(tables.view)
    tables.apply(tables.fold([tables.join([tables.cut()])]), [])
    assert tables.view == tables.master == before


def test_a_removed_row_does_not_come_back():
    ours, theirs = (Tables({"rows": Latest()}) for _ in range(2))
    ours.change("rows", "r", (1, "new"))
    ours.change("rows", "r", (3, None))
    theirs.change("rows", "r", (2, "other"))
    mixed = ours.fold([theirs.cut(), ours.cut()])
    for model in (ours, theirs):
        model.apply(mixed, [])
        assert model.view["rows"] == {"r": (3, None)}


def test_what_came_after_the_cut_stays_on_top():
    model = Tables({"weights": Mean(), "counts": Sum()})
    model.change("weights", "f", 1.0)
    cut = model.cut()
    model.change("weights", "f", 0.25)
    model.change("counts", "c", 2)
    model.apply(model.fold([cut, {"weights": {"f": (3.0, 1)}, "counts": {}}]), [])
    assert model.master["weights"] == {"f": 2.0} and model.view["weights"] == {"f": 2.25}
    other = Tables({"weights": Mean(), "counts": Sum()})
    other.load(model.full(), [model.cut()])
    assert serialised(other.view) == serialised(model.view) != serialised(other.master)


def test_an_unknown_mean():
    with pytest.raises(ValueError, match="over must be"):
        Mean("median")
