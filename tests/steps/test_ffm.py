"""The field-aware machine's step against its naive twin: rows of every kind, both vector paths, split memory."""

from __future__ import annotations

import numpy as np
import pytest
from naive_ffm import NaiveFfm

from hogwild.compiled import aligned_copy, kernel
from hogwild.estimators.ffm_task import ffm_loss, ffm_scores, make_ffm_task, new_ffm_state, row_norms, split_blocks
from hogwild.steps.base import make_work, step
from hogwild.steps.ffm import score
from hogwild.steps.rows import SparseFieldRows
from hogwild.steps.weights import Split, box_hot

N_FEATURES, N_FIELDS = 30, 6
EMPTY = np.empty(0, np.float32)


@kernel
def run_steps(rows, model, work, losses):
    for i in range(np.uint64(losses.size)):
        losses[i] = step(rows, i, model, work, np.uint64(0))


@kernel
def one_score(rows, i, model, work):
    return score(rows, i, model, work)


def draw_row(rng, kind, n_fields=N_FIELDS, n_features=N_FEATURES):
    """Entries (field, feature, value)."""
    values = rng.normal(size=50).astype(np.float32)
    fields = np.arange(n_fields)
    if kind == "missing":
        fields = fields[rng.random(n_fields) < 0.7]
    elif kind == "unordered":
        fields = rng.permutation(fields)
    elif kind == "repeated":
        fields = rng.integers(0, n_fields, 9)
    elif kind == "long":
        fields = rng.integers(0, n_fields, 50)
    elif kind == "single":
        fields = fields[:1]
    elif kind == "empty":
        fields = fields[:0]
    features = rng.permutation(n_features)[: len(fields)] if len(fields) <= n_features else None
    if features is None or kind == "twins":
        features = rng.integers(0, 3, len(fields))
    if kind == "zeros":
        values[::2] = 0
    if kind == "unknown":
        features[0] = n_features + 3
        fields = fields.copy()
        fields[-1] = n_fields + 5
    return [(int(f), int(j), float(v)) for f, j, v in zip(fields, features, values, strict=False)]


KINDS = ("dense", "missing", "unordered", "repeated", "long", "single", "empty", "twins", "zeros", "unknown")


def as_field_rows(rows, targets, weights=None, normalised=True):
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.uint64)
    flat = [entry for row in rows for entry in row]
    columns = list(zip(*flat, strict=True)) if flat else [(), (), ()]
    fields, features = (np.array(column, np.uint32) for column in columns[:2])
    targets = np.array(targets, np.float32)
    weights = EMPTY if weights is None else np.array(weights, np.float32)
    made = SparseFieldRows(indptr, features, fields, np.array(columns[2], np.float32), EMPTY, targets, weights)
    return made._replace(norms=row_norms(made)) if normalised else made


def make_both(rng, rows, n_factors, *, loss="log_loss", alpha=0.01, eta=0.1, linear=False, portable=False, n_fields=6):
    normalised = rows.norms.size > 0
    state = new_ffm_state(N_FEATURES, n_fields, n_factors, rng, linear=linear)
    task = make_ffm_task(rows, state, n_fields=n_fields, n_factors=n_factors, loss=loss, alpha=alpha, eta0=eta)
    model = task.model._replace(settings=task.model.settings._replace(portable=portable, large=True))
    weights = split_blocks(state.arrays["blocks"], n_fields, n_factors)[0]
    weights = weights.reshape(N_FEATURES, n_fields, -1)[:, :, :n_factors]
    naive = NaiveFfm(weights, loss=loss, alpha=alpha, eta=eta, normalised=normalised, linear=linear)
    work = make_work(task.n_columns, np.dtype(np.float32))
    work.eta[:] = eta
    return state, model, naive, work


def check_equal(state, naive, n_factors, tolerance=2e-4, n_fields=6):
    weights, sums = split_blocks(state.arrays["blocks"], n_fields, n_factors)
    weights, sums = (part.reshape(*part.shape[:2], -1) for part in (weights, sums))
    np.testing.assert_allclose(weights[:, :, :n_factors], naive.w, atol=tolerance)
    np.testing.assert_allclose(sums[:, :, :n_factors], naive.G, rtol=1e-3)
    assert not weights[:, :, n_factors:].any()
    assert (sums[:, :, n_factors:] == 1).all()
    if naive.linear:
        np.testing.assert_allclose(state.arrays["linear"], np.stack((naive.u, naive.H), 1), atol=tolerance, rtol=1e-3)
        np.testing.assert_allclose(state.arrays["bias"], [naive.b, naive.B], atol=tolerance, rtol=1e-3)


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("n_factors", [1, 3, 4, 5, 8, 12])
@pytest.mark.parametrize(("loss", "linear", "normalised"), [("log_loss", False, True), ("squared_error", True, False)])
@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_steps_equal_those_of_the_naive_twin(kind, loss, linear, normalised, n_factors, portable):
    rng = np.random.default_rng([n_factors, portable, linear])
    kinds = KINDS if kind == "all" else [kind] * 6
    rows = [draw_row(rng, one) for one in kinds]
    targets, weights = rng.choice([-1.0, 1.0], len(rows)), rng.uniform(0.5, 2, len(rows))
    made = as_field_rows(rows, targets, weights, normalised)
    options = {"loss": loss, "linear": linear, "portable": portable, "eta": 0.02}
    state, model, naive, work = make_both(rng, made, n_factors, **options)
    losses = np.zeros(len(rows))
    run_steps(made, model, work, losses)
    expected = [naive.step(*row) for row in zip(rows, targets, weights, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=2e-3, atol=1e-3)
    check_equal(state, naive, n_factors, 5e-3 if kind in ("long", "all") else 1e-3)


@pytest.mark.parametrize("n_fields", [1, 2, 4, 7, 12])
def test_any_number_of_fields(n_fields):
    rng = np.random.default_rng(n_fields)
    rows = [draw_row(rng, kind, n_fields) for kind in ("dense", "missing", "unordered") for _ in range(4)]
    targets = rng.choice([-1.0, 1.0], len(rows))
    made = as_field_rows(rows, targets)
    state, model, naive, work = make_both(rng, made, 4, n_fields=n_fields)
    run_steps(made, model, work, np.zeros(len(rows)))
    for row, y in zip(rows, targets, strict=True):
        naive.step(row, y)
    check_equal(state, naive, 4, n_fields=n_fields)


@pytest.mark.parametrize("linear", [False, True])
def test_split_memory_gives_what_one_array_gives(linear):
    rng = np.random.default_rng(5)
    rows = [draw_row(rng, kind) for kind in KINDS for _ in range(5)]
    made = as_field_rows(rows, rng.choice([-1.0, 1.0], len(rows)))
    state, model, _, work = make_both(rng, made, 5, linear=linear)
    before = state.copy()
    run_steps(made, model, work, np.zeros(len(rows)))
    hot, arrays = np.array([0, 3, 4, 17, 29], np.uint32), {}
    for name in ("blocks", "linear") if linear else ("blocks",):
        tail = before.arrays[name]
        arrays[name] = Split(aligned_copy(tail[hot]), tail)
        box_hot(tail, hot)
    split = model._replace(bias=before.arrays["bias"], **arrays)
    run_steps(made, split, work, np.zeros(len(rows)))
    for name, (head, tail) in arrays.items():
        tail[hot] = head
        np.testing.assert_array_equal(tail, state.arrays[name])


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_step_follows_finite_differences_of_the_loss(loss):
    rng = np.random.default_rng(2)
    row = draw_row(rng, "dense")
    made = as_field_rows([row], [1.0])
    state, model, naive, work = make_both(rng, made, 2, loss=loss, alpha=0.0, eta=1e-3)
    before = state.arrays["blocks"].copy()
    run_steps(made, model, work, np.zeros(1))
    changes = split_blocks(state.arrays["blocks"] - before, N_FIELDS, 2)[0].reshape(N_FEATURES, N_FIELDS, 4)
    for _, j, _ in row:
        for f in range(N_FIELDS):
            for d in range(2):
                losses = []
                for shift in (1e-5, -2e-5):
                    naive.w[j, f, d] += shift
                    losses.append(naive.value(1.0, naive.score(row)))
                naive.w[j, f, d] += 1e-5
                g = (losses[0] - losses[1]) / 2e-5
                assert changes[j, f, d] == pytest.approx(-1e-3 * g / np.sqrt(1 + g * g), abs=1e-6, rel=1e-2)


@pytest.mark.parametrize("normalised", [False, True])
def test_scores_and_loss(normalised):
    rng = np.random.default_rng(3)
    rows = [draw_row(rng, kind) for kind in KINDS for _ in range(3)]
    targets = rng.choice([-1.0, 1.0], len(rows))
    made = as_field_rows(rows, targets, normalised=normalised)
    state, model, naive, work = make_both(rng, made, 4)
    found = ffm_scores(made, state, n_fields=N_FIELDS, n_factors=4)
    expected = [naive.score(row) for row in rows]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert one_score(made, np.uint64(0), model, work) == found[0]
    mean = np.mean([naive.value(y, t) for y, t in zip(targets, expected, strict=True)])
    assert ffm_loss(made, state, n_fields=N_FIELDS, n_factors=4) == pytest.approx(mean, rel=1e-4)
