"""Step sizes: one scalar function of the global row clock for each schedule, and the clock of a chunk of rows.

Alongside the step size the clock carries what depends on nothing but it: the factor that the L2 penalty has
multiplied into the weights, the L1 penalty accumulated so far, and the sums that an average of the weights needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel, select, strict_inlined

CHUNK = 256  # rows of one clock and order
BLOCK = 32  # consecutive rows that stay together when blocks are shuffled
SMALLEST_FACTOR = 1e-6  # of one row: a step that would turn the weights over leaves a millionth of them
SMALLEST_SCALE = 1e-9  # below it the scale is folded into the weights


class Schedule(NamedTuple):
    """A schedule with its constants, as kernels see it.

    Attributes
    ----------
    kind : int
        Row of `SCHEDULES`.
    eta0, power_t, alpha : float
        As in scikit-learn.
    shift : float
        ``optimal``: t0 - 1, so that the first step has the size of typical weights.
    decay : float
        L2 strength per unit of step size, ``alpha * (1 - l1_ratio)``; 0 where the rule treats L2 itself.
    shrink : float
        Rate at which the accumulated penalty grows.
    shrink_by_eta : bool
        Whether that rate is multiplied by the step size.
    average_from : float
        Rows of the clock from which on the weights are averaged; infinity for no average.
    """

    kind: int
    eta0: float
    power_t: float
    alpha: float
    shift: float
    decay: float
    shrink: float
    shrink_by_eta: bool
    average_from: float


@strict_inlined
def _constant(t, s, unused):
    return s.eta0


@strict_inlined
def _optimal(t, s, unused):
    return 1.0 / (s.alpha * (s.shift + t))


@strict_inlined
def _invscaling(t, s, unused):
    return s.eta0 / np.sqrt(t) if s.power_t == 0.5 else s.eta0 / t**s.power_t


@strict_inlined
def _bottou(t, s, unused):
    return s.eta0 / (1.0 + s.alpha * s.eta0 * (t - 1.0))


# learning_rate: the function of t (1 for the first row); epoch_decay changes eta0 between epochs, adaptive when the
# loss stalls; passive-aggressive, AdaGrad and FTRL steps divide the constant themselves
SCHEDULES = {
    "constant": _constant,
    "optimal": _optimal,
    "invscaling": _invscaling,
    "search": _bottou,
    "adaptive": _constant,
    "epoch_decay": _constant,
    "pa1": _constant,
    "pa2": _constant,
    "adagrad": _constant,
    "ftrl": _constant,
}

_eta = select(list(SCHEDULES.values()))


def eta_at(schedule: Schedule, t: float) -> float:
    """Return the step size of the row with clock `t`, in Python: for whoever looks on, not for kernels.

    Parameters
    ----------
    schedule : Schedule
    t : float
        1 for the first row.

    Returns
    -------
    float
        The constant that is divided, where the steps divide it themselves (passive-aggressive, AdaGrad, FTRL).

    Examples
    --------
    >>> from hogwild.schedules import Schedule, eta_at, schedule_id
    >>> halved = Schedule(schedule_id("invscaling"), 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, False, float("inf"))
    >>> eta_at(halved, 4.0)
    0.25
    """
    rule = list(SCHEDULES.values())[schedule.kind]
    return float(getattr(rule, "py_func", rule)(t, schedule, 0))


def schedule_id(name: str) -> int:
    """Number by which kernels know the schedule `name`."""
    return list(SCHEDULES).index(name)


@strict_inlined
def step_size(schedule, t):
    """Step size of the row with clock `t` (1 for the first)."""
    return _eta(schedule.kind, t, schedule, 0)


@strict_inlined
def l2_factor(schedule, eta):
    """Factor that one row's L2 penalty multiplies the weights by."""
    return max(1.0 - eta * schedule.decay, SMALLEST_FACTOR)


@strict_inlined
def penalty_rate(schedule, eta):
    """Penalty that one row adds to the accumulated one."""
    return schedule.shrink * eta if schedule.shrink_by_eta else schedule.shrink


@strict_inlined
def fill_clock(schedule, work, n):
    """Write the clock of the next `n` rows from ``work.running`` on; returns how many fit above `SMALLEST_SCALE`.

    ``running`` holds t, scale, penalty, area, count at 1 to 5 and is moved on.
    """
    running = work.running
    t, scale, penalty, area, count = running[1], running[2], running[3], running[4], running[5]
    k = np.uint64(0)
    work.scale[0] = scale
    while k < n:
        eta = step_size(schedule, t)
        scale *= l2_factor(schedule, eta)
        penalty += penalty_rate(schedule, eta)
        work.eta[k] = eta
        work.penalty[k] = penalty
        work.area[k] = area
        work.count[k] = count
        if t >= schedule.average_from:
            area += scale
            count += 1.0
        t += 1.0
        work.inverse[k] = 1.0 / scale
        k += np.uint64(1)
        work.scale[k] = scale
        if scale < SMALLEST_SCALE:
            break
    running[1], running[2], running[3], running[4], running[5] = t, scale, penalty, area, count
    return k


_EXACT = 32_768.0  # before this clock every row is summed; later Simpson's rule over a chunk is exact to 1e-9


@kernel
def chunk_starts(schedule, t, scale, penalty, area, count, n_rows, starts):
    """Clock at the start of each chunk: ``starts[c] = (t, scale, penalty, area, count)``, and at the end.

    Returns the number of rows (whole chunks, at most `n_rows`) before the scale falls below `SMALLEST_SCALE`.
    """
    done, c = 0, 0
    while True:
        starts[c, 0], starts[c, 1], starts[c, 2], starts[c, 3], starts[c, 4] = t, scale, penalty, area, count
        if done >= n_rows:
            return done
        n = min(CHUNK, n_rows - done)
        before = scale
        if t < _EXACT or t < schedule.average_from < t + n:
            for _ in range(n):
                eta = step_size(schedule, t)
                scale *= l2_factor(schedule, eta)
                penalty += penalty_rate(schedule, eta)
                if t >= schedule.average_from:
                    area += scale
                    count += 1.0
                t += 1.0
        else:
            first, middle, last = t - 0.5, t + 0.5 * (n - 1), t + n - 0.5
            eta_a, eta_b, eta_c = step_size(schedule, first), step_size(schedule, middle), step_size(schedule, last)
            log_a, log_b, log_c = (
                np.log(l2_factor(schedule, eta_a)),
                np.log(l2_factor(schedule, eta_b)),
                np.log(l2_factor(schedule, eta_c)),
            )
            scale *= np.exp(n * (log_a + 4.0 * log_b + log_c) / 6.0)
            eta = (eta_a + 4.0 * eta_b + eta_c) / 6.0
            penalty += n * penalty_rate(schedule, eta)
            if t >= schedule.average_from:
                factor = (scale / before) ** (1.0 / n)  # the sum of a geometric series
                area += (before - scale) * factor / (1.0 - factor) if factor < 1.0 - 1e-12 else n * scale
                count += n
            t += n
        if scale < SMALLEST_SCALE:
            return done
        done += n
        c += 1
