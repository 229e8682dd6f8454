"""Values out of what arrives: however it is cut, and whatever it claims to be."""

import tracemalloc
from itertools import pairwise

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hogwild.online.service.framing import Frames, MalformedError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def packed(value) -> bytes:
    return msgpack.packb(value, use_bin_type=True)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def all_of(frames: Frames) -> list:
    found = []
    while (taken := frames.take()) is not None:
        found.append(taken)
    return found


@given(st.lists(values, max_size=6), st.lists(st.integers(0, 10**6)))
def test_values_come_however_they_are_cut(sent, places):
    frames, found = Frames(1 << 20), []
    for chunk in cut(b"".join(map(packed, sent)), places):
        frames.feed(chunk)
        found += all_of(frames)
    assert found == [(value, len(packed(value))) for value in sent]
    assert frames.unfinished == 0


@given(st.lists(values, min_size=1, max_size=4), st.integers(1, 3))
def test_values_can_be_taken_one_at_a_time(sent, between):
    frames, found = Frames(1 << 20), []
    for chunk in cut(b"".join(map(packed, sent)), list(range(0, 200, 7))):
        frames.feed(chunk)
        for _ in range(between):
            taken = frames.take()
            found += [] if taken is None else [taken[0]]
    assert found + [value for value, _ in all_of(frames)] == sent


def test_large_values_come_as_well():
    frames, value = Frames(1 << 20), ("x" * 100_000, b"\xff" * 100_000)
    frames.feed(packed(value) + packed(1))
    assert [found for found, _ in all_of(frames)] == [value, 1]


def test_bytes_that_are_no_text_come_back():
    frames = Frames(100)
    frames.feed(msgpack.packb(b"\xff\x00a", use_bin_type=False))
    (text, _) = frames.take()
    assert text.encode("utf-8", "surrogateescape") == b"\xff\x00a"


@pytest.mark.parametrize(
    "head", [b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
)
def test_declared_lengths_cost_nothing(head):
    frames = Frames(1 << 20)
    tracemalloc.start()
    try:
        frames.feed(head * 900)
        assert frames.take() is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",  # never used
        b"\x91" * 5000 + b"\x00",  # too deep for the reader
        packed({1: 2}),  # keys that can be made to collide
        packed({(1, 2): 3}),
        b"\xc7\x03\xffabc",  # a time that is none
        packed(b"x" * 2000),  # too long
        packed(b"x" * 2000)[:1500],  # will be
    ],
    ids=range(7),
)
def test_what_is_no_message_is_refused(data):
    frames = Frames(1000)
    frames.feed(data)
    with pytest.raises(MalformedError):
        frames.take()


def test_a_refusal_leaves_other_connections_alone():
    bad, good = Frames(1000), Frames(1000)
    bad.feed(packed({1: 2}) + packed(1))
    with pytest.raises(MalformedError):
        bad.take()
    good.feed(packed((1, "a")))
    assert good.take()[0] == (1, "a")
