"""The loop of dual solvers: orders, passes, epochs undone, rows left out and taken back."""

from __future__ import annotations

import numpy as np

from hogwild.engine.dual import DualTraining, dual_task
from hogwild.engine.engines import Sequential, Simulated
from hogwild.engine.order import shuffle
from hogwild.estimators.dual import Problem, Shift, make_dual
from hogwild.steps.dual_losses import KINDS
from hogwild.steps.rows import as_rows


def training(engine=None, loss="squared_hinge", n=3000, C=0.01, **parameters):
    """Dense rows that all share directions: deltas of many replicas overshoot."""
    rng = np.random.default_rng(0)
    X = np.abs(rng.normal(size=(n, 20))) @ np.abs(rng.normal(size=(20, 20)))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    z = X @ rng.normal(size=20)
    y = np.where(z - np.median(z) + 0.2 * rng.normal(size=n) > 0, 1.0, -1.0)
    rows = as_rows(X, y)
    shrinks = parameters.pop("shrinks", False)
    model = make_dual(rows, Problem(y, C, C), KINDS[loss], 0.0, Shift(), np.full(n, -1.0), shrinks, 20)
    settings = {"n_epochs": 3000, "tol": 1e-3, "shrinks": shrinks, "rng": np.random.default_rng(1)} | parameters
    return DualTraining(dual_task(rows, model, 20), engine or Sequential(), 1, **settings)


def test_shuffle_is_a_permutation_without_a_preference():
    n, places = 40, np.zeros((40, 40))
    for seed in range(1, 2001):
        rows = np.arange(n, dtype=np.uint32)
        shuffle(rows, np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64))
        places[rows, np.arange(n)] += 1
    np.testing.assert_array_equal(places.sum(axis=0), 2000)
    np.testing.assert_array_equal(places.sum(axis=1), 2000)
    assert abs(places - 50).max() < 6 * np.sqrt(50)


def test_replicas_that_overshoot_are_made_safer_until_they_converge():
    run = training(Simulated(16, interval=128, merge="sum"))
    outcome = run.run()
    assert outcome.safety > 1
    assert outcome.converged
    assert outcome.measured.relative <= 1e-3
    alone = training()
    assert abs(alone.run().measured.primal / outcome.measured.primal - 1) < 2e-3
    before = run.task.model.coef.copy()
    run.rebuild()  # what was merged is the sum of what the duals say
    np.testing.assert_allclose(run.task.model.coef, before, atol=1e-9)


def test_rows_are_left_out_and_all_are_checked_at_the_end():
    hinge = {"loss": "hinge", "C": 1.0, "tol": 1e-4}
    run, whole = training(shrinks=True, **hinge), training(**hinge)
    outcome, expected = run.run(), whole.run()
    assert outcome.rows < 3000 * outcome.n_epochs
    assert expected.rows == 3000 * expected.n_epochs
    assert outcome.converged
    assert abs(outcome.measured.primal / expected.measured.primal - 1) < 2e-4


def test_the_gap_is_measured_seldom():
    outcome = training(tol=1e-5).run()
    assert outcome.converged
    assert outcome.n_passes <= 3
    assert len(outcome.curve) == outcome.n_epochs
    assert outcome.curve[-1] < outcome.curve[0]


def test_a_callback_stops_and_rows_are_counted():
    told = []
    outcome = training(tol=1e-9, callback=lambda progress: told.append(progress) or len(told) == 2).run()
    assert not outcome.converged
    assert outcome.rows == told[-1].rows
    assert np.isfinite(outcome.measured.gap)
