"""`hogwild report`, and what `--run`, `--report`, `--tensorboard` and `--history` of training keep."""

import importlib.util
import os
import signal
import sys
import types
from typing import ClassVar

import pytest
from cli.lines import error, run

import hogwild
from hogwild.cli import recording, reporting
from hogwild.data import dump_svmlight, make_rcv1_like
from hogwild.experiments.findings import Experiment, Findings, Measured, Statement
from hogwild.experiments.writing import write_findings
from hogwild.report.record import Record


def train(files, name, *words, status=0):
    return run("train", files / f"{name}.svm.gz", "-m", "m", "-j", 1, "--epochs", 2, *words, status=status)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_report_of_a_run_is_the_one_that_training_writes(files, tmp_path):
    told = train(files, "two", "--valid", files / "two-valid.svm", "--run", "run", "--report", "r.html").text
    assert told.splitlines()[-2:] == ["run     run", "report  r.html"]
    record = Record.load("run")
    assert [epoch.number for epoch in record.epochs] == [1, 2] and not record.interrupted
    assert record.metric == "log loss" and record.metric_is_loss
    assert all(epoch.validation and epoch.seconds and epoch.eta == 0.3 for epoch in record.epochs)
    assert set(record.scores) == {"training", "validation"}
    assert record.judged.on == "validation rows" and record.judged.rows == 200
    assert record.judged.binary.roc_area == pytest.approx(record.scores["validation"]["AUC"])
    assert {"reading", "stepping", "validating"} <= set(record.seconds)
    clf = hogwild.load("m")
    (name, weight), *_ = record.weights[0].features
    assert weight == pytest.approx(clf.coef_.max()) and int(name) == clf.coef_.argmax() + 1
    assert run("report", "run").text == "report  run.html\n"
    assert run("report", "run/run.json", "-o", "other.html", "--quiet").text == ""
    assert (tmp_path / "run.html").read_bytes() == (tmp_path / "r.html").read_bytes()
    assert (tmp_path / "other.html").read_bytes() == (tmp_path / "r.html").read_bytes()


@pytest.mark.parametrize(("name", "shown"), [("words", "Confusion"), ("numbers", "Predicted and true: 1,000 training")])
def test_runs_without_validation(files, tmp_path, name, shown):
    train(files, name, "--run", "run", "--report", "r.html", "--quiet")
    assert shown in (tmp_path / "r.html").read_text()
    assert Record.load("run").judged.on == "training rows"


def test_a_stream_of_one_epoch(files, tmp_path):
    words = ("--cache", "off", "--memory", "1kB", "--run", "run", "--report", "r.html")
    run("train", files / "two.svm.gz", "-m", "m", "-j", 1, "--epochs", 1, *words)
    record = Record.load("run")
    assert len(record.epochs) == 1 and record.scores == {} and record.judged is None
    assert "Loss by epoch" not in (tmp_path / "r.html").read_text()


def test_step_sizes_of_a_schedule(files):
    train(files, "two", "--schedule", "optimal", "--alpha", 1e-3, "--run", "run", "-q")
    first, second = (epoch.eta for epoch in Record.load("run").epochs)
    assert first > second > 0


def test_hashed_features_have_names(tmp_path):
    lines = [f"1\tgood $day \u202eword{k}\n0\tbad night\n" for k in range(300)]
    (tmp_path / "rows.txt").write_text("".join(lines), encoding="utf-8")
    run("train", "rows.txt", "-f", "text", "-m", "m", "-j", 1, "--epochs", 1, "--run", "run", "--report", "r.html")
    record = Record.load("run")
    assert {"good", "day"} <= {name for name, _ in record.weights[0].features}
    assert {name for name, _ in record.weights[1].features} == {"bad", "night"}
    assert record.weights_note == ""
    for label in ("a", "b"):
        (tmp_path / "docs" / label).mkdir(parents=True)
        for k in range(20):
            (tmp_path / "docs" / label / f"{k}.txt").write_text(f"common only{label}\nx{k} y")
    run("train", "docs", "-f", "text", "-m", "d", "-j", 1, "--epochs", 1, "--run", "docrun", "-q")
    assert [each.features[0][0] for each in Record.load("docrun").weights] == ["onlyb", "onlya"]
    run("report", "m", "-o", "m.html")
    assert "--names DATA" in (tmp_path / "m.html").read_text()
    run("report", "m", "-o", "m.html", "--names", "rows.txt")
    assert "night" in (tmp_path / "m.html").read_text()


def test_a_search(files, tmp_path):
    words = ("--alpha", "1e-6,1e-4", "--cv", 3, "--run", "run", "--report", "r.html")
    train(files, "two", *words)
    record = Record.load("run")
    assert len(record.search.means) == 2 and record.search.folds == 3 and record.loss_of.startswith("training, mean")
    text = (tmp_path / "r.html").read_text()
    assert "Settings tried" in text and "Score by alpha" in text and "ROC: 1,000 training rows" in text
    assert run("report", "run").text == "report  run.html\n"
    for option in ("--history", "--tensorboard"):
        line = error("train", files / "two.svm.gz", "-m", "m", "--alpha", "1e-6,1e-4", option, "h.csv")
        assert f"found {option} beside several settings" in line


# ------------------------------------------------------------------------------------------------ what RUN may be


@pytest.mark.parametrize("name", ["two", "words", "numbers"])
def test_a_model_file(files, models, tmp_path, name):
    assert run("report", models / f"{name}.model", "-o", "r.html").text == "report  r.html\n"
    text = (tmp_path / "r.html").read_text()
    for shown in (f"{name}.svm.gz, 1,000 rows", "Loss by epoch", "learning_rate", "eights", "engine"):
        assert shown in text


def test_models_of_all_kinds(tmp_path):
    X, y = make_rcv1_like(300, 30)
    for number, model in enumerate(
        [
            hogwild.LinearSVC().fit(X, y),
            hogwild.Ridge().fit(X, y),
            hogwild.FMClassifier(max_iter=1).fit(X, y),
            hogwild.SGDClassifier(early_stopping=True, max_iter=3, learning_rate="optimal").fit(X, y),
            hogwild.MatrixFactorization(max_iter=1).fit([0, 1, 0, 1], [0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0]),
        ]
    ):
        hogwild.save(model, tmp_path / f"{number}.model")
        run("report", f"{number}.model", "-q")
        assert "written by hogwild" in (tmp_path / f"{number}.html").read_text()


def experiment(name, folder):
    found = Findings([Measured("t", "A table", {"n": ",d"}, [[1234]])], [Statement(f"{name} holds", True)])
    write_findings(Experiment(name, f"About {name}", "about", "", lambda setting: found), found, {"scale": "1"}, folder)


def test_experiments(tmp_path):
    for name in ("sharing", "hogwild-2011"):
        experiment(name, tmp_path / "all" / name)
    assert run("report", "all/sharing").text == "report  all/sharing.html\n"
    assert "1,234" in (tmp_path / "all" / "sharing.html").read_text()
    run("report", "all")
    text = (tmp_path / "all.html").read_text()
    assert text.index("About hogwild-2011") < text.index("About sharing")  # as `hogwild reproduce` lists them
    run("report", "all/sharing/findings.json", "-o", "one.html")
    assert "sharing holds" in (tmp_path / "one.html").read_text()


def test_what_is_no_run(files, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    for name in "abcd":
        (tmp_path / "full" / name).touch()
    (tmp_path / "text").write_text("words")
    (tmp_path / "nothing").touch()
    (tmp_path / "list.json").write_text('{"a": 1}')
    (tmp_path / "model").write_bytes((1 << 40).to_bytes(8, "little") + b"{")
    for name, found in {
        "absent": "found no such file or folder",
        "empty": "found a folder that is empty",
        "full": "found a folder that holds a, b, c ...",
        "text": "found a file of another kind",
        "nothing": "found a file of another kind",
        "list.json": "found JSON that tells of no run",
        "model": "expected a model file of hogwild",
        files / "two-valid.svm": "found a file of another kind",
    }.items():
        line = error("report", name)
        assert found in line and str(name) in line and "expected" in line
    assert not list(tmp_path.glob("*.html"))


def test_outputs_are_checked_before_the_training(files, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for words, found in (
        (("--run", "file"), "found a file, expected a folder"),
        (("--run", "absent/run"), "found no folder absent"),
        (("--tensorboard", "file"), "found a file, expected a folder"),
        (("--history", "folder"), "found a folder"),
        (("--report", "absent/r.html"), "found no folder absent"),
    ):
        assert found in error("train", files / "two.svm.gz", "-m", "m", *words)
    assert not (tmp_path / "m").exists()


def test_without_matplotlib_there_is_a_record_and_no_report(files, monkeypatch):
    monkeypatch.setattr(recording.importlib.util, "find_spec", lambda name: None)
    train(files, "two", "--run", "run", "-q")
    assert "pip install hogwild[report]" in error("report", "run")


# ------------------------------------------------------------------------------------------------ interrupted runs


class Interrupting:
    """A follower that presses Ctrl-C in the second epoch."""

    def __init__(self, path):
        self.pressed = False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __call__(self, progress, **scores):
        if progress.epoch == 2 and not self.pressed:
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_is_interrupted_is_kept(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hogwild.report.tensorboard", types.SimpleNamespace(TensorBoard=Interrupting))
    words = ("--epochs", 5, "--tensorboard", "tb", "--run", "run", "--report", "r.html")
    result = train(files, "two", *words, status=130)
    assert "interrupted in epoch" in result.stderr
    record = Record.load("run")
    assert record.interrupted and 1 <= len(record.epochs) < 5 and record.weights
    assert "Ctrl-C ended this run" in (tmp_path / "r.html").read_text()


# ------------------------------------------------------------------------------------------------ followers


class Follower:
    """Writes down what it is told."""

    made: ClassVar[list] = []

    def __init__(self, path):
        self.path, self.told, self.closed = str(path), [], False
        Follower.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.closed = True

    def __call__(self, progress, **scores):
        self.told.append((progress, scores))


def test_followers_hear_of_slices_and_of_scores(files, monkeypatch):
    monkeypatch.setattr(Follower, "made", [])
    monkeypatch.setitem(sys.modules, "hogwild.report.tensorboard", types.SimpleNamespace(TensorBoard=Follower))
    monkeypatch.setitem(sys.modules, "hogwild.report.history_file", types.SimpleNamespace(HistoryFile=Follower))
    words = ("--valid", files / "two-valid.svm", "--metric", "auc", "--tensorboard", "tb", "--history", "h.csv")
    train(files, "two", *words)
    assert [each.path for each in Follower.made] == ["tb", "h.csv"]
    for each in Follower.made:
        assert each.closed
        ends = [scores for progress, scores in each.told if progress.epoch_ended]
        assert len(ends) == 2 and all(set(scores) == {"validation_auc", "eta"} for scores in ends)
        assert all(not scores for progress, scores in each.told if not progress.epoch_ended)
    Follower.made.clear()
    train(files, "words", "--history", "h.csv")
    assert [set(scores) for progress, scores in Follower.made[0].told if progress.epoch_ended] == [{"eta"}] * 2


def test_where_pages_go(tmp_path):
    (tmp_path / "run.1").mkdir()
    for path, page in (("run.1", "run.1.html"), ("m.safetensors", "m.html"), ("m", "m.html")):
        assert reporting._beside(tmp_path / path) == tmp_path / page
    assert reporting._beside(type(tmp_path)(".")).name == f"{tmp_path.name}.html"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_job_on_a_cluster(tmp_path):
    pytest.importorskip("ray")
    X, y = make_rcv1_like(2000, 50)
    dump_svmlight(X, y, tmp_path / "rows.svm")
    words = ("-m", "m", "--workers", 2, "--epochs", 2, "--valid", "rows.svm", "--run", "run", "--report", "r.html")
    run("cluster", "train", tmp_path / "rows.svm", *words)
    record = Record.load("run")
    assert len(record.epochs) == 2 and record.judged.binary
    assert 1 <= len(record.cluster.workers) <= 2  # a worker that starts late may find no rows left
    assert "Time of the workers" in (tmp_path / "r.html").read_text()


def test_without_tensorboardx_nothing_is_read(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorboardX" else found(name))
    (tmp_path / "broken.svm").write_text("no rows at all")
    message = error("train", tmp_path / "broken.svm", "-m", tmp_path / "m", "--tensorboard", tmp_path / "tb")
    assert "pip install hogwild[tensorboard]" in message and not (tmp_path / "tb").exists()
