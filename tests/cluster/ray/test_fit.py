"""`hogwild.cluster.fit` on Ray: near one process for every policy; workers and shards that are killed or come late."""

import os
import signal

import numpy as np
import pytest

pytest.importorskip("ray")

import hogwild
from hogwild.cluster.checkpoints import Checkpoints
from hogwild.cluster.fitting import TrainingInterrupted, fit
from hogwild.data import make_rcv1_like

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # seconds each, where kernels have been compiled before

ROWS = 20_000
SGD = {
    "loss": "log_loss",
    "alpha": 1e-6,
    "learning_rate": "invscaling",
    "eta0": 3.0,
    "power_t": 0.25,
    "tol": None,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def rows():
    return make_rcv1_like(ROWS, 5_000, random_state=0)


@pytest.fixture(scope="module")
def alone(rows):
    """Objective of one process after 4 epochs."""
    return objective(hogwild.SGDClassifier(max_iter=4, **SGD).fit(*rows), rows)


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that have been started."""
    from hogwild.cluster.ray import training

    found = []

    class Kept(training.Job):
        def __init__(self, *arguments, **extra):
            super().__init__(*arguments, **extra)
            found.append(self)

    monkeypatch.setattr(training, "Job", Kept)
    return found


def objective(model, rows):
    X, y = rows
    margins = np.where(y > 0, 1, -1) * (X @ model.coef_[0].astype(np.float64) + model.intercept_[0])
    return float(np.logaddexp(0, -margins).mean() + 0.5 * model.alpha * np.square(model.coef_).sum())


def train(rows, epochs=4, **options):
    options = {"workers": 2, "shards": 2, "phase_rows": 500, **options}
    return fit(hogwild.SGDClassifier(max_iter=epochs, **SGD), rows, **options)


class Killing:
    """A callback that kills the process of a node once, after so many rows and as soon as there is a reason to."""

    def __init__(self, jobs, node, rows, ready=lambda: True):
        self.jobs, self.node, self.rows, self.ready, self.killed = jobs, node, rows, ready, None

    def __call__(self, progress):
        there = self.node in self.jobs[-1].pids
        if self.killed is None and there and progress.rows >= self.rows and self.ready():
            self.killed = self.jobs[-1].pids[self.node]
            os.kill(self.killed, signal.SIGKILL)


@pytest.mark.parametrize("consistency", ["bsp", "ssp", "asp"])
def test_two_workers_come_near_one_process(cluster, rows, alone, consistency):
    epochs = []
    before = hogwild.SGDClassifier(max_iter=4, **SGD)
    fitted = fit(
        before,
        rows,
        workers=2,
        shards=2,
        phase_rows=500,
        consistency=consistency,
        callback=lambda progress: epochs.append(progress.epoch) if progress.epoch_ended else None,
    )
    assert objective(fitted, rows) < 1.1 * alone
    assert not hasattr(before, "coef_") and fitted.n_iter_ == 4 and epochs == [1, 2, 3, 4]
    report = fitted.cluster_report_
    assert report.rows == 4 * ROWS and report.rows_twice == 0 and not report.evictions
    assert report.shards == 2 and len(report.workers) == 2 and report.sent_bytes > 0
    assert sum(each.rows for each in report.workers) == 4 * ROWS
    for each in report.workers:
        assert each.compute + each.exchange + each.waiting == pytest.approx(1.0)
    # each phase is a push at every shard, the last one as well
    assert report.pushes == 2 * sum(each.phases for each in report.workers)
    if consistency == "bsp":
        assert max(report.staleness) <= 1


def test_a_killed_worker_is_replaced(cluster, rows, alone, jobs):
    killing = Killing(jobs, "worker/1", ROWS)
    fitted = train(rows, epochs=20, callback=killing)
    assert killing.killed and objective(fitted, rows) < 1.1 * alone
    report = fitted.cluster_report_
    assert report.rows == 20 * ROWS and ("worker/1", "lost") in report.evictions


def test_no_accepted_push_is_lost_with_a_shard_that_has_a_copy(cluster, rows, alone, jobs):
    killing = Killing(jobs, "shard/0/0", ROWS)
    fitted = train(rows, replicas=2, callback=killing)
    assert killing.killed and objective(fitted, rows) < 1.1 * alone
    report = fitted.cluster_report_
    assert [what for _, what, node in report.happened if node.startswith("shard/0")][:2] == ["lost", "promoted"]
    primaries = jobs[-1].coordinator.views.view.primaries
    counted = {node: jobs[-1].figures[node].shard.pushes for node in primaries}
    assert "shard/0/1" in counted and len(set(counted.values())) == 1  # both shards have applied every phase, once


def test_a_shard_without_a_copy_goes_on_from_its_checkpoint(cluster, rows, alone, jobs, tmp_path):
    saved = Checkpoints(str(tmp_path / "saved"))
    killing = Killing(jobs, "shard/1/0", 2 * ROWS, lambda: saved.newest_committed() is not None)
    fitted = train(rows, epochs=20, checkpoint=tmp_path / "saved", every=0.2, callback=killing)
    assert killing.killed and objective(fitted, rows) < 1.1 * alone
    happened = [(what, node) for _, what, node in fitted.cluster_report_.happened if node == "shard/1/0"]
    assert happened[:2] == [("lost", "shard/1/0"), ("restored", "shard/1/0")]


def test_a_worker_may_join_late(cluster, rows, alone, jobs):
    asked = []

    def callback(progress):
        if not asked and progress.rows >= ROWS // 2:
            asked.append(True)
            jobs[-1].add_worker()

    fitted = train(rows, epochs=40, workers=1, callback=callback)
    report = fitted.cluster_report_
    assert [each.name for each in report.workers] == ["worker/0", "worker/1"] and report.workers[1].rows > 0
    assert objective(fitted, rows) < 1.1 * alone


def test_goes_on_from_a_checkpoint(cluster, rows, alone, tmp_path):
    with pytest.raises(TrainingInterrupted, match="interrupted after") as stopped:
        train(
            rows,
            checkpoint=tmp_path,
            callback=lambda progress: os.kill(os.getpid(), signal.SIGINT) if progress.rows >= ROWS else None,
        )
    half = stopped.value.fitted
    assert ROWS <= half.cluster_report_.rows < 4 * ROWS and half.coef_.any()
    with pytest.raises(ValueError, match="found checkpoints of another run"):
        train(rows, checkpoint=tmp_path)
    whole = train(rows, checkpoint=tmp_path, resume=True, shards=None)
    assert whole.cluster_report_.rows == 4 * ROWS and objective(whole, rows) < 1.1 * alone
    again = train(rows, checkpoint=tmp_path, resume=True, shards=None)  # nothing is left to be done
    np.testing.assert_array_equal(again.coef_, whole.coef_)


def test_a_callback_ends_the_job(cluster, rows):
    fitted = train(rows, callback=lambda progress: progress.rows >= ROWS)
    assert ROWS <= fitted.cluster_report_.rows < 4 * ROWS and fitted.coef_.any()


def test_a_step_size_that_is_too_large_is_named(cluster, rows):
    X, y = rows
    sgd = hogwild.SGDClassifier("squared_error", penalty=None, eta0=1e30, learning_rate="constant", max_iter=2)
    with pytest.raises(hogwild.DivergedError, match="eta0"):
        fit(sgd, (X, y), workers=2)


def test_stops_where_the_loss_stays(cluster, rows):
    sgd = hogwild.SGDClassifier(tol=10.0, n_iter_no_change=2, max_iter=500, random_state=0)
    fitted = fit(sgd, rows, workers=2)
    assert fitted.n_iter_ < 100


def test_ray_data(cluster):
    data = pytest.importorskip("ray.data")
    rng = np.random.default_rng(0)
    rows = [{"x": float(x), "c": "ab"[k % 2], "y": int(x > 0)} for k, x in enumerate(rng.normal(size=2_000))]
    source = data.from_items(rows).repartition(4)
    fitted = fit(hogwild.SGDClassifier(max_iter=3, random_state=0), source, workers=2, label="y")
    assert fitted.cluster_report_.rows == 3 * 2_000 and fitted.loss_curve_[-1] < 0.3


def test_a_path_that_a_node_does_not_see(cluster, tmp_path):
    from hogwild.data import dump_svmlight

    X, y = make_rcv1_like(100, 50, random_state=0)
    dump_svmlight(X, y, tmp_path / "rows.svm")
    descriptor = os.open(tmp_path / "rows.svm", os.O_RDONLY)
    os.dup2(descriptor, 900)
    try:  # under that name it is there for this process alone
        with pytest.raises(FileNotFoundError, match=r"node 127.0.0.1 \(\w{8}\) does not see /proc/self/fd/900"):
            fit(hogwild.SGDClassifier(), "/proc/self/fd/900", format="svmlight")
    finally:
        os.close(900)
        os.close(descriptor)


def test_a_dual_estimator_is_refused():
    with pytest.raises(TypeError, match="SGDClassifier"):
        fit(hogwild.LinearSVC(), "rows.svm")
