"""What an instrumented run counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp

import hogwild
from hogwild.engine.trace import Trace


class Weights(NamedTuple):
    w: np.ndarray


def squared(row, params, eta):
    w, score = params.w, 0.0
    for j, x in zip(row.indices, row.values):  # noqa: B905  compiled
        score += w[j] * x
    error = score - row.target
    for j, x in zip(row.indices, row.values):  # noqa: B905
        w[j] -= eta * error * x
    return error * error / 2


def touch(row, params, eta):
    params.w[row.user] += 1.0
    return 0.0


RNG = np.random.default_rng(0)
X = sp.random(6_000, 300, 0.03, "csr", random_state=RNG)
y = X @ RNG.normal(size=300)


def traced(engine, n_jobs, **settings):
    start = Weights(np.zeros(300))
    return hogwild.minimize(
        squared, (X, y), start, schedule=0.1, epochs=2, engine=engine, n_jobs=n_jobs, trace=True, **settings
    )


def test_one_thread_meets_nobody():
    result = traced("auto", None, random_state=0)
    trace = result.trace
    assert trace.n_steps == 12_000 and trace.staleness.tolist() == [12_000]
    np.testing.assert_array_equal(trace.updates, 2 * np.bincount(X.indices, minlength=300))
    assert not trace.conflicts.any() and not trace.lost.any()
    plain = hogwild.minimize(squared, (X, y), Weights(np.zeros(300)), schedule=0.1, epochs=2, random_state=0)
    np.testing.assert_allclose(plain.params.w, result.params.w, rtol=1e-12)
    assert plain.trace is None


@pytest.mark.parametrize("engine", ["shared", "replicas", "locked", "round_robin"])
def test_counts_of_threads_add_up(engine):
    trace = traced(engine, 4).trace
    assert trace.n_threads == 4 and trace.n_steps == 12_000
    np.testing.assert_array_equal(trace.updates, 2 * np.bincount(X.indices, minlength=300))
    assert (trace.conflicts >= 0).all() and (trace.conflicts <= trace.updates).all()
    assert (trace.lost >= 0).all() and (trace.lost <= trace.updates).all()
    if engine == "round_robin":
        assert trace.staleness.tolist() == [12_000]
    if engine in ("locked", "round_robin"):
        assert not trace.conflicts.any() and not trace.lost.any()
    if engine == "replicas":
        assert not trace.lost.any()
    if trace.staleness[0] == trace.n_steps:
        assert not trace.conflicts.any()


def test_coordinates_of_columns_have_a_space_each():
    data = {"user": RNG.integers(0, 7, 500), "item": RNG.integers(0, 5, 500), "value": np.ones(500)}
    trace = hogwild.minimize(touch, data, {"w": np.zeros(7)}, schedule=1.0, trace=True).trace
    n_users = data["user"].max() + 1
    assert trace.coordinates == (("user", 0), ("item", n_users))
    np.testing.assert_array_equal(trace.updates[:n_users], np.bincount(data["user"]))
    np.testing.assert_array_equal(trace.updates[n_users:], np.bincount(data["item"]))


def test_duplicates_in_a_row_are_no_conflict():
    doubled = sp.csr_matrix((np.ones(4), np.array([3, 1, 3, 3], np.int32), np.array([0, 4])), (1, 5))
    result = hogwild.minimize(squared, (doubled, np.ones(1)), Weights(np.zeros(5)), schedule=0.1, trace=True)
    assert result.trace.updates.tolist() == [0, 1, 0, 1, 0] and not result.trace.conflicts.any()


def test_the_summary_says_what_happened():
    counts = np.array([8, 0, 2])
    trace = Trace(counts, np.array([3, 1]), np.array([90, 10]), np.array([1, 0]), (("feature", 0),), "Shared()", 2)
    assert trace.mean_staleness == 0.4
    assert str(trace).splitlines() == [
        "10 steps on 2 threads (Shared()): staleness 0.4 on average, 2 at most",
        "4 of 100 updates of coordinates (4.00%) met another thread's",
        "1 updates (1.00%) lost, estimated",
    ]


def test_too_many_coordinates_are_refused():
    data = {"time": np.array([1, 2**40])}
    with pytest.raises(ValueError, match="a trace counts at most"):
        hogwild.minimize(lambda row, params, eta: 0.0, data, {"w": np.zeros(1)}, schedule=1.0, trace=True)
