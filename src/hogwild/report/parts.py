"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Text(NamedTuple):
    """A paragraph."""

    text: str


class Chapter(NamedTuple):
    """A heading over the parts that follow, up to the next one."""

    heading: str


class Code(NamedTuple):
    """Lines to copy: a command."""

    heading: str
    text: str


class Table(NamedTuple):
    """A table; all columns but the first are numbers or short texts.

    Attributes
    ----------
    heading : str
    columns : sequence of str
        Header cells; all empty for none.
    rows : sequence of sequence of str
    note : str
        Below it: where the figures come from.
    shades : sequence of sequence of float, optional
        For each row, how dark the cells after the first are, 0 to 1.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    shades: Sequence[Sequence[float]] | None = None


class Lines(NamedTuple):
    """A plot of lines.

    Attributes
    ----------
    heading, x_label, y_label : str
    lines : mapping of str to (sequence, sequence)
        Name: x and y. Points that are not finite are left out.
    from_zero : bool
        Whether the y axis starts at 0.
    log_x, log_y : bool
        Whether an axis is logarithmic; points that are not above 0 are left out there.
    spread : mapping of str to sequence, optional
        Name: half the length of a bar around each y.
    dashed : sequence of str
        Names of lines that are there to compare with: an ideal, a bound.
    dots : sequence of str
        Names of points that no line joins.
    filled : sequence of str
        Names of lines that are drawn as steps, with the area below them filled: shares of what falls into bins.
    """

    heading: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    from_zero: bool = False
    log_x: bool = False
    spread: Mapping[str, Sequence[float]] | None = None
    log_y: bool = False
    dashed: Sequence[str] = ()
    dots: Sequence[str] = ()
    filled: Sequence[str] = ()


class Bars(NamedTuple):
    """A plot of horizontal bars.

    Attributes
    ----------
    heading, x_label : str
    bars : mapping of str to float
        Name: length, from top to bottom; to the left where it is negative.
    """

    heading: str
    x_label: str
    bars: Mapping[str, float]


class Groups(NamedTuple):
    """A plot of groups of upright bars, one bar of each series in a group.

    Attributes
    ----------
    heading, y_label : str
    groups : mapping of str to mapping of str to float
        Name of the group, from left to right: name of the series and height. A series may be missing in a group.
    log_y : bool
    stacked : bool
        Whether the bars of a group stand on each other: parts of a whole.
    """

    heading: str
    y_label: str
    groups: Mapping[str, Mapping[str, float]]
    log_y: bool = False
    stacked: bool = False


Plot = Lines | Bars | Groups
Part = Text | Chapter | Code | Table | Plot
