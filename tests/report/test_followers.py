"""Followers as callbacks of everything that fits: epochs are written whatever runs, and nothing is stopped."""

from __future__ import annotations

import contextlib
import csv

import numpy as np
import pytest

import hogwild
from hogwild.data import make_rcv1_like
from hogwild.report import HistoryFile, TensorBoard

N, EPOCHS = 600, 3
SGD = {"max_iter": EPOCHS, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    return make_rcv1_like(N, 40, random_state=0)


@pytest.fixture
def followers(tmp_path):
    """Return a callback that tells a file and, where it can be written, TensorBoard; and what reads the file."""
    followed = [HistoryFile(tmp_path / "history.csv")]
    with contextlib.suppress(ImportError):
        followed.append(TensorBoard(tmp_path / "run"))

    def tell(progress):
        assert [follower(progress) for follower in followed] == [None] * len(followed)

    def lines():
        with open(tmp_path / "history.csv", newline="") as file:
            return [{name: float(cell) for name, cell in line.items()} for line in csv.DictReader(file)]

    yield tell, lines
    for follower in followed:
        follower.close()


def check(lines, epochs=EPOCHS, rows=N):
    assert [line["epoch"] for line in lines] == list(range(1, epochs + 1))
    assert [line["rows"] for line in lines] == [rows * epoch for epoch in range(1, epochs + 1)]
    assert all(np.isfinite(line["loss"]) and line["rows_per_second"] > 0 for line in lines)
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_sgd(data, followers, n_jobs):
    tell, lines = followers
    estimator = hogwild.SGDClassifier(n_jobs=n_jobs, callback=tell, **SGD).fit(*data)
    check(lines())
    assert [line["loss"] for line in lines()] == estimator.loss_curve_


def test_factors(data, followers):
    tell, lines = followers
    hogwild.FMClassifier(callback=tell, **SGD).fit(*data)
    check(lines())


def test_matrix_factorization(followers):
    tell, lines = followers
    rng = np.random.default_rng(0)
    users, items = rng.integers(30, size=N), rng.integers(20, size=N)
    hogwild.MatrixFactorization(callback=tell, **SGD).fit(users, items, rng.random(N))
    check(lines())


def test_graph_cut(followers):
    tell, lines = followers
    rng = np.random.default_rng(0)
    u, v = rng.integers(40, size=(2, N))
    hogwild.GraphCut(callback=tell, **SGD).fit((u, v), {"left": [0], "right": [1]})
    assert len(lines()) == EPOCHS


def test_dual(data, followers):
    tell, lines = followers
    X, y = data
    estimator = hogwild.LinearSVC(callback=tell, tol=1e-12, max_iter=EPOCHS, random_state=0)
    estimator.fit(X, y)
    assert [line["epoch"] for line in lines()] == list(range(1, len(lines()) + 1))


def test_every_problem_of_several_classes_is_written(followers):
    tell, lines = followers
    X, y = make_rcv1_like(N, 40, n_classes=3, random_state=0)
    hogwild.LinearSVC(callback=tell, max_iter=200, random_state=0).fit(X, y)
    assert [line["epoch"] for line in lines()].count(1.0) == 3


def test_cross_validation(data, followers):
    tell, lines = followers
    hogwild.SGDClassifierCV(alpha=[1e-4, 1e-3], cv=2, callback=tell, max_iter=EPOCHS).fit(*data)
    assert {line["epoch"] for line in lines()} == {1, 2, 3}
    assert all(np.isfinite(line["loss"]) for line in lines())


def test_minimize(followers):
    tell, lines = followers
    rows = {"x": np.random.default_rng(0).random(N)}

    def step(row, params, eta):
        error = params.w[0] * row.x - 1.0
        params.w[0] -= eta * error * row.x
        return 0.5 * error * error

    hogwild.minimize(step, rows, {"w": np.zeros(1)}, schedule=0.1, epochs=EPOCHS, callback=tell)
    check(lines())


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_cluster(data, followers):
    pytest.importorskip("ray")
    from hogwild.cluster import fit

    tell, lines = followers
    fit(hogwild.SGDClassifier(**SGD), data, workers=2, callback=tell)
    assert [line["epoch"] for line in lines()] == [1, 2, 3]
