"""How far rows lie from others, by the local outlier factor (Breunig, Kriegel, Ng, Sander 2000)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from hogwild.online.configuration import method_of, read
from hogwild.online.datum import Datum
from hogwild.online.features.converter import Converter
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.common import figures, merged, new_name, split_rows
from hogwild.online.rows.indexes import Features, nearest
from hogwild.online.rows.parameters import HASHED, INVERTED, at_least, nested, parameter_of
from hogwild.online.state import Parts

_MAKER = nested(INVERTED | HASHED)
Neighbours = list[tuple[str, float]]


class Settings(msgspec.Struct):
    """Parameter of lof and light_lof."""

    nearest_neighbor_num: int = 10
    reverse_nearest_neighbor_num: int = 30
    ignore_kth_same_point: bool = False


class Anomaly:
    """See `Driver`; methods lof and light_lof, which are one here.

    A stored row is one of its own neighbours when its distance to the k-th and its density are taken, and not when it
    is scored. A change renews both for the `reverse_nearest_neighbor_num` rows around it; others wait. They are no part
    of the model: after a load or a mix they are taken anew when they are needed.

    Parameters
    ----------
    configuration : mapping
    node : str
        Part of the names of its rows, where it is not empty.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.rows.anomaly import Anomaly
    >>> parameter = {"nearest_neighbor_num": 2, "method": "inverted_index_euclid", "parameter": {}}
    >>> converter = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> anomaly = Anomaly({"method": "lof", "parameter": parameter, "converter": converter}, "")
    >>> anomaly.run("add", [Datum.of({"x": 1.0})])
    ('0', inf)
    """

    def __init__(self, configuration: Mapping[str, Any], node: str) -> None:
        place = "$.parameter"
        method_of(configuration, dict.fromkeys(("lof", "light_lof"), True), "anomaly")
        parameter = parameter_of(configuration)
        settings = read(Settings, parameter, place)
        self._near = at_least(settings.nearest_neighbor_num, 2, f"{place}.nearest_neighbor_num")
        self._around = settings.reverse_nearest_neighbor_num
        at_least(self._around, self._near, f"{place}.reverse_nearest_neighbor_num")
        self._few_same, self._node = settings.ignore_kth_same_point, node
        self._vocabulary = Vocabulary()
        self._converter = Converter(configuration.get("converter"), self._vocabulary)
        self._index = _MAKER(parameter, place, self._vocabulary, node)
        self._rows = self._index.table
        self.parts = Parts({"counts": self._converter.counts, "rows": self._rows})
        self._generation = self._rows.generation
        self._reaches: dict[str, float] = {}  # distances to the k-th neighbour
        self._densities: dict[str, float] = {}

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        if self._generation != self._rows.generation:
            self._generation = self._rows.generation
            self._reaches.clear()
            self._densities.clear()
        answer = _CALLS[method](self, *arguments)
        self._rows.tidy()
        return answer

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return figures("anomaly", self._rows, self._vocabulary)

    # ------------------------------------------------------------------------------------------- calls

    def _add(self, datum: Datum) -> tuple[str, float]:
        name = new_name(self._rows, self._node)
        return name, self._set(name, datum)

    def _add_bulk(self, data: Sequence[Datum]) -> list[str]:
        names = []
        for slots, values in self._converted(data):
            names.append(new_name(self._rows, self._node))
            self._learn(names[-1], slots, values)
        return names

    def _update(self, name: str, datum: Datum) -> float:
        ((slots, values),) = self._converted([datum])
        return self._learnt(name, *merged(*self._rows.row(name), slots, values))

    def _set(self, name: str, datum: Datum) -> float:
        return self._learnt(name, *self._converted([datum])[0])

    def _clear_row(self, name: str) -> bool:
        around = self._around_row(name)
        removed = self._rows.remove(name)
        self._renew(around)
        return removed

    def _calc_score(self, datum: Datum) -> float:
        return self._score(self._index.features(self._converter.named(datum)))

    def _get_all_rows(self) -> list[str]:
        return sorted(self._rows.live)

    def _converted(self, data: Sequence[Datum]) -> list[tuple[np.ndarray, np.ndarray]]:
        return split_rows(self._converter.rows(data, update=True))

    # ------------------------------------------------------------------------------------------- figures

    def _learn(self, name: str, slots: np.ndarray, values: np.ndarray) -> bool:
        """Set a row, unless that many of the same are there that no more may be; return whether it was set."""
        if self._few_same:
            same = self._neighbours(self._index.features_at(slots, values), self._near - 1)
            if len(same) == self._near - 1 and same[-1][1] == 0 and name not in dict(same):
                return False
        around = self._around_row(name)
        self._rows.put(name, slots, values)
        self._renew([*around, name, *self._around_row(name)])
        return True

    def _learnt(self, name: str, slots: np.ndarray, values: np.ndarray) -> float:
        learnt = self._learn(name, slots, values)
        return self._score(self._index.features_at(slots, values), without=name if learnt else None)

    def _neighbours(self, features: Features, count: int, without: str | None = None) -> Neighbours:
        found = nearest(self._index, features, count, without)
        return [(name, self._index.distance(score)) for name, score in found]

    def _of_row(self, name: str, count: int) -> Neighbours:
        return self._neighbours(self._index.features_of(self._rows.live[name]), count)

    def _around_row(self, name: str) -> list[str]:
        return [other for other, _ in self._of_row(name, self._around)] if name in self._rows else []

    def _renew(self, names: Iterable[str]) -> None:
        """Take the figures of rows anew."""
        near = {name: self._of_row(name, self._near) for name in names if name in self._rows}
        for name, neighbours in near.items():
            self._reaches[name] = _reach(neighbours)
        for name, neighbours in near.items():
            self._densities[name] = self._density(neighbours)
        if len(self._reaches) > 2 * len(self._rows) + 64:  # of rows that are gone
            for figures_ in (self._reaches, self._densities):
                for name in [name for name in figures_ if name not in self._rows]:
                    del figures_[name]

    def _density(self, neighbours: Neighbours) -> float:
        total = sum(max(distance, self._reach_of(name)) for name, distance in neighbours)
        return len(neighbours) / total if total else math.inf

    def _reach_of(self, name: str) -> float:
        if name not in self._reaches:
            self._reaches[name] = _reach(self._of_row(name, self._near))
        return self._reaches[name]

    def _density_of(self, name: str) -> float:
        if name not in self._densities:
            self._densities[name] = self._density(self._of_row(name, self._near))
        return self._densities[name]

    def _score(self, features: Features, without: str | None = None) -> float:
        neighbours = self._neighbours(features, self._near, without)
        if not neighbours:
            return math.inf
        own = self._density(neighbours)
        others = sum(self._density_of(name) for name, _ in neighbours) / len(neighbours)
        return 1.0 if math.isinf(own) and math.isinf(others) else others / own


def _reach(neighbours: Neighbours) -> float:
    return neighbours[-1][1] if neighbours else 0.0


_CALLS: dict[str, Callable[..., Any]] = {
    "add": Anomaly._add,
    "add_bulk": Anomaly._add_bulk,
    "update": Anomaly._update,
    "overwrite": Anomaly._set,
    "clear_row": Anomaly._clear_row,
    "calc_score": Anomaly._calc_score,
    "get_all_rows": Anomaly._get_all_rows,
}
