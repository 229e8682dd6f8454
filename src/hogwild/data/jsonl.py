"""JSON lines to rows: one object a line, read by Python's own json module."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hogwild.data.arrow_values import role
from hogwild.data.batch import Batch
from hogwild.data.columns import Columns, matches
from hogwild.data.formats import Parsed
from hogwild.data.hashing import cross, hash_names, place
from hogwild.data.parts import Part

_SMALLEST, _LARGEST = 2.0**-150, float(np.finfo(np.float32).max)  # up to the former float32 is 0


@dataclass(frozen=True)
class JsonLines:
    r"""One JSON object a line; its keys are the columns. Blank lines are skipped.

    A number is the feature ``key`` with its value (zeros are left out), text and bools are categories ``key=value``
    (``key=true``), a list of texts one category for each. The keys of nested objects are joined by dots. null and empty
    text are missing. Of a key that is repeated, the last counts.

    Parameters
    ----------
    columns : Columns
        Roles of the keys. Text under a key listed as numeric has to be a numeral; numbers under one listed as
        categorical are categories, in lists as well. Labels are int64 if all are whole numbers or bools, float64 if all
        are numbers, NaN where a row has none, else text, which every row has to have.

    Examples
    --------
    >>> from hogwild.data.columns import Columns
    >>> from hogwild.data.jsonl import JsonLines
    >>> JsonLines(Columns(label="y")).names(b'{"y": 1, "age": 30, "user": {"tags": ["a", "b"], "new": true}}')
    ['age', 'user.tags=a', 'user.tags=b', 'user.new=true']
    """

    columns: Columns = field(default_factory=Columns)

    name: ClassVar[str] = "jsonl"

    def __post_init__(self) -> None:
        """Make Columns of a dict (as JSON has it)."""
        if isinstance(self.columns, dict):
            object.__setattr__(self, "columns", Columns(**self.columns))

    @property
    def n_features(self) -> int:
        """Number of feature numbers."""
        return self.columns.n_features

    @property
    def header_lines(self) -> int:
        """None of the lines is a header."""
        return 0

    def with_header(self, lines: list[bytes]) -> JsonLines:
        """Return itself: JSON lines have no header."""
        return self

    def parse(self, part: Part) -> Parsed:
        """Read the lines of a part (see `hogwild.data.formats.TextFormat`)."""
        rows = _Rows(self.columns)
        starts: list[int] = []
        start, error, expected = part.start, -1, ""
        for line in part.text[part.start : part.stop].tobytes().split(b"\n"):
            try:
                if rows.read(line):
                    starts.append(start)
            except _BadLineError as bad:
                error, expected = start + bad.place, bad.expected
                break
            start += len(line) + 1
        batch, unlabeled = rows.batch()
        if unlabeled is not None:  # the rows end before it
            error, expected = starts[unlabeled], f"a label under {self.columns.label!r}"
            batch = batch.rows(0, unlabeled)
        return Parsed(batch, False, error, expected)

    def names(self, line: bytes) -> list[str]:
        """Return the name of each entry of a line; that of a cross is its two names with ``*`` between them."""
        rows = _Rows(self.columns)
        rows.read(line)
        names = list(rows.slots)
        pairs = [f"{names[a]}*{names[b]}" for a, b in rows.pairs]
        return [names[slot] if slot >= 0 else pairs[-1 - slot] for slot in rows.entries]


class _BadLineError(Exception):
    """A line that is no row: the place in it, in bytes, and what should stand there."""

    def __init__(self, place: int, expected: str) -> None:
        super().__init__(place, expected)
        self.place, self.expected = place, expected


class _WrongValueError(Exception):
    """A value that gives no feature: its key, and what should stand there."""


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODE = json.JSONDecoder(parse_constant=_no_constant).decode


class _Rows:
    """Collects rows; names are numbered as they come (`slots`) and hashed at the end, each once."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.slots: dict[str, int] = {}
        self.pairs: dict[tuple[int, int], int] = {}
        self.entries: list[int] = []  # slots; -1 minus its number for a cross
        self.values: list[float] = []
        self.ends = [0]
        self.labels: list[Any] = []
        self.weights: list[float] = []
        self._roles: dict[str, bool | None] = {}
        self._ignored: dict[str, bool] = {}
        self._scalars: dict[str, tuple[int, float]] = {}  # of this row, by key

    def read(self, line: bytes) -> bool:
        """Add the row that a line holds, and return whether it holds one."""
        if not line or line.isspace():
            return False
        before = len(self.entries)
        try:
            row = _DECODE(line.decode())
            if type(row) is not dict:
                raise _BadLineError(len(line) - len(line.lstrip()), "a JSON object, '{\"key\": value, ...}'")
            self.labels.append(None)
            self.weights.append(1.0)
            self._scalars.clear()
            self._object(row, "")
            if self.columns.crosses:
                self._crosses()
            self.ends.append(len(self.entries))
            return True
        except UnicodeDecodeError as error:
            bad = _BadLineError(error.start, "text in UTF-8")
        except json.JSONDecodeError as error:
            bad = _BadLineError(len(error.doc[: error.pos].encode()), f"JSON ({error.msg})")
        except _WrongValueError as error:
            key, expected = error.args
            found = line.find(json.dumps(key.rpartition(".")[2], ensure_ascii=False).encode("utf-8", "replace"))
            bad = _BadLineError(max(found, 0), f"{expected} under {key!r}")
        except _BadLineError as error:
            bad = error
        except (ValueError, RecursionError):  # NaN, thousands of digits, thousands of brackets
            bad = _BadLineError(len(line) - len(line.lstrip()), "JSON with finite numbers, not too deeply nested")
        del self.entries[before:], self.values[before:], self.labels[len(self.ends) - 1 :]
        del self.weights[len(self.ends) - 1 :]
        raise bad

    def _object(self, row: dict[str, Any], prefix: str) -> None:
        columns, roles, ignored = self.columns, self._roles, self._ignored
        for key, value in row.items():
            key = prefix + key
            kind = type(value)
            if key == columns.label:
                self._label(key, value)
                continue
            if key == columns.weight:
                self.weights[-1] = self._weight(key, value)
                continue
            if key not in ignored:
                ignored[key], roles[key] = matches(key, columns.ignore), role(key, columns)
            if ignored[key]:
                continue
            if kind is dict:
                self._object(value, key + ".")
                continue
            if kind is list:
                for element in value:
                    self._element(key, element)
                continue
            if value is None or value == "":
                if columns.missing == "category":
                    self._add(key, f"{key}=", 1.0)
                continue
            numeric = roles[key]
            if numeric or (numeric is None and (kind is int or kind is float)):
                self._number(key, value)
            else:
                self._add(key, f"{key}={_text(value)}", 1.0)

    def _add(self, key: str | None, name: str, value: float) -> None:
        slot = self.slots.setdefault(name, len(self.slots))
        self.entries.append(slot)
        self.values.append(value)
        if key is not None:
            self._scalars[key] = slot, value

    def _element(self, key: str, element: Any) -> None:
        if element is None or element == "":
            if self.columns.missing == "category":
                self._add(None, f"{key}=", 1.0)
        elif type(element) is str or (self._roles[key] is False and type(element) in (int, float, bool)):
            self._add(None, f"{key}={_text(element)}", 1.0)
        else:
            raise _WrongValueError(key, "a list of texts (or of numbers, if the key is listed as categorical)")

    def _number(self, key: str, value: Any) -> None:
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise _WrongValueError(key, "a number within the range of float32") from None
        transform = self.columns.transform
        if not math.isfinite(number):
            raise _WrongValueError(key, "a finite number")
        if transform == "bins":
            floor = math.frexp(1 + abs(number))[1] - 1
            self._add(key, f"{key}={-floor if number < 0 else floor}", 1.0)
            return
        if transform == "log":
            number = math.copysign(math.log1p(abs(number)), number)
        if abs(number) > _LARGEST:
            raise _WrongValueError(key, "a number within the range of float32")
        if abs(number) > _SMALLEST:
            self._add(key, key, number)

    def _label(self, key: str, value: Any) -> None:
        if type(value) in (dict, list) or (type(value) in (int, float) and not abs(value) < 1e308):
            raise _WrongValueError(key, "a label, a finite number or text")
        self.labels[-1] = int(value) if type(value) is bool else value

    def _weight(self, key: str, value: Any) -> float:
        if type(value) not in (int, float) or not 0 <= value <= _LARGEST:
            raise _WrongValueError(key, "a weight, a finite number of at least 0")
        return float(value)

    def _crosses(self) -> None:
        """Add the crosses of a row's scalars, each pair once: by their keys where both orders match."""
        done = set()
        for first, second in self.columns.crosses:
            for a in self._matching(first):
                for b in self._matching(second):
                    if a != b and frozenset((a, b)) not in done:
                        done.add(frozenset((a, b)))
                        self._cross(a, b)

    def _matching(self, pattern: str) -> Iterator[str]:
        if pattern in self._scalars:
            return iter([pattern])
        return iter(sorted(key for key in self._scalars if matches(key, (pattern,))))

    def _cross(self, a: str, b: str) -> None:
        (i, x), (j, y) = self._scalars[a], self._scalars[b]
        if abs(x * y) > _LARGEST:
            raise _WrongValueError(a, f"a number whose product with the one under {b!r} is within the range of float32")
        if abs(x * y) > _SMALLEST:
            self.entries.append(-1 - self.pairs.setdefault((i, j), len(self.pairs)))
            self.values.append(x * y)

    def batch(self) -> tuple[Batch, int | None]:
        """Return the rows, and the first one without a label where labels are text."""
        names = [name.encode("utf-8", "surrogatepass") for name in self.slots]
        hashes = hash_names(names)
        pairs = np.array(list(self.pairs), np.int64).reshape(-1, 2)
        crossed = cross(hashes[pairs[:, 0]], hashes[pairs[:, 1]])
        # Crosses count from the end: slot -1 is the first of them.
        indices, signs = place(np.concatenate([hashes, crossed[::-1]]), self.columns.n_features)
        entries = np.array(self.entries, np.int64)
        values = np.array(self.values, np.float32)
        if self.columns.signed:
            values *= signs[entries]
        weights = np.array(self.weights, np.float32)
        weights = weights if (weights != 1).any() else np.empty(0, np.float32)
        labels, unlabeled = _labels(self.labels)
        return Batch(np.array(self.ends, np.uint64), indices[entries], values, labels, weights), unlabeled


def _text(value: Any) -> str:
    """A category's value: true and not True, 3 for 3.0."""
    if type(value) is bool:
        return "true" if value else "false"
    return str(int(value)) if type(value) is float and value.is_integer() and abs(value) < 2**53 else str(value)


def _labels(labels: list[Any]) -> tuple[np.ndarray, int | None]:
    kinds = set(map(type, labels))
    if kinds <= {int} and all(-(2**63) <= label < 2**63 for label in labels):
        return np.array(labels, np.int64), None
    if str in kinds:
        unlabeled = labels.index(None) if None in labels else None
        return np.array([str(label) for label in labels]), unlabeled
    return np.array([math.nan if label is None else float(label) for label in labels], np.float64), None
