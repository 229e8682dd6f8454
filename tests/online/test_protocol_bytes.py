"""What travels, byte for byte: texts are raw of the old MessagePack (a0, da, db), as all clients have it."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest

from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import Service

STAT = '{"window_size": 3}'
WEIGHT = '{"converter": {"string_rules": [{"key": "*", "type": "space"}], "num_rules": [{"key": "*", "type": "num"}]}}'
LONG = b"k" * 40  # longer than a fixraw
HUGE = b"k" * 70_000  # longer than a raw16


def double(value):
    return b"\xcb" + struct.pack(">d", value)


PUSH, SUM = b"\xa4push", b"\xa3sum"
NAME = b"\xa0"  # the group's, empty where there is none

# kind, requests and answers in their order
TALKS = {
    "a number and a text": (
        "stat",
        [
            (b"\x94\x00\x01" + PUSH + b"\x93" + NAME + b"\xa1x" + double(1.5), b"\x94\x01\x01\xc0\xc3"),
            (b"\x94\x00\x02" + SUM + b"\x92" + NAME + b"\xa1x", b"\x94\x01\x02\xc0" + double(1.5)),
        ],
    ),
    "a group's name": (
        "stat",
        [(b"\x94\x00\x01" + PUSH + b"\x93\xa4name\xa1x" + double(-2), b"\x94\x01\x01\xc0\xc3")],
    ),
    "a text of 16 bits' length": (
        "stat",
        [
            (b"\x94\x00\x01" + PUSH + b"\x93" + NAME + b"\xda\x00\x28" + LONG + double(2), b"\x94\x01\x01\xc0\xc3"),
            (b"\x94\x00\x02" + SUM + b"\x92" + NAME + b"\xda\x00\x28" + LONG, b"\x94\x01\x02\xc0" + double(2)),
        ],
    ),
    "a text of 32 bits' length": (
        "stat",
        [
            (
                b"\x94\x00\x01" + PUSH + b"\x93" + NAME + b"\xdb\x00\x01\x11\x70" + HUGE + double(2),
                b"\x94\x01\x01\xc0\xc3",
            ),
            # lengths may be written longer than need be
            (b"\x94\x00\x02" + PUSH + b"\x93" + NAME + b"\xdb\x00\x00\x00\x01x" + double(2), b"\x94\x01\x02\xc0\xc3"),
            (b"\x94\x00\x03" + SUM + b"\x92" + NAME + b"\xda\x00\x01x", b"\x94\x01\x03\xc0" + double(2)),
        ],
    ),
    "an answer longer than a fixraw": (
        "weight",
        [
            (
                b"\x94\x00\x01\xaaget_config\x91" + NAME,
                b"\x94\x01\x01\xc0\xda" + struct.pack(">H", len(WEIGHT)) + WEIGHT.encode(),
            )
        ],
    ),
    "numbers of calls up to 32 bits": (
        "stat",
        [
            (b"\x94\x00\xcc\xff" + PUSH + b"\x93" + NAME + b"\xa1x" + double(1), b"\x94\x01\xcc\xff\xc0\xc3"),
            (
                b"\x94\x00\xce\xff\xff\xff\xff" + SUM + b"\x92" + NAME + b"\xa1x",
                b"\x94\x01\xce\xff\xff\xff\xff\xc0" + double(1),
            ),
        ],
    ),
    "an unknown method": (
        "stat",
        [
            (b"\x94\x00\x07\xa5dummy\x90", b"\x94\x01\x07\x01\xa5dummy"),
            (b"\x94\x00\x08\xa5dummy\x91\xa0", b"\x94\x01\x08\x01\xa5dummy"),
        ],
    ),
    "a notification, which has no answer": (
        "stat",
        [
            (b"\x93\x02" + PUSH + b"\x93" + NAME + b"\xa1x" + double(4), b""),
            (b"\x94\x00\x01" + PUSH + b"\x93" + NAME + b"\xa1x" + double(1), b"\x94\x01\x01\xc0\xc3"),
            (b"\x94\x00\x02" + SUM + b"\x92" + NAME + b"\xa1x", b"\x94\x01\x02\xc0" + double(5)),
        ],
    ),
    "a datum and pairs": (
        "weight",
        [
            (
                # [[["t", "a ü"]], [["n", 0.5]], []]
                b"\x94\x00\x01\xabcalc_weight\x92"
                + NAME
                + b"\x93\x91\x92\xa1t\xa4a \xc3\xbc\x91\x92\xa1n"
                + double(0.5)
                + b"\x90",
                b"\x94\x01\x01\xc0\x93"
                b"\x92\xb1t$a@space#bin/bin"
                + double(1)
                + b"\x92\xb2t$\xc3\xbc@space#bin/bin"
                + double(1)
                + b"\x92\xa5n@num"
                + double(0.5),
            ),
            # without bytes, as the oldest clients have it
            (
                b"\x94\x00\x02\xabcalc_weight\x92" + NAME + b"\x92\x90\x91\x92\xa1n" + double(2),
                b"\x94\x01\x02\xc0\x91\x92\xa5n@num" + double(2),
            ),
        ],
    ),
    "texts that are no UTF-8": (
        "weight",
        [
            (
                b"\x94\x00\x01\xabcalc_weight\x92" + NAME + b"\x93\x91\x92\xa1t\xa2\xe9\xff\x90\x90",
                b"\x94\x01\x01\xc0\x91\x92\xb2t$\xe9\xff@space#bin/bin" + double(1),
            )
        ],
    ),
}
CONFIGURATIONS = {"stat": STAT, "weight": WEIGHT}
REFUSED = {
    "an integer for a double": b"\x94\x00\x01" + PUSH + b"\x93" + NAME + b"\xa1x\x01",
    "no double": b"\x94\x00\x01" + PUSH + b"\x92" + NAME + b"\xa1x",
    "a list for a text": b"\x94\x00\x01" + PUSH + b"\x93" + NAME + b"\x90" + double(1),
    "nothing at all": b"\x94\x00\x01" + PUSH + b"\x90",
}


@contextlib.asynccontextmanager
async def connected(kind):
    service = Service(kind, CONFIGURATIONS[kind])
    server = RpcServer(service)
    port = await server.start()
    loading = asyncio.create_task(service.load_learner())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(60):
            yield reader, writer
    finally:
        writer.close()
        await loading
        await server.close()
        await service.drain()


async def talked(kind, talk, cut):
    """Send requests in pieces of `cut` bytes, each after the answer to the last; return the answers."""
    answers = []
    async with connected(kind) as (reader, writer):
        for request, answer in talk:
            for start in range(0, len(request), cut):
                writer.write(request[start : start + cut])
                await writer.drain()
            answers.append(await reader.readexactly(len(answer)))
    return answers


async def refused(request):
    """Return the beginning of an answer whose third entry is a number, and its text."""
    async with connected("stat") as (reader, writer):
        writer.write(request)
        return await reader.readexactly(3), await raw_or_number(reader), await raw_or_number(reader)


async def raw_or_number(reader):
    """Read an entry: nil, a small number or a raw of the old MessagePack, and nothing else."""
    (first,) = await reader.readexactly(1)
    if first < 0x80:
        return first
    if first == 0xC0:
        return None
    assert 0xA0 <= first < 0xC0 or first == 0xDA, f"{first:x} is no raw of the old MessagePack"
    size = first - 0xA0 if first < 0xC0 else int.from_bytes(await reader.readexactly(2))
    return await reader.readexactly(size)


@pytest.mark.parametrize("cut", [1 << 20, 7], ids=["at once", "in pieces"])
@pytest.mark.parametrize("name", TALKS)
def test_every_byte_is_as_clients_expect(name, cut):
    kind, talk = TALKS[name]
    cut = max(cut, max(len(request) for request, _ in talk) // 20)
    assert asyncio.run(talked(kind, talk, cut)) == [answer for _, answer in talk]


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_arguments_are_error_2_and_a_text(name):
    start, error, text = asyncio.run(refused(REFUSED[name]))
    assert (start, error) == (b"\x94\x01\x01", 2) and text


def test_other_failures_are_a_text_and_no_result():
    start, error, result = asyncio.run(refused(b"\x94\x00\x01" + SUM + b"\x92" + NAME + b"\xa7nowhere"))
    assert start == b"\x94\x01\x01" and b"nowhere" in error and result is None
