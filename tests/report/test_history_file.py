"""The history of a fit as CSV, line by line."""

from __future__ import annotations

import copy
import csv
import os
import pickle
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import hogwild
from hogwild.data import make_rcv1_like
from hogwild.data.errors import DataError
from hogwild.engine.training import Progress
from hogwild.report import HistoryFile

COLUMNS = ["epoch", "rows", "seconds", "rows_per_second", "loss"]


def told(epoch=1, rows=100, seconds=1.0, ended=True, loss=0.5):
    return Progress(epoch, 3, rows, 300, loss, loss, seconds, ended)


def lines(path):
    with open(path, newline="") as file:
        content = file.read()
    assert content.endswith("\n")
    return list(csv.reader(content.splitlines()))


def test_one_line_an_epoch(tmp_path):
    path = tmp_path / "history.csv"
    with HistoryFile(path) as follower:
        assert follower(told(1, 50, 0.5, ended=False)) is None
        assert not path.exists()
        assert follower(told(1, 100, 1.0), auc=0.75) is None
        assert follower(told(2, 200, 1.5, loss=1 / 3), auc=0.8) is None
    assert lines(path) == [
        [*COLUMNS, "auc"],
        ["1", "100", "1.000000", "100.0", "0.5", "0.75"],
        ["2", "200", "1.500000", "200.0", repr(1 / 3), "0.8"],
    ]


def test_every_line_is_there_at_once_and_whole(tmp_path):
    path, seen = tmp_path / "history.csv", []
    follower = HistoryFile(path)

    def both(progress):
        follower(progress)
        if path.exists():
            seen.append([line[0] for line in lines(path)])

    X, y = make_rcv1_like(2_000, 100, random_state=0)
    estimator = hogwild.SGDClassifier(max_iter=4, tol=None, callback=both).fit(X, y)
    assert seen[-1] == ["epoch", "1", "2", "3", "4"]
    assert all(each == seen[-1][: len(each)] for each in seen)
    losses = [float(line[4]) for line in lines(path)[1:]]
    assert losses == estimator.loss_curve_


def test_the_first_line_fixes_the_scores(tmp_path):
    path = tmp_path / "history.csv"
    follower = HistoryFile(path)
    follower(told(1), **{"log loss": 0.5, "a,b": float("nan")})
    follower(told(2, 200, 2.0), **{"a,b": 1.0})
    assert [line[5:] for line in lines(path)] == [["log loss", "a,b"], ["0.5", "nan"], ["", "1.0"]]
    with pytest.raises(ValueError, match="found the score 'auc', expected those of its first line: log loss, a,b"):
        follower(told(3, 300, 3.0), auc=1.0)
    with pytest.raises(ValueError, match="a score named 'loss'"):
        HistoryFile(tmp_path / "other.csv")(told(), loss=1.0)
    assert not (tmp_path / "other.csv").exists()


def test_an_old_file_stays_until_an_epoch_has_ended(tmp_path):
    path, link = tmp_path / "history.csv", tmp_path / "link.csv"
    path.write_text("precious")
    path.chmod(0o640)
    link.symlink_to(path)
    with HistoryFile(link) as follower:
        follower(told(ended=False))
    assert path.read_text() == "precious"
    with HistoryFile(link) as follower:
        follower(told())
        follower(told(2, 200, 2.0))
    assert len(lines(path)) == 3
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["history.csv", "link.csv"]


def test_a_fit_that_goes_on_appends(tmp_path):
    path = tmp_path / "history.csv"
    with HistoryFile(path, append=True) as follower:  # nothing there: it begins
        follower(told(), auc=0.5)
    with HistoryFile(path, append=True) as follower:
        follower(told(2, 200, 2.0), auc=0.6)
        with pytest.raises(ValueError, match="expected those of its first line: auc"):
            follower(told(3, 300, 3.0), rmse=1.0)
    assert [line[0] for line in lines(path)] == ["epoch", "1", "2"]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="line 1: found 'a,b', expected epoch,rows"):
        HistoryFile(path, append=True)
    path.write_text(",".join(COLUMNS) + "\n1,2")
    with pytest.raises(DataError, match="line 2: found half a line"):
        HistoryFile(path, append=True)


@pytest.mark.parametrize("batches", [[200, 200, 200], [100, 300, 200]])
def test_fits_one_after_another_go_on_below(tmp_path, batches):
    path = tmp_path / "history.csv"
    X, y = make_rcv1_like(300, 50, random_state=0)
    with HistoryFile(path) as follower:
        estimator = hogwild.SGDClassifier(callback=follower)
        for rows in batches:
            estimator.partial_fit(X[:rows], y[:rows], classes=[-1, 1])
    found = lines(path)[1:]
    assert [(int(line[0]), int(line[1])) for line in found] == [(1, rows) for rows in batches]
    for line in found:
        np.testing.assert_allclose(float(line[3]) * float(line[2]), float(line[1]), rtol=0.05)


def test_what_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="found no folder"):
        HistoryFile(tmp_path / "none" / "history.csv")
    with pytest.raises(IsADirectoryError, match="found a folder"):
        HistoryFile(tmp_path)
    with pytest.raises(ValueError, match="not compressed"):
        HistoryFile(tmp_path / "history.csv.gz")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told(tmp_path):
    follower = HistoryFile("/dev/full")
    with pytest.raises(OSError, match="the history cannot be written: No space left on device: '/dev/full'"):
        follower(told())
    assert os.path.exists("/dev/full")


def test_half_a_line_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    follower = HistoryFile(path)
    follower(told())
    before, write = path.read_text(), os.write

    def stop_half_way(file, text):
        if len(text) < 10:
            raise OSError(28, "No space left on device")
        return write(file, text[:-5])

    monkeypatch.setattr(os, "write", stop_half_way)
    with pytest.raises(OSError, match=r"No space left on device: .*history.csv"):
        follower(told(2, 200, 2.0))
    assert path.read_text() == before


def test_pipes_are_written_to(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    with HistoryFile(path) as follower:
        follower(told())
    reader.join(10)
    assert read[0].splitlines()[0] == ",".join(COLUMNS)


def test_after_the_end_nothing_is_followed(tmp_path):
    follower = HistoryFile(tmp_path / "history.csv")
    follower.close()
    follower.close()
    with pytest.raises(ValueError, match=r"HistoryFile\('.*history.csv'\) is closed"):
        follower(told())


def test_clones_share_it_and_pickles_are_refused(tmp_path):
    path = tmp_path / "history.csv"
    X, y = make_rcv1_like(300, 50, random_state=0)
    with HistoryFile(path) as follower:
        estimator = hogwild.SGDClassifier(max_iter=2, tol=None, callback=follower)
        assert clone(estimator).callback is follower
        assert copy.deepcopy(follower) is follower
        GridSearchCV(estimator, {"alpha": [1e-3, 1e-4]}, cv=2).fit(X, y)
        with pytest.raises(TypeError, match="callback=None"):
            pickle.dumps(estimator)
    assert [line[0] for line in lines(path)[1:]] == ["1", "2"] * 5


def test_a_fit_is_never_stopped(tmp_path):
    X, y = make_rcv1_like(300, 50, random_state=0)
    with HistoryFile(tmp_path / "history.csv") as follower:
        estimator = hogwild.SGDClassifier(max_iter=5, tol=None, callback=follower).fit(X, y)
    assert estimator.n_iter_ == 5
