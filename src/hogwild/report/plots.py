"""Plots as SVG that can stand in an HTML page."""

from __future__ import annotations

import io
import os
import re
import textwrap
import warnings
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild.data.files import write_whole
from hogwild.report.parts import Bars, Groups, Lines, Plot
from hogwild.report.words import shortened, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 5.6, 3.2  # inches, of a file
PAGE_WIDTH = 5.0  # narrower, so that letters stay readable where a phone shrinks the page
MOST_INSIDE = 3  # lines whose legend stands within the axes, where it seldom hides anything
WIDE_TITLE = 54  # characters of a file's title that have room in a line
MOST_TICKS = 7  # numbers of points that are named one by one along a short logarithmic axis
LONGEST = 34  # characters of a name
# told apart on grey paper and by most colour-blind; each with a marker of its own
COLOURS = ("#1b6ca8", "#d1495b", "#5f8f3f", "#8a5ea8", "#c98a1b", "#3aa6a0", "#6b6b6b", "#b0598f")
MARKERS = "os^Dv<>P"
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, selectable
    "svg.hashsalt": "hogwild",  # the same picture gives the same bytes
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "axes.edgecolor": "#666666",
}
_REFERENCE = re.compile(r'(\bid="|url\(#|href="#)')


def draw(part: Plot, prefix: str) -> str:
    """Return `part` as an ``<svg>`` element whose ids begin with `prefix`.

    Raises
    ------
    ImportError
        Without Matplotlib.
    """
    _require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's fonts draw the text
        figure, _ = _drawn(part, PAGE_WIDTH)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _inline(file.getvalue(), prefix, part.heading)


def save_plot(part: Plot, path: str | os.PathLike[str]) -> None:
    """Write a plot to a file of its own, which appears whole or not at all.

    Parameters
    ----------
    part : Lines, Bars or Groups
    path : str or path-like
        The extension, ``.png`` or ``.svg``, says of which kind.

    Raises
    ------
    ImportError
        Without Matplotlib.
    ValueError
        If the extension is another one.
    """
    kind = os.path.splitext(os.fspath(path))[1].lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise ValueError(f"{os.fspath(path)}: found the extension {kind!r}, expected .png or .svg")
    _require_matplotlib()
    import matplotlib

    with matplotlib.rc_context(STYLE), write_whole(path) as file:
        figure, axes = _drawn(part, WIDTH)
        axes.set_title(textwrap.fill(_name(part.heading, 100), WIDE_TITLE), fontsize=12)
        figure.savefig(file, format=kind, dpi=200, metadata={"Software": None} if kind == "png" else {"Date": None})


def _drawn(part: Plot, width: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    height = HEIGHT
    if isinstance(part, Bars):
        height = 0.9 + (0.5 if len(part.bars) <= 8 else 0.27) * len(part.bars)
    elif isinstance(part, Lines) and len(part.lines) > MOST_INSIDE:
        height += 0.18 * len(part.lines) / 2
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    if isinstance(part, Lines):
        _lines(axes, part)
    elif isinstance(part, Bars):
        _bars(axes, part)
    else:
        _groups(axes, part)
    return figure, axes


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a report draws with Matplotlib, which is not installed: pip install hogwild[report]"
        ) from error


def _lines(axes: Axes, part: Lines) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    largest, handles = 0.0, []
    for place, (name, points) in enumerate(part.lines.items()):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        x, y = (np.asarray(values, float) for values in points)
        shown = np.isfinite(x) & np.isfinite(y)
        shown &= (x > 0) | (not part.log_x)
        shown &= (y > 0) | (not part.log_y)
        style = {"color": colour, "markersize": 4, "linewidth": 1.8}
        if name in part.dashed:
            style |= {"linestyle": "--", "color": "#888888", "linewidth": 1.2}
        elif name in part.dots:
            style |= {"linestyle": "", "marker": marker, "markersize": 5}
        elif name in part.filled:
            style |= {"drawstyle": "steps-mid", "linewidth": 1.2}
            axes.fill_between(x[shown], y[shown], step="mid", color=colour, alpha=0.25, linewidth=0)
        elif shown.sum() <= 30:
            style |= {"marker": marker}
        handles += axes.plot(x[shown], y[shown], **style)
        if part.spread and name in part.spread:
            spread = np.asarray(part.spread[name], float)[shown]
            axes.errorbar(
                x[shown], y[shown], yerr=spread, color=colour, linewidth=0, elinewidth=1, capsize=2.5, alpha=0.6
            )
            y = y + np.nan_to_num(np.asarray(part.spread[name], float))
        largest = max(largest, y[shown].max(initial=0.0))
    axes.set(xlabel=_name(part.x_label, 80), ylabel=_name(part.y_label, 60))
    along = [float(value) for x, _ in part.lines.values() for value in x if np.isfinite(value)]
    if part.log_x:
        axes.set_xscale("log")
        places = sorted({value for value in along if value > 0})
        if 1 < len(places) <= MOST_TICKS and places[-1] < 100 * places[0]:  # less than two powers of ten to name
            axes.set_xticks(places, [f"{value:,.6g}" for value in places])
            axes.set_xticks([], minor=True)
    else:
        if max(along, default=0) >= 10_000:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        elif all(map(float.is_integer, along)):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    if part.log_y and largest > 0:  # an axis without a point cannot be logarithmic
        axes.set_yscale("log")
        if largest < 100 * axes.dataLim.minposy:  # less than two powers of ten to name
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    elif largest >= 10_000:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if part.from_zero and not part.log_y:
        axes.set_ylim(0, largest * 1.1 or 1)
    if any(name not in (part.y_label, part.heading) for name in part.lines):
        _legend(axes, handles, list(part.lines), 5)


def _legend(
    axes: Axes, handles: Sequence[Any], names: Sequence[str], most_large: int, *, outside: bool = False
) -> None:
    """Name what is drawn; below the axes where it is much, or would lie on bars."""
    shown, options = [_name(name, 60) for name in names], {"frameon": False, "handlelength": 1.6}
    if outside or len(names) > MOST_INSIDE:
        columns = 2 if max(map(len, shown)) <= LONGEST else 1
        axes.figure.legend(handles, shown, loc="outside lower center", ncols=columns, fontsize=8, **options)
    else:
        axes.legend(handles, shown, fontsize=10 if len(names) <= most_large else 8, **options)


def _name(text: str, most: int = LONGEST) -> str:
    return shortened(visible(text), most).replace("$", r"\$")  # a dollar, not the start of a formula


def _groups(axes: Axes, part: Groups) -> None:
    series = list(dict.fromkeys(name for heights in part.groups.values() for name in heights))
    width = 0.7 if part.stacked else 0.8 / max(1, len(series))
    below, handles = np.zeros(len(part.groups)), []
    for place, name in enumerate(series):
        heights = np.array([group.get(name, np.nan) for group in part.groups.values()], float)
        if part.stacked:
            at = np.arange(len(part.groups), dtype=float)
        else:
            at = np.arange(len(part.groups)) + (place - (len(series) - 1) / 2) * width
        handles.append(axes.bar(at, heights, width * 0.92, below, color=COLOURS[place % len(COLOURS)]))
        if part.stacked:
            below = below + np.nan_to_num(heights)
    names = [_name(name, 20) for name in part.groups]
    crowded = sum(map(len, names)) > 44
    axes.set_xticks(range(len(names)), names, rotation=35 if crowded else 0, ha="right" if crowded else "center")
    axes.set_ylabel(_name(part.y_label, 60))
    if part.log_y:
        axes.set_yscale("log")
    axes.grid(visible=False, axis="x")
    if len(series) > 1 and part.stacked:
        axes.figure.legend(
            handles, list(map(_name, series)), loc="outside upper center", ncols=4, frameon=False, fontsize=10
        )
    elif len(series) > 1:
        _legend(axes, handles, series, 4, outside=True)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _bars(axes: Axes, part: Bars) -> None:
    lengths = np.array(list(part.bars.values()), float)
    places = np.arange(len(lengths))  # not names: two may be shortened to the same
    colours = [COLOURS[0] if length >= 0 else COLOURS[1] for length in lengths]
    bars = axes.barh(places, lengths, color=colours, height=0.6)
    axes.bar_label(bars, fmt="{:.3g}", padding=4, fontsize=11 if len(lengths) <= 8 else 9)
    axes.set_yticks(places, list(map(_name, part.bars)), fontsize=11 if len(lengths) <= 8 else 9)
    axes.set_xlabel(_name(part.x_label, 80))
    low, high = min(0.0, lengths.min(initial=0.0)), max(0.0, lengths.max(initial=0.0))
    room = (high - low) * 0.18
    axes.set_xlim(low - room if low else 0, (high + room if high else 0) or (0 if low else 1))
    axes.set_ylim(len(lengths) - 0.4, -0.6)  # from top to bottom
    axes.grid(visible=False, axis="y")


def _inline(svg: str, prefix: str, heading: str) -> str:
    """Cut the XML prologue off, make ids unique on the page, and let the page set the size."""
    svg = svg[svg.index("<svg") :].strip()
    svg = _REFERENCE.sub(lambda match: match[1] + prefix, svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(visible(heading))}">{rest}'
