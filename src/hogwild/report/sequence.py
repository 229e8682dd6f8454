"""A sequence diagram of one round of a simulated job, as SVG: who computes, sends, and waits for whom."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from hogwild.data.files import write_whole
from hogwild.report.plots import COLOURS
from hogwild.report.simulation import seconds, size

if TYPE_CHECKING:
    from hogwild.cluster.simulation.rounds import RoundLog
    from hogwild.cluster.simulation.trace import Sent, Span

MOST_NODES = 6
MOST_MESSAGES = 80
WIDTH = 190  # between two lifelines
MARGIN, TOP, BOTTOM = 120, 96, 24
HEIGHT = 560  # of the time of a round, where nothing has to be stretched
LEAST = 15  # between two moments at which something happens
LETTER, LINE = 6.1, 13  # width and height of letters of the labels
_FONT = "font-family='system-ui, sans-serif'"
_BAR = 10
_GATE = "#f3c6cc"


@dataclass
class Label:
    """Text on a white ground.

    Attributes
    ----------
    x, y : float
        Middle of the text.
    text : str
    """

    x: float
    y: float
    text: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        half = len(self.text) * LETTER / 2
        return self.x - half, self.y - LINE / 2, self.x + half, self.y + LINE / 2

    def meets(self, other: Label) -> bool:
        """Whether they overlap."""
        a, b = self.box, other.box
        return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@dataclass
class Diagram:
    """What is drawn, before it is SVG.

    Attributes
    ----------
    nodes : list of str
        From left to right.
    times : list of float
        Moments at which something happens, ascending.
    heights : list of float
        Where they are drawn.
    arrows : list of (float, float, float, float, Sent)
    bars : list of (float, float, float, Span)
        Place of the lifeline, top and bottom.
    waits : list of (float, float, float)
        The same, of workers that stand at a gate.
    labels : list of Label
    """

    nodes: list[str]
    times: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    arrows: list[tuple[float, float, float, float, Sent]] = field(default_factory=list)
    bars: list[tuple[float, float, float, Span]] = field(default_factory=list)
    waits: list[tuple[float, float, float]] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def x(self, node: str) -> float:
        """Place of a lifeline."""
        return MARGIN + WIDTH * self.nodes.index(node)

    def y(self, time: float) -> float:
        """Where a moment is drawn: in proportion, stretched where much happens at once."""
        times, heights = self.times, self.heights
        if time <= times[0]:
            return heights[0]
        for (a, above), (b, below) in pairwise(zip(times, heights, strict=True)):
            if time <= b:
                return above + (below - above) * (time - a) / (b - a)
        return heights[-1]


def rounds_of(log: RoundLog) -> list[int]:
    """Phase numbers that workers have pushed in a log."""
    return sorted({each.clock for each in log.messages if each.name == "PushPull" and each.clock})


def lay_out(log: RoundLog, clock: int, nodes: Sequence[str]) -> Diagram:
    """Lay a round out: from the first job whose deltas are its pushes to the last answer to those.

    Parameters
    ----------
    log : RoundLog
    clock : int
        Number of the phase.
    nodes : sequence of str
        Lifelines, from left to right; 2 to 6.

    Raises
    ------
    ValueError
        For another number of nodes, or a round that is not in the log.
    """
    nodes = list(nodes)
    if not 2 <= len(nodes) <= MOST_NODES:
        raise ValueError(f"a diagram shows 2 to {MOST_NODES} nodes, found {len(nodes)}")
    known = [each for each in log.messages if each.source in nodes and each.to in nodes]
    own = [each for each in known if each.clock == clock and each.name in ("PushPull", "Pulled", "Accepted")]
    if not own:
        there = rounds_of(log)
        shown = f"{there[0]} to {there[-1]}" if there else "none"
        raise ValueError(f"found no round {clock} between {', '.join(nodes)}; rounds there: {shown}")
    pushes = {each.source: each.sent for each in reversed(own) if each.name == "PushPull"}  # each worker's first
    spans = [span for span in log.spans if span.node in nodes]
    began = [
        max((span.began for span in spans if span.node == node and span.ended <= sent), default=sent)
        for node, sent in pushes.items()
    ]
    start = min(began, default=own[0].sent)
    stop = max(each.received if each.received is not None else each.sent for each in own)
    messages = [each for each in known if start <= each.sent and (each.received or each.sent) <= stop][:MOST_MESSAGES]
    spans = [span for span in spans if span.ended > start and span.began < stop]
    diagram = Diagram(nodes)
    _stretch(diagram, start, stop, messages, spans)
    for span in spans:
        bar = diagram.x(span.node), diagram.y(max(span.began, start)), diagram.y(min(span.ended, stop)), span
        diagram.bars.append(bar)
    diagram.waits = _waits(diagram, log, start, stop)
    for each in messages:
        lost = each.received is None
        end = each.sent if lost else each.received
        x, x2, y = diagram.x(each.source), diagram.x(each.to), diagram.y(each.sent)
        y2 = diagram.y(end)
        if lost:  # it ends half way
            x2, y2 = (x + x2) / 2, min(y + LEAST, diagram.heights[-1])
        diagram.arrows.append((x, y, x2, y2, each))
        _place(diagram, x, y, x2, y2, _text(each))
    return diagram


def _text(each: Sent) -> str:
    number = f" {each.clock}" if each.clock is not None and each.name in ("PushPull", "Pulled", "Accepted") else ""
    return f"{each.name}{number}, {size(each.size)}" + (" (lost)" if each.received is None else "")


def _stretch(diagram: Diagram, start: float, stop: float, messages: list[Sent], spans: list[Span]) -> None:
    """Choose the heights of all moments."""
    moments = {start, stop}
    for each in messages:
        moments.add(each.sent)
        moments.add(min(stop, each.sent if each.received is None else each.received))
    for span in spans:
        moments.update(time for time in (span.began, span.ended) if start < time < stop)
    times = sorted(moments)
    # several messages that leave at once need room for their labels
    leaving = {time: sum(each.sent == time for each in messages) for time in times}
    y, heights, scale = float(TOP), [float(TOP)], HEIGHT / (stop - start or 1.0)
    for a, b in pairwise(times):
        y += max(LEAST * max(1.0, 0.7 * leaving[a]), scale * (b - a))
        heights.append(y)
    diagram.times, diagram.heights = times, heights


def _waits(diagram: Diagram, log: RoundLog, start: float, stop: float) -> list[tuple[float, float, float]]:
    """When each worker stood at the gate: for the shard that kept it longest."""
    longest: dict[tuple[str, int], tuple[float, float]] = {}
    for worker, clock, opened, waited in log.gates:
        if worker in diagram.nodes and waited > longest.get((worker, clock), (0.0, 0.0))[1]:
            longest[worker, clock] = opened, waited
    found = []
    for (worker, _), (opened, waited) in longest.items():
        low, high = max(opened - waited, start), min(opened, stop)
        if high > low:
            found.append((diagram.x(worker), diagram.y(low), diagram.y(high)))
    return found


def _place(diagram: Diagram, x: float, y: float, x2: float, y2: float, text: str) -> None:
    """Put a label on its arrow, where it meets no other; below all where there is no room."""
    span = abs(x2 - x) or WIDTH
    half = len(text) * LETTER / 2
    edge = min(0.5, (half + _BAR) / span)
    places = sorted((edge + (1 - 2 * edge) * k / 8 for k in range(9)), key=lambda part: abs(part - 0.5))
    for shift in (0, -LINE, LINE, -2 * LINE, 2 * LINE, -3 * LINE, 3 * LINE):
        for part in places:
            label = Label(x + (x2 - x) * part, y + (y2 - y) * part + shift, text)
            if label.box[1] >= TOP - 8 and not any(label.meets(other) for other in diagram.labels):
                diagram.labels.append(label)
                return
    lowest = max(label.y for label in diagram.labels)
    diagram.labels.append(Label(x + (x2 - x) / 2, lowest + LINE, text))


def choose_nodes(workers: Sequence[str], shards: Sequence[str], slow: Sequence[str] = ()) -> list[str]:
    """Choose up to five nodes that show most: slow workers, others, shards, between them.

    Examples
    --------
    >>> choose_nodes(["worker/0", "worker/1", "worker/2", "worker/3"], ["shard/0/0", "shard/1/0"], ["worker/3"])
    ['worker/3', 'worker/0', 'shard/0/0', 'shard/1/0', 'worker/1']
    """
    order = [*slow, *(name for name in workers if name not in slow)]
    left, right = order[:2], order[2:3]
    return [*left, *list(shards)[:2], *right]


def write_sequence(
    log: RoundLog, path: str | os.PathLike[str], clock: int, nodes: Sequence[str], title: str = ""
) -> None:
    """Draw a round into an SVG file, which appears whole or not at all.

    Parameters
    ----------
    log : RoundLog
    path : str or path-like
    clock : int
        Number of the phase whose exchange is drawn.
    nodes : sequence of str
        Lifelines, from left to right; 2 to 6.
    title : str

    Raises
    ------
    ValueError
        For another number of nodes, or a round that is not in the log.
    """
    if os.path.splitext(os.fspath(path))[1].lower() != ".svg":
        raise ValueError(f"{os.fspath(path)}: found another extension, expected .svg")
    svg = to_svg(lay_out(log, clock, nodes), title)
    with write_whole(path) as file:
        file.write(svg.encode())


def to_svg(diagram: Diagram, title: str = "") -> str:
    """Return a diagram as SVG."""
    width = 2 * MARGIN + WIDTH * (len(diagram.nodes) - 1)
    bottom = max([diagram.heights[-1], *(label.box[3] for label in diagram.labels)])
    height = bottom + BOTTOM
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' "
        f"height='{height:.0f}' {_FONT} font-size='11' role='img' aria-label='{escape(title, quote=True)}'>",
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='#fff'/>",
        f"<text x='12' y='22' font-size='14' font-weight='bold'>{escape(title)}</text>",
        _legend(),
    ]
    out += _ticks(diagram, width)
    for node in diagram.nodes:
        x = diagram.x(node)
        out.append(f"<line x1='{x}' y1='{TOP - 10}' x2='{x}' y2='{bottom:.1f}' stroke='#999' stroke-dasharray='3 3'/>")
        half = len(node) * LETTER / 2 + 10
        out.append(f"<rect x='{x - half:.1f}' y='{TOP - 34}' width='{2 * half:.1f}' height='22' rx='4' fill='#eee'/>")
        out.append(f"<text x='{x}' y='{TOP - 19}' text-anchor='middle' font-weight='bold'>{escape(node)}</text>")
    for x, top, low in diagram.waits:
        out.append(_bar(x, top, low, _GATE, COLOURS[1]))
    for x, top, low, span in diagram.bars:
        prepares = span.name == "Prepare"
        out.append(_bar(x, top, low, "#bcd7ea" if prepares else COLOURS[0], COLOURS[0]))
    for x, y, x2, y2, each in diagram.arrows:
        away = (_BAR / 2 + 1) * math.copysign(1, x2 - x)
        lost = each.received is None
        style = "stroke='#c33' stroke-dasharray='4 3'" if lost else "stroke='#444'"
        out.append(
            f"<line x1='{x + away:.1f}' y1='{y:.1f}' x2='{x2 - (0 if lost else away):.1f}' y2='{y2:.1f}' {style}/>"
        )
        if lost:
            out.append(f"<text x='{x2:.1f}' y='{y2 + 4:.1f}' text-anchor='middle' fill='#c33'>✕</text>")
        else:
            out.append(_tip(x2 - away, y2, x2 - x - 2 * away, y2 - y))
    for label in diagram.labels:
        left, top, right, low = label.box
        out.append(
            f"<rect x='{left:.1f}' y='{top:.1f}' width='{right - left:.1f}' height='{low - top:.1f}' fill='#fff' "
            "fill-opacity='.85'/>"
        )
        out.append(f"<text x='{label.x:.1f}' y='{label.y + 4:.1f}' text-anchor='middle'>{escape(label.text)}</text>")
    return "\n".join([*out, "</svg>"]) + "\n"


def _bar(x: float, top: float, low: float, fill: str, stroke: str) -> str:
    left = x - _BAR / 2
    return (
        f"<rect x='{left:.1f}' y='{top:.1f}' width='{_BAR}' height='{max(1.0, low - top):.1f}' fill='{fill}' "
        f"stroke='{stroke}' stroke-width='.8'/>"
    )


def _tip(x: float, y: float, across: float, down: float) -> str:
    """Point of an arrow that goes `across` and `down`."""
    length = math.hypot(across, down) or 1.0
    a, b = across / length, down / length
    corners = ((x, y), (x - 8 * a - 3 * b, y - 8 * b + 3 * a), (x - 8 * a + 3 * b, y - 8 * b - 3 * a))
    return f"<polygon points='{' '.join(f'{p:.1f},{q:.1f}' for p, q in corners)}' fill='#444'/>"


def _legend() -> str:
    out, x = [], 14
    for name, fill in (("steps", COLOURS[0]), ("prepares", "#bcd7ea"), ("waits at the gate", _GATE)):
        out.append(
            f"<rect x='{x}' y='34' width='10' height='10' fill='{fill}' stroke='{COLOURS[0]}' stroke-width='.5'/>"
        )
        out.append(f"<text x='{x + 15}' y='43' fill='#444'>{name}</text>")
        x += 34 + len(name) * LETTER
    out.append(f"<text x='{x}' y='43' fill='#777'>time is stretched where much happens at once</text>")
    return "".join(out)


def _ticks(diagram: Diagram, width: float) -> list[str]:
    """Times at the left edge, and faint lines; where little time passes in much room, the axis is stretched."""
    out, last = [], -math.inf
    start = diagram.times[0]
    for time, y in zip(diagram.times, diagram.heights, strict=True):
        if y - last < 28:
            continue
        last = y
        text = seconds(start) if time == start else f"+{seconds(time - start)}"
        out.append(f"<line x1='66' y1='{y:.1f}' x2='{width - 10:.0f}' y2='{y:.1f}' stroke='#eee'/>")
        out.append(f"<text x='60' y='{y + 4:.1f}' text-anchor='end' fill='#777' font-size='10'>{text}</text>")
    return out
