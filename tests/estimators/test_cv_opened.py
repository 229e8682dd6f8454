"""Settings side by side over caches and streams: the models of single fits, folds by row number."""

from __future__ import annotations

import numpy as np
import pytest

import hogwild
from hogwild import SGDClassifier, SGDClassifierCV, SGDRegressor, SGDRegressorCV
from hogwild.data import dump_svmlight, load_svmlight, make_rcv1_like, write_hog


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    X, y = make_rcv1_like(4_000, 500, row_length=15, n_classes=3, random_state=1)
    dump_svmlight(X, y, folder / "three.svm")
    dump_svmlight(X, (y > 0) * 2 - 1, folder / "two.svm")
    dump_svmlight(X, np.round(X @ np.linspace(-1, 1, 500, dtype=np.float32), 3), folder / "numbers.svm")
    return folder


def opened(paths, name, cached):
    rows = hogwild.data.open(paths / f"{name}.svm")
    if not cached:
        return rows
    path = paths / f"{name}.hog"
    if not path.exists():
        write_hog(rows, path, block_bytes=1 << 16, shuffle=False)  # in the order of the file
    return hogwild.data.open(path)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(("name", "rate"), [("two", "optimal"), ("three", "adagrad"), ("two", "search")])
def test_the_model_is_that_of_a_single_fit(paths, name, rate, cached):
    common = {"loss": "log_loss", "learning_rate": rate, "max_iter": 3, "random_state": 0}
    search = SGDClassifierCV([1e-5, 1e-3], cv=4, **common).fit(opened(paths, name, cached))
    single = SGDClassifier(**search.best_params_, **common, tol=None).fit(opened(paths, name, cached))
    np.testing.assert_array_equal(search.classes_, single.classes_)
    np.testing.assert_array_equal(search.coef_, single.coef_)
    np.testing.assert_array_equal(search.intercept_, single.intercept_)
    X, y = load_svmlight(paths / f"{name}.svm", n_features=search.n_features_in_)
    assert search.best_score_ == pytest.approx(search.score(X, y), abs=0.2)


def test_folds_are_rests_of_row_numbers(paths):
    X, y = load_svmlight(paths / "two.svm")
    splits = [
        (np.flatnonzero(np.arange(len(y)) % 3 != f), np.flatnonzero(np.arange(len(y)) % 3 == f)) for f in range(3)
    ]
    common = {"loss": "log_loss", "max_iter": 3, "random_state": 0, "scoring": "neg_log_loss", "shuffle": False}
    for cached in (True, False):
        search = SGDClassifierCV([1e-5, 1e-3], cv=3, **common).fit(opened(paths, "two", cached))
        matrix = SGDClassifierCV([1e-5, 1e-3], cv=splits, **common).fit(X, y)
        for fold in range(3):
            name = f"split{fold}_test_score"
            np.testing.assert_allclose(search.cv_results_[name], matrix.cv_results_[name], rtol=1e-4)


@pytest.mark.parametrize("cached", [True, False])
def test_regression(paths, cached):
    common = {"max_iter": 3, "random_state": 0, "learning_rate": "adagrad", "eta0": 0.1}
    search = SGDRegressorCV([1e-6, 1e-3], cv=3, n_jobs=2, **common).fit(opened(paths, "numbers", cached))
    single = SGDRegressor(**search.best_params_, **common, tol=None).fit(opened(paths, "numbers", cached))
    np.testing.assert_array_equal(search.coef_, single.coef_)
    assert search.best_score_ > 0.5


def test_errors(paths):
    rows = opened(paths, "two", False)
    with pytest.raises(ValueError, match="split by their row numbers"):
        SGDClassifierCV(cv=[(np.arange(5), np.arange(5))]).fit(rows)
    with pytest.raises(ValueError, match="for opened rows"):
        SGDClassifierCV(scoring="roc_auc").fit(rows)
    with pytest.raises(ValueError, match="bring their own"):
        SGDClassifierCV().fit(rows, np.ones(4_000))
