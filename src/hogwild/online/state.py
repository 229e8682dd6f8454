"""What a model is when it is saved, mixed or sent: JSON, arrays, and parts of their own kind."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from hogwild.cluster.mix.protocol import Mixable


class State(NamedTuple):
    """A part of a model at rest.

    Attributes
    ----------
    about : dict
        What JSON can hold.
    arrays : dict of ndarray
        Numeric arrays, and texts by `packed_texts`.
    """

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Part(Mixable, Protocol):
    """A part of a model: can be cleared, saved, and mixed with those of other servers.

    Cuts, folds and full models are made of what travels: dicts with text keys, lists, texts, numbers, bools, None,
    bytes and numeric arrays. A state that is restored is the master part, with nothing learnt since.
    """

    def clear(self) -> None:
        """Forget everything."""
        ...

    def state(self) -> State:
        """Return the model as it is here and now: later changes leave it alone."""
        ...

    def restore(self, state: State) -> None:
        """Be what a state says.

        Raises
        ------
        ValueError
            The state is not one of this kind of part; nothing has changed.
        """
        ...


class Parts:
    """A model of named parts, which are mixed, saved and cleared together.

    Parameters
    ----------
    parts : dict of Part
    """

    def __init__(self, parts: dict[str, Part]) -> None:
        self.parts = parts

    def clear(self) -> None:
        """See `Part`."""
        for part in self.parts.values():
            part.clear()

    def state(self) -> dict[str, State]:
        """Return the states of all parts by name."""
        return {name: part.state() for name, part in self.parts.items()}

    def restore(self, states: dict[str, State]) -> None:
        """Restore all parts, or none where one does not fit.

        Raises
        ------
        ValueError
            The parts' names differ, or a state does not fit its part.
        """
        if states.keys() != self.parts.keys():
            raise ValueError(f"expected a model of {', '.join(self.parts)}, found one of {', '.join(states)}")
        before = self.state()
        try:
            for name, part in self.parts.items():
                part.restore(states[name])
        except Exception:
            for name, part in self.parts.items():
                part.restore(before[name])
            raise

    def cut(self) -> dict[str, Any]:
        """See `Mixable`."""
        return {name: part.cut() for name, part in self.parts.items()}

    def join(self, cuts: list[dict[str, Any]]) -> dict[str, Any]:
        """See `Mixable`."""
        return {name: part.join([cut[name] for cut in cuts]) for name, part in self.parts.items()}

    def fold(self, diffs: list[dict[str, Any]]) -> dict[str, Any]:
        """See `Mixable`."""
        return {name: part.fold([diff[name] for diff in diffs]) for name, part in self.parts.items()}

    def apply(self, mixed: dict[str, Any], kept: list[dict[str, Any]]) -> None:
        """See `Mixable`."""
        for name, part in self.parts.items():
            part.apply(mixed[name], [cut[name] for cut in kept])

    def full(self) -> dict[str, Any]:
        """See `Mixable`."""
        return {name: part.full() for name, part in self.parts.items()}

    def load(self, full: dict[str, Any], kept: list[dict[str, Any]]) -> None:
        """See `Mixable`."""
        for name, part in self.parts.items():
            part.load(full[name], [cut[name] for cut in kept])


def packed_texts(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return texts as one array of bytes and one of offsets, of one entry more than there are texts."""
    coded = [text.encode("utf-8", "surrogateescape") for text in texts]
    offsets = np.zeros(len(coded) + 1, np.int64)
    np.cumsum([len(one) for one in coded], out=offsets[1:])
    return np.frombuffer(b"".join(coded), np.uint8), offsets


def unpacked_texts(letters: np.ndarray, offsets: np.ndarray) -> list[str]:
    """Return the texts that `packed_texts` made two arrays of.

    Raises
    ------
    ValueError
        The offsets do not fit the bytes.
    """
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(letters) or (np.diff(offsets) < 0).any():
        raise ValueError(f"offsets of texts do not fit their {len(letters)} bytes")
    data, places = letters.tobytes(), offsets.tolist()
    return [data[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise(places)]
