"""All settings and folds side by side: each column is what it is alone, and the table is a grid search's."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_cv import fit_column
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.estimator_checks import parametrize_with_checks

import hogwild
from hogwild import DivergedError, SGDClassifier, SGDClassifierCV, SGDRegressor, SGDRegressorCV
from hogwild.engine.order import draw_order, epoch_rows
from hogwild.estimators import cv_columns
from hogwild.estimators.cv_columns import ALL_ROWS, Group
from hogwild.losses import CLASSIFICATION

RATES = ("constant", "optimal", "invscaling", "epoch_decay", "search", "adagrad")


class Watched(SGDClassifierCV):
    """Keeps the states of all columns."""

    def _finished(self, columns):
        self.states_ = getattr(self, "states_", {}) | {
            group: columns.state(group) for group in columns.groups if not columns.diverged(group)
        }


def rows(n_classes: int = 2, dtype: type = np.float64, sparse: bool = True, n: int = 400):
    rng = np.random.default_rng(n_classes)
    X = sp.random(n, 30, 0.3, format="csr", random_state=0).astype(dtype)
    y = (X @ rng.normal(size=(30, max(n_classes, 2))) + rng.normal(size=(n, max(n_classes, 2)))).argmax(axis=1)
    return (X if sparse else np.ascontiguousarray(X.toarray())), y


def assert_bits(model, coef, intercept):
    np.testing.assert_array_equal(model.coef_, coef)
    np.testing.assert_array_equal(model.intercept_, intercept)


def weighted(weights: bool, n_classes: int, n: int) -> tuple:
    if not weights:
        return None, None
    return np.random.default_rng(1).choice([0.0, 0.5, 1.3, 2.0], n), {c: 1.0 + 0.37 * c for c in range(n_classes)}


# ------------------------------------------------------------------------------------------------ bits


def check_columns(loss, rate, penalty, dtype, sparse, n_classes, weights, fit_intercept=True):
    """Models of all rows equal single fits; a fold's columns equal those of a run with that setting alone."""
    X, y = rows(n_classes, dtype, sparse)
    sample_weight, class_weight = weighted(weights, n_classes, len(y))
    common = {
        "loss": loss,
        "learning_rate": rate,
        "penalty": penalty,
        "fit_intercept": fit_intercept,
        "class_weight": class_weight,
        "max_iter": 3,
        "random_state": 3,
    }
    lists = {"alpha": [1e-4, 1e-2], "eta0": [0.003, 0.01], "l1_ratio": [0.3], "power_t": [0.4], "epsilon": [0.05, 0.2]}
    search = Watched(**common, **lists, cv=3).fit(X, y, sample_weight=sample_weight)
    for s, setting in enumerate(search.cv_results_["params"]):
        single = SGDClassifier(**common, **setting, tol=None).fit(X, y, sample_weight=sample_weight)
        state = search.states_[Group(s, ALL_ROWS)]
        for name, array in {"coef": single._state.coef, "intercept": single._state.intercept}.items():
            np.testing.assert_array_equal(getattr(state, name), array, err_msg=f"{name} {setting}")
        for name, array in single._state.arrays.items():
            np.testing.assert_array_equal(state.arrays[name], array, err_msg=f"{name} {setting}")
        assert (state.t, state.penalty) == (single._state.t, single._state.penalty)
    alone = Watched(**common, **search.cv_results_["params"][5], cv=3).fit(X, y, sample_weight=sample_weight)
    for fold in range(3):
        np.testing.assert_array_equal(alone.states_[Group(0, fold)].coef, search.states_[Group(5, fold)].coef)
        assert alone.states_[Group(0, fold)].t < alone.states_[Group(0, ALL_ROWS)].t


@pytest.mark.parametrize("loss", CLASSIFICATION)
@pytest.mark.parametrize("rate", RATES)
def test_columns_have_the_bits_of_single_fits(loss, rate):
    penalty = ("l2", "l1", "elasticnet", None)[(CLASSIFICATION.index(loss) + RATES.index(rate)) % 4]
    check_columns(loss, rate, penalty, np.float32, True, 2, True)


@pytest.mark.parametrize("loss", ["quantile", "poisson"])
def test_columns_of_losses_of_numbers_have_the_bits_of_single_fits(loss):
    X, y = rows(dtype=np.float32)
    y = np.random.default_rng(0).poisson(2.0, len(y)).astype(np.float32)
    lists = {"quantile": [0.2, 0.7]} if loss == "quantile" else {"alpha": [1e-4, 1e-2]}
    common = {"loss": loss, "eta0": 0.05, "max_iter": 3, "random_state": 0}
    search = SGDRegressorCV(**{"alpha": 1e-4, **lists}, scoring="neg_mean_absolute_error", cv=3, **common).fit(X, y)
    single = SGDRegressor(**{"alpha": 1e-4, **search.best_params_}, tol=None, **common).fit(X, y)
    np.testing.assert_array_equal(search.coef_, single.coef_)
    grid = GridSearchCV(SGDRegressor(**common, tol=None, alpha=1e-4), lists, cv=3, scoring="neg_mean_absolute_error")
    expected = grid.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=0.1)
    if loss == "poisson":
        with pytest.raises(ValueError, match="expected at least 0 for loss='poisson'"):
            SGDRegressorCV(loss=loss).fit(X, -y)


@pytest.mark.parametrize("rate", ["constant", "optimal", "adagrad"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("sparse", [True, False])
def test_columns_have_those_bits_in_double_precision(rate, penalty, sparse):
    check_columns("log_loss", rate, penalty, np.float64, sparse, 2, True, fit_intercept=penalty is not None)


@pytest.mark.parametrize("rate", ["constant", "adagrad"])
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize(("dtype", "sparse"), [(np.float32, True), (np.float64, False)])
def test_columns_have_those_bits_with_three_classes(rate, penalty, dtype, sparse):
    check_columns("modified_huber", rate, penalty, dtype, sparse, 3, True)


def test_scales_that_fade_are_folded_where_a_single_run_folds_them():
    X, y = rows()
    common = {"learning_rate": "constant", "eta0": 0.5, "max_iter": 4, "random_state": 0, "loss": "log_loss"}
    search = Watched(**common, alpha=[0.5, 0.1, 1e-5], cv=2).fit(X, y)
    for s, alpha in enumerate([0.5, 0.1, 1e-5]):
        single = SGDClassifier(**common, alpha=alpha, tol=None).fit(X, y)
        np.testing.assert_array_equal(search.states_[Group(s, ALL_ROWS)].coef, single._state.coef)


@pytest.mark.parametrize("rate", ["optimal", "adagrad"])
def test_threads_and_passes_change_no_bits(rate, monkeypatch):
    X, y = rows(dtype=np.float32)
    search = Watched(alpha=[1e-5, 1e-4, 1e-3], learning_rate=rate, max_iter=3, random_state=0)
    one = clone(search).fit(X, y)
    three = clone(search).set_params(n_jobs=3, progress=False, callback=lambda progress: False).fit(X, y)
    assert (three.n_threads_, three.n_passes_, one.n_passes_) == (3, 1, 1)
    monkeypatch.setattr(cv_columns, "MEMORY", 30 * 4 * 5)
    narrow = clone(search).fit(X, y)
    assert narrow.n_passes_ > 2
    for other in (three, narrow):
        assert other.best_params_ == one.best_params_
        assert_bits(other, one.coef_, one.intercept_)
        np.testing.assert_array_equal(other.cv_results_["split3_test_score"], one.cv_results_["split3_test_score"])
        for group in set(other.states_) & set(one.states_):
            np.testing.assert_array_equal(other.states_[group].coef, one.states_[group].coef)


def test_the_best_model_goes_on_as_a_single_one():
    X, y = rows()
    for rate in ("optimal", "adagrad"):
        common = {"learning_rate": rate, "penalty": "elasticnet", "max_iter": 3, "random_state": 0}
        search = SGDClassifierCV(alpha=[1e-4, 1e-3], **common).fit(X, y)
        single = SGDClassifier(**search.best_params_, **common, tol=None).fit(X, y)
        single.partial_fit(X, y)
        search.best_estimator_.partial_fit(X, y)
        assert_bits(single, search.best_estimator_.coef_, search.best_estimator_.intercept_)


# ------------------------------------------------------------------------------------------------ against NumPy


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    loss=st.sampled_from(["hinge", "log_loss", "squared_error"]),
    rate=st.sampled_from(["constant", "optimal", "invscaling"]),
    alphas=st.lists(st.sampled_from([1e-5, 1e-3, 1e-2, 0.1]), min_size=1, max_size=5, unique=True),
    n_folds=st.integers(2, 7),
)
def test_folds_are_those_of_a_naive_twin(seed, loss, rate, alphas, n_folds):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 5)) / 3, rng.integers(0, 2, 60)
    y[:20] = np.arange(20) % 2
    rate = "constant" if loss == "squared_error" else rate  # others begin with steps that overflow
    splitter = ShuffleSplit(n_folds, test_size=0.3, random_state=seed)
    search = Watched(alphas, loss=loss, learning_rate=rate, eta0=0.05, max_iter=2, random_state=seed, cv=splitter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    order_rng = np.random.default_rng(check_random_state(seed).randint(np.iinfo(np.int32).max))
    epochs = [epoch_rows(draw_order(order_rng, 60, np.empty(0, np.uint32), True)) for _ in range(2)]
    splits = list(splitter.split(X, y))
    for (s, fold), state in search.states_.items():
        trains = np.ones(60, bool) if fold == ALL_ROWS else np.isin(np.arange(60), splits[fold][0])
        w, b = fit_column(X, 2.0 * y - 1, epochs, trains, loss=loss, rate=rate, alpha=alphas[s], eta0=0.05)
        np.testing.assert_allclose(state.coef, w, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(state.intercept[0], b, rtol=1e-7, atol=1e-10)
        if fold != ALL_ROWS:
            held = splits[fold][1]
            accuracy = np.mean((X[held] @ w + b > 0) == (y[held] == 1))
            assert search.cv_results_[f"split{fold}_test_score"][s] == pytest.approx(accuracy)


# ------------------------------------------------------------------------------------------------ results


@pytest.mark.parametrize("scoring", [None, "neg_log_loss", "roc_auc", "f1_macro"])
def test_the_table_is_that_of_a_grid_search(scoring):
    X, y = make_classification(3_000, 20, n_informative=10, flip_y=0.1, random_state=0)
    X = StandardScaler().fit_transform(X)
    common = {"loss": "log_loss", "max_iter": 20, "random_state": 0, "learning_rate": "adagrad", "eta0": 0.1}
    lists = {"alpha": [1e-5, 1e-3, 1e-2], "l1_ratio": [0.15, 0.5]}
    search = SGDClassifierCV(**lists, **common, penalty="elasticnet", scoring=scoring).fit(X, y)
    grid = GridSearchCV(SGDClassifier(**common, penalty="elasticnet", tol=None), lists, scoring=scoring).fit(X, y)
    assert search.cv_results_["params"] == grid.cv_results_["params"]
    for name in ("param_alpha", "param_l1_ratio"):
        assert search.cv_results_[name].tolist() == grid.cv_results_[name].tolist()
    for name in (*(f"split{fold}_test_score" for fold in range(5)), "mean_test_score", "std_test_score"):
        np.testing.assert_allclose(search.cv_results_[name], grid.cv_results_[name], atol=0.01)
    ranks = search.cv_results_["rank_test_score"]
    assert ranks.dtype == np.int32 and ranks[search.best_index_] == 1
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert search.score(X, y) == pytest.approx(grid.score(X, y), abs=0.01)


@pytest.mark.parametrize(
    "scoring", [None, "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_median_absolute_error"]
)
def test_regression_too(scoring):
    X, y = make_regression(1_000, 10, noise=20.0, random_state=0)
    common = {"max_iter": 10, "random_state": 0}
    search = SGDRegressorCV([1e-4, 1.0], eta0=[0.001, 0.01], scoring=scoring, **common).fit(X, y)
    grid = GridSearchCV(
        SGDRegressor(**common, tol=None), {"alpha": [1e-4, 1.0], "eta0": [0.001, 0.01]}, scoring=scoring
    ).fit(X, y)
    for name in ("split0_test_score", "mean_test_score"):
        np.testing.assert_allclose(search.cv_results_[name], grid.cv_results_[name], rtol=0.02, atol=0.01)
    assert search.best_params_ == grid.best_params_
    single = SGDRegressor(**search.best_params_, **common, tol=None).fit(X, y)
    assert_bits(single, search.coef_, search.intercept_)
    np.testing.assert_array_equal(single.predict(X), search.predict(X))


def test_row_weights_count_in_scores():
    X, y = rows()
    weight = np.where(np.arange(len(y)) % 3 == 0, 0.0, 1.0)
    search = SGDClassifierCV([1e-4], random_state=0, cv=2, max_iter=3).fit(X, y, sample_weight=weight)
    kept = np.flatnonzero(weight)
    models = Watched([1e-4], random_state=0, cv=2, max_iter=3).fit(X, y, sample_weight=weight).states_
    held = [test for _, test in hogwild_splits(y, 2)]
    for fold in range(2):
        chosen = np.intersect1d(held[fold], kept)
        state = models[Group(0, fold)]
        right = np.mean((X[chosen] @ state.coef + state.intercept > 0) == (y[chosen] == 1))
        assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(right)


def hogwild_splits(y, n_folds):
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(n_folds).split(np.zeros((len(y), 1)), y))


def test_without_folds_the_first_epoch_judges():
    X, y = rows()
    alphas = [1e-6, 1e-3, 1.0]
    search = SGDClassifierCV(alphas, loss="log_loss", cv=0, max_iter=4, random_state=0).fit(X, y)
    for alpha, score in zip(alphas, search.cv_results_["mean_test_score"], strict=True):
        single = SGDClassifier(alpha=alpha, loss="log_loss", max_iter=1, tol=None, random_state=0).fit(X, y)
        assert -score == pytest.approx(single.loss_curve_[0])
    assert search.n_splits_ == 0


def test_columns_that_diverge_end_alone():
    X, y = make_classification(500, 20, random_state=0)
    X[:, 0] *= 1e10
    X = X.astype(np.float32)
    common = {"loss": "squared_error", "learning_rate": "constant", "max_iter": 5, "random_state": 0}
    for penalty in ("l2", "l1"):
        search = SGDClassifierCV(eta0=[1e-24, 1e20, 1e30], alpha=1e-9, penalty=penalty, **common)
        with pytest.warns(ConvergenceWarning, match=r"2 of 3 settings diverged.*1e\+20"):
            search.fit(X, y)
        assert search.best_params_ == {"eta0": 1e-24}
        assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, True]
        assert search.cv_results_["rank_test_score"].tolist() == [1, 2, 2]
        single = SGDClassifier(eta0=1e-24, alpha=1e-9, penalty=penalty, tol=None, **common).fit(X, y)
        assert_bits(single, search.coef_, search.intercept_)
    with pytest.raises(DivergedError, match="every setting"):
        SGDClassifierCV(eta0=[1e20, 1e30], alpha=1e-9, **common).fit(X, y)


# ------------------------------------------------------------------------------------------------ what users do


def test_folds_of_all_kinds():
    X, y = rows()
    for cv in (None, 3, KFold(4, shuffle=True, random_state=0), PredefinedSplit(np.arange(len(y)) % 2),
               [(np.arange(200), np.arange(200, 400))]):  # fmt: skip
        search = SGDClassifierCV([1e-4, 1e-2], cv=cv, max_iter=2, random_state=0).fit(X, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": []}, "expected a number or a list"),
        ({"alpha": [[1.0]]}, "expected a number or a list"),
        ({"alpha": ["a", 1]}, "expected numbers"),
        ({"alpha": "a"}, "alpha"),
        ({"alpha": [1e-4, -1.0]}, "'alpha' parameter of SGDClassifier"),
        ({"eta0": [0.0]}, "'eta0' parameter of SGDClassifier"),
        ({"alpha": [0.0], "learning_rate": "optimal"}, "alpha must be > 0"),
        ({"learning_rate": "ftrl"}, "adagrad"),
        ({"learning_rate": "adaptive"}, "epoch_decay"),
        ({"cv": 1}, "cv"),
        ({"cv": 64}, "2 to 63"),
        ({"cv": [(np.arange(5), np.arange(0))]}, "0 to score|0 rows"),
        ({"scoring": "neg_log_loss"}, "probability estimates are not available"),
        ({"scoring": "no such"}, "no such"),
    ],
)
def test_errors_say_what_is_wrong(parameters, message):
    X, y = rows()
    with pytest.raises(ValueError, match=message):
        SGDClassifierCV(**parameters).fit(X, y)


def test_too_few_rows_and_missing_classes():
    X, y = rows()
    with pytest.raises(ValueError, match=r"n_splits=5|number of splits"):
        SGDClassifierCV().fit(X[:4], np.arange(4) % 2)
    with pytest.raises(ValueError, match="greater than one"):
        SGDClassifierCV().fit(X, np.zeros(len(y)))
    order = np.argsort(y, kind="stable")
    with pytest.warns(UserWarning, match="without rows of some class"):
        SGDClassifierCV(cv=KFold(2), max_iter=2, random_state=0).fit(X[order][:395], y[order][:395] // 1 * 2)


def test_saving_cloning_and_pickling(tmp_path):
    X, y = rows()
    search = SGDClassifierCV([1e-4, 1e-2], loss="log_loss", max_iter=3, random_state=0).fit(X, y)
    hogwild.save(search.best_estimator_, tmp_path / "model")
    np.testing.assert_array_equal(hogwild.load(tmp_path / "model").predict(X), search.predict(X))
    with pytest.raises(TypeError, match="best_estimator_"):
        hogwild.save(search, tmp_path / "other")
    other = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(other.predict_proba(X), search.predict_proba(X))
    np.testing.assert_array_equal(other.decision_function(X), search.best_estimator_.decision_function(X))
    assert clone(search).get_params() == search.get_params()
    assert len(pickle.dumps(search)) < 50_000  # no rows inside
    piped = make_pipeline(StandardScaler(with_mean=False), clone(search)).fit(X, y)
    assert piped.score(X, y) > 0.5
    with pytest.raises(AttributeError, match="predict_proba"):
        _ = SGDClassifierCV().predict_proba


def test_without_refit_there_is_a_table_only():
    X, y = rows()
    search = SGDClassifierCV([1e-4, 1e-2], refit=False, max_iter=2, random_state=0).fit(X, y)
    assert search.best_params_ in ({"alpha": 1e-4}, {"alpha": 1e-2}) and not hasattr(search, "coef_")
    with pytest.raises(hogwild_not_fitted()):
        search.predict(X)


def hogwild_not_fitted():
    from sklearn.exceptions import NotFittedError

    return NotFittedError


def test_stopping_leaves_a_usable_model():
    X, y = rows(n=3_000)
    search = SGDClassifierCV([1e-4, 1e-2], max_iter=50, random_state=0, callback=lambda p: p.epoch == 2).fit(X, y)
    assert search.n_iter_ == 2 and search.score(X, y) > 0.5


@parametrize_with_checks(
    [SGDClassifierCV([1e-4, 1e-3], cv=2, max_iter=30), SGDRegressorCV([1e-4, 1e-3], cv=2, max_iter=60)],
    expected_failed_checks=lambda estimator: dict.fromkeys(
        (
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
        ),
        "a row of weight 2 is one longer step, not two steps",
    ),
)
def test_sklearn_contract(estimator, check):
    check(estimator)
