"""Merging replicas: no delta is lost, and the factors go from the sum to the mean."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from hogwild.compiled import kernel
from hogwild.engine import usable_cores
from hogwild.engine.merge import MEAN, STRIPE, SUM, Merging, Replica, add_deltas, damped_factor, first_stripe, merge
from hogwild.estimators.linear_task import LinearOptions, make_task, new_state
from hogwild.steps.rows import as_rows

N_THREADS = 4 * usable_cores()


def merging_of(target: np.ndarray, n_replicas: int, curvature: float = SUM, constant: float = 1.0) -> Merging:
    n_stripes = target.size // STRIPE + 1
    return Merging(
        target=target,
        curvature=np.full(target.size, curvature, np.float32),
        squares_at=np.uint64(0),
        constant=constant,
        n_replicas=n_replicas,
        interval=np.uint64(100),
        n_features=np.uint64(0),
        settles=False,
        locks=np.zeros(n_stripes * 8, np.int64),
        areas=np.zeros((n_stripes, 2)),
    )


def replica_of(target: np.ndarray) -> Replica:
    return Replica(target.copy(), target.copy(), np.ones_like(target), np.zeros(8))


def run_at_once(calls: list) -> None:
    """Start all threads at one barrier, wait for all, raise what one raised."""
    start, errors = threading.Barrier(len(calls)), []

    def run(call):
        try:
            start.wait()
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", [1, STRIPE, 5 * STRIPE + 17])
def test_no_delta_is_lost(dtype, size):
    target = np.zeros(size, dtype)
    merging, times = merging_of(target, N_THREADS), 200_000 // size + 200
    add_deltas(merging, replica_of(target), np.uint64(0), 0)  # compiled before the threads start
    replicas = [replica_of(target) for _ in range(N_THREADS)]

    def call(k):
        return lambda: add_deltas(merging, replicas[k], np.uint64(first_stripe(merging, k)), times)

    run_at_once([call(k) for k in range(N_THREADS)])
    assert N_THREADS * times < 2**24  # float32 counts that far
    np.testing.assert_array_equal(target, N_THREADS * times)
    assert not merging.locks.any()


# a replica's shared model, only asked for its type: nothing is settled here
_SHARED = make_task(
    LinearOptions("log_loss", "ovr", 0.1, 0.5, None, 0.0, 0.0, "constant", 0.1, 0.5, 1.0, True, 1.0, 0),
    new_state(
        LinearOptions("log_loss", "ovr", 0.1, 0.5, None, 0.0, 0.0, "constant", 0.1, 0.5, 1.0, True, 1.0, 0),
        3,
        1,
        np.float64,
    ),
    as_rows(np.ones((1, 3)), np.ones(1)),
    eta0=0.1,
    positive=np.ones(1),
    negative=np.ones(1),
).model


@kernel
def merge_once(shared, merging, replica, eta, running, first):
    merge(shared, merging, replica, eta, running, first)


def merged(values: list[np.ndarray], base: np.ndarray, curvature: float, eta: float = 0.1) -> np.ndarray:
    """Shared copy after a merge of replicas that have come from `base` to `values`."""
    target = base.copy()
    merging = merging_of(target, len(values), curvature)
    for k, moved in enumerate(values):
        replica = replica_of(base)
        replica.values[...] = moved
        merge_once(_SHARED, merging, replica, eta, np.zeros(8), np.uint64(first_stripe(merging, k)))
        np.testing.assert_array_equal(replica.values, target)
        np.testing.assert_array_equal(replica.base, target)
        assert replica.state[3] == 0
        assert replica.state[4] == 1
    return target


@pytest.mark.parametrize("n_replicas", [1, 2, 7])
@pytest.mark.parametrize("size", [5, 2 * STRIPE + 3])
def test_sum_and_mean_of_deltas(n_replicas, size):
    rng = np.random.default_rng(0)
    base = rng.normal(size=size)
    values = [base + rng.normal(size=size) for _ in range(n_replicas)]
    deltas = np.array(values) - base
    np.testing.assert_allclose(merged(values, base, SUM), base + deltas.sum(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(merged(values, base, MEAN), base + deltas.mean(axis=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("curvature", [SUM, 0.3, 30.0, MEAN])
def test_one_replica_is_taken_as_it_is(curvature):
    rng = np.random.default_rng(0)
    base, value = rng.normal(size=50), rng.normal(size=50)
    np.testing.assert_allclose(merged([value], base, curvature), value, rtol=0, atol=1e-12)


def exact_factor(a: float, n: int) -> float:
    return np.expm1(-n * a) / (n * np.expm1(-a))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 16, 64, 1024])
def test_damped_factor_is_near_what_it_approximates(n):
    for a in np.logspace(-6, 2, 200):
        found = damped_factor(np.float64(a), np.float64(n))
        assert found == pytest.approx(exact_factor(a, n), rel=0.1)
        assert 1 / n <= found * (1 + 1e-6) <= (1 + 1e-6) ** 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 16, 1024])
def test_damped_factor_goes_from_the_sum_to_the_mean(dtype, n):
    assert damped_factor(dtype(0), dtype(n)) == 1
    assert damped_factor(dtype(1e-9), dtype(n)) == pytest.approx(1, rel=1e-5)
    assert damped_factor(dtype(1e8), dtype(n)) == pytest.approx(1 / n, rel=1e-5)
    found = [damped_factor(dtype(a), dtype(n)) for a in np.logspace(-6, 6, 100)]
    assert (np.diff(found) <= 1e-6).all()  # never more for a larger curvature


def test_damped_factor_of_a_merge_is_that_of_eta_interval_and_curvature():
    base, n, eta, curvature = np.zeros(4), 4, 0.02, 0.5
    found = merged([base + 1.0] + 3 * [base], base, curvature, eta)
    assert found == pytest.approx(exact_factor(eta * 100 * curvature, n), rel=0.1)
