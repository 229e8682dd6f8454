"""Slots at the speed of a dict."""

from __future__ import annotations

from collections.abc import Callable

from hogwild.online.features.vocabulary import Vocabulary

LIMIT = 1 << 20  # of entries: where names are hashed, there may be more parts of names than slots


class Book:
    """A vocabulary, open for new names or not.

    Parameters
    ----------
    vocabulary : Vocabulary
    final : callable
        The name under which a feature is known to the vocabulary (it may be hashed).

    Attributes
    ----------
    growing : bool
        Whether new names get slots.
    generation : int
        That of the vocabulary when the slots were taken from it.
    """

    def __init__(self, vocabulary: Vocabulary, final: Callable[[str], str]) -> None:
        self.growing = False
        self.generation = vocabulary.generation
        self.final = final
        self._vocabulary = vocabulary
        self._new: list[int] = []

    def slot(self, name: str) -> int:
        """Return a name's slot, or -1 where it has none and gets none."""
        slot = self._vocabulary.find(name)
        if slot < 0 and self.growing:
            slot = self._vocabulary.slot(name)
            self._new.append(slot)
        return slot

    def __len__(self) -> int:
        return len(self._vocabulary)

    def settle(self) -> None:
        """Keep the new names."""
        self._new.clear()

    def take_back(self) -> None:
        """Forget the new names."""
        if self._new:
            self._vocabulary.free(self._new)
            self._new.clear()


class Slots(dict):
    """Slots of features by the part of their names that differs: a known one costs one look-up.

    Parameters
    ----------
    book : Book
    name : callable
        The whole name of a part; None where it has no feature.
    """

    def __init__(self, book: Book, name: Callable[[str], str | None]) -> None:
        super().__init__()
        self._book, self._name = book, name
        self._last: tuple[str, ...] = ()
        self._slots: list[int] = []

    def of(self, parts: tuple[str, ...]) -> list[int]:
        """Return the slots of parts, at once where they are those of the last time."""
        if parts == self._last:
            return self._slots
        slots = list(map(self.__getitem__, parts))
        if self._book.growing:  # else a part without a slot may get one later
            self._last, self._slots = parts, slots
        return slots

    def __missing__(self, part: str) -> int:
        name = self._name(part)
        slot = -1 if name is None else self._book.slot(self._book.final(name))
        if slot >= 0 or name is None:
            if len(self) >= LIMIT:
                self.clear()
            self[part] = slot
        return slot
