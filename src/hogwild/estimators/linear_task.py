"""From an estimator's parameters to what the engine runs: model arrays, settings, schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_copy, aligned_zeros, inlined, kernel
from hogwild.engine.task import SHRINK, Merge, Task
from hogwild.losses import LOSSES, PIECEWISE_LINEAR, OwnLoss, loss_id, value_at
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.adagrad import AdaGrad
from hogwild.steps.base import LAZY, MERGES, make_work
from hogwild.steps.ftrl import Ftrl
from hogwild.steps.linear import MULTICLASS, Settings, class_weight, columns_curvature, columns_loss, secant
from hogwild.steps.products import add_scores, row_weight
from hogwild.steps.rows import Rows, feature, span, value
from hogwild.steps.sgd import Sgd

# Curvature that a loss with kinks has at least where replicas merge: between its kinks it has none, deltas were added
# whole, and 16 replicas of a hinge ended at 40 times the objective of one; with it 2 to 64 end at .4 to 1.2 times.
KINKED = 0.4 * PIECEWISE_LINEAR / SHRINK
LARGE = 1 << 20  # bytes of weights from which on they are prefetched: a core's L2 cache
COSTS = {Sgd: 1.0, AdaGrad: 2.5, Ftrl: 5.0}  # time of a step beside plain SGD's
UPDATE_RULES = {"adagrad": AdaGrad, "ftrl": Ftrl}  # learning rates with an update rule of their own


@dataclass
class LinearState:
    """Everything that training a linear model goes on from: the arrays and the clock.

    Attributes
    ----------
    coef, intercept : ndarray, shapes (n_features,) or (n_features, n_columns); (n_columns,)
    arrays : dict of str to ndarray
        Optimiser state: AdaGrad's sums, FTRL's z and n, penalty received, running sums of an average.
    t, penalty : float
        Row clock and accumulated penalty.
    averaged_rows : float
        Rows in the running sums.
    """

    coef: np.ndarray
    intercept: np.ndarray
    arrays: dict[str, np.ndarray]
    t: float = 1.0
    penalty: float = 0.0
    averaged_rows: float = 0.0

    def named(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {"coef": self.coef, "intercept": self.intercept, **self.arrays}

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and intercepts that predict: the averaged ones where there are any."""
        if not self.averaged_rows:
            return self.coef, self.intercept
        coef = (self.arrays["summed"] / self.averaged_rows).astype(self.coef.dtype)
        return coef, (self.arrays["summed_intercept"] / self.averaged_rows).astype(self.coef.dtype)

    def gathered(self, numbering: np.ndarray) -> LinearState:
        """Copy the state of the features `numbering`, in their order."""
        return self._mapped(lambda array: aligned_copy(array[numbering]))

    def scattered(self, numbering: np.ndarray, part: LinearState) -> LinearState:
        """Put the state `part` of the features `numbering` into a copy of this one."""
        whole = replace(self.copy(), t=part.t, penalty=part.penalty, averaged_rows=part.averaged_rows)
        for name, array in whole.named().items():
            found = part.arrays[name] if name in part.arrays else getattr(part, name)
            if _by_feature(name) and array.size:
                array[numbering] = found
            else:
                array[...] = found
        return whole

    def resized(self, n_features: int) -> LinearState:
        """Copy the state of the first features, or with room for more: their weights and all else of them are 0."""

        def changed(array: np.ndarray) -> np.ndarray:
            found = aligned_zeros((n_features, *array.shape[1:]), array.dtype)
            found[: len(array)] = array[:n_features]
            return found

        return self._mapped(changed) if n_features != len(self.coef) else self

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> LinearState:
        """Copy with `change` made to all arrays that have a row for each feature."""
        arrays = {
            name: change(array) if _by_feature(name) and array.size else array.copy()
            for name, array in self.arrays.items()
        }
        return replace(self, coef=change(self.coef), intercept=self.intercept.copy(), arrays=arrays)

    def copy(self) -> LinearState:
        """Copy everything."""
        arrays = {name: array.copy() for name, array in self.arrays.items()}
        return replace(self, coef=self.coef.copy(), intercept=self.intercept.copy(), arrays=arrays)


def _by_feature(name: str) -> bool:
    """Whether an array of the state has a row for each feature."""
    return "intercept" not in name


class LinearOptions(NamedTuple):
    """The parameters of an SGD estimator that shape the task."""

    loss: str | OwnLoss
    multi_class: str
    epsilon: float
    quantile: float
    penalty: str | None
    alpha: float
    l1_ratio: float
    learning_rate: str
    eta0: float
    power_t: float
    beta: float
    fit_intercept: bool
    intercept_decay: float
    average: int

    @property
    def parameter(self) -> float:
        """The loss's own parameter."""
        if isinstance(self.loss, OwnLoss):
            return 0.0
        parameter = LOSSES[self.loss].parameter
        return float(getattr(self, parameter) if isinstance(parameter, str) else parameter)

    def slope(self, y: float, p: float) -> float:
        """Derivative of the loss of one row."""
        if isinstance(self.loss, OwnLoss):
            return self.loss.derivative(y, p)
        return LOSSES[self.loss].derivative(y, p, self.parameter)


def l1_share(penalty: str | None, l1_ratio: float | None) -> float:
    """Share of L1 in `penalty`."""
    return {"l1": 1.0, "elasticnet": l1_ratio or 0.0}.get(penalty or "", 0.0)


def new_state(options: LinearOptions, n_features: int, n_columns: int, dtype: np.dtype) -> LinearState:
    """Allocate a state of zeros."""
    shape = (n_features,) if n_columns == 1 else (n_features, n_columns)
    nothing = (0,) * len(shape)
    rule = UPDATE_RULES.get(options.learning_rate, Sgd)
    strong = options.penalty is not None and options.alpha > 0
    lazy = strong and (rule is AdaGrad or l1_share(options.penalty, options.l1_ratio) > 0)
    arrays = {}
    if rule is not Ftrl:
        averaged = options.average > 0
        arrays["received"] = aligned_zeros(shape if lazy else nothing, dtype)
        arrays["summed"] = aligned_zeros(shape if averaged else nothing, np.float64)
        arrays["summed_intercept"] = aligned_zeros(n_columns if averaged else 0, np.float64)
    if rule is AdaGrad:
        arrays["squares"] = aligned_zeros(shape, dtype)
        arrays["intercept_squares"] = aligned_zeros(n_columns, dtype)
    if rule is Ftrl:
        arrays["z"], arrays["n"] = aligned_zeros(shape, dtype), aligned_zeros(shape, dtype)
        arrays["intercept_z"], arrays["intercept_n"] = aligned_zeros(n_columns, dtype), aligned_zeros(n_columns, dtype)
    return LinearState(aligned_zeros(shape, dtype), aligned_zeros(n_columns, dtype), arrays)


def restart_ftrl(state: LinearState, options: LinearOptions) -> None:
    """Choose z such that FTRL starts at the weights of `state` (n = 0, no penalty yet)."""
    rate = options.beta / options.eta0
    np.multiply(state.coef, -rate, out=state.arrays["z"])
    np.multiply(state.intercept, -rate, out=state.arrays["intercept_z"])


def make_schedule(options: LinearOptions, eta0: float) -> Schedule:
    """Make the schedule that kernels read."""
    rule, share = UPDATE_RULES.get(options.learning_rate), l1_share(options.penalty, options.l1_ratio)
    alpha = options.alpha if options.penalty is not None else 0.0
    shift = 0.0
    if options.learning_rate == "optimal":
        typical = math.sqrt(1.0 / math.sqrt(options.alpha))
        shift = 1.0 / (typical / max(1.0, options.slope(1.0, -typical)) * options.alpha) - 1.0
    if rule is None:
        decay, shrink, by_eta = alpha * (1.0 - share), alpha * share, True
    else:
        decay, shrink, by_eta = 0.0, alpha, rule is AdaGrad
    return Schedule(
        kind=schedule_id(options.learning_rate),
        eta0=float(eta0),
        power_t=float(options.power_t),
        alpha=float(options.alpha),
        shift=shift,
        decay=decay,
        shrink=shrink,
        shrink_by_eta=by_eta,
        average_from=float(options.average) if options.average > 0 else math.inf,
    )


def make_task(
    options: LinearOptions,
    state: LinearState,
    rows: Rows,
    *,
    eta0: float,
    positive: np.ndarray,
    negative: np.ndarray,
) -> Task:
    """Put state, rows and options together; the task changes the state's arrays in place."""
    rule = UPDATE_RULES.get(options.learning_rate, Sgd)
    own = options.loss if isinstance(options.loss, OwnLoss) else None
    passive = {"pa1": 1, "pa2": 2}.get(options.learning_rate, 0)
    settings = Settings(
        loss=0 if own else loss_id(options.loss),
        parameter=options.parameter,
        value=own.value if own else None,
        derivative=own.derivative if own else None,
        multiclass=MULTICLASS.index(options.multi_class),
        least_curvature=KINKED if own or LOSSES[options.loss].kinked else 0.0,
        passive=passive,
        aggressiveness=float(eta0),
        eta0=float(eta0),
        fit_intercept=bool(options.fit_intercept),
        intercept_decay=float(options.intercept_decay),
        l1_ratio=l1_share(options.penalty, options.l1_ratio),
        beta=float(options.beta),
        lazy=True,
        lazy_intercept=True,
        penalised="received" in state.arrays and state.arrays["received"].size > 0,
        averaged="summed" in state.arrays and state.arrays["summed"].size > 0,
        large=state.coef.nbytes > LARGE,
        positive=positive,
        negative=negative,
    )
    model = rule(coef=state.coef, intercept=state.intercept, settings=settings, **state.arrays)
    values = rows.values
    n_columns = len(state.intercept)
    step_bound = math.inf
    if passive:
        mean_square = squared_sum(values.ravel()) / max(1, len(rows.targets))
        step_bound = min(eta0, 1.0 / max(mean_square, 1e-30))
    return Task(
        rows=rows,
        model=model,
        merges={name: Merge(*merge) for name, merge in MERGES[rule].items()},
        lazy=LAZY[rule],
        schedule=make_schedule(options, eta0),
        n_features=len(state.coef),
        n_columns=n_columns,
        curvature_of=lambda rows, sample, features: curvature_bound(rows, sample, model, features),
        cost=COSTS[rule],
        step_bound=step_bound,
        objective_of=lambda rows, sample, coef, intercept: mean_loss(rows, sample, coef, intercept, settings),
        t=state.t,
        penalty=state.penalty,
    )


def squared_sum(values: np.ndarray) -> float:
    """Sum of squares without BLAS, whose threads spin for milliseconds after 10,000 doubles, on the cores of ours.

    A fit on two threads right after such a product takes a third longer.
    """
    return float(np.einsum("i,i->", values, values, dtype=np.float64))


def penalty_value(options: LinearOptions, coef: np.ndarray) -> float:
    """Value of the penalty at `coef`."""
    if options.penalty is None or options.alpha == 0:
        return 0.0
    flat, share = coef.ravel(), l1_share(options.penalty, options.l1_ratio)
    value = (1.0 - share) * 0.5 * squared_sum(flat)
    return options.alpha * (value + (share * float(np.abs(flat).sum()) if share else 0.0))


# ------------------------------------------------------------------------------------------------ mean loss of a sample


@inlined
def _predict(rows, i, coef, intercept, work):
    """Write the scores of row `i` to ``work.predictions``."""
    columns = np.uint64(intercept.size)
    for c in range(columns):
        work.scores[c] = intercept[c]
    add_scores(rows, i, coef, work.scores)
    for c in range(columns):
        work.predictions[c] = work.scores[c]


@kernel
def _sum_loss(rows, sample, coef, intercept, settings, work):
    total = 0.0
    for k in range(np.uint64(sample.size)):
        i = sample[k]
        _predict(rows, i, coef, intercept, work)
        if intercept.size > 1:
            total += columns_loss(rows, i, settings, work) * row_weight(rows, i)
        else:
            y = rows.targets[i]
            loss = value_at(settings, y, work.predictions[0])
            total += loss * class_weight(settings, y, np.uint64(0)) * row_weight(rows, i)
    return total


def mean_loss(rows: Rows, sample: np.ndarray, coef: np.ndarray, intercept: np.ndarray, settings: Settings) -> float:
    """Mean loss over the rows `sample`, class and row weights included."""
    work = make_work(len(intercept), rows.values.dtype)
    return _sum_loss(rows, sample, coef, intercept, settings, work) / max(1, len(sample))


@kernel
def _add_curvature(rows, sample, coef, intercept, settings, work, by_feature, by_intercept):
    """Sum ``|x_ij| (|x_i|_1 + 1) h_i`` over the sample for each weight, and ``(|x_i|_1 + 1) h_i`` for intercepts."""
    columns = np.uint64(intercept.size)
    bias = 1.0 if settings.fit_intercept else 0.0
    for k in range(np.uint64(sample.size)):
        i = sample[k]
        start, stop = span(rows, i)
        length = bias
        for j in range(start, stop):
            length += abs(value(rows, i, j))
        length *= row_weight(rows, i)
        _predict(rows, i, coef, intercept, work)
        if settings.passive:  # a passive-aggressive step is a Newton step that mends the row's whole loss
            for c in range(columns):
                work.derivatives[c] = 1.0
        elif columns > np.uint64(1):
            columns_curvature(rows, i, settings, work)
        else:
            work.derivatives[0] = secant(settings, rows.targets[i], work.predictions[0], np.uint64(0))
        for c in range(columns):
            work.scores[c] = work.derivatives[c] * length
            by_intercept[c] += work.scores[c]
        for j in range(start, stop if by_feature.size else start):
            x = abs(value(rows, i, j))
            first = np.uint64(feature(rows, j)) * columns
            for c in range(columns):
                by_feature[first + c] += x * work.scores[c]


def curvature_bound(
    rows: Rows, sample: np.ndarray, model: NamedTuple, features: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Row-sum bound of the curvature along each weight and intercept at the present weights, from a sample of rows.

    With `features`, along the weights of those only (none: along the intercepts).

    ``c_j = mean_i l''_i |x_ij| (|x_i|_1 + 1)``; the mean of l'' where the weights are is several times less than its
    maximum once most rows are well classified.
    """
    work = make_work(len(model.intercept), rows.values.dtype)
    by_feature = features is None or len(features) > 0
    weights = np.zeros(model.coef.size if by_feature else 0, np.float32)
    intercepts = np.zeros(len(model.intercept), np.float32)
    _add_curvature(rows, sample, model.coef, model.intercept, model.settings, work, weights, intercepts)
    size = np.float32(max(1, len(sample)))
    bounds = {"intercept": intercepts / size}
    if by_feature:
        bounds["coef"] = (weights / size).reshape(model.coef.shape)[slice(None) if features is None else features]
    return bounds
