"""`hogwild demo` on the packages of this environment."""

import re
import sys

import pytest
from cli.lines import error, run


@pytest.mark.slow
def test_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run("demo", "-j", 2).stdout
    rows = re.findall(r"(scikit-learn|hogwild).*?(\d+\.\d\d) s +([\d.]+) x +(0\.\d{4})", shown)
    assert [name for name, *_ in rows] == ["scikit-learn", "hogwild", "hogwild"]
    accuracies = [float(accuracy) for *_, accuracy in rows]
    assert min(accuracies[1:]) > accuracies[0] - 0.01
    assert "report: hogwild-demo.html" in shown
    assert "<svg" in (tmp_path / "hogwild-demo.html").read_text()


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install hogwild[report]" in error("demo", "--report", tmp_path / "page.html")
