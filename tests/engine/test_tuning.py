"""What engines choose by themselves: interval and head, measured at the start of a long run or by rule."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild import SGDClassifier
from hogwild.data import make_rcv1_like
from hogwild.engine import Replicas
from hogwild.engine.order import choose_shuffle
from hogwild.engine.runners import hottest_features

FIT = {"loss": "log_loss", "alpha": 1e-5, "max_iter": 2, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def problem():
    return make_rcv1_like(20_000, 3_000, random_state=0)


def objective(clf, X, y):
    return np.logaddexp(0, -y * (X @ clf.coef_[0] + clf.intercept_[0])).mean()


def test_a_long_run_measures_first_and_loses_no_row(problem, monkeypatch):
    monkeypatch.setattr("hogwild.engine.tuning.LONG_SECONDS", 0.0)
    X, y = problem
    one = SGDClassifier(**FIT).fit(X, y)
    clf = SGDClassifier(n_jobs=2, **FIT).fit(X, y)
    assert clf.engine_.interval in (128, 256, 512, 1024, 2048)
    assert clf.t_ == 1 + 2 * 20_000
    assert len(clf.loss_curve_) == 2
    assert objective(clf, X, y) < 1.05 * objective(one, X, y)


def test_what_is_given_is_not_measured(problem, monkeypatch):
    monkeypatch.setattr("hogwild.engine.tuning.LONG_SECONDS", 0.0)
    monkeypatch.setattr("hogwild.engine.choose.tuned_plan", lambda *arguments: pytest.fail("measured"))
    X, y = problem
    for engine in (Replicas(interval=64, head=100), Replicas(tune=False), Replicas(deterministic=True)):
        SGDClassifier(n_jobs=2, engine=engine, **FIT).fit(X, y)


def test_a_short_run_is_not_measured(problem, monkeypatch):
    monkeypatch.setattr("hogwild.engine.choose.tuned_plan", lambda *arguments: pytest.fail("measured"))
    SGDClassifier(n_jobs=2, **FIT).fit(*problem)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_prefetching_weights_changes_nothing(problem, monkeypatch, n_jobs):
    X, y = problem
    engine = Replicas(deterministic=True)
    plain = SGDClassifier(n_jobs=n_jobs, engine=engine, **FIT).fit(X, y)
    monkeypatch.setattr("hogwild.estimators.linear_task.LARGE", 0)
    asked = SGDClassifier(n_jobs=n_jobs, engine=engine, **FIT).fit(X, y)
    assert np.array_equal(plain.coef_, asked.coef_)


def test_the_hottest_features_are_the_most_frequent():
    counts = np.array([5, 0, 9, 1, 7, 0, 2], np.uint32)
    assert hottest_features(counts, 3).tolist() == [0, 2, 4]
    assert hottest_features(counts, 100).tolist() == [0, 2, 3, 4, 6]
    assert hottest_features(counts, 0).tolist() == []


def test_rows_sorted_by_their_labels_are_shuffled_in_full(problem):
    X, y = problem
    assert choose_shuffle(True, y) == "blocks"
    assert choose_shuffle(True, np.sort(y)) == "full"
    assert choose_shuffle(True, np.sort(y)[:1000]) == "full"
    assert choose_shuffle(True, np.linspace(0, 1, 20_000)) == "full"
    assert choose_shuffle("blocks", np.sort(y)) == "blocks"
    order = np.argsort(y, kind="stable")

    def mean(shuffle):
        fits = [SGDClassifier(**{**FIT, "random_state": s}, shuffle=shuffle).fit(X[order], y[order]) for s in range(4)]
        return np.mean([objective(fit, X, y) for fit in fits])

    assert mean(True) < 0.6 * mean("blocks")
