"""What the converter makes of examples, as a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hogwild.online.features.converter import Converter
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.state import Parts


class Weight:
    """The features of examples, weighted by what has been counted so far.

    Parameters
    ----------
    configuration : mapping
        ``{"converter": {...}}``.
    node : str
        Not used.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.weight import Weight
    >>> rule = {"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "idf1"}
    >>> weight = Weight({"converter": {"string_rules": [rule]}})
    >>> _ = weight.run("update", [Datum.of({"t": "to be or not to be"})])
    >>> weight.run("calc_weight", [Datum.of({"t": "to"})])
    [('t$to@space#tf/idf1', 1.0)]
    """

    def __init__(self, configuration: Mapping[str, Any], node: str = "") -> None:
        self.converter = Converter(configuration.get("converter"), Vocabulary())
        self.parts = Parts({"counts": self.converter.counts})

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        return self.converter.named(arguments[0], update=method == "update")

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return {"weight.features": str(len(self.converter.counts))}
