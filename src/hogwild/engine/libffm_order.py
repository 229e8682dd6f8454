"""libffm's own random numbers: initial weights from minstd_rand0, the order of rows from the C library's rand().

For runs that have to give what libffm gives; our own order (order.py) is as random and a third faster to step through.
"""

from __future__ import annotations

import math

import numpy as np

from hogwild.compiled import strict_kernel
from hogwild.engine.order import Order

_LAGS = 31  # numbers that the additive generator holds
_BEHIND = 28  # it adds the numbers drawn 31 and 3 draws before
_DISCARDED = 310
_MULTIPLIER, _MODULUS = 16_807, 2_147_483_647  # of minstd, which also seeds the additive generator


class GlibcRandom:
    """``rand()`` of the GNU C library (its additive generator), as a program that never calls ``srand`` sees it.

    Parameters
    ----------
    seed : int, default 1
        Above 0.

    Examples
    --------
    >>> from hogwild.engine.libffm_order import GlibcRandom
    >>> GlibcRandom().draw(3).tolist()
    [1804289383, 846930886, 1681692777]
    """

    def __init__(self, seed: int = 1) -> None:
        numbers = [seed % _MODULUS]
        while len(numbers) < _LAGS:
            numbers.append(numbers[-1] * _MULTIPLIER % _MODULUS)
        self._numbers = np.array(numbers, np.uint32)
        self._numbers = np.roll(self._numbers, -3)  # the first number added is the fourth
        self._place = np.zeros(1, np.uint64)
        self.skip(_DISCARDED)

    def draw(self, n: int) -> np.ndarray:
        """Return the next `n` numbers, below 2**31."""
        drawn = np.empty(n, np.uint32)
        _draw(self._numbers, self._place, drawn)
        return drawn

    def skip(self, n: int) -> None:
        """Leave out the next `n` numbers."""
        _skip(self._numbers, self._place, n)

    def permutation(self, n: int) -> np.ndarray:
        """Return 0 to n - 1 (uint32) in the order that ``std::random_shuffle`` gives them; takes n - 1 numbers."""
        rows = np.arange(n, dtype=np.uint32)
        _shuffle(self._numbers, self._place, rows)
        return rows


@strict_kernel
def _draw(numbers, place, drawn):
    p = place[0]
    for k in range(np.uint64(drawn.size)):
        numbers[p] += numbers[(p + np.uint64(_BEHIND)) % np.uint64(_LAGS)]
        drawn[k] = numbers[p] >> np.uint32(1)
        p = (p + np.uint64(1)) % np.uint64(_LAGS)
    place[0] = p


@strict_kernel
def _skip(numbers, place, n):
    p = place[0]
    for _ in range(np.uint64(n)):
        numbers[p] += numbers[(p + np.uint64(_BEHIND)) % np.uint64(_LAGS)]
        p = (p + np.uint64(1)) % np.uint64(_LAGS)
    place[0] = p


@strict_kernel
def _shuffle(numbers, place, rows):
    p = place[0]
    for i in range(np.uint64(1), np.uint64(rows.size)):
        numbers[p] += numbers[(p + np.uint64(_BEHIND)) % np.uint64(_LAGS)]
        other = np.uint64(numbers[p] >> np.uint32(1)) % (i + np.uint64(1))
        p = (p + np.uint64(1)) % np.uint64(_LAGS)
        row = rows[i]
        rows[i] = rows[other]
        rows[other] = row
    place[0] = p


class LibffmOrder:
    """The order in which libffm visits rows, epoch after epoch: blocks are shuffled, then the rows of each block.

    It is drawn anew for each pass over the validation rows too, which nobody sees but the next training order depends
    on. A function that `hogwild.engine.training.Training` takes as `shuffle`.

    Parameters
    ----------
    starts : ndarray of int
        Where blocks of rows start, and the end (`hogwild.data.libffm_cache.block_starts`).
    validation : ndarray of int, optional
        The same of the validation rows.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild.engine.libffm_order import LibffmOrder
    >>> order = LibffmOrder(np.array([0, 5, 5]))
    >>> order.epoch().tolist(), order.epoch().tolist()
    ([2, 0, 1, 4, 3], [2, 4, 1, 0, 3])
    """

    def __init__(self, starts: np.ndarray, validation: np.ndarray | None = None) -> None:
        self._starts, self._random = np.asarray(starts, np.int64), GlibcRandom()
        self._numbers = _numbers_of(starts)  # that one pass takes
        self._between = 0 if validation is None else _numbers_of(validation)
        self._epochs = 0

    def skip(self, n_epochs: int) -> None:
        """Leave out epochs, as a run that goes on after them does."""
        for _ in range(n_epochs):
            self._random.skip(self._numbers + (self._between if self._epochs else 0))
            self._epochs += 1

    def epoch(self) -> np.ndarray:
        """Draw the next epoch: row numbers (uint32)."""
        if self._epochs:
            self._random.skip(self._between)
        self._epochs += 1
        blocks = []
        for block in self._random.permutation(len(self._starts) - 1).tolist():
            start, stop = self._starts[block], self._starts[block + 1]
            blocks.append(self._random.permutation(int(stop - start)) + np.uint32(start))
        return np.concatenate(blocks)

    def __call__(self, rng: np.random.Generator, n_rows: int, kept: np.ndarray) -> Order:
        """Return the next epoch as the engine takes it; `rng` is not asked."""
        if n_rows != self._starts[-1] or len(kept):
            raise ValueError(f"found {n_rows:,} rows to order, expected all of the {self._starts[-1]:,}")
        return Order(kept, np.uint64(n_rows), self.epoch(), np.uint64(1), np.uint64(0))


def _numbers_of(starts: np.ndarray) -> int:
    """Random numbers that one pass takes: one fewer than there are things in each shuffle."""
    return len(starts) - 2 + int(np.maximum(np.diff(starts) - 1, 0).sum())


def fill_initial_weights(weights: np.ndarray, n_factors: int) -> None:
    """Write libffm's initial weights: uniform in [0, 1 / sqrt(k)), one after the other from minstd_rand0, seed 1.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_features, n_fields, ceil(n_factors / 4), 2, 4)
        As in `hogwild.data.libffm_model.LibffmModel`; sums become 1, padding 0.
    n_factors : int
    """
    _fill(weights.reshape(-1, *weights.shape[-3:]), n_factors, np.float32(1 / math.sqrt(n_factors)))


@strict_kernel
def _fill(weights, n_factors, scale):
    x, below_one = np.uint64(1), np.float32(1) - np.float32(2.0**-24)
    for block in range(np.uint64(weights.shape[0])):
        for d in range(np.uint64(weights.shape[1] * 4)):
            lane, part = d & np.uint64(3), d >> np.uint64(2)
            drawn = np.float32(0)
            if d < np.uint64(n_factors):
                x = x * np.uint64(_MULTIPLIER) % np.uint64(_MODULUS)
                share = np.float32(x - np.uint64(1)) / np.float32(_MODULUS - 1)
                drawn = scale * min(share, below_one)
            weights[block, part, 0, lane] = drawn
            weights[block, part, 1, lane] = np.float32(1)
