"""Items of a call that are still MessagePack: kernels read them whole; whoever wants one gets it as Python has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgpack

from hogwild.online.wire import Type

if TYPE_CHECKING:
    import numpy as np


class Packed(Sequence[Any]):
    """A list of items of one type, whose types have been checked.

    Parameters
    ----------
    data : bytes
        MessagePack, the items one after the other.
    ends : ndarray of int64
        Where the first item begins, and where each ends.
    item : Type
        Of what kind they are.
    """

    def __init__(self, data: bytes, ends: np.ndarray, item: Type) -> None:
        self.data, self.ends, self.item = data, ends, item

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> Packed: ...

    def __getitem__(self, place: int | slice) -> Any:
        """Return an item as Python has it, or some (without a step) as they are here."""
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            return Packed(self.data, self.ends[start : max(start, stop) + 1], self.item)
        start, end = self.ends[range(len(self))[place] :][:2]
        return self.item.read(_unpacked(self.data[start:end]))

    def __iter__(self) -> Iterator[Any]:
        return map(self.item.read, _unpacked(self.as_list))

    @property
    def raw(self) -> bytes:
        """The items' bytes."""
        return self.data[self.ends[0] : self.ends[-1]]

    @property
    def as_list(self) -> bytes:
        """The items as a list of MessagePack."""
        return b"\xdd" + len(self).to_bytes(4, "big") + self.raw

    @classmethod
    def joined(cls, parts: Sequence[Packed]) -> Packed:
        """Return the items of several lists of one type as one."""
        if len(parts) == 1:
            return parts[0]
        import numpy as np  # here: servers listen before it is loaded

        starts = np.cumsum([0, *(part.ends[-1] - part.ends[0] for part in parts)])
        ends = [part.ends[1:] - part.ends[0] + start for part, start in zip(parts, starts, strict=False)]
        return cls(b"".join(part.raw for part in parts), np.concatenate([[0], *ends]), parts[0].item)


def _unpacked(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape", use_list=False)
