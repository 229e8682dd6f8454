"""The experiment on sharing: what it counts agrees with naive twins, and all of it runs at a tiny size."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hogwild.data import dump_svmlight
from hogwild.experiments import find
from hogwild.experiments.findings import Measured, Picture, Remark, Setting
from hogwild.experiments.sharing import collisions, density, documents, lines, lost, timing
from hogwild.experiments.sharing.kernels import lossy_epoch
from hogwild.experiments.writing import write_findings


@pytest.fixture
def brief(monkeypatch):
    """Little of everything."""
    monkeypatch.setattr("hogwild.experiments.sharing.LEAST", 1_000)
    monkeypatch.setattr(lines, "ADDITIONS", 2_000)
    monkeypatch.setattr(lines, "TRIES", 3)
    monkeypatch.setattr(timing, "N_EPOCHS", 4)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setattr(density, "LEAST_ROWS", 1_000)
    monkeypatch.setattr(documents, "INTERVALS", (16, 256, 32_768))
    monkeypatch.setattr(documents, "REPLICAS", (2, 64))
    monkeypatch.setattr(lost, "TRACED_ROWS", 600)
    monkeypatch.setattr(lost, "MERGES", 5)
    monkeypatch.setattr(collisions, "ROWS", 600)
    monkeypatch.setattr(collisions, "TEST_ROWS", 200)
    monkeypatch.setattr(collisions, "FEATURES", 300)
    monkeypatch.setattr(collisions, "EPOCHS", (1, 3))


@pytest.mark.parametrize("threads", [1, 2])
def test_all_parts_are_whole_and_can_be_written(brief, tmp_path, threads):
    experiment = find("sharing")
    findings = experiment.run(Setting(scale=1e-6, threads=threads))
    tables = [part for part in findings.parts if isinstance(part, Measured)]
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    pictures = [part for part in findings.parts if isinstance(part, Picture)]
    assert all(len({part.key for part in parts}) == len(parts) for parts in (tables, pictures))
    assert {part.key for part in pictures} >= {"crowds", "collisions"}
    assert any(isinstance(part, Remark) for part in findings.parts)
    assert len({each.claim for each in findings.statements}) == len(findings.statements) == 19
    assert all(each.holds in (True, False, None) for each in findings.statements)
    assert any(each.holds is None for each in findings.statements) or threads > 1
    write_findings(experiment, findings, {}, tmp_path / "out")
    assert (tmp_path / "out" / "crowds.png").stat().st_size > 1_000
    assert json.loads((tmp_path / "out" / "findings.json").read_text())["name"] == "sharing"


def test_the_same_claims_are_made_whatever_the_number_of_threads(brief):
    claims = [[each.claim for each in lines.measure_lines(Setting(threads=n))[1]] for n in (1, 2)]
    assert claims[0] == claims[1]


@pytest.mark.parametrize("shared", [False, True])
def test_indivisible_additions_all_arrive(shared):
    run = lines.add_together(8, 4, shared=shared, indivisible=True, seed=0)
    assert run.lost == 0
    assert run.ns > 0
    assert 0 <= run.together <= 1


def test_own_words_lose_nothing():
    assert lines.add_together(64, 4, shared=False, indivisible=False, seed=0).lost == 0


def test_merges_under_locks_lose_nothing_and_one_thread_loses_nothing_without():
    assert lost.count_lost_deltas(8, 10_000, 20, locked=True) == 0
    assert lost.count_lost_deltas(1, 10_000, 20, locked=False) == 0


def naive_lossy_epoch(X, y, order, w, eta, share, state):
    """The same draws and steps, one number at a time, on plain Python integers."""
    for i in order:
        row = X[i]
        change = eta * y[i] / (1 + np.exp(y[i] * float(row.data.astype(float) @ w[row.indices])))
        for j, x in zip(row.indices, row.data, strict=True):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            if (state >> 40) / 2**24 >= share:
                w[j] += change * x
    return state


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_lossy_steps_agree_with_the_naive_twin(share):
    X, y = density.make_rows(50, 0.1, 3)
    w, twin, order = np.zeros(X.shape[1]), np.zeros(X.shape[1]), np.random.default_rng(0).permutation(50)
    arrays = X.indptr.astype(np.uint64), X.indices.astype(np.uint32), X.data, y.astype(float), order.astype(np.uint64)
    state = lossy_epoch(*arrays, w, 0.5, share, np.uint64(7))
    assert int(state) == naive_lossy_epoch(X, y, order, twin, 0.5, share, 7)
    np.testing.assert_allclose(w, twin, rtol=1e-12)
    assert bool(w.any()) == (share < 1)


def test_lossy_steps_lose_the_share_that_was_asked_for():
    X, y = density.make_rows(1, 1 / 300, 0)
    X.data[:] = 1
    touched = 0
    for seed in range(300):
        w = np.zeros(X.shape[1])
        arrays = X.indptr.astype(np.uint64), X.indices.astype(np.uint32), X.data, y.astype(float)
        lossy_epoch(*arrays, np.zeros(1, np.uint64), w, 1.0, 0.25, np.uint64(seed * 7919))
        touched += np.count_nonzero(w)
    assert touched / (300 * density.A_ROW) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("share", [1.0, 0.1, 0.001])
def test_rows_have_the_density_and_no_feature_twice(share):
    X, y = density.make_rows(200, share, 0)
    assert X.shape == (200, round(density.A_ROW / share))
    assert X.nnz == 200 * density.A_ROW
    assert X.has_canonical_format
    assert set(np.unique(y)) == {-1, 1}


def test_collisions_repeat_exactly():
    problem = collisions.make_problem(5)
    assert collisions.lossy_path(problem, 0.1) == collisions.lossy_path(problem, 0.1)


def test_costs_are_of_the_slices_in_which_the_threads_ran():
    costs = np.array([[1.0, 2.0], [1.2, 1.9], [9.0, 0.5], [8.0, 0.6], [7.0, 0.7]])
    assert timing.together(costs, 2) == 2
    assert timing.typical_cost(costs, 2) == pytest.approx(1.1)
    assert timing.typical_cost(costs[2:], 2) == 7.0


def test_rates_are_compared_only_where_the_threads_ran():
    quick, slow = timing.Rate(1.0, True), timing.Rate(2.0, True)
    assert timing.faster(quick, slow) is True
    assert timing.faster(slow, quick) is False
    assert timing.faster(quick, slow._replace(undisturbed=False)) is None


def test_data_of_three_classes_are_refused(tmp_path):
    X, _ = density.make_rows(30, 1.0, 0)
    dump_svmlight(X, np.arange(30) % 3, tmp_path / "three.svm")
    with pytest.raises(ValueError, match="found 3 classes, expected 2"):
        find("sharing").run(Setting(data=(str(tmp_path / "three.svm"),)))
