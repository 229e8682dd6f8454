"""Plots as SVG that can stand in an HTML page."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING

from hogwild.data.files import write_whole
from hogwild.report.parts import Bars, Lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 5.6, 3.2  # inches: narrow, so that letters stay readable where a phone shrinks the page
COLOURS = ("#1b6ca8", "#d1495b", "#5f8f3f", "#8a5ea8", "#c98a1b")  # told apart on grey paper and by most colour-blind
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


def draw(part: Lines | Bars, prefix: str) -> str:
    """Return `part` as an ``<svg>`` element whose ids begin with `prefix`.

    Raises
    ------
    ImportError
        Without Matplotlib.
    """
    _require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        height = HEIGHT if isinstance(part, Lines) else 0.9 + 0.5 * len(part.bars)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        (_lines if isinstance(part, Lines) else _bars)(axes, part)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _inline(file.getvalue(), prefix, part.heading)


def save_plot(part: Lines | Bars, path: str | os.PathLike[str]) -> None:
    """Write a plot to a file of its own, which appears whole or not at all.

    Parameters
    ----------
    part : Lines or Bars
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
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), write_whole(path) as file:
        figure = Figure(figsize=(WIDTH, HEIGHT if isinstance(part, Lines) else 0.9 + 0.5 * len(part.bars)), dpi=200)
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        (_lines if isinstance(part, Lines) else _bars)(axes, part)
        axes.set_title(part.heading, fontsize=12)
        figure.savefig(file, format=kind, metadata={"Software": None} if kind == "png" else {"Date": None})


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a report draws with Matplotlib, which is not installed: pip install hogwild[report]"
        ) from error


def _lines(axes: Axes, part: Lines) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for (name, (x, y)), colour in zip(part.lines.items(), COLOURS * len(part.lines), strict=False):
        axes.plot(x, y, label=name, color=colour, marker="o" if len(x) <= 30 else None, markersize=4, linewidth=1.8)
        if part.spread and name in part.spread:
            axes.errorbar(x, y, yerr=part.spread[name], color=colour, linewidth=0, elinewidth=1, capsize=2.5, alpha=0.6)
    axes.set(xlabel=part.x_label, ylabel=part.y_label)
    if part.log_x:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    largest = max((max(y, default=0) for _, y in part.lines.values()), default=0)
    if largest >= 10_000:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if part.from_zero:
        axes.set_ylim(0, largest * 1.1 or 1)
    if any(name not in (part.y_label, part.heading) for name in part.lines):
        axes.legend(frameon=False, fontsize=10)


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
    from html import escape

    svg = svg[svg.index("<svg") :].strip()
    svg = _REFERENCE.sub(lambda match: match[1] + prefix, svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(heading)}">{rest}'
