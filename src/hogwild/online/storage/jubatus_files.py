"""Files of the original: a header of 48 bytes, then what the server says of the model, then the model.

Both are MessagePack of the old kind: texts and bytes are the same there. What the model is made of: `jubatus_models`.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any, NamedTuple

import msgpack

from hogwild import storage
from hogwild.data.errors import DataError
from hogwild.online.storage.errors import UnfitModelError

MAGIC = b"jubatus\0"
VERSION = (1, 1, 1)  # whose files these are; the original refuses those of any other version than its own
_FORMAT, _SYSTEM, _USER = 1, 1, 1
_HEADER = struct.Struct(">8sQ3IIQQ")
_CHECKED = 28  # bytes before the checksum, which takes 4 more
_EXPECTED = "a model file of Jubatus"

PathLike = str | os.PathLike[str]


class JubatusFile(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    type, id, configuration : str
    saved : int
        Seconds since 1970.
    data : Any
        The model: lists, dicts, texts (`str`), numbers.
    version : tuple of int
        Of the original that wrote it.
    """

    type: str
    id: str
    configuration: str
    saved: int
    data: Any
    version: tuple[int, int, int] = VERSION


def unpack_jubatus(content: bytes, name: PathLike) -> JubatusFile:
    """Return what a file of that content holds; `name` is what errors call it.

    Raises
    ------
    DataError
        It is torn, altered, or something else.
    UnfitModelError
        Another version wrote it.
    """
    if len(content) < _HEADER.size:
        raise DataError(name, found=f"{len(content)} bytes", expected=f"{_EXPECTED}, with a header of {_HEADER.size}")
    magic, form, *version, crc, system_size, user_size = _HEADER.unpack_from(content)
    if magic != MAGIC:
        raise DataError(name, found=f"a file that begins with {magic!r}", expected=f"{_EXPECTED}: {MAGIC!r}")
    if form != _FORMAT:
        raise UnfitModelError(name, found=f"format version {form}", expected=str(_FORMAT))
    if version[0] != VERSION[0]:
        shown = ".".join(map(str, version))
        raise UnfitModelError(name, found=f"a file of Jubatus {shown}", expected=f"one of Jubatus {VERSION[0]}")
    size = _HEADER.size + system_size + user_size
    if len(content) != size:
        raise DataError(name, found=f"{len(content):,} bytes", expected=f"{size:,}, as its header says")
    computed = _crc(content)
    if computed != crc:
        raise DataError(name, found=f"content of checksum {computed:08x}", expected=f"{crc:08x}, as its header says")
    middle = _HEADER.size + system_size
    system = _unpacked(content[_HEADER.size : middle], "a list that describes the model", name)
    if system[0] != _SYSTEM:
        raise UnfitModelError(name, found=f"system data of version {system[0]!r}", expected=str(_SYSTEM))
    if len(system) != 5 or list(map(type, system[1:])) != [int, str, str, str]:
        raise DataError(name, found="a damaged description", expected="time, type, id and configuration")
    user = _unpacked(content[middle:], "a version and a model", name)
    if user[0] != _USER:
        raise UnfitModelError(name, found=f"a model of user version {user[0]!r}", expected=str(_USER))
    if len(user) != 2:
        raise DataError(name, found=f"{len(user)} values", expected="a version and a model")
    _, saved, kind, id, configuration = system
    return JubatusFile(kind, id, configuration, saved, user[1], tuple(version))


def pack_jubatus(file: JubatusFile) -> bytes:
    """Return the content of a file."""
    system = _packed([_SYSTEM, file.saved, file.type, file.id, file.configuration])
    user = _packed([_USER, file.data])
    header = _HEADER.pack(MAGIC, _FORMAT, *file.version, 0, len(system), len(user))
    content = header + system + user
    return content[:_CHECKED] + struct.pack(">I", _crc(content)) + content[_CHECKED + 4 :]


def write_jubatus(path: PathLike, file: JubatusFile) -> None:
    """Write a file, which appears whole or not at all."""
    storage.put(path, pack_jubatus(file))


def _crc(content: bytes) -> int:
    return zlib.crc32(memoryview(content)[_CHECKED + 4 :], zlib.crc32(content[:_CHECKED]))


def _unpacked(content: bytes, expected: str, name: PathLike) -> list[Any]:
    try:
        values = msgpack.unpackb(content, raw=False, unicode_errors="surrogateescape", strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DataError(name, found=f"damaged MessagePack ({error!r})", expected=expected) from None
    if not isinstance(values, list) or not values:
        raise DataError(name, found=f"{type(values).__name__}", expected=expected)
    return values


def _packed(value: Any) -> bytes:
    return msgpack.packb(value, use_bin_type=False, unicode_errors="surrogateescape")
