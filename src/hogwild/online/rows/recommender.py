"""Rows that are like each other, and what is missing in one of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hogwild.online.datum import Datum
from hogwild.online.features.decoding import decoded
from hogwild.online.rows.common import merged, split_rows
from hogwild.online.rows.indexes import Features, nearest
from hogwild.online.rows.parameters import HASHED, INVERTED, nested
from hogwild.online.rows.searching import Searching

COMPLETING = 128  # most similar rows that a row is completed from
_METHODS = INVERTED | HASHED | {"nearest_neighbor_recommender": nested(HASHED)}
Scores = list[tuple[str, float]]


class Recommender(Searching):
    """See `Driver`.

    Methods are inverted_index, inverted_index_euclid, lsh, minhash, euclid_lsh and nearest_neighbor_recommender.
    A row that is not there is like no other; what is completed or decoded of it is empty.

    Parameters
    ----------
    configuration : mapping
    node : str
        Whose rows these are.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.rows.recommender import Recommender
    >>> converter = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> recommender = Recommender({"method": "inverted_index", "parameter": {}, "converter": converter}, "")
    >>> recommender.run("update_row", ["a", Datum.of({"x": 1.0})])
    True
    >>> recommender.run("similar_row_from_datum", [Datum.of({"x": 3.0, "y": 4.0}), 1])
    [('a', 0.6)]
    """

    _kind, _methods = "recommender", _METHODS

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        return _CALLS[method](self, *arguments)

    def _update_row(self, name: str, datum: Datum) -> bool:
        ((slots, values),) = split_rows(self._converter.rows([datum], update=True))
        self._rows.put(name, *merged(*self._rows.row(name), slots, values))
        self._rows.tidy()
        return True

    def _clear_row(self, name: str) -> bool:
        removed = self._rows.remove(name)
        self._rows.tidy()
        return removed

    def _get_all_rows(self) -> list[str]:
        return sorted(self._rows.live)

    # ------------------------------------------------------------------------------------------- similar rows

    def _of_row(self, name: str) -> Features | None:
        row = self._rows.live.get(name)
        return None if row is None else self._index.features_of(row)

    def _of_datum(self, datum: Datum) -> Features:
        return self._index.features(self._converter.named(datum))

    def _similar(self, features: Features | None, count: int) -> Scores:
        return [] if features is None else nearest(self._index, features, count)

    def _similar_by_score(self, features: Features | None, least: float) -> Scores:
        return [one for one in self._similar(features, len(self._rows)) if one[1] >= least]

    def _similar_by_rate(self, features: Features | None, rate: float) -> Scores:
        if not 0 <= rate <= 1:
            raise ValueError(f"the share of rows must be between 0 and 1, found {rate}")
        return self._similar(features, math.ceil(rate * len(self._rows) - 1e-6))  # the rate is a float32

    # ------------------------------------------------------------------------------------------- what rows hold

    def _decode(self, slots: np.ndarray, values: np.ndarray) -> Datum:
        names = self._vocabulary.names
        return decoded((names[slot], value) for slot, value in zip(slots.tolist(), values.tolist(), strict=True))

    def _decode_row(self, name: str) -> Datum:
        return self._decode(*self._rows.row(name))

    def _complete(self, features: Features | None) -> Datum:
        rows = [self._rows.row(name) for name, _ in self._similar(features, COMPLETING)]
        rows = [row for row in rows if len(row[0])]
        if not rows:
            return Datum()
        slots, places = np.unique(np.concatenate([slots for slots, _ in rows]), return_inverse=True)
        sums = np.bincount(places, np.concatenate([values for _, values in rows]))
        return self._decode(slots, sums / len(rows))

    def _calc_similarity(self, one: Datum, other: Datum) -> float:
        first, second = dict(self._converter.named(one)), dict(self._converter.named(other))
        norms = math.hypot(*first.values()) * math.hypot(*second.values())
        return sum(value * second.get(name, 0.0) for name, value in first.items()) / norms if norms else 0.0

    def _calc_l2norm(self, datum: Datum) -> float:
        return math.hypot(*(value for _, value in self._converter.named(datum)))


def _asked(answer: Callable[..., Any], features: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, query, *more: answer(self, features(self, query), *more)


_CALLS: dict[str, Callable[..., Any]] = {
    "clear_row": Recommender._clear_row,
    "update_row": Recommender._update_row,
    "decode_row": Recommender._decode_row,
    "get_all_rows": Recommender._get_all_rows,
    "calc_similarity": Recommender._calc_similarity,
    "calc_l2norm": Recommender._calc_l2norm,
}
for _origin, _features in (("id", Recommender._of_row), ("datum", Recommender._of_datum)):
    _CALLS[f"complete_row_from_{_origin}"] = _asked(Recommender._complete, _features)
    _CALLS[f"similar_row_from_{_origin}"] = _asked(Recommender._similar, _features)
    _CALLS[f"similar_row_from_{_origin}_and_score"] = _asked(Recommender._similar_by_score, _features)
    _CALLS[f"similar_row_from_{_origin}_and_rate"] = _asked(Recommender._similar_by_rate, _features)
