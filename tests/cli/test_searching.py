"""`hogwild train` with several settings: the table, the plot, the model, what it refuses."""

import re

import numpy as np
import pytest
import typer
from cli.lines import error, run

import hogwild
from hogwild import SGDClassifierCV
from hogwild.cli.options import numbers
from hogwild.data import load_svmlight

LISTS = ("--alpha", "1e-6,...,1e-3", "--eta0", "0.01,0.3", "--cv", 3, "--epochs", 3)


def test_a_search_prints_its_table_and_saves_the_best_model(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("train", files / "two.svm.gz", "-m", "m", *LISTS, "--plot", "p.png", "--report", "r.html")
    lines = run(*words, "-j", 1).text.splitlines()
    assert "penalty   l2, alpha 1e-06, 1e-05, 0.0001, 0.001" in lines
    assert "schedule  adagrad, eta0 0.01, 0.3" in lines
    assert next(line for line in lines if "folds" in line).split() == [
        "alpha",
        "eta0",
        "accuracy,",
        "3",
        "folds",
        "rank",
    ]
    X, y = load_svmlight(files / "two.svm.gz")
    search = SGDClassifierCV(
        [1e-6, 1e-5, 1e-4, 1e-3], eta0=[0.01, 0.3], cv=3, max_iter=3, random_state=0, loss="log_loss",
        learning_rate="adagrad",
    ).fit(X, y)  # fmt: skip
    rows = [line.split() for line in lines if "±" in line]
    assert len(rows) == 8
    assert [float(row[2]) for row in rows] == pytest.approx(search.cv_results_["mean_test_score"], abs=1e-5)
    best = [row for row in rows if row[-1] == "best"]
    assert len(best) == 1 and best[0][-2] == "1"
    assert [float(best[0][0]), float(best[0][1])] == list(search.best_params_.values())
    assert any(re.match(r"trained  T s, R rows/s, 32 models side by side, 1 thread", line) for line in lines)
    np.testing.assert_array_equal(hogwild.load("m").coef_, search.coef_)
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "r.html").read_text()
    assert "<svg" in page and "Score by alpha" in page and "eta0 0.3" in page
    quiet = run("train", files / "two.svm.gz", "-m", "q", *LISTS, "--plot", "p.svg", "-j", 2, "--quiet")
    assert quiet.stdout == "" and (tmp_path / "p.svg").read_text().rstrip().endswith("</svg>")
    np.testing.assert_array_equal(hogwild.load("q").coef_, search.coef_)  # any number of threads


def test_searches_run_over_caches_and_streams_too(files, tmp_path):
    run("cache", files / "words.svm.gz", tmp_path / "rows.hog", "--quiet")
    found = []
    for data, extra in ((tmp_path / "rows.hog", ()), (files / "words.svm.gz", ("--cache", "off", "--memory", "1kB"))):
        text = run("train", data, "-m", tmp_path / "m", *LISTS, "-j", 1, *extra).text
        assert "classification, 3 classes" in text and text.count("±") == 8
        assert hogwild.load(tmp_path / "m").classes_.tolist() == ["eggs", "häm", "spam"]
        found.append(re.findall(r"\d\.\d{5} ±", text))
    assert len(found) == 2


def test_regression_and_one_setting_with_folds(files, tmp_path):
    text = run("train", files / "numbers.svm.gz", "-m", tmp_path / "m", "--cv", 4, "--epochs", 3).text
    assert "R2, 4 folds" in text and text.count("±") == 1 and "found on a sample" in text


def test_a_setting_that_diverges_is_marked(files, tmp_path):
    words = ("--schedule", "constant", "--loss", "squared_error", "--eta0", "0.01,1e37", "--epochs", 3)
    result = run("train", files / "two.svm.gz", "-m", tmp_path / "m", *words, "-j", 1)
    assert "diverged" in result.text and "1 of 2 settings diverged" in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--alpha", "1e-6,x"), 2, "expected a number, numbers by commas"),
        (("--alpha", "1e-6,...,3e-3"), 2, "powers of ten apart"),
        (("--alpha", "-1"), 2, "expected numbers from 0"),
        (("--eta0", "0,1"), 2, "expected numbers above 0"),
        (("--plot", "p.png"), 2, "one setting only"),
        (("--cv", 1), 2, "--cv"),
        (("--cv", 3, "--holdout", 5), 1, "--holdout"),
        (("--cv", 3, "--plot", "p.gif"), 1, "expected .png or .svg"),
        (("--eta0", "0.1,1", "--schedule", "ftrl"), 1, "expected one of constant"),
    ],
)
def test_errors(files, tmp_path, words, status, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in error("train", files / "two.svm.gz", "-m", "m", *words, status=status)
    assert not (tmp_path / "m").exists()


def test_lists_of_numbers():
    assert numbers("0.5", "--alpha") == (0.5,)
    assert numbers("1e-8,...,1e-3", "--alpha") == (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
    assert numbers("10, ..., 0.1", "--eta0") == (10.0, 1.0, 0.1)
    assert numbers("0,1e-3,1e-3", "--alpha") == (0.0, 1e-3)
    with pytest.raises(typer.BadParameter):
        numbers("...,1", "--alpha")
