"""Steps and scores as libffm rounds them, against a slow twin."""

import itertools
import math

import numpy as np
import pytest

from hogwild.data.libffm_model import model_shape
from hogwild.engine.libffm_order import fill_initial_weights
from hogwild.engine.order import draw_order
from hogwild.engine.runners import SequentialRunner
from hogwild.engine.task import Task
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.libffm import libffm_scores, make_libffm_steps
from hogwild.steps.rows import SparseFieldRows


def random_rows(n_rows, n_features, n_fields, *, norms=True, weights=False, seed=0):
    """Rows with repeated, missing and unordered fields, entries beyond the model, and an empty one."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, n_rows)
    lengths[0] = 0
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
    size = int(indptr[-1])
    values = rng.normal(size=size).astype(np.float32)
    squares = np.array([(values[a:b] ** 2).sum() for a, b in itertools.pairwise(indptr)])
    return SparseFieldRows(
        indptr,
        rng.integers(0, n_features + 2, size).astype(np.uint32),
        rng.integers(0, n_fields + 1, size).astype(np.uint32),
        values,
        (1 / np.maximum(squares, 1e-3)).astype(np.float32) if norms else np.empty(0, np.float32),
        rng.choice([-1, 1], n_rows).astype(np.float32),
        rng.integers(1, 4, n_rows).astype(np.float32) if weights else np.empty(0, np.float32),
    )


def pairs(rows, i, n, m):
    entries = range(int(rows.indptr[i]), int(rows.indptr[i + 1]))
    known = [j for j in entries if rows.indices[j] < n and rows.fields[j] < m]
    for place, a in enumerate(known):
        for c in known[place + 1 :]:
            v = rows.values[a] * rows.values[c] * (rows.norms[i] if len(rows.norms) else np.float32(1))
            yield (rows.indices[a], rows.fields[c]), (rows.indices[c], rows.fields[a]), v


def naive_score(weights, rows, i):
    total = np.zeros(4, np.float32)
    for first, second, v in pairs(rows, i, *weights.shape[:2]):
        for q in range(weights.shape[2]):
            total += weights[first][q, 0] * weights[second][q, 0] * v
    return (total[0] + total[1]) + (total[2] + total[3])


def naive_step(weights, rows, i, alpha, eta):
    y, t = float(rows.targets[i]), float(naive_score(weights, rows, i))
    weight = float(rows.weights[i]) if len(rows.weights) else 1.0
    kappa = np.float32(-y / (1 + math.exp(y * t)) * weight)
    for first, second, v in pairs(rows, i, *weights.shape[:2]):
        one, other = weights[first].copy(), weights[second].copy()
        for mine, old, theirs in ((first, one, other), (second, other, one)):
            gradient = np.float32(alpha) * old[:, 0] + kappa * v * theirs[:, 0]
            weights[mine][:, 1] = old[:, 1] + gradient**2
            weights[mine][:, 0] = old[:, 0] - np.float32(eta) * gradient / np.sqrt(weights[mine][:, 1])
    return weight * math.log1p(math.exp(-y * t))


def initial(n, m, k):
    weights = np.empty(model_shape(n, m, k), np.float32)
    fill_initial_weights(weights, k)
    return weights


@pytest.mark.parametrize("k", [2, 4, 7])
@pytest.mark.parametrize("norms", [True, False])
def test_scores(k, norms):
    rows, weights = random_rows(40, 6, 3, norms=norms), initial(6, 3, k)
    expected = [naive_score(weights, rows, i) for i in range(40)]
    np.testing.assert_array_equal(libffm_scores(weights, rows), np.array(expected, np.float32))


@pytest.mark.parametrize("k", [2, 4, 7])
@pytest.mark.parametrize("options", [{}, {"norms": False}, {"weights": True}])
def test_steps(k, options):
    rows, weights = random_rows(60, 6, 3, **options), initial(6, 3, k)
    twin = weights.copy()
    model = make_libffm_steps(weights, 0.01)
    schedule = Schedule(schedule_id("constant"), 0.2, 0.5, 0.0, 0.0, 0.0, 0.0, False, math.inf)
    task = Task(rows, model, {}, (), schedule, *model.blocks.shape, None, settled=())
    task.merges = {"blocks": ("add", True)}
    order = draw_order(np.random.default_rng(0), 60, np.empty(0, np.uint32), False)
    loss, _ = SequentialRunner(task).run(order, 0, 60)
    expected = sum(naive_step(twin, rows, i, 0.01, 0.2) for i in range(60))
    assert loss == pytest.approx(expected, rel=1e-4)  # the estimated root has 12 bits
    np.testing.assert_allclose(weights, twin, rtol=2e-3, atol=2e-3)
