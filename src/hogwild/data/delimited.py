"""Delimited text (CSV, TSV) as a stream of hashed rows."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from hogwild.data.batch import Batch
from hogwild.data.columns import TRANSFORMS, Columns, cross_name
from hogwild.data.delimited_fields import FRACTIONS, UNSURE_LABELS, WORDS
from hogwild.data.delimited_kernel import (
    COUNT,
    EXPECTED,
    FEATURES,
    PRODUCT,
    Read,
    Rules,
    count_lines,
    layout,
    read_rows,
)
from hogwild.data.delimited_plain import (
    BLANKS,
    MISSING,
    NUMERAL,
    bin_of,
    line_start,
    line_stop,
    numeral_at,
    split_fields,
)
from hogwild.data.formats import Parsed
from hogwild.data.numerals import decide
from hogwild.data.parts import Part

_NOT_FINITE = {"nan", "inf", "infinity"}
_SAMPLE = 1000  # lines by which the kinds of columns are guessed


@dataclass(frozen=True)
class Delimited:
    r"""Lines of separated fields (CSV, TSV): categories and numbers, hashed.

    Parameters
    ----------
    columns : Columns, optional
        What the columns mean. Before rows are read, each has to be told from the others as a number, a category, label,
        weight or ignored: `guess_types` completes what is missing.
    separator : str, default ","
        One character of ASCII, no letter or digit.
    header : bool, default True
        Whether each file's first line names the columns. All files have to name the same ones in the same order.
    column_names : tuple of str, optional
        Names of all columns. By default those of the header; without one ``c1``, ``c2`` and so on.
    quote : str or None, default '"'
        A field that begins with it ends with it, and holds it doubled; separators within are text. A line feed within
        is an error: files are cut at line feeds. None: the character means nothing.

    Notes
    -----
    Numbers, also in quotes, may have blanks around them; they are rounded to float32 once. A number of 0 (after the
    transform) gives no entry. An empty field is missing; so is, where a number or a number as label should stand, one
    of `columns.MISSING_WORDS`. Infinity is an error, other text as well, and a missing weight. A missing label reads
    as NaN. Empty lines are skipped. Lines end with ``\n`` or ``\r\n``; NUL bytes are errors, other
    control characters are text. Bytes of categories are hashed as they are, in whatever encoding.

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild.data.columns import Columns
    >>> from hogwild.data.delimited import Delimited
    >>> from hogwild.data.parts import split_lines
    >>> text = b'city,income,buys\nParis,1.5,1\n"Rome",,0\n'
    >>> header, *sample = text.splitlines()
    >>> csv = Delimited(Columns(label="buys")).with_header([header]).guess_types(sample)
    >>> csv.columns.numeric, csv.columns.categorical
    (('income',), ('city',))
    >>> (part,) = split_lines(np.frombuffer(text[len(header) + 1 :], np.uint8), 1 << 20, 32)
    >>> batch = csv.parse(part).batch
    >>> batch.values.tolist(), batch.indptr.tolist(), batch.labels.tolist()
    ([1.0, 1.5, 1.0], [0, 2, 3], [1, 0])
    >>> csv.names(sample[0])
    ['city=Paris', 'income']
    """

    columns: Columns = field(default_factory=Columns)
    separator: str = ","
    header: bool = True
    column_names: tuple[str, ...] | None = None
    quote: str | None = '"'

    name: ClassVar[str] = "csv"

    def __post_init__(self) -> None:
        """Make of JSON values what they were, and check the settings."""
        if isinstance(self.columns, dict):
            object.__setattr__(self, "columns", Columns(**self.columns))
        if self.column_names is not None:
            object.__setattr__(self, "column_names", tuple(self.column_names))
        for option, character in (("separator", self.separator), ("quote", self.quote)):
            if character is None and option == "quote":
                continue
            if (
                not isinstance(character, str)
                or not re.fullmatch(r"[\t -~]", character)
                or re.match(r"[\w.+-]", character)
            ):
                raise ValueError(f"{option} is one character that no number or word holds, found {character!r}")
        if self.separator == self.quote:
            raise ValueError(f"separator and quote differ, found {self.quote!r} for both")
        if self.column_names is not None:
            self.columns.roles(self.column_names)

    @property
    def n_features(self) -> int:
        """Number of feature numbers, ``2**bits``."""
        return self.columns.n_features

    @property
    def n_fields(self) -> int | None:
        """Number of fields of entries; None where they have none."""
        if not self.columns.fields:
            return None
        _, roles, crosses, _ = layout(self.columns, self.column_names)
        return sum(role in FEATURES for role in roles) + len(crosses)

    @property
    def header_lines(self) -> int:
        """1 or 0."""
        return int(self.header)

    # ------------------------------------------------------------------------------------------------ what is not given

    def with_header(self, lines: list[bytes]) -> Delimited:
        """Return the format with the column names of a file's first line.

        Parameters
        ----------
        lines : list of bytes
            The header line; none for a format without header.

        Raises
        ------
        ValueError
            If the columns differ from those known from `column_names` or another file, or lack one that is asked for.
        """
        if not self.header:
            return self
        try:
            found = tuple(word.decode().strip() for word in self._split(lines[0].removeprefix(b"\xef\xbb\xbf")))
        except UnicodeDecodeError:
            raise ValueError("column names in UTF-8") from None
        if self.column_names is None:
            return replace(self, column_names=found)
        if len(found) != len(self.column_names):
            raise ValueError(f"{len(self.column_names)} columns, as known before; this header names {len(found)}")
        for i, (here, known) in enumerate(zip(found, self.column_names, strict=True), 1):
            if here != known:
                raise ValueError(f"the same columns as known before: column {i} was {known!r} and is {here!r} here")
        return self

    def guess_types(self, sample: Sequence[bytes]) -> Delimited:
        """Return the format with every column told to be a number or a category, and its columns named.

        Parameters
        ----------
        sample : sequence of bytes
            Lines of rows. Of the columns that `columns` leaves open, those are numbers that hold some there and nothing
            else but missing values. Lines that cannot be split are passed over.
        """
        rows = []
        for line in sample:
            try:
                rows.append(self._split(line))
            except ValueError:
                continue
        rows = [row for row in rows if row]
        names = self.column_names
        if names is None:
            if self.header:
                raise ValueError("the columns have no names yet: with_header comes first")
            if not rows:
                raise ValueError("no row tells the number of columns: give column_names")
            names = tuple(f"c{i}" for i in range(1, len(rows[0]) + 1))
        roles = list(self.columns.roles(names))
        rows = [row for row in rows if len(row) == len(names)]
        for i, role in enumerate(roles):
            if not role:
                words = {row[i].strip(BLANKS) for row in rows} - MISSING
                roles[i] = "numeric" if words and all(map(NUMERAL.fullmatch, words)) else "categorical"
        kinds = {
            kind: tuple(name for name, role in zip(names, roles, strict=True) if role == kind)
            for kind in ("numeric", "categorical")
        }
        return replace(self, columns=replace(self.columns, **kinds), column_names=names)

    def decided(self, part: Part) -> Delimited:
        """Return the format with its open columns guessed by the first lines of `part` (see `guess_types`)."""
        return self.guess_types(part.text[part.start : part.stop].tobytes().split(b"\n", _SAMPLE)[:_SAMPLE])

    # ------------------------------------------------------------------------------------------------ rows

    def parse(self, part: Part) -> Parsed:
        """Read whole lines (see `formats.TextFormat`)."""
        names, roles, crosses, plan = layout(self.columns, self.column_names)
        text = part.text.view()
        text.flags.writeable = False  # one kind of array, so that the kernel is compiled once
        ends, nuls = count_lines(text, part.start, part.stop)
        stop, nul = part.stop, -1
        if nuls:
            nul = part.start + int(np.argmin(text[part.start : part.stop]))
            stop = line_start(text, part.start, nul)
        # Every column takes at least a byte, and one row may turn out to be wrong.
        n_rows = min(int(ends), (stop - part.start) // len(names) + 1)
        size = (n_rows + 1) * (sum(role in FEATURES for role in roles) + len(crosses))
        indices, values = np.empty(size, np.uint32), np.empty(size, np.float32)
        fields = np.empty(size if self.columns.fields else 0, np.uint32)
        indptr, labels = np.zeros(n_rows + 2, np.uint64), np.empty(n_rows + 1)
        label_places = np.empty((n_rows + 1 if "label" in roles else 0, 2), np.uint64)
        weights = np.empty(n_rows + 1 if "weight" in roles else 0, np.float32)
        seen, amounts = np.zeros(len(names), np.uint32), np.zeros(len(names), np.float32)
        places, known = np.empty((64, 2), np.uint64), np.empty(0)
        while True:
            read = Read(
                *read_rows(
                    text, part.start, stop, plan, self._rules(), indices, values, fields, indptr[1:], labels,
                    label_places, weights, seen, amounts, np.empty(16, np.uint8), places, known,
                )
            )  # fmt: skip
            if read.unsure <= len(known):
                break
            if read.unsure > len(places):
                places = np.empty((read.unsure, 2), np.uint64)
            else:
                known = np.array(
                    [
                        decide(numeral_at(text, place), np.dtype(np.float32 if narrow else np.float64))
                        for place, narrow in places[: read.unsure].tolist()
                    ],
                    np.float64,
                )

        error, expected = (nul, "text without NUL bytes") if nuls else (-1, "")
        if read.error:
            error, expected = read.position, self._expected(text, part.start, read)
        rows, entries = read.rows, read.entries
        found = np.full(rows, np.nan)
        if len(label_places):
            found, wrong, reason = self._labels(text, read.label_kinds, labels[:rows], label_places[:rows])
            if wrong >= 0:  # a second time, without this row: what kind of labels there are may change
                place = int(label_places[wrong, 0])
                before = self.parse(part._replace(stop=line_start(text, part.start, place)))
                return before if before.error >= 0 else before._replace(error=place, expected=reason)
        batch = Batch(indptr[: rows + 1], indices[:entries], values[:entries], found, weights[:rows], fields[:entries])
        return Parsed(batch, False, error, expected)

    def names(self, line: bytes) -> list[str]:
        """Return the name of each entry of one line, in the order in which `parse` writes them."""
        names, roles, crosses, _ = layout(self.columns, self.column_names)
        features: dict[str, tuple[str, np.float32]] = {}
        fields = self._split(line)
        for name, role, word in zip(names, roles, fields, strict=bool(fields)):
            if role not in FEATURES:
                continue
            feature, value = name, np.float32(1)
            missing = not word
            if role == "numeric":
                word = word.strip(BLANKS)
                missing = word in MISSING
                if not missing and self.columns.transform == "bins":
                    word = str(bin_of(float(word))).encode()
                elif not missing:
                    value = self._number(word)
            if missing and self.columns.missing == "skip":
                continue
            if role == "categorical" or missing or self.columns.transform == "bins":
                feature = f"{name}={'' if missing else word.decode(errors='backslashreplace')}"
            if value:
                features[name] = feature, value
        found = [feature for feature, _ in features.values()]
        for first, second in crosses:
            if first in features and second in features and features[first][1] * features[second][1]:
                found.append(cross_name(features[first][0], features[second][0]))
        return found

    def _number(self, numeral: bytes) -> np.float32:
        if self.columns.transform == "none":
            return np.float32(decide(numeral.decode(), np.dtype(np.float32)))
        value = float(numeral)
        return np.float32(math.copysign(math.log1p(abs(value)), value))

    def _split(self, line: bytes) -> list[bytes]:
        return split_fields(line, self.separator.encode(), self.quote and self.quote.encode())

    # ------------------------------------------------------------------------------------------------ for the kernel

    def _rules(self) -> Rules:
        return Rules(
            ord(self.separator),
            -1 if self.quote is None else ord(self.quote),
            TRANSFORMS.index(self.columns.transform),
            self.columns.missing == "category",
            self.columns.signed,
            self.n_features,
        )

    def _expected(self, text: np.ndarray, start: int, read: Read) -> str:
        """What should stand at the place of an error."""
        names, _, crosses, _ = layout(self.columns, self.column_names)
        line = text[line_start(text, start, read.position) : line_stop(text, read.position)].tobytes()
        error, count = read.error, "more"
        with contextlib.suppress(ValueError):  # a wrong quote further on
            count = len(self._split(line))
            if error != PRODUCT and count != len(names):  # why the other thing is wrong, most likely
                error = COUNT
        narrow = self.columns.transform == "none" or names[read.column % len(names)] == self.columns.weight
        return EXPECTED[error].format(
            columns=len(names),
            count=count,
            separator=repr(self.separator),
            name="" if error in (COUNT, PRODUCT) else repr(names[read.column]),
            range="float32" if narrow else "float64",
            cross=cross_name(*crosses[read.column]) if error == PRODUCT else "",
        )

    def _labels(
        self, text: np.ndarray, kinds: int, numbers: np.ndarray, places: np.ndarray
    ) -> tuple[np.ndarray, int, str]:
        """Labels as the narrowest kind that holds all of them; the first row whose label is none, or -1, and why."""
        if not kinds & (WORDS | UNSURE_LABELS):
            return numbers if kinds & FRACTIONS else numbers.astype(np.int64), -1, ""
        words = []
        for row, (begin, end) in enumerate(places.tolist()):
            word = text[begin:end].tobytes()
            if self.quote and begin and text[begin - 1] == ord(self.quote):
                word = word.replace(self.quote.encode() * 2, self.quote.encode())
            try:
                words.append(word.decode())
            except UnicodeDecodeError:
                return numbers, row, "a label in UTF-8"
        missing = [word.encode() in MISSING for word in words]
        for row, word in enumerate(words):
            if not missing[row] and word.lstrip("+-").lower() in _NOT_FINITE:
                return numbers, row, "a finite number as label"
        if kinds & WORDS:
            return np.array(words), -1, ""
        found = np.array([np.nan if absent else float(word) for word, absent in zip(words, missing, strict=True)])
        if np.isinf(found).any():
            return numbers, int(np.isinf(found).argmax()), "a label within the range of float64"
        if all(word.lstrip("+-").isdigit() for word in words) and (np.abs(found) < 2.0**62).all():
            return np.array([int(word) for word in words], np.int64), -1, ""
        return found, -1, ""


def criteo_columns(**overrides: Any) -> Delimited:
    r"""Return the format of Criteo's click logs: label, 13 numbers, 26 categories, separated by tabs, without header.

    Numbers become logarithms, and what is missing a feature: a log loss of .465 on 2,000 rows after training on 6,000,
    as with missing values left out (.466) or bins (.465), against .76 with numbers as they stand. Step size and epochs
    were chosen on the same 2,000 rows: only the last of these differences means anything.

    Parameters
    ----------
    **overrides
        Fields of `Columns` to be set otherwise.

    Examples
    --------
    >>> from hogwild.data.delimited import criteo_columns
    >>> clicks = criteo_columns(bits=18)
    >>> len(clicks.column_names), clicks.n_features
    (40, 262144)
    >>> clicks.names(b"1\t5" + b"\t" * 12 + b"\t68fd1e64" + b"\t" * 25)[:2]
    ['I1', 'I2=']
    """
    numbers, categories = (f"I{i}" for i in range(1, 14)), (f"C{i}" for i in range(1, 27))
    settings = {"label": "label", "numeric": ("I*",), "categorical": ("C*",)}
    settings |= {"transform": "log", "missing": "category"}
    columns = Columns(**(settings | overrides))
    return Delimited(columns, "\t", False, ("label", *numbers, *categories), None)
