"""scikit-learn's contract of the dual estimators: check_estimator on one thread and on two."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from hogwild import LinearSVC, LinearSVR, LogisticRegression, Ridge


# a tolerance at which a row of weight 2 and a row that stands twice lead to the same weights
def estimators(**parameters):
    return [kind(tol=1e-17, **parameters) for kind in (LinearSVC, LinearSVR, LogisticRegression, Ridge)]


@parametrize_with_checks(estimators())
def test_one_thread(estimator, check):
    check(estimator)


@parametrize_with_checks(estimators(n_jobs=2, engine="replicas"))
def test_two_threads(estimator, check):
    check(estimator)
