"""Reports: valid, self-contained HTML."""

import re
import sys
from html.parser import HTMLParser

import pytest

from hogwild.report import Bars, Lines, Table, Text, write_report

PARTS = [
    Text("Rows & columns, x < y"),
    Table("Result", ["", "training", "<validation>"], [["log loss", "0.5", "0.6"], ["AUC", "0.9", "-"]]),
    Lines("Loss by epoch", "epoch", "loss", {"a & b": ([1, 2, 3], [0.7, 0.5, 0.4]), "c": ([1, 2, 3], [0.8, 0.6, 0.5])}),
    Lines("Throughput", "epoch", "rows/s", {"rows/s": ([1], [1e6])}, from_zero=True),
    Bars("Time", "seconds", {"scikit-learn": 3.2, "hogwild": 0.2}),
    Table("Settings", ["", ""], [["loss", "log_loss"]]),
]
VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """Collects ids, references and text; fails where an element is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.text, self.tags = [], [], [], "", []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                self.references.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "page.html"
    write_report(path, "A model <of> mine", PARTS)
    return path.read_text(encoding="utf-8")


def test_elements_are_closed_and_ids_unique(source):
    page = Page()
    page.feed(source)
    page.close()
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {"svg", "table", "h1", "h2"} <= set(page.tags)
    assert {reference.removeprefix("#") for reference in page.references} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", source)) <= set(page.ids)


def test_nothing_is_fetched(source):
    assert source.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|img|iframe|metadata|\?xml)", source)
    addresses = set(re.findall(r"https?://[^\"' <]*", source))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not places
    assert 'name="viewport"' in source


def test_texts_are_escaped(source):
    page = Page()
    page.feed(source)
    for text in ("A model <of> mine", "Rows & columns, x < y", "<validation>", "a & b", "Loss by epoch", "seconds"):
        assert text in page.text


def test_same_parts_give_the_same_page(source, tmp_path):
    write_report(tmp_path / "page.html", "A model <of> mine", PARTS)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == source


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install hogwild\[report\]"):
        write_report(tmp_path / "page.html", "title", PARTS)
    assert not list(tmp_path.iterdir())


def test_report_of_a_training(tmp_path):
    from cli.lines import run

    from hogwild.data import dump_svmlight, make_rcv1_like

    X, y = make_rcv1_like(600, 50)
    dump_svmlight(X, y, tmp_path / "rows.svm")
    report = tmp_path / "page.html"
    words = ("train", tmp_path / "rows.svm", "-m", tmp_path / "m", "--valid", tmp_path / "rows.svm", "-j", 1)
    run(*words, "--metric", "auc", "--epochs", 3, "--report", report)
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    for text in ("hogwild: rows.svm", "validation", "Validation: AUC by epoch", "Throughput", "adagrad, eta0 0.3"):
        assert text in page.text
