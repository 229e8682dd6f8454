"""Vector code over columns equals NumPy for every number of columns, lanes full or not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_classification

from hogwild import SGDClassifier
from hogwild.compiled import kernel
from hogwild.engine import Replicas, Shared
from hogwild.vectors.columns import add_scaled, dot_columns


@kernel
def dot(indices, values, start, stop, weights, scores):
    dot_columns(indices, values, start, stop, weights, scores)


@kernel
def add(target, at, source, start, n, factor):
    add_scaled(target, at, source, start, n, factor)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 7, 8, 15, 16, 17, 20, 31, 33, 50])
def test_sums_are_those_of_numpy(dtype, n_columns):
    rng = np.random.default_rng(n_columns)
    weights = rng.normal(size=(30, n_columns)).astype(dtype)
    for n in (0, 1, 2, 5, 9):
        indices = rng.integers(0, 30, n + 3).astype(np.uint32)
        values = rng.normal(size=n + 3).astype(dtype)
        scores = np.ones(n_columns, dtype)
        dot(indices, values, np.uint64(2), np.uint64(2 + n), weights, scores)
        part = slice(2, 2 + n)
        np.testing.assert_allclose(scores, 1 + values[part] @ weights[indices[part]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 3, 8, 15, 16, 17, 20, 31, 40])
def test_scaled_additions_touch_what_they_should(dtype, n):
    rng = np.random.default_rng(n)
    target, source = rng.normal(size=60).astype(dtype), rng.normal(size=60).astype(dtype)
    expected = target.copy()
    expected[5 : 5 + n] += dtype(0.3) * source[7 : 7 + n]
    add(target, np.uint64(5), source, np.uint64(7), np.uint64(n), dtype(0.3))
    np.testing.assert_allclose(target, expected, rtol=1e-5)


@pytest.mark.parametrize("engine", [Replicas(interval=256), Replicas(head=8, interval=256), Shared()])
@pytest.mark.parametrize("n_classes", [5, 20])
def test_many_classes_on_two_threads_are_those_of_one(engine, n_classes):
    X, y = make_classification(
        3_000, 40, n_informative=25, n_classes=n_classes, n_clusters_per_class=1, class_sep=3.0, random_state=0
    )
    kwargs = {"loss": "log_loss", "alpha": 1e-4, "max_iter": 5, "tol": None, "random_state": 0, "eta0": 0.1}
    for rate in ("constant", "adagrad"):
        one = SGDClassifier(learning_rate=rate, **{**kwargs, "eta0": 0.001 if rate == "constant" else 0.1}).fit(X, y)
        two = SGDClassifier(
            learning_rate=rate, n_jobs=2, engine=engine, **{**kwargs, "eta0": 0.001 if rate == "constant" else 0.1}
        ).fit(X, y)
        assert two.score(X, y) > one.score(X, y) - 0.02
