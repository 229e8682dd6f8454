"""Records of runs: what is written is read again, and what is no record is refused with a reason."""

import contextlib
import csv
import json

import pytest
from report.test_run_report import binary

from hogwild.report.record import FORMAT, Cluster, Epoch, Record, Search, WorkerShares, thinned


def test_what_is_saved_is_loaded(tmp_path):
    record = binary()
    record.search = Search("R2", 3, ["alpha"], [[0.1]], [None], [None], [1], 0)
    record.cluster = Cluster([WorkerShares("w", 1, 1, 0.5, 0.5, 0.0, 9)], [(0, 1)], [(0.5, 10)], [(1.0, "a", "b")], [])
    record.save(tmp_path / "run")
    assert Record.load(tmp_path / "run") == Record.load(tmp_path / "run" / "run.json") == record
    with open(tmp_path / "run" / "history.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(Epoch._fields) and [float(row[1]) for row in rows] == [each.loss for each in record.epochs]


def test_numbers_that_are_none(tmp_path):
    Record("r", epochs=[Epoch(1, float("nan")), Epoch(2, float("inf"))]).save(tmp_path)
    assert Record.load(tmp_path).epochs == [Epoch(1, None), Epoch(2, None)]
    assert (
        tmp_path / "history.csv"
    ).read_text() == "number,loss,validation,seconds,rows_per_second,eta\n1,,,,,\n2,,,,,\n"


def test_a_folder_is_made_but_not_its_parents(tmp_path):
    with pytest.raises(FileNotFoundError):
        Record("r").save(tmp_path / "a" / "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no whole JSON"),
        ('{"format": 1, "title": "r"', "no whole JSON"),
        ("[]", "JSON that tells of no run"),
        ('{"format": 1}', "JSON that tells of no run"),
        (f'{{"format": {FORMAT + 1}, "title": "r"}}', "a newer hogwild wrote it"),
        ('{"format": 1, "title": 3}', "title is '3', expected str"),
        ('{"format": 1, "title": "r", "epochs": [[1, "x", null, null, null, null]]}', "expected float"),
        ('{"format": 1, "title": "r", "epochs": [[1, 0.5]]}', "expected 6 values"),
        ('{"format": 1, "title": "r", "seconds": 7}', "expected names and values"),
        ('{"format": 1, "title": "r", "progressive": {}}', "expected a list"),
        ('{"format": 1, "title": "r", "colour": "red"}', "no such fields of Record"),
        ('{"format": 1, "title": "r", "judged": {"on": "rows"}}', "damaged record"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        Record.load(tmp_path)
    assert str(tmp_path / "run.json") in str(raised.value)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    binary().save(tmp_path)
    content = (tmp_path / "run.json").read_bytes()
    for stop in range(0, len(content) - 1, len(content) // 50):
        (tmp_path / "run.json").write_bytes(content[:stop])
        with pytest.raises(ValueError, match=r"run\.json"):
            Record.load(tmp_path)


def test_fields_of_another_kind_are_refused(tmp_path):
    binary().save(tmp_path)
    whole = json.loads((tmp_path / "run.json").read_text())
    for name in whole:
        for strange in (17.5, "x", [["y"]], {"z": [1]}):
            (tmp_path / "run.json").write_text(json.dumps({**whole, name: strange}))
            with contextlib.suppress(ValueError):  # and nothing else
                Record.load(tmp_path).save(tmp_path / "again")


def test_thinned():
    assert thinned(range(1000), 5) == [0, 249, 499, 749, 999] and thinned([1, 2], 5) == [1, 2]
