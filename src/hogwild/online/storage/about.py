"""What a model file says of its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class About(NamedTuple):
    """What a model file says of its model.

    Attributes
    ----------
    type : str
        One of `methods.TYPES`.
    configuration : str
        The text verbatim.
    id : str
        The name that a client gave it.
    saved : float
        Seconds since 1970; 0 stands for now when it is written.
    figures : dict
        What the service counted; what JSON can hold.
    """

    type: str
    configuration: str
    id: str = ""
    saved: float = 0.0
    figures: Mapping[str, Any] = {}
