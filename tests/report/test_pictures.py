"""Plots of reports as pictures: something is drawn, and legends leave room for it."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.report import Bars, Groups, Lines, save_plot
from hogwild.report.plots import WIDTH, _drawn

matplotlib = pytest.importorskip("matplotlib")

X = [1, 2, 4, 8, 16]
CURVES = {f"engine {place}": (X, [16.0 / (x + place) for x in X]) for place in range(8)}
PLOTS = {
    "lines": Lines("Loss", "epoch", "loss", {"training": (X, [5, 4, 3, 2, 1])}),
    "log axes": Lines("Loss", "rows", "loss", {"a": (X, X), "not above 0": ([0, 1], [0, 1])}, log_x=True, log_y=True),
    "dashed and dots": Lines(
        "Speed", "threads", "x", {"ideal": (X, X), "at": ([3], [2])}, dashed=["ideal"], dots=["at"]
    ),
    "spread": Lines("Error", "rows", "error", {"a": (X, [5, 4, 3, 2, 1])}, spread={"a": [0.5] * 5}, from_zero=True),
    "eight": Lines("Eight lines", "threads", "seconds", CURVES),
    "large": Lines("Throughput", "epoch", "rows/s", {"rows/s": ([1, 2, 3], [1e6, 1.2e6, 1.1e6])}, from_zero=True),
    "bars": Bars("Time", "seconds", {"hogwild": 0.2, "scikit-learn": 3.0, "a library with a long name": 1.0}),
    "groups": Groups("Seconds", "seconds", {name: {"shared": 1, "locked": 9, "robin": 3} for name in ("a", "b", "c")}),
    "log groups": Groups("Seconds", "seconds", {"rcv1": {"shared": 1.0, "locked": 90}, "dblife": {"shared": 2}}, True),
}


@pytest.mark.parametrize("name", PLOTS)
def test_it_is_drawn(name, tmp_path):
    save_plot(PLOTS[name], tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")[..., :3]
    inked = (pixels < 0.9).any(axis=2)
    assert 0.01 < inked.mean() < 0.6
    assert not inked[0].any() and not inked[-1].any() and not inked[:, 0].any() and not inked[:, -1].any()
    colours = np.unique((pixels[inked] * 15).astype(int), axis=0)
    assert len(colours) > 3


@pytest.mark.parametrize("name", PLOTS)
def test_legends_leave_room(name):
    figure, axes = _drawn(PLOTS[name], WIDTH)
    figure.draw_without_rendering()
    legend = axes.get_legend()
    if legend is not None:
        covered, whole = legend.get_window_extent(), axes.get_window_extent()
        assert covered.width * covered.height < whole.width * whole.height / 3
