"""The estimators beyond scikit-learn's contract: bad input, what lives on, what is handed over."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.linear_model
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier as Peer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hogwild import SGDClassifier, SGDRegressor
from hogwild.data import make_rcv1_like, make_sparse_regression
from hogwild.engine import Replicas, Shared

RATES = ["optimal", "constant", "invscaling", "adaptive", "pa1", "epoch_decay", "search", "adagrad", "ftrl"]


@pytest.fixture(scope="module")
def binary():
    return make_classification(600, 15, n_informative=8, random_state=0)


@pytest.fixture(scope="module")
def text():
    return make_rcv1_like(6_000, 2_000, random_state=0)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("average", [False, True])
def test_pickled_estimator_goes_on_as_if_it_had_not_been(binary, rate, average):
    if rate == "ftrl" and average:
        pytest.skip("not defined")
    X, y = binary
    clf = SGDClassifier(learning_rate=rate, eta0=0.05, penalty="elasticnet", average=average, random_state=0)
    clf.partial_fit(X[:300], y[:300], classes=[0, 1])
    other = pickle.loads(pickle.dumps(clf))
    deep = copy.deepcopy(clf)
    for estimator in (clf, other, deep):
        estimator.partial_fit(X[300:], y[300:])
    assert np.array_equal(clf.coef_, other.coef_)
    assert np.array_equal(clf.coef_, deep.coef_)
    assert clf.t_ == other.t_ == 601


@pytest.mark.parametrize("rate", RATES)
def test_partial_fit_in_parts_equals_one_epoch(binary, rate):
    X, y = binary
    kwargs = {"learning_rate": rate, "eta0": 0.05, "shuffle": False, "tol": None, "random_state": 0, "penalty": "l1"}
    if rate == "search":  # looks for eta0 on the rows it is given
        pytest.skip("the rows of the search differ")
    whole = SGDClassifier(max_iter=1, **kwargs).fit(X, y)
    parts = SGDClassifier(**kwargs)
    for low in range(0, 600, 200):
        parts.partial_fit(X[low : low + 200], y[low : low + 200], classes=[0, 1])
    assert np.allclose(whole.coef_, parts.coef_, rtol=1e-9, atol=1e-12)


def test_weights_that_the_user_puts_in_are_kept(binary):
    X, y = binary
    clf = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1])
    clf.coef_ = np.zeros_like(clf.coef_)
    clf.intercept_ = np.zeros_like(clf.intercept_)
    fresh = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1])
    assert clf.decision_function(X).max() == 0
    clf.partial_fit(X, y)
    assert not np.array_equal(clf.coef_, fresh.coef_)
    sparsified = clf.sparsify()
    sparsified.partial_fit(X, y)


def test_memory_is_not_copied(text):
    X, y = text
    X.data.flags.writeable = X.indices.flags.writeable = X.indptr.flags.writeable = False  # a read-only memory map
    try:
        clf = SGDClassifier(random_state=0, max_iter=2, tol=None).fit(X, y)
        assert clf.coef_.dtype == np.float32
        wide = sp.csr_matrix((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape)
        wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
        again = SGDClassifier(random_state=0, max_iter=2, tol=None).fit(wide, y)
        assert np.array_equal(clf.coef_, again.coef_)
    finally:
        X.data.flags.writeable = X.indices.flags.writeable = X.indptr.flags.writeable = True


def test_unsorted_rows_count_as_sorted_and_repeated_entries_add_up(text):
    X, y = text
    X, y = X[:500], y[:500]
    turned = X.copy()
    for i in range(X.shape[0]):
        part = slice(X.indptr[i], X.indptr[i + 1])
        turned.indices[part] = turned.indices[part][::-1]
        turned.data[part] = turned.data[part][::-1]
    turned.has_sorted_indices = False
    kwargs = {"random_state": 0, "max_iter": 3, "tol": None}
    expected = SGDClassifier(**kwargs).fit(X, y)
    assert np.allclose(SGDClassifier(**kwargs).fit(turned, y).coef_, expected.coef_, atol=1e-4)
    halves = sp.csr_matrix((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), X.indptr * 2), X.shape)
    before = halves.nnz
    assert np.allclose(SGDClassifier(**kwargs).fit(halves, y).coef_, expected.coef_, atol=1e-4)
    assert halves.nnz == before, "the user's matrix is left alone"


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(text, n_jobs, value):
    X, y = text
    X = X.copy()
    X.data[-1] = value
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        SGDClassifier(n_jobs=n_jobs).fit(X, y)


def test_malformed_matrix_is_refused(text):
    X, y = text
    X = X.copy()
    X.indices[5] = X.shape[1] + 3
    with pytest.raises(ValueError, match="beyond its 2000 columns"):
        SGDClassifier().fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((4, 2)), [1, 1, 1, 1], "number of classes has to be greater than one"),
        (np.ones((0, 2)), [], "0 sample"),
        (np.ones((1, 2)), [1], "number of classes"),
        (np.ones((4, 2)), [0.5, 1.5, 2.5, 3.5], "Unknown label type"),
        (np.ones((4, 2)), [0, 1, 0], "inconsistent numbers of samples"),
    ],
)
def test_bad_data_are_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        SGDClassifier().fit(X, y)


def test_another_width_is_refused(binary):
    X, y = binary
    clf = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="15 features"):
        clf.partial_fit(X[:, :7], y)
    with pytest.raises(ValueError, match="15 features"):
        clf.predict(X[:, :7])
    with pytest.raises(ValueError, match=r"y\[0\] is 7"):
        clf.partial_fit(X[:2], [7, 1])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"engine": "turbo"}, "engine"),
        ({"n_jobs": 0}, "n_jobs=0 has no meaning"),
        ({"learning_rate": "ftrl", "average": True}, "average is not defined"),
        ({"learning_rate": "pa1", "loss": "log_loss"}, "only works with loss 'hinge'"),
        ({"learning_rate": "optimal", "alpha": 0}, "alpha must be > 0"),
        ({"shuffle": "sometimes"}, "shuffle"),
    ],
)
def test_bad_parameters_are_named(binary, kwargs, message):
    with pytest.raises(ValueError, match=message):
        SGDClassifier(**kwargs).fit(*binary)


def test_bad_engine_settings_are_named():
    with pytest.raises(ValueError, match="interval must be at least 1"):
        Replicas(interval=0)
    with pytest.raises(ValueError, match="merge must be one of"):
        Replicas(merge="median")
    with pytest.raises(ValueError, match="leave head unset"):
        Replicas(deterministic=True, head=100)


def test_deterministic_names_the_memory_limit(text, monkeypatch):
    monkeypatch.setattr("hogwild.engine.runners.MEMORY_LIMIT", 10_000)
    with pytest.raises(ValueError, match="the limit is"):
        SGDClassifier(n_jobs=2, engine=Replicas(deterministic=True)).fit(*text)


@pytest.mark.parametrize("rate", RATES)
def test_handed_to_scikit_learn(binary, rate):
    X, y = binary
    clf = SGDClassifier(learning_rate=rate, eta0=0.05, random_state=0, shuffle="full").fit(X, y)
    peer = clf.to_sklearn()
    assert type(peer) is Peer
    assert np.array_equal(peer.predict(X), clf.predict(X))
    peer.partial_fit(X, y)
    reg = SGDRegressor(random_state=0).fit(X, y.astype(float)).to_sklearn()
    assert isinstance(reg, sklearn.linear_model.SGDRegressor)
    reg.predict(X)


def test_pipelines_grids_and_calibration(binary):
    X, y = binary
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), SGDClassifier(random_state=0, max_iter=20, tol=None)),
        {"sgdclassifier__alpha": [1e-4, 1e-3], "sgdclassifier__engine": ["auto", Shared()]},
        cv=3,
    ).fit(X, y)
    assert grid.best_score_ > 0.7
    calibrated = CalibratedClassifierCV(SGDClassifier(random_state=0), cv=3).fit(X, y)
    assert calibrated.predict_proba(X).shape == (600, 2)
    documents = ["good film", "bad film", "good book", "bad book"] * 10
    fitted = make_pipeline(TfidfVectorizer(), SGDClassifier(random_state=0)).fit(documents, ["+", "-"] * 20)
    assert fitted.predict(["good"]) == ["+"]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_many_classes_reach_what_scikit_learn_reaches(n_jobs):
    X, y = make_rcv1_like(8_000, 2_000, n_classes=5, random_state=0)
    kwargs = {"alpha": 1e-5, "max_iter": 5, "tol": None, "random_state": 0}
    ours = SGDClassifier(n_jobs=n_jobs, intercept_decay=0.01, **kwargs).fit(X[:6_000], y[:6_000])
    peer = Peer(**kwargs).fit(X[:6_000], y[:6_000])
    assert ours.score(X[6_000:], y[6_000:]) > peer.score(X[6_000:], y[6_000:]) - 0.03


def test_text_labels_of_three_kinds_are_kept(binary):
    X, y = binary
    for labels in (np.where(y, "yes", "no"), y.astype(bool), np.where(y, 2.0, -1.0), np.where(y, 10**12, -5)):
        clf = SGDClassifier(random_state=0, max_iter=5, tol=None).fit(X, labels)
        assert clf.classes_.dtype == labels.dtype
        assert set(clf.predict(X)) <= set(labels)


def test_the_article():
    """20,000 x 10 rows of density .2: mean absolute error of the weights under .005 after 5 epochs (texts, A)."""
    X, y, coef = make_sparse_regression(20_000, 10, density=0.2, random_state=0)
    for n_jobs, engine in ((1, "auto"), (2, Replicas(interval=32)), (2, Shared())):
        reg = SGDRegressor(
            penalty=None,
            fit_intercept=False,
            learning_rate="constant",
            eta0=0.002,
            max_iter=5,
            tol=None,
            n_jobs=n_jobs,
            engine=engine,
            random_state=0,
        ).fit(X, y)
        assert np.abs(reg.coef_ - coef).mean() < 0.005


def test_search_finds_a_step_size_for_any_scale(binary):
    X, y = binary
    for scale in (1e-2, 1.0, 1e2):
        clf = SGDClassifier(loss="log_loss", learning_rate="search", max_iter=20, tol=None, random_state=0)
        clf.fit(X * scale, y)
        assert clf.score(X * scale, y) > 0.75
    again = SGDClassifier(learning_rate="search", search_every=500, max_iter=5, tol=None, random_state=0).fit(X, y)
    assert again.eta0_ > 0
