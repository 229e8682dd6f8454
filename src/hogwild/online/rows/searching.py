"""Drivers that keep rows and search them by the index that the configuration's method names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hogwild.online.configuration import method_of
from hogwild.online.features.converter import Converter
from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.common import figures
from hogwild.online.rows.parameters import parameter_of
from hogwild.online.state import Parts


class Searching:
    """Converter, index and rows of one driver.

    Parameters
    ----------
    configuration : mapping
    node : str
    """

    _kind: ClassVar[str]
    _methods: ClassVar[Mapping[str, Any]]  # makers of indexes by name

    def __init__(self, configuration: Mapping[str, Any], node: str) -> None:
        make = method_of(configuration, self._methods, self._kind)
        self._vocabulary = Vocabulary()
        self._converter = Converter(configuration.get("converter"), self._vocabulary)
        self._index = make(parameter_of(configuration), "$.parameter", self._vocabulary, node)
        self._rows = self._index.table
        self.parts = Parts({"counts": self._converter.counts, "rows": self._rows})

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        return figures(self._kind, self._rows, self._vocabulary)
