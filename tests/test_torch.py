"""PyTorch's modules by worker processes: the accuracy of one process, whatever the data, and nothing left behind."""

from __future__ import annotations

import copy
import gc
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch.utils.data import Dataset, IterableDataset, TensorDataset  # noqa: E402

from hogwild import DivergedError  # noqa: E402
from hogwild.engine import shared_memory, workers  # noqa: E402
from hogwild.engine.process_pool import WorkerDiedError  # noqa: E402
from hogwild.torch import History, fit  # noqa: E402

JOBS = pytest.mark.parametrize("n_jobs", [None, 2])
RATE = {"lr": 0.1, "momentum": 0.5, "random_state": 0}


class Pairs(Dataset):
    """A data set that only gives single items."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


class Tied(nn.Module):
    """Two layers with the same weights, a frozen one, and a buffer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.second.weight = self.first.weight
        self.frozen, self.norm, self.last = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)
        self.frozen.requires_grad_(False)

    def forward(self, x):
        return self.last(self.norm(self.frozen(self.second(torch.tanh(self.first(x))))))


@pytest.fixture(autouse=True, scope="module")
def no_processes_left():
    yield
    workers.close_idle_processes()


@pytest.fixture
def line():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(2000, 8, generator=generator)
    return X, X @ torch.arange(1.0, 9.0)[:, None] / 8


def digits():
    X, y = load_digits(return_X_y=True)
    X, y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)
    return (X[::2], y[::2]), (X[1::2], y[1::2])


def perceptron() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def accuracy(module, X, y) -> float:
    return float((module(X).argmax(1) == y).double().mean())


def own_memory(module) -> bool:
    tensors = [*module.parameters(), *module.buffers()]
    return not any(shared_memory.is_shared(tensor.detach().numpy()) for tensor in tensors)


# ---------------------------------------------------------------------------------------------- the same model


@pytest.mark.parametrize("n_jobs", [None, 2, 4])
def test_accuracy_is_that_of_a_plain_loop(n_jobs):
    train, test = digits()
    plain = perceptron()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.5)
    for _ in range(20):
        for rows in torch.randperm(len(train[0])).split(16):
            optimizer.zero_grad()
            F.cross_entropy(plain(train[0][rows]), train[1][rows]).backward()
            optimizer.step()
    module = perceptron()
    history = fit(module, train, F.cross_entropy, epochs=20, batch_size=16, n_jobs=n_jobs, **RATE)
    assert accuracy(module, *test) == pytest.approx(accuracy(plain, *test), abs=0.03)
    assert isinstance(history, History)
    assert history.n_jobs == (n_jobs or 1) and history.rows == 20 * len(train[0])
    assert len(history.losses) == len(history.seconds) == 20
    assert history.losses[-1] < 0.2 * history.losses[0]
    assert history.seconds == sorted(history.seconds)


def test_one_process_repeats_its_bits_and_leaves_the_random_numbers_alone(line):
    states = []
    for _ in range(2):
        module = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(0.1)
        before, threads = torch.get_rng_state(), torch.get_num_threads()
        fit(module, line, F.mse_loss, epochs=2, lr=0.01, random_state=3)
        assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads
        states.append([parameter.detach().clone() for parameter in module.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))


@JOBS
def test_parameters_stay_where_they_were(line, n_jobs):
    torch.manual_seed(0)
    module = Tied().eval()
    before, places = copy.deepcopy(module), [p.data_ptr() for p in module.parameters()]
    history = fit(module, line, F.mse_loss, epochs=10, n_jobs=n_jobs, **RATE)
    assert [p.data_ptr() for p in module.parameters()] == places
    assert own_memory(module) and not module.training
    assert module.first.weight is module.second.weight
    assert torch.equal(module.frozen.weight, before.frozen.weight)
    assert not torch.equal(module.first.weight, before.first.weight)
    assert module.norm.num_batches_tracked > 250  # racy: a count may be lost
    assert history.losses[-1] < 0.5 * history.losses[0]


DATA = {
    "tensors": lambda X, y: (X, y),
    "arrays": lambda X, y: [X.numpy(), y.numpy()],
    "TensorDataset": TensorDataset,
    "Dataset": Pairs,
    "views": lambda X, y: (X.T.contiguous().T, y),
}


@JOBS
@pytest.mark.parametrize("kind", DATA)
def test_every_kind_of_data(line, kind, n_jobs):
    module = nn.Linear(8, 1)
    fit(module, DATA[kind](*line), F.mse_loss, epochs=5, n_jobs=n_jobs, **RATE)
    np.testing.assert_allclose(module.weight.detach()[0], np.arange(1, 9) / 8, atol=0.01)


@JOBS
def test_several_inputs_and_another_optimizer(line, n_jobs):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 1), nn.Linear(5, 1, bias=False)

        def forward(self, left, right):
            return self.one(left) + self.two(right)

    X, y = line
    module = Sum()
    settings = {"optimizer": torch.optim.Adam, "lr": 0.05, "random_state": 0}
    fit(module, (X[:, :3], X[:, 3:], y), nn.MSELoss(), epochs=10, shuffle=False, n_jobs=n_jobs, **settings)
    np.testing.assert_allclose(module.two.weight.detach()[0], np.arange(4, 9) / 8, atol=0.02)


def test_few_batches_are_few_processes(line):
    X, y = line
    assert fit(nn.Linear(8, 1), (X[:60], y[:60]), F.mse_loss, n_jobs=2, lr=0.01).n_jobs == 1


# ---------------------------------------------------------------------------------------------- what ends a fit


@JOBS
def test_callbacks_stop_and_are_told_the_truth(line, n_jobs):
    told = []
    module = nn.Linear(8, 1)
    stop = {"callback": lambda progress: told.append(progress) or progress.epoch == 2}
    history = fit(module, line, F.mse_loss, epochs=9, n_jobs=n_jobs, **RATE, **stop)
    assert history.stopped and len(history.losses) == 2
    assert told[-1].rows == history.rows and told[-1].n_epochs == 9 and told[-1].total_rows == 18_000
    assert any(progress.epoch_ended and progress.rows == 2000 for progress in told)


@JOBS
@pytest.mark.parametrize("how", ["interrupt", "error", "diverge"])
def test_parameters_come_back_whatever_ends_a_fit(line, how, n_jobs):
    def callback(progress):
        if how == "error":
            raise ZeroDivisionError
        if how == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)

    errors = {"interrupt": KeyboardInterrupt, "error": ZeroDivisionError, "diverge": DivergedError}
    module = nn.Linear(8, 1)
    settings = {**RATE, "lr": 1e30 if how == "diverge" else 0.1}
    with pytest.raises(errors[how]):
        fit(module, line, F.mse_loss, epochs=5, n_jobs=n_jobs, callback=callback, **settings)
    assert own_memory(module)
    assert torch.isfinite(module(line[0])).all() == (how != "diverge")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_shared_memory_is_left(line):
    def mapped(pid):
        gc.collect()
        shared_memory.forget_arena()
        return Path(f"/proc/{pid}/maps").read_text().count("memfd:hogwild")

    before = mapped("self")
    fit(nn.Linear(8, 1), line, F.mse_loss, n_jobs=2, **RATE)
    assert mapped("self") == before
    pool = workers._idle
    pool.run(abs, [(1,), (2,)])  # what was sent before has been heard
    assert [mapped(worker.process.pid) for worker in pool._workers] == [0, 0]


def mortal_loss(most: int):
    deaths = torch.from_numpy(shared_memory.shared_copy(np.zeros(1, np.int64)))

    def loss(output, target):
        if deaths[0] < most:
            deaths[0] += 1
            os.kill(os.getpid(), signal.SIGKILL)
        return F.mse_loss(output, target)

    return loss


def test_a_killed_process_is_replaced(line):
    module = nn.Linear(8, 1)
    with pytest.warns(RuntimeWarning, match="SIGKILL"):
        history = fit(module, line, mortal_loss(1), epochs=5, n_jobs=2, **RATE)
    assert history.rows >= 5 * 2000 - 2 * 64  # its batch is lost (and the other's, if it is killed at the same time)
    np.testing.assert_allclose(module.weight.detach()[0], np.arange(1, 9) / 8, atol=0.01)


def test_processes_that_are_killed_again_and_again_end_the_fit(line):
    module = nn.Linear(8, 1)
    with pytest.warns(RuntimeWarning, match="SIGKILL"), pytest.raises(WorkerDiedError):
        fit(module, line, mortal_loss(10), epochs=5, n_jobs=2, **RATE)
    assert own_memory(module)
    assert fit(module, line, F.mse_loss, n_jobs=2, **RATE).rows == 2000


def test_errors_of_the_module_come_out(line):
    with pytest.raises(RuntimeError, match="shapes"):
        fit(nn.Linear(7, 1), line, F.mse_loss, n_jobs=2, **RATE)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"module": "net"}, "module must be a torch.nn.Module, found str"),
        ({"module": nn.LazyLinear(1)}, "of unknown shape: run the module on a batch first"),
        ({"module": nn.Linear(8, 1, device="meta")}, "found weight on meta"),
        ({"module": nn.Linear(8, 1, dtype=torch.bfloat16)}, "found a tensor of torch.bfloat16, expected a type that"),
        ({"data": (torch.zeros(3, 8), torch.zeros(4, 1))}, "found 3 and 4 rows, expected as many in all"),
        ({"data": (torch.zeros(0, 8), torch.zeros(0, 1))}, "found no rows"),
        ({"data": torch.zeros(3, 8)}, r"data must be \(X, y\) or a Dataset, found Tensor"),
        ({"data": Stream()}, "without a length"),
        ({"n_jobs": 0}, "n_jobs=0 has no meaning"),
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
    ],
)
def test_wrong_arguments_are_told(line, wrong, message):
    settings = {"module": nn.Linear(8, 1), "data": line, "loss": F.mse_loss, "n_jobs": 2, **wrong}
    with pytest.raises(ValueError, match=message):
        fit(settings.pop("module"), settings.pop("data"), settings.pop("loss"), lr=0.1, **settings)
