"""The scikit-learn estimators: the contract, both sorts of matrices, text, and learners of any configuration."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from naive_online import NaiveClassifier, NaiveRegression
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from hogwild.online.datum import Datum
from hogwild.online.linear import estimators
from hogwild.online.linear.classifier_kernel import METHODS
from hogwild.online.linear.estimators import AROWClassifier, OnlineClassifier, OnlineRegressor, PAClassifier

NAMES = {method: method[0].upper() + method[1:] for method in METHODS}
CLASSIFIERS = [getattr(estimators, f"{name}Classifier") for name in NAMES.values()]
REGRESSORS = [getattr(estimators, f"{name}Regressor") for name in NAMES.values()]
TEXT = {"string_rules": [{"key": "*", "type": "space"}], "num_rules": [{"key": "*", "type": "num"}]}
AROW = {"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": TEXT}


@parametrize_with_checks([kind() for kind in [*CLASSIFIERS, *REGRESSORS]])
def test_scikit_learns_contract(estimator, check):
    check(estimator)


def stream(n=60, d=5):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((n, d)) < 0.6, rng.integers(-8, 9, (n, d)) / 4, 0.0)
    return X, X @ rng.normal(size=d) + 1


def rows(X):
    return [{j: v for j, v in enumerate([*row, 1.0]) if v} for row in X.tolist()]


@pytest.mark.parametrize("method", METHODS)
def test_classifiers_learn_as_their_twins(method):
    X, z = stream()
    y = np.digitize(z, [0, 2])
    naive = NaiveClassifier(method)
    naive.labels = {0: 0, 1: 0, 2: 0}
    for label, x in zip(y.tolist(), rows(X), strict=True):
        naive.train(label, x)
    kind = getattr(estimators, f"{NAMES[method]}Classifier")
    for given in (X, sp.csr_matrix(X)):
        model = kind(shuffle=False).fit(given, y)
        expected = [[naive.scores(x)[label] for label in range(3)] for x in rows(X)]
        assert model.decision_function(given) == pytest.approx(np.array(expected), abs=1e-6)
        assert model.coef_ @ X.T + model.intercept_[:, None] == pytest.approx(np.array(expected).T, abs=1e-6)
        again = kind().partial_fit(given[:20], y[:20], classes=[0, 1, 2]).partial_fit(given[20:], y[20:])
        assert (again.coef_ == model.coef_).all()


@pytest.mark.parametrize("method", METHODS)
def test_regressors_learn_as_their_twins(method):
    X, y = stream()
    naive = NaiveRegression(method, C=0.5, sensitivity=0.1, learning_rate=0.01)
    for target, x in zip(y.tolist(), rows(X), strict=True):
        naive.train(target, x)
    kind = getattr(estimators, f"{NAMES[method]}Regressor")
    values = {"C": 0.5, "epsilon": 0.1, "learning_rate": 0.01, "shuffle": False}
    model = kind(**{name: value for name, value in values.items() if name in kind().get_params()}).fit(X, y)
    assert model.predict(sp.csr_matrix(X)) == pytest.approx([naive.estimate(x) for x in rows(X)], abs=1e-6)
    assert X @ model.coef_ + model.intercept_ == pytest.approx(model.predict(X))


def test_more_passes_go_on():
    X, z = stream()
    one = PAClassifier(max_iter=1, shuffle=False, fit_intercept=False).fit(X, z > 0)
    two = PAClassifier(max_iter=2, shuffle=False, fit_intercept=False).fit(X, z > 0)
    assert (one.partial_fit(X, z > 0).coef_ == two.coef_).all() and two.intercept_ == [0.0]


def test_a_pipeline_learns_text():
    texts = ["cheap pills", "see you there", "cheap watches", "there you are"] * 5
    labels = ["spam", "ham", "spam", "ham"] * 5
    model = make_pipeline(CountVectorizer(), AROWClassifier(random_state=0)).fit(texts, labels)
    assert model.predict(["cheap cheap", "you"]).tolist() == ["spam", "ham"]


def test_a_configuration_learns_data():
    examples = [{"text": "cheap pills", "n": 2}, Datum.of({"text": "see you", "n": 0})]
    model = OnlineClassifier(json.dumps(AROW)).fit(examples, [1, 0])
    assert model.predict(examples).tolist() == [1, 0] and model.classes_.tolist() == [0, 1]
    model.partial_fit([{"text": "third", "n": -3}], [7])
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.decision_function(examples) == model.decision_function(examples)).all()
    assert copy.predict([{"text": "third", "n": -3}]) == [7]
    assert OnlineClassifier(AROW).partial_fit(examples, ["a", "b"], classes=["a", "b", "c"]).classes_.size == 3
    with pytest.raises(ValueError, match="found 2 examples and 1 targets"):
        OnlineClassifier(AROW).fit(examples, [1])


def test_a_configuration_estimates():
    model = OnlineRegressor({**AROW, "parameter": {"sensitivity": 0.0}})
    model.fit([{"x": 1.0}] * 30, [2.0] * 30)
    assert model.predict([{"x": 2.0}]) == pytest.approx(4.0, abs=0.2)
    assert (pickle.loads(pickle.dumps(model)).predict([{"x": 2.0}]) == model.predict([{"x": 2.0}])).all()
