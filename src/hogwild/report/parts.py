"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Text(NamedTuple):
    """A paragraph."""

    text: str


class Table(NamedTuple):
    """A table; all columns but the first are numbers or short texts.

    Attributes
    ----------
    heading : str
    columns : sequence of str
        Header cells; all empty for none.
    rows : sequence of sequence of str
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Lines(NamedTuple):
    """A plot of lines.

    Attributes
    ----------
    heading, x_label, y_label : str
    lines : mapping of str to (sequence, sequence)
        Name: x and y.
    from_zero : bool
        Whether the y axis starts at 0.
    log_x : bool
        Whether the x axis is logarithmic.
    spread : mapping of str to sequence, optional
        Name: half the length of a bar around each y.
    """

    heading: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    from_zero: bool = False
    log_x: bool = False
    spread: Mapping[str, Sequence[float]] | None = None


class Bars(NamedTuple):
    """A plot of horizontal bars.

    Attributes
    ----------
    heading, x_label : str
    bars : mapping of str to float
        Name: length, from top to bottom.
    """

    heading: str
    x_label: str
    bars: Mapping[str, float]


Part = Text | Table | Lines | Bars
