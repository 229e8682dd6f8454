"""Findings in files: what was found comes back whole."""

import csv
import json

import numpy as np
import pytest

from hogwild.experiments.findings import (
    Experiment,
    Findings,
    Measured,
    Picture,
    Published,
    Remark,
    Setting,
    Statement,
)
from hogwild.experiments.writing import FILE, read_findings, report_parts, shown_rows, write_findings
from hogwild.report import Bars, Chapter, Groups, Lines, Table

TABLE = Measured(
    "times",
    "Times",
    {"engine": "", "time, s": ".2f", "rows": ",d"},
    [["shared", 1.23456, 1000], ["a,b", None, np.int64(2)]],
    "n",
)
FINDINGS = Findings(
    [
        Remark("What comes next."),
        TABLE,
        Published("times", "A, B, 2011", ["engine", "s"], [["locks", "9"]]),
        Picture("speed", Lines("Speed", "threads", "times", {"a": ([1, 2], np.array([1.0, 1.9]))}, dashed=["a"])),
        Picture("bars", Bars("Bars", "s", {"a": 1.0})),
        Picture("groups", Groups("Groups", "s", {"g": {"a": 1.0, "b": 2.0}})),
    ],
    [Statement("It is fast", True, "us"), Statement("It is slow", False), Statement("It flies", None)],
)
EXPERIMENT = Experiment("made-up", "A made-up one", "It shows <nothing>.", "", lambda setting: FINDINGS)
ABOUT = {"scale": "0.1", "cores": "2"}


@pytest.fixture
def folder(tmp_path):
    write_findings(EXPERIMENT, FINDINGS, ABOUT, tmp_path / "made-up")
    return tmp_path / "made-up"


def test_tables_are_written_unrounded(folder):
    with open(folder / "times.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["engine", "time, s", "rows"], ["shared", "1.23456", "1000"], ["a,b", "", "2"]]


def test_pictures_and_summary_are_written(folder):
    for name in ("speed", "bars", "groups"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with open(folder / "summary.csv", newline="") as file:
        verdicts = [row["verdict"] for row in csv.DictReader(file)]
    assert verdicts == ["holds", "does not hold", "not tried"]


def test_cells_are_shown_as_their_column_says():
    assert shown_rows(TABLE) == [["shared", "1.23", "1,000"], ["a,b", "-", "2"]]


def test_what_is_read_again_is_what_was_told(folder):
    told = report_parts(EXPERIMENT.title, EXPERIMENT.about, ABOUT, FINDINGS)
    again = read_findings(folder)
    assert json.dumps(again) == json.dumps(told, default=np.ndarray.tolist)
    assert isinstance(again[0], Chapter) and [type(part) for part in again] == [type(part) for part in told]
    published = next(part for part in again if isinstance(part, Table) and part.heading.startswith("Published"))
    assert published.note == "Source: A, B, 2011"


@pytest.mark.parametrize("damage", ["{", "{}", '{"format": 1, "parts": [{"kind": "Nothing"}]}', "[]"])
def test_damaged_files_are_named(folder, damage):
    (folder / FILE).write_text(damage)
    with pytest.raises(ValueError, match=r"findings.json: found a damaged file of findings"):
        read_findings(folder)


def test_files_of_newer_versions_are_named(folder):
    (folder / FILE).write_text('{"format": 99}')
    with pytest.raises(ValueError, match="found format 99, expected at most 1"):
        read_findings(folder)


def test_settings_scale_rows_and_keep_the_least():
    assert Setting(scale=0.1).rows(1_000) == 100
    assert Setting(scale=1e-9).rows(1_000, least=7) == 7
