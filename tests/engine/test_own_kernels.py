"""Parts of the loops around a user's own step."""

from __future__ import annotations

from typing import NamedTuple

import naive_own
import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.engine.engines import Replicas
from hogwild.engine.order import draw_order, epoch_rows
from hogwild.engine.own_data import as_own_data
from hogwild.engine.own_functions import surroundings, why_not
from hogwild.engine.own_kernels import make_loops, sort_unique
from hogwild.engine.own_replicas import OwnReplicasRunner
from hogwild.engine.own_task import OwnTask, resolve_schedule
from hogwild.steps.own import SPARSE, Declared, view_of


class Weights(NamedTuple):
    w: np.ndarray
    b: np.ndarray


def squared(row, params, eta):
    error = -row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905  compiled
        error += params.w[j] * x
    for j, x in zip(row.indices, row.values):  # noqa: B905
        params.w[j] -= eta * error * x
    params.b[0] += 1.0
    return error * error / 2


def hinge(row, params, eta):
    margin = 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905
        margin += params.w[j] * x * row.target
    if margin < 1.0:
        for j, x in zip(row.indices, row.values):  # noqa: B905
            params.w[j] += eta * row.target * x
    return max(0.0, 1.0 - margin)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_keys_are_sorted_and_unique(keys):
    array = np.array(keys, np.uint64)
    n = sort_unique(array, np.uint64(len(keys)))
    assert array[:n].tolist() == sorted(set(keys))


def replicas_runner(step, X, y, start):
    declared = Declared({"w": "damped", "b": "add"})
    data = as_own_data((X, y))
    names = ("rows", "kept", "longest", "coordinates", "n_coordinates", "row_length")
    asked = {name: getattr(data, name) for name in names}
    task = OwnTask(**asked, view=view_of(data.rows), step=step, loss=None, params=start, sizes=resolve_schedule(0.1))
    runner = OwnReplicasRunner(task, Replicas(), 2, np.random.default_rng(0), declared)
    runner.compile(lambda: (task.view.row(task.rows, np.uint32(0)), task.params, 1.0))
    return runner


def test_curvature_is_measured_as_the_row_sums_of_the_hessian():
    rng = np.random.default_rng(0)
    X = sp.random(200, 15, 0.4, "csr", random_state=rng)
    y = np.sign(rng.normal(size=200))
    start = Weights(rng.normal(size=15), np.zeros(1))
    runner = replicas_runner(squared, X, y, start)
    measured = runner._probe(np.arange(200, dtype=np.uint32), 0.1)
    np.testing.assert_allclose(measured, naive_own.row_sums(X.toarray()), rtol=1e-6)
    np.testing.assert_array_equal(runner.task.params.w, start.w)  # nothing has moved
    of_hinge = replicas_runner(hinge, X, y, Weights(np.zeros(15), np.zeros(1)))
    measured = of_hinge._probe(np.arange(200, dtype=np.uint32), 0.1)
    np.testing.assert_allclose(measured, 0.25 * naive_own.row_sums(X.toarray()), rtol=1e-6)


def test_loops_are_kept_until_what_they_know_changes():
    names = {"K": 1.0}
    exec("def step(row, params, eta):\n    return K\n", names)
    first = make_loops(names["step"], None, SPARSE, (False, False, False), 0)
    assert make_loops(names["step"], None, SPARSE, (False, False, False), 0) is first
    names["K"] = 2.0
    assert make_loops(names["step"], None, SPARSE, (False, False, False), 0) is not first
    assert surroundings(names["step"]) == (("K", "float", 2.0),)


def test_the_reason_is_one_line():
    reason = why_not(lambda row: globals(), (1.0,))
    assert reason.startswith("<lambda>: ") and "globals" in reason and "\n" not in reason
    assert why_not(squared.__call__, (1.0,)).endswith("is not a plain function but of type method-wrapper")


def test_rows_drawn_with_replacement_are_any_rows():
    order = draw_order(np.random.default_rng(0), 1_000, np.empty(0, np.uint32), "with_replacement")
    rows = epoch_rows(order)
    assert len(rows) == 1_000 and rows.max() < 1_000
    assert 580 < len(set(rows.tolist())) < 690  # 1 - 1/e of them
    kept = np.arange(0, 2_000, 2, dtype=np.uint32)
    some = epoch_rows(draw_order(np.random.default_rng(0), 1_000, kept, "with_replacement"))
    np.testing.assert_array_equal(some, 2 * rows)
