"""Rows from Vowpal Wabbit text: ``[label [importance [base]]] [tag]|namespace feature[:value] ... |namespace ...``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hogwild.data.batch import Batch, concatenate, merge_repeats
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike
from hogwild.data.formats import Parsed
from hogwild.data.hashing import hash_names
from hogwild.data.libffm import load_parts
from hogwild.data.parts import Part
from hogwild.data.values_kernel import Doubts, decided, numeric_labels
from hogwild.data.vw_kernel import EXPECTED, NO_ROOM, WEIGHTED, Read, Rows, Rules, count, read_rows

_MOST_PAIRS = 64  # a bit each


@dataclass(frozen=True)
class VowpalWabbit:
    r"""Vowpal Wabbit text: ``[label [importance [base]]] [tag]|namespace[:weight] feature[:value] ... |namespace ...``.

    A feature is hashed by its name ``namespace^feature``, or just ``feature`` in the namespace without a name, as
    scikit-learn's FeatureHasher hashes this name (the whole of it, where Vowpal Wabbit's own hash differs).

    Parameters
    ----------
    bits : int, default 20
        ``2**bits`` feature numbers.
    signed : bool, default False
        Whether a hash's sign turns the value's.
    crosses : tuple of (str, str)
        Pairs of namespaces whose features are crossed, as by ``-q``: one letter stands for all namespaces that begin
        with it, ``:`` for all, more letters for the namespace of this name, nothing or a blank for the one without a
        name. The cross ``a*b`` of two features of the first and second namespace has the product of their values.
        Within a namespace, or wherever both features match both sides, each two features are crossed once, whatever
        their order, and each one with itself: n (n + 1) / 2 crosses of n features.

    Notes
    -----
    A label is a number, NaN where there is none. The importance (at least 0) is the row's weight; the base is ignored,
    and so is the tag, a word behind a quote or one that touches the first bar: ``1|a b`` is a row with the tag 1 and no
    label. A feature without value has the value 1; values are finite, rounded once to float32 and multiplied by the
    namespace's weight. Names are any bytes but blanks, ``|``, ``:`` and NUL. Blanks and tabs separate, ``\n`` and
    ``\r\n`` end lines, blank lines are skipped. Not supported are features without a name (``:0.5``), texts as values
    (``color:red``), costs and contextual bandits as labels (``1:0.5``), and examples of several lines.

    Examples
    --------
    >>> from hogwild.data.vw import VowpalWabbit
    >>> VowpalWabbit(crosses=[("u", "i")]).names(b"1 |user anna age:3 |item book")
    ['user^anna', 'user^age', 'item^book', 'user^anna*item^book', 'user^age*item^book']
    """

    name: ClassVar[str] = "vw"
    header_lines: ClassVar[int] = 0
    bits: int = 20
    signed: bool = False
    crosses: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Make tuples of lists (JSON has no tuples) and check the settings."""
        object.__setattr__(self, "crosses", tuple(tuple(pair) for pair in self.crosses))
        if not 1 <= self.bits <= 31:
            raise ValueError(f"bits lies between 1 and 31, found {self.bits!r}")
        if any(len(pair) != 2 for pair in self.crosses):
            raise ValueError(f"crosses are pairs of namespaces, found {self.crosses!r}")
        if len({frozenset(pair) for pair in self.crosses}) < len(self.crosses):
            raise ValueError(f"crosses hold a pair twice (its order makes no difference): {self.crosses!r}")
        if len(self.crosses) > _MOST_PAIRS:
            raise ValueError(f"crosses are at most {_MOST_PAIRS} pairs, found {len(self.crosses)}")

    @property
    def n_features(self) -> int:
        """Number of feature numbers."""
        return 1 << self.bits

    def parse(self, part: Part) -> Parsed:
        """Read the lines of a part; see `TextFormat`."""
        blanks, bars, lines = (int(number) for number in count(*part[:3]))
        rules = self._rules()
        rows = Rows(
            indices=np.empty(blanks, np.uint32),
            values=np.empty(blanks, np.float32),
            row_ends=np.zeros(lines, np.uint64),
            labels=np.empty(lines),
            label_places=np.empty((lines, 2), np.uint64),
            weights=np.empty(lines, np.float32),
            spans=np.empty((bars if self.crosses else 0, 6), np.uint64),
        )
        room = 0

        def run(doubts: Doubts) -> Read:
            nonlocal rows, room
            found = Read(part.start, 0, 0, 0, 0, 0, 0, 0)
            while True:
                found = Read(*read_rows(part.text, part.stop, rules, room, rows, doubts, found))
                if found.error != NO_ROOM:
                    return found
                room = max(2 * room, found.needed)
                arrays = (np.resize(array, blanks + room) for array in rows[:2])
                rows = Rows(*arrays, *rows[2:])

        found = decided(part.text, run)
        n, kinds = found.rows, found.kinds & ~WEIGHTED
        batch = Batch(
            np.concatenate([np.zeros(1, np.uint64), rows.row_ends[:n]]),
            rows.indices[: found.entries],
            rows.values[: found.entries],
            numeric_labels(part.text, rows.label_places[:n], rows.labels[:n], kinds),
            rows.weights[: n if found.kinds & WEIGHTED else 0],
        )
        return Parsed(batch, False, found.position, EXPECTED[found.error]) if found.error else Parsed(batch, False)

    def names(self, line: bytes) -> list[str]:
        """Return ``namespace^feature`` of each entry of a line, and ``a*b`` of each cross."""
        features = list(_features(line))
        names = [namespace + b"^" + name if namespace else name for namespace, name in features]
        hashes = hash_names(names).tolist()
        for pair in self.crosses:
            left, right = ({i for i, (space, _) in enumerate(features) if _matches(space, side)} for side in pair)
            for i in sorted(left):
                for j in sorted(right):
                    both = i in right and j in left
                    if not both or i <= j:
                        a, b = (j, i) if both and hashes[j] < hashes[i] else (i, j)
                        names.append(names[a] + b"*" + names[b])
        return [name.decode("utf-8", "backslashreplace") for name in names]

    def with_header(self, lines: list[bytes]) -> VowpalWabbit:
        """Return the format itself: there is no header."""
        return self

    def _rules(self) -> Rules:
        """The crosses as the kernel takes them; ":" is the beginning of every name."""
        sides = [side for pair in self.crosses for side in pair]
        texts = [b"" if side in (":", " ") else side.encode() for side in sides]
        ends = np.cumsum([len(text) for text in texts], dtype=np.uint64)
        prefixes = np.array([len(side) == 1 and side != " " for side in sides], bool)
        patterns = np.frombuffer(b"".join(texts), np.uint8)
        return Rules(self.n_features, self.signed, len(self.crosses), patterns, ends, prefixes)


def _features(line: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Namespace and name of each feature of a line."""
    for group in line.rstrip(b"\r\n").split(b"|")[1:]:
        first, *words = re.split(rb"[ \t]+", group)
        for word in filter(None, words):
            yield first.split(b":")[0], word.split(b":")[0]


def _matches(namespace: bytes, side: str) -> bool:
    """Whether a namespace is on this side of a pair."""
    if side in ("", " "):
        return not namespace
    return side == ":" or (namespace.startswith(side.encode()) if len(side) == 1 else namespace == side.encode())


def load_vw(
    path: PathLike,
    *,
    bits: int = 20,
    signed: bool = False,
    crosses: tuple[tuple[str, str], ...] = (),
    n_jobs: int | None = None,
) -> Batch:
    r"""Read a whole file of Vowpal Wabbit text.

    Parameters
    ----------
    path : str or path-like
        A local file; .gz, .bz2, .xz and .zst are decompressed.
    bits, signed, crosses
        How names become feature numbers, and which are crossed: see `VowpalWabbit`.
    n_jobs : int, optional
        Threads that read; None is one, -1 all cores. The result does not depend on it.

    Returns
    -------
    Batch
        Indices lie below ``2**bits``; values of the same row and index are added up. Labels are int64 if all are whole
        numerals, else float64, NaN where a row has none. `weights` is empty if every importance is 1.

    Raises
    ------
    DataError
        If the file holds anything else than rows; it names file, line, column, what was found and what was expected.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild.data.vw import load_vw
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "visits.vw")
    ...     with open(name, "w") as file:
    ...         _ = file.write("1 2.0 'first|user anna age:0.5\n-1 |user bert\n")
    ...     batch = load_vw(name, bits=10)
    >>> batch.labels.tolist(), batch.weights.tolist(), batch.values.tolist()
    ([1, -1], [2.0, 1.0], [1.0, 0.5, 1.0])
    """
    batch = merge_repeats(concatenate(load_parts(VowpalWabbit(bits, signed, crosses), path, n_jobs)))
    if not np.isfinite(batch.values).all():
        raise DataError(path, found="a row whose values of one feature add up to infinity", expected="finite sums")
    return batch
