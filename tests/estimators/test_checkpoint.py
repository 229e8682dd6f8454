"""Checkpoints: a run that goes on from any of them has the bits of one without interruption."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from hogwild import Checkpoint, SGDClassifier, SGDRegressor
from hogwild.data import DataError, from_matrix, make_rcv1_like, write_hog
from hogwild.engine import Replicas
from hogwild.estimators import checkpoint as module

N_ROWS, WIDTH = 1300, 60
SETTINGS = {"loss": "log_loss", "alpha": 1e-4, "eta0": 0.1, "max_iter": 3, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def rows():
    X, y = make_rcv1_like(N_ROWS, WIDTH, row_length=8, random_state=0)
    return X, np.where(y > 0, 1, -1)


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    """Slices of one chunk: 256 rows."""
    monkeypatch.setattr("hogwild.engine.training.SLICE_SECONDS", 1e-9)


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Copies of all checkpoints that are written, each in a folder of its own."""
    folders, write = [], Checkpoint.write

    def keep(self, about, arrays):
        path = write(self, about, arrays)
        folder = tmp_path / f"kept-{len(folders)}"
        folder.mkdir()
        shutil.copy(path, folder)
        folders.append(folder)
        return path

    monkeypatch.setattr(Checkpoint, "write", keep)
    return folders


class Growing:
    """Batches that get wider, and one of rows without weight."""

    n_features = None

    def __init__(self, X, y):
        from hogwild.data.lines import Reading

        self.X, self.y, self.reading = X, y, Reading()

    def __iter__(self):
        for number, low in enumerate(range(0, N_ROWS, 300)):
            X, y = self.X[low : low + 300], self.y[low : low + 300]
            yield from_matrix(X[:0], y[:0])
            yield from_matrix(X[:, : 12 * (number + 1)], y, np.full(len(y), 0.0 if number == 2 else 1.0))


@contextlib.contextmanager
def fits(kind, rows, folder):
    """A function that fits an estimator to rows of this kind."""
    X, y = rows
    if kind == "memory":
        yield lambda estimator: estimator.fit(X, y)
    elif kind == "weighted":
        weights = np.random.default_rng(0).choice([0.0, 1.0, 2.0], N_ROWS).astype(np.float32)
        yield lambda estimator: estimator.fit(X, y, sample_weight=weights)
    elif kind == "cache":
        weights = np.ones(N_ROWS)
        weights[:200] = 0  # a whole block among them
        with write_hog([from_matrix(X, y, weights)], folder / "rows.hog", block_bytes=9_000, shuffle=False) as cache:
            assert cache.n_blocks > 5
            yield lambda estimator: estimator.fit(cache)
    elif kind == "stream":
        yield lambda estimator: estimator.fit_stream(Growing(X, y))
    else:
        yield lambda estimator: estimator.fit(Growing(X, y))


def state(estimator):
    found = {
        name: getattr(estimator, name) for name in ("coef_", "intercept_", "t_", "n_iter_", "eta0_", "loss_curve_")
    }
    found |= {f"state.{name}": array for name, array in estimator._state.arrays.items()}
    found["curve"] = estimator.progressive_curve_
    found["scores"] = getattr(estimator, "validation_scores_", None)
    return found


def same(one, other):
    one, other = state(one), state(other)
    assert one.keys() == other.keys()
    for name in one:
        assert np.array_equal(one[name], other[name]), name


DETERMINISTIC = {"n_jobs": 2, "engine": Replicas(deterministic=True)}
OPTIONS = {
    "plain": {},
    "l1": {"penalty": "l1", "learning_rate": "constant"},
    "average": {"average": 300, "learning_rate": "invscaling"},
    "adagrad": {"learning_rate": "adagrad", "penalty": "elasticnet"},
    "adagrad-average": {"learning_rate": "adagrad", "average": True},
    "ftrl": {"learning_rate": "ftrl", "penalty": "l1"},
    "pa1": {"learning_rate": "pa1", "loss": "hinge"},
    "search": {"learning_rate": "search"},
    "search-again": {"learning_rate": "search", "search_every": 700},
    "adaptive": {"learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1, "max_iter": 4},
    "epoch-decay": {"learning_rate": "epoch_decay", "decay": 0.5},
    "in-order": {"shuffle": False},
    "tolerance": {"tol": 0.3, "n_iter_no_change": 2, "max_iter": 10},
    "deterministic": DETERMINISTIC,
    "deterministic-l1": DETERMINISTIC | {"penalty": "l1", "learning_rate": "adagrad"},
    "deterministic-average": DETERMINISTIC | {"average": True, "learning_rate": "constant"},
    "deterministic-ftrl": DETERMINISTIC | {"learning_rate": "ftrl"},
}


def goes_on(kept, folder, fit, settings, kind=SGDClassifier):
    """Run without and with checkpoints, then on from each of them: all the same bits."""
    whole = fit(kind(**settings))
    same(fit(kind(**settings, checkpoint=Checkpoint(folder / "c", every=0))), whole)
    assert len(os.listdir(folder / "c")) == 2
    copies = list(kept)
    assert len(copies) > 5
    for copy in copies:
        same(fit(kind(**settings, checkpoint=Checkpoint(copy, every=1e9, resume=True))), whole)
    return whole


@pytest.mark.parametrize("name", OPTIONS)
def test_in_memory(rows, kept, tmp_path, name):
    with fits("memory", rows, tmp_path) as fit:
        goes_on(kept, tmp_path, fit, SETTINGS | OPTIONS[name])


@pytest.mark.parametrize(
    "name", ["plain", "l1", "average", "adagrad", "ftrl", "search-again", "epoch-decay", "deterministic"]
)
def test_over_a_cache(rows, kept, tmp_path, name):
    with fits("cache", rows, tmp_path) as fit:
        goes_on(kept, tmp_path, fit, SETTINGS | OPTIONS[name])


@pytest.mark.parametrize(
    "name", ["plain", "l1", "average", "adagrad", "ftrl", "search", "deterministic", "deterministic-l1"]
)
@pytest.mark.parametrize("kind", ["stream", "batches"])
def test_over_batches_that_grow(rows, kept, tmp_path, name, kind):
    with fits(kind, rows, tmp_path) as fit:
        whole = goes_on(kept, tmp_path, fit, SETTINGS | OPTIONS[name])
        assert whole.coef_.shape == (1, WIDTH)


@pytest.mark.parametrize("kind", ["memory", "weighted", "cache"])
@pytest.mark.parametrize("name", ["plain", "adagrad", "deterministic"])
def test_early_stopping(rows, kept, tmp_path, kind, name):
    settings = SETTINGS | OPTIONS[name] | {"early_stopping": True, "tol": 1e-3, "n_iter_no_change": 2, "max_iter": 8}
    with fits(kind, rows, tmp_path) as fit:
        goes_on(kept, tmp_path, fit, settings)


def test_regressor(rows, kept, tmp_path):
    X, _ = rows
    y = X @ np.linspace(-1, 1, WIDTH)
    with fits("batches", (X, y), tmp_path) as fit:
        goes_on(kept, tmp_path, fit, {"max_iter": 2, "tol": None, "random_state": 0}, SGDRegressor)


def test_several_classes(kept, tmp_path):
    X, y = make_rcv1_like(N_ROWS, WIDTH, row_length=8, n_classes=3, random_state=0)
    with fits("memory", (X, y), tmp_path) as fit:
        goes_on(kept, tmp_path, fit, SETTINGS | {"class_weight": "balanced"})


@pytest.mark.parametrize("name", ["l1", "average", "adagrad", "deterministic-l1"])
@pytest.mark.parametrize("kind", ["memory", "cache", "stream"])
def test_with_a_callback(rows, kept, tmp_path, kind, name):
    """It wants to see the weights after each epoch."""
    with fits(kind, rows, tmp_path) as fit:
        goes_on(kept, tmp_path, fit, SETTINGS | OPTIONS[name] | {"callback": lambda progress: None})


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)])
def test_without_a_seed_the_order_is_kept(rows, kept, tmp_path, random_state):
    settings = SETTINGS | {"random_state": random_state}
    whole = SGDClassifier(**settings, checkpoint=Checkpoint(tmp_path / "c", every=0)).fit(*rows)
    for copy in list(kept):
        same(SGDClassifier(**settings, checkpoint=Checkpoint(copy, resume=True)).fit(*rows), whole)


@pytest.mark.parametrize("engine", ["auto", "shared"])
def test_engines_that_are_not_exact_go_on(rows, kept, tmp_path, engine):
    settings = SETTINGS | {"n_jobs": 2, "engine": engine}
    whole = SGDClassifier(**settings, checkpoint=Checkpoint(tmp_path / "c", every=0)).fit(*rows)
    for copy in list(kept):
        clf = SGDClassifier(**settings, checkpoint=Checkpoint(copy, resume=True)).fit(*rows)
        assert clf.t_ == whole.t_
        assert len(clf.loss_curve_) == 3 and clf.score(*rows) > 0.65
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(kept[3], resume=True)).fit(*rows)  # on one thread as well


# ------------------------------------------------------------------------------------------------ ends


@pytest.mark.parametrize("options", [{}, {"learning_rate": "epoch_decay", "decay": 0.5}, DETERMINISTIC])
def test_more_epochs(rows, tmp_path, options):
    settings = SETTINGS | options
    whole = SGDClassifier(**settings).set_params(max_iter=5).fit(*rows)
    SGDClassifier(**settings, checkpoint=Checkpoint(tmp_path, every=1e9)).set_params(max_iter=2).fit(*rows)
    again = SGDClassifier(**settings, checkpoint=Checkpoint(tmp_path, resume=True)).set_params(max_iter=5).fit(*rows)
    if options == DETERMINISTIC:  # the end of a run brings all weights up to date
        np.testing.assert_allclose(again.coef_, whole.coef_, rtol=0.05, atol=0.05)
        assert again.t_ == whole.t_
    else:
        same(again, whole)


def test_what_has_ended_is_not_run_again(rows, tmp_path):
    for settings in (SETTINGS, SETTINGS | {"tol": 0.3, "n_iter_no_change": 1, "max_iter": 50}):
        folder = tmp_path / str(settings["max_iter"])
        whole = SGDClassifier(**settings, checkpoint=Checkpoint(folder)).fit(*rows)
        seen = []
        again = SGDClassifier(**settings, checkpoint=Checkpoint(folder, resume=True), callback=seen.append).fit(*rows)
        same(again, whole)
        assert seen == []


@pytest.mark.parametrize("kind", ["memory", "cache", "batches", "stream"])
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("how", ["callback", "Ctrl-C"])
def test_stopped_from_outside(rows, tmp_path, kind, stop, how):
    told = []

    def halt(progress):
        told.append(progress)
        if len(told) == stop:
            if how == "callback":
                return True
            os.kill(os.getpid(), signal.SIGINT)
        return False

    settings = SETTINGS | {"tol": 1e-9, "max_iter": 2}
    with fits(kind, rows, tmp_path) as fit:
        whole = fit(SGDClassifier(**settings, callback=lambda progress: None))
        if kind == "stream" and stop > 6:
            return
        halted = SGDClassifier(**settings, checkpoint=Checkpoint(tmp_path / "c"), callback=halt)
        with pytest.raises(KeyboardInterrupt) if how == "Ctrl-C" else contextlib.nullcontext():
            fit(halted)
        assert (len(told) == stop and halted.t_ < whole.t_) or kind == "stream"
        resumed = SGDClassifier(**settings, checkpoint=Checkpoint(tmp_path / "c", resume=True), callback=told.append)
        same(fit(resumed), whole)


# ------------------------------------------------------------------------------------------------ files


def test_resume_in_an_empty_folder_starts_afresh(rows, tmp_path):
    whole = SGDClassifier(**SETTINGS).fit(*rows)
    for folder in (tmp_path, tmp_path / "new" / "folder"):
        same(SGDClassifier(**SETTINGS, checkpoint=Checkpoint(folder, resume=True)).fit(*rows), whole)
        assert os.listdir(folder) == ["checkpoint-00000001.safetensors"] or folder == tmp_path


def test_a_torn_file_is_passed_over(rows, tmp_path):
    settings = SETTINGS | {"checkpoint": Checkpoint(tmp_path, every=0, resume=True)}
    whole = SGDClassifier(**settings).fit(*rows)
    older, newer = sorted(tmp_path.iterdir())
    newer.write_bytes(newer.read_bytes()[:-1])
    same(SGDClassifier(**settings).fit(*rows), whole)
    older, newer = sorted(tmp_path.iterdir())
    for path in (older, newer):
        content = bytearray(path.read_bytes())
        content[-3] ^= 4
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"checkpoint-\d+.safetensors: found content that does not agree"):
        SGDClassifier(**settings).fit(*rows)
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path)).fit(*rows)  # without resume nobody looks at them


def test_of_another_version(rows, tmp_path, monkeypatch):
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path)).fit(*rows)
    monkeypatch.setattr(module, "FORMAT", 2)
    with pytest.raises(DataError, match="found format 1, expected 2"):
        SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path, resume=True)).fit(*rows)


def test_other_files_are_left_alone(rows, tmp_path):
    for name in ("notes.txt", "checkpoint-1.safetensors.bak", ".checkpoint-00000001.safetensors-x1"):
        (tmp_path / name).write_text("mine")
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path, every=0)).fit(*rows)
    names = set(os.listdir(tmp_path))
    assert len(names) == 4 and names > {"checkpoint-1.safetensors.bak", "notes.txt"}
    assert all(name[0] != "." for name in names)  # the last was what a killed writer leaves


OTHER = {
    "alpha": ({"alpha": 1e-3}, "alpha was 0.0001, is 0.001"),
    "loss": ({"loss": "hinge"}, "loss was 'log_loss', is 'hinge'"),
    "rate": ({"learning_rate": "adagrad"}, "learning_rate was 'optimal', is 'adagrad'"),
    "eta0": ({"eta0": 0.2}, "eta0 was 0.1, is 0.2"),
    "seed": ({"random_state": 1}, "seed was 0, is 1"),
    "shuffle": ({"shuffle": False}, "shuffle was True, is False"),
    "weights": ({"class_weight": {1: 2.0}}, "class weights was"),
    "engine": (DETERMINISTIC, r"engine was Sequential\(\), n_jobs=1, is Replicas"),
}


@pytest.mark.parametrize("name", OTHER)
def test_of_another_run(rows, tmp_path, name):
    options, message = OTHER[name]
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path)).fit(*rows)
    with pytest.raises(ValueError, match=message) as caught:
        SGDClassifier(**SETTINGS | options, checkpoint=Checkpoint(tmp_path, resume=True)).fit(*rows)
    assert str(tmp_path) in str(caught.value)


def test_of_other_threads(rows, tmp_path):
    SGDClassifier(**SETTINGS | DETERMINISTIC, checkpoint=Checkpoint(tmp_path)).fit(*rows)
    for other in ({"n_jobs": 3}, {"engine": Replicas(deterministic=True, interval=256)}, {"n_jobs": 1}):
        with pytest.raises(ValueError, match="engine was Replicas"):
            SGDClassifier(**SETTINGS | DETERMINISTIC | other, checkpoint=Checkpoint(tmp_path, resume=True)).fit(*rows)


def test_of_other_rows(rows, tmp_path):
    X, y = rows
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path)).fit(X, y)
    again = SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path, resume=True))
    turned = np.where(np.arange(N_ROWS) == 7, -y, y)
    for data, message in [
        ((X[:-1], y[:-1]), "n_rows was 1300, is 1299"),
        ((X[:, :-1], y), "n_features was 60, is 59"),
        ((X.astype(np.float64), y), "dtype was 'float32', is 'float64'"),
        ((X, y + 1), r"classes was \['-1', '1'\], is \['0', '2'\]"),
        ((X, np.where(np.arange(N_ROWS) == 7, 3, y)), "n_columns|classes"),
        ((X, turned), "digest of the labels was"),
    ]:
        with pytest.raises(ValueError, match=message):
            again.fit(*data)


def test_batches_that_have_become_fewer(rows, kept, tmp_path):
    X, y = rows
    SGDClassifier(**SETTINGS, checkpoint=Checkpoint(tmp_path / "c", every=0)).fit_stream(Growing(X, y))
    short = Growing(X, y)
    batches = [batch for batch in short if batch.n_rows]
    for copy in list(kept)[-3:-1]:
        with pytest.raises(ValueError, match="the rows end before the place where the checkpoint was written"):
            SGDClassifier(**SETTINGS, checkpoint=Checkpoint(copy, resume=True)).fit_stream(batches[:2])


def test_settings_of_a_checkpoint(rows, tmp_path):
    with pytest.raises(ValueError, match="every must be at least 0"):
        Checkpoint(tmp_path, every=-1)
    assert Checkpoint(tmp_path).folder == str(tmp_path)
    with pytest.raises(ValueError, match="checkpoint"):
        SGDClassifier(checkpoint=str(tmp_path)).fit(*rows)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        SGDClassifier(checkpoint=Checkpoint(tmp_path / "file")).fit(*rows)


# ------------------------------------------------------------------------------------------------ full disks and kills


def test_full_disk(rows, tmp_path, monkeypatch):
    from hogwild import storage

    settings = SETTINGS | {"checkpoint": Checkpoint(tmp_path, every=0, resume=True)}
    write, calls = storage.write_whole, []

    @contextlib.contextmanager
    def filling(path):
        calls.append(path)
        with write(path) as file:
            if len(calls) == 4:
                file.write(b"the begin")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield file

    clf = SGDClassifier(**settings)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_whole", filling)
        with pytest.raises(OSError, match=r"No space left on device: '.*checkpoint-00000004.safetensors'"):
            clf.fit(*rows)
    assert clf.coef_.any()
    assert sorted(os.listdir(tmp_path)) == [f"checkpoint-0000000{n}.safetensors" for n in (2, 3)]
    same(SGDClassifier(**settings).fit(*rows), SGDClassifier(**SETTINGS).fit(*rows))


def test_really_full_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed")
    try:
        X, y = make_rcv1_like(N_ROWS, 120_000, row_length=8, random_state=0)  # 480 kB of weights: two fit, three do not
        with pytest.raises(OSError, match="No space left on device"):
            SGDClassifier(**SETTINGS, checkpoint=Checkpoint(folder, every=0)).fit(X, y)
        found = sorted(os.listdir(folder))
        assert found and all(name.startswith("checkpoint-") for name in found)
        about, arrays = Checkpoint(folder).newest()
        assert about["position"]["rows"] > 0 and len(arrays["model.coef"]) == 120_000
    finally:
        subprocess.run(["umount", folder], check=True)


KILLED = """
    import os, sys, time
    import numpy as np
    from hogwild import Checkpoint, SGDClassifier
    from hogwild.data import make_rcv1_like
    import hogwild.engine.training

    hogwild.engine.training.SLICE_SECONDS = 1e-9
    folder, times = sys.argv[1], int(sys.argv[2])
    X, y = make_rcv1_like(1300, 60, row_length=8, random_state=0)
    settings = dict(loss="log_loss", alpha=1e-4, max_iter=40, tol=None, random_state=0, learning_rate="adagrad")
    whole = SGDClassifier(**settings).fit(X, y)  # compiled before the first child is born
    rng = np.random.default_rng(0)
    written = []
    for number in range(times):
        path = f"{folder}/{number}"
        child = os.fork()
        if child == 0:
            try:
                SGDClassifier(**settings, checkpoint=Checkpoint(path, every=0)).fit(X, y)
            finally:
                os._exit(0)
        while not (os.path.isdir(path) and any(name[0] == "c" for name in os.listdir(path))):
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(child, 9)
        os.waitpid(child, 0)
        about, arrays = Checkpoint(path).newest()
        written.append(about["position"]["rows"])
        resumed = SGDClassifier(**settings, checkpoint=Checkpoint(path, every=0.01, resume=True)).fit(X, y)
        assert np.array_equal(resumed.coef_, whole.coef_) and np.array_equal(resumed.intercept_, whole.intercept_)
        assert resumed.loss_curve_ == whole.loss_curve_
        names = os.listdir(path)
        assert len(names) <= 2 and all(name.startswith("checkpoint-") for name in names), names
    print(len(written), len(set(written)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_time(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), tmp_path, "50"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stderr
    times, different = map(int, ended.stdout.split())
    assert times == 50 and different > 10
