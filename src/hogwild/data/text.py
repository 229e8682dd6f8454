"""Raw text to rows: words and n-grams, hashed and counted, weighed by tf-idf if asked."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from hogwild.data.batch import Batch, merge_repeats
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, read_bytes
from hogwild.data.formats import Parsed
from hogwild.data.hashing import hash_names, place
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part
from hogwild.data.text_kernel import (
    EXPECTED,
    FASTTEXT,
    MARK,
    NO_LABEL,
    TAB,
    Rules,
    count_documents,
    count_lines,
    fill_stops,
    read_documents,
    weigh,
)

_LABELS = {"none": NO_LABEL, "tab": TAB, "fasttext": FASTTEXT}
_WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_IDF = np.empty(0, np.float32)
_FOLDER_BATCH = 1 << 22  # bytes of documents


@dataclass(frozen=True)
class Text:
    r"""One document a line: ``label<TAB>text``, ``__label__x text``, or text alone. Blank lines are skipped.

    A word is a run of ASCII letters, digits, underscores and bytes from 0x80 on: words in UTF-8 stay whole, and so does
    what is no UTF-8; other scripts' punctuation counts as letters. The feature of an n-gram is the hash of its words
    joined by a blank, as in scikit-learn's HashingVectorizer, its value how often the document holds it.

    Parameters
    ----------
    bits : int, default 20
        ``2**bits`` feature numbers.
    signed : bool, default False
        Whether a hash's sign turns the value's.
    lowercase : bool, default True
        Whether A to Z are read as a to z; letters beyond ASCII stay as they are (``É`` differs from ``é``).
    ngrams : (int, int), default (1, 1)
        Fewest and most words of an n-gram.
    stop_words : tuple of str or "english", default ()
        Words that are left out, before n-grams are made; "english" are scikit-learn's.
    min_length : int, default 2
        Characters (in UTF-8) of the shortest words that are kept.
    label : {"tab", "fasttext", "none"}, default "tab"
        Where a line's label stands. Labels are int64 if all are whole numerals, float64 if all are numbers, else text.
    tfidf : bool, default False
        Whether values are multiplied by ``ln((1 + documents) / (1 + documents with the feature)) + 1``: see `fit`.
    sublinear : bool, default False
        Whether a count c becomes ``1 + ln(c)``.
    norm : {"l2", None}, default None
        Whether rows are scaled to length 1.
    minimum : int, default 1
        Features that occur in fewer documents are dropped (see `fit`); 1 keeps all, those unseen among them.

    Raises
    ------
    ValueError
        If a setting has no meaning.

    Examples
    --------
    >>> from hogwild.data.text import Text
    >>> Text(ngrams=(1, 2), stop_words="english").names(b"spam\tThe cheap offer")
    ['cheap', 'offer', 'cheap offer']
    """

    bits: int = 20
    signed: bool = False
    lowercase: bool = True
    ngrams: tuple[int, int] = (1, 1)
    stop_words: tuple[str, ...] | Literal["english"] = ()
    min_length: int = 2
    label: Literal["tab", "fasttext", "none"] = "tab"
    tfidf: bool = False
    sublinear: bool = False
    norm: Literal["l2"] | None = None
    minimum: int = 1

    name: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        """Check the settings, and make the tables that the kernel looks bytes and stop words up in."""
        object.__setattr__(self, "ngrams", tuple(self.ngrams))
        if self.stop_words != "english":
            if isinstance(self.stop_words, str):
                raise ValueError(f"stop_words is 'english' or a list of words, found {self.stop_words!r}")
            object.__setattr__(self, "stop_words", tuple(self.stop_words))
        if not 1 <= self.bits <= 31:
            raise ValueError(f"bits lies between 1 and 31, found {self.bits!r}")
        if len(self.ngrams) != 2 or not 1 <= self.ngrams[0] <= self.ngrams[1]:
            raise ValueError(f"ngrams are the fewest and the most words, found {self.ngrams!r}")
        for setting, allowed in (("label", tuple(_LABELS)), ("norm", ("l2", None))):
            if getattr(self, setting) not in allowed:
                raise ValueError(f"{setting} is one of {allowed}, found {getattr(self, setting)!r}")
        for setting in ("min_length", "minimum"):
            if getattr(self, setting) < 1:
                raise ValueError(f"{setting} is at least 1, found {getattr(self, setting)!r}")
        if self.signed and self.sublinear:
            raise ValueError("sublinear takes logarithms of counts, which signed hashing makes negative: choose one")
        folded = np.zeros(256, np.uint8)
        kept = np.frombuffer(b"".join(_WORD.findall(bytes(range(256)))), np.uint8)
        folded[kept] = kept
        if self.lowercase:
            folded[ord("A") : ord("Z") + 1] += 32
        words = sorted(self._stop_words())
        keys = hash_names(words).astype(np.uint64) | np.array([len(w) for w in words], np.uint64) << np.uint64(32)
        stops = np.zeros(1 << (2 * len(words)).bit_length(), np.uint64)
        fill_stops(stops, keys)
        for setting, value in (("_folded", folded), ("_stops", stops), ("_arrays", {}), ("_idf", _NO_IDF)):
            object.__setattr__(self, setting, value)

    @property
    def n_features(self) -> int:
        """Number of feature numbers."""
        return 1 << self.bits

    @property
    def header_lines(self) -> int:
        """None of the lines is a header."""
        return 0

    def with_header(self, lines: list[bytes]) -> Text:
        """Return itself: text has no header."""
        return self

    def _stop_words(self) -> set[bytes]:
        words = self.stop_words
        if words == "english":
            from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

            words = ENGLISH_STOP_WORDS
        return {self._fold(word.encode()) for word in words} - {b""}

    def _fold(self, word: bytes) -> bytes:
        return word.lower() if self.lowercase else word

    # -------------------------------------------------------------------------------------------- two passes

    @property
    def needs_fit(self) -> bool:
        """Whether documents have to be counted before any is read for good."""
        return self.tfidf or self.minimum > 1

    def counting(self) -> Text:
        """Return the format of the first pass: plain counts."""
        return replace(self, tfidf=False, sublinear=False, norm=None, minimum=1)

    def fit(self, batches: Iterable[Batch]) -> Text:
        r"""Learn in how many documents each feature occurs.

        Parameters
        ----------
        batches : iterable of Batch
            Of the format that `counting` returns; repeated entries count once.

        Returns
        -------
        Text
            A new one, whose `parse` weighs and drops features.

        Examples
        --------
        >>> import numpy as np
        >>> from hogwild.data.parts import split_lines
        >>> from hogwild.data.text import Text
        >>> (part,) = split_lines(np.frombuffer(b"a red car\na red bus\n", np.uint8), 1 << 20, 32)
        >>> text = Text(label="none", minimum=2)
        >>> text = text.fit([text.counting().parse(part).batch])
        >>> text.names(b"the red car")
        ['red']
        """
        seen, counts = np.zeros(self.n_features, np.uint64), np.zeros(self.n_features, np.uint64)
        documents = 0
        for batch in batches:
            if batch.n_features > self.n_features:
                raise ValueError(f"found the index {batch.n_features - 1}, expected indices below {self.n_features}")
            seen.fill(0)
            count_documents(batch.indptr, batch.indices, seen, counts)
            documents += batch.n_rows
        return self.with_arrays({"document_frequency": counts, "documents": np.array([documents], np.uint64)})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `fit` has learned: `document_frequency` and `documents`, or nothing."""
        return dict(self._arrays)

    def with_arrays(self, arrays: dict[str, np.ndarray]) -> Text:
        """Return a copy that knows what `arrays` returned."""
        fitted = copy.copy(self)
        idf = _NO_IDF
        if arrays and self.needs_fit:
            documents, counts = float(arrays["documents"][0]), arrays["document_frequency"].astype(np.float64)
            if counts.shape != (self.n_features,):
                raise ValueError(f"document_frequency has shape {counts.shape}, expected ({self.n_features},)")
            idf = np.log((1 + documents) / (1 + counts)) + 1 if self.tfidf else np.ones(self.n_features)
            if self.minimum > 1:
                idf[counts < self.minimum] = 0
        object.__setattr__(fitted, "_arrays", dict(arrays))
        object.__setattr__(fitted, "_idf", idf.astype(np.float32))
        return fitted

    def _check_fitted(self) -> None:
        if self.needs_fit and not self._arrays:
            raise ValueError("tfidf and minimum need a first pass: text.fit(batches read by text.counting())")

    # -------------------------------------------------------------------------------------------- reading

    def parse(self, part: Part) -> Parsed:
        """Read the lines of a part (see `hogwild.data.formats.TextFormat`)."""
        return self._parse(part, keep_blank=False)

    def _parse(self, part: Part, *, keep_blank: bool) -> Parsed:
        self._check_fitted()
        start, stop = part.start, part.stop
        lines = int(count_lines(part.text, start, stop))
        fewest, most = self.ngrams
        room = (stop - start) // (self.min_length + 1) * (most - fewest + 1)
        indices, values = np.empty(room, np.uint32), np.empty(room, np.float32)
        row_ends = np.zeros(lines + 1, np.uint64)
        numbers, places = np.empty(lines, np.uint32), np.empty((lines, 2), np.uint64)
        table = np.zeros(1 << (2 * lines).bit_length() if self.label != "none" else 1, np.uint32)
        rules = Rules(_LABELS[self.label], self.min_length, fewest, most, self.n_features, self.signed, keep_blank)
        grams = np.empty((most, 3), np.uint64)
        rows, entries, n_labels, error, position = read_documents(
            part.text,
            start,
            stop,
            self._folded,
            self._stops,
            rules,
            grams,
            row_ends[1:],
            indices,
            values,
            numbers,
            places,
            table,
        )
        expected = EXPECTED.get(error, "")
        labels = np.full(rows, np.nan)
        if self.label != "none":
            numbers = numbers[:rows]
            labels, unread = _labels(part.text, places[:n_labels])
            if unread is not None:  # no UTF-8: the rows end before it
                rows = int(np.flatnonzero(numbers == unread)[0])
                position, error, expected = int(places[unread, 0]), -1, "a label in UTF-8"
            labels = labels[numbers[:rows]]
        row_ends = row_ends[: rows + 1]
        entries = int(row_ends[-1])
        # Copies: views would keep all of the room.
        batch = Batch(row_ends, indices[:entries].copy(), values[:entries].copy(), labels)
        weighed = bool(len(self._idf)) or self.sublinear or self.norm is not None
        if weighed:
            batch = self._weighed(merge_repeats(batch))
        return Parsed(batch, weighed, int(position) if error else -1, expected)

    def _weighed(self, batch: Batch) -> Batch:
        """Values of summed counts; the arrays of `batch` are used for it."""
        ends = np.zeros(len(batch.indptr), np.uint64)
        left = weigh(batch.indptr, batch.indices, batch.values, self._idf, self.sublinear, self.norm == "l2", ends)
        return batch._replace(indptr=ends, indices=batch.indices[:left], values=batch.values[:left])

    def names(self, line: bytes) -> list[str]:
        """Return the n-gram of each entry of a line (of colliding ones that are added up, the first)."""
        self._check_fitted()
        if self.label == "tab":
            line = line.partition(b"\t")[2]
        elif self.label == "fasttext":
            line = line.lstrip(b" \t\r")[len(MARK) :].partition(b" ")[2]
        stops = self._stop_words()
        words = [self._fold(word) for word in _WORD.findall(line)]
        words = [w for w in words if sum(b & 0xC0 != 0x80 for b in w) >= self.min_length and w not in stops]
        fewest, most = self.ngrams
        grams = [
            b" ".join(words[end - n : end])
            for end in range(1, len(words) + 1)
            for n in range(fewest, min(end, most) + 1)
        ]
        if len(self._idf) or self.sublinear or self.norm:
            indices, _ = place(hash_names(grams), self.n_features)
            first = np.sort(np.unique(indices, return_index=True)[1])
            grams = [grams[i] for i in first if not len(self._idf) or self._idf[indices[i]]]
        return [gram.decode("utf-8", "backslashreplace") for gram in grams]


def _labels(text: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, int | None]:
    """Return labels as the narrowest kind that holds all of them, and the number of the first that is no text."""
    words, unread = [], None
    for i, (start, stop) in enumerate(places.tolist()):
        try:
            words.append(text[start:stop].tobytes().decode())
        except UnicodeDecodeError:
            unread = i
            break
    if all(_INTEGER.fullmatch(word) for word in words):
        integers = [int(word) for word in words]
        if all(-(2**63) <= integer < 2**63 for integer in integers):
            return np.array(integers, np.int64), unread
    if all(_NUMBER.fullmatch(word) for word in words):
        floats = np.array([float(word) for word in words])
        if np.isfinite(floats).all():
            return floats, unread
    return np.array(words, dtype=str), unread


def read_folder(
    folder: PathLike, text: Text, *, encoding: str | None = None, batch_bytes: int = _FOLDER_BATCH
) -> Iterator[Batch]:
    """Read a folder of documents: a subfolder for each class, a file for each document, in the order of their names.

    Parameters
    ----------
    folder : str or path-like
        Files beside the subfolders, and folders within these, are left out. .gz, .bz2, .xz and .zst are decompressed.
    text : Text
        How documents become rows; its `label` is not used.
    encoding : str, optional
        What the documents are written in; by default their bytes are taken as they are, which is right for UTF-8.
    batch_bytes : int, default 4194304
        Text of a batch, about: as much is held in memory at a time, or one document.

    Yields
    ------
    Batch
        Labels are the subfolders' names.

    Raises
    ------
    DataError
        If there are no subfolders, or a document is not in `encoding`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from hogwild.data.text import Text, read_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, mail in [("ham/1.txt", "see you at noon"), ("spam/1.txt", "cheap cheap watches")]:
    ...         path = pathlib.Path(folder, name)
    ...         path.parent.mkdir()
    ...         _ = path.write_text(mail)
    ...     (batch,) = read_folder(folder, Text(sublinear=True))
    >>> batch.labels.tolist(), batch.indptr.tolist()
    (['ham', 'spam'], [0, 4, 6])
    """
    text = replace(text, label="none").with_arrays(text.arrays())
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if not classes:
        raise DataError(folder, found="a folder without subfolders", expected="a subfolder for each class")
    documents: list[bytes] = []
    labels: list[str] = []
    size = 0
    for label in classes:
        for path in sorted(path for path in Path(folder, label).iterdir() if path.is_file()):
            documents.append(_document(path, encoding).replace(b"\n", b" ") + b"\n")
            labels.append(label)
            size += len(documents[-1])
            if size >= batch_bytes:
                yield _document_batch(text, documents, labels)
                documents, labels, size = [], [], 0
    if documents:
        yield _document_batch(text, documents, labels)


def _document(path: Path, encoding: str | None) -> bytes:
    content = read_bytes(path).tobytes()
    try:
        return content if encoding is None else content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x} at place {error.start}"
        raise DataError(path, found=found, expected=f"text in {encoding}") from None


def _document_batch(text: Text, documents: list[bytes], labels: list[str]) -> Batch:
    content = np.frombuffer(b"".join(documents) + b"\n" * PADDING, np.uint8)
    parsed = text._parse(Part(content, 0, len(content) - PADDING, 0), keep_blank=True)
    batch = parsed.batch if parsed.unique else merge_repeats(parsed.batch)
    return batch._replace(labels=np.array(labels, dtype=str))
