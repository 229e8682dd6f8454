"""Cache files: damage, death of the writer, bad rows."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from naive_hog import batch_of, random_batch

from hogwild.data.batch import concatenate, rebatch
from hogwild.data.errors import DataError
from hogwild.data.hog import HogFile
from hogwild.data.hog_writer import write_hog


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hog")


# ------------------------------------------------------------------------------------------------ damage


@pytest.fixture(scope="module")
def small(folder):
    """A file with all that there can be, in two blocks."""
    path = folder / "small.hog"
    rows = batch_of([[(9, 0.1, 3), (4, 2.0, 1)], [], [(9, 1.0, 7)]], ["a", "b", "a"], [1, 2, 3], fields=True)
    write_hog([rows], path, block_bytes=1).close()
    content = path.read_bytes()
    assert HogFile(path).n_blocks > 1
    path.unlink()
    return content


def refused(path, content, **options):
    path.write_bytes(content)
    with pytest.raises(DataError, match=path.name), HogFile(path, **options) as hog:
        for k in range(hog.n_blocks):
            hog.block(k)


def test_every_flipped_bit_is_found(tmp_path, small):
    for place in range(len(small)):
        altered = bytearray(small)
        altered[place] ^= 1 << place % 8
        refused(tmp_path / "small.hog", altered)


def test_every_truncation_is_found(tmp_path, small):
    for size in range(len(small)):
        refused(tmp_path / "small.hog", small[:size])
    refused(tmp_path / "small.hog", small + b"\0")


def test_other_files_are_refused(tmp_path, small):
    refused(tmp_path / "rows.hog", b"1 3:0.5 7:1\n" * 20)
    refused(tmp_path / "rows.hog", bytes(64) + small[64:])  # the head comes last
    newer = bytearray(small)
    newer[8:12] = struct.pack("<I", 2)
    for head in (newer[:60] + struct.pack("<I", zlib.crc32(newer[:60])), newer[:64]):
        (tmp_path / "rows.hog").write_bytes(head + newer[64:])
        with pytest.raises(DataError, match="found version 2, expected version 1: this needs a newer hogwild"):
            HogFile(tmp_path / "rows.hog")


def test_an_altered_block_is_named(tmp_path, small):
    path = tmp_path / "rows.hog"
    path.write_bytes(small)
    with HogFile(path) as hog:
        last = hog.n_blocks - 1
    index = json.loads(small[small.rindex(b'{"form"') :])["tail"][1]
    place = struct.unpack_from("<Q", small, index + 32 * last)[0]
    altered = bytearray(small)
    altered[place] ^= 1
    path.write_bytes(altered)
    with HogFile(path) as hog:
        hog.block(0)
        for _ in range(2):
            with pytest.raises(DataError, match=rf"rows\.hog: found an altered block {last}"):
                hog.block(last)
    with HogFile(path, verify=False) as hog:
        hog.block(last)


# ------------------------------------------------------------------------------------------------ failing writers


@pytest.mark.parametrize("memory", [2_000, 1 << 20])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_failing_source_leaves_what_was_there(tmp_path, memory, shards):
    def failing():
        yield random_batch(500)
        raise KeyboardInterrupt

    path = tmp_path / "rows.hog"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_hog(failing(), path, memory=memory, shards=shards)

    def fail(stage, done, total):
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_hog([random_batch(500)], path, memory=memory, shards=shards, on_progress=fail)
    assert os.listdir(tmp_path) == ["rows.hog"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("memory", [2_000, 1 << 24])
def test_a_full_disk(tmp_path, memory):
    batch = random_batch(3_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # files as long as that are too large
    try:
        with pytest.raises(OSError, match=r"rows\.hog"):
            write_hog([batch], tmp_path / "rows.hog", memory=memory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_errors_of_the_source_keep_their_name(tmp_path):
    def failing():
        yield random_batch(5)
        raise OSError(5, "no answer from the other machine")

    with pytest.raises(OSError, match="no answer") as caught:
        write_hog(failing(), tmp_path / "rows.hog")
    assert caught.value.filename is None


_KILLED = """
import sys
import numpy as np
from hogwild.data.batch import Batch
from hogwild.data.hog_writer import write_hog

one = np.arange(1001)
rows = Batch(one.astype(np.uint64), one[:-1].astype(np.uint32), np.ones(1000, np.float32), one[:-1])

def wait(stage, done, total):
    if stage == sys.argv[2] and done > 4000:
        print(stage, flush=True)
        sys.stdin.read()

write_hog([rows] * 10, sys.argv[1], memory=20_000, on_progress=wait)
"""


@pytest.mark.parametrize("stage", ["read", "write"])
def test_a_killed_writer_leaves_no_file(tmp_path, stage):
    path = tmp_path / "rows.hog"
    command = [sys.executable, "-c", _KILLED, str(path), stage]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline().strip() == stage.encode()
        left = list(tmp_path.iterdir())
        assert left and all(each.name.startswith(".rows.hog-") for each in left)
        assert any(each.is_file() for each in left) == (stage == "write")
        writer.send_signal(signal.SIGKILL)
    assert not path.exists()
    write_hog([random_batch(10)], path).close()
    assert len(HogFile(path)) == 10


_MEASURED = """
import resource, sys
import numpy as np
from hogwild.data.batch import Batch
from hogwild.data.hog_writer import write_hog

def batches(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        indices = rng.integers(0, 100_000, 400_000, dtype=np.uint32)
        indptr, labels = np.arange(0, 400_001, 20, dtype=np.uint64), np.arange(20_000) % 7
        yield Batch(indptr, indices, rng.random(400_000, np.float32), labels)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

write_hog(batches(2), sys.argv[1], memory=100_000).close()
before = peak()
write_hog(batches(50), sys.argv[1], memory=16 << 20).close()
print(peak() - before)
"""


def test_memory_is_bounded(tmp_path):
    path = tmp_path / "rows.hog"
    command = [sys.executable, "-c", _MEASURED, str(path)]
    grown = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    assert path.stat().st_size > 140 << 20
    assert grown < 64 << 20


# ------------------------------------------------------------------------------------------------ bad input


def test_no_rows(tmp_path):
    empty = concatenate([])
    for batches in ([], [empty], iter([empty, empty])):
        with pytest.raises(ValueError, match="no rows"):
            write_hog(batches, tmp_path / "rows.hog")
    assert os.listdir(tmp_path) == []


def test_batches_without_rows_say_nothing(tmp_path):
    text = batch_of([[(0, 1.0)]], ["a"])
    with write_hog([concatenate([]), text, concatenate([])], tmp_path / "rows.hog") as hog:
        assert hog.labels.tolist() == ["a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": np.array([1, 2], np.int64)}, "indices: int64"),
        ({"values": np.ones(2)}, "values: float64"),
        ({"values": np.ones(3, np.float32)}, r"values: float32 of shape \(3,\)"),
        ({"labels": np.array([1, 2])}, "labels: int64"),
        ({"weights": np.ones(2, np.float32)}, "weights: float32"),
        ({"fields": np.zeros(1, np.uint32)}, "fields: uint32"),
        ({"indptr": np.array([0, 3], np.uint64)}, "indptr of a batch"),
        ({"indptr": np.array([1, 2], np.uint64)}, "indptr of a batch"),
        ({"indptr": np.array([0, 3, 2], np.uint64), "labels": np.array([1, 2])}, "indptr of a batch"),
    ],
)
def test_bad_batches(tmp_path, change, message):
    batch = batch_of([[(0, 1.0), (1, 1.0)]], [1])._replace(**change)
    with pytest.raises(ValueError, match=message):
        write_hog([batch], tmp_path / "rows.hog")
    assert os.listdir(tmp_path) == []


def test_indices_have_to_fit(tmp_path):
    batch = batch_of([[(7, 1.0)]], [1])
    with pytest.raises(ValueError, match="index 7 is beyond n_features = 7"):
        write_hog([batch], tmp_path / "rows.hog", n_features=7)
    with write_hog([batch], tmp_path / "rows.hog", n_features=20, renumber=False) as hog:
        assert (hog.n_features, hog.n_columns, hog.numbering) == (20, 20, None)


def test_fields_in_all_rows_or_in_none(tmp_path):
    plain, fielded = batch_of([[(0, 1.0)]], [1]), batch_of([[(0, 1.0, 2)]], [1], fields=True)
    for batches in ([plain, fielded], [fielded, plain]):
        with pytest.raises(ValueError, match="fields"):
            write_hog(batches, tmp_path / "rows.hog")
    empty = batch_of([[]], [1])
    with write_hog([empty, fielded, empty], tmp_path / "rows.hog") as hog:
        assert hog.has_fields


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"values": "float64"}, ValueError),
        ({"shards": 0}, ValueError),
        ({"shards": 11}, ValueError),
        ({"memory": 0}, ValueError),
        ({"block_bytes": 0}, ValueError),
        ({"n_features": 0}, ValueError),
        ({"about": {"of": object()}}, TypeError),
    ],
)
def test_bad_options(tmp_path, options, error):
    with pytest.raises(error):
        write_hog([random_batch(10)], tmp_path / "rows.hog", **options)
    assert os.listdir(tmp_path) == []


def test_bad_places(tmp_path):
    with pytest.raises(ValueError, match="compressed"):
        write_hog([random_batch(10)], tmp_path / "rows.hog.gz")
    with pytest.raises(FileNotFoundError, match="no folder"):
        write_hog([random_batch(10)], tmp_path / "none" / "rows.hog")
    with pytest.raises(IsADirectoryError):
        write_hog([random_batch(10)], tmp_path)


def test_progress_is_reported(tmp_path):
    said = []
    write_hog(
        rebatch([random_batch(100)], 30), tmp_path / "rows.hog", on_progress=lambda *said_: said.append(said_)
    ).close()
    assert said == [
        ("read", 30, None),
        ("read", 60, None),
        ("read", 90, None),
        ("read", 100, None),
        ("write", 100, 100),
    ]
