"""What a service asks of a write-ahead log, and what its records hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgpack

from hogwild.online.packed import Packed

CALL = "call"  # method and arguments as they came
LOAD = "load"  # a model file's name and content


class Journal(Protocol):
    """A log of what changed a model, in order. The service applies a change, appends it, commits, and answers then.

    Attributes
    ----------
    failure : OSError or None
        Set for good once a write failed: updates are refused from then on.
    """

    failure: OSError | None

    def replay(self, load: Callable[[Path], None]) -> Iterator[bytes]:
        """Call `load` with the newest good snapshot, if there is one, and yield the records after it.

        Once, before the first `append`, in any thread.
        """
        ...

    def append(self, record: bytes) -> None:
        """Add a record, in memory."""
        ...

    async def commit(self) -> None:
        """Return when all that was appended is durable, as far as the fsync policy has it.

        Raises
        ------
        OSError
            It did not become so.
        """
        ...

    def cut(self) -> int:
        """Say that the model's state is taken here: all that was appended so far is in it."""
        ...

    async def snapshot(self, cut: int, save: Callable[[Path], None]) -> None:
        """Keep a model in place of the records before its cut; `save` writes it, in a thread."""
        ...

    async def close(self) -> None:
        """Make all durable and let go of the files."""
        ...


def call_record(method: str, arguments: Sequence[Any]) -> bytes:
    """Return the record of an update, whose arguments are as they came."""
    if arguments and isinstance(arguments[0], Packed):
        return b"".join((b"\x93", pack_record(CALL), pack_record(method), b"\x91", arguments[0].as_list))
    return pack_record((CALL, method, arguments))


def pack_record(record: Sequence[Any] | str) -> bytes:
    """Return a record as bytes; its first item says what kind it is."""
    return msgpack.packb(record, use_bin_type=True, unicode_errors="surrogateescape")


def unpack_record(record: bytes) -> tuple[Any, ...]:
    """Return what `pack_record` made bytes of (lists come back as tuples)."""
    return msgpack.unpackb(record, raw=False, unicode_errors="surrogateescape", use_list=False, strict_map_key=False)
