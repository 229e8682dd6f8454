"""A picture of what more threads bring: `SpeedupDisplay`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from hogwild.report.displays import axes_or_new, drawing
from hogwild.report.plots import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

KINDS = ("speedup", "seconds")
WIDTH, HEIGHT = 5.6, 4.0  # inches


class SpeedupDisplay:
    """Speed-up, or seconds, against threads, as scikit-learn's displays are made.

    Drawn is the median of the runs; thin bars reach from the fastest to the slowest.

    Parameters
    ----------
    times : mapping of str to mapping of int to float or sequence of float
        Engine: threads: seconds, of one run or of each of several.

    Attributes
    ----------
    speedups_ : dict of str to dict of int to float
        Engine: threads: median seconds on one thread divided by those on so many, where one thread was measured.
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        By engine.
    line_ : matplotlib Line2D
        The first of them.
    ideal_ : matplotlib Line2D or None
        As many times as fast as there are threads; None for ``"seconds"``.

    Examples
    --------
    >>> import hogwild
    >>> times = {"replicas": {1: [2.0, 2.1, 2.2], 2: [1.0, 1.1, 1.05]}, "locked": {1: 2.0, 2: 3.0}}
    >>> display = hogwild.SpeedupDisplay(times).plot()
    >>> display.speedups_["replicas"]
    {1: 1.0, 2: 2.0}
    >>> display.ax_.get_xlabel()
    'threads'
    """

    def __init__(self, times: Mapping[str, Mapping[int, float | Sequence[float]]]) -> None:
        if not times or not all(times.values()):
            raise ValueError("found no times, expected {engine: {threads: seconds}}")
        self.times: dict[str, dict[int, np.ndarray]] = {}
        for name, by_threads in times.items():
            self.times[name] = {
                int(threads): np.atleast_1d(np.asarray(by_threads[threads], float)) for threads in sorted(by_threads)
            }
            for threads, seconds in self.times[name].items():
                if threads < 1 or not len(seconds) or not (seconds > 0).all() or not np.isfinite(seconds).all():
                    raise ValueError(
                        f"found {by_threads[threads]!r} seconds on {threads} threads ({name}), expected numbers above "
                        "0 on at least one"
                    )
        self.speedups_ = {
            name: {threads: float(np.median(found[1]) / np.median(seconds)) for threads, seconds in found.items()}
            for name, found in self.times.items()
            if 1 in found
        }

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        threads: Sequence[int] = (1, 2),
        engines: Sequence[Any] | Mapping[str, Any] | None = None,
        repeat: int = 3,
        kind: str = "speedup",
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> SpeedupDisplay:
        """Fit clones of an estimator with so many threads each, in turn, and draw their times.

        Each pair of an engine and a number of threads is fitted once before time is taken, which compiles. Let every
        fit run the same epochs (``tol=None``), or times compare different work.

        Parameters
        ----------
        estimator : estimator with ``n_jobs``
        X, y
            As its `fit` takes them.
        threads : sequence of int, default=(1, 2)
        engines : sequence or mapping of str to engine, optional
            Engines to compare, names or objects; by default the estimator's own.
        repeat : int, default=3
            Runs of each.
        kind, ax, **line_kw
            As in `plot`.

        Returns
        -------
        SpeedupDisplay

        Warns
        -----
        UserWarning
            Where fewer threads ran than were asked for, as with few rows.
        """
        if repeat < 1:
            raise ValueError(f"repeat must be at least 1, found {repeat!r}")
        if "n_jobs" not in estimator.get_params(deep=False):
            raise ValueError(f"{type(estimator).__name__} has no n_jobs, expected an estimator that runs on threads")
        if engines is None:
            named = {type(estimator).__name__: estimator.get_params(deep=False).get("engine")}
        elif isinstance(engines, Mapping):
            named = dict(engines)
        else:
            named = {each if isinstance(each, str) else type(each).__name__.lower(): each for each in engines}
        made = {}
        for name, engine in named.items():
            for count in threads:
                one = clone(estimator).set_params(n_jobs=count)
                made[name, count] = one if engines is None else one.set_params(engine=engine)
        for (name, count), one in made.items():
            one.fit(X) if y is None else one.fit(X, y)
            ran = getattr(one, "n_threads_", count)
            if ran != count:
                warnings.warn(f"{name}: asked for {count} threads, {ran} ran", stacklevel=2)
        times: dict[str, dict[int, list[float]]] = {name: {count: [] for count in threads} for name in named}
        for _ in range(repeat):
            for (name, count), one in made.items():
                one = clone(one)
                began = time.perf_counter()
                one.fit(X) if y is None else one.fit(X, y)
                times[name][count].append(time.perf_counter() - began)
        return cls(times).plot(ax, kind=kind, **line_kw)

    def plot(self, ax: Axes | None = None, *, kind: str = "speedup", **line_kw: Any) -> SpeedupDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default on a new figure of pyplot's.
        kind : {"speedup", "seconds"}, default="speedup"
            Each engine's median on one thread divided by its medians, beside the ideal (dashed); or seconds.
        **line_kw
            For Matplotlib's ``plot`` of each engine.

        Returns
        -------
        SpeedupDisplay
            This object, with ``ax_``, ``figure_``, ``lines_``.

        Raises
        ------
        ImportError
            Without Matplotlib.
        ValueError
            For ``"speedup"``, where an engine was not measured on one thread.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, found {kind!r}")
        if kind == "speedup":
            without = [name for name in self.times if name not in self.speedups_]
            if without:
                raise ValueError(f'found no time of {without[0]} on 1 thread, expected one for kind="speedup"')
        with drawing(self) as pyplot:
            self.ax_ = axes_or_new(ax, pyplot, WIDTH, HEIGHT)
            self.figure_: Figure = self.ax_.figure
            counts = sorted({count for found in self.times.values() for count in found})
            self.ideal_: Line2D | None = None
            if kind == "speedup":
                ends = [1, max(counts)]
                (self.ideal_,) = self.ax_.plot(ends, ends, "--", color="#888888", linewidth=1.2, label="ideal")
            self.lines_: list[Line2D] = []
            for place, (name, found) in enumerate(self.times.items()):
                self._draw(name, found, place, kind, line_kw)
            self._label(kind, counts)
        self.line_ = self.lines_[0]
        return self

    def _draw(self, name: str, found: dict[int, np.ndarray], place: int, kind: str, line_kw: dict[str, Any]) -> None:
        shown = {
            count: np.median(found[1]) / seconds if kind == "speedup" else seconds for count, seconds in found.items()
        }
        middle = [self.speedups_[name][count] if kind == "speedup" else np.median(found[count]) for count in found]
        look = {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[place % len(MARKERS)],
            "markersize": 5,
            "linewidth": 1.8,
            "label": name,
            **line_kw,
        }
        lines = self.ax_.plot(list(found), middle, **look)
        self.lines_ += lines
        if any(len(seconds) > 1 for seconds in found.values()):
            lows, highs = ([end(values) for values in shown.values()] for end in (np.min, np.max))
            self.ax_.vlines(list(found), lows, highs, color=lines[0].get_color(), linewidth=1.0, alpha=0.6)

    def _label(self, kind: str, counts: list[int]) -> None:
        if len(counts) <= 12:
            self.ax_.set_xticks(counts, map(str, counts))
        self.ax_.set(xlabel="threads", ylabel="speed-up over one thread" if kind == "speedup" else "seconds")
        self.ax_.set_ylim(bottom=0)
        if len(self.lines_) + (self.ideal_ is not None) > 1:
            self.ax_.legend(frameon=True, framealpha=0.8, fontsize=9)
