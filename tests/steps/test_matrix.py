"""The compiled steps of matrix factorisation beside their slow twin, and their gradients beside differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from naive_matrix import Twin

from hogwild.engine.order import draw_order
from hogwild.engine.runners import SequentialRunner
from hogwild.estimators import matrix_task
from hogwild.estimators.interactions import seen_rows
from hogwild.estimators.matrix_task import MatrixOptions, Table, make_matrix_task
from hogwild.steps.matrix import LOSSES, padded, score_pairs
from hogwild.steps.rows import PairRows

N_USERS, N_ITEMS, N_ROWS, FIRST = 7, 40, 300, 0.1
NONE = np.empty(0, np.float32)


def options(loss, **changes):
    kept = {
        "loss": loss,
        "n_factors": 15,
        "alpha": 0.05,
        "eta0": 0.05,
        "learning_rate": "constant",
        "power_t": 0.25,
        "biases": True,
        "non_negative": False,
        "n_negatives": 2,
        "init_scale": 0.1,
    }
    return MatrixOptions(**{**kept, **changes})


def problem(loss, seed=0, weighted=False, **changes):
    """A task of the compiled steps, and the twin with the same parameters."""
    rng = np.random.default_rng(seed)
    chosen = options(loss, **changes)
    n, k, width = N_USERS + N_ITEMS + 1, chosen.n_factors, padded(chosen.n_factors)
    adagrad = chosen.learning_rate == "adagrad"
    factors = np.zeros((n, 2 * width if adagrad else width), np.float32)
    factors[:-1, 1 : k + 1] = np.abs(rng.normal(scale=0.5, size=(n - 1, k)))
    if chosen.biases:
        factors[:-1, 0] = rng.normal(size=n - 1)
    if loss == "bpr":
        factors[:N_USERS, 0] = 0.0
    factors[:, width:] = FIRST
    first = rng.integers(0, N_USERS, N_ROWS).astype(np.uint32)
    second = (N_USERS + (N_ITEMS * rng.random(N_ROWS) ** 2).astype(int)).astype(np.uint32)
    signs = loss in ("logistic", "bpr")
    targets = (np.where(rng.random(N_ROWS) < 0.7, 1.0, -1.0) if signs else rng.normal(size=N_ROWS)).astype(np.float32)
    weights = rng.uniform(0.5, 2.0, N_ROWS).astype(np.float32) if weighted else NONE
    seen = seen_rows(first.astype(int), second.astype(int) - N_USERS, N_USERS, N_ITEMS)
    mean = 0.0 if loss == "bpr" else 0.3
    rows = PairRows(first, second, targets, weights)
    task = make_matrix_task(chosen, Table(N_USERS, N_ITEMS, mean, *seen, 17), factors, rows)
    twin = Twin(
        loss,
        factors[:, 0].astype(np.float64),
        factors[:, 1 : k + 1].astype(np.float64),
        N_USERS,
        chosen.alpha,
        mean=mean,
        biases=chosen.biases,
        non_negative=chosen.non_negative,
        adagrad=float(np.float32(FIRST)) if adagrad else 0.0,
        n_negatives=chosen.n_negatives,
        seed=17,
        seen=set(zip(first.tolist(), (second - N_USERS).tolist(), strict=True)),
    )
    return task, twin


def run(task, epochs=2):
    runner, total = SequentialRunner(task), []
    order = draw_order(np.random.default_rng(0), N_ROWS, np.empty(0, np.uint32), False)
    for _ in range(epochs):
        total.append(runner.run(order, 0, N_ROWS)[0])
    return total


def agrees(task, twin, k):
    np.testing.assert_allclose(task.model.factors[:, 0], twin.bias, rtol=2e-3, atol=3e-4)
    np.testing.assert_allclose(task.model.factors[:, 1 : k + 1], twin.factors, rtol=2e-3, atol=3e-4)
    width = padded(k)
    assert not task.model.factors[:, k + 1 : width].any()  # padding
    assert not task.model.factors[-1, :width].any()  # the row of what is unknown


CASES = [
    (loss, rate, biases, non_negative)
    for loss, rate in itertools.product(LOSSES, ("constant", "adagrad"))
    for biases, non_negative in ((True, False), (False, True))
]


@pytest.mark.parametrize(("loss", "rate", "biases", "non_negative"), CASES)
def test_steps_are_those_of_the_twin(loss, rate, biases, non_negative):
    kind = {"learning_rate": rate, "biases": biases, "non_negative": non_negative}
    k = 20 if biases else 15
    task, twin = problem(loss, weighted=biases, n_factors=k, eta0=0.03, **kind)
    rows = task.rows
    weights = rows.weights if rows.weights.size else None
    found = run(task)
    expected = [twin.epoch(rows.first, rows.second, rows.targets, weights, 0.03) for _ in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    agrees(task, twin, k)
    if non_negative:
        assert task.model.factors[:, 1 : k + 1].min() >= 0.0
        assert (task.model.factors[:, 1 : k + 1] == 0.0).any()


@pytest.mark.parametrize("loss", ["logistic", "bpr"])
def test_searching_what_is_seen_draws_the_same_items_as_looking_up_bits(loss, monkeypatch):
    by_bits, _ = problem(loss)
    run(by_bits)
    monkeypatch.setattr(matrix_task, "BITS", 0)
    by_search, _ = problem(loss)
    assert by_search.model.seen_items.size
    assert not by_search.model.seen_bits.size
    run(by_search)
    assert (by_bits.model.factors == by_search.model.factors).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_differences_of_the_objective(loss):
    """A step of plain SGD is eta times the gradient of the row's loss and penalty."""
    task, twin = problem(loss, n_negatives=0, eta0=1e-3, biases=True)
    before, row = task.model.factors.copy(), 5
    rows = task.rows
    task.rows = PairRows(*(array[row : row + 1] for array in rows[:3]), NONE)
    runner = SequentialRunner(task)
    runner.run(draw_order(np.random.default_rng(0), 1, np.empty(0, np.uint32), False), 0, 1)
    moved = (before - task.model.factors.astype(np.float64)) / 1e-3
    u, i, y = int(rows.first[row]), int(rows.second[row]), float(rows.targets[row])
    touched = np.flatnonzero(np.abs(moved).sum(axis=1))
    other = next((x for x in touched.tolist() if x not in (u, i)), None)
    assert (other is not None) == (loss == "bpr")
    h = 1e-5
    for x in touched:
        for j in range(16):
            array, at = (twin.bias, x) if j == 0 else (twin.factors, (x, j - 1))
            if loss == "bpr" and j == 0 and x == u:
                continue  # a bias that changes no order stays 0
            kept = array[at]
            array[at] = kept + h
            above = twin.objective(u, i, y, other)
            array[at] = kept - h
            below = twin.objective(u, i, y, other)
            array[at] = kept
            assert moved[x, j] == pytest.approx((above - below) / (2 * h), rel=1e-2, abs=2e-3)


def test_nobody_draws_an_item_that_the_user_has_seen():
    task, _ = problem("bpr", eta0=0.5)
    everything = np.arange(N_USERS * N_ITEMS)
    users, items = everything // N_ITEMS, everything % N_ITEMS
    left = users * N_ITEMS + items != 3  # user 0 has not seen item 3, everybody else has seen everything
    seen = seen_rows(users[left], items[left], N_USERS, N_ITEMS)
    rows, factors = task.rows, task.model.factors
    before = factors.copy()
    rows = PairRows(rows.first, np.full(N_ROWS, N_USERS, np.uint32), rows.targets, NONE)
    task = make_matrix_task(options("bpr", eta0=0.5), Table(N_USERS, N_ITEMS, 0.0, *seen, 17), factors, rows)
    run(task, 1)
    changed = set(np.flatnonzero((factors != before).any(axis=1)).tolist())
    assert changed == {0, N_USERS, N_USERS + 3}  # the user, the item of all rows, the item drawn


def test_scores_of_pairs():
    task, twin = problem("squared", n_factors=33)
    users, items = np.divmod(np.arange(N_USERS * N_ITEMS), N_ITEMS)
    scores = np.empty(len(users), np.float32)
    score_pairs(
        users.astype(np.uint32), (items + N_USERS).astype(np.uint32), task.model.factors, np.uint64(48), 0.3, scores
    )
    expected = [twin.score(u, i + N_USERS) for u, i in zip(users.tolist(), items.tolist(), strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
