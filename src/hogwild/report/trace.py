"""A picture of the races of a run: `TraceDisplay`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild.engine.trace import LONGEST, Trace
from hogwild.report.displays import drawing
from hogwild.report.plots import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_BINS = 40  # of ranks, each as wide as all hotter coordinates' share of the logarithm
WIDTH, HEIGHT = 10.0, 3.8  # inches


class TraceDisplay:
    """Histogram of staleness, and conflicts by the rank of a coordinate, as scikit-learn's displays are made.

    Make it with `from_result`, which draws at once.

    Parameters
    ----------
    trace : Trace
        ``minimize(..., trace=True).trace``.

    Attributes
    ----------
    axes_ : ndarray of two matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
        Steps by staleness.
    lines_ : list of matplotlib Line2D
        Updates, conflicts and lost updates, those that there were.

    Examples
    --------
    >>> import numpy as np
    >>> import hogwild
    >>> from hogwild.engine.trace import Trace
    >>> counts = np.array([90, 9, 1])
    >>> trace = Trace(counts, np.array([5, 1, 0]), counts, np.array([1, 0, 0]))
    >>> display = hogwild.TraceDisplay(trace).plot()
    >>> display.axes_[0].get_xlabel()
    'staleness (steps of others in between)'
    """

    def __init__(self, trace: Trace) -> None:
        if not isinstance(trace, Trace):
            raise TypeError(f"expected a Trace, found {type(trace).__name__}: run minimize with trace=True")
        self.trace = trace

    @classmethod
    def from_result(cls, result: Any, *, ax: Sequence[Axes] | None = None) -> TraceDisplay:
        """Draw the trace of what `minimize` returned.

        Parameters
        ----------
        result : Result
        ax : two matplotlib Axes, optional
            As in `plot`.

        Returns
        -------
        TraceDisplay

        Raises
        ------
        ValueError
            If the run was not traced.
        """
        if getattr(result, "trace", None) is None:
            raise ValueError("this run was not traced: call minimize with trace=True")
        return cls(result.trace).plot(ax)

    def plot(self, ax: Sequence[Axes] | None = None) -> TraceDisplay:
        """Draw.

        Parameters
        ----------
        ax : two matplotlib Axes, optional
            Where to draw; by default on a new figure of pyplot's.

        Returns
        -------
        TraceDisplay
            This object, with ``axes_``, ``figure_``, ``bars_`` and ``lines_``.

        Raises
        ------
        ImportError
            Without Matplotlib.
        """
        with drawing(self) as pyplot:
            if ax is None:
                _, ax = pyplot.subplots(1, 2, figsize=(WIDTH, HEIGHT), layout="constrained")
            self.axes_ = np.asarray(ax).reshape(-1)
            if len(self.axes_) != 2:
                raise ValueError(f"ax must be two axes, found {len(self.axes_)}")
            self.figure_: Figure = self.axes_[0].figure
            self.lines_: list[Line2D] = []
            self._draw_staleness(self.axes_[0])
            self._draw_conflicts(self.axes_[1])
        return self

    def _draw_staleness(self, axes: Axes) -> None:
        """Steps by staleness: single values up to 8, then twice as many in each bar."""
        trace = self.trace
        lows = [*range(8), *(8 << k for k in range(8))]
        lows = [low for low in lows if low < len(trace.staleness)]
        counts = np.add.reduceat(trace.staleness, lows)
        share = counts / max(1, trace.n_steps)
        places = np.arange(len(lows))
        self.bars_ = axes.bar(places, share, color=COLOURS[0], width=0.8)
        names = [_range(low, high) for low, high in zip(lows, [*lows[1:], None], strict=True)]
        if len(lows) > 8:
            last = max(len(trace.staleness), lows[-1] + 1)
            names[-1] = f"{lows[-1]} +" if last >= LONGEST else _range(lows[-1], last)
        axes.set_xticks(places, names, rotation=90 if len(lows) > 9 else 0)
        axes.set(
            xlabel="staleness (steps of others in between)",
            ylabel="share of the steps",
            title=f"{trace.n_threads} thread{'s' * (trace.n_threads > 1)}, mean staleness {trace.mean_staleness:.3g}",
        )
        if share.max(initial=0.0) > 0:
            axes.set_yscale("log")
            axes.set_ylim(top=2.0)
        axes.grid(visible=False, axis="x")

    def _draw_conflicts(self, axes: Axes) -> None:
        """Updates, conflicts and lost updates by rank, the most updated coordinate first; means over ranges of rank."""
        trace = self.trace
        order = np.argsort(-trace.updates, kind="stable")
        order = order[: max(1, np.count_nonzero(trace.updates))]
        edges = np.unique(np.geomspace(1, len(order) + 1, _BINS).astype(int))
        starts, ranks = edges[:-1] - 1, np.sqrt(edges[:-1] * np.maximum(edges[1:] - 1, edges[:-1]))
        widths = np.diff(edges)
        rows = (("updates", trace.updates), ("conflicts", trace.conflicts), ("lost (estimate)", trace.lost))
        for (name, counts), colour, marker in zip(rows, (COLOURS[0], COLOURS[1], COLOURS[4]), "os^", strict=True):
            if len(starts) and counts.any():
                means = np.add.reduceat(counts[order], starts)[: len(widths)] / widths
                shown = means > 0
                self.lines_ += axes.plot(
                    ranks[shown], means[shown], label=name, color=colour, marker=marker, markersize=4
                )
        total, met = int(trace.updates.sum()), int(trace.conflicts.sum())
        axes.set(
            xlabel="coordinate, by rank of its updates",
            ylabel="mean count",
            title=f"{met:,} conflicts in {total:,} updates",
        )
        if self.lines_:
            axes.set(xscale="log", yscale="log")
            axes.legend(frameon=False, fontsize=10)


def _range(low: int, high: int | None) -> str:
    """Name of the values low..high - 1."""
    return str(low) if high is None or high - low == 1 else f"{low}–{high - 1}"  # noqa: RUF001  a range
