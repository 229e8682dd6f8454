"""The two machines of `hogwild ffm-train`: ours, and with --compat one that steps and rounds as libffm does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hogwild.cli.ffm_metrics import measure
from hogwild.compiled import aligned_zeros
from hogwild.data.libffm_model import model_shape
from hogwild.engine.libffm_order import fill_initial_weights
from hogwild.engine.task import Merge, Task
from hogwild.estimators.factors import FactorState
from hogwild.estimators.ffm_task import ffm_loss, ffm_scores, from_libffm, make_ffm_task, new_ffm_state, to_libffm
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.base import MERGES
from hogwild.steps.libffm import LibffmSteps, libffm_scores, make_libffm_steps
from hogwild.steps.rows import SparseFieldRows


class OurMachine:
    """Our layout and steps.

    Parameters
    ----------
    n_features, n_fields, n_factors : int
    seed : int
        Of the initial weights.
    weights : ndarray, optional
        Of a model file, to go on from.
    """

    def __init__(
        self, n_features: int, n_fields: int, n_factors: int, seed: int = 0, weights: np.ndarray | None = None
    ) -> None:
        self._shape = model_shape(n_features, n_fields, n_factors)
        self._sizes = {"n_fields": n_fields, "n_factors": n_factors}
        if weights is None:
            self.state = new_ffm_state(n_features, n_fields, n_factors, np.random.default_rng(seed))
        else:
            self.state = from_libffm(weights.reshape(n_features, n_fields, -1), n_factors)

    def task(self, rows: SparseFieldRows, alpha: float, eta0: float) -> Task:
        """Make the task of training on `rows`."""
        return make_ffm_task(rows, self.state, **self._sizes, alpha=alpha, eta0=eta0)

    def loss(self, rows: SparseFieldRows) -> float:
        """Mean log loss."""
        return ffm_loss(rows, self.state, **self._sizes)

    def scores(self, rows: SparseFieldRows) -> np.ndarray:
        """Scores before the logistic function."""
        return ffm_scores(rows, self.state, **self._sizes)

    def weights(self) -> np.ndarray:
        """Weights and sums as a model file holds them."""
        return to_libffm(self.state, **self._sizes).reshape(self._shape)


class LibffmMachine:
    """libffm's layout, initial weights and steps; parameters as in `OurMachine`, the seed is libffm's."""

    def __init__(
        self, n_features: int, n_fields: int, n_factors: int, seed: int = 0, weights: np.ndarray | None = None
    ) -> None:
        if weights is None:
            weights = aligned_zeros(model_shape(n_features, n_fields, n_factors), np.float32)
            fill_initial_weights(weights, n_factors)
        self._weights = weights
        self.state = FactorState({"blocks": weights.reshape(n_features, -1)})

    def task(self, rows: SparseFieldRows, alpha: float, eta0: float) -> Task:
        """Make the task of training on `rows`."""
        model = make_libffm_steps(self._weights, alpha)
        merges = {name: Merge(*kind) for name, kind in MERGES[LibffmSteps].items()}
        schedule = Schedule(schedule_id("constant"), eta0, 0.5, 0.0, 0.0, 0.0, 0.0, False, math.inf)
        return Task(rows, model, merges, (), schedule, *model.blocks.shape, _no_curvature, t=self.state.t, settled=())

    def loss(self, rows: SparseFieldRows) -> float:
        """Mean log loss."""
        return measure(("logloss",), self.scores(rows), rows.targets, rows.weights)[0]

    def scores(self, rows: SparseFieldRows) -> np.ndarray:
        """Scores before the logistic function."""
        return libffm_scores(self._weights, rows)

    def weights(self) -> np.ndarray:
        """Weights and sums as a model file holds them."""
        return self._weights


def _no_curvature(rows: Any, sample: np.ndarray, features: np.ndarray | None) -> dict[str, np.ndarray]:
    return {}


Machine = OurMachine | LibffmMachine
