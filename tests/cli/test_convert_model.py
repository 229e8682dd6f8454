"""Models of the service as files of hogwild and of the original."""

from __future__ import annotations

import json

import golden_calls
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hogwild.cli import convert_model
from hogwild.cli.main import Commands
from hogwild.online.storage.files import About, read_model, save_model
from hogwild.online.storage.jubatus_files import JubatusFile, unpack_jubatus, write_jubatus
from hogwild.online.weight import Weight

RULE = {"key": "*", "type": "str", "sample_weight": "bin", "global_weight": "idf"}
CONFIGURATION = {"converter": {"string_rules": [RULE]}}
COUNTED = [3, [{"t$a@str#bin/idf": 2.0}], [{}], [{}], {}]
FILE = JubatusFile("weight", "x", json.dumps(CONFIGURATION), 5, [[[0], COUNTED, [0, [{}], [{}], [{}], {}]]])


def run(*words, status=0):
    commands = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    commands.command("convert-model")(convert_model.command)
    commands.command("other")(lambda: None)  # one command alone would have no name
    result = CliRunner().invoke(commands, ["convert-model", *map(str, words)])
    assert result.exit_code == status, (result.exit_code, result.output, result.exception)
    return result


def same(one, other):
    assert one[0] == other[0] and one[1].keys() == other[1].keys()
    for name, state in one[1].items():
        assert state.about == other[1][name].about
        assert state.arrays.keys() == other[1][name].arrays.keys()
        assert all(np.array_equal(array, other[1][name].arrays[key]) for key, array in state.arrays.items())


def test_there_and_back(tmp_path):
    write_jubatus(tmp_path / "a.jubatus", FILE)
    shown = run(tmp_path / "a.jubatus", tmp_path / "b.hogwild").stdout
    assert "weight, saved" in shown and " as x" in shown and "b.hogwild: a file of hogwild" in shown
    assert run(tmp_path / "b.hogwild", tmp_path / "c.jubatus", "--quiet").stdout == ""
    assert unpack_jubatus((tmp_path / "c.jubatus").read_bytes(), "c") == FILE
    same(read_model(tmp_path / "a.jubatus"), read_model(tmp_path / "b.hogwild"))


def test_the_version_of_the_original_can_be_chosen(tmp_path):
    save_model(tmp_path / "a", Weight(CONFIGURATION), About("weight", json.dumps(CONFIGURATION)))
    shown = run(tmp_path / "a", tmp_path / "b.jubatus", "--jubatus-version", "1.0.9").stdout
    assert "a file of Jubatus 1.0.9" in shown
    assert unpack_jubatus((tmp_path / "b.jubatus").read_bytes(), "b").version == (1, 0, 9)


@pytest.mark.parametrize("path", sorted(golden_calls.FILE.parent.glob("*.jubatus")), ids=lambda path: path.stem)
def test_all_files_of_the_original(path, tmp_path):
    run(path, tmp_path / "own")
    run(tmp_path / "own", tmp_path / "again.jubatus")
    same(read_model(path), read_model(tmp_path / "own"))
    same(read_model(path), read_model(tmp_path / "again.jubatus"))


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["none", "b"], "none: no such file or directory", 1),
        (["stat", "b.jubatus"], "stat: found a model of stat, expected one of weight, classifier perceptron", 1),
        (["torn", "b"], "torn: found 100 bytes, expected", 1),
        (["a.jubatus", "b.gz"], "b.gz: this kind of file is not compressed", 1),
        (["a.jubatus", "none/b"], "found no folder", 1),
        (["a.jubatus", "b.jubatus", "--jubatus-version", "1.x"], "found '1.x', expected three numbers", 2),
    ],
)
def test_what_cannot_be_is_said_in_a_line(words, message, status, tmp_path, monkeypatch):
    from hogwild.online.stat import Stat

    monkeypatch.chdir(tmp_path)
    write_jubatus("a.jubatus", FILE)
    save_model("stat", Stat({}), About("stat", "{}"))
    (tmp_path / "torn").write_bytes((tmp_path / "a.jubatus").read_bytes()[:100])
    before = sorted(tmp_path.iterdir())
    result = run(*words, status=status)
    assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
