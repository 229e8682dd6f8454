"""`minimize` over rows that are opened, not loaded."""

from __future__ import annotations

from typing import NamedTuple

import naive_own
import numpy as np
import pytest
import scipy.sparse as sp

import hogwild


class Weights(NamedTuple):
    w: np.ndarray


@hogwild.step(w="damped")
def squared(row, params, eta):
    w, score = params.w, 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905  compiled
        score += w[j] * x
    error = score - row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        w[j] -= eta * error * x
    return error * error / 2


def squared_loss(row, params):
    error = -row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        error += params.w[j] * x
    return error * error / 2


@pytest.fixture
def written(tmp_path):
    rng = np.random.default_rng(0)
    X = sp.random(3_000, 20, 0.3, "csr", np.float32, random_state=rng)
    X.data = np.round(X.data, 4)
    y = np.round(X @ rng.normal(size=20), 4).astype(np.float32)
    path = tmp_path / "rows.svm"
    hogwild.data.dump_svmlight(X, y, path, zero_based=True)
    return path, X, y


@pytest.mark.parametrize("cached", [False, True])
def test_opened_rows_are_the_rows_in_memory(written, tmp_path, cached):
    path, X, y = written
    rows = hogwild.data.open(path, zero_based=True)
    if cached:
        hogwild.data.write_hog(rows, tmp_path / "rows.hog", shuffle=False)
        rows = hogwild.data.open(tmp_path / "rows.hog")
    start = Weights(np.zeros(20))
    result = hogwild.minimize(squared, rows, start, schedule=0.1, epochs=2, sampling="file", loss=squared_loss)
    visits = [np.arange(3_000)] * 2
    w, losses = naive_own.least_squares(X.toarray().astype(float), y.astype(float), np.zeros(20), visits, lambda t: 0.1)
    np.testing.assert_allclose(result.params.w, w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.history.progressive, losses, rtol=1e-4)
    np.testing.assert_allclose(result.history.loss[-1], np.mean((X @ w - y) ** 2) / 2, rtol=1e-3)
    threads = hogwild.minimize(squared, rows, start, schedule=0.1, epochs=3, n_jobs=2, loss=squared_loss)
    assert threads.n_threads == 2 and threads.history.loss[-1] < 2 * result.history.loss[-1] + 1e-3


def test_features_beyond_the_parameters_are_seen(written):
    path, _, _ = written
    with pytest.raises(IndexError):
        hogwild.minimize(squared, hogwild.data.open(path, zero_based=True), Weights(np.zeros(19)), schedule=0.1)


def test_what_opened_rows_cannot_do(written):
    path, _, _ = written
    for settings, message in [
        ({"engine": "processes"}, "opened rows come to threads"),
        ({"sampling": "with_replacement"}, "not drawn with replacement"),
        ({"engine": "locked"}, "give n_features="),
        ({"trace": True}, "give n_features="),
    ]:
        with pytest.raises(ValueError, match=message):
            rows = hogwild.data.open(path, zero_based=True)
            hogwild.minimize(squared, rows, Weights(np.zeros(20)), schedule=0.1, n_jobs=2, **settings)


def test_text_labels_are_refused(tmp_path):
    path = tmp_path / "rows.svm"
    path.write_text("spam 1:0.5\nham 2:1\n")
    with pytest.raises(ValueError, match=r"labels of dtype .*, expected numbers"):
        hogwild.minimize(squared, hogwild.data.open(path), Weights(np.zeros(20)), schedule=0.1, n_jobs=2)
