"""Regression by the targets of similar examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from hogwild.online.configuration import read
from hogwild.online.datum import Datum
from hogwild.online.rows.parameters import at_least, parameter_of
from hogwild.online.rows.similarity import Examples
from hogwild.online.state import Parts


class Settings(msgspec.Struct):
    """Parameter of NN, cosine and euclidean."""

    nearest_neighbor_num: int
    weight: Literal["uniform", "distance"] = "uniform"


class SimilarityRegression:
    """See `Driver`; methods NN, cosine, euclidean.

    An estimate is the mean of the nearest examples' targets, weighted by one over the distance if that is asked for
    (those at distance 0 alone count then); without any example it is 0.

    Parameters
    ----------
    configuration : mapping
    node : str
        Part of the names of its rows, where it is not empty.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.rows.regression import SimilarityRegression
    >>> parameter = {"nearest_neighbor_num": 2, "weight": "distance"}
    >>> converter = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> regression = SimilarityRegression({"method": "euclidean", "parameter": parameter, "converter": converter}, "")
    >>> regression.run("train", [[(1.0, Datum.of({"x": 1.0})), (4.0, Datum.of({"x": 4.0}))]])
    2
    >>> regression.run("estimate", [[Datum.of({"x": 2.0})]])
    [2.0]
    """

    def __init__(self, configuration: Mapping[str, Any], node: str) -> None:
        place = "$.parameter"
        settings = read(Settings, parameter_of(configuration), place)
        self._near = at_least(settings.nearest_neighbor_num, 1, f"{place}.nearest_neighbor_num")
        self._by_distance = settings.weight == "distance"
        self._examples = Examples(configuration, node, "regression")
        self.parts = Parts({"counts": self._examples.converter.counts, "rows": self._examples.rows})

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        (values,) = arguments
        if method == "estimate":
            return list(map(self._estimate, values))
        for target, _ in values:
            if not math.isfinite(target):
                raise ValueError(f"a target must be finite, found {target}")
        return self._examples.learn(values)

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return self._examples.status()

    def _estimate(self, datum: Datum) -> float:
        near = self._examples.nearest(datum, self._near)
        if not near:
            return 0.0
        if not self._by_distance:
            return sum(target for target, _ in near) / len(near)
        if near[0][1] <= 0:
            near = [(target, 1.0) for target, distance in near if distance <= 0]
        return sum(target / distance for target, distance in near) / sum(1 / distance for _, distance in near)
