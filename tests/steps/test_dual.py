"""Dual steps: each solves its row's problem, keeps w = w(b), and knows its part of the duality gap."""

from __future__ import annotations

import naive_dual as naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.engine.dual import DualTraining, dual_task
from hogwild.engine.engines import Sequential
from hogwild.engine.order import draw_order, epoch_rows
from hogwild.engine.runners import SequentialRunner
from hogwild.engine.source import NONE
from hogwild.estimators.dual import Problem, Shift, make_dual
from hogwild.steps.dual import Dual, measure
from hogwild.steps.dual_losses import KINDS, best_dual, conjugate_at, gap_at, loss_at, slack_at
from hogwild.steps.rows import as_rows

NUMBERS = st.floats(-3, 3, allow_subnormal=False)
SIZES = st.floats(0.01, 10)


@pytest.mark.parametrize("name", naive.LOSSES)
@settings(max_examples=60, deadline=None)
@given(
    y=NUMBERS,
    p=st.one_of(NUMBERS, st.floats(-1e4, 1e4)),
    share=st.floats(0, 1),
    q=st.floats(1e-3, 1e4),
    c=SIZES,
    epsilon=st.floats(0, 0.5),
)
def test_a_step_solves_its_row(name, y, p, share, q, c, epsilon):
    if name in naive.MARGIN:
        y, epsilon = (1.0 if y > 0 else -1.0), 0.0
    low, high = (float(np.clip(end, -2, 2)) for end in naive.bounds(name, y, c))
    b = low + share * (high - low)
    new = best_dual(KINDS[name], y, p, b, q, c, epsilon)
    expected = naive.best_dual(name, y, p, b, q, c, epsilon)
    gap = gap_at(KINDS[name], y, p, b, c, epsilon)
    whole = c * naive.loss(name, y, p, epsilon) + naive.conjugate(name, y, b, c, epsilon) + b * p
    assert gap >= 0
    assert gap == pytest.approx(whole, rel=1e-7, abs=1e-9 * (1 + c))
    assert loss_at(KINDS[name], y, p, c, epsilon) == pytest.approx(c * naive.loss(name, y, p, epsilon), abs=1e-9)
    assert conjugate_at(KINDS[name], y, b, c, epsilon) == pytest.approx(
        naive.conjugate(name, y, b, c, epsilon), abs=1e-9 * (1 + c)
    )
    if name == "log_loss":  # a step of Newton's that is short enough is the last
        assert new == pytest.approx(expected, rel=2e-3, abs=1e-4 * c)
        for _ in range(60):  # the same row again and again
            p, b = p + q * (new - b), new
            new = best_dual(KINDS[name], y, p, b, q, c, epsilon)
        assert q * abs(new - expected) <= 1e-6 * (1 + abs(p))
        return
    assert new == pytest.approx(expected, rel=1e-6, abs=1e-8 * max(1, c))


@pytest.mark.parametrize("name", naive.LOSSES)
@settings(max_examples=60, deadline=None)
@given(y=NUMBERS, p=NUMBERS, q=st.floats(1e-3, 10), c=SIZES)
def test_slack_is_how_far_the_score_may_move(name, y, p, q, c):
    y, epsilon = (1.0 if y > 0 else -1.0) if name in naive.MARGIN else y, 0.0 if name in naive.MARGIN else 0.3
    b = 0.0
    for _ in range(3):  # to where the dual of this row alone stays
        b = best_dual(KINDS[name], y, p, b, q, c, epsilon)
    slack = slack_at(KINDS[name], y, p, b, c, epsilon)
    if best_dual(KINDS[name], y, p, b, q, c, epsilon) == b and slack > 0:
        for move in (-0.99 * slack, 0.99 * slack):
            assert best_dual(KINDS[name], y, p + move, b, q, c, epsilon) == b


def test_extreme_scores_and_empty_rows_stay_finite():
    for name, kind in KINDS.items():
        for p in (-1e6, -50.0, 0.0, 50.0, 1e6):
            for q in (0.0, 1e-12, 1.0, 1e12):
                for y in (-1.0, 1.0):
                    new = best_dual(kind, y, p, 0.5 * y, q, 1.0, 0.0)
                    assert np.isfinite(new), (name, p, q)
                    low, high = naive.bounds(name if name != "squared_error" else "squared_epsilon_insensitive", y, 1.0)
                    assert low <= new <= high
                    assert np.isfinite(gap_at(kind, y, p, new, 1.0, 0.0))


# ------------------------------------------------------------------------------------------------ whole epochs


def problem(name, dense=False, n=60, d=9, dtype=np.float64, shift=None, weights=None, shrinks=False, seed=0):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.5)).astype(dtype)
    X[7] = 0
    y = rng.normal(size=n)
    if name in naive.MARGIN:
        y = np.where(y > 0, 1.0, -1.0)
    rows = as_rows(X if dense else sp.csr_matrix(X), y.astype(dtype), weights)
    epsilon = 0.2 if "epsilon" in name else 0.0
    norms = np.full(n, -1, dtype)
    model = make_dual(rows, Problem(rows.targets, 0.7, 0.4), KINDS[name], epsilon, shift or Shift(), norms, shrinks, d)
    c = np.where(y > 0, 0.7, 0.4) * (1 if weights is None else weights)
    return X, y, c, epsilon, rows, model


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", naive.LOSSES)
def test_epochs_follow_the_naive_twin(name, dense):
    X, y, c, epsilon, rows, model = problem(name, dense)
    runner, rng, w, b = SequentialRunner(dual_task(rows, model, 9)), np.random.default_rng(1), np.zeros(9), np.zeros(60)
    for _ in range(3):
        order = draw_order(rng, 60, NONE, "full")
        runner.run(order, 0, 60)
        naive.epoch(X, y, epoch_rows(order), w, b, name, c, epsilon)
    close = 1e-3 if name == "log_loss" else 1e-7  # the last step of Newton's method
    np.testing.assert_allclose(model.duals, b, rtol=close, atol=close)
    np.testing.assert_allclose(model.coef, w, rtol=close, atol=close)
    np.testing.assert_allclose(model.norms, (X**2).sum(axis=1))
    out = np.zeros(8)
    measure(rows, model, np.uint64(0), np.uint64(60), out[:1].copy(), out)
    assert out[0] == pytest.approx(
        naive.primal(X, y, model.coef, name, c, epsilon) - naive.dual(X, y, model.duals, name, c, epsilon), rel=1e-5
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["constant", "mean"])
def test_sums_stand_for_a_constant_or_a_centred_matrix(kind, weighted):
    weights = np.random.default_rng(3).random(60) if weighted else None
    X = problem("epsilon_insensitive")[0]
    if kind == "constant":
        shift, whole = Shift(2.25), np.column_stack([X, np.full(60, 1.5)])
    else:
        mean = np.random.default_rng(4).normal(size=9)
        shift, whole = Shift(float(mean @ mean), X @ mean, mean), X - mean
    X, y, c, epsilon, rows, model = problem("epsilon_insensitive", shift=shift, weights=weights)
    task = dual_task(rows, model, 9)
    runner, rng = SequentialRunner(task), np.random.default_rng(1)
    w, b = np.zeros(whole.shape[1]), np.zeros(60)
    for _ in range(4):
        order = draw_order(rng, 60, NONE, "full")
        runner.run(order, 0, 60)
        naive.epoch(whole, y, epoch_rows(order), w, b, "epsilon_insensitive", c, epsilon)
    np.testing.assert_allclose(model.duals, b, rtol=1e-9, atol=1e-12)
    s = model.intercept[0]
    coef = np.append(model.coef, 1.5 * s) if kind == "constant" else model.coef - s * mean
    np.testing.assert_allclose(coef, w, rtol=1e-9, atol=1e-12)
    training = DualTraining(task, Sequential(), 1, n_epochs=1, tol=1e-3, shrinks=False, rng=rng)
    measured = training.measure()
    assert measured.primal == pytest.approx(naive.primal(whole, y, w, "epsilon_insensitive", c, epsilon))
    assert measured.dual == pytest.approx(naive.dual(whole, y, b, "epsilon_insensitive", c, epsilon))
    assert measured.gap == pytest.approx(measured.primal - measured.dual, abs=1e-9)


def test_rebuilt_weights_are_the_sum_of_the_duals():
    X, *_, rows, model = problem("hinge", dtype=np.float32, shift=Shift(1.0))
    task = dual_task(rows, model, 9)
    training = DualTraining(task, Sequential(), 1, n_epochs=5, tol=1e-9, shrinks=False, rng=np.random.default_rng(0))
    training.run()
    model.coef[:] = 7.0
    training.rebuild()
    np.testing.assert_allclose(model.coef, X.T.astype(np.float64) @ model.duals, rtol=1e-6, atol=1e-7)
    assert model.intercept[0] == pytest.approx(model.duals.sum(dtype=np.float64), abs=1e-6)
    assert isinstance(model, Dual)
