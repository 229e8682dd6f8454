"""Which row goes when there are more than there may be."""

from __future__ import annotations

import heapq
from bisect import bisect, insort
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from hogwild.online.configuration import ConfigurationError, read


class Unlearner(Protocol):
    """Chooses by what rows are, not by what happened on one server: all that have the same rows choose the same.

    Attributes
    ----------
    max_size : int
        Number of rows that there may be.
    """

    max_size: int

    def added(self, name: str) -> None:
        """Note a name that is new."""
        ...

    def removed(self, name: str) -> None:
        """Note a name that is gone."""
        ...

    def clear(self) -> None:
        """Forget all names."""
        ...

    def victim(self, names: Iterable[str], clock: int) -> str:
        """Return the name that goes, of names in the order of their last changes."""
        ...

    def victims(self, count: int, names: Sequence[str], clock: int) -> list[str]:
        """Return the names that go where many are too many, of names in that order."""
        ...


class Lru:
    """The row goes that was not changed for the longest time."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size

    def added(self, name: str) -> None:
        """See `Unlearner`."""

    def removed(self, name: str) -> None:
        """See `Unlearner`."""

    def clear(self) -> None:
        """See `Unlearner`."""

    def victim(self, names: Iterable[str], clock: int) -> str:
        """See `Unlearner`."""
        return next(iter(names))

    def victims(self, count: int, names: Sequence[str], clock: int) -> list[str]:
        """See `Unlearner`."""
        return list(names[:count])


def _place(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


class Random:
    """Some row goes: that whose name's hash follows the hash of the time."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.clear()

    def clear(self) -> None:
        """See `Unlearner`."""
        self._names: list[tuple[int, str]] = []

    def added(self, name: str) -> None:
        """See `Unlearner`."""
        insort(self._names, (_place(name), name))

    def removed(self, name: str) -> None:
        """See `Unlearner`."""
        del self._names[bisect(self._names, (_place(name), name)) - 1]

    def victim(self, names: Iterable[str], clock: int) -> str:
        """See `Unlearner`."""
        return self._names[bisect(self._names, (_place(str(clock)), "")) % len(self._names)][1]

    def victims(self, count: int, names: Sequence[str], clock: int) -> list[str]:
        """See `Unlearner`."""
        return heapq.nsmallest(count, names, key=lambda name: (_place(f"{clock} {name}"), name))


_UNLEARNERS = {"lru": Lru, "random": Random}


class Settings(msgspec.Struct):
    """Parameter of the unlearners."""

    max_size: int


def unlearner(parameter: Mapping[str, Any], place: str = "$.parameter") -> Unlearner | None:
    """Return what "unlearner" and "unlearner_parameter" ask for.

    Raises
    ------
    ConfigurationError
        It is not known, or its parameter cannot be used.
    """
    name = parameter.get("unlearner")
    if name is None:
        return None
    if name not in _UNLEARNERS:
        raise ConfigurationError(
            f"configuration: `{place}.unlearner` must be one of {', '.join(_UNLEARNERS)}, found {name!r}"
        )
    place = f"{place}.unlearner_parameter"
    size = read(Settings, parameter.get("unlearner_parameter", {}), place).max_size
    if size < 1:
        raise ConfigurationError(f"configuration: `{place}.max_size` must be at least 1, found {size}")
    return _UNLEARNERS[name](size)
