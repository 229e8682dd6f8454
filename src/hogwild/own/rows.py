"""Where the rows of `minimize` come from: one block in memory, or the batches of rows beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hogwild.engine.own_data import OwnData
from hogwild.engine.own_params import rehearse
from hogwild.engine.own_task import OwnTask
from hogwild.engine.source import Block
from hogwild.estimators.sources import StreamSource, is_rows


class _WholeBlock(Block):
    """Rows that count one each: a step uses the weight of its row as it likes."""

    @property
    def weight(self) -> float:
        """Number of rows that take part."""
        return float(self.n_rows)


class MemoryRows:
    """The rows in memory, as the training loop asks for them."""

    def __init__(self, task: OwnTask) -> None:
        self._task, self.n_rows = task, task.n_kept

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Return the one block."""
        return iter([_WholeBlock(self._task.rows, self._task.kept)][skipped:])

    def share(self) -> float:
        """Share of the epoch that has been read."""
        return 1.0

    def mean_loss(self, runner: Any) -> float:
        """Mean loss of all rows at the present parameters."""
        return runner.mean_loss()


class OpenedRows:
    """What `hogwild.data.open` returns: batch after batch, in the original numbers of the features.

    Parameters
    ----------
    opened : iterable of Batch
    n_threads : int
        More than one: the next batch is read while this one is stepped through.

    Attributes
    ----------
    data : OwnData
        The first batch.
    """

    n_rows = None

    def __init__(self, opened: Any, n_threads: int) -> None:
        self._source = StreamSource(opened, n_threads)
        self._source.targets = _targets
        self._widest = -1
        try:
            self.data = self._own_data(Block(self._source.first()))
        except BaseException:
            self.close()
            raise

    def attach(self, task: OwnTask) -> OpenedRows:
        """Keep `task` at the batch under way; returns this object."""
        self._task = task
        return self

    def close(self) -> None:
        """End the thread that reads."""
        self._source.close()

    def _own_data(self, block: Block) -> OwnData:
        rows, width = block.rows, self._source.n_features
        length = len(rows.indices) / max(1, len(rows.targets))
        return OwnData(rows, (), block.kept, (("feature", 0),), width or 0, width or 0, max(1.0, length))

    def epoch(self, rng: np.random.Generator, skipped: int) -> Iterator[Block]:
        """Read the batches; a batch with a larger feature than ever is rehearsed first."""
        for block in self._source.epoch(rng, skipped):
            if block.n_rows:
                self._task.rows, self._task.kept = block.rows, block.kept
                if block.n_features > self._widest:
                    rehearse(self._task, self._own_data(block))
                    self._widest = block.n_features
            yield _WholeBlock(block.rows, block.kept)  # asks for no columns: the parameters are the user's

    def share(self) -> float | None:
        """Share of the epoch that has been read."""
        return self._source.share()

    def mean_loss(self, runner: Any) -> float:
        """Mean loss of all rows, which are read once more."""
        total, n_rows = 0.0, 0
        for block in self.epoch(np.random.default_rng(0), 0):
            if block.n_rows:
                total, n_rows = total + runner.mean_loss() * block.n_rows, n_rows + block.n_rows
        return total / max(1, n_rows)


def _targets(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"the rows have labels of dtype {labels.dtype}, expected numbers")
    return labels.astype(np.float32)


__all__ = ["MemoryRows", "OpenedRows", "is_rows"]
