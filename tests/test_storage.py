"""Files of arrays and JSON values: what is written is read, and what was altered is refused."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hogwild import storage
from hogwild.data import DataError

ABOUT = {"epoch": 3, "name": "häm", "history": [[1, 0.5], []], "nothing": None, "deep": {"a": {"b": True}}}
ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "t": np.array([1.5]), "none": np.empty((0, 4), np.uint32)}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text("abc.xyz_", min_size=1, max_size=8)
arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.uint32, np.int64, np.uint8]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("storage")


@settings(deadline=None, max_examples=100)
@given(
    about=st.dictionaries(names.filter(lambda name: name != storage.DIGEST), json_values, max_size=4),
    arrays=st.dictionaries(names, arrays, max_size=4),
)
def test_what_is_written_is_read(folder, about, arrays):
    path = folder / "file"
    storage.write(path, about, arrays)
    found, content = storage.read(path)
    assert found == about
    assert content.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (content[name].dtype, content[name].shape) == (array.dtype, array.shape)
        assert content[name].tobytes() == array.tobytes()


def test_arrays_in_any_order_of_memory(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    storage.write(tmp_path / "file", {}, {"turned": array.T, "every other": array[::2, ::2]})
    _, found = storage.read(tmp_path / "file")
    np.testing.assert_array_equal(found["turned"], array.T)
    np.testing.assert_array_equal(found["every other"], array[::2, ::2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_json_does_not_know(tmp_path, value):
    with pytest.raises(ValueError):
        storage.write(tmp_path / "file", {"loss": value}, {})
    assert os.listdir(tmp_path) == []


def test_every_altered_byte_is_seen(tmp_path):
    path = tmp_path / "file"
    storage.write(path, ABOUT, ARRAYS)
    content = path.read_bytes()
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 1
        path.write_bytes(altered)
        try:
            about, arrays = storage.read(path)
        except DataError:
            continue
        # a blank of the padding may have become something that means nothing
        assert about == ABOUT
        assert all(np.array_equal(arrays[name], array) for name, array in ARRAYS.items())


def test_every_truncated_file_is_seen(tmp_path):
    path = tmp_path / "file"
    storage.write(path, ABOUT, ARRAYS)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="file"):
            storage.read(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.read(tmp_path / "file")


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "file"
    storage.write(path, ABOUT, ARRAYS)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        storage.write(path, {}, {})
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]
