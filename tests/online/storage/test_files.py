"""Model files: what is saved is loaded, and what is damaged, foreign or half-written is refused."""

from __future__ import annotations

import base64
import errno
import gzip
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild import storage
from hogwild.data import DataError
from hogwild.online.driver import make_driver
from hogwild.online.state import State
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.files import About, load_model, read_model, save_model, write_model

CONFIGURATION = '{"window_size": 5}'
ABOUT = About("stat", CONFIGURATION, "yesterday", 1.5e9, {"learnt": 3})


def make(pushes=(("x", 1.0), ("y", 2.5), ("x", -3.0)), configuration=CONFIGURATION):
    driver = make_driver("stat", json.loads(configuration))
    for push in pushes:
        driver.run("push", list(push))
    return driver


def same(one, other):
    states = one.parts.state(), other.parts.state()
    return all(
        states[0][name].about == states[1][name].about
        and all(np.array_equal(array, states[1][name].arrays[key]) for key, array in states[0][name].arrays.items())
        for name in states[0]
    )


def test_what_is_saved_is_loaded(tmp_path):
    saved, loaded = make(), make([("gone", 1.0)])
    save_model(tmp_path / "model", saved, ABOUT)
    assert load_model(tmp_path / "model", loaded, ABOUT) == ABOUT
    assert same(saved, loaded)
    assert loaded.run("sum", ["x"]) == -2.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
any_text = st.binary(max_size=8).map(lambda data: data.decode("utf-8", "surrogateescape"))
numbers = st.lists(st.floats(width=64), max_size=4).map(np.array)


@settings(deadline=None, max_examples=50)
@given(
    id=any_text,
    configuration=any_text,
    figures=st.dictionaries(any_text, json_values, max_size=3),
    parts=st.dictionaries(
        st.text("ab.", min_size=1, max_size=3),
        st.tuples(json_values, st.dictionaries(st.text("ab./", min_size=1, max_size=3), numbers, max_size=2)),
        max_size=2,
    ),
)
def test_any_text_and_any_number_comes_back(tmp_path_factory, id, configuration, figures, parts):
    path = tmp_path_factory.getbasetemp() / "any"
    about = About("stat", configuration, id, 1.0, figures)
    states = {name: State({"said": said}, arrays) for name, (said, arrays) in parts.items()}
    write_model(path, states, about)
    found, read = read_model(path)
    assert found == about
    assert {name: state.about for name, state in read.items()} == {name: state.about for name, state in states.items()}
    for name, state in states.items():
        assert state.arrays.keys() == read[name].arrays.keys()
        for key, array in state.arrays.items():
            assert array.tobytes() == read[name].arrays[key].tobytes()


def test_infinite_values_of_parts_and_figures_come_back(tmp_path):
    write_model(tmp_path / "model", {"rows": State({"score": math.inf}, {})}, ABOUT._replace(figures={"x": -math.inf}))
    about, states = read_model(tmp_path / "model")
    assert (about.figures, states["rows"].about) == ({"x": -math.inf}, {"score": math.inf})


# written by version 1 of the format: this must be read for ever
VERSION_1 = """
H4sIAAAAAAAC/31SS26DMBSkn0WPgbxGKT8TwqZdVeoBugoRcuJHYolAhJ0PRb5bj9Qj1MZOCarUWfD05o2H55Hde2dAj4piD4JQIkhRoKxHu2Z7
ZhVFGcqRPwtmfo6Qhzi0J7YBxQaqo2wLXOiGJPF8Ecc4LdM4SIPQnxMcrfF6TWlUhqHS7hsK1eDW53mORHcAXTNXf7kgQldv6DZNXbLtsSWCNfUo
0uc00JnVtDkXnH3ClcpcLEcDRsdTndoQWkq6cczJCawiwL7FzDfD4c/AzXhYtQLS1sIQkTSqA2nFrcasZAkppQpLepZ9bsqSg+A6VarvrVJ4T2Kd
5o7obhmvVJY6+V/l0veicDVanEh1hInD28Qh+usQhR5ObiwqECqIicdH+r8FTjy8WEnpuo7Fna322TgPzi2+X0x9fDX16evSXX4A7/5Vg2MCAAA=
"""


def test_version_1_is_read(tmp_path):
    (tmp_path / "model").write_bytes(gzip.decompress(base64.b64decode(VERSION_1)))
    loaded = make([])
    assert load_model(tmp_path / "model", loaded, ABOUT) == ABOUT
    assert same(loaded, make())


def test_a_newer_format_is_named(tmp_path):
    storage.write(tmp_path / "model", {"service": 2, "hogwild": "9.9"}, {})
    with pytest.raises(UnfitModelError, match=r"model: found format 2 \(written by hogwild 9.9\), expected at most 1"):
        read_model(tmp_path / "model")


def test_every_altered_byte_is_seen(tmp_path):
    path, driver = tmp_path / "model", make()
    save_model(path, driver, ABOUT)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(DataError):
            load_model(path, driver, ABOUT)
    for size in range(0, len(content), 31):
        path.write_bytes(content[:size])
        with pytest.raises(DataError):
            load_model(path, driver, ABOUT)
    assert same(driver, make())


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (ABOUT._replace(type="weight"), "found a model of type stat, expected one of type weight"),
        (
            ABOUT._replace(configuration='{"window_size": 6}'),
            r"found a configuration with `\$.window_size` 5, expected 6 there",
        ),
        (ABOUT._replace(configuration="{}"), r"`\$.window_size` 5, expected absent there"),
        (
            ABOUT._replace(configuration='{"window_size": 5, "a": {"b": 1}}'),
            r"`\$.a` absent, expected {\"b\": 1} there",
        ),
    ],
)
def test_a_model_of_another_kind_is_refused(tmp_path, about, message):
    save_model(tmp_path / "model", make(), ABOUT)
    driver = make([("z", 7.0)])
    with pytest.raises(UnfitModelError, match=message):
        load_model(tmp_path / "model", driver, about)
    assert same(driver, make([("z", 7.0)]))


def test_the_layout_of_the_configuration_does_not_matter(tmp_path):
    save_model(tmp_path / "model", make(), ABOUT)
    load_model(tmp_path / "model", make([]), ABOUT._replace(configuration='{\n "window_size":5 }\n'))


def test_a_state_that_does_not_fit_changes_nothing(tmp_path):
    driver = make()
    write_model(tmp_path / "model", {"window": State({}, {"letters": np.zeros(1, np.uint8)})}, ABOUT)
    with pytest.raises(DataError, match="found a state that makes no model"):
        load_model(tmp_path / "model", driver, ABOUT)
    assert same(driver, make())


@pytest.mark.parametrize("content", [b"", b"PK\3\4 something else", b"\0" * 100], ids=["empty", "zip", "zeros"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(DataError, match="model: found"):
        read_model(tmp_path / "model")


def test_other_safetensors_are_refused(tmp_path):
    storage.write(tmp_path / "model", {"format": 1}, {})
    with pytest.raises(DataError, match="found another safetensors file, expected a model of hogwild serve"):
        read_model(tmp_path / "model")


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "model")


FULL = """
import resource, sys
import numpy as np
from hogwild.online.state import State
from hogwild.online.storage.files import About, write_model
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_model(sys.argv[1], {"part": State({}, {"big": np.zeros(10_000)})}, About("stat", "{}"))
except OSError as error:
    print(error.errno, error.filename)
"""


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "model"
    save_model(path, make(), ABOUT)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG), str(path)]
    assert os.listdir(tmp_path) == ["model"]
    assert path.read_bytes() == before
