"""What displays have in common: pyplot when it is needed, the style of the reports, axes to draw on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hogwild.report.plots import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@contextlib.contextmanager
def drawing(display: object) -> Iterator[Any]:
    """Draw in the style of the reports inside this context; yields pyplot.

    Raises
    ------
    ImportError
        Without Matplotlib; it names the display.
    """
    try:
        import matplotlib
        from matplotlib import pyplot
    except ImportError as error:
        name = type(display).__name__
        raise ImportError(
            f"{name} draws with Matplotlib, which is not installed: pip install hogwild[report]"
        ) from error
    with matplotlib.rc_context({key: value for key, value in STYLE.items() if not key.startswith("svg")}):
        yield pyplot


def axes_or_new(ax: Axes | None, pyplot: Any, width: float, height: float) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches."""
    if ax is not None:
        return ax
    _, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
    return ax
