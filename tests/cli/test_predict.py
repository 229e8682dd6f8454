"""`hogwild predict`, `evaluate` and `inspect`."""

import json

import numpy as np
import pytest
from cli.lines import error, run
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

import hogwild
from hogwild.data import load_svmlight


@pytest.mark.parametrize("name", ["two", "words", "numbers"])
def test_predictions_in_order(models, name):
    path, rows = models / f"{name}.model", models / f"{name}-valid.svm"
    X, _ = load_svmlight(rows, n_features=60)
    wanted = hogwild.load(path).predict(X)
    result = run("predict", path, rows)
    assert result.stdout.splitlines() == [str(value) for value in wanted]
    assert result.stderr == ""
    output = models / f"{name}.out.gz"
    run("predict", path, rows, "-o", output)
    from hogwild.data.files import read_bytes

    assert bytes(read_bytes(output)).decode() == result.stdout


def test_probabilities(models):
    result = run("predict", models / "words.model", models / "words-valid.svm", "--proba")
    assert result.stderr == "columns: eggs häm spam\n"
    shares = np.array([line.split() for line in result.stdout.splitlines()], float)
    X, _ = load_svmlight(models / "words-valid.svm", n_features=60)
    np.testing.assert_allclose(shares, hogwild.load(models / "words.model").predict_proba(X), rtol=1e-6)


def test_rows_of_other_width_and_any_label(models, tmp_path):
    (tmp_path / "new.svm").write_text("? 1:1 61:5 99:1\n1 2:1\nnan 99:1\n")
    result = run("predict", models / "two.model", tmp_path / "new.svm")
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.startswith("warning: ")
    assert "2 features (3 of 5 entries) are beyond the model's 60: ignored" in result.stderr


def test_evaluate(models):
    result = run("evaluate", models / "two.model", models / "two-valid.svm")
    assert result.text.splitlines()[0] == "200 rows"
    scores = json.loads(run("evaluate", models / "two.model", models / "two-valid.svm", "--json").stdout)
    assert list(scores) == ["rows", "log_loss", "auc", "accuracy", "base_rate"]
    clf, (X, y) = hogwild.load(models / "two.model"), load_svmlight(models / "two-valid.svm", n_features=60)
    assert scores["accuracy"] == clf.score(X, y)
    assert f"{scores['auc']:.5f}" in result.text
    scores = json.loads(run("evaluate", models / "numbers.model", models / "numbers-valid.svm", "--json").stdout)
    assert list(scores) == ["rows", "mae", "rmse", "r2"]
    assert 0.5 < scores["r2"] < 1


def test_evaluate_labels_that_the_model_does_not_know(models, tmp_path):
    (tmp_path / "new.svm").write_text("spam 1:1\neggs 2:1\nbeans 3:1\n")
    result = run("evaluate", models / "words.model", tmp_path / "new.svm", "--json")
    assert "1 of 3 rows have labels that the model does not know (beans)" in result.stderr
    assert json.loads(result.stdout)["auc"] is None
    for name in ("two", "numbers"):
        assert "line 1, column 1: found 'spam" in error("evaluate", models / f"{name}.model", tmp_path / "new.svm")


def test_hinge_has_no_probabilities(models, tmp_path):
    run("train", models / "two.svm.gz", "-m", tmp_path / "m", "--loss", "hinge", "-j", 1, "--quiet")
    assert "has no probabilities; train with --loss log_loss" in error(
        "predict", tmp_path / "m", models / "two-valid.svm", "--proba"
    )
    scores = json.loads(run("evaluate", tmp_path / "m", models / "two-valid.svm", "--json").stdout)
    assert scores["log_loss"] is None
    assert scores["auc"] > 0.5


def test_inspect(models):
    lines = run("inspect", models / "words.model", "--top", 2).text.splitlines()
    assert lines[0] == f"model          SGDClassifier, format 1, written by hogwild {hogwild.__version__}"
    assert lines[1:7] == [
        "task           classification, 3 classes",
        "classes        eggs häm spam",
        "loss           log_loss",
        "penalty        l2, alpha 1e-06",
        "schedule       adagrad, eta0 0.3",
        "trained on     words.svm.gz, 1,000 rows",
    ]
    assert lines[7] == "training       3 epochs, 3,000 steps, 1 threads"
    weights = hogwild.load(models / "words.model").coef_[1]
    first = int(weights.argmax())
    row = next(line for line in lines if line.startswith("  häm"))
    assert row.split()[1] == f"{first + 1}:{weights[first]:.4g}"  # numbers of the file, which counts from 1
    assert "raises" in run("inspect", models / "numbers.model").text


def test_bad_models(models, tmp_path):
    rows = models / "two-valid.svm"
    assert "expected a model file of hogwild" in error("predict", rows, rows)
    assert error("inspect", "none.model") == "error: none.model: no such file or directory"
    whole = (models / "two.model").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-1])
    assert "truncated" in error("evaluate", tmp_path / "cut", rows)
    with safe_open(models / "two.model", "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() | {"format": "99"}
    (tmp_path / "new").write_bytes(to_bytes(arrays, metadata))
    assert "new: found format version 99 (written by hogwild" in error("inspect", tmp_path / "new")


def test_models_from_python(models, tmp_path):
    X, y = load_svmlight(models / "two-valid.svm")
    hogwild.save(hogwild.SGDClassifier(random_state=0).fit(X.toarray(), y.astype(float)), tmp_path / "m")
    assert "features" in run("inspect", tmp_path / "m").stdout
    assert set(run("predict", tmp_path / "m", models / "two-valid.svm").stdout.split()) <= {"1.0", "-1.0"}


def test_inspect_models_of_factors(tmp_path):
    users, items = np.arange(200) % 7, np.arange(200) % 5
    model = hogwild.MatrixFactorization(n_factors=3, max_iter=2, random_state=0).fit(users, items, np.arange(200.0) % 5)
    hogwild.save(model, tmp_path / "m.model")
    shown = run("inspect", tmp_path / "m.model").stdout
    assert "MatrixFactorization" in shown and "n_factors 3" in shown and "2 epochs" in shown
