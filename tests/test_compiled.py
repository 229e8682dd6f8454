"""Compiled kernels on disk: never stale, never needed, never torn."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import hogwild
from hogwild import compiled
from hogwild.compiled import barrier, compare_exchange, fetch_add, kernel, lock, sources_digest, unlock

PACKAGE = Path(hogwild.__file__).parent
SECONDS = 300  # for processes that compile, on a crowded machine

FIT = """
    import sys
    from pathlib import Path
    import numpy as np
    import hogwild
    from hogwild import SGDRegressor

    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    settings = dict(learning_rate="constant", eta0=0.01, penalty=None, max_iter=3, tol=None, shuffle=False)
    fitted = SGDRegressor(**settings).fit(X, X @ [1.0, 2.0, 3.0])
    from hogwild.compiled import kernel_cache
    print(Path(hogwild.__file__).parent, kernel_cache(), *fitted.coef_.tolist(), sep="\\n")
"""


class Run:
    """What a fit in a process of its own found, and where its package and its kernels lie."""

    def __init__(self, package: Path, **environment: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(package.parent), **environment}
        environment = {name: value for name, value in environment.items() if value}
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FIT)],
            env=environment,
            cwd=package.parent,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == 0, ended.stderr
        where, cache, *coef = ended.stdout.splitlines()
        assert Path(where) == package, "the copy was not what ran"
        self.cache, self.coef, self.stderr = Path(cache), [float(value) for value in coef], ended.stderr


def expected() -> np.ndarray:
    import naive

    X = np.random.default_rng(0).normal(size=(300, 3))
    s = naive.Settings(loss="squared_error", learning_rate="constant", eta0=0.01, penalty=None)
    return naive.fit(X, X @ [1.0, 2.0, 3.0], s, n_epochs=3).coef


@pytest.fixture
def package(tmp_path):
    """A copy of the package, in a folder of its own."""
    copy = tmp_path / "copy" / "hogwild"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def kernels(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_file() and not path.name.startswith("tmp-"))


@pytest.mark.slow
def test_an_edit_of_a_loss_changes_the_fits_of_new_processes(package, tmp_path):
    """The kernel that calls the loss lies in another file, which the edit does not touch."""
    cache = str(tmp_path / "cache")
    before = Run(package, HOGWILD_CACHE=cache)
    assert before.coef == pytest.approx(expected())
    losses = package / "losses.py"
    text = losses.read_text()
    assert text.count("    return p - y\n") == 1
    losses.write_text(text.replace("    return p - y\n", "    return 0.5 * (p - y)\n"))
    after = Run(package, HOGWILD_CACHE=cache)
    assert after.cache != before.cache
    assert after.cache.parent == before.cache.parent
    assert np.linalg.norm(np.subtract(after.coef, [1, 2, 3])) > 10 * np.linalg.norm(np.subtract(before.coef, [1, 2, 3]))
    losses.write_text(text)
    again = Run(package, HOGWILD_CACHE=cache)
    assert (again.cache, again.coef) == (before.cache, before.coef)


@pytest.mark.slow
def test_kernels_are_compiled_once_and_a_torn_one_again(package, tmp_path):
    cache = str(tmp_path / "cache")
    first = Run(package, HOGWILD_CACHE=cache)
    files = kernels(first.cache)
    assert files
    written = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
    second = Run(package, HOGWILD_CACHE=cache)
    assert second.coef == first.coef
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kernels(first.cache)} == written
    for k, path in enumerate(files):
        content = path.read_bytes()
        path.write_bytes([b"", content[:40], content[: len(content) // 2], content[:-1] + b"\0", content[::-1]][k % 5])
    third = Run(package, HOGWILD_CACHE=cache)
    assert third.coef == first.coef
    assert kernels(first.cache) == files
    assert all(path.stat().st_ino != written[path][1] for path in files)
    assert not list(first.cache.glob("tmp-*"))


@pytest.mark.slow
def test_two_processes_compile_at_once_without_harm(package, tmp_path):
    cache, runs, errors = str(tmp_path / "cache"), [], []

    def run():
        try:
            runs.append(Run(package, HOGWILD_CACHE=cache))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {tuple(run.coef) for run in runs} == {tuple(Run(package, HOGWILD_CACHE=cache).coef)}
    assert not list(runs[0].cache.glob("tmp-*"))


@pytest.mark.slow
def test_a_read_only_install_without_home_or_cache_works(package, tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    folders = [package.parent, *(path for path in package.rglob("*") if path.is_dir()), package]
    try:
        for folder in folders:
            folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        run = Run(package, HOME="/nonexistent", XDG_CACHE_HOME="", HOGWILD_CACHE=str(file / "below"))
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
    assert run.coef == pytest.approx(expected())
    assert not run.cache.exists(), "the private folder goes with its process"
    assert not list(package.rglob("*.nbi"))


@pytest.mark.slow
def test_no_home_at_all_works(package):
    run = Run(package, HOME="/nonexistent/home", XDG_CACHE_HOME="", HOGWILD_CACHE="")
    assert run.coef == pytest.approx(expected())


def test_digest_is_that_of_all_sources(package, monkeypatch):
    def digest() -> str:
        sources_digest.cache_clear()
        return sources_digest()

    mine = digest()
    monkeypatch.setattr(compiled, "__file__", str(package / "compiled.py"))
    assert digest() == mine, "the same sources elsewhere"
    for changed in ("losses.py", "engine/merge.py", "steps/sgd.py"):
        path = package / changed
        text = path.read_text()
        path.write_text(text + "\n# another\n")
        assert digest() != mine
        path.write_text(text)
    (package / "steps" / "new.py").write_text("")
    assert digest() != mine
    monkeypatch.undo()
    assert digest() == mine


def test_folder_of_another_user_is_not_read(tmp_path, monkeypatch):
    from hogwild.folders import writable

    folder = tmp_path / "theirs"
    folder.mkdir()
    assert writable(folder)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert not writable(folder)


# ---------------------------------------------------------------------------------------------- what threads share


@kernel
def _count(counts, locks, times):
    for _ in range(times):
        fetch_add(counts, np.uint64(0), np.int64(1))
        lock(locks, np.uint64(0))
        counts[8] += 1  # a plain addition, safe only under the lock
        unlock(locks, np.uint64(0))
        while True:
            seen = counts[16]
            if compare_exchange(counts, np.uint64(16), seen, seen + 1):
                break


@kernel
def _add_floats(total, times):
    for _ in range(times):
        fetch_add(total, np.uint64(0), total.dtype.type(1))


@kernel
def _rounds(state, parties, thread, counts, wrong, times):
    for k in range(times):
        counts[thread] = k
        barrier(state, parties)
        for other in range(np.uint64(parties)):
            if counts[other] != k:
                wrong[thread] += 1
        barrier(state, parties)


def at_once(function, calls) -> None:
    threads = [threading.Thread(target=function, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


N_THREADS = 4 * min(os.cpu_count() or 1, 8)


def test_counts_of_many_threads_are_exact():
    counts, locks = np.zeros(24, np.int64), np.zeros(8, np.int64)
    _count(counts, locks, 0)
    at_once(_count, [(counts, locks, 20_000)] * N_THREADS)
    assert counts[[0, 8, 16]].tolist() == [20_000 * N_THREADS] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_atomic_additions_of_floats_are_exact(dtype):
    total = np.zeros(1, dtype)
    _add_floats(total, 0)
    at_once(_add_floats, [(total, 20_000)] * N_THREADS)
    assert total[0] == 20_000 * N_THREADS


def test_no_thread_passes_a_barrier_before_the_last_has_come():
    state, counts = np.zeros(16, np.int64), np.zeros(N_THREADS, np.int64)
    wrong = np.zeros(N_THREADS, np.int64)
    _rounds(state, np.int64(1), np.uint64(0), counts, wrong, 0)
    calls = [(state, np.int64(N_THREADS), np.uint64(k), counts, wrong, 200) for k in range(N_THREADS)]
    at_once(_rounds, calls)
    assert not wrong.any()


@kernel
def _finite(x):
    return np.isfinite(x)


def test_kernels_see_numbers_that_are_not_finite():
    assert [_finite(x) for x in (1.0, np.inf, -np.inf, np.nan)] == [True, False, False, False]


def _named() -> type:
    """A class of this name: two of them have one text, and are two types."""
    return namedtuple("NamedAlike", "x")


@kernel
def _read_named(named):
    return named.x + 1.0


def test_a_class_of_the_same_name_is_another_type():
    first, second = _named(), _named()
    assert _read_named(first(1.0)) == 2.0
    assert _read_named(second(2.0)) == 3.0
    loads = []
    original = _read_named._cache.load_overload
    _read_named._cache.load_overload = lambda *args: loads.append(args) or original(*args)
    assert _read_named(second(3.0)) == 4.0
    assert not loads  # the first class's code, taken for it, was loaded from disk at every call
