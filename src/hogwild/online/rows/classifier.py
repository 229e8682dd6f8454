"""Classification by the labels of similar examples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from hogwild.online.configuration import read
from hogwild.online.datum import Datum
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.mixing import RowTable
from hogwild.online.rows.parameters import at_least, parameter_of
from hogwild.online.rows.similarity import Examples
from hogwild.online.state import Parts

_NOTHING = np.zeros(0, np.uint32), np.zeros(0)


class Settings(msgspec.Struct):
    """Parameter of NN, cosine and euclidean."""

    nearest_neighbor_num: int
    local_sensitivity: float = 1.0


class SimilarityClassifier:
    """See `Driver`; methods NN, cosine, euclidean.

    A label's score is the sum over the nearest examples that have it of exp(-sensitivity * distance).

    Parameters
    ----------
    configuration : mapping
    node : str
        Part of the names of its rows, where it is not empty.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.rows.classifier import SimilarityClassifier
    >>> parameter = {"nearest_neighbor_num": 1, "local_sensitivity": 1.0}
    >>> converter = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> classifier = SimilarityClassifier({"method": "cosine", "parameter": parameter, "converter": converter}, "")
    >>> classifier.run("train", [[("a", Datum.of({"x": 1.0})), ("b", Datum.of({"x": -1.0}))]])
    2
    >>> classifier.run("classify", [[Datum.of({"x": 2.0})]])
    [[('a', 1.0), ('b', 0.0)]]
    """

    def __init__(self, configuration: Mapping[str, Any], node: str) -> None:
        place = "$.parameter"
        settings = read(Settings, parameter_of(configuration), place)
        self._near = at_least(settings.nearest_neighbor_num, 1, f"{place}.nearest_neighbor_num")
        self._sensitivity = at_least(settings.local_sensitivity, 0.0, f"{place}.local_sensitivity")
        self._examples = Examples(configuration, node, "classifier")
        self._rows, self._labels = self._examples.rows, RowTable(Vocabulary(), node)
        self.parts = Parts({"counts": self._examples.converter.counts, "rows": self._rows, "labels": self._labels})

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        return _CALLS[method](self, *arguments)

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return {**self._examples.status(), "classifier.labels": str(len(self._get_labels()))}

    def _train(self, labelled: Sequence[tuple[str, Datum]]) -> int:
        count = self._examples.learn(labelled)
        for label, _ in labelled:
            self._set_label(label)
        return count

    def _classify(self, data: Sequence[Datum]) -> list[list[tuple[str, float]]]:
        return list(map(self._scores, data))

    def _scores(self, datum: Datum) -> list[tuple[str, float]]:
        scores = dict.fromkeys(self._labels.live, 0.0)
        for label, distance in self._examples.nearest(datum, self._near):
            scores[label] = scores.get(label, 0.0) + math.exp(-self._sensitivity * distance)
        return sorted(scores.items())

    def _get_labels(self) -> dict[str, int]:
        marks = self._rows.arena.marks
        return dict.fromkeys(self._labels.live, 0) | Counter(marks[row] for row in self._rows.live.values())

    def _set_label(self, label: str) -> bool:
        new = label not in self._labels
        if new:
            self._labels.put(label, *_NOTHING)
        return new

    def _delete_label(self, label: str) -> bool:
        marks = self._rows.arena.marks
        names = [name for name, row in self._rows.live.items() if marks[row] == label]
        for name in names:
            self._rows.remove(name)
        self._rows.tidy()
        return self._labels.remove(label) or bool(names)


_CALLS: dict[str, Callable[..., Any]] = {
    "train": SimilarityClassifier._train,
    "classify": SimilarityClassifier._classify,
    "get_labels": SimilarityClassifier._get_labels,
    "set_label": SimilarityClassifier._set_label,
    "delete_label": SimilarityClassifier._delete_label,
}
