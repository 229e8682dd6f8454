"""`hogwild train` on rows beyond memory: caches, streams, checkpoints, held-out rows."""

import json
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from cli.conftest import data
from cli.lines import error, run

import hogwild
from hogwild.cli import caching
from hogwild.data import dump_svmlight, make_rcv1_like
from hogwild.models import describe

QUICK = ("-j", 1, "--epochs", 3)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A file of rows, and a folder of the user's caches that is this test's own."""
    monkeypatch.setenv("HOGWILD_CACHE", str(tmp_path / "user"))
    X, y = data()
    dump_svmlight(X, (y > 0) * 2 - 1, tmp_path / "rows.svm")
    return tmp_path / "rows.svm"


def caches(folder):
    found = folder / "user" / "data"
    return sorted(found.iterdir()) if found.exists() else []


def accuracy(model, *names):
    return json.loads(run("evaluate", model, *names, "--json").stdout)["accuracy"]


# ------------------------------------------------------------------------------------------------ caches


def test_rows_beyond_memory_go_through_a_cache(rows, tmp_path):
    words = ("train", rows, "-m", tmp_path / "m", *QUICK, "--memory", "50kB")
    first = run(*words)
    (path,) = caches(tmp_path)
    said, cached, *rest = first.text.splitlines()
    assert re.fullmatch(
        rf"cache  {path}, about [\d.]+ kB: to be written \(--memory 50 kB, --cache off for none\)", said
    )
    assert re.fullmatch(r"cached  [\d.]+ kB, 1,200 rows in \d+ blocks, [\d.]+ s, [\d.]+ .B/s of text", cached)
    assert rest[0].startswith("data      rows.svm: 1,200 rows, 60 features, ")
    assert rest[0].endswith(f"cache {path}")
    assert re.search(r"trained  T s, R rows/s, 1 thread; \d+% stepping, \d+% waiting for rows", first.text)
    model = hogwild.load(tmp_path / "m").coef_
    before = path.stat().st_mtime_ns
    again = run(*words)
    assert again.text.startswith(f"cache  {path}: ") and "used again" in again.text
    assert path.stat().st_mtime_ns == before and caches(tmp_path) == [path]
    assert np.array_equal(hogwild.load(tmp_path / "m").coef_, model)
    assert accuracy(tmp_path / "m", rows) > 0.7


@pytest.mark.slow
def test_another_state_makes_another_cache(rows, tmp_path):
    words = ("train", rows, "-m", tmp_path / "m", *QUICK, "--cache", "on", "--quiet")
    run(*words)
    run(*words)
    assert len(caches(tmp_path)) == 1
    with rows.open("a") as file:
        file.write("1 1:1 70:1\n")
    run(*words)
    assert len(caches(tmp_path)) == 2
    assert hogwild.load(tmp_path / "m").n_features_in_ == 70
    run(*words, "--option", "zero_based=true")
    assert len(caches(tmp_path)) == 3
    assert hogwild.load(tmp_path / "m").n_features_in_ == 71
    run(*words, "--task", "regression")
    assert len(caches(tmp_path)) == 3  # it read the same


def test_a_cache_at_a_path(rows, tmp_path):
    path = tmp_path / "mine.hog"
    words = ("train", rows, "-m", tmp_path / "m", *QUICK, "--cache", path)
    assert "to be written" in run(*words).stdout
    assert "used again" in run(*words).stdout
    rows.write_text(rows.read_text() + "1 1:1\n")
    assert "to be written" in run(*words).stdout
    assert "1,201 rows" in run(*words).stdout
    path.write_bytes(path.read_bytes()[:-10])
    assert "to be written" in run(*words).stdout  # a damaged one is made anew
    assert caches(tmp_path) == []
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_small_rows_need_no_cache(rows, tmp_path):
    shown = run("train", rows, "-m", tmp_path / "m", *QUICK).text
    assert "cached" not in shown and caches(tmp_path) == []
    shown = run("train", rows, "-m", tmp_path / "m", *QUICK, "--cache", "off", "--memory", "1kB").text
    assert "data      rows.svm: read anew in each epoch" in shown and caches(tmp_path) == []
    shown = run("train", rows, "-m", tmp_path / "m", "-j", 1, "--epochs", 1, "--cache", "off", "--memory", "1kB").text
    assert "data      rows.svm: read as they come" in shown


def test_too_little_disk(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(caching, "free_disk", lambda folder: 1000)
    found = error("train", rows, "-m", tmp_path / "m", "--cache", "on", "--quiet")
    assert re.search(
        r"rows-[\w-]+.hog: found 1 kB free on this disk, expected \d+ kB for a cache and its temporary", found
    )
    assert "--cache PATH" in found and "off" in found
    assert "found 1 kB free" in error("cache", rows, tmp_path / "x.hog")
    assert not (tmp_path / "m").exists() and not (tmp_path / "x.hog").exists()


def test_the_same_model_from_everywhere(rows, tmp_path):
    ways = {
        "memory": (),
        "cache": ("--cache", "on"),
        "stream": ("--cache", "off", "--memory", "1kB"),
    }
    found = {}
    for name, extra in ways.items():
        run("train", rows, "-m", tmp_path / name, "-j", 1, "--epochs", 30, "--alpha", 1e-3, "--quiet", *extra)
        found[name] = hogwild.load(tmp_path / name)
    run("cache", rows, tmp_path / "rows.hog", "--quiet")
    run("train", tmp_path / "rows.hog", "-m", tmp_path / "hog", "-j", 1, "--epochs", 30, "--alpha", 1e-3, "--quiet")
    found["hog"] = hogwild.load(tmp_path / "hog")
    memory = found["memory"]
    for name, model in found.items():
        assert model.coef_.shape == memory.coef_.shape, name
        np.testing.assert_allclose(model.coef_, memory.coef_, atol=0.1, err_msg=name)
        assert model.t_ == memory.t_
        heaviest = 1 + int(model.coef_[0].argmax())
        assert f"  {heaviest}:" in run("inspect", tmp_path / name, "--top", 3).text
    assert np.array_equal(found["hog"].coef_, found["cache"].coef_)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("way", [(), ("--cache", "on"), ("--cache", "off", "--memory", "1kB"), None])
def test_features_count_as_in_the_file(tmp_path, monkeypatch, first, way):
    monkeypatch.setenv("HOGWILD_CACHE", str(tmp_path))
    (tmp_path / "rows.svm").write_text("".join(f"{i % 2} {first + i % 2}:1 5:1\n" for i in range(40)))
    source = tmp_path / "rows.svm"
    if way is None:
        source, way = tmp_path / "rows.hog", ()
        run("cache", tmp_path / "rows.svm", source, "-q")
    run("train", source, "-m", tmp_path / "m", "-j", 1, "--quiet", *way)
    assert describe(tmp_path / "m")["extra"]["reader"]["options"]["zero_based"] == (first == 0)
    assert hogwild.load(tmp_path / "m").n_features_in_ == 6 - first
    (tmp_path / "new.svm").write_text(f"1 {first + 1}:1\n")
    assert run("predict", tmp_path / "m", tmp_path / "new.svm").stdout == "1\n"
    assert f"  {first + 1}:" in run("inspect", tmp_path / "m").stdout
    run("cache", tmp_path / "new.svm", tmp_path / "new.hog", "-q")
    assert run("predict", tmp_path / "m", tmp_path / "new.hog").stdout == "1\n"
    assert accuracy(tmp_path / "m", source) == 1


# ------------------------------------------------------------------------------------------------ standard input


SCRIPT = [sys.executable, "-m", "hogwild.cli.main"]


def piped(content, *words, env=None):
    command = [*SCRIPT, *map(str, words)]
    return subprocess.run(command, input=content, capture_output=True, env={**os.environ, **(env or {})}, timeout=300)


@pytest.mark.slow
def test_standard_input(rows, tmp_path):
    content = rows.read_bytes()
    cache = tmp_path / "piped.hog"
    for extra in (("--cache", cache), ("--cache", "off", "--epochs", "1")):
        ended = piped(content, "train", "-", "-m", tmp_path / "m", "-j", "1", *extra)
        assert ended.returncode == 0, ended.stderr
        assert b"standard input" in ended.stdout
        assert accuracy(tmp_path / "m", rows) > 0.7
    ended = piped(content, "train", "-", "-m", tmp_path / "n", "-j", "1", "--cache", "off", "--epochs", "2", "-q")
    assert ended.returncode == 1 and ended.stderr.startswith(b"error: standard input can be read only once")
    predicted = piped(content, "predict", tmp_path / "m", "-")
    assert predicted.stdout.decode() == run("predict", tmp_path / "m", rows).stdout
    ended = piped(b"", "train", "-", "-m", tmp_path / "n", "--cache", cache)
    assert ended.returncode == 1 and b"no rows" in ended.stderr and ended.stderr.count(b"\n") == 1


# ------------------------------------------------------------------------------------------------ bad lines


@pytest.mark.parametrize("extra", [(), ("--cache", "on"), ("--cache", "off", "--memory", "1kB")])
def test_bad_lines(rows, tmp_path, extra):
    rows.write_text(rows.read_text() + "1 2:x\n-1 1:1\n1 1:1:1\n")
    words = ("train", rows, "-m", tmp_path / "m", *QUICK, *extra)
    assert "rows.svm, line 1201, column" in error(*words, "--quiet")
    assert not (tmp_path / "m").exists()
    result = run(*words, "--bad-lines", "skip")
    assert re.search(
        r"warning: rows.svm: 2 bad lines were left out, the first: .*rows.svm, line 1201, column", result.stderr
    )
    assert result.stderr.count("warning") == 1
    result = run("predict", tmp_path / "m", rows, "--bad-lines", "skip")
    assert len(result.stdout.splitlines()) == 1201 and "2 bad lines were left out" in result.stderr


@pytest.mark.parametrize("extra", [(), ("--cache", "on"), ("--cache", "off", "--memory", "1kB")])
def test_rows_that_cannot_be_trained_on(tmp_path, monkeypatch, extra):
    monkeypatch.setenv("HOGWILD_CACHE", str(tmp_path))
    for text, message in (
        ("", "no rows"),
        ("1\n0\n", "found rows without any feature"),
        ("1 1:1\n1 2:1\n", "one class only"),
    ):
        (tmp_path / "rows.svm").write_text(text)
        found = error("train", tmp_path / "rows.svm", "-m", tmp_path / "m", "--quiet", *extra)
        assert message in found
        assert not (tmp_path / "m").exists()


# ------------------------------------------------------------------------------------------------ holding out, patience


@pytest.mark.parametrize("extra", [(), ("--cache", "on")])
def test_holding_out(rows, tmp_path, extra):
    words = ("train", rows, "-m", tmp_path / "m", "-j", 1, *extra, "--holdout", 5)
    shown = run(*words, "--epochs", 3).text
    assert re.search(r"held out  accuracy 0\.\d{5} on one row in 5", shown)
    assert hogwild.load(tmp_path / "m").t_ == 1 + 3 * 960
    assert len(describe(tmp_path / "m")["fitted"]["validation_scores_"]) == 3
    run(*words, "--epochs", 100, "--patience", 2, "--quiet")
    assert 2 < describe(tmp_path / "m")["fitted"]["n_iter_"] < 100


def test_holding_out_needs_the_rows_at_hand(rows, tmp_path):
    words = ("train", rows, "-m", tmp_path / "m", *QUICK, "--cache", "off", "--memory", "1kB", "--quiet")
    assert "--holdout needs all rows at hand: leave out --cache off" in error(*words, "--holdout", 5)
    assert "--class-weight balanced needs all rows at hand" in error(*words, "--class-weight", "balanced")
    run(*words, "--class-weight", "1=2")


@pytest.mark.parametrize("extra", [(), ("--cache", "on"), ("--cache", "off", "--memory", "1kB")])
def test_patience(rows, tmp_path, extra):
    words = ("train", rows, "-m", tmp_path / "m", "-j", 1, *extra, "--epochs", 100, "--patience", 2, "--quiet")
    run(*words)
    assert 2 < describe(tmp_path / "m")["fitted"]["n_iter_"] < 100
    run(*words, "--valid", rows, "--metric", "accuracy")
    assert 2 < describe(tmp_path / "m")["fitted"]["n_iter_"] < 100


def test_wishes_that_exclude_each_other(rows, tmp_path):
    words = ("train", rows, "-m", tmp_path / "m")
    assert "--holdout" in error(*words, "--holdout", 5, "--valid", rows, status=2)
    assert "--checkpoint FOLDER" in error(*words, "--resume", status=2)
    assert "expected a time such as 30s" in error(*words, "--every", "soon", status=2)
    assert "expected a size such as 500MB" in error(*words, "--memory", "much", status=1)


# ------------------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("extra", [(), ("--cache", "on"), ("--cache", "off", "--memory", "1kB")])
def test_more_epochs_from_a_checkpoint(rows, tmp_path, extra):
    words = ("train", rows, "-m", tmp_path / "m", "-j", 1, *extra, "--penalty", "none", "--quiet")
    run(*words, "--epochs", 6)
    whole = hogwild.load(tmp_path / "m").coef_
    folder = tmp_path / "checkpoints"
    run(*words, "--epochs", 2, "--checkpoint", folder)
    assert len(os.listdir(folder)) == 1
    run(*words, "--epochs", 6, "--checkpoint", folder, "--resume", "--every", "0s")
    np.testing.assert_allclose(hogwild.load(tmp_path / "m").coef_, whole, rtol=1e-5, atol=1e-6)
    assert len(os.listdir(folder)) == 2
    assert describe(tmp_path / "m")["fitted"]["n_iter_"] == 6
    found = error(*words, "--epochs", 6, "--checkpoint", folder, "--resume", "--alpha", 1e-3, "--penalty", "l1")
    assert "penalty was None, is 'l1'" in found
    run(*words, "--epochs", 6, "--checkpoint", folder, "--resume")  # nothing is left to do
    assert hogwild.load(tmp_path / "m").t_ == 1 + 6 * 1200


INTERRUPTED = """
    import os, signal, sys
    import hogwild.engine.training
    from hogwild.cli import history
    from hogwild.cli.main import main

    hogwild.engine.training.SLICE_SECONDS = 1e-9
    told, tell = [], history.History.__call__

    def interrupt(self, progress):
        told.append(progress)
        if len(told) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return tell(self, progress)

    history.History.__call__ = interrupt
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("extra", [(), ("--cache", "mine.hog"), ("--cache", "off", "--memory", "1kB")])
def test_ctrl_c_then_resume_is_as_if_nothing_had_been(rows, tmp_path, extra):
    words = ["train", rows, "-m", "m", "-j", 1, "--epochs", 4, *extra, "--quiet", "--penalty", "l1", "--alpha", 1e-4]
    words = [*map(str, words)]
    environment = {"env": {**os.environ}, "cwd": tmp_path, "capture_output": True, "timeout": 300}
    assert subprocess.run([*SCRIPT, *words], **environment).returncode == 0
    whole = hogwild.load(tmp_path / "m")
    script = [sys.executable, "-c", textwrap.dedent(INTERRUPTED)]
    ended = subprocess.run([*script, *words, "--checkpoint", "c"], **environment)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr == b"error: interrupted in epoch 2: the model so far is in m\n"
    assert hogwild.load(tmp_path / "m").t_ < whole.t_
    ended = subprocess.run([*SCRIPT, *words, "--checkpoint", "c", "--resume"], **environment)
    assert ended.returncode == 0, ended.stderr
    resumed = hogwild.load(tmp_path / "m")
    assert np.array_equal(resumed.coef_, whole.coef_) and np.array_equal(resumed.intercept_, whole.intercept_)
    assert resumed.loss_curve_ == whole.loss_curve_ and resumed.t_ == whole.t_


# ------------------------------------------------------------------------------------------------ labels


def test_regression_and_many_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("HOGWILD_CACHE", str(tmp_path))
    X, _ = make_rcv1_like(1000, 40, row_length=8, random_state=0)
    dump_svmlight(X, np.round(X @ np.linspace(-1, 1, 40), 4) + 0.00005, tmp_path / "rows.svm")
    for extra in (("--cache", "on"), ("--cache", "off", "--memory", "1kB")):
        shown = run("train", tmp_path / "rows.svm", "-m", tmp_path / "m", *QUICK, *extra).text
        assert "regression (the labels are numbers with fractions)" in shown and "step size  eta0" in shown
        scores = json.loads(run("evaluate", tmp_path / "m", tmp_path / "rows.svm", "--json").stdout)
        assert scores["r2"] > 0.5


def test_balanced_class_weight_of_a_cache(rows, tmp_path):
    words = ("train", rows, "-m", tmp_path / "m", *QUICK, "--class-weight", "balanced", "--quiet")
    run(*words)
    memory = hogwild.load(tmp_path / "m")
    run(*words, "--cache", "on")
    np.testing.assert_allclose(hogwild.load(tmp_path / "m").intercept_, memory.intercept_, atol=0.3)


# ------------------------------------------------------------------------------------------------ memory


MEASURED = """
    import resource, sys
    from hogwild.cli.main import app

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def train(name, *options):
        app(["train", name, "-m", sys.argv[3], "-j", "2", "--epochs", "2", "--quiet", *options], standalone_mode=True)

    for name, options in ((sys.argv[1], ()), (sys.argv[2], sys.argv[4:])):
        try:
            train(name, *options)
        except SystemExit as end:
            assert not end.code, end.code
        print(peak(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is another unit elsewhere")
@pytest.mark.parametrize("cache", ["rows.hog", "off"])
def test_memory_stays_what_was_asked_for(tmp_path, cache):
    from hogwild.data import write_svmlight
    from hogwild.data.batch import Batch

    memory, width, n_rows, length = 40 << 20, 100_000, 50_000, 20
    rng = np.random.default_rng(0)

    def batches(n):
        for _ in range(n):
            indices = (width * rng.random((n_rows, length)) ** 3).astype(np.uint32)
            indices = np.sort(indices, axis=1) + np.arange(length, dtype=np.uint32)  # unique within a row
            values = np.ones(n_rows * length, np.float32)
            ends = np.arange(0, n_rows * length + 1, length, dtype=np.uint64)
            yield Batch(ends, indices.ravel(), values, rng.integers(0, 2, n_rows))

    n = 30
    assert n * n_rows * (length * 8 + 16) > 6 * memory
    write_svmlight(batches(n), tmp_path / "large.svm")
    tiny = next(batches(1)).rows(0, 2000)
    write_svmlight([tiny], tmp_path / "tiny.svm")
    words = [tmp_path / "tiny.svm", tmp_path / "large.svm", tmp_path / "m", "--memory", str(memory), "--cache", cache]
    command = [sys.executable, "-c", textwrap.dedent(MEASURED), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=500)
    assert ended.returncode == 0, ended.stderr
    before, after = map(int, ended.stdout.split())
    parameters = 3 * 4 * width
    print(f"{cache}: {(after - before) / 2**20:.0f} MiB more, {memory / 2**20:.0f} MiB were allowed")
    assert after - before < memory + parameters + (100 << 20)
