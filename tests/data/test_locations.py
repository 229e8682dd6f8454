"""Where rows are: files, folders, patterns, URLs, standard input; compressed ones, whole, cut off and damaged."""

import bz2
import gzip
import io
import lzma
import os
import sys

import fsspec
import pytest

from hogwild.data.errors import DataError
from hogwild.data.locations import (
    compression,
    expand,
    fingerprint,
    is_url,
    open_bytes,
    sample,
    stored_bytes,
    suffix,
)


def zstd(content):
    package = pytest.importorskip("zstandard")
    return package.ZstdCompressor(write_checksum=True).compress(content)


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}
EACH = pytest.mark.parametrize("extension", COMPRESS)
FIRST, SECOND = b"1 1:0.5\n2 7:1\n", b"3 1:2\n"


def read(location, size=7):
    content = bytearray()
    with open_bytes(str(location)) as stream:
        buffer = memoryview(bytearray(size))
        while count := stream.readinto(buffer):
            content += buffer[:count]
            assert count == size or not stream.readinto(buffer)
        assert stream.consumed >= 0
    return bytes(content)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------------------ names


def test_names_are_expanded_in_a_fixed_order(tmp_path):
    names = ["b.svm", "a.svm", "sub/c.svm", "sub/deep/d.svm", ".hidden", ".git/e.svm", "sub/.f.svm", "x[1].svm"]
    for name in names:
        write(tmp_path / name, b"1\n")
    at = [str(tmp_path / name) for name in names]
    os.mkdir(tmp_path / "empty")
    assert expand(tmp_path) == sorted([at[0], at[1], at[2], at[3], at[7]])
    assert expand(str(tmp_path / "?.svm")) == [at[1], at[0]]
    assert expand(str(tmp_path / "**" / "[cd].svm")) == [at[2], at[3]]
    assert expand(at[7]) == [at[7]]  # a file that looks like a pattern
    assert expand([at[0], tmp_path / "sub", "-"]) == [at[0], at[2], at[3], "-"]
    assert expand(iter([at[0], at[0]])) == [at[0], at[0]]
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    assert expand(tmp_path / "link") == [str(tmp_path / "link" / "c.svm"), str(tmp_path / "link" / "deep" / "d.svm")]


@pytest.mark.parametrize("name", ["none.svm", "*.none", "empty", "none/*.svm"])
def test_what_is_not_there(tmp_path, name):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty" / ".hidden", b"")
    with pytest.raises(FileNotFoundError) as caught:
        expand([tmp_path / name])
    assert caught.value.filename == str(tmp_path / name)


def test_no_sources():
    with pytest.raises(ValueError, match="found no sources"):
        expand([])


@pytest.mark.parametrize(
    ("location", "extension", "packed"),
    [
        ("rows.svm", ".svm", ""),
        ("rows.SVM.GZ", ".svm", ".gz"),
        ("a.b/rows.csv.zst", ".csv", ".zst"),
        ("rows.gz", "", ".gz"),
        ("rows", "", ""),
        ("s3://bucket/a/rows.tsv.xz", ".tsv", ".xz"),
        ("https://host.org/rows.csv.gz?version=1.5", ".csv", ".gz"),
        ("memory://rows.svm.bz2", ".svm", ".bz2"),
        ("-", "", ""),
    ],
)
def test_extensions(location, extension, packed):
    assert (suffix(location), compression(location)) == (extension, packed)
    assert is_url(location) == ("://" in location)


def test_sizes_and_fingerprints(tmp_path):
    path = write(tmp_path / "rows.svm", b"1 1:1\n")
    before = fingerprint(str(path))
    assert stored_bytes(str(path)) == 6
    assert fingerprint(str(path)) == before
    os.utime(path, ns=(1, 1))
    assert fingerprint(str(path)) != before
    os.utime(path, ns=(before[2], before[2]))
    assert fingerprint(str(path)) == before
    path.write_bytes(b"1 1:10\n")
    os.utime(path, ns=(before[2], before[2]))
    assert fingerprint(str(path)) != before
    assert stored_bytes("-") is None
    with pytest.raises(ValueError, match="standard input has no fingerprint"):
        fingerprint("-")


# ------------------------------------------------------------------------------------------------ compression


@EACH
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_several_members_are_one_file(tmp_path, extension, size):
    pack = COMPRESS[extension]
    path = write(tmp_path / f"rows{extension}", pack(FIRST) + pack(b"") + pack(SECOND * 50_000) + pack(SECOND))
    assert read(path, size if size != 1 else 1000) == FIRST + SECOND * 50_001
    assert sample(str(path), 20) == (FIRST + SECOND)[:20]
    assert sample(str(path)) == FIRST + SECOND * 50_001
    with open_bytes(str(path)) as stream:
        stream.readinto(memoryview(bytearray(1 << 20)))
        stream.readinto(memoryview(bytearray(1)))
        assert stream.consumed == path.stat().st_size


@EACH
def test_cut_off_anywhere(tmp_path, extension):
    """An error, or the whole first member."""
    first, second = COMPRESS[extension](FIRST), COMPRESS[extension](SECOND)
    for length in range(len(first + second)):
        path = write(tmp_path / f"rows{extension}", (first + second)[:length])
        if length == len(first):
            assert read(path) == FIRST
            continue
        with pytest.raises(DataError, match=r"truncated|empty|damaged") as caught:
            read(path)
        assert caught.value.path == str(path)


@EACH
@pytest.mark.parametrize("change", [0x01, 0x55, 0xFF])
def test_damaged_anywhere(tmp_path, extension, change):
    """An error, or nothing lost: a .gz file's header holds flags and a time that nobody checks."""
    content = COMPRESS[extension](FIRST) + COMPRESS[extension](SECOND)
    unseen = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= change
        path = write(tmp_path / f"rows{extension}", bytes(damaged))
        try:
            content_read = read(path)
        except DataError:
            continue
        assert content_read == FIRST + SECOND, place
        unseen += 1
    assert unseen <= {".gz": 14, ".bz2": 4, ".xz": 0, ".zst": 0}[extension]


@EACH
@pytest.mark.parametrize("tail", [b"garbage", b"\1", b"\0\0\0\0"])
def test_what_stands_behind_the_last_member(tmp_path, extension, tail):
    """Zeros fill up .gz and .xz files; anything else may be what is left of rows."""
    path = write(tmp_path / f"rows{extension}", COMPRESS[extension](FIRST) + tail)
    if not tail.strip(b"\0") and extension in (".gz", ".xz"):
        assert read(path) == FIRST
    else:
        with pytest.raises(DataError, match=r"damaged|truncated"):
            read(path)


@EACH
@pytest.mark.parametrize("content", [b"", b"1 1:1\n", b"\0" * 100])
def test_what_is_not_compressed_at_all(tmp_path, extension, content):
    with pytest.raises(DataError, match="empty file" if not content else "damaged|truncated"):
        read(write(tmp_path / f"rows{extension}", content))


@EACH
def test_compressed_nothing_is_nothing(tmp_path, extension):
    assert read(write(tmp_path / f"rows{extension}", COMPRESS[extension](b""))) == b""


def test_a_file_that_python_can_read(tmp_path):
    path = write(tmp_path / "rows.xz", lzma.compress(FIRST * 1000))
    with open_bytes(str(path)) as stream:
        file = stream.binary_file()
        assert file.peek(3)[:3] == FIRST[:3]
        assert not file.seekable()
        assert file.read() == FIRST * 1000
    plain = write(tmp_path / "rows.svm", FIRST)
    with open_bytes(str(plain)) as stream:
        assert stream.binary_file().seek(0, os.SEEK_END) == len(FIRST)


# ------------------------------------------------------------------------------------------------ URLs


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def test_urls(memory):
    memory.pipe("/rows/b.svm", FIRST)
    memory.pipe("/rows/a.svm.gz", gzip.compress(SECOND))
    memory.pipe("/rows/sub/c.svm.xz", lzma.compress(SECOND))
    memory.pipe("/rows/.hidden", b"x")
    memory.pipe("/top.svm.bz2", bz2.compress(FIRST))
    at = ["memory:///rows/a.svm.gz", "memory:///rows/b.svm", "memory:///rows/sub/c.svm.xz"]
    assert expand("memory://rows/*.svm*") == at[:2]
    assert expand("memory://rows") == at
    assert expand(["memory://rows/b.svm", *at]) == ["memory://rows/b.svm", *at]
    assert [read(url) for url in at] == [SECOND, FIRST, SECOND]
    assert read("memory://top.svm.bz2") == FIRST
    assert sample(at[1], 5) == FIRST[:5]
    assert stored_bytes(at[1]) == len(FIRST)
    with pytest.raises(FileNotFoundError, match="matches"):
        expand("memory://rows/*.csv")
    with pytest.raises(FileNotFoundError):
        read("memory://rows/none.svm")


def test_a_changed_url_has_another_fingerprint(memory):
    memory.pipe("/rows.svm", FIRST)
    before = fingerprint("memory:///rows.svm")
    assert fingerprint("memory:///rows.svm") == before
    memory.pipe("/rows.svm", SECOND)
    assert fingerprint("memory:///rows.svm") != before


def test_files_by_url(tmp_path):
    path = write(tmp_path / "rows.svm.gz", gzip.compress(FIRST))
    assert read(f"file://{path}") == FIRST
    assert expand(f"file://{tmp_path}/*.gz") == [f"file://{path}"]
    before = fingerprint(f"file://{path}")
    os.utime(path, ns=(1, 1))
    assert fingerprint(f"file://{path}") != before
    write(path, gzip.compress(FIRST)[:-3])
    with pytest.raises(DataError, match="truncated"):
        read(f"file://{path}")


# ------------------------------------------------------------------------------------------------ standard input


class Drops(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._content.readinto(memoryview(buffer)[:3])


def test_standard_input_is_looked_at_before_it_is_read(monkeypatch):
    """More than what one read of a pipe gives, however it comes."""
    content = FIRST * 10_000
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Drops(content))))
    assert sample("-", 5) == content[:5]
    assert sample("-", 50_000) == content[:50_000]
    assert sample("-", 10) == content[:10]
    assert read("-", 999) == content
    assert read("-") == b""
    assert sample("-") == b""


def test_standard_input_that_is_a_file(monkeypatch, tmp_path):
    with open(write(tmp_path / "rows", FIRST)) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert sample("-", 5) == FIRST[:5]
        with open_bytes("-") as stream:
            assert stream.binary_file().seek(0, os.SEEK_END) == len(FIRST)
            stream.binary_file().seek(0)
        assert read("-") == FIRST
