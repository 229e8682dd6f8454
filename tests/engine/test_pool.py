"""The pool of threads: errors come out, fits side by side and nested work, and a fork leaves no dead pool behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

from hogwild import SGDClassifier
from hogwild.engine import Replicas, pool, usable_cores
from hogwild.engine.pool import ThreadPool, thread_pool

SECONDS = 240  # for a process that compiles, on a crowded machine


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def problem():
    return make_classification(2048, 20, random_state=0)


# ---------------------------------------------------------------------------------------------- cores


def test_usable_cores_are_at_least_one_and_at_most_what_there_are():
    assert 1 <= usable_cores() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_usable_cores_respect_affinity():
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)


@pytest.mark.parametrize(("quota", "cores", "expected"), [(0.5, 8, 1), (1.5, 8, 2), (3.0, 2, 2), (None, 5, 5)])
def test_usable_cores_respect_the_quota_of_the_container(monkeypatch, quota, cores, expected):
    monkeypatch.setattr(pool, "_container_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert usable_cores() == expected


# ---------------------------------------------------------------------------------------------- calls


def test_results_come_in_the_order_of_calls_each_on_its_own_thread():
    start = threading.Barrier(4)

    def call(k):
        start.wait(timeout=60)  # passes only if all four run at once
        return k, threading.get_ident()

    results = ThreadPool().run(call, [(k,) for k in range(4)])
    assert [k for k, _ in results] == [0, 1, 2, 3]
    assert len({thread for _, thread in results}) == 4
    assert results[0][1] == threading.get_ident()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_errors_are_raised_when_all_calls_have_ended(failing):
    ended = []

    def call(k):
        if k == failing:
            raise ZeroDivisionError(f"call {k}")
        ended.append(k)

    with pytest.raises(ZeroDivisionError, match=f"call {failing}"):
        thread_pool().run(call, [(k,) for k in range(3)])
    assert sorted(ended) == [k for k in range(3) if k != failing]
    assert thread_pool().run(lambda k: k, [(1,), (2,)]) == [1, 2]  # the workers are alive


def test_workers_are_kept_and_shared_by_nobody():
    threads = ThreadPool()
    first = set(threads.run(lambda k: threading.get_ident(), [(k,) for k in range(3)]))
    assert set(threads.run(lambda k: threading.get_ident(), [(k,) for k in range(3)])) == first

    def outer(k):
        return threads.run(lambda j: (j, threading.get_ident()), [(0,), (1,)])

    nested = threads.run(outer, [(k,) for k in range(3)])
    assert len({ident for inner in nested for _, ident in inner}) >= 3


def test_an_idle_worker_keeps_no_data_alive():
    import gc
    import weakref

    class Data:
        pass

    data = [Data(), Data()]
    watched = [weakref.ref(one) for one in data]
    threads = ThreadPool()
    threads.run(lambda one: None, [(one,) for one in data])
    del data
    threads.run(lambda k: None, [(0,), (1,)])  # the worker has come back for another call
    gc.collect()
    assert [ref() for ref in watched] == [None, None]


# ---------------------------------------------------------------------------------------------- fits side by side


@pytest.mark.parametrize("n_fits", [2, 5])
def test_fits_in_several_threads_at_once_are_fits_alone(n_fits):
    X, y = problem()
    settings = {"n_jobs": 2, "engine": Replicas(deterministic=True), "max_iter": 5, "tol": None, "penalty": None}
    settings |= {"learning_rate": "invscaling", "eta0": 0.05}
    alone = [SGDClassifier(random_state=k, **settings).fit(X, y).coef_ for k in range(n_fits)]
    found, errors = [None] * n_fits, []

    def fit(k):
        try:
            found[k] = SGDClassifier(random_state=k, **settings).fit(X, y).coef_
        except BaseException as error:
            errors.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # more threads than cores
        threads = [threading.Thread(target=fit, args=(k,)) for k in range(n_fits)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    np.testing.assert_array_equal(found, alone)


FORK = """
    import os, sys, warnings
    import numpy as np
    from sklearn.datasets import make_classification
    from hogwild import SGDClassifier

    warnings.simplefilter("ignore")
    X, y = make_classification(2048, 20, random_state=0)

    def fit():
        return SGDClassifier(n_jobs=2, max_iter=5, tol=None, random_state=0).fit(X, y)

    assert fit().n_threads_ == 2
    child = os.fork()
    if child == 0:
        code = 1
        try:
            fitted = fit()
            code = 0 if fitted.n_threads_ == 2 and np.isfinite(fitted.coef_).all() else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert fit().n_threads_ == 2
    sys.exit(os.waitstatus_to_exitcode(status))
"""

MULTIPROCESSING = """
    import multiprocessing, warnings
    from sklearn.datasets import make_classification
    from hogwild import SGDClassifier

    warnings.simplefilter("ignore")
    X, y = make_classification(2048, 20, random_state=0)

    def fit(seed):
        return SGDClassifier(n_jobs=2, max_iter=5, tol=None, random_state=seed).fit(X, y).n_threads_

    assert fit(0) == 2
    with multiprocessing.get_context("fork").Pool(3) as processes:
        assert processes.map(fit, range(6)) == [2] * 6
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("script", [FORK, MULTIPROCESSING], ids=["os.fork", "multiprocessing"])
def test_fit_in_a_forked_child_after_a_fit(script):
    """A child that waited for its parent's threads would hang: the time limit of the process tells."""
    ended = run_script(script)
    assert ended.returncode == 0, ended.stderr


# ---------------------------------------------------------------------------------------------- nested parallelism


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_grid_search_around_fits_of_two_threads(backend):
    import joblib

    X, y = problem()
    grid = {"alpha": [1e-5, 1e-4, 1e-3]}
    estimator = SGDClassifier(n_jobs=2, max_iter=5, tol=None, random_state=0)
    with warnings.catch_warnings(), joblib.parallel_config(backend=backend):
        warnings.simplefilter("ignore")
        search = GridSearchCV(estimator, grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.7
    assert search.best_estimator_.n_threads_ == 2


CROWDED = """
    import threading, warnings
    import joblib
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV
    from hogwild import SGDClassifier
    from hogwild.estimators import threads

    threads.usable_cores = lambda: 2
    X, y = make_classification(4096, 20, random_state=0)
    meeting = threading.Barrier(2)

    def meet(progress):  # two fits are under way at once, whatever the machine does
        if not meeting.broken and not once[threading.get_ident()]:
            once[threading.get_ident()] = True
            meeting.wait(timeout=60)

    def fit():
        once[threading.get_ident()] = False
        SGDClassifier(n_jobs=2, max_iter=3, tol=None, callback=meet).fit(X, y)

    once = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RuntimeWarning)
        for turn in range(2):
            at_once = [threading.Thread(target=fit) for _ in range(2)]
            for thread in at_once: thread.start()
            for thread in at_once: thread.join()
    told = [str(w.message) for w in told if issubclass(w.category, RuntimeWarning)]
    assert len(told) == 1, told
    assert "fits in parallel ask for 4 threads or more on 2 usable cores" in told[0], told
"""


def test_fits_side_by_side_warn_once_where_they_exceed_the_cores():
    ended = run_script(CROWDED)
    assert ended.returncode == 0, ended.stderr
