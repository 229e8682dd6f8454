"""`hogwild ffm-train`, `ffm-predict` and `aliases`: what they print, write, refuse, and what libffm lacks."""

import os
import re
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from cli.lines import error, run
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from hogwild.data.libffm_cache import read_cache
from hogwild.data.libffm_model import read_model

HEAD = re.compile(
    r"First check if the text file has already been converted to binary format \(\d+\.\d seconds\)\n"
    r"(Binary file found\. Skip converting text to binary"
    r"|Binary file NOT found\. Convert text file to binary file \(\d+\.\d seconds\))\n"
)


def clicks(n_rows, seed):
    """Rows of a planted interaction between two of three fields."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.integers(0, 8, n_rows) for _ in range(3))
    label = (rng.random(n_rows) < np.where((a + b) % 2, 0.85, 0.15)).astype(int)
    return label, a, b, c


def text_of(columns):
    return "".join(f"{y} 0:{a}:1 1:{8 + b}:1 2:{16 + c}:0.5\n" for y, a, b, c in zip(*columns, strict=True))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.ffm").write_text(text_of(clicks(1500, 0)))
    (tmp_path / "valid.ffm").write_text(text_of(clicks(400, 1)))
    return tmp_path


def columns(output):
    """The table of iterations: names, and a row of numbers for each iteration."""
    lines = [line for line in output.splitlines() if re.match(r"iter| *\d", line)]
    return lines[0].split(), [[float(word) for word in line.split()] for line in lines[1:]]


# ------------------------------------------------------------------------------------------------ output and files


def test_output(folder):
    shown = run("ffm-train", "-t", 3, "-p", "valid.ffm", "train.ffm").stdout
    heads = HEAD.match(shown), HEAD.match(shown, HEAD.match(shown).end())
    assert all("NOT found" in head[1] for head in heads)
    lines = shown[heads[1].end() :].splitlines()
    assert lines[0] == "iter   tr_logloss   va_logloss      tr_time"
    assert all(re.fullmatch(r" {3}\d {6}\d\.\d{5} {6}\d\.\d{5} {10}\d\.\d", line) for line in lines[1:])
    assert len(lines) == 4
    assert sorted(os.listdir()) == ["train.ffm", "train.ffm.bin", "train.ffm.model", "valid.ffm", "valid.ffm.bin"]
    model = read_model("train.ffm.model")
    assert model[:4] == (24, 3, 4, True) and model.about == {}


def test_cache_is_used_until_the_text_changes(folder):
    words = ("ffm-train", "-t", 2, "train.ffm", "m")
    first = run(*words).stdout
    again = run(*words).stdout
    assert "NOT found" in HEAD.match(first)[1] and "NOT" not in HEAD.match(again)[1]
    assert columns(again)[1] == columns(first)[1]
    (folder / "train.ffm").write_text(text_of(clicks(1500, 2)))
    assert "NOT found" in run(*words).stdout
    assert len(read_cache("train.ffm.bin").rows.labels) == 1500


def test_defaults_and_options(folder):
    run("ffm-train", "--quiet", "--compat", "train.ffm", "short")
    given = ("-l", "0.00002", "-k", "4", "-t", "15", "-r", "0.2", "-s", "1")
    run("ffm-train", "--quiet", "--compat", *given, "train.ffm", "long")
    assert (folder / "short").read_bytes() == (folder / "long").read_bytes()
    for other in (("-l", 0.01), ("-k", 3), ("-t", 14), ("-r", 0.1), ("--no-norm",)):
        run("ffm-train", "--quiet", "--compat", *other, "train.ffm", "other")
        assert (folder / "other").read_bytes() != (folder / "short").read_bytes()
    assert read_model("other").normalized is False


def test_quiet(folder):
    result = run("ffm-train", "--quiet", "-t", 2, "-p", "valid.ffm", "--auto-stop", "train.ffm")
    assert result.output == ""
    assert run("ffm-predict", "--quiet", "valid.ffm", "train.ffm.model", "p").output == ""


def test_seed(folder):
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        run("ffm-train", "--quiet", "--seed", seed, "-t", 2, "train.ffm", name)
    a, b, c = ((folder / name).read_bytes() for name in "abc")
    assert a == b != c


def test_compat_without_validation_shuffles_otherwise(folder):
    alone = columns(run("ffm-train", "--compat", "-t", 2, "train.ffm", "m").stdout)[1]
    beside = columns(run("ffm-train", "--compat", "-t", 2, "-p", "valid.ffm", "train.ffm", "m").stdout)[1]
    assert alone[0][1] == beside[0][1]
    assert alone[1][1] != beside[1][1]  # the validation pass draws random numbers too


def test_auto_stop_keeps_the_weights_before(folder):
    shown = run("ffm-train", "--compat", "-t", 60, "--auto-stop", "-p", "valid.ffm", "train.ffm", "stopped").stdout
    *_, last, said = shown.splitlines()
    n = int(last.split()[0])
    assert len(last.split()) == 3  # no time
    assert said == f"Auto-stop. Use model at {n - 1}th iteration."
    losses = [row[2] for row in columns(shown)[1]]
    assert losses[-1] > losses[-2] == min(losses)
    run("ffm-train", "--quiet", "--compat", "-t", n - 1, "-p", "valid.ffm", "train.ffm", "shorter")
    assert (folder / "stopped").read_bytes() == (folder / "shorter").read_bytes()


@pytest.mark.parametrize("compat", [(), ("--compat",)])
def test_two_threads(folder, compat):
    rows = columns(run("ffm-train", *compat, "-s", 2, "-t", 8, "-p", "valid.ffm", "train.ffm").stdout)[1]
    assert rows[-1][2] < 0.52  # .69 before training; the labels' own noise leaves .42
    assert run("ffm-predict", "valid.ffm", "train.ffm.model", "p").stdout == f"logloss = {rows[-1][2]:.5f}\n"


def test_predictions(folder):
    shown = run("ffm-train", "-t", 6, "-p", "valid.ffm", "--metric", "auc,accuracy,f1,rmse", "train.ffm", "m").stdout
    names, rows = columns(shown)
    assert names == ["iter", "tr_logloss", "va_logloss", "va_auc", "va_accuracy", "va_f1", "va_rmse", "tr_time"]
    said = run("ffm-predict", "valid.ffm", "m", "p").stdout
    proba, y = np.loadtxt("p"), clicks(400, 1)[0]
    assert said == f"logloss = {rows[-1][2]:.5f}\n"
    expected = [
        log_loss(y, proba),
        roc_auc_score(y, proba),
        accuracy_score(y, proba > 0.5),
        f1_score(y, proba > 0.5),
        np.sqrt(np.mean((proba - y) ** 2)),
    ]
    assert rows[-1][2:7] == pytest.approx(expected, abs=2e-5)
    text = (folder / "p").read_text()
    assert all(re.fullmatch(r"\d(\.\d{1,8})?(e-\d\d)?", line) for line in text.splitlines())
    assert run("ffm-predict", "valid.ffm", "m", "-").stdout == text + said


def test_text_model_predicts_alike(folder):
    for flags, name in (((), "binary"), (("--text-model",), "text")):
        run("ffm-train", "--quiet", "-t", 3, *flags, "train.ffm", name)
        run("ffm-predict", "valid.ffm", name, f"{name}.p")
    assert (folder / "text").read_text().startswith("n 24\nm 3\nk 4\nnormalization 1\nw0,0 ")
    np.testing.assert_allclose(np.loadtxt("text.p"), np.loadtxt("binary.p"), rtol=1e-4)


def test_lines_of_any_length(folder):
    long = " ".join(f"{j % 3}:{j}:0.01" for j in range(20_000))
    (folder / "long.ffm").write_text(f"1 {long}\n0 0:1:1 1:2:1\n")
    assert len(long) > 200_000
    run("ffm-train", "--quiet", "-t", 1, "long.ffm")
    assert read_model("long.ffm.model")[:2] == (20_000, 3)
    run("ffm-predict", "long.ffm", "long.ffm.model", "p")
    assert len(np.loadtxt("p")) == 2


def test_going_on_from_a_model(folder):
    run("ffm-train", "--quiet", "-t", 3, "train.ffm", "m")
    first = columns(run("ffm-train", "-t", 1, "--initial", "m", "train.ffm", "n").stdout)[1][0][1]
    assert first < columns(run("ffm-train", "-t", 1, "train.ffm", "n").stdout)[1][0][1] - 0.02
    assert "found a model with -k 4, expected -k 8" in error("ffm-train", "-k", 8, "--initial", "m", "train.ffm")


# ------------------------------------------------------------------------------------------------ checkpoints, Ctrl-C


@pytest.mark.parametrize("compat", [(), ("--compat",)])
def test_resume(folder, compat):
    words = ("ffm-train", *compat, "-p", "valid.ffm", "--auto-stop", "--checkpoint", "states")
    start = columns(run(*words, "-t", 2, "train.ffm", "m").stdout)[1]
    rest = run(*words, "-t", 60, "--resume", "train.ffm", "m").stdout
    assert columns(rest)[1][0][0] == 3
    whole = run(*words[:-2], "-t", 60, "train.ffm", "whole").stdout
    assert [row[:3] for row in start + columns(rest)[1]] == [row[:3] for row in columns(whole)[1]]
    assert (folder / "m").read_bytes() == (folder / "whole").read_bytes()
    again = run(*words, "-t", 60, "--resume", "train.ffm", "again").stdout  # there is nothing left to do
    assert columns(again)[1] == []
    assert again.splitlines()[-1] == whole.splitlines()[-1]
    assert (folder / "again").read_bytes() == (folder / "whole").read_bytes()
    assert "of another run: -r was 0.2" in error(*words, "--quiet", "-r", 0.1, "--resume", "train.ffm", "m")


def test_ctrl_c_keeps_the_model(folder):
    words = [sys.executable, "-m", "hogwild.cli.main", "ffm-train", "-t", "100000000", "train.ffm", "m"]
    for _ in range(3):
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            for line in child.stdout:  # until it is past compiling
                if re.match(rb" +\d", line):
                    break
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=60)
        assert child.returncode == 130, errors
        if (folder / "m").exists():
            break
    assert re.fullmatch(rb"error: interrupted in iteration \d+: the model so far is in m\n", errors)
    assert read_model("m")[:3] == (24, 3, 4)


# ------------------------------------------------------------------------------------------------ tables


def table_of(columns, weights=None):
    lines = ["click,site,ad,slot" + (",w" if weights else "")]
    for k, (y, a, b, c) in enumerate(zip(*columns, strict=True)):
        lines.append(f"{y},s{a},a{b},{c}" + (f",{weights[k]}" if weights else ""))
    return "\n".join(lines) + "\n"


def test_table(folder):
    (folder / "train.csv").write_text(table_of(clicks(1500, 0)))
    (folder / "valid.csv").write_text(table_of(clicks(400, 1)))
    words = ("--label", "click", "--categorical", "site,ad,slot", "--bits", 10)
    shown = run("ffm-train", *words, "-t", 6, "-p", "valid.csv", "train.csv").stdout
    assert shown.startswith("iter")
    loss = columns(shown)[1][-1][2]
    assert loss < 0.55
    assert read_model("train.csv.model").n_fields == 3
    assert run("ffm-predict", "valid.csv", "train.csv.model", "p").stdout == f"logloss = {loss:.5f}\n"
    assert not (folder / "train.csv.bin").exists()
    message = error("ffm-predict", "valid.ffm", "train.csv.model", "p")
    assert message == "error: valid.ffm: found libffm rows, expected csv as train.csv.model was trained on"
    run("ffm-train", "--quiet", "-t", 1, "train.ffm")
    assert "valid.csv: found csv rows, expected libffm" in error("ffm-predict", "valid.csv", "train.ffm.model", "p")


def test_weights_of_rows(folder):
    label, *rest = clicks(600, 0)
    ignored = [0 if k % 2 else 3 for k in range(600)]
    (folder / "weighted.csv").write_text(table_of((label, *rest), ignored))
    half = tuple(column[::2] for column in (label, *rest))
    (folder / "half.csv").write_text(table_of(half, [3] * 300))
    for name in ("weighted", "half"):
        words = ("--label", "click", "--weight", "w", "--bits", 12, "-t", 1)
        shown = run("ffm-train", *words, "-p", "half.csv", f"{name}.csv", name).stdout
        loss = columns(shown)[1][-1]
        assert loss[1] < 0.75
    assert run("ffm-predict", "half.csv", "half", "p").stdout.startswith("logloss = ")


def test_tabs(folder):
    for name, seed in (("train", 0), ("valid", 1)):
        (folder / f"{name}.tsv").write_text(table_of(clicks(300, seed)).replace(",", "\t"))
    words = ("--label", "click", "--categorical", "site,ad,slot", "--bits", 8, "-t", 2)
    rows = columns(run("ffm-train", *words, "-p", "valid.tsv", "train.tsv", "m").stdout)[1]
    assert run("ffm-predict", "valid.tsv", "m", "p").stdout == f"logloss = {rows[-1][2]:.5f}\n"
    message = error("ffm-train", "--no-bin", "-t", 1, "-p", "train.tsv", "train.ffm")
    assert "train.tsv, line 1, column 1: found 'click'" in message


def test_rows_without_labels_or_with_words(folder):
    (folder / "some.csv").write_text("click,site\n1,a\n,b\n0,c\n")
    words = ("--label", "click", "--bits", 4, "-t", 1)
    assert "found a row without a label" in error("ffm-train", *words, "some.csv")
    (folder / "all.csv").write_text("click,site\n1,a\n0,b\n")
    run("ffm-train", "--quiet", *words, "all.csv", "m")
    assert run("ffm-predict", "some.csv", "m", "p").stdout == "logloss = 0.69315\n"  # of those with labels
    assert len((folder / "p").read_text().split()) == 3
    (folder / "words.csv").write_text("click,site\nyes,a\nno,b\n")
    assert "found 'yes'" in error("ffm-train", *words, "words.csv") or "expected numbers" in error(
        "ffm-train", *words, "words.csv"
    )


def test_cache_files_of_ours(folder):
    run("cache", "train.ffm", "train.hog", "--quiet")
    losses = [columns(run("ffm-train", "-t", 4, "-p", "valid.ffm", f"train.{kind}", kind).stdout)[1][-1][2]
              for kind in ("ffm", "hog")]  # fmt: skip
    assert losses[0] == pytest.approx(losses[1], abs=0.02)  # in another order
    assert read_model("hog").about == {}
    said = {run("ffm-predict", f"train.{rows}", "hog", "p").stdout for rows in ("ffm", "hog")}
    assert len(said) == 1


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.ffm: found a file that holds no rows"),
        ("1\n0\n", "x.ffm: found rows without any feature"),
        ("1 0:1:nan\n", "x.ffm, line 1, column 7: found 'nan'"),
        ("1 0:1:1\n0 0:2147483647:1\n", "x.ffm, line 2, column 5: found '2147483647:1', expected an index up to"),
        ("1 2147483648:1:1\n", "x.ffm, line 1, column 3: found '2147483648:1:1', expected a field up to"),
        ("1 0:-1:1\n", "x.ffm, line 1, column 5: found '-1:1'"),
        ("1 3:0.5\n", "x.ffm, line 1, column 5"),
        ("1 0:2147483646:1\n0 9:1:1\n", "a model of 2,147,483,647 features x 10 fields x 4 factors takes"),
        ("spam 0:1:1\n", "x.ffm, line 1, column 1: found 'spam'"),
    ],
)
def test_bad_rows(folder, text, message):
    (folder / "x.ffm").write_text(text)
    result = run("ffm-train", "x.ffm", status=1)
    assert message in result.stderr
    assert not (folder / "x.ffm.model").exists()
    assert result.stdout.endswith("\n") or not result.stdout


def test_one_row_and_one_class(folder):
    (folder / "one.ffm").write_text("1 0:1:1 1:2:0.5\n")
    result = run("ffm-train", "-t", 2, "one.ffm")
    assert "warning: one.ffm: found one class only, positive labels" in result.stderr
    assert len(columns(result.stdout)[1]) == 2


def test_rows_of_zeros_and_without_entries(folder):
    (folder / "zero.ffm").write_text("1 0:1:0 1:2:0\n0\n1 0:1:1 1:2:2\n")
    for compat in ((), ("--compat",)):
        rows = columns(run("ffm-train", *compat, "-t", 2, "-p", "zero.ffm", "zero.ffm", "m").stdout)[1]
        assert np.isfinite(rows).all()
    run("ffm-predict", "zero.ffm", "m", "p")
    assert np.loadtxt("p")[:2].tolist() == [0.5, 0.5]


def test_bad_caches(folder):
    run("ffm-train", "--quiet", "-t", 1, "train.ffm", "m")
    whole = (folder / "train.ffm.bin").read_bytes()
    (folder / "train.ffm.bin").write_bytes(whole[:500])
    result = run("ffm-train", "-t", 1, "train.ffm", "m")
    assert "found a file of 500 bytes" in result.stderr and "converted anew" in result.stderr
    assert (folder / "train.ffm.bin").read_bytes() == whole
    (folder / "train.ffm.bin").write_text("somebody's own file")
    result = run("ffm-train", "-t", 1, "train.ffm", "m")
    assert "it is left as it is, and no cache is written" in result.stderr
    assert (folder / "train.ffm.bin").read_text() == "somebody's own file"


def test_bad_models(folder):
    run("ffm-train", "--quiet", "-t", 1, "train.ffm", "m")
    (folder / "cut").write_bytes((folder / "m").read_bytes()[:700])
    message = error("ffm-predict", "valid.ffm", "cut", "p")
    assert "cut: found 700 bytes, expected 2,317 for 24 features x 3 fields x 4 factors" in message
    assert "train.ffm: found " in error("ffm-predict", "valid.ffm", "train.ffm", "p")
    (folder / "far.ffm").write_text("1 9:1:1\n0 0:99:1\n")
    assert "found no entry that m knows" in error("ffm-predict", "far.ffm", "m", "p")
    assert not (folder / "p").exists()
    (folder / "far.ffm").write_text("1 9:1:1\n0 0:9:1\n")
    result = run("ffm-predict", "far.ffm", "m", "p")
    assert "1 of 2 entries are beyond the model's 24 features and 3 fields" in result.stderr


def test_divergence(folder):
    (folder / "x.ffm").write_text("1 0:1:1e18 1:2:1e18\n0 0:1:1e18 1:3:1e18\n" * 5)
    message = error("ffm-train", "--quiet", "--no-norm", "-r", 1e18, "x.ffm")
    assert "training diverged, no model was written: try -r 1e+17" in message
    assert not (folder / "x.ffm.model").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-t", "0", "x"), "number of iterations should be greater than zero"),
        (("-k", "-1", "x"), "number of factors should be greater than zero"),
        (("-r", "0", "x"), "learning rate should be greater than zero"),
        (("-s", "0", "x"), "number of threads should be greater than zero"),
        (("-l", "-1", "x"), "regularization cost should not be smaller than zero"),
        (("-r", "nan", "x"), "learning rate should be greater than zero"),
        (("-t", "many", "x"), "-t"),
        (("-p",), "-p"),
        (("--fast", "x"), "No such option"),
        (("x", "y", "z"), "extra argument"),
        (("--auto-stop", "x"), "give -p PATH"),
        (("--metric", "auc", "x"), "give -p PATH"),
        (("--metric", "speed", "-p", "y", "x"), "found 'speed', expected some of logloss, auc"),
        (("--resume", "x"), "--checkpoint"),
        (("none.ffm",), "none.ffm: no such file or directory"),
    ],
)
def test_wrong_usage_exits_as_libffm_does(folder, words, message):
    assert message in error("ffm-train", *words)


def test_nothing_given_prints_the_help():
    for command in ("ffm-train", "ffm-predict"):
        assert "Usage" in run(command, status=1).stdout


# ------------------------------------------------------------------------------------------------ aliases


def test_aliases(folder):
    shown = run("aliases", "libffm", "--into", ".").stdout
    assert "ffm-train: written, calls hogwild ffm-train" in shown
    for name in ("ffm-train", "ffm-predict"):
        assert os.stat(name).st_mode & stat.S_IXUSR
    done = subprocess.run(["./ffm-predict", "x"], capture_output=True, text=True)
    assert done.returncode == 1 and "MODEL" in done.stderr
    assert "written again" in run("aliases", "libffm", "--into", ".").stdout
    (folder / "ffm-predict").write_text("#!/bin/sh\n")
    (folder / "ffm-train").unlink()
    assert "a file that hogwild did not write: nothing was changed" in error("aliases", "libffm", "--into", ".")
    assert not (folder / "ffm-train").exists()
    assert "no such folder" in error("aliases", "libffm", "--into", "none")
    assert "Invalid value" in error("aliases", "vw", "--into", ".", status=2)
