"""Event files that TensorBoard reads while a fit runs."""

from __future__ import annotations

import os
import pickle
import signal
import sys

import pytest
from sklearn.base import clone

import hogwild
from hogwild.data import make_rcv1_like
from hogwild.engine.training import Progress
from hogwild.report import TensorBoard

pytest.importorskip("tensorboardX")


def told(epoch=1, rows=100, seconds=1.0, ended=True, loss=0.5, recent=0.25):
    return Progress(epoch, 3, rows, 300, loss, recent, seconds, ended)


def read(folder):
    """Return (step, value) of each scalar, by name."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.fixture(scope="module")
def data():
    return make_rcv1_like(2_000, 100, random_state=0)


def test_scalars_by_rows_and_by_epochs(tmp_path):
    with TensorBoard(tmp_path / "new" / "run") as follower:
        assert follower(told(1, 50, 0.5, ended=False)) is None
        assert follower(told(1, 100, 1.0, recent=0.125), auc=0.75, **{"log loss": 0.5}) is None
        assert follower(told(2, 200, 1.25, loss=0.25), auc=0.875) is None
    assert read(tmp_path / "new" / "run") == {
        "loss/recent": [(50, 0.25), (100, 0.125), (200, 0.25)],
        "rows_per_second": [(50, 100.0), (100, 100.0), (200, 400.0)],
        "loss/epoch": [(1, 0.5), (2, 0.25)],
        "validation/auc": [(1, 0.75), (2, 0.875)],
        "validation/log_loss": [(1, 0.5)],
    }


def test_points_by_rows_are_apart(tmp_path):
    with TensorBoard(tmp_path, every=1.0) as follower:
        for tick in range(1, 31):
            follower(told(1 + (tick > 25), 10 * tick, tick / 10, ended=tick == 25))
    assert [step for step, _ in read(tmp_path)["loss/recent"]] == [10, 110, 210, 250]
    with pytest.raises(ValueError, match="every must be at least 0"):
        TensorBoard(tmp_path, every=-1)


def test_every_epoch_can_be_read_at_once(tmp_path, data):
    seen = []
    follower = TensorBoard(tmp_path, every=0)

    def both(progress):
        follower(progress)
        if progress.epoch_ended:
            seen.append(len(read(tmp_path)["loss/epoch"]))

    estimator = hogwild.SGDClassifier(max_iter=3, tol=None, callback=both).fit(*data)
    assert seen == [1, 2, 3]
    losses = [value for _, value in read(tmp_path)["loss/epoch"]]
    assert losses == pytest.approx(estimator.loss_curve_)
    follower.close()


@pytest.mark.parametrize("batches", [[500, 500, 500], [200, 700, 400]])
def test_fits_one_after_another_go_on(tmp_path, data, batches):
    X, y = data
    with TensorBoard(tmp_path) as follower:
        estimator = hogwild.SGDClassifier(callback=follower)
        for rows in batches:
            estimator.partial_fit(X[:rows], y[:rows], classes=[-1, 1])
    found = read(tmp_path)
    assert [step for step, _ in found["loss/epoch"]] == [1, 2, 3]
    ends = [sum(batches[: place + 1]) for place in range(3)]
    assert set(ends) <= {step for step, _ in found["loss/recent"]}
    assert max(step for step, _ in found["loss/recent"]) == ends[-1]


def test_two_in_one_folder_do_not_overwrite_each_other(tmp_path):
    for epoch in (1, 2):
        with TensorBoard(tmp_path) as follower:
            follower(told(epoch))
    assert len(os.listdir(tmp_path)) == 2
    assert [step for step, _ in read(tmp_path)["loss/epoch"]] == [1, 2]


def test_it_is_whole_after_ctrl_c(tmp_path, data):
    def interrupt(progress):
        follower(progress)
        if progress.epoch == 2 and progress.epoch_ended:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), TensorBoard(tmp_path) as follower:
        hogwild.SGDClassifier(max_iter=50, tol=None, callback=interrupt).fit(*data)
    assert len(read(tmp_path)["loss/epoch"]) == 2
    with pytest.raises(ValueError, match=r"TensorBoard\('.*'\) is closed"):
        follower(told())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told(tmp_path):
    follower = TensorBoard(tmp_path / "run")
    follower._writer._py_recordio_writer._writer = open("/dev/full", "wb", buffering=0)  # noqa: SIM115  it closes it
    with pytest.raises(OSError, match=r"TensorBoard's files cannot be written: No space left on device: .*run"):
        follower(told())
    with pytest.raises(ValueError, match="is closed"):
        follower(told(2, 200, 2.0))
    follower.close()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="cannot be written: File exists"):
        TensorBoard(tmp_path / "run")


def test_clones_share_it_and_pickles_are_refused(tmp_path):
    with TensorBoard(tmp_path) as follower:
        estimator = hogwild.SGDClassifier(callback=follower)
        assert clone(estimator).callback is follower
        with pytest.raises(TypeError, match="callback=None"):
            pickle.dumps(estimator)


def test_without_tensorboardx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install hogwild\[tensorboard\]"):
        TensorBoard(tmp_path / "run")
    assert not list(tmp_path.iterdir())
