"""Messages as bytes: what went in comes back; what was tampered with is refused, or read as far as it can be."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hogwild.cluster.mix.protocol import Diff, GetDiff, Group, Model, PutDiff, Register
from hogwild.online.group import links, packing
from hogwild.online.group.coordination import ANSWERS
from hogwild.online.group.figures import MixFigures
from hogwild.online.group.links import Inbox
from hogwild.online.group.packing import (
    PEER,
    PackingError,
    ProtocolError,
    check_protocol,
    kinds_of,
    pack,
    pack_value,
    unpack,
    unpack_value,
)
from hogwild.online.group.settings import LinkSettings

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.binary(max_size=9).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXTS | st.binary()
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)
ARRAYS = hnp.arrays(
    st.sampled_from([np.dtype(text) for text in ("?", "i1", "u1", "<i4", "<u4", "<i8", ">i8", "<f4", "<f8", ">f8")]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)
HEAD = [list(packing.PROTOCOL), "stat//x", "127.0.0.1_9199", 1, 0, 1]


@given(VALUES)
def test_values_come_back(value):
    assert unpack_value(pack_value(value)) == value


@given(ARRAYS)
def test_arrays_come_back(array):
    back = unpack_value(pack_value({"array": [array]}))["array"][0]
    assert back.dtype == array.dtype.newbyteorder("<") and back.shape == array.shape
    assert back.flags.writeable and back.flags.aligned
    np.testing.assert_array_equal(back, array)


def test_numpys_numbers_travel_as_plain_ones():
    back = unpack_value(pack_value([np.int64(3), np.float32(0.5), np.bool_(True)]))
    assert back == [3, 0.5, True] and [type(one) for one in back] == [int, float, bool]


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([object()]), np.array([1j]), object(), {1, 2}])
def test_nothing_else_travels(value):
    with pytest.raises(TypeError, match="cannot be sent"):
        pack_value(value)


def test_messages_come_back():
    diff = Diff(3, "n", "n#1", 2, True, {"w": np.arange(3.0)})
    back = unpack(pack(diff), PEER)
    assert back[:5] == diff[:5] and (back.diff["w"] == diff.diff["w"]).all()
    model = Model("n", 4, {"a": 1}, {"n#1": 3}, 2)
    assert unpack(pack(model), PEER) == model
    group = Group(("a", "b"), {"a": 3}, 2)
    assert unpack(pack(group), kinds_of(ANSWERS)) == group


def tampered(message, **changes):
    name, fields = msgpack.unpackb(pack(message), strict_map_key=False)
    fields |= changes
    return msgpack.packb([name, {key: value for key, value in fields.items() if value is not ...}])


def test_fields_of_a_later_minor_version_are_passed_over():
    assert unpack(tampered(GetDiff(3), urgent=True), PEER) == GetDiff(3)


def test_fields_that_an_earlier_minor_version_lacks_have_their_defaults():
    put = PutDiff(3, 2, None, ("a",), True, 1)
    assert unpack(tampered(put, settled=..., floor=...), PEER) == PutDiff(3, 2, None, ("a",), False, 0)
    assert unpack(tampered(Diff(1, "n", "s", 0, True, None, True), seeded=...), PEER).seeded is False


def test_kinds_of_a_later_minor_version_are_passed_over():
    assert unpack(msgpack.packb(["Embrace", {"round": 3}]), PEER) is None
    assert unpack(pack(Register("n", 1)), PEER) is None  # not from just anybody


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"round": ...}, "no field 'round'"),
        ({"round": "3"}, "GetDiff.round must be int, found str '3'"),
        ({"round": -1}, "must be int"),
        ({"round": True}, "must be int"),
        ({"round": [1]}, "must be int"),
    ],
)
def test_fields_that_cannot_be(changes, expected):
    with pytest.raises(PackingError, match=expected):
        unpack(tampered(GetDiff(3), **changes), PEER)


def test_maps_and_lists_of_other_things():
    with pytest.raises(PackingError, match=r"Model\.included must be"):
        unpack(tampered(Model("n", 1, None, {}, 0), included={"a": "b"}), PEER)
    with pytest.raises(PackingError, match=r"PutDiff\.sources must be"):
        unpack(tampered(PutDiff(3, 2, None, ()), sources=[1]), PEER)


def extension(header, data=b""):
    return msgpack.packb(msgpack.ExtType(1, msgpack.packb(header) + data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\x91" * 2000,
        b"\x81\x90\x01",  # a key that is a list
        msgpack.packb(msgpack.ExtType(2, b"")),
        msgpack.packb(msgpack.ExtType(1, b"")),
        msgpack.packb(msgpack.ExtType(1, b"\xc1")),
        msgpack.packb(msgpack.ExtType(1, b"\x01")),
        extension(["|O8", [1]], bytes(8)),
        extension(["<f8", [2]], bytes(8)),
        extension(["<f8", [-1]], b""),
        extension(["<f8", [1 << 60, 1 << 60]], b""),
        extension(["<f8", ["1"]], bytes(8)),
        extension(["<f8", [1] * 9], bytes(8)),
        extension(["<f8", 1], bytes(8)),
        extension([["<f8"], [1]], bytes(8)),
        extension(["<f8"], bytes(8)),
    ],
)
def test_bytes_that_are_no_value(data):
    with pytest.raises(PackingError):
        unpack_value(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data):
    for read in (lambda: unpack(data, PEER), lambda: inbox().take([*HEAD, data])):
        with contextlib.suppress(PackingError):
            read()


# ------------------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize("minor", [0, 1, 2])
def test_a_minor_version_of_one_more_or_less_works(monkeypatch, minor):
    monkeypatch.setattr(packing, "PROTOCOL", (1, 1))
    check_protocol((1, minor), "n")


@pytest.mark.parametrize("version", [(2, 0), (0, 0), (1, 3)])
def test_other_versions_are_refused_by_name(monkeypatch, version):
    monkeypatch.setattr(packing, "PROTOCOL", (1, 1))
    with pytest.raises(ProtocolError, match=rf"10.0.0.1_9199 mixes by protocol {version[0]}.{version[1]}.* 1\.1"):
        check_protocol(version, "10.0.0.1_9199")


@pytest.mark.parametrize("version", [None, 1, "1.0", (1,), (1.0, 0), (True, 0)])
def test_what_is_no_version_is_refused(version):
    with pytest.raises(ProtocolError, match="expected the protocol's version"):
        check_protocol(version, "n")


# ------------------------------------------------------------------------------------------------ calls


def inbox(largest=1000):
    return Inbox("stat//x", LinkSettings(largest=largest), MixFigures())


def parts(message, size, number=1, source="127.0.0.1_9199"):
    data = pack(message)
    count = -(-len(data) // size)
    head = [list(packing.PROTOCOL), "stat//x", source, number]
    return [[*head, index, count, data[index * size : (index + 1) * size]] for index in range(count)]


def test_a_message_in_parts_is_put_together_though_some_come_twice():
    box, message = inbox(), Model("n", 1, {"key": "x" * 100}, {}, 0)
    *first, last = parts(message, 10)
    for part in first:
        assert box.take(part) is None and box.take(part) is None
    assert box.take(last) == ("127.0.0.1_9199", message)
    assert not box._open


def test_parts_of_several_servers_and_of_a_message_that_was_given_up():
    box, message = inbox(), Model("n", 1, {"key": "x" * 100}, {}, 0)
    box.take(parts(message, 10, number=1)[0])
    for ours, theirs in zip(parts(message, 10, number=2), parts(message, 10, source="h_1"), strict=True):
        got = box.take(ours), box.take(theirs)
    assert got == (("127.0.0.1_9199", message), ("h_1", message))


def test_a_part_is_missing():
    box, all_parts = inbox(), parts(Model("n", 1, "x" * 100, {}, 0), 10)
    box.take(all_parts[0])
    with pytest.raises(PackingError, match="without those before"):
        box.take(all_parts[2])


def test_memory_is_bounded():
    box = inbox(largest=1000)
    message = Model("n", 1, "x" * 900, {}, 0)
    for part in parts(message, 100)[:-1]:
        box.take(part)
    with pytest.raises(PackingError, match="more than 1000 bytes"):
        for part in parts(message, 100, source="other_1"):
            box.take(part)
    assert box.take(parts(message, 100)[-1]) == ("127.0.0.1_9199", message)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (0, [9, 0], "protocol 9.0"),
        (1, "stat/other/x", "not of this group"),
        (2, "nobody", "address and port"),
        (2, 7, "address and port"),
        (3, "1", "expected"),
        (4, 1, "index of count"),
        (6, "text", "as bytes"),
    ],
)
def test_calls_that_are_not_taken(place, value, expected):
    call = [*HEAD, pack(GetDiff(1))]
    assert inbox().take(call) == ("127.0.0.1_9199", GetDiff(1))
    call[place] = value
    with pytest.raises(PackingError, match=expected):
        inbox().take(call)
    with pytest.raises(PackingError):
        inbox().take(call[:place])


def test_more_arguments_of_a_later_version_are_passed_over():
    assert inbox().take([*HEAD, pack(GetDiff(1)), "more"])[1] == GetDiff(1)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, hogwild.online.group.member, hogwild.online.group.parent, hogwild.online.group.pipe\n"
        "print([name for name in ('numpy', 'numba', 'scipy', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_half_a_message_is_forgotten(monkeypatch):
    box, message = inbox(), Model("n", 1, "x" * 100, {}, 0)
    box.take(parts(message, 10)[0])
    assert box.receiving
    now = links.time.monotonic()
    monkeypatch.setattr(links.time, "monotonic", lambda: now + 1000)
    assert not box.receiving and not box._open
