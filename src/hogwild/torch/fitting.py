"""Training a module by several processes: parameters into shared memory, slices, history, and back."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from hogwild.engine import shared_memory
from hogwild.engine.interrupt import deferred_interrupt
from hogwild.engine.pool import usable_cores
from hogwild.engine.process_pool import ProcessPool
from hogwild.engine.training import DivergedError, Progress
from hogwild.engine.workers import return_pool, take_pool
from hogwild.torch.stepper import Stepper, advance, forget

SLICE_SECONDS = 0.5  # between two looks at Ctrl-C and the callback; a slice's end costs a batch's time
_numbers = count()


@dataclass
class History:
    """What a fit did.

    Attributes
    ----------
    losses : list of float
        Mean loss of each epoch's rows, each before its own step.
    seconds : list of float
        Time since the start at the end of each epoch.
    rows : int
        Rows stepped in all.
    n_jobs : int
        Processes that stepped.
    stopped : bool
        Whether the callback ended it.
    """

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rows: int = 0
    n_jobs: int = 1
    stopped: bool = False


def fit(
    module: nn.Module,
    data: Sequence | Dataset,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    epochs: int = 1,
    batch_size: int = 64,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    n_jobs: int | None = None,
    shuffle: bool = True,
    random_state: int | None = None,
    callback: Callable[[Progress], object] | None = None,
    **options: Any,
) -> History:
    """Train `module` in place by several processes that step on the same parameters, without locks.

    Each process draws the next batch that nobody has taken, computes its gradient and lets its own optimiser change the
    shared parameters (Niu, Recht, Re, Wright 2011; what PyTorch's example ``mnist_hogwild`` does, with batches indexed
    out of shared tensors instead of loaded row by row). An epoch is one pass of all processes together over the data.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU. Parameters and buffers are in shared memory while it trains, and in their own again afterwards, also
        after an error or Ctrl-C. Must be picklable (by cloudpickle).
    data : tuple of tensors or arrays, or Dataset
        ``(X, y)``, or several inputs and the target: rows along the first axis, copied into shared memory once. Other
        data sets (map-style, picklable; each item a tuple) are copied to each process and collated there.
    loss : callable
        ``loss(module(*inputs), target) -> mean loss of the batch``, such as ``torch.nn.functional.cross_entropy``.
    epochs : int, default=1
    batch_size : int, default=64
    optimizer : callable, default=torch.optim.SGD
        ``optimizer(parameters, **options) -> Optimizer``; every process has its own (momentum is not shared).
    n_jobs : int, optional
        Processes; None and 1 train in this one, on one thread, exactly and repeatably; -1 is all usable cores.
    shuffle : bool, default=True
        Whether every epoch has an order of its own.
    random_state : int, optional
        Seed of the orders and of the processes' random numbers (dropout).
    callback : callable, optional
        ``callback(Progress)`` at least every half a second; a true result ends training.
    **options
        Of the optimiser: ``lr=0.01, momentum=0.5``.

    Returns
    -------
    History

    Raises
    ------
    DivergedError
        If the loss is not finite.
    ValueError
        If data or module cannot be trained so: with what was found and expected.
    WorkerDiedError
        If a process was killed, and the one in its place as well.

    Notes
    -----
    Starting processes that import PyTorch takes some 2 s; they wait for the next fit
    (``hogwild.engine.workers.close_idle_processes()`` ends them).

    Examples
    --------
    >>> import torch
    >>> from hogwild.torch import fit
    >>> _ = torch.manual_seed(0)
    >>> X = torch.randn(1000, 3)
    >>> y = X @ torch.tensor([[1.0], [2.0], [3.0]])
    >>> model = torch.nn.Linear(3, 1)
    >>> history = fit(model, (X, y), torch.nn.functional.mse_loss, epochs=5, lr=0.1, random_state=0)
    >>> model.weight.detach().round(decimals=2)
    tensor([[1., 2., 3.]])
    """
    _check(module, epochs, batch_size, n_jobs)
    data = _as_data(data)
    n_rows = len(data) if isinstance(data, Dataset) else len(data[0])
    if n_rows == 0:
        raise ValueError("found no rows to train on")
    n_batches = -(-n_rows // batch_size)
    n_workers = 1 if n_jobs is None else n_jobs if n_jobs > 0 else max(1, usable_cores() + 1 + n_jobs)
    n_workers = min(n_workers, n_batches)
    rng = np.random.default_rng(random_state)
    recipe = (module, loss, optimizer, options, int(rng.integers(2**62)))
    was_training = module.training
    module.train()
    try:
        if n_workers == 1:
            with torch.random.fork_rng(devices=[]), _threads(1):
                run = _Alone(recipe, data, n_rows, batch_size)
                return _run_epochs(run, n_rows, n_batches, epochs, shuffle, rng, callback)
        with _shared_parameters(module):
            run = _Apart(recipe, data, n_rows, batch_size, n_workers)
            try:
                return _run_epochs(run, n_rows, n_batches, epochs, shuffle, rng, callback)
            finally:
                run.close()
    finally:
        module.train(was_training)


def _check(module: nn.Module, epochs: int, batch_size: int, n_jobs: int | None) -> None:
    if not isinstance(module, nn.Module):
        raise ValueError(f"module must be a torch.nn.Module, found {type(module).__name__}")
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, found {value!r}")
    if n_jobs == 0:
        raise ValueError("n_jobs=0 has no meaning: use None or 1 for one process, -1 for all usable cores")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            raise ValueError(f"found {name} of unknown shape: run the module on a batch first")
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
            raise ValueError(f"found {name} on {tensor.device} ({tensor.layout}), expected strided tensors on the CPU")


def _as_data(data: Sequence | Dataset) -> tuple[torch.Tensor, ...] | Dataset:
    """Tensors where there are any: batches are then indexed instead of collated row by row."""
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, Dataset):
        if not hasattr(data, "__len__"):
            raise ValueError("found a Dataset without a length, expected a map-style one or (X, y)")
        return data
    if not isinstance(data, tuple | list) or len(data) < 2:
        raise ValueError(f"data must be (X, y) or a Dataset, found {type(data).__name__}")
    tensors = tuple(torch.as_tensor(part).detach() for part in data)
    lengths = {len(part) if part.ndim else 0 for part in tensors}
    if len(lengths) > 1:
        raise ValueError(f"found {' and '.join(str(len(part)) for part in tensors)} rows, expected as many in all")
    return tensors


def _shared_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor into shared memory."""
    try:
        return torch.from_numpy(shared_memory.shared_copy(tensor.detach().contiguous().numpy()))
    except TypeError as error:
        raise ValueError(f"found a tensor of {tensor.dtype}, expected a type that NumPy has") from error


@contextmanager
def _shared_parameters(module: nn.Module) -> Iterator[None]:
    """Put parameters and buffers into shared memory for a while."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}.values()
    before = []
    try:
        for tensor in tensors:
            own = tensor.data
            tensor.data = _shared_tensor(own) if own.numel() else own
            before.append((tensor, own))
        yield
    finally:
        for tensor, own in before:
            own.copy_(tensor.data)
            tensor.data = own


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let PyTorch use `n` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------ all processes


class _Alone:
    """One process, the caller's, steps."""

    n_jobs = 1

    def __init__(self, recipe: tuple, data: Any, n_rows: int, batch_size: int) -> None:
        self._stepper, self._batch_size = Stepper(recipe, data, 0), batch_size
        self.cursor, self.order = np.zeros(8, np.int64), np.arange(n_rows)

    def advance(self) -> tuple[float, int]:
        """Run a slice; returns the sum of losses, and the rows."""
        return self._stepper.advance(self.cursor, self.order, self._batch_size, SLICE_SECONDS)


class _Apart:
    """Worker processes step."""

    def __init__(self, recipe: tuple, data: Any, n_rows: int, batch_size: int, n_workers: int) -> None:
        self.n_jobs, self._batch_size = n_workers, batch_size
        self._pool: ProcessPool = take_pool(n_workers, modules=("hogwild.torch.stepper",))
        try:
            if isinstance(data, tuple):
                data = tuple(_shared_tensor(part) if part.numel() else part for part in data)
            about, blocks = shared_memory.dumps((recipe, data))
            self._name = (os.getpid(), next(_numbers))
            self._about, self._held = self._pool.share(np.frombuffer(about, np.uint8)), shared_memory.marks(blocks)
            self.cursor = self._pool.zeros(8, np.int64)
            self.order = self._pool.share(np.arange(n_rows))
            self._threads = max(1, usable_cores() // n_workers)
        except BaseException:
            self.close()
            raise

    def advance(self) -> tuple[float, int]:
        """Run a slice; returns the sum of losses, and the rows."""
        part = (self.cursor, self.order, self._batch_size, SLICE_SECONDS)
        first = (self._name, self._about, self._held)
        found = self._pool.run(advance, [(*first, k, self._threads, *part) for k in range(self.n_jobs)])
        return sum(loss for loss, _ in found), sum(rows for _, rows in found)

    def close(self) -> None:
        """Let the processes wait for another fit."""
        self._about = self._held = self.cursor = self.order = None
        self._pool.run(forget, [()] * self.n_jobs)
        return_pool(self._pool)


def _run_epochs(
    run: _Alone | _Apart,
    n_rows: int,
    n_batches: int,
    epochs: int,
    shuffle: bool,
    rng: np.random.Generator,
    callback: Callable[[Progress], object] | None,
) -> History:
    history, began = History(n_jobs=run.n_jobs), time.monotonic()
    with deferred_interrupt() as interrupted:
        for epoch in range(1, epochs + 1):
            if shuffle:
                run.order[...] = rng.permutation(n_rows)
            run.cursor[0], total, rows = 0, 0.0, 0
            while run.cursor[0] < n_batches and not history.stopped and not interrupted():
                loss, stepped = run.advance()
                total, rows, history.rows = total + loss, rows + stepped, history.rows + stepped
                if not math.isfinite(total):
                    raise DivergedError(
                        f"Floating-point under-/overflow occurred at epoch #{epoch}: the loss is not finite. A smaller "
                        "step size (lr) or scaled inputs might help."
                    )
                if callback is not None:
                    seconds = time.monotonic() - began
                    ended, mean = bool(run.cursor[0] >= n_batches), total / max(1, rows)
                    recent = loss / max(1, stepped)
                    told = Progress(epoch, epochs, history.rows, n_rows * epochs, mean, recent, seconds, ended)
                    history.stopped = bool(callback(told))
            history.losses.append(total / max(1, rows))
            history.seconds.append(time.monotonic() - began)
            if history.stopped or interrupted():
                break
    if interrupted():
        raise KeyboardInterrupt
    return history
