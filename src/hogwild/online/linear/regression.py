"""Regressions behind calls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from hogwild.online.configuration import method_of
from hogwild.online.datum import Datum
from hogwild.online.driver import Driver
from hogwild.online.features.converter import Converter
from hogwild.online.features.packed_kernels import DATA, SCORED
from hogwild.online.features.packed_rows import packs, targets_of
from hogwild.online.features.vocabulary import Rows, Vocabulary
from hogwild.online.linear.classifier_kernel import METHODS, PA2
from hogwild.online.linear.model import Model
from hogwild.online.linear.regression_kernel import estimate_rows, train_rows
from hogwild.online.linear.settings import settings_of
from hogwild.online.linear.targets import LARGEST, Targets
from hogwild.online.packed import Packed
from hogwild.online.state import Parts

_BY_ROWS = ("cosine", "euclidean", "NN")


def make_regression(configuration: Mapping[str, Any], node: str = "") -> Driver:
    """Return the regression that a configuration's method says.

    Raises
    ------
    ConfigurationError
        The method is not known, or the configuration cannot be used.
    """
    linear = method_of(configuration, dict.fromkeys(METHODS, True) | dict.fromkeys(_BY_ROWS, False), "regression")
    if linear:
        return Regression(configuration, node)
    return import_module("hogwild.online.rows.regression").SimilarityRegression(configuration, node)


class Regression:
    """Perceptron, PA, PA1, PA2, CW, AROW, NHERD.

    Parameters
    ----------
    configuration : mapping
        ``method``; ``parameter`` with ``regularization_weight`` (C, 1), ``sensitivity`` (0.1), ``learning_rate`` (0.1,
        of the perceptron), ``max_features``; ``converter``; ``mixing``.
    node : str
        Not used.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.linear.regression import Regression
    >>> rules = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> regression = Regression({"method": "PA", "parameter": {"sensitivity": 0.0}, "converter": rules})
    >>> regression.run("train", [[(3.0, Datum.of({"x": 1.5}))]])
    1
    >>> regression.run("estimate", [[Datum.of({"x": 1.0})]])
    [2.0]
    """

    def __init__(self, configuration: Mapping[str, Any], node: str = "") -> None:
        self._settings = settings_of(configuration, needs_weight=False)
        if self._settings.method == PA2:
            self._settings = self._settings._replace(C=math.inf)  # the original divides 1 by 2C in integers
        self._vocabulary = Vocabulary()
        self._converter = Converter(configuration.get("converter"), self._vocabulary)
        self._model, self._targets = Model(self._settings, self._vocabulary, single=True), Targets()
        parts = {"model": self._model, "targets": self._targets, "features": self._converter.counts}
        self.parts = Parts(parts)
        self.packs = packs(self._converter, train=SCORED, estimate=DATA)

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        return getattr(self, method)(*arguments)

    def train(self, examples: Sequence[tuple[float, Datum]]) -> int:
        """Learn examples with their targets; return how many they were."""
        if isinstance(examples, Packed):
            targets = targets_of(examples)
            _check_targets(targets)
            packed = self._converter.packed(examples, SCORED, update=True)
            if packed is not None:
                learn(self._model, self._targets, packed[0], targets)
                return len(examples)
        if examples:
            targets, data = zip(*examples, strict=True)
            ys = np.array(targets, np.float64)
            _check_targets(ys)
            learn(self._model, self._targets, self._converter.rows(data, update=True), ys)
        return len(examples)

    def estimate(self, data: Sequence[Datum]) -> list[float]:
        """Return the estimate for each example."""
        return estimated(self._model, self._converter.rows(data, update=False)).tolist()

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return self._model.status("regression")


def _check_targets(targets: np.ndarray) -> None:
    wrong = ~(np.abs(targets) <= LARGEST)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"target {place + 1} must be within -/+ {LARGEST:g}, found {targets[place]}")


def learn(model: Model, targets: Targets, rows: Rows, ys: np.ndarray) -> None:
    """Learn rows in their order."""
    model.reserve()
    settings, arrays, row = model.settings, model.arrays, 0
    while True:
        row = train_rows(
            *rows, ys, row, settings.method, settings.C, settings.sensitivity, settings.learning_rate,
            arrays.weights.reshape(-1), arrays.variances.reshape(-1), arrays.changes.reshape(-1), arrays.seen,
            targets.values, model.clock, model.limit, model.tally,
        )  # fmt: skip
        if model.tally[0] <= model.limit:
            break
        model.free_features(rows, row)
    model.clock += len(ys)
    arrays.learnt[0] += len(ys)


def estimated(model: Model, rows: Rows) -> np.ndarray:
    """Return the estimates of rows."""
    model.reserve()
    estimates = np.empty(len(rows.indptr) - 1)
    estimate_rows(*rows, model.arrays.weights.reshape(-1), estimates)
    return estimates
