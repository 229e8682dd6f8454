"""Linear models in phases: one worker is the sequential run, several come close to it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from naive_workloads import train
from sklearn.base import clone

import hogwild
from hogwild import SGDClassifier, SGDRegressor
from hogwild.cluster.workloads import make_problem, read_matrix, survey_all
from hogwild.data import make_rcv1_like
from hogwild.losses import LOSSES

N, D = 8_000, 2_000
SAME = {"max_iter": 2, "tol": None, "shuffle": False, "random_state": 0}


@pytest.fixture(scope="module")
def rows():
    X, y = make_rcv1_like(N, D, random_state=0)
    several = np.digitize(np.asarray(X @ np.random.default_rng(0).normal(size=D)), [-0.3, 0.3])
    return X, y, several


def objective(model, X, y):
    """Mean loss and penalty; of several classes the sum over columns."""
    scores = X @ np.atleast_2d(model.coef_).T + model.intercept_
    loss, parameter = LOSSES[model.loss], LOSSES[model.loss].parameter
    a = getattr(model, parameter) if isinstance(parameter, str) else parameter
    if hasattr(model, "classes_") and len(model.classes_) > 2:
        targets = np.where(np.arange(len(model.classes_)) == np.searchsorted(model.classes_, y)[:, None], 1.0, -1.0)
    elif hasattr(model, "classes_"):
        targets = np.where(y == model.classes_[1], 1.0, -1.0)[:, None]
    else:
        targets = y[:, None]
    value = np.vectorize(lambda t, p: loss.value(t, p, a))(targets, scores).sum(axis=1).mean()
    w, share = model.coef_.ravel(), {"l1": 1.0, "elasticnet": model.l1_ratio}.get(model.penalty, 0.0)
    if model.penalty is not None:
        value += model.alpha * (share * np.abs(w).sum() + (1 - share) * 0.5 * (w**2).sum())
    return value


def run(estimator, X, y, **options):
    source = read_matrix(estimator, X, y)
    survey = survey_all(source)
    return train(make_problem(estimator, survey, source), source, survey, **options)


@pytest.mark.parametrize(
    ("parameters", "tolerance"),
    [
        ({"loss": "hinge"}, 1e-4),
        ({"loss": "log_loss"}, 1e-4),
        ({"loss": "log_loss", "penalty": None}, 1e-4),
        ({"loss": "log_loss", "learning_rate": "adagrad", "eta0": 0.3}, 1e-3),
        ({"loss": "log_loss", "learning_rate": "adagrad", "eta0": 0.3, "penalty": "l1", "alpha": 1e-5}, 1e-3),
        ({"loss": "log_loss", "learning_rate": "ftrl", "eta0": 0.3, "penalty": "l1", "alpha": 1e-5}, 1e-4),
        ({"loss": "log_loss", "learning_rate": "ftrl", "eta0": 0.3}, 1e-4),
        ({"loss": "log_loss", "learning_rate": "epoch_decay", "eta0": 0.5}, 1e-4),
        ({"loss": "hinge", "learning_rate": "pa1", "eta0": 0.1}, 1e-4),
    ],
    ids=str,
)
def test_one_worker_is_the_sequential_run(rows, parameters, tolerance):
    X, y, _ = rows
    estimator = SGDClassifier(**SAME, **parameters)
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=1, phase_rows=700, chunk_rows=N)
    assert objective(found.fitted, X, y) == pytest.approx(objective(alone, X, y), rel=tolerance)
    assert found.losses == pytest.approx(alone.loss_curve_, rel=5e-3)
    assert found.fitted.t_ == alone.t_ == 2 * N + 1
    assert found.fitted.n_iter_ == 2


def test_plain_weights_are_nearly_the_same_bits(rows):
    X, y, _ = rows
    alone = SGDClassifier(loss="log_loss", **SAME).fit(X, y)
    found = run(SGDClassifier(loss="log_loss", **SAME), X, y, workers=1, phase_rows=1_000, chunk_rows=N).fitted
    np.testing.assert_allclose(found.coef_, alone.coef_, atol=2e-5 * np.abs(alone.coef_).max())


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_one_worker_with_several_classes(rows, multi_class):
    X, _, y = rows
    estimator = SGDClassifier(loss="log_loss", multi_class=multi_class, **SAME)
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=1, phase_rows=900, chunk_rows=N).fitted
    assert found.coef_.shape == (3, D)
    np.testing.assert_allclose(found.coef_, alone.coef_, atol=1e-4 * np.abs(alone.coef_).max())


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
def test_truncation_at_the_shard_keeps_the_zeros(rows, penalty):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", penalty=penalty, alpha=1e-4, **{**SAME, "max_iter": 4})
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=1, phase_rows=200, chunk_rows=N).fitted
    assert objective(found, X, y) == pytest.approx(objective(alone, X, y), rel=0.02)
    assert (found.coef_ == 0).mean() == pytest.approx((alone.coef_ == 0).mean(), abs=0.1)
    two = run(estimator, X, y, workers=2, phase_rows=200).fitted
    assert (two.coef_ == 0).mean() == pytest.approx((alone.coef_ == 0).mean(), abs=0.1)


@pytest.mark.parametrize("together", [True, False], ids=["bsp", "round robin"])
@pytest.mark.parametrize(("workers", "tolerance"), [(2, 0.05), (4, 0.1), (8, 0.15)])
def test_several_workers_come_close(rows, workers, tolerance, together):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", **{**SAME, "max_iter": 5})
    alone = objective(clone(estimator).fit(X, y), X, y)
    found = run(estimator, X, y, workers=workers, phase_rows=100, together=together)
    assert objective(found.fitted, X, y) < alone * (1 + tolerance)


@pytest.mark.parametrize("merge", ["mean", "damped", "self-tuned"])
def test_merge_rules(rows, merge):
    X, y, _ = rows
    estimator = SGDClassifier(**SAME)
    source = read_matrix(estimator, X, y)
    survey = survey_all(source)
    found = train(make_problem(estimator, survey, source, merge=merge), source, survey, workers=4, phase_rows=100)
    alone = objective(clone(estimator).fit(X, y), X, y)
    assert objective(found.fitted, X, y) < 1.4 * alone
    assert (len(set(found.constants)) > 1) == (merge == "self-tuned")


def test_numbers_and_doubles(rows):
    X, _, _ = rows
    X = X.astype(np.float64)
    y = np.asarray(X @ np.random.default_rng(1).normal(size=D)).ravel()
    estimator = SGDRegressor(eta0=0.1, **SAME)
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=1, phase_rows=1_000, chunk_rows=N).fitted
    assert found.coef_.dtype == np.float64
    np.testing.assert_allclose(found.coef_, alone.coef_, rtol=1e-7, atol=1e-9)
    assert run(estimator, X, y, workers=3, phase_rows=100).fitted.score(X, y) > alone.score(X, y) - 0.05


def test_in_parts_as_well_as_whole(rows):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", **SAME)
    whole = run(estimator, X, y, workers=1, phase_rows=700, chunk_rows=2_000)
    parts = run(estimator, X, y, workers=1, phase_rows=700, chunk_rows=2_000, mode="partial")
    np.testing.assert_allclose(parts.fitted.coef_, whole.fitted.coef_, atol=1e-4 * np.abs(whole.fitted.coef_).max())
    more = run(estimator, X, y, workers=4, phase_rows=100, mode="partial")
    assert objective(more.fitted, X, y) < 1.1 * objective(whole.fitted, X, y)


def test_half_precision_loses_little(rows):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", **SAME)
    alone = objective(clone(estimator).fit(X, y), X, y)
    found = run(estimator, X, y, workers=1, phase_rows=500, chunk_rows=N, half=True)
    assert objective(found.fitted, X, y) == pytest.approx(alone, rel=2e-3)


@pytest.mark.parametrize("n_threads", [2])
def test_threads_within_a_node(rows, n_threads):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", **{**SAME, "shuffle": True})
    alone = objective(clone(estimator).fit(X, y), X, y)
    found = run(estimator, X, y, workers=2, phase_rows=1_000, n_threads=n_threads)
    assert objective(found.fitted, X, y) < 1.1 * alone


def test_dense_rows_and_class_weights(rows):
    X, y, _ = rows
    X = np.ascontiguousarray(X[:2_000, :50].toarray())
    estimator = SGDClassifier(class_weight="balanced", **SAME)
    alone = clone(estimator).fit(X, y[:2_000])
    found = run(estimator, X, y[:2_000], workers=1, phase_rows=300, chunk_rows=2_000).fitted
    np.testing.assert_allclose(found.coef_, alone.coef_, atol=1e-4 * np.abs(alone.coef_).max())


def test_rows_without_weight_do_not_count(rows):
    X, y, _ = rows
    weight = np.ones(N, np.float32)
    weight[::3] = 0.0
    estimator = SGDClassifier(loss="log_loss", **SAME)
    alone = clone(estimator).fit(X, y, sample_weight=weight)
    source = read_matrix(estimator, X, y, weight)
    survey = survey_all(source)
    found = train(make_problem(estimator, survey, source), source, survey, phase_rows=500, chunk_rows=N).fitted
    assert found.t_ == alone.t_
    np.testing.assert_allclose(found.coef_, alone.coef_, atol=1e-4 * np.abs(alone.coef_).max())


def test_goes_on_from_an_earlier_fit_and_leaves_the_argument(rows):
    X, y, _ = rows
    first = SGDClassifier(loss="log_loss", warm_start=True, learning_rate="constant", eta0=0.1, **SAME).fit(X, y)
    before = first.coef_.copy()
    found = run(first, X, y, workers=1, phase_rows=500, chunk_rows=N)
    np.testing.assert_array_equal(first.coef_, before)
    assert found.losses[0] < first.loss_curve_[0]
    assert objective(found.fitted, X, y) < objective(first, X, y)


def test_a_fitted_model_is_saved_and_a_problem_is_sent(rows, tmp_path):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", **SAME)
    source = read_matrix(estimator, X, y)
    survey = survey_all(source)
    problem = pickle.loads(pickle.dumps(make_problem(estimator, survey, source)))
    found = train(problem, pickle.loads(pickle.dumps(source)), survey, workers=2, phase_rows=1_000).fitted
    hogwild.save(found, tmp_path / "model.safetensors")
    loaded = hogwild.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), found.predict(X))
    assert loaded.partial_fit(X, y).score(X, y) > 0.7


def test_a_loss_of_ones_own(rows):
    X, y, _ = rows
    own = (lambda y, p: 0.5 * (p - y) ** 2, lambda y, p: p - y)
    built_in = SGDClassifier(loss="squared_error", learning_rate="constant", eta0=0.05, **SAME)
    found = run(clone(built_in).set_params(loss=own), X, y, workers=1, phase_rows=500, chunk_rows=N).fitted
    np.testing.assert_allclose(found.coef_, built_in.fit(X, y).coef_, atol=1e-4)


def test_a_step_size_is_searched_before_the_job(rows):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", learning_rate="search", **SAME)
    found = run(estimator, X, y, workers=1, phase_rows=500, chunk_rows=N).fitted
    alone = clone(estimator).fit(X, y)
    assert objective(found, X, y) == pytest.approx(objective(alone, X, y), rel=0.05)
    assert found.eta0_ != estimator.eta0


def test_divergence_names_the_step_size(rows):
    X, y, _ = rows
    wild = SGDRegressor(penalty=None, learning_rate="constant", eta0=1e30, **SAME)
    with pytest.raises(hogwild.DivergedError, match="eta0=1e"):
        run(wild, X, y.astype(float), workers=1, phase_rows=2_000, chunk_rows=N)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"average": True}, "average"),
        ({"early_stopping": True}, "early_stopping"),
        ({"learning_rate": "adaptive"}, "adaptive"),
        ({"learning_rate": "search", "search_every": 100}, "search_every"),
        ({"engine": "locked"}, "engine"),
    ],
    ids=str,
)
def test_what_a_cluster_does_not_train(rows, parameters, named):
    X, y, _ = rows
    estimator = SGDClassifier(**{**SAME, **parameters})
    source = read_matrix(estimator, X, y)
    with pytest.raises(ValueError, match=named):
        make_problem(estimator, survey_all(source), source)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (hogwild.LinearSVC(), "SGDClassifier"),
        (hogwild.LogisticRegression(), "SGDClassifier"),
        (hogwild.Ridge(), "SGDRegressor"),
        (hogwild.LinearSVR(), "SGDRegressor"),
        (object(), "SGDClassifier"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimators_that_do_not_run_name_one_that_does(rows, estimator, named):
    X, y, _ = rows
    with pytest.raises(TypeError, match=named):
        read_matrix(estimator, X, y)


@pytest.mark.parametrize("penalty", [None, "l2"])
def test_rare_features_may_be_exchanged_less_often(rows, penalty):
    X, y, _ = rows
    estimator = SGDClassifier(loss="log_loss", penalty=penalty, **{**SAME, "max_iter": 4})
    source = read_matrix(estimator, X, y)
    survey = survey_all(source)
    problem = make_problem(estimator, survey, source)
    hot = np.sort(np.argsort(-np.bincount(X.indices, minlength=X.shape[1]))[:50]).astype(np.uint32)

    def trained(workers, tail_every):
        return train(problem, source, survey, workers=workers, phase_rows=100, hot=hot, tail_every=tail_every)

    alone, rare = trained(1, 1), trained(1, 4)
    np.testing.assert_allclose(rare.table, alone.table, rtol=2e-3, atol=2e-3)
    two, rare = trained(2, 1), trained(2, 4)
    assert objective(rare.fitted, X, y) == pytest.approx(objective(two.fitted, X, y), rel=0.05)
    assert not np.array_equal(rare.table, two.table)
