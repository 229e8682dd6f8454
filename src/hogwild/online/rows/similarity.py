"""What classification and regression by similar rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hogwild.online.configuration import method_of
from hogwild.online.datum import Datum
from hogwild.online.features.converter import Converter
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.common import figures, new_name, split_rows
from hogwild.online.rows.indexes import nearest
from hogwild.online.rows.parameters import HASHED, INVERTED, Maker, nested, parameter_of

METHODS: dict[str, Maker] = {
    "NN": nested(HASHED),
    "cosine": INVERTED["inverted_index"],
    "euclidean": INVERTED["inverted_index_euclid"],
}


class Examples:
    """Examples that have been learnt, each a row with its label or target.

    Parameters
    ----------
    configuration : mapping
    node : str
        Part of the rows' names, where it is not empty.
    kind : str
        Type of the server.

    Attributes
    ----------
    rows : RowTable
    converter : Converter
    """

    def __init__(self, configuration: Mapping[str, Any], node: str, kind: str) -> None:
        make = method_of(configuration, METHODS, kind)
        self._vocabulary = Vocabulary()
        self.converter = Converter(configuration.get("converter"), self._vocabulary)
        self._index = make(parameter_of(configuration), "$.parameter", self._vocabulary, node)
        self.rows, self._node, self._kind = self._index.table, node, kind

    def learn(self, marked: Sequence[tuple[Any, Datum]]) -> int:
        """Learn examples, or none where one cannot be; return how many they are."""
        rows = split_rows(self.converter.rows([datum for _, datum in marked], update=True))
        for (mark, _), (slots, values) in zip(marked, rows, strict=True):
            self.rows.put(new_name(self.rows, self._node), slots, values, mark)
        self.rows.tidy()
        return len(rows)

    def nearest(self, datum: Datum, count: int) -> list[tuple[Any, float]]:
        """Return the marks and distances of the nearest examples."""
        arena = self.rows.arena
        found = nearest(self._index, self._index.features(self.converter.named(datum)), count)
        return [(arena.marks[self.rows.live[name]], self._index.distance(score)) for name, score in found]

    def status(self) -> dict[str, str]:
        """Return figures for `get_status`."""
        return figures(self._kind, self.rows, self._vocabulary)
