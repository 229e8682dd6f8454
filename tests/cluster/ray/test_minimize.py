"""`hogwild.cluster.minimize`, `descend` and `downpour` on Ray: as far as one process, for every consistency."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp

ray = pytest.importorskip("ray")

import hogwild  # noqa: E402
from hogwild.cluster.consistency import SSP  # noqa: E402
from hogwild.cluster.descending import descend  # noqa: E402
from hogwild.cluster.minimizing import minimize  # noqa: E402
from hogwild.engine.training import DivergedError  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests


class Weights(NamedTuple):
    w: np.ndarray
    bias: np.ndarray
    rate: float = 1.0


@hogwild.step(w="damped", bias="damped")
def logistic(row, params, eta):
    w, score = params.w, params.bias[0]
    for j, x in zip(row.indices, row.values):  # noqa: B905  the compiler knows no strict=
        score += w[j] * x
    slope = params.rate * eta * row.target / (1.0 + np.exp(row.target * score))
    for j, x in zip(row.indices, row.values):  # noqa: B905
        w[j] += slope * x
    params.bias[0] += slope
    return np.log1p(np.exp(-row.target * score))


def logistic_loss(row, params):
    score = params.bias[0]
    for j, x in zip(row.indices, row.values):  # noqa: B905
        score += params.w[j] * x
    return np.log1p(np.exp(-row.target * score))


def problem(n=30_000, d=300):
    rng = np.random.default_rng(0)
    X = sp.random(n, d, 0.05, "csr", np.float32, random_state=rng)
    score = X @ rng.normal(size=d) + 0.3 + rng.logistic(size=n)
    return X, np.where(score > 0, 1.0, -1.0).astype(np.float32)


START = Weights(np.zeros(300, np.float32), np.zeros(1, np.float32))


@pytest.mark.parametrize("consistency", ["bsp", "ssp", "asp"])
def test_two_workers_come_as_far_as_one_process(cluster, consistency):
    X, y = problem()
    given = {"schedule": ("invscaling", 2.0, 0.5), "loss": logistic_loss, "epochs": 3, "random_state": 0}
    alone = hogwild.minimize(logistic, (X, y), START, **given)
    told = []
    result = minimize(
        logistic, (X, y), START, **given, workers=2, shards=2, consistency=consistency, callback=told.append, n_jobs=1
    )
    assert isinstance(result.params, Weights) and result.params.w.dtype == np.float32 and result.params.rate == 1.0
    assert result.history.loss[-1] < 1.02 * alone.history.loss[-1]
    assert len(result.history.progressive) == 3 and result.n_epochs == 3 and not result.interrupted
    assert result.engine.workers == 2 and result.engine.shards == 2 and result.n_threads == 2
    assert told and told[-1].epoch == 3 and max(progress.rows for progress in told) == 90_000
    assert not result.engine.evictions and {each.what for each in result.engine.events} == {"joined"}


def test_batches_and_a_copy_of_the_shard(cluster):
    X, y = problem()
    X = X.toarray()

    def draw(rng):
        chosen = rng.integers(0, len(y), 64)
        return X[chosen], y[chosen]

    def step(batch, params, eta):
        X, y = batch
        scores = X @ params.w
        slope = y / (1 + np.exp(y * scores)) / len(y)
        params.w[...] += eta * (X.T @ slope)
        return float(np.log1p(np.exp(-y * scores)).mean())

    result = minimize(
        step, 300, {"w": np.zeros(300)}, batch=draw, schedule=20.0, epochs=3, workers=2, replicas=2, phase_rows=10
    )
    assert result.history.progressive[-1] < result.history.progressive[0] < np.log(2)
    assert result.engine.replicas == 2 and result.engine.consistency == SSP(4)


def test_the_callback_ends_the_run_and_errors_come_home(cluster):
    X, y = problem()
    result = minimize(
        logistic, (X, y), START, schedule=0.1, epochs=100, workers=2, callback=lambda progress: progress.rows > 40_000
    )
    assert result.stopped and result.n_epochs < 20 and np.isfinite(result.params.w).all()

    def diverging(row, params, eta):
        params.w[0] = 1e30 * (params.w[0] + 1)
        return params.w[0]

    with pytest.raises(DivergedError, match=r"the step size \(eta=0\.1 of diverging\) is too large"):
        minimize(diverging, (X, y), START, schedule=0.1, epochs=3, workers=2)
    with pytest.raises(ValueError, match="shards must be at most 301, the keys of these parameters; found 302"):
        minimize(logistic, (X, y), START, schedule=0.1, shards=302)


@pytest.mark.parametrize("rule", ["sgd", "adagrad", "ftrl"])
def test_gradients_by_two_workers(cluster, rule):
    X, y = problem(6_000)
    X = X.toarray()

    def gradient(params, batch):
        X, y = batch["X"], batch["y"]
        scores = X @ params["w"]
        slope = -y / (1 + np.exp(y * scores)) / len(y)
        return float(np.log1p(np.exp(-y * scores)).mean()), {"w": X.T @ slope}

    schedule = {"sgd": 1.0, "adagrad": 0.3, "ftrl": 0.3}[rule]
    given = {"schedule": schedule, "rule": rule, "epochs": 6, "random_state": 0, "batch_size": 32}
    result = descend(gradient, {"X": X, "y": y}, {"w": np.zeros(300)}, **given, workers=2, shards=2, n_push=2)
    assert result.history.progressive[-1] < 0.95 * result.history.progressive[0]
    assert np.mean(np.sign(X @ result.params["w"]) == y) > 0.75  # labels are noisy


def test_a_network_learns_digits_by_downpour_with_four_workers(cluster):
    torch = pytest.importorskip("torch")
    from sklearn.datasets import load_digits
    from torch import nn

    from hogwild.cluster.torch_modules import downpour
    from hogwild.torch import fit

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    rows = np.random.default_rng(0).permutation(len(X))
    train, test = rows[:1_400], rows[1_400:]

    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))

    def accuracy(module):
        module.eval()
        with torch.no_grad():
            return float((module(torch.from_numpy(X[test])).argmax(1).numpy() == y[test]).mean())

    data, loss = (X[train], y[train]), nn.functional.cross_entropy
    alone = network()
    fit(alone, data, loss, epochs=30, batch_size=16, lr=0.1, random_state=0)
    for rule, lr, pushes in (("sgd", 0.1, 2), ("adagrad", 0.02, 5)):
        module = network()
        history = downpour(
            module, data, loss, lr=lr, rule=rule, epochs=30, batch_size=16, n_push=pushes, workers=4, random_state=0
        )
        assert len(history.losses) == 30 and history.n_jobs == 4 and history.rows == 30 * 88
        # 397 test rows: the difference of two runs has a standard deviation of about .007
        assert accuracy(module) > accuracy(alone) - 0.02, (rule, accuracy(module), accuracy(alone))
        assert module.training is False
