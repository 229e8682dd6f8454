"""Files as bytes: compression, damage, and writing whole or not at all."""

import builtins
import bz2
import gzip
import importlib
import lzma
import os
import pickle
import stat
import threading

import numpy as np
import pytest

from hogwild.data.errors import DataError
from hogwild.data.files import read_bytes, write_whole

CONTENT = b"+1 1:0.5 2:0.25\n" * 5000
EXTENSIONS = ["", ".gz", ".bz2", ".xz", ".zst"]


def compressed(extension, content):
    if extension == ".zst":
        return pytest.importorskip("zstandard").compress(content)
    return {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[extension](content)


@pytest.mark.parametrize("extension", EXTENSIONS[1:])
def test_archives_of_others_are_read(tmp_path, extension):
    path = tmp_path / f"rows.svm{extension.upper()}"
    path.write_bytes(compressed(extension, CONTENT) + compressed(extension, b"2 3:4\n"))  # two members
    assert bytes(read_bytes(path)) == CONTENT + b"2 3:4\n"


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_what_is_written_is_read(tmp_path, extension):
    if extension == ".zst":
        pytest.importorskip("zstandard")
    path = tmp_path / f"rows.svm{extension}"
    with write_whole(path) as file:
        file.write(CONTENT)
    content = read_bytes(path)
    assert bytes(content) == CONTENT
    assert content.dtype == np.uint8
    assert not content.flags.writeable
    assert (path.stat().st_size < len(CONTENT)) == bool(extension)


@pytest.mark.parametrize("extension", EXTENSIONS[1:])
@pytest.mark.parametrize("kept", [0, 1, 5, 20, -9, -1])
def test_truncated_archives(tmp_path, extension, kept):
    path = tmp_path / f"rows.svm{extension}"
    path.write_bytes(compressed(extension, CONTENT)[:kept])
    with pytest.raises(DataError, match=r"rows\.svm.*(truncated|damaged|empty)"):
        read_bytes(path)


@pytest.mark.parametrize("extension", EXTENSIONS[1:])
def test_damaged_archives(tmp_path, extension):
    path = tmp_path / f"rows.svm{extension}"
    path.write_bytes(b"this is no archive at all, whatever its name")
    with pytest.raises(DataError, match="damaged"):
        read_bytes(path)


def test_a_flipped_bit_is_found(tmp_path):
    content = bytearray(gzip.compress(CONTENT))
    content[-6] ^= 1  # in the checksum
    path = tmp_path / "rows.svm.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_bytes(path)


def test_empty_file_and_pipe(tmp_path):
    path = tmp_path / "empty.svm"
    path.write_bytes(b"")
    assert len(read_bytes(path)) == 0
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(CONTENT,))
    writer.start()
    assert bytes(read_bytes(pipe)) == CONTENT
    writer.join()


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none.svm")
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none.svm.gz")


def test_zst_without_zstandard_says_what_to_install(tmp_path, monkeypatch):
    def no_zstd(name, *arguments):
        if "zstd" in name or "zstandard" in name:
            raise ImportError(name)
        return builtins.__import__(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", no_zstd)
    path = tmp_path / "rows.svm.zst"
    path.write_bytes(b"any")
    with pytest.raises(ImportError, match=r"pip install hogwild\[zstd\]"):
        read_bytes(path)


@pytest.mark.parametrize("extension", ["", ".gz"])
def test_a_failed_write_leaves_what_was_there(tmp_path, extension):
    path = tmp_path / f"rows.svm{extension}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), write_whole(path) as file:
        file.write(CONTENT)
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_writing_keeps_links_and_permissions(tmp_path):
    path, link = tmp_path / "rows.svm", tmp_path / "link.svm"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    with write_whole(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_data_error_pickles():
    error = DataError("a.svm", 3, 7, "'x'", "an index")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "a.svm, line 3, column 7: found 'x', expected an index"
    assert (copy.path, copy.line, copy.column, copy.found, copy.expected) == ("a.svm", 3, 7, "'x'", "an index")
    assert isinstance(error, ValueError)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    place = tmp_path / "pipe"
    os.mkfifo(place)
    reading = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with write_whole(place) as file:
            file.write(b"1 1:2")
        assert os.read(reading, 100) == b"1 1:2" and stat.S_ISFIFO(place.stat().st_mode)
    finally:
        os.close(reading)
