"""Messages of a group as bytes: MessagePack, with numeric arrays, and nothing that could be code.

A message is ``[name, {field: value}]``. A version (major, minor) goes with each. Another major is refused, and a minor
that differs by more than one; with one more or less fields that are not known are passed over, and those that are
missing have their defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import msgpack

from hogwild.cluster.mix.gossip import Ask, Give, Push, Taken
from hogwild.cluster.mix.protocol import Diff, GetDiff, GetModel, Mixed, Model, Obsolete, Overtaken, PutDiff

PROTOCOL = (1, 0)
ARRAY = 1  # MessagePack's extension type of arrays: [dtype, shape] and the elements, little-endian, the last axis first
DTYPES = frozenset(["|b1", "|i1", "|u1", *(f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)), "<f4", "<f8"])
DIMENSIONS = 8

Kinds = dict[str, type]


def kinds_of(kinds: Iterable[type]) -> Kinds:
    """Return kinds of messages by their names."""
    return {kind.__name__: kind for kind in kinds}


PEER = kinds_of((GetDiff, Diff, Overtaken, PutDiff, Mixed, Obsolete, GetModel, Model, Ask, Give, Push, Taken))


class PackingError(ValueError):
    """Bytes are no message; the message says what was found and what was expected."""


class ProtocolError(PackingError):
    """A message is of a version that cannot be read here."""


def pack(message: Any) -> bytes:
    """Return a message (a NamedTuple) as bytes."""
    return pack_value([type(message).__name__, message._asdict()])


def unpack(data: bytes, kinds: Kinds) -> Any:
    """Return the message that bytes hold; None where it is of a kind that is not known here.

    Raises
    ------
    PackingError
        They hold none of these kinds.
    """
    value = unpack_value(data)
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)):
        raise PackingError("expected a message: its name and its fields, found something else")
    name, found = value
    if name not in kinds:
        return None
    kind = kinds[name]
    fields = dict(kind._field_defaults)
    for field, annotation in kind.__annotations__.items():
        if field in found:
            fields[field] = _field(f"{name}.{field}", annotation, found[field])
        elif field not in fields:
            raise PackingError(f"{name} has no field {field!r}")
    return kind(**fields)


def check_protocol(version: Any, source: str) -> None:
    """Check that messages of a version can be read here.

    Raises
    ------
    ProtocolError
        They cannot.
    """
    if not (isinstance(version, (list, tuple)) and len(version) == 2 and all(type(one) is int for one in version)):
        raise ProtocolError(f"expected the protocol's version (major, minor) from {source}, found {version!r}")
    major, minor = version
    if major != PROTOCOL[0] or abs(minor - PROTOCOL[1]) > 1:
        here = "{}.{}".format(*PROTOCOL)
        raise ProtocolError(
            f"{source} mixes by protocol {major}.{minor}, this server by {here}: "
            "servers of one group may differ by one minor version, and by no major one"
        )


def pack_value(value: Any) -> bytes:
    """Return a value as bytes: what parts of models travel as."""
    return msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape", default=_pack_array)


def unpack_value(data: bytes) -> Any:
    """Return the value that bytes hold, tuples as lists.

    Raises
    ------
    PackingError
        They hold none.
    """
    try:
        return msgpack.unpackb(
            data, raw=False, unicode_errors="surrogateescape", strict_map_key=False, ext_hook=_unpack_array
        )
    except PackingError:
        raise
    except (ValueError, TypeError, RecursionError) as error:  # msgpack's own are ValueErrors; keys may be unhashable
        raise PackingError(f"no MessagePack: {type(error).__name__} {error}".strip()) from None


# ------------------------------------------------------------------------------------------------ fields


def _texts(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) and all(type(one) is str for one in value) else None


def _numbers(value: Any) -> Any:
    whole = isinstance(value, dict) and all(type(one) is str for one in value)
    return value if whole and all(type(number) is int and number >= 0 for number in value.values()) else None


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "int": lambda value: value if type(value) is int and value >= 0 else None,
    "bool": lambda value: value if type(value) is bool else None,
    "str": lambda value: value if type(value) is str else None,
    "tuple[str, ...]": _texts,
    "dict[str, int]": _numbers,
}


def _field(place: str, annotation: Any, value: Any) -> Any:
    annotation = getattr(annotation, "__forward_arg__", annotation)  # NamedTuple wraps texts before Python 3.14
    if annotation == "Any":
        return value
    read = _FIELDS[annotation](value)
    if read is None:
        raise PackingError(f"{place} must be {annotation}, found {type(value).__name__} {str(value)[:40]!r}")
    return read


# ------------------------------------------------------------------------------------------------ arrays


def _pack_array(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a {type(value).__name__} cannot be sent to other servers")
    if value.dtype.newbyteorder("<").str not in DTYPES or value.ndim > DIMENSIONS:
        raise TypeError(f"an array of {value.dtype} with {value.ndim} dimensions cannot be sent to other servers")
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    header = msgpack.packb([little.dtype.str, list(value.shape)])
    return msgpack.ExtType(ARRAY, header + little.tobytes())


def _unpack_array(code: int, data: bytes) -> Any:
    import numpy as np

    if code != ARRAY:
        raise PackingError(f"expected MessagePack's extension type {ARRAY} (an array), found {code}")
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
    unpacker.feed(data[:128])
    try:
        dtype, shape = unpacker.unpack()
        start = unpacker.tell()
        sound = isinstance(dtype, str) and dtype in DTYPES and len(shape) <= DIMENSIONS and _are_sizes(shape)
    except (ValueError, TypeError, msgpack.OutOfData):
        raise PackingError("an array has no header") from None
    if not sound:
        raise PackingError(f"an array of {str(dtype)[:40]!r}, shape {str(shape)[:80]}, is not taken")
    expected, found = prod(shape) * int(dtype[2:]), len(data) - start
    if expected != found:
        raise PackingError(f"an array of {dtype}, shape {shape}, has {expected} bytes, found {found}")
    # a copy is writable and aligned, as arrays are that were made here: kernels are compiled once for both
    return np.frombuffer(data, dtype, offset=start).reshape(shape).copy() if expected else np.zeros(shape, dtype)


def _are_sizes(shape: Iterable[Any]) -> bool:
    return all(type(size) is int and 0 <= size < 1 << 48 for size in shape)
