"""One problem of `minimize` on its way through an engine: rows, step, parameters, and the size of each row's step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import njit

from hogwild.compiled import kernel
from hogwild.engine.own_functions import COUNTED
from hogwild.schedules import Schedule, schedule_id, step_size
from hogwild.steps.own import View

_NAMED = {  # name: schedule of schedules.py, names and defaults of its constants
    "constant": ("constant", {"eta0": None}),
    "invscaling": ("invscaling", {"eta0": None, "power_t": 0.5}),
    "optimal": ("optimal", {"alpha": None, "t0": 0.0}),
    "bottou": ("search", {"eta0": None, "alpha": None}),
    "epoch_decay": ("epoch_decay", {"eta0": None, "beta": 0.9}),
}


@kernel
def _fill_etas(schedule, t, etas):
    for k in range(np.uint64(etas.size)):
        etas[k] = step_size(schedule, t + k)


@dataclass
class StepSizes:
    """Step size of each row by the global row clock t, 1 for the first.

    Attributes
    ----------
    schedule : Schedule
        Constants of a schedule by name; for a callable only a place holder.
    function : callable or None
        ``function(t) -> eta``.
    beta : float
        Factor of the step size between epochs.
    """

    schedule: Schedule
    function: Callable[[float], float] | None = None
    beta: float = 1.0
    _compiled: Callable | None = None

    def fill(self, t: float, n: int) -> np.ndarray:
        """Step sizes of the `n` rows from clock `t` on."""
        etas = np.empty(n)
        if self.function is None:
            _fill_etas(self.schedule, t, etas)
            return etas
        if self._compiled is None:
            self._compiled = _compile_schedule(self.function)
        self._compiled(t, etas)
        return etas


def _compile_schedule(function: Callable) -> Callable:
    """A loop over the user's schedule: compiled where that is possible, 0.1 us a row in Python otherwise."""

    def fill_in_python(t, etas):
        for k in range(len(etas)):
            etas[k] = function(t + k)

    try:
        own = njit(**COUNTED)(getattr(function, "py_func", function))

        @njit(**COUNTED)
        def fill(t, etas):
            for k in range(etas.size):
                etas[k] = own(t + k)

        fill(1.0, np.empty(0))
        return fill
    except Exception:  # the compiler raises many kinds
        return fill_in_python


def resolve_schedule(schedule: float | str | tuple | Callable[[float], float]) -> StepSizes:
    """Make the step sizes of what `minimize` was given.

    Raises
    ------
    ValueError
        If the name is not known, or a constant is missing, superfluous or out of range.
    """
    if callable(schedule):
        return StepSizes(_constants("constant", {"eta0": math.nan}), schedule)
    if isinstance(schedule, int | float | np.number) and not isinstance(schedule, bool):
        schedule = ("constant", float(schedule))
    if isinstance(schedule, str):
        schedule = (schedule,)
    if not isinstance(schedule, tuple) or not schedule or schedule[0] not in _NAMED:
        raise ValueError(
            "schedule must be a step size, a function of the row clock, or a tuple of a name "
            f"({', '.join(_NAMED)}) and its constants; found {schedule!r}"
        )
    kind, constants = _NAMED[schedule[0]]
    given = dict(zip(constants, map(float, schedule[1:]), strict=False))
    values = {**constants, **given}
    missing = [name for name, value in values.items() if value is None]
    if missing or len(schedule) - 1 > len(constants):
        raise ValueError(f"schedule {schedule[0]!r} takes the constants {', '.join(constants)}; found {schedule!r}")
    for name, value in values.items():
        if value <= 0.0 and name not in ("t0", "power_t"):
            raise ValueError(f"{name} of the schedule must be above 0, found {value!r}")
    return StepSizes(_constants(kind, values), beta=values.get("beta", 1.0))


def _constants(kind: str, values: dict[str, float]) -> Schedule:
    alpha = values.get("alpha", 0.0)
    t0 = values.get("t0", 0.0)
    if kind == "optimal" and t0 <= 0.0:  # so that the first step has the size of typical weights (Bottou 2010)
        t0 = 1.0 / (alpha * math.sqrt(1.0 / math.sqrt(alpha)))
    eta0 = values.get("eta0", 1.0)
    return Schedule(schedule_id(kind), eta0, values.get("power_t", 0.5), alpha, t0 - 1.0, 0.0, 0.0, False, math.inf)


@dataclass
class OwnTask:
    """A problem with a user's own step.

    Attributes
    ----------
    rows : NamedTuple
        `SparseRows`, `Dense`, `Columns` or `Drawn`.
    view : View
    step, loss : callable
    params : NamedTuple
        The user's, with arrays of our own; changed in place.
    sizes : StepSizes
    kept : ndarray of uint32
        Rows that take part; empty for all.
    longest : int
        Coordinates that a row touches at most.
    coordinates : tuple of (str, int)
        Names and first numbers of the coordinates that rows name.
    n_coordinates : int
    row_length : float
        Mean number of parameters that a row is thought to change.
    t : float
        Row clock.
    """

    rows: Any
    view: View
    step: Callable
    loss: Callable | None
    params: Any
    sizes: StepSizes
    kept: np.ndarray
    longest: int
    coordinates: tuple
    n_coordinates: int
    row_length: float
    t: float = 1.0
    # what the training loop asks of every task
    n_columns: int = 1
    n_features: int = 0
    n_settled: int = 0
    cost: float = 1.0
    model: Any = field(init=False)
    settled: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Name the parameters so that the training loop can check them."""
        self.name_parameters()

    def name_parameters(self) -> None:
        """Tell the training loop where the parameters are."""
        arrays = {str(k): value for k, value in enumerate(self.params) if isinstance(value, np.ndarray)}
        self.model = SimpleNamespace(settings=SimpleNamespace(penalised=False), **arrays)
        self.settled = tuple(arrays)

    @property
    def schedule(self) -> Schedule:
        """Constants of the step size, which the training loop may multiply between epochs."""
        return self.sizes.schedule

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        self.sizes.schedule = schedule

    @property
    def n_rows(self) -> int:
        """Rows in memory."""
        return len(self.rows.targets)

    @property
    def n_kept(self) -> int:
        """Rows that take part."""
        return len(self.kept) or self.n_rows

    def etas(self, n: int) -> np.ndarray:
        """Step sizes of the next `n` rows."""
        return self.sizes.fill(self.t, n)

    def draw_sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw row numbers among those that take part; all of them where there are no more than `size`."""
        numbers = np.arange(self.n_rows, dtype=np.uint32) if not len(self.kept) else self.kept
        return numbers if len(numbers) <= size else np.sort(rng.choice(numbers, size, replace=False))


__all__ = ["OwnTask", "StepSizes", "resolve_schedule"]
