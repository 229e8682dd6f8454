"""Rows that are near each other, by signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hogwild.online.configuration import method_of
from hogwild.online.features.converter import Converter
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.common import figures, split_rows
from hogwild.online.rows.indexes import Features, nearest
from hogwild.online.rows.parameters import HASHED, parameter_of
from hogwild.online.state import Parts


class NearestNeighbor:
    """See `Driver`; methods lsh, minhash, euclid_lsh.

    Parameters
    ----------
    configuration : mapping
    node : str
        Whose rows these are.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.rows.nearest_neighbor import NearestNeighbor
    >>> converter = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> configuration = {"method": "euclid_lsh", "parameter": {"hash_num": 64}, "converter": converter}
    >>> neighbours = NearestNeighbor(configuration, "")
    >>> neighbours.run("set_row", ["a", Datum.of({"x": 1.0})])
    True
    >>> neighbours.run("neighbor_row_from_datum", [Datum.of({"x": 3.0}), 1])
    [('a', 2.0)]
    """

    def __init__(self, configuration: Mapping[str, Any], node: str) -> None:
        make = method_of(configuration, HASHED, "nearest_neighbor")
        self._vocabulary = Vocabulary()
        self._converter = Converter(configuration.get("converter"), self._vocabulary)
        self._index = make(parameter_of(configuration), "$.parameter", self._vocabulary, node)
        self._rows = self._index.table
        self.parts = Parts({"counts": self._converter.counts, "rows": self._rows})

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        if method == "set_row":
            name, datum = arguments
            ((slots, values),) = split_rows(self._converter.rows([datum], update=True))
            self._rows.put(name, slots, values)
            self._rows.tidy()
            return True
        if method == "get_all_rows":
            return sorted(self._rows.live)
        query, count = arguments
        features = self._of_row(query) if method.endswith("_id") else self._index.features(self._converter.named(query))
        found = nearest(self._index, features, count)
        if method.startswith("similar"):
            return found
        return [(name, self._index.distance(score)) for name, score in found]

    def _of_row(self, name: str) -> Features:
        if name not in self._rows:
            raise KeyError(f"there is no row {name!r}")
        return self._index.features_of(self._rows.live[name])

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return figures("nearest_neighbor", self._rows, self._vocabulary)
