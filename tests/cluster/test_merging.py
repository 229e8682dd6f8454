"""The worker's choice of the constant: what it would have been under others, and where it moves."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.cluster.merging import BOLDER, SAFER, START, ConstantTuning, again, judging_rows
from hogwild.engine.tuning import CONSTANTS, damped


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hindsight_is_the_merge_under_another_constant(dtype):
    rng = np.random.default_rng(0)
    before, deltas = rng.normal(size=500).astype(dtype), rng.normal(size=500).astype(dtype)
    curvature = (rng.exponential(size=500) * (rng.random(500) < 0.8)).astype(np.float32)
    after = before + damped(curvature, 50 * 0.1, 6, None) * deltas
    found = again(before, after.astype(dtype), curvature, 50.0, used=0.1, constant=0.003, active=6)
    np.testing.assert_allclose(found, before + damped(curvature, 50 * 0.003, 6, None) * deltas, rtol=1e-4, atol=1e-4)


def observe(tuning, score, active=8):
    ones = np.ones((4, 2), np.float32)
    return tuning.observe(score, 0 * ones, ones, ones, x=100.0, active=active)


def test_boldest_of_the_good_is_approached():
    tuning = ConstantTuning()
    for _ in range(30):
        before = tuning.constant
        assert observe(tuning, lambda values: 1.0) <= before  # all are as good: the sum
    assert tuning.constant == pytest.approx(CONSTANTS[0], rel=0.01)
    for _ in range(30):
        observe(tuning, overshoots)
    assert tuning.constant == pytest.approx(1.0, rel=1e-3)
    assert observe(tuning, lambda values: 1.0) == pytest.approx(1.0, rel=1e-3)  # what was bad is not trusted yet
    for _ in range(20):
        observe(tuning, lambda values: 1.0)
    assert tuning.constant < 0.01


def overshoots(values):
    """Loss that only the smallest step of all keeps low."""
    return float(values.mean()) ** 50


def test_divergence_is_answered_at_once():
    tuning = ConstantTuning()
    assert observe(tuning, lambda values: np.nan) == 1.0
    tuning = ConstantTuning()
    limit = 4.0  # which bold constants pass
    for _ in range(40):
        observe(tuning, lambda values: 1.0 if values.mean() < limit else np.inf)
    before = tuning.constant
    assert np.isfinite(before)
    assert observe(tuning, lambda values: 1.0 if values.mean() < 0.9 else np.inf) > before
    assert BOLDER < SAFER


def test_judging_costs_a_part_of_the_phase():
    assert [judging_rows(rows) for rows in (100, 25_000, 10**6)] == [512, 1000, 2000]


def test_one_worker_has_nothing_to_choose():
    def score(values):
        raise AssertionError("not to be called")

    assert observe(ConstantTuning(), score, active=1) == START
