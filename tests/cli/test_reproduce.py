"""`hogwild reproduce`: experiments by name, their files, the summary, bad input."""

import json
import sys

import pytest
from cli.lines import error, run

from hogwild import experiments
from hogwild.experiments.findings import Experiment, Findings, Measured, Picture, Published, Remark, Statement
from hogwild.report import Lines


def found(setting):
    setting.say("measuring")
    table = Measured("sizes", "Sizes", {"what": "", "n": ",d"}, [["rows", setting.rows(10_000)]], "A note.")
    published = Published("sizes", "A, 2011", ["what", "n"], [["rows", "781,265"]])
    picture = Picture("line", Lines("Line", "x", "y", {"y": ([1, 2], [3, 4])}))
    claims = [Statement("Rows are many", True, "A, 2011"), Statement("Cores are many", None)]
    return Findings([Remark("First the sizes."), table, published, picture], claims)


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    """Two experiments that take no time."""
    some = {
        name: Experiment(name, f"Title of {name}", "About it.", data, found)
        for name, data in {"fast": "a file", "faster": ""}.items()
    }
    monkeypatch.setattr(experiments, "find", some.__getitem__)
    import hogwild.cli.reproducing as module

    monkeypatch.setattr(module, "find", some.__getitem__)
    monkeypatch.setattr(module, "FINDABLE", some)


def test_without_a_name_they_are_listed():
    shown = run("reproduce").stdout
    assert "fast" in shown and "Title of faster" in shown


def test_tables_pictures_and_statements(tmp_path):
    shown = run(
        "reproduce", "fast", "faster", "--scale", "0.5", "-o", tmp_path / "out", "--report", tmp_path / "r.html"
    )
    for text in ("First the sizes.", "5,000", "A note.", "Published: sizes", "Source: A, 2011", "holds", "not tried"):
        assert text in shown.stdout
    for name in ("fast", "faster"):
        files = {path.name for path in (tmp_path / "out" / name).iterdir()}
        assert files == {"sizes.csv", "line.png", "summary.csv", "findings.json"}
    record = json.loads((tmp_path / "out" / "fast" / "findings.json").read_text())
    assert record["environment"]["scale"] == "0.5" and record["environment"]["cores"]
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") == 2 and "Title of fast" in page and "Title of faster" in page


def test_a_name_that_is_given_twice_runs_once(tmp_path):
    shown = run("reproduce", "fast", "fast", "-o", tmp_path).stdout
    assert shown.count("fast: Title of fast") == 1


def test_quiet_prints_nothing(tmp_path):
    assert run("reproduce", "fast", "-q", "-o", tmp_path).stdout == ""
    assert (tmp_path / "fast" / "summary.csv").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fast", "--scale", "0"], "--scale: found 0, expected a number above 0"),
        (["fast", "--scale", "nan"], "--scale: found nan"),
        (["fast", "--data", "missing.svm"], "missing.svm: found no such file"),
        (["faster", "--data", "rcv1"], "faster makes its own data"),
    ],
)
def test_bad_words(tmp_path, words, says):
    assert says in error("reproduce", *words, "-o", tmp_path / "out")


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    assert "out: found a file, expected a folder or nothing" in error("reproduce", "fast", "-o", tmp_path / "out")


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install hogwild[report]" in error("reproduce", "fast", "-o", tmp_path / "out")


def test_unknown_names_are_told_which_there_are(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(ValueError, match="found 'hogwild', expected an experiment: hogwild-2011, cs246-svm"):
        experiments.find("hogwild")
