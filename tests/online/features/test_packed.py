"""Rows straight from MessagePack are those of Python's objects; and no bytes do harm."""

from __future__ import annotations

import math

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.online.driver import make_driver
from hogwild.online.features import packed_kernels as kernels
from hogwild.online.features.converter import Converter
from hogwild.online.features.packed_rows import packed_items
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.methods import methods_of
from hogwild.online.packed import Packed
from hogwild.online.wire import read_all

CONVERTERS = {
    "numbers": {"num_rules": [{"key": "*", "type": "num"}]},
    "some numbers": {"num_rules": [{"key": "x*", "except": "xx", "type": "num"}]},
    "words": {"string_rules": [{"key": "*", "type": "space"}], "num_rules": [{"key": "*", "type": "num"}]},
    "counted": {"string_rules": [{"key": "*", "type": "space", "sample_weight": "tf"}]},
    "whole": {
        "string_rules": [{"key": "a", "type": "str", "sample_weight": "tf"}, {"key": "b", "type": "space"}],
        "hash_max_size": 7,
    },
    "two rules": {"string_rules": [{"key": "*", "type": "space"}, {"key": "b", "type": "str"}]},
}
keys = st.sampled_from(["a", "b", "x", "xx", "x$", "", "é", "\udcff"])
words = st.sampled_from(["", " ", "w", "v w", "w w  v", "\tw\x0bv\n", "w\x85v\u3000w", "é é", "\udcffw", "w" * 40])
doubles = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 2.5]), st.floats())
data = st.tuples(
    st.lists(st.tuples(keys, words), max_size=4), st.lists(st.tuples(keys, doubles), max_size=4), st.just([])
)


def packed(value):
    return msgpack.packb(value, use_bin_type=False, unicode_errors="surrogateescape")


def named(rows, vocabulary):
    found = []
    for start, end in zip(rows.indptr, rows.indptr[1:], strict=False):
        slots, values = rows.slots[int(start) : int(end)], rows.values[int(start) : int(end)]
        found.append(
            {vocabulary.names[slot]: value for slot, value in zip(slots.tolist(), values.tolist(), strict=True)}
        )
        assert len(found[-1]) == len(slots)
    return found


@pytest.mark.parametrize("name", CONVERTERS)
@settings(max_examples=120, deadline=None)
@given(batches=st.lists(st.tuples(st.lists(data, max_size=5), st.booleans()), max_size=6))
def test_rows_are_those_of_the_converter(name, batches):
    fast, slow = (Converter(CONVERTERS[name], Vocabulary()) for _ in range(2))
    assert fast.takes_packed
    for examples, update in batches:
        items = packed_items(packed(examples), 0, kernels.DATA)
        (read,) = read_all(methods_of("classifier")["classify"].takes, [examples])
        assert repr(list(items)) == repr(read)
        try:
            expected = named(slow.rows(read, update), slow.vocabulary)
        except ValueError:
            assert fast.packed(items, kernels.DATA, update) is None
        else:
            found = fast.packed(items, kernels.DATA, update)
            if name == "two rules" and found is None:
                found = fast.rows(read, update), []
            got = named(found[0], fast.vocabulary)
            assert got == expected or all(map(math.isclose, _sums(got), _sums(expected)))
        assert set(fast.vocabulary.slots) == set(slow.vocabulary.slots)


def _sums(rows):
    return [value for row in rows for _, value in sorted(row.items())]


def test_a_table_grows_and_forgets(monkeypatch):
    from hogwild.online.features import packed_rows

    converter = Converter(CONVERTERS["words"], Vocabulary())
    texts = [" ".join(f"w{n}" for n in range(start, start + 700)) for start in range(0, 7_000, 350)]
    items = packed_items(packed([([("t", text)], [], []) for text in texts]), 0, kernels.DATA)
    rows, _ = converter.packed(items, kernels.DATA, True)
    assert len(converter.vocabulary) == 7_350 and np.diff(rows.indptr.astype(np.int64)).tolist() == [700] * 20
    monkeypatch.setattr(packed_rows, "NAMES", -3 * 7_350)
    again, _ = converter.packed(items, kernels.DATA, True)
    assert np.array_equal(again.slots, rows.slots)
    converter.vocabulary.free(converter.vocabulary.slots[f"t$w{n}@space#bin/bin"] for n in range(10))
    rows, _ = converter.packed(items, kernels.DATA, False)
    assert np.diff(rows.indptr.astype(np.int64)).tolist() == [690, *[700] * 19]


WRONG = [
    5,
    [5],
    [("a",)],
    [("a", ([], []), 1)],
    [(1, ([], [], []))],
    [("a", ([], [("x", 1)], []))],
    [("a", ([], [(1, 1.0)], []))],
    [("a", ([("x", 1)], [], []))],
    [("a", ([("x", "y", "z")], [], []))],
    [("a", ([], [], [("x", "y")]))],
    [("a", ([],))],
    {"a": 1},
    None,
]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_what_is_no_list_of_such_items_is_left_to_others(value):
    assert packed_items(packed(value), 0, kernels.LABELLED) is None


@settings(max_examples=400, deadline=None)
@given(noise=st.binary(max_size=60), cut=st.integers(0, 80), at=st.integers(0, 80), kind=st.integers(0, 2))
def test_no_bytes_do_harm(noise, cut, at, kind):
    good = packed([("a", ([("t", "v w")], [("x", 1.0)], [])), ("b", ([], [("y", 2.0)]))])
    bad = (good[:at] + noise + good[at:])[: len(good) + len(noise) - cut]
    for data in (noise, bad, good[:cut], b"\xdd\xff\xff\xff\xff" + good):
        items = packed_items(data, 0, kind)
        if items is not None:
            assert 0 <= items.ends[0] <= items.ends[-1] <= len(data)
            list(items)


def test_items_in_parts_and_joined():
    examples = [(f"l{n}", ([("t", "w")], [("x", float(n))], [])) for n in range(10)]
    items = packed_items(packed(examples), 0, kernels.LABELLED)
    (read,) = read_all(methods_of("classifier")["train"].takes, [examples])
    assert items[3] == read[3] and items[-1] == read[-1] and list(items[2:5]) == read[2:5]
    joined = Packed.joined([items[4:6], items[:2], items[9:]])
    assert list(joined) == read[4:6] + read[:2] + read[9:]
    assert joined.as_list[5:] == packed(examples[4:6] + examples[:2] + examples[9:])[1:]
    with pytest.raises(IndexError):
        items[10]


@pytest.mark.parametrize("method", ["AROW", "PA"])
@pytest.mark.parametrize("kind", ["classifier", "regression"])
def test_learners_learn_the_same(kind, method):
    chance = np.random.default_rng(0)
    configuration = {"method": method, "parameter": {"regularization_weight": 1.0}, "converter": CONVERTERS["numbers"]}
    drivers = [make_driver(kind, configuration) for _ in range(2)]
    takes, ask = methods_of(kind), {"classifier": "classify", "regression": "estimate"}[kind]
    for _ in range(5):
        X = chance.normal(size=(20, 6)).tolist()
        data = [([], [(f"x{n}", value) for n, value in enumerate(row)], []) for row in X]
        ys = [("up" if row[0] > 0 else "down") if kind == "classifier" else row[0] for row in X]
        examples = list(zip(ys, data, strict=True))
        assert drivers[0].run("train", read_all(takes["train"].takes, [examples])) == 20
        assert drivers[1].run("train", [drivers[1].packs["train"](packed(examples), 0)]) == 20
        asked = read_all(takes[ask].takes, [data])
        assert drivers[0].run(ask, asked) == drivers[1].run(ask, [drivers[1].packs[ask](packed(data), 0)])


def test_a_bad_target_changes_nothing():
    driver = make_driver("regression", {"method": "PA", "parameter": {}, "converter": CONVERTERS["numbers"]})
    items = driver.packs["train"](packed([(1.0, ([], [("x", 1.0)], [])), (math.nan, ([], [("y", 1.0)], []))]), 0)
    with pytest.raises(ValueError, match="target 2 must be within"):
        driver.run("train", [items])
    assert driver.status()["regression.features"] == "0"


def test_rules_that_are_not_simple_are_left_to_others():
    for rules in (
        {"string_rules": [{"key": "*", "type": "space", "global_weight": "idf"}]},
        {"num_rules": [{"key": "*", "type": "log"}]},
        {"num_rules": [{"key": "*", "type": "num"}, {"key": "x", "type": "num"}]},
        {"num_filter_types": {"f": {"method": "add", "value": "1"}},
         "num_filter_rules": [{"key": "*", "type": "f", "suffix": "+"}]},
        {"combination_rules": [{"key_left": "*", "key_right": "*", "type": "mul"}]},
    ):  # fmt: skip
        assert not Converter(rules, Vocabulary()).takes_packed
