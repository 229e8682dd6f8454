"""`hogwild cluster train`: what it refuses, says and writes; Ctrl-C leaves a checkpoint, --resume goes on."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli.lines import error, run

import hogwild
from hogwild.cli import cluster
from hogwild.cli.main import app
from hogwild.cluster.checkpoints import Checkpoints
from hogwild.data import dump_svmlight, load_svmlight, make_rcv1_like
from hogwild.models import describe

if not any(group.name == "cluster" for group in app.registered_groups):
    app.add_typer(cluster.app, name="cluster")

MAIN = (
    "from hogwild.cli import cluster\n"
    "from hogwild.cli.main import app, main\n"
    "if not any(group.name == 'cluster' for group in app.registered_groups):\n"
    "    app.add_typer(cluster.app, name='cluster')\n"
    "main()"
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cv", 3), "not on a cluster: a job trains one setting"),
        (("--cache=off",), "not on a cluster: write shards once"),
        (("--alpha", "1e-6,1e-5"), "found 2 numbers: a job trains one setting"),
        (("--resume",), "give --checkpoint FOLDER"),
        (("--staleness", 2, "--consistency", "asp"), "it belongs to ssp, found --consistency asp"),
        (("--workers", 0), "found 0, expected 1 or more"),
    ],
)
def test_refuses(tmp_path, words, message):
    assert message in error("cluster", "train", tmp_path / "rows.svm", "-m", tmp_path / "m", *words, status=2)


def test_standard_input_is_refused(tmp_path):
    assert "other nodes do not see standard input" in error("cluster", "train", "-", "-m", tmp_path / "m", status=2)


def test_without_ray(files, tmp_path, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else found(name, *rest))
    line = error("cluster", "train", files / "two.svm.gz", "-m", tmp_path / "m")
    assert line == "error: training on a cluster needs Ray, which is not installed: pip install hogwild[ray]"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_trains(files, tmp_path):
    pytest.importorskip("ray")
    words = ("cluster", "train", files / "two.svm.gz", "-m", tmp_path / "m", "--workers", 2, "--shards", 2)
    shown = run(*words, "--epochs", 5, "--valid", files / "two-valid.svm").text
    assert "data      two.svm.gz: 1,000 rows, 60 features\n" in shown
    assert "exchange  ssp, staleness 4, self-tuned, rows by measuring\n" in shown
    assert "worker/" in shown and "evictions  0, 0 rows stepped twice\n" in shown
    assert describe(tmp_path / "m")["class"] == "SGDClassifier"
    X, y = load_svmlight(files / "two-valid.svm", zero_based=False, n_features=60)
    assert hogwild.load(tmp_path / "m").score(X, y) > 0.7
    assert "accuracy" in run("evaluate", tmp_path / "m", files / "two-valid.svm").text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_rows_with_fields_train_an_ffm(tmp_path):
    pytest.importorskip("ray")
    rng = np.random.default_rng(0)
    lines = [f"{int((a + b) % 2)} 0:{a}:1 1:{20 + b}:1\n" for a, b in rng.integers(0, 20, (4_000, 2))]
    (tmp_path / "rows.ffm").write_text("".join(lines))
    run("cache", tmp_path / "rows.ffm", tmp_path / "rows.hog", "--quiet")
    words = ("cluster", "train", tmp_path / "rows.hog", "-m", tmp_path / "m", "--workers", 2, "--epochs", 20)
    assert "model     FFMClassifier, 4 factors\n" in run(*words).text
    assert describe(tmp_path / "m")["class"] == "FFMClassifier"


def rows_saved(folder):
    """Whether a complete checkpoint holds rows that have been stepped."""
    found = Checkpoints(folder).newest_committed() if folder.is_dir() else None
    return found is not None and any(found[1]["coordinator"]["ledger"]["done"].values())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ctrl_c_leaves_a_checkpoint_and_no_process(tmp_path):
    pytest.importorskip("ray")
    psutil = pytest.importorskip("psutil")
    X, y = make_rcv1_like(20_000, 2_000, random_state=0)
    dump_svmlight(X, y, tmp_path / "rows.svm")
    words = ["cluster", "train", tmp_path / "rows.svm", "-m", tmp_path / "m", "--checkpoint", tmp_path / "saved"]
    words = [str(word) for word in [*words, "--workers", 2, "--every", "0.5s"]]
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words, "--epochs", "100000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    while child.poll() is None and not rows_saved(tmp_path / "saved"):
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    started = psutil.Process(child.pid).children(recursive=True)
    assert started
    os.killpg(child.pid, signal.SIGINT)  # what a terminal sends: to all of the group
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 130, errors
    assert "the model so far is in" in errors and "--resume goes on from" in errors
    assert not psutil.wait_procs(started, timeout=20)[1]
    assert hogwild.load(tmp_path / "m").coef_.any()
    # the epochs that are done are enough
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *words, "--epochs", "1", "--resume"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
