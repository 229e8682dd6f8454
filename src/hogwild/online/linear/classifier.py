"""Classifiers behind calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from hogwild.online.configuration import method_of
from hogwild.online.datum import Datum
from hogwild.online.driver import Driver
from hogwild.online.features.converter import Converter
from hogwild.online.features.packed_kernels import DATA, LABELLED
from hogwild.online.features.packed_rows import packs
from hogwild.online.features.vocabulary import Rows, Vocabulary
from hogwild.online.linear.classifier_kernel import METHODS, score_rows, train_rows
from hogwild.online.linear.model import Model
from hogwild.online.linear.settings import settings_of
from hogwild.online.packed import Packed
from hogwild.online.state import Parts

_BY_ROWS = ("cosine", "euclidean", "NN")


def make_classifier(configuration: Mapping[str, Any], node: str = "") -> Driver:
    """Return the classifier that a configuration's method says.

    Raises
    ------
    ConfigurationError
        The method is not known, or the configuration cannot be used.
    """
    linear = method_of(configuration, dict.fromkeys(METHODS, True) | dict.fromkeys(_BY_ROWS, False), "classifier")
    if linear:
        return Classifier(configuration, node)
    return import_module("hogwild.online.rows.classifier").SimilarityClassifier(configuration, node)


class Classifier:
    """Perceptron, PA, PA1, PA2, CW, AROW, NHERD.

    Parameters
    ----------
    configuration : mapping
        ``method``; ``parameter`` with ``regularization_weight`` (C), ``unlearner`` (``"lru"``, ``"random"``) with
        ``unlearner_parameter: {"max_size": labels}``, ``max_features``; ``converter``; ``mixing``.
    node : str
        Not used.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.linear.classifier import Classifier
    >>> rules = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> classifier = Classifier({"method": "PA", "parameter": {}, "converter": rules})
    >>> classifier.run("train", [[("up", Datum.of({"x": 1.0})), ("down", Datum.of({"x": -1.0}))]])
    2
    >>> classifier.run("classify", [[Datum.of({"x": 2.0})]])
    [[('down', -0.5), ('up', 1.5)]]
    """

    def __init__(self, configuration: Mapping[str, Any], node: str = "") -> None:
        self._settings = settings_of(configuration, needs_weight=True)
        self._vocabulary = Vocabulary()
        self._converter = Converter(configuration.get("converter"), self._vocabulary)
        self._model = Model(self._settings, self._vocabulary)
        self.parts = Parts({"model": self._model, "features": self._converter.counts})
        self.packs = packs(self._converter, train=LABELLED, classify=DATA)

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        return getattr(self, method)(*arguments)

    def train(self, examples: Sequence[tuple[str, Datum]]) -> int:
        """Learn labelled examples; return how many they were."""
        if isinstance(examples, Packed):
            packed = self._converter.packed(examples, LABELLED, update=True)
            if packed is not None:
                learn(self._model, *packed)
                return len(examples)
        if examples:
            labels, data = zip(*examples, strict=True)
            learn(self._model, self._converter.rows(data, update=True), labels)
        return len(examples)

    def classify(self, data: Sequence[Datum]) -> list[list[tuple[str, float]]]:
        """Return labels and their scores for each example."""
        known = self._model.known()
        labels, columns = [label for label, _ in known], [column for _, column in known]
        scores = scored(self._model, self._converter.rows(data, update=False))[:, columns].tolist()
        return [list(zip(labels, row, strict=True)) for row in scores]

    def get_labels(self) -> dict[str, int]:
        """Return the labels, and how often each was learnt."""
        return {label: int(self._model.arrays.learnt[column]) for label, column in self._model.known()}

    def set_label(self, label: str) -> bool:
        """Add a label; return False where it was known."""
        return self._model.add_label(label)

    def delete_label(self, label: str) -> bool:
        """Forget a label; return False where it was not known."""
        return self._model.delete_label(label)

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return {"classifier.labels": str(len(self._model.known())), **self._model.status("classifier")}


def learn(model: Model, rows: Rows, labels: Sequence[str]) -> None:
    """Learn rows in their order."""
    model.reserve()
    row = 0
    for end, columns in model.pieces(labels):
        arrays, ranks, work = model.arrays, model.ranks, np.empty(model.arrays.shape[1])
        columns = np.concatenate([np.zeros(row, np.uint32), columns]) if row else columns
        while True:
            row = train_rows(
                rows.indptr[: end + 1], rows.slots, rows.values, columns, row, model.settings.method, model.settings.C,
                arrays.weights, arrays.variances, arrays.changes, arrays.seen, arrays.known, ranks, arrays.learnt, work,
                model.clock, model.limit, model.tally,
            )  # fmt: skip
            if model.tally[0] <= model.limit:
                break
            model.free_features(rows, row)
    model.clock += len(labels)


def scored(model: Model, rows: Rows) -> np.ndarray:
    """Return the scores of rows by column."""
    model.reserve()
    scores = np.empty((len(rows.indptr) - 1, model.arrays.shape[1]))
    score_rows(*rows, model.arrays.weights, scores)
    return scores
