"""Fits over cache files: the same bits as in memory, every row once an epoch, and what is left when one is damaged."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp

import hogwild
from hogwild import SGDClassifier, SGDRegressor
from hogwild.data import Batch, DataError, write_hog
from hogwild.data.hog import HogFile
from hogwild.engine import Replicas

N_ROWS, N_USED, WIDTH = 3000, 150, 400
SETTINGS = {"loss": "log_loss", "alpha": 1e-4, "eta0": 0.1, "max_iter": 3, "tol": None, "random_state": 0}


@dataclass
class Problem:
    X: sp.csr_matrix
    margins: np.ndarray

    def labels(self, kind: str) -> np.ndarray:
        if kind == "number":
            return np.round(self.margins, 3) + 0.25
        if kind == "three":
            return np.digitize(self.margins, [-0.5, 0.5])
        two = self.margins > 0
        return {
            "int": np.where(two, 7, -3),
            "float": np.where(two, 2.0, -1.0),
            "text": np.where(two, "spam", "häm"),
        }[kind]

    def batch(self, labels, weights=()) -> Batch:
        X, labels = self.X, np.asarray(labels)
        ends = X.indptr.astype(np.uint64)
        return Batch(ends, X.indices.astype(np.uint32), X.data, labels, np.asarray(weights, np.float32))


@pytest.fixture(scope="module")
def problem() -> Problem:
    rng = np.random.default_rng(0)
    used = np.sort(rng.permutation(WIDTH)[:N_USED])
    frequency = 1 / np.arange(2, N_USED + 2)
    lengths = rng.integers(1, 12, N_ROWS)
    rows = [rng.choice(N_USED, n, replace=False, p=frequency / frequency.sum()) for n in lengths]
    indices, indptr = used[np.concatenate(rows)], np.concatenate([[0], np.cumsum(lengths)])
    data = rng.normal(size=len(indices)).astype(np.float32)
    X = sp.csr_matrix((data, indices, indptr), (N_ROWS, WIDTH))
    return Problem(X, X @ rng.normal(size=WIDTH) + 0.3 * rng.normal(size=N_ROWS))


def written(folder, batch: Batch, **options) -> HogFile:
    return write_hog([batch], folder / "rows.hog", n_features=WIDTH, **options)


def in_memory(cache: HogFile):
    """The rows of a cache in its order and its numbering: matrix, labels, weights."""
    blocks = [cache.block(k) for k in range(cache.n_blocks)]
    matrices = [
        sp.csr_matrix(
            (b.values, b.indices.astype(np.int32), b.indptr.astype(np.int64)), (len(b.indptr) - 1, cache.n_columns)
        )
        for b in blocks
    ]
    labels = np.concatenate([b.numbers if b.codes is None else cache.labels[b.codes] for b in blocks])
    weights = np.concatenate([b.weights for b in blocks])
    return sp.vstack(matrices, "csr"), labels, weights if len(weights) else None


def original(coef: np.ndarray, cache: HogFile, start: float = 0.0) -> np.ndarray:
    """Weights in the file's numbering as those of the original features."""
    found = np.full((len(np.atleast_2d(coef)), cache.n_features), start, coef.dtype)
    found[:, cache.numbering] = coef
    return found


def same_fit(clf, memory, cache):
    np.testing.assert_array_equal(np.atleast_2d(clf.coef_), original(memory.coef_, cache))
    np.testing.assert_array_equal(clf.intercept_, memory.intercept_)
    assert (clf.coef_.dtype, clf.t_, clf.n_iter_) == (np.float32, memory.t_, memory.n_iter_)
    np.testing.assert_allclose(clf.loss_curve_, memory.loss_curve_, rtol=1e-6)
    assert clf.n_features_in_ == cache.n_features


def objective(clf, X, y) -> float:
    margins = clf.decision_function(X) * np.where(y == clf.classes_[1], 1, -1)
    return np.logaddexp(0, -margins).mean() + 0.5 * clf.alpha * float((clf.coef_**2).sum())


# ------------------------------------------------------------------------------------------------ one block

OPTIONS = [
    {},
    {"penalty": "l1", "learning_rate": "constant"},
    {"average": True, "learning_rate": "constant"},
    {"learning_rate": "adagrad"},
    {"learning_rate": "adagrad", "penalty": "elasticnet", "average": 500},
    {"learning_rate": "ftrl", "penalty": "l1"},
    {"learning_rate": "pa1", "loss": "hinge"},
    {"learning_rate": "adaptive", "tol": 1e-3, "max_iter": 8, "n_iter_no_change": 1},
    {"learning_rate": "epoch_decay", "decay": 0.5},
    {"learning_rate": "search"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())) or "default")
@pytest.mark.parametrize("kind", ["int", "three"])
def test_one_block_has_the_bits_of_memory(problem, tmp_path, options, kind):
    with written(tmp_path, problem.batch(problem.labels(kind))) as cache:
        assert cache.n_blocks == 1
        settings = SETTINGS | {"shuffle": False} | options
        X, y, _ = in_memory(cache)
        same_fit(SGDClassifier(**settings).fit(cache), SGDClassifier(**settings).fit(X, y), cache)


@pytest.mark.parametrize("options", [{}, {"learning_rate": "adagrad", "loss": "huber"}, {"learning_rate": "search"}])
def test_one_block_of_numbers(problem, tmp_path, options):
    with written(tmp_path, problem.batch(problem.labels("number"))) as cache:
        settings = {**SETTINGS, "loss": "squared_error", "shuffle": False, **options}
        X, y, _ = in_memory(cache)
        same_fit(SGDRegressor(**settings).fit(cache), SGDRegressor(**settings).fit(X, y), cache)


def test_features_may_keep_their_numbers(problem, tmp_path):
    with written(tmp_path, problem.batch(problem.labels("int")), shuffle=False, renumber=False) as cache:
        settings = SETTINGS | {"shuffle": False}
        clf, memory = (
            SGDClassifier(**settings).fit(cache),
            SGDClassifier(**settings).fit(problem.X, problem.labels("int")),
        )
        np.testing.assert_array_equal(clf.coef_, memory.coef_)


@pytest.mark.parametrize("class_weight", [None, "balanced", "of each"])
@pytest.mark.parametrize("kind", ["int", "float", "text", "three"])
def test_labels_and_their_weights(problem, tmp_path, kind, class_weight):
    y = problem.labels(kind)
    weights = np.random.default_rng(1).choice([0.5, 1.0, 2.0], N_ROWS)
    if class_weight == "of each":
        class_weight = dict(zip(np.unique(y).tolist(), (0.5, 3.0, 2.0), strict=False))
    with written(tmp_path, problem.batch(y, weights)) as cache:
        settings = SETTINGS | {"shuffle": False, "class_weight": class_weight}
        X, labels, weights = in_memory(cache)
        clf = SGDClassifier(**settings).fit(cache)
        same_fit(clf, SGDClassifier(**settings).fit(X, labels, sample_weight=weights), cache)
        assert clf.classes_.tolist() == np.unique(y).tolist() and clf.classes_.dtype.kind == y.dtype.kind
        assert clf.score(problem.X, y) > 0.6


# ------------------------------------------------------------------------------------------------ several blocks


@pytest.mark.parametrize("rate", ["optimal", "adagrad"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_several_blocks_reach_what_memory_reaches(problem, tmp_path, rate, n_jobs):
    y = problem.labels("int")
    settings = SETTINGS | {"learning_rate": rate, "max_iter": 30, "alpha": 1e-3}
    with written(tmp_path, problem.batch(y), block_bytes=20_000) as cache:
        assert cache.n_blocks > 5
        seen = []
        clf = SGDClassifier(**settings, n_jobs=n_jobs, callback=seen.append).fit(cache)
        assert clf.n_threads_ == n_jobs
        memory = SGDClassifier(**settings).fit(problem.X, y)
        assert objective(clf, problem.X, y) < objective(memory, problem.X, y) * (1.01 if n_jobs == 1 else 1.02)
        ends = [progress for progress in seen if progress.epoch_ended]
        assert [progress.rows for progress in ends] == [N_ROWS * epoch for epoch in range(1, 31)]
        assert {progress.total_rows for progress in seen} == {30 * N_ROWS}
        assert clf.t_ == 1 + 30 * N_ROWS
        if n_jobs == 1:
            again = SGDClassifier(**settings, callback=seen.append).fit(cache)
            np.testing.assert_array_equal(again.coef_, clf.coef_)
            other = SGDClassifier(**settings | {"random_state": 1}).fit(cache)
            assert not np.array_equal(other.coef_, clf.coef_)


def test_blocks_in_their_order_have_the_bits_of_memory(problem, tmp_path):
    with written(tmp_path, problem.batch(problem.labels("int")), block_bytes=20_000) as cache:
        settings = SETTINGS | {"shuffle": False}
        X, y, _ = in_memory(cache)
        same_fit(SGDClassifier(**settings).fit(cache), SGDClassifier(**settings).fit(X, y), cache)


def test_shards_are_one_cache(problem, tmp_path):
    batch = problem.batch(problem.labels("int"))
    with written(tmp_path, batch, shards=3, block_bytes=20_000) as cache:
        settings = SETTINGS | {"shuffle": False}
        X, y, _ = in_memory(cache)
        same_fit(SGDClassifier(**settings).fit(cache), SGDClassifier(**settings).fit(X, y), cache)


def test_deterministic_threads(problem, tmp_path):
    with written(tmp_path, problem.batch(problem.labels("int")), block_bytes=20_000) as cache:
        settings = SETTINGS | {"n_jobs": 2, "engine": Replicas(deterministic=True)}
        one, two = (SGDClassifier(**settings).fit(cache) for _ in range(2))
        np.testing.assert_array_equal(one.coef_, two.coef_)


# ------------------------------------------------------------------------------------------------ row weights


def test_rows_of_weight_0_are_skipped(problem, tmp_path):
    y = problem.labels("int")
    weights = np.ones(N_ROWS)
    weights[::3] = 0
    weights[1000:2000] = 0  # whole blocks
    seen = []
    with written(tmp_path, problem.batch(y, weights), block_bytes=10_000, shuffle=False) as cache:
        assert any(not cache.block(k).weights.any() for k in range(cache.n_blocks))
        settings = SETTINGS | {"shuffle": False}
        clf = SGDClassifier(**settings, callback=seen.append).fit(cache)
        assert clf.t_ == 1 + 3 * np.count_nonzero(weights)
        assert [p.rows for p in seen if p.epoch_ended] == [np.count_nonzero(weights) * epoch for epoch in (1, 2, 3)]
        X, labels, weights = in_memory(cache)
        same_fit(clf, SGDClassifier(**settings).fit(X, labels, sample_weight=weights), cache)


def test_nothing_but_rows_of_weight_0(problem, tmp_path):
    with (
        written(tmp_path, problem.batch(problem.labels("int"), np.append(np.zeros(N_ROWS - 1), 0.0))) as cache,
        pytest.raises(ValueError, match="found no rows to train on"),
    ):
        SGDClassifier(**SETTINGS).fit(cache)


# ------------------------------------------------------------------------------------------------ labels


def test_too_many_labels(tmp_path):
    n = (1 << 16) + 10
    ends = np.arange(n + 1, dtype=np.uint64)
    batch = Batch(ends, np.arange(n, dtype=np.uint32) % 7, np.ones(n, np.float32), np.arange(n) % n)
    with write_hog([batch], tmp_path / "rows.hog") as cache:
        assert cache.labels is None
        with pytest.raises(ValueError, match="more than 65,536 different labels"):
            SGDClassifier().fit(cache)
        reg = SGDRegressor(max_iter=1, tol=None, learning_rate="adagrad", eta0=1.0, penalty=None).fit(cache)
        assert reg.t_ == n + 1


def test_words_are_no_numbers(problem, tmp_path):
    with (
        written(tmp_path, problem.batch(problem.labels("text"))) as cache,
        pytest.raises(ValueError, match="labels that are words"),
    ):
        SGDRegressor().fit(cache)


def test_fractions_are_no_classes(problem, tmp_path):
    with (
        written(tmp_path, problem.batch(problem.labels("number"))) as cache,
        pytest.raises(ValueError, match="continuous"),
    ):
        SGDClassifier().fit(cache)


def test_one_class(problem, tmp_path):
    with (
        written(tmp_path, problem.batch(np.ones(N_ROWS, int))) as cache,
        pytest.raises(ValueError, match="number of classes has to be greater than one"),
    ):
        SGDClassifier().fit(cache)


# ------------------------------------------------------------------------------------------------ early stopping


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("block_bytes", [1 << 20, 10_000, 1])
@pytest.mark.parametrize("kind", ["int", "three", "number"])
def test_early_stopping_holds_out_every_nth_row(problem, tmp_path, kind, block_bytes, weighted):
    n = N_ROWS if block_bytes > 1 else 60  # blocks of one row each
    batch = problem.batch(problem.labels(kind)).rows(0, n)
    if weighted:
        weights = np.random.default_rng(1).choice([0.0, 1.0, 2.0], n).astype(np.float32)
        batch = batch._replace(weights=weights)
    settings = SETTINGS | {"early_stopping": True, "validation_fraction": 0.2, "shuffle": False}
    if kind == "number":
        settings |= {"loss": "squared_error", "learning_rate": "constant", "eta0": 0.01}
    estimator = (SGDRegressor if kind == "number" else SGDClassifier)(**settings)
    with written(tmp_path, batch, block_bytes=block_bytes) as cache:
        assert (cache.n_blocks > 1) == (block_bytes < 1 << 20)
        estimator.fit(cache)
        X, y, weights = in_memory(cache)
        weights = np.ones(n) if weights is None else weights
        held = np.arange(n) % 5 == 4
        trained = ~held & (weights > 0)
        assert estimator.t_ == 1 + 3 * trained.sum()
        memory = type(estimator)(**settings | {"early_stopping": False, "tol": None})
        memory.fit(X[trained], y[trained], sample_weight=weights[trained].astype(np.float32))
        np.testing.assert_allclose(
            np.atleast_2d(estimator.coef_), original(memory.coef_, cache), rtol=1e-3, atol=1e-3
        )  # scores bring the weights up to date in between
        original_order = sp.csr_matrix((X.data, cache.numbering[X.indices], X.indptr), (n, WIDTH))
        expected = estimator.score(original_order[held], y[held], sample_weight=weights[held])
        assert estimator.validation_scores_[-1] == pytest.approx(expected, abs=1e-5)
        assert len(estimator.validation_scores_) == 3


def test_early_stopping_stops(problem, tmp_path):
    settings = SETTINGS | {"early_stopping": True, "tol": 1e-3, "max_iter": 100, "n_iter_no_change": 2}
    with written(tmp_path, problem.batch(problem.labels("int")), block_bytes=20_000) as cache:
        clf = SGDClassifier(**settings).fit(cache)
        assert clf.n_iter_ < 100
        assert max(clf.validation_scores_) > 0.75


# ------------------------------------------------------------------------------------------------ going on


def test_warm_start_keeps_what_the_cache_does_not_hold(problem, tmp_path):
    y = problem.labels("int")
    start = np.random.default_rng(3).normal(size=(1, WIDTH)).astype(np.float32)
    with written(tmp_path, problem.batch(y)) as cache:
        settings = SETTINGS | {"shuffle": False}
        clf = SGDClassifier(**settings, warm_start=True).fit(cache, coef_init=start, intercept_init=[0.5])
        X, labels, _ = in_memory(cache)
        memory = SGDClassifier(**settings).fit(
            X, labels, coef_init=start[:, cache.numbering], intercept_init=np.array([0.5])
        )
        np.testing.assert_array_equal(clf.coef_[:, cache.numbering], memory.coef_)
        absent = np.setdiff1d(np.arange(WIDTH), cache.numbering)
        assert len(absent) > 100
        np.testing.assert_array_equal(clf.coef_[:, absent], start[:, absent])
        before = clf.coef_.copy()
        clf.fit(cache)
        again = SGDClassifier(**settings).fit(X, labels, coef_init=memory.coef_, intercept_init=memory.intercept_)
        np.testing.assert_array_equal(clf.coef_[:, cache.numbering], again.coef_)
        np.testing.assert_array_equal(clf.coef_[:, absent], before[:, absent])


@pytest.mark.parametrize("rate", ["optimal", "adagrad", "ftrl"])
def test_partial_fit_and_another_cache_go_on(problem, tmp_path, rate):
    y = problem.labels("int")
    settings = SETTINGS | {"shuffle": False, "learning_rate": rate, "penalty": "l1"}
    with written(tmp_path, problem.batch(y), renumber=False, shuffle=False) as plain:
        expected = SGDClassifier(**settings).fit(plain)
        expected.partial_fit(problem.X[:500], y[:500])
    with written(tmp_path, problem.batch(y), shuffle=False) as cache:
        clf = SGDClassifier(**settings).fit(cache)
        clf.partial_fit(problem.X[:500], y[:500])
    assert clf.t_ == expected.t_ == 1 + 3 * N_ROWS + 500
    np.testing.assert_allclose(clf.coef_, expected.coef_, rtol=1e-5, atol=1e-6)


def test_saved_and_loaded(problem, tmp_path):
    y = problem.labels("text")
    with written(tmp_path, problem.batch(y)) as cache:
        clf = SGDClassifier(**SETTINGS, learning_rate="adagrad").fit(cache)
    hogwild.save(clf, tmp_path / "model")
    loaded = hogwild.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(problem.X), clf.predict(problem.X))
    for estimator in (clf, loaded):
        estimator.partial_fit(problem.X[:500], y[:500])
    np.testing.assert_array_equal(loaded.coef_, clf.coef_)


# ------------------------------------------------------------------------------------------------ callbacks and ends


def test_callbacks_see_original_features(problem, tmp_path):
    y = problem.labels("int")
    scores = []

    def look(progress):
        if progress.epoch_ended:
            assert clf.coef_.shape == (1, WIDTH)
            scores.append(clf.score(problem.X, y))

    with written(tmp_path, problem.batch(y), block_bytes=20_000) as cache:
        clf = SGDClassifier(**SETTINGS, callback=look)
        clf.fit(cache)
    assert len(scores) == 3 and min(scores) > 0.75
    assert scores[-1] == clf.score(problem.X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_callback_stops(problem, tmp_path, n_jobs):
    with written(tmp_path, problem.batch(problem.labels("int")), block_bytes=20_000) as cache:
        clf = SGDClassifier(**SETTINGS, n_jobs=n_jobs, callback=lambda progress: progress.rows > 1000)
        clf.fit(cache)
        assert clf.n_iter_ == 1 and 1000 < clf.t_ - 1 < N_ROWS
        assert clf.coef_.shape == (1, WIDTH)


def test_errors_of_callbacks_arrive(problem, tmp_path):
    def fail(progress):
        raise RuntimeError("enough")

    with written(tmp_path, problem.batch(problem.labels("int")), block_bytes=20_000) as cache:
        clf = SGDClassifier(**SETTINGS, callback=fail)
        with pytest.raises(RuntimeError, match="enough"):
            clf.fit(cache)
        assert clf.coef_.shape == (1, WIDTH) and clf.coef_.any()


def test_ctrl_c(problem, tmp_path):
    y, told = problem.labels("int"), []

    def interrupt(progress):
        told.append(progress)
        if progress.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with written(tmp_path, problem.batch(y), block_bytes=20_000) as cache:
        clf = SGDClassifier(**SETTINGS, callback=interrupt)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(cache)
    assert told[-1].epoch == 2 and len(clf.loss_curve_) == 2
    assert clf.coef_.shape == (1, WIDTH)
    assert clf.t_ == told[-1].rows + 1
    assert clf.score(problem.X, y) > 0.7


@pytest.mark.parametrize("first", [False, True])
def test_damaged_block(problem, tmp_path, first):
    y = problem.labels("int")
    settings = SETTINGS | {"shuffle": False, "average": False}
    with written(tmp_path, problem.batch(y), block_bytes=20_000) as cache:
        n_before = 0 if first else int(cache.block_rows[:-1].sum())
        X, labels, _ = in_memory(cache)
        values = cache.block(0 if first else cache.n_blocks - 1).values
        damaged = values[5:9].tobytes()
        numbering = cache.numbering
    path = tmp_path / "rows.hog"
    content = path.read_bytes()
    assert content.count(damaged) == 1
    path.write_bytes(content.replace(damaged, bytes(16)))
    with HogFile(path) as cache:
        clf = SGDClassifier(**settings)
        with pytest.raises(DataError, match=r"rows.hog: found an altered block"):
            clf.fit(cache)
        assert clf.coef_.shape == (1, WIDTH) and clf.n_features_in_ == WIDTH
        assert clf.t_ == 1 + n_before
    if n_before:
        memory = SGDClassifier(**settings).partial_fit(X[:n_before], labels[:n_before], classes=[-3, 7])
        np.testing.assert_allclose(clf.coef_[:, numbering], memory.coef_, rtol=1e-5, atol=1e-6)
        assert clf.predict(problem.X).shape == (N_ROWS,)
        assert (clf.n_iter_, clf.n_threads_, clf.loss_curve_) == (0, 1, [])
