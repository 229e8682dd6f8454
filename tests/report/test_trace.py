"""The picture of a run's races."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import hogwild
from hogwild.engine.trace import LONGEST, Trace

matplotlib = pytest.importorskip("matplotlib")


def make_trace(n=3_000, longest=40):
    rng = np.random.default_rng(0)
    updates = (1e5 / np.arange(1, n + 1)).astype(np.int64)
    rng.shuffle(updates)
    staleness = (1e6 * 0.6 ** np.arange(longest)).astype(np.int64)
    return Trace(staleness, updates // 50, updates, updates // 900, (("feature", 0),), "Shared()", 2)


def test_bars_hold_all_steps_and_lines_fall():
    trace = make_trace()
    display = hogwild.TraceDisplay.from_result(SimpleNamespace(trace=trace))
    bars, lines = display.axes_
    np.testing.assert_allclose(sum(bar.get_height() for bar in bars.patches), 1.0)
    assert [tick.get_text() for tick in bars.get_xticklabels()][7:] == ["7", "8–15", "16–31", "32–39"]  # noqa: RUF001
    assert [line.get_label() for line in lines.get_lines()] == ["updates", "conflicts", "lost (estimate)"]
    for line in lines.get_lines():
        assert (np.diff(line.get_ydata()) <= 1e-9).all()
    assert display.figure_ is bars.figure
    assert list(display.bars_) == list(bars.patches) and display.lines_ == list(lines.get_lines())
    assert display.plot() is display and display.figure_ is not bars.figure


@pytest.mark.parametrize("longest", [1, 2, 9, LONGEST])
def test_any_trace_is_drawn(longest, tmp_path):
    trace = make_trace(5, longest)
    nothing = Trace(trace.staleness, 0 * trace.updates, trace.updates, 0 * trace.updates, (), "Sequential()", 1)
    for one in (trace, nothing):
        display = hogwild.TraceDisplay(one).plot()
        display.figure_.savefig(tmp_path / "trace.png")
    if longest == LONGEST:
        assert display.axes_[0].get_xticklabels()[-1].get_text() == "512 +"


def test_axes_may_be_given():
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 1)
    display = hogwild.TraceDisplay(make_trace()).plot(axes)
    assert display.figure_ is figure
    assert hogwild.TraceDisplay.from_result(SimpleNamespace(trace=make_trace()), ax=axes).figure_ is figure
    with pytest.raises(ValueError, match="ax must be two axes, found 1"):
        hogwild.TraceDisplay(make_trace()).plot(axes[:1])


def test_only_traces_are_drawn():
    with pytest.raises(ValueError, match="call minimize with trace=True"):
        hogwild.TraceDisplay.from_result(SimpleNamespace(trace=None))
    with pytest.raises(TypeError, match="expected a Trace, found int"):
        hogwild.TraceDisplay(3)
