"""Labels on their way into a `.hog` file: one word a row, from which codes or numbers are made once all are known.

A word is a float64, or a NaN that holds the number of a label in the order of first occurrence (no label is NaN): up to
65,536 distinct labels become a sorted table and codes; more of them stay numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import kernel
from hogwild.data.hog_layout import MOST_LABELS

BOX = np.uint64(0xFFF8 << 48)  # a NaN; what it holds is below 2**17: integers and text from 0 on, floats from 2**16 on
HELD = 2 * MOST_LABELS
_SLOT_BITS = 18
_0, _1 = np.uint64(0), np.uint64(1)
_MASK, _SHIFT = np.uint64((1 << _SLOT_BITS) - 1), np.uint64(64 - _SLOT_BITS)


@kernel
def _find(bits, keys, numbers, known, most, box, words):
    """Number distinct labels, by their bits, until there are more than `most`: ``(labels done, numbers known)``.

    `keys` and `numbers` (1 more than the number; 0: free) are a table of slots.
    """
    known, most = np.uint64(known), np.uint64(most)
    for i in range(np.uint64(bits.size)):
        slot = (bits[i] * np.uint64(0x9E3779B97F4A7C15)) >> _SHIFT
        while numbers[slot] != np.uint32(0) and keys[slot] != bits[i]:
            slot = (slot + _1) & _MASK
        if numbers[slot] == np.uint32(0):
            if known == most:
                return i, known
            known += _1
            keys[slot] = bits[i]
            numbers[slot] = np.uint32(known)
        words[i] = box + np.uint64(numbers[slot]) - _1
    return np.uint64(bits.size), known


class _Distinct:
    """Distinct 64-bit labels of one kind, in the order of first occurrence."""

    def __init__(self, dtype: type, first: int) -> None:
        self._dtype, self._box = dtype, BOX + np.uint64(first)
        self._keys, self._numbers = np.zeros(1 << _SLOT_BITS, np.uint64), np.zeros(1 << _SLOT_BITS, np.uint32)
        self.known = 0

    def find(self, labels: np.ndarray, words: np.ndarray) -> bool:
        """Write the words of labels; False if there were too many distinct ones."""
        args = self._keys, self._numbers, self.known, MOST_LABELS, self._box, words
        done, self.known = map(int, _find(labels.view(np.uint64), *args))
        return done == len(labels)

    @property
    def labels(self) -> np.ndarray:
        """The distinct labels."""
        labels, used = np.empty(self.known, np.uint64), self._numbers > 0
        labels[self._numbers[used] - 1] = self._keys[used]
        return labels.view(self._dtype)


class LabelTable(NamedTuple):
    """How words become labels.

    Attributes
    ----------
    kind : {"int", "float", "text"}
    distinct : ndarray or None
        Sorted; None if there are too many, and blocks hold numbers.
    codes : ndarray of uint16, shape (2**17,)
        What a NaN that holds k stands for, as a code, ...
    numbers : ndarray of float64, shape (2**17,)
        ... and as a number.
    """

    kind: str
    distinct: np.ndarray | None
    codes: np.ndarray
    numbers: np.ndarray


class Labels:
    """The labels of all rows."""

    def __init__(self) -> None:
        self._integers, self._floats = _Distinct(np.int64, 0), _Distinct(np.float64, MOST_LABELS)
        self._texts: dict[str, int] = {}
        self._kinds: set[str] = set()
        self._many = False

    def words(self, labels: np.ndarray) -> np.ndarray:
        """Return the word (uint64) of each label; what is said of them so far is kept."""
        kind = {"b": "int", "i": "int", "u": "int", "f": "float", "U": "text"}.get(labels.dtype.kind)
        if kind is None:
            raise ValueError(f"labels are integers, floats or text, found {labels.dtype}")
        self._kinds.add(kind)
        if "text" in self._kinds and len(self._kinds) > 1:
            raise ValueError("labels are numbers in some rows and text in others")
        if kind == "text":
            return self._text_words(labels)
        if kind == "int":
            if labels.dtype == np.uint64 and len(labels) and labels.max() >= 2**63:
                raise ValueError(f"integer labels lie below 2**63, found {labels.max()}")
            labels = np.ascontiguousarray(labels, np.int64)
        else:
            labels = labels.astype(np.float64) + 0.0  # -0.0 is no label beside 0.0
            if np.isnan(labels).any():
                raise ValueError("a label is NaN: every row of a cache file needs a label")
        words = np.empty(len(labels), np.uint64)
        if not self._many:
            distinct = self._integers if kind == "int" else self._floats
            if distinct.find(labels, words):
                return words
            self._many = True
        return _exact_floats(labels).view(np.uint64)

    def _text_words(self, labels: np.ndarray) -> np.ndarray:
        codes = self._texts
        words = [codes.setdefault(label, len(codes)) for label in labels.tolist()]  # 50 ns a row
        if len(codes) > MOST_LABELS:
            raise ValueError(f"there are more than {MOST_LABELS:,} distinct labels that are text")
        return np.array(words, np.uint64) + BOX

    def table(self) -> LabelTable:
        """Return how the words of all rows are to be read."""
        codes, numbers = np.zeros(HELD, np.uint16), np.zeros(HELD)
        places = np.r_[: self._integers.known, MOST_LABELS : MOST_LABELS + self._floats.known]
        if self._texts:
            kind, labels, places = "text", np.array(list(self._texts)), np.arange(len(self._texts))
        elif self._kinds == {"int"}:
            kind, labels = "int", self._integers.labels
        else:
            kind, labels = "float", np.concatenate([_exact_floats(self._integers.labels), self._floats.labels])
        distinct, ranks = np.unique(labels, return_inverse=True)
        if self._many or len(distinct) > MOST_LABELS:
            numbers[places] = _exact_floats(labels)
            return LabelTable(kind, None, codes, numbers)
        codes[places] = ranks
        return LabelTable(kind, distinct, codes, numbers)


def _exact_floats(labels: np.ndarray) -> np.ndarray:
    """Labels as float64; an error where that is another number."""
    numbers = labels.astype(np.float64)
    if labels.dtype == np.int64:
        wrong = numbers == 2.0**63  # from 2**63 - 1, and no int64 itself
        wrong |= np.where(wrong, 0, numbers).astype(np.int64) != labels
        if wrong.any():
            raise ValueError(f"the label {labels[wrong][0]} is no float64, as which numbers are stored here")
    return numbers
