"""Pictures of how fits went."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

import hogwild
from hogwild import HistoryDisplay
from hogwild.data import make_rcv1_like
from hogwild.report.history import Curves

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def data():
    return make_rcv1_like(1_500, 60, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return hogwild.SGDClassifier(max_iter=4, tol=None, early_stopping=True, random_state=0).fit(*data)


def test_loss_and_score_by_epoch(fitted):
    display = HistoryDisplay.from_estimator(fitted)
    assert list(display.line_.get_xdata()) == [1, 2, 3, 4]
    assert list(display.line_.get_ydata()) == fitted.loss_curve_
    (scores,) = display.validation_lines_
    assert list(scores.get_ydata()) == fitted.validation_scores_
    assert scores.axes is display.validation_ax_ is not display.ax_
    assert scores.get_color() == display.line_.get_color() and scores.get_linestyle() == "--"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["SGDClassifier", "SGDClassifier, validation score"]
    assert display.figure_ is display.ax_.figure
    assert HistoryDisplay.from_estimator(fitted, validation=False).validation_ax_ is None


def test_progressive_loss_by_rows(fitted):
    display = HistoryDisplay.from_estimator(fitted, kind="rows", name="mine")
    assert np.array_equal(display.line_.get_xydata(), fitted.progressive_curve_)
    assert display.ax_.get_xscale() == "log" and not display.validation_lines_
    assert display.line_.get_label() == "mine"
    with pytest.raises(ValueError, match=r'no progressive curve of a, expected one for kind="rows"'):
        HistoryDisplay({"a": Curves([1.0])}).plot(kind="rows")
    with pytest.raises(ValueError, match="kind must be one of"):
        HistoryDisplay({"a": Curves([1.0])}).plot(kind="row")


def test_several_on_given_axes(fitted, data):
    from matplotlib import pyplot

    figure, ax = pyplot.subplots()
    other = hogwild.SGDClassifier(max_iter=3, tol=None).fit(*data)
    display = HistoryDisplay.from_estimators({"a": fitted, "b": other}, ax=ax, linewidth=3)
    assert display.figure_ is figure and display.ax_ is ax
    assert [line.get_label() for line in display.lines_] == ["a", "b"]
    assert {line.get_linewidth() for line in display.lines_} == {3}
    assert len({line.get_color() for line in display.lines_}) == 2
    figure.savefig("/dev/null", format="png")


def test_losses_of_held_out_rows_share_the_axis(data):
    model = hogwild.FMClassifier(max_iter=3, tol=None, early_stopping=True, random_state=0).fit(*data)
    display = HistoryDisplay.from_estimator(model)
    assert display.validation_ax_ is None
    (line,) = display.validation_lines_
    assert line.axes is display.ax_
    np.testing.assert_allclose(line.get_ydata(), -np.array(model.validation_scores_))


def test_scores_of_the_last_epochs_stand_there():
    display = HistoryDisplay({"a": Curves([3, 2, 1], (), [0.5, 0.6])}).plot()
    assert list(display.validation_lines_[0].get_xdata()) == [2, 3]


def test_pipelines_searches_and_results(data):
    X, y = data
    estimator = hogwild.SGDClassifier(max_iter=2, tol=None)
    pipeline = make_pipeline(MaxAbsScaler(), estimator).fit(X, y)
    assert list(HistoryDisplay.from_estimator(pipeline).line_.get_ydata()) == pipeline[-1].loss_curve_
    search = GridSearchCV(estimator, {"alpha": [1e-4, 1e-3]}, cv=2).fit(X, y)
    assert list(HistoryDisplay.from_estimator(search).line_.get_ydata()) == search.best_estimator_.loss_curve_
    result = SimpleNamespace(history=SimpleNamespace(loss=[2.0, 1.0], curve=[[100, 3.0]]))
    assert list(HistoryDisplay.from_result(result).line_.get_ydata()) == [2.0, 1.0]
    assert list(HistoryDisplay.from_result(result, kind="rows").line_.get_ydata()) == [3.0]
    with pytest.raises(TypeError, match=r"expected what hogwild.minimize returns, found int"):
        HistoryDisplay.from_result(3)


def test_without_a_history(data):
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(hogwild.SGDClassifier())
    with pytest.raises(ValueError, match="LinearSVC keeps no history, expected an estimator with loss_curve_"):
        HistoryDisplay.from_estimator(hogwild.LinearSVC().fit(*data))
    with pytest.raises(ValueError, match="found no histories"):
        HistoryDisplay({})


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"HistoryDisplay draws with Matplotlib.*pip install hogwild\[report\]"):
        HistoryDisplay({"a": Curves([1.0])}).plot()
