"""Rows that are near each other, by signatures."""

from __future__ import annotations

from typing import Any

from hogwild.online.rows.common import split_rows
from hogwild.online.rows.indexes import Features, nearest
from hogwild.online.rows.parameters import HASHED
from hogwild.online.rows.searching import Searching


class NearestNeighbor(Searching):
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

    _kind, _methods = "nearest_neighbor", HASHED

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
