"""From settings and folds to the columns that the engine runs, and back to one model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hogwild.compiled import aligned_copy, aligned_zeros
from hogwild.engine.columns import ColumnsRunner, ColumnsTask, ColumnsTraining, Part, Rates
from hogwild.engine.training import Stopping
from hogwild.estimators.cv_folds import FoldedSource
from hogwild.estimators.linear_task import (
    COSTS,
    UPDATE_RULES,
    LinearOptions,
    LinearState,
    l1_share,
    make_schedule,
    new_state,
)
from hogwild.losses import loss_id
from hogwild.steps.adagrad import AdaGrad
from hogwild.steps.column_clocks import make_columns_work
from hogwild.steps.columns import AdaGradColumns, ColumnSettings, SgdColumns

LEARNING_RATES = ("constant", "optimal", "invscaling", "epoch_decay", "search", "adagrad")
MEMORY = 1 << 30  # bytes that the columns of one pass may take
LARGE = 1 << 25  # bytes of weights from which on they are prefetched: 48 columns of 47,236 features are slower with it
ALL_ROWS = -1  # in the place of a fold's number


class Group(NamedTuple):
    """The columns of one setting that leave out one fold (`ALL_ROWS`: none)."""

    setting: int
    fold: int


@dataclass
class Problem:
    """What all columns have in common.

    Attributes
    ----------
    options : list of LinearOptions
        One for each setting; eta0 as it is used.
    n_features, n_classes : int
        `n_classes` is the number of columns of one model.
    dtype : dtype
    positive, negative : ndarray of float64, shape (n_classes,)
        Class weights.
    """

    options: list[LinearOptions]
    n_features: int
    n_classes: int
    dtype: np.dtype
    positive: np.ndarray
    negative: np.ndarray

    @property
    def is_adagrad(self) -> bool:
        """Whether the rule is AdaGrad's."""
        return UPDATE_RULES.get(self.options[0].learning_rate) is AdaGrad

    def is_lazy(self, setting: int) -> bool:
        """Whether weights of a setting take a penalty when they are touched."""
        options = self.options[setting]
        strong = options.penalty is not None and options.alpha > 0
        return strong and (self.is_adagrad or l1_share(options.penalty, options.l1_ratio) > 0)

    @property
    def group_bytes(self) -> int:
        """Memory of one group."""
        arrays = 1 + self.is_adagrad + any(self.is_lazy(s) for s in range(len(self.options)))
        return arrays * self.n_features * self.n_classes * self.dtype.itemsize


def passes_of(problem: Problem, groups: list[Group], memory: int | None = None) -> list[list[Group]]:
    """Cut the groups into passes that fit into memory, as even as can be."""
    most = max(1, (MEMORY if memory is None else memory) // max(1, problem.group_bytes))
    n_passes = -(-len(groups) // most)
    bounds = np.linspace(0, len(groups), n_passes + 1).round().astype(int)
    return [groups[low:high] for low, high in pairwise(bounds.tolist())]


class Columns:
    """Groups that learn side by side in one pass over the rows of each epoch.

    Parameters
    ----------
    problem : Problem
    groups : list of Group
    n_threads : int
        Threads that share out the groups.
    """

    def __init__(self, problem: Problem, groups: list[Group], n_threads: int) -> None:
        self.problem, self.groups = problem, groups
        options = [problem.options[group.setting] for group in groups]
        self._rates = np.array([make_schedule(one, one.eta0) for one in options], np.float64)
        shares = np.array_split(np.arange(len(groups)), min(n_threads, len(groups)))
        self.parts = [self._make_part(share) for share in shares]
        self.place = {group: (part, k) for part in self.parts for k, group in enumerate(self._groups_of(part))}
        self.runner: ColumnsRunner | None = None

    def _groups_of(self, part: Part) -> list[Group]:
        return [self.groups[g] for g in part.groups]

    def _make_part(self, numbers: np.ndarray) -> Part:
        problem, groups = self.problem, [self.groups[g] for g in numbers]
        options = [problem.options[group.setting] for group in groups]
        lazy = np.array([problem.is_lazy(group.setting) for group in groups])
        shape, dtype = (problem.n_features, len(groups), problem.n_classes), problem.dtype
        size = int(np.prod(shape))
        settings = ColumnSettings(
            loss=loss_id(options[0].loss),
            fit_intercept=bool(options[0].fit_intercept),
            intercept_decay=float(options[0].intercept_decay),
            penalised=bool(lazy.any()),
            large=size * dtype.itemsize > LARGE,
            parameter=np.array([one.parameter for one in options], float),
            l1_ratio=np.array([l1_share(one.penalty, one.l1_ratio) for one in options], float),
            lazy=lazy,
            folds=np.array([group.fold + 1 for group in groups], np.uint64),
            positive=problem.positive,
            negative=problem.negative,
        )
        arrays: dict[str, Any] = {
            "coef": aligned_zeros(shape, dtype),
            "intercept": aligned_zeros(shape[1] * shape[2], dtype),
            "received": aligned_zeros(shape if settings.penalised else (0, 0, 0), dtype),
            "trains": np.empty(0, np.uint64),
            "settings": settings,
        }
        if problem.is_adagrad:
            arrays["squares"] = aligned_zeros(shape, dtype)
            arrays["intercept_squares"] = aligned_zeros(shape[1] * shape[2], dtype)
        model = (AdaGradColumns if problem.is_adagrad else SgdColumns)(**arrays)
        return Part(numbers, model, make_columns_work(self._rates[numbers], shape[1] * shape[2], dtype))

    def training(self, source: FoldedSource, rng: np.random.Generator, **options: Any) -> ColumnsTraining:
        """Return the training loop over the rows of `source`."""
        problem = self.problem
        task = ColumnsTask(
            rows=source.first(),
            trains=lambda: source.trains,
            parts=self.parts,
            schedule=Rates(self._rates[:, 1].copy()),
            n_features=problem.n_features,
            n_columns=problem.n_classes,
            cost=len(self.groups) * (COSTS[AdaGrad] if problem.is_adagrad else 1.0) / 4 / len(self.parts),
        )
        self.runner = ColumnsRunner(task)
        return ColumnsTraining(task, self.runner, source, rng=rng, stopping=Stopping(None, 1, lambda: 0.0), **options)

    def diverged(self, group: Group) -> bool:
        """Whether a group has met numbers that are not finite."""
        return bool(self.runner.diverged[self.groups.index(group)])

    def state(self, group: Group) -> LinearState:
        """Copy what one group goes on from."""
        problem, (part, k) = self.problem, self.place[group]
        options, model, work = problem.options[group.setting], part.model, part.work
        state = new_state(options, problem.n_features, problem.n_classes, problem.dtype)
        found = {"coef": model.coef[:, k], "intercept": model.intercept.reshape(-1, problem.n_classes)[k]}
        if problem.is_adagrad:
            found["squares"] = model.squares[:, k]
            found["intercept_squares"] = model.intercept_squares.reshape(-1, problem.n_classes)[k]
        if state.arrays["received"].size:
            found["received"] = model.received[:, k]
        for name, array in found.items():
            to = getattr(state, name) if name in ("coef", "intercept") else state.arrays[name]
            to[...] = array.reshape(to.shape)
        state.t, state.penalty = float(work.running[k, 1]), float(work.running[k, 3])
        return state


__all__ = ["ALL_ROWS", "LEARNING_RATES", "Columns", "Group", "Problem", "aligned_copy", "passes_of"]
