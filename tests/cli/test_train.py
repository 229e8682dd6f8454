"""`hogwild train`: what it says, chooses, refuses and writes."""

import signal
import subprocess
import sys
import time
from typing import get_args

import numpy as np
import pytest
from cli.lines import error, run

import hogwild
from hogwild.cli import options
from hogwild.data import dump_svmlight, load_svmlight, make_rcv1_like
from hogwild.engine.engines import ENGINES
from hogwild.losses import LOSSES
from hogwild.models import describe
from hogwild.penalties import PENALTIES
from hogwild.schedules import SCHEDULES


def test_names_are_those_of_the_modules():
    assert set(get_args(options.Loss)) == set(LOSSES)
    assert set(get_args(options.Schedule)) == set(SCHEDULES)
    assert set(get_args(options.EngineName)) == set(ENGINES)
    assert set(get_args(options.Penalty)) == {penalty or "none" for penalty in PENALTIES}


def test_golden(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("train", files / "two.svm.gz", "-m", "m", "-j", 1, "--epochs", 3, "--valid", files / "two-valid.svm")
    lines = run(*words).text.splitlines()
    assert lines[:6] == [
        "data      two.svm.gz: 1,000 rows, 60 features, 8,018 nonzeros",
        "task      classification, 2 classes (the labels are 2 different integers)",
        "loss      log_loss",
        "penalty   l2, alpha 1e-06",
        "schedule  adagrad, eta0 0.3",
        "epochs    3",
    ]
    assert lines[7].split() == ["training", "validation"]
    assert [line.split("  ")[1] for line in lines[9:13]] == [
        "log loss",
        "AUC",
        "accuracy",
        "base rate (most frequent class)",
    ]
    assert lines[-3:] == ["trained  T s, R rows/s, 1 thread", "engine   Sequential()", "model    m"]
    clf = hogwild.load("m")
    X, y = load_svmlight(files / "two.svm.gz")
    assert lines[11].split()[1] == f"{clf.score(X, y):.5f}"
    again = hogwild.SGDClassifier(
        "log_loss", alpha=1e-6, learning_rate="adagrad", eta0=0.3, max_iter=3, tol=None, random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(clf.coef_, again.coef_, rtol=1e-5)  # validation brings the weights up to date in between
    run(*words[:-2], "--quiet")
    quiet = hogwild.load("m").coef_
    run(*words[:-2], "--quiet")
    np.testing.assert_array_equal(hogwild.load("m").coef_, quiet)  # -j 1 is exact


@pytest.mark.parametrize(
    ("name", "wishes", "task"),
    [
        ("two", (), "classification, 2 classes (the labels are 2 different integers)"),
        ("words", (), "classification, 3 classes (the labels are words)"),
        ("numbers", (), "regression (the labels are numbers with fractions)"),
        ("two", ("--task", "regression"), "regression (as asked)"),
    ],
)
def test_task(files, tmp_path, name, wishes, task):
    shown = run("train", files / f"{name}.svm.gz", "-m", tmp_path / "m", "-j", 1, "--epochs", 2, *wishes).text
    assert f"task      {task}\n" in shown
    about = describe(tmp_path / "m")
    assert about["class"] == ("SGDRegressor" if "regression" in task else "SGDClassifier")
    assert about["parameters"]["learning_rate"] == ("search" if "regression" in task else "adagrad")
    assert ("RMSE" in shown) == ("regression" in task)


def test_many_integers_are_numbers_unless_asked(tmp_path):
    X, _ = make_rcv1_like(300, 40)
    dump_svmlight(X, np.arange(300) // 2, tmp_path / "years.svm")
    words = ("train", tmp_path / "years.svm", "-m", tmp_path / "m", "-j", 1, "--epochs", 1)
    assert "regression (the labels are 150 different integers; --task classification" in run(*words).text
    assert "classification, 150 classes (as asked)" in run(*words, "--task", "classification").text


def test_settings_reach_the_estimator(files, tmp_path):
    run(
        *("train", files / "words.svm.gz", "-m", tmp_path / "m", "-j", 2, "--quiet", "--loss", "modified_huber"),
        *("--penalty", "elasticnet", "--alpha", 1e-4, "--l1-ratio", 0.3, "--schedule", "invscaling", "--eta0", 0.2),
        *("--epochs", 2, "--engine", "shared", "--class-weight", "spam=2,häm=0.5", "--seed", 7),
    )
    wanted = {
        "loss": "modified_huber",
        "penalty": "elasticnet",
        "alpha": 1e-4,
        "l1_ratio": 0.3,
        "learning_rate": "invscaling",
        "eta0": 0.2,
        "max_iter": 2,
        "engine": "shared",
        "class_weight": {"spam": 2.0, "häm": 0.5},
        "random_state": 7,
        "n_jobs": 2,
    }
    found = describe(tmp_path / "m")["parameters"]
    assert {name: found[name] for name in wanted} == wanted


def test_settings_of_some_losses_reach_the_estimator(files, tmp_path):
    words = ("--quiet", "--epochs", 2, "-m", tmp_path / "m")
    run("train", files / "words.svm.gz", *words, "--multi-class", "crammer_singer", "--loss", "hinge")
    found = describe(tmp_path / "m")["parameters"]
    assert (found["multi_class"], found["loss"]) == ("crammer_singer", "hinge")
    run("train", files / "numbers.svm.gz", *words, "--loss", "quantile", "--quantile", 0.9)
    found = describe(tmp_path / "m")["parameters"]
    assert (found["quantile"], found["loss"]) == (0.9, "quantile")


@pytest.mark.parametrize("engine", ["locked", "round_robin", "delayed", "batch", "minibatch"])
def test_baselines_train_as_they_are_called(files, tmp_path, engine):
    run("train", files / "two.svm.gz", "-m", tmp_path / "m", "-j", 2, "--engine", engine, "--epochs", 2, "--quiet")
    found = describe(tmp_path / "m")["parameters"]
    assert found["engine"] == engine
    assert found["learning_rate"] == ("search" if "batch" in engine else "adagrad")  # which has no mean gradients
    model = hogwild.load(tmp_path / "m")
    assert model.engine_ == ENGINES[engine]
    assert model.n_threads_ == (1 if engine in ("delayed", "minibatch") else 2)


def test_penalty_none_and_quiet(files, tmp_path):
    words = ("train", files / "two.svm.gz", "-m", tmp_path / "m", "-j", 1, "--penalty", "none", "--epochs", 1)
    assert run(*words, "--quiet").output == ""
    assert hogwild.load(tmp_path / "m").penalty is None


def test_strong_penalty_is_warned_of(files, tmp_path):
    result = run("train", files / "two.svm.gz", "-m", tmp_path / "m", "-j", 1, "--alpha", 2, "--quiet")
    assert "warning: alpha x rows is 2,000, more than 1,000" in result.stderr


@pytest.mark.parametrize("first", [0, 1])
def test_features_count_as_in_the_file(tmp_path, first):
    rows = "".join(f"{i % 2} {first + i % 2}:1 5:1\n" for i in range(40))
    (tmp_path / "rows.svm").write_text(rows)
    run("train", tmp_path / "rows.svm", "-m", tmp_path / "m", "-j", 1, "--quiet")
    assert describe(tmp_path / "m")["extra"]["reader"]["options"]["zero_based"] == (first == 0)
    (tmp_path / "new.svm").write_text(f"1 {first + 1}:1\n")  # without an index 0 it could be taken for the other kind
    assert run("predict", tmp_path / "m", tmp_path / "new.svm").stdout == "1\n"
    assert f"  {first + 1}:" in run("inspect", tmp_path / "m").stdout


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1:0.5\n-1 2:0.5x\n", "rows.svm, line 2, column 6: found '0.5x'"),
        ("nan 1:1\n1 1:2\n", "rows.svm, line 1, column 1: found 'nan'"),
        ("1 1:nan\n0 1:2\n", "rows.svm, line 1, column 5: found 'nan'"),
        ("1 1:1\n1 2:1\n", "rows.svm: found one class only (1), expected two or more"),
        ("1\n2\n", "rows.svm: found rows without any feature"),
        ("", "rows.svm: found a file that holds no rows"),
    ],
)
def test_bad_rows(tmp_path, text, message):
    (tmp_path / "rows.svm").write_text(text)
    assert message in error("train", tmp_path / "rows.svm", "-m", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_bad_files(files, tmp_path):
    assert error("train", "none.svm", "-m", tmp_path / "m") == "error: none.svm: no such file or directory"
    (tmp_path / "cut.svm.gz").write_bytes((files / "two.svm.gz").read_bytes()[:-100])
    assert "cut.svm.gz: found a truncated file" in error("train", tmp_path / "cut.svm.gz", "-m", tmp_path / "m")
    two = files / "two.svm.gz"
    assert "no folder" in error("train", two, "-m", tmp_path / "no" / "m")
    assert "found a folder" in error("train", two, "-m", tmp_path)
    assert "not compressed" in error("train", two, "-m", tmp_path / "m.xz")
    assert "words.svm.gz, line 1, column 1: found '" in error(
        "train", files / "words.svm.gz", "-m", tmp_path / "m", "--task", "regression"
    )
    assert "with fractions" in error(
        "train", files / "numbers.svm.gz", "-m", tmp_path / "m", "--task", "classification"
    )


@pytest.mark.parametrize(
    ("name", "wishes", "message"),
    [
        ("numbers", ("--metric", "auc", "--valid"), "found --metric auc for regression, expected one of mae, rmse, r2"),
        ("two", ("--metric", "r2", "--valid"), "found --metric r2 for classification"),
        ("numbers", ("--loss", "hinge", "--valid"), "found --loss hinge for regression"),
        ("two", ("--loss", "poisson", "--valid"), "found --loss poisson for classification"),
        ("two", ("--quantile", "0.2", "--valid"), "found --quantile without --loss quantile"),
        ("numbers", ("--multi-class", "multinomial", "--valid"), "--multi-class for regression"),
        ("words", ("--multi-class", "multinomial", "--loss", "hinge", "--valid"), "expected log_loss"),
        ("words", ("--multi-class", "crammer_singer", "--loss", "huber", "--valid"), "expected hinge"),
        ("numbers", ("--class-weight", "balanced", "--valid"), "no classes"),
        ("two", ("--class-weight", "spam=2", "--valid"), "for 'spam', expected one of -1, 1"),
        ("two", ("--class-weight", "heavy", "--valid"), "expected balanced or label=weight"),
    ],
)
def test_wishes_that_do_not_fit(files, tmp_path, name, wishes, message):
    words = ("train", files / f"{name}.svm.gz", "-m", tmp_path / "m", *wishes, files / f"{name}-valid.svm")
    assert message in error(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train",), "Missing"),
        (("fly",), "No such command"),
        (("train", "x", "-m", "m", "--loss", "absolute"), "--loss"),
        (("train", "x", "-m", "m", "--epochs", "0"), "--epochs"),
        (("train", "x", "-m", "m", "-j", "0"), "0 threads"),
        (("train", "x", "-m", "m", "--quantile", "1"), "expected a number between 0 and 1"),
        (("train", "x", "-m", "m", "--metric", "auc"), "--valid"),
    ],
)
def test_wrong_usage(words, message):
    assert message in error(*words, status=2)


def test_divergence_says_what_to_do(tmp_path):
    X, y = make_rcv1_like(1000, 50)
    dump_svmlight(X * np.float32(1e6), y, tmp_path / "rows.svm")
    words = ("train", tmp_path / "rows.svm", "-m", tmp_path / "m", "-j", 1, "--task", "regression", "--eta0")
    message = error(*words, 1e25, "--schedule", "constant", "--quiet")
    assert "training diverged, no model was written: try --eta0 1e+24 or --schedule search; values reach" in message
    assert not (tmp_path / "m").exists()
    result = run(*words, 10, "--schedule", "constant")  # scikit-learn's bound on slopes keeps this finite
    assert "warning: the model does worse on its own training rows than a constant" in result.stderr


# ------------------------------------------------------------------------------------------------ Ctrl-C


def test_ctrl_c_keeps_the_model(models, tmp_path):
    model = tmp_path / "m"
    words = [sys.executable, "-m", "hogwild.cli.main", "train", models / "two.svm.gz", "-m", model, "-j", "1"]
    for wait in (3, 10, 30):  # until it is past compiling
        with subprocess.Popen(
            [*map(str, words), "--epochs", "10000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            time.sleep(wait)
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=30)
        assert child.returncode == 130, errors
        assert b"error: interrupted" in errors
        if model.exists():
            break
    assert errors.startswith(b"error: interrupted in epoch ")
    assert errors.endswith(b": the model so far is in %s\n" % bytes(model))
    assert hogwild.load(model).n_features_in_ == 60
    assert describe(model)["extra"]["interrupted"] is True
    assert "ended early by Ctrl-C" in run("inspect", model).stdout
