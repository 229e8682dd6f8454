"""FMClassifier and FMRegressor: what they learn, on one thread and on replicas, and how they behave."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from hogwild import FMClassifier, FMRegressor
from hogwild.engine.engines import Replicas, Simulated
from hogwild.engine.training import DivergedError
from hogwild.estimators.checkpoint import Checkpoint

RULES = ("adagrad", "ftrl", "constant", "invscaling", "optimal")
N_TRAIN = 6000


def categories(seed=0, n_rows=8000, n_fields=5, n_values=12, rank=3):
    """Categories and scores of pairs alone: every value's own effect is 0 on average."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, n_values, size=(n_rows, n_fields))
    V = rng.normal(size=(n_fields, n_values, rank))
    V -= V.mean(axis=1, keepdims=True)
    v = V[np.arange(n_fields), table]
    return table, ((v.sum(axis=1) ** 2).sum(axis=1) - (v**2).sum(axis=(1, 2))) / 2


@pytest.fixture(scope="module")
def clicks():
    """One-hot rows and clicks of planted pairs: training rows, then others."""
    table, scores = categories()
    X = OneHotEncoder(dtype=np.float32).fit_transform(table)
    y = np.random.default_rng(1).random(len(scores)) < 1 / (1 + np.exp(-scores))
    return X, y.astype(int)


@pytest.fixture(scope="module")
def ratings():
    table, scores = categories(2)
    X = OneHotEncoder(dtype=np.float32).fit_transform(table)
    return X, 50 + scores + 0.3 * np.random.default_rng(1).normal(size=len(scores))


# ------------------------------------------------------------------------------------------------ what they learn


@pytest.mark.parametrize("rule", RULES)
def test_classifier_learns_pairs_that_a_linear_model_cannot(clicks, rule):
    X, y = clicks
    eta0 = {"constant": 0.05, "invscaling": 1.0, "optimal": 0.1}.get(rule)
    model = FMClassifier(8, learning_rate=rule, eta0=eta0, alpha=1e-3, random_state=0).fit(X[:N_TRAIN], y[:N_TRAIN])
    linear = LogisticRegression().fit(X[:N_TRAIN], y[:N_TRAIN])
    found = roc_auc_score(y[N_TRAIN:], model.decision_function(X[N_TRAIN:]))
    assert roc_auc_score(y[N_TRAIN:], linear.decision_function(X[N_TRAIN:])) < 0.6
    assert found > 0.88


@pytest.mark.parametrize("rule", ["adagrad", "ftrl"])
def test_regressor_learns_pairs_that_a_linear_model_cannot(ratings, rule):
    X, y = ratings
    model = FMRegressor(8, learning_rate=rule, alpha=1e-3, random_state=0).fit(X[:N_TRAIN], y[:N_TRAIN])
    assert Ridge().fit(X[:N_TRAIN], y[:N_TRAIN]).score(X[N_TRAIN:], y[N_TRAIN:]) < 0.1
    assert model.score(X[N_TRAIN:], y[N_TRAIN:]) > 0.9


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive", "squared_epsilon_insensitive", "quantile"])
def test_regressor_learns_with_other_losses(ratings, loss):
    X, y = ratings
    model = FMRegressor(8, loss=loss, epsilon=0.5, eta0=0.3, alpha=1e-4, max_iter=30, random_state=0)
    assert model.fit(X[:N_TRAIN], y[:N_TRAIN]).score(X[N_TRAIN:], y[N_TRAIN:]) > 0.8


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "perceptron"])
def test_classifier_learns_with_other_losses(clicks, loss):
    X, y = clicks
    model = FMClassifier(8, loss=loss, alpha=1e-3, random_state=0).fit(X[:N_TRAIN], y[:N_TRAIN])
    assert model.score(X[N_TRAIN:], y[N_TRAIN:]) > 0.78
    assert not hasattr(model, "predict_proba")


ENGINES = {
    "two-threads": {"n_jobs": 2},
    "a-hot-head": {"n_jobs": 2, "engine": Replicas(interval=64, head=20)},
    "shared": {"n_jobs": 2, "engine": "shared"},
    "deterministic": {"n_jobs": 2, "engine": Replicas(deterministic=True)},
    "16-replicas": {"engine": Simulated(16)},
    "64-replicas": {"engine": Simulated(64)},
}


@pytest.mark.parametrize("rule", ["adagrad", "ftrl", "constant"])
@pytest.mark.parametrize("name", ENGINES)
def test_replicas_come_near_one_thread(clicks, name, rule):
    X, y = clicks
    eta0 = 0.05 if rule == "constant" else None
    model = FMClassifier(8, learning_rate=rule, eta0=eta0, alpha=1e-3, max_iter=30, random_state=0)
    losses = []
    for parameters in ({}, ENGINES[name]):
        fitted = clone(model).set_params(**parameters).fit(X[:N_TRAIN], y[:N_TRAIN])
        losses.append(log_loss(y[N_TRAIN:], fitted.predict_proba(X[N_TRAIN:])))
    assert losses[1] < losses[0] + (0.12 if name == "64-replicas" else 0.03)


def test_deterministic_replicas_repeat_their_bits(clicks):
    X, y = clicks
    model = FMClassifier(4, n_jobs=2, engine=Replicas(deterministic=True), max_iter=2, random_state=0)
    first, second = (clone(model).fit(X, y).factors_.copy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


# ------------------------------------------------------------------------------------------------ attributes


@pytest.mark.parametrize("rule", ["adagrad", "ftrl", "constant"])
def test_attributes_make_the_scores(clicks, rule):
    X, y = clicks
    model = FMClassifier(5, learning_rate=rule, max_iter=2, random_state=0).fit(X, y)
    assert model.coef_.shape == (60,)
    assert model.factors_.shape == (60, 5)
    assert model.coef_.dtype == model.factors_.dtype == np.float32
    s = X @ model.factors_
    pairs = 0.5 * ((s**2).sum(axis=1) - X.multiply(X) @ (model.factors_**2).sum(axis=1))
    np.testing.assert_allclose(
        model.decision_function(X), X @ model.coef_ + model.intercept_ + pairs, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-6)


def test_terms_can_be_left_out(clicks):
    X, y = clicks
    model = FMClassifier(linear_terms=False, fit_intercept=False, max_iter=2, random_state=0).fit(X, y)
    assert not model.coef_.any()
    assert model.intercept_ == 0.0
    assert not FMClassifier(init_scale=0, max_iter=2, random_state=0).fit(X, y).factors_.any()


def test_regressor_starts_at_the_mean():
    X, y = sp.csr_matrix((4, 3), dtype=np.float32), np.array([1.0, 2.0, 3.0, 10.0])
    model = FMRegressor(eta0=1e-9, max_iter=1)
    assert model.fit(X, y).intercept_ == pytest.approx(4.0)
    assert model.fit(X, y, sample_weight=[1, 1, 0, 2]).intercept_ == pytest.approx(23 / 4)


def test_dense_is_sparse(clicks):
    X, y = clicks
    model = FMClassifier(max_iter=3, random_state=0)
    sparse, dense = (clone(model).fit(data, y).factors_ for data in (X, X.toarray()))
    np.testing.assert_allclose(sparse, dense, rtol=1e-4, atol=1e-6)


def test_float64_and_wide_indices_are_read_as_float32(clicks):
    X, y = clicks
    wide = sp.csr_matrix((X.data.astype(np.float64), X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape)
    model = FMClassifier(max_iter=1, random_state=0)
    np.testing.assert_array_equal(clone(model).fit(X, y).factors_, clone(model).fit(wide, y).factors_)


# ------------------------------------------------------------------------------------------------ the run


def test_early_stopping_keeps_the_best_weights(clicks):
    X, y = clicks
    given = X[N_TRAIN:], y[N_TRAIN:]
    model = FMClassifier(20, alpha=0, eta0=0.5, max_iter=60, early_stopping=True, random_state=0)
    model.fit(X[:1000], y[:1000], validation=given)
    assert model.n_iter_ == model.best_iter_ + 2 < 60
    found = log_loss(given[1], model.predict_proba(given[0]))
    assert -found == pytest.approx(max(model.validation_scores_), rel=1e-5)


def test_warm_start_goes_on(clicks):
    X, y = clicks
    model = FMClassifier(max_iter=2, warm_start=True, random_state=0)
    first = log_loss(y, model.fit(X, y).predict_proba(X))
    assert log_loss(y, model.fit(X, y).predict_proba(X)) < first
    bias = FMRegressor(eta0=1e-9, max_iter=1, warm_start=True).fit(X, y + 1.0).fit(X, y + 5.0).intercept_
    assert bias == pytest.approx(1.0 + y.mean(), rel=1e-4)


def test_warm_start_keeps_ftrl_weights_under_another_step(clicks):
    X, y = clicks
    model = FMClassifier(learning_rate="ftrl", max_iter=2, warm_start=True, random_state=0).fit(X, y)
    before = model.factors_.copy(), model.coef_.copy()
    none = np.zeros_like(X[:10].toarray())  # rows that touch nothing
    model.set_params(eta0=0.01, alpha=0.1, alpha_l1=0.01, max_iter=1).fit(none, np.arange(10) % 2)
    np.testing.assert_allclose(model.factors_, before[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.coef_, before[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed", [{"n_factors": 4}, {"learning_rate": "ftrl"}])
def test_warm_start_wants_the_same_shape(clicks, changed):
    X, y = clicks
    model = FMClassifier(max_iter=1, warm_start=True).fit(X, y).set_params(**changed)
    with pytest.raises(ValueError, match="expected those of the weights to go on from"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="features"):
        FMClassifier(max_iter=1, warm_start=True).fit(X, y).fit(X[:, :-1], y)


def test_sample_weights_of_0_are_no_rows(clicks):
    X, y = clicks
    weights = (np.arange(len(y)) % 2).astype(float)
    model = FMRegressor(max_iter=2, shuffle=False, random_state=0)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(weighted.factors_, clone(model).fit(X[1::2], y[1::2]).factors_)


def test_class_weights_move_the_scores(clicks):
    X, y = clicks
    plain, heavy = (FMClassifier(class_weight=w, random_state=0).fit(X, y) for w in (None, {0: 1.0, 1: 10.0}))
    assert heavy.predict(X).mean() > plain.predict(X).mean() + 0.1


def test_checkpoint_goes_on_with_the_same_bits(clicks, tmp_path):
    X, y = clicks
    whole = FMClassifier(max_iter=4, random_state=0).fit(X, y)
    calls = []

    def halt(progress):
        calls.append(progress)
        return progress.epoch == 2 and progress.epoch_ended

    path = tmp_path / "fm.ckpt"
    saving = FMClassifier(max_iter=4, random_state=0, checkpoint=Checkpoint(path, every=0.0), callback=halt)
    assert saving.fit(X, y).n_iter_ == 2
    resumed = FMClassifier(max_iter=4, random_state=0, checkpoint=Checkpoint(path, resume=True)).fit(X, y)
    np.testing.assert_array_equal(resumed.factors_, whole.factors_)


def test_models_pickle_and_pipelines_encode():
    table, scores = categories(n_rows=500)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), FMClassifier(max_iter=2, random_state=0))
    model.fit(table, scores > 0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(table), model.predict(table))


# ------------------------------------------------------------------------------------------------ bad input


def test_large_steps_are_reported(clicks):
    X, y = clicks
    with pytest.raises(DivergedError, match="eta0"):
        FMRegressor(learning_rate="constant", eta0=100.0, max_iter=3).fit(X * 100, y)


def test_opened_rows_are_refused(tmp_path):
    import hogwild.data

    path = tmp_path / "rows.svm"
    path.write_text("1 1:1\n0 2:1\n")
    with pytest.raises(ValueError, match="takes a matrix or a table of numbers"):
        FMClassifier().fit(hogwild.data.open(path), None)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_factors": 0},
        {"alpha": -1.0},
        {"alpha_linear": -1.0},
        {"learning_rate": "adam"},
        {"beta": 0.0},
        {"loss": "squared"},
        {"learning_rate": "optimal", "alpha": 0},
        {"engine": "locked"},
    ],
    ids=str,
)
def test_parameters_are_checked(clicks, changed):
    X, y = clicks
    with pytest.raises(ValueError):
        FMClassifier(**changed).fit(X, y)


def test_one_class_and_three_are_refused(clicks):
    X, y = clicks
    with pytest.raises(ValueError, match="one class"):
        FMClassifier().fit(X, np.ones(len(y)))
    with pytest.raises(ValueError, match="binary"):
        FMClassifier().fit(X, np.arange(len(y)) % 3)
