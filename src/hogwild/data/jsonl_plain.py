"""Rows of JSON objects by Python's own json module: the lines that the compiled reader leaves alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from hogwild.data.arrow_values import role
from hogwild.data.batch import Batch
from hogwild.data.columns import Columns, matches
from hogwild.data.hashing import cross, hash_names, place
from hogwild.data.numerals import before_cast

# What becomes of the values under a key; under one that nothing is said of numbers are numbers and texts categories.
IGNORED, CATEGORY, NUMBER, OPEN, LABEL, WEIGHT = range(6)

SMALLEST, LARGEST = 2.0**-150, float(np.finfo(np.float32).max)  # up to the former float32 is 0


def kind_of(path: str, columns: Columns) -> int:
    """What becomes of the values under a key, which is given with those of the objects around it."""
    if path == columns.label:
        return LABEL
    if path == columns.weight:
        return WEIGHT
    if matches(path, columns.ignore):
        return IGNORED
    return {True: NUMBER, False: CATEGORY, None: OPEN}[role(path, columns)]


class BadLineError(Exception):
    """A line that is no row: the place in it, in bytes, and what should stand there."""

    def __init__(self, place: int, expected: str) -> None:
        super().__init__(place, expected)
        self.place, self.expected = place, expected


class _WrongValueError(Exception):
    """A value that gives no feature: its key, and what should stand there."""


def _no_constant(name: str) -> Any:
    raise ValueError(name)


class _Numeral(float):
    """A number that keeps its text: a cast of its float64 to float32 may round the numeral the wrong way."""

    __slots__ = ("text",)


_NUMBERS = (int, float, _Numeral)


def _numeral(text: str) -> float:
    kept = _Numeral(text)
    kept.text = text
    return kept


DECODE = json.JSONDecoder(parse_constant=_no_constant, parse_float=_numeral).decode


class PlainRows:
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
        self.prefixes: dict[str, str] = {}  # of the keys that have come, the part given by the objects around them
        self._kinds: dict[str, int] = {}
        self._scalars: dict[str, tuple[int, float]] = {}  # of this row, by key

    def read(self, line: bytes) -> bool:
        """Add the row that a line holds, and return whether it holds one."""
        if not line or line.isspace():
            return False
        before = len(self.entries)
        try:
            row = DECODE(line.decode())
            if type(row) is not dict:
                raise BadLineError(len(line) - len(line.lstrip()), "a JSON object, '{\"key\": value, ...}'")
            self.labels.append(None)
            self.weights.append(1.0)
            self._scalars.clear()
            self._object(row, "")
            if self.columns.crosses:
                self._crosses()
            self.ends.append(len(self.entries))
            return True
        except UnicodeDecodeError as error:
            bad = BadLineError(error.start, "text in UTF-8")
        except json.JSONDecodeError as error:
            bad = BadLineError(len(error.doc[: error.pos].encode()), f"JSON ({error.msg})")
        except _WrongValueError as error:
            key, expected = error.args
            found = line.find(json.dumps(key.rpartition(".")[2], ensure_ascii=False).encode("utf-8", "replace"))
            bad = BadLineError(max(found, 0), f"{expected} under {key!r}")
        except BadLineError as error:
            bad = error
        except (ValueError, RecursionError):  # NaN, thousands of digits, thousands of brackets
            bad = BadLineError(len(line) - len(line.lstrip()), "JSON with finite numbers, not too deeply nested")
        del self.entries[before:], self.values[before:], self.labels[len(self.ends) - 1 :]
        del self.weights[len(self.ends) - 1 :]
        raise bad

    def _object(self, row: dict[str, Any], prefix: str) -> None:
        kinds = self._kinds
        for key, value in row.items():
            key = prefix + key
            kind = kinds.get(key)
            if kind is None:
                kind = kinds[key] = kind_of(key, self.columns)
                self.prefixes[key] = prefix
            if kind == LABEL:
                self._label(key, value)
            elif kind == WEIGHT:
                self.weights[-1] = self._weight(key, value)
            elif kind == IGNORED:
                continue
            elif type(value) is dict:
                self._object(value, key + ".")
            elif type(value) is list:
                for element in value:
                    self._element(key, element)
            elif value is None or value == "":
                if self.columns.missing == "category":
                    self._add(key, f"{key}=", 1.0)
            elif kind == NUMBER or (kind == OPEN and type(value) in _NUMBERS):
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
        elif type(element) is str or (self._kinds[key] == CATEGORY and type(element) in (*_NUMBERS, bool)):
            self._add(None, f"{key}={_text(element)}", 1.0)
        else:
            raise _WrongValueError(key, "a list of texts (or of numbers, if the key is listed as categorical)")

    def _number(self, key: str, value: Any) -> None:
        try:
            number = float(value)
            text = getattr(value, "text", value)
            if self.columns.transform == "none" and type(text) is str and math.isfinite(number):
                number = float(before_cast(text, np.float64(number)))
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
        if abs(number) > LARGEST:
            raise _WrongValueError(key, "a number within the range of float32")
        if abs(number) > SMALLEST:
            self._add(key, key, number)

    def _label(self, key: str, value: Any) -> None:
        if type(value) in (dict, list) or (type(value) in _NUMBERS and not abs(value) < 1e308):
            raise _WrongValueError(key, "a label, a finite number or text")
        self.labels[-1] = int(value) if type(value) is bool else value

    def _weight(self, key: str, value: Any) -> float:
        if type(value) not in _NUMBERS or not 0 <= value <= LARGEST:
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
        if abs(x * y) > LARGEST:
            raise _WrongValueError(a, f"a number whose product with the one under {b!r} is within the range of float32")
        if abs(x * y) > SMALLEST:
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
        labels, unlabeled = join_labels(self.labels)
        return Batch(np.array(self.ends, np.uint64), indices[entries], values, labels, weights), unlabeled


def _text(value: Any) -> str:
    """A category's value: true and not True, 3 for 3.0."""
    if type(value) is bool:
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else str(value)


def join_labels(labels: list[Any]) -> tuple[np.ndarray, int | None]:
    """Labels as the narrowest kind that holds all of them, and the first row without one where they are text."""
    kinds = set(map(type, labels))
    if kinds <= {int} and all(-(2**63) <= label < 2**63 for label in labels):
        return np.array(labels, np.int64), None
    if str in kinds:
        unlabeled = labels.index(None) if None in labels else None
        return np.array([str(label) for label in labels]), unlabeled
    return np.array([math.nan if label is None else float(label) for label in labels], np.float64), None
