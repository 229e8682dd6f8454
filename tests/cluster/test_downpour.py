"""Downpour SGD of PyTorch's modules: beside the plain loop, and for everything that a module may be."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cluster.naive_cluster import NaiveRule, run_bsp, table_of  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from hogwild.cluster.torch_modules import DatasetBatches, TorchModel, downpour  # noqa: E402
from hogwild.cluster.workloads.gradients import (  # noqa: E402
    ArrayBatches,
    GradientProblem,
    GradientWorkload,
    batch_chunks,
)


def problem(n=640, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)).astype(dtype)
    return X, (X[:, :1] - 2 * X[:, 1:2] + np.sin(X[:, 2:3])).astype(dtype)


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1)).to(dtype)


def in_a_loop(module, given, workers=1, shards=1, epochs=1):
    """Train on the naive cluster; returns the module's state and losses by epoch."""
    first = given.make_model()
    table, start = first.table, first.table.zeros()
    for parameter, view in first._views(start):
        view.copy_(parameter.detach())
    cuts = table.cuts(shards)
    stores = [NaiveRule(table.layout, low, high, start[low:high], given.rule) for low, high in pairwise(cuts)]
    workloads = [GradientWorkload(given, cuts, k) for k in range(workers)]
    chunks = batch_chunks(given.batches.n_batches, workers)
    losses, _ = run_bsp(workloads, stores, chunks, epochs, given.phase_batches)
    first.attach(table_of(stores))
    return first._module, losses


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_worker_is_the_plain_loop(dtype):
    X, y = problem(dtype=np.float32 if dtype is torch.float32 else np.float64)
    module = network(dtype)
    given = GradientProblem(
        lambda: TorchModel(copy.deepcopy(module), nn.functional.mse_loss), ArrayBatches((X, y), 32, False), 0.1
    )
    trained, losses = in_a_loop(module, given, shards=2, epochs=2)
    optimizer, expected = torch.optim.SGD(module.parameters(), lr=0.1), []
    for _ in range(2):
        seen = []
        for k in range(20):
            rows = slice(32 * k, 32 * k + 32)
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(module(torch.from_numpy(X[rows])), torch.from_numpy(y[rows]))
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        expected.append(np.mean(seen))
    for one, other in zip(trained.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize(("n_push", "n_fetch"), [(1, 1), (3, 6)])
def test_four_workers_learn(n_push, n_fetch):
    X, y = problem(2_000)
    module = network()
    given = GradientProblem(
        lambda: TorchModel(copy.deepcopy(module), nn.functional.mse_loss),
        ArrayBatches((X, y), 16),
        0.05,
        "adagrad" if n_push == 3 else "sgd",
        n_push,
        n_fetch,
    )
    _, losses = in_a_loop(module, given, workers=4, shards=3, epochs=8)
    assert losses[-1] < 0.3 * losses[0]


class Rows(Dataset):
    """Items one by one."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


def test_data_sets_are_collated():
    X, y = problem(100)
    one, other = DatasetBatches(Rows(X, y), 32, True, 3), ArrayBatches((X, y), 32, True, 3)
    assert one.n_batches == other.n_batches == 4
    for k in range(4):
        (a, b), n = one.draw(2, k)
        (c, d), m = other.draw(2, k)
        assert n == m == (32, 32, 32, 4)[k]
        np.testing.assert_array_equal(a.numpy(), c)
        np.testing.assert_array_equal(b.numpy(), d)


def test_shared_and_frozen_parameters_and_sparse_gradients():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = nn.Embedding(10, 4, sparse=True), nn.Linear(4, 10, bias=False)
            self.out.weight = self.words.weight
            self.fixed = nn.Parameter(torch.ones(3), requires_grad=False)

        def forward(self, x):
            return self.out(self.words(x))

    class Plain(Tied):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(10, 4)
            self.out.weight = self.words.weight

    for kind in (Plain, Tied):
        torch.manual_seed(1)
        module = kind()
        model = TorchModel(module, nn.functional.cross_entropy)
        assert model.table.size == 40
        local, grads = model.table.zeros(), model.table.zeros()
        for parameter, view in model._views(local):
            view.copy_(parameter.detach())
        before = module.words.weight.detach().clone()
        model.attach(local)
        torch.testing.assert_close(module.out.weight.detach(), before)
        x, target = np.array([1, 2, 3]), np.array([2, 3, 4])
        loss = model.gradient((x, target), grads)
        weight = before.clone().requires_grad_()
        expected = nn.functional.cross_entropy(weight[torch.tensor(x)] @ weight.T, torch.tensor(target))
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        np.testing.assert_allclose(grads.reshape(10, 4), weight.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_errors_name_what_was_found():
    X, y = problem(20)
    with pytest.raises(ValueError, match=r"must be a torch\.nn\.Module, found int"):
        downpour(3, (X, y), nn.functional.mse_loss)
    with pytest.raises(ValueError, match="without parameters to train"):
        downpour(nn.Tanh(), (X, y), nn.functional.mse_loss)
    with pytest.raises(ValueError, match=r"all float32 or all float64; found weight of torch\.float16"):
        downpour(nn.Linear(5, 1, bias=False).half(), (X, y), nn.functional.mse_loss)
    with pytest.raises(ValueError, match="of unknown shape: run the module on a batch first"):
        downpour(nn.LazyLinear(1), (X, y), nn.functional.mse_loss)
    with pytest.raises(ValueError, match="found one array"):
        downpour(network(), (X,), nn.functional.mse_loss)
    with pytest.raises(ValueError, match="found 19 and 20 rows"):
        downpour(network(), (X, y[1:]), nn.functional.mse_loss)
    with pytest.raises(ValueError, match="give batch="):
        downpour(network(), 10, nn.functional.mse_loss)
    model = TorchModel(nn.Sequential(nn.Linear(5, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)), nn.functional.mse_loss)
    model.attach(model.table.zeros())
    with pytest.raises(ValueError, match=r"changes its buffer 1\.running_\w+ \(running statistics\?\)"):
        model.gradient((X, y), model.table.zeros())
