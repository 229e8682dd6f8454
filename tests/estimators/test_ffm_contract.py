"""scikit-learn's contract for the field-aware factorisation machines, on one thread and on two."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from hogwild import FFMClassifier, FFMRegressor

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is one longer step, not two steps",
    "check_sample_weight_equivalence_on_sparse_data": "a row of weight 2 is one longer step, not two steps",
}
ONE = [FFMClassifier(), FFMRegressor(), FFMClassifier(linear_terms=True, normalize=False)]
TWO = [FFMClassifier(n_jobs=2), FFMRegressor(n_jobs=2)]


def expected(estimator: Any) -> dict[str, str]:
    return EXPECTED


@parametrize_with_checks(ONE, expected_failed_checks=expected)
def test_one_thread(estimator, check):
    check(estimator)


@parametrize_with_checks(TWO, expected_failed_checks=expected)
def test_two_threads(estimator, check):
    check(estimator)
