"""Fits by worker processes: what threads fit, over every kind of rows, and nothing left behind whatever happens.

The battery of all engines (objectives, rows of weight 0, every row once) is in test_engines.py.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

import hogwild
from hogwild import Checkpoint, SGDClassifier, SGDRegressor
from hogwild.data import from_matrix, make_rcv1_like, make_sparse_regression, write_hog
from hogwild.engine import Processes, Sequential, shared_memory, workers
from hogwild.engine.process_pool import WorkerDiedError

N_ROWS, N_FEATURES = 4096, 200
RATE = {"learning_rate": "invscaling", "eta0": 1.0, "power_t": 0.3}
SETTINGS = {"loss": "log_loss", "alpha": 1e-4, "max_iter": 4, "tol": None, "random_state": 0, **RATE}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def problem():
    return make_rcv1_like(N_ROWS, N_FEATURES, row_length=12, random_state=0)


@pytest.fixture(autouse=True, scope="module")
def no_processes_left():
    yield
    workers.close_idle_processes()


def classifier(engine="processes", **settings) -> SGDClassifier:
    return SGDClassifier(engine=engine, n_jobs=2, **{**SETTINGS, **settings})


def objective(fitted, X, y) -> float:
    margin = np.where(y == fitted.classes_[1], 1, -1) * fitted.decision_function(X)
    return np.logaddexp(0, -margin).mean() + 0.5 * fitted.alpha * np.sum(fitted.coef_**2)


def mapped() -> int:
    """Pieces of shared memory in use; that of small arrays is let go of first."""
    gc.collect()
    shared_memory.forget_arena()
    return Path("/proc/self/maps").read_text().count("memfd:hogwild")


def same(fitted, X, y, expected, tolerance=0.05):
    assert objective(fitted, X, y) == pytest.approx(objective(expected, X, y), rel=tolerance)
    assert fitted.t_ == expected.t_


# ---------------------------------------------------------------------------------------------- the same model


@pytest.mark.parametrize(("sparse", "dtype"), [(True, np.float32), (False, np.float64)])
def test_objective_is_that_of_one_thread(problem, sparse, dtype):
    X, y = problem
    X = (X if sparse else X.toarray()).astype(dtype)
    fitted, one = classifier().fit(X, y), classifier("sequential").fit(X, y)
    same(fitted, X, y, one)
    assert fitted.n_threads_ == 2
    assert fitted.engine_ == Processes(interval=256)
    assert fitted.coef_.dtype == dtype
    np.testing.assert_allclose(fitted.loss_curve_, one.loss_curve_, rtol=0.1)


def test_the_article_by_processes():
    """Mean absolute error of the weights under .005 after 5 epochs at learning rate .001 (of twice our loss)."""
    X, y, coef = make_sparse_regression(20_000, 10, density=0.2, random_state=0)
    settings = {"penalty": None, "fit_intercept": False, "learning_rate": "constant", "eta0": 0.002, "max_iter": 5}
    reg = SGDRegressor(engine=Processes(interval=32), n_jobs=2, tol=None, random_state=0, **settings).fit(X, y)
    assert reg.n_threads_ == 2
    assert np.abs(reg.coef_ - coef).mean() < 0.005


def test_few_rows_and_one_job_are_one_thread(problem):
    X, y = problem
    assert isinstance(classifier().fit(X[:400], y[:400]).engine_, Sequential)
    assert isinstance(classifier().set_params(n_jobs=None).fit(X, y).engine_, Sequential)


# ---------------------------------------------------------------------------------------------- every way to fit


def test_partial_fit_and_warm_start_go_on(problem):
    X, y = problem
    one, fitted = classifier("sequential"), classifier()
    for _ in range(3):
        one.partial_fit(X, y, classes=[-1, 1])
        fitted.partial_fit(X, y, classes=[-1, 1])
    same(fitted, X, y, one)
    warm = classifier(warm_start=True, max_iter=2).fit(X, y)
    before = objective(warm, X, y)
    assert objective(warm.fit(X, y), X, y) < before


def test_batches_and_models_that_grow(problem):
    X, y = problem
    narrow = X[:1024].tolil()
    narrow[:, 150:] = 0  # the first batch has fewer columns than the others

    def batches():
        yield from_matrix(narrow.tocsr()[:, :150], y[:1024])
        for low in range(1024, N_ROWS, 1024):
            yield from_matrix(X[low : low + 1024], y[low : low + 1024])

    one, fitted = (classifier(engine).fit_stream(batches(), classes=[-1, 1]) for engine in ("sequential", "processes"))
    assert fitted.coef_.shape == one.coef_.shape == (1, N_FEATURES)
    assert fitted.n_threads_ == 2
    same(fitted, X, y, one)


def test_cache_files(problem, tmp_path):
    X, y = problem
    cache = write_hog([from_matrix(X, y)], tmp_path / "rows.hog", n_features=N_FEATURES, block_bytes=1 << 16)
    assert cache.n_blocks > 1
    fitted, one = classifier().fit(cache), classifier("sequential").fit(cache)
    assert fitted.n_threads_ == 2
    same(fitted, X, y, one)


def test_early_stopping_callbacks_and_averages(problem):
    X, y = problem
    stopped = classifier(early_stopping=True, max_iter=50, tol=1e-3).fit(X, y)
    assert 5 < stopped.n_iter_ < 50 and len(stopped.validation_scores_) == stopped.n_iter_
    told = []
    classifier(callback=lambda progress: told.append(progress.epoch) or progress.epoch == 2).fit(X, y)
    assert set(told) == {1, 2}
    same(classifier(average=True).fit(X, y), X, y, classifier("sequential", average=True).fit(X, y))


def test_a_penalty_too_strong_for_the_clock_runs_exactly(problem):
    """Weights that shrink to nothing within a chunk are stepped by one thread: the two models are kept in step."""
    X, y = problem
    settings = {"alpha": 1.0, "learning_rate": "constant", "eta0": 0.5, "max_iter": 2}
    by_threads, fitted = (classifier(engine, **settings).fit(X, y) for engine in ("shared", "processes"))
    np.testing.assert_array_equal(fitted.coef_, by_threads.coef_)
    assert fitted.loss_curve_ == by_threads.loss_curve_


def test_checkpoints(problem, tmp_path):
    X, y = problem
    whole = classifier(checkpoint=Checkpoint(tmp_path, every=0)).fit(X, y)
    part = tmp_path / "part"
    classifier(checkpoint=Checkpoint(part, every=0), callback=lambda p: p.epoch == 2 and p.epoch_ended).fit(X, y)
    resumed = classifier(checkpoint=Checkpoint(part, every=0, resume=True)).fit(X, y)
    same(resumed, X, y, whole)


def test_fits_in_several_threads_at_once(problem):
    X, y = problem
    one, found = classifier("sequential").fit(X, y), []
    threads = [threading.Thread(target=lambda: found.append(classifier().fit(X, y))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for fitted in found:
        same(fitted, X, y, one)


# ---------------------------------------------------------------------------------------------- what is left


@linux
@pytest.mark.parametrize("how", ["ends", "diverges", "is interrupted", "fails"])
def test_no_shared_memory_is_left_by_a_fit_that(problem, how):
    X, y = problem
    before = mapped()

    def callback(progress):
        if how == "is interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        if how == "fails":
            raise ZeroDivisionError

    eta0 = 1e300 if how == "diverges" else 0.1
    fitted = classifier(callback=callback, loss="squared_error", learning_rate="constant", eta0=eta0)
    errors = {"diverges": hogwild.DivergedError, "is interrupted": KeyboardInterrupt, "fails": ZeroDivisionError}
    if how in errors:
        with pytest.raises(errors[how]):
            fitted.fit(X, y)
    else:
        fitted.fit(X, y)
    assert mapped() == before
    coef = fitted.coef_
    while isinstance(coef, np.ndarray):  # ordinary memory
        assert not shared_memory.is_shared(coef)
        coef = coef.base
    if how == "is interrupted":
        assert fitted.predict(X).shape == y.shape
    idle = psutil.Process().children()
    assert all(
        "memfd:hogwild" not in Path(f"/proc/{child.pid}/maps").read_text() for child in idle if "python" in child.name()
    )


def test_workers_stay_for_the_next_fit_of_their_number(problem):
    X, y = problem
    classifier().fit(X, y)
    pool = workers._idle
    classifier().fit(X, y)
    assert workers._idle is pool
    classifier().set_params(n_jobs=3).fit(X, y)
    assert workers._idle.n_workers == 3
    workers.close_idle_processes()
    assert workers._idle is None


# ---------------------------------------------------------------------------------------------- killed workers


def dying(deaths, most, locks, function, *arguments):
    """Run a call; but first be killed, holding a lock, as long as few have been."""
    if deaths[0] < most:
        deaths[0] += 1
        locks[0] = 1
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments)


@pytest.fixture
def mortal(monkeypatch):
    """Let the first worker be killed in the middle of the second slice, `most` times."""

    def prepare(most: int) -> None:
        run, slices = workers.ProcessWorkers.run, []

        def dangerous(self, function, calls):
            slices.append(len(calls))
            if len(slices) != 2:
                return run(self, function, calls)
            deaths = self.zeros(1, np.int64)
            locks = calls[0][4].locks
            first, *others = ((deaths, most if k == 0 else 0, locks, function, *call) for k, call in enumerate(calls))
            return run(self, dying, [first, *others])

        monkeypatch.setattr(workers.ProcessWorkers, "run", dangerous)

    return prepare


def test_a_fit_goes_on_when_a_worker_is_killed_even_with_a_lock(problem, mortal):
    X, y = problem
    mortal(1)
    with pytest.warns(RuntimeWarning, match=r"worker process \d+ ended \(SIGKILL\) in the middle of a call"):
        fitted = classifier().fit(X, y)
    one = classifier("sequential").fit(X, y)
    same(fitted, X, y, one)
    np.testing.assert_allclose(fitted.loss_curve_, one.loss_curve_, rtol=0.1)  # no loss of a row is missing


def test_a_worker_that_is_killed_again_ends_the_fit_with_a_usable_model(problem, mortal):
    X, y = problem
    mortal(5)
    fitted = classifier()
    with pytest.warns(RuntimeWarning), pytest.raises(WorkerDiedError, match="out of memory, or"):
        fitted.fit(X, y)
    assert fitted.score(X, y) > 0.5
    assert classifier().fit(X, y).t_ == 1 + 4 * N_ROWS


def test_idle_workers_that_are_killed_between_slices_are_replaced(problem):
    X, y = problem
    killed = []

    def kill_one(progress):
        if not killed:
            children = [c for c in psutil.Process().children() if c.pid in {w.process.pid for w in pools}]
            killed.append(children[0].pid)
            children[0].kill()

    classifier(max_iter=1).fit(X, y)
    pools = workers._idle._workers
    with pytest.warns(RuntimeWarning, match="ended"):
        fitted = classifier(callback=kill_one).fit(X, y)
    same(fitted, X, y, classifier("sequential").fit(X, y))


# ---------------------------------------------------------------------------------------------- other processes

FORK = """
    import os, sys
    from hogwild import SGDClassifier
    from hogwild.data import make_rcv1_like

    X, y = make_rcv1_like(4096, 200, row_length=12, random_state=0)

    def fit():
        settings = {"loss": "log_loss", "alpha": 1e-4, "max_iter": 4, "tol": None, "random_state": 0}
        return SGDClassifier(engine="processes", n_jobs=2, **settings).fit(X, y)

    assert fit().n_threads_ == 2
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if fit().n_threads_ == 2 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert fit().n_threads_ == 2
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fit_in_a_forked_child_after_a_fit():
    quiet = ["-W", "ignore::DeprecationWarning"]  # of forks beside threads, which a BLAS may have
    ended = subprocess.run(
        [sys.executable, *quiet, "-c", textwrap.dedent(FORK)],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
