"""A learner behind calls: what the service, the log and the mixing know of any type of server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from hogwild.online.methods import methods_of
from hogwild.online.state import Parts

_DRIVERS = {
    "classifier": "hogwild.online.linear.classifier:make_classifier",
    "regression": "hogwild.online.linear.regression:make_regression",
    "recommender": "hogwild.online.rows.recommender:Recommender",
    "nearest_neighbor": "hogwild.online.rows.nearest_neighbor:NearestNeighbor",
    "anomaly": "hogwild.online.rows.anomaly:Anomaly",
    "stat": "hogwild.online.stat:Stat",
    "weight": "hogwild.online.weight:Weight",
}


class Driver(Protocol):
    """A learner of one type. One thread at a time uses it.

    Attributes
    ----------
    parts : Parts
        All that it has learnt.
    packs : dict of callable, optional
        By the name of a call whose only argument is a list: makes `Packed` items of a message's bytes and the place
        where the list begins, or returns None where the list has to be unpacked. `run` takes them as well.
    """

    parts: Parts

    def run(self, method: str, arguments: list[Any]) -> Any:
        """Answer one of its type's own calls (`methods.TYPES`), whose arguments have been read.

        A call that raises has changed nothing. Calls whose only argument is a list (train, classify, estimate,
        add_bulk) are the same however the list is cut: whoever calls may join or cut them.

        Raises
        ------
        ValueError, KeyError
            The arguments are of the right types, but cannot be: the message tells the client why.
        """
        ...

    def status(self) -> dict[str, str]:
        """Return figures for `get_status` (numbers of features, labels, rows, bytes)."""
        ...


def make_driver(kind: str, configuration: Mapping[str, Any], node: str = "") -> Driver:
    """Return the learner that a configuration describes.

    Parameters
    ----------
    kind : str
        One of `methods.TYPES`.
    configuration : mapping
        The whole of the JSON configuration: method, parameter, converter.
    node : str
        Name of the server in its group, for names that must be unique there.

    Raises
    ------
    ConfigurationError
        The configuration cannot be used.
    ValueError
        The type is not served.
    """
    methods_of(kind)
    module, name = _DRIVERS[kind].split(":")
    return getattr(import_module(module), name)(configuration, node)
