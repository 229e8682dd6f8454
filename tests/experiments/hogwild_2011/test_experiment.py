"""The whole experiment at the smallest sizes: tables, pictures and statements are whole."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.experiments import find, hogwild_2011
from hogwild.experiments.findings import Measured, Picture, Published, Setting
from hogwild.experiments.hogwild_2011 import delay, problems, running, telling
from hogwild.experiments.writing import write_findings

SMALL = Setting(scale=0.001, threads=2)


@pytest.fixture
def hurried(monkeypatch):
    """Two epochs, one round, two delays."""
    monkeypatch.setattr(running, "EPOCHS", 2)
    monkeypatch.setattr(running, "LONGEST", 0.05)
    monkeypatch.setattr(hogwild_2011, "ROUNDS", 1)
    monkeypatch.setattr(delay, "ROUNDS", 1)
    monkeypatch.setattr(delay, "DELAYS", (0, 1_000))
    monkeypatch.setattr(delay, "SECONDS", 0.001)


def _tables(findings):
    return {part.key: part for part in findings.parts if isinstance(part, Measured)}


def _pictures(findings):
    return {part.key: part.plot for part in findings.parts if isinstance(part, Picture)}


def test_one_thread_tells_what_it_can(hurried, tmp_path):
    findings = find("hogwild-2011").run(Setting(scale=0.001, threads=1))
    tables = _tables(findings)
    assert set(tables) == {"constants", "times", "delay"}
    assert len(tables["times"].rows) == 6
    assert set(_pictures(findings)) == {"objective"}
    assert sum(each.holds is None for each in findings.statements) == 5
    assert all(each.holds for each in findings.statements[-2:])
    write_findings(find("hogwild-2011"), findings, {}, tmp_path)
    assert (tmp_path / "objective.png").exists()


@pytest.mark.slow
def test_two_threads_run_all_engines(hurried, tmp_path):
    findings = find("hogwild-2011").run(SMALL)
    tables, pictures = _tables(findings), _pictures(findings)
    assert len(tables["times"].rows) == 6 * (1 + len(telling.ENGINES))
    assert all(row[3] > 0 and row[4] > 0 for row in tables["times"].rows)
    assert len(tables["delay"].rows) == 2
    assert set(pictures) == {
        "speedup-svm",
        "speedup-matrix-completion",
        "speedup-graph-cuts",
        "speedup-all",
        "objective",
        "delay",
    }
    assert all(each.holds is not None for each in findings.statements)
    assert sum(isinstance(part, Published) for part in findings.parts) == 1
    write_findings(find("hogwild-2011"), findings, {}, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_the_run_that_was_stopped_tells_no_errors(hurried):
    problem = problems._netflix(SMALL, np.random.default_rng(0))
    stopped = running.train(problem, "sequential", 1, 0, limit=0.0)
    whole = running.train(problem, "sequential", 1, 0)
    assert whole.whole and whole.judged.train > 0 and len(whole.curve) == 2
    assert stopped.whole == (stopped.judged is not None)


def test_damaged_data_are_refused(tmp_path):
    bad = tmp_path / "bad.svm"
    bad.write_text("1 1:0.5\n1 2:x\n")
    with pytest.raises(ValueError, match=r"bad\.svm"):
        find("hogwild-2011").run(Setting(scale=0.001, threads=1, data=(str(bad),)))
