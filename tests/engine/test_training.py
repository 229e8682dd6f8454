"""The training loop: Ctrl-C, callbacks, divergence, early stopping, tolerance, adaptive steps."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import naive
import numpy as np
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import StratifiedShuffleSplit

from hogwild import DivergedError, SGDClassifier, SGDRegressor
from hogwild.engine import Replicas

SECONDS = 240  # for a process that compiles, on a crowded machine
LONG = {"max_iter": 10**9, "tol": None, "random_state": 0, "alpha": 1e-4}


def problem():
    return make_classification(2048, 20, random_state=0)


# ---------------------------------------------------------------------------------------------- Ctrl-C

INTERRUPTED = """
    import os, signal, sys, warnings
    import numpy as np
    from sklearn.datasets import make_classification
    from hogwild import SGDClassifier

    X, y = make_classification(4096, 20, random_state=0)
    settings = dict(max_iter=10**9, tol=None, random_state=0, n_jobs={n_jobs}, engine="{engine}")
    told = []

    def interrupt(progress):  # the signal comes while the fit is under way, whatever the machine does
        told.append(progress.epoch)
        if len(told) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    fitted = SGDClassifier(callback=interrupt, **settings)
    try:
        fitted.fit(X, y)
    except KeyboardInterrupt:
        pass
    else:
        sys.exit("no KeyboardInterrupt")
    assert len(told) in (3, 4), told  # it ends with the slice
    assert fitted.coef_.shape == (1, 20) and np.isfinite(fitted.coef_).all() and fitted.coef_.any()
    assert fitted.n_threads_ == {n_jobs} and fitted.n_iter_ == len(fitted.loss_curve_) >= 1
    assert fitted.t_ > 1 and fitted.score(X, y) > 0.7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert SGDClassifier(max_iter=2, tol=None).fit(X, y).n_iter_ == 2  # and the next fit works
    print("well")
"""

FROM_OUTSIDE = """
    import sys
    from sklearn.datasets import make_classification
    from hogwild import SGDClassifier

    X, y = make_classification(4096, 20, random_state=0)
    fitted = SGDClassifier(max_iter=10**9, tol=None, random_state=0, n_jobs={n_jobs})
    fitted.callback = lambda progress: print("under way", flush=True) if progress.epoch == 2 else None
    try:
        fitted.fit(X, y)
    except KeyboardInterrupt:
        print("interrupted", fitted.coef_.shape, fitted.n_threads_, flush=True)
        sys.exit(130)
"""


def script(text: str, **values) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(text.format(**values))]


@pytest.mark.parametrize(("n_jobs", "engine"), [(1, "auto"), (2, "auto"), (2, "shared")])
def test_interrupt_ends_the_fit_with_a_usable_model(n_jobs, engine):
    ended = subprocess.run(
        script(INTERRUPTED, n_jobs=n_jobs, engine=engine), capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "well\n"


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupt_from_another_process(n_jobs):
    import signal

    with subprocess.Popen(script(FROM_OUTSIDE, n_jobs=n_jobs), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "under way\n"
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert rest.splitlines()[-1] == f"interrupted (1, 20) {n_jobs}"
    assert process.returncode == 130


# ---------------------------------------------------------------------------------------------- callbacks


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_callback_stops_the_fit(n_jobs):
    X, y = problem()
    seen = []

    def stop(progress):
        seen.append(progress)
        return progress.epoch == 3 and progress.epoch_ended

    fitted = SGDClassifier(n_jobs=n_jobs, callback=stop, **LONG).fit(X, y)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 3
    assert fitted.t_ == 1 + 3 * 2048
    assert seen[-1].epoch_ended


def test_callback_is_told_what_happens():
    X, y = problem()
    seen = []
    fitted = SGDClassifier(callback=seen.append, max_iter=4, tol=None, random_state=0).fit(X, y)
    ends = [progress for progress in seen if progress.epoch_ended]
    assert [progress.epoch for progress in ends] == [1, 2, 3, 4]
    assert [progress.rows for progress in ends] == [2048, 4096, 6144, 8192]
    assert {(progress.n_epochs, progress.total_rows) for progress in seen} == {(4, 8192)}
    assert [progress.loss for progress in ends] == pytest.approx(fitted.loss_curve_)
    assert (np.diff([progress.seconds for progress in seen]) >= 0).all()
    assert ends[-1].seconds_left == 0
    assert ends[-1].rows_per_second > 0


def test_errors_of_a_callback_come_out_and_leave_the_weights():
    X, y = problem()

    def fail(progress):
        raise LookupError("mine")

    fitted = SGDClassifier(callback=fail, n_jobs=2, **LONG)
    with pytest.raises(LookupError, match="mine"):
        fitted.fit(X, y)
    assert fitted.coef_.any()
    assert SGDClassifier(max_iter=2, tol=None, n_jobs=2).fit(X, y).n_iter_ == 2


# ---------------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("engine", ["auto", "shared", Replicas(deterministic=True)])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_divergence_names_the_step_size(engine, n_jobs):
    X, y = make_regression(1024, 10, random_state=0)
    settings = {"learning_rate": "constant", "eta0": 12.5, "penalty": None, "max_iter": 50, "tol": None}
    fitted = SGDRegressor(engine=engine, n_jobs=n_jobs, **settings)
    with pytest.raises(DivergedError, match=r"Floating-point under-/overflow occurred at epoch #\d+.*eta0=12\.5"):
        fitted.fit(X * 1e100, y * 1e100)
    assert issubclass(DivergedError, ValueError)
    assert hasattr(fitted, "coef_")


def test_divergence_is_seen_where_only_a_weight_overflows():
    """float32 weights overflow while the hinge's losses, all 0 from then on, would not tell."""
    X = np.array([[1e30], [-1e30]] * 300, np.float32)
    y = np.array([1, 0] * 300)
    with pytest.raises(DivergedError, match="Floating-point under-/overflow"):
        SGDClassifier(learning_rate="constant", eta0=1e20, penalty=None, max_iter=5, tol=None).fit(X, y)


# ---------------------------------------------------------------------------------------------- stopping


def stop_epoch(objectives: list[float], tol: float, patience: int) -> int:
    """Epoch after which `patience` objectives in a row did not improve on the best so far by `tol`."""
    best, without = np.inf, 0
    for epoch, value in enumerate(objectives, start=1):
        without = without + 1 if value > best - tol else 0
        best = min(best, value)
        if without >= patience:
            return epoch
    return len(objectives)


@pytest.mark.parametrize("n_iter_no_change", [1, 3, 5])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 1e-2])
def test_tol_stops_when_the_objective_does_not_improve(tol, n_iter_no_change):
    X, y = problem()
    settings = {"loss": "log_loss", "learning_rate": "constant", "eta0": 0.003, "alpha": 0.01, "max_iter": 60}
    twin = naive.fit_classes(
        X, y, naive.Settings(loss="log_loss", learning_rate="constant", eta0=0.003, alpha=0.01), n_epochs=20
    )
    settings |= {"shuffle": False, "n_iter_no_change": n_iter_no_change}
    fitted = SGDClassifier(tol=tol, **{**settings, "max_iter": 20}).fit(X, y)
    np.testing.assert_allclose(fitted.loss_curve_, twin.loss_curve[: fitted.n_iter_], rtol=1e-9)
    assert fitted.n_iter_ == stop_epoch(twin.objectives, tol, n_iter_no_change)


def test_without_tol_all_epochs_run():
    X, y = problem()
    fitted = SGDClassifier(tol=None, max_iter=30, n_iter_no_change=1).fit(X, y)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 30


def test_adaptive_divides_the_step_size_by_5_until_it_is_a_millionth():
    X, y = problem()
    settings = {"learning_rate": "adaptive", "eta0": 0.1, "n_iter_no_change": 2, "random_state": 0}
    fitted = SGDClassifier(tol=1e-3, max_iter=1000, **settings).fit(X, y)
    divisions = np.log(0.1 / fitted.eta0_) / np.log(5)
    assert divisions == pytest.approx(round(divisions))
    assert 1e-6 / 5 < fitted.eta0_ <= 1e-6
    assert 2 * (round(divisions) + 1) <= fitted.n_iter_ < 1000


def test_early_stopping_follows_the_score_of_rows_held_out():
    X, y = problem()
    settings = {"max_iter": 40, "tol": 1e-3, "n_iter_no_change": 3, "validation_fraction": 0.25, "random_state": 3}
    fitted = SGDClassifier(early_stopping=True, **settings).fit(X, y)
    scores = fitted.validation_scores_
    assert len(scores) == fitted.n_iter_
    assert fitted.n_iter_ == stop_epoch([-score for score in scores], np.nextafter(1e-3, 0), 3)
    training, held_out = next(StratifiedShuffleSplit(test_size=0.25, random_state=3).split(np.zeros((len(y), 1)), y))
    assert fitted.score(X[held_out], y[held_out]) == scores[-1]
    assert fitted.t_ == 1 + fitted.n_iter_ * len(training)


def test_rows_held_out_are_not_trained_on():
    X, y = problem()
    _, held_out = next(StratifiedShuffleSplit(test_size=0.1, random_state=3).split(np.zeros((len(y), 1)), y))
    other = X.copy()
    other[held_out] = -other[held_out]
    settings = {"early_stopping": True, "max_iter": 3, "random_state": 3, "n_iter_no_change": 10}
    first, second = (SGDClassifier(**settings).fit(rows, y) for rows in (X, other))
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert first.validation_scores_ != second.validation_scores_


def test_early_stopping_of_a_regressor():
    X, y = make_regression(1000, 10, noise=5, random_state=0)
    y /= y.std()
    fitted = SGDRegressor(early_stopping=True, max_iter=100, tol=1e-3, n_iter_no_change=3, random_state=0).fit(X, y)
    assert fitted.n_iter_ < 100
    assert fitted.validation_scores_[-1] > 0.9
