"""Recommender and nearest neighbours as servers are asked."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_rows import completed, cosine, similar

from hogwild.online.configuration import ConfigurationError
from hogwild.online.datum import Datum
from hogwild.online.driver import make_driver

CONVERTER = {"num_rules": [{"key": "*", "type": "num"}], "string_rules": [{"key": "*", "type": "str"}]}
INVERTED, HASHED = ("inverted_index", "inverted_index_euclid"), ("lsh", "minhash", "euclid_lsh")
FEATURES = [f"{key}@num" for key in "abcde"]
ROWS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 9).map(float), min_size=1)


def recommender(kind="inverted_index", **parameter):
    return make_driver("recommender", {"method": kind, "parameter": parameter, "converter": CONVERTER})


def neighbours(method="euclid_lsh", **parameter):
    return make_driver("nearest_neighbor", {"method": method, "parameter": parameter, "converter": CONVERTER})


def named(row):
    return {f"{key}@num": value for key, value in row.items()}


def states(driver):
    return {
        name: (repr(state.about), {key: array.tobytes() for key, array in state.arrays.items()})
        for name, state in driver.parts.state().items()
    }


@pytest.mark.parametrize("method", [*INVERTED, *HASHED, "nearest_neighbor_recommender"])
@settings(max_examples=20, deadline=None)
@given(updates=st.lists(st.tuples(st.sampled_from("xyzuv"), ROWS), min_size=1, max_size=12), query=ROWS)
def test_a_recommender_answers_as_pairs_do(method, updates, query):
    nested = method.startswith("nearest")
    driver = recommender(method, **({"method": "lsh", "parameter": {"hash_num": 64}} if nested else {}))
    method = "lsh" if nested else method
    rows = {}
    for name, row in updates:
        assert driver.run("update_row", [name, Datum.of(row)]) is True
        rows[name] = {**rows.get(name, {}), **named(row)}
    assert driver.run("get_all_rows", []) == sorted(rows)
    name = updates[0][0]
    assert dict(driver.run("decode_row", [name]).numbers.pairs()) == {
        key[0]: value for key, value in rows[name].items()
    }
    for origin, asked, wanted in (("datum", Datum.of(query), named(query)), ("id", name, rows[name])):
        ask = f"similar_row_from_{origin}"
        expected = similar(method, wanted, rows)
        found = driver.run(ask, [asked, 9])
        assert dict(found) == pytest.approx(dict(expected), abs=1e-7)
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        assert driver.run(ask, [asked, 2]) == found[:2]
        for _, score in found:
            assert driver.run(f"{ask}_and_score", [asked, score]) == [one for one in found if one[1] >= score]
        for rate in (0.0, 0.25, 0.5, 1.0):
            assert driver.run(f"{ask}_and_rate", [asked, rate]) == found[: math.ceil(rate * len(rows))]
        complete = driver.run(f"complete_row_from_{origin}", [asked])
        mean = completed(method, wanted, rows)
        assert named(dict(complete.numbers.pairs())) == pytest.approx(mean, abs=1e-9)
    assert driver.run("clear_row", [name]) is True
    assert driver.run("clear_row", [name]) is False
    assert driver.run("get_all_rows", []) == sorted(rows.keys() - {name})


def test_a_row_is_completed_from_the_128_most_similar():
    driver = recommender("inverted_index_euclid")
    for number in range(200):
        driver.run("update_row", [str(number), Datum.of({"x": float(number)})])
    (mean,) = driver.run("complete_row_from_datum", [Datum.of({"x": -1.0})]).numbers.values
    assert mean == pytest.approx(sum(range(1, 129)) / 128)  # the row of 0 has no feature, and is not found


@given(ROWS, ROWS)
def test_examples_are_compared_without_rows(one, other):
    driver = recommender("lsh")
    found = driver.run("calc_similarity", [Datum.of(one), Datum.of(other)])
    assert found == pytest.approx(cosine(named(one), named(other)))
    assert driver.run("calc_l2norm", [Datum.of(one)]) == pytest.approx(math.hypot(*one.values()))
    assert driver.run("calc_similarity", [Datum(), Datum.of(other)]) == 0.0
    assert driver.run("get_all_rows", []) == []


def test_rows_that_are_not_there_are_like_no_other():
    driver = recommender()
    driver.run("update_row", ["x", Datum.of({"a": 1.0, "who": "Ann"})])
    assert driver.run("decode_row", ["x"]) == Datum.of({"who": "Ann", "a": 1.0})
    assert driver.run("similar_row_from_id", ["y", 3]) == []
    assert driver.run("similar_row_from_id_and_score", ["y", -9.0]) == []
    assert driver.run("similar_row_from_id_and_rate", ["y", 1.0]) == []
    assert driver.run("decode_row", ["y"]) == driver.run("complete_row_from_id", ["y"]) == Datum()


@pytest.mark.parametrize("method", HASHED)
def test_neighbours_are_told_by_distance_or_similarity(method):
    driver = neighbours(method, hash_num=128)
    rows = {"x": {"a": 1.0}, "y": {"a": 2.0, "b": 1.0}, "z": {"b": 3.0, "c": 1.0}}
    for name, row in rows.items():
        assert driver.run("set_row", [name, Datum.of({"gone": 1.0})]) is True
        assert driver.run("set_row", [name, Datum.of(row)]) is True
    rows = {name: named(row) for name, row in rows.items()}
    for origin, asked, wanted in (
        ("id", "y", rows["y"]),
        ("datum", Datum.of({"c": 1.0, "d": 1.0}), {"c@num": 1.0, "d@num": 1.0}),
    ):
        expected = similar(method, wanted, rows, bits=128)
        near = driver.run(f"neighbor_row_from_{origin}", [asked, 3])
        assert dict(driver.run(f"similar_row_from_{origin}", [asked, 3])) == pytest.approx(dict(expected), abs=1e-7)
        far = {name: -score if method == "euclid_lsh" else 1 - score for name, score in expected}
        assert dict(near) == pytest.approx(far, abs=1e-7)
        assert [distance for _, distance in near] == sorted(distance for _, distance in near)
    assert driver.run("get_all_rows", []) == ["x", "y", "z"]
    with pytest.raises(KeyError, match="no row 'u'"):
        driver.run("neighbor_row_from_id", ["u", 1])


@pytest.mark.parametrize("driver", [recommender(), neighbours()])
@pytest.mark.parametrize("datum", [Datum.of({"a": 1.0, "new": math.nan}), Datum.of({"new": "text", "a$": "text"})])
def test_a_call_that_fails_changes_nothing(driver, datum):
    update = "set_row" if "nearest" in type(driver).__name__.lower() else "update_row"
    driver.run(update, ["x", Datum.of({"a": 1.0})])
    before = states(driver)
    with pytest.raises(ValueError):
        driver.run(update, ["x", datum])
    assert states(driver) == before
    if update == "update_row":
        with pytest.raises(ValueError, match=r"between 0 and 1, found 1\.5"):
            driver.run("similar_row_from_id_and_rate", ["x", 1.5])


@pytest.mark.parametrize("method", [*INVERTED, *HASHED])
def test_a_restored_recommender_answers_the_same(method):
    driver, other = recommender(method), recommender(method)
    for number in range(30):
        driver.run("update_row", [str(number), Datum.of({"abcde"[number % 5]: 1.0 + number, "a": 1.0})])
    other.parts.restore(driver.parts.state())
    query = [Datum.of({"a": 1.0, "c": 2.0}), 9]
    found = dict(driver.run("similar_row_from_datum", query))
    assert dict(other.run("similar_row_from_datum", query)) == pytest.approx(found, abs=1e-12)
    assert states(other) == states(driver)
    driver.parts.clear()
    assert driver.run("get_all_rows", []) == [] and driver.run("similar_row_from_datum", query) == []
    assert driver.status()["recommender.rows"] == "0"


def test_the_unlearner_of_the_configuration_forgets_rows():
    for driver in (
        recommender(unlearner="lru", unlearner_parameter={"max_size": 3}),
        recommender("nearest_neighbor_recommender", method="lsh", unlearner="lru", unlearner_parameter={"max_size": 3}),
    ):
        for name in "xyzxuv":
            driver.run("update_row", [name, Datum.of({"a": 1.0})])
        assert driver.run("get_all_rows", []) == ["u", "v", "x"]


@pytest.mark.parametrize(
    ("kind", "configuration", "told"),
    [
        ("recommender", {}, r"`\$\.method` of a recommender must be one of inverted_index, .*found None"),
        ("recommender", {"method": "lsh", "parameter": 3}, r"`\$\.parameter` must be an object, found int"),
        (
            "recommender",
            {"method": "lsh", "parameter": {"hash_num": 0}},
            r"`\$\.parameter\.hash_num` must be at least 1",
        ),
        (
            "recommender",
            {"method": "lsh", "parameter": {"hash_num": 10**9}},
            r"`\$\.parameter\.hash_num` must be at most",
        ),
        ("recommender", {"method": "lsh", "parameter": {"hash_num": "many"}}, r"\$\.parameter\.hash_num"),
        ("recommender", {"method": "nearest_neighbor_recommender", "parameter": {}}, r"`method`.*\$\.parameter"),
        (
            "recommender",
            {"method": "nearest_neighbor_recommender", "parameter": {"method": "inverted_index"}},
            r"`\$\.parameter\.method` must be one of lsh, minhash, euclid_lsh, found 'inverted_index'",
        ),
        (
            "recommender",
            {"method": "nearest_neighbor_recommender", "parameter": {"method": "lsh", "parameter": {"hash_num": 0}}},
            r"`\$\.parameter\.parameter\.hash_num`",
        ),
        (
            "recommender",
            {"method": "inverted_index", "parameter": {"unlearner": "fifo"}},
            r"`\$\.parameter\.unlearner` must be one of lru, random, found 'fifo'",
        ),
        (
            "recommender",
            {"method": "inverted_index", "parameter": {"unlearner": "lru"}},
            r"`max_size`.*\$\.parameter\.unlearner_parameter",
        ),
        (
            "recommender",
            {"method": "lsh", "parameter": {"unlearner": "random", "unlearner_parameter": {"max_size": 0}}},
            r"`\$\.parameter\.unlearner_parameter\.max_size` must be at least 1, found 0",
        ),
        (
            "recommender",
            {"method": "inverted_index_euclid", "parameter": {"ignore_orthogonal": "perhaps"}},
            r"\$\.parameter\.ignore_orthogonal",
        ),
        ("nearest_neighbor", {"method": "inverted_index"}, r"`\$\.method` of a nearest_neighbor must be one of lsh"),
    ],
)
def test_a_configuration_that_cannot_be_is_told_of(kind, configuration, told):
    with pytest.raises(ConfigurationError, match=told):
        make_driver(kind, configuration)
