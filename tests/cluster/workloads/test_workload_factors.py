"""Models of factors in phases: factorisation machines, plain and field-aware, and matrix factorisation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from naive_workloads import train
from sklearn.base import clone
from sklearn.metrics import log_loss

import hogwild
from hogwild import FFMClassifier, FFMRegressor, FMClassifier, FMRegressor, MatrixFactorization
from hogwild.cluster.workloads import make_problem, open_source, read_matrix, read_ratings, survey_all
from hogwild.data import FieldRows
from hogwild.data.batch import Batch
from hogwild.data.hog_writer import write_hog

N, FIELDS, EACH = 6_000, 6, 20
SAME = {"max_iter": 3, "shuffle": False, "random_state": 0}


@pytest.fixture(scope="module")
def clicks():
    rng = np.random.default_rng(0)
    indices = (rng.integers(0, EACH, (N, FIELDS)) + EACH * np.arange(FIELDS)).astype(np.uint32)
    v = 0.6 * rng.normal(size=(FIELDS * EACH, 3))
    score = sum((v[indices[:, a]] * v[indices[:, b]]).sum(axis=1) for a in range(FIELDS) for b in range(a))
    y = np.where(score + rng.logistic(size=N) > 0, "yes", "no")
    indptr = np.arange(0, N * FIELDS + 1, FIELDS)
    ones = np.ones(N * FIELDS, np.float32)
    rows = FieldRows(indptr, indices.ravel(), np.tile(np.arange(FIELDS), N), ones, n_features=FIELDS * EACH)
    X = sp.csr_matrix((ones, indices.ravel().astype(np.int32), indptr), shape=(N, FIELDS * EACH))
    return X, rows, y, score


def run(estimator, X, y, **options):
    source = read_matrix(estimator, X, y)
    survey = survey_all(source)
    return train(make_problem(estimator, survey, source), source, survey, **options).fitted


def cost(model, X, y):
    return log_loss(y, model.predict_proba(X))


MACHINES = [
    FFMClassifier(**SAME),
    FFMClassifier(linear_terms=True, **SAME),
    FMClassifier(**SAME),
    FMClassifier(learning_rate="ftrl", **SAME),
    FMClassifier(learning_rate="constant", **SAME),
]


@pytest.mark.parametrize("estimator", MACHINES, ids=str)
def test_one_worker_is_the_sequential_run(clicks, estimator):
    X, fields, y, _ = clicks
    X = fields if isinstance(estimator, FFMClassifier) else X
    alone = clone(estimator).fit(X, y)
    for mode in ("whole", "partial"):
        found = run(estimator, X, y, workers=1, phase_rows=700, chunk_rows=N, mode=mode)
        assert cost(found, X, y) == pytest.approx(cost(alone, X, y), rel=1e-3)
        assert found.loss_curve_ == pytest.approx(alone.loss_curve_, rel=1e-3)


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("estimator", MACHINES[::2], ids=str)
def test_several_workers_come_close(clicks, estimator, workers, tmp_path):
    X, fields, y, _ = clicks
    X = fields if isinstance(estimator, FFMClassifier) else X
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=workers, phase_rows=100)
    assert cost(found, X, y) < 1.15 * cost(alone, X, y)
    hogwild.save(found, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(hogwild.load(tmp_path / "model.safetensors").predict(X), found.predict(X))


@pytest.mark.parametrize("estimator", [FMRegressor(**SAME), FFMRegressor(linear_terms=True, **SAME)], ids=str)
def test_numbers(clicks, estimator):
    X, fields, _, y = clicks
    X = fields if isinstance(estimator, FFMRegressor) else X
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=1, phase_rows=700, chunk_rows=N)
    np.testing.assert_allclose(found.predict(X), alone.predict(X), atol=0.02)


def test_fields_from_files_and_cache_files(clicks, tmp_path):
    _, rows, y, _ = clicks
    alone = cost(FFMClassifier(**SAME).fit(rows, y), rows, y)
    with open(tmp_path / "clicks.ffm", "w") as file:
        for i in range(N):
            entries = rows[i : i + 1]
            pairs = zip(entries.fields.tolist(), entries.indices.tolist(), strict=True)
            file.write(f"{int(y[i] == 'yes')} " + " ".join(f"{f}:{j}:1" for f, j in pairs) + "\n")
    batch = Batch(rows.indptr, rows.indices, rows.values, (y == "yes").astype(np.int64), fields=rows.fields)
    write_hog([batch], tmp_path / "clicks.hog").close()
    for name in ("clicks.ffm", "clicks.hog"):
        source = open_source(tmp_path / name)
        survey = survey_all(source)
        assert (survey.has_fields, survey.n_fields) == (True, FIELDS)
        problem = make_problem(FFMClassifier(**{**SAME, "shuffle": True}), survey, source)
        found = train(problem, source, survey, workers=2, phase_rows=100).fitted
        assert cost(found, rows, (y == "yes").astype(int)) < 1.05 * alone


def test_a_matrix_with_a_field_for_each_column(clicks):
    X, _, y, _ = clicks
    estimator = FFMClassifier(fields=np.repeat(np.arange(FIELDS), EACH), **SAME)
    alone = clone(estimator).fit(X, y)
    found = run(estimator, X, y, workers=1, phase_rows=1_000, chunk_rows=N)
    np.testing.assert_allclose(found.predict_proba(X), alone.predict_proba(X), atol=1e-3)
    with pytest.raises(ValueError, match="fields"):
        run(FFMClassifier(**SAME), sp.csr_matrix((N, 300), dtype=np.float32), y)


def test_initial_values_are_those_of_fit(clicks):
    X, _, y, _ = clicks
    estimator = FMClassifier(**{**SAME, "learning_rate": "constant", "eta0": 1e-30, "max_iter": 1})
    source = read_matrix(estimator, X, y)
    problem = make_problem(estimator, survey_all(source), source)
    expected = clone(estimator).fit(X, y).factors_
    whole = problem.initial(0, problem.layout.n_keys)
    np.testing.assert_array_equal(whole[: FIELDS * EACH, 1:9], expected)
    np.testing.assert_array_equal(problem.initial(30, 70), whole[30:70])


def test_more_classes_than_two(clicks):
    X, _, _, _ = clicks
    with pytest.raises(ValueError, match="binary"):
        run(FMClassifier(), X, np.arange(N) % 3)


# ------------------------------------------------------------------------------------------------ ratings


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 100, 8_000), rng.integers(0, 60, 8_000)
    p, q = rng.normal(size=(100, 3)), rng.normal(size=(60, 3))
    score = (p[users] * q[items]).sum(axis=1)
    return users, items, 3 + score + 0.3 * rng.normal(size=8_000), score > 1


@pytest.mark.parametrize("learning_rate", ["adagrad", "constant"])
def test_ratings(ratings, learning_rate, tmp_path):
    users, items, values, _ = ratings
    estimator = MatrixFactorization(7, max_iter=6, learning_rate=learning_rate, random_state=0)
    alone = clone(estimator).fit(users, items, values).score(users, items, values)
    for workers, tolerance in ((1, 0.05), (2, 0.06), (4, 0.1)):
        problem, source = read_ratings(estimator, users, items, values)
        survey = survey_all(source)
        rows = len(users) if workers == 1 else None
        found = train(problem, source, survey, workers=workers, phase_rows=200, chunk_rows=rows).fitted
        assert found.score(users, items, values) > alone - tolerance
    hogwild.save(found, tmp_path / "model.safetensors")
    loaded = hogwild.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(users, items), found.predict(users, items))


@pytest.mark.parametrize("loss", ["bpr", "logistic"])
def test_choices(ratings, loss):
    users, items, _, liked = ratings
    users, items = users[liked], items[liked]
    others = np.random.default_rng(1).integers(0, 60, len(users))
    estimator = MatrixFactorization(7, loss=loss, max_iter=8, random_state=0)

    def auc(model):
        return (model.predict(users, items) > model.predict(users, others)).mean()

    alone = auc(clone(estimator).fit(users, items))
    for workers in (1, 2):
        problem, source = read_ratings(estimator, users, items)
        found = train(problem, source, survey_all(source), workers=workers, phase_rows=100).fitted
        assert auc(found) > alone - 0.04
    with pytest.raises(ValueError, match="whole model"):
        train(problem, source, survey_all(source), mode="partial")
