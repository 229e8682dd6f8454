"""Local outlier factors against figures taken one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_rows import Outliers

from hogwild.online.configuration import ConfigurationError
from hogwild.online.datum import Datum
from hogwild.online.driver import make_driver

CONVERTER = {"num_rules": [{"key": "*", "type": "num"}]}


def anomaly(kind="lof", near=3, around=5, node="", inner="inverted_index_euclid", **parameter):
    parameter = {
        "nearest_neighbor_num": near,
        "reverse_nearest_neighbor_num": around,
        "method": inner,
        "parameter": {},
        **parameter,
    }
    return make_driver("anomaly", {"method": kind, "parameter": parameter, "converter": CONVERTER}, node)


def points(count, seed=0):
    draw = np.random.default_rng(seed)
    return [dict(zip("abc", draw.normal(size=3).tolist(), strict=True)) for _ in range(count)]


def point(seed):
    """Some of four coordinates, such that no two distances are equal."""
    draw = np.random.default_rng(seed)
    return {key: float(draw.normal()) for key in "abcd" if draw.random() < 0.7} or {"a": 1.0 + seed}


POINT = st.integers(0, 10**9).map(point)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), POINT),
        st.tuples(st.just("add"), POINT),
        st.tuples(st.just("add_bulk"), st.lists(POINT, max_size=3)),
        st.tuples(st.just("update"), st.integers(0, 12), POINT),
        st.tuples(st.just("overwrite"), st.integers(0, 12), POINT),
        st.tuples(st.just("clear_row"), st.integers(0, 12)),
        st.tuples(st.just("calc_score"), POINT),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_scores_are_those_of_figures_taken_one_by_one(steps):
    driver, twin = anomaly(), Outliers(3, 5)

    def same(found, expected):
        assert found == pytest.approx(expected, rel=1e-6)

    for kind, *rest in steps:
        if kind == "calc_score":
            same(driver.run(kind, [Datum.of(rest[0])]), twin.score(rest[0]))
        elif kind == "add":
            name, score = driver.run(kind, [Datum.of(rest[0])])
            assert name not in twin.rows
            same(score, twin.put(name, rest[0]))
        elif kind == "add_bulk":
            names = driver.run(kind, [[Datum.of(row) for row in rest[0]]])
            for name, row in zip(names, rest[0], strict=True):
                assert name not in twin.rows
                twin.put(name, row)
        elif kind == "clear_row":
            assert driver.run(kind, [str(rest[0])]) is (str(rest[0]) in twin.rows)
            twin.remove(str(rest[0]))
        else:
            name, row = str(rest[0]), rest[1]
            expected = twin.put(name, {**twin.rows.get(name, {}), **row} if kind == "update" else row)
            same(driver.run(kind, [name, Datum.of(row)]), expected)
        assert driver.run("get_all_rows", []) == sorted(twin.rows)


def test_all_equal_rows_are_no_outliers():
    driver = anomaly()
    scores = [driver.run("add", [Datum.of({"a": 1.0})])[1] for _ in range(6)]
    assert scores[0] == math.inf and scores[-1] == 1.0
    assert driver.run("calc_score", [Datum.of({"a": 5.0})]) == math.inf


@pytest.mark.parametrize("inner", ["inverted_index_euclid", "euclid_lsh"])
@pytest.mark.parametrize("method", ["lof", "light_lof"])
def test_outliers_score_higher(method, inner):
    driver = anomaly(method, 10, 30, inner=inner, parameter={} if inner.startswith("inv") else {"hash_num": 512})
    for row in points(100):
        driver.run("add", [Datum.of({key: value + 5 for key, value in row.items()})])
    inside = driver.run("calc_score", [Datum.of({"a": 5.0, "b": 5.0, "c": 5.0})])
    outside = driver.run("calc_score", [Datum.of({"a": 25.0, "b": -5.0, "c": 5.0})])
    assert inside < 1.3 and outside > 2 * inside


def test_names_come_from_the_state_and_from_the_node():
    driver = anomaly(node="127.0.0.1_9199")
    data = [Datum.of(row) for row in points(4)]
    assert driver.run("add", [data[0]])[0] == "127.0.0.1_9199_0"
    assert driver.run("add_bulk", [data[:2]]) == ["127.0.0.1_9199_1", "127.0.0.1_9199_2"]
    other = anomaly(node="127.0.0.1_9199")
    other.parts.restore(driver.parts.state())
    assert other.run("add", [data[0]])[0] == driver.run("add", [data[0]])[0] == "127.0.0.1_9199_3"
    driver.run("overwrite", ["127.0.0.1_9199_5", data[1]])  # which takes number 4
    assert driver.run("add", [data[2]])[0] == "127.0.0.1_9199_6"


def test_a_server_that_has_lost_its_rows_gives_no_name_twice():
    before, after = anomaly(node="A"), anomaly(node="A")
    before.run("add_bulk", [[Datum.of(row) for row in points(5)]])
    after.parts.load(_mixed(before), [])
    name, _ = after.run("add", [Datum.of({"a": 1.0})])
    assert name == "A_5"


def _mixed(driver):
    """The master part after a round of that server alone."""
    driver.parts.apply(driver.parts.fold([driver.parts.cut()]), [])
    return driver.parts.full()


def test_mixed_rows_change_scores():
    drivers = [anomaly(node=node) for node in "AB"]
    for driver, seed in zip(drivers, (1, 2), strict=True):
        for row in points(20, seed):
            driver.run("add", [Datum.of(row)])
    query = Datum.of({"a": 2.0})
    before = [driver.run("calc_score", [query]) for driver in drivers]
    mixed = drivers[0].parts.fold([driver.parts.cut() for driver in drivers])
    for driver in drivers:
        driver.parts.apply(mixed, [])
    whole = anomaly(near=3, around=100)
    for row in [*points(20, 1), *points(20, 2)]:
        whole.run("add", [Datum.of(row)])
    expected = whole.run("calc_score", [query])
    assert [driver.run("calc_score", [query]) for driver in drivers] == pytest.approx([expected] * 2)
    assert before != pytest.approx([expected] * 2)


def test_copies_beyond_a_number_can_be_left_out():
    driver = anomaly(near=3, ignore_kth_same_point=True)
    data = Datum.of({"a": 1.0})
    for _ in range(5):
        driver.run("add", [data])
    assert len(driver.run("get_all_rows", [])) == 2
    assert driver.run("overwrite", [driver.run("get_all_rows", [])[0], data]) > 0


def test_rows_go_where_there_are_too_many():
    driver = anomaly(unlearner="lru", unlearner_parameter={"max_size": 10})
    for row in points(300):
        _, score = driver.run("add", [Datum.of(row)])
        assert score > 0
    assert len(driver.run("get_all_rows", [])) == 10
    assert len(driver._reaches) < 100


def test_a_call_that_fails_changes_nothing():
    driver = anomaly()
    driver.run("add", [Datum.of({"a": 1.0})])
    before = repr(driver.parts.state())
    for method, arguments in {
        "add": [Datum.of({"b": math.nan})],
        "add_bulk": [[Datum.of({"b": 1.0}), Datum.of({"b": math.inf})]],
        "update": ["0", Datum.of({"b": math.nan})],
        "overwrite": ["0", Datum.of({"b": math.nan})],
        "calc_score": [Datum.of({"b": math.nan})],
    }.items():
        with pytest.raises(ValueError, match="finite"):
            driver.run(method, arguments)
        assert repr(driver.parts.state()) == before


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ({"near": 1}, r"`\$\.parameter\.nearest_neighbor_num` must be at least 2, found 1"),
        ({"near": 9}, r"`\$\.parameter\.reverse_nearest_neighbor_num` must be at least 9, found 5"),
        ({"inner": "lof"}, r"`\$\.parameter\.method` must be one of inverted_index, .*found 'lof'"),
        ({"inner": "lsh", "parameter": {"hash_num": 0}}, r"`\$\.parameter\.parameter\.hash_num` must be at least 1"),
        ({"kind": "far"}, r"`\$\.method` of a anomaly must be one of lof, light_lof"),
    ],
)
def test_a_configuration_that_cannot_be_is_told_of(parameter, told):
    with pytest.raises(ConfigurationError, match=told):
        anomaly(**parameter)
