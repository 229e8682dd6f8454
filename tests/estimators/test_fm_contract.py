"""scikit-learn's contract of the factorisation machines: check_estimator on one thread and on two."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from hogwild import FMClassifier, FMRegressor

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is one longer step, not two steps",
    "check_sample_weight_equivalence_on_sparse_data": "a row of weight 2 is one longer step, not two steps",
}


def expected(estimator: Any) -> dict[str, str]:
    return EXPECTED


@parametrize_with_checks([FMClassifier(), FMRegressor()], expected_failed_checks=expected)
def test_one_thread(estimator, check):
    check(estimator)


@parametrize_with_checks([FMClassifier(n_jobs=2), FMRegressor(n_jobs=2)], expected_failed_checks=expected)
def test_two_threads(estimator, check):
    check(estimator)
