"""One example as clients send it: named texts, numbers and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Column(NamedTuple):
    """Pairs of one kind, as two tuples of the same length: a key may come more than once."""

    keys: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()

    def pairs(self) -> list[tuple[str, Any]]:
        """Return the pairs."""
        return list(zip(self.keys, self.values, strict=True))


class Datum(NamedTuple):
    """An example before its features are known.

    Texts are `str`; bytes of theirs that are no UTF-8 are kept as lone surrogates (``surrogateescape``).

    Attributes
    ----------
    strings : Column of str
    numbers : Column of float
    binaries : Column of bytes

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> Datum.of({"title": "a day", "length": 5}).numbers.pairs()
    [('length', 5.0)]
    """

    strings: Column = Column()
    numbers: Column = Column()
    binaries: Column = Column()

    @classmethod
    def of(cls, values: Mapping[str, str | float | bytes]) -> Datum:
        """Sort a mapping's values by their kinds; numbers become floats.

        Raises
        ------
        TypeError
            A value is neither text, number nor bytes.
        """
        kinds: tuple[dict[str, Any], ...] = ({}, {}, {})
        for key, value in values.items():
            if isinstance(value, str):
                kinds[0][key] = value
            elif isinstance(value, bytes):
                kinds[2][key] = value
            else:
                try:
                    kinds[1][key] = float(value)
                except (TypeError, ValueError):
                    found = type(value).__name__
                    raise TypeError(f"{key!r} must be a text, a number or bytes, found {found}") from None
        return cls(*(Column(tuple(kind), tuple(kind.values())) for kind in kinds))

    def wire(self) -> tuple[list[tuple[str, Any]], ...]:
        """Return it as it travels: lists of pairs."""
        return self.strings.pairs(), self.numbers.pairs(), self.binaries.pairs()
