"""Plots as SVG that can stand in an HTML page."""

from __future__ import annotations

import io
import os
import re
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from hogwild.data.files import write_whole
from hogwild.report.parts import Bars, Groups, Lines, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 5.6, 3.2  # inches: narrow, so that letters stay readable where a phone shrinks the page
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

    with matplotlib.rc_context(STYLE):
        figure, _ = _drawn(part)
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
        figure, axes = _drawn(part)
        axes.set_title(part.heading, fontsize=12)
        figure.savefig(file, format=kind, dpi=200, metadata={"Software": None} if kind == "png" else {"Date": None})


def _drawn(part: Plot) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    height = 0.9 + 0.5 * len(part.bars) if isinstance(part, Bars) else HEIGHT
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
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

    largest = 0.0
    for place, (name, points) in enumerate(part.lines.items()):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        x, y = (np.asarray(values, float) for values in points)
        shown = np.isfinite(x) & np.isfinite(y)
        shown &= (x > 0) | (not part.log_x)
        shown &= (y > 0) | (not part.log_y)
        style = {"label": name, "color": colour, "markersize": 4, "linewidth": 1.8}
        if name in part.dashed:
            style |= {"linestyle": "--", "color": "#888888", "linewidth": 1.2}
        elif name in part.dots:
            style |= {"linestyle": "", "marker": marker, "markersize": 5}
        elif shown.sum() <= 30:
            style |= {"marker": marker}
        axes.plot(x[shown], y[shown], **style)
        if part.spread and name in part.spread:
            spread = np.asarray(part.spread[name], float)[shown]
            axes.errorbar(
                x[shown], y[shown], yerr=spread, color=colour, linewidth=0, elinewidth=1, capsize=2.5, alpha=0.6
            )
        largest = max(largest, y[shown].max(initial=0.0))
    axes.set(xlabel=part.x_label, ylabel=part.y_label)
    if part.log_x:
        axes.set_xscale("log")
    elif all(float(value).is_integer() for x, _ in part.lines.values() for value in x if np.isfinite(value)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    if part.log_y:
        axes.set_yscale("log")
    elif largest >= 10_000:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if part.from_zero and not part.log_y:
        axes.set_ylim(0, largest * 1.1 or 1)
    if any(name not in (part.y_label, part.heading) for name in part.lines):
        axes.legend(frameon=False, fontsize=10 if len(part.lines) <= 5 else 8)


def _groups(axes: Axes, part: Groups) -> None:
    series = list(dict.fromkeys(name for heights in part.groups.values() for name in heights))
    width = 0.8 / max(1, len(series))
    for place, name in enumerate(series):
        at = [group + (place - (len(series) - 1) / 2) * width for group in range(len(part.groups))]
        heights = [group.get(name, np.nan) for group in part.groups.values()]
        axes.bar(at, heights, width * 0.92, label=name, color=COLOURS[place % len(COLOURS)])
    axes.set_xticks(range(len(part.groups)), list(part.groups))
    axes.set_ylabel(part.y_label)
    if part.log_y:
        axes.set_yscale("log")
    axes.grid(visible=False, axis="x")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=10 if len(series) <= 4 else 8)


def _bars(axes: Axes, part: Bars) -> None:
    names, lengths = list(part.bars), list(part.bars.values())
    bars = axes.barh(names, lengths, color=COLOURS[0], height=0.6)
    axes.bar_label(bars, fmt="{:.3g}", padding=4)
    axes.set_xlabel(part.x_label)
    axes.set_xlim(0, max(lengths, default=0) * 1.15 or 1)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _inline(svg: str, prefix: str, heading: str) -> str:
    """Cut the XML prologue off, make ids unique on the page, and let the page set the size."""
    svg = svg[svg.index("<svg") :].strip()
    svg = _REFERENCE.sub(lambda match: match[1] + prefix, svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(heading)}">{rest}'
