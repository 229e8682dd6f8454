"""The constant in front of the curvature with which a shard damps a worker's deltas, chosen by each worker alone.

A worker cannot know beforehand what the others will push beside its own delta. Its own delta taken as many times has
its own noise as many times, and makes every merge look dangerous (.41 and .45 where the table has .326 and .333). But
the next pull tells what became of the last phase: where the worker had `before`, the shard has
``after = before + s * (sum of all deltas)``. Under another constant it would have
``before + s_j / s * (after - before)``, and the mean losses of these candidates, on rows that are about to be stepped,
say which constants would have been good.

The lowest loss is not the aim: averaging removes noise and lowers the loss at once, while it slows down all that
follows (with T = 4, m = 500 the constant that is best at each merge ends at .323, a fixed .01 at .304). Of the
constants whose loss is within 1 % of the lowest the boldest is wanted; a bad loss is remembered for some phases; and
the constant moves towards the wanted one by a part of the way, since what one interval tells is noisy.

Log loss after 5 epochs, T workers, phases of m rows, step size tuned for one thread (benchmarks/cluster_merging.py);
`alone` under SSP(4), the others under BSP; `best` is the best constant of each merge in the knowledge of all deltas;
RCV1-like has 100,000 rows, the last lines 781,000:

=========  ==========  =========  =====  =====  ==========  =====  =====
data       one thread  T, m       sum    mean   damped, .1  best   alone
=========  ==========  =========  =====  =====  ==========  =====  =====
a9a        .325        4, 2,000   2.1    .325   .324        .324   .325
a9a        .325        16, 1,000  10.0   .334   .328        .325   .328
ijcnn1     .186        16, 1,000  2.6    .187   .187        .185   .186
RCV1-like  .304        4, 500     .369   .440   .314        .323   .310
RCV1-like  .304        8, 2,000   1.8    .488   .361        .311   .326
RCV1-like  .304        16, 1,000  1.9    .543   .373        .317   .333
RCV1-like  .404        2, 2,000   .406   .439   .404        .406   .403
RCV1-like  .404        2, 25,000                .413               .406
RCV1-like  .404        2, 100,000               .432               .415
RCV1-like  .404        2, 200,000               .446               .428
=========  ==========  =========  =====  =====  ==========  =====  =====
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from hogwild.cluster.store_kernels import merge_again
from hogwild.engine.tuning import CONSTANTS

START = 0.03  # the constant of the first phases: no case of the table diverges under it
AS_GOOD = 0.01  # difference of logarithms of losses that does not count
KEPT = 0.5  # of an excess of loss, from phase to phase
BOLDER, SAFER = 0.3, 0.6  # parts of the way, of logarithms of constants
JUDGING_ROWS = 2_000
FEWEST_ROWS = 512  # with 256, one run of three with T = 16, m = 1,000 ended at .399 instead of .336


def judging_rows(phase_rows: int) -> int:
    """How many rows to score the constants on: all seven cost a tenth of a long phase.

    Examples
    --------
    >>> judging_rows(2_000), judging_rows(100_000)
    (512, 2000)
    """
    return min(JUDGING_ROWS, max(FEWEST_ROWS, phase_rows // 25))


class ConstantTuning:
    """One worker's choice of the constant.

    Attributes
    ----------
    constant : float
        To be sent with the next push.

    Examples
    --------
    >>> tuning = ConstantTuning()
    >>> before, after, curvature = np.zeros(3, np.float32), np.ones(3, np.float32), np.ones(3, np.float32)
    >>> score = lambda values: float(np.square(values - 3).sum()) + 1  # the further the better
    >>> round(tuning.observe(score, before, after, curvature, 100.0, active=8), 3)
    0.015
    """

    def __init__(self) -> None:
        self.constant = START
        self._excess = np.zeros(len(CONSTANTS))

    def observe(
        self,
        score: Callable[[np.ndarray], float],
        before: np.ndarray,
        after: np.ndarray,
        curvature: np.ndarray,
        x: float,
        active: int,
    ) -> float:
        """Choose the constant anew, once a pull has told what became of the phase before.

        Parameters
        ----------
        score : callable
            Mean loss, on rows of this worker that it has not stepped since the pull, of such values as `after`.
        before, after : ndarray
            Values pulled for the last phase (brought up to date with penalties, `sending.carry_over`), and now; equal
            where a key was not pulled before. Of the same shape and precision.
        curvature : ndarray of float32
            Of each number; 0 where deltas are added whole or averaged.
        x : float
            Step size times rows of the last phase.
        active : int
            Active workers.

        Returns
        -------
        float
            The constant.
        """
        if active < 2:
            return self.constant
        used = self.constant
        return self.choose([score(again(before, after, curvature, x, used, c, active)) for c in CONSTANTS])

    def choose(self, losses: Sequence[float]) -> float:
        """Choose the constant anew by the mean losses that merges would have led to under each of `CONSTANTS`."""
        losses = np.asarray(losses, np.float64)
        finite = np.isfinite(losses)
        if not finite.any():
            self.constant = CONSTANTS[-1]
            return self.constant
        logs = np.log(np.maximum(np.where(finite, losses, np.inf), math.ulp(0.0)))
        excess = np.minimum(logs - logs.min(), 10.0)
        self._excess = np.maximum(KEPT * self._excess, excess)
        wanted = CONSTANTS[int(np.argmax(self._excess <= self._excess.min() + AS_GOOD))]
        part = BOLDER if wanted < self.constant else SAFER
        self.constant *= (wanted / self.constant) ** part
        return self.constant


def again(
    before: np.ndarray, after: np.ndarray, curvature: np.ndarray, x: float, used: float, constant: float, active: int
) -> np.ndarray:
    """Values that merges would have led to from `before` under `constant`, instead of `after` under `used`.

    Examples
    --------
    >>> ones = np.ones(1, np.float32)
    >>> again(0 * ones, ones, ones, x=100.0, used=1.0, constant=0.0, active=4).round(2)  # the mean; the sum
    array([4.], dtype=float32)
    """
    out = np.empty_like(before)
    number = before.dtype.type
    flat = (np.ascontiguousarray(array).reshape(-1) for array in (before, after, curvature))
    merge_again(*flat, number(x * used), number(x * constant), number(active), out.reshape(-1))
    return out
