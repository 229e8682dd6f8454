"""Figures of the last values of many keys."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from hogwild.online.configuration import ConfigurationError, read
from hogwild.online.state import Parts, State, packed_texts, unpacked_texts


class Settings(msgspec.Struct):
    """See `Stat`."""

    window_size: int = 128


class Window:
    """The last values of all keys together.

    Keys are spread over the servers of a group: nothing is mixed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        """See `Part`."""
        self._last: deque[tuple[str, float]] = deque()
        self._values: dict[str, deque[float]] = {}

    def push(self, key: str, value: float) -> None:
        """Add a value; the oldest of all keys goes where the window is full."""
        self._last.append((key, value))
        self._values.setdefault(key, deque()).append(value)
        if len(self._last) > self._size:
            oldest, _ = self._last.popleft()
            self._values[oldest].popleft()
            if not self._values[oldest]:
                del self._values[oldest]

    def values(self, key: str) -> np.ndarray:
        """Return a key's values.

        Raises
        ------
        KeyError
            The window has none.
        """
        if key not in self._values:
            raise KeyError(f"no value of {key!r} is in the window")
        return np.array(self._values[key])

    def counts(self) -> Counter[str]:
        """Return how many values each key has in the window."""
        return Counter({key: len(values) for key, values in self._values.items()})

    def state(self) -> State:
        """See `Part`."""
        letters, offsets = packed_texts([key for key, _ in self._last])
        values = np.array([value for _, value in self._last], np.float64)
        return State({}, {"letters": letters, "offsets": offsets, "values": values})

    def restore(self, state: State) -> None:
        """See `Part`."""
        try:
            keys = unpacked_texts(state.arrays["letters"], state.arrays["offsets"])
            pairs = list(zip(keys, state.arrays["values"].tolist(), strict=True))
        except KeyError as error:
            raise ValueError(f"a window needs {error}") from None
        self.clear()
        for key, value in pairs:
            self.push(key, value)

    def cut(self) -> None:
        """See `Mixable`."""

    def join(self, cuts: list[None]) -> None:
        """See `Mixable`."""

    def fold(self, diffs: list[None]) -> None:
        """See `Mixable`."""

    def apply(self, mixed: None, kept: list[None]) -> None:
        """See `Mixable`."""

    def full(self) -> None:
        """See `Mixable`."""

    def load(self, full: None, kept: list[None]) -> None:
        """See `Mixable`."""


class Stat:
    """Sum, standard deviation, largest, smallest and moments of a key's values among the last of all keys.

    Parameters
    ----------
    configuration : mapping
        ``{"window_size": n}``, 128 by default.
    node : str
        Not used.

    Examples
    --------
    >>> from hogwild.online.stat import Stat
    >>> stat = Stat({"window_size": 3})
    >>> [stat.run("push", ["x", value]) for value in (8.0, 1.0, 2.0, 3.0)]
    [True, True, True, True]
    >>> stat.run("sum", ["x"]), stat.run("moment", ["x", 2, 2.0])
    (6.0, 0.6666666666666666)
    """

    def __init__(self, configuration: Mapping[str, Any], node: str = "") -> None:
        size = read(Settings, configuration).window_size
        if size < 1:
            raise ConfigurationError(f"configuration: `$.window_size` must be at least 1, found {size}")
        self._window = Window(size)
        self.parts = Parts({"window": self._window})

    def run(self, method: str, arguments: list[Any]) -> Any:
        """See `Driver`."""
        key, *rest = arguments
        if method == "push":
            if not math.isfinite(rest[0]):
                raise ValueError(f"the value of {key!r} must be finite, found {rest[0]}")
            self._window.push(key, rest[0])
            return True
        if method == "entropy":
            counts = np.array(list(self._window.counts().values()), float)
            shares = counts / counts.sum()
            return float(-(shares * np.log(shares)).sum()) if len(counts) else 0.0
        values = self._window.values(key)
        if method == "moment":
            degree, center = rest
            if degree < 0:
                raise ValueError(f"the degree of a moment must be at least 0, found {degree}")
            return float(((values - center) ** degree).mean())
        return float({"sum": np.sum, "stddev": np.std, "max": np.max, "min": np.min}[method](values))

    def status(self) -> dict[str, str]:
        """See `Driver`."""
        counts = self._window.counts()
        return {"stat.keys": str(len(counts)), "stat.values": str(sum(counts.values()))}
