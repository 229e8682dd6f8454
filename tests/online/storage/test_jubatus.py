"""Files of the original: they load, answer as the original did, and are written as the original wrote them."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import zlib
from pathlib import Path

import golden_calls
import numpy as np
import pytest

from hogwild.data import DataError
from hogwild.online.driver import make_driver
from hogwild.online.methods import TYPES
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.files import About, load_model, read_model, save_model
from hogwild.online.storage.jubatus_files import JubatusFile, pack_jubatus, unpack_jubatus, write_jubatus
from hogwild.online.storage.jubatus_models import file_of, states_of
from hogwild.online.wire import read_all

FOLDER = golden_calls.FILE.parent
FILES = sorted(FOLDER.glob("*.jubatus"))
saved = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def wire(result):
    return [list(map(list, column)) for column in result.wire()] if hasattr(result, "wire") else result


def case_of(path):
    return next(case for case in golden_calls.CASES if f"{case['type']}-{case['name']}" == path.stem)


def answers_as_recorded(driver, case):
    """Ask what was asked after the last change; return how many questions that were."""
    methods = TYPES[case["type"]]
    last = max(place for place, (name, *_) in enumerate(case["calls"]) if methods[name].changes)
    questions = case["calls"][last + 1 :]
    for name, arguments, expected in questions:
        golden_calls.check(name, expected, wire(driver.run(name, read_all(methods[name].takes, arguments))))
    return len(questions)


def test_all_files_are_here():
    assert not golden_calls.CASES or len(FILES) == 23


@saved
def test_a_saved_model_answers_as_the_original(path):
    case = case_of(path)
    driver = make_driver(case["type"], case["config"])
    about = load_model(path, driver, About(case["type"], json.dumps(case["config"])))
    assert (about.type, json.loads(about.configuration)) == (case["type"], case["config"])
    assert answers_as_recorded(driver, case)


@saved
def test_a_saved_model_is_what_the_same_calls_make_here(path):
    case = case_of(path)
    loaded, taught = make_driver(case["type"], case["config"]), make_driver(case["type"], case["config"])
    load_model(path, loaded, About(case["type"], json.dumps(case["config"])))
    methods = TYPES[case["type"]]
    calls = [(name, read_all(methods[name].takes, arguments)) for name, arguments, _ in case["calls"]]
    for name, arguments in calls:
        if methods[name].changes:
            taught.run(name, arguments)
    for name, arguments in calls:
        if not methods[name].changes:
            expected = json.loads(json.dumps(wire(taught.run(name, arguments))))
            golden_calls.check(name, expected, wire(loaded.run(name, arguments)))


@saved
def test_a_loaded_model_goes_on_learning(path):
    case = case_of(path)
    driver = make_driver(case["type"], case["config"])
    load_model(path, driver, About(case["type"], json.dumps(case["config"])))
    for name, arguments, _ in case["calls"][:20]:
        driver.run(name, read_all(TYPES[case["type"]][name].takes, arguments))


@saved
def test_what_is_written_is_what_the_original_wrote(path, tmp_path):
    case, original = case_of(path), unpack_jubatus(path.read_bytes(), path)
    driver = make_driver(case["type"], case["config"])
    load_model(path, driver, About(case["type"], original.configuration))
    save_model(tmp_path / "own", driver, About(case["type"], original.configuration, original.id, original.saved))
    about, states = read_model(tmp_path / "own")
    write_jubatus(tmp_path / "again.jubatus", file_of(about, states, "own"))
    again = unpack_jubatus((tmp_path / "again.jubatus").read_bytes(), "again")
    assert again._replace(data=None) == original._replace(data=None)
    assert again.data == original.data or same(canonical(again), canonical(original))


@saved
def test_what_is_written_is_read_with_equal_states(path, tmp_path):
    about, states = read_model(path)
    write_jubatus(tmp_path / "again", file_of(about, states, "own"))
    found, read = read_model(tmp_path / "again")
    assert found == about and read.keys() == states.keys()
    for part, state in states.items():
        assert state.about == read[part].about
        assert state.arrays.keys() == read[part].arrays.keys()
        for name, array in state.arrays.items():
            assert array.dtype == read[part].arrays[name].dtype
            assert np.array_equal(array, read[part].arrays[name]), (part, name)


def canonical(file):
    """Driver data with keys in place of their numbers, which the original gives as keys come."""
    model, manager = file.data
    if file.type == "recommender":
        (table, columns), inverted = model
        return [[named_rows(table, columns), sorted(columns[0])], canonical_index(inverted), manager]
    if len(model[0]) == 5:
        return [canonical_index(model[0]), model[1], manager]
    table, labels, changes, version = model[0]
    return [named_rows(table, labels), sorted(labels[0]), labels[2], changes, version, model[1:], manager]


def canonical_index(inverted):
    table, changes, squares, changed, rows = inverted
    named = {rows[1][number]: value for number, value in changed.items()}
    return [table, named_rows(changes, rows), squares, named, sorted(rows[0]), rows[2]]


def named_rows(table, manager):
    assert {number: key for key, number in manager[0].items()} == manager[1]
    # what a step has left at 0, with the variance that it began with, is the same as nothing
    return {
        name: {manager[1][number]: value for number, value in row.items() if value not in ([0, 0, 0], [0, 1, 0])}
        for name, row in table.items()
    }


def same(one, other):
    """Equal, but for the last digits of sums of squares."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return type(one) is type(other) and one == other


# ------------------------------------------------------------------------------------------------ models of our own

WORDS = {"string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "idf"}]}
EXAMPLES = [
    ["a", [[["t", "red red green"]], [], []]],
    ["b", [[["t", "green blue"]], [], []]],
    ["a\udce9", [[["t", "red \udcff"]], [], []]],
]


@pytest.mark.parametrize(
    ("kind", "configuration", "calls"),
    [
        ("weight", {"converter": WORDS}, [("update", [datum]) for _, datum in EXAMPLES]),
        (
            "classifier",
            {"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": WORDS},
            [("train", [EXAMPLES]), ("set_label", ["c"]), ("delete_label", ["b"])],
        ),
        (
            "regression",
            {"method": "CW", "parameter": {"regularization_weight": 1.0}, "converter": WORDS},
            [("train", [[[float(number), datum] for number, (_, datum) in enumerate(EXAMPLES)]])],
        ),
        (
            "recommender",
            {"method": "inverted_index", "parameter": {}, "converter": WORDS},
            [("update_row", [name, datum]) for name, datum in EXAMPLES] + [("clear_row", ["b"])],
        ),
        (
            "classifier",
            {"method": "cosine", "parameter": {"nearest_neighbor_num": 2}, "converter": WORDS},
            [("train", [EXAMPLES])],
        ),
    ],
    ids=["weight", "classifier", "regression", "recommender", "cosine"],
)
def test_own_models_come_back(kind, configuration, calls, tmp_path):
    about = About(kind, json.dumps(configuration), "é", 5.0)
    driver, other = make_driver(kind, configuration), make_driver(kind, configuration)
    for name, arguments in calls:
        driver.run(name, read_all(TYPES[kind][name].takes, arguments))
    save_model(tmp_path / "own", driver, about)
    found, states = read_model(tmp_path / "own")
    write_jubatus(tmp_path / "theirs.jubatus", file_of(found, states, "own"))
    assert load_model(tmp_path / "theirs.jubatus", other, about) == about
    questions = {"weight": "calc_weight", "classifier": "classify", "regression": "estimate"}
    for _, datum in EXAMPLES:
        name, count = questions.get(kind, "similar_row_from_datum"), ([5] if kind == "recommender" else [])
        asked = datum if kind in ("weight", "recommender") else [datum]
        question = [name, read_all(TYPES[kind][name].takes, [asked, *count])]
        golden_calls.check(name, json.loads(json.dumps(driver.run(*question))), other.run(*question))


def test_what_a_group_has_mixed_is_added(tmp_path):
    # of a member of a group: the table holds what was mixed, the changes what came since
    labels = [{"a": 4, "b": 7}, {4: "a", 7: "b"}, 8]
    table = {"x@num": {4: [1.0, 0.5, 0.0]}, "y@num": {7: [2.0, 0.25, 0.0]}}
    changes = {"x@num": {4: [0.5, -0.25, 0.0], 7: [-1.0, 0.75, 0.0]}}
    counted = [5, [{"t$w@space#tf/idf": 2.0}], [{}], [{}], {}]
    data = [[[table, labels, changes, [3]], [{"a": 2}, {"a": 1, "b": 1}, [3]]], [[3], counted, counted]]
    configuration = {"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": WORDS}
    file = JubatusFile("classifier", "x", json.dumps(configuration), 1, data)
    _, states = states_of(file, "group")
    tree = file_of(About("classifier", file.configuration), states, "group").data
    assert tree == [
        [
            [
                {"x@num": {0: [1.5, 0.25, 0.0], 1: [-1.0, 0.75, 0.0]}, "y@num": {1: [2.0, 0.25, 0.0]}},
                [{"a": 0, "b": 1}, {0: "a", 1: "b"}, 2],
                {},
                [0],
            ],
            [{}, {"a": 3, "b": 1}, [0]],
        ],
        [[0], [10, [{"t$w@space#tf/idf": 4.0}], [{}], [{}], {}], [0, [{}], [{}], [{}], {}]],
    ]


# ------------------------------------------------------------------------------------------------ what is refused

FILE = JubatusFile("weight", "id", json.dumps({"converter": {}}), 5, [[[0], *[[0, [{}], [{}], [{}], {}]] * 2]])
CONTENT = pack_jubatus(FILE)
SIZES = struct.unpack(">QQ", CONTENT[32:48])


def with_crc(content):
    crc = zlib.crc32(content[:28] + content[32:])
    return content[:28] + struct.pack(">I", crc) + content[32:]


def changed(place, value):
    return with_crc(CONTENT[:place] + value + CONTENT[place + len(value) :])


def test_a_file_is_what_it_was():
    assert unpack_jubatus(CONTENT, "x") == FILE
    assert with_crc(CONTENT) == CONTENT


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"jubatus\0", DataError, "found 8 bytes, expected a model file of Jubatus, with a header of 48"),
        (b"Jubatus\0" + CONTENT[8:], DataError, r"begins with b'Jubatus\\x00', expected a model file of Jubatus"),
        (changed(8, struct.pack(">Q", 2)), UnfitModelError, "found format version 2, expected 1"),
        (changed(16, struct.pack(">I", 0)), UnfitModelError, "found a file of Jubatus 0.1.1, expected one of"),
        (CONTENT[:-1], DataError, f"found {len(CONTENT) - 1} bytes, expected {len(CONTENT)}, as its header says"),
        (CONTENT[:-2] + b"\1" + CONTENT[-1:], DataError, r"found content of checksum [0-9a-f]{8}, expected"),
        (changed(49, b"\2"), UnfitModelError, "found system data of version 2, expected 1"),
        (changed(48, b"\xc1"), DataError, "found damaged MessagePack"),
        (changed(50, b"\xc0"), DataError, "found a damaged description"),
        (changed(48 + SIZES[0] + 1, b"\2"), UnfitModelError, "found a model of user version 2, expected 1"),
        (pack_jubatus(FILE._replace(type="graph")), UnfitModelError, "found a model of graph, expected one of weight"),
        (pack_jubatus(FILE._replace(configuration="{")), DataError, "found a damaged configuration"),
        (pack_jubatus(FILE._replace(data=[[[0], 5]])), DataError, "found driver data that make no model"),
    ],
)
def test_each_check_says_what_is_wrong(content, kind, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        states_of(unpack_jubatus(content, "file"), "file")
    assert type(caught.value) is kind
    if content.startswith(b"jubatus\0"):
        with pytest.raises(kind, match=message):
            load_model(tmp_path / "file", make_driver("weight", {}), About("weight", FILE.configuration))


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (About("stat", "{}"), "found a model of type weight, expected one of type stat"),
        (About("weight", "{}"), r"found a configuration with `\$.converter` {}, expected absent there"),
    ],
)
def test_another_type_or_configuration_is_refused(expected, message, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(UnfitModelError, match=message):
        load_model(tmp_path / "file", make_driver(expected.type, {}), expected)


@pytest.mark.parametrize("path", FILES[::5], ids=[path.stem for path in FILES[::5]])
def test_random_damage_under_a_right_checksum_is_refused_or_harmless(path):
    rng, content = np.random.default_rng(0), path.read_bytes()
    for _ in range(200):
        place = int(rng.integers(48, len(content)))
        damaged = with_crc(content[:place] + bytes([int(rng.integers(256))]) + content[place + 1 :])
        with contextlib.suppress(DataError):
            states_of(unpack_jubatus(damaged, "x"), "x")
        size = int(rng.integers(len(content)))
        with pytest.raises(DataError):
            unpack_jubatus(content[:size], "x")


def test_a_failed_save_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left.*model\.jubatus"):
        write_jubatus(tmp_path / "model.jubatus", FILE)
    assert not list(Path(tmp_path).iterdir())
