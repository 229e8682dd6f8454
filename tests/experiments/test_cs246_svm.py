"""The SVM experiment of CS246: whole at a tiny size, and its figures those of a naive twin."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import check_grad

from hogwild import SGDClassifier
from hogwild.experiments import find
from hogwild.experiments.cs246_svm import problem as problem_module
from hogwild.experiments.cs246_svm import solvers
from hogwild.experiments.cs246_svm.precision import seconds_to
from hogwild.experiments.cs246_svm.problem import CONSTANT, Problem, Trace, load
from hogwild.experiments.cs246_svm.step_sizes import after_an_epoch
from hogwild.experiments.cs246_svm.subsets import conjugate_gradient
from hogwild.experiments.findings import Measured, Picture, Published, Setting
from hogwild.experiments.text_rows import Documents


def made(n_rows: int = 300, n_features: int = 20, seed: int = 0) -> Problem:
    """A small dense problem in sparse clothes, with the constant column."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows + 100, n_features)) / np.sqrt(n_features)
    y = np.where(X @ rng.normal(size=n_features) + 0.3 * rng.normal(size=len(X)) > 0, 1.0, -1.0)
    X = sp.csr_matrix(np.column_stack([X, np.full(len(X), CONSTANT)]))
    return Problem(X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], "made up", strength=1e-2)


def naive_objective(problem: Problem, coef: np.ndarray, power: int) -> float:
    total = 0.0
    for row, label in zip(problem.X.toarray(), problem.y, strict=True):
        total += max(0.0, 1.0 - label * float(np.sum(row * coef))) ** power
    return problem.strength / 2 * float(np.sum(coef**2)) + total / len(problem.y)


@pytest.mark.parametrize("squared", [False, True])
def test_the_objective_is_that_of_a_naive_twin(squared):
    problem = made()
    coef = np.random.default_rng(1).normal(size=21)
    assert problem.objective(coef, squared) == pytest.approx(naive_objective(problem, coef, 1 + squared))


def test_the_slope_is_that_of_the_objective():
    problem = made()
    coef = np.random.default_rng(1).normal(size=21)
    assert problem.slope(coef)[0] == pytest.approx(problem.objective(coef, squared=True))
    assert check_grad(lambda w: problem.slope(w)[0], lambda w: problem.slope(w)[1], coef) < 1e-5


def test_all_solvers_come_to_the_same_optimum():
    problem = made()
    best, gap, _ = solvers.optimum(problem)
    assert 0 <= gap <= 1e-5 * best
    for _, _, make in solvers._solvers(Setting(), problem):
        _, model = problem_module.seconds_of(lambda make=make: make(200).fit(problem.X, problem.y))
        assert best - 2 * gap <= problem.objective(model.coef_) <= 1.02 * best
    quadratic = solvers.quadratic_times(problem)
    assert quadratic.rows == [250, 300]  # all rows at last: there is nothing to extrapolate
    assert quadratic.objectives[-1] == pytest.approx(best, rel=0.02)
    assert solvers._beyond(quadratic, problem.n_rows) == []


def test_a_power_law_is_found_again():
    exponent, factor = solvers.power_law([100, 200, 400], [3e-6 * n**2.5 for n in (100, 200, 400)])
    assert (exponent, factor) == pytest.approx((2.5, 3e-6))


def test_an_epoch_with_a_step_size_is_one_of_naive_steps():
    problem = made(64)
    order = np.random.default_rng(0).permutation(np.uint32(64))
    coef, X = np.zeros(21), problem.X.toarray()
    for t, i in enumerate(order):
        eta = 0.5 / (1 + problem.strength * 0.5 * t)
        inside = problem.y[i] * float(np.sum(X[i] * coef)) <= 1
        coef *= 1 - eta * problem.strength
        coef += eta * inside * problem.y[i] * X[i]
    assert after_an_epoch(problem, 0.5) == pytest.approx(naive_objective(problem, coef, 1), rel=1e-6)


def test_the_search_keeps_a_step_size_that_is_no_worse_than_its_neighbours():
    problem = made()
    found = problem.sgd(learning_rate="search", max_iter=1).fit(problem.X, problem.y).eta0_
    assert after_an_epoch(problem, found) < after_an_epoch(problem, found * 100)
    assert after_an_epoch(problem, found) < after_an_epoch(problem, found / 100)


def test_traces_hold_the_weights_of_each_epoch():
    problem = made()
    trace = Trace().fit(problem.sgd(max_iter=3), problem)
    alone = problem.sgd(max_iter=3).fit(problem.X, problem.y)
    assert len(trace.weights) == 3
    assert np.array_equal(trace.weights[-1], alone.coef_.ravel())
    assert trace.seconds == sorted(trace.seconds)
    course = conjugate_gradient(problem)
    values = [problem.objective(weights, squared=True) for weights in course.weights]
    assert values == sorted(values, reverse=True)


def test_the_time_to_a_level_is_the_first_at_it():
    points = ([1.0, 2.0, 3.0], [0.5, 0.01, np.nan])  # not a number: nearer than the optimum is known
    assert [seconds_to(points, level) for level in (0.5, 0.1, 1e-6)] == [1.0, 2.0, 3.0]
    assert seconds_to(([1.0], [0.5]), 0.1) is None


def test_an_epoch_of_the_course_is_the_public_estimator_s():
    problem = made()
    ours = SGDClassifier(alpha=1e-2, fit_intercept=False, tol=None, random_state=0, max_iter=2).fit(
        problem.X, problem.y
    )
    assert np.array_equal(problem.sgd(max_iter=2).fit(problem.X, problem.y).coef_, ours.coef_)


def test_real_rows_are_shuffled_and_get_the_constant_column(monkeypatch):
    X = sp.csr_matrix(np.arange(1.0, 41.0, dtype=np.float32)[:, None])
    y = np.repeat([-1, 1], 20)
    monkeypatch.setattr(problem_module, "load_documents", lambda setting: Documents(X, y, X[:5], y[:5], "mine"))
    problem = load(Setting(data=("mine.svm",)))
    assert problem.X.shape == (40, 2)
    assert (problem.X.toarray()[:, 1] == CONSTANT).all()
    assert 0 < np.mean(problem.y[:20] > 0) < 1
    assert np.array_equal(problem.X.toarray()[:, 0] > 20, problem.y > 0)


def test_data_of_three_classes_are_an_error(tmp_path):
    path = tmp_path / "three.svm"
    path.write_text("0 1:1\n1 1:2\n2 2:1\n")
    with pytest.raises(ValueError, match="found 3 classes, expected 2"):
        find("cs246-svm").run(Setting(data=(str(path),)))


@pytest.mark.slow
def test_the_experiment_is_whole():
    findings = find("cs246-svm").run(Setting(scale=0.005, threads=1))
    tables = [part for part in findings.parts if isinstance(part, Measured)]
    pictures = [part for part in findings.parts if isinstance(part, Picture)]
    keys = ["solvers", "qp", "precision", "subsets", "step-sizes", "margins", "amount", "classes"]
    assert [table.key for table in tables] == keys
    assert [picture.key for picture in pictures] == [
        "qp-time",
        "precision",
        "subsets",
        "step-sizes",
        "margins",
        "amount",
    ]
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    assert sum(isinstance(part, Published) for part in findings.parts) == 1
    assert all(statement.holds in (True, False, None) for statement in findings.statements)
    assert all(isinstance(statement.holds, bool | None) for statement in findings.statements)
    extrapolated = [row for row in tables[0].rows if "EXTRAPOLATED" in row[0]]
    assert len(extrapolated) == 1
    assert extrapolated[0][4] is None
