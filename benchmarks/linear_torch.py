"""PyTorch's Hogwild: `hogwild.torch.fit` beside the loop of PyTorch's example ``mnist_hogwild``, the same rows stepped.

The example's loop, written anew: every process has its own DataLoader over all rows, and its own SGD with momentum .5;
the module lies in shared memory. P processes of E epochs step P * E times through the rows, as our P * E epochs do.
Ratios are of whole runs (processes start and import PyTorch) and of the time in which both step.

    python benchmarks/linear_torch.py [--rows 20000] [--epochs 2] [--jobs 2] [--repeat 3]
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import torch
import torch.multiprocessing as mp
from sklearn.datasets import load_digits
from tables import console, recorded, say, show
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)
from torch.utils.data import DataLoader, TensorDataset

from hogwild.engine.workers import close_idle_processes
from hogwild.torch import fit

BATCH, RATE, MOMENTUM = 64, 0.05, 0.5


class Net(nn.Module):
    """The example's network: two convolutions, two full layers, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, kernel_size=5), nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the log probabilities of the classes."""
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return F.log_softmax(self.fc2(F.dropout(x, training=self.training)), dim=1)


def perceptron() -> nn.Module:
    """One hidden layer, where a step is short and the loading of rows shows."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10), nn.LogSoftmax(1))


def images(n_rows: int, digits: np.ndarray, labels: np.ndarray, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images like MNIST's: scikit-learn's 8 x 8 digits, enlarged to 28 x 28, moved, with noise."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(labels), n_rows)
    small = torch.tensor(digits[chosen] / 16, dtype=torch.float32)[:, None]
    large = F.interpolate(small, size=(20, 20), mode="bilinear")
    found = torch.zeros(n_rows, 1, 28, 28)
    for i, (dy, dx) in enumerate(rng.integers(0, 9, (n_rows, 2))):
        found[i, :, dy : dy + 20, dx : dx + 20] = large[i]
    noise = torch.tensor(rng.normal(scale=0.1, size=found.shape), dtype=torch.float32)
    return found + noise, torch.tensor(labels[chosen])


def example_worker(rank: int, module: nn.Module, data: TensorDataset, epochs: int, threads: int, times) -> None:
    """What one process of the example does."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(1 + rank)
    times[2 * rank] = time.time()
    loader = DataLoader(data, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)
    module.train()
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.nll_loss(module(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
    times[2 * rank + 1] = time.time()


def by_example(module: nn.Module, X, y, epochs: int, jobs: int, threads: int) -> tuple[float, float]:
    """Seconds of the whole run, and of its steps."""
    context, began = mp.get_context("spawn"), time.perf_counter()
    module.share_memory()
    times = torch.zeros(2 * jobs, dtype=torch.float64).share_memory_()
    arguments = (module, TensorDataset(X, y), epochs, threads, times)
    processes = [context.Process(target=example_worker, args=(rank, *arguments)) for rank in range(jobs)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    # the steps of one process may begin before another has started: the mean length counts
    return time.perf_counter() - began, float((times[1::2] - times[::2]).mean())


def by_us(module: nn.Module, X, y, epochs: int, jobs: int) -> tuple[float, float]:
    """Seconds of the whole run with new processes, and of the epochs with processes that wait."""
    close_idle_processes()
    settings = {"batch_size": BATCH, "n_jobs": jobs, "lr": RATE, "momentum": MOMENTUM, "random_state": 0}
    began, state = time.perf_counter(), {k: v.clone() for k, v in module.state_dict().items()}
    fit(module, (X, y), F.nll_loss, epochs=epochs, **settings)
    whole = time.perf_counter() - began
    module.load_state_dict(state)
    return whole, fit(module, (X, y), F.nll_loss, epochs=epochs, **settings).seconds[-1]


def accuracy(module: nn.Module, X, y) -> float:
    module.eval()
    with torch.no_grad():
        return float((module(X).argmax(1) == y).double().mean())


@recorded
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=2, help="of each of the example's processes")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    digits = load_digits()
    train, test = np.arange(1797) % 5 != 0, np.arange(1797) % 5 == 0
    X, y = images(options.rows, digits.images[train], digits.target[train], 0)
    held_out = images(4_000, digits.images[test], digits.target[test], 1)
    total, jobs = options.epochs * options.jobs, options.jobs
    say(f"{options.rows:,} images of 28 x 28, {total} passes, {jobs} processes, PyTorch {torch.__version__}")
    console.print(f"load of the machine before: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores")
    rows = []
    for name, make in (("convolutions", Net), ("perceptron", perceptron)):
        rivals = {
            "PyTorch's example": lambda m: by_example(m, X, y, options.epochs, jobs, 0),
            "the same, 1 thread each": lambda m: by_example(m, X, y, options.epochs, jobs, 1),
            "hogwild.torch": lambda m: by_us(m, X, y, total, jobs),
        }
        best: dict[str, list] = {}
        for _ in range(options.repeat):  # in turn: what else runs on the machine hits all
            for rival, run in rivals.items():
                torch.manual_seed(1)
                module = make()
                whole, steps = run(module)
                found = accuracy(module, *held_out)
                before = best.get(rival, [np.inf, np.inf, []])
                best[rival] = [min(before[0], whole), min(before[1], steps), [*before[2], found]]
        ours = best["hogwild.torch"]
        for rival, (whole, steps, found) in best.items():
            rate = options.rows * total / steps
            row = {"module": name, "who": rival, "whole, s": whole, "times ours": whole / ours[0], "steps, s": steps}
            row |= {"times ours, steps": steps / ours[1], "rows/s": f"{rate:,.0f}", "accuracy": float(np.mean(found))}
            rows.append(row | {"worst": float(min(found)), "best": float(max(found))})
    show("PyTorch modules by HOGWILD!", rows)


if __name__ == "__main__":
    main()
