"""What a text format is: how whole lines become rows. One class for each format; `hogwild.data.lines` drives them."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

from hogwild.data.batch import Batch
from hogwild.data.parts import Part


class Parsed(NamedTuple):
    """Rows of a part, up to its end or to its first bad line.

    Attributes
    ----------
    batch : Batch
        Entries of a row may be repeated: then `unique` is False, and the caller adds them up.
    unique : bool
    error : int
        Place of what is wrong in the part's text, -1 if nothing is.
    expected : str
        What should stand there.
    """

    batch: Batch
    unique: bool
    error: int = -1
    expected: str = ""


class TextFormat(Protocol):
    """How lines become rows: a frozen dataclass whose fields are the format's options (JSON values).

    Attributes
    ----------
    name : str
        As the command line calls it.
    n_features : int or None
        Number of columns where the options fix it (hashed formats: ``2**bits``), else None.
    header_lines : int
        Lines at the start of each file that are no rows.
    """

    name: ClassVar[str]

    @property
    def n_features(self) -> int | None:
        """Number of columns, where the options fix it."""
        ...

    @property
    def header_lines(self) -> int:
        """Lines at the start of each file that are no rows."""
        ...

    def parse(self, part: Part) -> Parsed:
        """Read the lines ``part.text[part.start:part.stop]``, each ended by a line feed.

        The text is readable for `numerals.PADDING` bytes behind `stop`. Called by several threads at once: no state.
        """
        ...

    def names(self, line: bytes) -> list[str]:
        """Return the name of each entry of one line, in the order in which `parse` writes them.

        Slow and plain: used to recover the names behind hashed features, and by tests.
        """
        ...

    def with_header(self, lines: list[bytes]) -> TextFormat:
        """Return the format as a file's header lines complete it (column names); itself for formats without one."""
        ...
