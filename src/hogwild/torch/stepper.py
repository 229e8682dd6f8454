"""What one process of a fit does: batches out of shared tensors, steps on shared parameters.

Worker processes import this module and nothing above it: PyTorch takes them 1.3 s, our compiler another 0.4.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from hogwild.engine import shared_memory
from hogwild.engine.cursor import take


class Stepper:
    """Steps over batches: the module, its data, and an optimiser of this process."""

    def __init__(self, recipe: tuple, data: Any, number: int) -> None:
        self._module, self._loss, optimizer, options, seed = recipe
        self._data = data
        self._optimizer = optimizer([p for p in self._module.parameters() if p.requires_grad], **options)
        torch.manual_seed((seed + number) % 2**63)

    def _batch(self, rows: torch.Tensor) -> tuple:
        if isinstance(self._data, tuple):
            return tuple(part[rows] for part in self._data)
        return tuple(default_collate([self._data[i] for i in rows.tolist()]))

    def advance(self, cursor: np.ndarray, order: np.ndarray, batch_size: int, seconds: float) -> tuple[float, int]:
        """Take batches until there are no more, or the time is over; returns the sum of losses, and the rows."""
        ends, total, stepped = time.monotonic() + seconds, 0.0, 0
        rows, n_batches = torch.from_numpy(order), -(-len(order) // batch_size)
        while True:
            k = take(cursor)
            if k >= n_batches:
                return total, stepped
            *inputs, target = self._batch(rows[k * batch_size : (k + 1) * batch_size])
            self._optimizer.zero_grad()
            loss = self._loss(self._module(*inputs), target)
            loss.backward()
            self._optimizer.step()
            total, stepped = total + loss.item() * len(target), stepped + len(target)
            if time.monotonic() >= ends or not math.isfinite(total):
                return total, stepped


_stepper: list[Any] = [None, None]  # of a worker process: of which fit, and what steps


def advance(name: tuple, about: np.ndarray, held: tuple, number: int, threads: int, *part: Any) -> tuple[float, int]:
    """Step in a worker process; `held` are the arrays that the pickle in `about` refers to."""
    if _stepper[0] != name:
        torch.set_num_threads(threads)
        recipe, data = shared_memory.loads(about.tobytes())
        _stepper[:] = name, Stepper(recipe, data, number)
    return _stepper[1].advance(*part)


def forget() -> None:
    """Let a worker process go of a fit's memory."""
    _stepper[:] = None, None
