"""From a factorisation machine's parameters to what the engine runs, and the scores of a fitted one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros, kernel
from hogwild.engine.engines import Engine, Simulated
from hogwild.engine.pool import thread_pool
from hogwild.engine.runners import Plan
from hogwild.engine.task import SHRINK, Merge, Task
from hogwild.estimators.factors import FactorState
from hogwild.losses import LOSSES, PIECEWISE_LINEAR, derivative_at, loss_id, value_at
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.base import MERGES, Work, make_work
from hogwild.steps.fm import FmAdaGrad, FmFtrl, FmSettings, FmSgd, lanes_of, measure_row, width_of
from hogwild.steps.products import row_weight
from hogwild.steps.rows import Rows, feature, span, value

UPDATE_RULES = {"adagrad": FmAdaGrad, "ftrl": FmFtrl}  # learning rates with an update rule of their own
LARGE = 1 << 20  # bytes of the matrix from which on its rows are prefetched: a core's L2 cache
COSTS = {FmSgd: 1.0, FmAdaGrad: 1.5, FmFtrl: 4.0}  # time of a step beside plain SGD's
WIDTH = 1e-3  # of the difference that stands for the second derivative


class FmOptions(NamedTuple):
    """The parameters of a factorisation machine that shape the task."""

    n_factors: int
    loss: str
    parameter: float
    alpha: float
    alpha_linear: float
    alpha_l1: float
    learning_rate: str
    eta0: float
    power_t: float
    beta: float
    linear: bool
    fit_intercept: bool
    normalize: bool

    @property
    def rule(self) -> type:
        """Class of the model."""
        return UPDATE_RULES.get(self.learning_rate, FmSgd)


# ------------------------------------------------------------------------------------------------ state


def new_state(
    options: FmOptions, n_features: int, dtype: np.dtype, rng: np.random.Generator, scale: float
) -> FactorState:
    """Allocate a state: factors normal with deviation `scale`, linear weights and bias 0.

    FTRL's sums z are such that its weights are these while n is 0.
    """
    rule, k = options.rule, options.n_factors
    n, draw_type = lanes_of(k), np.float32 if dtype == np.float32 else np.float64
    factors = aligned_zeros((n_features, width_of(k, dtype, rule is not FmSgd)), dtype)
    state = FactorState({"factors": factors, "intercept": np.zeros(2, dtype)})
    if rule is FmAdaGrad:
        factors[:, n : 2 * n] = 1.0
        state.arrays["intercept"][1] = 1.0
    for first in range(0, n_features, 65_536):  # no second array of the model's size
        part = factors[first : first + 65_536, 1 : 1 + k]
        drawn = rng.standard_normal(part.shape, dtype=draw_type) * draw_type(scale)
        if rule is FmFtrl:
            drawn = -drawn * (options.beta / options.eta0 + options.alpha) - np.sign(drawn) * options.alpha_l1
        part[...] = drawn
    return state


def set_bias(state: FactorState, options: FmOptions, bias: float) -> None:
    """Let training start at this bias."""
    state.arrays["intercept"][0] = bias if options.rule is not FmFtrl else -bias * options.beta / options.eta0


def weights_of(state: FactorState, options: FmOptions) -> tuple[np.ndarray, np.ndarray, float]:
    """Return linear weights (n_features,), factors (n_features, n_factors) and bias: views, FTRL's computed."""
    factors, intercept, k = state.arrays["factors"], state.arrays["intercept"], options.n_factors
    if options.rule is not FmFtrl:
        return factors[:, 0], factors[:, 1 : 1 + k], float(intercept[0])
    n = lanes_of(k)
    _, l2, l1 = shape_of(options, factors.dtype)[:, : 1 + k]
    z, squares = factors[:, : 1 + k], factors[:, n : n + 1 + k]
    divisor = (options.beta + np.sqrt(squares)) / options.eta0 + l2
    weights = (-np.sign(z) * np.maximum(np.abs(z) - l1, 0) / divisor).astype(factors.dtype)
    bias = -float(intercept[0]) / ((options.beta + math.sqrt(float(intercept[1]))) / options.eta0)
    return weights[:, 0], weights[:, 1:], bias


def keep_weights(state: FactorState, before: FmOptions, options: FmOptions) -> None:
    """Change FTRL's sums z such that its weights stay as they are under other step sizes and penalties."""
    names = ("alpha", "alpha_linear", "alpha_l1", "eta0", "beta", "linear")
    if all(getattr(before, name) == getattr(options, name) for name in names):
        return
    factors, intercept, k = state.arrays["factors"], state.arrays["intercept"], options.n_factors
    linear, rest, bias = weights_of(state, before)
    weights, n = np.column_stack([linear, rest]), lanes_of(k)
    _, l2, l1 = shape_of(options, factors.dtype)[:, : 1 + k]
    divisor = (options.beta + np.sqrt(factors[:, n : n + 1 + k])) / options.eta0 + l2
    factors[:, : 1 + k] = -weights * divisor - np.sign(weights) * l1
    intercept[0] = -bias * (options.beta + math.sqrt(float(intercept[1]))) / options.eta0


def shape_of(options: FmOptions, dtype: np.dtype) -> np.ndarray:
    """Constants of the lanes: 1 for factors, L2 strength, L1 strength."""
    k = options.n_factors
    shape = aligned_zeros((3, lanes_of(k)), dtype)
    shape[0, 1 : 1 + k] = 1.0
    shape[1, 0], shape[1, 1 : 1 + k] = options.alpha_linear if options.linear else 0.0, options.alpha
    shape[2, : 1 + k] = options.alpha_l1
    return shape


# ------------------------------------------------------------------------------------------------ task


def settings_of(options: FmOptions, n_bytes: int) -> FmSettings:
    """Settings as kernels see them."""
    return FmSettings(
        loss=loss_id(options.loss),
        parameter=float(options.parameter),
        value=None,
        derivative=None,
        n_factors=int(options.n_factors),
        n_lanes=lanes_of(options.n_factors),
        linear=bool(options.linear),
        fit_intercept=bool(options.fit_intercept),
        normalized=bool(options.normalize),
        eta0=float(options.eta0),
        beta=float(options.beta),
        large=n_bytes > LARGE,
    )


def make_task(options: FmOptions, state: FactorState, rows: Rows) -> Task:
    """Put state, rows and options together; the task changes the state's arrays in place."""
    rule, arrays = options.rule, state.arrays
    settings = settings_of(options, arrays["factors"].nbytes)
    model = rule(**arrays, shape=shape_of(options, arrays["factors"].dtype), settings=settings)
    schedule = Schedule(
        kind=schedule_id(options.learning_rate),
        eta0=float(options.eta0),
        power_t=float(options.power_t),
        alpha=float(options.alpha),
        shift=1.0 / max(options.alpha * options.eta0, 1e-12) - 1.0,  # "optimal" starts at eta0
        decay=0.0,
        shrink=0.0,
        shrink_by_eta=False,
        average_from=math.inf,
    )
    return Task(
        rows=rows,
        model=model,
        merges={name: Merge(*merge) for name, merge in MERGES[rule].items()},
        lazy=(),
        schedule=schedule,
        n_features=len(arrays["factors"]),
        n_columns=2 * settings.n_lanes,  # scratch for the sums of a row and of its squares
        curvature_of=lambda rows, sample, features: curvature(rows, sample, options, state, features),
        cost=COSTS[rule] / 2,
        t=state.t,
        settled=(),
    )


REPLICATED, REPLICATED_BY_TWO = 1 << 20, 1 << 22  # bytes of the matrix up to which all of it is replicated
HEAD = {2: 512, 8: 2048}  # features that are replicated of a larger one, for so many threads; more: 4,096
MERGE_SHARE = 0.05  # of the time, for merges
STEP_NS, MERGE_NS = 0.25, 0.3  # of a step, for each lane of a nonzero; of a merge, for each element


def fm_plan(task: Task, engine: Engine, n_threads: int = 2) -> Plan | None:
    """Interval and head of replicas: everything where the matrix is small, else its hottest rows.

    On a click log of 39 entries a row, 8 factors and AdaGrad, two threads took 1 / 2.0 of one thread's time with copies
    of 2,000 features, 1 / 1.7 with copies of 20,000 merged every 8,192 rows (with a head of 512: 1 / 1.6), and of
    1,000,000 features 1 / 1.6 with heads of 256 to 2,048: looking a row up in a head and tail takes a sixth longer.
    """
    if getattr(engine, "deterministic", False) or (engine.interval is not None and engine.head is not None):
        return None
    n_threads = engine.n_replicas if isinstance(engine, Simulated) else n_threads
    matrix, head = task.model.factors, engine.head
    few = n_threads <= 2
    if head is None and matrix.nbytes > (REPLICATED_BY_TWO if few else REPLICATED):
        head = next((size for most, size in HEAD.items() if n_threads <= most), 4096)
    n_hot = task.n_features if head is None else min(head, task.n_features)
    seldom = MERGE_NS * n_hot * matrix.shape[1] / (MERGE_SHARE * STEP_NS * task.row_length * task.n_columns)
    most = max(64, (16384 if few else 8192) // n_threads)
    interval = engine.interval or int(np.clip(1 << math.ceil(math.log2(max(seldom, 1.0))), min(most, 1024), most))
    return Plan(interval, None if head is None or head >= task.n_features else head)


# ------------------------------------------------------------------------------------------------ curvature

# Share of the factors' part in a row's sum: their derivatives have either sign, and rows cancel. Best test loss of a
# click log, one thread .4853 (AdaGrad): 16 replicas .4868 with it, .4886 with 1; 64 replicas .498 and .517; with a
# tenth of it (and .3 of the factors' own derivatives) 64 replicas diverge.
MIXED = 0.25


@kernel
def _add_curvature(rows, sample, model, work, least, by_feature, by_bias):
    """Sum ``l'' |d_p| |d|_1`` over the sample: d_p, the score's derivative with respect to the parameter p."""
    settings, k, one = model.settings, np.uint64(model.settings.n_factors), np.uint64(1)
    for place in range(np.uint64(sample.size)):
        i = sample[place]
        start, stop = span(rows, i)
        y, score = rows.targets[i], float(measure_row(rows, i, model, work))
        # r, from the place of the linear weight, which holds 1 / sqrt(r)
        scale = 1.0
        if settings.normalized:
            total = 0.0
            for j in range(start, stop):
                total += value(rows, i, j) * value(rows, i, j)
            scale = 1.0 / total if total > 0.0 else 1.0
        length = 1.0 if settings.fit_intercept else 0.0
        for j in range(start, stop):
            f, x = np.uint64(feature(rows, j)), float(value(rows, i, j))
            length += abs(x) * np.sqrt(scale) if settings.linear else 0.0
            for c in range(one, k + one):
                length += MIXED * abs(scale * x * (work.scores[c] - x * model.factors[f, c]))
        bend = (derivative_at(settings, y, score + WIDTH) - derivative_at(settings, y, score - WIDTH)) / (2 * WIDTH)
        weight = max(bend, least) * length * row_weight(rows, i)
        by_bias[0] += weight
        for j in range(start, stop if by_feature.shape[0] else start):
            f, x = np.uint64(feature(rows, j)), float(value(rows, i, j))
            if settings.linear:
                by_feature[f, 0] += weight * abs(x) * np.sqrt(scale)
            for c in range(one, k + one):
                by_feature[f, c] += weight * abs(scale * x * (work.scores[c] - x * model.factors[f, c]))


def curvature(
    rows: Rows, sample: np.ndarray, options: FmOptions, state: FactorState, features: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Row-sum bound of the curvature along each parameter at the present weights, from a sample of rows.

    ``c_p = mean_i l''_i |d_ip| sum_q m_q |d_iq|``, where d_ip is the derivative of row i's score with respect to p:
    ``sqrt(r) x_j`` for w_j, ``r x_j (s_f - v_jf x_j)`` for v_jf, and ``m`` is 1 for w and b, `MIXED` for v. AdaGrad's
    and FTRL's steps are divided by sqrt(G) and by FTRL's divisor, so their bounds are too; the sums themselves are
    added whole.
    """
    factors, k = state.arrays["factors"], options.n_factors
    n, dtype = lanes_of(k), factors.dtype
    work = make_work(2 * n, dtype)
    model = plain_model(options, state)
    count = len(factors) if features is None else len(features)
    by_feature = np.zeros((len(factors) if count else 0, 1 + k), np.float32)
    by_bias = np.zeros(1, np.float64)
    least = PIECEWISE_LINEAR / SHRINK if LOSSES[options.loss].kinked else 0.0
    _add_curvature(rows, sample, model, work, least, by_feature, by_bias)
    size = max(1, len(sample))
    rate = np.sqrt
    if options.rule is FmFtrl:

        def rate(squares):
            return options.beta + np.sqrt(squares)

    intercept = np.zeros(2, np.float32)
    intercept[0] = by_bias[0] / size
    found = np.zeros((count, factors.shape[1]), np.float32)
    chosen = slice(None) if features is None else features
    if count:
        found[:, : 1 + k] = by_feature[chosen] / size
    if options.rule is not FmSgd:
        found[:, : 1 + k] /= rate(factors[chosen, n : n + 1 + k])
        intercept[0] /= rate(state.arrays["intercept"][1])
    return {"factors": found, "intercept": intercept}


# ------------------------------------------------------------------------------------------------ scores


def plain_model(options: FmOptions, state: FactorState) -> FmSgd:
    """View (or, of FTRL, compute) the weights as a model that has them in its matrix."""
    arrays, k = state.arrays, options.n_factors
    matrix, intercept = arrays["factors"], arrays["intercept"]
    if options.rule is FmFtrl:
        linear, factors, bias = weights_of(state, options)
        matrix = aligned_zeros((len(factors), width_of(k, factors.dtype, False)), factors.dtype)
        matrix[:, 0], matrix[:, 1 : 1 + k] = linear, factors
        intercept = np.array([bias, 0.0], factors.dtype)
    settings = settings_of(options, matrix.nbytes)
    return FmSgd(matrix, intercept, np.zeros((3, settings.n_lanes), matrix.dtype), settings)


@kernel
def _sum_losses(rows, model, work):
    total, weights = 0.0, 0.0
    for i in range(np.uint64(rows.targets.size)):
        weight = np.float64(row_weight(rows, i))
        score = np.float64(measure_row(rows, i, model, work))
        total += weight * value_at(model.settings, np.float64(rows.targets[i]), score)
        weights += weight
    return total, weights


def mean_loss(rows: Rows, model: FmSgd) -> float:
    """Mean loss of rows, by their weights."""
    total, weights = _sum_losses(rows, model, make_work(2 * model.settings.n_lanes, model.factors.dtype))
    return total / weights if weights else math.nan


@kernel
def _write_scores(rows, first, last, model, work, scores):
    for i in range(np.uint64(first), np.uint64(last)):
        scores[i] = measure_row(rows, i, model, work)


def score_rows(rows: Rows, model: FmSgd, n_threads: int = 1) -> np.ndarray:
    """Scores of all rows, in their order."""
    n, dtype = len(rows.targets), model.factors.dtype
    scores = np.empty(n, dtype)
    bounds = np.linspace(0, n, n_threads + 1).astype(int)
    parts: list[tuple] = []
    for low, high in pairwise(bounds):
        work: Work = make_work(2 * model.settings.n_lanes, dtype)
        parts.append((rows, low, high, model, work, scores))
    thread_pool().run(_write_scores, parts)
    return scores


__all__ = [
    "FmOptions",
    "curvature",
    "fm_plan",
    "keep_weights",
    "make_task",
    "mean_loss",
    "new_state",
    "plain_model",
    "score_rows",
    "set_bias",
    "weights_of",
]
