"""Damaged logs: what a crash has torn is cut off, other damage is an error that names its place."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online.storage.log_writing import no_snapshot, replayed, write

from hogwild.data import DataError
from hogwild.online.storage import segments
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.log import open_log


def test_a_tail_torn_anywhere_is_cut_off(tmp_path, caplog):
    batches = [[b"first"], [b"second", b"third"], [b"fourth" * 10]]
    asyncio.run(write(tmp_path / "log", batches))
    path = tmp_path / "log" / "00000001.log"
    content, ends = path.read_bytes(), [0]
    for upto in range(1, 4):
        asyncio.run(write(tmp_path / str(upto), batches[:upto]))
        ends.append((tmp_path / str(upto) / "00000001.log").stat().st_size)
    ends[0] = 28
    for size in range(len(content)):
        path.write_bytes(content[:size])
        caplog.clear()
        whole = sum(end <= size for end in ends[1:])
        expected = [record for batch in batches[:whole] for record in batch]
        assert replayed(tmp_path / "log") == expected
        assert bool(caplog.records) == (size not in ends), size
        caplog.clear()
        assert asyncio.run(write(tmp_path / "log", [[b"new"]])) == expected
        assert not caplog.records
        assert replayed(tmp_path / "log") == [*expected, b"new"]
        for other in (tmp_path / "log").glob("*.log"):
            other.unlink()


def test_every_altered_byte_that_had_reached_the_disk_is_an_error(tmp_path):
    asyncio.run(write(tmp_path, [[b"first"], [b"second"], [b"third"]]))
    path = tmp_path / "00000001.log"
    content = path.read_bytes()
    last = content.rindex(b"\xf3hg")
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        if place < last:
            with pytest.raises(DataError, match=r"00000001\.log: found"):
                replayed(tmp_path)
        else:  # nothing vouches for the last frame: it may be torn
            assert replayed(tmp_path) == [b"first", b"second"]


def test_damage_names_the_segment_and_the_byte(tmp_path):
    asyncio.run(write(tmp_path, [[b"first"], [b"second"], [b"third"]]))
    path = tmp_path / "00000001.log"
    path.write_bytes(path.read_bytes().replace(b"second", b"sekond"))
    with pytest.raises(DataError, match=rf"{path}: found damage at byte 57 of 116, expected an unaltered segment"):
        replayed(tmp_path)


def test_a_hole_that_a_power_cut_may_leave_is_a_torn_tail(tmp_path, caplog):
    asyncio.run(write(tmp_path, [[b"first"], [b"second"], [b"third"]], "never"))
    path = tmp_path / "00000001.log"
    path.write_bytes(path.read_bytes().replace(b"second", b"\0" * 6))
    assert replayed(tmp_path) == [b"first"]
    assert "which a crash has torn" in caplog.text


def test_damage_in_a_segment_before_the_last_is_an_error(tmp_path):
    asyncio.run(write(tmp_path, [[b"first"], [b"second"]], "never", segment_bytes=1))
    path = tmp_path / "00000001.log"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"00000001\.log: found damage at byte 28"):
        replayed(tmp_path)


def test_a_missing_segment_is_an_error(tmp_path):
    asyncio.run(write(tmp_path, [[b"first"], [b"second"], [b"third"]], segment_bytes=1))
    (tmp_path / "00000002.log").unlink()
    with pytest.raises(DataError, match=r"00000002\.log: found no such file before segment 3"):
        replayed(tmp_path)


def test_a_segment_under_anothers_name_is_an_error(tmp_path):
    asyncio.run(write(tmp_path, [[b"first"]]))
    (tmp_path / "00000001.log").rename(tmp_path / "00000002.log")
    asyncio.run(write(tmp_path / "other", [[b"first"]]))
    (tmp_path / "other" / "00000001.log").rename(tmp_path / "00000001.log")
    with pytest.raises(DataError, match=r"00000002\.log: found segment 1 of b'hoglog', expected segment 2"):
        replayed(tmp_path)


# written by version 1 of the format: this must be read for ever
VERSION_1 = (
    "aG9nbG9nAAEAAAAAAAAAAf5/KkA/nxfwoQshifNoZw0AAAANAAAAAAAAABx9zTS3AAAABWZpcnN0AAAAAPNoZw0AAAAKAAAAAAAA"
    "AD3v6vh4AAAABnNlY29uZA=="
)


def test_version_1_is_read(tmp_path):
    (tmp_path / "00000001.log").write_bytes(base64.b64decode(VERSION_1))
    assert replayed(tmp_path) == [b"first", b"", b"second"]


def test_a_newer_format_is_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(segments, "FORMAT", 2)
        asyncio.run(write(tmp_path, [[b"first"]]))
    with pytest.raises(UnfitModelError, match="found format 2, expected at most 1: a newer hogwild"):
        replayed(tmp_path)


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=80), body=st.binary(max_size=40), whole_header=st.booleans())
def test_anything_may_stand_in_a_segment(tmp_path_factory, content, body, whole_header):
    folder = tmp_path_factory.mktemp("log")
    if whole_header:
        asyncio.run(write(folder, [[body]]))
        content = (folder / "00000001.log").read_bytes() + content
    (folder / "00000001.log").write_bytes(content)
    log = open_log(folder)
    try:
        assert list(log.replay(no_snapshot)) == ([body] if whole_header else [])
    except DataError:
        assert not whole_header or b"\xf3hg" in content[28 + 20 + 4 + len(body) :]
    finally:
        asyncio.run(log.close())


def test_a_record_that_looks_like_a_frame_is_none(tmp_path, caplog):
    asyncio.run(write(tmp_path / "other", [[b"evil"], [b"evil"]]))
    frames = (tmp_path / "other" / "00000001.log").read_bytes()[28:]
    asyncio.run(write(tmp_path / "log", [[b"first"], [b"x" * 100 + frames]]))
    path = tmp_path / "log" / "00000001.log"
    path.write_bytes(path.read_bytes()[:-1])
    assert replayed(tmp_path / "log") == [b"first"]  # torn, although frames of a client's making follow the tear
