from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_converter import NaiveConverter

from hogwild.online.configuration import ConfigurationError
from hogwild.online.datum import Column, Datum
from hogwild.online.features.converter import Converter
from hogwild.online.features.vocabulary import Vocabulary

TYPES = {
    "string_filter_types": {
        "upper": {"method": "regexp", "pattern": "a+", "replace": "A"},
        "swap": {"method": "regexp", "pattern": "(b)(.)", "replace": r"\2\1"},
    },
    "num_filter_types": {
        "plus": {"method": "add", "value": "3"},
        "cut": {"method": "linear_normalization", "min": "-2", "max": "2"},
        "line": {"method": "linear_normalization", "min": "-2", "max": "2", "truncate": "False"},
        "bell": {"method": "gaussian_normalization", "average": "1", "standard_deviation": "2"},
        "step": {"method": "sigmoid_normalization", "gain": "0.5", "bias": "1"},
    },
    "string_types": {
        "bigram": {"method": "ngram", "char_num": "2"},
        "comma": {"method": "split", "separators": " ,b"},
        "found": {"method": "regexp", "pattern": "(a|東)(.?)", "group": "2"},
        "whole": {"method": "regexp", "pattern": "[ab]*"},
    },
}
PLACES = ["*", "", "t", "n0", "t*", "*x", "*-f", "/^[tn]/", "/.*0/"]


def rules(*kinds, **further):
    fields = {"key": st.sampled_from(PLACES), "type": st.sampled_from(kinds), **further}
    return st.lists(st.fixed_dictionaries(fields, optional={"except": st.sampled_from(["t", "n1*", "*x"])}), max_size=3)


SETTINGS = st.fixed_dictionaries(
    {name: st.just(types) for name, types in TYPES.items()},
    optional={
        "string_filter_rules": rules("upper", "swap", suffix=st.sampled_from(["-f", "0"])),
        "num_filter_rules": rules("plus", "cut", "line", "bell", "step", suffix=st.sampled_from(["-f", "0"])),
        "string_rules": rules(
            *("str", "space", "bigram", "comma", "found", "whole"),
            sample_weight=st.sampled_from(["bin", "tf", "log_tf"]),
            global_weight=st.sampled_from(["bin", "bin", "idf", "idf1", "bm25", "weight"]),
        ),
        "num_rules": rules("num", "log", "str"),
        "combination_rules": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["add", "mul"])}
                | dict.fromkeys(("key_left", "key_right"), st.sampled_from(["n*", "t*", "*", "n0@num"]))
            ),
            max_size=2,
        ),
        "hash_max_size": st.sampled_from([1, 7, 1 << 20]),
    },
)
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 2.5, -0.75, 1234567.0]) | st.floats(-50, 50)
DATA = st.builds(
    lambda texts, numbers: Datum(
        *(Column(*zip(*pairs, strict=True)) if pairs else Column() for pairs in (texts, numbers))
    ),
    st.lists(st.tuples(st.sampled_from(["t", "u/x", "n0"]), st.text("ab ,\t東ü\u3000", max_size=8)), max_size=3),
    st.lists(st.tuples(st.sampled_from(["n0", "n1", "x"]), NUMBERS), max_size=4),
)
CALLS = st.lists(st.tuples(st.booleans(), DATA), max_size=5)
WEIGHTS = {"t$a@space": 2.0, "t$ab@bigram": -1.5, "u/x$b@space": 0.25}


def assert_same(expected, got):
    assert len(got) == len(dict(got)), "each name comes once"
    got = dict(got)
    assert all(value != 0 for value in got.values())
    for name in expected.keys() | got.keys():
        assert math.isclose(expected.get(name, 0), got.get(name, 0), rel_tol=1e-9, abs_tol=1e-9), name


def of_row(rows, row, vocabulary):
    part = slice(int(rows.indptr[row]), int(rows.indptr[row + 1]))
    return [(vocabulary.names[slot], value) for slot, value in zip(rows.slots[part], rows.values[part], strict=True)]


def pair(given_settings):
    converter, naive = Converter(given_settings, Vocabulary()), NaiveConverter(given_settings, WEIGHTS)
    for feature, weight in WEIGHTS.items():
        converter.counts.set_weight(feature, weight)
    return converter, naive


@given(SETTINGS, CALLS)
@settings(deadline=None)
def test_features_by_name_are_those_of_the_definition(given_settings, calls):
    converter, naive = pair(given_settings)
    for update, datum in calls:
        assert_same(naive.convert(datum, update), converter.named(datum, update))


@given(SETTINGS, st.lists(st.tuples(st.booleans(), st.lists(DATA, max_size=3)), max_size=3))
@settings(deadline=None)  # kernels may have to be compiled
def test_features_by_slot_are_those_of_the_definition(given_settings, calls):
    converter, naive = pair(given_settings)
    for update, data in calls:
        known = set(converter.vocabulary.slots)
        rows = converter.rows(data, update)
        assert (rows.indptr.dtype, rows.slots.dtype, rows.values.dtype) == (np.uint64, np.uint32, np.float64)
        for row, datum in enumerate(data):
            expected = naive.convert(datum, update)
            if not update:
                expected = {name: value for name, value in expected.items() if name in known}
            assert_same(expected, of_row(rows, row, converter.vocabulary))
        if not update:
            assert known == set(converter.vocabulary.slots)


SPACES = {
    "string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "idf1"}],
    "num_rules": [{"key": "*", "type": "num"}],
}
WORDS = {"string_rules": [{"key": "*", "type": "space"}], "num_rules": SPACES["num_rules"]}
GOOD = Datum.of({"t": "a b", "n": 1.0})


@pytest.mark.parametrize("given_settings", [SPACES, WORDS], ids=["weighted", "plain"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"m": 2.0, "x": math.nan}, "number of 'x' must be finite, found nan"),
        ({"m": -math.inf}, "number of 'm' must be finite, found -inf"),
        ({"new": "c", "a$b": "c"}, "keys .* found 'a\\$b'"),
        ({"new": 3.0, "a$b": 1.0}, "keys .* found 'a\\$b'"),
    ],
)
def test_a_batch_that_cannot_be_leaves_everything_as_it_was(given_settings, bad, message):
    converter = Converter(given_settings, Vocabulary())
    converter.rows([GOOD], True)
    before = dict(converter.vocabulary.slots), converter.named(GOOD)
    for run in (lambda: converter.rows([GOOD, Datum.of(bad)], True), lambda: converter.named(Datum.of(bad), True)):
        with pytest.raises(ValueError, match=message):
            run()
        assert (dict(converter.vocabulary.slots), converter.named(GOOD)) == before
    assert of_row(converter.rows([GOOD], False), 0, converter.vocabulary)


@pytest.mark.parametrize("given_settings", [SPACES, WORDS], ids=["weighted", "plain"])
def test_a_sum_that_overflows_is_an_error_that_names_the_feature(given_settings):
    twice = Datum(numbers=Column(("big", "big"), (1e308, 1e308)))
    converter = Converter(given_settings, Vocabulary())
    for run in (lambda: converter.rows([GOOD, twice], True), lambda: converter.named(twice)):
        with pytest.raises(ValueError, match="'big@num' must be finite, found inf"):
            run()
    assert not converter.vocabulary.slots


@pytest.mark.parametrize("kind", ["num", "log", "str"])
def test_numbers_that_are_not_finite_are_refused_whatever_the_rule(kind):
    converter = Converter({"num_rules": [{"key": "*", "type": kind}]}, Vocabulary())
    for update in (True, False):
        with pytest.raises(ValueError, match="number of 'x'"):
            converter.rows([Datum.of({"x": math.nan})], update)
    assert not converter.vocabulary.slots


def test_slots_that_were_freed_are_not_remembered():
    converter = Converter(WORDS, Vocabulary())
    first = of_row(converter.rows([GOOD], True), 0, converter.vocabulary)
    converter.vocabulary.free(list(converter.vocabulary.slots.values()))
    assert of_row(converter.rows([GOOD], False), 0, converter.vocabulary) == []
    converter.rows([Datum.of({"other": 1.0})], True)
    assert sorted(of_row(converter.rows([GOOD], True), 0, converter.vocabulary)) == sorted(first)


def test_unknown_features_are_found_once_they_have_been_learnt():
    converter = Converter(WORDS, Vocabulary())
    assert of_row(converter.rows([GOOD], False), 0, converter.vocabulary) == []
    converter.rows([GOOD], True)
    assert len(of_row(converter.rows([GOOD], False), 0, converter.vocabulary)) == 3


def test_memory_for_keys_and_words_is_bounded(monkeypatch):
    monkeypatch.setattr("hogwild.online.features.slots.LIMIT", 2)
    monkeypatch.setattr("hogwild.online.features.converter.KEYS", 2)
    data = [Datum.of({f"t{i}": "a b c d", f"n{i}": 1.0 + i}) for i in range(5)]
    converter = Converter(WORDS, Vocabulary())
    for update in (True, False):
        rows = converter.rows(data, update)
        for row, datum in enumerate(data):
            assert of_row(rows, row, converter.vocabulary) == converter.named(datum)
    assert len(converter._words) <= 2 and all(len(slots) <= 2 for slots in converter._plain_numbers)


def test_rows_keep_the_order_of_their_texts():
    """So that sums over them are the same to the last bit wherever a log is replayed."""
    converter = Converter(WORDS, Vocabulary())
    rows = converter.rows([Datum.of({"t": "d a c b a d"})], True)
    assert [converter.vocabulary.names[slot][2] for slot in rows.slots] == ["d", "a", "c", "b"]
    assert rows.slots.tolist() == [0, 1, 2, 3]


def test_texts_that_are_no_utf8_keep_their_bytes():
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert Converter(WORDS, Vocabulary()).named(Datum.of({"t": text})) == [(f"t${text}@space#bin/bin", 1.0)]
    hashing = Converter(WORDS | {"hash_max_size": "1000"}, Vocabulary())
    assert len(hashing.named(Datum.of({"t": text}))) == 1


@pytest.mark.parametrize("given_settings", [None, {}, {"string_rules": None, "binary_rules": []}])
def test_everything_is_optional(given_settings):
    assert Converter(given_settings, Vocabulary()).named(GOOD) == []


RULE = {"key": "*", "type": "space"}
FILTERED = {"key": "*", "suffix": "-f"}


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        (
            {"string_rules": [RULE, {"key": "*"}]},
            r"missing required field `type` - at `\$.converter.string_rules\[1\]`",
        ),
        ({"string_rules": "x"}, r"`\$.converter.string_rules`"),
        (["string_rules"], "Expected `object`, got `array`"),
        (
            {"string_rules": [RULE | {"type": "words"}]},
            r"`\$.converter.string_rules\[0\].type` must be one of str, space, found 'words'",
        ),
        (
            {"string_rules": [RULE | {"sample_weight": "x"}]},
            r"sample_weight` must be one of bin, tf, log_tf, found 'x'",
        ),
        (
            {"string_rules": [RULE | {"global_weight": "x"}]},
            "global_weight` must be one of bin, idf, idf1, bm25, weight",
        ),
        ({"string_rules": [RULE | {"key": "/(/"}]}, r"string_rules\[0\]` must be a regular expression, found '\('"),
        ({"string_rules": [RULE | {"except": "/(/"}]}, "must be a regular expression"),
        (
            {"num_rules": [{"key": "*", "type": "int"}]},
            r"num_rules\[0\].type` must be one of num, log, str, found 'int'",
        ),
        (
            {"string_types": {"mecab": {"method": "dynamic", "path": "libmecab_splitter.so"}}},
            r"string_types.mecab.method` must be one of ngram, regexp, split, found 'dynamic'",
        ),
        ({"string_types": {"x": {}}}, r"`\$.converter.string_types.x.method` must be one of .*, found None"),
        ({"string_types": {"x": {"method": "ngram", "char_num": "two"}}}, r"`\$.converter.string_types.x.char_num`"),
        ({"string_types": {"x": {"method": "ngram", "char_num": "0"}}}, "char_num` must be at least 1, found 0"),
        ({"string_types": {"x": {"method": "regexp", "pattern": "(a)", "group": "2"}}}, "must be from 0 to 1, found 2"),
        ({"string_types": {"x": {"method": "split", "separators": ""}}}, "separators` must not be empty"),
        ({"num_types": {"x": {"method": "dynamic"}}}, "num_types.x.method` must be one of nothing"),
        ({"binary_types": {"x": {"method": "dynamic"}}}, "binary_types.x.method` must be one of nothing"),
        ({"binary_rules": [RULE]}, "binary_rules` must be empty: features of bytes are not supported"),
        ({"string_filter_rules": [FILTERED | {"type": "x"}]}, r"string_filter_rules\[0\].type` must be one of nothing"),
        (
            {"string_filter_types": {"x": {"method": "regexp", "pattern": "a", "replace": r"\1"}}},
            "string_filter_types.x.replace` does not fit the pattern 'a'",
        ),
        (
            {"string_filter_types": {"x": {"method": "regexp", "pattern": "a", "replace": r"\n"}}},
            "replace` has a backslash before no digit",
        ),
        (
            {"num_filter_types": {"x": {"method": "linear_normalization", "min": "2", "max": "1"}}},
            "num_filter_types.x.max` must be greater than min = 2, found 1",
        ),
        (
            {"num_filter_types": {"x": {"method": "gaussian_normalization", "average": 0, "standard_deviation": 0}}},
            "standard_deviation` must be greater than 0",
        ),
        (
            {"combination_rules": [{"key_left": "*", "key_right": "*", "type": "div"}]},
            "must be one of add, mul, found 'div'",
        ),
        ({"hash_max_size": 0}, "hash_max_size` must be at least 1, found 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_their_place(given_settings, message):
    with pytest.raises(ConfigurationError, match=message):
        Converter(given_settings, Vocabulary())
