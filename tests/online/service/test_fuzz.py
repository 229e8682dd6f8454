"""Hostile input closes its own connection, costs little, and leaves the others alone."""

import asyncio
import logging
import resource
import tracemalloc

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online.service.fakes import counting_service, datum, served

from hogwild.online.service.client import RpcError
from hogwild.online.service.settings import Limits

LIMITS = Limits(message=1 << 16, idle=0.2, unfinished=0.2)
CALLS = [
    (0, 1, "train", ["", [["a", [[["k", "v"]], [["n", 1.0]], [["b", b"\xff"]]]]]]),
    (0, 2, "classify", ["", [datum(t="x")]]),
    (0, 3, "get_status", [""]),
    (0, 4, "save", ["", "../x"]),
    (2, "train", ["", [["a", datum()]]]),
]
PACKED = [msgpack.packb(call, use_bin_type=False) for call in CALLS]

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
requests = st.tuples(
    st.just(0),
    st.integers(0, 2**32 - 1),
    st.sampled_from(
        ["train", "classify", "get_labels", "set_label", "get_config", "save", "load", "clear", "dummy", ""]
    ),
    st.lists(junk, max_size=3),
).map(lambda call: msgpack.packb(call, use_bin_type=False))


@st.composite
def mutated(draw):
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(PACKED), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1))
        data[place] = draw(st.integers(0, 255))
    return bytes(data)


WIDTHS = {0xD9: 1, 0xC4: 1, 0xC7: 1, 0xDA: 2, 0xC5: 2, 0xC8: 2, 0xDC: 2, 0xDE: 2}
WIDTHS |= dict.fromkeys((0xDB, 0xC6, 0xC9, 0xDD, 0xDF), 4)
declared = st.tuples(st.sampled_from(sorted(WIDTHS)), st.integers(1, 2000)).map(
    lambda of: (bytes([of[0]]) + b"\xff" * WIDTHS[of[0]]) * of[1]
)
nested = st.tuples(st.sampled_from([b"\x91", b"\x81\xa1k", b"\x92\xc0"]), st.integers(1, 3000)).map(
    lambda of: PACKED[0][:12] + of[0] * of[1] + b"\xc0"
)
truncated = st.tuples(st.sampled_from(PACKED), st.integers(0, 60)).map(lambda of: of[0][: -of[1] or None])
hostile = st.binary(max_size=300) | mutated() | requests | declared | nested | truncated


async def send(port: int, data: bytes) -> None:
    """Send bytes, and take what comes until the server closes or answers no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    try:
        while await asyncio.wait_for(reader.read(1 << 16), 20):
            pass
    except ConnectionError:
        pass
    writer.close()


@settings(deadline=None, max_examples=60)
@given(st.lists(hostile, min_size=1, max_size=8))
def test_a_good_connection_is_answered_whatever_others_send(tmp_path_factory, sent):
    async def main():
        service, learner = counting_service(datadir=folder)
        async with served(service, limits=LIMITS) as (rpc, client):
            await asyncio.gather(*(send(rpc.port, data) for data in sent))
            before = dict(learner.labels)
            assert await client.call("train", ("", [("good", datum())])) == 1
            assert learner.labels == {**before, "good": before.get("good", 0) + 1}
            with pytest.raises(RpcError):
                await client.call("dummy", ())
            assert rpc._backlog == 0

    folder = tmp_path_factory.mktemp("data")
    logging.getLogger("hogwild").setLevel(logging.CRITICAL)
    try:
        asyncio.run(main())
    finally:
        logging.getLogger("hogwild").setLevel(logging.NOTSET)
    assert list(folder.iterdir()) == []
    assert not (folder.parent / "x").exists()


@pytest.mark.parametrize("head", [b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdf\xff\xff\xff\xff"])
def test_memory_does_not_grow_with_what_is_declared(head):
    async def main():
        service, _ = counting_service()
        async with served(service, limits=LIMITS) as (rpc, client):
            await asyncio.gather(*(send(rpc.port, PACKED[0][:12] + head * 1000) for _ in range(20)))
            assert await client.call("get_config", ("",)) == "{}"

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        asyncio.run(main())
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 64 << 10


def test_one_line_is_logged_for_a_connection(caplog):
    async def main():
        service, _ = counting_service()
        async with served(service, limits=LIMITS) as (rpc, _):
            await send(rpc.port, b"\xc1" * 1000)

    with caplog.at_level(logging.DEBUG, logger="hogwild"):
        asyncio.run(main())
    assert len(caplog.records) == 1
    assert "closed" in caplog.records[0].getMessage()
