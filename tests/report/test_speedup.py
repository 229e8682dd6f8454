"""Pictures of what more threads bring."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import hogwild
from hogwild import SpeedupDisplay
from hogwild.data import make_rcv1_like
from hogwild.engine import Replicas

matplotlib = pytest.importorskip("matplotlib")
TIMES = {"replicas": {4: [0.5, 0.6, 0.4], 1: [2.0, 2.2, 1.8], 2: 1.0}, "locked": {1: 2.0, 2: 4.0}}


def test_medians_over_one_thread_of_the_same_engine():
    display = SpeedupDisplay(TIMES).plot()
    assert display.speedups_ == {"replicas": {1: 1.0, 2: 2.0, 4: 4.0}, "locked": {1: 1.0, 2: 0.5}}
    assert [line.get_label() for line in display.lines_] == ["replicas", "locked"]
    assert display.line_.get_xydata().tolist() == [[1, 1], [2, 2], [4, 4]]
    assert display.ideal_.get_xydata().tolist() == [[1, 1], [4, 4]]
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["1", "2", "4"]
    bars = display.ax_.collections[0].get_segments()
    assert [(low[1], high[1]) for low, high in bars][2] == pytest.approx((2.0 / 0.6, 2.0 / 0.4))


def test_seconds():
    display = SpeedupDisplay(TIMES).plot(kind="seconds", linewidth=3)
    assert display.line_.get_ydata().tolist() == [2.0, 1.0, 0.5]
    assert display.ideal_ is None and display.line_.get_linewidth() == 3
    assert display.ax_.get_ylabel() == "seconds"


def test_what_was_not_measured_is_told():
    display = SpeedupDisplay({"shared": {2: 1.0}})
    with pytest.raises(ValueError, match="found no time of shared on 1 thread"):
        display.plot()
    assert display.plot(kind="seconds").line_.get_xydata().tolist() == [[2, 1]]
    with pytest.raises(ValueError, match="kind must be one of"):
        display.plot(kind="second")
    for times in ({}, {"shared": {}}):
        with pytest.raises(ValueError, match="found no times"):
            SpeedupDisplay(times)
    for seconds in (0.0, [1.0, np.nan], []):
        with pytest.raises(ValueError, match=r"on 2 threads \(shared\)"):
            SpeedupDisplay({"shared": {2: seconds}})


@pytest.fixture(scope="module")
def data():
    return make_rcv1_like(3_000, 60, random_state=0)


def test_clones_are_fitted_in_turn(data, monkeypatch):
    fitted, fit = [], hogwild.SGDClassifier.fit
    monkeypatch.setattr(
        hogwild.SGDClassifier, "fit", lambda self, X, y: fitted.append((self.engine, self.n_jobs)) or fit(self, X, y)
    )
    estimator = hogwild.SGDClassifier(max_iter=1, tol=None)
    display = SpeedupDisplay.from_estimator(estimator, *data, engines=["shared", Replicas()], repeat=2)
    assert fitted == [("shared", 1), ("shared", 2), (Replicas(), 1), (Replicas(), 2)] * 3  # once to compile
    assert list(display.times) == ["shared", "replicas"]
    assert {count: len(seconds) for count, seconds in display.times["shared"].items()} == {1: 2, 2: 2}
    assert not hasattr(estimator, "coef_") and estimator.n_jobs is None


def test_fewer_threads_than_asked_for(data):
    X, y = data
    estimator = hogwild.SGDClassifier(max_iter=1, tol=None)
    with pytest.warns(UserWarning, match="asked for 2 threads, 1 ran"):
        display = SpeedupDisplay.from_estimator(estimator, X[:100], y[:100], repeat=1, kind="seconds")
    assert list(display.times) == ["SGDClassifier"]


def test_what_cannot_be_measured_is_refused(data):
    with pytest.raises(ValueError, match="Ridge has no n_jobs"):
        SpeedupDisplay.from_estimator(Ridge(), *data)
    with pytest.raises(ValueError, match="repeat must be at least 1"):
        SpeedupDisplay.from_estimator(hogwild.SGDClassifier(), *data, repeat=0)
