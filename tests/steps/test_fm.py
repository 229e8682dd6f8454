"""Steps of factorisation machines against the naive twin and finite differences, for all rules and kinds of rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_fm import Machine

from hogwild.engine.engines import Simulated
from hogwild.engine.order import draw_order
from hogwild.engine.runners import Plan, ReplicasRunner, SequentialRunner
from hogwild.estimators.fm_task import (
    MIXED,
    FmOptions,
    curvature,
    make_task,
    mean_loss,
    new_state,
    plain_model,
    score_rows,
    set_bias,
    weights_of,
)
from hogwild.steps.fm import lanes_of, width_of
from hogwild.steps.rows import as_rows

RULES = {"adagrad": 0.3, "constant": 0.05, "ftrl": 0.5}
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-9}
KINDS = ("sparse", "dense")


def options_of(**changed) -> FmOptions:
    chosen = {
        "n_factors": 3,
        "loss": "log_loss",
        "parameter": 0.0,
        "alpha": 0.01,
        "alpha_linear": 0.003,
        "alpha_l1": 0.0,
        "learning_rate": "adagrad",
        "eta0": RULES.get(changed.get("learning_rate", "adagrad"), 0.1),
        "power_t": 0.5,
        "beta": 1.0,
        "linear": True,
        "fit_intercept": True,
        "normalize": False,
    }
    return FmOptions(**{**chosen, **changed})


def twin_of(options: FmOptions, state) -> Machine:
    linear, factors, bias = weights_of(state, options)
    names = ("loss", "alpha", "alpha_linear", "alpha_l1", "eta0", "beta", "linear", "fit_intercept", "normalize")
    rule = options.learning_rate
    return Machine(np.column_stack([linear, factors]), bias, rule, **{name: getattr(options, name) for name in names})


def problem(n_rows=30, n_features=7, seed=0, density=0.5):
    """Rows with an empty one, one of one entry and explicit zeros."""
    rng = np.random.default_rng(seed)
    X = sp.random(n_rows, n_features, density, format="csr", random_state=seed)
    X.data = rng.normal(size=X.nnz).astype(np.float32).astype(np.float64)
    X.data[rng.random(X.nnz) < 0.1] = 0.0
    whole = X.tolil()
    whole[1] = 0.0
    whole[2] = 0.0
    whole[2, 3] = 1.5
    X = sp.csr_matrix(whole)
    X.sort_indices()
    return X, rng.choice([-1.0, 1.0], n_rows), rng.choice([0.5, 1.0, 2.0], n_rows)


def entries(X: sp.csr_matrix, i: int) -> list[tuple[int, float]]:
    part = slice(X.indptr[i], X.indptr[i + 1])
    return list(zip(X.indices[part].tolist(), X.data[part].tolist(), strict=True))


def rows_of(X, y, weights, dtype, kind):
    data = X.astype(dtype) if kind == "sparse" else np.ascontiguousarray(X.toarray(), dtype)
    return as_rows(data, y.astype(dtype), None if weights is None else weights.astype(dtype))


def state_of(options, n_features, dtype, scale=0.4, bias=0.2):
    state = new_state(options, n_features, np.dtype(dtype), np.random.default_rng(3), scale)
    if options.learning_rate != "ftrl" and options.linear:
        state.arrays["factors"][:, 0] = np.random.default_rng(4).normal(size=n_features) * 0.3
    set_bias(state, options, bias)
    return state


def run_epoch(options, state, rows):
    """One epoch in file order; returns the sum of losses."""
    task = make_task(options, state, rows)
    order = draw_order(np.random.default_rng(0), task.n_rows, np.empty(0, np.uint32), False)
    total, _ = SequentialRunner(task).run(order, 0, task.n_rows)
    return total


def assert_near(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------------------ scores


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_scores_are_those_of_the_pairs(rule, normalize, kind):
    X, y, _ = problem()
    options = options_of(learning_rate=rule, normalize=normalize)
    state = state_of(options, X.shape[1], np.float32)
    twin = twin_of(options, state)
    found = score_rows(rows_of(X, y, None, np.float32, kind), plain_model(options, state), 2)
    assert_near(found, [twin.score(entries(X, i)) for i in range(X.shape[0])], 1e-5)


@given(
    n_factors=st.integers(1, 40),
    n_rows=st.integers(1, 6),
    n_features=st.integers(1, 9),
    double=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_scores_of_any_number_of_factors(n_factors, n_rows, n_features, double, seed):
    rng = np.random.default_rng(seed)
    dtype = np.float64 if double else np.float32
    X = sp.csr_matrix(rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.6))
    X.data = X.data.astype(np.float32).astype(np.float64)
    options = options_of(n_factors=n_factors)
    state = new_state(options, n_features, np.dtype(dtype), rng, 0.3)
    twin = twin_of(options, state)
    found = score_rows(rows_of(X, np.ones(n_rows), None, dtype, "sparse"), plain_model(options, state))
    assert_near(found, [twin.score(entries(X, i)) for i in range(n_rows)], TOLERANCE[dtype])


def test_mean_loss_counts_row_weights():
    X, y, weights = problem()
    options = options_of()
    state = state_of(options, X.shape[1], np.float64)
    twin = twin_of(options, state)
    losses = [twin.row_loss(entries(X, i), y[i]) for i in range(X.shape[0])]
    found = mean_loss(rows_of(X, y, weights, np.float64, "sparse"), plain_model(options, state))
    assert_near(found, np.average(losses, weights=weights), 1e-12)


# ------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_step_follows_the_gradient(normalize, loss):
    X, y, _ = problem(n_rows=6, density=0.7)
    options = options_of(learning_rate="constant", eta0=1.0, alpha=0, alpha_linear=0, loss=loss, normalize=normalize)
    for i in range(X.shape[0]):
        state = state_of(options, X.shape[1], np.float64)
        before, row = twin_of(options, state), entries(X, i)
        run_epoch(options, state, rows_of(X[i], y[i : i + 1], None, np.float64, "sparse"))
        linear, factors, bias = weights_of(state, options)
        change = before.weights - np.column_stack([linear, factors])
        for place in np.ndindex(*change.shape):
            assert_near(change[place], difference(before, row, y[i], place), 1e-7)
        assert_near(before.bias - bias, difference(before, row, y[i], None), 1e-7)


def difference(twin: Machine, row, y: float, place: tuple | None, h: float = 1e-5) -> float:
    """Derivative of a row's loss by a weight (None: the bias), from two losses."""
    losses = []
    for move in (h, -h):
        if place is None:
            twin.bias += move
        else:
            twin.weights[place] += move
        losses.append(twin.row_loss(row, y))
        if place is None:
            twin.bias -= move
        else:
            twin.weights[place] -= move
    return (losses[0] - losses[1]) / (2 * h)


# ------------------------------------------------------------------------------------------------ steps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "changed",
    [{}, {"normalize": True, "loss": "squared_error"}, {"linear": False, "fit_intercept": False, "n_factors": 20}],
    ids=["plain", "normalized", "pairs-alone"],
)
@pytest.mark.parametrize("rule", RULES)
def test_steps_agree_with_the_twin(rule, changed, dtype, kind):
    X, y, weights = problem()
    options = options_of(learning_rate=rule, alpha_l1=0.001 if rule == "ftrl" else 0.0, **changed)
    state = state_of(options, X.shape[1], dtype, bias=0.2 if options.fit_intercept else 0.0)
    twin = twin_of(options, state)
    total = run_epoch(options, state, rows_of(X, y, weights, dtype, kind))
    expected = sum(twin.step(entries(X, i), y[i], weights[i]) for i in range(X.shape[0]))
    linear, factors, bias = weights_of(state, options)
    tolerance = TOLERANCE[dtype] * 10
    assert_near(total, expected, tolerance)
    assert_near(np.column_stack([linear, factors]), twin.weights, tolerance)
    assert_near(bias, twin.bias, tolerance)
    if rule != "constant":
        n = lanes_of(options.n_factors)
        found = state.arrays["factors"][:, n : n + 1 + options.n_factors]
        assert_near(found[:, 0 if options.linear else 1 :], twin.squares[:, 0 if options.linear else 1 :], tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_a_head_and_tail_are_the_matrix(rule, kind):
    X, y, _ = problem(n_rows=40)
    options = options_of(learning_rate=rule, n_factors=9)
    rows = rows_of(X, y, None, np.float64, kind)
    alone, split = (state_of(options, X.shape[1], np.float64) for _ in range(2))
    run_epoch(options, alone, rows)
    task, rng = make_task(options, split, rows), np.random.default_rng(0)
    runner = ReplicasRunner(task, Simulated(1), 1, rng, Plan(interval=8, head=3))  # one replica: every delta whole
    runner.run(draw_order(rng, task.n_rows, np.empty(0, np.uint32), False), 0, task.n_rows)
    runner.finish()
    for name, array in alone.arrays.items():
        assert_near(split.arrays[name], array, 1e-6)
    runner.close()


def test_schedules_divide_the_step():
    X, y, _ = problem()
    options = options_of(learning_rate="invscaling", eta0=0.1, power_t=0.3)
    state = state_of(options, X.shape[1], np.float64)
    twin = twin_of(options, state)
    run_epoch(options, state, rows_of(X, y, None, np.float64, "sparse"))
    twin.rule = "constant"
    for i in range(X.shape[0]):
        twin.step(entries(X, i), y[i], eta=0.1 / (i + 1) ** 0.3)
    assert_near(np.column_stack(weights_of(state, options)[:2]), twin.weights, 1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_padding_and_untouched_features_stay(rule):
    X, y, _ = problem()
    whole = sp.csr_matrix((X.data, X.indices, X.indptr), shape=(X.shape[0], 12))
    options = options_of(learning_rate=rule, n_factors=4)
    state = new_state(options, 12, np.dtype(np.float32), np.random.default_rng(0), 0.2)
    before = state.copy().arrays["factors"]
    run_epoch(options, state, rows_of(whole, y, None, np.float32, "sparse"))
    after, n = state.arrays["factors"], lanes_of(4)
    np.testing.assert_array_equal(after[7:], before[7:])
    np.testing.assert_array_equal(after[:, 5:n], 0.0)
    sums = {"adagrad": 1.0, "ftrl": 0.0}.get(rule)
    if sums is not None:
        np.testing.assert_array_equal(after[:, n + 5 : 2 * n], sums)


def test_rows_of_the_matrix_start_on_cache_lines():
    for k in (1, 4, 7, 8, 16, 33):
        for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
            for sums in (False, True):
                assert width_of(k, dtype, sums) * dtype.itemsize % 64 == 0
            state = new_state(options_of(n_factors=k), 3, dtype, np.random.default_rng(0), 0.1)
            assert state.arrays["factors"].ctypes.data % 64 == 0


@pytest.mark.parametrize("rule", RULES)
def test_random_factors_survive_the_start(rule):
    options = options_of(learning_rate=rule, alpha_l1=0.05)
    _, factors, _ = weights_of(new_state(options, 500, np.dtype(np.float64), np.random.default_rng(0), 0.1), options)
    assert_near(factors, np.random.default_rng(0).standard_normal((500, 3)) * 0.1, 1e-9)


# ------------------------------------------------------------------------------------------------ curvature


@pytest.mark.parametrize("rule", RULES)
def test_curvature_bounds_the_row_sums(rule):
    X, y, weights = problem(n_rows=12)
    options = options_of(learning_rate=rule, normalize=True)
    state = state_of(options, X.shape[1], np.float64)
    rows = rows_of(X, y, weights, np.float64, "sparse")
    sample = np.arange(X.shape[0], dtype=np.uint32)
    found = curvature(rows, sample, options, state)
    twin, k = twin_of(options, state), options.n_factors
    expected, by_bias = np.zeros((X.shape[1], 1 + k)), 0.0
    for i in range(X.shape[0]):
        gradient = twin.score_gradient(entries(X, i))
        p = 1 / (1 + math.exp(-twin.score(entries(X, i))))
        length = (
            p * (1 - p) * weights[i] * (1.0 + sum(abs(d) * (MIXED if f else 1.0) for (_, f), d in gradient.items()))
        )
        by_bias += length
        for place, derivative in gradient.items():
            expected[place] += length * abs(derivative)
    divisor = {"adagrad": 1.0, "constant": 1.0, "ftrl": options.beta}[rule]  # no row has changed a sum yet
    assert_near(found["factors"][:, : 1 + k], expected / X.shape[0] / divisor, 1e-4)
    assert not found["factors"][:, 1 + k :].any()
    assert_near(found["intercept"], [by_bias / X.shape[0] / divisor, 0.0], 1e-4)
    some = curvature(rows, sample, options, state, np.array([1, 4]))
    np.testing.assert_array_equal(some["factors"], found["factors"][[1, 4]])
    assert curvature(rows, sample, options, state, np.empty(0, np.uint32))["factors"].shape[0] == 0
