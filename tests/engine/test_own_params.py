"""Steps, parameters, data and settings that do not fit: what `minimize` says."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp

import hogwild
from hogwild.engine import Replicas, Simulated
from hogwild.engine.own_runners import CannotCompileError


class Weights(NamedTuple):
    w: np.ndarray


class Factors(NamedTuple):
    P: np.ndarray
    Q: np.ndarray


def squared(row, params, eta):
    error = params.w[row.indices] @ row.values - row.target
    params.w[row.indices] -= eta * error * row.values
    return error**2 / 2


def factorise(row, params, eta):
    p, q = params.P[row.user], params.Q[row.item]
    error = p @ q - row.value
    p -= eta * error * q
    return error**2 / 2


SEEN: list = []


def not_compilable(row, params, eta):
    SEEN.append(type(row).__name__)
    return 0.0


def problem(n=50, d=12):
    rng = np.random.default_rng(0)
    X = sp.random(n, d, 0.4, "csr", random_state=rng)
    return X, X @ rng.normal(size=d)


def run(step=squared, data=None, params=None, **settings):
    X, y = problem(50)
    data = (X, y) if data is None else data
    params = Weights(np.zeros(12)) if params is None else params
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return hogwild.minimize(step, data, params, **{"schedule": 0.1, **settings})


def returns_nothing(row, params, eta):
    params.w[row.indices] -= 0.0


def returns_an_array(row, params, eta):
    return row.values


def wants_more(row, params, eta, beta):
    return 0.0


def misses_a_field(row, params, eta):
    return row.rating


def test_steps_that_do_not_fit():
    with pytest.raises(TypeError, match="returns_nothing returned nothing, expected a number"):
        run(returns_nothing)
    with pytest.raises(TypeError, match="returns_an_array returned array"):
        run(returns_an_array)
    with pytest.raises(TypeError, match="beta"):
        run(wants_more)
    with pytest.raises(AttributeError, match="rating") as caught:
        run(misses_a_field)
    assert "has the fields index, indices, values, target, weight" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match="step must be a function"):
        run(3)


def test_parameters_that_are_too_small_are_seen_before_anything_is_compiled():
    with pytest.raises(IndexError) as caught:
        run(params=Weights(np.zeros(11)))
    assert "params has w float64[11]" in caught.value.__notes__[0]
    data = {"user": np.arange(500) % 60, "item": np.arange(500) % 50, "value": np.ones(500)}
    with pytest.raises(IndexError):
        run(factorise, data, Factors(np.ones((60, 3)), np.ones((49, 3))))


def test_data_that_do_not_fit():
    X, y = problem(50)
    for data, error, message in [
        ((X, y[:-1]), ValueError, r"y has the shape \(49,\), expected one entry for each of the 50 rows"),
        ((X, y, y[:3]), ValueError, "sample_weight has the shape"),
        ((X, y, -np.ones(50)), ValueError, "must not be negative"),
        ((X, y, np.zeros(50)), ValueError, "all sample weights are 0"),
        ((X, ["a"] * 50), ValueError, "y has dtype"),
        ({"user": np.zeros(3), "item": np.zeros(4)}, ValueError, "equally long; found user 3, item 4"),
        ({"index": np.zeros(3)}, ValueError, "names that can be written after a dot"),
        ({"a": np.array(["x"])}, ValueError, "a has dtype"),
        ("rows", TypeError, "data must be .* found str"),
        ((X,), TypeError, "found a tuple of csr_matrix"),
        ((X[:0], y[:0]), ValueError, "found 0 rows"),
        (7, ValueError, "give batch="),
    ]:
        with pytest.raises(error, match=message):
            run(data=data)
    with pytest.raises(ValueError, match="number of batches"):
        run(batch=lambda rng: None)


def test_settings_that_do_not_fit():
    for settings_, error, message in [
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1"),
        ({"sampling": "random"}, ValueError, "sampling must be one of"),
        ({"schedule": -0.1}, ValueError, "eta0 of the schedule must be above 0"),
        ({"schedule": "cosine"}, ValueError, "schedule must be a step size"),
        ({"schedule": ("bottou", 0.1)}, ValueError, "takes the constants eta0, alpha"),
        ({"schedule": ("constant", 0.1, 3)}, ValueError, "takes the constants eta0"),
        ({"engine": "atomic"}, ValueError, "engine must be one of"),
        ({"engine": Simulated(3)}, ValueError, "a step of one's own runs on"),
        ({"engine": Replicas(deterministic=True)}, ValueError, "leave head and deterministic unset"),
        ({"params": {"w": [1.0]}}, TypeError, "params.w must be an array of numbers"),
        ({"params": np.zeros(3)}, TypeError, "a NamedTuple or a dict of arrays"),
        ({"params": {"alpha": 3.0}}, ValueError, "no array that a step could change"),
    ]:
        with pytest.raises(error, match=message):
            run(**settings_)
    with pytest.raises(ValueError, match="must be one of damped"):
        hogwild.step(w="sum")
    declared = hogwild.step(v="damped")(lambda row, params, eta: 0.0)
    with pytest.raises(ValueError, match="declares how 'v' merges"):
        run(declared, problem(600), n_jobs=2)
    with pytest.raises(CannotCompileError, match="trace=True needs a step that can be compiled"):
        run(not_compilable, trace=True)


def test_constants_travel_with_the_parameters():
    def decaying(row, params, eta):
        params.w[0] = params.alpha
        return 0.0

    result = run(decaying, params={"w": np.zeros(12), "alpha": 0.25})
    assert result.params["alpha"] == 0.25 and result.params["w"][0] == 0.25
