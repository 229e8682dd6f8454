"""Central differences, and gradients checked by them."""

from __future__ import annotations

from typing import NamedTuple

import naive_own
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hogwild
from hogwild.gradients import central_difference
from hogwild.losses import LOSSES


class Model(NamedTuple):
    W: np.ndarray
    b: np.ndarray


def test_known_coefficients():
    np.testing.assert_allclose(2 * central_difference(3), [-1, 0, 1], atol=1e-15)
    np.testing.assert_allclose(12 * central_difference(5), [1, -8, 0, 8, -1], atol=1e-13)
    np.testing.assert_allclose(60 * central_difference(7), [-1, 9, -45, 0, 45, -9, 1], atol=1e-11)


@given(
    points=st.sampled_from([3, 5, 7, 9]),
    coefficients=st.lists(st.floats(-2, 2), min_size=1, max_size=9),
    x=st.floats(-1, 1),
)
def test_the_slope_of_the_polynomial_through_the_points(points, coefficients, x):
    f = np.polynomial.Polynomial(coefficients)
    k = np.arange(points) - points // 2
    ours = central_difference(points) @ f(x + 0.1 * k) / 0.1
    np.testing.assert_allclose(ours, naive_own.slope_of_polynomial(f, x, points, 0.1), rtol=1e-7, atol=1e-9)
    if len(coefficients) <= points:  # exact for a polynomial of that degree
        np.testing.assert_allclose(ours, f.deriv()(x), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("points", [3, 5, 7, 9])
def test_more_points_are_more_exact(points):
    check = hogwild.check_gradient(np.exp, np.exp, 0.7, points=points, step=0.05, tol=1.0)
    assert check.error < 10.0 * 0.05 ** (points - 1)
    assert check.checked == 1 and check.points == points


def test_right_and_wrong_gradients_of_a_model():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)

    def loss(m):
        return float(((np.tanh(X @ m.W).sum(axis=1) + m.b - y) ** 2).sum())

    def grad(m):
        inside = np.tanh(X @ m.W)
        error = 2 * (inside.sum(axis=1) + m.b - y)
        return Model(X.T @ (error[:, None] * (1 - inside**2)), np.array(error.sum()))

    start = Model(rng.normal(size=(3, 2)), np.array(0.5))
    check = hogwild.check_gradient(loss, grad, start)
    assert check.ok and bool(check) and check.error < 1e-8 and check.checked == 7

    def wrong(m):
        right = grad(m)
        right.W[2, 1] *= 1.01
        return right

    check = hogwild.check_gradient(loss, wrong, start)
    assert not check and check.where == "W[2, 1]" and 0.005 < check.error < 0.02
    assert str(check).startswith("WRONG: 7 derivatives")


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("points", [3, 5])
def test_every_loss_by_name(name, points):
    assert hogwild.check_gradient(name, points=points)


def test_pairs_of_target_and_score():
    def value(y, p):
        return np.log1p(np.exp(-y * p))

    assert hogwild.check_gradient(value, lambda y, p: -y / (1 + np.exp(y * p)))
    assert not hogwild.check_gradient(value, lambda y, p: y / (1 + np.exp(y * p)))
    assert not hogwild.check_gradient(lambda y, p: abs(p - y), lambda y, p: 1.0)  # a kink hides nothing beside it


def test_a_step_is_checked_by_what_it_changes():
    x, y = np.array([1.0, -2.0]), 0.3

    def step(params, eta):
        error = params["w"] @ x - y
        params["w"] -= eta * error * x

    def grad(params):
        moved = {"w": params["w"].copy()}
        step(moved, 1.0)
        return {"w": params["w"] - moved["w"]}

    assert hogwild.check_gradient(lambda params: (params["w"] @ x - y) ** 2 / 2, grad, {"w": np.array([0.4, 0.1])})


def test_a_gradient_that_is_no_number_is_wrong():
    check = hogwild.check_gradient(lambda x: x**2, lambda x: np.nan, 1.0)
    assert not check and check.error == np.inf


def test_large_parameters_are_sampled():
    x = np.linspace(-1, 1, 5_000)
    check = hogwild.check_gradient(lambda x: float(x @ x), lambda x: 2 * x, x)
    assert check and check.checked == 1_000


@pytest.mark.parametrize("points", [2, 4, 1, 0, -3, 5.0, True])
def test_points_must_be_odd(points):
    with pytest.raises(ValueError, match="odd number of at least 3"):
        hogwild.check_gradient(np.sin, np.cos, 1.0, points=points)


def test_what_is_missing_or_does_not_fit():
    with pytest.raises(ValueError, match="grad is missing"):
        hogwild.check_gradient(np.sin)
    with pytest.raises(ValueError, match="x is missing"):
        hogwild.check_gradient(lambda x: x, lambda x: 1.0)
    with pytest.raises(ValueError, match=r"grad returned x \(2,\), expected the shape of x: x \(3,\)"):
        hogwild.check_gradient(lambda x: x.sum(), lambda x: np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="loss must be one of hinge"):
        hogwild.check_gradient("hinges")
    with pytest.raises(ValueError, match="leave grad and x unset"):
        hogwild.check_gradient("hinge", np.sin)
    with pytest.raises(ValueError, match="step must be above 0"):
        hogwild.check_gradient(np.sin, np.cos, 1.0, step=0.0)
    with pytest.raises(ValueError, match="at most 15"):
        hogwild.check_gradient(np.sin, np.cos, 1.0, points=17)
