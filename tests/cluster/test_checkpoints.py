"""Snapshots of nodes: whole or not there, the newest two kept, one number for the whole job."""

from __future__ import annotations

import builtins
import errno
import itertools
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hogwild import storage
from hogwild.cluster.checkpoints import Checkpoints
from hogwild.cluster.snapshots import NewerFormatError
from hogwild.data import DataError

NODE = "shard/0/1"
unused = itertools.count()


def arrays(number):
    return {"values": np.full((2, 3), number, np.float32), "clocks": np.arange(number % 100, dtype=np.uint64)}


def write(checkpoints, *numbers, node=NODE):
    for number in numbers:
        checkpoints.write(node, number, {"rows": number * 10}, arrays(number))


def check(found, number):
    assert found[:2] == (number, {"rows": number * 10})
    assert found[2].keys() == arrays(number).keys()
    for name, array in arrays(number).items():
        np.testing.assert_array_equal(found[2][name], array, strict=True)


@pytest.fixture(params=["folder", "file", "memory"])
def checkpoints(request, tmp_path):
    if request.param == "memory":
        pytest.importorskip("fsspec")
    places = {
        "folder": str(tmp_path / "made" / "by it"),
        "file": f"file://{tmp_path}/job",
        "memory": f"memory://checkpoints/{os.getpid()}/{next(unused)}",
    }
    return Checkpoints(places[request.param])


def stored(checkpoints, number, node=NODE):
    """Path, content and a way to replace what holds the snapshot of that number."""
    if not checkpoints.place.startswith("memory"):
        path = Path(checkpoints.place, node, f"{number:08d}.safetensors")
        return [(str(path), path.read_bytes(), path.write_bytes)]
    import fsspec

    system = fsspec.filesystem("memory")
    folder = checkpoints.place.removeprefix("memory:/")
    return [
        (path, system.cat_file(path), lambda content, path=path: system.pipe_file(path, content))
        for path in sorted(system.find(f"{folder}/{node}"))
        if Path(path).name.startswith(f"{number:08d}")
    ]


# ------------------------------------------------------------------------------------------------ plain use


def test_what_is_written_is_read(checkpoints):
    assert checkpoints.newest(NODE) is None and checkpoints.numbers(NODE) == [] and checkpoints.nodes() == []
    write(checkpoints, 7)
    check(checkpoints.newest(NODE), 7)
    assert checkpoints.newest("shard/0") is None and checkpoints.newest("shard/0/1/2") is None


def test_the_newest_two_are_kept(checkpoints):
    write(checkpoints, 1, 2, 3, 123_456_789)
    write(checkpoints, 1, node="shard/0")
    assert checkpoints.numbers(NODE) == [3, 123_456_789]
    assert checkpoints.numbers("shard/0") == [1]
    check(checkpoints.newest(NODE), 123_456_789)
    assert checkpoints.nodes() == ["shard/0", NODE]


def test_a_number_is_written_again(checkpoints):
    write(checkpoints, 1, 2)
    checkpoints.write(NODE, 2, {"rows": 5}, {})
    assert checkpoints.newest(NODE) == (2, {"rows": 5}, {})
    assert checkpoints.numbers(NODE) == [1, 2]


def test_it_travels(checkpoints):
    write(checkpoints, 1)
    check(pickle.loads(pickle.dumps(checkpoints)).newest(NODE), 1)


def test_a_folder_is_the_same_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("job")
    monkeypatch.chdir("/")
    write(checkpoints, 1)
    assert (tmp_path / "job" / NODE / "00000001.safetensors").exists()


@pytest.mark.parametrize("node", ["job", "", "/shard", "shard/", "../shard", "shard/../../x", "shard/.x", "a b"])
def test_names_that_are_no_nodes(checkpoints, node):
    with pytest.raises(ValueError, match="expected"):
        checkpoints.write(node, 1, {}, {})


def test_numbers_that_json_does_not_know(checkpoints):
    with pytest.raises(ValueError):
        checkpoints.write(NODE, 1, {"loss": np.inf}, {})
    assert checkpoints.numbers(NODE) == []


def test_without_fsspec_the_error_names_the_extra(monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("fsspec"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"s3://bucket/job.*hogwild\[cloud\]"):
        Checkpoints("s3://bucket/job").newest(NODE)


# ------------------------------------------------------------------------------------------------ damage


def test_every_truncated_snapshot_is_passed_over(checkpoints):
    write(checkpoints, 1, 2)
    for _, content, replace in stored(checkpoints, 2):
        for length in range(len(content)):
            replace(content[:length])
            check(checkpoints.newest(NODE), 1)
        replace(content)
    check(checkpoints.newest(NODE), 2)


def test_every_flipped_bit_is_seen(checkpoints):
    write(checkpoints, 1, 2)
    for _, content, replace in stored(checkpoints, 2):
        for place, bit in ((place, 1 << place % 8) for place in range(len(content))):
            altered = bytearray(content)
            altered[place] ^= bit
            replace(bytes(altered))
            try:
                found = checkpoints.newest(NODE)
            except NewerFormatError:  # the number of its format is what was altered
                continue
            check(found, found[0])  # a blank that means nothing may be another now, and the snapshot whole
        replace(content)


def test_no_whole_snapshot(checkpoints):
    write(checkpoints, 1, 2)
    for number in (1, 2):
        for _, content, replace in stored(checkpoints, number):
            replace(content[:-1])
    with pytest.raises(DataError, match="00000002"):
        checkpoints.newest(NODE)


def test_a_snapshot_of_another_node_is_refused(tmp_path):
    checkpoints = Checkpoints(str(tmp_path))
    write(checkpoints, 1)
    write(checkpoints, 2, node="shard/1/0")
    (tmp_path / NODE / "00000002.safetensors").write_bytes((tmp_path / "shard/1/0/00000002.safetensors").read_bytes())
    check(checkpoints.newest(NODE), 1)
    with pytest.raises(DataError, match=r"found snapshot 2 of shard/1/0, expected 2 of shard/0/1"):
        checkpoints.read(NODE, 2)


def test_a_newer_format_is_not_passed_over(checkpoints, monkeypatch):
    write(checkpoints, 1)
    checkpoints.commit(1, {})
    monkeypatch.setattr("hogwild.cluster.checkpoints.FORMAT", 2)
    write(checkpoints, 2)
    checkpoints.commit(2, {})
    monkeypatch.undo()
    for ask in (lambda: checkpoints.newest(NODE), checkpoints.newest_committed):
        with pytest.raises(DataError, match="found format 2, expected format 1"):
            ask()


def test_a_record_of_a_newer_format_is_not_passed_over(monkeypatch):
    pytest.importorskip("fsspec")
    checkpoints = Checkpoints(f"memory://newer/{os.getpid()}")
    write(checkpoints, 1)
    monkeypatch.setattr("hogwild.cluster.snapshots.FORMAT", 2)
    write(checkpoints, 2)
    monkeypatch.undo()
    with pytest.raises(DataError, match="found format 2, expected format 1"):
        checkpoints.newest(NODE)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    checkpoints = Checkpoints(str(tmp_path))
    write(checkpoints, 1, 2)

    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="00000003") as caught:
        write(checkpoints, 3)
    assert caught.value.errno == errno.ENOSPC
    assert sorted(os.listdir(tmp_path / NODE)) == ["00000001.safetensors", "00000002.safetensors"]
    check(checkpoints.newest(NODE), 2)


@pytest.mark.parametrize("written", [0, 1])
def test_a_full_object_store_leaves_what_was_there(monkeypatch, written):
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem
    checkpoints = Checkpoints(f"memory://full/{os.getpid()}/{written}")
    write(checkpoints, 1, 2)
    pipe, left = memory.pipe_file, itertools.count(written, -1)

    def fail(*given, **options):
        if next(left) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pipe(*given, **options)

    monkeypatch.setattr(memory, "pipe_file", fail)
    with pytest.raises(OSError, match="No space left"):
        write(checkpoints, 3)
    monkeypatch.undo()
    assert checkpoints.numbers(NODE) == [1, 2]
    check(checkpoints.newest(NODE), 2)
    write(checkpoints, 4)  # and what had been written of it goes
    assert not stored(checkpoints, 3)


def test_what_killed_writers_left_is_removed(checkpoints):
    write(checkpoints, 1)
    (path, content, _), *_ = [item for item in stored(checkpoints, 1) if item[0].endswith(".safetensors")]
    if checkpoints.place.startswith("memory"):
        import fsspec

        system = fsspec.filesystem("memory")
        left = path.replace("00000001", "00000002")
        system.pipe_file(left, content)
        write(checkpoints, 3)
        assert not system.exists(left) and system.exists(path)
    else:
        left = Path(path).with_name(".00000002.safetensors-x1y2")
        left.write_bytes(content[:-1])
        assert checkpoints.numbers(NODE) == [1]
        write(checkpoints, 3)
        assert not left.exists()
    assert checkpoints.numbers(NODE) == [1, 3]


# ------------------------------------------------------------------------------------------------ the whole job


def test_the_newest_number_that_all_have(checkpoints):
    nodes = ["shard/0/0", "shard/1/0"]
    assert checkpoints.newest_committed() is None
    for node in nodes:
        write(checkpoints, 1, node=node)
    checkpoints.commit(1, {"clock": 5}, nodes)
    write(checkpoints, 2, 3, 4, node=nodes[0])  # the other one is late: what was committed stays
    assert checkpoints.newest_committed() == (1, {"clock": 5})
    assert checkpoints.committed_nodes(1) == nodes
    for node in nodes:
        assert checkpoints.read(node, 1)[0] == {"rows": 10}
    assert checkpoints.numbers(nodes[0]) == [1, 3, 4]
    with pytest.raises(ValueError, match="found no snapshot 4 of shard/1/0"):
        checkpoints.commit(4, {}, nodes)


def test_records_beyond_the_newest_two_go_with_their_snapshots(checkpoints):
    for number in range(1, 6):
        write(checkpoints, number)
        checkpoints.commit(number, {"at": number}, [NODE])
    assert checkpoints.newest_committed() == (5, {"at": 5})
    assert checkpoints.newest_committed(before=5) == (4, {"at": 4})
    assert checkpoints.newest_committed(before=4) is None
    assert checkpoints.numbers("job") == [4, 5]
    assert checkpoints.numbers(NODE) == [3, 4, 5]  # 3 was named by a record until the last came


def test_a_damaged_record_is_passed_over(checkpoints):
    for number in (1, 2):
        write(checkpoints, number)
        checkpoints.commit(number, {"at": number}, [NODE])
    for _, content, replace in stored(checkpoints, 2, "job"):
        replace(content[:-1])
    assert checkpoints.newest_committed() == (1, {"at": 1})
    for _, content, replace in stored(checkpoints, 1, "job"):
        replace(content[:-1])
    with pytest.raises(DataError, match="00000002"):
        checkpoints.newest_committed()


def test_a_record_without_its_snapshots_is_passed_over(tmp_path):
    checkpoints = Checkpoints(str(tmp_path))
    for number in (1, 2):
        write(checkpoints, number)
        checkpoints.commit(number, {}, [NODE])
    (tmp_path / NODE / "00000002.safetensors").unlink()
    assert checkpoints.newest_committed() == (1, {})
    (tmp_path / NODE / "00000001.safetensors").unlink()
    with pytest.raises(DataError, match="found no snapshot 2 of shard/0/1"):
        checkpoints.newest_committed()


def test_going_back_removes_what_the_abandoned_run_left(checkpoints):
    write(checkpoints, 1, 2)
    checkpoints.commit(1, {"at": 1}, [NODE])
    write(checkpoints, 1, 2, 3, node="coordinator")
    checkpoints.commit(2, {"at": 2}, [NODE])
    checkpoints.rewind(1)
    assert checkpoints.newest_committed() == (1, {"at": 1})
    check(checkpoints.newest(NODE), 1)
    assert checkpoints.numbers("coordinator") == [1]


# ------------------------------------------------------------------------------------------------ several processes

WRITER = """
import sys
import numpy as np
from hogwild.cluster.checkpoints import Checkpoints
place, node, first, last = sys.argv[1:]
checkpoints = Checkpoints(place)
for number in range(int(first), int(last)):
    checkpoints.write(node, number, {"rows": number}, {"values": np.full(50_000, number, np.int64)})
    print(number, flush=True)
"""


def writer(place, node, first, last):
    command = [sys.executable, "-c", WRITER, str(place), node, str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_writer_that_is_killed(tmp_path):
    checkpoints, node, first = Checkpoints(str(tmp_path)), "shard/0/0", 0
    for kill in range(4):
        process = writer(tmp_path, node, first, first + 100_000)
        last = [int(process.stdout.readline()) for _ in range(3 + 5 * kill)][
            -1
        ]  # killed at once, somewhere in the next
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait(60)
        process.stdout.close()
        last = int(rest[-1]) if rest else last
        number, about, arrays = checkpoints.newest(node)
        assert last <= number <= last + 1 and about == {"rows": number}
        assert (arrays["values"] == number).all()
        first = number + 1
    checkpoints.write(node, first, {}, {})
    assert sorted(os.listdir(tmp_path / node)) == [f"{number:08d}.safetensors" for number in (first - 1, first)]


def test_several_processes_write_their_own_nodes(tmp_path):
    processes = [writer(tmp_path, f"shard/{shard}/0", 0, 20) for shard in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for process in processes:
        process.stdout.close()
    checkpoints = Checkpoints(str(tmp_path))
    for shard in range(3):
        assert checkpoints.numbers(f"shard/{shard}/0") == [18, 19]
        assert checkpoints.newest(f"shard/{shard}/0")[0] == 19


def test_a_reader_beside_a_writer_always_finds_one(tmp_path):
    checkpoints, node = Checkpoints(str(tmp_path)), "shard/0/0"
    process, before = writer(tmp_path, node, 0, 60), -1
    process.stdout.readline()
    while process.poll() is None:
        number, _, arrays = checkpoints.newest(node)
        assert number >= before and (arrays["values"] == number).all()
        before = number
    process.stdout.close()
    assert process.returncode == 0


def test_bytes_and_files_are_the_same(tmp_path):
    storage.write(tmp_path / "file", {"a": 1, "b": [2]}, arrays(3))
    (tmp_path / "packed").write_bytes(storage.pack({"a": 1, "b": [2]}, arrays(3)))
    for about, found in (storage.unpack((tmp_path / "file").read_bytes(), "bytes"), storage.read(tmp_path / "packed")):
        assert about == {"a": 1, "b": [2]} and (found["values"] == 3).all()
