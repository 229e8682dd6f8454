"""A picture of how a fit went: `HistoryDisplay`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from hogwild.report.displays import axes_or_new, drawing
from hogwild.report.plots import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

KINDS = ("epochs", "rows")
WIDTH, HEIGHT = 6.4, 4.0  # inches
_MARKED = 30  # points; longer lines have no markers


class Curves(NamedTuple):
    """The history of one fit.

    Attributes
    ----------
    loss : sequence of float
        Mean progressive loss by epoch.
    progressive : sequence of [rows, loss]
        Progressive curve.
    validation : sequence of float
        What was measured on held-out rows after each epoch; where it is shorter than `loss`, after the last ones.
    validation_is_loss : bool
        Whether that is the same loss, drawn on the same axis, or a score with an axis of its own.
    """

    loss: Sequence[float]
    progressive: Sequence[Sequence[float]] = ()
    validation: Sequence[float] = ()
    validation_is_loss: bool = False


class HistoryDisplay:
    """Loss and validation scores by epoch, or progressive loss by rows, as scikit-learn's displays are made.

    Make it with `from_estimator`, `from_estimators` or `from_result`, which draw at once.

    Parameters
    ----------
    curves : mapping of str to Curves
        By the name that the legend shows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        Losses, by name.
    line_ : matplotlib Line2D
        The first of them.
    validation_ax_ : matplotlib Axes or None
        The axis of validation scores, on the right; None where none are drawn, or where they are losses.
    validation_lines_ : list of matplotlib Line2D

    Examples
    --------
    >>> import hogwild
    >>> from hogwild.data import make_rcv1_like
    >>> X, y = make_rcv1_like(2_000, 300, random_state=0)
    >>> small = hogwild.SGDClassifier(alpha=1e-6, max_iter=5, tol=None).fit(X, y)
    >>> large = hogwild.SGDClassifier(alpha=1e-2, max_iter=5, tol=None).fit(X, y)
    >>> display = hogwild.HistoryDisplay.from_estimators({"alpha 1e-6": small, "alpha 1e-2": large})
    >>> [line.get_label() for line in display.lines_]
    ['alpha 1e-6', 'alpha 1e-2']
    >>> hogwild.HistoryDisplay.from_estimator(small, kind="rows").ax_.get_xlabel()
    'rows'
    """

    def __init__(self, curves: Mapping[str, Curves]) -> None:
        if not curves:
            raise ValueError("found no histories, expected at least one")
        self.curves = {name: Curves(*each) for name, each in curves.items()}

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        name: str | None = None,
        kind: str = "epochs",
        validation: bool = True,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> HistoryDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator with ``loss_curve_``
            Also a pipeline that ends in one, or a search whose best estimator is one.
        name : str, optional
            By default that of its class.
        kind, validation, ax, **line_kw
            As in `plot`.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If it keeps no history.
        """
        estimators = {type(estimator).__name__ if name is None else name: estimator}
        return cls.from_estimators(estimators, kind=kind, validation=validation, ax=ax, **line_kw)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        kind: str = "epochs",
        validation: bool = True,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> HistoryDisplay:
        """Draw the histories of several fitted estimators on one pair of axes; see `from_estimator`.

        Parameters
        ----------
        estimators : mapping of str to estimator
            By the name that the legend shows.
        kind, validation, ax, **line_kw
            As in `plot`.

        Returns
        -------
        HistoryDisplay
        """
        display = cls({name: _curves(estimator) for name, estimator in estimators.items()})
        return display.plot(ax, kind=kind, validation=validation, **line_kw)

    @classmethod
    def from_result(
        cls, result: Any, *, name: str = "minimize", kind: str = "epochs", ax: Axes | None = None, **line_kw: Any
    ) -> HistoryDisplay:
        """Draw the history of what `minimize` returned.

        Parameters
        ----------
        result : Result
        name : str
        kind, ax, **line_kw
            As in `plot`.

        Returns
        -------
        HistoryDisplay
        """
        history = getattr(result, "history", None)
        if history is None:
            raise TypeError(f"expected what hogwild.minimize returns, found {type(result).__name__}")
        return cls({name: Curves(history.loss, history.curve)}).plot(ax, kind=kind, **line_kw)

    def plot(
        self, ax: Axes | None = None, *, kind: str = "epochs", validation: bool = True, **line_kw: Any
    ) -> HistoryDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default on a new figure of pyplot's.
        kind : {"epochs", "rows"}, default="epochs"
            ``"epochs"``: the mean loss of each epoch, and validation scores (dashed). ``"rows"``: the loss since the
            point before, by rows stepped, which shows the beginning of the first epoch.
        validation : bool, default=True
            Whether to draw validation scores where there are any.
        **line_kw
            For Matplotlib's ``plot`` of the losses.

        Returns
        -------
        HistoryDisplay
            This object, with ``ax_``, ``figure_``, ``lines_``.

        Raises
        ------
        ImportError
            Without Matplotlib.
        ValueError
            For ``"rows"``, where a history has no progressive curve.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, found {kind!r}")
        if kind == "rows":
            without = [name for name, curves in self.curves.items() if not len(curves.progressive)]
            if without:
                raise ValueError(f'found no progressive curve of {without[0]}, expected one for kind="rows"')
        with drawing(self) as pyplot:
            self.ax_ = axes_or_new(ax, pyplot, WIDTH, HEIGHT)
            self.figure_: Figure = self.ax_.figure
            self.lines_: list[Line2D] = []
            self.validation_lines_: list[Line2D] = []
            self.validation_ax_: Axes | None = None
            for place, (name, curves) in enumerate(self.curves.items()):
                look = {"color": COLOURS[place % len(COLOURS)], "label": name, "linewidth": 1.8, **line_kw}
                if kind == "rows":
                    rows, losses = np.asarray(curves.progressive, float).T
                    self._draw(rows, losses, place, look)
                else:
                    self._draw(np.arange(1, len(curves.loss) + 1), curves.loss, place, look)
                    if validation and len(curves.validation):
                        self._draw_validation(name, curves, place)
            self._label(kind)
        self.line_ = self.lines_[0]
        return self

    def _draw(self, x: Sequence[float], y: Sequence[float], place: int, look: dict[str, Any]) -> None:
        if len(y) <= _MARKED and "marker" not in look:
            look |= {"marker": MARKERS[place % len(MARKERS)], "markersize": 4}
        self.lines_ += self.ax_.plot(x, y, **look)

    def _draw_validation(self, name: str, curves: Curves, place: int) -> None:
        values, ax = np.asarray(curves.validation, float), self.ax_
        if not curves.validation_is_loss:
            if self.validation_ax_ is None:
                self.validation_ax_ = self.ax_.twinx()
                self.validation_ax_.grid(visible=False)
                self.validation_ax_.spines["right"].set_visible(True)
                self.validation_ax_.set_ylabel("validation score (dashed)")
            ax = self.validation_ax_
        epochs = np.arange(len(curves.loss) - len(values), len(curves.loss)) + 1
        self.validation_lines_ += ax.plot(
            epochs,
            values,
            color=COLOURS[place % len(COLOURS)],
            label=f"{name}, validation" if curves.validation_is_loss else f"{name}, validation score",
            linestyle="--",
            linewidth=1.4,
        )

    def _label(self, kind: str) -> None:
        from matplotlib.ticker import MaxNLocator

        if kind == "rows":
            self.ax_.set(xlabel="rows", ylabel="loss since the point before", xscale="log")
        else:
            self.ax_.set(xlabel="epoch", ylabel="mean loss")
            self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        lines = [*self.lines_, *self.validation_lines_]
        if self.validation_ax_ is not None:  # above: lines of two axes leave no corner that is surely free
            place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2, "frameon": False}
            self.ax_.legend(handles=lines, fontsize=9, **place)
        elif len(lines) > 1:
            self.ax_.legend(frameon=True, framealpha=0.8, fontsize=9)


def _curves(estimator: Any) -> Curves:
    """Return the history of an estimator."""
    from hogwild.estimators.factorization_machine import FactorizationMachine

    check_is_fitted(estimator)
    one = estimator
    while not hasattr(one, "loss_curve_"):
        if hasattr(one, "best_estimator_"):
            one = one.best_estimator_
        elif getattr(one, "steps", None):
            one = one.steps[-1][1]
        else:
            raise ValueError(
                f"{type(one).__name__} keeps no history, expected an estimator with loss_curve_; "
                "hogwild.report.HistoryFile as its callback writes one down"
            )
    progressive = getattr(one, "progressive_curve_", None) or ()
    scores = getattr(one, "validation_scores_", None) or ()
    # a factorisation machine's scores are minus the loss that it lowers
    is_loss = isinstance(one, FactorizationMachine)
    return Curves(one.loss_curve_, progressive, [-score for score in scores] if is_loss else scores, is_loss)
