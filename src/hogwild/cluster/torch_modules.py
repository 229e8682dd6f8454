"""PyTorch's modules on a cluster: Downpour SGD. The only file of the cluster that imports PyTorch."""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset, default_collate

from hogwild.cluster.consistency import Consistency
from hogwild.cluster.descending import batches_of, launch_gradients
from hogwild.cluster.flat import FlatTable
from hogwild.cluster.launching import job_settings
from hogwild.cluster.workloads.gradients import ArrayBatches, GradientProblem
from hogwild.engine.training import DivergedError, Progress
from hogwild.torch.fitting import History


def downpour(
    module: nn.Module,
    data: Sequence | Dataset | int,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    lr: float | str | tuple | Callable[[float], float] = 0.01,
    batch: Callable[[np.random.Generator], tuple] | None = None,
    batch_size: int = 64,
    epochs: int = 1,
    shuffle: bool = True,
    rule: str = "sgd",
    n_push: int = 1,
    n_fetch: int | None = None,
    random_state: int | None = None,
    callback: Callable[[Progress], object] | None = None,
    workers: int | None = None,
    threads: int = 1,
    shards: int = 1,
    replicas: int = 1,
    consistency: str | Consistency = "asp",
    staleness: int | None = None,
    address: str | None = None,
    **settings: Any,
) -> History:
    """Train `module` in place by workers that push gradients to parameter shards: Downpour SGD.

    Every worker has a replica of the module. It pulls the parameters every `n_fetch` batches, steps on its own copy in
    between, and pushes the sum of its gradients every `n_push` batches; the shards apply their rule to what comes, in
    the order in which it comes (Dean et al. 2012). An epoch is one pass of all workers together over the data.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU, picklable (by cloudpickle), all trained parameters float32 or all float64. Running statistics
        (batch normalisation) are refused: nobody could merge them.
    data : tuple of tensors or arrays, Dataset, or int
        ``(X, y)``, or several inputs and the target, with rows along the first axis; a map-style data set (picklable,
        each item a tuple); or, with `batch`, the number of batches of an epoch. Copied to every machine once.
    loss : callable
        ``loss(module(*inputs), target) -> mean loss of the batch``, such as ``torch.nn.functional.cross_entropy``.
    lr : float, tuple, str or callable, default=0.01
        Step size by the number of batches of all workers, as the `schedule` of `hogwild.minimize`. T workers make T
        steps from the same parameters: where one is near the largest step size that works, divide by T, or use AdaGrad.
    batch : callable, optional
        ``batch(rng) -> (inputs ..., target)``: draws a batch.
    batch_size : int, default=64
    epochs : int, default=1
    shuffle : bool, default=True
        Whether every epoch has an order of its own.
    rule : {"sgd", "adagrad"}, default="sgd"
        What shards do with gradients.
    n_push, n_fetch : int
        Batches between two pushes (1) and between two pulls (as many). A worker that is faster than others takes more
        of them at a time, a slower one fewer, unless ``leases=False``.
    random_state : int, optional
        Seed of the orders and of the workers' random numbers (dropout).
    callback : callable, optional
        ``callback(Progress)`` when a worker reports; a true result ends training. Rows count batches.
    workers : int, optional
        Default: one for every machine of the cluster.
    threads : int, default=1
        That PyTorch uses in each worker.
    shards, replicas : int, default=1
        Processes that hold the parameters, and copies of each (1 or 2).
    consistency : {"asp", "ssp", "bsp"} or Consistency, default="asp"
        Asynchronous as in the paper, or with bounded staleness.
    staleness : int, optional
    address : str, optional
        Of a Ray cluster; see `hogwild.cluster.minimize`.
    **settings
        Further fields of `hogwild.cluster.settings.JobSettings`.

    Returns
    -------
    hogwild.torch.History
        Losses and seconds by epoch, batches in all as ``rows``, workers as ``n_jobs``.

    Raises
    ------
    DivergedError
        If a loss or a gradient is not finite.
    ValueError
        If data or module cannot be trained so: with what was found and expected.

    References
    ----------
    J. Dean et al.: Large Scale Distributed Deep Networks. NeurIPS 2012.

    Examples
    --------
    >>> import torch
    >>> from hogwild.cluster.torch_modules import downpour
    >>> X = torch.randn(1000, 3)
    >>> y = X @ torch.tensor([[1.0], [2.0], [3.0]])
    >>> model = torch.nn.Linear(3, 1)
    >>> history = downpour(model, (X, y), torch.nn.functional.mse_loss, lr=0.05, workers=2)  # doctest: +SKIP
    """
    _check(module)
    seed = int(np.random.default_rng(random_state).integers(2**62))
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, Dataset):
        batches = DatasetBatches(data, batch_size, shuffle, seed)
    elif isinstance(data, tuple | list):
        arrays = tuple(part.detach().cpu().numpy() if torch.is_tensor(part) else np.asarray(part) for part in data)
        if len(arrays) < 2:
            raise ValueError("data must be (X, y) or a Dataset, found one array")
        batches = batches_of(arrays, batch, batch_size, shuffle, seed)
    else:
        batches = batches_of(data, batch, batch_size, shuffle, seed)
    n_fetch = n_push if n_fetch is None else n_fetch
    problem = GradientProblem(functools.partial(TorchModel, module, loss), batches, lr, rule, n_push, n_fetch, seed)
    job = job_settings(shards, replicas, consistency, staleness, problem.phase_batches, settings)
    table, trained = table_of(module), dict(trained_parameters(module))
    values = table.zeros()
    table.gather(_arrays(trained), values)
    where = {"workers": workers, "address": address, "threads": threads, "callback": callback}
    was_training = module.training
    module.train()
    try:
        ran, curve = launch_gradients(problem, table, values, job, epochs=epochs, **where)
    finally:
        module.train(was_training)
    if not np.isfinite(ran.values.sum(dtype=np.float64)):
        raise DivergedError("Floating-point under-/overflow: the parameters are not finite; lr is too large")
    with torch.no_grad():
        flat = ran.values.reshape(-1)
        for name, start, stop in zip(table.names, table.starts[:-1], table.starts[1:], strict=True):
            parameter = trained[name]
            parameter.copy_(torch.from_numpy(flat[start:stop].copy()).view(parameter.shape))
    if ran.interrupted:
        raise KeyboardInterrupt
    return History(list(ran.losses), curve.seconds, curve.rows, ran.cluster.workers, ran.stopped)


# ------------------------------------------------------------------------------------------------ modules


def trained_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Parameters with a gradient, each once, under names that a table can have."""
    found = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [(f"p{k}", parameter) for k, parameter in enumerate(found)]


def _arrays(trained: dict[str, nn.Parameter]) -> Any:
    arrays = [parameter.detach().contiguous().numpy() for parameter in trained.values()]
    return namedtuple("Parameters", trained)(*arrays)


def table_of(module: nn.Module) -> FlatTable:
    """Where a module's parameters stand in the shards' table."""
    arrays = _arrays(dict(trained_parameters(module)))
    return FlatTable(arrays, dict.fromkeys(arrays._fields, "add"))


def _check(module: nn.Module) -> None:
    if not isinstance(module, nn.Module):
        raise ValueError(f"module must be a torch.nn.Module, found {type(module).__name__}")
    kinds = {}
    for name, tensor in module.named_parameters():
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            raise ValueError(f"found {name} of unknown shape: run the module on a batch first")
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
            raise ValueError(f"found {name} on {tensor.device} ({tensor.layout}), expected strided tensors on the CPU")
        if tensor.requires_grad:
            kinds[tensor.dtype] = name
    if not kinds:
        raise ValueError("found a module without parameters to train")
    if len(kinds) > 1 or not kinds.keys() <= {torch.float32, torch.float64}:
        found = ", ".join(f"{name} of {kind}" for kind, name in kinds.items())
        raise ValueError(f"parameters must be all float32 or all float64; found {found}")


class TorchModel:
    """A replica of the module, its parameters and gradients in tables.

    Parameters
    ----------
    module : nn.Module
    loss : callable
    """

    def __init__(self, module: nn.Module, loss: Callable[..., torch.Tensor]) -> None:
        self._module, self._loss = module, loss
        self.table = table_of(module)
        self._trained = dict(trained_parameters(module))
        self._fresh = True

    def attach(self, local: np.ndarray, seed: int = 0, threads: int = 1) -> None:
        """Let the parameters be views of `local`."""
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        for parameter, view in self._views(local):
            parameter.data = view

    def _views(self, table: np.ndarray) -> list[tuple[nn.Parameter, torch.Tensor]]:
        flat = torch.from_numpy(table.reshape(-1))
        bounds = zip(self.table.names, self.table.starts[:-1], self.table.starts[1:], strict=True)
        return [(self._trained[name], flat[start:stop].view(self._trained[name].shape)) for name, start, stop in bounds]

    def gradient(self, batch: Any, grads: np.ndarray) -> float:
        """Backpropagate into `grads`."""
        grads[...] = 0
        views = self._views(grads)
        for parameter, view in views:
            parameter.grad = view
        buffers = {name: buffer.clone() for name, buffer in self._module.named_buffers()} if self._fresh else {}
        *inputs, target = (part if torch.is_tensor(part) else torch.from_numpy(np.asarray(part)) for part in batch)
        loss = self._loss(self._module(*inputs), target)
        loss.backward()
        for parameter, view in views:
            if parameter.grad.data_ptr() != view.data_ptr():
                view.copy_(parameter.grad.to_dense())
        for name, buffer in self._module.named_buffers() if self._fresh else ():
            if not torch.equal(buffers[name], buffer):
                raise ValueError(
                    f"the module changes its buffer {name} (running statistics?): workers exchange parameters only; "
                    "expected nn.GroupNorm, nn.LayerNorm or track_running_stats=False"
                )
        self._fresh = False
        return loss.item()


class DatasetBatches(ArrayBatches):
    """Rows of a map-style data set, collated."""

    def __post_init__(self) -> None:
        """Count rows."""
        if not hasattr(self.data, "__len__"):
            raise ValueError("found a Dataset without a length, expected a map-style one or (X, y)")
        self.n_rows = len(self.data)
        if not self.n_rows:
            raise ValueError("found no rows to train on")

    def draw(self, turn: int, number: int) -> tuple[Any, int]:
        """Collate."""
        rows = self.rows_of(turn, number)
        return tuple(default_collate([self.data[int(i)] for i in rows])), len(rows)
