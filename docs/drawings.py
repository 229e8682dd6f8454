"""Draws the pictures of the documentation: ``python docs/drawings.py [FOLDER]``; by default docs/pictures.

The same program gives the same bytes. A picture is a function here, and its name is that of the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from hogwild.report.plots import COLOURS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, RED, GREEN, PURPLE, YELLOW, TEAL, GREY = COLOURS[:7]
PALE = {BLUE: "#d6e6f2", RED: "#f8dde0", GREEN: "#e0ebd7", PURPLE: "#e8ddf0", YELLOW: "#f7e8cd", GREY: "#ececec"}
WIDTH = 6.4  # inches
_DRAWINGS: dict[str, Callable[[], Figure]] = {}


def drawing(draw: Callable[[], Figure]) -> Callable[[], Figure]:
    """Enter a picture under its function's name."""
    _DRAWINGS[draw.__name__.replace("_", "-")] = draw
    return draw


def main(folder: Path = Path(__file__).parent / "pictures") -> list[Path]:
    """Draw all pictures into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with matplotlib.rc_context(STYLE | {"font.size": 10, "axes.grid": False}):
        for name, draw in _DRAWINGS.items():
            written.append(folder / f"{name}.svg")
            FigureCanvasSVG(draw()).print_svg(str(written[-1]), metadata={"Date": None, "Creator": None})
    return written


# -------------------------------------------------------------------------------------------------------- parts


def canvas(height: float, across: float, up: float) -> tuple[Figure, Axes]:
    """An empty white figure whose coordinates go from 0 to `across` and `up`."""
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, across), ylim=(0, up))
    axes.axis("off")
    return figure, axes


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str = GREY, **font) -> None:
    """A box with its lower left corner at (x, y), and text in its middle."""
    shape = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.08", fc=PALE[colour], ec=colour, lw=1.2
    )
    axes.add_patch(shape)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", **font)


def arrow(axes: Axes, start: tuple, end: tuple, colour: str = "#444444", style: str = "-|>", bend: float = 0.0, **line):
    """An arrow between two points."""
    shape = {"arrowstyle": style, "color": colour, "lw": 1.4, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 12}
    axes.annotate("", end, start, arrowprops=shape | {"connectionstyle": f"arc3,rad={bend}"} | line)


def note(axes: Axes, x: float, y: float, text: str, **font) -> None:
    """Small text."""
    axes.text(x, y, text, **({"fontsize": 9, "color": "#333333", "va": "center"} | font))


def plot(height: float, **place) -> tuple[Figure, Axes]:
    """A white figure with one set of axes."""
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    axes = figure.add_subplot()
    figure.subplots_adjust(**({"left": 0.11, "right": 0.97, "bottom": 0.19, "top": 0.93} | place))
    return figure, axes


# ----------------------------------------------------------------------------------------------------- pictures


@drawing
def replica() -> Figure:
    """Replicas, their bases and deltas, and the exchange with the shared copy."""
    figure, axes = canvas(3.5, 12.8, 7)
    box(axes, 0.4, 5.2, 12, 1.3, "shared copy of the parameters", GREY, fontsize=11)
    for k, (x, colour, delta) in enumerate(((0.6, BLUE, 0.9), (4.7, RED, 0.55), (8.8, GREEN, 1.2)), 1):
        box(axes, x, 0.3, 3.4, 3.0, "", colour)
        axes.text(x + 1.7, 2.98, f"replica {k}", ha="center", va="center", weight="bold")
        axes.add_patch(FancyBboxPatch((x + 0.35, 0.55), 0.9, 1.2, boxstyle="square,pad=0", fc="white", ec=colour))
        axes.add_patch(
            FancyBboxPatch((x + 0.35, 1.75), 0.9, delta * 0.8, boxstyle="square,pad=0", fc=colour, ec=colour)
        )
        note(axes, x + 1.4, 1.15, "base: as it\nwas copied")
        note(axes, x + 1.4, 1.75 + delta * 0.4, "delta: its steps")
        arrow(axes, (x + 0.8, 3.35), (x + 0.8, 5.15), colour)
        arrow(axes, (x + 2.7, 5.15), (x + 2.7, 3.35), GREY)
        note(axes, x + 0.95, 4.25, "add delta", color=colour)
        note(axes, x + 2.85, 4.25, "copy")
    return figure


@drawing
def cache_lines() -> Figure:
    """Who writes to which cache line: classic HOGWILD! beside replicas."""
    figure, axes = canvas(3.3, 12.8, 6.6)
    for left, title in ((0.3, "classic HOGWILD!"), (6.8, "replicas")):
        axes.text(left + 2.85, 6.2, title, ha="center", va="center", weight="bold")
        for k, colour in enumerate((BLUE, RED)):
            x = left + 3.2 * k
            box(axes, x, 3.0, 2.5, 2.6, "", colour)
            note(axes, x + 1.25, 5.25, f"core {k + 1}", ha="center")
            note(axes, x + 1.25, 3.35, "its cache", ha="center")
            own = title == "replicas"
            solid = own or k == 0
            box(
                axes, x + 0.3, 3.9, 1.9, 0.8, "line of w" if solid else "(lost it)", colour if own else GREY, fontsize=9
            )
        box(axes, left, 0.7, 5.7, 0.8, "memory: shared w", GREY, fontsize=9)
    arrow(axes, (2.85, 4.45), (3.45, 4.45), RED, lw=2)
    arrow(axes, (3.45, 4.15), (2.85, 4.15), BLUE, lw=2)
    note(axes, 3.15, 2.35, "every write of either core\ntakes the line away from the other", ha="center")
    for x, colour in ((8.05, BLUE), (11.25, RED)):
        arrow(axes, (x, 2.95), (x, 1.55), colour, "<|-|>")
    note(axes, 9.65, 2.3, "merge:\nevery few\nhundred rows", ha="center")
    note(axes, 3.15, 0.3, "55 ns there and back, many times a row", ha="center")
    note(axes, 9.65, 0.3, "no line moves between merges", ha="center")
    return figure


@drawing
def damped_merge() -> Figure:
    """The factor of a merge against the length of the way that each replica has gone."""
    figure, axes = plot(3.2, bottom=0.17)
    a = np.logspace(-3, 1.3, 300)
    for n, colour in ((2, BLUE), (8, RED), (64, GREEN)):
        axes.plot(a, -np.expm1(-n * a) / (n * -np.expm1(-a)), color=colour, lw=2)
        axes.axhline(1 / n, color=colour, lw=0.8, ls=":")
        axes.text(21, 1 / n + 0.015, f"1/{n}", color=colour, ha="right", va="bottom")
    axes.text(1.6, 0.64, "2 replicas", color=BLUE)
    axes.text(0.48, 0.36, "8 replicas", color=RED)
    axes.text(0.012, 0.36, "64 replicas", color=GREEN, ha="center")
    axes.text(0.0011, 1.03, "sum of the deltas", va="bottom", color="#444444")
    axes.text(21, 0.8, "mean of the deltas\n(dotted)", ha="right", color="#444444")
    axes.set(xscale="log", xlim=(1e-3, 22), ylim=(0, 1.12))
    axes.set_xlabel("a: step size x rows between merges x curvature along the feature")
    axes.set_ylabel("factor s of the merge")
    return figure


@drawing
def row_clock() -> Figure:
    """Chunks of rows handed out to threads, slices, and the clock that step size and penalty follow."""
    figure = Figure(figsize=(WIDTH, 3.7), facecolor="white")
    rows, clock = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1, 1.25], "hspace": 0.12})
    figure.subplots_adjust(left=0.13, right=0.97, top=0.86, bottom=0.15)
    chunk, n = 256, 20
    taken = [0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1]  # threads are not equally fast
    for k, thread in enumerate(taken):
        colour = (BLUE, RED)[thread]
        rows.barh(1 - thread, chunk, left=k * chunk, height=0.62, fc=PALE[colour], ec=colour)
    for end in (0, 7, 14, 20):
        rows.axvline(end * chunk, color="#444444", lw=1, ls="--")
    for k, start in enumerate((0, 7, 14)):
        rows.text((start + (7, 14, 20)[k]) / 2 * chunk, 1.72, "slice", ha="center", va="bottom", color="#444444")
    rows.set(yticks=(1, 0), yticklabels=("thread 1", "thread 2"), ylim=(-0.55, 1.6))
    rows.tick_params(length=0)
    rows.spines[["left", "bottom"]].set_visible(False)
    t = np.arange(1, n * chunk + 1)
    eta = 1 / (1 + t / 1500)
    clock.plot(t, eta, color=GREEN, lw=2)
    clock.plot(t, np.cumprod(1 - 2e-4 * eta), color=PURPLE, lw=2)
    clock.text(900, 0.36, "step size", color=GREEN)
    clock.text(2600, 0.84, "factor of the L2 penalty", color=PURPLE)
    clock.set(ylim=(0, 1.08), yticks=(0, 1), xlim=(-20, n * chunk + 20), xlabel="t: rows of all threads so far")
    figure.suptitle("chunks of 256 rows, whoever is free takes the next", x=0.55, y=0.975, fontsize=10)
    return figure


@drawing
def parameter_server() -> Figure:
    """Workers, shards, and what travels between them."""
    figure, axes = canvas(3.5, 12.8, 7)
    spans = ("features 0 to 9,999", "10,000 to 19,999", "20,000 to 29,999")
    for k, text in enumerate(spans):
        box(axes, 0.4 + 4.2 * k, 5.0, 3.6, 1.4, f"shard {k + 1}\n{text}", GREY)
    for k, colour in enumerate((BLUE, RED, GREEN, PURPLE)):
        x = 0.4 + 3.1 * k
        box(axes, x, 0.3, 2.7, 1.9, f"worker {k + 1}\nreplica, base\nits rows", colour)
        for shard in range(3):
            top = 0.9 + 4.2 * shard + 0.85 * k
            if k == 1:
                arrow(axes, (x + 0.6 + 0.7 * shard, 2.25), (top, 4.95), colour, lw=1.8)
                arrow(axes, (top + 0.3, 4.95), (x + 0.85 + 0.7 * shard, 2.25), colour, lw=1.8, ls=":")
            else:
                axes.plot((x + 0.6 + 0.7 * shard, top), (2.25, 4.95), color="#cccccc", lw=0.8, zorder=0)
    label = {"ha": "center", "bbox": {"fc": "white", "ec": "none", "pad": 1.5}, "color": RED}
    note(axes, 2.3, 3.65, "push: delta of the features\nthat its rows touched", **label)
    note(axes, 9.6, 3.65, "pull (dotted): what its\nnext rows will touch", **label)
    return figure


def _timeline(staleness: float, speeds: list[float], until: float) -> list[list[tuple[float, float, int]]]:
    """Spans (begin, end, clock) of the phases of workers that may be `staleness` phases ahead of the slowest."""
    ends: list[list[float]] = [[] for _ in speeds]
    spans: list[list[tuple[float, float, int]]] = [[] for _ in speeds]
    while True:
        begins = []
        for k in range(len(speeds)):
            clock = len(ends[k])
            gate = clock - staleness  # phases that everybody has to have finished
            if gate > min(map(len, ends)):
                begins.append(np.inf)
                continue
            waits = max(e[int(gate) - 1] for e in ends) if gate >= 1 else 0.0
            begins.append(max(ends[k][-1] if clock else 0.0, waits))
        k = int(np.argmin(begins))
        if begins[k] >= until:
            return spans
        spans[k].append((begins[k], begins[k] + speeds[k], len(ends[k])))
        ends[k].append(begins[k] + speeds[k])


@drawing
def who_waits() -> Figure:
    """Four workers, one of them slow, under BSP, SSP and ASP."""
    figure = Figure(figsize=(WIDTH, 4.6), facecolor="white")
    panels = figure.subplots(3, 1, sharex=True)
    figure.subplots_adjust(left=0.13, right=0.98, top=0.94, bottom=0.1, hspace=0.42)
    speeds, until = [1.0, 1.1, 0.9, 2.5], 15.0
    titles = (
        ("BSP: wait for all after every phase", 0),
        ("SSP(2): at most 2 phases ahead of the slowest", 2),
        ("ASP: wait for nobody", np.inf),
    )
    for axes, (title, staleness) in zip(panels, titles, strict=True):
        done = 0
        for k, spans in enumerate(_timeline(staleness, speeds, until)):
            colour = (BLUE, RED, GREEN, PURPLE)[k]
            last = 0.0
            for begin, end, clock in spans:
                if begin > last + 1e-9:
                    axes.barh(3 - k, begin - last, left=last, height=0.22, fc="#e6e6e6", ec="none", zorder=0)
                axes.barh(3 - k, min(end, until) - begin, left=begin, height=0.66, fc=PALE[colour], ec=colour, lw=0.9)
                if end <= until:
                    axes.text((begin + end) / 2, 3 - k, str(clock + 1), ha="center", va="center", fontsize=7)
                    done += 1
                last = end
            if last < until:
                axes.barh(3 - k, until - last, left=last, height=0.22, fc="#e6e6e6", ec="none", zorder=0)
        axes.set_title(f"{title}: {done} phases done", loc="left", fontsize=10)
        axes.set(yticks=range(4), yticklabels=["slow one", "worker 3", "worker 2", "worker 1"], xlim=(0, until))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    panels[-1].set_xlabel("time, in phases of worker 1; grey: waiting")
    return figure


@drawing
def mix_round() -> Figure:
    """Two MIX rounds; the third server missed the one before."""
    figure, axes = canvas(5.0, 12.8, 10)
    lanes = {"A": 2.2, "B": 6.4, "C": 10.6}
    for name, text in (("A", "server A, master"), ("B", "server B"), ("C", "server C: missed round 7")):
        axes.plot((lanes[name],) * 2, (0.3, 9.0), color="#999999", lw=1, zorder=0)
        box(axes, lanes[name] - 1.8, 9.0, 3.6, 0.75, text, GREY, fontsize=9)

    def send(source: str, to: str, y: float, text: str, colour: str = BLUE) -> None:
        arrow(axes, (lanes[source], y), (lanes[to], y - 0.12), colour)
        middle = (lanes[source] + lanes[to]) / 2
        note(axes, middle, y + 0.2, text, ha="center", fontsize=8.5, bbox={"fc": "white", "ec": "none", "pad": 0.5})

    def state(name: str, y: float, text: str, colour: str) -> None:
        box(axes, lanes[name] - 1.15, y - 0.25, 2.3, 0.5, text, colour, fontsize=8.5)

    for name, text, colour in (("A", "version 7", GREEN), ("B", "version 7", GREEN), ("C", "version 6", YELLOW)):
        state(name, 8.6, text, colour)
    send("A", "B", 7.9, "get_diff")
    send("A", "C", 7.45, "", BLUE)
    send("B", "A", 7.0, "diff on top of 7", GREEN)
    send("C", "B", 6.55, "", YELLOW)
    axes.plot((lanes["B"], lanes["A"]), (6.43, 6.31), color=YELLOW, lw=1.4)
    note(axes, 8.5, 6.72, "diff on top of 6: not counted", ha="center", fontsize=8.5)
    state("A", 5.85, "fold, version 8", BLUE)
    send("A", "B", 5.2, "put_diff, 7 to 8")
    send("A", "C", 4.75, "", BLUE)
    state("B", 4.25, "version 8", GREEN)
    state("C", 4.2, "obsolete", RED)
    send("C", "B", 3.4, "get_model", RED)
    send("B", "C", 2.7, "the model, version 8", GREEN)
    state("C", 2.15, "version 8", YELLOW)
    send("A", "B", 1.6, "next round: get_diff, put_diff 9")
    send("B", "C", 1.45, "", BLUE)
    for name in lanes:
        state(name, 0.75, "version 9" if name != "C" else "9, active again", GREEN)
    return figure


@drawing
def cache_file() -> Figure:
    """What lies where in a .hog file."""
    figure, axes = canvas(2.9, 12.8, 5.8)
    x = 0.3
    parts = (("head", 1.1, GREY), ("block", 1.7, BLUE), ("block", 1.7, BLUE), ("...", 0.9, BLUE), ("block", 1.7, BLUE))
    parts += (("numbering", 1.9, YELLOW), ("index", 1.2, GREEN), ("description", 2.0, PURPLE))
    for text, width, colour in parts:
        box(axes, x, 3.9, width, 0.9, text, colour, fontsize=9)
        x += width
    inside = (("row ends", 2.0), ("feature numbers", 3.4), ("values", 2.9), ("labels", 1.7), ("weights, fields", 2.1))
    left = 0.35
    axes.plot((1.4, left), (3.9, 2.5), color=BLUE, lw=0.8, ls="--")
    axes.plot((3.1, left + 12.1), (3.9, 2.5), color=BLUE, lw=0.8, ls="--")
    for text, width in inside:
        box(axes, left, 1.6, width, 0.9, text, BLUE, fontsize=9)
        left += width
    note(axes, 0.35, 1.15, "a block of up to 32 MB: arrays that kernels read where the file is mapped, without a copy;")
    note(axes, 0.35, 0.65, "values that are all 1 take no room, weights and fields are there where rows have them")
    note(axes, 0.3, 5.2, "64 bytes, written last", color="#555555", fontsize=8.5)
    note(axes, 7.6, 5.2, "original feature numbers", ha="center", color="#555555", fontsize=8.5)
    note(axes, 11.1, 5.2, "JSON: how it was read", ha="center", color="#555555", fontsize=8.5)
    return figure


if __name__ == "__main__":
    for path in main(*map(Path, sys.argv[1:2])):
        print(path)
