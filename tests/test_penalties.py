"""Penalties of one weight: what must hold for any weight, and the minimisers that they are."""

from __future__ import annotations

import math

import naive
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from hogwild.penalties import ftrl_weight, proximal, truncate

WEIGHTS = st.floats(-10, 10)
STRENGTHS = st.floats(0, 5)
SHARES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
SOME = settings(max_examples=300, deadline=None)


def assert_minimum(objective, found: float, low: float, high: float) -> None:
    """`found` is as good as what a search finds, and the numbers beside it are no better."""
    searched = minimize_scalar(objective, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    slack = 1e-9 * (1 + abs(objective(found)))
    assert objective(found) <= searched.fun + slack
    for step in (1e-3, 1e-5):
        assert objective(found) <= min(objective(found + step), objective(found - step)) + slack


@SOME
@given(WEIGHTS, WEIGHTS, STRENGTHS)
def test_truncation_moves_towards_zero_and_never_across(weight, received, penalty):
    left = truncate(weight, received, penalty)
    assert left * weight >= 0
    assert abs(left) <= abs(weight)


@SOME
@given(WEIGHTS, STRENGTHS, STRENGTHS)
def test_truncation_gives_what_is_owed(weight, had, penalty):
    """A weight that never changed its sign has received `had` of `penalty`: the difference is what it still gets."""
    assume(weight != 0)
    left = truncate(weight, -math.copysign(had, weight), penalty)
    assert left == pytest.approx(naive.soft_threshold(weight, max(0.0, penalty - had)), abs=1e-12)


@SOME
@given(WEIGHTS, STRENGTHS, STRENGTHS)
def test_truncation_twice_at_one_clock_is_truncation_once(weight, had, penalty):
    received = -math.copysign(had, weight)
    left = truncate(weight, received, penalty)
    assert truncate(left, received + left - weight, penalty) == pytest.approx(left, abs=1e-12)


@SOME
@given(WEIGHTS, st.lists(st.floats(0, 2), min_size=1, max_size=6))
def test_truncation_late_is_truncation_row_by_row(weight, rows):
    now, received, owed = weight, 0.0, 0.0
    for row in rows:
        owed += row
        left = truncate(now, received, owed)
        received, now = received + left - now, left
    assert truncate(weight, 0.0, owed) == pytest.approx(now, abs=1e-12)


@SOME
@given(WEIGHTS, STRENGTHS, SHARES)
def test_proximal_step_is_the_minimiser(weight, strength, share):
    found = proximal(weight, strength, share)
    assert found == pytest.approx(naive.elastic_net_step(weight, strength, share), rel=1e-12, abs=1e-15)

    def objective(v):
        return (v - weight) ** 2 / 2 + strength * (share * abs(v) + (1 - share) * v * v / 2)

    assert_minimum(objective, found, -abs(weight) - 1, abs(weight) + 1)


@SOME
@given(WEIGHTS, STRENGTHS, SHARES)
def test_proximal_step_never_crosses_zero(weight, strength, share):
    found = proximal(weight, strength, share)
    assert found * weight >= 0
    assert abs(found) <= abs(weight)
    assert proximal(weight, 0.0, share) == weight


@SOME
@given(WEIGHTS, WEIGHTS, STRENGTHS, SHARES)
def test_proximal_step_brings_weights_no_further_apart(first, second, strength, share):
    apart = abs(proximal(first, strength, share) - proximal(second, strength, share))
    assert apart <= abs(first - second) + 1e-12


@SOME
@given(
    st.floats(-5, 5), st.floats(0, 10), st.floats(0.01, 2), st.floats(0.1, 2), STRENGTHS, SHARES
)  # z, n, eta0, beta, penalty
def test_ftrl_weight_is_the_minimiser(z, n, eta0, beta, penalty, share):
    found = ftrl_weight(z, n, eta0, beta, penalty, share)
    rate = (beta + math.sqrt(n)) / eta0

    def objective(w):
        return z * w + rate * w * w / 2 + penalty * (share * abs(w) + (1 - share) * w * w / 2)

    assert_minimum(objective, found, -abs(z) / rate - 1e-3, abs(z) / rate + 1e-3)


@SOME
@given(st.floats(-5, 5), st.floats(0, 10), STRENGTHS)
def test_ftrl_weight_is_zero_where_l1_outweighs_z_and_else_opposite_to_it(z, n, penalty):
    found = ftrl_weight(z, n, 0.1, 1.0, penalty, 1.0)
    if abs(z) <= penalty:
        assert found == 0
    elif abs(z) - penalty > 1e-200:
        assert found != 0
        assert (found < 0) == (z > 0)
    assert ftrl_weight(-z, n, 0.1, 1.0, penalty, 1.0) == -found
