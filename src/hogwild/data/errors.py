"""What is wrong in a data file, and where."""

from __future__ import annotations

import os


class DataError(ValueError):
    """A data file holds something that cannot be read.

    Parameters
    ----------
    path : str or path-like
        The file.
    line, column : int or None
        Place, both counted from 1, the column in bytes; None where the file as a whole is wrong.
    found, expected : str or None
        What stands there and what should.

    Examples
    --------
    >>> from hogwild.data.errors import DataError
    >>> print(DataError("train.svm", 3, 7, "'x'", "a finite number"))
    train.svm, line 3, column 7: found 'x', expected a finite number
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        line: int | None = None,
        column: int | None = None,
        found: str | None = None,
        expected: str | None = None,
    ) -> None:
        super().__init__(path, line, column, found, expected)  # the whole of it, or the error would not pickle
        self.path = os.fspath(path)
        self.line = line
        self.column = column
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        """Place, what was found and what was expected, on one line."""
        place = self.path
        if self.line is not None:
            place += f", line {self.line}"
        if self.column is not None:
            place += f", column {self.column}"
        said = [f"found {self.found}" if self.found else "", f"expected {self.expected}" if self.expected else ""]
        return f"{place}: {', '.join(filter(None, said))}"
