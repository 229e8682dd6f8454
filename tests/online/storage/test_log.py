"""The write-ahead log: what is committed is replayed, and what cannot be written is not acknowledged."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online.storage.log_writing import Restored, no_snapshot, replayed, saver, write

from hogwild.data import DataError
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.log import LockedError, LogFailedError, open_log


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_what_is_committed_is_replayed(tmp_path, fsync):
    batches = [[b"a", b"", b"x" * 1000], [b"b"]]
    assert asyncio.run(write(tmp_path / "new" / "log", batches, fsync)) == []
    assert asyncio.run(write(tmp_path / "new" / "log", [[b"c"]], fsync)) == [b"a", b"", b"x" * 1000, b"b"]
    assert replayed(tmp_path / "new" / "log") == [b"a", b"", b"x" * 1000, b"b", b"c"]


operations = st.lists(
    st.one_of(
        st.lists(st.integers(0, 40).map(lambda size: b"r" * size), max_size=4).map(lambda batch: ("commit", batch)),
        st.lists(st.just(b"s"), max_size=2).map(lambda batch: ("snapshot", batch)),
        st.just(("failed snapshot", [])),
        st.just(("damage the newest snapshot", [])),
        st.just(("restart", [])),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(operations=operations, fsync=st.sampled_from(["always", "interval", "never"]))
def test_any_history_is_replayed(tmp_path_factory, operations, fsync):
    folder = tmp_path_factory.mktemp("log")

    def opened():
        log, restored = open_log(folder, fsync, segment_bytes=64), Restored()
        records = list(log.replay(restored))
        return log, restored.records + records

    def numbered(record, everything):
        return b"%d%s" % (len(everything), record)

    async def run():
        log, everything = opened()
        damaged = False
        for what, batch in operations:
            if what == "restart":
                await log.close()
                log, found = opened()
                assert found == everything
            elif what == "failed snapshot":
                with pytest.raises(OSError, match="no room"):
                    await log.snapshot(log.cut(), fail)
            elif what == "damage the newest snapshot":
                newest = sorted(folder.glob("*.safetensors"))[-1:]
                if not damaged and len(list(folder.glob("*.safetensors"))) > 1:
                    newest[0].write_bytes(b"gone")
                    damaged = True
            else:
                for record in batch:
                    everything.append(numbered(record, everything))
                    log.append(everything[-1])
                if what == "snapshot" and not damaged:
                    cut, before = log.cut(), list(everything)
                    everything.append(b"after")
                    log.append(b"after")
                    await log.snapshot(cut, saver(before))
                await log.commit()
        await log.close()
        log, found = opened()
        assert found == everything
        await log.close()

    asyncio.run(run())


def fail(path):
    raise OSError(errno.ENOSPC, "no room", str(path))


def test_segments_are_bounded_and_go_after_the_second_snapshot(tmp_path):
    async def run():
        log = open_log(tmp_path, "never", segment_bytes=100)
        list(log.replay(no_snapshot))
        for number in range(50):
            log.append(b"%020d" % number)
        await log.commit()
        sizes = [path.stat().st_size for path in tmp_path.glob("*.log")]
        assert len(sizes) == 10 and max(sizes) < 250
        assert log.since_snapshot == 1000
        await log.snapshot(log.cut(), saver([]))
        assert log.since_snapshot == 0 and len(list(tmp_path.glob("*.log"))) == 10
        log.append(b"one more")
        await log.snapshot(log.cut(), saver([b"all"]))
        await log.close()

    asyncio.run(run())
    assert sorted(path.name for path in tmp_path.glob("0*")) == [
        "00000011.log",
        "00000011.safetensors",
        "00000012.safetensors",
    ]
    assert replayed(tmp_path) == [b"all"]


def test_nothing_goes_before_the_snapshot_is_there(tmp_path):
    async def run():
        log = open_log(tmp_path, "always")
        list(log.replay(no_snapshot))
        for number in range(3):
            log.append(b"%d" % number)
            await log.commit()
            before = set(os.listdir(tmp_path))

            def save(path, before=before, number=number):
                assert set(os.listdir(tmp_path)) == before
                saver([b"%d" % one for one in range(number + 1)])(path)

            await log.snapshot(log.cut(), save)
        await log.close()

    asyncio.run(run())
    assert replayed(tmp_path) == [b"0", b"1", b"2"]


def test_a_damaged_snapshot_gives_way_to_the_one_before(tmp_path, caplog):
    async def run():
        log = open_log(tmp_path, "always")
        list(log.replay(no_snapshot))
        for number in range(3):
            log.append(b"%d" % number)
            await log.snapshot(log.cut(), saver([b"%d" % one for one in range(number + 1)]))
        await log.close()

    asyncio.run(run())
    first, second = sorted(tmp_path.glob("*.safetensors"))
    second.write_bytes(b"torn")
    assert replayed(tmp_path) == [b"0", b"1", b"2"]
    assert f"{second}: found damage" in caplog.text
    first.write_bytes(b"torn")
    with pytest.raises(DataError, match="00000004"):
        replayed(tmp_path)


def test_a_snapshot_of_another_model_is_not_passed_over(tmp_path):
    def refuse(path):
        raise UnfitModelError(path, found="another type", expected="this")

    async def run():
        log = open_log(tmp_path, "always")
        list(log.replay(no_snapshot))
        log.append(b"0")
        await log.snapshot(log.cut(), saver([b"0"]))
        await log.close()

    asyncio.run(run())
    with pytest.raises(UnfitModelError):
        list(open_log(tmp_path).replay(refuse))


def test_two_cannot_use_one_log(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(LockedError, match=f"{tmp_path}: the log is in use by process {os.getpid()}"):
        open_log(tmp_path)
    asyncio.run(log.close())
    asyncio.run(open_log(tmp_path).close())


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".00000003.safetensors-abc").write_bytes(b"half")
    asyncio.run(open_log(tmp_path).close())
    assert os.listdir(tmp_path) == ["lock"]


@pytest.mark.parametrize(("fsync", "syncs"), [("always", 2), ("never", 0)])
def test_calls_that_wait_together_share_one_fsync(tmp_path, monkeypatch, fsync, syncs):
    async def run():
        log = open_log(tmp_path, fsync)
        list(log.replay(no_snapshot))
        log.append(b"makes the segment")
        await log.commit()
        counted, fsync_file = [], os.fsync
        monkeypatch.setattr(os, "fsync", lambda descriptor: counted.append(descriptor) or fsync_file(descriptor))

        async def call(number):
            log.append(b"%d" % number)
            await log.commit()

        await asyncio.gather(*(call(number) for number in range(100)))
        assert len(counted) <= syncs  # those of the first batch, and those that came while it was written
        assert log.figures.fsyncs == 1 + len(counted) if fsync == "always" else log.figures.fsyncs == 0
        assert (log.figures.records, log.figures.bytes) == (101, len("makes the segment") + 190)
        assert log.figures.batches <= 3
        await log.close()
        assert len(counted) >= 1

    asyncio.run(run())
    assert replayed(tmp_path) == [b"makes the segment", *(b"%d" % number for number in range(100))]


def test_at_intervals_all_reaches_the_disk(tmp_path, monkeypatch):
    async def run():
        log = open_log(tmp_path, "interval")
        list(log.replay(no_snapshot))
        log.append(b"makes the segment")
        await log.commit()
        synced, loop = asyncio.Event(), asyncio.get_running_loop()
        monkeypatch.setattr(os, "fsync", lambda _: loop.call_soon_threadsafe(synced.set))
        log.append(b"more")
        await log.commit()
        await asyncio.wait_for(synced.wait(), 30)
        await log.close()

    asyncio.run(run())


def test_a_disk_that_fails_ends_all_updates(tmp_path, monkeypatch, caplog):
    async def run():
        log = open_log(tmp_path, "always")
        list(log.replay(no_snapshot))
        log.append(b"kept")
        await log.commit()
        assert log.failure is None

        def broken(_):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", broken)
            log.append(b"lost")
            waiting = [asyncio.create_task(log.commit()) for _ in range(3)]
            for one in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(one, LogFailedError)
                assert str(one) == "the log cannot be written, updates are refused: Input/output error"
        assert log.failure.errno == errno.EIO
        with pytest.raises(LogFailedError):
            log.append(b"never")
        await log.close()

    asyncio.run(run())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert replayed(tmp_path)[0] == b"kept" and b"never" not in replayed(tmp_path)


@pytest.mark.parametrize("reason", ["too large", "no memory"])
def test_what_cannot_be_written_ends_all_updates(tmp_path, monkeypatch, reason):
    async def run():
        log = open_log(tmp_path)
        list(log.replay(no_snapshot))
        if reason == "too large":
            monkeypatch.setattr("hogwild.online.storage.log.LARGEST", 10)
            with pytest.raises(
                LogFailedError, match="updates are refused: a record of 11 bytes, at most 10 are written"
            ):
                log.append(b"x" * 11)
        else:
            monkeypatch.setattr("hogwild.online.storage.segments.Segment.append", broken)
            log.append(b"x")
            with pytest.raises(LogFailedError, match="updates are refused: MemoryError"):
                await log.commit()
        with pytest.raises(LogFailedError):
            log.append(b"x")
        await log.close()

    def broken(*_):
        raise MemoryError

    asyncio.run(run())
    assert replayed(tmp_path) == []


FULL = """
import asyncio, resource, sys
from hogwild.online.storage.log import LogFailedError, open_log

async def run():
    log = open_log(sys.argv[1], sys.argv[2])
    list(log.replay(None))
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
    for number in range(1000):
        log.append(b"%0100d" % number)
        try:
            await log.commit()
        except LogFailedError:
            print("failed", log.failure.errno)
            break
        print(number)
    await log.close()

asyncio.run(run())
"""


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path, fsync, caplog):
    command = [sys.executable, "-c", FULL, tmp_path, fsync]
    *acknowledged, failed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert failed == f"failed {errno.EFBIG}" and acknowledged
    assert replayed(tmp_path) == [b"%0100d" % int(number) for number in acknowledged]
    assert not caplog.records  # what could not be written whole was taken back


def test_a_log_is_replayed_before_it_is_written(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(RuntimeError, match="replayed before"):
        log.append(b"record")
    with pytest.raises(RuntimeError, match="replayed before"):
        log.cut()
    asyncio.run(log.close())


def test_two_snapshots_of_one_cut(tmp_path):
    async def run():
        log = open_log(tmp_path)
        list(log.replay(no_snapshot))
        log.append(b"1")
        cut = log.cut()
        assert log.cut() == cut
        await asyncio.gather(*(log.snapshot(cut, saver([b"1"])) for _ in range(2)))
        assert log.since_snapshot == 0
        await log.close()

    asyncio.run(run())
    assert replayed(tmp_path) == [b"1"]


def test_servers_start_without_numpy():
    code = (
        "import sys, hogwild.online.storage.log, hogwild.online.storage.autosave; "
        "print([name for name in ('numpy', 'numba', 'scipy', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
