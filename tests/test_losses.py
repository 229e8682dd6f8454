"""Losses against direct formulas (naive.py) and against numerical derivatives."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.losses import LOSSES, PIECEWISE_LINEAR, loss_derivative, loss_id, loss_value

SCORES = st.floats(-20, 20)
KINKED = [name for name, loss in naive.LOSSES.items() if not loss.smooth]


def parameter_of(name: str, epsilon: float) -> float:
    """A level between 0 and 1 for the quantile."""
    fixed = LOSSES[name].parameter
    return {"epsilon": epsilon, "quantile": epsilon / 2.5}[fixed] if isinstance(fixed, str) else fixed


def value(name: str, y: float, p: float, a: float) -> float:
    return loss_value(loss_id(name), float(y), float(p), float(a))


def derivative(name: str, y: float, p: float, a: float) -> float:
    return loss_derivative(loss_id(name), float(y), float(p), float(a))


@st.composite
def points(draw, scores=SCORES):
    """A loss, a target that suits it, a score, a parameter."""
    name = draw(st.sampled_from(list(LOSSES)))
    y = draw(st.sampled_from([-1.0, 1.0])) if LOSSES[name].margin else draw(st.floats(-5, 5))
    return name, y, draw(scores), parameter_of(name, draw(st.floats(0.01, 2)))


def away_from_kinks(name: str, y: float, p: float, a: float, distance: float) -> bool:
    return all(abs(p - kink) > distance for kink in naive.LOSSES[name].kinks(y, a))


def test_table_has_the_losses_of_the_twin_with_their_parameters():
    assert {name: (loss.margin, loss.parameter) for name, loss in LOSSES.items()} == {
        name: (loss.margin, loss.parameter) for name, loss in naive.LOSSES.items()
    }
    assert [loss_id(name) for name in LOSSES] == list(range(len(LOSSES)))
    assert [name for name, loss in LOSSES.items() if loss.kinked] == KINKED
    assert all(loss.curvature == PIECEWISE_LINEAR for loss in LOSSES.values() if loss.kinked)
    assert [name for name, loss in LOSSES.items() if loss.numbers] == ["quantile", "poisson"]


@settings(max_examples=500, deadline=None)
@given(points())
def test_values_and_derivatives_are_the_formulas(point):
    name, y, p, a = point
    twin = naive.LOSSES[name]
    assert value(*point) == pytest.approx(twin.value(y, p, a), rel=1e-12, abs=1e-13)
    assert derivative(*point) == pytest.approx(twin.derivative(y, p, a), rel=1e-12, abs=1e-13)


@settings(max_examples=500, deadline=None)
@given(points())
def test_derivatives_are_central_differences_away_from_kinks(point):
    name, y, p, a = point
    h = 1e-5
    if away_from_kinks(name, y, p, a, 2 * h):
        slope = (value(name, y, p + h, a) - value(name, y, p - h, a)) / (2 * h)
        assert derivative(*point) == pytest.approx(slope, rel=1e-5, abs=1e-5)


@settings(max_examples=300, deadline=None)
@given(points())
def test_values_are_not_negative_and_convex(point):
    name, y, p, a = point
    assert value(*point) >= 0 or name == "poisson"  # whose constant log y! is left out
    for q in (p - 1.5, p + 0.7):
        tangent = value(*point) + derivative(*point) * (q - p)
        assert value(name, y, q, a) >= tangent - 1e-9 * (1 + abs(tangent))


@settings(max_examples=300, deadline=None)
@given(points())
def test_curvature_bounds_the_second_derivative_of_smooth_losses(point):
    name, y, p, a = point
    if name not in KINKED:
        h = 1e-4
        bend = (derivative(name, y, p + h, a) - derivative(name, y, p - h, a)) / (2 * h)
        assert bend <= LOSSES[name].curvature * (1 + 1e-6) + 1e-8


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in (*KINKED, "poisson")])
def test_curvature_is_reached_somewhere(name):
    y, h = 1.0, 1e-4
    a = parameter_of(name, 0.5)
    bends = [(derivative(name, y, p + h, a) - derivative(name, y, p - h, a)) / (2 * h) for p in np.linspace(-3, 3, 601)]
    assert max(bends) == pytest.approx(LOSSES[name].curvature, rel=1e-3)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("p", [-1e4, 1e4])
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_large_scores_do_not_overflow(name, dtype, p, y):
    a = parameter_of(name, 0.1)
    found = loss_value(loss_id(name), dtype(y), dtype(p), a), loss_derivative(loss_id(name), dtype(y), dtype(p), a)
    assert np.isfinite(found).all() or (name == "poisson" and p > 0)
    twin = naive.LOSSES[name]
    np.testing.assert_allclose(found, (twin.value(y, p, a), twin.derivative(y, p, a)), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("p", [-800.0, -700.0, -40.0, 40.0, 700.0, 800.0])
def test_log_loss_keeps_its_digits_where_one_side_vanishes(p):
    assert value("log_loss", 1.0, p, 0.0) == pytest.approx(np.logaddexp(0, -p), rel=1e-12)
    assert value("log_loss", -1.0, p, 0.0) == pytest.approx(np.logaddexp(0, p), rel=1e-12)


@pytest.mark.parametrize("name", KINKED)
def test_derivative_at_a_kink_lies_between_both_sides(name):
    for y in (-1.0, 1.0):
        a = parameter_of(name, 0.25)
        for kink in naive.LOSSES[name].kinks(y, a):
            sides = derivative(name, y, kink - 1e-6, a), derivative(name, y, kink + 1e-6, a)
            assert min(sides) <= derivative(name, y, kink, a) <= max(sides)


def test_perceptron_and_hinge_step_on_their_kinks():
    """All weights start at 0: a perceptron that did nothing at margin 0 would never start."""
    assert derivative("perceptron", 1.0, 0.0, 0.0) == -1.0
    assert derivative("hinge", -1.0, -1.0, 1.0) == 1.0
