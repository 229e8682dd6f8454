"""The names behind hashed features, found again in the files."""

import gzip
import io
import sys

import numpy as np
import pytest
from line_samples import SAMPLES

import hogwild
from hogwild.data import names
from hogwild.data.hashing import hash_names, place
from hogwild.data.lines import read_lines
from hogwild.data.names import recover_names
from hogwild.data.sources import TextRows

HASHED = ["vw", "csv", "tsv", "criteo", "jsonl", "text"]


def write(path, content):
    path.write_bytes(content)
    return path


def slowly(text_format, lines):
    """The first name of every feature, line by line."""
    found = {}
    for line in lines:
        for name in text_format.names(line):
            if "*" not in name and "\\x" not in name:
                found.setdefault(int(place(hash_names([name]), text_format.n_features)[0][0]), name)
    return found


@pytest.mark.parametrize("name", HASHED)
@pytest.mark.parametrize("block", [30, 1 << 18])
def test_every_feature_gets_its_first_name(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(names, "_BLOCK", block)
    sample = SAMPLES[name]
    lines = [line for pair in zip(sample.good, sample.bad * 3, strict=False) for line in pair]  # bad lines in between
    paths = [
        write(tmp_path / "a", sample.header + b"\n".join(lines[:3])),
        write(tmp_path / "b.gz", gzip.compress(sample.header + b"\r\n".join(lines[3:]) + b"\r\n")),
    ]
    rows = TextRows([str(path) for path in paths], sample.text_format, bad_lines="skip")
    features = np.unique(np.concatenate([batch.indices for batch in rows]))
    found = recover_names(rows, features)
    assert found.keys() == set(features.tolist())
    expected = slowly(sample.text_format.with_header([sample.header.strip()]), lines[::2])
    assert {index: found[index] for index in expected if index in found} == {
        index: text for index, text in expected.items() if index in found
    }
    assert len(expected.keys() & found.keys()) >= len(found) // 2


def test_names_of_crosses(tmp_path):
    path = write(tmp_path / "rows.vw", b"1 |a x |b y\n")
    rows = hogwild.data.open(path, crosses=[("a", "b")])
    features = next(iter(rows)).indices
    assert list(recover_names(rows, features).values()) == ["a^x", "b^y", "a^x*b^y"]


def test_features_that_do_not_occur_have_no_name(tmp_path):
    path = write(tmp_path / "rows.csv", b"y,c\n1,red\n")
    rows = hogwild.data.open(path, label="y")
    wanted = place(hash_names(["c=red", "c=blue"]), rows.n_features)[0]
    assert recover_names(rows, wanted) == {int(wanted[0]): "c=red"}
    assert recover_names(rows, np.empty(0, np.uint32)) == {}


def test_no_more_is_read_than_needed(tmp_path, monkeypatch):
    """Blocks behind the one with the last name are not parsed."""
    monkeypatch.setattr(names, "_BLOCK", 64)
    path = write(tmp_path / "rows.csv", b"y,c\n1,red\n" + b"1,blue\n" * 10_000)
    rows = hogwild.data.open(path, label="y")
    given = []

    class Counted:
        def __getattr__(self, name):
            return getattr(rows_format, name)

        def with_header(self, lines):
            return self

        def parse(self, part):
            given.append(part.stop - part.start)
            return rows_format.parse(part)

    rows_format, rows.format = rows.format, Counted()
    assert set(recover_names(rows, place(hash_names(["c=red", "c=blue"]), 1 << 20)[0]).values()) == {"c=red", "c=blue"}
    assert sum(given) < 1000


def test_standard_input_cannot_be_read_again(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"y,c\n1,red\n")))
    rows = hogwild.data.open("-", label="y")
    assert sum(batch.n_rows for batch in rows) == 1
    with pytest.raises(ValueError, match="standard input can be read once"):
        recover_names(rows, np.array([1]))


def test_rows_read_by_the_driver_are_those_that_are_named(tmp_path):
    sample = SAMPLES["svmlight"]
    path = write(tmp_path / "rows.svm", b"1 3:1 7:2\n2 3:1\n")
    rows = TextRows([str(path)], sample.text_format)
    (batch,) = read_lines(sample.text_format, [str(path)])
    assert recover_names(rows, batch.indices) == {2: "3", 6: "7"}
